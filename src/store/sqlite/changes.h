// SPDX-License-Identifier: Apache-2.0
// What a transaction changes in the writer's memory besides the file: notices of new deliveries, counters, caches. Kept
// apart until the commit, taken back with the savepoint of an item that fails. The writer's thread only.
#ifndef HARBINGER_STORE_SQLITE_CHANGES_H
#define HARBINGER_STORE_SQLITE_CHANGES_H

#include "event/event.h"
#include "store/sqlite/conn.h"

enum {
  CHANGES_MAX_NOTICES = 4096, // of one commit; above it they are dropped: the store is the truth
  CHANGES_MAX_NEWS = 64,      // policies of one commit; above it all are meant
  SOURCE_KIND_COUNT = SOURCE_JOB + 1,
};

// Plain values: copied before an item and put back when it fails.
struct change_counts {
  size_t notices;
  int64_t waiting;       // deliveries that began to wait less those that ended
  int64_t oldest_due_us; // INT64_MAX: none came
  bool policies;         // the policy generation rises
  bool cache;            // the policy cache has seen uncommitted rows
  bool known;            // the memory of projects has seen uncommitted rows
  bool seen;             // a bucket of seen keys was made or dropped
  bool cancelled;        // rows for the cancel sweep
  bool reordering;       // targets whose strict order was switched
  size_t news;
  bool news_of_all; // more policies than there is room for
  uint32_t events[EVENT_TYPE_COUNT][SOURCE_KIND_COUNT];
};

struct changes {
  struct delivery_notice notices[CHANGES_MAX_NOTICES];
  struct policy_news news[CHANGES_MAX_NEWS];
  struct change_counts counts;
};

void changes_clear(struct changes *changes);
// Put the counts back to `before` and drop from the caches what the failed part may have left there.
void changes_undo(struct store_conn *conn, const struct change_counts *before);

// For the domain functions. On a reader's connection they do nothing (its statement fails before).
void change_delivery(struct store_conn *conn, const struct delivery_notice *notice); // one more waits
void change_notice(struct store_conn *conn, const struct delivery_notice *notice);   // it was held and may be sent
void change_reordering(struct store_conn *conn);                                     // rows for that sweep
void change_waiting(struct store_conn *conn, int64_t by);
void change_policies(struct store_conn *conn);                              // also drops the compiled policies
void change_news(struct store_conn *conn, int64_t policy_id, bool deleted); // of the deliveries of a policy
void change_news_of_project(struct store_conn *conn, int64_t project_id);   // it went with its policies
void change_cancelled(struct store_conn *conn);
void change_event(struct store_conn *conn, const struct event *event);

#endif
