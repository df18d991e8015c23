// SPDX-License-Identifier: Apache-2.0
// SQLite's own page cache with one habit mended. When SQLite has split a page of an index it puts the parts in order by
// giving one of them, for a moment, the number of a page that no file has (that of the lock byte, at one gigabyte). Its
// cache takes that for its greatest page, and then walks through all it holds at each commit to drop what lies behind the
// end of the file: as many misses of the processor's cache as there are pages, a twentieth of the time of an event. Here
// that moment's number is 0, which no page has either. Process-wide; inside store/sqlite/ only.
#ifndef HARBINGER_STORE_SQLITE_PAGE_CACHE_H
#define HARBINGER_STORE_SQLITE_PAGE_CACHE_H

// Any thread, any number of times; without effect once SQLite has begun in this process.
void page_cache_install(void);

#endif
