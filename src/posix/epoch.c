/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <unistd.h>

int xfd_epoch_init(void)
{
    return 0;
}

void xfd_epoch_forked(void)
{
}

uint64_t xfd_process_epoch(void)
{
    return (uint64_t)getpid();
}
