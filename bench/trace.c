/* SPDX-License-Identifier: MIT */
#include "trace.h"

#include "common.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile bool *window;

/* A system call that nothing else here makes: the tracer looks at the window
   when a call stops the process. */
#define MARKER SYS_getppid

void trace_open_window(void)
{
    *window = true;
    syscall(MARKER);
}

void trace_close_window(void)
{
    *window = false;
}

const char *trace_name_of_call(unsigned long number)
{
    static const struct {
        unsigned long number;
        const char *name;
    } known[] = {
#ifdef SYS_poll
        { SYS_poll, "poll" },
#endif
#ifdef SYS_epoll_wait
        { SYS_epoll_wait, "epoll_wait" },
#endif
        { SYS_clock_gettime, "clock_gettime" },
        { SYS_close, "close" },
        { SYS_epoll_ctl, "epoll_ctl" },
        { SYS_epoll_pwait, "epoll_pwait" },
        { SYS_epoll_pwait2, "epoll_pwait2" },
        { SYS_fcntl, "fcntl" },
        { SYS_fstatfs, "fstatfs" },
        { SYS_futex, "futex" },
        { SYS_getpid, "getpid" },
        { SYS_getrusage, "getrusage" },
        { SYS_gettid, "gettid" },
        { SYS_io_uring_enter, "io_uring_enter" },
        { SYS_ioctl, "ioctl" },
        { SYS_pidfd_open, "pidfd_open" },
        { SYS_pipe2, "pipe2" },
        { SYS_ppoll, "ppoll" },
        { SYS_read, "read" },
        { SYS_rt_sigaction, "rt_sigaction" },
        { SYS_rt_sigprocmask, "rt_sigprocmask" },
        { SYS_rt_sigreturn, "rt_sigreturn" },
        { SYS_tgkill, "tgkill" },
        { SYS_timerfd_settime, "timerfd_settime" },
        { SYS_wait4, "wait4" },
        { SYS_waitid, "waitid" },
        { SYS_write, "write" },
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].number == number)
            return known[i].name;
    return NULL;
}

static pid_t start_traced(void (*job)(void *argument), void *argument)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid > 0)
        return pid;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        die("ptrace");
    raise(SIGSTOP);
    job(argument);
    _exit(0);
}

static void count_call(pid_t pid, struct trace *counted)
{
    struct __ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY ||
        info.entry.nr == MARKER)
        return;
    counted->calls++;
    if (info.entry.nr < TRACE_CALLS_MAX)
        counted->calls_by_number[info.entry.nr]++;
}

/* Returns the signal to hand on. */
static int look_at_stop(pid_t pid, int status, struct trace *counted)
{
    int signal_number = WSTOPSIG(status);

    if (signal_number == (SIGTRAP | 0x80)) {
        if (*window)
            count_call(pid, counted);
        return 0;
    }
    if (signal_number == SIGTRAP) {
        counted->instructions += *window;
        return 0;
    }
    return signal_number == SIGSTOP ? 0 : signal_number;
}

static void follow(pid_t pid, enum trace_what what, struct trace *counted)
{
    int status;

    while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
        int signal_number = look_at_stop(pid, status, counted);
        bool step = what == TRACE_INSTRUCTIONS && *window;

        ptrace(step ? PTRACE_SINGLESTEP : PTRACE_SYSCALL, pid, NULL, (void *)(long)signal_number);
    }
    if (status != 0)
        void_sample("the traced process ended with wait status 0x%x", (unsigned)status);
}

void trace_run(enum trace_what what, void (*job)(void *argument), void *argument, struct trace *counted)
{
    int status;
    pid_t pid;

    window = shared_memory(1);
    pid = start_traced(job, argument);
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
        die("waiting for the traced process");
    if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) < 0)
        die("ptrace");
    ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
    follow(pid, what, counted);
}
