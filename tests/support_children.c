/* SPDX-License-Identifier: MIT */
/* Children: how they start, wait at the gate, and end. children.h looks at
   them. */
#include "support.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

pid_t fork_guarded(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    CHECK(pid >= 0 || getpid() != parent, "fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(99);
#endif
    alarm(300);
    return 0;
}

struct gate open_gate(void)
{
    int ends[2];
    CHECK_EQ(pipe(ends), 0, "pipe: %s", strerror(errno));
    return (struct gate){ .wait_end = ends[0], .go_end = ends[1] };
}

void let_through(const struct gate *gate, int children)
{
    char bytes[1024] = { 0 };
    while (children > 0) {
        size_t wanted = (size_t)children < sizeof(bytes) ? (size_t)children : sizeof(bytes);
        ssize_t written = write(gate->go_end, bytes, wanted);
        CHECK(written > 0 || errno == EINTR, "write to the gate: %s", strerror(errno));
        if (written > 0)
            children -= (int)written;
    }
}

void close_gate(struct gate *gate)
{
    close(gate->wait_end);
    close(gate->go_end);
    gate->wait_end = gate->go_end = -1;
}

void wait_behind(const struct gate *gate)
{
    char byte;
    while (read(gate->wait_end, &byte, 1) < 0 && errno == EINTR)
        ;
}

static void end_by_signal(int sig)
{
    sigset_t all;
    sigfillset(&all);
    signal(sig, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    kill(getpid(), sig);
    _exit(98);
}

pid_t start_child(const struct gate *gate, int ending)
{
    pid_t pid = fork_guarded();
    if (pid != 0)
        return pid;
    if (gate != NULL)
        wait_behind(gate);
    if (ending < 0)
        end_by_signal(-ending);
    _exit(ending);
}

#ifdef __linux__
struct light_child {
    struct gate gate;
    pid_t parent;
    int status;
    char stack[16384] __attribute__((aligned(16)));
};

/* It shares its parent's memory: nothing here may fail and so write errno, and
   it ends without what _exit may do first (gcov-exit.c). */
static int run_light_child(void *arg)
{
    struct light_child *child = arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != child->parent)
        syscall(SYS_exit_group, 99);
    alarm(300);
    wait_behind(&child->gate);
    return (int)syscall(SYS_exit_group, child->status);
}

pid_t start_light_child(const struct gate *gate, int status)
{
    /* Kept until the process ends, because the child may use it for as long as
       it likes. */
    struct light_child *child = mmap(NULL, sizeof(*child), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(child != MAP_FAILED, "mmap: %s", strerror(errno));
    child->gate = *gate;
    child->parent = getpid();
    child->status = status;
    pid_t pid = clone(run_light_child, child->stack + sizeof(child->stack), CLONE_VM | SIGCHLD, child);
    CHECK(pid > 0, "clone: %s", strerror(errno));
    return pid;
}
#else
pid_t start_light_child(const struct gate *gate, int status)
{
    return start_child(gate, status);
}
#endif

#ifdef __linux__
pid_t start_child_signalling(int exit_signal, const struct gate *gate, int status)
{
    pid_t pid = (pid_t)syscall(SYS_clone, exit_signal, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        if (gate != NULL)
            wait_behind(gate);
        _exit(status);
    }
    CHECK(pid > 0, "clone: %s", strerror(errno));
    return pid;
}
#endif

pid_t start_child_exit(int status)
{
    return start_child(NULL, status);
}

pid_t start_child_killed(int sig)
{
    return start_child(NULL, -sig);
}
