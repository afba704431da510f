/* SPDX-License-Identifier: MIT */
/* What truth_fallback.c injects, for real: filters that deny pidfds to this
   process. */
#include "life_support.h"

#include <seccomp.h>
#include <stdlib.h>
#include <sys/syscall.h>

static void deny(int call, int error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    CHECK(filter != NULL);
    CHECK_EQ(seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)error), call, 0), 0);
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    if (ret < 0)
        SKIP("seccomp_load: %s", strerror(-ret));
}

static void deny_pidfd_open(int error)
{
    deny(SCMP_SYS(pidfd_open), error);
    CHECK_EQ(syscall(SYS_pidfd_open, getpid(), 0), -1);
    CHECK_EQ(errno, error);
}

/* waitid(P_PIDFD) as on a kernel, or under a filter, that knows no pidfds;
   waitid of anything else as ever. */
static void deny_pidfds(int error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    CHECK(filter != NULL);
    uint32_t action = SCMP_ACT_ERRNO((uint32_t)error);
    CHECK_EQ(seccomp_rule_add(filter, action, SCMP_SYS(pidfd_open), 0), 0);
    const struct scmp_arg_cmp is_pidfd = { .op = SCMP_CMP_EQ, .datum_a = 3 /* P_PIDFD */ };
    CHECK_EQ(seccomp_rule_add_array(filter, action, SCMP_SYS(waitid), 1, &is_pidfd), 0);
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
    CHECK_EQ(exitfd_add(x, pids[0], 0, &pids[0]), 0);
    deny_pidfd_open(error);
    CHECK_EQ(exitfd_add(x, pids[1], 0, &pids[1]), 0);
    CHECK(exitfd_get_pidfd(x, pids[0]) >= 0);
    CHECK_EQ(exitfd_get_pidfd(x, pids[1]), -ENOTSUP);
    let_through(&gate, 2);
    expect_all_exited(x, pids, 2, 120);
    close_gate(&gate);
    exitfd_close(x);
    x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    pid_t pid = start_child_exit(122);
    int ret = exitfd_add(x, pid, 0, NULL);
    CHECK(ret == -error || (ret == 0 && backend_is("io_uring")), "exitfd_add: %s", strerror(-ret));
    exitfd_remove(x, pid);
    reap(pid);
    exitfd_close(x);
}

TEST(seccomp, ENOSYS_after_the_open)
{
    filter_after_the_open(ENOSYS);
}

TEST(seccomp, EPERM_after_the_open)
{
    filter_after_the_open(EPERM);
}

/* Every child is then tracked by SIGCHLD, on each back end, and still reported
   truly. */
static void filter_before_the_open(void (*install_filter)(int), int error)
{
    install_filter(error);
    struct exitfd *x = NULL;
    int ret = exitfd_open(&x, 0);
    const char *forced = getenv("EXITFD_BACKEND");
    if (ret == -ENOTSUP && forced != NULL && (strcmp(forced, "pidfd") == 0 || strcmp(forced, "io_uring") == 0))
        return;
    CHECK_EQ(ret, 0, "exitfd_open: %s", strerror(-ret));
    struct gate gate = open_gate();
    pid_t pids[2] = { start_child(&gate, 120), start_child(&gate, 121) };
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
        CHECK_EQ(exitfd_get_pidfd(x, pids[i]), -ENOTSUP);
    }
    let_through(&gate, 2);
    expect_all_exited(x, pids, 2, 120);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(seccomp, ENOSYS_for_pidfd_open_before_the_open)
{
    filter_before_the_open(deny_pidfd_open, ENOSYS);
}

TEST(seccomp, EPERM_for_pidfd_open_before_the_open)
{
    filter_before_the_open(deny_pidfd_open, EPERM);
}

TEST(seccomp, ENOSYS_for_every_pidfd_before_the_open)
{
    filter_before_the_open(deny_pidfds, ENOSYS);
}

TEST(seccomp, EPERM_for_every_pidfd_before_the_open)
{
    filter_before_the_open(deny_pidfds, EPERM);
}

/* The record is out of reach: the stolen child is UNKNOWN, not silent and not
   made up. */
TEST(seccomp, EPERM_for_the_record)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 120);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const uint32_t pidfd_ioctls = 0xff00, type_mask = 0xff00;
    CHECK_EQ(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                              SCMP_A1(SCMP_CMP_MASKED_EQ, type_mask, pidfd_ioctls)),
             0);
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    let_through(&gate, 1);
    CHECK_EQ(steal(-1), 120 << 8);
    struct exitfd_event event = wait_event(x);
    if (ret == 0)
        expect_unknown(&event, pid, x);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
    if (ret < 0)
        SKIP("seccomp_load: %s", strerror(-ret));
}

/* The probe has seen pidfds, and then there is no timerfd. */
static void filter_timerfd(int error)
{
    deny(SCMP_SYS(timerfd_create), error);
    struct exitfd *x = NULL;
    CHECK_EQ(exitfd_open(&x, EXITFD_PIDFD), -ENOTSUP);
    CHECK(x == NULL);
    if (getenv("EXITFD_BACKEND") != NULL)
        return;
    x = open_exitfd();
    CHECK_STR(exitfd_get_backend(x), "self-pipe");
    pid_t pid = start_child_exit(123);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 123, x);
    exitfd_close(x);
}

TEST(seccomp, EPERM_for_what_a_back_end_needs_besides)
{
    filter_timerfd(EPERM);
}

TEST(seccomp, ENOSYS_for_what_a_back_end_needs_besides)
{
    filter_timerfd(ENOSYS);
}

static void *do_nothing(void *argument)
{
    const struct gate *gate = argument;
    unblock_sigchld();
    wait_behind(gate);
    return NULL;
}

/* The signal would go to that one, and the signalfd be silent. */
TEST(seccomp, ENOSYS_for_every_pidfd_beside_a_thread_with_SIGCHLD_unblocked)
{
    if (getenv("EXITFD_BACKEND") != NULL || build_is_posix())
        SKIP("this is about the automatic choice");
    struct exitfd *x;
    struct gate gate = open_gate();
    deny_pidfds(ENOSYS);
    block_sigchld();
    x = open_exitfd();
    CHECK_STR(exitfd_get_backend(x), "signalfd");
    exitfd_close(x);
    struct helper helper = start_helper(do_nothing, &gate);
    CHECK(wait_until_asleep(helper.tid));
    x = open_exitfd();
    CHECK_STR(exitfd_get_backend(x), "self-pipe");
    pid_t pid = start_child_exit(124);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 124, x);
    let_through(&gate, 1);
    join_helper(&helper);
    close_gate(&gate);
    exitfd_close(x);
    unblock_sigchld();
}
