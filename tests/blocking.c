/* SPDX-License-Identifier: MIT */
/* exitfd_wait with a time-out, and what may and may not interrupt it. */
#include "life_support.h"
#include "stand_in.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* The clock as libfaketime may show it. It shows the same to the library and to
   this file. */
static enum {
    CLOCK_RUNS,
    CLOCK_STANDS,
    CLOCK_GOES_BACK
} false_clock;

int clock_gettime(clockid_t id, struct timespec *ret)
{
    static atomic_int calls;
    FIND_NEXT(clock_gettime);
    if (false_clock == CLOCK_RUNS || id != CLOCK_MONOTONIC)
        return next(id, ret);
    int seconds_back = false_clock == CLOCK_GOES_BACK ? atomic_fetch_add(&calls, 1) : 0;
    *ret = (struct timespec){ .tv_sec = 1000000 - seconds_back };
    return 0;
}

static void do_nothing(int sig)
{
    (void)sig;
}

static void handle(int sig, int flags)
{
    struct sigaction action = { .sa_handler = do_nothing, .sa_flags = flags };
    sigemptyset(&action.sa_mask);
    CHECK_EQ(sigaction(sig, &action, NULL), 0);
}

TEST(blocking, timeout_zero_returns_at_once)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0);
    pid_t pid = start_child(&gate, 0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    let_through(&gate, 1);
    reap(pid);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(blocking, timeout_lasts_that_long)
{
    enum {
        timeout_ms = 60
    };
    struct exitfd *x = open_exitfd();
    struct exitfd_event event;
    long long start = now_ms();
    CHECK_EQ(exitfd_wait(x, &event, 1, timeout_ms), 0);
    CHECK(now_ms() - start >= timeout_ms - 1, "came back early");
    exitfd_close(x);
}

static void expect_timeout_by_false_clocks(struct exitfd *x, int timeout_ms)
{
    struct exitfd_event event;
    int found[2];
    false_clock = CLOCK_STANDS;
    found[0] = exitfd_wait(x, &event, 1, timeout_ms);
    false_clock = CLOCK_GOES_BACK;
    found[1] = exitfd_wait(x, &event, 1, timeout_ms);
    false_clock = CLOCK_RUNS;
    CHECK_EQ(found[0], 0);
    CHECK_EQ(found[1], 0);
}

TEST(blocking, timeout_ends_where_the_clock_does_not_run)
{
    struct exitfd *x = open_exitfd();
    expect_timeout_by_false_clocks(x, 20);
    exitfd_close(x);
}

/* poll never comes to its time-out here: each 100 ms there is a look. */
TEST(blocking, timeout_ends_where_the_clock_does_not_run_and_SIGCHLD_does_not_arrive)
{
    struct exitfd *x = open_exitfd();
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), 0);
    backend_is("signalfd") ? unblock_sigchld() : block_sigchld();
    expect_timeout_by_false_clocks(x, 120);
    backend_is("signalfd") ? block_sigchld() : unblock_sigchld();
    exitfd_close(x);
}

static long long now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

struct waker {
    pid_t zombie;
    atomic_int rounds;
    atomic_bool stop;
};

/* A watch that ends may leave its child to the catch-all watch, and so wakes
   the exitfd that has it. */
static bool wake_by_the_end_of_a_watch(struct exitfd *y, pid_t zombie)
{
    return exitfd_add(y, zombie, EXITFD_OBSERVE, NULL) == 0 && exitfd_remove(y, zombie) == 0;
}

static void *wake_all_the_time(void *argument)
{
    struct waker *waker = argument;
    struct exitfd *y = NULL;
    if (exitfd_open(&y, 0) != 0)
        return NULL;
    while (!atomic_load(&waker->stop) && wake_by_the_end_of_a_watch(y, waker->zombie))
        atomic_fetch_add(&waker->rounds, 1);
    exitfd_close(y);
    return NULL;
}

static void expect_each_round_to_wake(struct exitfd *x, pid_t zombie)
{
    struct exitfd *y = open_exitfd();
    for (int i = 0; i < 3; i++) {
        expect_quiet_soon(x);
        CHECK(wake_by_the_end_of_a_watch(y, zombie));
        CHECK(is_readable(exitfd_get_fd(x)), "round %d wakes nobody", i);
    }
    exitfd_close(y);
}

TEST(blocking, timeout_lasts_that_long_whatever_wakes_it_meanwhile)
{
    enum {
        WAITS = 50
    };
    struct exitfd *x = open_exitfd(), *keeper = open_exitfd();
    struct exitfd_event event;
    struct waker waker = { .zombie = start_child_exit(0) };
    pthread_t thread;
    /* So it never is one for the catch-all watch. */
    CHECK_EQ(exitfd_add(keeper, waker.zombie, EXITFD_OBSERVE, NULL), 0);
    wait_until_zombie(waker.zombie);
    CHECK_EQ(exitfd_add(x, -1, 0, NULL), 0);
    expect_each_round_to_wake(x, waker.zombie);
    CHECK_EQ(pthread_create(&thread, NULL, wake_all_the_time, &waker), 0);
    long long end = now_ms() + DEADLINE_MS;
    for (int i = 0; i < WAITS || (atomic_load(&waker.rounds) < WAITS && now_ms() < end); i++) {
        long long start = now_ns();
        CHECK_EQ(exitfd_wait(x, &event, 1, 3), 0);
        CHECK(now_ns() - start >= 3000000, "came back early");
    }
    atomic_store(&waker.stop, true);
    pthread_join(thread, NULL);
    CHECK(atomic_load(&waker.rounds) >= WAITS, "it was hardly woken");
    exitfd_close(x);
    exitfd_close(keeper);
    reap(waker.zombie);
}

TEST(blocking, event_that_is_due_ends_any_timeout)
{
    const int timeouts[] = { 0, 1, DEADLINE_MS, -1, -1000 };
    struct exitfd *x = open_exitfd();
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        pid_t pid = start_child_exit(0);
        CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
        wait_until_zombie(pid);
        struct exitfd_event event;
        int ret = exitfd_wait(x, &event, 1, timeouts[i]);
        CHECK_EQ(ret, 1, "timeout %d: exitfd_wait: %d", timeouts[i], ret);
        expect_exited(&event, pid, 0, NULL);
    }
    exitfd_close(x);
}

/* What a second thread does once the test's own thread sleeps in
   exitfd_wait. */
struct disturber {
    pthread_t thread;
    pthread_t sleeper;
    pid_t sleeper_tid;
    int sig; /* sent first, unless 0; again and again if nothing else follows */
    atomic_bool returned;
    int strangers; /* then so many unwatched children are let through and reaped */
    struct gate stranger_gate;
    pid_t stranger_pids[8];
    const struct gate *gate; /* then a child behind it is let through, unless NULL */
    bool saw_sleep;
};

static void *disturb(void *arg)
{
    struct disturber *me = arg;
    me->saw_sleep = wait_until_asleep(me->sleeper_tid);
    if (me->sig != 0)
        pthread_kill(me->sleeper, me->sig);
    for (; me->sig != 0 && me->gate == NULL && !me->returned; sched_yield())
        pthread_kill(me->sleeper, me->sig);
    let_through(&me->stranger_gate, me->strangers);
    for (int i = 0; i < me->strangers; i++) {
        siginfo_t info;
        waitid(P_PID, (id_t)me->stranger_pids[i], &info, WEXITED);
    }
    me->saw_sleep = me->saw_sleep && wait_until_asleep(me->sleeper_tid);
    if (me->gate != NULL && write(me->gate->go_end, "", 1) != 1)
        me->saw_sleep = false;
    return NULL;
}

/* Only the test's own thread takes signals, so that they land in its
   exitfd_wait. */
static void start_disturber(struct disturber *me)
{
    sigset_t all, before;
    sigfillset(&all);
    me->sleeper = pthread_self();
    me->sleeper_tid = own_tid();
    me->stranger_gate = open_gate();
    for (int i = 0; i < me->strangers; i++)
        me->stranger_pids[i] = start_child(&me->stranger_gate, 0);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK_EQ(pthread_create(&me->thread, NULL, disturb, me), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void join_disturber(struct disturber *me)
{
    me->returned = true;
    pthread_join(me->thread, NULL);
    close_gate(&me->stranger_gate);
    CHECK(me->saw_sleep, "the test's thread never slept");
}

static void block_until_the_exit(int timeout_ms)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 6);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    struct disturber disturber = { .gate = &gate };
    start_disturber(&disturber);
    struct exitfd_event event;
    int ret = exitfd_wait(x, &event, 1, timeout_ms);
    join_disturber(&disturber);
    CHECK_EQ(ret, 1, "exitfd_wait: %d", ret);
    expect_exited(&event, pid, 6, NULL);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(blocking, without_timeout_until_the_exit)
{
    block_until_the_exit(-1);
}

TEST(blocking, with_timeout_until_the_exit)
{
    block_until_the_exit(DEADLINE_MS);
}

static void interrupt_by_own_handler(int timeout_ms, int handler_flags)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    handle(SIGUSR1, handler_flags);
    struct disturber disturber = { .sig = SIGUSR1 };
    start_disturber(&disturber);
    struct exitfd_event event, pattern;
    memset(&pattern, 0xa5, sizeof(pattern));
    event = pattern;
    int ret = exitfd_wait(x, &event, 1, timeout_ms);
    join_disturber(&disturber);
    CHECK_EQ(ret, -EINTR, "exitfd_wait: %d", ret);
    CHECK_EQ(memcmp(&event, &pattern, sizeof(event)), 0, "an event was written on failure");
    let_through(&gate, 1);
    event = wait_event(x);
    expect_exited(&event, pid, 0, NULL);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(blocking, own_handler_interrupts)
{
    interrupt_by_own_handler(-1, 0);
}

TEST(blocking, own_handler_interrupts_with_a_timeout)
{
    interrupt_by_own_handler(DEADLINE_MS, 0);
}

TEST(blocking, own_handler_with_sa_restart_interrupts_too)
{
    interrupt_by_own_handler(-1, SA_RESTART);
}

TEST(blocking, ignored_signal_does_not_interrupt)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    signal(SIGUSR1, SIG_IGN);
    struct disturber disturber = { .sig = SIGUSR1, .gate = &gate };
    start_disturber(&disturber);
    struct exitfd_event event;
    int ret = exitfd_wait(x, &event, 1, -1);
    join_disturber(&disturber);
    CHECK_EQ(ret, 1, "exitfd_wait: %d", ret);
    expect_exited(&event, pid, 0, NULL);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(blocking, children_of_no_interest_do_not_end_it)
{
    if (backend_is("self-pipe"))
        SKIP("self-pipe: -EINTR may come of any SIGCHLD, as exitfd_wait documents");
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 2);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    struct disturber disturber = { .strangers = 8, .gate = &gate };
    start_disturber(&disturber);
    struct exitfd_event event;
    int ret = exitfd_wait(x, &event, 1, -1);
    join_disturber(&disturber);
    CHECK_EQ(ret, 1, "exitfd_wait: %d", ret);
    expect_exited(&event, pid, 2, NULL);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(blocking, timeout_zero_is_never_interrupted)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    handle(SIGALRM, 0);
    const struct itimerval storm = { .it_interval.tv_usec = 50, .it_value.tv_usec = 50 }, calm = { 0 };
    setitimer(ITIMER_REAL, &storm, NULL);
    int ret = 0;
    for (int i = 0; i < 20000 && ret == 0; i++) {
        struct exitfd_event event;
        ret = exitfd_wait(x, &event, 1, 0);
    }
    setitimer(ITIMER_REAL, &calm, NULL);
    CHECK_EQ(ret, 0, "exitfd_wait: %s", strerror(-ret));
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, NULL);
    close_gate(&gate);
    exitfd_close(x);
}

struct waiter {
    struct exitfd *x;
    pid_t tid;
    struct gate known;
    int ret;
    struct exitfd_event event;
};

static void *wait_for_one(void *arg)
{
    struct waiter *me = arg;
    me->tid = own_tid();
    if (write(me->known.go_end, "", 1) == 1)
        me->ret = exitfd_wait(me->x, &me->event, 1, -1);
    return NULL;
}

TEST(blocking, holds_up_no_other_thread)
{
    if (backend_is("io_uring"))
        SKIP("an io_uring exitfd belongs to the thread that opened it");
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    sigset_t all, before;
    sigfillset(&all);
    struct waiter waiter = { .x = x, .known = open_gate() };
    pthread_t thread;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK_EQ(pthread_create(&thread, NULL, wait_for_one, &waiter), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    wait_behind(&waiter.known);
    CHECK(wait_until_asleep(waiter.tid));

    pid_t removed = start_child(&gate, 0);
    pid_t pid = start_child(&gate, 8);
    CHECK_EQ(exitfd_add(x, removed, 0, NULL), 0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(exitfd_remove(x, removed), 0);
    let_through(&gate, 2);
    pthread_join(thread, NULL);
    CHECK_EQ(waiter.ret, 1, "exitfd_wait: %d", waiter.ret);
    expect_exited(&waiter.event, pid, 8, NULL);
    reap(removed);
    close_gate(&waiter.known);
    close_gate(&gate);
    exitfd_close(x);
}

struct watcher {
    pid_t sleeper;
    const struct gate *asleep;
};

static void *tell_when_asleep(void *arg)
{
    const struct watcher *me = arg;
    if (wait_until_asleep(me->sleeper))
        let_through(me->asleep, 1);
    return NULL;
}

static int wait_behind_a_watcher(const struct gate *asleep, const struct gate *gate)
{
    struct watcher watcher = { .sleeper = own_tid(), .asleep = asleep };
    struct exitfd_event event;
    struct exitfd *x;
    pthread_t thread;
    int error = exitfd_open(&x, 0);
    pid_t pid = start_child(gate, 8);
    error = error < 0 ? error : exitfd_add(x, pid, 0, NULL);
    if (error < 0 || pthread_create(&thread, NULL, tell_when_asleep, &watcher) != 0)
        return error;
    return exitfd_wait(x, &event, 1, DEADLINE_MS);
}

/* As by Ctrl-Z and fg: no handler runs. */
TEST(blocking, a_stop_and_a_continuation_are_no_eintr)
{
    exitfd_close(open_exitfd());
    struct gate asleep = open_gate(), gate = open_gate();
    pid_t pid = fork_guarded();
    if (pid == 0)
        _exit(wait_behind_a_watcher(&asleep, &gate) == 1 ? 0 : 1);
    wait_behind(&asleep);
    int status;
    kill(pid, SIGSTOP);
    CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    kill(pid, SIGCONT);
    CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    let_through(&gate, 1);
    CHECK_EQ(reap(pid), 0, "exitfd_wait was interrupted");
    close_gate(&asleep);
    close_gate(&gate);
}
