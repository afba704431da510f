/* SPDX-License-Identifier: MIT */
/*
 * A watched child under a tracer, in every ending. While a tracer holds the
 * zombie its pidfd is readable and waitid has nothing: no spin, no hang, no
 * event, and the true status once it is ours.
 */
#include "truth_support.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>

enum ending {
    DETACHES,
    EXITS_BEFORE,
    EXITS,
    IS_KILLED,
    REAPS,
    STOPS
};

struct tracer {
    pid_t pid;
    struct gate orders;
    int reports[2];
};

static bool seize(pid_t tracee, long options)
{
    return ptrace(PTRACE_SEIZE, tracee, NULL, options) == 0;
}

static void detach(pid_t tracee)
{
    ptrace(PTRACE_INTERRUPT, tracee, NULL, NULL);
    waitpid(tracee, NULL, __WALL);
    ptrace(PTRACE_DETACH, tracee, NULL, NULL);
}

static void await_its_zombie(pid_t tracee)
{
    siginfo_t info;
    waitid(P_PID, (id_t)tracee, &info, WEXITED | WNOWAIT | __WALL);
}

/* Reports 'a' attached, 'd' detached, 'z' the zombie is held, 'r' reaped, and
   then waits for an order to go on. */
_Noreturn static void trace(const struct tracer *self, pid_t tracee, enum ending ending, long options)
{
    if (!seize(tracee, options)) {
        report(self->reports[1], 'n');
        _exit(0);
    }
    if (ending == STOPS) {
        ptrace(PTRACE_INTERRUPT, tracee, NULL, NULL);
        waitpid(tracee, NULL, __WALL);
    }
    report(self->reports[1], 'a');
    wait_behind(&self->orders);
    if (ending == DETACHES) {
        detach(tracee);
        report(self->reports[1], 'd');
        wait_behind(&self->orders);
    } else if (ending != EXITS_BEFORE) {
        await_its_zombie(tracee);
        report(self->reports[1], 'z');
        wait_behind(&self->orders);
    }
    if (ending == REAPS) {
        waitpid(tracee, NULL, __WALL);
        report(self->reports[1], 'r');
        wait_behind(&self->orders);
    }
    _exit(0);
}

static struct tracer start_tracer(pid_t tracee, enum ending ending, long options)
{
    struct tracer tracer = { .orders = open_gate() };
    CHECK_EQ(pipe(tracer.reports), 0);
    tracer.pid = fork_guarded();
    if (tracer.pid == 0)
        trace(&tracer, tracee, ending, options);
    if (next_report(tracer.reports[0]) != 'a')
        SKIP("ptrace is not permitted here (Yama, or a container without CAP_SYS_PTRACE)");
    return tracer;
}

static void expect_tracer_report(const struct tracer *tracer, char wanted)
{
    CHECK_EQ(next_report(tracer->reports[0]), wanted);
}

static void end_tracer(struct tracer *tracer)
{
    let_through(&tracer->orders, 3);
    reap(tracer->pid);
    close_gate(&tracer->orders);
    close(tracer->reports[0]);
    close(tracer->reports[1]);
}

/* A watched child behind a gate that any tracer may trace. */
static pid_t start_tracee(struct exitfd *x, const struct gate *gate, int status, unsigned flags)
{
    pid_t pid = fork_guarded();
    if (pid == 0) {
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
        wait_behind(gate);
        _exit(status);
    }
    CHECK_EQ(exitfd_add(x, pid, flags, x), 0);
    return pid;
}

static void traced_until_the_tracer(enum ending ending, unsigned flags)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_tracee(x, &gate, 81, flags);
    struct tracer tracer = start_tracer(pid, ending, 0);
    let_through(&tracer.orders, 1);
    if (ending == DETACHES)
        expect_tracer_report(&tracer, 'd');
    else if (ending == EXITS_BEFORE)
        wait_until_zombie(tracer.pid);
    let_through(&gate, 1);
    if (ending != DETACHES && ending != EXITS_BEFORE) {
        expect_tracer_report(&tracer, 'z');
        expect_no_event(x);
        expect_no_spin(x);
        if (ending == IS_KILLED)
            kill(tracer.pid, SIGKILL);
        else
            let_through(&tracer.orders, 1);
        if (ending == REAPS)
            expect_tracer_report(&tracer, 'r');
    }
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_EXITED, 81, flags ? EXITFD_PEEKED : EXITFD_REAPED, x);
    expect_no_spin(x);
    if (flags & EXITFD_HOLD)
        CHECK_EQ(exitfd_remove(x, pid), 0);
    if (flags)
        CHECK_EQ(reap(pid), 81 << 8);
    end_tracer(&tracer);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(ptrace, until_the_tracer_detaches)
{
    traced_until_the_tracer(DETACHES, 0);
}

TEST(ptrace, until_the_tracer_exits_before_the_child)
{
    traced_until_the_tracer(EXITS_BEFORE, 0);
}

TEST(ptrace, until_the_tracer_exits_and_leaves_the_zombie)
{
    traced_until_the_tracer(EXITS, 0);
}

TEST(ptrace, until_the_tracer_is_killed_and_leaves_the_zombie)
{
    traced_until_the_tracer(IS_KILLED, 0);
}

TEST(ptrace, until_the_tracer_reaps)
{
    traced_until_the_tracer(REAPS, 0);
}

TEST(ptrace, an_observer_until_the_tracer_exits)
{
    traced_until_the_tracer(EXITS, EXITFD_OBSERVE);
}

TEST(ptrace, an_observer_until_the_tracer_reaps)
{
    traced_until_the_tracer(REAPS, EXITFD_OBSERVE);
}

TEST(ptrace, a_held_child_until_the_tracer_exits)
{
    traced_until_the_tracer(EXITS, EXITFD_HOLD);
}

TEST(ptrace, a_held_child_until_the_tracer_reaps)
{
    traced_until_the_tracer(REAPS, EXITFD_HOLD);
}

/* One look at the zombie that is not ours yet, and no other call until the fd
   says so. */
TEST(ptrace, looked_at_once_while_the_tracer_holds_the_zombie)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_tracee(x, &gate, 82, 0);
    struct tracer tracer = start_tracer(pid, EXITS, 0);
    let_through(&tracer.orders, 1);
    let_through(&gate, 1);
    expect_tracer_report(&tracer, 'z');
    if (tracks_by_pidfd())
        wait_readable(exitfd_get_fd(x));
    expect_no_event(x);
    let_through(&tracer.orders, 1);
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_EXITED, 82, EXITFD_REAPED, x);
    end_tracer(&tracer);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(ptrace, killed_while_the_tracer_holds_it_stopped)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_tracee(x, &gate, 0, 0);
    struct tracer tracer = start_tracer(pid, STOPS, 0);
    let_through(&tracer.orders, 1);
    expect_no_spin(x);
    CHECK_EQ(exitfd_kill(x, pid, SIGKILL), 0);
    expect_tracer_report(&tracer, 'z');
    expect_no_event(x);
    expect_no_spin(x);
    let_through(&tracer.orders, 1);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    end_tracer(&tracer);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(ptrace, killed_with_its_tracer)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_tracee(x, &gate, 0, 0);
    struct tracer tracer = start_tracer(pid, EXITS_BEFORE, PTRACE_O_EXITKILL);
    let_through(&tracer.orders, 1);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    end_tracer(&tracer);
    close_gate(&gate);
    exitfd_close(x);
}

/* Only the tracer sees the zombie while SIGCHLD is SIG_IGN. When the tracer
   lets go, the kernel reaps it. */
TEST(ptrace, under_SIG_IGN_until_the_tracer_exits)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_tracee(x, &gate, 82, 0);
    struct tracer tracer = start_tracer(pid, EXITS, 0);
    struct sigaction found;
    sigaction(SIGCHLD, NULL, &found);
    set_sigchld(SIG_IGN, 0);
    let_through(&tracer.orders, 1);
    let_through(&gate, 1);
    expect_tracer_report(&tracer, 'z');
    struct exitfd_event event;
    int ret = exitfd_wait(x, &event, 1, 0);
    CHECK(ret == 0 || (ret == -EPIPE && backend_is("self-pipe")));
    expect_no_spin(x);
    let_through(&tracer.orders, 2);
    int epipes = 0;
    event = wait_event_by_calling(x, &epipes);
    expect_stolen(&event, pid, CLD_EXITED, 82, x);
    CHECK_EQ(steal(tracer.pid), -1);
    close_gate(&gate);
    close_gate(&tracer.orders);
    close(tracer.reports[0]);
    close(tracer.reports[1]);
    exitfd_close(x);
}

/* This process is the tracer: a stop of the tracee is no event, and stays ours
   to wait for. */
static void traced_by_ourselves(unsigned flags)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = fork_guarded();
    if (pid == 0) {
        wait_behind(&gate);
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGUSR1);
        _exit(83);
    }
    CHECK_EQ(exitfd_add(x, pid, flags, x), 0);
    let_through(&gate, 1);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
    expect_no_event(x);
    expect_no_spin(x);
    int status;
    CHECK_EQ(waitpid(pid, &status, WNOHANG), pid, "our own ptrace stop was taken from us");
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1);
    CHECK_EQ(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_EXITED, 83, flags & EXITFD_OBSERVE ? EXITFD_PEEKED : EXITFD_REAPED, x);
    if (flags & EXITFD_OBSERVE)
        reap(pid);
    expect_no_spin(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(ptrace, by_ourselves)
{
    traced_by_ourselves(0);
}

TEST(ptrace, by_ourselves_with_stops_asked_for)
{
    traced_by_ourselves(EXITFD_STOPPED | EXITFD_CONTINUED);
}

TEST(ptrace, by_ourselves_an_observer)
{
    traced_by_ourselves(EXITFD_OBSERVE);
}

/* An unwatched tracee of ours, stopped, stands in front of the watched
   child. */
TEST(ptrace, an_unwatched_tracee_of_ours_hides_no_child)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t tracee = fork_guarded();
    if (tracee == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGUSR1);
        _exit(0);
    }
    pid_t pid = start_tracee(x, &gate, 84, 0);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)tracee, &info, WSTOPPED | WNOWAIT), 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 84, x);
    expect_no_spin(x);
    int status;
    CHECK_EQ(waitpid(tracee, &status, WNOHANG), tracee);
    CHECK(WIFSTOPPED(status));
    kill(tracee, SIGKILL);
    reap(tracee);
    close_gate(&gate);
    exitfd_close(x);
}

/* A check for the exit of another child sees the stop. */
TEST(ptrace, by_ourselves_while_another_child_exits)
{
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t tracee = fork_guarded();
    if (tracee == 0) {
        wait_behind(&gate);
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGUSR1);
        _exit(0);
    }
    CHECK_EQ(exitfd_add(x, tracee, 0, x), 0);
    let_through(&gate, 1);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)tracee, &info, WSTOPPED | WNOWAIT), 0);
    for (int i = 0; i < 5; i++) {
        pid_t pid = start_tracee(x, &gate, 86, 0);
        let_through(&gate, 1);
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, 86, x);
        expect_no_spin(x);
    }
    int status;
    CHECK_EQ(waitpid(tracee, &status, WNOHANG), tracee, "our own ptrace stop was taken from us");
    CHECK(WIFSTOPPED(status));
    CHECK_EQ(exitfd_kill(x, tracee, SIGKILL), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, tracee, CLD_KILLED, SIGKILL, EXITFD_REAPED, x);
    close_gate(&gate);
    exitfd_close(x);
}

/* A wait for any child shows its stop, again and again, as if it had exited. */
TEST(ptrace, a_tracee_of_ours_beside_the_catch_all_watch)
{
    alarm(DEADLINE_MS / 1000);
    pid_t tracee = fork_guarded();
    if (tracee == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGUSR1);
        _exit(87);
    }
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)tracee, &info, WSTOPPED | WNOWAIT), 0);
    struct exitfd *x = open_for_truth();
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    expect_no_event(x);
    expect_no_spin(x);
    int status;
    CHECK_EQ(waitpid(tracee, &status, WNOHANG), tracee, "our own ptrace stop was taken from us");
    CHECK(WIFSTOPPED(status));
    CHECK_EQ(ptrace(PTRACE_CONT, tracee, NULL, NULL), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, tracee, 87, x);
    exitfd_close(x);
}

static bool may_seize(pid_t pid)
{
    return ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0;
}

/* Its status is its tracer's until that waits for it, and an orphan behind it
   is found. */
static void expect_passed_over(struct exitfd *x, pid_t tracee, int status)
{
    int wait_status;
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)tracee, &info, WEXITED | WNOWAIT | __WALL), 0);
    expect_no_event(x);
    expect_no_spin(x);
    pid_t pid = start_child_exit(89);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 89, x);
    expect_no_spin(x);
    CHECK_EQ(waitpid(tracee, &wait_status, __WALL | WNOHANG), tracee, "it was taken from its tracer");
    CHECK_EQ(wait_status, status << 8);
}

static void skip_in_the_posix_build(void)
{
    if (build_is_posix())
        SKIP("what this process traces cannot be told from its children in the posix build");
}

TEST(ptrace, a_tracee_of_ours_that_is_no_child_beside_the_catch_all_watch)
{
    skip_in_the_posix_build();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    int ends[2], parent;
    CHECK_EQ(pipe(ends), 0);
    pid_t pid = fork_guarded(), tracee;
    if (pid == 0) {
        tracee = fork_guarded();
        if (tracee == 0) {
            wait_behind(&gate);
            _exit(88);
        }
        if (write(ends[1], &tracee, sizeof tracee) != sizeof tracee)
            _exit(1);
        waitpid(tracee, &parent, 0);
        _exit(WEXITSTATUS(parent));
    }
    CHECK_EQ(exitfd_add(x, pid, 0, &parent), 0);
    CHECK_EQ(read(ends[0], &tracee, sizeof tracee), sizeof tracee);
    bool traced = may_seize(tracee);
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    let_through(&gate, 1);
    if (traced)
        expect_passed_over(x, tracee, 88);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 88, &parent);
    expect_no_spin(x);
    close(ends[0]);
    close(ends[1]);
    close_gate(&gate);
    exitfd_close(x);
    if (!traced)
        SKIP("ptrace is not permitted here (Yama, or a container without CAP_SYS_PTRACE)");
}

struct second_thread {
    struct gate gate;
    int report;
};

static void *tell_and_wait(void *argument)
{
    struct second_thread *thread = argument;
    pid_t tid = own_tid();
    if (write(thread->report, &tid, sizeof tid) == sizeof tid)
        wait_behind(&thread->gate);
    return NULL;
}

TEST(ptrace, a_traced_thread_of_a_child_beside_the_catch_all_watch)
{
    skip_in_the_posix_build();
    struct exitfd *x = open_for_truth();
    struct second_thread thread = { .gate = open_gate() };
    struct gate gate = open_gate();
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    thread.report = ends[1];
    pid_t pid = fork_guarded(), tid;
    if (pid == 0) {
        pthread_t ignored;
        if (pthread_create(&ignored, NULL, tell_and_wait, &thread) != 0)
            _exit(1);
        wait_behind(&gate);
        _exit(90);
    }
    CHECK_EQ(exitfd_add(x, pid, 0, &gate), 0);
    CHECK_EQ(read(ends[0], &tid, sizeof tid), sizeof tid);
    bool traced = may_seize(tid);
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    let_through(&thread.gate, 1);
    if (traced)
        expect_passed_over(x, tid, 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 90, &gate);
    close(ends[0]);
    close(ends[1]);
    close_gate(&gate);
    close_gate(&thread.gate);
    exitfd_close(x);
    if (!traced)
        SKIP("ptrace is not permitted here (Yama, or a container without CAP_SYS_PTRACE)");
}
