/* SPDX-License-Identifier: MIT */
/* Which errnos of a system call mean that it is absent or forbidden here. */
#ifndef EXITFD_ERRNOS_H
#define EXITFD_ERRNOS_H

#include <errno.h>

/* -ENOTSUP for those, else -error. A seccomp filter may answer with any of
   them. */
static inline int xfd_not_here(int error)
{
    return error == ENOSYS || error == EPERM || error == EACCES || error == EINVAL ? -ENOTSUP : -error;
}

#endif
