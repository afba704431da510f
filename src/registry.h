/* SPDX-License-Identifier: MIT */
/*
 * What the exitfds of this process have to know of each other: which are open, whether a child is being started, which pids
 * were reused, and who has the catch-all watch. No call is made with an x->lock held.
 */
#ifndef EXITFD_REGISTRY_H
#define EXITFD_REGISTRY_H

#include "backend.h"

void xfd_registry_add(struct exitfd *x);
void xfd_registry_remove(struct exitfd *x);

/* Around starting a child and binding its pid: meanwhile nothing takes it for an orphan. */
uint64_t xfd_registry_begin_start(void); /* the number of this start */
void xfd_registry_end_start(void);

/* How many starts have begun: a watch bound now is of no child that a later start will bring forth. */
uint64_t xfd_registry_start_seq(void);
bool xfd_registry_is_older(const struct watch *w, uint64_t start_seq);

/*
 * This start has returned pid. An older watch by that pid alone is of a child that other code has reaped, and is marked
 * so. True: a later start has a living child with that pid, so other code has reaped the child of this one.
 */
bool xfd_registry_is_pid_reused(const struct exitfd *x, pid_t pid, uint64_t start_seq);

/* Between the two no child is being started, and the list does not change. False: one is. */
bool xfd_registry_lock_out_starts(void);
void xfd_registry_let_in_starts(void);
bool xfd_registry_is_watched(struct exitfd *x,
                             pid_t pid); /* between the two, and with the lock of x, and no other, held */

/* The catch-all watch is to be x's, or no longer; set, with data, is called when that is certain. 0, -EBUSY or -ENOENT. */
int xfd_registry_claim_catch_all(struct exitfd *x, void (*set)(struct exitfd *x, void *data), void *data);
int xfd_registry_give_up_catch_all(struct exitfd *x, void (*set)(struct exitfd *x, void *data));
void xfd_registry_wake_catch_all(void);

void xfd_registry_forked(void); /* in the child */

#endif
