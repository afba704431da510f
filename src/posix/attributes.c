/* SPDX-License-Identifier: MIT */
#include "posix/compat.h"

#include "platform.h"
#include "start.h"

#include <signal.h>

/* One by one, for the object may be a pointer to what the caller owns. */
static int copy_all(posix_spawnattr_t *copy, const posix_spawnattr_t *attr)
{
    sigset_t set;
    pid_t group;
    short flags;
    int error = posix_spawnattr_getflags(attr, &flags);

    if (error == 0)
        error = posix_spawnattr_setflags(copy, flags);
    if (error == 0)
        error = posix_spawnattr_getpgroup(attr, &group);
    if (error == 0)
        error = posix_spawnattr_setpgroup(copy, group);
    if (error == 0)
        error = posix_spawnattr_getsigdefault(attr, &set);
    if (error == 0)
        error = posix_spawnattr_setsigdefault(copy, &set);
    if (error == 0)
        error = posix_spawnattr_getsigmask(attr, &set);
    if (error == 0)
        error = posix_spawnattr_setsigmask(copy, &set);
    return error ? error : xfd_compat_copy_scheduling(copy, attr);
}

int xfd_platform_copy_attributes(posix_spawnattr_t *copy, const posix_spawnattr_t *attr)
{
    int error = posix_spawnattr_init(copy);

    if (error == 0 && attr) {
        error = copy_all(copy, attr);
        if (error)
            posix_spawnattr_destroy(copy);
    }
    return -error;
}

bool xfd_platform_plan_attributes(struct start_plan *plan, const posix_spawnattr_t *attr)
{
    (void)plan, (void)attr;
    return false;
}
