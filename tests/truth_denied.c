/* SPDX-License-Identifier: MIT */
/*
 * Filters that are there before exitfd_open and deny one system call. A back
 * end that needs the call is not taken. What is taken works from open to close.
 */
#include "life_support.h"

#include <seccomp.h>
#include <stdlib.h>

/* Which back ends need a call, besides by name. */
enum {
    PIDFD = 1,
    URING = 2,
    SIGNALFD = 4,
    SELFPIPE = 8,
    IN_A_SET = PIDFD | SIGNALFD,
    ALL = PIDFD | URING | SIGNALFD | SELFPIPE
};

/* In a thread of its own: a filter is of one thread alone, and the checks after
   a test poll and close as well. */
struct denied {
    int calls[2], error; /* the second one is how other processors have it */
    pid_t pid, stranger;
    bool steal;
    int loaded, opened, added, killed[4], waited;
    char backend[16];
    struct exitfd_event event;
};

static int deny(const struct denied *d)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    for (int i = 0; i < 2; i++)
        seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)d->error), d->calls[i], 0);
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    return ret;
}

static void use(struct denied *d, struct exitfd *x)
{
    d->added = exitfd_add(x, d->pid, 0, d);
    if (d->stranger != 0 && exitfd_add(x, d->stranger, EXITFD_OBSERVE, d) == 0)
        d->killed[3] = exitfd_kill(x, d->stranger, 0);
    d->killed[0] = exitfd_kill(x, -d->pid, 0);
    if (d->steal) {
        kill(d->pid, SIGTERM);
        steal(d->pid);
    }
    d->killed[1] = exitfd_kill(x, d->pid, SIGTERM);
    if (d->stranger != 0)
        exitfd_remove(x, d->stranger);
    while ((d->waited = exitfd_wait(x, &d->event, 1, -1)) == -EINTR)
        ;
    d->killed[2] = exitfd_kill(x, d->pid, 0);
}

static void *open_and_use(void *argument)
{
    struct denied *d = argument;
    struct exitfd *x = NULL;
    if ((d->loaded = deny(d)) < 0)
        return NULL;
    if ((d->opened = exitfd_open(&x, 0)) < 0)
        return NULL;
    snprintf(d->backend, sizeof d->backend, "%s", exitfd_get_backend(x));
    use(d, x);
    exitfd_close(x);
    return NULL;
}

static void in_a_thread(struct denied *d)
{
    d->pid = start_paused();
    CHECK_EQ(setpgid(d->pid, d->pid), 0);
    struct helper helper = start_helper(open_and_use, d);
    join_helper(&helper);
    if (d->loaded < 0 || d->opened < 0)
        kill_and_reap(d->pid);
    if (d->loaded < 0)
        SKIP("seccomp_load: %s", strerror(-d->loaded));
}

static int named(const char *name)
{
    static const char *const names[] = { "pidfd", "io_uring", "signalfd", "self-pipe" };
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return 1 << i;
    return 0;
}

static void expect_another_or_none(int call, int same, int error, int needed_by)
{
    struct denied d = { .calls = { call, same }, .error = error };
    const char *forced = getenv("EXITFD_BACKEND");
    int choice = build_is_posix() || !have_pidfd() ? SELFPIPE : PIDFD | SELFPIPE;
    bool none = (~needed_by & (forced ? named(forced) : choice)) == 0;
    learn_what_is_recorded();
    in_a_thread(&d);
    if (none) {
        CHECK_EQ(d.opened, -ENOTSUP, "exitfd_open: %d, with %s", d.opened, d.backend);
        return;
    }
    CHECK_EQ(d.opened, 0, "exitfd_open: %d", d.opened);
    CHECK((named(d.backend) & needed_by) == 0, "%s was taken", d.backend);
    CHECK_EQ(d.added, 0);
    CHECK_EQ(d.killed[0], 0);
    CHECK_EQ(d.killed[1], 0);
    CHECK_EQ(d.waited, 1);
    CHECK_EQ(d.killed[2], -ENOENT);
    expect_event(&d.event, d.pid, CLD_KILLED, SIGTERM, EXITFD_REAPED, &d);
}

#define SAME_DENIED(call, same, needed_by)                                                                             \
    TEST(denied, call##_with_ENOSYS)                                                                                   \
    {                                                                                                                  \
        expect_another_or_none(SCMP_SYS(call), SCMP_SYS(same), ENOSYS, needed_by);                                     \
    }                                                                                                                  \
    TEST(denied, call##_with_EPERM)                                                                                    \
    {                                                                                                                  \
        expect_another_or_none(SCMP_SYS(call), SCMP_SYS(same), EPERM, needed_by);                                      \
    }
#define DENIED(call, needed_by) SAME_DENIED(call, call, needed_by)

DENIED(close, ALL)
DENIED(epoll_create1, IN_A_SET)
DENIED(epoll_ctl, IN_A_SET)
SAME_DENIED(epoll_wait, epoll_pwait, IN_A_SET)
DENIED(eventfd2, IN_A_SET | URING)
DENIED(pidfd_send_signal, 0)
DENIED(pipe2, SELFPIPE)
SAME_DENIED(poll, ppoll, ALL)
DENIED(rt_sigaction, SELFPIPE)
DENIED(signalfd4, SIGNALFD)
DENIED(timerfd_create, IN_A_SET)
DENIED(timerfd_settime, IN_A_SET)

/* The pid of a process that is no child, or was reaped, may be another's
   already: it is not used. */
static void kill_what_no_pid_names(int error)
{
    struct denied d = { .calls = { SCMP_SYS(pidfd_send_signal), SCMP_SYS(pidfd_send_signal) },
                        .error = error,
                        .stranger = getppid(),
                        .steal = true };
    skip_without_pidfds();
    if (!have_exit_record())
        SKIP("no PIDFD_GET_INFO in this kernel, by which a reap is seen (Linux 6.13)");
    learn_what_is_recorded();
    in_a_thread(&d);
    CHECK_EQ(d.opened, 0);
    CHECK_EQ(d.killed[3], -error);
    CHECK_EQ(d.killed[1], -ESRCH);
    CHECK_EQ(d.waited, 1);
    expect_event(&d.event, d.pid, CLD_KILLED, SIGTERM, EXITFD_RECORDED, &d);
}

TEST(denied, pidfd_send_signal_to_what_no_pid_names_with_ENOSYS)
{
    kill_what_no_pid_names(ENOSYS);
}

TEST(denied, pidfd_send_signal_to_what_no_pid_names_with_EPERM)
{
    kill_what_no_pid_names(EPERM);
}
