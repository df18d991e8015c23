// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/changes.h"

#include "store/sqlite/known.h"
#include "store/sqlite/matching.h"
#include "store/sqlite/seen.h"

void changes_clear(struct changes *changes) {
  changes->counts = (struct change_counts){.oldest_due_us = INT64_MAX};
}

void changes_undo(struct store_conn *conn, const struct change_counts *before) {
  struct change_counts *now = &conn->changes->counts;

  // A cache may hold rows of the part that is taken back; reading them again is cheap and rare.
  if (now->policies || now->cache)
    policy_cache_clear(conn->policies);
  if (now->known)
    known_undo(conn->known);
  if (now->seen)
    seen_forget(conn->seen);
  *now = *before;
}

void change_delivery(struct store_conn *conn, const struct delivery_notice *notice) {
  struct changes *changes = conn->changes;

  if (!changes)
    return;
  changes->counts.waiting++;
  if (notice->due_us < changes->counts.oldest_due_us)
    changes->counts.oldest_due_us = notice->due_us;
  change_notice(conn, notice);
}

void change_notice(struct store_conn *conn, const struct delivery_notice *notice) {
  struct changes *changes = conn->changes;

  if (changes && changes->counts.notices < CHANGES_MAX_NOTICES)
    changes->notices[changes->counts.notices++] = *notice;
}

void change_waiting(struct store_conn *conn, int64_t by) {
  if (conn->changes)
    conn->changes->counts.waiting += by;
}

void change_policies(struct store_conn *conn) {
  if (!conn->changes)
    return;
  conn->changes->counts.policies = true;
  policy_cache_clear(conn->policies);
}

static void add_news(struct store_conn *conn, struct policy_news news) {
  struct changes *changes = conn->changes;

  if (!changes || changes->counts.news_of_all)
    return;
  // The last ones first: a group is mostly about few policies. A deletion has a row of its own, so that taking it back
  // takes back nothing else.
  for (size_t i = changes->counts.news; i > 0; i--) {
    const struct policy_news *old = &changes->news[i - 1];
    if (old->policy_id == news.policy_id && old->project_id == news.project_id && old->deleted == news.deleted)
      return;
  }
  if (changes->counts.news == CHANGES_MAX_NEWS)
    changes->counts.news_of_all = true;
  else
    changes->news[changes->counts.news++] = news;
}

void change_news(struct store_conn *conn, int64_t policy_id, bool deleted) {
  add_news(conn, (struct policy_news){.policy_id = policy_id, .deleted = deleted});
}

void change_news_of_project(struct store_conn *conn, int64_t project_id) {
  add_news(conn, (struct policy_news){.project_id = project_id, .deleted = true});
}

void change_cancelled(struct store_conn *conn) {
  if (conn->changes)
    conn->changes->counts.cancelled = true;
}

void change_reordering(struct store_conn *conn) {
  if (conn->changes)
    conn->changes->counts.reordering = true;
}

void change_event(struct store_conn *conn, const struct event *event) {
  if (conn->changes && (unsigned)event->type < EVENT_TYPE_COUNT && (unsigned)event->source.kind < SOURCE_KIND_COUNT)
    conn->changes->counts.events[event->type][event->source.kind]++;
}
