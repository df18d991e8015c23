// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <unistd.h>

#include "net/http_client_internal.h"

enum { KEY_HEAD_BYTES = 1 + 2 + 8, KEY_HOST_BYTES = 256 };

void http_pool_drop_session(struct http_client *client, struct http_pool_key *key) {
  if (!key->session)
    return;
  list_remove(&client->sessions, &key->session_node);
  tls_session_free(key->session);
  key->session = NULL;
}

static void key_free_unused(struct http_client *client, struct http_pool_key *key) {
  if (key->users > 0 || key->session)
    return;
  (void)map_remove(client->keys, (struct str){key->bytes, key->len});
  free(key);
}

// Scheme, guarded or not, verified or not; port; version of the guard's policy; host in lower case. The trust store is
// the client's own.
static size_t write_key(struct http_client *client, const struct http_call_params *params,
                        char out[static KEY_HEAD_BYTES + KEY_HOST_BYTES]) {
  const struct url *url = &params->url;
  uint64_t version = params->guarded ? egress_version(client->guard) : 0;
  out[0] = (char)((url->https ? 1 : 0) | (params->guarded ? 2 : 0) | (params->skip_cert_verify ? 4 : 0));
  memcpy(out + 1, &url->port, 2);
  memcpy(out + 3, &version, 8);
  for (size_t i = 0; i < url->host.len; i++) {
    char c = url->host.ptr[i];
    out[KEY_HEAD_BYTES + i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
  }
  return KEY_HEAD_BYTES + url->host.len;
}

struct http_pool_key *http_pool_key_of(struct http_client *client, const struct http_call_params *params) {
  char bytes[KEY_HEAD_BYTES + KEY_HOST_BYTES];
  if (params->url.host.len > KEY_HOST_BYTES)
    return NULL;
  struct str text = {bytes, write_key(client, params, bytes)};
  struct http_pool_key *key = map_get(client->keys, text);
  if (!key) {
    key = calloc(1, sizeof(*key) + text.len);
    if (!key)
      return NULL;
    list_init(&key->idle);
    key->len = text.len;
    memcpy(key->bytes, text.ptr, text.len);
    if (map_put(client->keys, text, key) != 0) {
      free(key);
      return NULL;
    }
  }
  key->users++;
  return key;
}

void http_pool_key_unref(struct http_client *client, struct http_pool_key *key) {
  key->users--;
  key_free_unused(client, key);
}

struct client_conn *client_conn_new(struct http_client *client, struct http_pool_key *key) {
  struct client_conn *conn = calloc(1, sizeof(*conn));
  if (!conn)
    return NULL;
  conn->io.fd = -1;
  conn->io.on_ready = client_conn_on_ready;
  conn->client = client;
  conn->key = key;
  conn->created_us = loop_now_us(client->loop);
  key->users++;
  return conn;
}

void client_conn_close(struct client_conn *conn) {
  if (!conn)
    return;
  struct http_client *client = conn->client;
  loop_io_remove(client->loop, &conn->io);
  if (conn->stream) {
    http_pool_keep_session(conn);
    stream_free(conn->stream);
  } else if (conn->io.fd >= 0) {
    close(conn->io.fd);
  }
  http_parser_free(conn->parser);
  http_pool_key_unref(client, conn->key);
  free(conn);
}

void client_conn_reset(struct client_conn *conn) {
  if (conn->stream)
    stream_reset(conn->stream);
  client_conn_close(conn);
}

void http_pool_keep_session(struct client_conn *conn) {
  struct http_client *client = conn->client;
  struct http_pool_key *key = conn->key;
  if (client->config.max_sessions == 0 || !stream_is_tls(conn->stream))
    return;
  struct tls_session *session = stream_take_session(conn->stream);
  if (!session)
    return;
  http_pool_drop_session(client, key);
  if (client->sessions.count >= client->config.max_sessions) {
    struct http_pool_key *oldest = CONTAINER_OF(list_first(&client->sessions), struct http_pool_key, session_node);
    http_pool_drop_session(client, oldest);
    key_free_unused(client, oldest);
  }
  key->session = session;
  list_push_back(&client->sessions, &key->session_node);
}

static void leave_idle(struct client_conn *conn) {
  list_remove(&conn->key->idle, &conn->key_node);
  list_remove(&conn->client->idle, &conn->idle_node);
}

static void drop_idle(struct client_conn *conn) {
  leave_idle(conn);
  client_conn_close(conn);
}

bool http_pool_drop_oldest(struct http_client *client) {
  struct list_node *node = list_first(&client->idle);
  if (node)
    drop_idle(CONTAINER_OF(node, struct client_conn, idle_node));
  return node != NULL;
}

struct client_conn *http_pool_take(struct http_client *client, struct http_pool_key *key) {
  int64_t now_us = loop_now_us(client->loop);
  while (!list_empty(&key->idle)) {
    struct client_conn *conn = CONTAINER_OF(key->idle.head.prev, struct client_conn, key_node);
    bool old = now_us - conn->created_us > client->config.max_connection_age_ms * US_PER_MS;
    bool stale = now_us - conn->idle_since_us > client->config.idle_timeout_ms * US_PER_MS;
    if (!old && !stale) {
      leave_idle(conn);
      return conn;
    }
    drop_idle(conn);
  }
  return NULL;
}

void http_pool_put(struct client_conn *conn) {
  struct http_client *client = conn->client;
  struct http_pool_key *key = conn->key;
  int64_t now_us = loop_now_us(client->loop);
  struct error ignored;
  bool old = now_us - conn->created_us > client->config.max_connection_age_ms * US_PER_MS;
  if (client->config.max_idle == 0 || client->config.max_idle_per_key == 0 || old ||
      loop_io_set(client->loop, &conn->io, EPOLLIN, &ignored) != 0) {
    client_conn_close(conn);
    return;
  }
  if (key->idle.count >= client->config.max_idle_per_key)
    drop_idle(CONTAINER_OF(list_first(&key->idle), struct client_conn, key_node));
  else if (client->idle.count >= client->config.max_idle)
    (void)http_pool_drop_oldest(client);
  http_parser_reset(conn->parser);
  conn->call = NULL;
  conn->reused = true;
  conn->idle_wakes = 0;
  conn->idle_since_us = now_us;
  if (list_empty(&client->idle) && client->idle_timer.entry.index == 0)
    loop_timer_set(client->loop, &client->idle_timer, now_us + client->config.idle_timeout_ms * US_PER_MS);
  list_push_back(&key->idle, &conn->key_node);
  list_push_back(&client->idle, &conn->idle_node);
}

// A peer that closes, or that says something nobody asked for, ends an idle connection. Only TLS may wake it for less:
// session tickets come when the server likes.
void http_pool_idle_ready(struct client_conn *conn) {
  char byte;
  size_t got = 0;
  struct error ignored;
  if (stream_is_tls(conn->stream) && ++conn->idle_wakes <= HTTP_MAX_IDLE_WAKES &&
      stream_read(conn->stream, &byte, 1, &got, &ignored) == STREAM_WANT_READ) {
    http_pool_keep_session(conn);
    return;
  }
  drop_idle(conn);
}

static void on_idle_timer(struct loop_timer *timer) {
  struct http_client *client = CONTAINER_OF(timer, struct http_client, idle_timer);
  int64_t timeout_us = client->config.idle_timeout_ms * US_PER_MS;
  struct list_node *node;
  while ((node = list_first(&client->idle)) != NULL) {
    struct client_conn *conn = CONTAINER_OF(node, struct client_conn, idle_node);
    if (conn->idle_since_us + timeout_us > loop_now_us(client->loop)) {
      loop_timer_set(client->loop, timer, conn->idle_since_us + timeout_us);
      return;
    }
    drop_idle(conn);
  }
}

int http_pool_init(struct http_client *client, struct error *err) {
  const struct http_client_config *config = &client->config;
  list_init(&client->idle);
  list_init(&client->sessions);
  client->idle_timer.on_fire = on_idle_timer;
  // Every key has a call, a connection of one, an idle connection or a ticket.
  client->keys = map_new(config->max_calls * 2 + config->max_idle + config->max_sessions);
  return client->keys ? 0 : error_set(err, ERR_NO_MEMORY, "no memory for the HTTP client's pool");
}

void http_pool_free(struct http_client *client) {
  while (http_pool_drop_oldest(client))
    continue;
  while (!list_empty(&client->sessions)) {
    struct http_pool_key *key = CONTAINER_OF(list_first(&client->sessions), struct http_pool_key, session_node);
    http_pool_drop_session(client, key);
    key_free_unused(client, key);
  }
  loop_timer_cancel(client->loop, &client->idle_timer);
  map_free(client->keys);
}
