/* SPDX-License-Identifier: MIT */
/* A build without liburing. */
#include "backend.h"

#include <errno.h>

static int probe(unsigned flags, bool forced)
{
    (void)flags, (void)forced;
    return -ENOTSUP;
}

const struct backend xfd_uring_backend = {
    .name = "io_uring",
    .flag = EXITFD_URING,
    .probe = probe,
};
