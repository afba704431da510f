/* SPDX-License-Identifier: MIT */
/* Children with threads, and thread ids where a pid belongs. */
#include "truth_support.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

struct threaded {
    pid_t pid;
    struct gate gate;
    int reports[2];
    int exec_watch[2];
};

typedef void *(*thread_body)(void *);

/* The leader exits, and only the leader, once the second thread is there. */
_Noreturn static void lead(struct threaded *child, thread_body body, bool leader_exits)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, child) != 0)
        _exit(95);
    if (leader_exits)
        syscall(SYS_exit, 94);
    for (;;)
        pause();
}

static void start_threaded(struct threaded *child, thread_body body, bool leader_exits)
{
    child->gate = open_gate();
    CHECK_EQ(pipe(child->reports), 0);
    CHECK_EQ(pipe2(child->exec_watch, O_CLOEXEC), 0);
    child->pid = fork_guarded();
    if (child->pid == 0)
        lead(child, body, leader_exits);
    close(child->exec_watch[1]);
}

static void end_threaded(struct threaded *child)
{
    close_gate(&child->gate);
    close(child->reports[0]);
    close(child->reports[1]);
    close(child->exec_watch[0]);
}

static pid_t reported_tid(const struct threaded *child)
{
    pid_t tid;
    wait_readable(child->reports[0]);
    CHECK_EQ(read(child->reports[0], &tid, sizeof(tid)), (ssize_t)sizeof(tid));
    return tid;
}

static void report_tid(const struct threaded *child)
{
    pid_t tid = own_tid();
    if (write(child->reports[1], &tid, sizeof(tid)) != sizeof(tid))
        _exit(93);
}

static void *exit_the_group(void *arg)
{
    struct threaded *child = arg;
    report_tid(child);
    wait_behind(&child->gate);
    _exit(91);
}

static int peek_status(pid_t pid)
{
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return info.si_status;
}

static void leader_exits_first(bool stolen, unsigned flags)
{
    struct exitfd *x = open_for_truth();
    struct threaded child;
    start_threaded(&child, exit_the_group, true);
    CHECK_EQ(exitfd_add(x, child.pid, flags, x), 0);
    wait_until_dead(child.pid);
    expect_no_event(x);
    expect_no_spin(x);
    let_through(&child.gate, 1);
    if (stolen)
        CHECK_EQ(steal(-1), 91 << 8);
    struct exitfd_event event = wait_event(x);
    bool observed = flags & EXITFD_OBSERVE;
    int status = observed ? peek_status(child.pid) : 91;
    if (stolen)
        expect_stolen(&event, child.pid, CLD_EXITED, 91, x);
    else
        expect_event(&event, child.pid, CLD_EXITED, status, observed ? EXITFD_PEEKED : EXITFD_REAPED, x);
    if (observed)
        CHECK_EQ(reap(child.pid), 91 << 8);
    expect_no_spin(x);
    end_threaded(&child);
    exitfd_close(x);
    if (status != 91)
        SKIP("before Linux 5.17 waitid with WNOWAIT gives the status of the first thread");
}

TEST(threads, leader_exits_first)
{
    leader_exits_first(false, 0);
}

TEST(threads, leader_exits_first_and_an_observer)
{
    leader_exits_first(false, EXITFD_OBSERVE);
}

TEST(threads, leader_exits_first_and_the_child_is_stolen)
{
    leader_exits_first(true, 0);
}

TEST(threads, leader_is_a_zombie_before_the_add)
{
    struct exitfd *x = open_for_truth();
    struct threaded child;
    start_threaded(&child, exit_the_group, true);
    wait_until_dead(child.pid);
    CHECK_EQ(exitfd_add(x, child.pid, 0, x), 0);
    expect_no_event(x);
    expect_no_spin(x);
    let_through(&child.gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, child.pid, 91, x);
    end_threaded(&child);
    exitfd_close(x);
}

static void *exec_from_here(void *arg)
{
    struct threaded *child = arg;
    char *const argv[] = { "sh", "-c", "read line; exit 92", NULL };
    report_tid(child);
    dup2(child->gate.wait_end, STDIN_FILENO);
    close(child->gate.wait_end);
    close(child->gate.go_end);
    execv("/bin/sh", argv);
    _exit(90);
}

/* The thread that execs takes the leader's place and its pid. */
static void a_thread_execs(bool leader_exits)
{
    struct exitfd *x = open_for_truth();
    struct threaded child;
    start_threaded(&child, exec_from_here, leader_exits);
    CHECK_EQ(exitfd_add(x, child.pid, 0, x), 0);
    pid_t tid = reported_tid(&child);
    wait_readable(child.exec_watch[0]);
    expect_no_event(x);
    expect_no_spin(x);
    CHECK_EQ(kill(child.pid, 0), 0);
    CHECK(tid != child.pid);
    CHECK_EQ(write(child.gate.go_end, "\n", 1), 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, child.pid, 92, x);
    expect_quiet(x);
    end_threaded(&child);
    exitfd_close(x);
}

TEST(threads, another_than_the_leader_execs)
{
    a_thread_execs(false);
}

TEST(threads, another_execs_after_the_leader_exited)
{
    a_thread_execs(true);
}

static int not_a_process(void)
{
    return build_is_posix() ? -ECHILD : -ESRCH;
}

TEST(threads, a_tid_is_no_pid)
{
    struct exitfd *x = open_for_truth();
    struct threaded child;
    start_threaded(&child, exit_the_group, false);
    pid_t tid = reported_tid(&child);
    CHECK_EQ(exitfd_add(x, tid, 0, NULL), not_a_process());
    CHECK_EQ(exitfd_remove(x, tid), -ENOENT);
    CHECK_EQ(exitfd_add(x, child.pid, 0, x), 0);
    let_through(&child.gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, child.pid, 91, x);
    expect_quiet(x);
    end_threaded(&child);
    exitfd_close(x);
}

static void *hand_over_tid(void *arg)
{
    struct threaded *self = arg;
    report_tid(self);
    wait_behind(&self->gate);
    return NULL;
}

TEST(threads, a_tid_of_our_own_is_no_pid)
{
    struct exitfd *x = open_for_truth();
    struct threaded self = { .gate = open_gate() };
    CHECK_EQ(pipe(self.reports), 0);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, hand_over_tid, &self), 0);
    pid_t tid = reported_tid(&self);
    int ret = exitfd_add(x, tid, 0, NULL);
    let_through(&self.gate, 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(ret, not_a_process(), "exitfd_add: %s", strerror(-ret));
    close_gate(&self.gate);
    close(self.reports[0]);
    close(self.reports[1]);
    exitfd_close(x);
}

/* A process that may not signal it gets EPERM, where others get 0. */
TEST(threads, a_tid_of_another_users_process_is_no_pid)
{
    if (geteuid() != 0)
        SKIP("needs root: a process of another user");
    struct exitfd *x = open_for_truth();
    struct threaded child;
    start_threaded(&child, exit_the_group, false);
    pid_t tid = reported_tid(&child);
    pid_t other = fork_guarded();
    if (other == 0) {
        struct exitfd *theirs;
        bool is_other = setresuid(65534, 65534, 65534) == 0 && kill(child.pid, 0) != 0 && errno == EPERM;
        int opened = exitfd_open(&theirs, 0);
        int owned = opened == 0 ? exitfd_add(theirs, tid, 0, NULL) : 0;
        int observed = opened == 0 ? exitfd_add(theirs, tid, EXITFD_OBSERVE, NULL) : 0;
        int not_observable = build_is_posix() ? -ENOTSUP : -ESRCH;
        _exit(!is_other || opened != 0 ? 1 : owned != not_a_process() ? 2 : observed != not_observable ? 3 : 0);
    }
    int status = reap(other);
    let_through(&child.gate, 1);
    reap(child.pid);
    end_threaded(&child);
    exitfd_close(x);
    CHECK_EQ(status, 0, "wait status %#x", (unsigned)status);
}

static void *exit_this_thread(void *arg)
{
    struct threaded *child = arg;
    report_tid(child);
    wait_behind(&child->gate);
    return NULL;
}

/* A thread leaves a zombie of its own only while it is traced. */
TEST(threads, a_zombies_tid_is_no_pid)
{
    if (build_is_posix())
        SKIP("POSIX has no call that tells the thread of a tracee from a child: one may wait for both");
    struct exitfd *x = open_for_truth();
    struct threaded child;
    start_threaded(&child, exit_this_thread, false);
    pid_t tid = reported_tid(&child);
    if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0) {
        kill(child.pid, SIGKILL);
        reap(child.pid);
        end_threaded(&child);
        exitfd_close(x);
        SKIP("ptrace is not permitted here (Yama, or a container without CAP_SYS_PTRACE)");
    }
    let_through(&child.gate, 1);
    siginfo_t info;
    CHECK_EQ(waitid(P_PID, (id_t)tid, &info, WEXITED | WNOWAIT | __WALL), 0);
    int ret = exitfd_add(x, tid, 0, NULL);
    expect_quiet(x);
    CHECK_EQ(waitpid(tid, NULL, __WALL), tid, "somebody reaped our tracee's thread");
    kill(child.pid, SIGKILL);
    reap(child.pid);
    CHECK(ret == not_a_process() || (ret == -ESRCH), "exitfd_add: %s", strerror(-ret));
    end_threaded(&child);
    exitfd_close(x);
}

TEST(threads, ourselves_and_our_parent_are_no_children)
{
    struct exitfd *x = open_for_truth();
    CHECK_EQ(exitfd_add(x, getpid(), 0, NULL), -ECHILD);
    CHECK_EQ(exitfd_add(x, getppid(), 0, NULL), -ECHILD);
    expect_quiet(x);
    exitfd_close(x);
}
