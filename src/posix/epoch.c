/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <stdatomic.h>
#include <unistd.h>

/* The pid alone would not do: the child of a child may get the pid of the process that opened an exitfd. */
static _Atomic uint64_t forks;

int xfd_epoch_init(void)
{
    return 0;
}

void xfd_epoch_forked(void)
{
    atomic_fetch_add(&forks, 1);
}

uint64_t xfd_process_id(void)
{
    return atomic_load(&forks) << 32 | (uint32_t)getpid();
}
