/* SPDX-License-Identifier: MIT */
/*
 * What exitfd doctor asks the kernel. Each question is put in a forked child,
 * because a filter may kill the process that asks. The answer comes back in
 * memory that both share.
 */
#include "probe.h"

#include "tool.h"

#include <errno.h>
#include <exitfd.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#endif

/* The same on every architecture. */
enum {
    NR_PIDFD_SEND_SIGNAL = 424,
    NR_IO_URING_SETUP = 425,
    NR_IO_URING_ENTER = 426,
    NR_PIDFD_OPEN = 434,
    NR_CLONE3 = 435
};
enum {
    WAIT_FOR_PIDFD = 3,
    TRIAL_STATUS = 42,
    TRIAL_MS = 5000,
    PROBE_SECONDS = 20
};

/* Memory of both processes, because a sandbox may forbid pipes. */
struct answer {
    struct probe probe;
    atomic_bool is_given;
    atomic_bool may_trial_end;
};

static struct answer *answer;

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * NS_PER_MS }, NULL);
}

static void answer_in_child(void (*ask)(struct probe *probe, const void *argument), const void *argument,
                            const struct sigaction *chld)
{
    sigaction(SIGCHLD, chld, NULL);
    ask(&answer->probe, argument);
    answer->is_given = true;
    fflush(stdout);
    _exit(0);
}

/* As waitpid. A sandbox may allow waitid alone, by which the library waits. */
static pid_t reap(pid_t pid, int options, int *killed_by)
{
    siginfo_t info = { 0 };
    int status = 0;
    pid_t r = waitpid(pid, &status, options);
    if (r >= 0) {
        *killed_by = r == pid && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        return r;
    }
    r = waitid(P_PID, (id_t)pid, &info, WEXITED | options) < 0 ? -1 : info.si_pid;
    *killed_by = r == pid && info.si_code != CLD_EXITED ? info.si_status : 0;
    return r;
}

static struct probe wait_for_answer(pid_t pid)
{
    const int64_t deadline_ns = monotonic_ns() + PROBE_SECONDS * NS_PER_SECOND;
    int killed_by = 0;
    pid_t r;
    while ((r = reap(pid, WNOHANG, &killed_by)) == 0) {
        if (monotonic_ns() >= deadline_ns) {
            kill(pid, SIGKILL);
            reap(pid, 0, &killed_by);
            return (struct probe){ .is_asked = true, .error = ETIME };
        }
        sleep_ms(1);
    }
    if (answer->is_given)
        return answer->probe;
    return (struct probe){ .is_asked = r == pid, .error = r == pid ? EIO : errno, .killed_by = killed_by };
}

/* The child gets SIGCHLD as it was found, for that may be the very trouble;
   here it must not be ignored. */
struct probe ask_in_child(void (*ask)(struct probe *probe, const void *argument), const void *argument)
{
    struct sigaction chld, is_default = { .sa_handler = SIG_DFL };
    fflush(stdout);
    answer = mmap(NULL, sizeof *answer, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answer == MAP_FAILED)
        return (struct probe){ .error = errno };
    answer->probe.is_asked = true;
    sigaction(SIGCHLD, &is_default, &chld);
    pid_t pid = fork();
    if (pid == 0)
        answer_in_child(ask, argument, &chld);
    struct probe probe = { .error = errno };
    if (pid > 0)
        probe = wait_for_answer(pid);
    munmap(answer, sizeof *answer);
    sigaction(SIGCHLD, &chld, NULL);
    return probe;
}

#ifdef __linux__
static long call_io_uring_setup(void)
{
    unsigned params[30] = { 0 }; /* struct io_uring_params */
    return syscall(NR_IO_URING_SETUP, 1, params);
}

/* Places in struct io_uring_params, and what <linux/io_uring.h> has, which is
   not everywhere. */
enum {
    SQ_TAIL = 11,
    SQ_ARRAY = 16,
    CQ_ENTRIES = 1,
    FEATURES = 5,
    SINGLE_MMAP = 1,
    CQ_TAIL = 21,
    CQ_CQES = 25,
    CQE_SIZE = 16,
    SQES_OFFSET = 0x10000000,
    OP_POLL_ADD = 6
};

struct sqe {
    uint8_t opcode, flags;
    uint16_t priority;
    int32_t fd;
    uint64_t offset, address;
    uint32_t length, events;
    uint64_t user_data, rest[3];
};

/* The result of one operation. A restriction allows the ring, and denies the
   operation. */
static int32_t submit(int ring, const unsigned params[30], const struct sqe *sqe)
{
    size_t size = params[CQ_CQES] + (size_t)CQE_SIZE * params[CQ_ENTRIES];
    char *rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
    struct sqe *sqes = mmap(NULL, sizeof *sqe, PROT_READ | PROT_WRITE, MAP_SHARED, ring, SQES_OFFSET);
    if (rings == MAP_FAILED || sqes == MAP_FAILED)
        return -errno;
    int32_t result;
    *sqes = *sqe;
    *(unsigned *)(rings + params[SQ_ARRAY]) = 0;
    atomic_store((_Atomic unsigned *)(rings + params[SQ_TAIL]), 1);
    if (syscall(NR_IO_URING_ENTER, ring, 1, 0, 0, NULL, 0) < 0)
        return -errno;
    if (atomic_load((_Atomic unsigned *)(rings + params[CQ_TAIL])) == 0)
        return 0; /* it is on its way: what is denied completes at once */
    memcpy(&result, rings + params[CQ_CQES] + sizeof(uint64_t), sizeof result);
    return result;
}

static long call_io_uring_poll(void)
{
    unsigned params[30] = { 0 };
    const bool is_little_endian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    int ring = (int)syscall(NR_IO_URING_SETUP, 1, params);
    if (ring < 0)
        return -1;
    if (!(params[FEATURES] & SINGLE_MMAP)) {
        errno = ENOTSUP;
        return -1;
    }
    const struct sqe sqe = { .opcode = OP_POLL_ADD, .fd = ring, .events = POLLOUT << (is_little_endian ? 0 : 16) };
    int32_t result = submit(ring, params, &sqe);
    errno = -result;
    return result < 0 ? -1 : 0;
}

static long call_waitid_pidfd(void)
{
    siginfo_t info;
    long r = syscall(SYS_waitid, WAIT_FOR_PIDFD, INT_MAX, &info, WEXITED | WNOHANG, NULL);
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

/* Bad arguments: the call is known, and allowed, if it complains of them. */
static long expect(long r, int error)
{
    return r < 0 && errno == error ? 0 : r;
}

static long call_waitid(void)
{
    siginfo_t info;
    return expect(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), ECHILD);
}

static long call_epoll_create1(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}

static long call_epoll_ctl(void)
{
    struct epoll_event event = { .events = EPOLLIN };
    return expect(epoll_ctl(-1, EPOLL_CTL_ADD, -1, &event), EBADF);
}

static long call_epoll_wait(void)
{
    struct epoll_event event;
    return expect(epoll_wait(-1, &event, 1, 0), EBADF);
}

static long call_timerfd_create(void)
{
    return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
}

static long call_eventfd2(void)
{
    return eventfd(0, EFD_CLOEXEC);
}

static long call_signalfd4(void)
{
    sigset_t mask;
    sigemptyset(&mask);
    return signalfd(-1, &mask, SFD_CLOEXEC);
}

static long call_pipe2(void)
{
    int fds[2];
    return pipe2(fds, O_CLOEXEC);
}

static long call_poll(void)
{
    return poll(NULL, 0, 0);
}

static long call_get_info(void)
{
    uint64_t info[8] = { 0 };
    int pidfd = (int)syscall(NR_PIDFD_OPEN, getpid(), 0);
    return pidfd < 0 ? pidfd : ioctl(pidfd, _IOWR(0xFF, 11, uint64_t[8]), info);
}

static long call_subreaper(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* A cgroup that is none keeps a child from being born: the flags of Linux 7.1
   are looked at before. */
static long call_autoreap(void)
{
    const uint64_t pidfd = 0x1000, into_cgroup = UINT64_C(1) << 33, autoreap = UINT64_C(1) << 34,
                   no_new_privileges = UINT64_C(1) << 35, autokill = UINT64_C(1) << 36;
    int fd = -1;
    uint64_t args[11] = { pidfd | into_cgroup | autoreap | no_new_privileges | autokill, (uint64_t)(uintptr_t)&fd };
    args[10] = (uint64_t)INT_MAX;
    long r = syscall(NR_CLONE3, args, sizeof args);
    if (r == 0)
        _exit(0);
    return expect(r, EBADF);
}

static const struct {
    const char *name;
    long (*call)(void);
} calls[] = { { "pidfd_open", call_pidfd_open },
              { "waitid(P_PIDFD)", call_waitid_pidfd },
              { "pidfd_send_signal", call_pidfd_send_signal },
              { "clone3", call_clone3 },
              { "io_uring_setup", call_io_uring_setup },
              { "io_uring poll", call_io_uring_poll },
              { "waitid", call_waitid },
              { "epoll_create1", call_epoll_create1 },
              { "epoll_ctl", call_epoll_ctl },
              { "epoll_wait", call_epoll_wait },
              { "timerfd_create", call_timerfd_create },
              { "eventfd2", call_eventfd2 },
              { "signalfd4", call_signalfd4 },
              { "pipe2", call_pipe2 },
              { "poll", call_poll },
              { "PIDFD_GET_INFO", call_get_info },
              { "sub-reaper", call_subreaper },
              { "autoreap/autokill", call_autoreap } };

const char *const probe_syscalls[] = {
    "pidfd_open",     "waitid(P_PIDFD)", "pidfd_send_signal", "clone3",    "io_uring_setup",
    "io_uring poll",  "waitid",          "epoll_create1",     "epoll_ctl", "epoll_wait",
    "timerfd_create", "eventfd2",        "signalfd4",         "pipe2",     "poll",
    "PIDFD_GET_INFO", "sub-reaper",      "autoreap/autokill", NULL
};

static void ask_syscall(struct probe *probe, const void *name)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (strcmp(name, calls[i].name) == 0)
            probe->error = calls[i].call() < 0 ? errno : 0;
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

const char *const *probe_needs(unsigned flag)
{
    static const char *const none[] = { NULL };
#ifdef __linux__
    static const char *const pidfd[] = { "pidfd_open", "waitid(P_PIDFD)", "waitid",   "epoll_create1", "epoll_ctl",
                                         "epoll_wait", "timerfd_create",  "eventfd2", "poll",          NULL };
    static const char *const uring[] = { "io_uring_setup", "io_uring poll", "pidfd_open", "waitid(P_PIDFD)",
                                         "waitid",         "eventfd2",      "poll",       NULL };
    static const char *const signalfd_needs[] = { "signalfd4", "waitid",     "epoll_create1",
                                                  "epoll_ctl", "epoll_wait", "timerfd_create",
                                                  "eventfd2",  "poll",       NULL };
    static const char *const self_pipe[] = { "pipe2", "waitid", "poll", NULL };
    switch (flag) {
    case EXITFD_PIDFD:
        return pidfd;
    case EXITFD_URING:
        return uring;
    case EXITFD_SIGNALFD:
        return signalfd_needs;
    case EXITFD_SELFPIPE:
        return self_pipe;
    default:
        return none;
    }
#else
    return (void)flag, none;
#endif
}

struct probe probe_syscall(const char *name)
{
    return ask_in_child(ask_syscall, name);
}

static const char *judge(struct probe *probe, int count, const struct exitfd_event *event)
{
    if (count < 0) {
        probe->error = -count;
        return "opens, but exitfd_fork or exitfd_wait failed";
    }
    if (count == 0) {
        probe->error = ETIME;
        return "opens, but the exit of a child was not reported within 5 seconds";
    }
    if (event->origin == EXITFD_UNKNOWN)
        return "works, but the status of a child is unknown";
    probe->is_true_status = event->code == CLD_EXITED && event->status == TRIAL_STATUS;
    return probe->is_true_status ? "works" : "reported a wrong status. Please report this bug";
}

/* Returns TRIAL_STATUS once it may: where SIGCHLD is ignored, a child that has
   ended before it is watched is lost. */
static pid_t fork_trial(struct exitfd *x)
{
    pid_t pid = exitfd_fork(x, 0, NULL);
    if (pid == 0) {
        const int64_t deadline_ns = monotonic_ns() + TRIAL_MS * NS_PER_MS;
        while (!answer->may_trial_end && monotonic_ns() < deadline_ns)
            sleep_ms(1);
        _exit(TRIAL_STATUS);
    }
    answer->may_trial_end = true;
    return pid;
}

static void ask_backend(struct probe *probe, const void *flag)
{
    struct exitfd *x;
    struct exitfd_event event;
    int r = exitfd_open(&x, *(const unsigned *)flag);
    if (r < 0) {
        probe->error = -r;
        return;
    }
    pid_t pid = fork_trial(x);
    const char *verdict = judge(probe, pid < 0 ? pid : exitfd_wait(x, &event, 1, TRIAL_MS), &event);
    snprintf(probe->text, sizeof probe->text, "%s", *(const unsigned *)flag ? verdict : exitfd_get_backend(x));
}

struct probe probe_backend(unsigned flag)
{
    return ask_in_child(ask_backend, &flag);
}

/* A child that is reaped behind the exitfd's back: only the kernel's record can
   tell how it ended. */
static void ask_record(struct probe *probe, const void *unused)
{
    struct exitfd *x;
    struct exitfd_event event;
    (void)unused;
    signal(SIGCHLD, SIG_DFL);
    int r = exitfd_open(&x, 0);
    pid_t pid = r < 0 ? r : exitfd_fork(x, EXITFD_OBSERVE, NULL);
    if (pid == 0)
        _exit(TRIAL_STATUS);
    r = pid < 0 ? pid : 0;
    if (r == 0) {
        snprintf(probe->text, sizeof probe->text, "%s", exitfd_get_backend(x));
        probe->has_pidfd = exitfd_get_pidfd(x, pid) >= 0;
        int killed_by;
        reap(pid, 0, &killed_by);
        r = exitfd_wait(x, &event, 1, TRIAL_MS);
    }
    probe->error = r < 0 ? -r : r == 0 ? ETIME : 0;
    probe->is_true_status = r > 0 && event.origin == EXITFD_RECORDED && event.status == TRIAL_STATUS;
}

struct probe probe_record(void)
{
    return ask_in_child(ask_record, NULL);
}
