/* SPDX-License-Identifier: MIT */
/* Pidfds of processes that no exitfd watches. Of those that one watches, the
   library has them. */
#ifndef PIDFD_H
#define PIDFD_H

#include <sys/types.h>

/* -1 if there is none. pid 0 stands for a process outside this pid namespace:
   no number names it here. */
int open_pidfd(pid_t pid);

/* 0, -ESRCH if the process is gone, or another negative errno where pidfds
   cannot be signalled. */
int signal_by_pidfd(int pidfd, int signo);

#endif
