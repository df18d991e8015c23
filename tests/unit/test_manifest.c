// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "registry/manifest.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_CONFIG "application/vnd.oci.image.config.v1+json"

enum { ARENA_BYTES = 8 * 1024 * 1024 };

static int set_up(void **state) {
  *state = arena_new(ARENA_BYTES);
  return *state ? 0 : -1;
}

static int tear_down(void **state) {
  arena_free(*state);
  return 0;
}

static struct manifest read_manifest(struct arena *arena, const char *json, const char *content_type) {
  struct manifest out;
  struct error err;

  if (manifest_read(str_of(json), str_of(content_type), arena, &out, &err) != 0)
    fail_msg("%s: %s", json, err.text);
  return out;
}

static void assert_str(struct str got, const char *expected) {
  if (!str_eq_c(got, expected))
    fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(got), expected);
}

static void test_an_image_is_its_manifest_its_config_and_its_layers(void **state) {
  static const char json[] =
      "{\"schemaVersion\":2,\"mediaType\":\"" OCI_MANIFEST "\",\"config\":{\"mediaType\":\"" OCI_CONFIG
      "\",\"digest\":\"sha256:" HEX_A
      "\",\"size\":100},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1."
      "tar+gzip\",\"digest\":\"sha256:" HEX_B "\",\"size\":2000},{\"digest\":\"sha256:" HEX_B "\",\"size\":30000}]}";
  struct manifest m = read_manifest(*state, json, "");

  assert_str(m.media_type, OCI_MANIFEST);
  assert_int_equal(m.kind, ARTIFACT_IMAGE);
  assert_true(m.size_bytes == (int64_t)sizeof(json) - 1 + 32100);
  assert_str(m.config_digest, "sha256:" HEX_A);
  assert_true(manifest_config_has_platform(m.config_media_type));
}

static void test_an_index_lists_its_children_with_their_platforms(void **state) {
  struct manifest m =
      read_manifest(*state,
                    "{\"manifests\":[{\"mediaType\":\"" OCI_MANIFEST "\",\"digest\":\"sha256:" HEX_A
                    "\",\"size\":7,\"platform\":{\"os\":"
                    "\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"}},{\"mediaType\":\"" OCI_INDEX
                    "\",\"digest\":\"sha256:" HEX_B "\"}]}",
                    OCI_INDEX "; charset=utf-8");

  assert_str(m.media_type, OCI_INDEX);
  assert_int_equal(m.kind, ARTIFACT_INDEX);
  assert_int_equal(m.children_len, 2);
  assert_str(m.children[0].platform, "linux/arm64/v8");
  assert_true(m.children[0].size_bytes == 7);
  assert_int_equal(m.children[1].kind, ARTIFACT_INDEX);
  assert_str(m.children[1].platform, "");
  assert_true(m.children[1].size_bytes == -1);
}

static void test_kinds_come_from_config_artifact_type_and_first_layer(void **state) {
  static const struct {
    const char *artifact_type, *config, *layer;
    enum artifact_kind kind;
  } rows[] = {
      {"", OCI_CONFIG, "application/vnd.oci.image.layer.v1.tar+gzip", ARTIFACT_IMAGE},
      {"", "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
       ARTIFACT_CHART},
      {"", OCI_CONFIG, "application/vnd.dev.cosign.simplesigning.v1+json", ARTIFACT_SIGNATURE},
      {"", OCI_CONFIG, "application/vnd.dsse.envelope.v1+json", ARTIFACT_ATTESTATION},
      {"", OCI_CONFIG, "application/vnd.in-toto+json", ARTIFACT_ATTESTATION},
      {"application/spdx+json", "application/vnd.oci.empty.v1+json", "application/spdx+json", ARTIFACT_SBOM},
      {"application/x-ours", "application/vnd.oci.empty.v1+json", "text/plain", ARTIFACT_OTHER},
      {"", "", "", ARTIFACT_UNKNOWN},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    enum artifact_kind kind =
        manifest_kind(STR(OCI_MANIFEST), str_of(rows[i].artifact_type), str_of(rows[i].config), str_of(rows[i].layer));
    if (kind != rows[i].kind)
      fail_msg("row %zu: %s, not %s", i, artifact_kind_name(kind), artifact_kind_name(rows[i].kind));
  }
}

static void test_the_type_is_found_where_the_manifest_does_not_name_it(void **state) {
  assert_str(read_manifest(*state, "{\"schemaVersion\":2,\"manifests\":[]}", "").media_type, OCI_INDEX);
  assert_str(read_manifest(*state, "{\"schemaVersion\":2,\"config\":{},\"layers\":[]}", "text/plain").media_type,
             OCI_MANIFEST);
  struct manifest old = read_manifest(*state, "{\"schemaVersion\":1,\"fsLayers\":[]}", "application/json");
  assert_str(old.media_type, "application/vnd.docker.distribution.manifest.v1+prettyjws");
  assert_true(old.size_bytes == -1);
}

static void test_a_size_that_cannot_be_is_unknown(void **state) {
  static const char *const sizes[] = {"-1", "9223372036854775807", "\"7\"", "1.5", "null"};

  for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
    struct str json = arena_printf(*state,
                                   "{\"mediaType\":\"" OCI_MANIFEST "\",\"config\":{\"digest\":\"sha256:" HEX_A
                                   "\",\"size\":%s},\"layers\":[{\"digest\":\"sha256:" HEX_B "\",\"size\":1}]}",
                                   sizes[i]);
    assert_true(read_manifest(*state, json.ptr, "").size_bytes == -1);
  }
}

static void test_what_is_no_manifest_is_refused_with_words(void **state) {
  static const struct {
    const char *json, *type, *words;
  } rows[] = {
      {"", "", "the manifest"},
      {"[]", OCI_MANIFEST, "not a JSON object"},
      {"{\"a\":", OCI_MANIFEST, "the manifest"},
      {"{}", "text/html", "not the media type of a manifest"},
      {"{\"mediaType\":\"text/html\"}", OCI_MANIFEST, "\"text/html\""},
      {"{\"manifests\":[{\"size\":1}]}", OCI_INDEX, "no digest"},
      {"{\"manifests\":[{\"digest\":\"sha256:short\"}]}", OCI_INDEX, "no digest"},
  };

  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    struct manifest out;
    struct error err;
    assert_int_equal(manifest_read(str_of(rows[i].json), str_of(rows[i].type), *state, &out, &err), ERR_INVALID);
    if (!strstr(err.text, rows[i].words))
      fail_msg("%s: %s", rows[i].json, err.text);
  }
}

static void test_a_list_that_is_too_long_is_cut(void **state) {
  struct buf json;

  buf_init(&json, 1024 * 1024);
  buf_put_c(&json, "{\"manifests\":[");
  for (int i = 0; i <= EVENT_MAX_CHILDREN; i++)
    buf_put_c(&json, i ? ",{\"digest\":\"sha256:" HEX_A "\"}" : "{\"digest\":\"sha256:" HEX_A "\"}");
  buf_put_c(&json, "]}");
  struct manifest out;
  assert_int_equal(manifest_read(buf_str(&json), STR(OCI_INDEX), *state, &out, NULL), 0);
  assert_int_equal(out.children_len, EVENT_MAX_CHILDREN);
  assert_true(out.children_cut);
  buf_free(&json);
}

static void test_a_platform_has_two_or_three_parts(void **state) {
  static const char *const rows[][2] = {
      {"{\"os\":\"linux\",\"architecture\":\"amd64\"}", "linux/amd64"},
      {"{\"architecture\":\"arm\",\"os\":\"linux\",\"variant\":\"v7\",\"os.version\":\"1\"}", "linux/arm/v7"},
      {"{\"os\":\"linux\",\"architecture\":\"amd64\",\"variant\":\"\"}", "linux/amd64"},
      {"{\"os\":\"linux\"}", ""},
      {"{\"os\":\"\",\"architecture\":\"\"}", ""},
      {"{\"os\":7,\"architecture\":\"amd64\"}", ""},
      {"{\"os\":\"li/nux\",\"architecture\":\"amd64\"}", ""},
      {"{\"os\":\"linux\\n\",\"architecture\":\"amd64\"}", ""},
  };

  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    struct str platform;
    assert_int_equal(manifest_config_platform(str_of(rows[i][0]), *state, &platform, NULL), 0);
    assert_str(platform, rows[i][1]);
  }
  struct str platform;
  assert_int_equal(manifest_config_platform(STR("not json"), *state, &platform, NULL), ERR_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_an_image_is_its_manifest_its_config_and_its_layers, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_an_index_lists_its_children_with_their_platforms, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_kinds_come_from_config_artifact_type_and_first_layer, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_the_type_is_found_where_the_manifest_does_not_name_it, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_size_that_cannot_be_is_unknown, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_what_is_no_manifest_is_refused_with_words, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_list_that_is_too_long_is_cut, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_a_platform_has_two_or_three_parts, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
