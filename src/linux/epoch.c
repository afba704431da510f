/* SPDX-License-Identifier: MIT */
/*
 * A page that the kernel wipes in a forked child (MADV_WIPEONFORK, Linux 4.14).
 * It tells parent and child apart without a system call on every use. This
 * works after a raw clone(2) too, which no pthread_atfork handler sees.
 * Emulators may accept the advice and ignore it, so the handler of process.c
 * wipes the page as well.
 */
#include "process.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    WIPED,    /* by the kernel: a new process */
    ENTERING, /* a thread of it is seeing to that */
    FIRST_EPOCH
};

static _Atomic(_Atomic uint64_t *) wiped_page;
static _Atomic uint64_t next_epoch = FIRST_EPOCH;
static _Atomic uint64_t forks; /* where there is no such page: a later process may have the pid of an earlier one */
static void (*on_new_process)(void);

/* Several threads may be here at once: one page stays. */
int xfd_epoch_init(void (*function)(void))
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    _Atomic uint64_t *before = NULL;

    if (atomic_load(&wiped_page))
        return 0;
    _Atomic uint64_t *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return -ENOMEM;
    on_new_process = function;
    int error = madvise((void *)page, size, MADV_WIPEONFORK) < 0 ? errno : 0;
    atomic_store(page, atomic_fetch_add(&next_epoch, 1));
    if (error || !atomic_compare_exchange_strong(&wiped_page, &before, page))
        munmap((void *)page, size);
    /* Any other error is the same for each thread: an old kernel, or seccomp.
       There the pid serves. */
    return error == ENOMEM ? -ENOMEM : 0;
}

void xfd_epoch_forked(void)
{
    _Atomic uint64_t *mark = atomic_load(&wiped_page);
    if (mark)
        atomic_store(mark, atomic_fetch_add(&next_epoch, 1));
    atomic_fetch_add(&forks, 1);
}

/* Other threads of the new process wait until its first one is done. */
static uint64_t enter(_Atomic uint64_t *mark)
{
    uint64_t found = WIPED;

    if (atomic_compare_exchange_strong(mark, &found, ENTERING)) {
        on_new_process();
        found = atomic_fetch_add(&next_epoch, 1);
        atomic_store(mark, found);
    }
    while (found == ENTERING) {
        sched_yield();
        found = atomic_load(mark);
    }
    return found;
}

uint64_t xfd_process_id(void)
{
    _Atomic uint64_t *mark = atomic_load_explicit(&wiped_page, memory_order_acquire);

    if (!mark)
        return atomic_load(&forks) << 32 | (uint32_t)getpid();
    uint64_t epoch = atomic_load_explicit(mark, memory_order_acquire);
    return epoch >= FIRST_EPOCH ? epoch : enter(mark);
}
