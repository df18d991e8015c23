// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/rfc3339.h"
#include "store/sqlite/durable.h"
#include "store/sqlite/snapshot.h"

enum {
  STEP_PAGES = 256, // a mebibyte: under 3 ms
  SYNC_STEPS = 16,
  MANIFEST_MAX_BYTES = 64 * 1024,
  MANIFEST_FORMAT = 1,
  SPARE_BYTES = 1024 * 1024,
};

int store_progress_tell(const struct store_progress *progress, const char *what, int64_t done, int64_t of,
                        struct error *err) {
  if (!progress || !progress->tell || progress->tell(progress->ctx, what, done, of))
    return 0;
  return error_set(err, ERR_UNAVAILABLE, "interrupted: nothing has changed");
}

// ---- the manifest -----------------------------------------------------------------------------------------------------

static int count_rows(struct store_conn *conn, struct store_manifest *out, struct error *err) {
  static const char version[] = "PRAGMA user_version";
  static const char projects[] = "SELECT count(*) FROM project WHERE deleted_us IS NULL";
  static const char policies[] = "SELECT count(*) FROM policy WHERE deleted_us IS NULL";
  static const char events[] = "SELECT count(*) FROM event";
  static const char deliveries[] = "SELECT count(*) FROM delivery";
  // Two counts, each of which has an index of its own: what may be tried, and what strict order holds.
  static const char waiting[] = "SELECT (SELECT count(*) FROM delivery d JOIN target t ON t.id = d.target_id "
                                "WHERE d.state <= 1 AND d.id >= t.cancel_below) + "
                                "(SELECT count(*) FROM delivery d JOIN target t ON t.id = d.target_id "
                                "WHERE d.state = 2 AND d.id >= t.cancel_below)";
  int rc = conn_number(conn, version, 0, &out->schema, err);

  if (rc != 0 || out->schema == 0)
    return rc; // a file in which nothing has been made yet
  rc = conn_number(conn, projects, 0, &out->projects, err);
  if (rc == 0)
    rc = conn_number(conn, policies, 0, &out->policies, err);
  if (rc == 0)
    rc = conn_number(conn, events, 0, &out->events, err);
  if (rc == 0)
    rc = conn_number(conn, deliveries, 0, &out->deliveries, err);
  if (rc == 0)
    rc = conn_number(conn, waiting, 0, &out->waiting, err);
  return rc;
}

static int write_manifest(const char *path, const struct store_manifest *manifest, struct error *err) {
  struct buf text;
  char at[RFC3339_BYTES];

  rfc3339_write(manifest->made_us, 0, at);
  buf_init(&text, MANIFEST_MAX_BYTES);
  struct json_writer w = json_writer_make(&text, false);
  json_object_begin(&w);
  json_field_i64(&w, "harbinger_backup", MANIFEST_FORMAT);
  json_field_str(&w, "program", manifest->program);
  json_field_i64(&w, "schema", manifest->schema);
  json_field_str(&w, "made_at", str_of(at));
  json_field_i64(&w, "made_at_us", manifest->made_us);
  json_field_i64(&w, "size_bytes", manifest->size_bytes);
  json_field_str(&w, "sha256", manifest->sha256);
  json_field_str(&w, "keys", manifest->keys);
  json_key(&w, "counts");
  json_object_begin(&w);
  json_field_i64(&w, "projects", manifest->projects);
  json_field_i64(&w, "policies", manifest->policies);
  json_field_i64(&w, "events", manifest->events);
  json_field_i64(&w, "deliveries", manifest->deliveries);
  json_field_i64(&w, "waiting", manifest->waiting);
  json_object_end(&w);
  json_object_end(&w);
  buf_put_char(&text, '\n');
  int rc =
      text.failed ? error_set(err, ERR_NO_MEMORY, "no memory for %s", path) : durable_write(path, buf_str(&text), err);
  buf_free(&text);
  return rc;
}

static int read_small_file(const char *path, struct arena *arena, struct str *out, struct error *err) {
  char words[128];
  FILE *file = fopen(path, "rbe");

  if (!file)
    return error_set(err, errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", path,
                     error_errno(errno, words));
  char *text = arena_alloc(arena, MANIFEST_MAX_BYTES);
  size_t len = text ? fread(text, 1, MANIFEST_MAX_BYTES, file) : 0;
  bool failed = !text || ferror(file) || len == MANIFEST_MAX_BYTES;
  (void)fclose(file);
  if (failed)
    return error_set(err, ERR_IO, "cannot read %s", path);
  *out = (struct str){text, len};
  return 0;
}

int store_backup_manifest(const char *dir, struct arena *arena, struct store_manifest *out, struct error *err) {
  char path[DURABLE_PATH_BYTES];
  struct str text;
  struct json_object *json;
  int64_t format = 0;

  *out = (struct store_manifest){.keys = STR_EMPTY};
  int rc = durable_path(path, dir, BACKUP_MANIFEST, err);
  if (rc == 0)
    rc = read_small_file(path, arena, &text, err);
  if (rc == ERR_NOT_FOUND)
    return error_set(err, ERR_NOT_FOUND,
                     "%s is no backup: there is no " BACKUP_MANIFEST " in it; name the directory that `harbinger "
                     "backup` wrote",
                     dir);
  if (rc != 0)
    return rc;
  if (json_parse(text, arena, &json, err) != 0 || !json_get_i64(json, "harbinger_backup", &format) ||
      !json_get_str(json, "sha256", &out->sha256) || !json_get_i64(json, "schema", &out->schema) ||
      !json_get_str(json, "program", &out->program) || !json_get_i64(json, "size_bytes", &out->size_bytes))
    return error_set(err, ERR_INVALID, "%s is damaged, or no manifest of a backup", path);
  if (format != MANIFEST_FORMAT)
    return error_set(err, ERR_INVALID, "%s was written by a newer harbinger (%.*s): restore it with that version", path,
                     STR_ARG(out->program));
  struct json_object *counts = json_get_object(json, "counts");
  (void)json_get_i64(json, "made_at_us", &out->made_us);
  (void)json_get_str(json, "keys", &out->keys);
  (void)json_get_i64(counts, "projects", &out->projects);
  (void)json_get_i64(counts, "policies", &out->policies);
  (void)json_get_i64(counts, "events", &out->events);
  (void)json_get_i64(counts, "deliveries", &out->deliveries);
  (void)json_get_i64(counts, "waiting", &out->waiting);
  return 0;
}

// ---- the copy -----------------------------------------------------------------------------------------------------------

struct copy {
  struct store_conn *conn;
  const char *path;
  const struct store_progress *progress;
  int (*fits)(void *ctx, struct error *err);
  void *ctx;
};

// The source's read transaction is open, so that the copy never starts over, whatever is committed meanwhile.
static int copy_pages(const struct copy *copy, sqlite3_backup *backup, int fd, struct error *err) {
  char words[128];

  for (int steps = 1;; steps++) {
    int rc = sqlite3_backup_step(backup, STEP_PAGES);
    if (rc == SQLITE_DONE)
      return 0;
    if (rc != SQLITE_OK)
      return error_set(err, ERR_IO, "cannot copy the store to %s: %s%s", copy->path, sqlite3_errstr(rc),
                       (rc & 0xff) == SQLITE_FULL || (rc & 0xff) == SQLITE_IOERR ? ": is there room on that disk?"
                                                                                 : "");
    if (steps % SYNC_STEPS == 0 && fdatasync(fd) != 0)
      return error_set(err, ERR_IO, "cannot write %s: %s", copy->path, error_errno(errno, words));
    int pages = sqlite3_backup_pagecount(backup);
    int told = store_progress_tell(copy->progress, "copying", pages - sqlite3_backup_remaining(backup), pages, err);
    if (told == 0 && copy->fits)
      told = copy->fits(copy->ctx, err);
    if (told != 0)
      return told;
  }
}

static int copy_into(const struct copy *copy, sqlite3 *to, int fd, struct error *err) {
  // Nobody reads the copy before it is whole and synced: no journal, no syncs but ours.
  if (sqlite3_exec(to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL, NULL, NULL) != SQLITE_OK)
    return error_set(err, ERR_IO, "cannot write %s: %s", copy->path, sqlite3_errmsg(to));
  sqlite3_backup *backup = sqlite3_backup_init(to, "main", copy->conn->db, "main");
  if (!backup)
    return error_set(err, ERR_IO, "cannot begin to copy to %s: %s", copy->path, sqlite3_errmsg(to));
  int rc = copy_pages(copy, backup, fd, err);
  (void)sqlite3_backup_finish(backup);
  return rc;
}

static int copy_database(const struct copy *copy, struct error *err) {
  sqlite3 *to = NULL;
  char words[128];
  int rc = 0, fd = open(copy->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

  if (fd < 0)
    return error_set(err, ERR_IO, "cannot create %s: %s", copy->path, error_errno(errno, words));
  if (sqlite3_open_v2(copy->path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
    rc = error_set(err, ERR_IO, "cannot open %s: %s", copy->path, to ? sqlite3_errmsg(to) : "no memory");
  if (rc == 0)
    rc = copy_into(copy, to, fd, err);
  (void)sqlite3_close(to);
  (void)close(fd);
  return rc == 0 ? durable_sync(copy->path, err) : rc;
}

// ---- the directory ------------------------------------------------------------------------------------------------------

void backup_remove(const char *dir) {
  static const char *const names[] = {BACKUP_DATABASE, BACKUP_DATABASE "-journal", BACKUP_MANIFEST};
  char path[DURABLE_PATH_BYTES];

  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    if (durable_path(path, dir, names[i], NULL) == 0)
      (void)unlink(path);
  (void)rmdir(dir);
}

static bool is_empty_directory(const char *dir) {
  DIR *listing = opendir(dir);
  bool empty = true;

  if (!listing)
    return false;
  for (const struct dirent *entry; empty && (entry = readdir(listing)) != NULL;)
    empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
  (void)closedir(listing);
  return empty;
}

// The lock on DIR.partial tells a backup that is going on from what a killed one has left.
static int begin_directory(const char *dir, const char *partial, int *lock, struct error *err) {
  char words[128];
  struct stat st;

  if (durable_exists(dir) && !is_empty_directory(dir))
    return error_set(err, ERR_CONFLICT, "%s exists and is not an empty directory: name another", dir);
  bool made = mkdir(partial, 0700) == 0;
  if (!made && errno != EEXIST)
    return error_set(err, ERR_IO,
                     "cannot make %s: %s: the directory around it must exist and be writable for the user that runs "
                     "harbinger",
                     partial, error_errno(errno, words));
  *lock = open(partial, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (*lock < 0)
    return error_set(err, ERR_IO, "cannot open %s: %s", partial, error_errno(errno, words));
  if (flock(*lock, LOCK_EX | LOCK_NB) != 0)
    return error_set(err, ERR_CONFLICT, "another backup is being written to %s: wait for it, or name another directory",
                     dir);
  // Where many may write (/tmp), who made it before us could put a file of his own under our name and read the store.
  if (!made && (fstat(*lock, &st) != 0 || st.st_uid != geteuid()))
    return error_set(err, ERR_CONFLICT, "%s is another user's: remove it, or name another directory", partial);
  return 0;
}

static int room_for(const char *near, int64_t bytes, int64_t floor_bytes, struct error *err) {
  int64_t free_bytes = disk_free_bytes(near);

  if (free_bytes >= bytes + floor_bytes + SPARE_BYTES)
    return 0;
  return error_set(err, ERR_UNAVAILABLE,
                   "the copy takes %lld MiB, and %lld MiB are free for %s: make room on that disk",
                   (long long)(bytes >> 20) + 1, (long long)(free_bytes >> 20), near);
}

static int64_t size_of_database(struct store_conn *conn) {
  static const char pages_sql[] = "PRAGMA page_count", size_sql[] = "PRAGMA page_size";
  int64_t pages = 0, size = 0;

  if (conn_number(conn, pages_sql, 0, &pages, NULL) != 0 || conn_number(conn, size_sql, 0, &size, NULL) != 0)
    return 0;
  return pages * size;
}

// Everything below DIR.partial.
static int fill_directory(struct copy *copy, const char *partial, struct arena *arena, struct store_manifest *out,
                          struct error *err) {
  char manifest[DURABLE_PATH_BYTES], sum[DURABLE_SUM_BYTES], fingerprints[STORE_FINGERPRINTS_BYTES];
  struct store *store = copy->conn->store;
  struct store_keys keys;

  int rc = durable_path(manifest, partial, BACKUP_MANIFEST, err);
  if (rc == 0)
    rc = room_for(partial, size_of_database(copy->conn), 0, err);
  if (rc == 0)
    rc = count_rows(copy->conn, out, err);
  if (rc == 0)
    rc = copy_database(copy, err);
  if (rc == 0)
    rc = durable_sum(copy->path, NULL, "summing", copy->progress, sum, err);
  if (rc != 0)
    return rc;
  store_get_keys(store, &keys);
  store_keys_fingerprints(&keys, fingerprints);
  explicit_bzero(&keys, sizeof(keys));
  out->program = STR(HARBINGER_VERSION);
  out->made_us = clock_wall_us(store->clock);
  out->size_bytes = durable_size(copy->path);
  out->sha256 = arena_str(arena, str_of(sum));
  out->keys = arena_str(arena, str_of(fingerprints));
  if (!out->sha256.ptr || !out->keys.ptr)
    return error_set(err, ERR_NO_MEMORY, "no memory for the manifest of a backup");
  rc = write_manifest(manifest, out, err);
  return rc == 0 ? durable_sync(partial, err) : rc;
}

int backup_write(struct store_conn *conn, const char *dir, const struct store_progress *progress,
                 int (*fits)(void *ctx, struct error *err), void *ctx, struct arena *arena, struct store_manifest *out,
                 struct error *err) {
  char partial[DURABLE_PATH_BYTES], path[DURABLE_PATH_BYTES];
  struct copy copy = {.conn = conn, .path = path, .progress = progress, .fits = fits, .ctx = ctx};
  int lock = -1;

  *out = (struct store_manifest){.keys = STR_EMPTY};
  int len = snprintf(partial, sizeof(partial), "%s.partial", dir);
  if (len < 0 || (size_t)len >= sizeof(partial))
    return error_set(err, ERR_CONFIG, "the path of the backup is too long");
  int rc = durable_path(path, partial, BACKUP_DATABASE, err);
  if (rc == 0)
    rc = begin_directory(dir, partial, &lock, err);
  if (rc == 0) {
    (void)unlink(path); // of one that was killed
    rc = fill_directory(&copy, partial, arena, out, err);
    if (rc == 0)
      rc = durable_rename(partial, dir, err);
    if (rc != 0)
      backup_remove(partial);
  }
  if (lock >= 0)
    (void)close(lock);
  return rc;
}

static int snapshot_still_fits(void *ctx, struct error *err) {
  return snapshot_fits(ctx, err);
}

int store_backup(struct store *store, const char *dir, const struct store_progress *progress, struct arena *arena,
                 struct store_manifest *out, struct error *err) {
  struct snapshot snapshot;
  int rc = snapshot_begin(store, &snapshot, err);

  if (rc == 0)
    rc = backup_write(snapshot.conn, dir, progress, snapshot_still_fits, &snapshot, arena, out, err);
  snapshot_end(&snapshot);
  return rc;
}

// ---- before a migration -----------------------------------------------------------------------------------------------

// The number in "before-schema-N", or 0 when it is another name.
static int64_t number_of(const char *name) {
  int64_t number;
  struct str rest = str_of(name);

  if (!str_starts_c(rest, BACKUP_BEFORE) || !str_to_i64(str_from(rest, sizeof(BACKUP_BEFORE) - 1), &number))
    return 0;
  return number > 0 ? number : 0;
}

// The largest number below `below` in the folder, or 0.
static int64_t largest_below(const char *folder, int64_t below) {
  int64_t largest = 0;
  DIR *listing = opendir(folder);

  if (!listing)
    return 0;
  for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
    int64_t number = number_of(entry->d_name);
    if (number > largest && number < below)
      largest = number;
  }
  (void)closedir(listing);
  return largest;
}

static int path_of_number(char out[static DURABLE_PATH_BYTES], const char *folder, int64_t number, struct error *err) {
  char name[64];

  (void)snprintf(name, sizeof(name), BACKUP_BEFORE "%lld", (long long)number);
  return durable_path(out, folder, name, err);
}

static void keep_newest(const char *folder) {
  char path[DURABLE_PATH_BYTES];
  int64_t number = largest_below(folder, INT64_MAX);

  for (int kept = 1; number > 0; kept++) {
    if (kept > STORE_BACKUPS_KEPT && path_of_number(path, folder, number, NULL) == 0)
      backup_remove(path);
    number = largest_below(folder, number);
  }
}

struct said {
  const struct store *store;
  int64_t at_us;
};

static bool tell_log(void *ctx, const char *what, int64_t done, int64_t of) {
  struct said *said = ctx;
  int64_t now_us = clock_mono_us(said->store->clock);

  if (store_progress_tell(said->store->config.progress, what, done, of, NULL) != 0)
    return false;
  if (now_us - said->at_us >= 2 * US_PER_S) {
    said->at_us = now_us;
    log_info(said->store->log, "store", "backup before the upgrade, %s: %lld %%", what,
             (long long)(of > 0 ? done * 100 / of : 0));
  }
  return true;
}

static int own_all(const char *like, const char *dir, struct error *err) {
  char path[DURABLE_PATH_BYTES];
  int rc = durable_own(like, dir, err);

  if (rc == 0)
    rc = durable_path(path, dir, BACKUP_DATABASE, err);
  if (rc == 0)
    rc = durable_own(like, path, err);
  if (rc == 0)
    rc = durable_path(path, dir, BACKUP_MANIFEST, err);
  return rc == 0 ? durable_own(like, path, err) : rc;
}

int backup_before_migration(struct store_conn *conn, int64_t schema, struct error *err) {
  char folder[DURABLE_PATH_BYTES], path[DURABLE_PATH_BYTES], words[128];
  struct store *store = conn->store;
  struct said said = {store, clock_mono_us(store->clock)};
  const struct store_progress progress = {.tell = tell_log, .ctx = &said};
  struct store_manifest manifest;
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(BACKUP_ARENA_BYTES);

  int rc = durable_path(folder, store->config.dir, BACKUPS_FOLDER, err);
  if (rc == 0)
    rc = path_of_number(path, folder, schema, err);
  if (rc != 0 || !arena)
    return rc != 0 ? rc : error_set(err, ERR_NO_MEMORY, "no memory for a backup");
  if (mkdir(folder, 0700) != 0 && errno != EEXIST)
    return error_set(err, ERR_IO, "cannot make %s: %s", folder, error_errno(errno, words));
  rc = durable_own(store->config.dir, folder, err);
  backup_remove(path); // of an upgrade that did not come to its end, or was taken back
  log_info(store->log, "store", "backing up the store to %s before the upgrade to schema %lld", path,
           (long long)schema);
  if (rc == 0)
    rc = room_for(folder, size_of_database(conn), store->config.min_free_bytes, err);
  if (rc == 0)
    rc = backup_write(conn, path, &progress, NULL, NULL, arena, &manifest, err);
  if (rc == 0)
    rc = own_all(folder, path, err);
  if (rc != 0)
    return error_context(err, "cannot back up the store before the upgrade (store.backup_before_upgrade=false does "
                              "without a way back)");
  keep_newest(folder);
  return 0;
}

struct str backup_way_back(const char *data_dir, int64_t schema, struct arena *arena, struct store_manifest *out) {
  char folder[DURABLE_PATH_BYTES], path[DURABLE_PATH_BYTES];

  if (durable_path(folder, data_dir, BACKUPS_FOLDER, NULL) != 0)
    return STR_EMPTY;
  for (int64_t n = largest_below(folder, INT64_MAX); n > 0; n = largest_below(folder, n)) {
    if (path_of_number(path, folder, n, NULL) != 0 || store_backup_manifest(path, arena, out, NULL) != 0)
      continue;
    if (out->schema <= schema) {
      struct str found = arena_str(arena, str_of(path));
      return found.ptr ? found : STR_EMPTY;
    }
  }
  return STR_EMPTY;
}
