/* SPDX-License-Identifier: MIT */
/* Does other code of this process reap our children? What an exitfd has seen of
   reaps, its own ones and those of others. */
#ifndef EXITFD_FOREIGN_REAPS_H
#define EXITFD_FOREIGN_REAPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct foreign_reaps {
    unsigned long faults; /* page faults of children that other code had reaped by the last look */
    uint64_t own_seen;    /* how many reaps of this library have been looked at */
};

int xfd_foreign_reaps_init(void); /* before all others; 0 or -ENOMEM */

/* What was reaped before is of no interest: nothing is watched yet. */
void xfd_foreign_reaps_open(struct foreign_reaps *r);

/*
 * Whether other code has reaped a child since the last time. True as well where
 * that cannot be known: gVisor counts no page faults, there are none before the
 * first child is reaped, and another thread may be about to note a reap.
 */
bool xfd_foreign_reaps_since(struct foreign_reaps *r);

/*
 * The next reap by this library that was not looked at. 1: *pid was reaped; 0:
 * no more; -1: some were too long ago, or one is being noted just now, and all
 * have been passed over. Call xfd_foreign_reaps_since first.
 */
int xfd_foreign_reaps_next_own(struct foreign_reaps *r, pid_t *pid);

/* For status.c, around each reap. pid 0: there was none. faults: ru_minflt of
   the child. */
void xfd_own_reap_begin(void);
void xfd_own_reap_end(pid_t pid, long faults);

void xfd_foreign_reaps_forked(void); /* in the child */

#endif
