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

enum { CLIENT_ARENA_BYTES = 256 * 1024, CLIENT_TIMEOUT_MS = 5000, ASK_TIMEOUT_MS = 30000, SOCKET_BACKLOG = 8 };

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
  char reply[CONTROL_MAX_LINE_BYTES];
};

// ---- what a command does -----------------------------------------------------------------------------------------------

struct password_change {
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
  const struct audit_entry entry = {.actor = STR("operator on this machine"),
                                    .operation = STR("password"),
                                    .kind = STR("user"),
                                    .subject = change->name};
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

int control_set_password(struct store *store, struct auth *auth, const char *dir, struct str name, struct str password,
                         struct error *err) {
  char hash[PASSWORD_HASH_BYTES];
  int rc = auth_password_check(name, password, err);
  if (rc == 0)
    rc = crypto_password_hash(password, hash, err);
  struct password_change change = {.name = name, .hash = hash};
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
  return control_set_password(config->store, config->auth, config->dir, name, password, err);
}

static void write_reply(struct client *client, int rc, const struct error *err) {
  struct buf buf;
  buf_init(&buf, sizeof client->reply - 2);
  struct json_writer w = json_writer_make(&buf, false);
  json_object_begin(&w);
  if (rc == 0)
    json_field_bool(&w, "ok", true);
  else
    json_field_str(&w, "error", str_of(err->text));
  json_object_end(&w);
  snprintf(client->reply, sizeof client->reply, "%.*s\n", STR_ARG(buf_str(&buf)));
  buf_free(&buf);
}

// ---- the way through loop and pool --------------------------------------------------------------------------------------

static void client_end(struct client *client) {
  struct loop *loop = client->control->config.loop;
  loop_timer_cancel(loop, &client->deadline);
  loop_io_remove(loop, &client->io);
  close(client->io.fd);
  list_remove(&client->control->clients, &client->node);
  explicit_bzero(client->line, sizeof client->line); // it may hold a password
  arena_free(client->arena);
  free(client);
}

static void client_answer(struct loop_task *task) {
  struct client *client = CONTAINER_OF(task, struct client, answer);
  // A short line into an empty socket buffer: it fits, or the other side is gone.
  if (send(client->io.fd, client->reply, strlen(client->reply), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
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

static void client_line_complete(struct client *client) {
  struct control_config *config = &client->control->config;
  loop_timer_cancel(config->loop, &client->deadline);
  loop_io_remove(config->loop, &client->io);
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

static bool peer_may(int fd) {
  struct ucred peer;
  socklen_t len = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void client_begin(struct control *control, int fd) {
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
  if (!peer_may(fd) || control->clients.count >= CONTROL_MAX_CLIENTS)
    close(fd);
  else
    client_begin(control, fd);
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

static int ask_read(int fd, struct arena *arena, struct str *answer, struct error *err) {
  char *line = arena_alloc(arena, CONTROL_MAX_LINE_BYTES);
  if (!line)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  size_t len = 0;
  while (len < CONTROL_MAX_LINE_BYTES) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    if (poll(&ready, 1, ASK_TIMEOUT_MS) <= 0)
      return error_set(err, ERR_TIMEOUT, "the server did not answer within 30 s");
    ssize_t got = recv(fd, line + len, CONTROL_MAX_LINE_BYTES - len, 0);
    if (got <= 0)
      break;
    len += (size_t)got;
  }
  if (len == 0)
    return error_set(err, ERR_IO, "the server ended the connection: only its own user or root may command it");
  *answer = (struct str){line, line[len - 1] == '\n' ? len - 1 : len};
  return 0;
}

int control_ask(const char *dir, struct str line, struct arena *arena, struct str *answer, struct error *err) {
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
    rc = ask_read(fd, arena, answer, err);
  }
  close(fd);
  return rc;
}
