/* SPDX-License-Identifier: MIT */
/* Of the children that are tracked by SIGCHLD: which have exited, stopped or
   gone on? x->lock is held in every call. */
#ifndef EXITFD_SCAN_H
#define EXITFD_SCAN_H

#include "exitfd.h"

#include <stdbool.h>

struct exitfd;

struct scan {
    bool exits_first; /* at the next take, where max leaves no room for both exits and stops */
    bool is_due;      /* at the next take, where more than one child is checked then */
    unsigned full;    /* so many takes in a row had no room for more, and others may have waited for longer */
};

/* The timer of subscription.h has fired. */
static inline void xfd_scan_set_due(struct scan *s)
{
    s->is_due = true;
}

/*
 * After a wake-up, whose cause was read away before. all: SIGCHLD may have been
 * missed, so each child is asked for. hint: 0, or a child that has probably
 * exited. How many events.
 */
int xfd_scan_take(struct exitfd *x, struct exitfd_event *events, int max, bool all, pid_t hint);

/*
 * Without one: a single child in turn, because some exits give no sign at all:
 * SIGCHLD was ignored for a moment, or the kernel reaps the child by itself
 * (CLONE_AUTOREAP). Where one was found, others may have gone like it, and the
 * fd is readable for them. 0 or 1.
 */
int xfd_scan_one(struct exitfd *x, struct exitfd_event *event);

#endif
