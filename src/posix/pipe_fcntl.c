/* SPDX-License-Identifier: MIT */
/* Without pipe2 (macOS): a fork in another thread just here hands the pipe on. There is no better way. */
#include "posix/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int prepare(int fd)
{
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int xfd_pipe_open(int ends[2])
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
