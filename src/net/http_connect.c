// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_client_internal.h"

// The attempts of one call: addresses in the order they are tried, and the sockets that are connecting.
struct http_dial {
  struct client_conn *open[HTTP_MAX_DIALS];
  size_t next; // address to try next
  size_t len;
  struct error last; // why the last attempt failed
  struct address addresses[RESOLVER_MAX_ADDRESSES];
};

static void drop_attempts(struct http_dial *dial) {
  for (size_t i = 0; i < HTTP_MAX_DIALS; i++) {
    client_conn_close(dial->open[i]);
    dial->open[i] = NULL;
  }
}

void call_drop_dial(struct http_call *call) {
  if (!call->dial)
    return;
  drop_attempts(call->dial);
  free(call->dial);
  call->dial = NULL;
}

static void handshake_failed(struct http_call *call, const struct error *cause) {
  struct error err = *cause;
  error_context(&err, "TLS with %.*s port %u failed", STR_ARG(call->params.url.host), call->params.url.port);
  err.code = ERR_TLS;
  call_fail(call, HTTP_OUTCOME_TLS, &err);
}

static void handshake_done(struct http_call *call) {
  struct http_client *client = call->client;
  int64_t now_us = loop_now_us(client->loop);
  if (stream_is_tls(call->conn->stream)) {
    call->timings.tls_us = now_us - call->started_us;
    call->tls_resumed = stream_resumed(call->conn->stream);
  }
  struct error err;
  call->conn->parser = http_parser_new(HTTP_RESPONSES, HTTP_MAX_HEAD_BYTES);
  if (!call->conn->parser) {
    error_set(&err, ERR_NO_MEMORY, "no memory for another connection");
    call_fail(call, HTTP_OUTCOME_LOCAL, &err);
    return;
  }
  if (call_tell_connected(call))
    call_exchange(call);
}

static void handshake_step(struct http_call *call) {
  struct error err;
  uint32_t events = EPOLLIN;
  switch (stream_handshake(call->conn->stream, &err)) {
  case STREAM_OK:
    handshake_done(call);
    return;
  case STREAM_WANT_READ:
    break;
  case STREAM_WANT_WRITE:
    events = EPOLLOUT;
    break;
  case STREAM_EOF:
    error_set(&err, ERR_TLS, "the peer closed the connection");
    handshake_failed(call, &err);
    return;
  case STREAM_FAILED:
    handshake_failed(call, &err);
    return;
  }
  if (loop_io_set(call->client->loop, &call->conn->io, events, &err) != 0)
    call_fail(call, HTTP_OUTCOME_LOCAL, &err);
}

void call_handshake_ready(struct http_call *call) {
  handshake_step(call);
}

static struct stream *open_stream(struct http_call *call, int fd, struct error *err) {
  const struct http_call_params *params = &call->params;
  struct stream *stream;
  if (params->url.https)
    return stream_new_client(fd, call->client->tls, params->url.host, !params->skip_cert_verify, call->key->session,
                             err);
  stream = stream_new_plain(fd);
  if (!stream)
    error_set(err, ERR_NO_MEMORY, "no memory for another connection");
  return stream;
}

// One attempt won: the others are closed, and the socket becomes a stream.
static void dial_won(struct http_call *call, struct client_conn *conn) {
  struct http_client *client = call->client;
  for (size_t i = 0; i < HTTP_MAX_DIALS; i++) {
    if (call->dial->open[i] == conn)
      call->dial->open[i] = NULL;
  }
  call_drop_dial(call);
  call->conn = conn;
  call->peer = conn->peer;
  call->timings.connect_us = loop_now_us(client->loop) - call->started_us;
  call->state = CALL_HANDSHAKING;
  call_arm(call);
  struct error err;
  conn->stream = open_stream(call, conn->io.fd, &err);
  if (!conn->stream || loop_io_set(client->loop, &conn->io, EPOLLIN, &err) != 0) {
    call_fail(call, err.code == ERR_TLS ? HTTP_OUTCOME_TLS : HTTP_OUTCOME_LOCAL, &err);
    return;
  }
  handshake_step(call);
}

// Our network is not there, whatever the peer does. Not EHOSTUNREACH, which is how a dead host of the own network looks.
static bool is_own_network(int errno_value) {
  return errno_value == ENETUNREACH || errno_value == ENETDOWN || errno_value == EAFNOSUPPORT || errno_value == EPERM ||
         errno_value == EACCES;
}

// Of several addresses, what a peer did tells more than that another one cannot be reached from here.
static void connect_error(struct http_call *call, int errno_value, struct error *err) {
  char words[128];
  const struct url *url = &call->params.url;
  bool own = is_own_network(errno_value);
  if (own && err->code == ERR_IO)
    return;
  error_set(err, own ? ERR_UNAVAILABLE : ERR_IO, "cannot connect to %.*s port %u: %s", STR_ARG(url->host), url->port,
            error_errno(errno_value, words));
}

static bool is_local_shortage(int errno_value) {
  return errno_value == EMFILE || errno_value == ENFILE || errno_value == ENOBUFS || errno_value == ENOMEM ||
         errno_value == EADDRNOTAVAIL;
}

// A socket; when descriptors are short, idle connections give way.
static int open_socket(struct http_client *client, int family) {
  int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  while (fd < 0 && (errno == EMFILE || errno == ENFILE) && http_pool_drop_oldest(client))
    fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    int on = 1;
    (void)!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  return fd;
}

enum dial_result { DIAL_PENDING, DIAL_CONNECTED, DIAL_FAILED, DIAL_LOCAL };

// Start one attempt in `slot`.
static enum dial_result dial_start(struct http_call *call, size_t slot, const struct address *address) {
  struct http_client *client = call->client;
  struct http_dial *dial = call->dial;
  struct sockaddr_storage sockaddr;
  socklen_t len = address_to_sockaddr(address, &sockaddr);
  struct client_conn *conn = client_conn_new(client, call->key);
  if (!conn) {
    error_set(&dial->last, ERR_NO_MEMORY, "no memory for another connection");
    return DIAL_LOCAL;
  }
  conn->call = call;
  conn->peer = *address;
  conn->io.fd = open_socket(client, address->family);
  int rc = conn->io.fd < 0 ? -1 : connect(conn->io.fd, (struct sockaddr *)&sockaddr, len);
  if (rc != 0 && errno != EINPROGRESS) {
    int cause = errno;
    connect_error(call, cause, &dial->last);
    client_conn_close(conn);
    return is_local_shortage(cause) ? DIAL_LOCAL : DIAL_FAILED;
  }
  dial->open[slot] = conn;
  if (rc == 0)
    return DIAL_CONNECTED;
  if (loop_io_set(client->loop, &conn->io, EPOLLOUT, &dial->last) != 0) {
    client_conn_close(conn);
    dial->open[slot] = NULL;
    return DIAL_LOCAL;
  }
  return DIAL_PENDING;
}

static size_t dial_free_slot(const struct http_dial *dial, size_t *open) {
  size_t slot = HTTP_MAX_DIALS;
  *open = 0;
  for (size_t i = 0; i < HTTP_MAX_DIALS; i++) {
    if (dial->open[i])
      ++*open;
    else
      slot = i;
  }
  return slot;
}

// Try addresses until one attempt is under way; the next starts after the stagger, or when this one fails.
static void dial_next(struct http_call *call) {
  struct http_dial *dial = call->dial;
  size_t open, slot = dial_free_slot(dial, &open);
  call->stagger_us = 0;
  enum dial_result result = DIAL_FAILED;
  while (dial->next < dial->len && slot < HTTP_MAX_DIALS && result == DIAL_FAILED)
    result = dial_start(call, slot, &dial->addresses[dial->next++]);
  if (result == DIAL_CONNECTED) {
    dial_won(call, dial->open[slot]);
    return;
  }
  if (result != DIAL_PENDING && open == 0) {
    struct error err = dial->last;
    call_fail(call, result == DIAL_LOCAL ? HTTP_OUTCOME_LOCAL : HTTP_OUTCOME_CONNECT, &err);
    return;
  }
  if (dial->next < dial->len)
    call->stagger_us = loop_now_us(call->client->loop) + HTTP_DIAL_STAGGER_MS * US_PER_MS;
  call_arm(call);
}

void call_dial_ready(struct client_conn *conn) {
  struct http_call *call = conn->call;
  int cause = 0;
  socklen_t len = sizeof(cause);
  if (getsockopt(conn->io.fd, SOL_SOCKET, SO_ERROR, &cause, &len) != 0)
    cause = errno;
  if (cause == 0) {
    dial_won(call, conn);
    return;
  }
  connect_error(call, cause, &call->dial->last);
  for (size_t i = 0; i < HTTP_MAX_DIALS; i++) {
    if (call->dial->open[i] == conn)
      call->dial->open[i] = NULL;
  }
  client_conn_close(conn);
  dial_next(call);
}

void call_connect_timer(struct http_call *call) {
  if (call->stagger_us != 0 && loop_now_us(call->client->loop) >= call->stagger_us)
    dial_next(call);
  else
    call_arm(call);
}

// The families by turns, beginning with the one that comes first (RFC 8305 4), each in the order given.
static void interleave(const struct address *in, size_t len, uint16_t port, struct http_dial *dial) {
  size_t at[2] = {0, 0}; // next of the first family, next of the other
  int first = in[0].family;
  for (size_t turn = 0; dial->len < len; turn ^= 1) {
    while (at[turn] < len && (in[at[turn]].family == first) != (turn == 0))
      at[turn]++;
    if (at[turn] == len)
      continue; // no more of this family: the other one's turn again
    dial->addresses[dial->len] = in[at[turn]++];
    dial->addresses[dial->len++].port = port;
  }
}

// One forbidden address refuses the whole answer; the worst verdict gives the words.
static bool judge(struct http_call *call, const struct http_dial *dial, struct error *err) {
  enum egress_verdict worst = EGRESS_ALLOWED;
  for (size_t i = 0; call->params.guarded && i < dial->len; i++) {
    struct error words;
    enum egress_verdict verdict = egress_check(call->client->guard, &dial->addresses[i], &words);
    if (verdict != EGRESS_ALLOWED && worst != EGRESS_NEVER) {
      worst = verdict;
      *err = words;
    }
  }
  return worst == EGRESS_ALLOWED;
}

static void connect_to(struct http_call *call, const struct address *addresses, size_t len) {
  struct http_client *client = call->client;
  struct error err;
  if (len == 0) {
    error_set(&err, ERR_NOT_FOUND, "the name %.*s has no address", STR_ARG(call->params.url.host));
    call_fail(call, HTTP_OUTCOME_DNS, &err);
    return;
  }
  struct http_dial *dial = calloc(1, sizeof(*dial));
  if (!dial) {
    error_set(&err, ERR_NO_MEMORY, "no memory for another connection");
    call_fail(call, HTTP_OUTCOME_LOCAL, &err);
    return;
  }
  call->dial = dial;
  interleave(addresses, len < RESOLVER_MAX_ADDRESSES ? len : RESOLVER_MAX_ADDRESSES, call->params.url.port, dial);
  if (!judge(call, dial, &err)) {
    call_fail(call, HTTP_OUTCOME_BLOCKED, &err);
    return;
  }
  call->state = CALL_CONNECTING;
  call->connect_deadline_us = loop_now_us(client->loop) + call->params.connect_timeout_ms * US_PER_MS;
  dial_next(call);
}

static void on_resolved(void *ctx, const struct resolver_answer *answer, const struct error *err) {
  struct http_call *call = ctx;
  call->query = NULL;
  call->timings.dns_us = loop_now_us(call->client->loop) - call->started_us;
  if (!answer) {
    bool ours = err->code == ERR_NO_MEMORY || err->code == ERR_FULL;
    call_fail(call, ours ? HTTP_OUTCOME_LOCAL : HTTP_OUTCOME_DNS, err);
    return;
  }
  connect_to(call, answer->addresses, answer->len);
}

void call_connect(struct http_call *call) {
  const struct url *url = &call->params.url;
  if (url->host_is_address) {
    connect_to(call, &url->address, 1);
    return;
  }
  struct error err;
  call->query = resolver_ask(call->client->resolver, url->host, on_resolved, call, &err);
  if (!call->query) {
    call_fail(call, err.code == ERR_INVALID ? HTTP_OUTCOME_DNS : HTTP_OUTCOME_LOCAL, &err);
    return;
  }
  call->state = CALL_RESOLVING;
  call_arm(call);
}
