// SPDX-License-Identifier: Apache-2.0
// `harbinger user passwd NAME --data DIR`: a new password on the machine itself, through the running server's control
// socket, or straight in the store when none runs.
#ifndef HARBINGER_APP_PASSWD_H
#define HARBINGER_APP_PASSWD_H

int passwd_main(int argc, char **argv); // argv[0] is "passwd"; the exit code

#endif
