/* SPDX-License-Identifier: MIT */
/*
 * A page that the kernel wipes in a forked child (MADV_WIPEONFORK, Linux 4.14) tells parent and child apart without a
 * system call on every use, also after a raw clone(2), which no pthread_atfork handler sees. Emulators may accept the
 * advice and ignore it, so process.c's handler wipes it as well.
 */
#include "process.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t *mark;
static _Atomic uint64_t last_epoch;

void xfd_epoch_init(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    if (madvise(page, size, MADV_WIPEONFORK) < 0)
        munmap(page, size);
    else
        mark = page;
}

void xfd_epoch_forked(void)
{
    if (mark)
        atomic_store(mark, 0);
}

uint64_t xfd_process_epoch(void)
{
    if (!mark)
        return (uint64_t)getpid();
    uint64_t epoch = atomic_load_explicit(mark, memory_order_relaxed);
    if (epoch == 0) {
        uint64_t wiped = 0;
        epoch = atomic_fetch_add(&last_epoch, 1) + 1;
        if (!atomic_compare_exchange_strong(mark, &wiped, epoch))
            epoch = wiped;
    }
    return epoch;
}
