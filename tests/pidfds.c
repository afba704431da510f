/* SPDX-License-Identifier: MIT */
/* exitfd_add_pidfd and exitfd_get_pidfd, in a build that knows pidfds. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

TEST(pidfds, of_a_live_child)
{
    int data;
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 9);
    int pidfd = open_pidfd(pid);
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, &data), 0);
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, &data), -EEXIST);
    CHECK_EQ(exitfd_add(x, pid, 0, &data), -EEXIST);
    CHECK(fcntl(pidfd, F_GETFD) >= 0, "the caller's pidfd was closed");
    close(pidfd);
    expect_quiet(x);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 9, &data);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(pidfds, of_a_zombie)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(9);
    wait_until_zombie(pid);
    int pidfd = open_pidfd(pid);
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, NULL), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 9, NULL);
    CHECK(fcntl(pidfd, F_GETFD) >= 0, "the caller's pidfd was closed");
    expect_quiet(x);
    close(pidfd);
    exitfd_close(x);
}

TEST(pidfds, removed_by_their_pid)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(9);
    int pidfd = open_pidfd(pid);
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, NULL), 0);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    wait_until_zombie(pid);
    expect_quiet(x);
    reap(pid);
    close(pidfd);
    exitfd_close(x);
}

TEST(pidfds, that_are_none)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int directory = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int not_pidfds[] = { -1, INT_MIN, INT_MAX, gate.wait_end, gate.go_end, null, directory, exitfd_get_fd(x) };
    for (size_t i = 0; i < sizeof(not_pidfds) / sizeof(not_pidfds[0]); i++) {
        int ret = exitfd_add_pidfd(x, not_pidfds[i], 0, NULL);
        CHECK(ret == -EBADF || (ret == -ENOTSUP && !have_pidfd()), "no. %zu: %s", i, strerror(-ret));
    }
    close(null);
    CHECK_EQ(exitfd_add_pidfd(x, null, 0, NULL), -EBADF, "a closed fd");
    close(directory);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(pidfds, add_rejects_bad_arguments)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(0);
    int pidfd = open_pidfd(pid);
    CHECK_EQ(exitfd_add_pidfd(NULL, pidfd, 0, NULL), -EINVAL);
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 1, NULL), -EINVAL);
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 1u << 31, NULL), -EINVAL);
    reap(pid);
    /* With a record it is one more event: hold.c. */
    bool recorded = have_exit_record() && !build_is_posix();
    CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, NULL), recorded ? 0 : -ESRCH);
    close(pidfd);
    if (recorded)
        wait_event(x);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(pidfds, of_a_process_that_is_no_child)
{
    struct exitfd *x = open_exitfd();
    int runner = open_pidfd(getppid());
    int self = open_pidfd(getpid());
    CHECK_EQ(exitfd_add_pidfd(x, runner, 0, NULL), -ECHILD);
    CHECK_EQ(exitfd_add_pidfd(x, self, 0, NULL), -ECHILD);
    bool can_observe = backend_is("pidfd") || backend_is("io_uring");
    CHECK_EQ(exitfd_add_pidfd(x, runner, EXITFD_OBSERVE, NULL), can_observe ? 0 : -ENOTSUP);
    expect_quiet(x);
    close(runner);
    close(self);
    exitfd_close(x);
}

static bool same_file(int a, int b)
{
    struct stat stat_a, stat_b;
    CHECK_EQ(fstat(a, &stat_a), 0);
    CHECK_EQ(fstat(b, &stat_b), 0);
    return stat_a.st_dev == stat_b.st_dev && stat_a.st_ino == stat_b.st_ino;
}

TEST(pidfds, get_pidfd_names_the_child)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    CHECK_EQ(exitfd_get_pidfd(NULL, pid), -EINVAL);
    CHECK_EQ(exitfd_get_pidfd(x, 0), -EINVAL);
    CHECK_EQ(exitfd_get_pidfd(x, -2), -EINVAL);
    CHECK_EQ(exitfd_get_pidfd(x, pid), -ENOENT);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    int pidfd = exitfd_get_pidfd(x, pid);
    if (backend_is("pidfd")) {
        CHECK(pidfd >= 0, "exitfd_get_pidfd: %s", strerror(-pidfd));
        CHECK(!is_readable(pidfd));
        if (have_pidfs()) {
            int own = open_pidfd(pid);
            CHECK(same_file(own, pidfd), "the pidfd of another process");
            close(own);
        }
        let_through(&gate, 1);
        wait_readable(pidfd);
    } else {
        CHECK(pidfd == -ENOTSUP || (backend_is("io_uring") && pidfd >= 0), "%d", pidfd);
        let_through(&gate, 1);
    }
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, NULL);
    CHECK_EQ(exitfd_get_pidfd(x, pid), -ENOENT);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(pidfds, add_without_fds_left_and_without_signals)
{
    if (!backend_is("pidfd"))
        SKIP("a back end without an fd for each child");
    struct exitfd *x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    pid_t pid = start_child_exit(0);
    struct rlimit before = forbid_new_fds();
    int ret = exitfd_add(x, pid, 0, NULL);
    allow_new_fds(&before);
    CHECK_EQ(ret, -EMFILE, "exitfd_add: %s", strerror(-ret));
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT, "watched after a failed add");
    wait_until_zombie(pid);
    expect_quiet(x);
    reap(pid);
    exitfd_close(x);
}

/* To epoll a duplicate is the same open file, and the lowest free number may be
   the same again. */
static void observe_again(struct exitfd *x, int pidfd, pid_t pid)
{
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(exitfd_add_pidfd(x, pidfd, EXITFD_OBSERVE, x), 0, "round %d", round);
        if (backend_is("pidfd") || backend_is("io_uring"))
            CHECK(exitfd_get_pidfd(x, pid) >= 0, "round %d: not by its pidfd", round);
        struct exitfd_event event = wait_event(x);
        expect_event(&event, pid, CLD_EXITED, 9, EXITFD_PEEKED, x);
        expect_quiet(x);
    }
}

TEST(pidfds, of_a_zombie_again_and_again)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(9);
    int pidfd = open_pidfd(pid);
    observe_again(x, pidfd, pid);
    close(pidfd);
    reap(pid);
    exitfd_close(x);
}

/* duplicate is of the pidfd that x has. It comes back when that watch has
   ended. Without a pidfd of x it is another one. */
static void observe_by_the_duplicate(struct exitfd *x, int duplicate, pid_t pid)
{
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_EXITED, 9, EXITFD_PEEKED, x);
    observe_again(x, duplicate, pid);
    close(duplicate);
    reap(pid);
    exitfd_close(x);
}

TEST(pidfds, of_a_watch_that_was_duplicated_and_comes_back)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(9);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_OBSERVE, x), 0);
    int borrowed = exitfd_get_pidfd(x, pid);
    int duplicate = borrowed >= 0 ? dup(borrowed) : open_pidfd(pid);
    observe_by_the_duplicate(x, duplicate, pid);
}

/* Another program may get it, as by pidfd_getfd(2) of a forked child. Then no
   exitfd_get_pidfd tells of it. */
TEST(pidfds, of_a_watch_that_was_duplicated_without_a_word_and_comes_back)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(9);
    int number = dup(STDIN_FILENO);
    close(number);
    CHECK_EQ(exitfd_add(x, pid, EXITFD_OBSERVE, x), 0);
    int duplicate = dup(number); /* the lowest that was free */
    if (duplicate < 0)
        duplicate = open_pidfd(pid);
    observe_by_the_duplicate(x, duplicate, pid);
}

static int wait_and_exit_5(void *gate)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(300);
    wait_behind(gate);
    _exit(5);
}

/* No wait sees such a child that does not ask for it with __WALL. */
static void a_child_with_the_exit_signal(int signal)
{
    static char stack[65536] __attribute__((aligned(16)));
    if (!backend_is("pidfd") && !backend_is("io_uring"))
        SKIP("a SIGCHLD back end: this child sends none");
    struct exitfd *x = open_exitfd();
    for (int given = 0; given < 2; given++) {
        struct gate gate = open_gate();
        pid_t pid = clone(wait_and_exit_5, stack + sizeof(stack), signal, &gate);
        CHECK(pid > 0, "clone: %s", strerror(errno));
        if (given) {
            int pidfd = open_pidfd(pid);
            CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, x), 0);
            close(pidfd);
        } else {
            CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
        }
        expect_quiet(x);
        let_through(&gate, 1);
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, pid, 5, x);
        CHECK(waitpid(pid, NULL, __WALL | WNOHANG) < 0 && errno == ECHILD, "left behind");
        expect_quiet(x);
        close_gate(&gate);
    }
    exitfd_close(x);
}

TEST(pidfds, of_a_child_without_an_exit_signal)
{
    a_child_with_the_exit_signal(0);
}

TEST(pidfds, of_a_child_with_another_exit_signal)
{
    CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    a_child_with_the_exit_signal(SIGUSR1);
}

/* SIGCHLD tells nothing of it, so it cannot be watched without a pidfd. It is a
   child all the same. */
TEST(pidfds, of_a_child_without_an_exit_signal_and_no_fd_left)
{
    if (!backend_is("pidfd") && !backend_is("io_uring"))
        SKIP("a SIGCHLD back end: this child sends none");
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child_signalling(0, &gate, 6);
    struct rlimit before = forbid_new_fds();
    int owned = exitfd_add(x, pid, 0, x), observed = exitfd_add(x, pid, EXITFD_OBSERVE, x);
    allow_new_fds(&before);
    CHECK_EQ(owned, -EMFILE);
    CHECK_EQ(observed, -EMFILE);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 6, x);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(pidfds, of_a_thread)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, O_EXCL);
    int result = pidfd < 0 ? 0 : exitfd_add_pidfd(x, pidfd, 0, NULL);
    expect_quiet(x);
    let_through(&gate, 1);
    reap(pid);
    close_gate(&gate);
    exitfd_close(x);
    if (pidfd < 0)
        SKIP("no PIDFD_THREAD in this kernel (Linux 6.9)");
    close(pidfd);
    CHECK_EQ(result, -EBADF, "exitfd_add_pidfd: %d (%s)", result, strerror(-result));
}
