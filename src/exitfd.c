/* SPDX-License-Identifier: MIT */
/*
 * The public calls, except those that wait (wait.c) and start (spawn.c). Each
 * checks its arguments, that this is no forked child, and the thread. Then it
 * locks the exitfd and hands on to the back end. None can be cancelled.
 */
#include "autokill.h"
#include "backend.h"
#include "dispatch.h"
#include "errnos.h"
#include "object.h"
#include "platform.h"
#include "private.h"
#include "process.h"
#include "registry.h"
#include "status.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <unistd.h>

#define ANY_CHILD ((pid_t)-1)

int exitfd_open(struct exitfd **ret, unsigned flags)
{
    int cancel_state;

    if (!ret || flags & ~(unsigned)(BACKEND_FLAGS | EXITFD_NO_SIGNALS))
        return -EINVAL;
    int error = xfd_process_init();
    if (error < 0)
        return error;
    struct exitfd *x = xfd_private_alloc(KEPT_OF_EXITFD, sizeof *x);
    if (!x)
        return -ENOMEM;
    x->flags = flags;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    error = xfd_dispatch(x);
    pthread_setcancelstate(cancel_state, &cancel_state);
    if (error < 0) {
        xfd_private_free(x, KEPT_OF_EXITFD, sizeof *x);
        return error;
    }
    xfd_registry_add(x);
    *ret = x;
    return 0;
}

struct exitfd *exitfd_close(struct exitfd *x)
{
    int cancel_state;

    if (!x)
        return NULL;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    /* Asked first: in a child of _Fork that forgets the parent's locks. */
    bool stale = xfd_object_is_stale(x);
    xfd_orphans_close(x);
    xfd_registry_remove(x); /* first, because a look for orphans holds the lock now and then */
    xfd_stops_close(x);
    xfd_autokill_close(x);
    x->backend->close(x);
    xfd_watches_free(&x->watches);
    if (!stale) /* another thread of the parent may hold the lock */
        pthread_mutex_destroy(&x->lock);
    xfd_private_free(x, KEPT_OF_EXITFD, sizeof *x);
    xfd_orphans_look_again();
    pthread_setcancelstate(cancel_state, &cancel_state);
    return NULL;
}

int exitfd_get_fd(const struct exitfd *x)
{
    int error = xfd_object_check(x);
    return error < 0 ? error : x->fd;
}

const char *exitfd_get_backend(const struct exitfd *x)
{
    return x ? x->backend->name : NULL;
}

static int add_locked(struct exitfd *x, pid_t pid, int pidfd, unsigned flags, void *data)
{
    struct watch *w = xfd_watches_find(&x->watches, pid);

    if (w && !xfd_registry_may_be_reused(w))
        return -EEXIST;
    int error = xfd_watches_reserve(&x->watches, &w);
    if (error < 0)
        return error;
    w->flags = flags;
    w->data = data;
    w->bound_seq = xfd_registry_start_seq();
    xfd_watches_bind(&x->watches, w, pid);
    error = x->backend->add(x, w, pidfd, false);
    if (error < 0)
        xfd_watches_drop(&x->watches, w);
    return error;
}

static int add_any_child(struct exitfd *x, unsigned flags, void *data)
{
    if (flags)
        return -EINVAL;
    if (x->flags & EXITFD_NO_SIGNALS)
        return -ENOTSUP;
    return xfd_orphans_claim(x, data);
}

int exitfd_add(struct exitfd *x, pid_t pid, unsigned flags, void *data)
{
    int cancel_state, error = xfd_object_check(x);

    if (error == 0)
        error = pid < 1 && pid != ANY_CHILD ? -EINVAL : xfd_object_check_flags(x, flags);
    if (error < 0)
        return error;
    if (pid == ANY_CHILD)
        return add_any_child(x, flags, data);
    xfd_object_lock(x, &cancel_state);
    error = add_locked(x, pid, -1, flags, data);
    xfd_object_unlock(x, cancel_state);
    return error;
}

/* Its one event is due at once, from the kernel's record. There is nothing to
   poll or to wait for any more. */
static int add_reaped(struct exitfd *x, const struct record *record, unsigned flags, void *data)
{
    struct watch *w;
    int error = xfd_watches_reserve(&x->watches, &w);

    if (error < 0)
        return error;
    w->flags = (flags & ~(unsigned)(STOP_FLAGS | EXITFD_HOLD)) | WATCH_RECORDED;
    w->data = data;
    w->record = *record;
    xfd_watches_bind(&x->watches, w, PID_LOST);
    return xfd_tracking_add(x, w, -ESRCH, true);
}

/* Where no fd is left for the duplicate, the process is tracked by its pid: its
   own if it is still there afterwards. */
static int add_living(struct exitfd *x, int pidfd, pid_t pid, unsigned flags, void *data)
{
    int duplicate = xfd_platform_duplicate_pidfd(pidfd, pid);
    if (duplicate == -ESRCH)
        return duplicate;
    int error = add_locked(x, pid, duplicate, flags, data);
    if (error == 0 && duplicate < 0 && xfd_platform_is_reaped(pidfd)) {
        xfd_object_remove(x, xfd_watches_find(&x->watches, pid));
        error = -ESRCH;
    }
    if (error < 0 && duplicate >= 0)
        close(duplicate);
    return error;
}

/* The kernel may reap it at any time. */
static int add_by_pidfd(struct exitfd *x, int pidfd, unsigned flags, void *data)
{
    pid_t pid = xfd_platform_pid_of(pidfd);
    int error = pid < 0 ? pid : add_living(x, pidfd, pid, flags, data);
    struct record record;

    return error == -ESRCH && xfd_platform_get_record(pidfd, &record) ? add_reaped(x, &record, flags, data) : error;
}

int exitfd_add_pidfd(struct exitfd *x, int pidfd, unsigned flags, void *data)
{
    int cancel_state, error = xfd_object_check(x);

    if (error == 0)
        error = xfd_object_check_flags(x, flags);
    if (error < 0)
        return error;
    xfd_object_lock(x, &cancel_state);
    error = add_by_pidfd(x, pidfd, flags, data);
    xfd_subscription_sync(x);
    xfd_object_unlock(x, cancel_state);
    return error;
}

/* What remove, discard, kill and get_pidfd have in common. argument: what the
   one function needs besides. */
static int with_watch(struct exitfd *x, pid_t pid, int (*function)(struct exitfd *, struct watch *, int), int argument)
{
    int cancel_state, error = xfd_object_check(x);

    if (error == 0 && pid < 1)
        error = -EINVAL;
    if (error < 0)
        return error;
    xfd_object_lock(x, &cancel_state);
    struct watch *w = xfd_watches_find(&x->watches, pid);
    int result = w ? function(x, w, argument) : -ENOENT;
    xfd_subscription_sync(x);
    bool ended = xfd_watches_take_ended(&x->watches);
    xfd_object_unlock(x, cancel_state);
    if (ended)
        xfd_orphans_look_again();
    return result;
}

static int remove_watch(struct exitfd *x, struct watch *w, int unused)
{
    (void)unused;
    xfd_object_remove(x, w);
    return 0;
}

int exitfd_remove(struct exitfd *x, pid_t pid)
{
    int error = xfd_object_check(x);

    if (error == 0 && pid == ANY_CHILD)
        return xfd_orphans_give_up(x);
    return with_watch(x, pid, remove_watch, 0);
}

static int discard_watch(struct exitfd *x, struct watch *w, int unused)
{
    struct wait_result ignored;

    if (w->flags & EXITFD_OBSERVE)
        return remove_watch(x, w, unused);
    w->flags &= ~(uint32_t)EXITFD_HOLD;
    int found = xfd_status_reap_exit(w, &ignored);
    if (found == -EPERM && w->flags & WATCH_HELD) { /* no later call would reap it */
        w->flags |= EXITFD_HOLD;
        return -ENOTSUP;
    }
    if (found == 1 || w->flags & WATCH_HELD)
        return remove_watch(x, w, unused);
    xfd_tracking_end_stops(x, w);
    w->flags |= WATCH_DISCARDED;
    return 0;
}

int exitfd_discard(struct exitfd *x, pid_t pid)
{
    return with_watch(x, pid, discard_watch, 0);
}

/*
 * Where there is no pidfd, or pidfd_send_signal(2) alone is missing or
 * forbidden. x->lock keeps us from reaping the child meanwhile, and as long as
 * no other code has, the pid is its own. That of another process may be reused
 * at any time: why is returned for it.
 */
static int kill_by_pid(struct watch *w, pid_t pid, int signum, int why)
{
    struct wait_result ignored;
    int found = xfd_status_wait_watch(w, WEXITED | WNOWAIT, &ignored);

    if (found == -EPERM)
        return found;
    if (found < 0)
        return why == -ENOTSUP || xfd_platform_is_reaped(w->pidfd) ? -ESRCH : why;
    return kill(pid, signum) < 0 ? -errno : 0;
}

static int kill_watch(struct exitfd *x, struct watch *w, int signum)
{
    (void)x;
    int error = w->pidfd >= 0 ? xfd_platform_kill(w->pidfd, signum) : -ENOTSUP;
    return xfd_not_here(-error) == -ENOTSUP ? kill_by_pid(w, w->pid, signum, error) : error;
}

/* The number of the group is the leader's pid, which is its own while the
   leader is a child of ours, if only a zombie. */
static int kill_group(struct exitfd *x, struct watch *w, int signum)
{
    (void)x;
    int error = w->pidfd >= 0 ? xfd_platform_kill_group(w->pidfd, signum) : -ENOTSUP;
    return xfd_not_here(-error) == -ENOTSUP ? kill_by_pid(w, -w->pid, signum, error) : error;
}

int exitfd_kill(struct exitfd *x, pid_t pid, int sig)
{
    return pid < -1 && pid >= -INT_MAX ? with_watch(x, -pid, kill_group, sig) : with_watch(x, pid, kill_watch, sig);
}

int exitfd_count(const struct exitfd *x)
{
    struct exitfd *object = (struct exitfd *)(uintptr_t)x; /* its lock changes */
    int cancel_state, error = xfd_object_check(x);

    if (error < 0)
        return error;
    xfd_object_lock(object, &cancel_state);
    int count = (int)x->watches.bound;
    xfd_object_unlock(object, cancel_state);
    return count;
}

/* The caller may duplicate it, and keep that when the watch has ended. */
static int get_pidfd(struct exitfd *x, struct watch *w, int unused)
{
    (void)x;
    (void)unused;
    w->flags |= WATCH_SHARED;
    return w->pidfd >= 0 ? w->pidfd : -ENOTSUP;
}

int exitfd_get_pidfd(struct exitfd *x, pid_t pid)
{
    return with_watch(x, pid, get_pidfd, 0);
}

const char *exitfd_version(void)
{
    return EXITFD_VERSION;
}
