// SPDX-License-Identifier: Apache-2.0
// The listener: accepting, the limits over all connections, draining, and the public face of the server.
#include "net/http_server.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/http_server_internal.h"

enum { ACCEPTS_PER_WAKE = 64, ACCEPT_PAUSE_MS = 100, COMPLAIN_EVERY_MS = 10000, TURNS_AWAY_MS = 3000 };

// Unsent bytes the kernel takes per connection. Its own megabytes would hide the progress of a slow reader from the
// write timeout, and are memory that no budget counts.
enum { UNSENT_MAX_BYTES = 128 * 1024 };

struct http_message *http_message_new(struct http_conn *conn) {
  struct http_server *server = conn->server;
  struct http_message *message = server->spare;
  if (message) {
    server->spare = message->next_spare;
    server->spare_count--;
  } else {
    message = calloc(1, sizeof *message);
    if (!message)
      return NULL;
    message->parser = http_parser_new(HTTP_REQUESTS, server->config.max_head_bytes);
    if (!message->parser) {
      free(message);
      return NULL;
    }
    buf_init(&message->body, 0);
    buf_init(&message->out, 0);
  }
  *message = (struct http_message){
      .conn = conn,
      .parser = message->parser,
      .body = message->body,
      .out = message->out,
      .request = {.head = &http_head_unknown,
                  .body = STR_EMPTY,
                  .peer = conn->peer,
                  .peer_text = str_of(conn->peer_text),
                  .peer_is_loopback = address_is_loopback(&conn->peer),
                  .tls = stream_is_tls(conn->stream),
                  .request_id = STR_EMPTY},
  };
  return message;
}

static void message_free(struct http_message *message) {
  http_parser_free(message->parser);
  buf_free(&message->body);
  buf_free(&message->out);
  free(message);
}

void http_message_drop_request(struct http_message *message) {
  struct http_request *request = &message->request;
  arena_free(request->arena);
  request->arena = NULL;
  request->body = STR_EMPTY;
  if (message->body.cap > HTTP_SERVER_SPARE_BUFFER_BYTES)
    buf_free(&message->body);
  buf_clear(&message->body);
}

void http_message_release(struct http_server *server, struct http_message *message) {
  http_message_drop_request(message);
  server->buffered_bytes -= message->charged_bytes;
  server->unsent_bytes -= message->unsent_bytes;
  message->charged_bytes = message->unsent_bytes = 0;
  if (server->spare_count == HTTP_SERVER_SPARE_MESSAGES) {
    message_free(message);
    return;
  }
  http_parser_reset(message->parser);
  if (message->out.cap > HTTP_SERVER_SPARE_BUFFER_BYTES)
    buf_free(&message->out);
  buf_clear(&message->out);
  message->next_spare = server->spare;
  server->spare = message;
  server->spare_count++;
}

// One line in a while, however many connections are turned away.
void http_server_complain(struct http_server *server, const char *what) {
  int64_t now_us = loop_now_us(server->loop);
  if (server->complained_us && now_us - server->complained_us < COMPLAIN_EVERY_MS * US_PER_MS)
    return;
  server->complained_us = now_us;
  log_warn(server->log, "net", "%s (%zu connections open)", what, server->connections);
}

// Close the connection that has been idle longest. False when none is idle.
static bool server_evict(struct http_server *server) {
  struct list_node *node = list_first(&server->idle);
  if (!node)
    return false;
  http_conn_close(CONTAINER_OF(node, struct http_conn, node));
  return true;
}

// Turn a connection away with a word where that is possible without waiting.
static void server_shed(const struct http_server *server, int fd) {
  static const char text[] = "HTTP/1.1 503 Service Unavailable\r\n"
                             "Retry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  if (!server->tls && send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
    shutdown(fd, SHUT_WR);
  close(fd);
}

static void server_accepted(struct http_server *server, int fd, const struct sockaddr *sockaddr) {
  static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
  struct address peer;
  if (!address_from_sockaddr(sockaddr, &peer)) {
    close(fd);
    return;
  }
  // On a listener for both families an IPv4 client is one: ::ffff:a.b.c.d (RFC 4291 2.5.5.2) is shown as a.b.c.d.
  if (peer.family == AF_INET6 && memcmp(peer.bytes, mapped, sizeof mapped) == 0) {
    peer.family = AF_INET;
    memmove(peer.bytes, peer.bytes + sizeof mapped, 4);
    memset(peer.bytes + 4, 0, sizeof peer.bytes - 4);
  }
  if (server->connections >= server->config.max_connections && !server_evict(server)) {
    http_server_complain(server, "turned a connection away: all that are allowed are busy");
    server_shed(server, fd);
    return;
  }
  struct error err;
  struct http_conn *conn = http_conn_new(server, fd, &peer, &err);
  if (!conn) {
    http_server_complain(server, err.text);
    close(fd);
    return;
  }
  http_conn_start(conn);
}

static void server_accept_again(struct loop_timer *timer) {
  struct http_server *server = CONTAINER_OF(timer, struct http_server, accept_timer);
  struct error err;
  if (server->reserve_fd < 0)
    server->reserve_fd = eventfd(0, EFD_CLOEXEC);
  if (server->draining || loop_io_set(server->loop, &server->listener, EPOLLIN, &err) == 0)
    return;
  http_server_complain(server, err.text);
  loop_timer_set(server->loop, timer, loop_now_us(server->loop) + ACCEPT_PAUSE_MS * US_PER_MS);
}

// No descriptor left. An idle connection makes room; else the reserve lets us answer one client, and then accepting
// rests for a moment, since a full backlog would wake us again and again.
static bool server_out_of_descriptors(struct http_server *server) {
  http_server_complain(server, "cannot accept: no descriptor left; raise the limit (LimitNOFILE, ulimit -n)");
  if (server_evict(server))
    return true;
  server->turned_away_us = loop_now_us(server->loop);
  if (server->reserve_fd >= 0) {
    close(server->reserve_fd);
    int fd = accept4(server->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
      server_shed(server, fd);
    server->reserve_fd = eventfd(0, EFD_CLOEXEC);
  }
  loop_io_remove(server->loop, &server->listener);
  loop_timer_set(server->loop, &server->accept_timer, loop_now_us(server->loop) + ACCEPT_PAUSE_MS * US_PER_MS);
  return false;
}

// accept says that no descriptor is left before it looks whether anybody is there: the last one taken must not cost the
// client that has just taken it his connection.
static bool server_is_asked(const struct http_server *server) {
  struct pollfd waiting = {.fd = server->listener.fd, .events = POLLIN};
  return poll(&waiting, 1, 0) > 0;
}

static void server_on_listener(struct loop_io *io, uint32_t events) {
  (void)events;
  struct http_server *server = CONTAINER_OF(io, struct http_server, listener);
  for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;
    struct sockaddr *sockaddr = (struct sockaddr *)&storage;
    int fd = accept4(io->fd, sockaddr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      server_accepted(server, fd, sockaddr);
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
      return;
    bool out = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    if (out && (!server_is_asked(server) || !server_out_of_descriptors(server)))
      return;
    // Everything else concerns the one connection that went away while it waited (accept(2)).
  }
}

static int server_listen(struct http_server *server, struct error *err) {
  char words[128];
  char text[ADDRESS_TEXT_BYTES];
  const struct address *listen_at = &server->config.listen;
  struct sockaddr_storage storage;
  socklen_t len = address_to_sockaddr(listen_at, &storage);
  const int on = 1;
  int fd = socket(listen_at->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return error_set(err, ERR_IO, "cannot make a socket: %s", error_errno(errno, words));
  server->listener.fd = fd;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  // Accepted sockets inherit both (Linux), which saves calls for each.
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const int unsent = UNSENT_MAX_BYTES;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
  if (bind(fd, (const struct sockaddr *)&storage, len) != 0 || listen(fd, server->config.backlog) != 0)
    return error_set(err, errno == EADDRINUSE ? ERR_CONFLICT : ERR_IO, "cannot listen on %s: %s%s",
                     address_write_with_port(listen_at, text), error_errno(errno, words),
                     errno == EADDRINUSE ? "; another program has it: choose another port (--listen)" : "");
  len = sizeof storage;
  if (getsockname(fd, (struct sockaddr *)&storage, &len) != 0 ||
      !address_from_sockaddr((const struct sockaddr *)&storage, &server->address))
    return error_set(err, ERR_IO, "cannot read the address of the listener: %s", error_errno(errno, words));
  return loop_io_set(server->loop, &server->listener, EPOLLIN, err);
}

static void server_on_drained(struct loop_timer *timer) {
  struct http_server *server = CONTAINER_OF(timer, struct http_server, drain_timer);
  if (server->on_drained)
    server->on_drained(server->drained_ctx);
}

struct http_server *http_server_new(struct loop *loop, const struct http_server_config *config,
                                    const struct http_server_handler *handler, struct id_source *ids,
                                    const struct log *log, struct error *err) {
  struct http_server *server = calloc(1, sizeof *server);
  if (!server) {
    error_set(err, ERR_NO_MEMORY, "no memory for the HTTP server");
    return NULL;
  }
  server->loop = loop;
  server->config = *config;
  server->handler = *handler;
  server->ids = ids;
  server->log = log;
  server->listener = (struct loop_io){.fd = -1, .on_ready = server_on_listener};
  server->accept_timer.on_fire = server_accept_again;
  server->drain_timer.on_fire = server_on_drained;
  server->date_second = -1;
  list_init(&server->idle);
  list_init(&server->busy);
  server->reserve_fd = eventfd(0, EFD_CLOEXEC);
  if (server_listen(server, err) != 0) {
    http_server_free(server);
    return NULL;
  }
  return server;
}

void http_server_set_tls(struct http_server *server, struct tls_server *tls) {
  server->tls = tls;
}

struct address http_server_address(const struct http_server *server) {
  return server->address;
}

size_t http_server_connections(const struct http_server *server) {
  return server->connections;
}

bool http_server_turns_away(const struct http_server *server) {
  return server->turned_away_us != 0 && loop_now_us(server->loop) - server->turned_away_us < TURNS_AWAY_MS * US_PER_MS;
}

void http_respond(struct http_request *request, const struct http_response *response) {
  struct http_message *message = CONTAINER_OF(request, struct http_message, request);
  if (message->answered) {
    log_write(message->conn->server->log, LOG_ERROR, "net", request->request_id,
              "a request was answered twice; the second answer (%d) is dropped", response->status);
    return;
  }
  message->body_open = message->body_wanted = false;
  http_answer_write(message, response);
  http_conn_answered(message->conn);
}

static void server_stop_listening(struct http_server *server) {
  loop_timer_cancel(server->loop, &server->accept_timer);
  if (server->listener.fd < 0)
    return;
  loop_io_remove(server->loop, &server->listener);
  close(server->listener.fd);
  server->listener.fd = -1;
}

void http_server_drain(struct http_server *server, void (*on_drained)(void *ctx), void *ctx) {
  server->draining = true;
  server->on_drained = on_drained;
  server->drained_ctx = ctx;
  server_stop_listening(server);
  LIST_EACH (&server->idle, node, following) {
    struct http_conn *conn = CONTAINER_OF(node, struct http_conn, node);
    // A client that still has to read an early answer gets its moment, and bytes in hand are a request.
    if (conn->state != HTTP_CONN_LINGER && !conn->rest)
      http_conn_close(conn);
  }
  LIST_EACH (&server->busy, node, following) {
    struct http_conn *conn = CONTAINER_OF(node, struct http_conn, node);
    if (conn->state == HTTP_CONN_STREAMING)
      http_stream_drain(conn);
  }
  if (server->connections == 0)
    loop_timer_set(server->loop, &server->drain_timer, loop_now_us(server->loop));
}

void http_server_free(struct http_server *server) {
  if (!server)
    return;
  server_stop_listening(server);
  server->draining = false;
  while (server_evict(server)) {
  }
  for (struct list_node *node; (node = list_first(&server->busy));)
    http_conn_close(CONTAINER_OF(node, struct http_conn, node));
  loop_timer_cancel(server->loop, &server->drain_timer);
  while (server->spare) {
    struct http_message *next = server->spare->next_spare;
    message_free(server->spare);
    server->spare = next;
  }
  if (server->reserve_fd >= 0)
    close(server->reserve_fd);
  free(server);
}
