/* SPDX-License-Identifier: MIT */
/* What platforms do in different ways; what one cannot do is -ENOTSUP there. */
#ifndef EXITFD_PLATFORM_H
#define EXITFD_PLATFORM_H

#include <spawn.h>
#include <stdbool.h>
#include <sys/types.h>

/* A new pidfd, close-on-exec. */
int xfd_platform_open_pidfd(pid_t pid);

/* -EBADF: no pidfd of a process; -ESRCH: reaped, or not visible from this pid
   namespace. */
pid_t xfd_platform_pid_of(int pidfd);

/* Whether a pid is the id of a thread that is not its process's first: no
   process has it, but some calls take it. */
bool xfd_platform_is_thread(pid_t pid);

/* Whether two pidfds are of one process. Before Linux 6.9 that cannot be seen,
   and they count as one. */
bool xfd_platform_is_same(int pidfd, int other);

/*
 * Another pidfd of its process, whose pid is pid, close-on-exec. It has no
 * share in the life of a child that dies with its pidfd. -ESRCH: reaped
 * meanwhile.
 */
int xfd_platform_duplicate_pidfd(int pidfd, pid_t pid);

/* fork(2), but a negative errno. *pidfd is the child's, opened before it can
   exit; -1: none can be had, or in the child. */
pid_t xfd_platform_fork(int *pidfd);

int xfd_platform_kill(int pidfd, int signum);

/* Whether its process was reaped, as far as the kernel says so. */
bool xfd_platform_is_reaped(int pidfd);

/* The process group that it leads, or led. */
int xfd_platform_kill_group(int pidfd, int signum);

struct record;

/* What the kernel keeps of a process that was reaped (Linux 6.15). False: it
   was not reaped, or nothing is kept. */
bool xfd_platform_get_record(int pidfd, struct record *record);

/* An attribute object of its own, alike, to be destroyed by the caller. attr
   may be NULL. 0 or a negative errno. */
int xfd_platform_copy_attributes(posix_spawnattr_t *copy, const posix_spawnattr_t *attr);

#endif
