// SPDX-License-Identifier: Apache-2.0
// Sends notifications of Distribution, 1 KB and one event each, over keep-alive connections, as fast as they are answered
// or at a rate. Against /ingest/distribution it is the registry; against a receiver it is the raw client that deliveries
// are compared with.
//
//   load HOST-ADDRESS PORT PATH TOKEN PROJECT CONNECTIONS COUNT RATE [LOG]
//
// RATE 0: as fast as possible. LOG: a line `number sent_us answered_us` per request. The outcome is one JSON object.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wall.h"

enum { BODY_BYTES = 1024, REQUEST_MAX_BYTES = 2048, ANSWER_MAX_BYTES = 8192, CONNECTIONS_MAX = 1024, EVENTS_MAX = 64 };

struct connection {
  int fd;
  int64_t number; // of the request on its way
  size_t answer_len;
  char answer[ANSWER_MAX_BYTES];
};

struct sent {
  int64_t sent_us, answered_us;
};

struct load {
  const char *host, *path, *token, *project;
  int64_t count, rate, next, answered, failed, start_us;
  uint64_t nonce; // two runs on one server are not each other's duplicates
  struct sent *sent;
  int epoll;
  size_t connections_len, idle_len;
  struct connection *connections;
  struct connection *idle[CONNECTIONS_MAX];
};

static size_t write_body(const struct load *load, int64_t number, char out[BODY_BYTES + 1]) {
  int len = snprintf(
      out, BODY_BYTES + 1,
      "{\"events\":[{\"id\":\"%016llx-%016llx\",\"timestamp\":\"2026-08-21T08:13:20.402973972Z\",\"action\":\"push\","
      "\"target\":{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"size\":528,"
      "\"digest\":\"sha256:%032llx%016llx%016llx\",\"length\":528,\"repository\":\"%s/app\","
      "\"url\":\"http://registry.example.com:5000/v2/%s/app/manifests/latest\",\"tag\":\"n%lld\"},"
      "\"request\":{\"id\":\"%016llx\",\"addr\":\"192.0.2.7:41952\",\"host\":\"registry.example.com:5000\","
      "\"method\":\"PUT\",\"useragent\":\"skopeo/1.9.3\"},\"actor\":{\"name\":\"alice\"},"
      "\"source\":{\"addr\":\"node:5000\",\"instanceID\":\"a53db899-3b4b-4a62-a067-8dd013beaca4\"}}]}",
      (unsigned long long)load->nonce, (unsigned long long)number, 0ULL, (unsigned long long)load->nonce,
      (unsigned long long)number, load->project, load->project, (long long)number, (unsigned long long)number);
  if (len < 0 || len > BODY_BYTES)
    give_up("load", "the project's name is too long");
  memset(out + len, ' ', (size_t)(BODY_BYTES - len));
  return BODY_BYTES;
}

static void send_next(struct load *load, struct connection *connection) {
  char body[BODY_BYTES + 1], request[REQUEST_MAX_BYTES];
  int64_t number = load->next++;
  size_t body_len = write_body(load, number, body);
  int head = snprintf(request, sizeof request,
                      "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
                      "Content-Length: %zu\r\n\r\n",
                      load->path, load->host, load->token, body_len);
  if (head < 0 || (size_t)head + body_len > sizeof request)
    give_up("load", "the request is too long");
  memcpy(request + head, body, body_len);
  connection->number = number;
  connection->answer_len = 0;
  load->sent[number].sent_us = wall_us();
  // 2 KB into an empty socket: it takes them at once, or the connection is gone.
  if (send(connection->fd, request, (size_t)head + body_len, MSG_NOSIGNAL) != (ssize_t)((size_t)head + body_len))
    give_up("load", "cannot send");
}

static void begin(struct load *load, struct connection *connection) {
  if (load->next == load->count)
    return;
  if (load->rate > 0)
    load->idle[load->idle_len++] = connection;
  else
    send_next(load, connection);
}

static void on_answer(struct load *load, struct connection *connection) {
  load->sent[connection->number].answered_us = wall_us();
  load->answered++;
  if (memcmp(connection->answer, "HTTP/1.1 2", 10) != 0 && load->failed++ == 0)
    fprintf(stderr, "load: %.*s\n", (int)connection->answer_len, connection->answer);
  begin(load, connection);
}

static void on_ready(struct load *load, struct connection *connection) {
  ssize_t got = recv(connection->fd, connection->answer + connection->answer_len,
                     sizeof connection->answer - connection->answer_len, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN)
    return;
  if (got <= 0)
    give_up("load", "the server has closed a connection");
  connection->answer_len += (size_t)got;
  const char *end = memmem(connection->answer, connection->answer_len, "\r\n\r\n", 4);
  if (!end)
    return;
  size_t head = (size_t)(end - connection->answer) + 4;
  if (connection->answer_len >= head + content_length(connection->answer, head))
    on_answer(load, connection);
}

// Sends what is due at the rate; returns the nanoseconds until the next is, or -1 for no limit.
static int64_t send_due(struct load *load) {
  while (load->rate > 0 && load->next < load->count) {
    int64_t due_us = load->start_us + load->next * 1000000 / load->rate, now_us = wall_us();
    if (due_us > now_us)
      return (due_us - now_us) * 1000;
    if (load->idle_len == 0)
      break;
    // In turn: a connection that never speaks is closed after a while, as it should be.
    struct connection *first = load->idle[0];
    memmove(&load->idle[0], &load->idle[1], --load->idle_len * sizeof load->idle[0]);
    send_next(load, first);
  }
  return -1;
}

static void connect_all(struct load *load, const char *address, const char *port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
    give_up("load", "no IPv4 address");
  for (size_t i = 0; i < load->connections_len; i++) {
    struct connection *connection = &load->connections[i];
    const int on = 1;
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || connect(connection->fd, (const struct sockaddr *)&to, sizeof to) != 0)
      give_up("load", "cannot connect");
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
      give_up("load", "epoll_ctl");
  }
}

static void run(struct load *load) {
  struct epoll_event events[EVENTS_MAX];
  load->start_us = wall_us();
  for (size_t i = 0; i < load->connections_len; i++)
    begin(load, &load->connections[i]);
  while (load->answered < load->count) {
    int64_t wait_ns = send_due(load);
    const struct timespec wait = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    int len = epoll_pwait2(load->epoll, events, EVENTS_MAX, wait_ns < 0 ? NULL : &wait, NULL);
    if (len < 0 && errno != EINTR)
      give_up("load", "epoll_wait");
    for (int i = 0; i < len; i++)
      on_ready(load, events[i].data.ptr);
  }
}

static int compare(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

static void report(const struct load *load, int64_t end_us, const char *log) {
  int64_t *took = calloc((size_t)load->count, sizeof *took);
  FILE *out = log ? fopen(log, "w") : NULL;
  if (!took || (log && !out))
    give_up("load", "cannot keep the times");
  for (int64_t i = 0; i < load->count; i++) {
    took[i] = load->sent[i].answered_us - load->sent[i].sent_us;
    if (out)
      fprintf(out, "%lld %lld %lld\n", (long long)i, (long long)load->sent[i].sent_us,
              (long long)load->sent[i].answered_us);
  }
  if (out && fclose(out) != 0)
    give_up("load", "cannot write the log");
  qsort(took, (size_t)load->count, sizeof *took, compare);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double seconds = (double)(end_us - load->start_us) / 1e6;
  int64_t cpu_us = (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
                   usage.ru_stime.tv_usec;
  printf("{\"count\":%lld,\"failed\":%lld,\"seconds\":%.3f,\"per_second\":%.0f,\"p50_us\":%lld,\"p99_us\":%lld,"
         "\"cpu_us_each\":%.1f}\n",
         (long long)load->count, (long long)load->failed, seconds, (double)load->count / seconds,
         (long long)took[load->count / 2], (long long)took[load->count * 99 / 100],
         (double)cpu_us / (double)load->count);
  free(took);
}

int main(int argc, char **argv) {
  if (argc < 9) {
    fputs("usage: load ADDRESS PORT PATH TOKEN PROJECT CONNECTIONS COUNT RATE [LOG]\n", stderr);
    return 2;
  }
  struct load load = {.host = argv[1],
                      .path = argv[3],
                      .token = argv[4],
                      .project = argv[5],
                      .connections_len = strtoul(argv[6], NULL, 10),
                      .count = strtoll(argv[7], NULL, 10),
                      .rate = strtoll(argv[8], NULL, 10),
                      .epoll = epoll_create1(EPOLL_CLOEXEC)};
  if (load.count < 1 || load.connections_len < 1 || load.connections_len > CONNECTIONS_MAX)
    return 2;
  load.sent = calloc((size_t)load.count, sizeof *load.sent);
  load.connections = calloc(load.connections_len, sizeof *load.connections);
  if (!load.sent || !load.connections || getrandom(&load.nonce, sizeof load.nonce, 0) != sizeof load.nonce)
    give_up("load", "cannot begin");
  connect_all(&load, argv[1], argv[2]);
  run(&load);
  report(&load, wall_us(), argc > 9 ? argv[9] : NULL);
  return load.failed > 0;
}
