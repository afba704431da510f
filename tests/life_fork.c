/* SPDX-License-Identifier: MIT */
/* exitfd_fork, and what is left of an exitfd in a forked child: -ESTALE, and no
   way to harm the parent. */
#include "life_support.h"

#include <fcntl.h>
#include <sys/syscall.h>

TEST(fork, in_the_parent_the_child_is_watched)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = exitfd_fork(x, 0, x);
    if (pid == 0)
        _exit(12);
    CHECK(pid > 0, "exitfd_fork: %s", strerror(-pid));
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), -EEXIST);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 12, x);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(fork, flags_count)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = exitfd_fork(x, EXITFD_OBSERVE, x);
    if (pid == 0)
        _exit(13);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_EXITED, 13, EXITFD_PEEKED, x);
    CHECK_EQ(WEXITSTATUS(reap(pid)), 13);
    exitfd_close(x);
}

/* A child that should not exist ends here, before it runs the rest of the test
   as well. */
static int fork_refused(struct exitfd *x, unsigned flags)
{
    pid_t ret = exitfd_fork(x, flags, NULL);
    if (ret == 0)
        _exit(0);
    return ret;
}

TEST(fork, bad_arguments_fork_nothing)
{
    struct exitfd *x = open_exitfd();
    CHECK_EQ(fork_refused(NULL, 0), -EINVAL);
    for (unsigned bit = 1; bit != 0; bit <<= 1)
        if ((bit & (EXITFD_OBSERVE | EXITFD_STOPPED | EXITFD_CONTINUED | EXITFD_HOLD)) == 0)
            CHECK_EQ(fork_refused(x, bit), -EINVAL);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    expect_quiet(x);
    exitfd_close(x);
}

TEST(fork, without_signals_stops_are_refused_before_the_fork)
{
    struct exitfd *x = NULL;
    int ret = exitfd_open(&x, EXITFD_NO_SIGNALS);
    if (ret == -ENOTSUP && backend_is("self-pipe"))
        SKIP("EXITFD_NO_SIGNALS: self-pipe cannot do without");
    CHECK_EQ(ret, 0);
    CHECK_EQ(fork_refused(x, EXITFD_STOPPED), -ENOTSUP);
    CHECK_EQ(fork_refused(x, EXITFD_CONTINUED), -ENOTSUP);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    exitfd_close(x);
}

/* The first public function that does not say -ESTALE, or 0. In a forked child:
   nothing here may assert. */
static int first_not_stale(struct exitfd *x, pid_t watched)
{
    struct exitfd_event events[2];
    char *argv[] = { "true", NULL };
    pid_t untouched = -77;
    int results[] = { exitfd_get_fd(x),
                      exitfd_add(x, getpid(), EXITFD_OBSERVE, NULL),
                      exitfd_add(x, watched, EXITFD_OBSERVE, NULL),
                      exitfd_add(x, -1, 0, NULL),
                      exitfd_add_pidfd(x, 0, EXITFD_OBSERVE, NULL),
                      exitfd_remove(x, watched),
                      exitfd_remove(x, -1),
                      exitfd_discard(x, watched),
                      exitfd_kill(x, watched, SIGKILL),
                      exitfd_kill(x, watched, 0),
                      exitfd_get_pidfd(x, watched),
                      exitfd_wait(x, events, 2, 0),
                      exitfd_wait(x, events, 2, 60000),
                      exitfd_wait(x, events, 2, -1),
                      exitfd_spawn(x, &untouched, "true", NULL, NULL, argv, NULL, 0, NULL),
                      fork_refused(x, 0) };
    for (int i = 0; i < (int)(sizeof(results) / sizeof(*results)); i++)
        if (results[i] != -ESTALE)
            return i + 1;
    if (untouched != -77 || waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
        return 50;
    return exitfd_get_backend(x) != NULL ? 0 : 51;
}

static void expect_works(struct exitfd *x)
{
    pid_t pid = start_paused();
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    CHECK_EQ(exitfd_kill(x, pid, SIGTERM), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGTERM, EXITFD_REAPED, x);
    expect_quiet(x);
}

TEST(fork, every_function_is_stale_in_a_child_of_fork)
{
    struct exitfd *x = open_exitfd();
    pid_t watched = start_paused();
    CHECK_EQ(exitfd_add(x, watched, 0, x), 0);
    pid_t pid = fork_guarded();
    if (pid == 0)
        _exit(first_not_stale(x, watched));
    expect_success(pid);
    CHECK_EQ(exitfd_kill(x, watched, SIGTERM), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, watched, CLD_KILLED, SIGTERM, EXITFD_REAPED, x);
    expect_works(x);
    exitfd_close(x);
}

TEST(fork, every_function_is_stale_in_a_child_of_exitfd_fork)
{
    struct exitfd *x = open_exitfd();
    pid_t watched = start_paused();
    CHECK_EQ(exitfd_add(x, watched, 0, NULL), 0);
    pid_t pid = exitfd_fork(x, 0, x);
    if (pid == 0)
        _exit(first_not_stale(x, watched));
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, x);
    exitfd_close(x);
    kill_and_reap(watched);
}

TEST(fork, every_function_is_stale_in_a_child_of_the_system_call)
{
    struct exitfd *x = open_exitfd();
    pid_t watched = start_paused();
    CHECK_EQ(exitfd_add(x, watched, 0, NULL), 0);
    pid_t pid = fork_without_libc();
    if (pid == 0)
        _exit(exitfd_wait(x, &(struct exitfd_event){ 0 }, 1, 0) != -ESTALE ? 1
              : exitfd_add(x, watched, 0, NULL) != -ESTALE                 ? 2
              : exitfd_kill(x, watched, SIGKILL) != -ESTALE                ? 3
                                                                           : 0);
    expect_success(pid);
    CHECK_EQ(exitfd_kill(x, watched, 0), 0);
    exitfd_close(x);
    kill_and_reap(watched);
}

TEST(fork, a_close_in_the_child_harms_nothing_in_the_parent)
{
    enum {
        WATCHED = 20
    };
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    struct exitfd_event events[WATCHED];
    pid_t discarded = start_child(&gate, 0);
    for (int i = 0; i < WATCHED; i++)
        CHECK_EQ(exitfd_add(x, start_child(&gate, 3), i % 2 != 0 ? EXITFD_STOPPED : 0, x), 0);
    CHECK_EQ(exitfd_add(x, discarded, 0, NULL), 0);
    CHECK_EQ(exitfd_discard(x, discarded), 0);
    pid_t pid = fork_guarded();
    if (pid == 0)
        _exit(exitfd_close(x) != NULL);
    expect_success(pid);
    expect_no_event(x);
    let_through(&gate, WATCHED + 1);
    wait_events(x, events, WATCHED);
    for (int i = 0; i < WATCHED; i++)
        expect_exited(&events[i], events[i].pid, 3, x);
    while (is_child(discarded)) {
        wait_readable(exitfd_get_fd(x));
        expect_no_event(x);
    }
    expect_works(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* -1: the kernel does not tell here which file an epoll set polls. */
static int compare_with_epoll_slot(int set, int fd)
{
    struct {
        uint32_t set, fd, index;
    } slot = { (uint32_t)set, (uint32_t)fd, 0 };
    return (int)syscall(SYS_kcmp, getpid(), getpid(), 7 /* KCMP_EPOLL_TFD */, fd, &slot);
}

/* io_uring has no epoll set that lists them. */
static void expect_copies_to_be_reported(struct exitfd *x, pid_t pid)
{
    int pidfd = exitfd_get_pidfd(x, pid);
    if (pidfd < 0 || !backend_is("pidfd"))
        SKIP("there is no pidfd in an epoll set");
    if (compare_with_epoll_slot(exitfd_get_fd(x), pidfd) != 0)
        SKIP("no kcmp(2) here");
}

TEST(fork, a_close_in_the_child_closes_its_copies_of_the_pidfds)
{
    enum {
        WATCHED = 20
    };
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    struct exitfd_event events[WATCHED];
    int pidfds[WATCHED];
    for (int i = 0; i < WATCHED; i++) {
        pid_t pid = start_child(&gate, 3);
        CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
        expect_copies_to_be_reported(x, pid);
        pidfds[i] = exitfd_get_pidfd(x, pid);
    }
    pid_t pid = fork_guarded();
    if (pid == 0) {
        int left = 0;
        for (int i = 0; i < WATCHED; i++)
            left += fcntl(pidfds[i], F_GETFD) < 0 ? WATCHED + 1 : 0;
        exitfd_close(x);
        for (int i = 0; i < WATCHED; i++)
            left += fcntl(pidfds[i], F_GETFD) >= 0;
        _exit(left);
    }
    expect_success(pid);
    let_through(&gate, WATCHED);
    wait_events(x, events, WATCHED);
    close_gate(&gate);
    exitfd_close(x);
}

/* By the inode, and by /proc alone, it is the same as the parent's. */
TEST(fork, a_close_in_the_child_spares_a_pidfd_of_its_own_with_the_same_number)
{
    struct exitfd *x = open_exitfd();
    pid_t watched = start_paused();
    CHECK_EQ(exitfd_add(x, watched, 0, x), 0);
    expect_copies_to_be_reported(x, watched);
    int pidfd = exitfd_get_pidfd(x, watched);
    pid_t pid = fork_guarded();
    if (pid == 0) {
        int own = (int)syscall(SYS_pidfd_open, watched, 0);
        if (own < 0 || dup2(own, pidfd) != pidfd)
            _exit(2);
        exitfd_close(x);
        _exit(fcntl(pidfd, F_GETFD) < 0);
    }
    expect_success(pid);
    expect_works(x);
    exitfd_close(x);
    kill_and_reap(watched);
}

TEST(fork, a_close_in_the_child_leaves_the_catch_all_watch)
{
    struct exitfd *x = open_exitfd(), *y = open_exitfd();
    CHECK_EQ(exitfd_add(x, -1, 0, x), 0);
    pid_t pid = exitfd_fork(y, 0, y);
    if (pid == 0)
        _exit(exitfd_close(x) != NULL || exitfd_close(y) != NULL);
    struct exitfd_event event = wait_event(y);
    expect_exited(&event, pid, 0, y);
    CHECK_EQ(exitfd_add(y, -1, 0, y), -EBUSY);
    pid_t other = start_child_exit(21);
    event = wait_event(x);
    expect_exited(&event, other, 21, x);
    exitfd_close(x);
    exitfd_close(y);
}

/* A whole life with an exitfd of its own. The number of the step that failed,
   or 0. */
static int use_own_exitfd(void)
{
    struct exitfd *own;
    struct exitfd_event event;
    if (exitfd_open(&own, 0) != 0)
        return 61;
    pid_t pid = exitfd_fork(own, 0, own);
    if (pid == 0)
        _exit(17);
    int ret;
    while ((ret = exitfd_wait(own, &event, 1, 30000)) == -EINTR)
        ;
    if (pid < 0 || ret != 1)
        return 62;
    if (event.pid != pid || event.code != CLD_EXITED || event.status != 17 || event.data != own)
        return 63;
    exitfd_close(own);
    return 0;
}

TEST(fork, parent_and_child_each_go_on_with_their_own)
{
    struct exitfd *x = open_exitfd();
    pid_t watched = start_paused();
    CHECK_EQ(exitfd_add(x, watched, 0, x), 0);
    for (int close_first = 0; close_first < 2; close_first++) {
        pid_t pid = fork_guarded();
        if (pid == 0) {
            if (close_first)
                exitfd_close(x);
            int failed = use_own_exitfd();
            CHECK(close_first || exitfd_kill(x, watched, 0) == -ESTALE);
            _exit(failed);
        }
        expect_works(x);
        expect_success(pid);
    }
    CHECK_EQ(exitfd_kill(x, watched, 0), 0);
    expect_quiet(x);
    exitfd_close(x);
    kill_and_reap(watched);
}

TEST(fork, down_to_the_great_grandchild_each_has_its_own)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = fork_guarded();
    if (pid == 0) {
        struct exitfd *own;
        CHECK(exitfd_open(&own, 0) == 0);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            alarm(120);
            CHECK(exitfd_remove(x, 1) == -ESTALE);
            CHECK(exitfd_remove(own, 1) == -ESTALE);
            exitfd_close(own);
            exitfd_close(x);
            _exit(use_own_exitfd());
        }
        struct exitfd_event event;
        CHECK(exitfd_add(own, grandchild, 0, NULL) == 0);
        int ret;
        while ((ret = exitfd_wait(own, &event, 1, -1)) == -EINTR)
            ;
        CHECK(ret == 1 && event.pid == grandchild);
        exitfd_close(own);
        _exit(event.status);
    }
    expect_success(pid);
    expect_works(x);
    exitfd_close(x);
}

static void expect_report_in_daemon(struct exitfd *x, pid_t pid, int from_daemon)
{
    int failed = -1;
    expect_success(pid);
    CHECK_EQ(read(from_daemon, &failed, sizeof(failed)), sizeof(failed), "the daemon died");
    CHECK_EQ(failed, 0, "check %d failed in the daemon", failed);
    expect_works(x);
    close(from_daemon);
    exitfd_close(x);
}

static void work_as_daemon(struct exitfd *x, int to_starter)
{
    alarm(120);
    int failed = first_not_stale(x, 1);
    exitfd_close(x);
    if (failed == 0)
        failed = use_own_exitfd();
    _exit(write(to_starter, &failed, sizeof(failed)) < 0);
}

TEST(fork, a_daemon_that_forks_twice_after_the_open_gets_ESTALE)
{
    int ends[2];
    struct exitfd *x = open_exitfd();
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork_guarded();
    if (pid == 0) {
        setsid();
        if (fork() == 0)
            work_as_daemon(x, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    expect_report_in_daemon(x, pid, ends[0]);
}

TEST(fork, a_daemon_made_by_daemon_gets_ESTALE)
{
    int ends[2];
    struct exitfd *x = open_exitfd();
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork_guarded();
    if (pid == 0) {
        CHECK(daemon(1, 1) == 0);
        work_as_daemon(x, ends[1]);
    }
    close(ends[1]);
    expect_report_in_daemon(x, pid, ends[0]);
}
