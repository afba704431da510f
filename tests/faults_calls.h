/* SPDX-License-Identifier: MIT */
/*
 * Stands between the library and everything it calls, by the linker's --wrap:
 * the static library is linked, so that no other calls are touched, and any
 * sanitizer can be under it.
 *
 * One call is made to fail in a run: the nth of one kind, with one errno. Where
 * the kernel fails only in a certain state, that state is made: a full pipe for
 * EAGAIN, a child that other code reaped for ECHILD.
 */
#ifndef EXITFD_TESTS_FAULTS_CALLS_H
#define EXITFD_TESTS_FAULTS_CALLS_H

#include <stdbool.h>
#include <stddef.h>

struct call {
    const char *symbol; /* as the library imports it, without a version and without 64 */
    const char *what;   /* NULL, or which of the things that one symbol does */
    int errnos[8];      /* what it can fail with here, 0 at the end */
    const char *never;  /* else: why its failure is no case, or why the library ignores it */
};

extern const struct call fault_calls[];
extern const size_t fault_call_count;

struct fault {
    const char *symbol, *what;
    int error;
    unsigned nth;
    bool lasting; /* and each later one as well, until fault_cease */
};

/* What is different from the running kernel in the whole run. */
enum fault_world {
    WORLD_AS_IT_IS,
    WORLD_WITHOUT_RECORDS, /* before Linux 6.9: no pidfs, no PIDFD_GET_INFO */
    WORLD_WITHOUT_PIDFDS,  /* none for a child, as where fds are short */
    WORLD_WITHOUT_SIGNALS, /* EXITFD_NO_SIGNALS: what the kernel says of one child is the caller's to deal with */
    WORLDS
};
extern enum fault_world fault_world;

void fault_arm(const struct fault *fault);
void fault_cease(void);
bool fault_is(const char *symbol, int error); /* whether that was armed; error 0: any */
unsigned fault_count(void);                   /* how many calls have failed by it */
long fault_allocations(void);                 /* of the library, not yet freed */

/* Only between these two does anything fail. */
void fault_enter(void);
void fault_leave(void);

/* For the stand-ins: the errno to fail with now, or 0. */
int fault_due(const char *symbol, const char *what);

#endif
