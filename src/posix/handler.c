/* SPDX-License-Identifier: MIT */
/*
 * exitfd_install_handler: its arguments. The fd itself is one of the listeners
 * in sigchld.c, and how the handler is installed is in disposition.c.
 */
#include "exitfd.h"
#include "posix/sigchld.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>

/* A blocking write in a handler could wait for ever for a reader that is the
   interrupted thread itself. */
static int make_writable_without_blocking(int fd, int *flags)
{
    *flags = fcntl(fd, F_GETFL);
    if (*flags < 0 || (*flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (!(*flags & O_NONBLOCK) && fcntl(fd, F_SETFL, *flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

int exitfd_install_handler(int fd, int *ret_old_fd)
{
    int old_fd, flags = 0;
    int error = fd < -1 ? -EBADF : xfd_process_init();

    if (error == 0 && fd >= 0)
        error = make_writable_without_blocking(fd, &flags);
    if (error < 0)
        return error;
    xfd_sigchld_lock();
    error = xfd_sigchld_replace_user_fd(fd, &old_fd);
    xfd_sigchld_unlock();
    if (error < 0)
        fcntl(fd, F_SETFL, flags);
    else if (ret_old_fd)
        *ret_old_fd = old_fd;
    return error;
}
