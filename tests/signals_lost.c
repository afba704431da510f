/* SPDX-License-Identifier: MIT */
/* While SIGCHLD does not reach us, and when it does again. */
#include "life_support.h"
#include "signals.h"
#include "stand_in.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

static atomic_int wait_calls;

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    FIND_NEXT(waitid);
    atomic_fetch_add(&wait_calls, 1);
    return next(type, id, info, options);
}

STAND_IN_FOR_SYSCALL(count)

static long count(long number, const long a[6])
{
    if (number == SYS_waitid)
        atomic_fetch_add(&wait_calls, 1);
    return next_syscall(number, a);
}

/* The looks of each second come each 20 ms. */
static bool hurry;

int timerfd_settime(int fd, int flags, const struct itimerspec *time, struct itimerspec *old)
{
    FIND_NEXT(timerfd_settime);
    struct itimerspec sooner = *time;
    if (hurry && time->it_value.tv_nsec > 100000000)
        sooner.it_value = sooner.it_interval = (struct timespec){ .tv_nsec = 20000000 };
    return next(fd, flags, &sooner, old);
}

/* Whatever the back end listens by. Returns what restore_sigchld puts back. */
static struct sigaction lose_sigchld(void)
{
    struct sigaction found = current_disposition();
    if (backend_is("signalfd"))
        unblock_sigchld();
    else
        set_sigchld(host_handler, SA_RESTART);
    return found;
}

static void restore_sigchld(const struct sigaction *found)
{
    if (backend_is("signalfd"))
        block_sigchld();
    else
        sigaction(SIGCHLD, found, NULL);
}

/* exitfd_wait as long as it has something to say besides events. */
static void let_it_notice(struct exitfd *x)
{
    struct exitfd_event event;
    int ret = exitfd_wait(x, &event, 1, 0);
    CHECK(ret == 0 || (ret == -EPIPE && backend_is("self-pipe")), "exitfd_wait: %d", ret);
}

/* Reported soon after SIGCHLD arrives again, without a signal for it, and
   however many others are checked. */
TEST(signal_lost, one_that_exited_meanwhile_is_seen_when_SIGCHLD_arrives_again)
{
    enum {
        CHILDREN = 20
    };
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate(), gate_of_last = open_gate();
    pid_t pids[CHILDREN];
    struct rlimit before = forbid_new_fds(); /* without pidfds they are tracked by SIGCHLD on every back end */
    for (int i = 0; i < CHILDREN; i++) {
        pids[i] = start_child(i < CHILDREN - 1 ? &gate : &gate_of_last, 7);
        CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
    }
    allow_new_fds(&before);
    struct sigaction found = lose_sigchld();
    let_it_notice(x);
    let_through(&gate_of_last, 1);
    wait_until_zombie(pids[CHILDREN - 1]);
    restore_sigchld(&found);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pids[CHILDREN - 1], 7, &pids[CHILDREN - 1]);
    expect_quiet(x);
    exitfd_close(x);
    let_through(&gate, CHILDREN - 1);
    for (int i = 0; i < CHILDREN - 1; i++)
        reap(pids[i]);
    close_gate(&gate);
    close_gate(&gate_of_last);
}

TEST(signal_lost, and_so_are_orphans)
{
    struct exitfd *x = open_for_truth();
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    expect_quiet_soon(x);
    struct sigaction found = lose_sigchld();
    let_it_notice(x);
    pid_t pid = start_child_exit(8);
    wait_until_zombie(pid);
    restore_sigchld(&found);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 8, x);
    expect_quiet(x);
    exitfd_close(x);
}

/* Every 100 ms, and not as often as the processor can. */
TEST(signal_lost, a_blocked_wait_for_orphans_does_not_spin)
{
    struct exitfd *x = open_for_truth();
    struct exitfd_event event;
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    expect_quiet_soon(x);
    lose_sigchld();
    let_it_notice(x);
    wait_calls = 0;
    CHECK_EQ(exitfd_wait(x, &event, 1, 300), 0);
    CHECK(wait_calls <= 20, "%d waits within 300 ms", wait_calls);
    pid_t pid = start_child_exit(9);
    int ret;
    while ((ret = wait_blocked(x, &event)) == -EINTR)
        ;
    CHECK_EQ(ret, 1);
    expect_exited(&event, pid, 9, x);
    exitfd_close(x);
}

TEST(signal_lost, it_says_so_where_only_orphans_are_waited_for)
{
    struct exitfd *x = open_for_truth();
    struct exitfd_event event;
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    expect_quiet_soon(x);
    set_sigchld(host_handler, SA_RESTART);
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), backend_is("self-pipe") ? -EPIPE : 0);
    expect_no_event(x);
    exitfd_close(x);
}

static struct exitfd *open_signalfd(void)
{
    if (build_is_posix())
        SKIP("no signalfd in this build");
    unblock_sigchld();
    return open_exitfd_flags(EXITFD_SIGNALFD);
}

static void expect_the_other_served(struct exitfd *closed, struct exitfd *left)
{
    exitfd_close(closed);
    CHECK(sigchld_is_blocked(), "the other one needs it blocked");
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 3);
    CHECK_EQ(exitfd_add(left, pid, 0, NULL), 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(left);
    expect_exited(&event, pid, 3, NULL);
    close_gate(&gate);
    exitfd_close(left);
    CHECK(!sigchld_is_blocked(), "it was not before the first one was opened");
}

TEST(signal_lost, of_two_signalfds_closing_one_leaves_the_other_working)
{
    struct exitfd *first = open_signalfd(), *second = open_exitfd_flags(EXITFD_SIGNALFD);
    expect_the_other_served(first, second);
    first = open_signalfd();
    second = open_exitfd_flags(EXITFD_SIGNALFD);
    expect_the_other_served(second, first);
}

static void *open_another(void *argument)
{
    return exitfd_open(argument, EXITFD_SIGNALFD) == 0 ? argument : NULL;
}

/* That thread's mask is its own, and the other exitfd of this one needs SIGCHLD
   blocked here. */
TEST(signal_lost, closing_a_signalfd_of_another_thread_unblocks_nothing_here)
{
    struct exitfd *own = open_signalfd(), *anothers;
    struct helper helper = start_helper(open_another, &anothers);
    CHECK_EQ(join_helper(&helper), &anothers);
    expect_the_other_served(anothers, own);
}

/* The timer is not needed any more. */
TEST(signal_lost, once_SIGCHLD_arrives_again_it_sleeps_through)
{
    /* Without SIGCHLD there are five checks meanwhile. One may be under way
       still, and one in a second does no harm. */
    const int window_ms = 550, most = 2;
    struct exitfd *x = open_for_truth();
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    expect_quiet_soon(x);
    struct sigaction found = lose_sigchld();
    let_it_notice(x);
    restore_sigchld(&found);
    let_it_notice(x);
    expect_quiet_soon(x);
    int wakes = count_wakes(x, window_ms);
    CHECK(wakes <= most, "%d wake-ups in %d ms", wakes, window_ms);
    exitfd_close(x);
}

/* As pam_unix, a JVM and libuv do. POSIX: setting it to SIG_DFL discards a
   SIGCHLD that is pending, also where it was that. */
TEST(signal_lost, a_pending_signal_that_is_discarded)
{
    int epipes = 0;
    hurry = true;
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 9);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    let_through(&gate, 1);
    wait_until_zombie(pid);
    set_sigchld(SIG_DFL, 0);
    if (!build_is_posix()) /* a handler of ours is away, and there is no timer */
        wait_readable(exitfd_get_fd(x));
    struct exitfd_event event = wait_event_by_calling(x, &epipes);
    expect_exited(&event, pid, 9, x);
    close_gate(&gate);
    exitfd_close(x);
}

/* Setting SIG_IGN discards it as well, where SIGCHLD is blocked. The zombie
   would be reaped, a stopped child stays. */
TEST(signal_lost, a_stop_whose_pending_signal_is_discarded)
{
    int epipes = 0;
    siginfo_t info;
    hurry = true;
    struct exitfd *x = open_exitfd();
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, EXITFD_STOPPED, x), 0);
    expect_quiet_soon(x);
    CHECK_EQ(exitfd_kill(x, pid, SIGSTOP), 0);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
    struct sigaction found = current_disposition();
    set_sigchld(SIG_IGN, 0);
    sigaction(SIGCHLD, &found, NULL);
    if (!build_is_posix()) /* there is no timer */
        wait_readable(exitfd_get_fd(x));
    struct exitfd_event event = wait_event_by_calling(x, &epipes);
    expect_event(&event, pid, CLD_STOPPED, SIGSTOP, EXITFD_PEEKED, x);
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), 0);
    event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    exitfd_close(x);
}

/* Setting SIG_IGN discards the signal that is pending, where SIGCHLD is
   blocked. */
TEST(signal_lost, an_orphan_is_reported_though_sigchld_was_ignored_for_a_moment)
{
    int data, ret = 0;
    struct exitfd *x = open_exitfd();
    struct exitfd_event event;

    CHECK_EQ(exitfd_add(x, -1, 0, &data), 0);
    expect_quiet_soon(x);
    pid_t pid = start_child_exit(7);
    wait_until_zombie(pid);
    struct sigaction found = current_disposition();
    set_sigchld(SIG_IGN, 0);
    sigaction(SIGCHLD, &found, NULL);
    for (int call = 0; call < 3 && ret == 0; call++)
        ret = exitfd_wait(x, &event, 1, 0);
    CHECK_EQ(ret, 1);
    expect_exited(&event, pid, 7, &data);
    exitfd_close(x);
}

/*
 * SIGCHLD is ignored for a moment, and the kernel reaps them: no signal, no
 * zombie, no count. Whoever finds that one is gone looks for the others.
 */
TEST(signal_lost, where_one_has_vanished_others_have)
{
    enum {
        COUNT = 20
    };
    struct exitfd_event events[COUNT];
    pid_t pids[COUNT];
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    int told = 0;
    for (int i = 0; i < COUNT; i++) {
        pids[i] = start_child(&gate, 7);
        CHECK_EQ(exitfd_add(x, pids[i], 0, x), 0);
    }
    expect_quiet_soon(x);
    struct sigaction found = current_disposition();
    set_sigchld(SIG_IGN, 0);
    let_through(&gate, COUNT);
    for (int i = 0; i < COUNT; i++)
        while (is_child(pids[i]))
            sched_yield();
    sigaction(SIGCHLD, &found, NULL);
    do {
        int count = exitfd_wait(x, events, 7, 0);
        CHECK(count > 0, "exitfd_wait: %d after %d events", count, told);
        told += count;
    } while (told < COUNT && is_readable(exitfd_get_fd(x)));
    CHECK_EQ(told, COUNT);
    close_gate(&gate);
    exitfd_close(x);
}
