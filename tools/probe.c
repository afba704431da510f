/* SPDX-License-Identifier: MIT */
#include "probe.h"

#include "tool.h"

#include <errno.h>
#include <exitfd.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The same on every architecture. */
enum {
    NR_PIDFD_SEND_SIGNAL = 424,
    NR_IO_URING_SETUP = 425,
    NR_PIDFD_OPEN = 434,
    NR_CLONE3 = 435
};
enum {
    WAIT_FOR_PIDFD = 3,
    TRIAL_STATUS = 42,
    TRIAL_MS = 5000,
    PROBE_SECONDS = 20
};

static void answer_in_child(int fd, void (*ask)(struct probe *probe, const void *argument), const void *argument,
                            const struct sigaction *chld)
{
    struct probe probe = { .error = 0 };
    sigaction(SIGCHLD, chld, NULL);
    alarm(PROBE_SECONDS);
    ask(&probe, argument);
    _exit(write(fd, &probe, sizeof probe) == (ssize_t)sizeof probe ? 0 : 1);
}

static struct probe read_answer(int fd, pid_t pid)
{
    struct probe probe;
    int status = 0;
    bool has_answered = read(fd, &probe, sizeof probe) == (ssize_t)sizeof probe;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!has_answered) {
        probe = (struct probe){ .error = EIO, .killed_by = WIFSIGNALED(status) ? WTERMSIG(status) : 0 };
    }
    return probe;
}

/* The child gets SIGCHLD as it was found, for that may be the very trouble; here it must not be ignored. */
static struct probe ask_in_child(void (*ask)(struct probe *probe, const void *argument), const void *argument)
{
    struct sigaction chld, is_default = { .sa_handler = SIG_DFL };
    struct probe probe = { .error = 0 };
    int fds[2];
    int r = open_pipe(fds);
    if (r < 0) {
        probe.error = -r;
        return probe;
    }
    sigaction(SIGCHLD, &is_default, &chld);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        answer_in_child(fds[1], ask, argument, &chld);
    }
    probe.error = pid < 0 ? errno : 0;
    close(fds[1]);
    if (pid > 0) {
        probe = read_answer(fds[0], pid);
    }
    close(fds[0]);
    sigaction(SIGCHLD, &chld, NULL);
    return probe;
}

#ifdef __linux__
static long call_io_uring_setup(void)
{
    unsigned params[30] = { 0 }; /* struct io_uring_params */
    return syscall(NR_IO_URING_SETUP, 1, params);
}

static long call_waitid_pidfd(void)
{
    long r = syscall(SYS_waitid, WAIT_FOR_PIDFD, INT_MAX, NULL, WEXITED | WNOHANG, NULL);
    return r < 0 && errno == EBADF ? 0 : r; /* it looked for the pidfd, so it knows of pidfds */
}

static long call_clone3(void)
{
    long r = syscall(NR_CLONE3, NULL, 0);
    return r < 0 && errno == EINVAL ? 0 : r; /* it looked at its arguments */
}

static long call_pidfd_open(void)
{
    return syscall(NR_PIDFD_OPEN, getpid(), 0);
}

static long call_pidfd_send_signal(void)
{
    long r = syscall(NR_PIDFD_SEND_SIGNAL, -1, 0, NULL, 0);
    return r < 0 && errno == EBADF ? 0 : r;
}

static const struct {
    const char *name;
    long (*call)(void);
} calls[] = { { "pidfd_open", call_pidfd_open },
              { "waitid(P_PIDFD)", call_waitid_pidfd },
              { "pidfd_send_signal", call_pidfd_send_signal },
              { "clone3", call_clone3 },
              { "io_uring_setup", call_io_uring_setup } };

const char *const probe_syscalls[] = { "pidfd_open", "waitid(P_PIDFD)", "pidfd_send_signal",
                                       "clone3",     "io_uring_setup",  NULL };

static void ask_syscall(struct probe *probe, const void *name)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (strcmp(name, calls[i].name) == 0) {
            probe->error = calls[i].call() < 0 ? errno : 0;
        }
    }
}
#else
const char *const probe_syscalls[] = { NULL };

static void ask_syscall(struct probe *probe, const void *name)
{
    (void)name;
    probe->error = ENOSYS;
}
#endif

struct probe probe_syscall(const char *name)
{
    return ask_in_child(ask_syscall, name);
}

static const char *judge(struct probe *probe, int count, const struct exitfd_event *event)
{
    if (count < 0) {
        probe->error = -count;
        return "its exitfd_wait failed";
    }
    if (count == 0) {
        probe->error = ETIME;
        return "opens, but the exit of a child was not reported within 5 seconds";
    }
    if (event->origin == EXITFD_UNKNOWN) {
        return "works, but the status of a child is unknown";
    }
    probe->is_true_status = event->code == CLD_EXITED && event->status == TRIAL_STATUS;
    return probe->is_true_status ? "works" : "reported a wrong status: please file a bug";
}

/* Returns TRIAL_STATUS once it is let go: where SIGCHLD is ignored, a child that has ended before it is watched is lost. */
static pid_t fork_trial(struct exitfd *x, int *ret_leash)
{
    int fds[2];
    char byte;
    int r = open_pipe(fds);
    if (r < 0) {
        return r;
    }
    pid_t pid = exitfd_fork(x, 0, NULL);
    if (pid == 0) {
        close(fds[1]);
        _exit(read(fds[0], &byte, 1) == 0 ? TRIAL_STATUS : 1);
    }
    close(fds[0]);
    *ret_leash = fds[1];
    return pid;
}

static void ask_backend(struct probe *probe, const void *flag)
{
    struct exitfd *x;
    struct exitfd_event event;
    int leash = -1;
    int r = exitfd_open(&x, *(const unsigned *)flag);
    if (r < 0) {
        probe->error = -r;
        return;
    }
    pid_t pid = fork_trial(x, &leash);
    close(leash);
    const char *verdict = judge(probe, pid < 0 ? pid : exitfd_wait(x, &event, 1, TRIAL_MS), &event);
    snprintf(probe->text, sizeof probe->text, "%s", *(const unsigned *)flag ? verdict : exitfd_get_backend(x));
}

struct probe probe_backend(unsigned flag)
{
    return ask_in_child(ask_backend, &flag);
}

/* A child that is reaped behind the exitfd's back: only the kernel's record can tell how it ended. */
static void ask_record(struct probe *probe, const void *unused)
{
    struct exitfd *x;
    struct exitfd_event event;
    (void)unused;
    signal(SIGCHLD, SIG_DFL);
    int r = exitfd_open(&x, EXITFD_PIDFD);
    pid_t pid = r < 0 ? r : exitfd_fork(x, EXITFD_OBSERVE, NULL);
    if (pid == 0) {
        _exit(TRIAL_STATUS);
    }
    r = pid < 0 ? pid : 0;
    if (r == 0) {
        waitpid(pid, NULL, 0);
        r = exitfd_wait(x, &event, 1, TRIAL_MS);
    }
    probe->error = r < 0 ? -r : r == 0 ? ETIME : 0;
    probe->is_true_status = r > 0 && event.origin == EXITFD_RECORDED && event.status == TRIAL_STATUS;
}

struct probe probe_record(void)
{
    return ask_in_child(ask_record, NULL);
}
