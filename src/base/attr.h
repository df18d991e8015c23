// SPDX-License-Identifier: Apache-2.0
// Names for the compiler attributes the house uses, so that a declaration reads as a promise.
#ifndef HARBINGER_BASE_ATTR_H
#define HARBINGER_BASE_ATTR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define CLEANUP(fn) __attribute__((cleanup(fn)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

// The struct that holds `ptr` as its member `member`: for intrusive lists and heaps.
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
