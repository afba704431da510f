/* SPDX-License-Identifier: MIT */
#include "posix/attributes.h"

int xfd_attributes_copy_scheduling(posix_spawnattr_t *copy, const posix_spawnattr_t *attr)
{
    (void)copy, (void)attr;
    return 0;
}
