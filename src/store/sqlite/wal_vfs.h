// SPDX-License-Identifier: Apache-2.0
// A thin SQLite VFS for the writer's connection: what a transaction appends to the write-ahead log goes to the kernel in
// one piece. SQLite writes a frame as a header of 24 bytes and a page of its own, so that a commit of thirty events is a
// hundred calls; together they are one, for a third of the kernel's time. Nothing is promised before the sync in either
// way: the log is read by others only after its index says so, which SQLite writes after the sync (synchronous=FULL).
// Everything but the log goes to the VFS below untouched.
#ifndef HARBINGER_STORE_SQLITE_WAL_VFS_H
#define HARBINGER_STORE_SQLITE_WAL_VFS_H

// The name to open with, registered at the first call over the VFS `under` (NULL: SQLite's default one); NULL when that
// cannot be had. The first call is made before there are threads that open stores, or by one of them at a time.
const char *wal_vfs_name(const char *under);

#endif
