/* SPDX-License-Identifier: MIT */
#include "posix/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int xfd_pipe_open(int ends[2])
{
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
}
