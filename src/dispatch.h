/* SPDX-License-Identifier: MIT */
#ifndef EXITFD_DISPATCH_H
#define EXITFD_DISPATCH_H

#include "backend.h"

#define BACKEND_FLAGS (EXITFD_PIDFD | EXITFD_URING | EXITFD_SIGNALFD | EXITFD_SELFPIPE)

/* The back end for the flags of exitfd_open and the environment, asked of the kernel that runs. */
int xfd_dispatch(unsigned flags, const struct backend **ret);

#endif
