// SPDX-License-Identifier: Apache-2.0
// A connection of a benchmark tool, plain or TLS, on a socket that does not block.
#ifndef HARBINGER_BENCH_SECURE_H
#define HARBINGER_BENCH_SECURE_H

#include <openssl/ssl.h>
#include <sys/types.h>

enum { SECURE_AGAIN = -1, SECURE_GONE = 0 };

// A context that trusts `ca_file` (client) or serves `cert_file` and `key_file`; ends the program when it cannot.
SSL_CTX *secure_client(const char *ca_file);
SSL_CTX *secure_server(const char *cert_file, const char *key_file);

// Wraps `fd`; `session` may be NULL. The handshake runs with the first read and write.
SSL *secure_wrap(SSL_CTX *context, int fd, int is_server, SSL_SESSION *session);

// Bytes read or written, SECURE_AGAIN, or SECURE_GONE; `ssl` NULL means plain.
ssize_t secure_read(SSL *ssl, int fd, char *into, size_t len);
ssize_t secure_write(SSL *ssl, int fd, const char *from, size_t len);
void secure_close(SSL *ssl, int fd);

#endif
