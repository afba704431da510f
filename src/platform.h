/* SPDX-License-Identifier: MIT */
/* What platforms do in different ways; what one cannot do is -ENOTSUP there. */
#ifndef EXITFD_PLATFORM_H
#define EXITFD_PLATFORM_H

#include <spawn.h>
#include <stdbool.h>
#include <sys/types.h>

/* -EBADF: no pidfd of a process; -ESRCH: reaped, or not visible from this pid namespace. */
pid_t platform_pid_of(int pidfd);

int platform_kill(int pidfd, int signum);

struct spawn_request {
    const char *file;
    const posix_spawn_file_actions_t *actions;
    const posix_spawnattr_t *attr;
    char *const *argv;
    char *const *envp;
};

/* posix_spawnp. want_pidfd: with a pidfd of the child if the libc can do both at once; else *pidfd is -1. */
int platform_spawn(const struct spawn_request *request, bool want_pidfd, pid_t *pid, int *pidfd);

/* An attribute object of its own, alike, to be destroyed by the caller. attr may be NULL. 0 or a negative errno. */
int platform_copy_attributes(posix_spawnattr_t *copy, const posix_spawnattr_t *attr);

#endif
