/* SPDX-License-Identifier: MIT */
/* exitfd_remove and exitfd_close hand children back un-reaped. */
#include "support.h"

#include <errno.h>

TEST(remove, before_the_exit)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 7);
    add_child(x, pid, 0, NULL);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    let_through(&gate, 1);
    wait_until_zombie(pid);
    expect_quiet(x);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 7);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(remove, after_the_exit)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(7);
    add_child(x, pid, 0, NULL);
    wait_until_zombie(pid);
    wait_readable(exitfd_get_fd(x));
    CHECK_EQ(exitfd_remove(x, pid), 0);
    expect_quiet(x);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 7);
    exitfd_close(x);
}

TEST(remove, of_a_child_dead_before_the_add)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(7);
    wait_until_zombie(pid);
    add_child(x, pid, 0, NULL);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    expect_quiet(x);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 7);
    exitfd_close(x);
}

TEST(remove, leaves_the_others_watched)
{
    enum {
        children = 9
    };
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pids[children];
    for (int i = 0; i < children; i++) {
        pids[i] = start_child(&gate, i);
        add_child(x, pids[i], 0, &pids[i]);
    }
    for (int i = 0; i < children; i += 2)
        CHECK_EQ(exitfd_remove(x, pids[i]), 0);
    let_through(&gate, children);
    struct exitfd_event events[children / 2];
    wait_events(x, events, children / 2);
    for (int i = 0; i < children / 2; i++) {
        pid_t *pid = events[i].data;
        CHECK_EQ((pid - pids) % 2, 1, "a removed child was reported");
        expect_exited(&events[i], *pid, (int)(pid - pids), pid);
    }
    for (int i = 0; i < children; i += 2)
        CHECK_EQ(WEXITSTATUS(reap(pids[i])), i);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(remove, then_add_again_alive_and_dead)
{
    int first, second;
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 3);
    add_child(x, pid, 0, &first);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    add_child(x, pid, 0, &first);
    let_through(&gate, 1);
    wait_readable(exitfd_get_fd(x));
    CHECK_EQ(exitfd_remove(x, pid), 0);
    add_child(x, pid, 0, &second);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 3, &second);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(remove, after_the_event_says_enoent)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(0);
    add_child(x, pid, 0, NULL);
    wait_event(x);
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT);
    exitfd_close(x);
}

TEST(remove, close_hands_everything_back)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t alive = start_child(&gate, 1);
    pid_t zombie = start_child_exit(2);
    wait_until_zombie(zombie);
    add_child(x, alive, 0, NULL);
    add_child(x, zombie, 0, NULL);
    CHECK(exitfd_close(x) == NULL);
    CHECK(is_zombie(zombie));
    CHECK(is_child(alive));
    let_through(&gate, 1);
    CHECK_EQ(WEXITSTATUS(reap(alive)), 1);
    CHECK_EQ(WEXITSTATUS(reap(zombie)), 2);
    close_gate(&gate);
}

TEST(remove, another_exitfd_takes_over)
{
    struct exitfd *old = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 4);
    add_child(old, pid, 0, NULL);
    exitfd_close(old);
    struct exitfd *x = open_exitfd();
    add_child(x, pid, 0, NULL);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 4, NULL);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(remove, close_takes_null)
{
    CHECK(exitfd_close(NULL) == NULL);
}
