/* SPDX-License-Identifier: MIT */
#ifndef EXITFD_DISPATCH_H
#define EXITFD_DISPATCH_H

#include "backend.h"

#define BACKEND_FLAGS (EXITFD_PIDFD | EXITFD_URING | EXITFD_SIGNALFD | EXITFD_SELFPIPE)

/* -ENOTSUP for the errnos of a call that is absent or forbidden here, else -error. */
int xfd_not_here(int error);

/* Opens x with the best back end that its flags, the environment and the kernel that runs allow. */
int xfd_dispatch(struct exitfd *x, int (*open)(struct exitfd *));

#endif
