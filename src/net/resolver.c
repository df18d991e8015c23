// SPDX-License-Identifier: Apache-2.0
#include "net/resolver.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/list.h"
#include "base/map.h"

// A question goes to each server this often; the wait doubles each time, so 1 + 2 + 4 parts fill the budget.
enum { ASK_TRIES = 3, ASK_PARTS = 7, MAX_NAME_BYTES = 253, MAX_SOCKETS = 64 };

// What was found out about a name. Shared by the cache and by the waiters that are about to be told.
struct answer {
  size_t refs;
  struct error err; // ERR_OK: there are addresses
  size_t len;
  struct address addresses[];
};

// A name in question, in the cache, or both (a question that outlived its budget leaves a failure in the cache while
// c-ares, which cannot withdraw a single question, goes on asking).
struct name {
  struct resolver *resolver;
  bool asking;            // c-ares has a question open and will call back
  struct list waiters;    // struct resolver_query.node
  struct answer *answer;  // NULL: none yet
  int64_t expires_us;     // of the answer
  int64_t deadline_us;    // when the waiters are told that nothing came
  struct list_node asked; // in resolver->asked while somebody waits, by deadline (the budget is the same for all)
  struct list_node idle;  // in resolver->idle when nothing is asked: oldest first, for eviction
  size_t len;
  char text[];
};

struct resolver_query {
  struct resolver *resolver;
  struct list *home;     // the list that `node` is in
  struct list_node node; // a name's waiters, or resolver->ready
  struct answer *answer; // once ready
  resolver_fn *fn;
  void *ctx;
};

// A socket that c-ares opened.
struct ares_io {
  struct loop_io io;
  struct list_node node;
  struct resolver *resolver;
};

struct resolver {
  struct loop *loop;
  ares_channel channel;
  struct resolver_config config;
  struct map *names;
  struct list asked, idle, ready, sockets;
  size_t waiters;
  bool library, closing;
  struct loop_timer ready_timer;  // tells those in `ready`
  struct loop_timer budget_timer; // the first of `asked`
  struct loop_timer ares_timer;   // c-ares' own retries
};

static void answer_unref(struct answer *answer) {
  if (answer && --answer->refs == 0)
    free(answer);
}

static struct answer *answer_new(size_t len) {
  struct answer *answer = calloc(1, sizeof(*answer) + len * sizeof(answer->addresses[0]));
  if (answer) {
    answer->refs = 1;
    answer->len = len;
  }
  return answer;
}

static void query_make_ready(struct resolver_query *query, struct answer *answer) {
  struct resolver *resolver = query->resolver;
  if (query->home)
    list_remove(query->home, &query->node);
  query->answer = answer;
  if (answer)
    answer->refs++;
  query->home = &resolver->ready;
  if (list_empty(&resolver->ready))
    loop_timer_set(resolver->loop, &resolver->ready_timer, loop_now_us(resolver->loop));
  list_push_back(&resolver->ready, &query->node);
}

// `answer` NULL: memory is out.
static void name_tell_waiters(struct name *name, struct answer *answer) {
  if (list_linked(&name->asked))
    list_remove(&name->resolver->asked, &name->asked);
  LIST_EACH (&name->waiters, node, next)
    query_make_ready(CONTAINER_OF(node, struct resolver_query, node), answer);
}

static void name_free(struct name *name) {
  struct resolver *resolver = name->resolver;
  if (list_linked(&name->idle))
    list_remove(&resolver->idle, &name->idle);
  (void)map_remove(resolver->names, (struct str){name->text, name->len});
  answer_unref(name->answer);
  free(name);
}

// Keep what is worth keeping, for at most `ttl_us`; a name with neither question nor answer goes.
static void name_settle(struct name *name, struct answer *answer, int64_t ttl_us) {
  struct resolver *resolver = name->resolver;
  if (answer && ttl_us > 0) {
    answer_unref(name->answer);
    name->answer = answer;
    answer->refs++;
    name->expires_us = loop_now_us(resolver->loop) + ttl_us;
  }
  if (name->asking)
    return;
  if (!name->answer) {
    name_free(name);
    return;
  }
  if (list_linked(&name->idle))
    list_remove(&resolver->idle, &name->idle);
  list_push_back(&resolver->idle, &name->idle);
}

// c-ares says the same when the server refuses and when it got no socket itself.
static bool out_of_descriptors(void) {
  int fd = eventfd(0, EFD_CLOEXEC);
  if (fd >= 0)
    close(fd);
  return fd < 0 && (errno == EMFILE || errno == ENFILE);
}

static int fill_ares_error(struct error *err, const struct name *name, int status) {
  const char *text = name->text;
  switch (status) {
  case ARES_ENOTFOUND:
    return error_set(err, ERR_NOT_FOUND, "the name %s does not exist", text);
  case ARES_ENODATA:
    return error_set(err, ERR_NOT_FOUND, "the name %s has no address", text);
  case ARES_ETIMEOUT:
    return error_set(err, ERR_TIMEOUT, "no answer from the name server for %s", text);
  case ARES_ECONNREFUSED:
    if (out_of_descriptors())
      return error_set(err, ERR_FULL, "no descriptor is left to look up %s", text);
    return error_set(err, ERR_UNAVAILABLE, "the name server cannot be reached for %s", text);
  case ARES_EDESTRUCTION:
  case ARES_ECANCELLED:
    return error_set(err, ERR_UNAVAILABLE, "the lookup of %s was given up: the program is stopping", text);
  case ARES_ENOMEM:
    return error_set(err, ERR_NO_MEMORY, "no memory to look up %s", text);
  default:
    return error_set(err, ERR_UNAVAILABLE, "the lookup of %s failed: %s", text, ares_strerror(status));
  }
}

static size_t copy_addresses(const struct ares_addrinfo *info, struct address *out, int64_t *ttl_s) {
  size_t len = 0;
  for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) {
    if (node->ai_ttl < *ttl_s)
      *ttl_s = node->ai_ttl;
    if (len == RESOLVER_MAX_ADDRESSES || !address_from_sockaddr(node->ai_addr, &out[len]))
      continue;
    out[len++].port = 0;
  }
  for (const struct ares_addrinfo_cname *cname = info->cnames; cname; cname = cname->next) {
    if (cname->ttl < *ttl_s)
      *ttl_s = cname->ttl;
  }
  return len;
}

static struct answer *answer_from_ares(const struct name *name, int status, const struct ares_addrinfo *info,
                                       int64_t *ttl_us) {
  const struct resolver_config *config = &name->resolver->config;
  struct address addresses[RESOLVER_MAX_ADDRESSES];
  int64_t ttl_s = INT32_MAX;
  size_t len = status == ARES_SUCCESS ? copy_addresses(info, addresses, &ttl_s) : 0;
  struct answer *answer = answer_new(len);
  if (!answer)
    return NULL;
  if (len == 0) {
    fill_ares_error(&answer->err, name, status == ARES_SUCCESS ? ARES_ENODATA : status);
    // Our own limits say nothing about the name.
    bool ours = answer->err.code == ERR_NO_MEMORY || answer->err.code == ERR_FULL;
    *ttl_us = ours ? 0 : config->negative_ttl_ms * US_PER_MS;
    return answer;
  }
  memcpy(answer->addresses, addresses, len * sizeof(addresses[0]));
  *ttl_us = config->positive_ttl_ms * US_PER_MS;
  if (ttl_s * US_PER_S < *ttl_us)
    *ttl_us = ttl_s * US_PER_S;
  return answer;
}

static void on_ares_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info) {
  (void)timeouts;
  struct name *name = arg;
  int64_t ttl_us = 0;
  struct answer *answer = answer_from_ares(name, status, info, &ttl_us);
  if (info)
    ares_freeaddrinfo(info);
  name->asking = false;
  name_tell_waiters(name, answer);
  name_settle(name, answer, ttl_us);
  answer_unref(answer);
}

static void arm_ares_timer(struct resolver *resolver) {
  struct timeval tv;
  if (!ares_timeout(resolver->channel, NULL, &tv)) {
    loop_timer_cancel(resolver->loop, &resolver->ares_timer);
    return;
  }
  // One ms more than asked: c-ares counts in ms and would find nothing to do yet.
  int64_t in_us = (int64_t)tv.tv_sec * US_PER_S + tv.tv_usec + US_PER_MS;
  loop_timer_set(resolver->loop, &resolver->ares_timer, loop_now_us(resolver->loop) + in_us);
}

static void on_ares_timer(struct loop_timer *timer) {
  struct resolver *resolver = CONTAINER_OF(timer, struct resolver, ares_timer);
  ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  arm_ares_timer(resolver);
}

static void on_ares_ready(struct loop_io *io, uint32_t events) {
  struct ares_io *entry = CONTAINER_OF(io, struct ares_io, io);
  struct resolver *resolver = entry->resolver;
  bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  ares_socket_t in = (events & EPOLLIN) || broken ? io->fd : ARES_SOCKET_BAD;
  ares_socket_t out = (events & EPOLLOUT) || broken ? io->fd : ARES_SOCKET_BAD;
  ares_process_fd(resolver->channel, in, out); // may close the socket: `entry` is gone then
  arm_ares_timer(resolver);
}

static struct ares_io *find_socket(struct resolver *resolver, int fd) {
  LIST_EACH (&resolver->sockets, node, next) {
    struct ares_io *entry = CONTAINER_OF(node, struct ares_io, node);
    if (entry->io.fd == fd)
      return entry;
  }
  return NULL;
}

static struct ares_io *add_socket(struct resolver *resolver, int fd) {
  struct ares_io *entry = resolver->sockets.count < MAX_SOCKETS ? calloc(1, sizeof(*entry)) : NULL;
  if (!entry)
    return NULL;
  entry->io.fd = fd;
  entry->io.on_ready = on_ares_ready;
  entry->resolver = resolver;
  list_push_back(&resolver->sockets, &entry->node);
  return entry;
}

// A socket that cannot be watched only makes its questions run into their budget.
static void on_ares_socket(void *arg, ares_socket_t fd, int readable, int writable) {
  struct resolver *resolver = arg;
  struct ares_io *entry = find_socket(resolver, fd);
  uint32_t events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
  if (events != 0) {
    if (!entry)
      entry = add_socket(resolver, fd);
    struct error ignored;
    if (entry && entry->io.events != events)
      (void)!loop_io_set(resolver->loop, &entry->io, events, &ignored);
  } else if (entry) {
    loop_io_remove(resolver->loop, &entry->io);
    list_remove(&resolver->sockets, &entry->node);
    free(entry);
  }
}

static void query_free(struct resolver_query *query) {
  if (query->home)
    list_remove(query->home, &query->node);
  answer_unref(query->answer);
  query->resolver->waiters--;
  free(query);
}

static void query_tell(struct resolver_query *query) {
  static const struct error no_memory = {ERR_NO_MEMORY, "no memory for the answer of the name server"};
  resolver_fn *fn = query->fn;
  void *ctx = query->ctx;
  struct answer *answer = query->answer;
  query->answer = NULL;
  query_free(query);
  if (!answer) {
    fn(ctx, NULL, &no_memory);
  } else if (answer->err.code != ERR_OK) {
    fn(ctx, NULL, &answer->err);
  } else {
    struct resolver_answer view = {answer->addresses, answer->len};
    fn(ctx, &view, NULL);
  }
  answer_unref(answer);
}

// Only those that are here now: one that asks again when told waits for the next round.
static void tell_ready(struct resolver *resolver) {
  for (size_t left = resolver->ready.count; left > 0 && !list_empty(&resolver->ready); left--)
    query_tell(CONTAINER_OF(list_first(&resolver->ready), struct resolver_query, node));
}

static void on_ready_timer(struct loop_timer *timer) {
  struct resolver *resolver = CONTAINER_OF(timer, struct resolver, ready_timer);
  tell_ready(resolver);
  if (!list_empty(&resolver->ready))
    loop_timer_set(resolver->loop, &resolver->ready_timer, loop_now_us(resolver->loop));
}

static void name_give_up(struct name *name) {
  const struct resolver_config *config = &name->resolver->config;
  struct answer *answer = answer_new(0);
  if (answer)
    error_set(&answer->err, ERR_TIMEOUT, "no answer from the name server for %s in %lld ms", name->text,
              (long long)config->budget_ms);
  name_tell_waiters(name, answer);
  name_settle(name, answer, config->negative_ttl_ms * US_PER_MS);
  answer_unref(answer);
}

static void on_budget_timer(struct loop_timer *timer) {
  struct resolver *resolver = CONTAINER_OF(timer, struct resolver, budget_timer);
  struct list_node *node;
  while ((node = list_first(&resolver->asked)) != NULL) {
    struct name *name = CONTAINER_OF(node, struct name, asked);
    if (name->deadline_us > loop_now_us(resolver->loop)) {
      loop_timer_set(resolver->loop, &resolver->budget_timer, name->deadline_us);
      return;
    }
    name_give_up(name);
  }
}

static struct name *name_new(struct resolver *resolver, struct str text, struct error *err) {
  if (map_count(resolver->names) >= resolver->config.max_names) {
    struct list_node *oldest = list_first(&resolver->idle);
    if (!oldest) {
      error_set(err, ERR_FULL, "%zu names are being looked up already", resolver->config.max_names);
      return NULL;
    }
    name_free(CONTAINER_OF(oldest, struct name, idle));
  }
  struct name *name = calloc(1, sizeof(*name) + text.len + 1);
  if (!name || map_put(resolver->names, text, name) != 0) {
    free(name);
    error_set(err, ERR_NO_MEMORY, "no memory to look up a name");
    return NULL;
  }
  name->resolver = resolver;
  name->len = text.len;
  memcpy(name->text, text.ptr, text.len);
  list_init(&name->waiters);
  return name;
}

static void name_wait(struct name *name, struct resolver_query *query) {
  struct resolver *resolver = name->resolver;
  query->home = &name->waiters;
  list_push_back(&name->waiters, &query->node);
  if (list_linked(&name->asked))
    return;
  name->deadline_us = loop_now_us(resolver->loop) + resolver->config.budget_ms * US_PER_MS;
  if (list_empty(&resolver->asked))
    loop_timer_set(resolver->loop, &resolver->budget_timer, name->deadline_us);
  list_push_back(&resolver->asked, &name->asked);
}

static void name_ask(struct name *name) {
  struct resolver *resolver = name->resolver;
  if (list_linked(&name->idle))
    list_remove(&resolver->idle, &name->idle);
  answer_unref(name->answer);
  name->answer = NULL;
  name->asking = true;
  struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  ares_getaddrinfo(resolver->channel, name->text, NULL, &hints, on_ares_answer, name); // may answer at once
  arm_ares_timer(resolver);
}

static bool name_normalise(struct str name, char out[static MAX_NAME_BYTES + 1], struct str *result) {
  if (name.len > 0 && name.ptr[name.len - 1] == '.')
    name.len--;
  if (name.len == 0 || name.len > MAX_NAME_BYTES || memchr(name.ptr, '\0', name.len))
    return false;
  for (size_t i = 0; i < name.len; i++) {
    char c = name.ptr[i];
    out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
  }
  out[name.len] = '\0';
  *result = (struct str){out, name.len};
  return true;
}

struct resolver_query *resolver_ask(struct resolver *resolver, struct str name, resolver_fn *fn, void *ctx,
                                    struct error *err) {
  char buf[MAX_NAME_BYTES + 1];
  struct str text;
  if (!name_normalise(name, buf, &text)) {
    error_set(err, ERR_INVALID, "a host name has 1 to %d bytes", MAX_NAME_BYTES);
    return NULL;
  }
  if (resolver->closing || resolver->waiters >= resolver->config.max_waiters) {
    error_set(err, resolver->closing ? ERR_UNAVAILABLE : ERR_FULL, "no room to wait for the address of %s", buf);
    return NULL;
  }
  struct name *known = map_get(resolver->names, text);
  if (!known && (known = name_new(resolver, text, err)) == NULL)
    return NULL;
  bool cached = known->answer && known->expires_us > loop_now_us(resolver->loop);
  struct resolver_query *query = calloc(1, sizeof(*query));
  if (!query) {
    if (!known->asking && !cached)
      name_free(known);
    error_set(err, ERR_NO_MEMORY, "no memory to look up %s", buf);
    return NULL;
  }
  query->resolver = resolver;
  query->fn = fn;
  query->ctx = ctx;
  resolver->waiters++;
  if (cached) {
    query_make_ready(query, known->answer);
    return query;
  }
  name_wait(known, query);
  if (!known->asking)
    name_ask(known);
  return query;
}

void resolver_cancel(struct resolver_query *query) {
  if (query)
    query_free(query);
}

// ARES_FLAG_NOALIASES: the environment's HOSTALIASES has no say.
static int open_channel(struct resolver *resolver) {
  char lookups[] = "fb"; // /etc/hosts first, then the name server
  struct ares_options options = {
      .flags = ARES_FLAG_NOALIASES,
      .timeout = (int)(resolver->config.budget_ms / ASK_PARTS) + 1,
      .tries = ASK_TRIES,
      .lookups = lookups,
      .sock_state_cb = on_ares_socket,
      .sock_state_cb_data = resolver,
  };
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_QUERY_CACHE
  options.qcache_max_ttl = 0; // our cache is the only one, or its cap on the TTL would mean nothing
  mask |= ARES_OPT_QUERY_CACHE;
#endif
  int status = ares_init_options(&resolver->channel, &options, mask);
  if (status != ARES_SUCCESS) {
    resolver->channel = NULL;
    return status;
  }
  const char *servers = resolver->config.servers;
  return servers && servers[0] ? ares_set_servers_ports_csv(resolver->channel, servers) : ARES_SUCCESS;
}

struct resolver *resolver_new(struct loop *loop, const struct resolver_config *config, struct error *err) {
  struct resolver *resolver = calloc(1, sizeof(*resolver));
  if (!resolver) {
    error_set(err, ERR_NO_MEMORY, "no memory for the resolver");
    return NULL;
  }
  resolver->loop = loop;
  resolver->config = *config;
  list_init(&resolver->asked);
  list_init(&resolver->idle);
  list_init(&resolver->ready);
  list_init(&resolver->sockets);
  resolver->ready_timer.on_fire = on_ready_timer;
  resolver->budget_timer.on_fire = on_budget_timer;
  resolver->ares_timer.on_fire = on_ares_timer;
  resolver->names = map_new(config->max_names);
  int status = ARES_ENOMEM;
  if (resolver->names) {
    status = ares_library_init(ARES_LIB_INIT_ALL); // c-ares counts these
    resolver->library = status == ARES_SUCCESS;
    if (resolver->library)
      status = open_channel(resolver);
  }
  if (status != ARES_SUCCESS) {
    error_set(err, ERR_CONFIG, "cannot set up name lookups with the servers \"%s\": %s",
              config->servers ? config->servers : "of the system", ares_strerror(status));
    resolver_free(resolver);
    return NULL;
  }
  resolver->config.servers = NULL; // the caller's text need not live on
  return resolver;
}

void resolver_free(struct resolver *resolver) {
  if (!resolver)
    return;
  resolver->closing = true;
  if (resolver->channel)
    ares_destroy(resolver->channel); // calls back for every open question
  tell_ready(resolver);
  while (!list_empty(&resolver->idle))
    name_free(CONTAINER_OF(list_first(&resolver->idle), struct name, idle));
  loop_timer_cancel(resolver->loop, &resolver->ready_timer);
  loop_timer_cancel(resolver->loop, &resolver->budget_timer);
  loop_timer_cancel(resolver->loop, &resolver->ares_timer);
  map_free(resolver->names);
  if (resolver->library)
    ares_library_cleanup();
  free(resolver);
}
