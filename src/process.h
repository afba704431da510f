/* SPDX-License-Identifier: MIT */
/* Which process we are in. */
#ifndef EXITFD_PROCESS_H
#define EXITFD_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* Before anything else of the library; may be called any number of times. 0 or
   -ENOMEM. */
int xfd_process_init(void);

/*
 * Differs between a process and its forked children. No system call where the
 * kernel allows. In a child that no pthread_atfork handler saw (_Fork, a raw
 * clone) the first call forgets what is about the parent, its locks as well,
 * where the kernel wipes pages in forked children.
 */
uint64_t xfd_process_id(void);

/*
 * What a fork of ours does besides, with all signals blocked. Each hook runs
 * before the handlers of the application, which may do anything. No other fork
 * of the process is on its way, except during then_in_parent. That one may take
 * long, so no lock is held, and it may be NULL. Both of the parent are called
 * also where the fork failed.
 */
struct fork_hooks {
    void (*before)(void *argument);
    void (*in_parent)(void *argument);
    void (*then_in_parent)(void *argument);
    void (*in_child)(void *argument);
    void *argument;
};

/* As fork(2), but a negative errno. */
pid_t xfd_process_fork(const struct fork_hooks *hooks);

/*
 * For process.c: the platform's half, epoch.c. In a forked child epoch_forked
 * gives the next id; where it was not called, xfd_process_id does, and calls
 * on_new_process.
 */
int xfd_epoch_init(void (*on_new_process)(void));
void xfd_epoch_forked(void);

#endif
