// SPDX-License-Identifier: Apache-2.0
#include "app/tls_init.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "net/certificate.h"

enum { TLS_ARENA_BYTES = 256 * 1024, TLS_PATH_BYTES = PATH_MAX, TLS_FILES = 4, TLS_MAX_PORT = 65535 };

struct options {
  struct str hosts[CERTIFICATE_MAX_HOSTS];
  size_t hosts_len;
  const char *dir;
  int days, port;
  bool help;
};

static void print_help(void) {
  puts("usage: harbinger tls init --host NAME [--host NAME ...] [--dir DIR] [--port N] [--days N]\n"
       "\n"
       "Makes a certificate authority of your own and a certificate by it, for a server that no public authority "
       "knows, and\n"
       "says what each client needs to trust it. NAME is a host name or an address that clients reach the server by.\n"
       "\n"
       "  --host NAME  a name or address of the server; may be given again\n"
       "  --dir DIR    where the files go (default: tls); what is there is never overwritten\n"
       "  --port N     the server's port, for the commands that are printed (default: 443)\n"
       "  --days N     how long the certificate is valid, 1 to 825 (default: 825)\n"
       "\n"
       "examples:\n"
       "  harbinger tls init --host registry.example.com\n"
       "  harbinger tls init --host localhost --host 127.0.0.1 --port 8443 --dir /etc/harbinger/tls");
}

static int read_number(const char *text, int max, const char *name, int *out, struct error *err) {
  uint64_t value;
  if (!str_to_u64(str_of(text), &value) || value < 1 || value > (uint64_t)max)
    return error_set(err, ERR_CONFIG, "--%s must be a number from 1 to %d, not `%s`", name, max, text);
  *out = (int)value;
  return 0;
}

static int add_host(struct options *options, const char *host, struct error *err) {
  if (options->hosts_len == CERTIFICATE_MAX_HOSTS)
    return error_set(err, ERR_CONFIG, "at most %d names can be given with --host", CERTIFICATE_MAX_HOSTS);
  options->hosts[options->hosts_len++] = str_of(host);
  return 0;
}

static int read_options(int argc, char **argv, struct options *out, struct error *err) {
  static const struct option known[] = {{"host", required_argument, NULL, 'n'}, {"dir", required_argument, NULL, 'd'},
                                        {"port", required_argument, NULL, 'p'}, {"days", required_argument, NULL, 'v'},
                                        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0}};
  int option, rc = 0;
  *out = (struct options){.dir = "tls", .days = CERTIFICATE_MAX_DAYS, .port = 443};
  opterr = 0;
  optind = 1;
  while (rc == 0 && (option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
    switch (option) {
    case 'n':
      rc = add_host(out, optarg, err);
      break;
    case 'd':
      out->dir = optarg;
      break;
    case 'p':
      rc = read_number(optarg, TLS_MAX_PORT, "port", &out->port, err);
      break;
    case 'v':
      rc = read_number(optarg, CERTIFICATE_MAX_DAYS, "days", &out->days, err);
      break;
    case 'h':
      out->help = true;
      return 0;
    default:
      return error_set(err, ERR_CONFIG,
                       "unknown option, or one without its value: `%s`; see `harbinger tls init --help`",
                       argv[optind - 1]);
    }
  }
  if (rc == 0 && optind < argc)
    return error_set(err, ERR_CONFIG, "`%s` is one word too many; see `harbinger tls init --help`", argv[optind]);
  if (rc == 0 && out->hosts_len == 0)
    return error_set(err, ERR_CONFIG, "name the server with --host, as clients reach it: --host registry.example.com");
  return rc;
}

// ---- files ------------------------------------------------------------------------------------------------------------------

struct file {
  char path[TLS_PATH_BYTES];
  struct str content;
  mode_t mode;
};

static int fail(const char *what, const char *path, struct error *err) {
  char words[128];
  return error_set(err, ERR_IO, "cannot %s %s: %s", what, path, error_errno(errno, words));
}

// A new file, whole: what is there already, a link too, is not touched.
static int write_new(const struct file *file, struct error *err) {
  int fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->mode);
  if (fd < 0 && errno == EEXIST)
    return error_set(
        err, ERR_CONFLICT,
        "%s is there already, and clients may trust it: move it away, or name another directory with --dir",
        file->path);
  if (fd < 0)
    return fail("make", file->path, err);
  size_t done = 0;
  while (done < file->content.len) {
    ssize_t n = write(fd, file->content.ptr + done, file->content.len - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      break;
    done += (size_t)n;
  }
  bool whole = done == file->content.len && fchmod(fd, file->mode) == 0 && fsync(fd) == 0;
  int rc = whole ? 0 : fail("write", file->path, err);
  close(fd);
  if (rc != 0)
    unlink(file->path);
  return rc;
}

static int name_files(const char *dir, const struct certificate_pair *pair, struct file files[static TLS_FILES],
                      struct error *err) {
  static const char *const names[TLS_FILES] = {"ca.key", "ca.pem", "server.key", "server.pem"};
  const struct str contents[TLS_FILES] = {pair->ca_key, pair->ca, pair->key, pair->certificate};
  for (size_t i = 0; i < TLS_FILES; i++) {
    if (snprintf(files[i].path, sizeof files[i].path, "%s/%s", dir, names[i]) >= (int)sizeof files[i].path)
      return error_set(err, ERR_CONFIG, "the path %s is too long", dir);
    files[i].content = contents[i];
    files[i].mode = str_ends(str_of(names[i]), STR(".key")) ? 0600 : 0644;
  }
  return 0;
}

// All four or none.
static int write_all(const char *dir, struct file files[static TLS_FILES], struct error *err) {
  if (mkdir(dir, 0755) != 0 && errno != EEXIST)
    return fail("make the directory", dir, err);
  for (size_t i = 0; i < TLS_FILES; i++) {
    int rc = write_new(&files[i], err);
    if (rc == 0)
      continue;
    while (i-- > 0)
      unlink(files[i].path);
    return rc;
  }
  return 0;
}

// ---- what clients need --------------------------------------------------------------------------------------------------------

// In single quotes, so that any path can be pasted into a shell.
static void quote(const char *dir, const char *name, struct buf *out) {
  buf_put_char(out, '\'');
  for (; *dir; dir++) {
    if (*dir == '\'')
      buf_put_c(out, "'\\''");
    else
      buf_put_char(out, *dir);
  }
  buf_put_c(out, name);
  buf_put_char(out, '\'');
}

static void print_clients(const struct options *options, const char *dir) {
  char host[512], ca[5 * TLS_PATH_BYTES];
  struct str first = options->hosts[0];
  bool six = str_find(first, ':') >= 0;
  struct buf quoted;
  buf_init(&quoted, sizeof ca);
  quote(dir, "/ca.pem", &quoted);
  (void)snprintf(ca, sizeof ca, "%.*s", (int)quoted.len, quoted.ptr);
  buf_free(&quoted);
  (void)snprintf(host, sizeof host, "%s%.*s%s", six ? "[" : "", STR_ARG(first), six ? "]" : "");
  if (options->port != 443)
    (void)snprintf(host + strlen(host), sizeof host - strlen(host), ":%d", options->port);
  printf("\nSettings of the server:\n  tls.cert_file: %s/server.pem\n  tls.key_file: %s/server.key\n  external_url: "
         "https://%s\n",
         dir, dir, host);
  puts(
      "\nOn each machine that has this client, with ca.pem copied to it (as root; no restart is needed but where it is "
      "said):");
  printf("\ndocker\n  mkdir -p /etc/docker/certs.d/%s\n  cp %s /etc/docker/certs.d/%s/ca.crt\n", host, ca, host);
  printf(
      "\npodman, buildah, skopeo\n  mkdir -p /etc/containers/certs.d/%s\n  cp %s /etc/containers/certs.d/%s/ca.crt\n",
      host, ca, host);
  printf("\ncurl\n  curl --cacert %s https://%s/v2/\n", ca, host);
  printf("\nharbinger\n  harbinger login https://%s --ca-file %s\n", host, ca);
  printf("\nDebian and Ubuntu, for every program that trusts what the system trusts (restart docker after it)\n  cp %s "
         "/usr/local/share/ca-certificates/harbinger.crt\n  update-ca-certificates\n",
         ca);
  printf("\ncontainerd (with config_path = \"/etc/containerd/certs.d\" in its config.toml)\n  mkdir -p "
         "/etc/containerd/certs.d/%s\n  cp %s /etc/containerd/certs.d/%s/ca.pem\n  cat > "
         "/etc/containerd/certs.d/%s/hosts.toml <<'END'\nserver = \"https://%s\"\n\n[host.\"https://%s\"]\n  ca = "
         "\"/etc/containerd/certs.d/%s/ca.pem\"\nEND\n",
         host, ca, host, host, host, host, host);
  printf("\nKeep %s/ca.key away from everybody: who has it can pass for any server with these clients.\n", dir);
}

static int make(const struct options *options, struct error *err) {
  CLEANUP(arena_cleanup) struct arena *arena = arena_new(TLS_ARENA_BYTES);
  struct certificate_pair pair;
  struct clock clock;
  char dir[TLS_PATH_BYTES];
  clock_init_real(&clock);
  const struct certificate_request request = {
      .hosts = options->hosts, .hosts_len = options->hosts_len, .days = options->days, .now_us = clock_wall_us(&clock)};
  if (!arena)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  int rc = certificate_make(&request, arena, &pair, err);
  if (rc != 0)
    return rc;
  struct file *files = arena_array(arena, TLS_FILES, sizeof *files);
  if (!files)
    return error_set(err, ERR_NO_MEMORY, "out of memory");
  rc = name_files(options->dir, &pair, files, err);
  if (rc == 0)
    rc = write_all(options->dir, files, err);
  explicit_bzero((void *)(uintptr_t)pair.ca_key.ptr, pair.ca_key.len);
  explicit_bzero((void *)(uintptr_t)pair.key.ptr, pair.key.len);
  if (rc != 0)
    return rc;
  if (!realpath(options->dir, dir))
    return fail("find", options->dir, err);
  printf("Made in %s: ca.pem and ca.key (the authority, valid 10 years), server.pem and server.key (valid %d days, for",
         dir, options->days);
  for (size_t i = 0; i < options->hosts_len; i++)
    printf("%s %.*s", i > 0 ? "," : "", STR_ARG(options->hosts[i]));
  puts(").");
  print_clients(options, dir);
  return 0;
}

int tls_init_main(int argc, char **argv) {
  struct options options;
  struct error err = {0};
  int rc = read_options(argc, argv, &options, &err);
  if (rc == 0 && options.help) {
    print_help();
    return 0;
  }
  if (rc == 0)
    rc = make(&options, &err);
  if (rc == 0)
    return fflush(stdout) == 0 ? 0 : 1;
  fprintf(stderr, "harbinger tls init: %s\n", err.text);
  return error_exit_code(err.code);
}
