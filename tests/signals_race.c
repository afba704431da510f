/* SPDX-License-Identifier: MIT */
/* Another thread that installs its SIGCHLD handler in the middle of ours doing
   so, or of ours going away. */
#include "signals.h"
#include "stand_in.h"
#include "support.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool somebody_is_quicker;
static struct sigaction their_action;
static struct sigaction what_they_found;
static int plain_calls;
static int chaining_calls;
static bool fork_in_write;
static pid_t forked;
static bool interrupt_write;
static sigjmp_buf before_the_handler;

static void count_plain(int sig)
{
    plain_calls += sig == SIGCHLD;
}

static void count_and_chain(int sig, siginfo_t *info, void *context)
{
    chaining_calls++;
    if (what_they_found.sa_flags & SA_SIGINFO)
        what_they_found.sa_sigaction(sig, info, context);
}

static int next_sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
    FIND_NEXT(sigaction);
    return next(sig, action, old);
}

int sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
    if (somebody_is_quicker && sig == SIGCHLD && action != NULL) {
        somebody_is_quicker = false;
        next_sigaction(SIGCHLD, &their_action, &what_they_found);
    }
    return next_sigaction(sig, action, old);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    FIND_NEXT(write);
    if (fork_in_write) {
        fork_in_write = false;
        forked = fork_guarded();
    }
    if (interrupt_write) {
        interrupt_write = false;
        raise(SIGUSR1);
    }
    return next(fd, bytes, size);
}

static void let_somebody_be_quicker(void)
{
    their_action = (struct sigaction){ .sa_handler = count_plain, .sa_flags = SA_RESTART };
    sigemptyset(&their_action.sa_mask);
    somebody_is_quicker = true;
}

static void expect_theirs_in_place(void)
{
    CHECK(!somebody_is_quicker, "the library never set a disposition");
    CHECK_EQ(current_disposition().sa_handler, their_action.sa_handler, "clobbered");
}

TEST(race, a_handler_installed_while_ours_goes_is_not_clobbered)
{
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    let_somebody_be_quicker();
    exitfd_close(x);
    expect_theirs_in_place();
}

TEST(race, a_handler_installed_while_the_primitive_goes_is_not_clobbered)
{
    struct wakeup wakeup = open_wakeup();
    install(wakeup.write_end);
    let_somebody_be_quicker();
    install(-1);
    expect_theirs_in_place();
    close_wakeup(&wakeup);
}

TEST(race, a_handler_installed_while_ours_comes_is_chained_to_and_put_back)
{
    unblock_sigchld();
    let_somebody_be_quicker();
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    expect_served(x, 1);
    CHECK_EQ(plain_calls, 1);
    exitfd_close(x);
    expect_theirs_in_place();
}

/* The same handler is installed anew when stops are asked for. */
TEST(race, a_handler_installed_while_ours_learns_of_stops_is_not_clobbered)
{
    unblock_sigchld();
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 5);
    let_somebody_be_quicker();
    CHECK_EQ(exitfd_add(x, pid, EXITFD_STOPPED, NULL), 0);
    expect_theirs_in_place();
    let_through(&gate, 1);
    wait_until_zombie(pid);
    struct exitfd_event event;
    int ret = exitfd_wait(x, &event, 1, 0);
    if (ret == -EPIPE)
        ret = exitfd_wait(x, &event, 1, 0);
    CHECK_EQ(ret, 1);
    expect_exited(&event, pid, 5, NULL);
    close_gate(&gate);
    exitfd_close(x);
    expect_theirs_in_place();
}

/* Theirs calls ours, which must not come to call theirs. */
TEST(race, one_installed_while_ours_goes_may_chain_to_it_and_be_chained_to)
{
    unblock_sigchld();
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    their_action = (struct sigaction){ .sa_sigaction = count_and_chain, .sa_flags = SA_RESTART | SA_SIGINFO };
    sigemptyset(&their_action.sa_mask);
    somebody_is_quicker = true;
    exitfd_close(x);
    expect_theirs_in_place();
    x = open_exitfd_flags(EXITFD_SELFPIPE);
    expect_served(x, 2);
    CHECK_EQ(chaining_calls, 1);
    exitfd_close(x);
    expect_theirs_in_place();
}

static void leave_by_longjmp(int sig)
{
    siglongjmp(before_the_handler, sig);
}

/* As a command line that is interrupted does. What it interrupted must not be
   waited for by the close. */
TEST(race, a_handler_that_interrupts_ours_may_leave_by_siglongjmp)
{
    unblock_sigchld();
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    struct sigaction leave = { .sa_handler = leave_by_longjmp };
    CHECK_EQ(next_sigaction(SIGUSR1, &leave, NULL), 0);
    volatile bool left = false;
    if (sigsetjmp(before_the_handler, 1) == 0) {
        interrupt_write = true;
        send_sigchld();
    } else {
        left = true;
    }
    CHECK(left && !interrupt_write, "nothing was interrupted");
    alarm(120);
    exitfd_close(x);
    pid_t pid = fork_guarded();
    if (pid == 0)
        _exit(0);
    CHECK_EQ(reap(pid), 0);
    alarm(0);
}

/* As a handler of the application that interrupts ours would. */
TEST(race, a_fork_in_the_middle_of_the_handler_leaves_the_child_able_to_close)
{
    unblock_sigchld();
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    fork_in_write = true;
    send_sigchld();
    CHECK(!fork_in_write, "the handler wrote nothing");
    if (forked == 0) {
        alarm(120);
        exitfd_close(x);
        _exit(0);
    }
    CHECK_EQ(reap(forked), 0, "the child hung in exitfd_close");
    exitfd_close(x);
}
