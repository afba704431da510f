/* SPDX-License-Identifier: MIT */
/* What the suites about exitfd_start share. */
#ifndef EXITFD_TESTS_START_SUPPORT_H
#define EXITFD_TESTS_START_SUPPORT_H

#include "life_support.h"

/* The program argv[0] with its arguments, and nothing else. */
struct exitfd_command command_of(char *const argv[]);

/* sh -c script; the text must stay. */
struct exitfd_command shell_command(const char *script);

/* What it writes to stdout, which is added to its actions. Its event, taken
   afterwards, must be that of an exit with 0. */
struct output output_of_command(struct exitfd *x, const struct exitfd_command *command);

/* Nothing was written to pid, nothing is to be waited for, no event comes. */
void expect_nothing_started(struct exitfd *x, int result, int wanted, pid_t pid);

/* For start_helper: reaps any child until the atomic_bool at stop is true. */
void *steal_children(void *stop);

/* What /proc/self/status says of a started program. */
struct signal_masks masks_in_program(struct exitfd *x, unsigned options);

#endif
