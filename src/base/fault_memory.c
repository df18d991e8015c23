// SPDX-License-Identifier: Apache-2.0
#include "base/fault_memory.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"

enum { TRACE_DEPTH = 16 };

// Layout of struct fault_memory, written from two processes.
struct live_memory {
  _Atomic int64_t fail_at, count, failed;
};
_Static_assert(sizeof(struct live_memory) == sizeof(struct fault_memory), "the layout is a contract");
_Static_assert(FAULT_MEMORY_AT + sizeof(struct fault_memory) <= FAULT_CONTROL_BYTES, "it is in the control file");

static struct {
  pthread_once_t once;
  struct live_memory *memory; // NULL: nobody asks for it
  bool trace;
} live = {.once = PTHREAD_ONCE_INIT};

// base/fault.c refuses a file that cannot be used; here it is merely not there.
static void map_control(void) {
  const char *path = getenv("HARBINGER_FAULT_CONTROL"), *trace = getenv("HARBINGER_FAULT_TRACE");
  int fd = path && path[0] ? open(path, O_RDWR | O_CLOEXEC) : -1;

  live.trace = trace && trace[0];
  if (fd < 0)
    return;
  char *page = mmap(NULL, FAULT_CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  (void)close(fd);
  if (page != MAP_FAILED)
    live.memory = (struct live_memory *)(void *)(page + FAULT_MEMORY_AT);
}

// To standard error: whose allocation it was, as addresses for addr2line.
static void show_callers(int64_t number) {
  void *callers[TRACE_DEPTH];
  int len = backtrace(callers, TRACE_DEPTH);

  (void)dprintf(STDERR_FILENO, "allocation %lld fails:\n", (long long)number);
  backtrace_symbols_fd(callers, len, STDERR_FILENO);
}

bool fault_memory_fails(void) {
  if (pthread_once(&live.once, map_control) != 0)
    abort();
  struct live_memory *memory = live.memory;
  int64_t fail_at = memory ? atomic_load(&memory->fail_at) : 0;
  if (fail_at == 0 || atomic_fetch_add(&memory->count, 1) + 1 != fail_at)
    return false;
  (void)atomic_fetch_add(&memory->failed, 1);
  if (live.trace)
    show_callers(fail_at);
  errno = ENOMEM;
  return true;
}

// ---- what the linker sends here: NAME is __wrap_NAME, and the real one __real_NAME --------------------------------------

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size) {
  return fault_memory_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return fault_memory_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
  return fault_memory_fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size) {
  return fault_memory_fails() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text) {
  return fault_memory_fails() ? NULL : __real_strdup(text);
}
