/* SPDX-License-Identifier: MIT */
/* Which process we are in. */
#ifndef EXITFD_PROCESS_H
#define EXITFD_PROCESS_H

#include <stdint.h>

/* Before anything else of the library; may be called any number of times. 0 or -ENOMEM. */
int xfd_process_init(void);

/* Differs between a process and its forked children. No system call where the kernel allows. */
uint64_t xfd_process_id(void);

/* For process.c: the platform's half, epoch.c. */
int xfd_epoch_init(void);
void xfd_epoch_forked(void);

#endif
