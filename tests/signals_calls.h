/* SPDX-License-Identifier: MIT */
/* The calls in which a host may sit when a child exits, each made so that it
   blocks for ever. */
#ifndef EXITFD_TESTS_SIGNALS_CALLS_H
#define EXITFD_TESTS_SIGNALS_CALLS_H

#include <stddef.h>

/* What signal(7) says of a handler with SA_RESTART, and what was measured
   beyond that. */
enum restart {
    RESTARTED,
    NEVER_RESTARTED,
    INTERRUPTED_BY_NOTHING, /* never restarted, not even after a signal for which no handler is run in the end */
    NEVER_INTERRUPTED       /* not even by a handler without SA_RESTART: the C library goes on by itself */
};

struct call {
    const char *name;
    enum restart restart;
    int (*sit)(void);      /* returns -1 and errno if interrupted */
    void (*release)(void); /* ends it where a signal does not; else NULL */
};

extern const struct call calls[];
extern const size_t call_count;

void prepare_calls(void);
void clean_up_calls(void);

#endif
