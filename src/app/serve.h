// SPDX-License-Identifier: Apache-2.0
// `harbinger serve`: makes every room from the configuration, starts them in order, waits for signals on the main thread,
// stops them in reverse order.
#ifndef HARBINGER_APP_SERVE_H
#define HARBINGER_APP_SERVE_H

int serve_main(int argc, char **argv); // argv[0] is "serve"; the exit code

#endif
