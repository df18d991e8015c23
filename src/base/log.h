// SPDX-License-Identifier: Apache-2.0
// The log: one line per record to stderr, plain or JSON, level settable at run time, request id on each line that
// belongs to a request. Values are escaped so that no input can forge a line. A `struct log` is shared by all threads
// (one write(2) per line); app/ owns it. Secrets are never handed to it.
#ifndef HARBINGER_BASE_LOG_H
#define HARBINGER_BASE_LOG_H

#include <stdatomic.h>

#include "base/clock.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log {
  const struct clock *clock;
  int fd;
  bool json;
  _Atomic int level;
};

void log_init(struct log *log, const struct clock *clock, int fd, bool json, enum log_level level);
void log_set_level(struct log *log, enum log_level level);
bool log_level_read(struct str name, enum log_level *level); // debug, info, warn, error
const char *log_level_name(enum log_level level);
bool log_enabled(const struct log *log, enum log_level level);

// For a line that a trouble would repeat for each request or delivery: the first is written, and then one in LOG_PACE_MS.
// Zeroed at first; any thread.
enum { LOG_PACE_MS = 10000 };
struct log_pace {
  _Atomic int64_t next_us; // monotonic
};
bool log_pace(const struct log *log, struct log_pace *pace); // may this one be written? NULL `log`: no

// `room`: "dispatch", "net" ...; `request_id` may be empty. The message says what happened to what.
// A NULL `log` is allowed and drops the line (unit tests).
void log_write(const struct log *log, enum log_level level, const char *room, struct str request_id, const char *fmt,
               ...) PRINTF_LIKE(5, 6);

#define log_debug(log, room, ...)                                  \
  do {                                                             \
    if (log_enabled((log), LOG_DEBUG))                             \
      log_write((log), LOG_DEBUG, (room), STR_EMPTY, __VA_ARGS__); \
  } while (0)
#define log_info(log, room, ...) log_write((log), LOG_INFO, (room), STR_EMPTY, __VA_ARGS__)
#define log_warn(log, room, ...) log_write((log), LOG_WARN, (room), STR_EMPTY, __VA_ARGS__)
#define log_error(log, room, ...) log_write((log), LOG_ERROR, (room), STR_EMPTY, __VA_ARGS__)

#endif
