// SPDX-License-Identifier: Apache-2.0
// Bodies of deliveries. Each format is one file and one line in the table of format.c; all are pure functions of
// (event, target): no clock, no locale, no environment. The same event and target give the same bytes for ever.
#ifndef HARBINGER_FORMAT_FORMAT_H
#define HARBINGER_FORMAT_FORMAT_H

#include "event/event.h"
#include "policy/policy.h"

enum { FORMAT_MAX_BODY_BYTES = 2 * 1024 * 1024, FORMAT_KEY_BYTES = 48 };

struct format_input {
  const struct event *event;
  enum payload_format format;
  bool extras;           // write the `harbinger` member
  int64_t policy_id;     // CloudEvents `source`
  struct str portal_url; // base of links in chat messages; empty: no link
};

struct format_info {
  const char *name;         // "Default"
  const char *content_type; // "application/json"
  int (*render)(const struct format_input *input, struct arena *scratch, struct buf *out, struct error *err);
};

const struct format_info *format_info(enum payload_format format);
// Render into `out`. ERR_TOO_LARGE when the body would pass the buffer's cap.
int format_render(const struct format_input *input, struct arena *scratch, struct buf *out, struct error *err)
    MUST_CHECK;
// The key under which a rendered body is stored once per event: format, extras, and for CloudEvents the policy.
const char *format_key(const struct format_input *input, char out[static FORMAT_KEY_BYTES]);
// Is this body one of our formats? For `listen`: the format's name, or NULL with words.
const char *format_recognise(struct str content_type, struct str body, struct arena *scratch, struct error *err);

#endif
