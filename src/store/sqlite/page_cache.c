// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/page_cache.h"

#include <pthread.h>
#include <sqlite3.h>

enum { LOCK_BYTE = 0x40000000, PAGE_BYTES = 4096, LOCK_BYTE_PAGE = LOCK_BYTE / PAGE_BYTES + 1 };

// Written once, at the first call.
static struct {
  pthread_once_t once;
  sqlite3_pcache_methods2 under, mended;
} cache = {.once = PTHREAD_ONCE_INIT};

static unsigned number_of(unsigned page) {
  return page == LOCK_BYTE_PAGE ? 0 : page;
}

static void rekey(sqlite3_pcache *pages, sqlite3_pcache_page *page, unsigned from, unsigned to) {
  cache.under.xRekey(pages, page, number_of(from), number_of(to));
}

static void install(void) {
  if (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &cache.under) != SQLITE_OK)
    return;
  cache.mended = cache.under;
  cache.mended.xRekey = rekey;
  (void)sqlite3_config(SQLITE_CONFIG_PCACHE2, &cache.mended); // copied
}

void page_cache_install(void) {
  (void)pthread_once(&cache.once, install);
}
