/* SPDX-License-Identifier: MIT */
/* The catch-all watch: every child of this process that no exitfd watches by
   pid. No call is made with an x->lock held. */
#ifndef EXITFD_ORPHANS_H
#define EXITFD_ORPHANS_H

#include "exitfd.h"

#include <stdatomic.h>
#include <stdbool.h>

struct orphan_watch {
    bool claimed, due; /* with the lock of its exitfd held */
    atomic_bool first; /* there was no room for orphans at the last call */
    void *data;
};

int xfd_orphans_claim(struct exitfd *x, void *data); /* 0 or -EBUSY */
int xfd_orphans_give_up(struct exitfd *x);           /* 0 or -ENOENT */

/* After a wake-up, and when that is seen to. These two are called with x->lock
   held. */
static inline void xfd_orphans_set_due(struct orphan_watch *o)
{
    o->due = o->claimed;
}

static inline bool xfd_orphans_take_due(struct orphan_watch *o)
{
    bool due = o->due;
    o->due = false;
    return due;
}

/*
 * Before a back end takes events, and after it did if orphans are due. How many
 * events of orphans. Those for which there was no room come first at the next
 * call: otherwise children that exit all the time would hide them for ever.
 */
int xfd_orphans_take_first(struct exitfd *x, struct exitfd_event *events, int max);
int xfd_orphans_take(struct exitfd *x, struct exitfd_event *events, int max);

void xfd_orphans_close(const struct exitfd *x);
void xfd_orphans_forked(void); /* in the child */

/* After a watch has ended: its child may be an orphan from now on, or its
   zombie have stood in front of one. */
void xfd_orphans_look_again(void);

/*
 * Of the platform: the pids of all children of this process, dead or alive, in
 * memory to be freed; their number or a negative errno, -ENOTSUP where there is
 * no way.
 */
int xfd_platform_list_children(pid_t **ret);

#endif
