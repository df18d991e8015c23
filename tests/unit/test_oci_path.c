// SPDX-License-Identifier: Apache-2.0
// gateway/oci_path.c and oci_error.c: one reading of a path of /v2/ and no other; everything outside of the grammar is refused
// with the specification's code.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "gateway/oci_path.h"

#define SHA256 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA512                                                              \
  "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce" \
  "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"

static void assert_str(struct str s, const char *expected) {
  if (!str_eq_c(s, expected))
    fail_msg("'%.*s' is not '%s'", STR_ARG(s), expected);
}

static struct oci_path read_path(const char *text) {
  struct oci_path path;
  enum oci_code code;
  struct error err;

  if (oci_path_read(str_of(text), &path, &code, &err) != 0)
    fail_msg("%s: %s: %s", text, oci_code_name(code), err.text);
  return path;
}

static void assert_path(const char *text, enum oci_kind kind, const char *name, const char *reference) {
  struct oci_path path = read_path(text);

  if (path.kind != kind)
    fail_msg("%s is a path of kind %s", text, oci_kind_name(path.kind));
  assert_str(path.name, name);
  assert_str(path.reference, reference);
}

static void test_every_end_point_of_the_specification_is_read(void **state) {
  (void)state;
  assert_path("/v2", OCI_BASE, "", "");
  assert_path("/v2/", OCI_BASE, "", "");
  assert_path("/v2/_catalog", OCI_CATALOG, "", "");
  assert_path("/v2/team/app/tags/list", OCI_TAGS, "team/app", "");
  assert_path("/v2/team/app/manifests/latest", OCI_MANIFEST, "team/app", "latest");
  assert_path("/v2/team/app/manifests/" SHA256, OCI_MANIFEST, "team/app", SHA256);
  assert_path("/v2/team/app/manifests/" SHA512, OCI_MANIFEST, "team/app", SHA512);
  assert_path("/v2/team/app/blobs/" SHA256, OCI_BLOB, "team/app", SHA256);
  assert_path("/v2/team/app/blobs/uploads/", OCI_UPLOADS, "team/app", "");
  assert_path("/v2/team/app/blobs/uploads", OCI_UPLOADS, "team/app", "");
  assert_path("/v2/team/app/blobs/uploads/0b5e-4_a.b=", OCI_UPLOAD, "team/app", "0b5e-4_a.b=");
  assert_path("/v2/team/app/referrers/" SHA256, OCI_REFERRERS, "team/app", SHA256);
}

static void test_a_name_is_split_at_its_first_slash(void **state) {
  (void)state;
  struct oci_path path = read_path("/v2/team-a/web/api/v1/manifests/1.0");
  assert_str(path.project, "team-a");
  assert_str(path.repository, "web/api/v1");
  assert_false(path.by_digest);
  assert_true(read_path("/v2/team-a/web/manifests/" SHA256).by_digest);
}

static void test_words_of_the_grammar_may_stand_in_names(void **state) {
  (void)state;
  assert_path("/v2/blobs/uploads/blobs/uploads/", OCI_UPLOADS, "blobs/uploads", "");
  assert_path("/v2/manifests/manifests/manifests/manifests", OCI_MANIFEST, "manifests/manifests", "manifests");
  assert_path("/v2/a/tags/list/tags/list", OCI_TAGS, "a/tags/list", "");
  assert_path("/v2/a/blobs/blobs/uploads/x", OCI_UPLOAD, "a/blobs", "x");
  assert_path("/v2/a/b/manifests/uploads", OCI_MANIFEST, "a/b", "uploads");
}

static void test_what_is_outside_of_the_grammar_has_its_code(void **state) {
  static const struct {
    const char *path;
    enum oci_code code;
  } rows[] = {
      {"/v2/team/../other/manifests/x", OCI_NAME_INVALID},
      {"/v2/../v2/team/app/manifests/x", OCI_NAME_INVALID},
      {"/v2/team%2fapp/manifests/x", OCI_NAME_INVALID},
      {"/v2/team/app%2F..%2Fother/manifests/x", OCI_NAME_INVALID},
      {"/v2/team/app/manifests/%2e%2e", OCI_NAME_INVALID},
      {"/v2/team//app/manifests/x", OCI_NAME_INVALID},
      {"/v2//team/app/manifests/x", OCI_NAME_INVALID},
      {"/v2/Team/app/manifests/x", OCI_NAME_INVALID},
      {"/v2/team/-app/manifests/x", OCI_NAME_INVALID},
      {"/v2/team/app_/tags/list", OCI_NAME_INVALID},
      {"/v2/team/a...b/tags/list", OCI_NAME_INVALID},
      {"/v2/team/app;x/tags/list", OCI_NAME_INVALID},
      {"/v2/team\\app/tags/list", OCI_NAME_INVALID},
      {"/v2/ubuntu/manifests/latest", OCI_NAME_INVALID},
      {"/v2/team/app/manifests/..", OCI_TAG_INVALID},
      {"/v2/team/app/manifests/.x", OCI_TAG_INVALID},
      {"/v2/team/app/manifests/-x", OCI_TAG_INVALID},
      {"/v2/team/app/manifests/", OCI_TAG_INVALID},
      {"/v2/team/app/manifests/a b", OCI_TAG_INVALID},
      {"/v2/team/app/manifests/sha256:abc", OCI_DIGEST_INVALID},
      {"/v2/team/app/manifests/SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
       OCI_DIGEST_INVALID},
      {"/v2/team/app/manifests/md5:d41d8cd98f00b204e9800998ecf8427e", OCI_DIGEST_INVALID},
      {"/v2/team/app/blobs/latest", OCI_DIGEST_INVALID},
      {"/v2/team/app/blobs/sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
       OCI_DIGEST_INVALID},
      {"/v2/team/app/blobs/..", OCI_DIGEST_INVALID},
      {"/v2/team/app/referrers/latest", OCI_DIGEST_INVALID},
      {"/v2/team/app/blobs/uploads/..", OCI_BLOB_UPLOAD_UNKNOWN},
      {"/v2/team/app/blobs/uploads/a:b", OCI_BLOB_UPLOAD_UNKNOWN},
      {"/v2/team/app/blobs/uploads/a/b", OCI_NAME_UNKNOWN},
      {"/v2/team/app", OCI_NAME_UNKNOWN},
      {"/v2/team", OCI_NAME_UNKNOWN},
      {"/v2/team/app/tags", OCI_NAME_UNKNOWN},
      {"/v2/_catalog/", OCI_NAME_UNKNOWN},
      {"/v2/team/app/uploads/x", OCI_NAME_UNKNOWN},
      {"/v3/team/app/tags/list", OCI_NAME_UNKNOWN},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    struct oci_path path;
    enum oci_code code = OCI_CODE_COUNT;
    struct error err;
    if (oci_path_read(str_of(rows[i].path), &path, &code, &err) == 0)
      fail_msg("%s was let through", rows[i].path);
    if (code != rows[i].code)
      fail_msg("%s is %s: %s", rows[i].path, oci_code_name(code), err.text);
    assert_true(err.text[0]);
  }
}

static void test_a_name_without_project_is_told_where_to_push(void **state) {
  (void)state;
  struct oci_path path;
  enum oci_code code;
  struct error err;
  assert_int_equal(oci_path_read(STR("/v2/ubuntu/manifests/1"), &path, &code, &err), ERR_BAD_REQUEST);
  assert_non_null(strstr(err.text, "HOST/PROJECT/ubuntu"));
}

static void test_longest_names_and_ids(void **state) {
  enum { LONGEST = 255 };
  char text[1024], name[LONGEST + 2];
  struct oci_path path;
  enum oci_code code;

  (void)state;
  memset(name, 'a', sizeof(name));
  name[1] = '/';
  name[LONGEST] = '\0';
  snprintf(text, sizeof(text), "/v2/%s/tags/list", name);
  assert_int_equal(oci_path_read(str_of(text), &path, &code, NULL), 0);
  name[LONGEST] = 'a';
  name[LONGEST + 1] = '\0';
  snprintf(text, sizeof(text), "/v2/%s/tags/list", name);
  assert_int_equal(oci_path_read(str_of(text), &path, &code, NULL), ERR_BAD_REQUEST);
  assert_int_equal(code, OCI_NAME_INVALID);
}

static void test_methods_of_each_end_point(void **state) {
  (void)state;
  assert_true(oci_kind_takes(OCI_MANIFEST, STR("PUT")));
  assert_true(oci_kind_takes(OCI_MANIFEST, STR("HEAD")));
  assert_false(oci_kind_takes(OCI_MANIFEST, STR("PATCH")));
  assert_false(oci_kind_takes(OCI_BLOB, STR("PUT")));
  assert_true(oci_kind_takes(OCI_UPLOAD, STR("PATCH")));
  assert_false(oci_kind_takes(OCI_UPLOADS, STR("GET")));
  assert_false(oci_kind_takes(OCI_CATALOG, STR("")));
}

static void test_the_error_body_is_the_specifications(void **state) {
  struct buf body;

  (void)state;
  buf_init(&body, 1024);
  oci_error_write(OCI_NAME_UNKNOWN, STR("no \"x\""), &body);
  assert_str(buf_str(&body), "{\"errors\":[{\"code\":\"NAME_UNKNOWN\",\"message\":\"no \\\"x\\\"\"}]}\n");
  buf_free(&body);
  assert_int_equal(oci_code_status(OCI_UNAUTHORIZED), 401);
  assert_int_equal(oci_code_of_status(413), OCI_MANIFEST_INVALID);
  assert_int_equal(oci_code_of_status(408), OCI_UNSUPPORTED);
  assert_int_equal(oci_code_of_status(503), OCI_UNAVAILABLE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_end_point_of_the_specification_is_read),
      cmocka_unit_test(test_a_name_is_split_at_its_first_slash),
      cmocka_unit_test(test_words_of_the_grammar_may_stand_in_names),
      cmocka_unit_test(test_what_is_outside_of_the_grammar_has_its_code),
      cmocka_unit_test(test_a_name_without_project_is_told_where_to_push),
      cmocka_unit_test(test_longest_names_and_ids),
      cmocka_unit_test(test_methods_of_each_end_point),
      cmocka_unit_test(test_the_error_body_is_the_specifications),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
