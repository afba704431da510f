/* SPDX-License-Identifier: MIT */
/*
 * Starting a child in three steps: reserve its slot, start it, bind its pid.
 * Only the first two can fail, and there is no child then. registry.h holds off
 * what looks for orphans in between.
 */
#include "autokill.h"
#include "command.h"
#include "object.h"
#include "platform.h"
#include "registry.h"
#include "status.h"

#include <errno.h>
#include <unistd.h>

/* A child on its way: its slot is taken before there is a child, so that
   nothing can fail once there is one. */
struct start {
    struct exitfd *x;
    uint64_t token;
    struct start_in_progress progress;
    struct autokill *autokill;
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
    error = xfd_watches_reserve(&x->watches, &w);
    if (error == 0) {
        w->flags = flags;
        w->data = data;
        start->token = xfd_watches_token(&x->watches, w);
        start->x = x;
        start->autokill = NULL;
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

/*
 * Whether w, which another thread has added by the pid since our start began,
 * is of our child: it has learned the pid from the child itself. Otherwise
 * other code has reaped ours, and another child has got its pid.
 */
static bool is_of_ours(const struct watch *w, pid_t pid, int pidfd)
{
    if (pidfd < 0 || !xfd_platform_is_reaped(pidfd))
        return true;
    return w->pidfd >= 0 ? xfd_platform_is_same(w->pidfd, pidfd) : xfd_status_check_child(pid) < 0;
}

/* It is one child, and gives one event. */
static void give_up_newer(struct start *start, pid_t pid, int pidfd)
{
    struct exitfd *x = start->x;
    struct watch *w = xfd_watches_find(&x->watches, pid);

    if (w && !xfd_registry_is_older(w, start->progress.seq) && !(w->flags & WATCH_STARTED) && is_of_ours(w, pid, pidfd))
        xfd_object_remove(x, w);
}

/* A watch that is not older than this start is of a later child: ours was
   reaped, so the pid is not its own any more. */
static void bind(struct start *start, struct watch *w, pid_t pid)
{
    struct watches *watches = &start->x->watches;
    struct watch *newest = xfd_watches_find(watches, pid);

    if (newest && !xfd_registry_is_older(newest, start->progress.seq))
        xfd_watches_bind_behind(watches, w, pid);
    else
        xfd_watches_bind(watches, w, pid);
}

/* pidfd: the child's from its birth, which we own from now on; -1: none.
   Whatever has its pid by now, that one is it. */
static void started(struct start *start, pid_t pid, int pidfd)
{
    struct exitfd *x = start->x;

    bool pid_reused = xfd_registry_is_pid_reused(x, pid, start->progress.seq) && pidfd < 0;
    xfd_object_lock(x, &start->cancel_state);
    give_up_newer(start, pid, pidfd);
    struct watch *w = xfd_watches_by_token(&x->watches, start->token);
    w->bound_seq = start->progress.seq;
    w->autokill = start->autokill;
    w->flags |= WATCH_STARTED | (pid_reused ? WATCH_REAPED_ELSEWHERE : 0);
    bind(start, w, pid);
    x->backend->add(x, w, pidfd, true);
    xfd_subscription_sync(x);
    xfd_object_unlock(x, start->cancel_state);
}

/* *pidfd: the child's from birth, and afterwards one for its watch; -1:
   none. */
static int start_program(struct start *start, const struct start_plan *plan, pid_t *child, int *pidfd)
{
    struct exitfd *x = start->x;

    if (!plan->autokill) /* Without SIGCHLD there is no way to track a child for which no fd is left. */
        return xfd_platform_start(plan, child, x->backend->by_sigchld ? NULL : pidfd, x->flags & EXITFD_NO_SIGNALS);
    int error = xfd_autokill_begin(x, &start->autokill);
    if (error < 0)
        return error;
    error = xfd_platform_start(plan, child, &start->autokill->fd, true);
    if (error == 0)
        return xfd_autokill_keep(&start->autokill, *child, pidfd);
    xfd_autokill_cancel(start->autokill);
    return error;
}

/* By the system calls that give a pidfd at birth, where the platform has
   them. */
static int start_plan(struct exitfd *x, pid_t *pid, const struct start_plan *plan, unsigned flags, void *data)
{
    struct start start;
    pid_t child;
    int cancel_state, pidfd = -1, error = reserve(&start, x, flags, data);

    if (error < 0)
        return error;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    xfd_registry_begin_start(&start.progress);
    error = start_program(&start, plan, &child, &pidfd);
    if (error == 0)
        started(&start, child, pidfd);
    xfd_registry_end_start(&start.progress);
    if (error < 0)
        cancel(&start);
    pthread_setcancelstate(cancel_state, &cancel_state);
    if (error == 0 && pid)
        *pid = child;
    return error;
}

int exitfd_start(struct exitfd *x, pid_t *pid, const struct exitfd_command *command, unsigned flags, void *data)
{
    struct start_plan plan;
    int error = xfd_object_check(x);

    if (error == 0)
        error = xfd_command_read(command, &plan);
    if (error == 0 && flags & EXITFD_AUTOKILL)
        error = flags & EXITFD_HOLD ? -EINVAL : x->backend->flag != EXITFD_PIDFD ? -ENOTSUP : 0;
    if (error < 0)
        return error;
    plan.autokill = flags & EXITFD_AUTOKILL;
    return start_plan(x, pid, &plan, flags & ~(unsigned)EXITFD_AUTOKILL, data);
}

static int set_all_signals(posix_spawnattr_t *attr)
{
    sigset_t mask, default_signals;

    xfd_start_signals(&mask, &default_signals);
    int error = posix_spawnattr_setsigmask(attr, &mask);
    if (error == 0)
        error = posix_spawnattr_setsigdefault(attr, &default_signals);
    if (error == 0)
        error = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    return -error;
}

/* Of attributes that say nothing of signals: all as the caller has it, except
   SIGCHLD. */
static int set_sigchld(posix_spawnattr_t *attr)
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
    error = attr ? set_sigchld(copy) : set_all_signals(copy);
    if (error < 0)
        posix_spawnattr_destroy(copy);
    return error;
}

/*
 * Not pidfd_spawnp (glibc 2.39), which gives a pidfd and no pid. Other code may
 * reap the child, or the kernel if SIGCHLD is ignored. Then no call gives the
 * pid. Better a status unknown than a child unnamed.
 */
static int spawn_by_libc(struct exitfd *x, pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                         const posix_spawnattr_t *attr, char *const argv[], char *const envp[], unsigned flags,
                         void *data)
{
    struct start start;
    pid_t child;
    int error = reserve(&start, x, flags, data);

    if (error < 0)
        return error;
    xfd_registry_begin_start(&start.progress);
    error = -posix_spawnp(&child, file, actions, attr, argv, envp);
    if (error == 0)
        started(&start, child, -1);
    xfd_registry_end_start(&start.progress);
    if (error < 0)
        cancel(&start);
    else if (pid)
        *pid = child;
    return error;
}

int exitfd_spawn(struct exitfd *x, pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attr, char *const argv[], char *const envp[], unsigned flags, void *data)
{
    posix_spawnattr_t own_attr;
    struct start_plan plan;

    if (!file || !argv)
        return -EINVAL;
    int error = xfd_object_check(x);
    if (error == 0)
        error = copy_attributes(&own_attr, attr);
    if (error < 0)
        return error;
    xfd_start_plan(&plan, file, argv, envp);
    /* No function returns what file actions hold. */
    if (!actions && !x->backend->by_sigchld && xfd_platform_plan_attributes(&plan, &own_attr))
        error = start_plan(x, pid, &plan, flags, data);
    else
        error = spawn_by_libc(x, pid, file, actions, &own_attr, argv, envp, flags, data);
    posix_spawnattr_destroy(&own_attr);
    return error;
}

static pid_t fork_child(const struct exitfd *x, int *pidfd)
{
    if (!x->backend->by_sigchld)
        return xfd_platform_fork(pidfd);
    pid_t pid = fork();
    return pid < 0 ? -errno : pid;
}

/* The child does not come back from here as its parent does: the locks and the
   start are forgotten there, in process.c. */
static pid_t fork_watched(struct start *start)
{
    int pidfd = -1;

    xfd_registry_begin_start(&start->progress);
    pid_t pid = fork_child(start->x, &pidfd);
    if (pid == 0)
        return 0;
    if (pid > 0)
        started(start, pid, pidfd);
    xfd_registry_end_start(&start->progress);
    if (pid < 0)
        cancel(start);
    return pid;
}

/* fork(2) is no cancellation point, but a handler of the application may be
   one. */
pid_t exitfd_fork(struct exitfd *x, unsigned flags, void *data)
{
    struct start start;
    int cancel_state, error = reserve(&start, x, flags, data);

    if (error < 0)
        return error;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
    pid_t pid = fork_watched(&start);
    pthread_setcancelstate(cancel_state, &cancel_state);
    return pid;
}
