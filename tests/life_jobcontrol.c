/* SPDX-License-Identifier: MIT */
/* EXITFD_STOPPED and EXITFD_CONTINUED: in order, the latest state only, and
   never instead of the exit. */
#include "life_support.h"

#include <fcntl.h>

enum {
    BOTH = EXITFD_STOPPED | EXITFD_CONTINUED
};

extern char **environ;

static void expect_stopped(struct exitfd *x, pid_t pid)
{
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_STOPPED, SIGSTOP, EXITFD_PEEKED, x);
}

static void expect_continued(struct exitfd *x, pid_t pid)
{
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_CONTINUED, SIGCONT, EXITFD_PEEKED, x);
}

static void kill_and_expect(struct exitfd *x, pid_t pid)
{
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    expect_quiet_soon(x);
}

TEST(jobcontrol, stop_continue_and_exit_come_in_order)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, BOTH);
    expect_quiet_soon(x);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(exitfd_kill(x, pid, SIGSTOP), 0);
        expect_stopped(x, pid);
        expect_quiet_soon(x);
        CHECK_EQ(exitfd_kill(x, pid, SIGCONT), 0);
        expect_continued(x, pid);
        expect_quiet_soon(x);
    }
    kill_and_expect(x, pid);
    exitfd_close(x);
}

TEST(jobcontrol, the_status_is_the_signal_that_stopped_it)
{
    struct exitfd *x = open_exitfd();
    int signals[] = { SIGTSTP, SIGTTIN, SIGTTOU, SIGSTOP };
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        struct gate gate = open_gate();
        pid_t pid = fork_guarded();
        if (pid == 0) {
            setpgid(0, 0);
            let_through(&gate, 1);
            for (;;)
                pause();
        }
        wait_behind(&gate);
        CHECK_EQ(exitfd_add(x, pid, EXITFD_STOPPED, x), 0);
        CHECK_EQ(exitfd_kill(x, pid, signals[i]), 0);
        struct exitfd_event event = wait_event(x);
        expect_event(&event, pid, CLD_STOPPED, signals[i], EXITFD_PEEKED, x);
        kill_and_expect(x, pid);
        close_gate(&gate);
    }
    exitfd_close(x);
}

TEST(jobcontrol, only_what_was_asked_for_is_reported)
{
    struct exitfd *x = open_exitfd();
    pid_t neither = watch_paused(x, 0), stops = watch_paused(x, EXITFD_STOPPED),
          continues = watch_paused(x, EXITFD_CONTINUED);
    pid_t all[] = { neither, stops, continues };
    for (int i = 0; i < 3; i++)
        stop_child(all[i]);
    expect_stopped(x, stops);
    expect_quiet_soon(x);
    for (int i = 0; i < 3; i++)
        continue_child(all[i]);
    expect_continued(x, continues);
    expect_quiet_soon(x);
    for (int i = 0; i < 3; i++)
        kill_and_expect(x, all[i]);
    exitfd_close(x);
}

TEST(jobcontrol, a_child_stopped_and_continued_unseen_gives_the_continue_alone)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, BOTH);
    for (int i = 0; i < 5; i++) {
        stop_child(pid);
        continue_child(pid);
    }
    expect_continued(x, pid);
    expect_quiet_soon(x);
    kill_and_expect(x, pid);
    exitfd_close(x);
}

TEST(jobcontrol, a_child_continued_and_stopped_unseen_gives_the_stop_alone)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, BOTH);
    stop_child(pid);
    expect_stopped(x, pid);
    continue_child(pid);
    stop_child(pid);
    expect_stopped(x, pid);
    expect_quiet_soon(x);
    kill_and_expect(x, pid);
    exitfd_close(x);
}

TEST(jobcontrol, a_stop_that_is_over_is_not_reported)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, EXITFD_STOPPED);
    stop_child(pid);
    continue_child(pid);
    expect_quiet_soon(x);
    kill_and_expect(x, pid);
    exitfd_close(x);
}

TEST(jobcontrol, one_that_died_meanwhile_gives_only_its_exit)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, BOTH);
    stop_child(pid);
    kill(pid, SIGKILL);
    wait_until_zombie(pid);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    expect_quiet_soon(x);
    exitfd_close(x);
}

TEST(jobcontrol, a_child_that_was_stopped_before_the_add_is_reported)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_paused();
    stop_child(pid);
    CHECK_EQ(exitfd_add(x, pid, BOTH, x), 0);
    expect_stopped(x, pid);
    expect_quiet_soon(x);
    kill_and_expect(x, pid);
    exitfd_close(x);
}

TEST(jobcontrol, an_observer_sees_them_and_the_owner_can_wait_for_them)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = watch_paused(x, EXITFD_OBSERVE | BOTH);
    int status;
    kill(pid, SIGSTOP);
    expect_stopped(x, pid);
    expect_quiet_soon(x);
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    CHECK(WIFSTOPPED(status));
    kill(pid, SIGCONT);
    expect_continued(x, pid);
    expect_quiet_soon(x);
    CHECK_EQ(waitpid(pid, &status, WCONTINUED), pid);
    CHECK(WIFCONTINUED(status));
    kill(pid, SIGKILL);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_PEEKED, x);
    expect_quiet_soon(x);
    reap(pid);
    exitfd_close(x);
}

/* first_observer 0: no watch owns the child, which the test reaps. */
static void all_are_reported_once(int first_observer)
{
    struct exitfd *all[] = { open_exitfd(), open_exitfd(), open_exitfd() };
    pid_t pid = start_paused();
    for (int i = 0; i < 3; i++)
        CHECK_EQ(exitfd_add(all[i], pid, BOTH | (i >= first_observer ? EXITFD_OBSERVE : 0), all[i]), 0);
    for (int round = 0; round < 5; round++) {
        kill(pid, SIGSTOP);
        for (int i = 0; i < 3; i++)
            expect_stopped(all[i], pid);
        kill(pid, SIGCONT);
        for (int i = 3; i-- > 0;)
            expect_continued(all[i], pid);
        for (int i = 0; i < 3; i++)
            expect_quiet_soon(all[i]);
    }
    kill(pid, SIGTERM);
    for (int i = 3; i-- > 0;) {
        struct exitfd_event event = wait_event(all[i]);
        expect_event(&event, pid, CLD_KILLED, SIGTERM, i >= first_observer ? EXITFD_PEEKED : EXITFD_REAPED, all[i]);
        expect_quiet_soon(all[i]);
    }
    if (first_observer == 0)
        reap(pid);
    for (int i = 0; i < 3; i++)
        exitfd_close(all[i]);
}

TEST(jobcontrol, of_several_observers_each_gets_it_once)
{
    all_are_reported_once(0);
}

TEST(jobcontrol, an_owner_and_its_observers_each_get_it_once)
{
    all_are_reported_once(1);
}

TEST(jobcontrol, many_children_at_once_each_report_their_own)
{
    enum {
        CHILDREN = 50
    };
    struct exitfd *x = open_exitfd();
    pid_t pids[CHILDREN];
    struct exitfd_event events[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        pids[i] = watch_paused(x, BOTH);
    int signals[] = { SIGSTOP, SIGCONT, SIGKILL }, codes[] = { CLD_STOPPED, CLD_CONTINUED, CLD_KILLED };
    for (int step = 0; step < 3; step++) {
        for (int i = 0; i < CHILDREN; i++)
            kill(pids[i], signals[step]);
        wait_events(x, events, CHILDREN);
        long long sum = 0;
        for (int i = 0; i < CHILDREN; i++) {
            expect_event(&events[i], events[i].pid, codes[step], signals[step],
                         step < 2 ? EXITFD_PEEKED : EXITFD_REAPED, x);
            sum += events[i].pid - pids[i];
        }
        CHECK_EQ(sum, 0, "somebody was reported twice");
        expect_quiet_soon(x);
    }
    exitfd_close(x);
}

TEST(jobcontrol, beside_a_watch_without_them_in_the_same_exitfd)
{
    struct exitfd *x = open_exitfd();
    pid_t plain = watch_paused(x, 0), with = watch_paused(x, BOTH);
    kill(plain, SIGTERM);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, plain, CLD_KILLED, SIGTERM, EXITFD_REAPED, x);
    kill(with, SIGSTOP);
    expect_stopped(x, with);
    kill_and_expect(x, with);
    exitfd_close(x);
}

TEST(jobcontrol, after_the_last_such_watch_the_handler_is_gone)
{
    struct sigaction before, after;
    struct exitfd *x = open_exitfd();
    sigaction(SIGCHLD, NULL, &before);
    pid_t pid = watch_paused(x, BOTH);
    kill(pid, SIGSTOP);
    expect_stopped(x, pid);
    kill_and_expect(x, pid);
    sigaction(SIGCHLD, NULL, &after);
    CHECK_EQ(before.sa_handler, after.sa_handler);
    exitfd_close(x);
}

TEST(jobcontrol, a_spawned_and_a_forked_child_report_them)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = spawn_shell(x, "kill -STOP $$; exit 3", BOTH, x);
    expect_stopped(x, pid);
    CHECK_EQ(exitfd_kill(x, pid, SIGCONT), 0);
    struct exitfd_event event = wait_event(x);
    if (event.code == CLD_CONTINUED) {
        expect_event(&event, pid, CLD_CONTINUED, SIGCONT, EXITFD_PEEKED, x);
        event = wait_event(x);
    }
    expect_exited(&event, pid, 3, x);
    pid = exitfd_fork(x, EXITFD_STOPPED, x);
    if (pid == 0)
        for (;;)
            pause();
    kill(pid, SIGSTOP);
    expect_stopped(x, pid);
    kill_and_expect(x, pid);
    exitfd_close(x);
}

TEST(jobcontrol, with_sigchld_blocked_in_every_thread_they_still_come)
{
    struct exitfd *x = open_exitfd();
    block_sigchld();
    pid_t pid = watch_paused(x, BOTH);
    kill(pid, SIGSTOP);
    struct exitfd_event event = call_until_event(x);
    expect_event(&event, pid, CLD_STOPPED, SIGSTOP, EXITFD_PEEKED, x);
    kill(pid, SIGKILL);
    event = call_until_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    exitfd_close(x);
}

TEST(jobcontrol, without_signals_they_are_not_to_be_had)
{
    struct exitfd *x = NULL;
    int ret = exitfd_open(&x, EXITFD_NO_SIGNALS);
    if (ret == -ENOTSUP && backend_is("self-pipe"))
        SKIP("EXITFD_NO_SIGNALS: self-pipe cannot do without");
    CHECK_EQ(ret, 0);
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, EXITFD_STOPPED, NULL), -ENOTSUP);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_CONTINUED, NULL), -ENOTSUP);
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT);
    exitfd_close(x);
    kill_and_reap(pid);
}

TEST(jobcontrol, of_a_process_that_is_no_child_they_are_not_to_be_had)
{
    struct exitfd *x = open_exitfd();
    CHECK_EQ(exitfd_add(x, getppid(), EXITFD_OBSERVE | EXITFD_STOPPED, NULL), -ENOTSUP);
    CHECK_EQ(exitfd_add(x, getppid(), EXITFD_OBSERVE | EXITFD_CONTINUED, NULL), -ENOTSUP);
    CHECK_EQ(exitfd_remove(x, getppid()), -ENOENT);
    exitfd_close(x);
}

/* Whom the parent observes is no matter of the child's, whatever becomes of its
   copy. */
TEST(jobcontrol, the_observers_of_a_parent_hide_no_stop_in_its_child)
{
    struct exitfd *x = open_exitfd();
    pid_t observed = watch_paused(x, EXITFD_OBSERVE | EXITFD_STOPPED);
    pid_t pid = fork_guarded();
    if (pid == 0) {
        struct exitfd *own;
        struct exitfd_event event;
        pid_t stopped = fork_guarded();
        while (stopped == 0)
            pause();
        int error = exitfd_open(&own, 0);
        error = error < 0 ? error : exitfd_add(own, stopped, EXITFD_STOPPED, NULL);
        stop_child(stopped);
        int first = error < 0 ? error : exitfd_wait(own, &event, 1, DEADLINE_MS);
        continue_child(stopped);
        stop_child(stopped);
        int second = first != 1 ? first : exitfd_wait(own, &event, 1, DEADLINE_MS);
        kill_and_reap(stopped);
        _exit(second != 1);
    }
    CHECK_EQ(reap(pid), 0);
    CHECK_EQ(exitfd_remove(x, observed), 0);
    exitfd_close(x);
    kill_and_reap(observed);
}

/* As by who ignores SIGCHLD for a while: what he puts back was there before
   stops were asked for. */
TEST(jobcontrol, a_disposition_that_is_put_back_hides_no_stop)
{
    struct exitfd *x = open_exitfd();
    struct sigaction before;
    CHECK_EQ(sigaction(SIGCHLD, NULL, &before), 0);
    pid_t pid = watch_paused(x, BOTH);
    expect_quiet_soon(x);
    CHECK_EQ(sigaction(SIGCHLD, &before, NULL), 0);
    stop_child(pid);
    struct exitfd_event event = call_until_event(x);
    expect_event(&event, pid, CLD_STOPPED, SIGSTOP, EXITFD_PEEKED, x);
    expect_quiet_soon(x);
    continue_child(pid);
    event = call_until_event(x);
    expect_event(&event, pid, CLD_CONTINUED, SIGCONT, EXITFD_PEEKED, x);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    kill_and_reap(pid);
    exitfd_close(x);
}
