// SPDX-License-Identifier: Apache-2.0
// A plausible event of each type in a project, for previews of bodies and for tests of webhooks: the same contents every
// time but for id and time, complete enough that a format has something for each of its members. Receivers know one by
// its trigger, EVENT_SAMPLE_TRIGGER. It never happened: it has no seq and is never stored. Pure function, any thread.
#ifndef HARBINGER_EVENT_SAMPLE_H
#define HARBINGER_EVENT_SAMPLE_H

#include "event/event.h"

#define EVENT_SAMPLE_TRIGGER "test"

struct event_sample_input {
  enum event_type type;
  struct uuid id;
  int64_t now_us; // wall clock: when it happened
  int64_t project_id;
  struct str project;
  bool is_public;
  struct str registry_host; // host[:port] that its resource_url begins with
};

// Strings in the arena and views of the input. ERR_NO_MEMORY.
int event_sample(const struct event_sample_input *input, struct arena *arena, struct event *out, struct error *err)
    MUST_CHECK;

#endif
