/* SPDX-License-Identifier: MIT */
/*
 * Random operations on two exitfds and their children against a model of what must be reported: for each watch exactly one
 * exit event, with the true status or EXITFD_UNKNOWN, and EXITFD_RECORDED where there is a record; nothing for what was
 * removed or discarded; nothing reaped that is not watched, unless for pid -1; no stop or continuation twice, nor one that is
 * no more; and the fd readable whenever an event is due.
 *
 * Children do what a pipe or a signal tells them, and each change is waited for, so the model knows their states. An
 * episode is a process of its own, with a seed of its own.
 */
#ifndef EXITFD_TESTS_FUZZ_H
#define EXITFD_TESTS_FUZZ_H

#include "check.h"

#include <exitfd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define CHILDREN 12
#define EPISODE 250

enum state {
    NONE,
    ALIVE,
    STOPPED,
    ZOMBIE,
    GONE
};
enum watching {
    NO,
    OWNED,
    OBSERVED,
    DISCARDED
};

struct child {
    enum state state;
    pid_t pid;
    int go, code, status;
    enum watching watching[2];
    bool has_pidfd[2];
    unsigned jobs[2];             /* EXITFD_STOPPED and EXITFD_CONTINUED, as asked for */
    bool job_may[2], job_must[2]; /* its last stop or continuation can still be told, and has to be */
};

/* What an episode is about. */
extern struct child children[CHILDREN];
extern struct exitfd *exitfds[2];
extern bool signal_lost[2]; /* SIGCHLD was ignored: the fd need not tell at once */
extern bool ignored, has_records;
extern bool lists_children; /* or an orphan is not found behind the zombie of a watched child */
extern bool without_signals[2];
extern int any_child; /* the exitfd that has pid -1, or -1 */

unsigned below(unsigned limit); /* random, from the seed */
int number(const struct child *c);

/* What is done, for who must repeat it; the first thing that is not so ends the episode. */
extern char operations[EPISODE * 2][80];
extern unsigned operation_count;
#define SAY(...) snprintf(operations[operation_count++ % (EPISODE * 2)], sizeof(operations[0]), __VA_ARGS__)

/* fuzz_operations.c */
void operate(void); /* one of all, on something, at random */
void end(struct child *c);
void steal(struct child *c);
void ignore_or_restore(void);

/* fuzz_model.c */
int wait_once(int x); /* one exitfd_wait, and what it gave */
void wait_in_two_threads(void (*meanwhile)(void));
void clear(void);                  /* until all that is due was told, and no more than that */
void job_changed(struct child *c); /* stopped or continued */
void no_job_must(void);            /* be told: who watches has changed, or SIGCHLD is ignored */

#endif
