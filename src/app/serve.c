// SPDX-License-Identifier: Apache-2.0
#include "app/serve.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "app/config.h"
#include "app/house.h"

static void print_help(void) {
  puts(
      "usage: harbinger serve [--config FILE] [--data DIR] [--listen ADDR:PORT] [--egress-allow CIDR]... [--set "
      "KEY=VALUE]...\n"
      "\n"
      "Takes notifications from registries and delivers them to webhooks. Runs in the foreground and logs to standard\n"
      "error; prints `harbinger ready URL` on standard output once it serves. SIGTERM stops it, SIGHUP reads the\n"
      "certificates again.\n"
      "\n"
      "  --config FILE        YAML file with settings; each is also HARBINGER_... in the environment\n"
      "  --data DIR           data directory (default ./data)\n"
      "  --listen ADDR:PORT   address to serve on (default 127.0.0.1:8080); port 0 takes a free one\n"
      "  --egress-allow CIDR  let webhooks reach a loopback, link-local or metadata range: for tests and demos\n"
      "  --set KEY=VALUE      any setting of `harbinger settings`\n"
      "\n"
      "examples:\n"
      "  harbinger serve --data /var/lib/harbinger --listen 0.0.0.0:8080\n"
      "  HARBINGER_INGEST_TOKEN=0123456789abcdef harbinger serve --egress-allow 127.0.0.0/8\n"
      "  harbinger serve --config /etc/harbinger.yaml --set log.level=debug");
}

struct option_value {
  const char *key, *value;
};

enum { MAX_OPTIONS = 256 };

struct options {
  const char *file;
  struct option_value values[MAX_OPTIONS];
  size_t len;
};

static int add_option(struct options *options, const char *key, const char *value, struct error *err) {
  if (options->len == MAX_OPTIONS)
    return error_set(err, ERR_CONFIG, "more than %d options", MAX_OPTIONS);
  options->values[options->len++] = (struct option_value){key, value};
  return 0;
}

static int add_setting(struct options *options, char *assignment, struct error *err) {
  char *eq = strchr(assignment, '=');
  if (!eq)
    return error_set(err, ERR_CONFIG, "--set takes KEY=VALUE, not `%s`", assignment);
  *eq = '\0';
  return add_option(options, assignment, eq + 1, err);
}

// 0 to go on, 1 when help was printed, negative on error.
static int read_options(int argc, char **argv, struct options *options, struct error *err) {
  static const struct option known[] = {
      {"config", required_argument, NULL, 'c'},
      {"data", required_argument, NULL, 'd'},
      {"listen", required_argument, NULL, 'l'},
      {"egress-allow", required_argument, NULL, 'e'},
      {"set", required_argument, NULL, 's'},
      {"help", no_argument, NULL, 'h'},
      {0},
  };
  options->file = getenv("HARBINGER_CONFIG");
  int rc = 0, option;
  while (rc == 0 && (option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
    switch (option) {
    case 'c':
      options->file = optarg;
      break;
    case 'd':
      rc = add_option(options, "data", optarg, err);
      break;
    case 'l':
      rc = add_option(options, "listen", optarg, err);
      break;
    case 'e':
      rc = add_option(options, "egress.allow", optarg, err);
      break;
    case 's':
      rc = add_setting(options, optarg, err);
      break;
    case 'h':
      print_help();
      return 1;
    default:
      return error_set(err, ERR_CONFIG, "see harbinger serve --help");
    }
  }
  if (rc == 0 && optind < argc)
    return error_set(err, ERR_CONFIG, "`%s` is not an option; see harbinger serve --help", argv[optind]);
  return rc;
}

static bool is_first_of_key(const struct options *options, size_t at) {
  for (size_t i = 0; i < at; i++)
    if (strcmp(options->values[i].key, options->values[at].key) == 0)
      return false;
  return true;
}

static int load_config(struct config *config, const struct options *options, struct buf *unknown, struct error *err) {
  int rc = config_load(config, options->file, environ, unknown, err);
  for (size_t i = 0; rc == 0 && i < options->len; i++)
    rc = config_set(config, options->values[i].key, options->values[i].value, is_first_of_key(options, i), err);
  return rc == 0 ? config_check(config, err) : rc;
}

// As many descriptors as the setting says and the system lets; the outcome goes to the log.
static void raise_descriptors(const struct config *config, struct log *log) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
    return;
  rlim_t wanted = (rlim_t)config->max_descriptors;
  struct rlimit raised = {.rlim_cur = wanted, .rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted};
  if (limit.rlim_cur < wanted && setrlimit(RLIMIT_NOFILE, &raised) != 0) {
    raised = (struct rlimit){.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted, .rlim_max = limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) != 0)
      raised = limit;
  } else if (limit.rlim_cur >= wanted) {
    raised = limit;
  }
  if (raised.rlim_cur < wanted)
    log_warn(log, "app", "at most %llu descriptors, not the %llu of limits.descriptors: raise the system's hard limit",
             (unsigned long long)raised.rlim_cur, (unsigned long long)wanted);
  else
    log_info(log, "app", "up to %llu descriptors", (unsigned long long)raised.rlim_cur);
}

static void announce(struct house *house) {
  if (house->first_password)
    printf("harbinger admin password: %s (shown once; change it with `harbinger user passwd admin --data %s`)\n",
           house->first_password, house->config->data);
  printf("harbinger ready %s\n", house->url);
  fflush(stdout);
  log_info(&house->log, "app", "serving on %s, data in %s", house->url, house->config->data);
}

static void wait_for_end(struct house *house, const sigset_t *signals) {
  for (;;) {
    int signal = 0;
    if (sigwait(signals, &signal) != 0)
      continue;
    if (signal != SIGHUP) {
      log_info(&house->log, "app", "stopping on signal %d", signal);
      return;
    }
    struct error err = {0};
    if (house_reload(house, &err) == 0)
      log_info(&house->log, "app", "reloaded");
    else
      log_error(&house->log, "app", "reload failed, everything stays as it was: %s", err.text);
  }
}

static int fail(struct error *err) {
  fprintf(stderr, "harbinger serve: %s\n", err->text[0] ? err->text : error_name(err->code));
  return error_exit_code(err->code);
}

// All threads inherit the mask: signals come to the main thread alone.
static void take_signals(sigset_t *signals) {
  sigemptyset(signals);
  sigaddset(signals, SIGTERM);
  sigaddset(signals, SIGINT);
  sigaddset(signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, signals, NULL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); // a limit on file sizes is a full disk, not the end
}

static int serve(const struct config *config, const struct buf *unknown, struct error *err) {
  static struct house house; // large, and lives as long as the program
  sigset_t signals;
  take_signals(&signals);
  int rc = house_start(&house, config, err);
  if (rc == 0) {
    raise_descriptors(config, &house.log);
    if (unknown->len)
      log_warn(&house.log, "app", "no such settings, passed by: %.*s", STR_ARG(buf_str(unknown)));
    announce(&house);
    wait_for_end(&house, &signals);
  }
  house_stop(&house);
  return rc;
}

int serve_main(int argc, char **argv) {
  struct options options = {0};
  struct config config = {0};
  struct error err = {0};
  struct buf unknown;
  buf_init(&unknown, 4096);
  int rc = read_options(argc, argv, &options, &err);
  if (rc > 0)
    return 0; // help was printed
  if (rc == 0)
    rc = load_config(&config, &options, &unknown, &err);
  if (rc == 0)
    rc = serve(&config, &unknown, &err);
  config_free(&config);
  buf_free(&unknown);
  return rc == 0 ? 0 : fail(&err);
}
