// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json_writer.h"
#include "base/rfc3339.h"
#include "base/utf8.h"

// A message is cut, never dropped. The line holds the worst case: six bytes of escape for each byte of the two.
enum { MESSAGE_BYTES = 2048, REQUEST_ID_BYTES = 128, LINE_BYTES = 6 * (MESSAGE_BYTES + REQUEST_ID_BYTES) + 512 };

static const char *const LEVEL_NAMES[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

void log_init(struct log *log, const struct clock *clock, int fd, bool json, enum log_level level) {
  log->clock = clock;
  log->fd = fd;
  log->json = json;
  atomic_init(&log->level, (int)level);
}

void log_set_level(struct log *log, enum log_level level) {
  atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

bool log_level_read(struct str name, enum log_level *level) {
  for (size_t i = 0; i < ARRAY_LEN(LEVEL_NAMES); i++) {
    if (str_eq_c(name, LEVEL_NAMES[i])) {
      *level = (enum log_level)i;
      return true;
    }
  }
  return false;
}

const char *log_level_name(enum log_level level) {
  return (size_t)level < ARRAY_LEN(LEVEL_NAMES) ? LEVEL_NAMES[level] : "error";
}

bool log_enabled(const struct log *log, enum log_level level) {
  return log && (int)level >= atomic_load_explicit(&log->level, memory_order_relaxed);
}

bool log_pace(const struct log *log, struct log_pace *pace) {
  if (!log)
    return false;
  int64_t now_us = clock_mono_us(log->clock), next_us = atomic_load(&pace->next_us);
  int64_t then_us = now_us + LOG_PACE_MS * US_PER_MS;
  return now_us >= next_us && atomic_compare_exchange_strong(&pace->next_us, &next_us, then_us);
}

// Characters that end a line, drive a terminal or turn the reading direction: a line shows what it is.
static bool must_escape(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x2028 || c == 0x2029 || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

static void put_plain(struct buf *line, struct str text) {
  for (size_t i = 0; i < text.len;) {
    uint32_t c;
    size_t len = utf8_next(str_from(text, i), &c);
    if (len == 0)
      buf_printf(line, "\\x%02x", (unsigned char)text.ptr[i]);
    else if (c == '\n')
      buf_put_c(line, "\\n");
    else if (must_escape(c))
      buf_printf(line, "\\u%04x", (unsigned)c);
    else
      buf_put(line, str_slice(text, i, i + len));
    i += len ? len : 1;
  }
}

static void write_plain(struct buf *line, const char *time, enum log_level level, const char *room,
                        struct str request_id, struct str message) {
  buf_printf(line, "%s %s %s", time, log_level_name(level), room);
  if (request_id.len) {
    buf_put_c(line, " [");
    put_plain(line, request_id);
    buf_put_char(line, ']');
  }
  buf_put_c(line, ": ");
  put_plain(line, message);
  buf_put_char(line, '\n');
}

static void write_json(struct buf *line, const char *time, enum log_level level, const char *room,
                       struct str request_id, struct str message) {
  struct json_writer w = json_writer_make(line, false);

  json_object_begin(&w);
  json_field_str(&w, "time", str_of(time));
  json_field_str(&w, "level", str_of(log_level_name(level)));
  json_field_str(&w, "room", str_of(room));
  json_field_str_opt(&w, "request_id", request_id);
  json_field_str(&w, "message", message);
  json_object_end(&w);
  buf_put_char(line, '\n');
}

void log_write(const struct log *log, enum log_level level, const char *room, struct str request_id, const char *fmt,
               ...) {
  char message_bytes[MESSAGE_BYTES + 4]; // spare: to see whether the cut is on a code point
  char line_bytes[LINE_BYTES];
  char time[RFC3339_BYTES];
  va_list args;

  if (!log_enabled(log, level))
    return;

  int errno_before = errno; // a log line must not change what its caller is about to report
  va_start(args, fmt);
  if (vsnprintf(message_bytes, sizeof(message_bytes), fmt, args) < 0)
    message_bytes[0] = '\0';
  va_end(args);
  struct str message = utf8_cut(str_of(message_bytes), MESSAGE_BYTES);
  request_id = utf8_cut(request_id, REQUEST_ID_BYTES);
  (void)rfc3339_write(clock_wall_us(log->clock), 3, time);

  // On the stack and already at its maximum: the log works without memory.
  struct buf line = {.ptr = line_bytes, .cap = sizeof(line_bytes), .max_bytes = sizeof(line_bytes)};
  if (log->json)
    write_json(&line, time, level, room, request_id, message);
  else
    write_plain(&line, time, level, room, request_id, message);
  while (write(log->fd, line.ptr, line.len) < 0 && errno == EINTR) {
  }
  errno = errno_before;
}
