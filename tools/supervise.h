/* SPDX-License-Identifier: MIT */
/* What PID 1 does for its command: signals go on to it, orphans are reaped, it
   stops and goes on with its child. */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include "parent.h"

#include <exitfd.h>
#include <signal.h>
#include <stdbool.h>

struct supervision {
    struct exitfd *x; /* watches child with EXITFD_STOPPED, and has the catch-all watch */
    pid_t child;
    int terminal;                 /* whose foreground the child's process group gets, or -1 */
    bool whole_group;             /* signals go to the child's process group */
    bool shares_terminal_signals; /* the child gets those of the keyboard itself, they are not sent twice */
    bool tells_orphans;
    bool tells_signals;
    int parent_death_signal;    /* what the child gets when the parent ends; 0: nothing */
    struct parent parent;       /* if there is such a signal */
    bool is_stopped;            /* the child, and nothing has continued it that we know of */
    sigset_t before_fork;       /* signals that came before there was a child */
    bool group_is_stopped;      /* by a key: the kernel has sent SIGTSTP to our group, and no SIGCONT came since */
    bool has_continued;         /* we have sent SIGCONT since signals were last taken */
    unsigned times_asked;       /* the child has been asked to end so often, by signals */
    int64_t asked_ns;           /* when it was last */
    bool was_asked_to_end;      /* the child, by a signal, and no stop has been undone for that since */
    struct exitfd_event ending; /* of the child */
};

/*
 * Before the child is forked, with signals_block_all in force: what comes
 * meanwhile is forwarded later. Everything that can fail is done here, so that
 * nothing has been started when it says so.
 */
int supervise_prepare(struct supervision *s);

void tell_orphan(const struct exitfd_event *event);

/* Returns when the child has ended: 0, or a negative errno if events can no
   longer be had. Signals become unblocked. */
int supervise(struct supervision *s);

#endif
