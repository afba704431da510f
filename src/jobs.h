/* SPDX-License-Identifier: MIT */
/* Stops and continues, of those in the ring of follow.h that ask for them. x->lock is held but in the forked child. */
#ifndef EXITFD_JOBS_H
#define EXITFD_JOBS_H

#include "backend.h"

#define JOB_FLAGS (EXITFD_STOPPED | EXITFD_CONTINUED)

/* w asks for them from now on (change is 1), or no longer (UINT_MAX). */
void xfd_jobs_count(struct exitfd *x, const struct watch *w, unsigned change);
int xfd_jobs_collect(struct exitfd *x, struct exitfd_event *events, int max);

void xfd_jobs_forked(void);

#endif
