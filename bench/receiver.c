// SPDX-License-Identifier: Apache-2.0
// A receiver that answers as fast as it can and remembers when each delivery arrived.
//
//   receiver LOG [--cert FILE --key FILE] [--close] [--state STATE]
//
// Prints `ready PORT`, then obeys the lines of its standard input and answers each with one line:
//   ok      answers 200, as at the start      busy   answers 503 with Retry-After: 2
//   down    refuses connections               count  nothing new
// The answer: how many deliveries it has answered with 200, how many connections began with a resumed TLS session.
// At the end of its input it writes three 64-bit numbers per delivery that it answered with 200 to LOG: number (that load
// wrote into the tag), seq, arrived_us; and ends. --close: each connection ends with its answer.
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "secure.h"
#include "wall.h"

enum { REQUEST_MAX_BYTES = 32 * 1024, ARRIVALS_MAX = 8 * 1024 * 1024, EVENTS_MAX = 64, COMMANDS_MAX_BYTES = 256 };

struct connection {
  int fd;
  bool ended, spoke;
  SSL *ssl;
  struct connection *next, **link; // of all that are open
  size_t len;
  char bytes[REQUEST_MAX_BYTES];
};

struct arrival {
  int64_t number, seq, at_us;
};

struct receiver {
  int epoll, listener;
  bool busy, down, closes;
  SSL_CTX *tls;
  struct sockaddr_in at;
  struct connection *open;
  size_t arrivals_len, command_len, resumed;
  struct arrival *arrivals;
  char command[COMMANDS_MAX_BYTES];
};

// The number after `key`, spaces and a quote with `letter` in the body, or -1.
static int64_t number_after(const char *body, size_t len, const char *key, const char *letter) {
  const char *found = memmem(body, len, key, strlen(key)), *end = body + len;
  if (!found)
    return -1;
  found += strlen(key);
  while (found < end && (*found == ' ' || *found == '"' || *found == *letter))
    found++;
  return strtoll(found, NULL, 10);
}

static void remember(struct receiver *receiver, const char *body, size_t len) {
  int64_t now_us = wall_us();
  if (receiver->arrivals_len < ARRIVALS_MAX)
    receiver->arrivals[receiver->arrivals_len++] =
        (struct arrival){number_after(body, len, "\"tag\":", "n"), number_after(body, len, "\"seq\":", ""), now_us};
}

static void answer(struct receiver *receiver, struct connection *connection, const char *body, size_t len) {
  static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  static const char last[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
  static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n";
  if (!connection->spoke && connection->ssl)
    receiver->resumed += SSL_session_reused(connection->ssl) == 1;
  connection->spoke = true;
  const char *text = receiver->busy ? busy : receiver->closes ? last : ok;
  if (!receiver->busy)
    remember(receiver, body, len);
  if (secure_write(connection->ssl, connection->fd, text, strlen(text)) != (ssize_t)strlen(text) || receiver->closes)
    connection->ended = true;
}

static void drop(struct connection *connection) {
  *connection->link = connection->next;
  if (connection->next)
    connection->next->link = connection->link;
  secure_close(connection->ssl, connection->fd);
  free(connection);
}

static void take_requests(struct receiver *receiver, struct connection *connection) {
  while (!connection->ended) {
    connection->bytes[connection->len] = '\0';
    const char *end = memmem(connection->bytes, connection->len, "\r\n\r\n", 4);
    size_t head = end ? (size_t)(end - connection->bytes) + 4 : 0;
    size_t whole = head + (end ? content_length(connection->bytes, head) : 0);
    if (!end || connection->len < whole)
      break;
    answer(receiver, connection, connection->bytes + head, whole - head);
    memmove(connection->bytes, connection->bytes + whole, connection->len - whole);
    connection->len -= whole;
  }
  if (connection->len == sizeof connection->bytes - 1)
    connection->ended = true; // longer than anything that is sent here
}

static void on_connection(struct receiver *receiver, struct connection *connection) {
  do {
    ssize_t got = secure_read(connection->ssl, connection->fd, connection->bytes + connection->len,
                              sizeof connection->bytes - 1 - connection->len);
    if (got == SECURE_AGAIN)
      return;
    if (got == SECURE_GONE) {
      drop(connection);
      return;
    }
    connection->len += (size_t)got;
    take_requests(receiver, connection);
    if (connection->ended) {
      drop(connection);
      return;
    }
  } while (connection->ssl && SSL_pending(connection->ssl) > 0);
}

static void on_listener(struct receiver *receiver) {
  int fd = accept4(receiver->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  const int on = 1;
  if (fd < 0)
    return;
  struct connection *connection = malloc(sizeof *connection);
  if (!connection)
    give_up("receiver", "no memory");
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  connection->fd = fd;
  connection->ended = connection->spoke = false;
  connection->len = 0;
  connection->ssl = receiver->tls ? secure_wrap(receiver->tls, fd, 1, NULL) : NULL;
  connection->next = receiver->open;
  connection->link = &receiver->open;
  if (receiver->open)
    receiver->open->link = &connection->next;
  receiver->open = connection;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  if (epoll_ctl(receiver->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    give_up("receiver", "epoll_ctl");
}

static void watch(const struct receiver *receiver, int fd, void *mark) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
  if (epoll_ctl(receiver->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    give_up("receiver", "epoll_ctl");
}

// The port stays ours when nobody listens: connections are refused, not taken by another program.
static void hold_port(struct receiver *receiver) {
  const int on = 1;
  socklen_t len = sizeof receiver->at;
  receiver->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (receiver->listener < 0 || setsockopt(receiver->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      bind(receiver->listener, (const struct sockaddr *)&receiver->at, sizeof receiver->at) != 0 ||
      getsockname(receiver->listener, (struct sockaddr *)&receiver->at, &len) != 0)
    give_up("receiver", "cannot hold a port");
}

static void go_up(struct receiver *receiver) {
  if (listen(receiver->listener, 4096) != 0)
    give_up("receiver", "cannot listen");
  watch(receiver, receiver->listener, &receiver->listener);
  receiver->down = false;
}

static void go_down(struct receiver *receiver) {
  close(receiver->listener);
  while (receiver->open)
    drop(receiver->open);
  hold_port(receiver);
  receiver->down = true;
}

static void set_state(struct receiver *receiver, const char *state) {
  bool down = strcmp(state, "down") == 0;
  receiver->busy = strcmp(state, "busy") == 0;
  if (down && !receiver->down)
    go_down(receiver);
  else if (!down && receiver->down)
    go_up(receiver);
}

static void obey(struct receiver *receiver, const char *command) {
  if (strcmp(command, "count") != 0)
    set_state(receiver, command);
  printf("%zu %zu\n", receiver->arrivals_len, receiver->resumed);
  fflush(stdout);
}

// False at the end of the input.
static bool on_input(struct receiver *receiver) {
  char *command = receiver->command;
  ssize_t got = read(STDIN_FILENO, command + receiver->command_len, COMMANDS_MAX_BYTES - 1 - receiver->command_len);
  if (got <= 0)
    return false;
  receiver->command_len += (size_t)got;
  for (char *end; (end = memchr(command, '\n', receiver->command_len));) {
    size_t line = (size_t)(end - command) + 1;
    *end = '\0';
    obey(receiver, command);
    memmove(command, command + line, receiver->command_len - line);
    receiver->command_len -= line;
  }
  return receiver->command_len < COMMANDS_MAX_BYTES - 1;
}

static void write_log(const struct receiver *receiver, const char *path) {
  FILE *out = fopen(path, "w");
  if (!out ||
      fwrite(receiver->arrivals, sizeof *receiver->arrivals, receiver->arrivals_len, out) != receiver->arrivals_len ||
      fclose(out) != 0)
    give_up("receiver", path);
}

static void start(struct receiver *receiver, const char *state) {
  receiver->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  receiver->arrivals = calloc(ARRIVALS_MAX, sizeof *receiver->arrivals);
  receiver->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (!receiver->arrivals || receiver->epoll < 0)
    give_up("receiver", "cannot begin");
  hold_port(receiver);
  receiver->down = true;
  set_state(receiver, state);
  watch(receiver, STDIN_FILENO, &receiver->command);
  printf("ready %d\n", ntohs(receiver->at.sin_port));
  fflush(stdout);
}

static void run(struct receiver *receiver) {
  for (bool running = true; running;) {
    struct epoll_event events[EVENTS_MAX];
    int len = epoll_wait(receiver->epoll, events, EVENTS_MAX, -1);
    bool asked = false;
    for (int i = 0; i < len; i++) {
      if (events[i].data.ptr == &receiver->listener)
        on_listener(receiver);
      else if (events[i].data.ptr == &receiver->command)
        asked = true; // after the others: a command may close connections of this very turn
      else
        on_connection(receiver, events[i].data.ptr);
    }
    if (asked)
      running = on_input(receiver);
  }
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"cert", required_argument, NULL, 'c'},
                                          {"key", required_argument, NULL, 'k'},
                                          {"close", no_argument, NULL, 'C'},
                                          {"state", required_argument, NULL, 's'},
                                          {NULL, 0, NULL, 0}};
  static struct receiver receiver;
  const char *cert = NULL, *key = NULL, *state = "ok";

  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (option) {
    case 'c':
      cert = optarg;
      break;
    case 'k':
      key = optarg;
      break;
    case 'C':
      receiver.closes = true;
      break;
    case 's':
      state = optarg;
      break;
    default:
      return 2;
    }
  }
  if (optind + 1 != argc) {
    fputs("usage: receiver LOG [--cert FILE --key FILE] [--close] [--state ok|busy|down]\n", stderr);
    return 2;
  }
  if (cert && key)
    receiver.tls = secure_server(cert, key);
  start(&receiver, state);
  run(&receiver);
  write_log(&receiver, argv[optind]);
  return 0;
}
