// SPDX-License-Identifier: Apache-2.0
#include "dispatch/retry.h"

#include "base/clock.h"
#include "base/rfc3339.h"

// What a status means for an HTTP target; the first row that holds it counts. `codes` and `words` are for the table.
struct status_rule {
  int first, last;
  enum retry_class class;
  bool pauses_lane;
  const char *codes, *words;
};

static const struct status_rule STATUS_RULES[] = {
    {200, 299, RETRY_SUCCESS, false, "200 to 299", "delivered, whatever the body says"},
    {300, 399, RETRY_FEW, false, "300 to 399", "a redirect; it is not followed"},
    {408, 408, RETRY_SCHEDULE, false, "408", "the receiver was too slow to read"},
    {410, 410, RETRY_SUSPEND, false, "410", "the endpoint is gone"},
    {425, 425, RETRY_SCHEDULE, false, "425", "too early"},
    {429, 429, RETRY_SCHEDULE, true, "429", "the receiver asks for less"},
    {400, 499, RETRY_FEW, false, "400, 401, 403, 404, 405, 413, 415, 422 and every other 4xx",
     "the receiver does not want this request"},
    {503, 503, RETRY_SCHEDULE, true, "503", "the receiver is not there just now"},
    // RFC 9110 15: an invalid status code is treated as a 5xx.
    {500, 999, RETRY_SCHEDULE, false, "500 and above", "the receiver failed"},
};

// What became of a request without a final answer.
struct outcome_rule {
  enum http_outcome outcome;
  const char *name;
  enum retry_class class;
  bool spends_breaker;
  const char *words;
};

static const struct outcome_rule OUTCOME_RULES[] = {
    {HTTP_OUTCOME_DNS, "dns", RETRY_SCHEDULE, true, "the name could not be resolved"},
    {HTTP_OUTCOME_CONNECT, "connect", RETRY_SCHEDULE, true, "no connection: refused, unreachable"},
    {HTTP_OUTCOME_TLS, "tls", RETRY_SCHEDULE, true, "the TLS handshake failed: trust, name, expiry"},
    {HTTP_OUTCOME_TIMEOUT, "timeout", RETRY_SCHEDULE, true, "no answer within the deadlines"},
    {HTTP_OUTCOME_CLOSED, "closed", RETRY_SCHEDULE, true, "the connection was closed or reset before an answer"},
    {HTTP_OUTCOME_MALFORMED, "malformed", RETRY_SCHEDULE, true, "the answer was no HTTP/1.1, or 101"},
    {HTTP_OUTCOME_BLOCKED, "blocked", RETRY_FEW, false, "our egress guard refused the address; nothing was sent"},
};

// Slack names its errors in the body; the status beside them has changed over the years, so the words decide.
struct chat_rule {
  const char *body;
  enum retry_class class;
};

static const struct chat_rule SLACK_RULES[] = {
    {"invalid_payload", RETRY_NEVER},
    {"invalid_blocks", RETRY_NEVER},
    {"no_text", RETRY_NEVER},
    {"too_many_attachments", RETRY_NEVER},
    {"user_not_found", RETRY_NEVER},
    {"action_prohibited", RETRY_SUSPEND},
    {"posting_to_general_channel_denied", RETRY_SUSPEND},
    {"invalid_token", RETRY_SUSPEND},
    {"team_disabled", RETRY_SUSPEND},
    {"channel_not_found", RETRY_SUSPEND},
    {"channel_is_archived", RETRY_SUSPEND},
    {"no_service", RETRY_SUSPEND},
    {"no_service_id", RETRY_SUSPEND},
    {"no_active_hooks", RETRY_SUSPEND},
    {"no_team", RETRY_SUSPEND},
    {"rollup_error", RETRY_SCHEDULE},
};

static const struct status_rule *status_rule_of(int status) {
  for (size_t i = 0; i < ARRAY_LEN(STATUS_RULES); i++) {
    if (status >= STATUS_RULES[i].first && status <= STATUS_RULES[i].last)
      return &STATUS_RULES[i];
  }
  return &STATUS_RULES[ARRAY_LEN(STATUS_RULES) - 1]; // 1xx never comes here: the client skips it
}

static struct retry_verdict judge_answer(const struct http_result *result) {
  const struct status_rule *rule = status_rule_of(result->status);
  return (struct retry_verdict){
      .class = rule->class,
      .outcome = rule->class == RETRY_SUCCESS ? "success" : "http_error",
      .pauses_lane = rule->pauses_lane,
      .spends_breaker = rule->class != RETRY_SUCCESS,
  };
}

static bool is_line_end(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct str first_word(struct str body) {
  while (body.len > 0 && is_line_end(body.ptr[0]))
    body = str_from(body, 1);
  size_t len = 0;
  while (len < body.len && !is_line_end(body.ptr[len]))
    len++;
  return str_slice(body, 0, len);
}

// The error that the answer names; NULL when it names none. 429 stays what it is whatever its body says: a rate limit.
static const struct chat_rule *chat_rule_of(enum target_type type, const struct http_result *result) {
  if (type != TARGET_SLACK || result->outcome != HTTP_OUTCOME_ANSWERED || result->status == 429)
    return NULL;
  struct str word = first_word(result->body);
  for (size_t i = 0; i < ARRAY_LEN(SLACK_RULES); i++) {
    if (str_eq_c(word, SLACK_RULES[i].body))
      return &SLACK_RULES[i];
  }
  return NULL;
}

static struct retry_verdict judge_chat(const struct chat_rule *rule) {
  // A message that Slack does not take says nothing about the endpoint.
  return (struct retry_verdict){
      .class = rule->class, .outcome = "http_error", .spends_breaker = rule->class != RETRY_NEVER};
}

// A name that does not exist is its owner's trouble; a name server that does not answer, or a network that is not there,
// is ours.
static bool is_ours(const struct http_result *result) {
  if (result->outcome == HTTP_OUTCOME_DNS)
    return result->err.code != ERR_NOT_FOUND && result->err.code != ERR_INVALID;
  return result->outcome == HTTP_OUTCOME_CONNECT && result->err.code == ERR_UNAVAILABLE;
}

struct retry_verdict retry_judge(enum target_type type, const struct http_result *result) {
  const struct chat_rule *chat = chat_rule_of(type, result);
  if (chat)
    return judge_chat(chat);
  if (result->outcome == HTTP_OUTCOME_ANSWERED)
    return judge_answer(result);
  for (size_t i = 0; i < ARRAY_LEN(OUTCOME_RULES); i++) {
    if (OUTCOME_RULES[i].outcome == result->outcome)
      return (struct retry_verdict){.class = OUTCOME_RULES[i].class,
                                    .outcome = OUTCOME_RULES[i].name,
                                    .spends_breaker = OUTCOME_RULES[i].spends_breaker,
                                    .ours = is_ours(result)};
  }
  // HTTP_OUTCOME_LOCAL: our own limits say nothing about the receiver.
  return (struct retry_verdict){.class = RETRY_SCHEDULE, .outcome = "local"};
}

// Digits, then optionally a dot and digits. Whole seconds, rounded up; values beyond any cap stay large.
static bool read_seconds(struct str text, int64_t *seconds) {
  static const int64_t LARGEST_S = INT64_C(1) << 40; // any cap is far below
  size_t i = 0;
  bool fraction = false;
  *seconds = 0;
  for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
    if (*seconds < LARGEST_S)
      *seconds = *seconds * 10 + (text.ptr[i] - '0');
  }
  if (i == 0)
    return false;
  if (i < text.len && text.ptr[i] == '.') {
    size_t begin = ++i;
    for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
      fraction = fraction || text.ptr[i] != '0';
    if (i == begin)
      return false;
  }
  *seconds += fraction ? 1 : 0;
  return i == text.len;
}

int64_t retry_after_ms(struct str header, int64_t now_wall_us) {
  struct str text = str_trim(header);
  int64_t seconds, at_us;
  if (text.len == 0)
    return -1;
  if (read_seconds(text, &seconds))
    return seconds * 1000;
  if (!http_date_read(text, &at_us))
    return -1;
  if (at_us <= now_wall_us)
    return 0;
  return (at_us - now_wall_us + US_PER_MS - 1) / US_PER_MS;
}

static int64_t step_ms(const struct retry_config *config, int attempts) {
  if (config->steps_len == 0)
    return 0;
  size_t i = attempts > 1 ? (size_t)(attempts - 1) : 0;
  return config->steps_ms[i < config->steps_len ? i : config->steps_len - 1];
}

enum retry_action retry_next(const struct retry_config *config, enum retry_class class, int attempts,
                             int64_t first_try_us, int64_t now_us, uint32_t random, int64_t *wait_ms) {
  *wait_ms = 0;
  if (class == RETRY_SUSPEND)
    return RETRY_AGAIN; // it waits for a person, then goes at once
  if (class == RETRY_SUCCESS || class == RETRY_NEVER)
    return RETRY_GIVE_UP;
  if (class == RETRY_FEW && attempts >= config->permanent_tries)
    return RETRY_GIVE_UP;
  int64_t left_ms = config->give_up_ms - (now_us - first_try_us) / US_PER_MS;
  if (left_ms <= 0)
    return RETRY_GIVE_UP;
  // Full jitter: anywhere between now and the step, so that deliveries that failed together do not come back together.
  int64_t wait = (int64_t)(((__int128)step_ms(config, attempts) * random) >> 32);
  *wait_ms = wait < left_ms ? wait : left_ms; // the last try is at the end of the schedule, not before it
  return RETRY_AGAIN;
}

int retry_prio(enum event_type type, int attempts) {
  if (attempts == 0)
    return type == EVENT_PULL_ARTIFACT ? 1 : 0;
  return attempts <= 3 ? 2 : 3;
}

static void put_duration(struct buf *out, int64_t ms) {
  static const struct {
    int64_t ms;
    const char *name;
  } UNITS[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}};
  for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) {
    if (ms >= UNITS[i].ms && ms % UNITS[i].ms == 0) {
      buf_printf(out, "%lld %s", (long long)(ms / UNITS[i].ms), UNITS[i].name);
      return;
    }
  }
  buf_printf(out, "%lld ms", (long long)ms);
}

// The recorded try as the result that was judged then. False when it is none of an answer's or a request's.
static bool past_result(const struct retry_past *past, struct http_result *out) {
  *out = (struct http_result){.outcome = HTTP_OUTCOME_ANSWERED, .status = past->status, .body = past->response_body};
  if (past->status > 0)
    return true;
  for (size_t i = 0; i < ARRAY_LEN(OUTCOME_RULES); i++) {
    out->outcome = OUTCOME_RULES[i].outcome;
    if (str_eq_c(past->outcome, OUTCOME_RULES[i].name))
      return true;
  }
  return false;
}

static const char *meaning_of(enum target_type type, const struct http_result *result) {
  if (chat_rule_of(type, result)) // the status beside it may be any
    return "Slack names the reason in its answer";
  if (result->outcome == HTTP_OUTCOME_ANSWERED)
    return status_rule_of(result->status)->words;
  for (size_t i = 0; i < ARRAY_LEN(OUTCOME_RULES); i++) {
    if (OUTCOME_RULES[i].outcome == result->outcome)
      return OUTCOME_RULES[i].words;
  }
  return "";
}

static void put_given_up(const struct retry_config *config, enum retry_class class, struct buf *out) {
  switch (class) {
  case RETRY_FEW:
    buf_printf(out, "such an answer is tried %d times and no more", config->permanent_tries);
    break;
  case RETRY_NEVER:
    buf_put_c(out, "another try cannot help");
    break;
  default:
    buf_put_c(out, "given up, as the schedule ends ");
    put_duration(out, config->give_up_ms);
    buf_put_c(out, " after the first try");
    break;
  }
}

void retry_explain(const struct retry_config *config, const struct retry_past *past, enum retry_followed followed,
                   struct buf *out) {
  struct http_result result;
  if (!past_result(past, &result))
    return;
  struct retry_verdict verdict = retry_judge(past->type, &result);
  if (verdict.class == RETRY_SUCCESS)
    return;
  buf_printf(out, "%s: ", meaning_of(past->type, &result));
  if (followed == RETRY_FOLLOWED_CANCEL) {
    buf_put_c(out, "not tried again, because the webhook was disabled, changed or deleted");
  } else if (followed == RETRY_FOLLOWED_EXPIRED) {
    buf_put_c(out, "not tried again, because the delivery had waited too long");
  } else if (followed == RETRY_FOLLOWED_FAILED) {
    put_given_up(config, verdict.class, out);
  } else if (verdict.class == RETRY_SUSPEND) {
    buf_put_c(out, followed == RETRY_FOLLOWED ? "the target was suspended, and tried again once it was resumed"
                                              : "the target is suspended; its deliveries wait until it is resumed");
  } else {
    buf_put_c(out, followed == RETRY_FOLLOWED ? "tried again, up to " : "tried again, within ");
    put_duration(out, step_ms(config, past->number));
    buf_put_c(out, followed == RETRY_FOLLOWED ? " later" : "");
    if (verdict.pauses_lane)
      buf_put_c(out, " or when the pause that it asked for is over");
    if (verdict.class == RETRY_FEW)
      buf_printf(out, "; such an answer is tried %d times", config->permanent_tries);
  }
}

static void put_next(const struct retry_config *config, enum retry_class class, bool pauses_lane, struct buf *out) {
  switch (class) {
  case RETRY_SUCCESS:
    buf_put_c(out, "done");
    return;
  case RETRY_SCHEDULE:
    buf_put_c(out, "the whole schedule");
    break;
  case RETRY_FEW:
    buf_printf(out, "%d tries in all, then failed", config->permanent_tries);
    break;
  case RETRY_SUSPEND:
    buf_put_c(out, "the target is suspended; its deliveries wait until it is resumed");
    break;
  case RETRY_NEVER:
    buf_put_c(out, "failed at once; another try cannot help");
    break;
  }
  if (pauses_lane)
    buf_put_c(out, ", and the whole target pauses");
}

static void put_row(const struct retry_config *config, const char *answer, const char *words, enum retry_class class,
                    bool pauses_lane, struct buf *out) {
  buf_printf(out, "| %s | %s | ", answer, words);
  put_next(config, class, pauses_lane, out);
  buf_put_c(out, " |\n");
}

static void put_schedule(const struct retry_config *config, struct buf *out) {
  buf_put_c(out, "\nThe schedule: each wait is a random time up to ");
  for (size_t i = 0; i < config->steps_len; i++) {
    buf_put_c(out, i == 0 ? "" : ", ");
    put_duration(out, config->steps_ms[i]);
  }
  buf_put_c(out, "; the last step repeats until ");
  put_duration(out, config->give_up_ms);
  buf_put_c(out, " after the first try.\n`Retry-After` (seconds or an HTTP date, at most ");
  put_duration(out, config->retry_after_cap_ms);
  buf_put_c(out, ") makes a wait longer, never shorter. A 429 or 503 without it pauses the target for ");
  put_duration(out, config->pause_min_ms);
  buf_put_c(out, ", doubling to ");
  put_duration(out, config->pause_max_ms);
  buf_put_c(out, ".\n");
}

void retry_write_table(const struct retry_config *config, struct buf *out) {
  buf_put_c(out, "| answer | meaning | what follows |\n| --- | --- | --- |\n");
  for (size_t i = 0; i < ARRAY_LEN(STATUS_RULES); i++) {
    const struct status_rule *rule = &STATUS_RULES[i];
    put_row(config, rule->codes, rule->words, rule->class, rule->pauses_lane, out);
  }
  for (size_t i = 0; i < ARRAY_LEN(OUTCOME_RULES); i++) {
    const struct outcome_rule *rule = &OUTCOME_RULES[i];
    put_row(config, rule->name, rule->words, rule->class, false, out);
  }
  put_schedule(config, out);
  buf_put_c(out, "\nSlack targets: these answers by their text, everything else as above.\n\n"
                 "| text | what follows |\n| --- | --- |\n");
  for (size_t i = 0; i < ARRAY_LEN(SLACK_RULES); i++) {
    buf_printf(out, "| `%s` | ", SLACK_RULES[i].body);
    put_next(config, SLACK_RULES[i].class, false, out);
    buf_put_c(out, " |\n");
  }
}
