/* SPDX-License-Identifier: MIT */
/* exitfd_start under filters, and so on kernels, that lack the calls it
   prefers. */
#include "start_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/syscall.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif

static scmp_filter_ctx filter;

static void begin_filter(void)
{
    filter = seccomp_init(SCMP_ACT_ALLOW);
    CHECK(filter != NULL);
}

static void deny(int call, int error)
{
    CHECK_EQ(seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)error), call, 0), 0);
}

static void deny_flag(int call, unsigned flag, int error)
{
    const struct scmp_arg_cmp has_flag = { .op = SCMP_CMP_MASKED_EQ, .datum_a = flag, .datum_b = flag };
    CHECK_EQ(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO((uint32_t)error), call, 1, &has_flag), 0);
}

static void load_filter(void)
{
    int ret = seccomp_load(filter);
    seccomp_release(filter);
    if (ret < 0)
        SKIP("seccomp_load: %s", strerror(-ret));
}

static void handle_nothing(int signum)
{
    (void)signum;
}

/* All that a start promises but for a pidfd from birth: signals, actions,
   errors, and the event. */
static void expect_all_to_work(struct exitfd *x)
{
    const struct exitfd_action actions[] = {
        { .type = EXITFD_CLOSE_FROM, .fd = 3 },
        { .type = EXITFD_OPEN, .fd = 5, .path = "/dev/null", .flags = O_RDONLY },
    };
    struct exitfd_command command = shell_command("echo $(ls -v /proc/self/fd)");
    pid_t pid = -77;
    int low = fcntl(0, F_DUPFD, 60), high = fcntl(0, F_DUPFD, 900);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, handle_nothing);
    unsigned long long ignored = masks_in_program(x, 0).ignored;
    CHECK(is_in_mask(ignored, SIGHUP));
    CHECK(!is_in_mask(ignored, SIGUSR1));
    command.actions = actions;
    command.action_count = 2;
    CHECK_STR(output_of_command(x, &command).text, "0 1 2 3 5\n");
    command.file = "/no/such/file";
    expect_nothing_started(x, exitfd_start(x, &pid, &command, 0, NULL), -ENOENT, pid);
    close(low);
    close(high);
    struct exitfd_command exit_7 = shell_command("exit 7");
    CHECK_EQ(exitfd_start(x, &pid, &exit_7, 0, x), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 7, x);
}

static void without_clone3(int error)
{
    struct exitfd *x = open_for_truth();
    begin_filter();
    deny(SCMP_SYS(clone3), error);
    load_filter();
    expect_all_to_work(x);
    if (reports_stolen_status()) { /* clone has given the pidfd */
        set_sigchld(SIG_IGN, 0);
        struct exitfd_command command = shell_command("exit 7");
        for (int i = 0; i < 100; i++) {
            CHECK_EQ(exitfd_start(x, NULL, &command, 0, x), 0);
            struct exitfd_event event = wait_event(x);
            expect_event(&event, event.pid, CLD_EXITED, 7, EXITFD_RECORDED, x);
        }
    }
    exitfd_close(x);
}

TEST(start_seccomp, without_clone3_ENOSYS)
{
    without_clone3(ENOSYS);
}

TEST(start_seccomp, without_clone3_EPERM)
{
    without_clone3(EPERM);
}

static void without_pidfd_from_birth(int error)
{
    struct exitfd *x = open_exitfd();
    begin_filter();
    deny(SCMP_SYS(clone3), ENOSYS);
    deny_flag(SCMP_SYS(clone), CLONE_PIDFD, error);
    load_filter();
    expect_all_to_work(x);
    exitfd_close(x);
}

TEST(start_seccomp, without_CLONE_PIDFD_EINVAL)
{
    without_pidfd_from_birth(EINVAL);
}

TEST(start_seccomp, without_CLONE_PIDFD_EPERM)
{
    without_pidfd_from_birth(EPERM);
}

TEST(start_seccomp, without_close_range)
{
    struct exitfd *x = open_exitfd();
    begin_filter();
    deny(SCMP_SYS(close_range), ENOSYS);
    load_filter();
    expect_all_to_work(x);
    exitfd_close(x);
}

/* With as few fds as can be, the list of them takes the place of one that is to
   be closed. */
TEST(start_seccomp, without_close_range_and_with_no_fd_left)
{
    if (build_is_posix())
        SKIP("a start takes the fds of a pipe there");
    struct exitfd *x = open_exitfd();
    const struct exitfd_action actions[] = { { .type = EXITFD_CLOSE_FROM, .fd = 3 } };
    struct exitfd_command command = shell_command("exit 7");
    command.actions = actions;
    command.action_count = 1;
    begin_filter();
    deny(SCMP_SYS(close_range), ENOSYS);
    load_filter();
    struct rlimit before = forbid_new_fds();
    CHECK_EQ(exitfd_start(x, NULL, &command, 0, x), 0);
    CHECK_EQ(wait_event(x).status, 7);
    allow_new_fds(&before);
    exitfd_close(x);
}

static void *start_without_any_clone(void *unused)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_command command = shell_command("exit 7");
    pid_t pid = -77;
    begin_filter();
    deny(SCMP_SYS(clone3), EPERM);
    deny(SCMP_SYS(clone), EPERM);
    load_filter();
    for (int i = 0; i < 20; i++)
        expect_nothing_started(x, exitfd_start(x, &pid, &command, 0, NULL), -EPERM, pid);
    exitfd_close(x);
    return unused;
}

/* The filter is a thread's alone: the leak check after the test needs a
   clone. */
TEST(start_seccomp, without_any_clone_there_is_no_child)
{
    exitfd_close(open_exitfd()); /* a thread cannot skip the test */
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, start_without_any_clone, NULL), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}
