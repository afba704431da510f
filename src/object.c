/* SPDX-License-Identifier: MIT */
#include "object.h"

#include "process.h"

#include <errno.h>

bool xfd_object_is_stale(const struct exitfd *x)
{
    return x->owner != xfd_process_id();
}

int xfd_object_check(const struct exitfd *x)
{
    if (!x)
        return -EINVAL;
    if (xfd_object_is_stale(x))
        return -ESTALE;
    return x->backend->check ? x->backend->check(x) : 0;
}

int xfd_object_check_flags(const struct exitfd *x, unsigned flags)
{
    if (flags & ~(unsigned)(EXITFD_OBSERVE | EXITFD_HOLD | STOP_FLAGS))
        return -EINVAL;
    if (flags & EXITFD_OBSERVE && flags & EXITFD_HOLD)
        return -EINVAL;
    return flags & STOP_FLAGS && x->flags & EXITFD_NO_SIGNALS ? -ENOTSUP : 0;
}

void xfd_object_lock(struct exitfd *x, int *cancel_state)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel_state);
    pthread_mutex_lock(&x->lock);
}

void xfd_object_unlock(struct exitfd *x, int cancel_state)
{
    pthread_mutex_unlock(&x->lock);
    pthread_setcancelstate(cancel_state, &cancel_state);
}

void xfd_object_remove(struct exitfd *x, struct watch *w)
{
    x->backend->remove(x, w);
    xfd_watches_drop(&x->watches, w);
}
