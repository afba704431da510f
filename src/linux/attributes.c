/* SPDX-License-Identifier: MIT */
#include "platform.h"
#include "start.h"

#define IDENTITY_FLAGS (POSIX_SPAWN_RESETIDS | POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSID)
#define SIGNAL_FLAGS (POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)
#define SCHEDULING_FLAGS (POSIX_SPAWN_SETSCHEDPARAM | POSIX_SPAWN_SETSCHEDULER)

/* POSIX_SPAWN_USEVFORK of glibc, which asks for what is done anyway. */
#define VFORK_FLAG 0x40
#define KNOWN_FLAGS (IDENTITY_FLAGS | SIGNAL_FLAGS | SCHEDULING_FLAGS | VFORK_FLAG)

/* In glibc and musl the object holds no pointer, and a copy keeps what no
   getter returns. */
int xfd_platform_copy_attributes(posix_spawnattr_t *copy, const posix_spawnattr_t *attr)
{
    if (!attr)
        return -posix_spawnattr_init(copy);
    *copy = *attr;
    return 0;
}

/* musl has no scheduling attributes: its getters fail, and its posix_spawn
   takes no notice of the flags. */
static bool plan_scheduling(struct start_plan *plan, const posix_spawnattr_t *attr, short flags)
{
    plan->set_policy = flags & POSIX_SPAWN_SETSCHEDULER;
    plan->set_parameters = flags & POSIX_SPAWN_SETSCHEDPARAM;
    if (!(flags & SCHEDULING_FLAGS))
        return true;
    return posix_spawnattr_getschedpolicy(attr, &plan->policy) == 0 &&
           posix_spawnattr_getschedparam(attr, &plan->parameters) == 0;
}

bool xfd_platform_plan_attributes(struct start_plan *plan, const posix_spawnattr_t *attr)
{
    short flags;

    if (posix_spawnattr_getflags(attr, &flags) != 0 || flags & ~KNOWN_FLAGS)
        return false;
    plan->reset_ids = flags & POSIX_SPAWN_RESETIDS;
    plan->set_group = flags & POSIX_SPAWN_SETPGROUP;
    plan->new_session = flags & POSIX_SPAWN_SETSID;
    return posix_spawnattr_getpgroup(attr, &plan->group) == 0 &&
           posix_spawnattr_getsigdefault(attr, &plan->default_signals) == 0 &&
           posix_spawnattr_getsigmask(attr, &plan->mask) == 0 && plan_scheduling(plan, attr, flags);
}
