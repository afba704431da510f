/* SPDX-License-Identifier: MIT */
/* What can be read from a pidfd. */
#ifndef EXITFD_RECORD_H
#define EXITFD_RECORD_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * The signal that began the core dump of a process that another signal has
 * killed. 0: there was none, or it is not known (Linux 6.19).
 */
int xfd_record_get_dump_signal(int pidfd, int killed_by);

/* The parent's pid, 0 if it is in another pid namespace; -ESRCH: reaped;
   -ENOTSUP: this kernel does not say. */
pid_t xfd_record_get_parent(int pidfd);

/* Whether a reap shows as POLLHUP (pidfs, Linux 6.9). */
bool xfd_record_reap_is_shown(int pidfd);

#endif
