/* SPDX-License-Identifier: MIT */
#include "backend.h"

extern const struct backend pidfd_backend, uring_backend, signalfd_backend, selfpipe_backend;

const struct backend *const backends[] = { &pidfd_backend, &signalfd_backend, &selfpipe_backend, NULL };
