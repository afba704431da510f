/* SPDX-License-Identifier: MIT */
/*
 * Starting a child in three steps: reserve its slot, start it, bind its pid. Only the first two can fail, and there is no
 * child then. registry.h holds off what looks for orphans in between.
 */
#include "object.h"
#include "platform.h"
#include "registry.h"

#include <errno.h>
#include <unistd.h>

/* A child on its way: its slot is taken before there is a child, so that nothing can fail once there is one. */
struct start {
    struct exitfd *x;
    uint64_t token;
    struct start_in_progress progress;
    int cancel_state;
};

static int reserve(struct start *start, struct exitfd *x, unsigned flags, void *data)
{
    struct watch *w;
    int error = xfd_object_check(x);

    if (error == 0)
        error = xfd_object_check_flags(x, flags);
    if (error < 0)
        return error;
    xfd_object_lock(x, &start->cancel_state);
    error = xfd_watches_take(&x->watches, &w);
    if (error == 0) {
        w->flags = flags;
        w->data = data;
        start->token = xfd_watches_token(&x->watches, w);
        start->x = x;
    }
    xfd_object_unlock(x, start->cancel_state);
    return error;
}

static void cancel(struct start *start)
{
    struct exitfd *x = start->x;

    xfd_object_lock(x, &start->cancel_state);
    xfd_watches_drop(&x->watches, xfd_watches_by_token(&x->watches, start->token));
    xfd_object_unlock(x, start->cancel_state);
}

/* Another thread learned the pid from the child itself and was faster. It is one child, and gives one event. */
static void give_up_newer(struct start *start, pid_t pid)
{
    struct exitfd *x = start->x;
    struct watch *w = xfd_watches_find(&x->watches, pid);

    if (w && !xfd_registry_is_older(w, start->progress.seq) && !(w->flags & WATCH_STARTED))
        xfd_object_remove(x, w);
}

static void started(struct start *start, pid_t pid)
{
    struct exitfd *x = start->x;

    bool pid_reused = xfd_registry_is_pid_reused(x, pid, start->progress.seq);
    xfd_object_lock(x, &start->cancel_state);
    give_up_newer(start, pid);
    struct watch *w = xfd_watches_by_token(&x->watches, start->token);
    w->bound_seq = start->progress.seq;
    w->flags |= WATCH_STARTED | (pid_reused ? WATCH_PID_REUSED : 0);
    xfd_watches_bind(&x->watches, w, pid);
    x->backend->add(x, w, -1, true);
    xfd_subscription_sync(x);
    xfd_object_unlock(x, start->cancel_state);
}

static int set_signals(posix_spawnattr_t *attr)
{
    sigset_t set;
    short flags;
    int error = posix_spawnattr_getflags(attr, &flags);

    if (error == 0 && !(flags & POSIX_SPAWN_SETSIGDEF)) {
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        error = posix_spawnattr_setsigdefault(attr, &set);
    }
    if (error == 0 && !(flags & POSIX_SPAWN_SETSIGMASK)) {
        pthread_sigmask(SIG_BLOCK, NULL, &set);
        sigdelset(&set, SIGCHLD);
        error = posix_spawnattr_setsigmask(attr, &set);
    }
    if (error == 0)
        error = posix_spawnattr_setflags(attr, (short)(flags | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
    return -error;
}

static int copy_attributes(posix_spawnattr_t *copy, const posix_spawnattr_t *attr)
{
    int error = xfd_platform_copy_attributes(copy, attr);

    if (error < 0)
        return error;
    error = set_signals(copy);
    if (error < 0)
        posix_spawnattr_destroy(copy);
    return error;
}

/*
 * Not pidfd_spawnp (glibc 2.39): it gives a pidfd and no pid, and once other code has reaped the child, or the kernel
 * has because SIGCHLD is ignored, no call turns the one into the other. Better a status unknown than a child unnamed.
 */
int exitfd_spawn(struct exitfd *x, pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attr, char *const argv[], char *const envp[], unsigned flags, void *data)
{
    posix_spawnattr_t own_attr;
    struct start start;
    pid_t child;

    if (!file || !argv)
        return -EINVAL;
    int error = reserve(&start, x, flags, data);
    if (error < 0)
        return error;
    error = copy_attributes(&own_attr, attr);
    if (error == 0) {
        xfd_registry_begin_start(&start.progress);
        error = -posix_spawnp(&child, file, actions, &own_attr, argv, envp);
        if (error == 0)
            started(&start, child);
        xfd_registry_end_start(&start.progress);
        posix_spawnattr_destroy(&own_attr);
    }
    if (error < 0)
        cancel(&start);
    else if (pid)
        *pid = child;
    return error;
}

pid_t exitfd_fork(struct exitfd *x, unsigned flags, void *data)
{
    struct start start;
    int error = reserve(&start, x, flags, data);

    if (error < 0)
        return error;
    xfd_registry_begin_start(&start.progress);
    pid_t pid = fork();
    if (pid == 0)
        return 0; /* what was held is free here: process.c's handler has seen to it */
    error = -errno;
    if (pid > 0)
        started(&start, pid);
    xfd_registry_end_start(&start.progress);
    if (pid < 0) {
        cancel(&start);
        return error;
    }
    return pid;
}
