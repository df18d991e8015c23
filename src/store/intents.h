// SPDX-License-Identifier: Apache-2.0
// Intents: changes of the registry behind us that were begun and are not settled (registry/change.h says when each function is
// called). There is at most one of a (project, repository, reference). See store.h; inside a store_write but for intent_list.
#ifndef HARBINGER_STORE_INTENTS_H
#define HARBINGER_STORE_INTENTS_H

#include "event/event.h"
#include "store/store.h"

enum intent_kind { INTENT_PUT, INTENT_DELETE }; // as stored

struct intent {
  int64_t id; // given by intent_open
  enum intent_kind kind;
  struct str project, repository;
  struct str reference; // a tag, or the digest of a change by digest
  struct str digest;    // PUT: of the manifest; DELETE by digest: of what goes; DELETE of a tag: empty
  struct str before;    // what the reference led to before; empty: to nothing
  bool existed;         // the catalogue knew the digest before
  int forwards;         // so often it may have been forwarded
  bool told;            // its event is committed
  int64_t opened_us;
  struct event event;
};

// Insert it. `before` and `existed` are filled in from the catalogue; the text of `before` is put into the arena.
// ERR_CONFLICT when one of this reference is open.
int intent_open(struct store_conn *conn, struct intent *intent, struct arena *arena, struct error *err) MUST_CHECK;
// What the upstream says of `before`, and how often it may have been forwarded, whenever that differs from the row.
int intent_forward(struct store_conn *conn, int64_t id, struct str before, int forwards, struct error *err) MUST_CHECK;
// Its event is being committed by the same store_write, but a forward may still come: the row stays.
int intent_told(struct store_conn *conn, int64_t id, struct error *err) MUST_CHECK;
// It is settled: the row goes. One that is not there is fine.
int intent_close(struct store_conn *conn, int64_t id, struct error *err) MUST_CHECK;
// The next open ones with an id above `after`, at most `max`, in the order in which they were opened. From any connection.
int intent_list(struct store_conn *conn, int64_t after, size_t max, struct arena *arena, struct intent **out,
                size_t *len, struct error *err) MUST_CHECK;

// The upstream says that a tag leads to `digest` now, which no event told: the catalogue says so too. Makes the artifact when
// it is unknown; its facts are asked for later.
int intent_tag_found(struct store_conn *conn, struct str project, struct str repository, struct str tag,
                     struct str digest, struct error *err) MUST_CHECK;

#endif
