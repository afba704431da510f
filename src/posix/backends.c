/* SPDX-License-Identifier: MIT */
#include "backend.h"

extern const struct backend xfd_selfpipe_backend;

const struct backend *const xfd_backends[] = { &xfd_selfpipe_backend, NULL };
