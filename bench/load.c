// SPDX-License-Identifier: Apache-2.0
// Sends requests over keep-alive connections, as fast as they are answered or on a fixed schedule. Against
// /ingest/distribution it is the registry; against a receiver it is the raw client that deliveries are compared with;
// with --manifest it is the client of a registry.
//
//   load --to PORT --count N [--path PATH] [--token T] [--connections N] [--rate PER-SECOND] [--projects N] [--base N]
//        [--first N] [--ca FILE] [--close] [--manifest FILE] [--log FILE]
//
// The number of a request (--first and up) is in its tag; its project is number % projects + base. --rate 0: as fast as
// possible. --close: a new connection each, TLS resumed. --log: three 64-bit numbers a request: due_us, sent_us,
// answered_us. A late answer holds the schedule of the others back only when all connections wait, and what was due is
// counted from when it was due. The outcome is one JSON object.
#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "request.h"
#include "secure.h"
#include "wall.h"

enum { ANSWER_MAX_BYTES = 8192, CONNECTIONS_MAX = 1024, EVENTS_MAX = 64, FILE_MAX_BYTES = 2048 };

struct connection {
  int fd;
  bool waits; // for an answer
  SSL *ssl;
  size_t index; // of the request on its way
  size_t answer_len;
  char answer[ANSWER_MAX_BYTES];
};

struct times {
  int64_t due_us, sent_us, answered_us;
};

struct load {
  size_t count, next, answered, failed, resumed;
  int64_t rate, start_us;
  uint64_t first, projects, base;
  const char *log;
  bool closes;
  struct sockaddr_in to;
  SSL_CTX *tls;
  SSL_SESSION *session;
  struct request request;
  struct times *times;
  int epoll;
  size_t connections_len, idle_first, idle_len;
  struct connection *connections;
  struct connection *idle[CONNECTIONS_MAX]; // a ring: who never speaks would be closed after a while, as it should be
};

static void open_connection(struct load *load, struct connection *connection) {
  const int on = 1;
  connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection->fd < 0 || connect(connection->fd, (const struct sockaddr *)&load->to, sizeof load->to) != 0)
    give_up("load", "cannot connect");
  (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (load->tls) {
    connection->ssl = secure_wrap(load->tls, connection->fd, 0, load->session);
    if (SSL_do_handshake(connection->ssl) != 1)
      give_up("load", "no TLS with the server");
    load->resumed += SSL_session_reused(connection->ssl) == 1;
  }
  if (fcntl(connection->fd, F_SETFL, O_NONBLOCK) != 0)
    give_up("load", "fcntl");
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
    give_up("load", "epoll_ctl");
}

// The ticket of an answered connection opens the next.
static void reopen(struct load *load, struct connection *connection) {
  if (connection->ssl) {
    SSL_SESSION_free(load->session);
    load->session = SSL_get1_session(connection->ssl);
  }
  secure_close(connection->ssl, connection->fd);
  connection->ssl = NULL;
  open_connection(load, connection);
}

static void send_next(struct load *load, struct connection *connection, int64_t due_us) {
  size_t index = load->next++;
  uint64_t number = load->first + index;

  request_number(&load->request, number, number % load->projects + load->base);
  connection->waits = true;
  connection->index = index;
  connection->answer_len = 0;
  load->times[index].sent_us = wall_us();
  load->times[index].due_us = due_us ? due_us : load->times[index].sent_us;
  // 2 KB into an empty socket: it takes them at once, or the connection is gone.
  if (secure_write(connection->ssl, connection->fd, load->request.bytes, load->request.len) !=
      (ssize_t)load->request.len)
    give_up("load", "cannot send");
}

static void begin(struct load *load, struct connection *connection) {
  if (load->next == load->count)
    return;
  if (load->rate > 0)
    load->idle[(load->idle_first + load->idle_len++) % CONNECTIONS_MAX] = connection;
  else
    send_next(load, connection, 0);
}

static void on_answer(struct load *load, struct connection *connection) {
  load->times[connection->index].answered_us = wall_us();
  load->answered++;
  connection->waits = false;
  if (memcmp(connection->answer, "HTTP/1.1 2", 10) != 0 && load->failed++ == 0)
    fprintf(stderr, "load: %.*s\n", (int)connection->answer_len, connection->answer);
  if (load->closes && load->next < load->count)
    reopen(load, connection);
  begin(load, connection);
}

static void on_ready(struct load *load, struct connection *connection) {
  do {
    ssize_t got = secure_read(connection->ssl, connection->fd, connection->answer + connection->answer_len,
                              sizeof connection->answer - connection->answer_len);
    if (got == SECURE_AGAIN)
      return;
    if (got == SECURE_GONE && !connection->waits && load->closes) {
      (void)epoll_ctl(load->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
      return;
    }
    if (got == SECURE_GONE)
      give_up("load", "the server has closed a connection");
    connection->answer_len += (size_t)got;
  } while (connection->ssl && SSL_pending(connection->ssl) > 0);
  const char *end = memmem(connection->answer, connection->answer_len, "\r\n\r\n", 4);
  if (!end)
    return;
  size_t head = (size_t)(end - connection->answer) + 4;
  if (connection->answer_len >= head + content_length(connection->answer, head))
    on_answer(load, connection);
}

// Sends what is due; returns the nanoseconds until the next is, or -1 for no limit.
static int64_t send_due(struct load *load) {
  while (load->rate > 0 && load->next < load->count) {
    int64_t due_us = load->start_us + (int64_t)load->next * 1000000 / load->rate, now_us = wall_us();
    if (due_us > now_us)
      return (due_us - now_us) * 1000;
    if (load->idle_len == 0)
      break;
    struct connection *first = load->idle[load->idle_first];
    load->idle_first = (load->idle_first + 1) % CONNECTIONS_MAX;
    load->idle_len--;
    send_next(load, first, due_us);
  }
  return -1;
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

static void write_log(const struct load *load) {
  FILE *out = fopen(load->log, "w");
  if (!out || fwrite(load->times, sizeof *load->times, load->count, out) != load->count || fclose(out) != 0)
    give_up("load", load->log);
}

static void report(const struct load *load, int64_t end_us, int64_t cpu_us) {
  int64_t *took = calloc(load->count, sizeof *took);
  if (!took)
    give_up("load", "cannot keep the times");
  for (size_t i = 0; i < load->count; i++)
    took[i] = load->times[i].answered_us - load->times[i].due_us;
  qsort(took, load->count, sizeof *took, compare_numbers);
  double seconds = (double)(end_us - load->start_us) / 1e6;
  printf("{\"count\":%zu,\"failed\":%zu,\"resumed\":%zu,\"start_us\":%lld,\"seconds\":%.3f,\"per_second\":%.1f,"
         "\"p50_us\":%lld,\"p99_us\":%lld,\"cpu_us_each\":%.2f}\n",
         load->count, load->failed, load->resumed, (long long)load->start_us, seconds, (double)load->count / seconds,
         (long long)took[load->count / 2], (long long)took[load->count * 99 / 100],
         (double)cpu_us / (double)load->count);
  free(took);
}

static int64_t cpu_spent_us(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
         usage.ru_stime.tv_usec;
}

static void read_file(const char *path, char into[static FILE_MAX_BYTES]) {
  FILE *in = fopen(path, "r");
  if (!in)
    give_up("load", path);
  into[fread(into, 1, FILE_MAX_BYTES - 1, in)] = '\0';
  fclose(in);
}

static const struct option options[] = {
    {"to", required_argument, NULL, 't'},
    {"count", required_argument, NULL, 'n'},
    {"path", required_argument, NULL, 'p'},
    {"token", required_argument, NULL, 'k'},
    {"connections", required_argument, NULL, 'c'},
    {"rate", required_argument, NULL, 'r'},
    {"projects", required_argument, NULL, 'P'},
    {"base", required_argument, NULL, 'b'},
    {"first", required_argument, NULL, 'f'},
    {"ca", required_argument, NULL, 'a'},
    {"close", no_argument, NULL, 'C'},
    {"manifest", required_argument, NULL, 'm'},
    {"log", required_argument, NULL, 'l'},
    {NULL, 0, NULL, 0},
};

static bool parse(struct load *load, struct request_plan *plan, char body[static FILE_MAX_BYTES], int argc,
                  char **argv) {
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (option) {
    case 't':
      load->to.sin_port = htons((uint16_t)number_of(optarg));
      break;
    case 'n':
      load->count = (size_t)number_of(optarg);
      break;
    case 'p':
      plan->path = optarg;
      break;
    case 'k':
      plan->token = optarg;
      break;
    case 'c':
      load->connections_len = (size_t)number_of(optarg);
      break;
    case 'r':
      load->rate = number_of(optarg);
      break;
    case 'P':
      load->projects = (uint64_t)number_of(optarg);
      break;
    case 'b':
      load->base = (uint64_t)number_of(optarg);
      break;
    case 'f':
      load->first = (uint64_t)number_of(optarg);
      break;
    case 'a':
      load->tls = secure_client(optarg);
      break;
    case 'C':
      load->closes = true;
      break;
    case 'm':
      read_file(optarg, body);
      plan->kind = REQUEST_MANIFEST;
      break;
    case 'l':
      load->log = optarg;
      break;
    default:
      return false;
    }
  }
  return load->to.sin_port != 0 && load->count > 0 && load->projects > 0 && load->connections_len > 0 &&
         load->connections_len <= CONNECTIONS_MAX && optind == argc;
}

int main(int argc, char **argv) {
  static struct load load = {.connections_len = 32, .projects = 1, .to = {.sin_family = AF_INET}};
  static char body[FILE_MAX_BYTES];
  struct request_plan plan = {.host = "127.0.0.1", .path = "/", .token = "none", .body = body};

  load.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!parse(&load, &plan, body, argc, argv)) {
    fputs("usage: load --to PORT --count N [OPTION]... (the beginning of load.c says which)\n", stderr);
    return 2;
  }
  load.epoll = epoll_create1(EPOLL_CLOEXEC);
  load.times = calloc(load.count, sizeof *load.times);
  load.connections = calloc(load.connections_len, sizeof *load.connections);
  if (!load.times || !load.connections || getrandom(&plan.nonce, sizeof plan.nonce, 0) != sizeof plan.nonce)
    give_up("load", "cannot begin");
  (void)prctl(PR_SET_TIMERSLACK, 1UL); // nanoseconds: the schedule is kept as well as the machine can
  request_make(&load.request, &plan);
  for (size_t i = 0; i < load.connections_len; i++)
    open_connection(&load, &load.connections[i]);
  int64_t cpu_us = cpu_spent_us();
  run(&load);
  report(&load, wall_us(), cpu_spent_us() - cpu_us);
  if (load.log)
    write_log(&load);
  return load.failed > 0;
}
