// SPDX-License-Identifier: Apache-2.0
#include "app/care.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "app/file.h"
#include "base/id.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "registry/compare.h"
#include "store/settings.h"

enum {
  CARE_ARENA_BYTES = 16 * 1024 * 1024,
  CARE_CA_BYTES = 4 * 1024 * 1024,
  CARE_MAX_FINDINGS = STORE_CHECK_MAX_FINDINGS
};

static const char *const kinds[CARE_KINDS] = {
    [CARE_BACKUP] = "backup",
    [CARE_CHECK] = "check",
    [CARE_COMPACT] = "compact",
    [CARE_KEY_ROTATE] = "key rotate",
};

void care_request_write(const struct care_request *request, struct buf *out) {
  struct json_writer w = json_writer_make(out, false);
  json_object_begin(&w);
  json_field_str(&w, "command", str_of(kinds[request->kind]));
  json_field_str_opt(&w, "dir", str_of(request->dir));
  json_field_bool(&w, "catalogue", request->catalogue);
  json_field_bool(&w, "incremental", request->incremental);
  json_object_end(&w);
}

int care_request_read(const struct json_object *json, struct care_request *out, struct error *err) {
  struct str command, dir = STR_EMPTY;
  *out = (struct care_request){.kind = CARE_KINDS};
  if (!json_get_str(json, "command", &command))
    return error_set(err, ERR_BAD_REQUEST, "the line names no command");
  for (int kind = 0; kind < CARE_KINDS; kind++)
    if (str_eq_c(command, kinds[kind]))
      out->kind = (enum care_kind)kind;
  if (out->kind == CARE_KINDS)
    return ERR_NOT_FOUND;
  (void)json_get_str(json, "dir", &dir);
  (void)json_get_bool(json, "catalogue", &out->catalogue);
  (void)json_get_bool(json, "incremental", &out->incremental);
  if (out->kind == CARE_BACKUP && (dir.len == 0 || dir.ptr[0] != '/'))
    return error_set(err, ERR_BAD_REQUEST, "backup needs the absolute path of a directory");
  if (dir.len >= sizeof out->dir)
    return error_set(err, ERR_BAD_REQUEST, "the path of the backup is longer than %zu bytes", sizeof out->dir - 1);
  snprintf(out->dir, sizeof out->dir, "%.*s", STR_ARG(dir));
  return 0;
}

static long long mib(int64_t bytes) {
  return (long long)((bytes + (1 << 20) - 1) >> 20);
}

static const char *plural(int64_t n) {
  return n == 1 ? "" : "s";
}

// ---- the audit --------------------------------------------------------------------------------------------------------

static int add_entry(struct store_conn *conn, void *ctx, struct error *err) {
  return audit_add(conn, ctx, err);
}

static int audit(const struct care_request *request, const struct care_place *place, const char *operation,
                 const char *kind, const char *subject, const char *fields, struct error *err) {
  char who[CARE_WHO_BYTES];
  care_who(request->uid, who);
  struct audit_entry entry = {.actor = STR(CARE_ACTOR),
                              .address = str_of(who),
                              .request_id = STR_EMPTY,
                              .operation = str_of(operation),
                              .kind = str_of(kind),
                              .project = STR_EMPTY,
                              .subject = str_of(subject),
                              .fields = str_of(fields)};
  return store_care_write(place->store, add_entry, &entry, err);
}

void care_who(unsigned uid, char out[static CARE_WHO_BYTES]) {
  snprintf(out, CARE_WHO_BYTES, "uid %u", uid);
}

// Of what has been done: a store that cannot take the line (of an older schema, on a full disk) does not undo it.
static void audit_done(const struct care_request *request, const struct care_place *place, const char *subject,
                       struct buf *text) {
  struct error why;
  if (audit(request, place, kinds[request->kind], "store", subject, "", &why) != 0)
    buf_printf(text, "The audit does not have it: %s.\n", why.text);
}

// ---- backup -----------------------------------------------------------------------------------------------------------

static int do_backup(const struct care_request *request, const struct care_place *place,
                     const struct store_progress *progress, struct arena *arena, struct buf *text, struct error *err) {
  struct store_manifest made;
  int rc = store_backup(place->store, request->dir, progress, arena, &made, err);
  if (rc != 0)
    return rc;
  buf_printf(
      text,
      "Backed up %s to %s: %lld project%s, %lld webhook%s, %lld event%s, %lld deliver%s (%lld waiting), %lld MiB, "
      "schema %lld.\n",
      place->data, request->dir, (long long)made.projects, plural(made.projects), (long long)made.policies,
      plural(made.policies), (long long)made.events, plural(made.events), (long long)made.deliveries,
      made.deliveries == 1 ? "y" : "ies", (long long)made.waiting, mib(made.size_bytes), (long long)made.schema);
  buf_printf(text,
             "The key files are not in it: keep copies of %s/secret.key and %s/token.key somewhere else. Without "
             "secret.key (%.*s) no webhook's address or header in the backup can be read; without token.key API tokens "
             "and sessions end.\n",
             place->data, place->data, STR_ARG(made.keys));
  buf_printf(text, "Restore it with: harbinger restore %s --data DIR\n", request->dir);
  audit_done(request, place, request->dir, text);
  return 0;
}

// ---- check ------------------------------------------------------------------------------------------------------------

static int compare_catalogue(const struct care_place *place, const struct store_progress *progress, struct arena *arena,
                             struct buf *text, size_t *found, struct error *err) {
  struct registry_compared compared;
  if (!place->upstream_url || !place->upstream_url[0])
    return error_set(err, ERR_CONFIG,
                     place->serving ? "there is no registry to compare with: the server's setting upstream.url is empty"
                                    : "the registry is known to the running server only: start it, then check the "
                                      "catalogue");
  struct str pem = STR_EMPTY;
  if (place->ca_file && place->ca_file[0] && file_read(place->ca_file, CARE_CA_BYTES, arena, &pem, err) != 0)
    return err->code;
  const struct registry_walk_config config = {
      .default_project = place->default_project,
      .project = "",
      .client = {.ca_pem = pem,
                 .upstream_url = place->upstream_url,
                 .authorization = place->upstream_authorization,
                 .user_agent = place->user_agent,
                 .skip_cert_verify = place->upstream_skip_cert_verify},
  };
  int rc = registry_compare(&config, place->store, progress, arena, &compared, err);
  if (rc != 0)
    return rc;
  int64_t asked = compared.counts.compared;
  for (size_t i = 0; i < compared.len; i++)
    buf_printf(text, "catalogue: %.*s\n", STR_ARG(compared.differences[i].what));
  if (compared.len > 0)
    buf_printf(text, "`harbinger sync` makes the catalogue as the registry is.\n");
  buf_printf(text, "Compared %lld tag%s and manifest%s with %s.\n", (long long)asked, plural(asked), plural(asked),
             place->upstream_url);
  if (compared.counts.list_status)
    buf_printf(text, "The registry answers %d to /v2/_catalog: repositories that only it has were not looked for.\n",
               compared.counts.list_status);
  *found += compared.len;
  return 0;
}

static int do_check(const struct care_request *request, const struct care_place *place,
                    const struct store_progress *progress, struct arena *arena, struct buf *text, int *exit_code,
                    struct error *err) {
  struct store_finding *findings = NULL;
  size_t len = 0, found;
  int rc = store_check(place->store, progress, arena, &findings, &len, err);
  for (size_t i = 0; rc == 0 && i < len; i++)
    buf_printf(text, "%.*s\n", STR_ARG(findings[i].what));
  found = len;
  if (rc == 0 && request->catalogue)
    rc = compare_catalogue(place, progress, arena, text, &found, err);
  if (rc != 0)
    return rc;
  // Each of the two looks ends when it has found so many.
  bool cut = len == CARE_MAX_FINDINGS || found - len == CARE_MAX_FINDINGS;
  *exit_code = found > 0;
  if (found == 0)
    buf_printf(text, "%s is sound: pages, indexes, what belongs together, and the key file.\n", place->data);
  else if (len == 0)
    buf_printf(text, "%s is sound, but differs from the registry in %s%zu point%s.\n", place->data,
               cut ? "at least " : "", found, plural((int64_t)found));
  else
    buf_printf(text, "%s%zu finding%s in %s: restore a backup, or keep this output and ask for help.\n",
               cut ? "At least " : "", found, plural((int64_t)found), place->data);
  return 0;
}

// ---- compact ----------------------------------------------------------------------------------------------------------

static int do_compact(const struct care_request *request, const struct care_place *place,
                      const struct store_progress *progress, struct buf *text, struct error *err) {
  struct store_compacted done = {0};
  if (place->serving && request->incremental)
    return error_set(err, ERR_PRECONDITION, "--incremental rewrites the whole file: stop the server for it");
  if (!place->serving) // it goes into the new file: afterwards the store is closed
    audit_done(request, place, place->data, text);
  int rc = place->serving ? store_compact_online(place->store, progress, &done, err)
                          : store_compact(place->store, request->incremental, progress, &done, err);
  int64_t freed = done.before_bytes - done.after_bytes;
  if (rc == 0)
    buf_printf(text, "Gave back %lld KiB of %lld: the store of %s now takes %lld KiB.\n",
               (long long)((freed > 0 ? freed : 0) / 1024), (long long)(done.before_bytes / 1024), place->data,
               (long long)(done.after_bytes / 1024));
  if (rc == 0 && place->serving)
    audit_done(request, place, place->data, text);
  return rc;
}

// ---- new keys ---------------------------------------------------------------------------------------------------------

// Both keys into the file, the new one first, before anything is sealed with it: whatever is killed from here on, the file
// opens everything. A file that has two already is of a rotation that was interrupted: it goes on.
static int begin_rotation(const struct care_place *place, const char *path, struct store_keys *keys, bool *resumed,
                          struct error *err) {
  int64_t sealed, unopened;
  if (access(path, F_OK) != 0 && errno == ENOENT) // never made here: a new key would open nothing
    return error_set(err, ERR_PRECONDITION, "the key file %s is not there: put it back from where you keep its copy",
                     path);
  int rc = file_keys(path, keys, err);
  *resumed = rc == 0 && keys->len == 2;
  if (rc == 0)
    rc = store_count_unopened(place->store, keys, &sealed, &unopened, err);
  if (rc == 0 && unopened > 0)
    return error_set(err, ERR_PRECONDITION,
                     "%lld of %lld sealed values do not open with %s: it is not the key that they were sealed with; "
                     "nothing has changed. Put the right key file there first",
                     (long long)unopened, (long long)sealed, path);
  if (rc != 0 || *resumed)
    return rc;
  memcpy(keys->keys[1], keys->keys[0], SEAL_KEY_BYTES);
  random_bytes(keys->keys[0], SEAL_KEY_BYTES);
  keys->len = 2;
  return file_keys_write(path, keys, err);
}

static int end_rotation(const struct care_place *place, const char *path, const struct store_keys *both,
                        struct error *err) {
  struct store_keys only = *both;
  int64_t sealed, unopened;
  only.len = 1;
  explicit_bzero(only.keys[1], SEAL_KEY_BYTES);
  int rc = store_count_unopened(place->store, &only, &sealed, &unopened, err);
  if (rc == 0 && unopened > 0)
    rc = error_set(err, ERR_INTERNAL, "%lld values are not sealed with the new key: both keys stay in %s",
                   (long long)unopened, path);
  if (rc == 0)
    rc = file_keys_write(path, &only, err);
  if (rc == 0)
    rc = store_set_keys(place->store, &only, err);
  explicit_bzero(&only, sizeof only);
  return rc;
}

static int do_rotate(const struct care_request *request, const struct care_place *place,
                     const struct store_progress *progress, struct buf *text, struct error *err) {
  struct store_keys keys;
  char path[4096], names[STORE_FINGERPRINTS_BYTES];
  bool resumed = false;
  int64_t sealed = 0;
  snprintf(path, sizeof path, "%s/secret.key", place->data);
  int rc = begin_rotation(place, path, &keys, &resumed, err);
  if (rc != 0) {
    explicit_bzero(&keys, sizeof keys);
    return rc;
  }
  store_keys_fingerprints(&keys, names);
  rc = store_set_keys(place->store, &keys, err);
  if (rc == 0)
    rc = store_reseal(place->store, progress, &sealed, err);
  if (rc == 0)
    rc = audit(request, place, "rotate", "key", names, "secret.key (secret)", err);
  if (rc == 0)
    rc = end_rotation(place, path, &keys, err);
  explicit_bzero(&keys, sizeof keys);
  if (rc != 0) {
    struct error why = *err;
    return error_set(err, why.code,
                     "%s. Until `harbinger key rotate` has come to its end, %s holds the old and the new key, which "
                     "together open everything",
                     rc == ERR_UNAVAILABLE && str_starts_c(str_of(why.text), "interrupted") ? "interrupted" : why.text,
                     path);
  }
  buf_printf(text, "%s: %lld address%s and headers are sealed with the new key (%.12s).\n",
             resumed ? "Finished the rotation that was interrupted" : "The key is changed", (long long)sealed,
             sealed == 1 ? "" : "es", names);
  buf_printf(text,
             "Copy %s to where you keep it. Backups made until now open with the old key (%s) only: keep its copy as "
             "long as you keep them.\n",
             path, names + 13);
  return 0;
}

int care_do(const struct care_request *request, const struct care_place *place, const struct store_progress *progress,
            struct buf *text, int *exit_code, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(CARE_ARENA_BYTES);
  *exit_code = 0;
  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  switch (request->kind) {
  case CARE_BACKUP:
    return do_backup(request, place, progress, arena, text, err);
  case CARE_CHECK:
    return do_check(request, place, progress, arena, text, exit_code, err);
  case CARE_COMPACT:
    return do_compact(request, place, progress, text, err);
  case CARE_KEY_ROTATE:
    return do_rotate(request, place, progress, text, err);
  case CARE_KINDS:
    break;
  }
  return error_set(err, ERR_BAD_REQUEST, "there is no such work");
}
