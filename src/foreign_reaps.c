/* SPDX-License-Identifier: MIT */
/*
 * No call says "other code has reaped one of your children", and asking for
 * each child is O(n). But a wait adds the page faults of the child to those of
 * its parent (getrusage(2), RUSAGE_CHILDREN). Hardly any process runs without
 * one, but a child of clone(2) with CLONE_VM may. Faults beyond those of the
 * children that we reaped show that other code has reaped one. Other exitfds
 * of this process may watch the same child, so our own reaps are listed too.
 */
#include "foreign_reaps.h"

#include "private.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>

#define REAPS_KEPT 256

struct own_reaps {
    _Atomic unsigned long faults;
    _Atomic unsigned reaping;               /* threads between their wait and their note of it */
    _Atomic uint64_t count, of[REAPS_KEPT]; /* each the number of the reap, and the pid in the lower half */
};

static void *_Atomic memory; /* private.h: each reap writes to it */

static struct own_reaps *own(void)
{
    return atomic_load_explicit(&memory, memory_order_acquire);
}

int xfd_foreign_reaps_init(void)
{
    return xfd_private_alloc_once(&memory, sizeof(struct own_reaps), NULL) ? 0 : -ENOMEM;
}

void xfd_own_reap_begin(void)
{
    atomic_fetch_add(&own()->reaping, 1);
}

/* The faults go last: a thread that finds them counted also finds the reap. */
void xfd_own_reap_end(pid_t pid, long faults)
{
    struct own_reaps *reaps = own();

    if (pid > 0) {
        uint64_t number = atomic_fetch_add(&reaps->count, 1);
        atomic_store_explicit(&reaps->of[number % REAPS_KEPT], number << 32 | (uint32_t)pid, memory_order_release);
        atomic_fetch_add(&reaps->faults, (unsigned long)faults);
    }
    atomic_fetch_sub(&reaps->reaping, 1);
}

/* False, and *faults as it was, where it cannot be known. */
static bool count_foreign_faults(unsigned long *faults)
{
    struct rusage children = { 0 };
    struct own_reaps *reaps = own();
    unsigned long own_faults = atomic_load(&reaps->faults);

    getrusage(RUSAGE_CHILDREN, &children);
    if (children.ru_minflt == 0 || atomic_load(&reaps->reaping) > 0 || atomic_load(&reaps->faults) != own_faults)
        return false;
    *faults = (unsigned long)children.ru_minflt - own_faults;
    return true;
}

void xfd_foreign_reaps_open(struct foreign_reaps *r)
{
    count_foreign_faults(&r->faults);
    r->own_seen = atomic_load(&own()->count);
}

bool xfd_foreign_reaps_since(struct foreign_reaps *r)
{
    unsigned long before = r->faults;

    return !count_foreign_faults(&r->faults) || r->faults != before;
}

int xfd_foreign_reaps_next_own(struct foreign_reaps *r, pid_t *pid)
{
    struct own_reaps *reaps = own();
    uint64_t now = atomic_load(&reaps->count);

    if (r->own_seen == now)
        return 0;
    uint64_t reap = atomic_load(&reaps->of[r->own_seen % REAPS_KEPT]);
    if (reap >> 32 != (uint32_t)r->own_seen || (uint32_t)reap == 0) {
        r->own_seen = now;
        return -1;
    }
    r->own_seen++;
    *pid = (pid_t)(uint32_t)reap;
    return 1;
}

void xfd_foreign_reaps_forked(void)
{
    atomic_store(&own()->reaping, 0);
}
