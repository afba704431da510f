/* SPDX-License-Identifier: MIT */
/*
 * The application's own SIGCHLD handler and that of a self-pipe exitfd:
 * installed before ours, after ours, on top of ours while ours goes and comes
 * back.
 */
#include "signals.h"
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static struct {
    int calls;
    siginfo_t info;
    bool had_context;
    sigset_t blocked_meanwhile;
} seen;

static void record(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    seen.calls++;
    seen.info = *info;
    seen.had_context = context != NULL;
    pthread_sigmask(SIG_BLOCK, NULL, &seen.blocked_meanwhile);
}

static int plain_calls;

static void count_plain(int sig)
{
    plain_calls += sig == SIGCHLD;
}

static void set_recording_disposition(int flags)
{
    struct sigaction action = { .sa_sigaction = record, .sa_flags = SA_SIGINFO | flags };
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR1);
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
    memset(&seen, 0, sizeof(seen));
}

static struct exitfd *open_selfpipe(void)
{
    unblock_sigchld();
    return open_exitfd_flags(EXITFD_SELFPIPE);
}

static pid_t watch_exit(struct exitfd *x, int status)
{
    pid_t pid = start_child_exit(status);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    return pid;
}

TEST(coexist, a_handler_found_before_gets_its_siginfo_and_context)
{
    set_recording_disposition(0);
    struct exitfd *x = open_selfpipe();
    pid_t pid = watch_exit(x, 7);
    wait_event(x);
    CHECK_EQ(seen.calls, 1);
    CHECK_EQ(seen.info.si_pid, pid);
    CHECK_EQ(seen.info.si_code, CLD_EXITED);
    CHECK_EQ(seen.info.si_status, 7);
    CHECK(seen.had_context);
    exitfd_close(x);
}

TEST(coexist, a_handler_found_before_without_siginfo_is_called)
{
    set_sigchld(count_plain, SA_RESTART);
    struct exitfd *x = open_selfpipe();
    expect_served(x, 7);
    CHECK_EQ(plain_calls, 1);
    exitfd_close(x);
}

TEST(coexist, what_the_handler_found_wants_blocked_is_blocked_while_it_runs)
{
    set_recording_disposition(0);
    struct exitfd *x = open_selfpipe();
    send_sigchld();
    CHECK_EQ(seen.calls, 1);
    CHECK(sigismember(&seen.blocked_meanwhile, SIGUSR1), "its sa_mask was not in force");
    CHECK(sigismember(&seen.blocked_meanwhile, SIGCHLD), "it could have been entered again");
    sigset_t afterwards;
    pthread_sigmask(SIG_BLOCK, NULL, &afterwards);
    CHECK(!sigismember(&afterwards, SIGUSR1), "its sa_mask stayed in force");
    exitfd_close(x);
}

TEST(coexist, a_handler_found_before_that_wants_stops_still_gets_them)
{
    set_recording_disposition(SA_RESTART);
    struct exitfd *x = open_selfpipe();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    kill(pid, SIGSTOP);
    wait_readable(exitfd_get_fd(x));
    CHECK_EQ(seen.calls, 1);
    CHECK_EQ(seen.info.si_pid, pid);
    CHECK_EQ(seen.info.si_code, CLD_STOPPED);
    kill(pid, SIGKILL);
    reap(pid);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(coexist, a_handler_with_sa_resethand_runs_once)
{
    set_recording_disposition(SA_RESETHAND);
    struct exitfd *x = open_selfpipe();
    expect_served(x, 7);
    expect_served(x, 8);
    CHECK_EQ(seen.calls, 1);
    exitfd_close(x);
    send_sigchld();
    CHECK_EQ(seen.calls, 1, "put back as if it had not run");
}

TEST(coexist, the_handler_found_is_put_back_by_the_last_close_in_either_order)
{
    for (int first_goes_first = 0; first_goes_first <= 1; first_goes_first++) {
        set_recording_disposition(SA_RESTART);
        struct exitfd *first = open_selfpipe(), *second = open_selfpipe();
        struct exitfd *stays = first_goes_first ? second : first;
        exitfd_close(first_goes_first ? first : second);
        expect_served(stays, 1);
        CHECK_EQ(seen.calls, 1);
        exitfd_close(stays);
        CHECK_EQ(current_disposition().sa_sigaction, record);
        CHECK_EQ(current_disposition().sa_flags & SA_RESTART, SA_RESTART);
    }
}

TEST(coexist, sig_ign_is_put_back)
{
    set_sigchld(SIG_IGN, 0);
    struct exitfd *x = open_selfpipe();
    expect_served(x, 4);
    exitfd_close(x);
    CHECK_EQ(current_disposition().sa_handler, SIG_IGN);
    set_sigchld(SIG_DFL, 0);
}

TEST(coexist, a_handler_that_replaces_ours_is_reported_once_and_never_clobbered)
{
    struct exitfd *x = open_selfpipe();
    set_sigchld(count_plain, SA_RESTART);

    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 6);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), -EPIPE);
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0, "reported twice");

    let_through(&gate, 1);
    wait_until_zombie(pid);
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1, "not reported by the next exitfd_wait");
    expect_exited(&event, pid, 6, NULL);
    CHECK_EQ(plain_calls, 1);

    exitfd_close(x);
    CHECK_EQ(current_disposition().sa_handler, count_plain, "clobbered");
    close_gate(&gate);
}

TEST(coexist, nor_is_it_by_the_close_of_one_of_two)
{
    struct exitfd *first = open_selfpipe(), *second = open_selfpipe();
    set_sigchld(count_plain, SA_RESTART);
    exitfd_close(first);
    CHECK_EQ(current_disposition().sa_handler, count_plain, "clobbered by the first close");
    exitfd_close(second);
    CHECK_EQ(current_disposition().sa_handler, count_plain, "clobbered by the second close");
}

TEST(coexist, a_replaced_handler_is_reported_once_however_many_children_come_after)
{
    struct exitfd *x = open_selfpipe();
    struct gate gate = open_gate();
    int reported = 0;
    set_sigchld(count_plain, SA_RESTART);
    for (int status = 0; status < 3; status++) {
        struct exitfd_event event;
        pid_t pid = start_child(&gate, status);
        CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
        reported += exitfd_wait(x, &event, 1, 0) == -EPIPE;
        let_through(&gate, 1);
        wait_until_zombie(pid);
        CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
        reported += exitfd_wait(x, &event, 1, 0) == -EPIPE;
    }
    CHECK_EQ(reported, 1, "reported %d times", reported);
    exitfd_close(x);
    close_gate(&gate);
}

TEST(coexist, a_replaced_handler_is_no_reason_to_lose_an_exit_from_before)
{
    struct exitfd *x = open_selfpipe();
    pid_t pid = watch_exit(x, 6);
    wait_until_zombie(pid);
    set_sigchld(SIG_DFL, 0);
    struct exitfd_event event;
    int ret = exitfd_wait(x, &event, 1, 0);
    if (ret == -EPIPE)
        ret = exitfd_wait(x, &event, 1, 0);
    CHECK_EQ(ret, 1);
    expect_exited(&event, pid, 6, NULL);
    exitfd_close(x);
}

/* Handlers that chain to what they found, one on top of the other. */
#define MOST_TOPS 6

static struct sigaction below[MOST_TOPS];
static int top_calls[MOST_TOPS];

static void call_what_was_found(const struct sigaction *found, int sig, siginfo_t *info, void *context)
{
    if (found->sa_flags & SA_SIGINFO)
        found->sa_sigaction(sig, info, context);
    else if (found->sa_handler != SIG_DFL && found->sa_handler != SIG_IGN)
        found->sa_handler(sig);
}

#define TOP(n)                                                                                                         \
    static void top_##n(int sig, siginfo_t *info, void *context)                                                       \
    {                                                                                                                  \
        top_calls[n]++;                                                                                                \
        call_what_was_found(&below[n], sig, info, context);                                                            \
    }
TOP(0)
TOP(1)
TOP(2)
TOP(3)
TOP(4)
TOP(5)

static void (*const tops[MOST_TOPS])(int, siginfo_t *, void *) = { top_0, top_1, top_2, top_3, top_4, top_5 };

static void put_on_top(int n)
{
    struct sigaction action = { .sa_sigaction = tops[n], .sa_flags = SA_SIGINFO | SA_RESTART };
    sigemptyset(&action.sa_mask);
    CHECK_EQ(sigaction(SIGCHLD, &action, &below[n]), 0);
}

/* Each handler of the application is called once for one SIGCHLD, however they
   and ours are stacked. */
static void expect_each_called_once(int tops_in_place)
{
    memset(top_calls, 0, sizeof(top_calls));
    plain_calls = 0;
    send_sigchld();
    CHECK_EQ(plain_calls, 1, "the handler at the bottom was called %d times", plain_calls);
    for (int n = 0; n < tops_in_place; n++)
        CHECK_EQ(top_calls[n], 1, "top %d was called %d times", n, top_calls[n]);
}

/* exitfd cannot know whether the one on top chains, and may say so once. */
static void expect_served_from_below(struct exitfd *x, int status, bool may_be_reported)
{
    struct gate gate = open_gate();
    struct exitfd_event event;
    pid_t pid = start_child(&gate, status);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    int ret = exitfd_wait(x, &event, 1, 0);
    CHECK(ret == 0 || (ret == -EPIPE && may_be_reported), "exitfd_wait: %d", ret);
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 0, "reported twice");
    CHECK(!is_readable(exitfd_get_fd(x)));
    let_through(&gate, 1);
    event = wait_event(x);
    expect_exited(&event, pid, status, NULL);
    close_gate(&gate);
}

TEST(coexist, a_handler_on_top_that_chains_to_ours_disturbs_nothing)
{
    set_sigchld(count_plain, SA_RESTART);
    struct exitfd *x = open_selfpipe();
    put_on_top(0);
    expect_each_called_once(1);
    expect_served_from_below(x, 3, true);
    expect_served_from_below(x, 4, false);
    exitfd_close(x);
    CHECK_EQ(current_disposition().sa_sigaction, top_0, "clobbered");
}

TEST(coexist, closed_under_a_handler_that_chains_ours_passes_on)
{
    set_sigchld(count_plain, SA_RESTART);
    struct exitfd *x = open_selfpipe();
    put_on_top(0);
    exitfd_close(x);
    expect_each_called_once(1);
}

TEST(coexist, reopened_under_a_handler_that_chains_everybody_is_called_once)
{
    set_sigchld(count_plain, SA_RESTART);
    exitfd_close(open_selfpipe());
    struct exitfd *x = open_selfpipe();
    put_on_top(0);
    exitfd_close(x);
    x = open_selfpipe();
    expect_each_called_once(1);
    expect_served(x, 3);
    exitfd_close(x);
    expect_each_called_once(1);
}

TEST(coexist, a_top_that_takes_itself_off_again_leaves_ours_at_work)
{
    set_sigchld(count_plain, SA_RESTART);
    struct exitfd *x = open_selfpipe();
    put_on_top(0);
    CHECK_EQ(sigaction(SIGCHLD, &below[0], NULL), 0);
    expect_served(x, 3);
    exitfd_close(x);
    CHECK_EQ(current_disposition().sa_handler, count_plain);
}

/* Closed and opened again under one more handler each time: called once each,
   or refused, never an endless chain. */
TEST(coexist, any_number_of_tops_is_served_or_refused_with_eagain)
{
    set_sigchld(count_plain, SA_RESTART);
    int in_place = 0;
    for (; in_place < MOST_TOPS; in_place++) {
        struct exitfd *x = NULL;
        unblock_sigchld();
        int ret = exitfd_open(&x, EXITFD_SELFPIPE);
        if (ret == -EAGAIN)
            break;
        CHECK_EQ(ret, 0, "exitfd_open: %s", strerror(-ret));
        expect_each_called_once(in_place);
        expect_served(x, in_place);
        put_on_top(in_place);
        expect_each_called_once(in_place + 1);
        expect_served_from_below(x, in_place, true);
        exitfd_close(x);
        expect_each_called_once(in_place + 1);
    }
    CHECK(in_place >= 3, "refused after %d", in_place);
    if (in_place < MOST_TOPS)
        CHECK_EQ(exitfd_install_handler(STDOUT_FILENO, NULL), -EAGAIN);
    expect_each_called_once(in_place);
}

/* On every back end: what the application installs stays the application's, and
   no exit is lost. */
TEST(coexist, an_application_that_counts_sigchlds_still_counts_them_all)
{
    set_sigchld(count_plain, SA_RESTART);
    struct exitfd *x = open_exitfd();
    bool delivered = !backend_is("signalfd");
    for (int status = 1; status <= 5; status++)
        expect_served(x, status);
    CHECK_EQ(plain_calls, delivered ? 5 : 0);
    exitfd_close(x);
    CHECK_EQ(current_disposition().sa_handler, count_plain);
}
