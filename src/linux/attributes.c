/* SPDX-License-Identifier: MIT */
#include "platform.h"

/* In glibc and musl the object holds no pointer, and a copy keeps what no getter returns. */
int xfd_platform_copy_attributes(posix_spawnattr_t *copy, const posix_spawnattr_t *attr)
{
    if (!attr)
        return -posix_spawnattr_init(copy);
    *copy = *attr;
    return 0;
}
