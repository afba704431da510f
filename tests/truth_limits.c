/* SPDX-License-Identifier: MIT */
/* What truth_fallback.c injects, for real: RLIMIT_NOFILE and seccomp filters. */
#include "truth_support.h"

#include <fcntl.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void skip_without_pidfds(void)
{
    if (!backend_is("pidfd"))
        SKIP("this back end opens no pidfds");
}

/* Leaves room for so many fds more. */
static void limit_fds(int room)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int end = 0;
    for (int free_fds = 0; free_fds < room || fcntl(end, F_GETFD) >= 0; end++)
        free_fds += fcntl(end, F_GETFD) < 0;
    limit.rlim_cur = (rlim_t)end;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void raise_fd_limit(void)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

enum {
    COUNT = 12,
    ROOM = 5
};

static int with_pidfd(struct exitfd *x, const pid_t *pids, int count)
{
    int found = 0;
    for (int i = 0; i < count; i++) {
        int ret = exitfd_get_pidfd(x, pids[i]);
        cr_assert(ret >= 0 || ret == -ENOTSUP);
        found += ret >= 0;
    }
    return found;
}

static void expect_every_event(struct exitfd *x, const pid_t *pids, int count)
{
    bool seen[COUNT] = { false };
    struct exitfd_event events[COUNT];
    wait_events(x, events, count);
    for (int n = 0; n < count; n++) {
        ptrdiff_t i = (const pid_t *)events[n].data - pids;
        cr_assert_not(seen[i], "two events of child %td", i);
        seen[i] = true;
        expect_exited(&events[n], pids[i], 120 + (int)i, &pids[i]);
    }
    expect_quiet(x);
}

TEST(limits, RLIMIT_NOFILE_some_on_pidfds_the_rest_by_SIGCHLD_and_back)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pids[COUNT];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++)
            pids[i] = start_child(&gate, 120 + i);
        if (round == 0)
            limit_fds(ROOM);
        for (int i = 0; i < COUNT; i++)
            cr_assert_eq(exitfd_add(x, pids[i], 0, &pids[i]), 0);
        cr_assert_eq(with_pidfd(x, pids, COUNT), round == 0 ? ROOM : COUNT);
        cr_assert_eq(exitfd_is_default_handler(), round == 1);
        let_through(&gate, COUNT);
        expect_every_event(x, pids, COUNT);
        cr_assert_eq(exitfd_is_default_handler(), 1);
        raise_fd_limit();
    }
    close_gate(&gate);
    exitfd_close(x);
}

/* The limit stays; what the reported children held is enough for the next ones. */
TEST(limits, RLIMIT_NOFILE_fds_of_reported_children_serve_the_next)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pids[ROOM];
    limit_fds(ROOM);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < ROOM; i++) {
            pids[i] = start_child(&gate, 120 + i);
            cr_assert_eq(exitfd_add(x, pids[i], 0, &pids[i]), 0);
        }
        cr_assert_eq(with_pidfd(x, pids, ROOM), ROOM);
        let_through(&gate, ROOM);
        expect_every_event(x, pids, ROOM);
    }
    raise_fd_limit();
    close_gate(&gate);
    exitfd_close(x);
}

TEST(limits, RLIMIT_NOFILE_with_NO_SIGNALS_is_EMFILE)
{
    skip_without_pidfds();
    struct exitfd *x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 120);
    limit_fds(0);
    cr_assert_eq(exitfd_add(x, pid, 0, &pid), -EMFILE);
    cr_assert_eq(exitfd_remove(x, pid), -ENOENT);
    raise_fd_limit();
    cr_assert_eq(exitfd_add(x, pid, 0, &pid), 0);
    let_through(&gate, 1);
    expect_every_event(x, &pid, 1);
    cr_assert_eq(exitfd_is_default_handler(), 1);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(limits, RLIMIT_NOFILE_and_a_pidfd_that_cannot_be_duplicated)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 120);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    limit_fds(0);
    cr_assert_eq(exitfd_add_pidfd(x, pidfd, 0, &pid), 0);
    cr_assert_eq(exitfd_get_pidfd(x, pid), -ENOTSUP);
    let_through(&gate, 1);
    expect_every_event(x, &pid, 1);
    raise_fd_limit();
    close(pidfd);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(limits, RLIMIT_NOFILE_and_no_fd_for_the_open_is_EMFILE)
{
    struct exitfd *warm = open_for_truth();
    exitfd_close(warm);
    struct exitfd *x = NULL;
    limit_fds(0);
    int ret = exitfd_open(&x, 0);
    raise_fd_limit();
    cr_assert_eq(ret, -EMFILE);
    cr_assert_null(x);
}

static void deny_pidfd_open(int error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    cr_assert_not_null(filter);
    cr_assert_eq(seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)error), SCMP_SYS(pidfd_open), 0), 0);
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    if (ret < 0)
        SKIP("seccomp_load: %s", strerror(-ret));
    cr_assert_eq(syscall(SYS_pidfd_open, getpid(), 0), -1);
    cr_assert_eq(errno, error);
}

/* waitid(P_PIDFD) as on a kernel, or under a filter, that knows no pidfds; waitid of anything else as ever. */
static void deny_pidfds(int error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    cr_assert_not_null(filter);
    uint32_t action = SCMP_ACT_ERRNO((uint32_t)error);
    cr_assert_eq(seccomp_rule_add(filter, action, SCMP_SYS(pidfd_open), 0), 0);
    cr_assert_eq(seccomp_rule_add(filter, action, SCMP_SYS(waitid), 1, SCMP_A0(SCMP_CMP_EQ, 3)), 0);
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    if (ret < 0)
        SKIP("seccomp_load: %s", strerror(-ret));
}

static void filter_after_the_open(int error)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pids[2] = { start_child(&gate, 120), start_child(&gate, 121) };
    cr_assert_eq(exitfd_add(x, pids[0], 0, &pids[0]), 0);
    deny_pidfd_open(error);
    cr_assert_eq(exitfd_add(x, pids[1], 0, &pids[1]), 0);
    cr_assert_geq(exitfd_get_pidfd(x, pids[0]), 0);
    cr_assert_eq(exitfd_get_pidfd(x, pids[1]), -ENOTSUP);
    let_through(&gate, 2);
    expect_every_event(x, pids, 2);
    close_gate(&gate);
    exitfd_close(x);
    x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    pid_t pid = start_child_exit(122);
    cr_assert_eq(exitfd_add(x, pid, 0, NULL), -error);
    reap(pid);
    exitfd_close(x);
}

TEST(limits, seccomp_ENOSYS_after_the_open)
{
    filter_after_the_open(ENOSYS);
}

TEST(limits, seccomp_EPERM_after_the_open)
{
    filter_after_the_open(EPERM);
}

/* Every child is followed then, on whatever back end, and still told truly. */
static void filter_before_the_open(void (*deny)(int), int error)
{
    deny(error);
    struct exitfd *x = NULL;
    int ret = exitfd_open(&x, 0);
    const char *forced = getenv("EXITFD_BACKEND");
    if (ret == -ENOTSUP && forced != NULL && strcmp(forced, "pidfd") == 0)
        return;
    cr_assert_eq(ret, 0, "exitfd_open: %s", strerror(-ret));
    struct gate gate = open_gate();
    pid_t pids[2] = { start_child(&gate, 120), start_child(&gate, 121) };
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(exitfd_add(x, pids[i], 0, &pids[i]), 0);
        cr_assert_eq(exitfd_get_pidfd(x, pids[i]), -ENOTSUP);
    }
    let_through(&gate, 2);
    expect_every_event(x, pids, 2);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(limits, seccomp_ENOSYS_for_pidfd_open_before_the_open)
{
    filter_before_the_open(deny_pidfd_open, ENOSYS);
}

TEST(limits, seccomp_EPERM_for_pidfd_open_before_the_open)
{
    filter_before_the_open(deny_pidfd_open, EPERM);
}

TEST(limits, seccomp_ENOSYS_for_every_pidfd_before_the_open)
{
    filter_before_the_open(deny_pidfds, ENOSYS);
}

TEST(limits, seccomp_EPERM_for_every_pidfd_before_the_open)
{
    filter_before_the_open(deny_pidfds, EPERM);
}

/* The record is out of reach: the stolen child is UNKNOWN, not silent and not made up. */
TEST(limits, seccomp_EPERM_for_the_record)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 120);
    cr_assert_eq(exitfd_add(x, pid, 0, x), 0);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const uint32_t pidfd_ioctls = 0xff00, type_mask = 0xff00;
    cr_assert_eq(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, pidfd_ioctls)),
                 0);
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    let_through(&gate, 1);
    cr_assert_eq(steal(-1), 120 << 8);
    struct exitfd_event event = wait_event(x);
    if (ret == 0)
        expect_unknown(&event, pid, x);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
    if (ret < 0)
        SKIP("seccomp_load: %s", strerror(-ret));
}
