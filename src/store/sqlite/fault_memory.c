// SPDX-License-Identifier: Apache-2.0
// Of the fault build alone: SQLite's allocations are counted, and fail, with ours.
#include <sqlite3.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/fault_memory.h"

static sqlite3_mem_methods system_memory;

static void *counted_malloc(int size) {
  return fault_memory_fails() ? NULL : system_memory.xMalloc(size);
}

static void *counted_realloc(void *old, int size) {
  return fault_memory_fails() ? NULL : system_memory.xRealloc(old, size);
}

// Before SQLite is used for the first time, as it demands.
static void __attribute__((constructor)) count_sqlite(void) {
  if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &system_memory) != SQLITE_OK)
    abort();
  sqlite3_mem_methods counted = system_memory;
  counted.xMalloc = counted_malloc;
  counted.xRealloc = counted_realloc;
  if (sqlite3_config(SQLITE_CONFIG_MALLOC, &counted) != SQLITE_OK)
    abort();
}
