// SPDX-License-Identifier: Apache-2.0
#include "net/address.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "net/byte_class.h"

static size_t address_len(int family) {
  return family == AF_INET ? 4 : 16;
}

// Four decimal numbers to 255, no leading zero (`0177` is 127 to some readers and 177 to others).
static bool read_ipv4(struct str text, struct address *out) {
  struct str part;
  size_t parts = 0;
  while (str_next(&text, '.', &part)) {
    uint64_t value;
    if (parts == 4 || part.len > 3 || (part.len > 1 && part.ptr[0] == '0') || byte_span(part, BYTE_DIGIT) != part.len ||
        !str_to_u64(part, &value) || value > 255)
      return false;
    out->bytes[parts++] = (uint8_t)value;
  }
  out->family = AF_INET;
  return parts == 4;
}

static bool read_ipv6(struct str text, struct address *out) {
  char copy[INET6_ADDRSTRLEN];
  if (text.len >= sizeof(copy))
    return false;
  for (size_t i = 0; i < text.len; i++) {
    if (!byte_is(text.ptr[i], BYTE_HEX) && text.ptr[i] != ':' && text.ptr[i] != '.')
      return false;
  }
  memcpy(copy, text.ptr, text.len);
  copy[text.len] = '\0';
  out->family = AF_INET6;
  return inet_pton(AF_INET6, copy, out->bytes) == 1;
}

bool address_read(struct str text, struct address *out) {
  struct address address = {0};
  if (text.len == 0)
    return false;
  bool read = str_find(text, ':') >= 0 ? read_ipv6(text, &address) : read_ipv4(text, &address);
  if (read)
    *out = address;
  return read;
}

static bool read_port(struct str text, uint16_t *out) {
  uint64_t value;
  if (text.len == 0 || text.len > 5 || byte_span(text, BYTE_DIGIT) != text.len ||
      (text.len > 1 && text.ptr[0] == '0') || !str_to_u64(text, &value) || value > UINT16_MAX)
    return false;
  *out = (uint16_t)value;
  return true;
}

bool address_read_with_port(struct str text, struct address *out) {
  ptrdiff_t colon = str_rfind(text, ':');
  if (colon < 1)
    return false;
  struct str host = str_slice(text, 0, (size_t)colon);
  bool bracketed = host.ptr[0] == '[';
  if (bracketed) {
    if (host.len < 2 || host.ptr[host.len - 1] != ']')
      return false;
    host = str_slice(host, 1, host.len - 1);
  }
  struct address address;
  if (!address_read(host, &address) || bracketed != (address.family == AF_INET6) ||
      !read_port(str_from(text, (size_t)colon + 1), &address.port))
    return false;
  *out = address;
  return true;
}

const char *address_write(const struct address *address, char out[static ADDRESS_TEXT_BYTES]) {
  if (address->family != AF_INET && address->family != AF_INET6)
    return memcpy(out, "-", 2);
  return inet_ntop(address->family, address->bytes, out, ADDRESS_TEXT_BYTES);
}

const char *address_write_with_port(const struct address *address, char out[static ADDRESS_TEXT_BYTES]) {
  char host[ADDRESS_TEXT_BYTES];
  bool ipv6 = address->family == AF_INET6;
  (void)snprintf(out, ADDRESS_TEXT_BYTES, "%s%.45s%s:%u", ipv6 ? "[" : "", address_write(address, host),
                 ipv6 ? "]" : "", (unsigned)address->port);
  return out;
}

bool address_eq(const struct address *a, const struct address *b) {
  return a->family == b->family && memcmp(a->bytes, b->bytes, address_len(a->family)) == 0;
}

socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *out) {
  memset(out, 0, sizeof(*out));
  if (address->family == AF_INET) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    memcpy(&in.sin_addr, address->bytes, sizeof(in.sin_addr));
    memcpy(out, &in, sizeof(in));
    return sizeof(in);
  }
  struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
  memcpy(&in6.sin6_addr, address->bytes, sizeof(in6.sin6_addr));
  memcpy(out, &in6, sizeof(in6));
  return sizeof(in6);
}

bool address_from_sockaddr(const struct sockaddr *sockaddr, struct address *out) {
  struct address address = {.family = sockaddr->sa_family};
  if (sockaddr->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, sockaddr, sizeof(in));
    memcpy(address.bytes, &in.sin_addr, sizeof(in.sin_addr));
    address.port = ntohs(in.sin_port);
  } else if (sockaddr->sa_family == AF_INET6) {
    struct sockaddr_in6 in6;
    memcpy(&in6, sockaddr, sizeof(in6));
    memcpy(address.bytes, &in6.sin6_addr, sizeof(in6.sin6_addr));
    address.port = ntohs(in6.sin6_port);
  } else {
    return false;
  }
  *out = address;
  return true;
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits) {
  unsigned whole = bits / 8, rest = bits % 8;
  if (memcmp(a, b, whole) != 0)
    return false;
  return rest == 0 || ((unsigned)(a[whole] ^ b[whole]) & (0xffU << (8 - rest) & 0xffU)) == 0;
}

bool cidr_read(struct str text, struct cidr *out) {
  ptrdiff_t slash = str_find(text, '/');
  struct cidr cidr = {0};
  if (!address_read(slash < 0 ? text : str_slice(text, 0, (size_t)slash), &cidr.base))
    return false;
  unsigned bits = 8U * (unsigned)address_len(cidr.base.family);
  uint16_t prefix_len = (uint16_t)bits;
  // A prefix length is written like a port: digits without a leading zero.
  if (slash >= 0 && (!read_port(str_from(text, (size_t)slash + 1), &prefix_len) || prefix_len > bits))
    return false;
  cidr.prefix_len = prefix_len;
  for (unsigned bit = prefix_len; bit < bits; bit++) {
    if (cidr.base.bytes[bit / 8] & 0x80U >> bit % 8)
      return false;
  }
  *out = cidr;
  return true;
}

const char *cidr_write(const struct cidr *cidr, char out[static ADDRESS_TEXT_BYTES]) {
  char host[ADDRESS_TEXT_BYTES];
  (void)snprintf(out, ADDRESS_TEXT_BYTES, "%.45s/%d", address_write(&cidr->base, host), cidr->prefix_len);
  return out;
}

bool cidr_contains(const struct cidr *cidr, const struct address *address) {
  return cidr->base.family == address->family &&
         same_prefix(cidr->base.bytes, address->bytes, (unsigned)cidr->prefix_len);
}

bool address_is_loopback(const struct address *address) {
  static const uint8_t ipv6_loopback[16] = {[15] = 1};
  if (address->family == AF_INET)
    return address->bytes[0] == 127;
  return address->family == AF_INET6 && memcmp(address->bytes, ipv6_loopback, sizeof(ipv6_loopback)) == 0;
}
