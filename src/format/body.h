// SPDX-License-Identifier: Apache-2.0
// What the body formats share, for the files of this room only. Writers put `w->buf->failed` when the scratch arena is
// full.
#ifndef HARBINGER_FORMAT_BODY_H
#define HARBINGER_FORMAT_BODY_H

#include "format/format.h"

struct body {
  const struct format_input *input;
  struct arena *scratch;
  struct json_writer *w;
};

// Unix seconds, cut and never rounded.
int64_t body_unix_seconds(int64_t us);
// Take text that was made in the arena: the empty string and a failed buffer when there was no room.
struct str body_text(struct body *body, struct str text);

// Harbor's `event_data` object with our member last: Default's, and CloudEvents' `data`.
void body_write_event_data(struct body *body);
// Harbor's `repository` object; `dated`: with `date_created` when it is known.
void body_write_repository(struct body *body, bool dated);
// The key and value of the member `harbinger`.
void body_write_harbinger(struct body *body);

int default_render(const struct format_input *input, struct arena *scratch, struct buf *out, struct error *err);
int cloudevents_render(const struct format_input *input, struct arena *scratch, struct buf *out, struct error *err);
int slack_render(const struct format_input *input, struct arena *scratch, struct buf *out, struct error *err);

#endif
