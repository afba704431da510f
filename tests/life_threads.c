/* SPDX-License-Identifier: MIT */
/* Any thread may call anything at any time: what one does reaches the others,
   and none is delayed. */
#include "life_support.h"

#include <stdatomic.h>

struct waiter {
    struct exitfd *x;
    struct exitfd_event event;
    int ret;
};

static void *wait_for_one(void *argument)
{
    struct waiter *waiter = argument;
    do
        waiter->ret = exitfd_wait(waiter->x, &waiter->event, 1, -1);
    while (waiter->ret == -EINTR);
    return NULL;
}

static struct helper start_blocked(struct waiter *waiter)
{
    struct helper helper = start_helper(wait_for_one, waiter);
    CHECK(wait_until_asleep(helper.tid));
    return helper;
}

static void expect_taken(struct helper *helper, const struct waiter *waiter, pid_t pid, int status)
{
    join_helper(helper);
    CHECK_EQ(waiter->ret, 1);
    expect_exited(&waiter->event, pid, status, waiter->x);
}

TEST(threads, a_blocked_wait_holds_up_no_other_call)
{
    struct exitfd *x = open_exitfd();
    struct waiter waiter = { .x = x };
    struct helper helper = start_blocked(&waiter);
    pid_t pid = start_paused(), discarded = start_paused();
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    CHECK_EQ(exitfd_add(x, discarded, 0, NULL), 0);
    CHECK_EQ(exitfd_kill(x, pid, 0), 0);
    CHECK_EQ(exitfd_discard(x, discarded), 0);
    CHECK_EQ(exitfd_remove(x, discarded), 0);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), 0);
    CHECK_EQ(exitfd_remove(x, -1), 0);
    CHECK(exitfd_get_fd(x) >= 0);
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0);
    kill_and_reap(discarded);
    kill_and_reap(pid);
    pid = spawn_shell(x, "exit 41", 0, x);
    expect_taken(&helper, &waiter, pid, 41);
    exitfd_close(x);
}

TEST(threads, an_add_reaches_a_blocked_wait)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    struct waiter waiter = { .x = x };
    struct helper helper = start_blocked(&waiter);
    pid_t pid = start_child(&gate, 42);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    CHECK(wait_until_asleep(helper.tid));
    let_through(&gate, 1);
    expect_taken(&helper, &waiter, pid, 42);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(threads, an_add_of_a_dead_child_wakes_a_blocked_wait)
{
    struct exitfd *x = open_exitfd();
    for (int i = 0; i < 20; i++) {
        struct waiter waiter = { .x = x };
        pid_t pid = start_child_exit(43);
        wait_until_zombie(pid);
        struct helper helper = start_blocked(&waiter);
        CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
        expect_taken(&helper, &waiter, pid, 43);
    }
    exitfd_close(x);
}

static void *start_without_a_pidfd(void *argument)
{
    struct waiter *waiter = argument;
    sigset_t sigchld;
    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    pthread_sigmask(SIG_UNBLOCK, &sigchld, NULL);
    struct rlimit before = forbid_new_fds();
    pid_t pid = exitfd_fork(waiter->x, 0, waiter->x);
    if (pid == 0)
        _exit(0);
    allow_new_fds(&before);
    return NULL;
}

/* The thread that could get SIGCHLD has ended, and the one that waits slept
   before SIGCHLD was needed. */
TEST(threads, a_child_started_by_a_thread_that_ends_wakes_a_wait_that_has_SIGCHLD_blocked)
{
    block_sigchld();
    for (int i = 0; i < 20; i++) {
        struct exitfd *x = open_exitfd();
        struct waiter waiter = { .x = x };
        struct helper waiting = start_blocked(&waiter);
        struct helper starting = start_helper(start_without_a_pidfd, &waiter);
        join_helper(&starting);
        join_helper(&waiting);
        CHECK_EQ(waiter.ret, 1);
        CHECK_EQ(waiter.event.data, x);
        exitfd_close(x);
    }
}

TEST(threads, a_catch_all_watch_wakes_a_blocked_wait)
{
    struct exitfd *x = open_exitfd();
    struct waiter waiter = { .x = x };
    pid_t pid = start_child_exit(44);
    wait_until_zombie(pid);
    struct helper helper = start_blocked(&waiter);
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    expect_taken(&helper, &waiter, pid, 44);
    exitfd_close(x);
}

TEST(threads, a_kill_wakes_a_blocked_wait_by_its_effect)
{
    struct exitfd *x = open_exitfd();
    struct waiter waiter = { .x = x };
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    struct helper helper = start_blocked(&waiter);
    CHECK_EQ(exitfd_kill(x, pid, SIGTERM), 0);
    join_helper(&helper);
    expect_event(&waiter.event, pid, CLD_KILLED, SIGTERM, EXITFD_REAPED, x);
    exitfd_close(x);
}

TEST(threads, of_several_blocked_waits_each_gets_an_event_of_its_own)
{
    enum {
        WAITERS = 8
    };
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    struct waiter waiters[WAITERS];
    struct helper helpers[WAITERS];
    bool seen[WAITERS] = { false };
    for (int i = 0; i < WAITERS; i++) {
        CHECK_EQ(exitfd_add(x, start_child(&gate, i), 0, x), 0);
        waiters[i] = (struct waiter){ .x = x };
        helpers[i] = start_blocked(&waiters[i]);
    }
    let_through(&gate, WAITERS);
    for (int i = 0; i < WAITERS; i++) {
        join_helper(&helpers[i]);
        CHECK_EQ(waiters[i].ret, 1);
        CHECK(!seen[waiters[i].event.status], "an event was given twice");
        seen[waiters[i].event.status] = true;
    }
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(threads, a_timed_wait_ends_though_others_take_the_events)
{
    struct exitfd *x = open_exitfd();
    struct waiter waiter = { .x = x };
    struct helper helper = start_blocked(&waiter);
    struct exitfd_event event;
    int ret;
    while ((ret = exitfd_wait(x, &event, 1, 1)) == -EINTR)
        ;
    CHECK_EQ(ret, 0);
    pid_t pid = spawn_shell(x, "exit 45", 0, x);
    expect_taken(&helper, &waiter, pid, 45);
    exitfd_close(x);
}

/* The adders fork, add and sometimes kill or discard; the takers take until all
   that is to be reported was. */
enum {
    ADDERS = 4,
    TAKERS = 2,
    CHILDREN_PER_ADDER = 100
};

struct crowd {
    struct exitfd *x;
    atomic_int failures, taken;
    atomic_bool stop;
    atomic_int reported[ADDERS][CHILDREN_PER_ADDER];
};

struct adder {
    struct crowd *crowd;
    int number;
};

static void *add_children(void *argument)
{
    struct adder *adder = argument;
    struct crowd *crowd = adder->crowd;
    for (int i = 0; i < CHILDREN_PER_ADDER; i++) {
        bool lives = i % 4 == 3;
        pid_t pid = fork();
        if (pid == 0) {
            alarm(120);
            while (lives)
                pause();
            _exit(i);
        }
        atomic_int *reported = &crowd->reported[adder->number][i];
        if (pid < 0 || exitfd_add(crowd->x, pid, 0, reported) != 0)
            atomic_fetch_add(&crowd->failures, 1);
        if (!lives)
            continue;
        if (exitfd_kill(crowd->x, pid, SIGKILL) != 0)
            atomic_fetch_add(&crowd->failures, 1);
    }
    return NULL;
}

static void *take_events(void *argument)
{
    struct crowd *crowd = argument;
    struct exitfd_event events[4];
    while (atomic_load(&crowd->taken) < ADDERS * CHILDREN_PER_ADDER && !atomic_load(&crowd->stop)) {
        int n = exitfd_wait(crowd->x, events, 4, 10);
        if (n < 0 && n != -EINTR)
            atomic_fetch_add(&crowd->failures, 1);
        for (int i = 0; i < n; i++) {
            atomic_fetch_add((atomic_int *)events[i].data, 1);
            atomic_fetch_add(&crowd->taken, 1);
        }
    }
    return NULL;
}

TEST(threads, four_that_add_and_two_that_wait_lose_and_double_nothing)
{
    static struct crowd crowd;
    struct adder adders[ADDERS];
    struct helper helpers[ADDERS + TAKERS];
    crowd.x = open_exitfd();
    for (int i = 0; i < TAKERS; i++)
        helpers[ADDERS + i] = start_helper(take_events, &crowd);
    for (int i = 0; i < ADDERS; i++) {
        adders[i] = (struct adder){ .crowd = &crowd, .number = i };
        helpers[i] = start_helper(add_children, &adders[i]);
    }
    for (int i = 0; i < ADDERS; i++)
        join_helper(&helpers[i]);
    long long end = now_ms() + DEADLINE_MS;
    while (atomic_load(&crowd.taken) < ADDERS * CHILDREN_PER_ADDER && now_ms() < end)
        poll(NULL, 0, 1);
    atomic_store(&crowd.stop, true);
    for (int i = 0; i < TAKERS; i++)
        join_helper(&helpers[ADDERS + i]);
    CHECK_EQ(crowd.failures, 0, "%d calls failed", crowd.failures);
    for (int i = 0; i < ADDERS; i++)
        for (int j = 0; j < CHILDREN_PER_ADDER; j++)
            CHECK_EQ(crowd.reported[i][j], 1, "child %d of %d: %d events", j, i, crowd.reported[i][j]);
    expect_quiet_soon(crowd.x);
    exitfd_close(crowd.x);
}

struct churn {
    struct exitfd *x;
    pid_t watched;
    atomic_bool stop;
    atomic_int failures;
};

static void *stay_inside(void *argument)
{
    struct churn *churn = argument;
    struct exitfd_event event;
    while (!atomic_load(&churn->stop)) {
        if (exitfd_kill(churn->x, churn->watched, 0) != 0 || exitfd_remove(churn->x, churn->watched) != 0 ||
            exitfd_add(churn->x, churn->watched, 0, churn) != 0)
            atomic_fetch_add(&churn->failures, 1);
        exitfd_wait(churn->x, &event, 1, 0);
    }
    return NULL;
}

static int use_stale_and_own(struct exitfd *x)
{
    struct exitfd *own;
    struct exitfd_event event;
    if (exitfd_wait(x, &event, 1, -1) != -ESTALE || exitfd_remove(x, 1) != -ESTALE)
        return 1;
    exitfd_close(x);
    if (exitfd_open(&own, 0) != 0)
        return 2;
    pid_t pid = exitfd_fork(own, 0, own);
    if (pid == 0)
        _exit(6);
    int ret;
    while ((ret = exitfd_wait(own, &event, 1, 30000)) == -EINTR)
        ;
    if (ret != 1 || event.pid != pid || event.status != 6)
        return 3;
    exitfd_close(own);
    return 0;
}

TEST(threads, a_fork_while_another_thread_is_inside_leaves_both_able_to_go_on)
{
    struct exitfd *x = open_exitfd(), *forks = open_exitfd();
    struct churn churn = { .x = x, .watched = start_paused() };
    CHECK_EQ(exitfd_add(x, churn.watched, 0, &churn), 0);
    struct helper helper = start_helper(stay_inside, &churn);
    for (int i = 0; i < 100; i++) {
        pid_t pid = i % 2 != 0 ? exitfd_fork(forks, 0, NULL) : fork_guarded();
        if (pid == 0) {
            alarm(120);
            _exit(use_stale_and_own(x));
        }
        if (i % 2 == 0)
            CHECK_EQ(exitfd_add(forks, pid, 0, NULL), 0);
        struct exitfd_event event = wait_event(forks);
        expect_exited(&event, pid, 0, NULL);
    }
    atomic_store(&churn.stop, true);
    join_helper(&helper);
    CHECK_EQ(churn.failures, 0, "%d calls failed beside the forks", churn.failures);
    CHECK_EQ(exitfd_kill(x, churn.watched, SIGTERM), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, churn.watched, CLD_KILLED, SIGTERM, EXITFD_REAPED, &churn);
    exitfd_close(forks);
    exitfd_close(x);
}
