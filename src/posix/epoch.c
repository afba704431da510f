/* SPDX-License-Identifier: MIT */
#include "process.h"

#include <unistd.h>

void epoch_init(void)
{
}

void epoch_forked(void)
{
}

uint64_t process_epoch(void)
{
    return (uint64_t)getpid();
}
