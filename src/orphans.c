/* SPDX-License-Identifier: MIT */
/*
 * A child is an orphan if no exitfd of this process watches it. That can be asked only while no child is being started: a
 * new one is in no table for a moment. It is asked of the zombie at the front, and of all children where that one is
 * watched.
 */
#include "orphans.h"

#include "event.h"
#include "object.h"
#include "registry.h"
#include "status.h"

#include <errno.h>
#include <stdlib.h>

static atomic_bool hidden; /* a watched child was passed over at the last look, and others may be behind it */

static void set_claimed(struct exitfd *x, void *data, bool claimed)
{
    int cancel_state;

    xfd_object_lock(x, &cancel_state);
    x->orphans.claimed = claimed;
    x->orphans.data = data;
    xfd_subscription_sync(x);
    xfd_subscription_check(x);
    if (claimed)
        wake_up(&x->wake);
    xfd_object_unlock(x, cancel_state);
}

static void set(struct exitfd *x, void *data)
{
    set_claimed(x, data, true);
}

static void clear(struct exitfd *x, void *data)
{
    set_claimed(x, data, false);
}

int xfd_orphans_claim(struct exitfd *x, void *data)
{
    return xfd_registry_claim_catch_all(x, set, data);
}

int xfd_orphans_give_up(struct exitfd *x)
{
    return xfd_registry_give_up_catch_all(x, clear);
}

static int reap(struct exitfd *x, pid_t pid, struct exitfd_event *event)
{
    struct watch orphan = { .pid = pid, .pidfd = -1, .data = x->orphans.data };
    struct wait_result result;

    int found = xfd_status_reap_exit(&orphan, &result);
    if (found == 1)
        xfd_event_fill(event, &orphan, &result);
    return found;
}

static int look_behind(struct exitfd *x, struct exitfd_event *events, int max)
{
    pid_t *children = NULL;
    int count = 0, number = xfd_platform_list_children(&children);

    for (int i = 0; i < number && count < max; i++)
        if (!xfd_registry_is_watched(x, children[i]) && reap(x, children[i], &events[count]) == 1)
            count++;
    free(children);
    return count;
}

static int look(struct exitfd *x, struct exitfd_event *events, int max)
{
    struct wait_result result;
    int found = 1, count = 0;

    /* Set before the tables are asked, so that a watch that ends just after that is not missed. */
    atomic_store(&hidden, true);
    while (count < max && (found = xfd_status_wait(P_ALL, 0, WEXITED | WNOWAIT, &result)) == 1) {
        if (!xfd_status_is_exit(&result) || xfd_registry_is_watched(x, result.pid))
            return count + look_behind(x, events + count, max - count);
        found = reap(x, result.pid, &events[count]);
        if (found == -EPERM)
            break;
        count += found == 1;
    }
    if (found == -EPERM)
        xfd_status_note_blocked();
    else
        atomic_store(&hidden, false);
    return count;
}

static int take(struct exitfd *x, struct exitfd_event *events, int max)
{
    int count = 0;

    if (!xfd_registry_lock_out_starts())
        return 0;
    pthread_mutex_lock(&x->lock);
    xfd_orphans_take_due(&x->orphans);
    if (x->orphans.claimed)
        count = look(x, events, max);
    if (count == max)
        wake_up(&x->wake);
    pthread_mutex_unlock(&x->lock);
    xfd_registry_let_in_starts();
    return count;
}

int xfd_orphans_take_first(struct exitfd *x, struct exitfd_event *events, int max)
{
    /* Read first: this is asked at each call, and a write costs more. */
    bool first = atomic_load(&x->orphans.first) && atomic_exchange(&x->orphans.first, false);

    return first ? take(x, events, max) : 0;
}

int xfd_orphans_take(struct exitfd *x, struct exitfd_event *events, int max)
{
    if (max == 0) {
        atomic_store(&x->orphans.first, true);
        wake_up(&x->wake);
        return 0;
    }
    return take(x, events, max);
}

void xfd_orphans_look_again(void)
{
    /* Read first: after a fork the first write to a page costs a fault, and this is asked at each event. */
    if (atomic_load(&hidden) && atomic_exchange(&hidden, false))
        xfd_registry_wake_catch_all();
}
