/* SPDX-License-Identifier: MIT */
/* What every public call begins and ends with. */
#ifndef EXITFD_OBJECT_H
#define EXITFD_OBJECT_H

#include "backend.h"

bool xfd_object_is_stale(const struct exitfd *x); /* this is a forked child of the process that opened it */
int xfd_object_check(const struct exitfd *x);
int xfd_object_check_flags(const struct exitfd *x, unsigned flags); /* those of a watch */

/* With x->lock held: the child is the caller's again. */
void xfd_object_remove(struct exitfd *x, struct watch *w);

/* No function is a cancellation point: what one has taken from the kernel would
   be lost, or its lock held for ever. */
void xfd_object_lock(struct exitfd *x, int *cancel_state);
void xfd_object_unlock(struct exitfd *x, int cancel_state);

#endif
