/* SPDX-License-Identifier: MIT */
/* SIGCHLD is SIG_IGN or SA_NOCLDWAIT, so the kernel reaps the children:
   inherited, set later, and toggled. */
#include "truth_support.h"

/* Blocks until the kernel has reaped it. */
static void wait_until_gone(pid_t pid)
{
    CHECK_EQ(steal(pid), -1, "child %d left a status", (int)pid);
}

/* One child, gated, from the add to the event; the caller has seen to SIGCHLD,
   later() may change it after the add. */
static struct exitfd_event watch_one(struct exitfd *x, unsigned flags, int ending, void (*later)(void), pid_t *pid)
{
    struct gate gate = open_gate();
    *pid = start_child(&gate, ending);
    CHECK_EQ(exitfd_add(x, *pid, flags, x), 0);
    if (later != NULL)
        later();
    let_through(&gate, 1);
    int epipes = 0;
    struct exitfd_event event =
        later != NULL && backend_is("self-pipe") ? wait_event_by_calling(x, &epipes) : wait_event(x);
    CHECK(epipes <= 1, "-EPIPE %d times", epipes);
    close_gate(&gate);
    return event;
}

static void ignore(void)
{
    set_sigchld(SIG_IGN, 0);
}

static void want_no_zombies(void)
{
    struct sigaction action;
    CHECK_EQ(sigaction(SIGCHLD, NULL, &action), 0);
    action.sa_flags |= SA_NOCLDWAIT;
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
}

TEST(ignored, SIG_IGN_inherited)
{
    learn_what_is_recorded();
    set_sigchld(SIG_IGN, 0);
    struct exitfd *x = open_exitfd();
    pid_t pid;
    struct exitfd_event event = watch_one(x, 0, 21, NULL, &pid);
    /* The self-pipe's handler takes the place of SIG_IGN while it is open. */
    if (backend_is("self-pipe"))
        expect_exited(&event, pid, 21, x);
    else
        expect_stolen(&event, pid, CLD_EXITED, 21, x);
    expect_no_event(x);
    exitfd_close(x);
    struct sigaction action;
    sigaction(SIGCHLD, NULL, &action);
    CHECK_EQ(action.sa_handler, SIG_IGN);
}

TEST(ignored, SIG_IGN_set_after_the_add)
{
    struct exitfd *x = open_for_truth();
    pid_t pid;
    struct exitfd_event event = watch_one(x, 0, 22, ignore, &pid);
    expect_stolen(&event, pid, CLD_EXITED, 22, x);
    expect_no_event(x);
    exitfd_close(x);
}

TEST(ignored, SIG_IGN_and_a_child_that_a_signal_killed)
{
    struct exitfd *x = open_for_truth();
    pid_t pid;
    struct exitfd_event event = watch_one(x, 0, -SIGKILL, ignore, &pid);
    expect_stolen(&event, pid, CLD_KILLED, SIGKILL, x);
    exitfd_close(x);
}

TEST(ignored, SA_NOCLDWAIT_inherited_with_a_handler)
{
    learn_what_is_recorded();
    set_sigchld(host_handler, SA_NOCLDWAIT | SA_RESTART);
    struct exitfd *x = open_exitfd();
    pid_t pid;
    struct exitfd_event event = watch_one(x, 0, 23, NULL, &pid);
    expect_stolen(&event, pid, CLD_EXITED, 23, x);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(ignored, SA_NOCLDWAIT_set_after_the_add)
{
    struct exitfd *x = open_for_truth();
    pid_t pid;
    struct exitfd_event event = watch_one(x, 0, 24, want_no_zombies, &pid);
    expect_stolen(&event, pid, CLD_EXITED, 24, x);
    expect_no_event(x);
    exitfd_close(x);
}

TEST(ignored, an_observer_gets_its_event_too)
{
    struct exitfd *x = open_for_truth();
    pid_t pid;
    struct exitfd_event event = watch_one(x, EXITFD_OBSERVE, 25, ignore, &pid);
    expect_stolen(&event, pid, CLD_EXITED, 25, x);
    expect_no_event(x);
    exitfd_close(x);
}

/* The first dies before SIG_IGN, the second under it, the third after it; a
   fourth lives all the while. */
static void toggled(bool look_meanwhile)
{
    struct exitfd *x = open_for_truth();
    struct gate gates[4];
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        gates[i] = open_gate();
        pids[i] = start_child(&gates[i], 30 + i);
        CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
    }
    let_through(&gates[0], 1);
    wait_until_zombie(pids[0]);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pids[0], 30, &pids[0]);

    struct sigaction found;
    sigaction(SIGCHLD, NULL, &found);
    set_sigchld(SIG_IGN, 0);
    let_through(&gates[1], 1);
    wait_until_gone(pids[1]);
    int epipes = 0;
    if (look_meanwhile)
        event = wait_event_by_calling(x, &epipes);
    sigaction(SIGCHLD, &found, NULL);
    if (!look_meanwhile)
        event = wait_event_by_calling(x, &epipes);
    expect_stolen(&event, pids[1], CLD_EXITED, 31, &pids[1]);

    let_through(&gates[2], 1);
    event = wait_event_by_calling(x, &epipes);
    expect_exited(&event, pids[2], 32, &pids[2]);
    let_through(&gates[3], 1);
    event = wait_event_by_calling(x, &epipes);
    expect_exited(&event, pids[3], 33, &pids[3]);
    expect_no_event(x);
    CHECK(epipes <= (backend_is("self-pipe") ? 1 : 0), "-EPIPE %d times", epipes);
    for (int i = 0; i < 4; i++)
        close_gate(&gates[i]);
    exitfd_close(x);
}

TEST(ignored, toggled_and_looked_at_meanwhile)
{
    toggled(true);
}

TEST(ignored, toggled_back_before_any_call)
{
    toggled(false);
}

/* One of many that live on. reported: SIGCHLD comes for it, so one call is
   enough. */
static void one_of_many(void (*meanwhile)(void), void (*afterwards)(void), bool reported)
{
    enum {
        SIBLINGS = 30
    };
    struct exitfd *x = open_for_truth();
    struct gate siblings_gate = open_gate(), gate = open_gate();
    for (int i = 0; i < SIBLINGS; i++)
        CHECK_EQ(exitfd_add(x, start_child(&siblings_gate, 40), 0, NULL), 0);
    pid_t pid = start_child(&gate, 41);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    expect_no_event(x);
    meanwhile();
    let_through(&gate, 1);
    wait_until_gone(pid);
    afterwards();
    int epipes = 0;
    struct exitfd_event event;
    if (reported) {
        wait_readable(exitfd_get_fd(x));
        CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
    } else {
        event = wait_event_by_calling(x, &epipes);
    }
    expect_stolen(&event, pid, CLD_EXITED, 41, x);
    let_through(&siblings_gate, SIBLINGS);
    for (int i = 0; i < SIBLINGS; i++) {
        event = wait_event_by_calling(x, &epipes);
        CHECK(event.data == NULL);
    }
    expect_no_event(x);
    close_gate(&siblings_gate);
    close_gate(&gate);
    exitfd_close(x);
}

static struct sigaction found_before;

static void ignore_for_a_moment(void)
{
    sigaction(SIGCHLD, NULL, &found_before);
    ignore();
}

static void put_back(void)
{
    sigaction(SIGCHLD, &found_before, NULL);
}

static void leave(void)
{
}

TEST(ignored, SIG_IGN_one_of_many_that_live_on)
{
    one_of_many(ignore, leave, false);
}

TEST(ignored, SA_NOCLDWAIT_one_of_many_that_live_on)
{
    one_of_many(want_no_zombies, leave, true);
}

/* No sign of it ever comes again. */
TEST(ignored, toggled_back_with_many_siblings_alive)
{
    one_of_many(ignore_for_a_moment, put_back, false);
}

/* A zombie from before SIG_IGN stays one: its status is still to be had. */
TEST(ignored, a_zombie_from_before_keeps_its_status)
{
    struct exitfd *x = open_for_truth();
    pid_t pid = start_child_exit(26);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    wait_until_zombie(pid);
    set_sigchld(SIG_IGN, 0);
    int epipes = 0;
    struct exitfd_event event = wait_event_by_calling(x, &epipes);
    expect_exited(&event, pid, 26, x);
    exitfd_close(x);
}

TEST(ignored, many_at_once)
{
    enum {
        COUNT = 300
    };
    static pid_t pids[COUNT];
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    for (int i = 0; i < COUNT; i++) {
        pids[i] = start_child(&gate, i % 256);
        CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
    }
    set_sigchld(SIG_IGN, 0);
    let_through(&gate, COUNT);
    int epipes = 0;
    bool seen[COUNT] = { false };
    for (int n = 0; n < COUNT; n++) {
        struct exitfd_event event = wait_event_by_calling(x, &epipes);
        ptrdiff_t i = (pid_t *)event.data - pids;
        CHECK(!seen[i], "two events of child %td", i);
        seen[i] = true;
        expect_stolen(&event, pids[i], CLD_EXITED, (int)(i % 256), &pids[i]);
    }
    expect_no_event(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* Blocked in exitfd_wait, not polling, while the children go unsignalled. */
TEST(ignored, a_blocked_wait_is_no_hang)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 27);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    set_sigchld(SIG_IGN, 0);
    let_through(&gate, 1);
    struct exitfd_event event;
    int ret = wait_blocked(x, &event);
    if (ret == -EPIPE && backend_is("self-pipe"))
        ret = wait_blocked(x, &event);
    CHECK_EQ(ret, 1, "exitfd_wait: %d", ret);
    expect_stolen(&event, pid, CLD_EXITED, 27, x);
    close_gate(&gate);
    exitfd_close(x);
}
