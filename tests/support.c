/* SPDX-License-Identifier: MIT */
/*
 * How a test begins and ends, what it says of a failure, and how it waits for
 * events. A forked child and a second thread may fail too, and report_failure
 * ends each in its own way.
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

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
static pid_t test_pid;
static pthread_t test_thread;

static const char *forced_backend(void)
{
    const char *name = getenv("EXITFD_BACKEND");
    return name != NULL ? name : "";
}

static void list_fds(bool open_fds[FD_LIMIT])
{
    memset(open_fds, 0, FD_LIMIT * sizeof(open_fds[0]));
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir != NULL, "/proc/self/fd: %s", strerror(errno));
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
        CHECK(false, "leaked fd %d -> %s", fd, target);
    }
}

static void expect_no_children(void)
{
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    int ret = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    CHECK(ret < 0 && errno == ECHILD, "left a child behind: %s %d", info.si_pid != 0 ? "zombie" : "a live one",
          (int)info.si_pid);
}

/* Also into the report (tests/with-report), because Criterion takes what tests
   print away when it writes TAP. */
static void say_in_child(const char *message)
{
    struct iovec parts[] = { { (char *)message, strlen(message) }, { "\n", 1 } };
    const char *report = getenv("EXITFD_TEST_REPORT");
    int fd = report != NULL ? open(report, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (writev(STDERR_FILENO, parts, 2) < 0 || (fd >= 0 && writev(fd, parts, 2) < 0))
        _exit(2);
}

void report_failure(const char *message)
{
    if (getpid() != test_pid) {
        say_in_child(message);
        _exit(1);
    }
    if (!pthread_equal(pthread_self(), test_thread)) {
        say_in_child(message);
        abort();
    }
    cr_assert_fail("%s", message);
    abort();
}

void begin_test(void)
{
    test_pid = getpid();
    test_thread = pthread_self();
    if (strcmp(forced_backend(), "signalfd") == 0)
        block_sigchld();
    list_fds(fds_before);
}

void end_test(void)
{
    expect_no_new_fds();
    expect_no_children();
#ifdef WITH_LSAN
    CHECK_EQ(__lsan_do_recoverable_leak_check(), 0, "leaked memory: LeakSanitizer's report is on stderr");
#endif
}

void block_signal(int signum)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signum);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
}

void block_sigchld(void)
{
    block_signal(SIGCHLD);
}

bool sigchld_is_blocked(void)
{
    sigset_t mask;
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    return sigismember(&mask, SIGCHLD) == 1;
}

static void set_fd_limit(rlim_t soft)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0, "RLIMIT_NOFILE: %s", strerror(errno));
}

struct rlimit forbid_new_fds(void)
{
    struct rlimit before;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest_free = dup(0);
    CHECK(lowest_free >= 0, "dup: %s", strerror(errno));
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
    CHECK_EQ(ret, 0, "exitfd_open with EXITFD_BACKEND=%s: %s", forced, strerror(-ret));
    CHECK(x != NULL);
    return x;
}

struct exitfd *open_exitfd_flags(unsigned flags)
{
    struct exitfd *x = NULL;
    int ret = exitfd_open(&x, flags);
    CHECK_EQ(ret, 0, "exitfd_open(%#x): %s", flags, strerror(-ret));
    CHECK(x != NULL);
    return x;
}

void add_child(struct exitfd *x, pid_t pid, unsigned flags, void *data)
{
    if (getenv("EXITFD_TEST_WITHOUT_FDS") == NULL) {
        CHECK_EQ(exitfd_add(x, pid, flags, data), 0);
        return;
    }
    struct rlimit before = forbid_new_fds();
    int error = exitfd_add(x, pid, flags, data);
    allow_new_fds(&before);
    CHECK_EQ(error, 0);
    CHECK_EQ(exitfd_get_pidfd(x, pid), -ENOTSUP, "it has a pidfd, so this shows nothing");
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
        CHECK(ret >= 0 || errno == EINTR, "poll: %s", strerror(errno));
        if (ret >= 0) {
            CHECK_EQ(item.revents & (POLLERR | POLLNVAL), 0, "poll of fd %d: revents %#x", fd, item.revents);
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
    CHECK(poll_in(fd, DEADLINE_MS), "fd %d not readable within %d ms", fd, DEADLINE_MS);
}

void wait_events(struct exitfd *x, struct exitfd_event *events, int n)
{
    int fd = exitfd_get_fd(x);
    CHECK(fd >= 0, "exitfd_get_fd: %s", strerror(-fd));
    for (int got = 0; got < n;) {
        int ret = exitfd_wait(x, events + got, n - got, 0);
        CHECK(ret >= 0 && ret <= n - got, "exitfd_wait: %d", ret);
        got += ret;
        if (got < n && ret == 0)
            CHECK(poll_in(fd, DEADLINE_MS), "%d events, not %d, within %d ms", got, n, DEADLINE_MS);
    }
}

int wait_blocked(struct exitfd *x, struct exitfd_event *event)
{
    unsigned before = alarm(DEADLINE_MS / 1000);
    int ret = exitfd_wait(x, event, 1, -1);
    alarm(before);
    return ret;
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
    CHECK(ret >= 0, "exitfd_wait: %s", strerror(-ret));
    CHECK_EQ(ret, 0, "one event too many: pid %d code %d status %d origin %d", (int)event.pid, event.code, event.status,
             event.origin);
}

void expect_quiet(struct exitfd *x)
{
    expect_no_event(x);
    /* A kernel that is preempted there signals a ring's eventfd after its work
       could be seen, also that of the look. */
    for (int late = 0; late < 3 && strcmp(exitfd_get_backend(x), "io_uring") == 0 && is_readable(exitfd_get_fd(x));
         late++)
        expect_no_event(x);
    CHECK(!is_readable(exitfd_get_fd(x)), "the fd is readable without an event");
}

void expect_event(const struct exitfd_event *event, pid_t pid, int code, int status, int origin, const void *data)
{
    CHECK(event->pid == pid && event->code == code && event->status == status && event->origin == origin,
          "pid %d code %d status %d origin %d, wanted pid %d code %d status %d origin %d", (int)event->pid, event->code,
          event->status, event->origin, (int)pid, code, status, origin);
    CHECK_EQ(event->data, data, "data %p, wanted %p", event->data, data);
}

void expect_exited(const struct exitfd_event *event, pid_t pid, int status, const void *data)
{
    expect_event(event, pid, CLD_EXITED, status, EXITFD_REAPED, data);
}

void expect_report(struct exitfd *x)
{
    pid_t pid = start_child_exit(42);
    add_child(x, pid, 0, x);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 42, x);
}
