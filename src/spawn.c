/* SPDX-License-Identifier: MIT */
#include "exitfd.h"
#include "object.h"
#include "orphans.h"
#include "platform.h"

#include <errno.h>
#include <unistd.h>

/* A child on its way: its slot is taken before there is a child, so that nothing can fail once there is one. */
struct start {
    struct exitfd *x;
    uint64_t token;
    int cancel_state;
};

static int reserve(struct start *start, struct exitfd *x, unsigned flags, void *data)
{
    struct watch *w;
    int error = object_check(x);

    if (error == 0)
        error = object_check_flags(x, flags);
    if (error < 0)
        return error;
    object_lock(x, &start->cancel_state);
    error = watches_take(&x->watches, &w);
    if (error == 0) {
        w->flags = flags;
        w->data = data;
        start->token = watches_token(&x->watches, w);
        start->x = x;
    }
    object_unlock(x, start->cancel_state);
    return error;
}

static void cancel(struct start *start)
{
    struct exitfd *x = start->x;

    object_lock(x, &start->cancel_state);
    watches_drop(&x->watches, watches_by_token(&x->watches, start->token));
    object_unlock(x, start->cancel_state);
}

static void started(struct start *start, pid_t pid, int pidfd)
{
    struct exitfd *x = start->x;

    object_lock(x, &start->cancel_state);
    struct watch *w = watches_by_token(&x->watches, start->token);
    watches_bind(&x->watches, w, pid);
    x->backend->add(x, w, pidfd, true);
    object_unlock(x, start->cancel_state);
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

static int spawn(struct start *start, struct spawn_request *request, pid_t *pid)
{
    posix_spawnattr_t attr;
    int pidfd = -1, error = platform_copy_attributes(&attr, request->attr);

    if (error < 0)
        return error;
    error = set_signals(&attr);
    request->attr = &attr;
    orphans_hold();
    if (error == 0)
        error = platform_spawn(request, start->x->backend->by_pidfd, pid, &pidfd);
    if (error == 0)
        started(start, *pid, pidfd);
    orphans_release();
    posix_spawnattr_destroy(&attr);
    return error;
}

int exitfd_spawn(struct exitfd *x, pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attr, char *const argv[], char *const envp[], unsigned flags, void *data)
{
    struct spawn_request request = { file, actions, attr, argv, envp };
    struct start start;
    pid_t child;

    if (!file || !argv)
        return -EINVAL;
    int error = reserve(&start, x, flags, data);
    if (error < 0)
        return error;
    error = spawn(&start, &request, &child);
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
    orphans_hold();
    pid_t pid = fork();
    if (pid == 0)
        return 0; /* what was held is free here: process.c's handler has seen to it */
    error = -errno;
    if (pid > 0)
        started(&start, pid, -1);
    orphans_release();
    if (pid < 0) {
        cancel(&start);
        return error;
    }
    return pid;
}
