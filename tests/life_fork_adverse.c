/* SPDX-License-Identifier: MIT */
/* Forks of unusual kinds: children that keep the fd or poll it, a handler that
   forks, handlers of pthread_atfork. */
#include "life_support.h"
#include "truth_inject.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

TEST(fork_adverse, a_child_that_keeps_its_copy_for_long_does_no_harm)
{
    struct exitfd *x = open_exitfd();
    pid_t watched = start_paused();
    CHECK_EQ(exitfd_add(x, watched, 0, x), 0);
    struct gate gate = open_gate();
    pid_t keeper = start_child(&gate, 0);
    kill(watched, SIGTERM);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, watched, CLD_KILLED, SIGTERM, EXITFD_REAPED, x);
    expect_quiet(x);
    for (int i = 0; i < 20; i++)
        expect_report(x);
    let_through(&gate, 1);
    reap(keeper);
    expect_no_event(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* It asks the epoll set of its parent whether a signalfd in it has signals of
   the child's own. */
TEST(fork_adverse, a_child_that_polls_the_fd_takes_nothing_away)
{
    struct exitfd *x = open_exitfd();
    int fd = exitfd_get_fd(x);
    for (int i = 0; i < 20; i++) {
        pid_t watched = start_child_exit(i);
        CHECK_EQ(exitfd_add(x, watched, 0, x), 0);
        wait_until_zombie(watched);
        pid_t pid = fork_guarded();
        if (pid == 0)
            _exit(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) < 0);
        expect_success(pid);
        struct exitfd_event event;
        CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
        expect_exited(&event, watched, i, x);
    }
    exitfd_close(x);
}

static void poll_until_killed(int fd)
{
    struct pollfd item = { .fd = fd, .events = POLLIN };
    alarm(120);
    for (;;)
        poll(&item, 1, 0);
}

TEST(fork_adverse, a_child_that_polls_the_fd_all_the_time_keeps_no_blocked_wait_asleep)
{
    struct exitfd *x = open_exitfd();
    int fd = exitfd_get_fd(x);
    pid_t poller = fork_guarded();
    if (poller == 0)
        poll_until_killed(fd);
    for (int i = 0; i < 50; i++) {
        struct exitfd_event event;
        int ret;
        pid_t watched = spawn_shell(x, "exit 18", 0, x);
        while ((ret = wait_blocked(x, &event)) == -EINTR)
            ;
        CHECK_EQ(ret, 1);
        expect_exited(&event, watched, 18, x);
    }
    kill_and_reap(poller);
    exitfd_close(x);
}

static volatile sig_atomic_t forked_pid = -1;

static void fork_in_the_handler(int signum)
{
    (void)signum;
    forked_pid = fork();
}

static void *interrupt_the_sleeper(void *argument)
{
    const struct helper *sleeper = argument;
    if (wait_until_asleep(sleeper->tid))
        pthread_kill(sleeper->thread, SIGUSR1);
    return NULL;
}

/* The child comes back from the handler into a wait on what is its parent's. */
TEST(fork_adverse, a_handler_that_forks_makes_the_blocked_wait_of_its_child_stale)
{
    struct exitfd *x = open_exitfd();
    struct helper self = { .thread = pthread_self(), .tid = own_tid() };
    struct exitfd_event event;
    pid_t watched = start_paused();
    CHECK_EQ(exitfd_add(x, watched, 0, x), 0);
    sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = fork_in_the_handler }, NULL);
    struct helper helper = start_helper(interrupt_the_sleeper, &self);
    int ret = wait_blocked(x, &event);
    if (forked_pid == 0)
        _exit(ret == -ESTALE ? 0 : 90);
    join_helper(&helper);
    CHECK_EQ(ret, -EINTR);
    expect_success(forked_pid);
    kill(watched, SIGTERM);
    event = wait_event(x);
    expect_event(&event, watched, CLD_KILLED, SIGTERM, EXITFD_REAPED, x);
    exitfd_close(x);
}

static pthread_mutex_t lock_of_the_application = PTHREAD_MUTEX_INITIALIZER;
static struct exitfd *closed_in_the_child;

static void lock_application(void)
{
    pthread_mutex_lock(&lock_of_the_application);
}

static void unlock_application(void)
{
    pthread_mutex_unlock(&lock_of_the_application);
}

static void close_in_the_child(void)
{
    pthread_mutex_unlock(&lock_of_the_application);
    exitfd_close(closed_in_the_child);
}

static void *fork_and_reap(void *tid)
{
    atomic_store((atomic_int *)tid, own_tid());
    pid_t pid = fork_guarded();
    if (pid == 0)
        _exit(5);
    return (void *)(intptr_t)reap(pid);
}

/* As libraries do, it registers its handlers before it opens its first
   exitfd. */
TEST(fork_adverse, an_application_may_hold_a_lock_of_its_own_around_calls_and_take_it_in_its_handlers)
{
    pthread_t thread;
    atomic_int tid = 0;
    void *status;
    CHECK_EQ(pthread_atfork(lock_application, unlock_application, close_in_the_child), 0);
    alarm(DEADLINE_MS / 1000);
    lock_application();
    CHECK_EQ(pthread_create(&thread, NULL, fork_and_reap, &tid), 0);
    while (atomic_load(&tid) == 0)
        sched_yield();
    CHECK(wait_until_asleep(tid));
    struct exitfd *x = open_exitfd();
    closed_in_the_child = x;
    unlock_application();
    pthread_join(thread, &status);
    CHECK_EQ((intptr_t)status, 5 << 8, "wait status %#x", (unsigned)(intptr_t)status);
    expect_report(x);
    alarm(0);
    exitfd_close(x);
}

static pid_t forked_inside;

static void fork_inside(void)
{
    forked_inside = fork_guarded();
}

/* As a signal handler does that forks, and whose child returns from it. */
static void forked_inside_our_wait(void (**hook)(void))
{
    struct exitfd *x = open_exitfd();
    struct exitfd_event event;
    int null = open("/dev/null", O_RDWR);
    CHECK_EQ(dup2(null, 0), 0);
    pid_t pid = start_child_exit(11);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    wait_until_zombie(pid);
    forked_inside = -1;
    *hook = fork_inside;
    int found = exitfd_wait(x, &event, 1, 30000);
    if (forked_inside == 0)
        _exit(found != -ESTALE ? 1 : fcntl(0, F_GETFD) < 0 ? 2 : 0);
    CHECK_EQ(found, 1);
    expect_exited(&event, pid, 11, x);
    *hook = NULL;
    if (forked_inside > 0)
        expect_success(forked_inside);
    close(null);
    exitfd_close(x);
}

TEST(fork_adverse, a_child_of_a_handler_that_interrupts_a_take_gets_ESTALE_and_keeps_its_fds)
{
    forked_inside_our_wait(&before_reaping);
    forked_inside_our_wait(&before_looking);
    forked_inside_our_wait(&after_reaping);
}

static struct exitfd *looks_for_orphans;

/* Here this thread holds the locks of the library. No handler of pthread_atfork
   runs. */
static void fork_and_close_inside(void)
{
    forked_inside = fork_without_libc();
    if (forked_inside != 0)
        return;
    alarm(DEADLINE_MS / 1000);
    exitfd_close(looks_for_orphans);
    _exit(0);
}

static void forked_inside_our_look_for_orphans(void (**hook)(void))
{
    struct exitfd *x = open_exitfd();
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    pid_t pid = start_child_exit(11);
    wait_until_zombie(pid);
    looks_for_orphans = x;
    forked_inside = -1;
    *hook = fork_and_close_inside;
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 11, x);
    *hook = NULL;
    CHECK(forked_inside > 0, "nothing was forked inside the call");
    exitfd_close(x);
    expect_success(forked_inside);
}

TEST(fork_adverse, a_close_in_a_child_of_the_system_call_waits_for_no_lock_of_the_parent)
{
    if (build_is_posix())
        SKIP("such a fork is noticed where the kernel wipes pages in the child");
    forked_inside_our_look_for_orphans(&before_reaping);
    forked_inside_our_look_for_orphans(&before_looking);
}
