// SPDX-License-Identifier: Apache-2.0
#include "format/format.h"

#include <inttypes.h>
#include <stdio.h>

#include "format/body.h"

static const struct format_info FORMATS[] = {
    [PAYLOAD_DEFAULT] = {"Default", "application/json", default_render},
    [PAYLOAD_CLOUDEVENTS] = {"CloudEvents", "application/cloudevents+json", cloudevents_render},
    [PAYLOAD_SLACK] = {"Slack", "application/json", slack_render},
};

const struct format_info *format_info(enum payload_format format) {
  return &FORMATS[(size_t)format < ARRAY_LEN(FORMATS) ? format : PAYLOAD_DEFAULT];
}

int format_render(const struct format_input *input, struct arena *scratch, struct buf *out, struct error *err) {
  const struct format_info *info = format_info(input->format);

  buf_clear(out);
  int result = info->render(input, scratch, out, err);
  if (out->no_memory || arena_out_of_memory(scratch))
    return error_set(err, ERR_NO_MEMORY, "no memory for the %s body of an event", info->name);
  if (result == 0 && out->failed)
    result = error_set(err, ERR_TOO_LARGE, "the %s body of the event does not fit into %zu bytes", info->name,
                       out->max_bytes);
  return result;
}

const char *format_key(const struct format_input *input, char out[static FORMAT_KEY_BYTES]) {
  const char *variant = input->extras ? "" : "-plain";

  if (input->format == PAYLOAD_SLACK)
    (void)snprintf(out, FORMAT_KEY_BYTES, "slack");
  else if (input->format == PAYLOAD_CLOUDEVENTS)
    (void)snprintf(out, FORMAT_KEY_BYTES, "cloudevents%s-%" PRId64, variant, input->policy_id);
  else
    (void)snprintf(out, FORMAT_KEY_BYTES, "default%s", variant);
  return out;
}
