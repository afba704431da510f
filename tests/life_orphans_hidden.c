/* SPDX-License-Identifier: MIT */
/* What can hide an orphan from the catch-all watch for a while, and must not do
   so for ever. */
#include "life_support.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* The SIGCHLD of the orphan comes first, and the exits after it leave no room
   in the array. */
TEST(orphans_hidden, by_events_that_fill_the_array)
{
    enum {
        WATCHED = 2
    };
    struct exitfd *x = open_catch_all();
    struct exitfd_event events[WATCHED + 1];
    struct gate gate = open_gate();
    pid_t watched[WATCHED];
    int orphans = 0;
    for (int i = 0; i < WATCHED; i++) {
        watched[i] = start_child(&gate, 3);
        CHECK_EQ(exitfd_add(x, watched[i], 0, watched), 0);
    }
    expect_no_event(x);
    pid_t orphan = start_orphan(NULL, 46);
    wait_until_zombie(orphan);
    wait_readable(exitfd_get_fd(x));
    let_through(&gate, WATCHED);
    for (int i = 0; i < WATCHED; i++)
        wait_until_zombie(watched[i]);
    for (int got = 0; got < WATCHED + 1;) {
        wait_readable(exitfd_get_fd(x));
        int n = exitfd_wait(x, events + got, got == 0 ? WATCHED : 1, 0);
        CHECK(n >= 0, "exitfd_wait: %s", strerror(-n));
        got += n;
    }
    for (int i = 0; i < WATCHED + 1; i++)
        if (events[i].data == x) {
            expect_exited(&events[i], orphan, 46, x);
            orphans++;
        } else {
            expect_exited(&events[i], events[i].pid, 3, watched);
        }
    CHECK_EQ(orphans, 1);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* y reaps it without a word, so no event and no SIGCHLD tells x that it no
   longer stands in front. */
TEST(orphans_hidden, by_a_zombie_that_another_exitfd_discards)
{
    struct exitfd *x = open_catch_all(), *y = open_exitfd();
    struct gate gate = open_gate();
    pid_t in_front = start_child(&gate, 1);
    CHECK_EQ(exitfd_add(y, in_front, 0, NULL), 0);
    CHECK_EQ(exitfd_discard(y, in_front), 0);
    let_through(&gate, 1);
    wait_until_zombie(in_front);
    pid_t orphan = start_orphan(NULL, 47);
    wait_until_zombie(orphan);
    struct exitfd_event event;
    int early = exitfd_wait(x, &event, 1, 0);
    for (long long end = now_ms() + DEADLINE_MS; is_child(in_front);) {
        CHECK(now_ms() < end, "the zombie in front is never taken");
        wait_readable(exitfd_get_fd(y));
        expect_no_event(y);
    }
    if (early == 0)
        event = wait_event(x);
    expect_exited(&event, orphan, 47, x);
    expect_quiet_soon(x);
    close_gate(&gate);
    exitfd_close(y);
    exitfd_close(x);
}

/* No event of y's and no SIGCHLD tells x that it is for the catch-all watch
   from now on. */
TEST(orphans_hidden, by_the_watch_of_another_exitfd_until_that_is_closed)
{
    struct exitfd *x = open_catch_all(), *y = open_exitfd();
    pid_t pid = start_child_exit(50);
    CHECK_EQ(exitfd_add(y, pid, 0, y), 0);
    wait_until_zombie(pid);
    wait_readable(exitfd_get_fd(x));
    expect_quiet_soon(x);
    exitfd_close(y);
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 50, x);
    expect_quiet_soon(x);
    exitfd_close(x);
}

static void take_an_orphan_of_its_own(void)
{
    struct exitfd *x;
    struct exitfd_event event;
    alarm(120);
    CHECK(exitfd_open(&x, 0) == 0);
    CHECK(exitfd_add(x, -1, 0, x) == 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(51);
    int n;
    while ((n = exitfd_wait(x, &event, 1, DEADLINE_MS)) == -EINTR)
        ;
    CHECK(n == 1);
    CHECK(event.pid == pid && event.data == x && event.status == 51 && event.origin == EXITFD_REAPED);
    _exit(0);
}

/* It is a copy of a thread that was about to start a child. Until that start no
   orphan is reported. */
TEST(orphans_hidden, by_the_start_of_the_very_process_that_looks)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = exitfd_fork(x, 0, x);
    if (pid == 0)
        take_an_orphan_of_its_own();
    CHECK(pid > 0, "exitfd_fork: %s", strerror(-pid));
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, x);
    exitfd_close(x);
}

/* The stolen child's watch names the orphan's pid until its event is taken. */
static void orphan_with_the_pid_of_a_stolen_child(void)
{
    struct exitfd *x, *y;
    CHECK(exitfd_open(&x, 0) == 0 && exitfd_open(&y, 0) == 0);
    set_next_pid(1000);
    pid_t pid = fork();
    if (pid == 0)
        _exit(3);
    CHECK(exitfd_add(y, pid, 0, y) == 0);
    CHECK(waitpid(pid, NULL, 0) == pid);
    CHECK(exitfd_add(x, -1, 0, x) == 0);

    pid_t parent;
    int again;
    do {
        parent = exitfd_fork(x, 0, &parent);
        if (parent == 0) {
            set_next_pid(pid);
            pid_t orphan = fork();
            if (orphan == 0)
                _exit(48);
            _exit(orphan == pid);
        }
        struct exitfd_event event;
        do
            event = wait_event_blocked(x);
        while (event.data != &parent);
        again = event.status;
    } while (!again);
    CHECK(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
    CHECK(exitfd_wait(x, &(struct exitfd_event){ 0 }, 1, 0) == 0);
    struct exitfd_event event = wait_event_blocked(y);
    CHECK(event.pid == pid && event.data == y && event.origin != EXITFD_REAPED);
    event = wait_event_blocked(x);
    CHECK(event.pid == pid && event.data == x && event.origin == EXITFD_REAPED && event.status == 48);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

TEST(orphans_hidden, by_the_watch_of_a_stolen_child_with_its_pid)
{
    if (!tracks_by_pidfd())
        SKIP("no pidfd: a stolen child cannot be kept apart from a later child with its pid");
    run_as_pid_1(orphan_with_the_pid_of_a_stolen_child,
                 "unshare(CLONE_NEWPID) or writing to /proc/sys/kernel/ns_last_pid is not permitted here");
}

struct forker {
    struct gate forked, done;
    pid_t child;
};

static void *fork_and_stay(void *argument)
{
    struct forker *forker = argument;
    forker->child = fork();
    if (forker->child == 0)
        _exit(50);
    let_through(&forker->forked, 1);
    wait_behind(&forker->done);
    return NULL;
}

/* Each thread has its own list of children. */
TEST(orphans_hidden, by_a_zombie_where_another_thread_has_forked_it)
{
    struct exitfd *x = open_catch_all(), *y = open_exitfd();
    pid_t in_front = start_child_exit(1);
    CHECK_EQ(exitfd_add(y, in_front, 0, y), 0);
    wait_until_zombie(in_front);
    struct forker forker = { .forked = open_gate(), .done = open_gate() };
    struct helper helper = start_helper(fork_and_stay, &forker);
    wait_behind(&forker.forked);
    wait_until_zombie(forker.child);
    /* The posix build has no list of children. There it is reported once the
       zombie has been reaped. */
    struct exitfd *const order[] = { build_is_posix() ? y : x, build_is_posix() ? x : y };
    for (int i = 0; i < 2; i++) {
        struct exitfd_event event = wait_event(order[i]);
        expect_exited(&event, order[i] == x ? forker.child : in_front, order[i] == x ? 50 : 1, order[i]);
    }
    let_through(&forker.done, 1);
    join_helper(&helper);
    expect_quiet_soon(x);
    close_gate(&forker.forked);
    close_gate(&forker.done);
    exitfd_close(y);
    exitfd_close(x);
}

/* As in a kernel built without CONFIG_PROC_CHILDREN. */
static void hide_the_lists_of_children(void)
{
    if (unshare(CLONE_NEWNS) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        _exit(CHECK_SKIPPED);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("none", "/proc", "tmpfs", 0, NULL) < 0)
        _exit(CHECK_SKIPPED);
    CHECK(mkdir("/proc/self", 0755) == 0 && mkdir("/proc/self/task", 0755) == 0 &&
          mkdir("/proc/self/task/1", 0755) == 0);
}

static void orphan_behind_a_zombie_without_lists(void)
{
    struct exitfd *x, *y;
    hide_the_lists_of_children();
    CHECK(exitfd_open(&x, 0) == 0 && exitfd_open(&y, 0) == 0);
    CHECK(exitfd_add(x, -1, 0, x) == 0);
    pid_t in_front = exitfd_fork(y, 0, y);
    if (in_front == 0)
        _exit(1);
    CHECK(waitid(P_PID, (id_t)in_front, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
    pid_t other = fork();
    if (other == 0)
        _exit(49);
    CHECK(waitid(P_PID, (id_t)other, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
    struct exitfd_event event;
    CHECK(exitfd_wait(x, &event, 1, 0) == 0);
    event = wait_event_blocked(y);
    CHECK(event.pid == in_front && event.origin == EXITFD_REAPED);
    event = wait_event_blocked(x);
    CHECK(event.pid == other && event.status == 49 && event.data == x);
}

TEST(orphans_hidden, by_a_zombie_where_proc_lists_no_children)
{
    exitfd_close(open_exitfd());
    run_in_process(orphan_behind_a_zombie_without_lists,
                   "a mount namespace or a mount over /proc is not permitted here");
}

/* SIGCHLDs make it look again and again, while zombies that others watch are in
   its way. */
struct looker {
    atomic_bool stop;
    atomic_int failed;
};

static void *look_again_and_again(void *argument)
{
    struct looker *looker = argument;
    struct exitfd_event event;
    struct exitfd *x;
    if (exitfd_open(&x, 0) != 0 || exitfd_add(x, -1, 0, NULL) != 0)
        atomic_store(&looker->failed, 1);
    while (!atomic_load(&looker->stop) && !atomic_load(&looker->failed)) {
        kill(getpid(), SIGCHLD);
        int n = exitfd_wait(x, &event, 1, 0);
        if (n != 0)
            atomic_store(&looker->failed, n);
    }
    exitfd_close(x);
    return NULL;
}

/* What is left open is found at the end of every test. */
TEST(orphans_hidden, nothing_of_an_exitfd_that_closes_while_another_looks)
{
    enum {
        ZOMBIES = 300
    };
    int closes = backend_is("io_uring") ? 50 : 2000; /* each takes the kernel some milliseconds there */
    struct exitfd *y = open_exitfd();
    pid_t zombies[ZOMBIES], living = start_paused();
    for (int i = 0; i < ZOMBIES; i++) {
        zombies[i] = start_child_exit(0);
        CHECK_EQ(exitfd_add(y, zombies[i], EXITFD_OBSERVE, NULL), 0);
    }
    struct looker looker = { 0 };
    struct helper helper = start_helper(look_again_and_again, &looker);
    for (int i = 0; i < closes; i++) {
        struct exitfd *z = open_exitfd();
        CHECK_EQ(exitfd_add(z, living, EXITFD_OBSERVE, NULL), 0);
        exitfd_close(z);
    }
    atomic_store(&looker.stop, true);
    join_helper(&helper);
    exitfd_close(y);
    for (int i = 0; i < ZOMBIES; i++)
        reap(zombies[i]);
    kill_and_reap(living);
    CHECK_EQ(looker.failed, 0);
}
