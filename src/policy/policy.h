// SPDX-License-Identifier: Apache-2.0
// A webhook policy: which events of a project go to which targets. Fields and checks are Harbor's (its messages, its
// order), extensions live under `harbinger`. A plain value whose strings live in an arena of the caller; pure
// functions.
#ifndef HARBINGER_POLICY_POLICY_H
#define HARBINGER_POLICY_POLICY_H

#include "event/event.h"

enum {
  POLICY_MAX_TARGETS = 32,
  POLICY_MAX_EVENT_TYPES = 64, // as sent, with duplicates
  POLICY_MAX_NAME_CHARS = 256, // Harbor's column
  POLICY_MAX_NAME_BYTES = 4 * POLICY_MAX_NAME_CHARS,
  POLICY_MAX_DESCRIPTION_BYTES = 16384,
  POLICY_MAX_AUTH_HEADER_BYTES = 8192,
};

enum target_type { TARGET_HTTP, TARGET_SLACK };
enum payload_format { PAYLOAD_DEFAULT, PAYLOAD_CLOUDEVENTS, PAYLOAD_SLACK };

#define SECRET_MASK "********"

struct target {
  int64_t id; // 0 when new
  int64_t policy_id;
  enum target_type type;
  struct str type_text;   // as sent, for messages
  struct str address;     // as sent
  struct str auth_header; // the secret, or SECRET_MASK in requests, or empty
  bool skip_cert_verify;
  enum payload_format format;     // PAYLOAD_SLACK exactly for slack targets
  struct str payload_format_text; // as sent, for messages
  bool extras;                    // send the `harbinger` member; default true
  bool strict_order;              // one after the other in the order of commits; default false
  bool strict_order_given;        // the request names it; otherwise a stored target keeps its own
  bool extras_given; // the request has the key `harbinger`; without it a stored target keeps its extensions
  // Set by the store:
  int64_t cancel_below; // deliveries with a smaller id are cancelled
  bool suspended;       // by us: deliveries wait
  bool reordering;      // strict order was switched on and what waits is still being put in order: nothing is sent
  struct str suspended_reason;
  int64_t suspended_at_us; // 0: it is not, or since before this was noted
};

struct policy {
  int64_t id, project_id;
  struct str name, description, creator;
  bool enabled;
  enum event_type *event_types; // in the order given, without duplicates
  size_t event_types_len;
  uint32_t event_mask;           // bit per event type
  struct str unknown_event_type; // the first one sent that is none of ours, for policy_check; ptr NULL when none
  struct target *targets;
  size_t targets_len;
  bool tagged_only;   // extension `harbinger.tagged`: "only"
  struct str warning; // set by the API: what sending noticed (dispatch/echo.h); empty: nothing
  bool paused;        // held by a person: deliveries are made and wait. Set by the store; switching off ends it
  int64_t created_at_us;
  int64_t updated_at_us; // grows with each update, whatever the clock does
};

// Read a request body (Harbor's WebhookPolicy; unknown keys are ignored, wrong types are ERR_INVALID "validation
// failure list:\n..."). `old` (PUT; NULL for POST): ids, creator and creation time are its own, and absent extensions
// of the policy keep its; those of targets are kept by policy_adopt_targets.
int policy_read(const struct json_object *body, const struct policy *old, struct arena *arena, struct policy *out,
                struct error *err) MUST_CHECK;
// Harbor's 400 checks in Harbor's order and words, then ours: a name is required, lengths, addresses that could never
// be delivered to (url.h) are refused with the reason. Not the egress guard: the API asks it.
int policy_check(const struct policy *policy, struct error *err) MUST_CHECK;
// Match targets of `policy` to those of `old` (NULL for POST: there are none) by (type, address), then by position
// within the same type and origin; a match keeps id, state, absent extensions and, where the request sent the mask, the
// secret. A mask without such a match, or on a match whose certificate verification the request switches off:
// ERR_BAD_REQUEST "auth_header must be given again when the address changes".
int policy_adopt_targets(struct policy *policy, const struct policy *old, struct arena *arena, struct error *err)
    MUST_CHECK;

enum policy_verdict {
  POLICY_MATCHES,
  POLICY_DISABLED,   // the policy is switched off
  POLICY_OTHER_TYPE, // it did not subscribe to the event's type
  POLICY_UNTAGGED,   // `tagged: only` and the event's artifacts carry no tag
};

// Why this event goes to this policy's targets or not.
enum policy_verdict policy_match(const struct policy *policy, const struct event *event);
const char *policy_verdict_words(enum policy_verdict verdict);

enum policy_view {
  POLICY_VIEW_READER, // secrets masked, secret parts of addresses masked
  POLICY_VIEW_EDITOR, // addresses in clear, auth_header masked
  POLICY_VIEW_REVEAL, // auth_header in clear too (setting harbor_api.reveal_auth_header)
};

// Harbor's JSON of a policy: alphabetical order, Harbor's omissions, then `harbinger` where it says something.
void policy_write_json(const struct policy *policy, enum policy_view view, struct arena *arena, struct json_writer *w);

const char *target_type_name(enum target_type type);         // "http"
const char *payload_format_name(enum payload_format format); // "Default"; "" for slack
bool target_type_read(struct str text, enum target_type *type) MUST_CHECK;
bool payload_format_read(struct str text, enum payload_format *format) MUST_CHECK; // Default, CloudEvents

#endif
