// SPDX-License-Identifier: Apache-2.0
#include "support/dns_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/list.h"
#include "net/address.h"

enum { MAX_RECORDS = 32, MAX_MESSAGE_BYTES = 512, HEADER_BYTES = 12, TYPE_A = 1, TYPE_AAAA = 28, CLASS_IN = 1 };

struct record {
  char name[256];
  char addresses[512];
  uint32_t ttl_s;
  int rcode;
  bool silent;
  int asked;
};

struct dns_server {
  struct loop_io io;
  struct loop *loop;
  char address[ADDRESS_TEXT_BYTES];
  struct record records[MAX_RECORDS];
  size_t records_len;
};

static struct record *record_find(struct dns_server *server, const char *name) {
  for (size_t i = 0; i < server->records_len; i++) {
    if (str_ieq(str_of(server->records[i].name), str_of(name)))
      return &server->records[i];
  }
  return NULL;
}

static struct record *record_of(struct dns_server *server, const char *name) {
  struct record *record = record_find(server, name);
  if (record)
    return record;
  assert_true(server->records_len < MAX_RECORDS);
  record = &server->records[server->records_len++];
  assert_true(snprintf(record->name, sizeof record->name, "%s", name) < (int)sizeof record->name);
  record->rcode = 3;
  return record;
}

void dns_server_set(struct dns_server *server, const char *name, const char *addresses, uint32_t ttl_s) {
  struct record *record = record_of(server, name);
  record->rcode = 0;
  record->silent = false;
  record->ttl_s = ttl_s;
  assert_true(snprintf(record->addresses, sizeof record->addresses, "%s", addresses) < (int)sizeof record->addresses);
}

void dns_server_fail(struct dns_server *server, const char *name, int rcode) {
  struct record *record = record_of(server, name);
  record->rcode = rcode;
  record->silent = false;
}

void dns_server_silence(struct dns_server *server, const char *name) {
  record_of(server, name)->silent = true;
}

int dns_server_asked(const struct dns_server *server, const char *name) {
  for (size_t i = 0; i < server->records_len; i++) {
    if (str_ieq(str_of(server->records[i].name), str_of(name)))
      return server->records[i].asked;
  }
  return 0;
}

const char *dns_server_address(const struct dns_server *server) {
  return server->address;
}

static void put_u16(struct buf *out, unsigned value) {
  buf_put_char(out, (char)(value >> 8));
  buf_put_char(out, (char)(value & 255));
}

// The name and type of the one question; returns its length in the message, 0 when malformed.
static size_t read_question(const uint8_t *message, size_t len, struct buf *name, unsigned *type) {
  size_t at = HEADER_BYTES;
  while (at < len && message[at] != 0) {
    size_t label = message[at];
    if (label > 63 || at + 1 + label >= len)
      return 0;
    if (name->len > 0)
      buf_put_char(name, '.');
    buf_put(name, (struct str){(const char *)message + at + 1, label});
    at += 1 + label;
  }
  buf_put_char(name, '\0');
  if (at + 5 > len)
    return 0;
  *type = (unsigned)message[at + 1] << 8 | message[at + 2];
  return at + 5 - HEADER_BYTES;
}

static unsigned put_records(const struct record *record, unsigned type, struct buf *out) {
  unsigned count = 0;
  struct str rest = str_of(record->addresses), part;
  while (record->rcode == 0 && str_next(&rest, ',', &part)) {
    struct address address;
    if (!address_read(part, &address) || (address.family == AF_INET) != (type == TYPE_A))
      continue;
    unsigned len = address.family == AF_INET ? 4 : 16;
    put_u16(out, 0xC000 | HEADER_BYTES); // the question's name
    put_u16(out, type);
    put_u16(out, CLASS_IN);
    put_u16(out, record->ttl_s >> 16);
    put_u16(out, record->ttl_s & 0xFFFF);
    put_u16(out, len);
    buf_put(out, (struct str){(const char *)address.bytes, len});
    count++;
  }
  return count;
}

static void answer(struct dns_server *server, const uint8_t *message, size_t len, const struct sockaddr *to,
                   socklen_t to_len) {
  struct buf name, records, out;
  buf_init(&name, 256);
  buf_init(&records, MAX_MESSAGE_BYTES);
  buf_init(&out, 2 * MAX_MESSAGE_BYTES);
  unsigned type = 0;
  size_t question = read_question(message, len, &name, &type);
  assert_true(question > 0);
  struct record *record = record_of(server, name.ptr);
  record->asked += type == TYPE_A;
  if (!record->silent) {
    unsigned count = put_records(record, type, &records);
    buf_put(&out, (struct str){(const char *)message, 2});
    put_u16(&out, 0x8180u | (unsigned)record->rcode); // an answer, recursion desired and available
    put_u16(&out, 1);
    put_u16(&out, count);
    put_u16(&out, 0);
    put_u16(&out, 0);
    buf_put(&out, (struct str){(const char *)message + HEADER_BYTES, question});
    buf_put(&out, buf_str(&records));
    assert_false(out.failed || records.failed);
    assert_int_equal(sendto(server->io.fd, out.ptr, out.len, 0, to, to_len), out.len);
  }
  buf_free(&name);
  buf_free(&records);
  buf_free(&out);
}

static void on_question(struct loop_io *io, uint32_t events) {
  (void)events;
  struct dns_server *server = CONTAINER_OF(io, struct dns_server, io);
  uint8_t message[MAX_MESSAGE_BYTES];
  struct sockaddr_storage from;
  socklen_t from_len = sizeof from;
  ssize_t got = recvfrom(io->fd, message, sizeof message, 0, (struct sockaddr *)&from, &from_len);
  if (got > HEADER_BYTES)
    answer(server, message, (size_t)got, (struct sockaddr *)&from, from_len);
}

struct dns_server *dns_server_new(struct loop *loop) {
  struct dns_server *server = calloc(1, sizeof *server);
  assert_non_null(server);
  server->loop = loop;
  server->io.on_ready = on_question;
  server->io.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  assert_true(server->io.fd >= 0);
  struct address address = {.family = AF_INET, .bytes = {127, 0, 0, 1}};
  struct sockaddr_storage sockaddr;
  socklen_t len = address_to_sockaddr(&address, &sockaddr);
  assert_int_equal(bind(server->io.fd, (struct sockaddr *)&sockaddr, len), 0);
  assert_int_equal(getsockname(server->io.fd, (struct sockaddr *)&sockaddr, &len), 0);
  assert_true(address_from_sockaddr((struct sockaddr *)&sockaddr, &address));
  (void)address_write_with_port(&address, server->address);
  struct error err;
  assert_int_equal(loop_io_set(loop, &server->io, EPOLLIN, &err), 0);
  return server;
}

void dns_server_free(struct dns_server *server) {
  loop_io_remove(server->loop, &server->io);
  close(server->io.fd);
  free(server);
}
