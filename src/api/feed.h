// SPDX-License-Identifier: Apache-2.0
// Who watches the deliveries of a policy: server-sent events (HTML standard 9.2) that say when a list is worth reading
// again, never what is in it, so that a watcher costs the same however much is delivered. A watch is a stream on the
// serve loop with a bound on its life: then the client comes back and its rights are judged again. Bounded in all and per
// user. Nobody watching costs those who tell one load of an atomic.
#ifndef HARBINGER_API_FEED_H
#define HARBINGER_API_FEED_H

#include "net/http_server.h"
#include "net/loop.h"
#include "store/store.h"

enum {
  FEED_TICK_MS = 250,        // changes closer to each other than this are one event
  FEED_HEARTBEAT_MS = 15000, // a comment, so that nobody between thinks that the connection is dead
};

struct feed;
struct feed_watch;

struct feed_config {
  size_t max_watches, max_per_user;
  int64_t lifetime_ms;
};

struct feed *feed_new(const struct feed_config *config, struct error *err) MUST_CHECK;
void feed_free(struct feed *feed);                   // no watch is left: after the server and the store
void feed_run(struct feed *feed, struct loop *loop); // where the streams live; before the first watch

// Any thread: something was committed. As store_config.on_policy_news.
void feed_tell(struct feed *feed, const struct policy_news *news, size_t len, bool all);

// Any thread. Take a place; what is told from now on is not lost. ERR_TOO_MANY, ERR_NO_MEMORY. feed_begin must follow.
int feed_reserve(struct feed *feed, int64_t user_id, int64_t project_id, int64_t policy_id, struct feed_watch **out,
                 struct error *err) MUST_CHECK;
// Loop thread: answer the request with the stream. `headers` as http_respond_stream takes them. Its first event is
// `ready`: what was committed before may not be told, so that a client reads the list then. On an error (those of
// http_respond_stream) nothing was answered and the watch is gone.
int feed_begin(struct feed_watch *watch, struct http_request *request, const struct http_header *headers,
               size_t headers_len, struct error *err) MUST_CHECK;

#endif
