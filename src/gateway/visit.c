// SPDX-License-Identifier: Apache-2.0
// Who asks, and what they ask for. Judged on the loop with a reader of its own, two look-ups by an index: a pull waits for no
// thread, and never for the writer. A password that must be hashed goes to the threads for that, a page of the catalogue to the pool.
#include "gateway/catalog.h"
#include "gateway/gateway_internal.h"

#include "auth/refusal.h"
#include "store/projects.h"

#define TOKEN_PREFIX "hbt_"

// ---- judging ------------------------------------------------------------------------------------------------

static int refuse(struct visit *visit, enum oci_code code, int rc) {
  visit->code = code;
  visit->rc = rc;
  return rc;
}

// Basic as registries' clients send it: with an API token for a password, and with neither name nor password by those that
// were challenged and know no login (containers/image), which is nobody.
static int read_basic(struct visit *visit, struct str encoded, struct str *name, struct str *password) {
  struct str both;

  if (!crypto_base64_read(str_trim(encoded), visit->request->arena, &both))
    return ERR_INVALID;
  ptrdiff_t colon = str_find(both, ':');
  if (colon < 0)
    return ERR_INVALID;
  *name = str_slice(both, 0, (size_t)colon);
  *password = str_from(both, (size_t)colon + 1);
  return 0;
}

static int identify_as(struct visit *visit, struct store_conn *conn, struct str authorization) {
  const struct gateway_config *config = &visit->gateway->config;

  return auth_identify(config->auth, conn, authorization, &visit->request->peer, visit->request->arena,
                       &visit->identity, &visit->delay_ms, &visit->err);
}

static int identify(struct visit *visit, struct store_conn *conn) {
  struct str authorization = http_head_get(visit->request->head, "Authorization"), name, password;
  bool basic = authorization.len > sizeof("Basic ") && str_ieq(str_slice(authorization, 0, 6), STR("Basic "));

  if (!basic || read_basic(visit, str_from(authorization, sizeof("Basic ") - 1), &name, &password) != 0)
    return identify_as(visit, conn, authorization);
  if (name.len == 0 && password.len == 0)
    return identify_as(visit, conn, (struct str){0});
  if (!str_starts_c(password, TOKEN_PREFIX))
    return identify_as(visit, conn, authorization);
  struct str bearer = ARENA_JOIN(visit->request->arena, STR("Bearer "), password);
  if (!bearer.ptr)
    return error_set(&visit->err, ERR_NO_MEMORY, "no memory for a request");
  int rc = identify_as(visit, conn, bearer);
  if (rc == 0 && !str_ieq(visit->identity.name, name))
    rc = error_set(&visit->err, ERR_UNAUTHORIZED, "the token is another user's");
  return rc;
}

static int who_asks(struct visit *visit, struct store_conn *conn) {
  const struct gateway_config *config = &visit->gateway->config;
  int rc = identify(visit, conn);

  if (rc != ERR_UNAUTHORIZED)
    return rc == 0 ? 0 : refuse(visit, OCI_UNAVAILABLE, rc);
  auth_note_refusal(config->auth, config->store, visit->request, visit->identity.name,
                    clock_wall_us(loop_clock(config->loop)));
  (void)error_set(&visit->err, rc,
                  "the user name or the password is wrong, or the token has expired: log in again, for example with: "
                  "docker login HOST");
  return refuse(visit, OCI_UNAUTHORIZED, rc);
}

static int look_up(struct visit *visit, struct store_conn *conn, struct str name, struct gateway_project *out) {
  struct project project;
  int rc = project_get_by_name(conn, name, visit->request->arena, &project, &visit->err);

  *out = (struct gateway_project){.known = rc == 0, .is_public = rc == 0 && project.is_public};
  return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int may_they(struct visit *visit, struct store_conn *conn) {
  struct str name = visit->path.project;
  int rc = look_up(visit, conn, name, &visit->project);

  if (rc != 0)
    return refuse(visit, OCI_UNAVAILABLE, rc);
  if ((rc = gateway_allow(&visit->identity, &visit->project, visit->action, name, &visit->err)) != 0)
    return refuse(visit, oci_code_of((enum errcode)rc), rc);
  if (visit->project.known || visit->gateway->config.create_unknown_projects)
    return 0;
  (void)error_set(&visit->err, ERR_NOT_FOUND,
                  "there is no project `%.*s`: create it with: harbinger project create %.*s", STR_ARG(name),
                  STR_ARG(name));
  return refuse(visit, OCI_NAME_UNKNOWN, ERR_NOT_FOUND);
}

// A mount from a repository that the caller may not pull from is an ordinary upload: that is the specification's answer to
// a mount that cannot be, and tells nothing of the source. One without a source is it, too: the registry would look
// for the blob everywhere.
static int judge_mount(struct visit *visit, struct store_conn *conn) {
  struct arena *arena = visit->request->arena;
  struct str query = visit->request->head->query, digest, from;
  struct oci_path source;
  struct gateway_project project;

  if (visit->path.kind != OCI_UPLOADS || !url_query_get(query, "mount", arena, &digest) ||
      !url_query_get(query, "from", arena, &from))
    return 0;
  if (!event_is_digest(digest)) {
    (void)error_set(&visit->err, ERR_BAD_REQUEST, "`mount` is no digest");
    return refuse(visit, OCI_DIGEST_INVALID, ERR_BAD_REQUEST);
  }
  if (oci_name_read(from, &source, NULL) != 0)
    return 0;
  int rc = look_up(visit, conn, source.project, &project);
  if (rc != 0)
    return refuse(visit, OCI_UNAVAILABLE, rc);
  if (gateway_allow(&visit->identity, &project, GATEWAY_PULL, source.project, &visit->err) != 0)
    return 0;
  visit->mount = digest;
  visit->mount_from = from;
  return 0;
}

static int judge(struct visit *visit, struct store_conn *conn) {
  int rc = who_asks(visit, conn);

  if (rc == 0 && visit->path.name.len)
    rc = may_they(visit, conn);
  if (rc == 0)
    rc = judge_mount(visit, conn);
  return rc == 0 && visit->path.kind == OCI_CATALOG ? catalog_read(visit, conn) : rc;
}

static void visit_judge(struct visit *visit, struct store_conn *conn) {
  visit->rc = judge(visit, conn);
  if (arena_out_of_memory(visit->request->arena))
    refuse(visit, OCI_UNAVAILABLE, error_set(&visit->err, ERR_NO_MEMORY, "no memory for a request"));
}

static void judge_in_pool(struct pool_job *job, void *thread_context) {
  struct visit *visit = CONTAINER_OF(job, struct visit, job);

  visit_judge(visit, thread_context);
  // The loop lives until all requests are answered, so that this cannot be refused.
  if (loop_post_reserved(visit->gateway->config.loop, &visit->judged) != 0)
    log_error(visit->gateway->config.log, "gateway", "the serve loop is gone before its answer");
}

// ---- the loop's thread ------------------------------------------------------------------------------------------------

static void visit_go_on(struct visit *visit) {
  const struct gateway *gateway = visit->gateway;

  if (visit->rc == 0) {
    gateway_route(visit);
  } else if (error_http_status((enum errcode)visit->rc) >= 500) { // our own trouble is for the log
    log_write(gateway->config.log, LOG_WARN, "gateway", visit->request->request_id, "a request was not judged: %s",
              visit->err.text);
    visit_refuse(visit, OCI_UNAVAILABLE, 503, "the server cannot tell who asks for what now; try again");
  } else {
    visit_refuse(visit, visit->code, 0, visit->err.text);
  }
}

static void visit_delayed(struct loop_timer *timer) {
  struct visit *visit = CONTAINER_OF(timer, struct visit, delayed);

  visit->gateway->held--;
  visit_go_on(visit);
}

static void visit_judged(struct visit *visit) {
  struct loop *loop = visit->gateway->config.loop;

  if (visit->delay_ms <= 0) {
    visit_go_on(visit);
    return;
  }
  visit->gateway->held++;
  visit->delayed.on_fire = visit_delayed;
  loop_timer_set(loop, &visit->delayed, loop_now_us(loop) + visit->delay_ms * US_PER_MS);
}

static void judged_in_pool(struct loop_task *task) {
  visit_judged(CONTAINER_OF(task, struct visit, judged));
}

static enum gateway_action action_of(const struct oci_path *path, struct str method) {
  if (path->kind == OCI_UPLOADS || path->kind == OCI_UPLOAD)
    return GATEWAY_PUSH;
  if (str_eq_c(method, "DELETE"))
    return GATEWAY_DELETE;
  return str_eq_c(method, "PUT") ? GATEWAY_PUSH : GATEWAY_PULL;
}

void visit_start(struct gateway *gateway, struct http_request *request, const struct oci_path *path) {
  const struct gateway_config *config = &gateway->config;
  struct visit *visit = ARENA_NEW(request->arena, struct visit);

  if (!visit) {
    answer_error(gateway, request, OCI_UNAVAILABLE, 503, "no memory for a request; try again");
    return;
  }
  *visit = (struct visit){.gateway = gateway,
                          .request = request,
                          .path = *path,
                          .action = action_of(path, request->head->method),
                          .mount = STR_EMPTY,
                          .mount_from = STR_EMPTY,
                          .job.run = judge_in_pool,
                          .judged.run = judged_in_pool};
  list_push_back(&gateway->visits, &visit->node);
  bool hashes = auth_must_hash(config->auth, http_head_get(request->head, "Authorization"), request->arena);
  if (!hashes && path->kind != OCI_CATALOG) {
    visit_judge(visit, gateway->reader);
    visit_judged(visit);
  } else if (pool_add(hashes ? config->login_pool : config->pool, &visit->job) != 0) {
    visit_refuse(visit, OCI_TOOMANYREQUESTS, 0, "too many requests wait; try again");
  }
}
