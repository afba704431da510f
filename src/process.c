/* SPDX-License-Identifier: MIT */
#include "process.h"

#include "orphans.h"
#include "posix/sigchld.h"

#include <errno.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int init_error;

static void after_fork_in_child(void)
{
    xfd_epoch_forked();
    xfd_sigchld_forked();
    xfd_orphans_forked();
}

static void init(void)
{
    xfd_epoch_init();
    if (pthread_atfork(xfd_sigchld_lock, xfd_sigchld_unlock, after_fork_in_child) != 0)
        init_error = -ENOMEM;
}

int xfd_process_init(void)
{
    pthread_once(&once, init);
    return init_error;
}
