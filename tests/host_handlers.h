/* SPDX-License-Identifier: MIT */
/* A host's own SIGCHLD handlers, each of which calls the one that it found.
   Their calls are counted for raise(3) alone. */
#ifndef EXITFD_TESTS_HOST_HANDLERS_H
#define EXITFD_TESTS_HOST_HANDLERS_H

#include <signal.h>
#include <stdbool.h>

#define HOSTS 2 /* with SIG_DFL and SIG_IGN no more than exitfd has handlers for */

struct host {
    struct sigaction own, before;
    bool active;
    volatile unsigned calls;
};
extern struct host hosts[HOSTS];

struct sigaction current_action(void);
bool is_function(const struct sigaction *action);     /* neither SIG_DFL nor SIG_IGN */
struct host *host_of(const struct sigaction *action); /* NULL: it is of none that is active */
void push_host(struct host *h, int flags);            /* installs it over what is there */
void pop_host(struct host *h);                        /* puts back what it found */

/* Whether a handler of the library's is there, under those of the hosts: one
   that is neither a host's nor none is. */
bool library_is_reached(void);

#endif
