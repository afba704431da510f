/* SPDX-License-Identifier: MIT */
/* Children that change all the time do not hide what became of another one,
   however few events a call may return. */
#include "life_support.h"

enum {
    BUSY = 6,
    WATCHES = BUSY + 1,
    CALLS = 3 * WATCHES
};

static pid_t busy[BUSY];
static bool stopped;

static void watch_busy(struct exitfd *x)
{
    for (int i = 0; i < BUSY; i++) {
        busy[i] = start_paused();
        CHECK_EQ(exitfd_add(x, busy[i], EXITFD_STOPPED | EXITFD_CONTINUED, NULL), 0);
    }
}

static void kill_busy(struct exitfd *x)
{
    for (int i = 0; i < BUSY; i++) {
        CHECK_EQ(exitfd_remove(x, busy[i]), 0);
        kill_and_reap(busy[i]);
    }
}

/* All of them change before each call. How many calls until the event with this
   data, or CALLS. */
static int calls_until(struct exitfd *x, const void *data, int max)
{
    struct exitfd_event events[WATCHES];

    for (int call = 0; call < CALLS; call++) {
        for (int i = 0; i < BUSY; i++)
            (stopped ? continue_child : stop_child)(busy[i]);
        stopped = !stopped;
        int count = exitfd_wait(x, events, max, 0);
        CHECK(count >= 0);
        for (int i = 0; i < count; i++)
            if (events[i].data == data)
                return call;
    }
    return CALLS;
}

static void expect_exit_within_calls(int max)
{
    int data;
    struct exitfd *x = open_exitfd();

    watch_busy(x);
    pid_t other = start_paused();
    CHECK_EQ(exitfd_add(x, other, EXITFD_STOPPED, &data), 0);
    CHECK_EQ(calls_until(x, x, max), CALLS);
    kill(other, SIGKILL);
    wait_until_zombie(other);
    CHECK(calls_until(x, &data, max) < CALLS, "the exit is not reported");
    kill_busy(x);
    exitfd_close(x);
}

TEST(fairness, an_exit_is_reported_beside_busy_children_one_event_a_call)
{
    expect_exit_within_calls(1);
}

TEST(fairness, an_exit_is_reported_beside_busy_children_some_events_a_call)
{
    expect_exit_within_calls(BUSY - 2);
}

TEST(fairness, a_stop_is_reported_beside_busy_children)
{
    int data;
    struct exitfd *x = open_exitfd();

    watch_busy(x);
    pid_t other = start_paused();
    CHECK_EQ(exitfd_add(x, other, EXITFD_STOPPED, &data), 0);
    stop_child(other);
    CHECK(calls_until(x, &data, 1) < CALLS, "the stop is not reported");
    CHECK_EQ(exitfd_remove(x, other), 0);
    kill_and_reap(other);
    kill_busy(x);
    exitfd_close(x);
}

TEST(fairness, an_orphan_is_reported_beside_busy_children)
{
    int data;
    struct gate gate = open_gate();

    become_subreaper();
    struct exitfd *x = open_exitfd();
    watch_busy(x);
    CHECK_EQ(exitfd_add(x, -1, 0, &data), 0);
    pid_t orphan = start_orphan(&gate, 5);
    let_through(&gate, 1);
    wait_until_zombie(orphan);
    CHECK(calls_until(x, &data, 1) < CALLS, "the orphan is not reported");
    kill_busy(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* Each call may return one event, and has that of a new child. The event of the
   other one, which is due. */
static struct exitfd_event event_beside_restarts(struct exitfd *x, pid_t other)
{
    struct exitfd_event event = { .pid = 0 };

    for (int calls = 0; event.pid != other; calls++) {
        CHECK(calls < CALLS, "the event is not reported");
        pid_t again = start_child_exit(0);
        CHECK_EQ(exitfd_add(x, again, 0, NULL), 0);
        wait_until_zombie(again);
        CHECK_EQ(exitfd_wait(x, &event, 1, -1), 1);
    }
    return event;
}

static void collect_rest(struct exitfd *x)
{
    struct exitfd_event rest[CALLS];

    wait_events(x, rest, exitfd_count(x));
    exitfd_close(x);
}

/* On signalfd the signal names a child, which is the new one each time. */
TEST(fairness, an_exit_is_reported_beside_a_child_that_is_started_again_and_again)
{
    struct exitfd *x = open_exitfd();
    pid_t first = start_child_exit(0), other = start_child_exit(0);

    CHECK_EQ(exitfd_add(x, first, 0, NULL), 0);
    CHECK_EQ(exitfd_add(x, other, 0, NULL), 0);
    wait_until_zombie(first);
    wait_until_zombie(other);
    event_beside_restarts(x, other);
    collect_rest(x);
}

TEST(fairness, a_stop_is_reported_beside_a_child_that_is_started_again_and_again)
{
    struct exitfd *x = open_exitfd();
    pid_t other = start_paused();

    CHECK_EQ(exitfd_add(x, other, EXITFD_STOPPED, NULL), 0);
    stop_child(other);
    struct exitfd_event event = event_beside_restarts(x, other);
    CHECK_EQ(event.code, CLD_STOPPED);
    CHECK_EQ(exitfd_remove(x, other), 0);
    kill_and_reap(other);
    collect_rest(x);
}

/* On pidfd only the new one is without. */
TEST(fairness, an_exit_is_reported_beside_a_child_without_a_pidfd_that_is_started_again_and_again)
{
    struct exitfd *x = open_exitfd();
    pid_t other = start_child_exit(0);

    CHECK_EQ(exitfd_add(x, other, 0, NULL), 0);
    wait_until_zombie(other);
    const struct rlimit before = forbid_new_fds();
    event_beside_restarts(x, other);
    allow_new_fds(&before);
    collect_rest(x);
}

/* Without pidfds only a look at each child shows it. */
TEST(fairness, a_stolen_child_is_reported_beside_one_that_is_started_again_and_again)
{
    struct exitfd *x = open_exitfd();
    pid_t other = start_child_exit(0);

    CHECK_EQ(exitfd_add(x, other, 0, NULL), 0);
    reap(other);
    event_beside_restarts(x, other);
    collect_rest(x);
}
