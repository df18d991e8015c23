// SPDX-License-Identifier: Apache-2.0
#include "api/session.h"

#include "api/cookies.h"
#include "api/routes.h"
#include "auth/refusal.h"
#include "auth/session.h"
#include "base/utf8.h"
#include "net/url.h"

enum { CSRF_COOKIE_LIFE_S = 12 * 3600 };

#define SID_COOKIE "sid"
#define CSRF_COOKIE "_gorilla_csrf"
#define CSRF_HEADER "X-Harbor-Csrf-Token"

static bool has_authorization(const struct api_call *call) {
  return http_head_get(call->request->head, "Authorization").ptr != NULL;
}

// ---- cookies --------------------------------------------------------------------------------------------------------

static int no_memory(struct error *err) {
  return error_set(err, ERR_NO_MEMORY, "out of memory for a session");
}

// How browsers reach us, when that was configured.
static const char *public_url(const struct api_config *config) {
  return config->portal_url && config->portal_url[0] ? config->portal_url : config->external_url;
}

static bool is_https(const char *url) {
  return url && str_starts_c(str_of(url), "https://");
}

static const char *secure_attribute(const struct api_call *call) {
  const struct api_config *config = call->config;
  bool secure = call->request->tls || is_https(config->external_url) || is_https(config->portal_url);

  return secure ? "; Secure" : "";
}

// The path that a proxy puts before ours, without its last slash; "/" when there is none, or none that an attribute can
// hold.
static struct str cookie_path(const struct api_call *call) {
  struct url url;
  struct error ignored;
  const char *base = public_url(call->config);

  if (!base || url_parse(str_of(base), &url, &ignored) != 0)
    return STR("/");
  struct str path = url_path(&url);
  return path.len == 0 || str_find(path, ';') >= 0 ? STR("/") : path;
}

// `life`: "" for as long as the browser runs, or further attributes.
static int set_cookie(struct api_call *call, const char *name, struct str value, const char *same_site,
                      const char *life, struct error *err) {
  struct str path = cookie_path(call);
  struct str text = arena_printf(call->arena, "%s=%.*s; Path=%.*s%s; HttpOnly; SameSite=%s%s", name, STR_ARG(value),
                                 STR_ARG(path), life, same_site, secure_attribute(call));

  if (!text.ptr)
    return no_memory(err);
  call_header(call, "Set-Cookie", text);
  return 0;
}

// The token for the call's cookie and `sid`; a login changes it.
static int offer_token(struct api_call *call, struct str sid, struct error *err) {
  char token[AUTH_TEXT_BYTES];

  auth_csrf_token(auth_sessions(call->config->auth), call->csrf_cookie, sid, token);
  struct str value = arena_str(call->arena, str_of(token));
  if (!value.ptr)
    return no_memory(err);
  for (size_t i = 0; i < call->headers_len; i++) {
    if (str_eq_c(call->headers[i].name, CSRF_HEADER)) {
      call->headers[i].value = value;
      return 0;
    }
  }
  call_header(call, CSRF_HEADER, value);
  return 0;
}

// ---- who is calling -------------------------------------------------------------------------------------------------

// The first cookie that is a session in force; *out is the anonymous and *sid empty when none is.
static int find_session(struct api_call *call, const struct cookies *sids, bool renew, struct identity *out,
                        struct str *sid, struct error *err) {
  int rc = 0;

  *out = (struct identity){.name = STR_EMPTY};
  *sid = STR_EMPTY;
  for (size_t i = 0; rc == 0 && i < sids->len; i++) {
    rc = auth_session_identify(auth_sessions(call->config->auth), call->conn, sids->values[i], renew, call->arena, out,
                               err);
    if (rc == 0 && out->session_id != 0) {
      *sid = sids->values[i];
      break;
    }
  }
  return rc;
}

static int identify(struct api_call *call, struct error *err) {
  const struct http_head *head = call->request->head;
  struct cookies sids = cookies_find(head, SID_COOKIE);
  // A browser opens its stream of events again and again by itself, and cannot send the header with it.
  bool by_itself = str_eq_c(http_head_get(head, "Accept"), "text/event-stream");
  bool renew = !http_head_get(head, "X-Harbor-No-Session-Renewal").ptr && !by_itself;
  int rc = find_session(call, &sids, renew, &call->identity, &call->sid, err);

  call->session_ended = rc == 0 && sids.seen && call->identity.session_id == 0;
  return rc;
}

void session_explain(const struct api_call *call, struct error *err) {
  if (err->code == ERR_UNAUTHORIZED && call->session_ended)
    error_set(err, ERR_UNAUTHORIZED, "the session has ended: sign in again");
}

// ---- calls that another site makes a browser send -------------------------------------------------------------------

static bool is_unsafe(struct str method) { // RFC 9110 9.2.1
  return !str_eq_c(method, "GET") && !str_eq_c(method, "HEAD") && !str_eq_c(method, "OPTIONS");
}

static bool is_origin_of(const char *url_text, const struct url *origin) {
  struct url url;
  struct error ignored;

  return url_text && url_parse(str_of(url_text), &url, &ignored) == 0 && url_same_origin(&url, origin);
}

// The scheme that the browser used is not known behind a proxy: that of the Origin is taken, so that https://host:443 is
// `host`.
static bool is_own_origin(struct api_call *call, struct str origin) {
  struct str host = http_head_get(call->request->head, "Host");
  struct url url;
  struct error ignored;

  if (url_parse(origin, &url, &ignored) != 0 || url.userinfo.ptr)
    return false; // also "null"
  struct str as_asked = arena_printf(call->arena, "http%s://%.*s", url.https ? "s" : "", STR_ARG(host));
  return is_origin_of(as_asked.ptr, &url) || is_origin_of(call->config->external_url, &url) ||
         is_origin_of(call->config->portal_url, &url);
}

// A browser's own word first (Fetch Metadata): it is right also when a proxy changed Host.
static bool is_from_elsewhere(struct api_call *call) {
  struct str site = http_head_get(call->request->head, "Sec-Fetch-Site");
  struct str origin = http_head_get(call->request->head, "Origin");

  if (site.ptr && str_eq_c(site, "cross-site"))
    return true;
  if (site.ptr && str_eq_c(site, "same-origin"))
    return false;
  return origin.ptr && !is_own_origin(call, origin);
}

static int check_site(struct api_call *call, struct error *err) {
  if (!is_from_elsewhere(call))
    return 0;
  return error_set(err, ERR_FORBIDDEN,
                   "a browser sent this from a page of another site; if that is this server's own address, set "
                   "external_url or portal_url to it");
}

static bool is_token_right(struct api_call *call, const struct cookies *cookies, struct str token) {
  char wanted[AUTH_TEXT_BYTES];
  bool right = false;

  for (size_t i = 0; i < cookies->len; i++) {
    auth_csrf_token(auth_sessions(call->config->auth), cookies->values[i], call->sid, wanted);
    right = str_eq_secret(str_of(wanted), token) || right;
  }
  return right;
}

static int check_token(struct api_call *call, struct error *err) {
  const struct http_head *head = call->request->head;
  struct cookies cookies = cookies_find(head, CSRF_COOKIE);
  struct str token = STR_EMPTY;
  size_t tokens = 0;

  for (size_t i = 0; i < head->headers_len; i++) {
    if (!str_ieq_c(head->headers[i].name, CSRF_HEADER))
      continue;
    token = head->headers[i].value;
    tokens++;
  }
  if (tokens == 1 && is_token_right(call, &cookies, token))
    return 0;
  return error_set(err, ERR_FORBIDDEN, "CSRF token invalid"); // clients look for these words and try again
}

static int check_call(struct api_call *call, struct error *err) {
  int rc = check_site(call, err);

  return rc == 0 ? check_token(call, err) : rc;
}

static int offer_cookie(struct api_call *call, struct error *err) {
  struct cookies cookies = cookies_find(call->request->head, CSRF_COOKIE);
  char text[AUTH_TEXT_BYTES];

  if (cookies.len > 0) {
    call->csrf_cookie = cookies.values[0];
    return 0;
  }
  auth_random_text(text);
  call->csrf_cookie = arena_str(call->arena, str_of(text));
  if (!call->csrf_cookie.ptr)
    return no_memory(err);
  struct str life = arena_printf(call->arena, "; Max-Age=%d", (int)CSRF_COOKIE_LIFE_S);
  return life.ptr ? set_cookie(call, CSRF_COOKIE, call->csrf_cookie, "Strict", life.ptr, err) : no_memory(err);
}

int session_begin(struct api_call *call, struct error *err) {
  if (has_authorization(call))
    return 0;
  int rc = identify(call, err);
  if (rc == 0)
    rc = offer_cookie(call, err);
  if (rc == 0)
    rc = offer_token(call, call->sid, err);
  if (rc == 0 && call->identity.session_id != 0 && is_unsafe(call->request->head->method))
    rc = check_call(call, err);
  return rc;
}

// ---- log in ---------------------------------------------------------------------------------------------------------

static int form_field(struct api_call *call, const char *name, struct str *out, struct error *err) {
  if (!url_query_get(call->request->body, name, call->arena, out))
    return error_set(err, ERR_INVALID, "validation failure list:\n%s in body is required", name);
  if (!utf8_valid(*out) || str_find(*out, '\0') >= 0)
    return error_set(err, ERR_INVALID, "validation failure list:\n%s in body must be UTF-8 text", name);
  return 0;
}

static int form_read(struct api_call *call, struct str *principal, struct str *password, struct error *err) {
  int rc = call->request->body.len == 0 ? 0 : call_content_type(call, "application/x-www-form-urlencoded", err);

  if (rc == 0)
    rc = form_field(call, "principal", principal, err);
  return rc == 0 ? form_field(call, "password", password, err) : rc;
}

struct login {
  const struct auth_sessions *sessions;
  struct auth_session_start start;
  struct arena *arena;
};

static int login_apply(struct store_conn *conn, void *ctx, struct error *err) {
  struct login *login = ctx;

  return auth_session_start(login->sessions, conn, &login->start, login->arena, err);
}

static int start_session(struct api_call *call, const struct user *user, struct error *err) {
  struct login login = {.sessions = auth_sessions(call->config->auth), .arena = call->arena};

  auth_session_prepare(login.sessions, user, call->identity.session_id, &login.start);
  call->identity = (struct identity){.authenticated = true,
                                     .kind = IDENTITY_USER,
                                     .user_id = user->id,
                                     .name = user->name,
                                     .is_admin = user->is_admin};
  int rc = call_change(call, login_apply, &login, "login", "session", user->name, err);
  if (rc == ERR_UNAUTHORIZED)
    return error_set(err, ERR_UNAUTHORIZED, "invalid user name or password");
  if (rc != 0)
    return rc;
  struct str sid = str_of(login.start.sid);
  rc = set_cookie(call, SID_COOKIE, sid, "Lax", "", err);
  if (rc == 0 && call->csrf_cookie.len > 0)
    rc = offer_token(call, sid, err);
  explicit_bzero(login.start.sid, sizeof(login.start.sid));
  return rc;
}

int session_login(struct api_call *call, struct error *err) {
  struct str principal, password;
  struct user user = {.id = 0};
  // Also without a session: else another site could sign its visitors in as somebody else.
  int rc = has_authorization(call) ? 0 : check_call(call, err);

  if (rc == 0)
    rc = form_read(call, &principal, &password, err);
  if (rc != 0)
    return rc;
  call->session_ended = false; // what a 401 is about here is the password
  rc = auth_login(call->config->auth, call->conn, principal, password, &call->request->peer, call->arena, &user,
                  &call->delay_ms, err);
  if (rc == ERR_UNAUTHORIZED)
    auth_note_refusal(call->config->auth, call->config->store, call->request, user.id != 0 ? user.name : STR_EMPTY,
                      clock_wall_us(call->config->clock));
  return rc == 0 ? start_session(call, &user, err) : rc;
}

// ---- log out --------------------------------------------------------------------------------------------------------

static int logout_apply(struct store_conn *conn, void *ctx, struct error *err) {
  const struct identity *identity = ctx;

  return session_delete(conn, identity->session_id, err);
}

int session_logout(struct api_call *call, struct error *err) {
  struct cookies sids = cookies_find(call->request->head, SID_COOKIE);
  struct str sid;
  int rc = has_authorization(call) ? 0 : check_site(call, err); // a GET, which a foreign link must not do

  if (rc == 0)
    rc = find_session(call, &sids, false, &call->identity, &sid, err);

  if (rc == 0 && call->identity.session_id != 0)
    rc = call_change(call, logout_apply, &call->identity, "logout", "session", call->identity.name, err);
  if (rc == 0)
    rc = set_cookie(call, SID_COOKIE, STR_EMPTY, "Lax", "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT", err);
  return rc == 0 && call->csrf_cookie.len > 0 ? offer_token(call, STR_EMPTY, err) : rc;
}
