// SPDX-License-Identifier: Apache-2.0
// What the files of registry/change*.c share. An `ask` is what one client wants; a `work` is what is being done to one
// reference (its intent, with the asks that go with it); a `place` is a repository with asks or works. An ask waits in its
// place until nothing before it is in its way (change_place.c), then opens a work or joins one (change_work.c), is
// forwarded (change_call.c) and ends when its work is told (change_write.c) or cannot be. A work lives until its row is gone:
// longer than its asks, when no answer said what became of it (change_settle.c). Serve loop only; a work's `write` belongs to
// the writer between store_submit and the return of its task.
#ifndef HARBINGER_REGISTRY_CHANGE_INTERNAL_H
#define HARBINGER_REGISTRY_CHANGE_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "registry/change.h"
#include "store/intents.h"

enum {
  CHANGE_STORE_RETRY_MS = 1000, // the store is broken: the same commit again
  CHANGE_SETTLE_AT_ONCE = 8,    // questions of the settler
  CHANGE_SETTLE_FIRST_MS = 100, // between two questions about one work, doubling to the next
  CHANGE_SETTLE_SLOWEST_MS = 5000,
  CHANGE_DOWN_FIRST_MS = 500, // the upstream does not answer: no question of the settler, doubling to the next
  CHANGE_DOWN_SLOWEST_MS = 30000,
  CHANGE_QUESTION_TIMEOUT_MS = 10000,
  CHANGE_PLATFORM_TIMEOUT_MS = 250, // so long an event waits for its image's platform
  CHANGE_MAX_GAPS = 1024,           // events that wait for the store to come back
  CHANGE_MAX_BODY_BYTES = 4 * 1024 * 1024,
  CHANGE_ANSWER_BYTES = 64 * 1024, // kept of the upstream's
  CHANGE_STORE_ARENA_BYTES = 64 * 1024,
};

struct place {
  struct changes *changes;
  struct list works;   // struct work by `node`
  struct list waiting; // struct ask by `node`, in the order in which they came
  struct str key;      // "project/repository"; the text follows the struct
};

enum ask_state {
  ASK_WAITING,   // in place->waiting
  ASK_READY,     // in work->asks, not forwarded yet
  ASK_FORWARDED, // in work->asks, `call` runs
  ASK_ANSWERED,  // in work->asks: 2xx, and its event is not committed yet
  ASK_ENDED,     // in changes->ended: on_done is next
};

struct ask {
  struct list_node node;
  struct list_node all; // changes->asks
  struct changes *changes;
  struct place *place; // while waiting
  struct work *work;
  struct arena *arena;
  struct change_order order; // copies, in the arena
  struct str reference;      // view of order.tag or order.digest
  struct str config_digest;  // of an image whose platform its configuration tells; empty: none
  enum ask_state state;
  struct loop_timer due; // waited too long
  struct http_call *call;
  int64_t forwarded_us;
  struct change_result result;
  struct http_result answer;
  struct http_head head; // of the answer
  void (*on_done)(void *ctx, const struct change_result *result);
  void *ctx;
};

enum question_about { ASK_BEFORE, ASK_REFERENCE, ASK_DIGEST, ASK_GONE };

enum work_write { WRITE_NONE, WRITE_OPEN, WRITE_FORWARD, WRITE_TELL, WRITE_CLOSE };

struct work {
  struct list_node node; // place->works, or changes->gaps once `detached`
  struct list_node all;  // changes->works
  struct changes *changes;
  struct place *place; // NULL when detached
  struct arena *arena;
  struct intent row; // id 0: the store has none
  struct list asks;
  bool whole;            // it holds up the whole repository
  bool opening;          // the row is being committed, the upstream asked for `before`
  bool detached;         // settled but for the store, which is broken: nobody waits for it
  bool stuck;            // the store could not take it, and gateway.on_store_failure is pass
  struct error open_err; // code 0: none
  int stored_forwards;
  struct str before; // what the upstream says; row.before what the store holds
  bool before_known;

  // The forwards of it, by what became of them:
  int forwarded; // in all
  int under_way;
  int agreed;            // 2xx
  int unclear;           // answered, neither yes nor no
  int lost;              // no answer: it may still come to pass ...
  int64_t hold_until_us; // ... until then (monotonic)

  bool happened, inferred;
  bool refuted;          // it did not happen and cannot any more
  bool gone_known, gone; // delete of a tag: whether the artifact went with it
  struct str found;      // PUT: the tag leads elsewhere by now

  struct url url_reference, url_digest, url_config; // views into the arena
  struct http_call *question;
  enum question_about about;
  bool by_get;            // the upstream's HEAD tells no digest
  bool question_final;    // asked when no forward could come to pass any more
  bool asking;            // one of the settler's questions at once
  struct list_node ready; // changes->ready: waits for its turn to ask
  int64_t next_question_us, pause_ms;
  struct http_call *platform;
  struct str learned_platform;

  struct loop_timer due;
  enum work_write writing;
  struct arena *store_arena; // the writer's: what the store says of `before`
  bool close_too;            // WRITE_TELL: the row goes with it
  struct store_write write;
  struct loop_task written;
};

struct change_metrics {
  struct metric *told, *unchanged, *inferred, *refused, *open, *gaps, *gaps_lost, *unsettled;
};

struct changes {
  struct changes_config config;
  struct loop *loop;
  struct http_client *client;
  struct store *store;
  const struct log *log;
  struct arena *arena;           // the configuration's text
  struct http_header headers[4]; // of every question
  size_t headers_len;
  struct map *places; // by key
  struct list asks, ended;
  struct list works;
  struct loop_timer end_due; // set while `ended` holds something

  struct list ready; // works that wait for the settler's turn
  int questions;     // of the settler, running
  int64_t down_until_us, down_ms;

  struct list gaps; // works, in the order in which they happened
  struct loop_timer gap_due;
  bool in_gap; // the store is away: said once
  size_t gap_count;
  struct log_pace gap_pace;

  int writes; // in the store's hands
  bool draining, freeing;
  void (*on_drained)(void *ctx);
  void *drained_ctx;
  struct change_metrics metrics;
};

// ---- change.c -----------------------------------------------------------------------------------------------------------

// It is over: on_done from the loop's next round. With rc 0 the answer was kept by ask_keep_answer.
void ask_end(struct ask *ask, int rc, const struct error *err, bool may_have_happened);
int64_t changes_now_us(const struct changes *changes);
void changes_look_drained(struct changes *changes);

// ---- change_place.c -----------------------------------------------------------------------------------------------------

struct place *place_of(struct changes *changes, struct str project, struct str repository, struct error *err)
    MUST_CHECK;
void place_add(struct place *place, struct ask *ask);
// Lets go what nothing is in the way of. Frees a place with nothing in it.
void place_turn(struct place *place);
void places_free(struct changes *changes);

// ---- change_work.c ------------------------------------------------------------------------------------------------------

// For an ask that nothing is in the way of.
void work_open(struct ask *ask);
void work_join(struct work *work, struct ask *ask);
bool work_takes(const struct work *work, const struct ask *ask);
struct work *work_new(struct changes *changes, struct error *err) MUST_CHECK;
int work_urls(struct work *work, struct error *err) MUST_CHECK;
void work_place(struct work *work, struct place *place);
void work_step(struct work *work); // what is next; may free it
// Opening has come one step further: the row, or the upstream's word.
void work_opened(struct work *work);
void work_free(struct work *work);
bool work_is_final(const struct work *work); // no forward can come to pass any more
// Whether the artifact went with a tag could not be asked: again in a moment; nobody waits for it.
void work_ask_gone_later(struct work *work, const struct error *why);
void work_end_asks(struct work *work, enum ask_state state, int rc, const struct error *err); // those in that state

// ---- change_call.c ------------------------------------------------------------------------------------------------------

void call_forward(struct ask *ask);
// 0 or the reason why it could not even be asked. The answer comes to work_heard.
int call_ask(struct work *work, enum question_about about, struct error *err) MUST_CHECK;
void call_ask_platform(struct work *work); // url_config is set

// ---- change_settle.c ----------------------------------------------------------------------------------------------------

// The answer of a question: `digest` empty when the upstream has nothing there. `rc` not 0: it did not say.
void work_heard(struct work *work, int rc, struct str digest, const struct error *err);
// It is not known what became of it: asks when it is time to.
void settle_want(struct work *work);
void settle_soon(struct work *work);   // something has become of a forward: what was asked before does not count
void settle_forget(struct work *work); // it asks no more
int settle_recover(struct changes *changes, struct error *err) MUST_CHECK;

// ---- change_write.c -----------------------------------------------------------------------------------------------------

void write_open(struct work *work);
void write_forward(struct work *work);
void write_tell(struct work *work);
void write_close(struct work *work);
void write_told(const struct work *work); // its event is committed: who wants to know hears of it

// ---- change_gap.c -------------------------------------------------------------------------------------------------------

bool gap_is_open(const struct changes *changes);
void gap_note(struct changes *changes, const struct error *err);
void gap_add(struct work *work); // takes it out of its place; may free it
void gap_settled(struct work *work, bool written);
void gap_fire(struct loop_timer *due);

#endif
