/* SPDX-License-Identifier: MIT */
/* What the files of the soak share: children by the million, and those who
   disturb. */
#ifndef EXITFD_TESTS_SOAK_H
#define EXITFD_TESTS_SOAK_H

#include <stdbool.h>
#include <sys/types.h>

#define BATCH_MAX 5000

struct child {
    pid_t pid;
    int code, status; /* how it ends */
    bool traced;      /* a tracer holds it beyond its end */
    bool stolen;      /* the foreign reaper has waited for it */
    bool reported;
    int origin; /* of the event */
};

/* The children of a batch live in these slots; each slot has a stack that its
   next child uses again. */
extern struct child children[BATCH_MAX];

/* For what is no part of the test but must work: says so and ends the
   program. */
void require(bool holds, const char *call);

/* Of this process. */
struct size {
    long rss_kb, fds;
};
struct size measure(void);

/* Starts the child of slot number i. gated: it ends once open_gate has let it
   through. */
void start_child(int i, bool gated);
void open_gate(int count);

/* A thread that waits for any child, as a careless library would. */
void start_reaper(void);
void let_reaper_steal(int count); /* of the batch in the first count slots, until no child is left */
void await_reaper(void);
void stop_reaper(void);

/* A process that traces those of the first count children that are marked so,
   and keeps their zombies. */
bool start_tracer(int count); /* false: ptrace is not permitted here */
void await_held_zombies(void);
void end_tracer(bool reaps); /* it waits for its tracees, or is killed */

#endif
