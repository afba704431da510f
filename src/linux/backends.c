/* SPDX-License-Identifier: MIT */
#include "backend.h"

extern const struct backend xfd_pidfd_backend, xfd_uring_backend, xfd_signalfd_backend, xfd_selfpipe_backend;

const struct backend *const xfd_backends[] = {
    &xfd_pidfd_backend, &xfd_uring_backend, &xfd_signalfd_backend, &xfd_selfpipe_backend, NULL,
};
