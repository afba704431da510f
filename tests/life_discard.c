/* SPDX-License-Identifier: MIT */
/* exitfd_remove gives a child back un-reaped; exitfd_discard keeps reaping it
   and is silent about it. */
#include "life_support.h"

static pid_t watch_zombie(struct exitfd *x, unsigned flags, int status)
{
    pid_t pid = start_child_exit(status);
    CHECK_EQ(exitfd_add(x, pid, flags, x), 0);
    wait_until_zombie(pid);
    return pid;
}

TEST(remove, a_living_child_is_the_callers_again)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, 0);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    kill(pid, SIGTERM);
    wait_until_zombie(pid);
    expect_quiet(x);
    CHECK_EQ(WTERMSIG(reap(pid)), SIGTERM);
    exitfd_close(x);
}

TEST(remove, a_zombie_is_the_callers_again)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_zombie(x, 0, 6);
    wait_readable(exitfd_get_fd(x));
    CHECK_EQ(exitfd_remove(x, pid), 0);
    expect_quiet(x);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 6);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(remove, a_stopped_child_is_the_callers_again)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, EXITFD_STOPPED | EXITFD_CONTINUED);
    stop_child(pid);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    expect_quiet(x);
    continue_child(pid);
    expect_quiet(x);
    exitfd_close(x);
    kill_and_reap(pid);
}

TEST(remove, only_once)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, 0);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT);
    CHECK_EQ(exitfd_discard(x, pid), -ENOENT);
    exitfd_close(x);
    kill_and_reap(pid);
}

TEST(remove, it_can_be_added_again)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_zombie(x, 0, 4);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(exitfd_remove(x, pid), 0);
        CHECK_EQ(exitfd_add(x, pid, 0, &i), 0);
        CHECK_EQ(exitfd_add(x, pid, 0, NULL), -EEXIST);
    }
    struct exitfd_event event = wait_event(x);
    CHECK_EQ(event.status, 4);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(remove, of_one_child_leaves_the_others_watched)
{
    struct exitfd *x = open_exitfd();
    pid_t gone = watch_zombie(x, 0, 1), kept = watch_zombie(x, 0, 2);
    CHECK_EQ(exitfd_remove(x, gone), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, kept, 2, x);
    expect_quiet(x);
    reap(gone);
    exitfd_close(x);
}

TEST(remove, in_one_exitfd_leaves_the_observers_of_others)
{
    struct exitfd *x = open_exitfd(), *y = open_exitfd();
    pid_t pid = watch_paused(x, 0);
    CHECK_EQ(exitfd_add(y, pid, EXITFD_OBSERVE, y), 0);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    kill(pid, SIGTERM);
    struct exitfd_event event = wait_event(y);
    expect_event(&event, pid, CLD_KILLED, SIGTERM, EXITFD_PEEKED, y);
    expect_quiet(x);
    reap(pid);
    exitfd_close(x);
    exitfd_close(y);
}

TEST(remove, bad_pids_are_refused)
{
    struct exitfd *x = open_exitfd();
    CHECK_EQ(exitfd_remove(NULL, 1), -EINVAL);
    CHECK_EQ(exitfd_remove(x, 0), -EINVAL);
    CHECK_EQ(exitfd_remove(x, -2), -EINVAL);
    CHECK_EQ(exitfd_remove(x, getpid()), -ENOENT);
    exitfd_close(x);
}

static void wait_until_reaped(struct exitfd *x, pid_t pid)
{
    while (is_child(pid)) {
        wait_readable(exitfd_get_fd(x));
        expect_no_event(x);
    }
    expect_quiet(x);
}

TEST(discard, a_living_child_is_reaped_in_silence_when_it_exits)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, 0);
    CHECK_EQ(exitfd_discard(x, pid), 0);
    expect_quiet(x);
    kill(pid, SIGKILL);
    wait_until_reaped(x, pid);
    exitfd_close(x);
}

TEST(discard, its_exit_writes_to_no_event)
{
    struct exitfd *x = open_exitfd();
    struct exitfd_event events[4], before[4];
    memset(events, 0x5a, sizeof(events));
    memcpy(before, events, sizeof(events));
    for (int i = 0; i < 4; i++) {
        pid_t pid = watch_paused(x, 0);
        CHECK_EQ(exitfd_discard(x, pid), 0);
        kill(pid, SIGTERM);
        wait_until_zombie(pid);
    }
    CHECK_EQ(exitfd_wait(x, events, 4, 0), 0);
    CHECK_EQ(memcmp(events, before, sizeof(events)), 0);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(discard, a_zombie_is_reaped_at_once)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_zombie(x, 0, 3);
    CHECK_EQ(exitfd_discard(x, pid), 0);
    CHECK(!is_child(pid));
    CHECK_EQ(exitfd_kill(x, pid, 0), -ENOENT);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(discard, a_stopped_child_is_reaped_too)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, EXITFD_STOPPED | EXITFD_CONTINUED);
    stop_child(pid);
    CHECK_EQ(exitfd_discard(x, pid), 0);
    expect_quiet(x);
    continue_child(pid);
    expect_no_event(x);
    stop_child(pid);
    expect_no_event(x);
    kill(pid, SIGKILL);
    wait_until_reaped(x, pid);
    exitfd_close(x);
}

TEST(discard, an_observed_child_is_only_removed)
{
    struct exitfd *x = open_exitfd();
    pid_t alive = watch_paused(x, EXITFD_OBSERVE), dead = watch_zombie(x, EXITFD_OBSERVE, 8);
    CHECK_EQ(exitfd_discard(x, alive), 0);
    CHECK_EQ(exitfd_discard(x, dead), 0);
    CHECK_EQ(exitfd_remove(x, alive), -ENOENT);
    CHECK_EQ(exitfd_remove(x, dead), -ENOENT);
    kill(alive, SIGTERM);
    wait_until_zombie(alive);
    expect_quiet(x);
    CHECK_EQ(WTERMSIG(reap(alive)), SIGTERM);
    CHECK_EQ(WEXITSTATUS(reap(dead)), 8);
    exitfd_close(x);
}

TEST(discard, until_the_exit_it_can_be_killed_and_removed_by_name)
{
    struct exitfd *x = open_exitfd();
    pid_t killed = watch_paused(x, 0), removed = watch_paused(x, 0);
    CHECK_EQ(exitfd_discard(x, killed), 0);
    CHECK_EQ(exitfd_discard(x, removed), 0);
    CHECK_EQ(exitfd_remove(x, removed), 0);
    CHECK_EQ(exitfd_kill(x, removed, 0), -ENOENT);
    CHECK_EQ(exitfd_kill(x, killed, SIGKILL), 0);
    wait_until_reaped(x, killed);
    CHECK_EQ(exitfd_kill(x, killed, 0), -ENOENT);
    exitfd_close(x);
    kill_and_reap(removed);
}

TEST(discard, its_exit_does_not_end_a_blocked_wait)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t first = start_child(&gate, 0), then;
    CHECK_EQ(exitfd_add(x, first, 0, NULL), 0);
    CHECK_EQ(exitfd_discard(x, first), 0);
    let_through(&gate, 1);
    wait_until_zombie(first);
    then = start_child(&gate, 5);
    CHECK_EQ(exitfd_add(x, then, 0, x), 0);
    let_through(&gate, 1);
    struct exitfd_event event;
    int ret;
    while ((ret = exitfd_wait(x, &event, 1, -1)) == -EINTR)
        ;
    CHECK_EQ(ret, 1);
    expect_exited(&event, then, 5, x);
    wait_until_reaped(x, first);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(discard, it_reports_nothing_if_other_code_reaps)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, 0), last;
    CHECK_EQ(exitfd_discard(x, pid), 0);
    kill_and_reap(pid);
    expect_no_event(x);
    last = watch_zombie(x, 0, 2);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, last, 2, x);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(discard, after_the_close_the_child_is_the_callers_again)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, 0);
    CHECK_EQ(exitfd_discard(x, pid), 0);
    exitfd_close(x);
    kill_and_reap(pid);
}

TEST(discard, hundreds_go_between_those_that_are_reported)
{
    enum {
        PAIRS = 200
    };
    struct exitfd *x = open_exitfd();
    static struct exitfd_event events[PAIRS];
    struct gate gate = open_gate();
    for (int i = 0; i < PAIRS; i++) {
        pid_t discarded = start_child(&gate, 1);
        CHECK_EQ(exitfd_add(x, discarded, 0, NULL), 0);
        CHECK_EQ(exitfd_add(x, start_child(&gate, 2), 0, x), 0);
        CHECK_EQ(exitfd_discard(x, discarded), 0);
    }
    let_through(&gate, 2 * PAIRS);
    wait_events(x, events, PAIRS);
    for (int i = 0; i < PAIRS; i++)
        expect_exited(&events[i], events[i].pid, 2, x);
    while (have_children()) {
        wait_readable(exitfd_get_fd(x));
        expect_no_event(x);
    }
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(discard, bad_pids_are_refused)
{
    struct exitfd *x = open_exitfd();
    CHECK_EQ(exitfd_discard(NULL, 1), -EINVAL);
    CHECK_EQ(exitfd_discard(x, 0), -EINVAL);
    CHECK_EQ(exitfd_discard(x, -1), -EINVAL);
    CHECK_EQ(exitfd_discard(x, getpid()), -ENOENT);
    exitfd_close(x);
}
