/* SPDX-License-Identifier: MIT */
/*
 * A page that the kernel wipes in a forked child (MADV_WIPEONFORK, Linux 4.14) tells parent and child apart without a
 * system call on every use, also after a raw clone(2), which no pthread_atfork handler sees. Emulators may accept the
 * advice and ignore it, so process.c's handler wipes it as well.
 */
#include "process.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic(_Atomic uint64_t *) wiped_page;
static _Atomic uint64_t last_epoch;
static _Atomic uint64_t forks; /* where there is no such page: a later process may have the pid of an earlier one */

/* Several threads may be here at once: one page stays. */
int xfd_epoch_init(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    _Atomic uint64_t *before = NULL;

    if (atomic_load(&wiped_page))
        return 0;
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return -ENOMEM;
    int error = madvise(page, size, MADV_WIPEONFORK) < 0 ? errno : 0;
    if (error || !atomic_compare_exchange_strong(&wiped_page, &before, page))
        munmap(page, size);
    /* Any other error is the same for each thread: an old kernel, or seccomp. There the pid serves. */
    return error == ENOMEM ? -ENOMEM : 0;
}

void xfd_epoch_forked(void)
{
    _Atomic uint64_t *mark = atomic_load(&wiped_page);
    if (mark)
        atomic_store(mark, 0);
    atomic_fetch_add(&forks, 1);
}

uint64_t xfd_process_id(void)
{
    _Atomic uint64_t *mark = atomic_load_explicit(&wiped_page, memory_order_acquire);
    if (!mark)
        return atomic_load(&forks) << 32 | (uint32_t)getpid();
    uint64_t epoch = atomic_load_explicit(mark, memory_order_relaxed);
    if (epoch == 0) {
        uint64_t wiped = 0;
        epoch = atomic_fetch_add(&last_epoch, 1) + 1;
        if (!atomic_compare_exchange_strong(mark, &wiped, epoch))
            epoch = wiped;
    }
    return epoch;
}
