/* SPDX-License-Identifier: MIT */
#include "posix/attributes.h"

#include <sched.h>

int xfd_attributes_copy_scheduling(posix_spawnattr_t *copy, const posix_spawnattr_t *attr)
{
    struct sched_param parameters;
    int policy, error = posix_spawnattr_getschedpolicy(attr, &policy);

    if (error == 0)
        error = posix_spawnattr_setschedpolicy(copy, policy);
    if (error == 0)
        error = posix_spawnattr_getschedparam(attr, &parameters);
    return error ? error : posix_spawnattr_setschedparam(copy, &parameters);
}
