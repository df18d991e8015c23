// SPDX-License-Identifier: Apache-2.0
// Receivers as they should not be, one port each, and a name server that never answers.
//
//   trouble        prints `ready unreachable=PORT silent=PORT trickle=PORT reset=PORT limited=PORT names=PORT`
//
// unreachable: connections are never established. silent: never answers. trickle: a byte of its answer a second. reset:
// resets the connection at the request. limited: 429 with Retry-After: 1. Ends with its standard input.
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wall.h"

enum { EVENTS_MAX = 64, TRICKLE_MS = 1000, REQUEST_MAX_BYTES = 16 * 1024 };
enum kind { UNREACHABLE, SILENT, TRICKLE, RESET, LIMITED, NAMES, INPUT, KINDS, CONNECTION };

struct source {
  enum kind kind;
  int fd, of; // of: the kind of its listener
  struct source *next, **link;
};

struct trouble {
  int epoll;
  int64_t trickled_us;
  struct source listeners[KINDS];
  struct source *trickling;
};

static void watch(const struct trouble *trouble, struct source *source) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};
  if (epoll_ctl(trouble->epoll, EPOLL_CTL_ADD, source->fd, &event) != 0)
    give_up("trouble", "epoll_ctl");
}

static int open_port(int type, int backlog, struct sockaddr_in *at) {
  socklen_t len = sizeof *at;
  int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || bind(fd, (const struct sockaddr *)at, sizeof *at) != 0 ||
      (type == SOCK_STREAM && listen(fd, backlog) != 0) || getsockname(fd, (struct sockaddr *)at, &len) != 0)
    give_up("trouble", "cannot listen");
  return fd;
}

// With its backlog full and nobody to accept, the system drops each further SYN.
static void fill(const struct sockaddr_in *at) {
  for (int i = 0; i < 4; i++) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || (connect(fd, (const struct sockaddr *)at, sizeof *at) != 0 && errno != EINPROGRESS))
      give_up("trouble", "cannot fill a backlog");
  }
}

static void start(struct trouble *trouble) {
  static const char *const names[KINDS] = {"unreachable", "silent", "trickle", "reset", "limited", "names"};
  trouble->epoll = epoll_create1(EPOLL_CLOEXEC);
  printf("ready");
  for (int kind = 0; kind <= NAMES; kind++) {
    struct sockaddr_in at;
    int type = kind == NAMES ? SOCK_DGRAM : SOCK_STREAM;
    trouble->listeners[kind] =
        (struct source){.kind = (enum kind)kind, .fd = open_port(type, kind == UNREACHABLE ? 0 : 4096, &at)};
    if (kind == UNREACHABLE)
      fill(&at);
    else
      watch(trouble, &trouble->listeners[kind]);
    printf(" %s=%d", names[kind], ntohs(at.sin_port));
  }
  trouble->listeners[INPUT] = (struct source){.kind = INPUT, .fd = STDIN_FILENO};
  watch(trouble, &trouble->listeners[INPUT]);
  printf("\n");
  fflush(stdout);
}

static void take_connection(const struct trouble *trouble, const struct source *listener) {
  int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0)
    return;
  struct source *source = calloc(1, sizeof *source);
  if (!source)
    give_up("trouble", "no memory");
  *source = (struct source){.kind = CONNECTION, .fd = fd, .of = (int)listener->kind};
  watch(trouble, source);
}

static void drop(struct source *source, bool reset) {
  const struct linger now = {.l_onoff = 1};
  if (reset)
    (void)setsockopt(source->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  if (source->link) {
    *source->link = source->next;
    if (source->next)
      source->next->link = source->link;
  }
  close(source->fd);
  free(source);
}

static void say(struct source *source, const char *text) {
  if (send(source->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
    errno = 0; // it has gone; its end is read next
}

static void on_request(struct trouble *trouble, struct source *source) {
  if (source->of == RESET) {
    drop(source, true);
  } else if (source->of == LIMITED) {
    say(source, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
  } else if (source->of == TRICKLE && !source->link) {
    say(source, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    source->next = trouble->trickling;
    source->link = &trouble->trickling;
    if (source->next)
      source->next->link = &source->next;
    trouble->trickling = source;
  }
}

static void on_connection(struct trouble *trouble, struct source *source) {
  char bytes[REQUEST_MAX_BYTES];
  ssize_t got = recv(source->fd, bytes, sizeof bytes, 0);
  if (got < 0 && errno == EAGAIN)
    return;
  if (got <= 0)
    drop(source, false);
  else
    on_request(trouble, source);
}

static void trickle(struct trouble *trouble) {
  int64_t now_us = wall_us();
  if (now_us - trouble->trickled_us < TRICKLE_MS * 1000)
    return;
  trouble->trickled_us = now_us;
  for (struct source *source = trouble->trickling; source; source = source->next)
    say(source, "x");
}

int main(void) {
  static struct trouble trouble;
  char question[512];

  start(&trouble);
  for (;;) {
    struct epoll_event events[EVENTS_MAX];
    int len = epoll_wait(trouble.epoll, events, EVENTS_MAX, TRICKLE_MS);
    for (int i = 0; i < len; i++) {
      struct source *source = events[i].data.ptr;
      if (source->kind == CONNECTION)
        on_connection(&trouble, source);
      else if (source->kind == INPUT)
        return 0;
      else if (source->kind == NAMES)
        (void)!recv(source->fd, question, sizeof question, 0);
      else
        take_connection(&trouble, source);
    }
    trickle(&trouble);
  }
}
