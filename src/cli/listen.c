// SPDX-License-Identifier: Apache-2.0
// harbinger listen: a receiver of deliveries for people who try things, and for scripts.
#include "cli/listen.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/terminal.h"

enum {
  MAX_CONNECTIONS = 1024,
  EXTRA_TIMERS = 2 + LISTEN_MAX_RUNNING + LISTEN_MAX_WAITING + 8,
  MAX_TASKS = 16,
  READ_ARENA_BYTES = 64 * 1024 * 1024,
  MAX_WAIT_S = 86400,
};

static const char DEFAULT_ADDRESS[] = "127.0.0.1:9090";

struct listener {
  struct cli *cli;
  struct clock clock;
  struct log log;
  struct loop *loop;
  struct id_source *ids;
  struct http_server *server;
  struct command_runner runner;
  struct loop_io signals;
  struct loop_timer deadline, end;
  const char *auth_header;
  int64_t count, accepted; // count 0: no end
  int64_t timeout_s;
  bool done, late;
};

static void answer(struct http_request *request, int status, const char *words) {
  char line[ERROR_TEXT_BYTES + 2];
  if (words)
    (void)snprintf(line, sizeof line, "%s\n", words);
  const struct http_header challenge = {STR("WWW-Authenticate"), STR("Bearer")}, allow = {STR("Allow"), STR("POST")};
  struct http_response response = {.status = status,
                                   .content_type = words ? "text/plain; charset=utf-8" : NULL,
                                   .body = words ? str_of(line) : STR_EMPTY,
                                   .headers = status == 401 ? &challenge : &allow,
                                   .headers_len = status == 401 || status == 405 ? 1 : 0};
  http_respond(request, &response);
}

// A refusal is told to both sides.
static void refuse(struct http_request *request, int status, const char *words) {
  terminal_printf(stderr, "harbinger listen: answered %d to %.*s: %s\n", status, STR_ARG(request->peer_text), words);
  answer(request, status, words);
}

static void count_accepted(struct listener *listener) {
  listener->accepted++;
  if (listener->count > 0 && listener->accepted >= listener->count && !listener->done) {
    listener->done = true;
    loop_timer_set(listener->loop, &listener->end, loop_now_us(listener->loop)); // not inside the request
  }
}

static void on_drained(void *ctx) {
  struct listener *listener = ctx;
  loop_stop(listener->loop);
}

static void on_end(struct loop_timer *timer) {
  struct listener *listener = CONTAINER_OF(timer, struct listener, end);
  http_server_drain(listener->server, on_drained, listener);
}

static void on_deadline(struct loop_timer *timer) {
  struct listener *listener = CONTAINER_OF(timer, struct listener, deadline);
  listener->late = !listener->done;
  loop_stop(listener->loop);
}

static void on_signal(struct loop_io *io, uint32_t events) {
  struct listener *listener = CONTAINER_OF(io, struct listener, signals);
  (void)events;
  loop_stop(listener->loop);
}

// ---- requests -----------------------------------------------------------------------------------------------------------

static void on_command_end(void *ctx, struct http_request *request, const struct received *received, bool ok,
                           const char *words) {
  struct listener *listener = ctx;
  (void)received;
  if (!ok) {
    refuse(request, 500, words);
    return;
  }
  answer(request, 200, NULL);
  count_accepted(listener);
}

static bool is_authorized(const struct listener *listener, const struct http_request *request) {
  return !listener->auth_header ||
         str_eq_secret(http_head_get(request->head, "Authorization"), str_of(listener->auth_header));
}

static void free_arena(void *arena) {
  arena_free(arena);
}

static void on_request(void *ctx, struct http_request *request) {
  struct listener *listener = ctx;
  struct received received;
  struct error err = {0};
  if (!str_eq_c(request->head->method, "POST")) {
    refuse(request, 405, "deliveries are sent with POST");
    return;
  }
  if (!is_authorized(listener, request)) {
    refuse(request, 401, "the Authorization header is not the one that was agreed on");
    return;
  }
  struct arena *arena = arena_new(READ_ARENA_BYTES);
  if (!arena || arena_on_free(request->arena, free_arena, arena) != 0) {
    refuse(request, 503, "out of memory");
    return;
  }
  if (received_read(request, arena, &received, &err) != 0) {
    refuse(request, 400, err.text);
    return;
  }
  received_print(&received, request, listener->cli->json);
  if (!listener->runner.command) {
    answer(request, 200, NULL);
    count_accepted(listener);
  } else if (!command_runner_start(&listener->runner, request, &received)) {
    refuse(request, 503, "too many deliveries wait for the command");
  }
}

static size_t body_limit(void *ctx, const struct http_head *head) {
  (void)ctx;
  (void)head;
  return LISTEN_MAX_BODY_BYTES;
}

static void write_error(void *ctx, struct str path, int status, const char *words, struct buf *out,
                        const char **content_type) {
  (void)ctx;
  (void)path;
  *content_type = "text/plain; charset=utf-8";
  buf_printf(out, "%d %s\n", status, words);
}

static void on_answered(void *ctx, const struct http_request *request, int status, int64_t duration_us) {
  (void)ctx;
  (void)request;
  (void)status;
  (void)duration_us;
}

// ---- start and stop -----------------------------------------------------------------------------------------------------

static int open_server(struct listener *listener, struct error *err) {
  const char *address = cli_value(listener->cli, "listen");
  struct http_server_config config = {.backlog = 128,
                                      .max_connections = MAX_CONNECTIONS,
                                      .max_head_bytes = 65536,
                                      .max_buffered_bytes = 64 * 1024 * 1024,
                                      .max_response_bytes = 65536,
                                      .request_arena_bytes = 1024 * 1024,
                                      .header_timeout_ms = 10000,
                                      .body_idle_timeout_ms = 30000,
                                      .body_rate_window_ms = 60000,
                                      .body_min_bytes_per_s = 1024,
                                      .keep_alive_timeout_ms = 75000,
                                      .write_timeout_ms = 30000};
  const struct http_server_handler handler = {.ctx = listener,
                                              .body_limit = body_limit,
                                              .on_request = on_request,
                                              .write_error = write_error,
                                              .on_answered = on_answered};
  address = address ? address : DEFAULT_ADDRESS;
  if (!address_read_with_port(str_of(address), &config.listen))
    return error_set(err, ERR_CONFIG, "--listen takes ADDRESS:PORT, e.g. %s or [::1]:0, not `%s`", DEFAULT_ADDRESS,
                     address);
  listener->server = http_server_new(listener->loop, &config, &handler, listener->ids, &listener->log, err);
  if (listener->server)
    return 0;
  return error_context(err, "--listen %s (port 0 takes a free one)", address);
}

// Ctrl-C and SIGTERM end the loop, so that commands that run are not left alone. Must come before any command.
static int open_signals(struct listener *listener, struct error *err) {
  char words[128];
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  (void)signal(SIGPIPE, SIG_IGN); // a command that does not read, a reader of our output that went
  (void)sigprocmask(SIG_BLOCK, &signals, NULL);
  listener->signals = (struct loop_io){.fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), .on_ready = on_signal};
  if (listener->signals.fd < 0)
    return error_set(err, ERR_IO, "cannot wait for signals: %s", error_errno(errno, words));
  return loop_io_set(listener->loop, &listener->signals, EPOLLIN, err);
}

static int open_listener(struct listener *listener, struct error *err) {
  clock_init_real(&listener->clock);
  log_init(&listener->log, &listener->clock, STDERR_FILENO, false, LOG_WARN);
  listener->ids = id_source_new(&listener->clock);
  if (!listener->ids)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  listener->loop = loop_new(&listener->clock, MAX_CONNECTIONS + EXTRA_TIMERS, MAX_TASKS, err);
  if (!listener->loop)
    return err->code;
  command_runner_init(&listener->runner, listener->loop, cli_value(listener->cli, "exec"));
  listener->runner.on_end = on_command_end;
  listener->runner.ctx = listener;
  int rc = open_signals(listener, err);
  return rc == 0 ? open_server(listener, err) : rc;
}

static void close_listener(struct listener *listener) {
  if (listener->loop)
    command_runner_stop(&listener->runner);
  http_server_free(listener->server);
  if (listener->loop && listener->signals.fd >= 0) {
    loop_io_remove(listener->loop, &listener->signals);
    (void)close(listener->signals.fd);
  }
  if (listener->loop)
    loop_free(listener->loop);
  if (listener->ids)
    id_source_free(listener->ids);
}

static void announce(const struct listener *listener) {
  char address[ADDRESS_TEXT_BYTES];
  struct address bound = http_server_address(listener->server);
  // --json is one object a line on standard output, and nothing else.
  (void)fprintf(listener->cli->json ? stderr : stdout, "harbinger listen ready http://%s/\n",
                address_write_with_port(&bound, address));
  (void)fflush(stdout);
}

static int run_listen(struct cli *cli, struct error *err) {
  struct listener listener = {.cli = cli, .signals.fd = -1, .auth_header = cli_value(cli, "auth-header")};
  listener.deadline.on_fire = on_deadline;
  listener.end.on_fire = on_end;
  int rc = cli_number(cli, "count", 0, 1, INT64_MAX, &listener.count, err);
  if (rc == 0)
    rc = cli_number(cli, "timeout", 0, 1, MAX_WAIT_S, &listener.timeout_s, err);
  if (rc == 0)
    rc = open_listener(&listener, err);
  if (rc == 0) {
    announce(&listener);
    if (listener.timeout_s > 0)
      loop_timer_set(listener.loop, &listener.deadline, clock_mono_us(&listener.clock) + listener.timeout_s * US_PER_S);
    loop_run(listener.loop);
  }
  close_listener(&listener);
  if (rc == 0 && listener.late && listener.count > 0)
    rc = error_set(err, ERR_TIMEOUT, "%lld of %lld deliveries came in %lld s", (long long)listener.accepted,
                   (long long)listener.count, (long long)listener.timeout_s);
  return rc;
}

static const struct cli_option OPTIONS[] = {
    {"listen", "ADDR:PORT", "where to listen (default 127.0.0.1:9090); port 0 takes a free one"},
    {"exec", "CMD", "run `sh -c CMD` per delivery, the body on its input; exit 0 is answered 200, else 500"},
    {"count", "N", "end after N accepted deliveries"},
    {"timeout", "S", "end after S seconds; with --count exit code 1 when fewer came"},
    {"auth-header", "VALUE", "answer 401 to deliveries with another Authorization header"},
    {0},
};

const struct cli_command cli_listen_commands[] = {
    {.noun = "listen",
     .summary = "receive deliveries, check that they are one of our formats, and print them",
     .options = OPTIONS,
     .examples = "harbinger listen\n"
                 "harbinger listen --listen 0.0.0.0:9090 --auth-header \"Bearer $SECRET\"\n"
                 "harbinger listen --count 1 --timeout 60 --json | jq -r .body.type\n"
                 "harbinger listen --exec 'echo \"$HARBINGER_EVENT_TYPE $HARBINGER_EVENT_RESOURCE\"; jq .event_data'\n"
                 "# CMD also gets HARBINGER_EVENT_ID, _DIGEST, _REPOSITORY, _ACTOR, HARBINGER_DELIVERY, "
                 "HARBINGER_ATTEMPT.\n",
     .run = run_listen},
    {0},
};
