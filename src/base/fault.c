// SPDX-License-Identifier: Apache-2.0
// Of the fault build alone: scripts/list-sources keeps it out of the release. Its state is global, because a fault point
// stands anywhere and what the environment asks for holds for the whole process.
#include "base/fault.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

enum fault_kind { FAULT_KIND_POINT, FAULT_KIND_PLANT };

struct fault {
  const char *name;
  enum fault_kind kind;
};

// Every fault point and planted defect of the program: tests/crash/ kills once at each point.
static const struct fault FAULTS[] = {
    // From an envelope to its answer.
    {"ingest.read", FAULT_KIND_POINT},
    {"ingest.submitted", FAULT_KIND_POINT},
    {"store.group.begun", FAULT_KIND_POINT},
    {"store.item.applied", FAULT_KIND_POINT},
    {"store.commit.before", FAULT_KIND_POINT},
    {"store.commit.after", FAULT_KIND_POINT},
    {"store.published", FAULT_KIND_POINT},
    {"ingest.answer.before", FAULT_KIND_POINT},
    {"http.answer.written", FAULT_KIND_POINT},
    // From the commit to the receiver and back.
    {"dispatch.notice.before", FAULT_KIND_POINT},
    {"dispatch.notice.after", FAULT_KIND_POINT},
    {"dispatch.claimed", FAULT_KIND_POINT},
    {"dispatch.loaded", FAULT_KIND_POINT},
    {"client.first_byte.before", FAULT_KIND_POINT},
    {"client.request.sent", FAULT_KIND_POINT},
    {"dispatch.answer.read", FAULT_KIND_POINT},
    {"dispatch.record.submitted", FAULT_KIND_POINT},
    {"store.attempt.applied", FAULT_KIND_POINT},
    {"dispatch.recorded", FAULT_KIND_POINT},
    // A change of the registry behind us, from the intent to the answer.
    {"change.opened", FAULT_KIND_POINT},
    {"change.forward.before", FAULT_KIND_POINT},
    {"change.forward.begun", FAULT_KIND_POINT},
    {"change.answered", FAULT_KIND_POINT},
    {"change.tell.before", FAULT_KIND_POINT},
    {"change.told", FAULT_KIND_POINT},
    {"change.answer.before", FAULT_KIND_POINT},
    {"change.settle.asked", FAULT_KIND_POINT},
    {"change.settle.heard", FAULT_KIND_POINT},
    {"change.closed", FAULT_KIND_POINT},
    // What else writes.
    {"store.checkpoint.before", FAULT_KIND_POINT},
    {"store.checkpoint.after", FAULT_KIND_POINT},
    {"store.move.before", FAULT_KIND_POINT},
    {"store.move.after", FAULT_KIND_POINT},
    {"store.sweep.stepped", FAULT_KIND_POINT},
    {"store.migration.between", FAULT_KIND_POINT},
    {"api.policy.deleted", FAULT_KIND_POINT},
    {"api.policy.cancelled", FAULT_KIND_POINT},
    // Defects that the tests must find.
    {"answer_before_commit", FAULT_KIND_PLANT},
    {"close_before_answer", FAULT_KIND_PLANT},
    {"synchronous_off", FAULT_KIND_PLANT},
    {"forget_intents", FAULT_KIND_PLANT},
    {"drop_notices", FAULT_KIND_PLANT}, // no defect: the store is the truth
};

enum { FAULTS_LEN = ARRAY_LEN(FAULTS), LINGER_MS = 5 };

// Layout of struct fault_control, read while another process writes it.
struct live_control {
  _Atomic int64_t clock_offset_us;
  _Atomic int32_t disk, sync, read;
};
_Static_assert(sizeof(struct live_control) == sizeof(struct fault_control), "the layout is a contract");

static struct {
  pthread_once_t once;
  atomic_bool any; // a point is armed or a defect planted
  bool planted[FAULTS_LEN];
  _Atomic int64_t passes_left[FAULTS_LEN]; // 0: not armed
  const struct live_control *control;      // NULL: none
} faults = {.once = PTHREAD_ONCE_INIT};

static void NORETURN refuse(const char *what, struct str words) {
  (void)fprintf(stderr, "harbinger-faults: %s: %.*s\n", what, STR_ARG(words));
  exit(2);
}

static size_t index_of(struct str name) {
  for (size_t i = 0; i < FAULTS_LEN; i++) {
    if (str_eq_c(name, FAULTS[i].name))
      return i;
  }
  refuse("no fault has this name (`harbinger-faults faults` lists them)", name);
}

static void arm(struct str words) {
  struct str rest = words, name, action;
  int64_t passes = 1;

  if (!str_next(&rest, '=', &name) || !str_next(&rest, '@', &action))
    refuse("HARBINGER_FAULTS wants NAME=kill@COUNT or NAME=plant", words);
  size_t at = index_of(name);
  if (rest.ptr && rest.len > 0 && (!str_to_i64(rest, &passes) || passes < 1))
    refuse("HARBINGER_FAULTS: no count", words);
  if (str_eq_c(action, "kill") && FAULTS[at].kind == FAULT_KIND_POINT)
    atomic_store(&faults.passes_left[at], passes);
  else if (str_eq_c(action, "plant") && FAULTS[at].kind == FAULT_KIND_PLANT)
    faults.planted[at] = true;
  else
    refuse("HARBINGER_FAULTS: a point takes `kill`, a defect `plant`", words);
  atomic_store(&faults.any, true);
}

static void map_control(const char *path) {
  struct stat stat;
  int fd = open(path, O_RDONLY | O_CLOEXEC);

  if (fd < 0 || fstat(fd, &stat) != 0 || stat.st_size < FAULT_CONTROL_BYTES)
    refuse("HARBINGER_FAULT_CONTROL: cannot be opened, or is shorter than 4096 bytes", str_of(path));
  void *page = mmap(NULL, FAULT_CONTROL_BYTES, PROT_READ, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED)
    refuse("HARBINGER_FAULT_CONTROL: cannot be mapped", str_of(path));
  (void)close(fd);
  faults.control = page;
}

static void read_environment(void) {
  const char *asked = getenv("HARBINGER_FAULTS"), *path = getenv("HARBINGER_FAULT_CONTROL");
  struct str rest = str_of(asked), words;

  while (rest.len > 0 && str_next(&rest, ',', &words))
    arm(words);
  if (path && path[0])
    map_control(path);
}

static void begin(void) {
  if (pthread_once(&faults.once, read_environment) != 0)
    abort();
}

void fault_point(const char *name) {
  begin();
  if (!atomic_load_explicit(&faults.any, memory_order_relaxed))
    return;
  size_t at = index_of(str_of(name));
  if (atomic_load(&faults.passes_left[at]) == 0 || atomic_fetch_sub(&faults.passes_left[at], 1) != 1)
    return;
  (void)kill(getpid(), SIGKILL);
  for (;;) // the kernel ends every thread; none may go one step further
    (void)pause();
}

bool fault_planted(const char *name) {
  begin();
  return atomic_load_explicit(&faults.any, memory_order_relaxed) && faults.planted[index_of(str_of(name))];
}

void fault_linger(void) {
  (void)poll(NULL, 0, LINGER_MS);
}

int64_t fault_clock_offset_us(void) {
  begin();
  return faults.control ? atomic_load_explicit(&faults.control->clock_offset_us, memory_order_relaxed) : 0;
}

int fault_disk_errno(void) {
  begin();
  return faults.control ? atomic_load(&faults.control->disk) : 0;
}

int fault_sync_errno(void) {
  begin();
  if (!faults.control)
    return 0;
  int disk = atomic_load(&faults.control->disk);
  return disk ? disk : atomic_load(&faults.control->sync);
}

int fault_read_errno(void) {
  begin();
  return faults.control ? atomic_load(&faults.control->read) : 0;
}

void fault_print_names(FILE *out) {
  for (size_t i = 0; i < FAULTS_LEN; i++)
    (void)fprintf(out, "%s %s\n", FAULTS[i].kind == FAULT_KIND_POINT ? "point" : "plant", FAULTS[i].name);
}
