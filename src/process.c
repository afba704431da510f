/* SPDX-License-Identifier: MIT */
#include "process.h"

#include "orphans.h"
#include "posix/sigchld.h"

#include <errno.h>
#include <stdatomic.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool initialized;

static void after_fork_in_child(void)
{
    xfd_epoch_forked();
    xfd_sigchld_forked();
    xfd_orphans_forked();
}

/* Not pthread_once: who had no memory the first time may have some the next. */
static int init(void)
{
    if (atomic_load(&initialized))
        return 0;
    if (pthread_atfork(xfd_sigchld_lock, xfd_sigchld_unlock, after_fork_in_child) != 0)
        return -ENOMEM;
    xfd_epoch_init();
    atomic_store(&initialized, true);
    return 0;
}

int xfd_process_init(void)
{
    if (atomic_load(&initialized))
        return 0;
    pthread_mutex_lock(&lock);
    int error = init();
    pthread_mutex_unlock(&lock);
    return error;
}
