/* SPDX-License-Identifier: MIT */
#include "backend.h"

extern const struct backend selfpipe_backend;

const struct backend *const backends[] = { &selfpipe_backend, NULL };
