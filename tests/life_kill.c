/* SPDX-License-Identifier: MIT */
/* exitfd_kill: it hits the child that is watched, or says why not.
   life_recycled.c has the recycled pids. */
#include "life_support.h"

#include <limits.h>

TEST(kill, the_signal_arrives)
{
    struct exitfd *x = open_exitfd();
    int signals[] = { SIGTERM, SIGKILL, SIGUSR1, SIGRTMIN };
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        pid_t pid = start_paused();
        CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
        CHECK_EQ(exitfd_kill(x, pid, signals[i]), 0);
        struct exitfd_event event = wait_event(x);
        expect_event(&event, pid, CLD_KILLED, signals[i], EXITFD_REAPED, x);
    }
    expect_quiet(x);
    exitfd_close(x);
}

TEST(kill, only_the_child_that_is_named_is_hit)
{
    struct exitfd *x = open_exitfd();
    pid_t hit = start_paused(), spared = start_paused();
    CHECK_EQ(exitfd_add(x, hit, 0, NULL), 0);
    CHECK_EQ(exitfd_add(x, spared, 0, NULL), 0);
    CHECK_EQ(exitfd_kill(x, hit, SIGKILL), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, hit, CLD_KILLED, SIGKILL, EXITFD_REAPED, NULL);
    expect_quiet(x);
    CHECK_EQ(exitfd_kill(x, spared, 0), 0);
    exitfd_close(x);
    kill_and_reap(spared);
}

TEST(kill, signal_0_only_asks)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(exitfd_kill(x, pid, 0), 0);
    expect_quiet(x);
    exitfd_close(x);
    kill_and_reap(pid);
}

TEST(kill, a_zombie_not_reported_yet_counts_as_there)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(5);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    wait_until_zombie(pid);
    CHECK_EQ(exitfd_kill(x, pid, 0), 0);
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 5, NULL);
    exitfd_close(x);
}

TEST(kill, after_the_event_it_is_not_watched)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    wait_event(x);
    CHECK_EQ(exitfd_kill(x, pid, 0), -ENOENT);
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), -ENOENT);
    exitfd_close(x);
}

TEST(kill, what_is_not_watched_here_is_refused)
{
    struct exitfd *x = open_exitfd(), *y = open_exitfd();
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(y, pid, 0, NULL), 0);
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), -ENOENT);
    CHECK_EQ(exitfd_kill(x, getpid(), SIGKILL), -ENOENT);
    CHECK_EQ(exitfd_kill(x, INT_MAX, SIGKILL), -ENOENT);
    CHECK_EQ(exitfd_kill(y, pid, 0), 0);
    exitfd_close(x);
    exitfd_close(y);
    kill_and_reap(pid);
}

TEST(kill, bad_arguments_are_refused)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(exitfd_kill(NULL, pid, SIGKILL), -EINVAL);
    CHECK_EQ(exitfd_kill(x, 0, SIGKILL), -EINVAL);
    CHECK_EQ(exitfd_kill(x, -1, SIGKILL), -EINVAL);
    CHECK_EQ(exitfd_kill(x, -pid, SIGKILL), -ESRCH); /* it leads no group */
    CHECK_EQ(exitfd_kill(x, INT_MIN, SIGKILL), -EINVAL);
    CHECK_EQ(exitfd_kill(x, pid, -1), -EINVAL);
    CHECK_EQ(exitfd_kill(x, pid, NSIG + 100), -EINVAL);
    expect_quiet(x);
    exitfd_close(x);
    kill_and_reap(pid);
}

TEST(kill, no_group_gets_a_signal_that_there_is_not)
{
    struct exitfd *x = open_exitfd();
    if (exitfd_add(x, getppid(), EXITFD_OBSERVE, NULL) < 0)
        SKIP("this back end does not observe what is no child");
    CHECK_EQ(exitfd_kill(x, -getppid(), NSIG + 100), -EINVAL);
    exitfd_close(x);
}

TEST(kill, a_child_that_other_code_reaped_is_ESRCH)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(3);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    reap(pid);
    CHECK_EQ(exitfd_kill(x, pid, 0), -ESRCH);
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), -ESRCH);
    struct exitfd_event event = wait_event(x);
    CHECK_EQ(event.pid, pid);
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), -ENOENT);
    exitfd_close(x);
}

TEST(kill, an_observed_child_can_be_killed_until_its_owner_reaped_it)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, EXITFD_OBSERVE, x), 0);
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), 0);
    wait_until_zombie(pid);
    CHECK_EQ(exitfd_kill(x, pid, 0), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_PEEKED, x);
    CHECK_EQ(exitfd_kill(x, pid, 0), -ENOENT);
    reap(pid);
    exitfd_close(x);
}

TEST(kill, a_child_watched_in_two_places_can_be_killed_by_either)
{
    struct exitfd *x = open_exitfd(), *y = open_exitfd();
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    CHECK_EQ(exitfd_add(y, pid, EXITFD_OBSERVE, y), 0);
    CHECK_EQ(exitfd_kill(y, pid, SIGTERM), 0);
    struct exitfd_event event = wait_event(y);
    expect_event(&event, pid, CLD_KILLED, SIGTERM, EXITFD_PEEKED, y);
    event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGTERM, EXITFD_REAPED, x);
    exitfd_close(x);
    exitfd_close(y);
}

TEST(kill, what_the_kernel_forbids_is_eperm)
{
    const uid_t nobody = 65534;
    if (getuid() != 0)
        SKIP("not root: no process of another user can be made");
    struct exitfd *x = open_exitfd();
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(setresuid(nobody, nobody, 0), 0);
    int as_nobody = exitfd_kill(x, pid, SIGKILL);
    int asked_as_nobody = exitfd_kill(x, pid, 0);
    CHECK_EQ(setresuid(0, 0, 0), 0);
    CHECK_EQ(as_nobody, -EPERM);
    CHECK_EQ(asked_as_nobody, -EPERM);
    expect_quiet(x);
    exitfd_close(x);
    kill_and_reap(pid);
}
