// SPDX-License-Identifier: Apache-2.0
// A command per delivery: `sh -c CMD` with the body on its standard input, in a process group of its own so that a late
// one can be killed with all it started. Nothing waits: the pipe and the process' descriptor are watched by the loop.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/listen.h"

enum { MAX_VARIABLES = 4096, OWN_VARIABLES = 8, WORDS_BYTES = 160 };

struct command {
  struct list_node node;
  struct command_runner *runner;
  struct http_request *request;
  struct received received;
  struct arena *arena;    // environment
  struct str rest;        // of the body, still to be written
  struct loop_io input;   // our end of its standard input; fd -1 when closed
  struct loop_io process; // a descriptor that is readable when it has ended; fd -1 before the start
  struct loop_timer deadline;
  pid_t pid;
  bool too_late;
};

void command_runner_init(struct command_runner *runner, struct loop *loop, const char *command) {
  *runner = (struct command_runner){.loop = loop, .command = command};
  list_init(&runner->running);
  list_init(&runner->waiting);
}

// ---- its end ------------------------------------------------------------------------------------------------------------

static void close_io(struct command *command, struct loop_io *io) {
  if (io->fd < 0)
    return;
  loop_io_remove(command->runner->loop, io);
  (void)close(io->fd);
  io->fd = -1;
}

static void command_free(struct command *command) {
  close_io(command, &command->input);
  close_io(command, &command->process);
  loop_timer_cancel(command->runner->loop, &command->deadline);
  arena_free(command->arena);
  free(command);
}

static void start_next(struct command_runner *runner);

static void command_end(struct command *command, bool ok, const char *words) {
  struct command_runner *runner = command->runner;
  list_remove(&runner->running, &command->node);
  runner->on_end(runner->ctx, command->request, &command->received, ok, words);
  command_free(command);
  start_next(runner);
}

static void on_process(struct loop_io *io, uint32_t events) {
  struct command *command = CONTAINER_OF(io, struct command, process);
  char words[WORDS_BYTES];
  int status = 0;
  (void)events;
  if (waitpid(command->pid, &status, WNOHANG) != command->pid)
    return;
  if (WIFEXITED(status))
    (void)snprintf(words, sizeof words, "the command exited with %d", WEXITSTATUS(status));
  else if (command->too_late)
    (void)snprintf(words, sizeof words, "the command took longer than %d s and was killed", LISTEN_COMMAND_MS / 1000);
  else
    (void)snprintf(words, sizeof words, "the command was killed by signal %d", WTERMSIG(status));
  command_end(command, WIFEXITED(status) && WEXITSTATUS(status) == 0, words);
}

static void on_deadline(struct loop_timer *timer) {
  struct command *command = CONTAINER_OF(timer, struct command, deadline);
  command->too_late = true;
  (void)kill(-command->pid, SIGKILL); // its end comes through on_process
}

// ---- its input ----------------------------------------------------------------------------------------------------------

static void on_input(struct loop_io *io, uint32_t events) {
  struct command *command = CONTAINER_OF(io, struct command, input);
  (void)events;
  while (command->rest.len > 0) {
    ssize_t written = write(io->fd, command->rest.ptr, command->rest.len);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0 && errno == EAGAIN)
      return;
    if (written < 0)
      break; // it does not read on; what it makes of that is its exit code
    command->rest = str_from(command->rest, (size_t)written);
  }
  close_io(command, io);
}

// ---- its start ----------------------------------------------------------------------------------------------------------

// A NUL or a line end in a value would be a trap for scripts: what is no plain text is left out.
static void add_variable(struct command *command, char **variables, size_t *len, const char *name, struct str value) {
  for (size_t i = 0; i < value.len; i++)
    if ((unsigned char)value.ptr[i] < 0x20 || value.ptr[i] == 0x7f)
      return;
  struct str line = arena_printf(command->arena, "%s=%.*s", name, STR_ARG(value));
  char *copy = line.ptr ? arena_cstr(command->arena, line) : NULL;
  if (copy)
    variables[(*len)++] = copy;
}

static char **make_environment(struct command *command) {
  char **variables = arena_array(command->arena, MAX_VARIABLES + OWN_VARIABLES + 1, sizeof *variables);
  const struct received *received = &command->received;
  size_t len = 0;
  if (!variables)
    return NULL;
  for (char **variable = environ; *variable && len < MAX_VARIABLES; variable++)
    variables[len++] = *variable;
  add_variable(command, variables, &len, "HARBINGER_EVENT_TYPE", received->type);
  add_variable(command, variables, &len, "HARBINGER_EVENT_ID", received->event_id);
  add_variable(command, variables, &len, "HARBINGER_EVENT_RESOURCE", received->resource);
  add_variable(command, variables, &len, "HARBINGER_EVENT_DIGEST", received->digest);
  add_variable(command, variables, &len, "HARBINGER_EVENT_REPOSITORY", received->repository);
  add_variable(command, variables, &len, "HARBINGER_EVENT_ACTOR", received->actor);
  add_variable(command, variables, &len, "HARBINGER_DELIVERY", received->delivery);
  add_variable(command, variables, &len, "HARBINGER_ATTEMPT", received->attempt);
  return variables;
}

static int spawn(struct command *command, int input) {
  char shell[] = "sh", flag[] = "-c";
  char *text = arena_cstr(command->arena, str_of(command->runner->command));
  char *arguments[] = {shell, flag, text, NULL}, **variables = make_environment(command);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, defaults;
  if (!text || !variables)
    return ENOMEM;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  int rc = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  if (rc == 0)
    rc = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  if (rc == 0)
    rc = posix_spawnattr_setsigmask(&attributes, &none);
  if (rc == 0)
    rc = posix_spawnattr_setsigdefault(&attributes, &defaults);
  if (rc == 0)
    rc = posix_spawn(&command->pid, "/bin/sh", &actions, &attributes, arguments, variables);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return rc;
}

// Watch what was spawned. When that fails it is killed and taken in at once.
static int watch(struct command *command, struct error *err) {
  char words[128];
  struct loop *loop = command->runner->loop;
  command->process.fd = (int)syscall(SYS_pidfd_open, command->pid, 0);
  int rc = 0;
  if (command->process.fd < 0)
    rc = error_set(err, ERR_IO, "cannot watch a process (Linux 5.3 or later is needed): %s", error_errno(errno, words));
  if (rc == 0)
    rc = loop_io_set(loop, &command->process, EPOLLIN, err);
  if (rc == 0)
    rc = loop_io_set(loop, &command->input, EPOLLOUT, err);
  if (rc == 0) {
    loop_timer_set(loop, &command->deadline, loop_now_us(loop) + LISTEN_COMMAND_MS * US_PER_MS);
    return 0;
  }
  (void)kill(-command->pid, SIGKILL);
  (void)waitpid(command->pid, NULL, 0);
  return rc;
}

static int command_start(struct command *command, struct error *err) {
  char words[128];
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return error_set(err, ERR_IO, "cannot make a pipe for the command: %s", error_errno(errno, words));
  command->input.fd = ends[1];
  int flags = fcntl(ends[1], F_GETFL);
  int why = fcntl(ends[1], F_SETFL, flags | O_NONBLOCK) == 0 ? spawn(command, ends[0]) : errno;
  (void)close(ends[0]);
  if (why != 0)
    return error_set(err, ERR_IO, "cannot start the command: %s", error_errno(why, words));
  return watch(command, err);
}

static void start_next(struct command_runner *runner) {
  while (runner->running.count < LISTEN_MAX_RUNNING && !list_empty(&runner->waiting)) {
    struct command *command = CONTAINER_OF(list_pop_front(&runner->waiting), struct command, node);
    struct error err = {0};
    list_push_back(&runner->running, &command->node);
    if (command_start(command, &err) == 0)
      continue;
    list_remove(&runner->running, &command->node);
    runner->on_end(runner->ctx, command->request, &command->received, false, err.text);
    command_free(command);
  }
}

bool command_runner_start(struct command_runner *runner, struct http_request *request,
                          const struct received *received) {
  if (runner->waiting.count >= LISTEN_MAX_WAITING)
    return false;
  struct command *command = calloc(1, sizeof *command);
  if (!command)
    return false;
  *command = (struct command){
      .runner = runner,
      .request = request,
      .received = *received,
      .arena = arena_new(1024 * 1024),
      .rest = request->body,
      .input = {.fd = -1, .on_ready = on_input},
      .process = {.fd = -1, .on_ready = on_process},
      .deadline.on_fire = on_deadline,
  };
  if (!command->arena) {
    free(command);
    return false;
  }
  list_push_back(&runner->waiting, &command->node);
  start_next(runner);
  return true;
}

void command_runner_stop(struct command_runner *runner) {
  for (struct list_node *node; (node = list_pop_front(&runner->waiting));)
    command_free(CONTAINER_OF(node, struct command, node));
  for (struct list_node *node; (node = list_pop_front(&runner->running));) {
    struct command *command = CONTAINER_OF(node, struct command, node);
    (void)kill(-command->pid, SIGKILL);
    (void)waitpid(command->pid, NULL, 0);
    command_free(command);
  }
}
