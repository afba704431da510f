/* SPDX-License-Identifier: MIT */
/* No other code is disturbed: other children, system calls and signals of the
   program, what it executes. */
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum {
    strangers = 12
};

static void start_strangers(pid_t pids[strangers], const struct gate *gate)
{
    for (int i = 0; i < strangers; i++)
        pids[i] = start_child(gate, 100 + i);
    for (int i = 0; gate == NULL && i < strangers; i++)
        wait_until_zombie(pids[i]);
}

static void reap_strangers(const pid_t pids[strangers])
{
    for (int i = 0; i < strangers; i++)
        CHECK_EQ(WEXITSTATUS(reap(pids[i])), 100 + i);
}

TEST(neighbours, zombies_in_front_and_behind_are_left_untouched)
{
    pid_t in_front[strangers], alive[strangers], behind[strangers];
    struct gate strangers_gate = open_gate();
    struct gate gate = open_gate();
    start_strangers(in_front, NULL);
    struct exitfd *x = open_exitfd();
    start_strangers(alive, &strangers_gate);
    pid_t pids[3];
    for (int i = 0; i < 3; i++) {
        pids[i] = start_child(&gate, i);
        CHECK_EQ(exitfd_add(x, pids[i], 0, NULL), 0);
    }
    start_strangers(behind, NULL);
    expect_quiet(x);
    let_through(&gate, 1);
    wait_event(x);
    expect_quiet(x);
    let_through(&strangers_gate, strangers);
    for (int i = 0; i < strangers; i++)
        wait_until_zombie(alive[i]);
    expect_quiet(x);
    let_through(&gate, 2);
    struct exitfd_event events[2];
    wait_events(x, events, 2);
    expect_quiet(x);
    exitfd_close(x);
    reap_strangers(in_front);
    reap_strangers(alive);
    reap_strangers(behind);
    close_gate(&gate);
    close_gate(&strangers_gate);
}

TEST(neighbours, status_is_right_with_a_hundred_zombies_in_front)
{
    enum {
        zombies = 100,
        children = 30
    };
    pid_t others[zombies], pids[children];
    struct gate gate = open_gate();
    for (int i = 0; i < zombies; i++) {
        others[i] = start_child_exit(1);
        wait_until_zombie(others[i]);
    }
    struct exitfd *x = open_exitfd();
    for (int i = 0; i < children; i++) {
        pids[i] = start_child(&gate, 2);
        CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
    }
    let_through(&gate, children);
    for (int i = 0; i < children; i++) {
        struct exitfd_event event = wait_event(x);
        pid_t *pid = event.data;
        expect_exited(&event, *pid, 2, pid);
        *pid = 0;
    }
    expect_quiet(x);
    for (int i = 0; i < zombies; i++)
        CHECK_EQ(WEXITSTATUS(reap(others[i])), 1);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(neighbours, stranger_reaped_by_its_owner_is_no_event)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    for (int i = 0; i < 20; i++) {
        reap(start_child_exit(i));
        expect_quiet(x);
    }
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, NULL);
    close_gate(&gate);
    exitfd_close(x);
}

/* A second thread that lets a watched child exit while the test's thread sleeps
   in a system call of its own. */
struct meanwhile {
    pthread_t thread;
    pid_t sleeper;
    int exitfd_fd;
    const struct gate *gate;
    const struct gate *wake;
    bool as_planned;
};

static void *exit_meanwhile(void *arg)
{
    struct meanwhile *me = arg;
    struct pollfd item = { .fd = me->exitfd_fd, .events = POLLIN };
    me->as_planned = wait_until_asleep(me->sleeper) && write(me->gate->go_end, "", 1) == 1 &&
                     poll(&item, 1, DEADLINE_MS) == 1 && wait_until_asleep(me->sleeper) &&
                     write(me->wake->go_end, "", 1) == 1;
    return NULL;
}

static void start_meanwhile(struct meanwhile *me)
{
    sigset_t all, before;
    sigfillset(&all);
    me->sleeper = own_tid();
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK_EQ(pthread_create(&me->thread, NULL, exit_meanwhile, me), 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static ssize_t read_byte(int fd)
{
    char byte;
    return read(fd, &byte, 1);
}

static ssize_t poll_for_byte(int fd)
{
    struct pollfd item = { .fd = fd, .events = POLLIN };
    return poll(&item, 1, DEADLINE_MS);
}

static void sleep_through_exits(ssize_t (*sleep_in)(int fd))
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    for (int i = 0; i < 10; i++) {
        struct gate wake = open_gate();
        pid_t pid = start_child(&gate, 0);
        CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
        struct meanwhile meanwhile = { .exitfd_fd = exitfd_get_fd(x), .gate = &gate, .wake = &wake };
        start_meanwhile(&meanwhile);
        ssize_t ret = sleep_in(wake.wait_end);
        int error = errno;
        pthread_join(meanwhile.thread, NULL);
        CHECK(meanwhile.as_planned);
        CHECK_EQ(ret, 1, "interrupted: %s", strerror(error));
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, 0, NULL);
        close_gate(&wake);
    }
    close_gate(&gate);
    exitfd_close(x);
}

TEST(neighbours, blocked_read_of_the_host_goes_on)
{
    sleep_through_exits(read_byte);
}

TEST(neighbours, blocked_poll_of_the_host_goes_on)
{
    if (backend_is("self-pipe"))
        SKIP("self-pipe: poll(2) is interrupted by any handler, SA_RESTART or not");
    sleep_through_exits(poll_for_byte);
}

static bool same_signals(const sigset_t *a, const sigset_t *b)
{
    for (int sig = 1; sig <= SIGRTMAX; sig++)
        if (sigismember(a, sig) != sigismember(b, sig))
            return false;
    return true;
}

struct signal_state {
    struct sigaction action;
    sigset_t mask;
};

static struct signal_state signal_state(void)
{
    struct signal_state state;
    CHECK_EQ(sigaction(SIGCHLD, NULL, &state.action), 0);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &state.mask), 0);
    return state;
}

static void expect_signal_state(const struct signal_state *before, const char *when)
{
    const int flags = SA_RESTART | SA_SIGINFO | SA_ONSTACK | SA_NOCLDSTOP | SA_NOCLDWAIT | SA_NODEFER;
    struct signal_state now = signal_state();
    CHECK_EQ(now.action.sa_handler, before->action.sa_handler, "another SIGCHLD disposition %s", when);
    CHECK_EQ(now.action.sa_flags & flags, before->action.sa_flags & flags, "other SIGCHLD flags %s", when);
    CHECK(same_signals(&now.action.sa_mask, &before->action.sa_mask), "another mask of the handler %s", when);
    CHECK(same_signals(&now.mask, &before->mask), "another signal mask %s", when);
}

TEST(neighbours, signals_are_as_before_after_close)
{
    struct signal_state before = signal_state();
    for (int i = 0; i < 2; i++) {
        struct exitfd *x = open_exitfd();
        expect_report(x);
        exitfd_close(x);
        expect_signal_state(&before, "after the close");
    }
}

TEST(neighbours, signals_are_left_alone_where_there_are_pidfds)
{
    if (!backend_is("pidfd") && !backend_is("io_uring"))
        SKIP("a SIGCHLD back end");
    struct signal_state before = signal_state();
    struct exitfd *x = open_exitfd();
    expect_signal_state(&before, "after the open");
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    expect_signal_state(&before, "after the add");
    let_through(&gate, 1);
    wait_event(x);
    expect_signal_state(&before, "after the event");
    close_gate(&gate);
    exitfd_close(x);
}

/* How many fds a program executed from here finds open. */
static int count_fds_after_exec(void)
{
    pid_t pid = fork_guarded();
    if (pid == 0) {
        execl(COUNT_FDS, COUNT_FDS, (char *)NULL);
        _exit(255);
    }
    int status = reap(pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) < 200, "%s: status %#x", COUNT_FDS, status);
    return WEXITSTATUS(status);
}

TEST(neighbours, no_fd_survives_exec)
{
    enum {
        children = 5
    };
    struct gate gate = open_gate();
    int before = count_fds_after_exec();
    CHECK(before >= 5, "stdio and the gate");
    struct exitfd *x = open_exitfd();
    CHECK_EQ(count_fds_after_exec(), before, "after the open");
    pid_t pids[children];
    for (int i = 0; i < children; i++) {
        pids[i] = start_child(&gate, 0);
        CHECK_EQ(exitfd_add(x, pids[i], 0, NULL), 0);
    }
    CHECK_EQ(count_fds_after_exec(), before, "with children watched");
    if (!build_is_posix() && have_pidfd()) {
        int pidfd = open_pidfd(pids[0]);
        CHECK_EQ(exitfd_remove(x, pids[0]), 0);
        CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, NULL), 0);
        close(pidfd);
        CHECK_EQ(count_fds_after_exec(), before, "with a pidfd added");
    }
    let_through(&gate, children);
    struct exitfd_event events[children];
    wait_events(x, events, 1);
    CHECK_EQ(count_fds_after_exec(), before, "after an event");
    wait_events(x, events, children - 1);
    exitfd_close(x);
    close_gate(&gate);
}
