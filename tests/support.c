/* SPDX-License-Identifier: MIT */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/vfs.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define WITH_LSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_LSAN 1
#endif
#endif

#ifdef WITH_LSAN
#include <sanitizer/lsan_interface.h>
#endif

#define FD_LIMIT 65536

static bool fds_before[FD_LIMIT];

static const char *forced_backend(void)
{
    const char *name = getenv("EXITFD_BACKEND");
    return name != NULL ? name : "";
}

static void list_fds(bool open_fds[FD_LIMIT])
{
    memset(open_fds, 0, FD_LIMIT * sizeof(open_fds[0]));
    DIR *dir = opendir("/proc/self/fd");
    cr_assert_not_null(dir, "/proc/self/fd: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd != dirfd(dir) && fd < FD_LIMIT)
            open_fds[fd] = true;
    }
    closedir(dir);
}

static void expect_no_new_fds(void)
{
    static bool fds_after[FD_LIMIT];
    list_fds(fds_after);
    for (int fd = 0; fd < FD_LIMIT; fd++) {
        if (!fds_after[fd] || fds_before[fd])
            continue;
        char link[64], target[256] = "";
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        if (readlink(link, target, sizeof(target) - 1) < 0)
            target[0] = '\0';
        cr_assert_fail("leaked fd %d -> %s", fd, target);
    }
}

static void expect_no_children(void)
{
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    int ret = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    cr_assert(ret < 0 && errno == ECHILD, "left a child behind: %s %d", info.si_pid != 0 ? "zombie" : "a live one",
              (int)info.si_pid);
}

void begin_test(void)
{
    if (strcmp(forced_backend(), "signalfd") == 0)
        block_sigchld();
    list_fds(fds_before);
}

void end_test(void)
{
    expect_no_new_fds();
    expect_no_children();
#ifdef WITH_LSAN
    cr_assert_eq(__lsan_do_recoverable_leak_check(), 0, "leaked memory: LeakSanitizer's report is on stderr");
#endif
}

void block_sigchld(void)
{
    sigset_t sigchld;
    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &sigchld, NULL), 0);
}

bool sigchld_is_blocked(void)
{
    sigset_t mask;
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    return sigismember(&mask, SIGCHLD) == 1;
}

static void set_fd_limit(rlim_t soft)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0, "RLIMIT_NOFILE: %s", strerror(errno));
}

struct rlimit forbid_new_fds(void)
{
    struct rlimit before;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest_free = dup(0);
    cr_assert_geq(lowest_free, 0, "dup: %s", strerror(errno));
    close(lowest_free);
    set_fd_limit((rlim_t)lowest_free);
    return before;
}

void allow_new_fds(const struct rlimit *before)
{
    set_fd_limit(before->rlim_cur);
}

void raise_fd_limit(void)
{
    set_fd_limit(RLIM_INFINITY);
}

int stress_rounds(void)
{
    const char *wanted = getenv("EXITFD_STRESS_ROUNDS");
    return wanted != NULL ? atoi(wanted) : 500;
}

bool build_is_posix(void)
{
#ifdef BUILD_IS_POSIX
    return true;
#else
    return false;
#endif
}

struct exitfd *open_exitfd(void)
{
    struct exitfd *x = NULL;
    int ret = exitfd_open(&x, 0);
    const char *forced = forced_backend();
    if (ret == -ENOTSUP && strcmp(forced, "pidfd") == 0 && !have_pidfd())
        SKIP("EXITFD_BACKEND=pidfd: no pidfds in this kernel");
    if (ret == -ENOTSUP && strcmp(forced, "io_uring") == 0)
        SKIP("EXITFD_BACKEND=io_uring: not in this kernel");
    cr_assert_eq(ret, 0, "exitfd_open with EXITFD_BACKEND=%s: %s", forced, strerror(-ret));
    cr_assert_not_null(x);
    return x;
}

struct exitfd *open_exitfd_flags(unsigned flags)
{
    struct exitfd *x = NULL;
    int ret = exitfd_open(&x, flags);
    cr_assert_eq(ret, 0, "exitfd_open(%#x): %s", flags, strerror(-ret));
    cr_assert_not_null(x);
    return x;
}

bool backend_is(const char *name)
{
    static const char *backend;
    if (backend == NULL) {
        struct exitfd *x = open_exitfd();
        backend = exitfd_get_backend(x);
        exitfd_close(x);
    }
    return strcmp(backend, name) == 0;
}

#ifdef __linux__
static const int idtype_pidfd = 3; /* P_PIDFD, which musl 1.2.3 does not name */

static int try_pidfd_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int open_pidfd(pid_t pid)
{
    int pidfd = try_pidfd_open(pid);
    if (pidfd < 0 && !have_pidfd())
        SKIP("no pidfd_open in this kernel");
    cr_assert_geq(pidfd, 0, "pidfd_open(%d): %s", (int)pid, strerror(errno));
    return pidfd;
}

bool have_pidfd(void)
{
    int pidfd = try_pidfd_open(getpid());
    if (pidfd < 0)
        return false;
    close(pidfd);
    return waitid(idtype_pidfd, INT_MAX, NULL, WEXITED | WNOHANG) < 0 && errno == EBADF;
}

bool have_pidfs(void)
{
    const long pidfs_magic = 0x50494446;
    int pidfd = try_pidfd_open(getpid());
    if (pidfd < 0)
        return false;
    struct statfs fs;
    bool found = fstatfs(pidfd, &fs) == 0 && fs.f_type == pidfs_magic;
    close(pidfd);
    return found;
}

bool have_exit_record(void)
{
    struct {
        unsigned long long mask;
        unsigned char rest[56];
    } info = { .mask = 1 << 3 };
    const unsigned long get_info = _IOWR(0xFF, 11, info);
    pid_t pid = start_child_exit(0);
    int pidfd = try_pidfd_open(pid);
    reap(pid);
    if (pidfd < 0)
        return false;
    bool found = ioctl(pidfd, get_info, &info) == 0 && (info.mask & 1 << 3) != 0;
    close(pidfd);
    return found;
}

pid_t own_tid(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static char thread_state(pid_t tid)
{
    char path[64], stat[512];
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return '?';
    ssize_t length = read(fd, stat, sizeof(stat) - 1);
    close(fd);
    stat[length > 0 ? length : 0] = '\0';
    const char *name_end = strrchr(stat, ')');
    return name_end != NULL && name_end[1] == ' ' ? name_end[2] : '?';
}

bool wait_until_asleep(pid_t tid)
{
    for (long long end = now_ms() + DEADLINE_MS; now_ms() < end; sched_yield())
        if (thread_state(tid) == 'S')
            return true;
    return false;
}
#else
int open_pidfd(pid_t pid)
{
    (void)pid;
    SKIP("no pidfd_open in this system");
}

bool have_pidfd(void)
{
    return false;
}

bool have_pidfs(void)
{
    return false;
}

bool have_exit_record(void)
{
    return false;
}
#endif

pid_t fork_guarded(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    cr_assert(pid >= 0 || getpid() != parent, "fork: %s", strerror(errno));
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
    cr_assert_eq(pipe(ends), 0, "pipe: %s", strerror(errno));
    return (struct gate){ .wait_end = ends[0], .go_end = ends[1] };
}

void let_through(const struct gate *gate, int children)
{
    char bytes[1024] = { 0 };
    while (children > 0) {
        size_t wanted = (size_t)children < sizeof(bytes) ? (size_t)children : sizeof(bytes);
        ssize_t written = write(gate->go_end, bytes, wanted);
        cr_assert(written > 0 || errno == EINTR, "write to the gate: %s", strerror(errno));
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

/* It shares its parent's thread-local variables: nothing here may fail and so write errno. */
static int run_light_child(void *arg)
{
    struct light_child *child = arg;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != child->parent)
        _exit(99);
    alarm(300);
    wait_behind(&child->gate);
    _exit(child->status);
}

pid_t start_light_child(const struct gate *gate, int status)
{
    /* In nobody's way until the process ends: the child may use it for as long as it likes. */
    struct light_child *child = mmap(NULL, sizeof(*child), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(child, MAP_FAILED, "mmap: %s", strerror(errno));
    child->gate = *gate;
    child->parent = getpid();
    child->status = status;
    pid_t pid = clone(run_light_child, child->stack + sizeof(child->stack), CLONE_VM | SIGCHLD, child);
    cr_assert_gt(pid, 0, "clone: %s", strerror(errno));
    return pid;
}
#else
pid_t start_light_child(const struct gate *gate, int status)
{
    return start_child(gate, status);
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

static int look_at(pid_t pid, int options, siginfo_t *info)
{
    int ret;
    memset(info, 0, sizeof(*info));
    do
        ret = waitid(P_PID, (id_t)pid, info, WEXITED | WNOWAIT | options);
    while (ret < 0 && errno == EINTR);
    return ret;
}

void wait_until_zombie(pid_t pid)
{
    siginfo_t info;
    cr_assert_eq(look_at(pid, 0, &info), 0, "child %d: %s", (int)pid, strerror(errno));
}

bool is_zombie(pid_t pid)
{
    siginfo_t info;
    return look_at(pid, WNOHANG, &info) == 0 && info.si_pid == pid;
}

bool is_child(pid_t pid)
{
    siginfo_t info;
    return look_at(pid, WNOHANG, &info) == 0;
}

int reap(pid_t pid)
{
    int status;
    pid_t ret;
    do
        ret = waitpid(pid, &status, 0);
    while (ret < 0 && errno == EINTR);
    cr_assert_eq(ret, pid, "waitpid(%d): %s", (int)pid, strerror(errno));
    return status;
}

long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static bool poll_in(int fd, int timeout_ms)
{
    struct pollfd item = { .fd = fd, .events = POLLIN };
    long long end = now_ms() + timeout_ms;
    for (;;) {
        long long left = end - now_ms();
        int ret = poll(&item, 1, left > 0 ? (int)left : 0);
        cr_assert(ret >= 0 || errno == EINTR, "poll: %s", strerror(errno));
        if (ret >= 0) {
            cr_assert_eq(item.revents & (POLLERR | POLLNVAL), 0, "poll of fd %d: revents %#x", fd, item.revents);
            return ret == 1;
        }
    }
}

bool is_readable(int fd)
{
    return poll_in(fd, 0);
}

void wait_readable(int fd)
{
    cr_assert(poll_in(fd, DEADLINE_MS), "fd %d not readable within %d ms", fd, DEADLINE_MS);
}

void wait_events(struct exitfd *x, struct exitfd_event *events, int n)
{
    int fd = exitfd_get_fd(x);
    cr_assert_geq(fd, 0, "exitfd_get_fd: %s", strerror(-fd));
    for (int got = 0; got < n;) {
        int ret = exitfd_wait(x, events + got, n - got, 0);
        cr_assert(ret >= 0 && ret <= n - got, "exitfd_wait: %d", ret);
        got += ret;
        if (got < n && ret == 0)
            cr_assert(poll_in(fd, DEADLINE_MS), "%d events, not %d, within %d ms", got, n, DEADLINE_MS);
    }
}

struct exitfd_event wait_event(struct exitfd *x)
{
    struct exitfd_event event;
    wait_events(x, &event, 1);
    return event;
}

void expect_no_event(struct exitfd *x)
{
    struct exitfd_event event;
    int ret = exitfd_wait(x, &event, 1, 0);
    cr_assert_geq(ret, 0, "exitfd_wait: %s", strerror(-ret));
    cr_assert_eq(ret, 0, "one event too many: pid %d code %d status %d origin %d", (int)event.pid, event.code,
                 event.status, event.origin);
}

void expect_quiet(struct exitfd *x)
{
    expect_no_event(x);
    cr_assert_not(is_readable(exitfd_get_fd(x)), "the fd is readable without an event");
}

void expect_event(const struct exitfd_event *event, pid_t pid, int code, int status, int origin, const void *data)
{
    cr_assert(event->pid == pid && event->code == code && event->status == status && event->origin == origin,
              "pid %d code %d status %d origin %d, wanted pid %d code %d status %d origin %d", (int)event->pid,
              event->code, event->status, event->origin, (int)pid, code, status, origin);
    cr_assert_eq(event->data, data, "data %p, wanted %p", event->data, data);
}

void expect_exited(const struct exitfd_event *event, pid_t pid, int status, const void *data)
{
    expect_event(event, pid, CLD_EXITED, status, EXITFD_REAPED, data);
}

void expect_report(struct exitfd *x)
{
    pid_t pid = start_child_exit(42);
    cr_assert_eq(exitfd_add(x, pid, 0, x), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 42, x);
}
