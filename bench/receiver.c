// SPDX-License-Identifier: Apache-2.0
// A receiver that answers as fast as it can and remembers when each delivery arrived.
//
//   receiver [LOG]
//
// Prints `ready PORT`. SIGUSR1: from now on 503 with Retry-After: 2; SIGUSR2: 200 again, as at the start. SIGTERM: writes
// a line `seq tag arrived_us` per delivery it answered with 200 to LOG (tag: the number that load wrote), and ends.
#include <arpa/inet.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wall.h"

enum { REQUEST_MAX_BYTES = 64 * 1024, ARRIVALS_MAX = 4 * 1024 * 1024, EVENTS_MAX = 64 };

struct connection {
  int fd;
  size_t len;
  char bytes[REQUEST_MAX_BYTES];
};

struct arrival {
  int64_t seq, number, at_us;
};

struct receiver {
  int epoll, listener, signals;
  bool busy;
  size_t arrivals_len;
  struct arrival *arrivals;
};

// The number after `key` in the body, or -1.
static int64_t number_after(const char *body, size_t len, const char *key) {
  const char *found = memmem(body, len, key, strlen(key));
  return found ? strtoll(found + strlen(key), NULL, 10) : -1;
}

static void answer(struct receiver *receiver, struct connection *connection, const char *body, size_t len) {
  static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n";
  const char *text = receiver->busy ? busy : ok;
  size_t text_len = receiver->busy ? sizeof busy - 1 : sizeof ok - 1;
  if (!receiver->busy && receiver->arrivals_len < ARRIVALS_MAX)
    receiver->arrivals[receiver->arrivals_len++] =
        (struct arrival){number_after(body, len, "\"seq\":"), number_after(body, len, "\"tag\":\"n"), wall_us()};
  if (send(connection->fd, text, text_len, MSG_NOSIGNAL) != (ssize_t)text_len)
    errno = 0; // it has gone; its end is read next
}

static void drop(struct connection *connection) {
  close(connection->fd);
  free(connection);
}

static void on_connection(struct receiver *receiver, struct connection *connection) {
  ssize_t got = recv(connection->fd, connection->bytes + connection->len,
                     sizeof connection->bytes - 1 - connection->len, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN)
    return;
  if (got <= 0) {
    drop(connection);
    return;
  }
  connection->len += (size_t)got;
  for (;;) {
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
    drop(connection); // longer than anything that is sent here
}

static void on_listener(struct receiver *receiver) {
  int fd = accept4(receiver->listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0)
    return;
  struct connection *connection = malloc(sizeof *connection);
  if (!connection)
    give_up("receiver", "no memory");
  connection->fd = fd;
  connection->len = 0;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
  if (epoll_ctl(receiver->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    give_up("receiver", "epoll_ctl");
}

static void write_log(const struct receiver *receiver, const char *path) {
  FILE *out = fopen(path, "w");
  if (!out)
    give_up("receiver", path);
  for (size_t i = 0; i < receiver->arrivals_len; i++)
    fprintf(out, "%lld %lld %lld\n", (long long)receiver->arrivals[i].seq, (long long)receiver->arrivals[i].number,
            (long long)receiver->arrivals[i].at_us);
  if (fclose(out) != 0)
    give_up("receiver", path);
}

// False at SIGTERM.
static bool on_signal(struct receiver *receiver) {
  struct signalfd_siginfo info;
  if (read(receiver->signals, &info, sizeof info) != sizeof info)
    return true;
  receiver->busy = info.ssi_signo == SIGUSR1;
  return info.ssi_signo != SIGTERM;
}

static void watch(struct receiver *receiver, int fd, void *mark) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
  if (fd < 0 || epoll_ctl(receiver->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
    give_up("receiver", "epoll_ctl");
}

static void start(struct receiver *receiver) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigaddset(&signals, SIGUSR2);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, NULL);
  receiver->arrivals = calloc(ARRIVALS_MAX, sizeof *receiver->arrivals);
  receiver->epoll = epoll_create1(EPOLL_CLOEXEC);
  receiver->signals = signalfd(-1, &signals, SFD_CLOEXEC);
  receiver->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (!receiver->arrivals || receiver->listener < 0 ||
      bind(receiver->listener, (const struct sockaddr *)&at, sizeof at) != 0 || listen(receiver->listener, 1024) != 0 ||
      getsockname(receiver->listener, (struct sockaddr *)&at, &len) != 0)
    give_up("receiver", "cannot listen");
  watch(receiver, receiver->listener, &receiver->listener);
  watch(receiver, receiver->signals, &receiver->signals);
  printf("ready %d\n", ntohs(at.sin_port));
  fflush(stdout);
}

int main(int argc, char **argv) {
  static struct receiver receiver;
  start(&receiver);
  for (bool running = true; running;) {
    struct epoll_event events[EVENTS_MAX];
    int len = epoll_wait(receiver.epoll, events, EVENTS_MAX, -1);
    for (int i = 0; i < len; i++) {
      if (events[i].data.ptr == &receiver.listener)
        on_listener(&receiver);
      else if (events[i].data.ptr == &receiver.signals)
        running = on_signal(&receiver);
      else
        on_connection(&receiver, events[i].data.ptr);
    }
  }
  if (argc > 1)
    write_log(&receiver, argv[1]);
  return 0;
}
