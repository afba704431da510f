/* SPDX-License-Identifier: MIT */
/* How a process ended: in words, as JSON and as an exit status of one's own. */
#ifndef ENDING_H
#define ENDING_H

#include <exitfd.h>
#include <stdbool.h>
#include <stdio.h>

enum {
    ENDING_SIZE = 96
};

/* "exited with status 3", "was killed by SIGTERM", "ended, but its status is
   unknown" */
const char *ending_in_words(const struct exitfd_event *ending, char buffer[ENDING_SIZE]);

bool ending_is_success(const struct exitfd_event *ending);

/* 3, 128 plus the signal, or STATUS_UNKNOWN */
int ending_exit_status(const struct exitfd_event *ending);

/* The members outcome, status, signal, core and origin. */
void ending_to_json(FILE *out, const struct exitfd_event *ending);

/* The same members for a process without an ending: outcome is what is said of
   it instead. */
void outcome_to_json(FILE *out, const char *outcome);

#endif
