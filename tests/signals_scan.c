/* SPDX-License-Identifier: MIT */
/* How many wait calls an exit costs. They are counted by standing in for the C
   library's. */
#include "signals.h"
#include "stand_in.h"
#include "support.h"

#include <string.h>
#include <sys/syscall.h>

#define LIVE_CHILDREN 300
#define EXITS 100
#define MOST_CALLS_PER_EXIT 4

static int wait_calls;

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    FIND_NEXT(waitid);
    wait_calls++;
    return next(type, id, info, options);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    FIND_NEXT(waitpid);
    wait_calls++;
    return next(pid, status, options);
}

pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    FIND_NEXT(wait4);
    wait_calls++;
    return next(pid, status, options, usage);
}

STAND_IN_FOR_SYSCALL(count)

static long count(long number, const long a[6])
{
    wait_calls += number == SYS_waitid || number == SYS_wait4;
    return next_syscall(number, a);
}

static pid_t children[LIVE_CHILDREN];
static struct gate gate;

static void start_watching(struct exitfd *x)
{
    raise_fd_limit();
    gate = open_gate();
    for (int i = 0; i < LIVE_CHILDREN; i++) {
        children[i] = start_light_child(&gate, 0);
        CHECK_EQ(exitfd_add(x, children[i], 0, &children[i]), 0);
    }
    expect_quiet(x);
}

static struct exitfd *watch_many(void)
{
    struct exitfd *x = open_exitfd();
    expect_report(x); /* has page faults for certain, and a light child, when it is the first to be reaped, may not */
    start_watching(x);
    return x;
}

static void finish(struct exitfd *x)
{
    exitfd_close(x);
    for (int i = 0; i < LIVE_CHILDREN; i++) {
        if (children[i] > 0) {
            kill(children[i], SIGKILL);
            reap(children[i]);
        }
    }
    close_gate(&gate);
}

/* As a loop does: sleep until the fd is readable, take what there is, and again
   until it is quiet. */
static void take_events(struct exitfd *x, int wanted)
{
    struct exitfd_event events[16];
    int fd = exitfd_get_fd(x);
    for (int got = 0; got < wanted || is_readable(fd);) {
        wait_readable(fd);
        int ret = exitfd_wait(x, events, 16, 0);
        CHECK(ret >= 0, "exitfd_wait: %s", strerror(-ret));
        for (int i = 0; i < ret; i++) {
            pid_t *child = events[i].data;
            CHECK_EQ(events[i].pid, *child);
            CHECK_EQ(events[i].origin, EXITFD_REAPED);
            *child = 0;
        }
        got += ret;
        CHECK(got <= wanted);
    }
}

static void report_cost(const struct exitfd *x, const char *what, int exits, int total, int most)
{
    diagnose("scan, %s: %d exits among %d live children, %s: %d wait calls, %.2f per exit, at most %d",
             exitfd_get_backend(x), exits, LIVE_CHILDREN, what, total, (double)total / exits, most);
}

/* Kills children all over the list, one after the other, and returns the most
   wait calls that one of them cost. */
static int kill_one_at_a_time(struct exitfd *x, const char *what)
{
    int total = 0, most = 0;
    for (int i = 0; i < EXITS; i++) {
        int child = i * 7919 % LIVE_CHILDREN;
        wait_calls = 0;
        CHECK_EQ(kill(children[child], SIGKILL), 0);
        take_events(x, 1);
        CHECK_EQ(children[child], 0);
        total += wait_calls;
        most = wait_calls > most ? wait_calls : most;
    }
    report_cost(x, what, EXITS, total, most);
    return most;
}

static void expect_idle_is_free(struct exitfd *x)
{
    wait_calls = 0;
    for (int i = 0; i < 10; i++)
        expect_quiet(x);
    CHECK(wait_calls <= 10 * MOST_CALLS_PER_EXIT, "%d wait calls in 10 exitfd_wait with nothing to do", wait_calls);
}

TEST(scan, one_exit_among_many_costs_a_handful_of_calls)
{
    struct exitfd *x = watch_many();
    int most = kill_one_at_a_time(x, "one at a time");
    CHECK(most <= MOST_CALLS_PER_EXIT);
    expect_idle_is_free(x);
    finish(x);
}

static void expect_first_exits_cost_a_handful(struct exitfd *x, const char *what)
{
    start_watching(x);
    CHECK(kill_one_at_a_time(x, what) <= MOST_CALLS_PER_EXIT);
    finish(x);
}

TEST(scan, what_other_code_reaped_before_the_open_costs_nothing)
{
    CHECK_EQ(WEXITSTATUS(reap(start_child_exit(79))), 79);
    expect_first_exits_cost_a_handful(open_exitfd(), "after a foreign reap");
}

/* More of them than the library keeps a list of. */
TEST(scan, what_another_exitfd_reaped_before_the_open_costs_nothing)
{
    struct exitfd *before = open_exitfd();
    for (int i = 0; i < LIVE_CHILDREN; i++)
        expect_report(before);
    exitfd_close(before);
    expect_first_exits_cost_a_handful(open_exitfd(), "after an earlier exitfd");
}

static void take_a_storm(struct exitfd *x, const char *what)
{
    let_through(&gate, LIVE_CHILDREN);
    for (int i = 0; i < LIVE_CHILDREN; i++)
        wait_until_zombie(children[i]);
    wait_calls = 0;
    take_events(x, LIVE_CHILDREN);
    report_cost(x, what, LIVE_CHILDREN, wait_calls, wait_calls);
    CHECK(wait_calls <= LIVE_CHILDREN * MOST_CALLS_PER_EXIT);
    expect_idle_is_free(x);
}

TEST(scan, a_storm_costs_a_handful_of_calls_for_each_exit)
{
    struct exitfd *x = watch_many();
    take_a_storm(x, "all at once");
    finish(x);
}

/* Older than the watched ones, so the kernel shows it first. */
static pid_t start_foreign_zombie(void)
{
    pid_t pid = start_child_exit(77);
    wait_until_zombie(pid);
    return pid;
}

TEST(scan, a_foreign_zombie_in_front_costs_a_scan_and_is_left_alone)
{
    pid_t zombie = start_foreign_zombie();
    struct exitfd *x = watch_many();
    int most = kill_one_at_a_time(x, "behind a foreign zombie");
    CHECK(most <= (backend_is("pidfd") ? MOST_CALLS_PER_EXIT : LIVE_CHILDREN + 2 * MOST_CALLS_PER_EXIT));
    expect_idle_is_free(x);
    CHECK(is_zombie(zombie), "reaped, though nobody watched it");
    finish(x);
    CHECK_EQ(WEXITSTATUS(reap(zombie)), 77);
}

TEST(scan, a_storm_behind_a_foreign_zombie_costs_no_more)
{
    pid_t zombie = start_foreign_zombie();
    struct exitfd *x = watch_many();
    take_a_storm(x, "all at once behind a foreign zombie");
    CHECK_EQ(WEXITSTATUS(reap(zombie)), 77);
    finish(x);
}

TEST(scan, the_exit_of_an_unwatched_child_is_no_event_and_no_spin)
{
    struct exitfd *x = watch_many();
    wait_calls = 0;
    pid_t foreign = start_child_exit(78);
    wait_until_zombie(foreign);
    take_events(x, 0);
    expect_idle_is_free(x);
    CHECK_EQ(WEXITSTATUS(reap(foreign)), 78);
    finish(x);
}
