// SPDX-License-Identifier: Apache-2.0
#include "cli/login_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "cli/api_client.h"
#include "net/url.h"

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value && value[0] ? value : NULL;
}

// $XDG_CONFIG_HOME/harbinger/login.json; a relative XDG_CONFIG_HOME is no value (XDG Base Directory Specification).
static int file_path(struct arena *arena, const char **out, struct error *err) {
  const char *config = variable("XDG_CONFIG_HOME"), *home = variable("HOME");
  struct str path;
  if (config && config[0] == '/')
    path = arena_printf(arena, "%s/harbinger/login.json", config);
  else if (home)
    path = arena_printf(arena, "%s/.config/harbinger/login.json", home);
  else
    return error_set(err, ERR_CONFIG,
                     "there is no place for the login: set HOME or XDG_CONFIG_HOME, or give "
                     "HARBINGER_URL and HARBINGER_TOKEN");
  *out = path.ptr;
  return path.ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
}

static int parse(const char *path, struct str text, struct arena *arena, struct login *out, struct error *err) {
  struct json_object *file;
  struct str ca = STR_EMPTY;
  int rc = json_parse(text, arena, &file, err);
  if (rc == 0 && (!json_get_str(file, "url", &out->url) || !json_get_str(file, "token", &out->token)))
    rc = error_set(err, ERR_INVALID, "url or token is missing");
  if (rc != 0)
    return error_context(err, "%s is damaged (remove it and log in again)", path);
  (void)json_get_i64(file, "token_id", &out->token_id);
  (void)json_get_str(file, "username", &out->username);
  (void)json_get_str(file, "ca", &ca);
  out->ca_file = arena_cstr(arena, ca);
  out->from_file = true;
  return out->ca_file ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
}

int login_file_read(struct arena *arena, struct login *out, struct error *err) {
  const char *path;
  struct stat info;
  struct str text;
  *out = (struct login){.username = STR_EMPTY, .ca_file = ""};
  int rc = file_path(arena, &path, err);
  if (rc != 0)
    return rc;
  if (stat(path, &info) == 0 && (info.st_mode & 077) != 0)
    return error_set(err, ERR_CONFIG,
                     "%s holds a secret and others may read it: chmod 600 it, or remove it and log in "
                     "again",
                     path);
  rc = api_client_read_file(path, LOGIN_FILE_MAX_BYTES, arena, &text, err);
  return rc == 0 ? parse(path, text, arena, out, err) : rc;
}

bool login_same_server(struct str a, struct str b) {
  struct url first, second;
  return url_parse(a, &first, NULL) == 0 && url_parse(b, &second, NULL) == 0 && url_same_origin(&first, &second);
}

int login_file_find(struct arena *arena, struct login *out, struct error *err) {
  const char *url = variable("HARBINGER_URL"), *token = variable("HARBINGER_TOKEN");
  const char *ca_file = variable("HARBINGER_CA_FILE");
  if (url && token) {
    *out = (struct login){
        .url = str_of(url), .token = str_of(token), .username = STR_EMPTY, .ca_file = ca_file ? ca_file : ""};
    return 0;
  }
  int rc = login_file_read(arena, out, err);
  if (rc == ERR_NOT_FOUND)
    return error_set(err, ERR_UNAUTHORIZED,
                     "you are not logged in: run `harbinger login URL`, e.g. `harbinger login "
                     "http://127.0.0.1:8080`, or set HARBINGER_URL and HARBINGER_TOKEN");
  if (rc != 0)
    return rc;
  if (url && !login_same_server(str_of(url), out->url))
    return error_set(err, ERR_UNAUTHORIZED,
                     "HARBINGER_URL names another server than the one you are logged in to "
                     "(%.*s): run `harbinger login %s`, or set HARBINGER_TOKEN too",
                     STR_ARG(out->url), url);
  if (url || token || ca_file)
    out->from_file = false;
  if (url)
    out->url = str_of(url);
  if (token)
    out->token = str_of(token);
  if (ca_file)
    out->ca_file = ca_file;
  return 0;
}

static void write_json(struct buf *out, const struct login *login) {
  struct json_writer w = json_writer_make(out, false);
  json_object_begin(&w);
  json_field_str(&w, "url", login->url);
  json_field_str(&w, "username", login->username);
  json_field_str(&w, "token", login->token);
  json_field_i64(&w, "token_id", login->token_id);
  json_field_str(&w, "ca", str_of(login->ca_file));
  json_object_end(&w);
  buf_put_char(out, '\n');
}

static int make_folders(const char *path, struct arena *arena, struct error *err) {
  char words[128];
  char *folder = arena_cstr(arena, str_of(path));
  for (char *slash = folder; folder && (slash = strchr(slash + 1, '/'));) {
    *slash = '\0';
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
      return error_set(err, ERR_IO, "cannot make the folder %s: %s", folder, error_errno(errno, words));
    *slash = '/';
  }
  return folder ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
}

static int write_whole(int fd, struct str text) {
  while (text.len > 0) {
    ssize_t written = write(fd, text.ptr, text.len);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return -1;
    text = str_from(text, (size_t)written);
  }
  return fsync(fd);
}

int login_file_write(struct arena *arena, const struct login *login, struct error *err) {
  const char *path;
  char words[128];
  struct buf text;
  int rc = file_path(arena, &path, err);
  if (rc == 0)
    rc = make_folders(path, arena, err);
  if (rc != 0)
    return rc;
  struct str fresh = arena_printf(arena, "%s.%ld", path, (long)getpid());
  if (!fresh.ptr)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  (void)unlink(fresh.ptr); // of a process of that number that died
  int fd = open(fresh.ptr, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return error_set(err, ERR_IO, "cannot write %s: %s", fresh.ptr, error_errno(errno, words));
  buf_init(&text, LOGIN_FILE_MAX_BYTES);
  write_json(&text, login);
  bool written = !text.failed && write_whole(fd, buf_str(&text)) == 0;
  int why = errno;
  buf_free(&text);
  (void)close(fd);
  if (written && rename(fresh.ptr, path) == 0)
    return 0;
  if (written)
    why = errno;
  (void)unlink(fresh.ptr);
  return error_set(err, ERR_IO, "cannot write %s: %s", path, error_errno(why, words));
}

int login_file_remove(struct arena *arena, struct error *err) {
  const char *path;
  char words[128];
  int rc = file_path(arena, &path, err);
  if (rc == 0 && unlink(path) != 0 && errno != ENOENT)
    rc = error_set(err, ERR_IO, "cannot remove %s: %s", path, error_errno(errno, words));
  return rc;
}
