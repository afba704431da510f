/* SPDX-License-Identifier: MIT */
/*
 * What the exitfds of this process have to know of each other: which are open,
 * which children are being started, which pids were reused, and which exitfd
 * has the catch-all watch. Calls that take its lock are made with no x->lock
 * held.
 */
#ifndef EXITFD_REGISTRY_H
#define EXITFD_REGISTRY_H

#include "backend.h"

int xfd_registry_init(void); /* before all others; 0 or -ENOMEM */

void xfd_registry_add(struct exitfd *x);
void xfd_registry_remove(struct exitfd *x);

/* Around starting a child and binding its pid. The struct is the caller's until
   the end. */
struct start_in_progress {
    uint64_t seq; /* the number of this start */
    struct start_in_progress *next, *previous;
};
void xfd_registry_begin_start(struct start_in_progress *start);
void xfd_registry_end_start(struct start_in_progress *start);

/* How many starts have begun: a watch bound now is of no child that a later
   start will bring forth. */
uint64_t xfd_registry_start_seq(void);
bool xfd_registry_is_older(const struct watch *w, uint64_t start_seq);

/*
 * This start has returned pid. An older watch by that pid alone is of a child
 * that other code has reaped, and is marked so. True: a later start has a
 * living child with that pid, so other code has reaped the child of this one.
 */
bool xfd_registry_is_pid_reused(const struct exitfd *x, pid_t pid, uint64_t start_seq);

/* The pid may be a new child's already, because other code has reaped the one
   that the watch is about. */
bool xfd_registry_may_be_reused(struct watch *w);

/* Between the two no start begins or ends, and the list of exitfds does not
   change. */
void xfd_registry_lock(void);
void xfd_registry_unlock(void);

/*
 * With that lock held: the number of the start that is in progress for longest,
 * or NO_START. The holder of the catch-all watch is woken once all of the first
 * so many starts have ended.
 */
#define NO_START UINT64_MAX
uint64_t xfd_registry_oldest_start(void);
void xfd_registry_wake_after_starts(uint64_t seq);

/* With that lock and the one of x, and no other, held. */
bool xfd_registry_is_watched(struct exitfd *x, pid_t pid);

/*
 * With that lock held: the catch-all watch is x's from now on, or no longer.
 * 0, -EBUSY or -ENOENT.
 */
int xfd_registry_claim_catch_all(struct exitfd *x);
int xfd_registry_give_up_catch_all(const struct exitfd *x);

void xfd_registry_wake_catch_all(void);

void xfd_registry_forked(void); /* in the child */

#endif
