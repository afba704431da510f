/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <stdatomic.h>
#include <unistd.h>

/* The pid alone would not do: the child of a child may get the pid of the
   process that opened an exitfd. */
static _Atomic uint64_t forks;

/* A fork that no pthread_atfork handler sees is not noticed here. */
int xfd_epoch_init(void (*on_new_process)(void))
{
    (void)on_new_process;
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
