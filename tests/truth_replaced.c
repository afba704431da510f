/* SPDX-License-Identifier: MIT */
/* Other code replaces our SIGCHLD handler (self-pipe) or unblocks SIGCHLD
   (signalfd) after exitfd_open. */
#include "truth_support.h"

#include <pthread.h>
#include <stdatomic.h>

static struct sigaction chained;

static void chaining_handler(int sig, siginfo_t *info, void *context)
{
    atomic_fetch_add(&host_calls, 1);
    if (chained.sa_flags & SA_SIGINFO)
        chained.sa_sigaction(sig, info, context);
    else if (chained.sa_handler != SIG_DFL && chained.sa_handler != SIG_IGN)
        chained.sa_handler(sig);
}

/* With a child watched: else there is nothing to miss. */
static void expect_epipe_once(struct exitfd *x)
{
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), backend_is("self-pipe") ? -EPIPE : 0);
    expect_no_event(x);
    expect_no_event(x);
}

static void reported_after_the_handler_became(void (*handler)(int))
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pids[2] = { start_child(&gate, 41), start_child(&gate, 42) };
    CHECK_EQ(exitfd_add(x, pids[0], 0, &pids[0]), 0);
    set_sigchld(handler, SA_RESTART);
    expect_epipe_once(x);
    /* A child added afterwards is no worse off. */
    CHECK_EQ(exitfd_add(x, pids[1], 0, &pids[1]), 0);
    let_through(&gate, 2);
    int epipes = 0;
    for (int n = 0; n < 2; n++) {
        struct exitfd_event event = wait_event_by_calling(x, &epipes);
        int i = event.data == &pids[1];
        expect_exited(&event, pids[i], 41 + i, &pids[i]);
    }
    CHECK_EQ(epipes, 0);
    expect_no_event(x);
    close_gate(&gate);
    exitfd_close(x);
    struct sigaction action;
    sigaction(SIGCHLD, NULL, &action);
    CHECK_EQ(action.sa_handler, handler, "exitfd_close clobbered somebody else's disposition");
}

TEST(replaced, by_another_handler)
{
    reported_after_the_handler_became(host_handler);
}

TEST(replaced, by_SIG_DFL)
{
    reported_after_the_handler_became(SIG_DFL);
}

TEST(replaced, an_event_that_is_due_comes_before_EPIPE)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t dead = start_child_exit(43), alive = start_child(&gate, 43);
    CHECK_EQ(exitfd_add(x, dead, 0, x), 0);
    CHECK_EQ(exitfd_add(x, alive, 0, x), 0);
    wait_until_zombie(dead);
    set_sigchld(host_handler, SA_RESTART);
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
    expect_exited(&event, dead, 43, x);
    expect_epipe_once(x);
    CHECK_EQ(exitfd_remove(x, alive), 0);
    let_through(&gate, 1);
    reap(alive);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(replaced, once_more_after_it_was_put_back)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 45);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    struct sigaction found;
    sigaction(SIGCHLD, NULL, &found);
    for (int round = 0; round < 3; round++) {
        set_sigchld(host_handler, SA_RESTART);
        expect_epipe_once(x);
        sigaction(SIGCHLD, &found, NULL);
        expect_no_event(x);
    }
    /* Put back for a moment in which no call has come. */
    set_sigchld(host_handler, SA_RESTART);
    expect_epipe_once(x);
    sigaction(SIGCHLD, &found, NULL);
    set_sigchld(host_handler, SA_RESTART);
    expect_no_event(x);
    sigaction(SIGCHLD, &found, NULL);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 45, x);
    close_gate(&gate);
    exitfd_close(x);
}

/* No signal says whose turn it is. */
TEST(replaced, one_call_finds_the_child_that_exited_among_many)
{
    enum {
        CHILDREN = 31,
        THE_ONE = 15
    };
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate(), own_gate = open_gate();
    pid_t pids[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        pids[i] = start_child(i == THE_ONE ? &own_gate : &gate, 53);
        CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
    }
    set_sigchld(host_handler, SA_RESTART);
    expect_epipe_once(x);
    let_through(&own_gate, 1);
    wait_until_zombie(pids[THE_ONE]);
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
    expect_exited(&event, pids[THE_ONE], 53, &pids[THE_ONE]);
    exitfd_close(x);
    let_through(&gate, CHILDREN - 1);
    for (int i = 0; i < CHILDREN; i++)
        if (i != THE_ONE)
            reap(pids[i]);
    close_gate(&gate);
    close_gate(&own_gate);
}

TEST(replaced, every_exitfd_says_EPIPE)
{
    struct exitfd *xs[2] = { open_for_truth(), open_for_truth() };
    struct gate gate = open_gate();
    pid_t pids[2] = { start_child(&gate, 44), start_child(&gate, 44) };
    for (int i = 0; i < 2; i++)
        CHECK_EQ(exitfd_add(xs[i], pids[i], 0, xs[i]), 0);
    set_sigchld(host_handler, SA_RESTART);
    expect_epipe_once(xs[0]);
    expect_epipe_once(xs[1]);
    let_through(&gate, 2);
    for (int i = 0, epipes = 0; i < 2; i++) {
        struct exitfd_event event = wait_event_by_calling(xs[i], &epipes);
        expect_exited(&event, pids[i], 44, xs[i]);
    }
    close_gate(&gate);
    exitfd_close(xs[0]);
    exitfd_close(xs[1]);
}

TEST(replaced, by_a_handler_that_chains_the_fd_keeps_working)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 45);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    struct sigaction action = { .sa_sigaction = chaining_handler, .sa_flags = SA_RESTART | SA_SIGINFO };
    sigemptyset(&action.sa_mask);
    CHECK_EQ(sigaction(SIGCHLD, &action, &chained), 0);
    let_through(&gate, 1);
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 45, x);
    CHECK_EQ(atomic_load(&host_calls), backend_is("signalfd") ? 0 : 1);
    close_gate(&gate);
    exitfd_close(x);
}

/* Put back before any call, as if it had not happened. */
TEST(replaced, and_put_back)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 46);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    struct sigaction found, mine = { .sa_handler = host_handler };
    sigemptyset(&mine.sa_mask);
    sigaction(SIGCHLD, &mine, &found);
    sigaction(SIGCHLD, &found, NULL);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 46, x);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

struct doorman {
    pthread_t thread;
    pid_t tid;
    struct gate gate;
    void (*misuse)(void); /* done first, unless NULL */
};

static void *let_through_when_asleep(void *arg)
{
    struct doorman *doorman = arg;
    if (!wait_until_asleep(doorman->tid))
        return arg;
    if (doorman->misuse != NULL)
        doorman->misuse();
    if (write(doorman->gate.go_end, "", 1) != 1)
        return arg;
    return NULL;
}

/* The child exits when this thread sleeps in exitfd_wait, and nothing but
   exitfd itself can wake it. */
static void expect_event_while_blocked(struct exitfd *x, void (*misuse)(void))
{
    struct doorman doorman = { .tid = own_tid(), .gate = open_gate() };
    pid_t pid = start_child(&doorman.gate, 47);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    misuse();
    struct exitfd_event event;
    int ret = exitfd_wait(x, &event, 1, 0);
    CHECK(ret == 0 || (ret == -EPIPE && backend_is("self-pipe")));
    CHECK_EQ(pthread_create(&doorman.thread, NULL, let_through_when_asleep, &doorman), 0);
    do
        ret = wait_blocked(x, &event);
    while (ret == -EINTR);
    CHECK_EQ(ret, 1, "exitfd_wait: %d", ret);
    expect_exited(&event, pid, 47, x);
    CHECK_EQ(pthread_join(doorman.thread, NULL), 0);
    close_gate(&doorman.gate);
}

static void install_host_handler(void)
{
    set_sigchld(host_handler, SA_RESTART);
}

static void install_default(void)
{
    set_sigchld(SIG_DFL, 0);
}

TEST(replaced, a_blocked_wait_is_no_hang)
{
    struct exitfd *x = open_for_truth();
    expect_event_while_blocked(x, install_host_handler);
    exitfd_close(x);
}

TEST(replaced, a_blocked_wait_after_SIG_DFL_is_no_hang)
{
    struct exitfd *x = open_for_truth();
    expect_event_while_blocked(x, install_default);
    exitfd_close(x);
}

/* Of a child that needs SIGCHLD, whatever the back end: there is no fd for
   it. */
static pid_t start_without_an_fd(struct exitfd *x, const struct gate *gate, int status)
{
    struct rlimit before = forbid_new_fds();
    pid_t pid = start_child(gate, status);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    allow_new_fds(&before);
    return pid;
}

TEST(replaced, by_SIG_DFL_while_a_wait_sleeps)
{
    struct exitfd *x = open_for_truth();
    struct doorman doorman = { .tid = own_tid(), .gate = open_gate(), .misuse = install_default };
    pid_t pid = start_without_an_fd(x, &doorman.gate, 47);
    struct exitfd_event event;
    int ret;
    CHECK_EQ(pthread_create(&doorman.thread, NULL, let_through_when_asleep, &doorman), 0);
    do
        ret = wait_blocked(x, &event);
    while (ret == -EINTR || ret == -EPIPE);
    CHECK_EQ(ret, 1, "exitfd_wait: %d", ret);
    expect_exited(&event, pid, 47, x);
    CHECK_EQ(pthread_join(doorman.thread, NULL), 0);
    close_gate(&doorman.gate);
    exitfd_close(x);
}

static void skip_where_the_fd_lives_on_sigchld(void)
{
    if (!tracks_by_pidfd())
        SKIP("this back end lives on SIGCHLD: what takes it away is noticed by calls alone");
}

/* The fd may be readable for a look that finds nothing before. */
static void expect_exit_by_polling(struct exitfd *x, pid_t pid, int status)
{
    struct exitfd_event event;
    int ret;
    do {
        wait_readable(exitfd_get_fd(x));
        ret = exitfd_wait(x, &event, 1, 0);
    } while (ret == 0);
    CHECK_EQ(ret, 1, "exitfd_wait: %d", ret);
    expect_exited(&event, pid, status, x);
}

TEST(replaced, by_SIG_DFL_between_calls)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    skip_where_the_fd_lives_on_sigchld();
    pid_t pid = start_without_an_fd(x, &gate, 48);
    expect_no_event(x);
    install_default();
    let_through(&gate, 1);
    wait_until_zombie(pid);
    expect_exit_by_polling(x, pid, 48);
    expect_no_spin(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(replaced, between_calls_and_an_orphan_is_awaited)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    skip_where_the_fd_lives_on_sigchld();
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    pid_t pid = start_child(&gate, 48);
    expect_no_event(x);
    install_default();
    let_through(&gate, 1);
    expect_exit_by_polling(x, pid, 48);
    close_gate(&gate);
    exitfd_close(x);
}

/* On signalfd the header forbids this. The other back ends do not mind. */
TEST(replaced, mask_unblocked_after_open)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 49);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    unblock_sigchld();
    expect_no_event(x);
    let_through(&gate, 1);
    wait_until_zombie(pid);
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 49, x);
    expect_no_spin(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(replaced, mask_unblocked_and_a_blocked_wait)
{
    struct exitfd *x = open_for_truth();
    expect_event_while_blocked(x, unblock_sigchld);
    exitfd_close(x);
}

TEST(replaced, mask_unblocked_and_blocked_again)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pids[2] = { start_child(&gate, 51), start_child(&gate, 51) };
    CHECK_EQ(exitfd_add(x, pids[0], 0, x), 0);
    CHECK_EQ(exitfd_add(x, pids[1], 0, x), 0);
    unblock_sigchld();
    let_through(&gate, 1);
    struct exitfd_event first = wait_event(x), second;
    if (backend_is("signalfd"))
        block_sigchld();
    let_through(&gate, 1);
    second = wait_event(x);
    expect_exited(&first, first.pid, 51, x);
    expect_exited(&second, first.pid == pids[0] ? pids[1] : pids[0], 51, x);
    expect_no_spin(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* A self-pipe in whose process SIGCHLD gets blocked: the handler never runs. */
TEST(replaced, mask_blocked_after_open)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 52);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    block_sigchld();
    let_through(&gate, 1);
    wait_until_zombie(pid);
    int epipes = 0;
    struct exitfd_event event = wait_event_by_calling(x, &epipes);
    expect_exited(&event, pid, 52, x);
    CHECK(epipes <= 1);
    close_gate(&gate);
    exitfd_close(x);
}
