// SPDX-License-Identifier: Apache-2.0
// The commands `backup`, `restore`, `check`, `compact` and `key rotate`. They ask the server of the data directory when one
// runs (app/control.h), else they open the store themselves. Main thread.
#ifndef HARBINGER_APP_CARE_COMMAND_H
#define HARBINGER_APP_CARE_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

// Is argv[1] (and argv[2]) one of them? Then care_command_main runs it: argv as main has it; the exit code.
bool care_command_owns(int argc, char **argv);
int care_command_main(int argc, char **argv);
void care_command_print(FILE *out); // lines of the help

#endif
