// SPDX-License-Identifier: Apache-2.0
// Who waits for whom in one repository.
#include <stdlib.h>

#include "base/buf.h"
#include "registry/change_internal.h"

enum { KEY_MAX_BYTES = 2 * EVENT_MAX_NAME_BYTES + 2 };

static struct place *place_new(struct changes *changes, struct str key, struct error *err) {
  struct place *place = calloc(1, sizeof(*place) + key.len);

  if (!place) {
    (void)error_set(err, ERR_NO_MEMORY, "no memory for a change of %.*s", STR_ARG(key));
    return NULL;
  }
  char *text = (char *)(place + 1);
  memcpy(text, key.ptr, key.len);
  place->key = (struct str){text, key.len};
  place->changes = changes;
  list_init(&place->works);
  list_init(&place->waiting);
  int rc = map_put(changes->places, place->key, place);
  if (rc == 0)
    return place;
  (void)error_set(err, (enum errcode)rc, "too many repositories are being changed at once");
  free(place);
  return NULL;
}

struct place *place_of(struct changes *changes, struct str project, struct str repository, struct error *err) {
  struct buf key;

  buf_init(&key, KEY_MAX_BYTES);
  buf_put(&key, project);
  buf_put_char(&key, '/');
  buf_put(&key, repository);
  struct place *place = NULL;
  if (key.failed)
    (void)error_set(err, key.no_memory ? ERR_NO_MEMORY : ERR_INVALID, "the name of a repository is too long");
  else if (!(place = map_get(changes->places, buf_str(&key))))
    place = place_new(changes, buf_str(&key), err);
  buf_free(&key);
  return place;
}

static void place_leave(struct place *place) {
  if (!list_empty(&place->works) || !list_empty(&place->waiting))
    return;
  (void)map_remove(place->changes->places, place->key);
  free(place);
}

static bool ask_is_whole(const struct ask *ask) {
  return ask->order.kind == CHANGE_DELETE && ask->order.tag.len == 0;
}

// What is in an ask's way: nothing, one work of the same reference, or more than that.
enum obstacle { WAY_FREE, WAY_WORK, WAY_SHUT };

static enum obstacle obstacle_of(const struct place *place, const struct ask *ask, struct work **out) {
  LIST_EACH (&place->works, node, following) {
    struct work *work = CONTAINER_OF(node, struct work, node);
    if (work->whole || ask_is_whole(ask))
      return WAY_SHUT;
    if (!str_eq(work->row.reference, ask->reference))
      continue;
    *out = work;
    return WAY_WORK;
  }
  return WAY_FREE;
}

// An ask before it that still waits and is about the same: it keeps its turn, also before one that could join a work.
static bool is_behind(const struct place *place, const struct ask *ask) {
  LIST_EACH (&place->waiting, node, following) {
    const struct ask *other = CONTAINER_OF(node, struct ask, node);
    if (other == ask)
      return false;
    if (ask_is_whole(ask) || ask_is_whole(other) || str_eq(other->reference, ask->reference))
      return true;
  }
  return false;
}

static void let_go(struct place *place, struct ask *ask) {
  list_remove(&place->waiting, &ask->node);
  loop_timer_cancel(ask->changes->loop, &ask->due);
}

void place_turn(struct place *place) {
  LIST_EACH (&place->waiting, node, following) {
    struct ask *ask = CONTAINER_OF(node, struct ask, node);
    struct work *work = NULL;
    enum obstacle obstacle = obstacle_of(place, ask, &work);
    if (obstacle == WAY_SHUT && ask_is_whole(ask))
      break; // it holds up all behind it
    if (obstacle == WAY_SHUT || is_behind(place, ask))
      continue;
    if (obstacle == WAY_FREE) {
      let_go(place, ask);
      work_open(ask);
    } else if (obstacle == WAY_WORK && work_takes(work, ask)) {
      let_go(place, ask);
      work_join(work, ask);
    }
  }
  place_leave(place);
}

void place_add(struct place *place, struct ask *ask) {
  ask->place = place;
  ask->state = ASK_WAITING;
  list_push_back(&place->waiting, &ask->node);
}

void places_free(struct changes *changes) {
  size_t cursor = 0;
  struct str key;
  void *place;

  while (changes->places && map_next(changes->places, &cursor, &key, &place)) {
    (void)map_remove(changes->places, key);
    free(place);
  }
  map_free(changes->places);
}
