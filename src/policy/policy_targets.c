// SPDX-License-Identifier: Apache-2.0
// Which stored target a target of a PUT is: the one whose lane, backlog and secret it keeps.
#include "net/url.h"
#include "policy/policy.h"

static bool same_origin(struct str a, struct str b) {
  struct url first, second;
  struct error ignored;

  return url_parse(a, &first, &ignored) == 0 && url_parse(b, &second, &ignored) == 0 &&
         url_same_origin(&first, &second);
}

static bool is_same(const struct target *a, const struct target *b) {
  return a->type == b->type && str_eq(a->address, b->address);
}

static bool is_near(const struct target *a, const struct target *b) {
  return a->type == b->type && same_origin(a->address, b->address);
}

// The address was lost with its key (store/care.h): the one that is given now is its successor.
static bool is_lost(const struct target *target, const struct target *old) {
  return old->address.len == 0 && target->type == old->type;
}

struct adoption {
  const struct policy *old;
  const struct target **match; // of each new target, or NULL
  bool *taken;                 // of each stored target
};

static void match_by(struct adoption *adoption, const struct policy *policy,
                     bool (*fits)(const struct target *, const struct target *)) {
  for (size_t i = 0; i < policy->targets_len; i++) {
    for (size_t j = 0; j < adoption->old->targets_len && !adoption->match[i]; j++) {
      if (adoption->taken[j] || !fits(&policy->targets[i], &adoption->old->targets[j]))
        continue;
      adoption->taken[j] = true;
      adoption->match[i] = &adoption->old->targets[j];
    }
  }
}

static int adopt(struct target *target, const struct target *old, struct error *err) {
  bool masked = str_eq_c(target->auth_header, SECRET_MASK);
  bool weaker = old && target->skip_cert_verify && !old->skip_cert_verify;
  bool lost = old && old->address.len == 0;

  // A secret is never carried to another host, nor to whoever answers in its name.
  if (masked && (!old || weaker || lost))
    return error_set(err, ERR_BAD_REQUEST, "auth_header must be given again when the address changes");
  if (!old)
    return 0;
  target->id = old->id;
  target->policy_id = old->policy_id;
  target->cancel_below = old->cancel_below;
  target->suspended = old->suspended;
  target->suspended_reason = old->suspended_reason;
  target->suspended_at_us = old->suspended_at_us;
  if (masked)
    target->auth_header = old->auth_header;
  target->reordering = old->reordering;
  if (!target->extras_given)
    target->extras = old->extras;
  if (!target->strict_order_given)
    target->strict_order = old->strict_order;
  return 0;
}

int policy_adopt_targets(struct policy *policy, const struct policy *old, struct arena *arena, struct error *err) {
  static const struct policy NONE = {.targets_len = 0};
  struct adoption adoption = {.old = old ? old : &NONE};
  int result = 0;

  // One more, so that no size is zero.
  adoption.match = arena_array(arena, policy->targets_len + 1, sizeof(struct target *));
  adoption.taken = arena_array(arena, adoption.old->targets_len + 1, sizeof(*adoption.taken));
  if (!adoption.match || !adoption.taken)
    return error_set(err, ERR_NO_MEMORY, "no memory to match the targets of a policy");
  match_by(&adoption, policy, is_same);
  match_by(&adoption, policy, is_near);
  match_by(&adoption, policy, is_lost);
  for (size_t i = 0; i < policy->targets_len && result == 0; i++)
    result = adopt(&policy->targets[i], adoption.match[i], err);
  return result;
}
