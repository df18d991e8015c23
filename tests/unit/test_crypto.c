// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/crypto.h"

static struct arena *arena;
static struct buf buf;

static int start(void **state) {
  (void)state;
  arena = arena_new(1 << 20);
  buf_init(&buf, 4096);
  return arena ? crypto_start(NULL) : -1;
}

static int stop(void **state) {
  (void)state;
  arena_free(arena);
  buf_free(&buf);
  return 0;
}

static void assert_hex(const char *expected, const uint8_t *bytes, size_t len) {
  buf_clear(&buf);
  crypto_hex((struct str){(const char *)bytes, len}, &buf);
  assert_false(buf.failed);
  assert_true(str_eq_c(buf_str(&buf), expected));
}

static void test_sha256_gives_the_standards_digests(void **state) {
  (void)state;
  uint8_t out[SHA256_BYTES];

  crypto_sha256(STR_EMPTY, out);
  assert_hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", out, sizeof(out));
  crypto_sha256(STR("abc"), out);
  assert_hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", out, sizeof(out));
}

static void test_hmac_gives_rfc_4231s_values(void **state) {
  (void)state;
  uint8_t out[HMAC_BYTES];
  uint8_t empty[HMAC_BYTES];
  char long_key[131];

  crypto_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
  assert_hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", out, sizeof(out));
  memset(long_key, 0xaa, sizeof(long_key));
  crypto_hmac_sha256((struct str){long_key, sizeof(long_key)},
                     STR("Test Using Larger Than Block-Size Key - Hash Key First"), out);
  assert_hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", out, sizeof(out));
  crypto_hmac_sha256((struct str){NULL, 0}, (struct str){NULL, 0}, empty); // not the key of the call before
  assert_hex("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", empty, sizeof(empty));
}

static void test_password_hash_verifies_only_its_password(void **state) {
  (void)state;
  char hash[PASSWORD_HASH_BYTES], other[PASSWORD_HASH_BYTES];

  assert_int_equal(crypto_password_hash(STR("correct horse"), hash, NULL), 0);
  assert_int_equal(crypto_password_hash(STR("correct horse"), other, NULL), 0);
  assert_true(strncmp(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31) == 0);
  assert_string_not_equal(hash, other); // a salt each
  assert_true(crypto_password_verify(STR("correct horse"), hash));
  assert_false(crypto_password_verify(STR("correct horsE"), hash));
  assert_false(crypto_password_verify(STR_EMPTY, hash));
  assert_false(crypto_password_verify(STR("x"), ""));
  assert_false(crypto_password_verify(STR("x"), NULL));
  assert_false(crypto_password_verify(STR("x"), "not a hash"));
}

static void test_sealed_value_opens_with_its_key_and_context_only(void **state) {
  (void)state;
  uint8_t key[SEAL_KEY_BYTES] = {1}, other[SEAL_KEY_BYTES] = {2};
  struct str plain;
  struct error err;
  struct str sealed = crypto_seal(key, STR("target.auth_header"), STR("Bearer x"), arena);

  assert_non_null(sealed.ptr);
  assert_false(str_contains(sealed, STR("Bearer")));
  assert_int_equal(crypto_open(key, STR("target.auth_header"), sealed, arena, &plain, &err), 0);
  assert_true(str_eq_c(plain, "Bearer x"));
  assert_int_equal(plain.ptr[plain.len], '\0');
  assert_int_equal(crypto_open(other, STR("target.auth_header"), sealed, arena, &plain, &err), ERR_INTERNAL);
  assert_non_null(strstr(err.text, "target.auth_header"));
  assert_int_equal(crypto_open(key, STR("target.secret"), sealed, arena, &plain, &err), ERR_INTERNAL);
}

static void test_every_changed_or_missing_byte_is_noticed(void **state) {
  (void)state;
  uint8_t key[SEAL_KEY_BYTES] = {1};
  struct str plain;
  struct str sealed = crypto_seal(key, STR("c"), STR("secret"), arena);
  char *copy = arena_cstr(arena, sealed);

  for (size_t i = 0; i < sealed.len; i++) {
    copy[i] = (char)(copy[i] ^ 1);
    assert_int_equal(crypto_open(key, STR("c"), (struct str){copy, sealed.len}, arena, &plain, NULL), ERR_INTERNAL);
    copy[i] = (char)(copy[i] ^ 1);
    assert_int_equal(crypto_open(key, STR("c"), (struct str){copy, i}, arena, &plain, NULL), ERR_INTERNAL);
  }
  assert_int_equal(crypto_open(key, STR("c"), (struct str){copy, sealed.len}, arena, &plain, NULL), 0);
}

static void test_same_secret_is_never_sealed_to_the_same_bytes(void **state) {
  (void)state;
  uint8_t key[SEAL_KEY_BYTES] = {1};
  struct str a = crypto_seal(key, STR("c"), STR_EMPTY, arena);
  struct str b = crypto_seal(key, STR("c"), STR_EMPTY, arena);
  struct str plain = STR("x");
  CLEANUP(arena_cleanup) struct arena *full = arena_new(0);

  assert_false(str_eq(a, b));
  assert_int_equal(crypto_open(key, STR("c"), a, arena, &plain, NULL), 0);
  assert_int_equal(plain.len, 0);
  assert_null(crypto_seal(key, STR("c"), STR("x"), full).ptr);
  assert_int_equal(crypto_open(key, STR("c"), a, full, &plain, NULL), ERR_NO_MEMORY);
}

static void test_base64_is_padded_and_reads_back(void **state) {
  (void)state;
  static const char *const PAIRS[][2] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
  struct str data;

  for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++) {
    buf_clear(&buf);
    crypto_base64(str_of(PAIRS[i][0]), &buf);
    assert_true(str_eq_c(buf_str(&buf), PAIRS[i][1]));
    assert_true(crypto_base64_read(buf_str(&buf), arena, &data));
    assert_true(str_eq_c(data, PAIRS[i][0]));
  }
  buf_clear(&buf);
  crypto_base64url(STR("\xfb\xff\xfe\xff"), &buf);
  assert_true(str_eq_c(buf_str(&buf), "-__-_w"));
}

static void test_malformed_base64_is_refused(void **state) {
  (void)state;
  static const char *const BAD[] = {
      "Z", "Zg", "Zg=", "Zg===", "Zm8", "=", "====", "Zm9v\n", "Zm 9", "Zm-_", "Zh==", "Zm9=", "Zg==Zg=="};
  struct str data;

  for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
    assert_false(crypto_base64_read(str_of(BAD[i]), arena, &data));
}

static void test_writers_respect_the_buffers_maximum(void **state) {
  (void)state;
  struct buf small;

  buf_init(&small, 5);
  crypto_base64(STR("foobar"), &small);
  assert_true(small.failed);
  assert_int_equal(small.len, 0);
  buf_clear(&small);
  crypto_hex(STR("abc"), &small);
  assert_true(small.failed);
  buf_clear(&small);
  crypto_hex(STR("ab"), &small);
  assert_true(str_eq_c(buf_str(&small), "6162"));
  crypto_hex((struct str){"", SIZE_MAX / 2 + 1}, &small);
  assert_true(small.failed);
  buf_free(&small);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sha256_gives_the_standards_digests),
      cmocka_unit_test(test_hmac_gives_rfc_4231s_values),
      cmocka_unit_test(test_password_hash_verifies_only_its_password),
      cmocka_unit_test(test_sealed_value_opens_with_its_key_and_context_only),
      cmocka_unit_test(test_every_changed_or_missing_byte_is_noticed),
      cmocka_unit_test(test_same_secret_is_never_sealed_to_the_same_bytes),
      cmocka_unit_test(test_base64_is_padded_and_reads_back),
      cmocka_unit_test(test_malformed_base64_is_refused),
      cmocka_unit_test(test_writers_respect_the_buffers_maximum),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
