// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/stops.h"

#include "base/buf.h"
#include "store/settings.h"
#include "store/sqlite/state.h"
#include "store/stops.h"

enum { STOPS_ARENA_BYTES = 16 * 1024, STOPS_TEXT_BYTES = 64 + STOPS_MAX * 48 };

#define KEY_RAN "ran" // "NOW FROM-TO FROM-TO", in microseconds

// Shorter ones do not matter beside days, and a kill leaves the time since the last note untold.
static const int64_t SHORTEST_US = 30 * 60 * US_PER_S;

static void add(struct stops *stops, int64_t from_us, int64_t to_us) {
  if (stops->len ==
      STOPS_MAX) { // the oldest is forgotten: it is the least likely to be within a span that is asked for
    memmove(&stops->list[0], &stops->list[1], (STOPS_MAX - 1) * sizeof(stops->list[0]));
    stops->len--;
  }
  stops->list[stops->len].from_us = from_us;
  stops->list[stops->len++].to_us = to_us;
}

// What cannot be read is none: then a stop counts as time like any other.
static int64_t read_text(struct str text, struct stops *stops) {
  int64_t ran_us, from_us, to_us;
  struct str word, from;

  if (!str_next(&text, ' ', &word) || !str_to_i64(word, &ran_us))
    return 0;
  while (str_next(&text, ' ', &word)) {
    if (str_next(&word, '-', &from) && str_to_i64(from, &from_us) && str_to_i64(word, &to_us) && from_us < to_us)
      add(stops, from_us, to_us);
  }
  return ran_us;
}

int stops_read(struct store *store, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(STOPS_ARENA_BYTES);
  int64_t now_us = clock_wall_us(store->clock);
  struct str text;

  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "no memory to open the store");
  int rc = setting_get(store->conn, KEY_RAN, arena, &text, err);
  if (rc != 0 || !text.ptr)
    return rc;
  int64_t ran_us = read_text(text, &store->stops);
  if (ran_us > 0 && now_us - ran_us >= SHORTEST_US)
    add(&store->stops, ran_us, now_us);
  return 0;
}

int stops_note(struct store_conn *conn, struct error *err) {
  const struct stops *stops = &conn->store->stops;
  struct buf text;

  buf_init(&text, STOPS_TEXT_BYTES);
  buf_printf(&text, "%lld", (long long)clock_wall_us(conn->store->clock));
  for (size_t i = 0; i < stops->len; i++)
    buf_printf(&text, " %lld-%lld", (long long)stops->list[i].from_us, (long long)stops->list[i].to_us);
  int rc = text.failed ? error_set(err, ERR_NO_MEMORY, "no memory to note that the program runs")
                       : setting_put(conn, KEY_RAN, buf_str(&text), err);
  buf_free(&text);
  return rc;
}

int64_t store_ran_since(const struct store *store, int64_t now_us, int64_t span_us) {
  const struct stops *stops = &store->stops;
  int64_t at_us = now_us;

  for (size_t i = stops->len; i-- > 0;) {
    int64_t from_us = stops->list[i].from_us, to_us = stops->list[i].to_us;
    if (from_us >= at_us)
      continue; // the clock was set back
    if (to_us < at_us) {
      if (at_us - to_us >= span_us)
        break;
      span_us -= at_us - to_us;
    }
    at_us = from_us;
  }
  return at_us - span_us;
}

int64_t store_ran_us(const struct store *store, int64_t from_us, int64_t to_us) {
  const struct stops *stops = &store->stops;
  int64_t ran_us = to_us - from_us;

  for (size_t i = 0; i < stops->len; i++) {
    int64_t begin_us = stops->list[i].from_us > from_us ? stops->list[i].from_us : from_us;
    int64_t end_us = stops->list[i].to_us < to_us ? stops->list[i].to_us : to_us;
    ran_us -= end_us > begin_us ? end_us - begin_us : 0;
  }
  return ran_us > 0 ? ran_us : 0;
}
