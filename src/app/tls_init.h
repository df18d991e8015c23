// SPDX-License-Identifier: Apache-2.0
// `harbinger tls init`: a certificate authority of one's own, a certificate by it, and what each client needs to trust it.
#ifndef HARBINGER_APP_TLS_INIT_H
#define HARBINGER_APP_TLS_INIT_H

int tls_init_main(int argc, char **argv); // argv[0] is `init`; the exit code

#endif
