/* SPDX-License-Identifier: MIT */
/* exitfd_add(x, -1, ...): every child that no exitfd watches by pid, for PID 1
   and sub-reapers. */
#include "life_support.h"

#include <stdatomic.h>

extern char **environ;

TEST(orphans, an_orphan_that_lands_on_us_is_reported_and_reaped)
{
    struct exitfd *x = open_catch_all();
    struct gate gate = open_gate();
    pid_t exits = start_orphan(&gate, 31), killed = start_orphan(NULL, -SIGKILL);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, killed, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    CHECK(!is_child(killed));
    expect_no_event(x);
    let_through(&gate, 1);
    event = wait_event(x);
    expect_exited(&event, exits, 31, x);
    CHECK(!is_child(exits));
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(orphans, a_child_of_plain_fork_is_reported_too)
{
    struct exitfd *x = open_catch_all();
    pid_t pid = start_child_exit(32);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 32, x);
    expect_quiet(x);
    exitfd_close(x);
}

/* SIGCHLD does not tell of them: the look at the add finds them here, the one
   of each second otherwise. */
TEST(orphans, those_with_another_exit_signal_are_reported)
{
    if (build_is_posix())
        SKIP("only Linux has such children");
    const int exit_signals[] = { 0, SIGCONT };
    struct exitfd *x = open_exitfd();
    for (int i = 0; i < 2; i++) {
        pid_t pid = start_child_signalling(exit_signals[i], NULL, 35);
        siginfo_t info;
        CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | __WALL), 0);
        CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, 35, x);
        CHECK_EQ(waitpid(pid, NULL, __WALL | WNOHANG), -1, "it was not reaped");
        expect_quiet(x);
        CHECK_EQ(exitfd_remove(x, -1), 0);
    }
    exitfd_close(x);
}

TEST(orphans, those_that_were_zombies_before_the_add_are_reported)
{
    enum {
        ZOMBIES = 5
    };
    become_subreaper();
    struct exitfd *x = open_exitfd();
    struct exitfd_event events[ZOMBIES];
    for (int i = 0; i < ZOMBIES; i++)
        wait_until_zombie(i % 2 != 0 ? start_orphan(NULL, 33) : start_child_exit(33));
    expect_quiet(x);
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    wait_events(x, events, ZOMBIES);
    for (int i = 0; i < ZOMBIES; i++)
        expect_exited(&events[i], events[i].pid, 33, x);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(orphans, a_watched_child_is_never_reported_by_this_watch)
{
    struct exitfd *x = open_catch_all(), *y = open_exitfd();
    int here, there, seen;
    pid_t watched_here = start_child_exit(1);
    CHECK_EQ(exitfd_add(x, watched_here, 0, &here), 0);
    pid_t watched_there = start_child_exit(2);
    CHECK_EQ(exitfd_add(y, watched_there, 0, &there), 0);
    pid_t observed_there = start_child_exit(3);
    CHECK_EQ(exitfd_add(y, observed_there, EXITFD_OBSERVE, &seen), 0);
    wait_until_zombie(watched_here);
    wait_until_zombie(watched_there);
    wait_until_zombie(observed_there);

    struct exitfd_event event = wait_event(x), events[2];
    expect_exited(&event, watched_here, 1, &here);
    expect_quiet(x);
    wait_events(y, events, 2);
    for (int i = 0; i < 2; i++)
        if (events[i].data == &there)
            expect_exited(&events[i], watched_there, 2, &there);
        else
            expect_event(&events[i], observed_there, CLD_EXITED, 3, EXITFD_PEEKED, &seen);
    exitfd_close(y);
    event = wait_event(x);
    expect_exited(&event, observed_there, 3, x);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(orphans, a_discarded_child_is_not_reported)
{
    struct exitfd *x = open_catch_all();
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(exitfd_discard(x, pid), 0);
    kill(pid, SIGKILL);
    while (is_child(pid)) {
        wait_readable(exitfd_get_fd(x));
        expect_no_event(x);
    }
    expect_quiet(x);
    exitfd_close(x);
}

TEST(orphans, a_removed_child_is_for_the_catch_all_watch_again)
{
    struct exitfd *x = open_catch_all(), *y = open_exitfd();
    pid_t pid = start_child_exit(34);
    CHECK_EQ(exitfd_add(y, pid, 0, y), 0);
    wait_until_zombie(pid);
    expect_quiet(x);
    CHECK_EQ(exitfd_remove(y, pid), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 34, x);
    expect_quiet(y);
    exitfd_close(y);
    exitfd_close(x);
}

static void skip_where_children_cannot_be_listed(void)
{
    if (build_is_posix())
        SKIP("no list of children in this build: behind a zombie nothing is seen");
}

TEST(orphans, one_behind_a_zombie_that_another_exitfd_watches_is_found)
{
    skip_where_children_cannot_be_listed();
    struct exitfd *x = open_catch_all(), *y = open_exitfd();
    pid_t in_front = start_child_exit(1);
    CHECK_EQ(exitfd_add(y, in_front, 0, y), 0);
    wait_until_zombie(in_front);
    pid_t orphan = start_orphan(NULL, 35);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, orphan, 35, x);
    expect_quiet(x);
    event = wait_event(y);
    expect_exited(&event, in_front, 1, y);
    exitfd_close(y);
    exitfd_close(x);
}

TEST(orphans, one_behind_a_zombie_is_found_once_that_is_gone)
{
    struct exitfd *x = open_catch_all(), *y = open_exitfd();
    pid_t in_front = start_child_exit(1);
    CHECK_EQ(exitfd_add(y, in_front, 0, y), 0);
    wait_until_zombie(in_front);
    pid_t orphan = start_orphan(NULL, 35);
    wait_until_zombie(orphan);
    struct exitfd_event event;
    int early = exitfd_wait(x, &event, 1, 0);
    struct exitfd_event taken = wait_event(y);
    expect_exited(&taken, in_front, 1, y);
    if (early == 0)
        event = wait_event(x);
    expect_exited(&event, orphan, 35, x);
    expect_quiet_soon(x);
    exitfd_close(y);
    exitfd_close(x);
}

TEST(orphans, those_behind_an_observed_zombie_are_found_and_nothing_spins)
{
    skip_where_children_cannot_be_listed();
    struct exitfd *x = open_catch_all(), *y = open_exitfd();
    struct exitfd_event event;
    int seen;
    pid_t in_front = start_child_exit(2);
    CHECK_EQ(exitfd_add(y, in_front, EXITFD_OBSERVE, &seen), 0);
    wait_until_zombie(in_front);
    for (int i = 0; i < 10; i++) {
        pid_t orphan = start_orphan(NULL, 36);
        event = wait_event(x);
        expect_exited(&event, orphan, 36, x);
        expect_quiet(x);
    }
    event = wait_event(y);
    expect_event(&event, in_front, CLD_EXITED, 2, EXITFD_PEEKED, &seen);
    exitfd_close(y);
    event = wait_event(x);
    expect_exited(&event, in_front, 2, x);
    exitfd_close(x);
}

TEST(orphans, there_is_one_holder_per_process)
{
    struct exitfd *x = open_catch_all(), *y = open_exitfd();
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), -EBUSY);
    CHECK_EQ(exitfd_add(y, -1, 0, NULL), -EBUSY);
    CHECK_EQ(exitfd_remove(y, -1), -ENOENT);
    CHECK_EQ(exitfd_remove(x, -1), 0);
    CHECK_EQ(exitfd_remove(x, -1), -ENOENT);
    CHECK_EQ(exitfd_add(y, -1, 0, y), 0);
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), -EBUSY);
    exitfd_close(y);
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    pid_t orphan = start_orphan(NULL, 37);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, orphan, 37, x);
    exitfd_close(x);
}

TEST(orphans, after_the_watch_was_given_up_they_are_the_callers)
{
    struct exitfd *x = open_catch_all();
    pid_t orphan = start_orphan(NULL, 38);
    wait_until_zombie(orphan);
    CHECK_EQ(exitfd_remove(x, -1), 0);
    if (tracks_by_pidfd())
        CHECK(exitfd_is_default_handler(), "the handler stays, though nobody needs it");
    expect_quiet(x);
    CHECK_EQ(WEXITSTATUS(reap(orphan)), 38);
    exitfd_close(x);
}

TEST(orphans, after_the_close_they_are_the_callers)
{
    struct exitfd *x = open_catch_all();
    pid_t orphan = start_orphan(NULL, 39);
    wait_until_zombie(orphan);
    exitfd_close(x);
    CHECK_EQ(WEXITSTATUS(reap(orphan)), 39);
}

TEST(orphans, their_stops_are_not_reported)
{
    struct exitfd *x = open_catch_all();
    pid_t pid = start_paused();
    stop_child(pid);
    expect_no_event(x);
    continue_child(pid);
    expect_no_event(x);
    kill(pid, SIGKILL);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    exitfd_close(x);
}

TEST(orphans, with_sigchld_blocked_in_every_thread_they_are_still_found)
{
    block_sigchld();
    struct exitfd *x = open_catch_all();
    pid_t orphan = start_orphan(NULL, 40);
    struct exitfd_event event = call_until_event(x);
    expect_exited(&event, orphan, 40, x);
    exitfd_close(x);
}

TEST(orphans, flags_are_refused)
{
    struct exitfd *x = open_exitfd();
    CHECK_EQ(exitfd_add(x, -1, EXITFD_OBSERVE, NULL), -EINVAL);
    CHECK_EQ(exitfd_add(x, -1, EXITFD_STOPPED, NULL), -EINVAL);
    CHECK_EQ(exitfd_add(x, -1, EXITFD_CONTINUED, NULL), -EINVAL);
    CHECK_EQ(exitfd_remove(x, -1), -ENOENT);
    exitfd_close(x);
}

TEST(orphans, without_signals_it_is_not_to_be_had)
{
    struct exitfd *x = NULL;
    int ret = exitfd_open(&x, EXITFD_NO_SIGNALS);
    if (ret == -ENOTSUP && backend_is("self-pipe"))
        SKIP("EXITFD_NO_SIGNALS: self-pipe cannot do without");
    CHECK_EQ(ret, 0);
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), -ENOTSUP);
    CHECK_EQ(exitfd_remove(x, -1), -ENOENT);
    exitfd_close(x);
    struct exitfd *y = open_exitfd();
    CHECK_EQ(exitfd_add(y, -1, 0, NULL), 0);
    exitfd_close(y);
}

TEST(orphans, five_hundred_at_once_are_all_found)
{
    enum {
        ORPHANS = 500
    };
    static struct exitfd_event events[ORPHANS];
    struct exitfd *x = open_catch_all();
    struct gate gate = open_gate();
    for (int i = 0; i < ORPHANS; i++)
        start_orphan(&gate, 41);
    let_through(&gate, ORPHANS);
    wait_events(x, events, ORPHANS);
    for (int i = 0; i < ORPHANS; i++)
        expect_exited(&events[i], events[i].pid, 41, x);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* What the thread that takes the orphans got, while the test spawns and
   forks. */
struct taker {
    struct exitfd *x;
    atomic_bool stop;
    int orphans, own;
};

static void *take_all(void *argument)
{
    struct taker *taker = argument;
    struct exitfd_event events[8];
    while (!atomic_load(&taker->stop)) {
        int n = exitfd_wait(taker->x, events, 8, 10);
        for (int i = 0; i < n; i++)
            if (events[i].data == taker)
                taker->orphans++;
            else
                taker->own++;
    }
    return NULL;
}

static void skip_where_one_thread_owns_it(void)
{
    if (backend_is("io_uring"))
        SKIP("an io_uring exitfd belongs to the thread that opened it");
}

static pid_t start_watched(struct exitfd *x, int i, void *data)
{
    if (i % 2 == 0) {
        char *argv[] = { "true", NULL };
        pid_t pid = -1;
        CHECK_EQ(exitfd_spawn(x, &pid, "true", NULL, NULL, argv, environ, 0, data), 0);
        return pid;
    }
    pid_t pid = exitfd_fork(x, 0, data);
    if (pid == 0)
        _exit(0);
    CHECK(pid > 0, "exitfd_fork: %s", strerror(-pid));
    return pid;
}

TEST(orphans, no_spawn_or_fork_in_one_thread_is_taken_for_an_orphan_in_another)
{
    enum {
        CHILDREN = 300
    };
    skip_where_one_thread_owns_it();
    struct exitfd *x = open_exitfd(), *y = open_exitfd();
    struct taker taker = { .x = x };
    CHECK_EQ(exitfd_add(x, -1, 0, &taker), 0);
    struct helper helper = start_helper(take_all, &taker);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t pid = start_watched(y, i, y);
        struct exitfd_event event = wait_event(y);
        expect_exited(&event, pid, 0, y);
    }
    expect_quiet(y);
    atomic_store(&taker.stop, true);
    join_helper(&helper);
    CHECK_EQ(taker.orphans, 0, "%d children were taken for orphans", taker.orphans);
    exitfd_close(y);
    exitfd_close(x);
}

TEST(orphans, nor_where_both_are_behind_the_same_exitfd)
{
    enum {
        CHILDREN = 300
    };
    skip_where_one_thread_owns_it();
    struct exitfd *x = open_exitfd();
    struct taker taker = { .x = x };
    CHECK_EQ(exitfd_add(x, -1, 0, &taker), 0);
    struct helper helper = start_helper(take_all, &taker);
    for (int i = 0; i < CHILDREN; i++)
        start_watched(x, i, NULL);
    long long end = now_ms() + DEADLINE_MS;
    while (waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED | WNOHANG | WNOWAIT) == 0)
        CHECK(now_ms() < end, "children are left");
    atomic_store(&taker.stop, true);
    join_helper(&helper);
    CHECK_EQ(taker.orphans, 0, "%d children were taken for orphans", taker.orphans);
    CHECK_EQ(taker.own, CHILDREN);
    exitfd_close(x);
}
