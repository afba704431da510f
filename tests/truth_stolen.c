/* SPDX-License-Identifier: MIT */
/* Other code reaps a watched child: before, during and after our wake-up. */
#include "truth_inject.h"
#include "truth_support.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>

static pid_t victim;

static void steal_victim(void)
{
    steal(victim);
}

static pid_t add_gated(struct exitfd *x, const struct gate *gate, int ending)
{
    pid_t pid = start_child(gate, ending);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    return pid;
}

static void expect_gone(struct exitfd *x, pid_t pid)
{
    expect_quiet(x);
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), -ESRCH);
}

static void stolen_before_we_look(bool by_name)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_gated(x, &gate, 7);
    let_through(&gate, 1);
    CHECK_EQ(steal(by_name ? pid : -1), 7 << 8);
    struct exitfd_event event = wait_event(x);
    expect_stolen(&event, pid, CLD_EXITED, 7, x);
    expect_gone(x, pid);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stolen, by_waitpid_any_before_our_check)
{
    stolen_before_we_look(false);
}

TEST(stolen, by_waitpid_of_its_pid_before_our_check)
{
    stolen_before_we_look(true);
}

static void stolen_by_a_thread(bool by_name)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_gated(x, &gate, 8);
    struct reaper *reaper = start_reaper(by_name ? pid : -1);
    let_through(&gate, 1);
    CHECK_EQ(join_reaper(reaper), 8 << 8);
    struct exitfd_event event = wait_event(x);
    expect_stolen(&event, pid, CLD_EXITED, 8, x);
    expect_gone(x, pid);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stolen, by_a_thread_asleep_in_waitpid_any)
{
    stolen_by_a_thread(false);
}

TEST(stolen, by_a_thread_asleep_in_waitpid_of_its_pid)
{
    stolen_by_a_thread(true);
}

TEST(stolen, between_our_wake_up_and_our_wait)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_gated(x, &gate, 9);
    let_through(&gate, 1);
    wait_until_zombie(pid);
    wait_readable(exitfd_get_fd(x));
    CHECK_EQ(steal(-1), 9 << 8);
    struct exitfd_event event = wait_event(x);
    expect_stolen(&event, pid, CLD_EXITED, 9, x);
    expect_gone(x, pid);
    close_gate(&gate);
    exitfd_close(x);
}

static void stolen_inside_our_wait(void (**hook)(void))
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    victim = add_gated(x, &gate, 10);
    let_through(&gate, 1);
    wait_until_zombie(victim);
    *hook = steal_victim;
    struct exitfd_event event = wait_event(x);
    if (*hook != NULL) {
        *hook = NULL;
        expect_exited(&event, victim, 10, x);
    } else {
        expect_stolen(&event, victim, CLD_EXITED, 10, x);
    }
    expect_gone(x, victim);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stolen, just_before_our_reap)
{
    stolen_inside_our_wait(&before_reaping);
}

TEST(stolen, just_before_our_peek)
{
    stolen_inside_our_wait(&before_looking);
}

static struct exitfd *other;

static void let_the_other_look(void)
{
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(other, &event, 1, 0), 0);
}

/* Reaps are told apart by sums, and while one of ours is not in both of them
   they do not agree. */
TEST(stolen, after_another_exitfd_had_looked_in_the_middle_of_a_reap)
{
    enum {
        SIBLINGS = 8
    };
    if (build_is_posix())
        SKIP("the posix build reaps by wait4, where nothing can be put in between");
    struct exitfd *x = open_for_truth(), *reaping = open_exitfd();
    struct gate gate = open_gate(), stolen_gate = open_gate(), siblings_gate = open_gate();
    pid_t siblings[SIBLINGS], pid = add_gated(x, &stolen_gate, 19), reaped = add_gated(reaping, &gate, 18);
    for (int i = 0; i < SIBLINGS; i++)
        siblings[i] = add_gated(x, &siblings_gate, 0);
    expect_quiet(x);
    let_through(&gate, 1);
    wait_until_zombie(reaped);
    wait_readable(exitfd_get_fd(reaping));
    other = x;
    after_reaping = let_the_other_look;
    struct exitfd_event event = wait_event(reaping);
    expect_exited(&event, reaped, 18, reaping);
    CHECK(after_reaping == NULL, "the other did not look");
    let_through(&stolen_gate, 1);
    CHECK_EQ(steal(-1), 19 << 8);
    wait_readable(exitfd_get_fd(x));
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
    expect_stolen(&event, pid, CLD_EXITED, 19, x);
    exitfd_close(reaping);
    exitfd_close(x);
    let_through(&siblings_gate, SIBLINGS);
    for (int i = 0; i < SIBLINGS; i++)
        reap(siblings[i]);
    close_gate(&gate);
    close_gate(&stolen_gate);
    close_gate(&siblings_gate);
}

TEST(stolen, just_before_an_observers_peek)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    victim = start_child(&gate, 11);
    CHECK_EQ(exitfd_add(x, victim, EXITFD_OBSERVE, x), 0);
    let_through(&gate, 1);
    wait_until_zombie(victim);
    before_looking = steal_victim;
    struct exitfd_event event = wait_event(x);
    CHECK(before_looking == NULL);
    expect_stolen(&event, victim, CLD_EXITED, 11, x);
    expect_gone(x, victim);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stolen, after_the_event_there_is_nothing_to_steal)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_gated(x, &gate, 12);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 12, x);
    CHECK_EQ(waitpid(pid, NULL, 0), -1);
    CHECK_EQ(errno, ECHILD);
    expect_gone(x, pid);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stolen, before_the_add_is_ESRCH)
{
    struct exitfd *x = open_for_truth();
    pid_t pid = start_child_exit(13);
    steal(-1);
    CHECK_EQ(exitfd_add(x, pid, 0, x), -ESRCH);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_OBSERVE, x), -ESRCH);
    expect_quiet(x);
    exitfd_close(x);
}

/* Blocked in exitfd_wait while a thread is blocked in waitpid for the same
   child: no hang. */
TEST(stolen, while_we_are_blocked)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_gated(x, &gate, 14);
    struct reaper *reaper = start_reaper(pid);
    let_through(&gate, 1);
    struct exitfd_event event;
    int ret;
    do
        ret = wait_blocked(x, &event);
    while (ret == -EINTR);
    CHECK_EQ(ret, 1, "exitfd_wait: %d", ret);
    /* Who of the two was first is the kernel's affair, and only one of them
       was. */
    if (join_reaper(reaper) == -1)
        expect_exited(&event, pid, 14, x);
    else
        expect_stolen(&event, pid, CLD_EXITED, 14, x);
    expect_gone(x, pid);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stolen, a_child_that_a_signal_killed)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_gated(x, &gate, -SIGKILL);
    let_through(&gate, 1);
    CHECK_EQ(steal(-1), SIGKILL);
    struct exitfd_event event = wait_event(x);
    expect_stolen(&event, pid, CLD_KILLED, SIGKILL, x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stolen, a_child_that_dumped_core)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    char dir[] = "/tmp/exitfd-core.XXXXXX";
    CHECK(mkdtemp(dir) != NULL);
    pid_t pid = fork_guarded();
    if (pid == 0) {
        struct rlimit limit = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
        setrlimit(RLIMIT_CORE, &limit);
        signal(SIGQUIT, SIG_DFL); /* ignored by children of a shell's background job */
        wait_behind(&gate);
        if (chdir(dir) == 0)
            kill(getpid(), SIGQUIT);
        _exit(1);
    }
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    let_through(&gate, 1);
    int status = steal(-1);
    CHECK(WIFSIGNALED(status));
    struct exitfd_event event = wait_event(x);
    expect_stolen(&event, pid, WCOREDUMP(status) ? CLD_DUMPED : CLD_KILLED, SIGQUIT, x);
    char command[64];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    CHECK_EQ(system(command), 0);
    close_gate(&gate);
    exitfd_close(x);
    if (!WCOREDUMP(status))
        SKIP("this machine dumps no core (ulimit -Hc, or kernel.core_pattern): only CLD_KILLED was seen");
}

/* The foreign reaper takes every other one: each event once, each with the
   status of its own child. */
TEST(stolen, every_second_one_of_many)
{
    enum {
        COUNT = 200
    };
    static struct exitfd_event events[COUNT];
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pids[COUNT];
    bool seen[COUNT] = { false };
    for (int i = 0; i < COUNT; i++) {
        pids[i] = start_child(&gate, i);
        CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
    }
    let_through(&gate, COUNT);
    for (int i = 0; i < COUNT; i += 2)
        CHECK_EQ(steal(pids[i]), i << 8);
    wait_events(x, events, COUNT);
    for (int n = 0; n < COUNT; n++) {
        ptrdiff_t i = (pid_t *)events[n].data - pids;
        CHECK(!seen[i], "two events of child %td", i);
        seen[i] = true;
        if (i % 2 == 0)
            expect_stolen(&events[n], pids[i], CLD_EXITED, (int)i, &pids[i]);
        else
            expect_exited(&events[n], pids[i], (int)i, &pids[i]);
    }
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* Its siblings live on and no zombie is left to be found. SIGCHLD came once,
   and is the only sign. */
TEST(stolen, one_of_many_that_live_on)
{
    enum {
        SIBLINGS = 30
    };
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate(), siblings_gate = open_gate();
    pid_t siblings[SIBLINGS];
    for (int i = 0; i < SIBLINGS; i++)
        siblings[i] = add_gated(x, &siblings_gate, 18);
    pid_t pid = add_gated(x, &gate, 19);
    let_through(&gate, 1);
    CHECK_EQ(steal(-1), 19 << 8);
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
    expect_stolen(&event, pid, CLD_EXITED, 19, x);
    let_through(&siblings_gate, SIBLINGS);
    for (int i = 0; i < SIBLINGS; i++) {
        event = wait_event(x);
        expect_exited(&event, event.pid, 18, x);
        CHECK_EQ(exitfd_remove(x, event.pid), -ENOENT);
    }
    for (int i = 0; i < SIBLINGS; i++)
        CHECK(!is_child(siblings[i]));
    expect_quiet(x);
    close_gate(&gate);
    close_gate(&siblings_gate);
    exitfd_close(x);
}

TEST(stolen, a_discarded_child_leaves_nothing_behind)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_gated(x, &gate, 15);
    CHECK_EQ(exitfd_discard(x, pid), 0);
    let_through(&gate, 1);
    CHECK_EQ(steal(-1), 15 << 8);
    wait_readable(exitfd_get_fd(x));
    expect_no_spin(x);
    expect_gone(x, pid);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stolen, kill_says_ESRCH_and_the_event_still_comes)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_gated(x, &gate, 16);
    let_through(&gate, 1);
    steal(-1);
    CHECK_EQ(exitfd_kill(x, pid, SIGTERM), -ESRCH);
    struct exitfd_event event = wait_event(x);
    expect_stolen(&event, pid, CLD_EXITED, 16, x);
    CHECK_EQ(exitfd_kill(x, pid, SIGTERM), -ENOENT);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stolen, removed_before_our_check_gives_no_event)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = add_gated(x, &gate, 17);
    let_through(&gate, 1);
    steal(-1);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    expect_no_spin(x);
    expect_gone(x, pid);
    close_gate(&gate);
    exitfd_close(x);
}
