/* SPDX-License-Identifier: MIT */
/* The any-other-child watch, and the list of exitfds it must ask who is watched. None of this with x->lock held. */
#ifndef EXITFD_ORPHANS_H
#define EXITFD_ORPHANS_H

#include "backend.h"

void xfd_orphans_enlist(struct exitfd *x);
void xfd_orphans_delist(struct exitfd *x);

/* Around starting a child and naming it in a table: meanwhile nobody takes it for an orphan. */
uint64_t xfd_orphans_hold(void); /* the number of this start */
void xfd_orphans_release(void);

/* How many starts have begun: a watch bound now is of no child that a later start will bring forth. */
uint64_t xfd_orphans_starts(void);

/*
 * This start has returned pid. An older watch by that pid alone is of a child that other code has reaped, and is marked
 * so. True: a later start has a living child with that pid, so other code has reaped the child of this one.
 */
bool xfd_orphans_reborn(const struct exitfd *x, pid_t pid, uint64_t start);
bool xfd_orphans_is_older(const struct watch *w, uint64_t start);

int xfd_orphans_claim(struct exitfd *x, void *data); /* 0 or -EBUSY */
int xfd_orphans_give_up(struct exitfd *x);           /* 0 or -ENOENT */
int xfd_orphans_collect(struct exitfd *x, struct exitfd_event *events, int max);

/* After a watch has ended: its child may be any other child from now on, or its zombie have stood in front of one. */
void xfd_orphans_look_again(void);

void xfd_orphans_forked(void);

/* Of the platform: the pids of all children of this process, dead or alive, in memory to be freed; their number or a
   negative errno, -ENOTSUP where there is no way. */
int xfd_platform_list_children(pid_t **ret);

#endif
