// SPDX-License-Identifier: Apache-2.0
#include "support/receiver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/address.h"

enum { MAX_REQUEST_BYTES = 8 * 1024 * 1024 };

void peer_close(struct receiver_peer *peer) {
  if (!peer->stream)
    return;
  loop_io_remove(peer->receiver->loop, &peer->io);
  stream_free(peer->stream);
  peer->stream = NULL;
}

void peer_reset(struct receiver_peer *peer) {
  struct linger at_once = {.l_onoff = 1, .l_linger = 0};
  assert_int_equal(setsockopt(peer->io.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  peer_close(peer);
}

void peer_send(struct receiver_peer *peer, struct str data) {
  while (data.len > 0) {
    size_t written = 0;
    struct error err;
    assert_non_null(peer->stream);
    assert_int_equal(stream_write(peer->stream, data, &written, &err), STREAM_OK);
    data = str_from(data, written);
  }
}

// Length of the first complete request in `in`, 0 when there is none yet.
static size_t request_len(struct str in) {
  const char *end = memmem(in.ptr, in.len, "\r\n\r\n", 4);
  if (!end)
    return 0;
  size_t head = (size_t)(end - in.ptr) + 4;
  static const char name[] = "\r\nContent-Length: ";
  const char *at = memmem(in.ptr, head, name, sizeof name - 1);
  uint64_t body = 0;
  if (at) {
    struct str value = {at + sizeof name - 1, (size_t)(in.ptr + head - (at + sizeof name - 1))};
    assert_true(str_to_u64(str_slice(value, 0, (size_t)str_find(value, '\r')), &body));
  }
  return in.len >= head + body ? head + (size_t)body : 0;
}

static void take_requests(struct receiver_peer *peer) {
  struct receiver *receiver = peer->receiver;
  size_t len;
  while (peer->stream && peer->in.len > 0 && (len = request_len(buf_str(&peer->in))) > 0) {
    receiver->last_len = len < sizeof receiver->last ? len : sizeof receiver->last - 1;
    memcpy(receiver->last, peer->in.ptr, receiver->last_len);
    receiver->last[receiver->last_len] = '\0';
    buf_consume(&peer->in, len);
    peer->requests++;
    receiver->requests++;
    if (receiver->on_request)
      receiver->on_request(peer, receiver->ctx);
  }
}

static void peer_lost(struct receiver_peer *peer, bool by_reset) {
  peer->lost = true;
  peer->lost_by_reset = by_reset;
  peer_close(peer);
}

// False: wait for more.
static bool peer_handshake(struct receiver_peer *peer) {
  struct error err;
  enum stream_result result = stream_handshake(peer->stream, &err);
  if (result == STREAM_EOF || result == STREAM_FAILED) {
    peer_lost(peer, false);
    return false;
  }
  peer->greeted = result == STREAM_OK;
  return peer->greeted;
}

static void on_peer_ready(struct loop_io *io, uint32_t events) {
  (void)events;
  struct receiver_peer *peer = CONTAINER_OF(io, struct receiver_peer, io);
  if (!peer->greeted && !peer_handshake(peer))
    return;
  while (peer->stream) {
    char *room = buf_reserve(&peer->in, 65536);
    assert_non_null(room);
    size_t got = 0;
    struct error err;
    enum stream_result result = stream_read(peer->stream, room, 65536, &got, &err);
    if (result == STREAM_WANT_READ || result == STREAM_WANT_WRITE)
      return;
    if (result != STREAM_OK) {
      peer_lost(peer, result == STREAM_FAILED);
      return;
    }
    buf_added(&peer->in, got);
    take_requests(peer);
  }
}

static void take_connection(struct receiver *receiver, int fd) {
  assert_true(receiver->accepted < RECEIVER_MAX_PEERS);
  struct receiver_peer *peer = &receiver->peers[receiver->accepted++];
  struct error err;
  peer->receiver = receiver;
  peer->stream = receiver->tls ? stream_new_server(fd, receiver->tls, &err) : stream_new_plain(fd);
  assert_non_null(peer->stream);
  peer->greeted = !receiver->tls;
  peer->io.fd = fd;
  peer->io.on_ready = on_peer_ready;
  buf_init(&peer->in, MAX_REQUEST_BYTES);
  if (receiver->on_accept)
    receiver->on_accept(peer, receiver->ctx);
  if (peer->stream && !receiver->deaf)
    assert_int_equal(loop_io_set(receiver->loop, &peer->io, EPOLLIN, &err), 0);
}

// All that wait: new connections must not come in more slowly than requests on old ones.
static void on_connection(struct loop_io *io, uint32_t events) {
  struct receiver *receiver = CONTAINER_OF(io, struct receiver, io);
  int fd;
  (void)events;
  while ((fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
    take_connection(receiver, fd);
}

struct receiver *receiver_new(struct loop *loop, struct tls_server *tls) {
  struct receiver *receiver = calloc(1, sizeof *receiver);
  assert_non_null(receiver);
  receiver->loop = loop;
  receiver->tls = tls;
  receiver->io.on_ready = on_connection;
  receiver->io.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  assert_true(receiver->io.fd >= 0);
  struct address address = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
  struct sockaddr_storage sockaddr;
  socklen_t len = address_to_sockaddr(&address, &sockaddr);
  assert_int_equal(bind(receiver->io.fd, (struct sockaddr *)&sockaddr, len), 0);
  assert_int_equal(listen(receiver->io.fd, RECEIVER_MAX_PEERS), 0);
  assert_int_equal(getsockname(receiver->io.fd, (struct sockaddr *)&sockaddr, &len), 0);
  assert_true(address_from_sockaddr((struct sockaddr *)&sockaddr, &address));
  receiver->port = address.port;
  struct error err;
  assert_int_equal(loop_io_set(loop, &receiver->io, EPOLLIN, &err), 0);
  return receiver;
}

void receiver_free(struct receiver *receiver) {
  if (!receiver)
    return;
  for (int i = 0; i < receiver->accepted; i++) {
    peer_close(&receiver->peers[i]);
    buf_free(&receiver->peers[i].in);
  }
  loop_io_remove(receiver->loop, &receiver->io);
  close(receiver->io.fd);
  free(receiver);
}
