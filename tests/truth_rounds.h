/* SPDX-License-Identifier: MIT */
/*
 * Rounds of the stress suites, stress_rounds() children in all. Each gives one
 * event or is left for other code to reap, never both, never neither, and no
 * status is another's.
 */
#ifndef EXITFD_TESTS_TRUTH_ROUNDS_H
#define EXITFD_TESTS_TRUTH_ROUNDS_H

#include "truth_support.h"

enum {
    BATCH_MAX = 500
};

struct round {
    pid_t pid;
    int status;
    int events;
    int stolen_status; /* -1: other code did not reap it */
};

extern struct round batch[BATCH_MAX];
extern struct gate gate;

/* How many events so far were of which origin. */
extern int reaped, recorded, unknown;

void spin(int turns);
/* As many children as stress_rounds() wants, in whole batches, at least one. */
int rounds_in_batches(int size);

/* Children behind the gate, watched, each with its round as the data. */
void start_batch(struct exitfd *x, int first, int size);
/* Fails on a second event of a round, and on a status that is not its own. */
void note_event(const struct exitfd_event *event);
/* Takes n events, by polling; calling: also without the fd's help, for where
   SIGCHLD no longer tells. */
void take_events(struct exitfd *x, int n, bool calling);
void expect_totals(int rounds);

#endif
