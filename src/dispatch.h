/* SPDX-License-Identifier: MIT */
#ifndef EXITFD_DISPATCH_H
#define EXITFD_DISPATCH_H

#include "backend.h"

#define BACKEND_FLAGS (EXITFD_PIDFD | EXITFD_URING | EXITFD_SIGNALFD | EXITFD_SELFPIPE)

/* Opens x with the best back end that its flags, the environment and the kernel
   that runs allow. */
int xfd_dispatch(struct exitfd *x);

#endif
