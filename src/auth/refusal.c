// SPDX-License-Identifier: Apache-2.0
#include "auth/refusal.h"

#include "store/settings.h"

enum { REFUSAL_ARENA_BYTES = 4096 };

struct refusal {
  struct store_write write;
  struct arena *arena;
  struct audit_entry entry;
};

static int refusal_apply(struct store_conn *conn, struct store_write *write, struct error *err) {
  return audit_add(conn, &CONTAINER_OF(write, struct refusal, write)->entry, err);
}

static void refusal_done(struct store_write *write) {
  arena_free(CONTAINER_OF(write, struct refusal, write)->arena); // the refusal lies in it
}

// The name is told only of users that exist: people type their password into the wrong field.
static struct str subject_of(const struct http_request *request, struct str name, int64_t others, struct arena *arena) {
  bool token = str_starts_c(http_head_get(request->head, "Authorization"), "Bearer ");
  struct str nobody = token ? STR("an unknown or expired token") : STR("an unknown user");
  struct str subject = name.len > 0 ? name : nobody;

  if (others == 0)
    return arena_str(arena, subject);
  return arena_printf(arena, "%.*s, and %lld failures before it", STR_ARG(subject), (long long)others);
}

static struct refusal *refusal_new(const struct http_request *request, struct str name, int64_t at_us, int64_t others) {
  char address[ADDRESS_TEXT_BYTES];
  struct arena *arena = arena_new(REFUSAL_ARENA_BYTES);
  struct refusal *refusal = arena ? ARENA_NEW(arena, struct refusal) : NULL;

  if (!refusal) {
    arena_free(arena);
    return NULL;
  }
  refusal->write = (struct store_write){.apply = refusal_apply, .done = refusal_done};
  refusal->arena = arena;
  refusal->entry = (struct audit_entry){
      .at_us = at_us,
      .actor = STR("anonymous"),
      .address = arena_str(arena, str_of(address_write(&request->peer, address))),
      .request_id = arena_str(arena, request->request_id),
      .operation = STR("login refused"),
      .kind = STR("session"),
      .subject = subject_of(request, name, others, arena),
  };
  if (refusal->entry.address.ptr && refusal->entry.request_id.ptr && refusal->entry.subject.ptr)
    return refusal;
  arena_free(arena);
  return NULL;
}

void auth_note_refusal(struct auth *auth, struct store *store, const struct http_request *request, struct str name,
                       int64_t at_us) {
  int64_t others;

  if (!auth_failure_is_news(auth, name, &request->peer, &others))
    return;
  struct refusal *refusal = refusal_new(request, name, at_us, others);
  if (refusal && store_submit(store, &refusal->write, NULL) != 0)
    arena_free(refusal->arena);
}
