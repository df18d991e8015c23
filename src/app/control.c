// SPDX-License-Identifier: Apache-2.0
#include "app/control.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/list.h"
#include "store/sessions.h"
#include "store/settings.h"

enum {
  CLIENT_ARENA_BYTES = 256 * 1024,
  CLIENT_TIMEOUT_MS = 5000,
  ASK_TIMEOUT_MS = 30000,
  PROGRESS_MS = 100,
  SOCKET_BACKLOG = 8,
};

struct control {
  struct control_config config;
  char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
  struct loop_io listener;
  struct list clients;
};

// One command: reading its line on the loop, then working in the pool, then answered on the loop.
struct client {
  struct list_node node;
  struct control *control;
  struct loop_io io;
  struct loop_timer deadline;
  struct pool_job job;
  struct loop_task answer;
  struct arena *arena;
  char line[CONTROL_MAX_LINE_BYTES];
  size_t line_len;
  struct buf reply; // with its newline
  struct care_job care;
  bool caring;  // the job is at the desk
  bool gone;    // the other side hung up meanwhile
  unsigned uid; // the other side's
};

// ---- what a command does -----------------------------------------------------------------------------------------------

struct password_change {
  unsigned uid; // of who asked
  struct str name;
  const char *hash;
};

static int apply_password(struct store_conn *conn, void *ctx, struct error *err) {
  struct password_change *change = ctx;
  struct arena *arena = arena_new(CLIENT_ARENA_BYTES);
  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  struct user user;
  int rc = user_get_by_name(conn, change->name, arena, &user, err);
  if (rc == 0)
    rc = user_set_password(conn, user.id, str_of(change->hash), err);
  if (rc == 0)
    rc = session_delete_others(conn, user.id, 0, err);
  char who[CARE_WHO_BYTES];
  care_who(change->uid, who);
  const struct audit_entry entry = {.actor = STR(CARE_ACTOR),
                                    .address = str_of(who),
                                    .operation = STR("password"),
                                    .kind = STR("user"),
                                    .subject = change->name,
                                    .fields = STR("password (secret)")};
  if (rc == 0)
    rc = audit_add(conn, &entry, err);
  arena_free(arena);
  return rc;
}

void control_forget_password_file(const char *dir, struct str name) {
  char kept[4096];
  snprintf(kept, sizeof kept, "%s/admin-password", dir);
  if (str_eq_c(name, "admin"))
    unlink(kept);
}

int control_set_password(struct store *store, struct auth *auth, const char *dir, unsigned uid, struct str name,
                         struct str password, struct error *err) {
  char hash[PASSWORD_HASH_BYTES];
  int rc = auth_password_check(name, password, err);
  if (rc == 0)
    rc = crypto_password_hash(password, hash, err);
  struct password_change change = {.uid = uid, .name = name, .hash = hash};
  if (rc == 0)
    rc = store_write_sync(store, apply_password, &change, err);
  if (rc != 0)
    return rc;
  if (auth)
    auth_forget_user(auth, name);
  control_forget_password_file(dir, name);
  return 0;
}

static int obey(struct client *client, struct error *err) {
  struct json_object *command;
  struct str what, name, password;
  int rc = json_parse((struct str){client->line, client->line_len}, client->arena, &command, err);
  if (rc != 0)
    return rc;
  const struct control_config *config = &client->control->config;
  if (!json_get_str(command, "command", &what) || !str_eq_c(what, "passwd"))
    return error_set(err, ERR_BAD_REQUEST, "this server does not know that command: is it of an older version?");
  if (!json_get_str(command, "name", &name) || !json_get_str(command, "password", &password))
    return error_set(err, ERR_BAD_REQUEST, "passwd needs name and password");
  return control_set_password(config->store, config->auth, config->dir, client->uid, name, password, err);
}

static void write_reply(struct client *client, int rc, const struct error *err) {
  struct json_writer w = json_writer_make(&client->reply, false);
  json_object_begin(&w);
  if (rc == 0)
    json_field_bool(&w, "ok", true);
  else
    json_field_str(&w, "error", str_of(err->text));
  if (rc != 0)
    json_field_i64(&w, "exit", error_exit_code(err->code));
  if (rc == 0 && client->care.text.len > 0) {
    json_field_i64(&w, "exit", client->care.exit_code);
    json_field_str(&w, "text", buf_str(&client->care.text));
  }
  json_object_end(&w);
  buf_put_char(&client->reply, '\n');
}

// ---- the way through loop and pool --------------------------------------------------------------------------------------

static void client_free(struct client *client) {
  list_remove(&client->control->clients, &client->node);
  explicit_bzero(client->line, sizeof client->line); // it may hold a password
  buf_free(&client->reply);
  buf_free(&client->care.text);
  arena_free(client->arena);
  free(client);
}

static void client_end(struct client *client) {
  struct loop *loop = client->control->config.loop;
  if (!client->gone) {
    loop_timer_cancel(loop, &client->deadline);
    loop_io_remove(loop, &client->io);
    close(client->io.fd);
    client->gone = true;
  }
  if (client->caring)
    care_desk_cancel(client->control->config.desk); // care_done frees it
  else
    client_free(client);
}

static void client_answer(struct loop_task *task) {
  struct client *client = CONTAINER_OF(task, struct client, answer);
  struct str reply = buf_str(&client->reply);
  // Into an empty socket buffer: it fits, or the other side is gone.
  if (!client->gone && send(client->io.fd, reply.ptr, reply.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    log_debug(client->control->config.log, "control", "the command did not wait for its answer");
  client_end(client);
}

static void client_work(struct pool_job *job, void *thread_context) {
  (void)thread_context;
  struct client *client = CONTAINER_OF(job, struct client, job);
  struct error err = {0};
  int rc = obey(client, &err);
  write_reply(client, rc, &err);
  client->answer.run = client_answer;
  if (loop_post_reserved(client->control->config.loop, &client->answer) != 0)
    log_warn(client->control->config.log, "control", "stopped before a command was answered");
}

// ---- care: the line is read, the work goes on, the other side may hang up ---------------------------------------------

static void care_done(struct care_job *job) {
  struct client *client = CONTAINER_OF(job, struct client, care);
  client->caring = false;
  write_reply(client, job->rc, &job->err);
  client_answer(&client->answer);
}

static void care_next_line(struct client *client) {
  struct loop *loop = client->control->config.loop;
  loop_timer_set(loop, &client->deadline, loop_now_us(loop) + PROGRESS_MS * US_PER_MS);
}

static void care_tell(struct loop_timer *timer) {
  struct client *client = CONTAINER_OF(timer, struct client, deadline);
  const char *what = "starting";
  int64_t at = 0, of = 0;
  char line[256];
  (void)care_job_progress(&client->care, &what, &at, &of);
  int len = snprintf(line, sizeof line, "{\"progress\":%lld,\"of\":%lld,\"what\":\"%s\"}\n", (long long)at,
                     (long long)of, what ? what : "starting");
  // A reader that was stopped is told no more, and one that got half a line is none: its work ends.
  ssize_t sent = send(client->io.fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent == len || (sent < 0 && errno == EAGAIN))
    care_next_line(client);
  else
    client_end(client);
}

static void care_hung_up(struct loop_io *io, uint32_t events) {
  (void)events;
  client_end(CONTAINER_OF(io, struct client, io));
}

// True when the line was a command of care: then the client is on its way.
static bool care_begin(struct client *client) {
  const struct control_config *config = &client->control->config;
  struct json_object *command;
  struct error err = {0};
  int rc = json_parse((struct str){client->line, client->line_len}, client->arena, &command, &err);
  if (rc == 0)
    rc = care_request_read(command, &client->care.request, &err);
  if (rc == ERR_NOT_FOUND || !config->desk)
    return false;
  client->care.request.uid = client->uid;
  client->care.done = care_done;
  if (rc == 0)
    rc = care_desk_begin(config->desk, &client->care, &err);
  if (rc != 0) {
    write_reply(client, rc, &err);
    client_answer(&client->answer);
    return true;
  }
  client->caring = true;
  client->io.on_ready = care_hung_up;
  client->deadline.on_fire = care_tell;
  if (loop_io_set(config->loop, &client->io, EPOLLIN | EPOLLRDHUP, &err) != 0)
    client_end(client);
  else
    care_next_line(client);
  return true;
}

static void client_line_complete(struct client *client) {
  struct control_config *config = &client->control->config;
  loop_timer_cancel(config->loop, &client->deadline);
  loop_io_remove(config->loop, &client->io);
  if (care_begin(client))
    return;
  client->job.run = client_work;
  if (pool_add(config->pool, &client->job) != 0)
    client_end(client);
}

static void client_readable(struct loop_io *io, uint32_t events) {
  (void)events;
  struct client *client = CONTAINER_OF(io, struct client, io);
  ssize_t got = recv(io->fd, client->line + client->line_len, sizeof client->line - client->line_len, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (got <= 0) {
    client_end(client);
    return;
  }
  client->line_len += (size_t)got;
  if (client->line[client->line_len - 1] == '\n') {
    client->line_len--;
    client_line_complete(client);
  } else if (client->line_len == sizeof client->line) {
    client_end(client);
  }
}

static void client_late(struct loop_timer *timer) {
  client_end(CONTAINER_OF(timer, struct client, deadline));
}

static bool peer_may(int fd, unsigned *uid) {
  struct ucred peer;
  socklen_t len = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || (peer.uid != 0 && peer.uid != geteuid()))
    return false;
  *uid = peer.uid;
  return true;
}

static void client_begin(struct control *control, int fd, unsigned uid) {
  struct client *client = calloc(1, sizeof *client);
  if (client)
    client->arena = arena_new(CLIENT_ARENA_BYTES);
  struct error err = {0};
  if (!client || !client->arena) {
    free(client);
    close(fd);
    return;
  }
  client->control = control;
  client->uid = uid;
  buf_init(&client->reply, CONTROL_MAX_REPLY_BYTES);
  client->io = (struct loop_io){.fd = fd, .on_ready = client_readable};
  client->deadline.on_fire = client_late;
  list_push_back(&control->clients, &client->node);
  loop_timer_set(control->config.loop, &client->deadline,
                 loop_now_us(control->config.loop) + CLIENT_TIMEOUT_MS * US_PER_MS);
  if (loop_io_set(control->config.loop, &client->io, EPOLLIN, &err) != 0)
    client_end(client);
}

static void listener_ready(struct loop_io *io, uint32_t events) {
  (void)events;
  struct control *control = CONTAINER_OF(io, struct control, listener);
  int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0)
    return;
  unsigned uid = 0;
  if (!peer_may(fd, &uid) || control->clients.count >= CONTROL_MAX_CLIENTS)
    close(fd);
  else
    client_begin(control, fd, uid);
}

static int socket_address(const char *dir, struct sockaddr_un *address, struct error *err) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  int len = snprintf(address->sun_path, sizeof address->sun_path, "%s/control.sock", dir);
  if (len < 0 || (size_t)len >= sizeof address->sun_path)
    return error_set(err, ERR_CONFIG, "the path of the data directory %s is too long for a socket (at most %zu bytes)",
                     dir, sizeof address->sun_path - sizeof "/control.sock");
  return 0;
}

static int control_listen(struct control *control, struct error *err) {
  struct sockaddr_un address;
  char words[128];
  int rc = socket_address(control->config.dir, &address, err);
  if (rc != 0)
    return rc;
  memcpy(control->path, address.sun_path, sizeof control->path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  control->listener = (struct loop_io){.fd = fd, .on_ready = listener_ready};
  if (fd < 0)
    return error_set(err, ERR_IO, "cannot make the control socket: %s", error_errno(errno, words));
  unlink(control->path); // of a server that was killed; the lock of the store says that none runs
  mode_t old = umask(0177);
  int bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
  umask(old);
  if (bound != 0 || listen(fd, SOCKET_BACKLOG) != 0)
    return error_set(err, ERR_IO, "cannot listen on %s: %s", control->path, error_errno(errno, words));
  return loop_io_set(control->config.loop, &control->listener, EPOLLIN, err);
}

struct control *control_new(const struct control_config *config, struct error *err) {
  struct control *control = calloc(1, sizeof *control);
  if (!control) {
    error_set(err, ERR_NO_MEMORY, "out of memory for the control socket");
    return NULL;
  }
  control->config = *config;
  control->listener.fd = -1;
  list_init(&control->clients);
  if (control_listen(control, err) == 0)
    return control;
  control_free(control);
  return NULL;
}

void control_free(struct control *control) {
  if (!control)
    return;
  LIST_EACH (&control->clients, node, following)
    client_end(CONTAINER_OF(node, struct client, node));
  if (control->listener.fd >= 0) {
    loop_io_remove(control->config.loop, &control->listener);
    close(control->listener.fd);
    unlink(control->path);
  }
  free(control);
}

// ---- the other side ----------------------------------------------------------------------------------------------------

// A line of the answer. 1: it was one of progress, and there are more.
static int take_line(struct str line, const struct store_progress *progress, struct arena *arena, struct str *answer,
                     struct error *err) {
  struct json_object *json;
  int64_t at = 0, of = 0;
  struct str what = STR_EMPTY;
  char words[64];
  if (!str_starts_c(line, "{\"progress\"")) {
    *answer = arena_str(arena, line);
    return answer->ptr ? 0 : error_set(err, ERR_NO_MEMORY, "out of memory");
  }
  CLEANUP(arena_cleanup) struct arena *own = arena_new(CLIENT_ARENA_BYTES);
  if (!own || json_parse(line, own, &json, err) != 0)
    return error_set(err, ERR_IO, "the server's answer cannot be read");
  (void)json_get_i64(json, "progress", &at);
  (void)json_get_i64(json, "of", &of);
  (void)json_get_str(json, "what", &what);
  snprintf(words, sizeof words, "%.*s", STR_ARG(what));
  int rc = store_progress_tell(progress, words, at, of, err);
  return rc == 0 ? 1 : rc;
}

// Fill the buffer up to the next newline: its position, or negative.
static ptrdiff_t next_line(int fd, struct buf *in, const struct store_progress *progress, struct error *err) {
  for (;;) {
    ptrdiff_t end = str_find(buf_str(in), '\n');
    if (end >= 0)
      return end;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int n = poll(&ready, 1, ASK_TIMEOUT_MS);
    if (n < 0 && errno == EINTR) { // by the signal that the progress knows of
      int rc = store_progress_tell(progress, "", 0, 0, err);
      if (rc != 0)
        return rc;
      continue;
    }
    if (n <= 0)
      return error_set(err, ERR_TIMEOUT, "the server did not answer within 30 s");
    char *to = buf_reserve(in, CONTROL_MAX_LINE_BYTES);
    if (!to)
      return error_set(err, ERR_TOO_LARGE, "the server's answer is too long");
    ssize_t got = recv(fd, to, CONTROL_MAX_LINE_BYTES, 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return error_set(err, ERR_IO,
                       "the server ended the connection: it was stopped, or you are neither its user nor root");
    buf_added(in, (size_t)got);
  }
}

static int ask_read(int fd, const struct store_progress *progress, struct arena *arena, struct str *answer,
                    struct error *err) {
  struct buf in;
  int rc = 1;
  buf_init(&in, CONTROL_MAX_REPLY_BYTES + CONTROL_MAX_LINE_BYTES);
  while (rc == 1) {
    ptrdiff_t end = next_line(fd, &in, progress, err);
    rc = end < 0 ? (int)end : take_line(str_slice(buf_str(&in), 0, (size_t)end), progress, arena, answer, err);
    if (end >= 0)
      buf_consume(&in, (size_t)end + 1);
  }
  buf_free(&in);
  return rc;
}

int control_ask(const char *dir, struct str line, const struct store_progress *progress, struct arena *arena,
                struct str *answer, struct error *err) {
  struct sockaddr_un address;
  int rc = socket_address(dir, &address, err);
  if (rc != 0)
    return rc;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  char words[128];
  if (fd < 0)
    return error_set(err, ERR_IO, "cannot make a socket: %s", error_errno(errno, words));
  if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
    rc = error_set(err, ERR_NOT_FOUND, "no server listens on %s: %s", address.sun_path, error_errno(errno, words));
  } else if (send(fd, line.ptr, line.len, MSG_NOSIGNAL) != (ssize_t)line.len || send(fd, "\n", 1, MSG_NOSIGNAL) != 1) {
    rc = error_set(err, ERR_IO, "cannot send to %s: %s", address.sun_path, error_errno(errno, words));
  } else {
    rc = ask_read(fd, progress, arena, answer, err);
  }
  close(fd);
  return rc;
}
