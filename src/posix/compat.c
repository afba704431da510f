/* SPDX-License-Identifier: MIT */
/*
 * Each function is written once for those that have it and once for those that
 * do not. What a system has is known from its name, or from what <unistd.h>
 * says of an option, so that a build needs no questions and no definitions.
 */
#include "posix/compat.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __linux__

const char *xfd_compat_getenv(const char *name)
{
    return secure_getenv(name);
}

#else

const char *xfd_compat_getenv(const char *name)
{
    return issetugid() ? NULL : getenv(name);
}

#endif

#ifndef __APPLE__

int xfd_compat_pipe(int ends[2])
{
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
}

#else

static int prepare(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* A fork in another thread between the two calls hands the pipe on. There is no
   better way. */
int xfd_compat_pipe(int ends[2])
{
    if (pipe(ends) < 0)
        return -errno;
    int error = prepare(ends[0]);
    if (error == 0)
        error = prepare(ends[1]);
    if (error < 0) {
        close(ends[0]);
        close(ends[1]);
    }
    return error;
}

#endif

#if defined _POSIX_PRIORITY_SCHEDULING && _POSIX_PRIORITY_SCHEDULING > 0

int xfd_compat_copy_scheduling(posix_spawnattr_t *copy, const posix_spawnattr_t *attr)
{
    struct sched_param parameters;
    int policy, error = posix_spawnattr_getschedpolicy(attr, &policy);

    if (error == 0)
        error = posix_spawnattr_setschedpolicy(copy, policy);
    if (error == 0)
        error = posix_spawnattr_getschedparam(attr, &parameters);
    return error ? error : posix_spawnattr_setschedparam(copy, &parameters);
}

#else

int xfd_compat_copy_scheduling(posix_spawnattr_t *copy, const posix_spawnattr_t *attr)
{
    (void)copy, (void)attr;
    return 0;
}

#endif
