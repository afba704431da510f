/* SPDX-License-Identifier: MIT */
/* What truth_fallback.c injects, for real: no fd left under RLIMIT_NOFILE. */
#include "truth_support.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* Leaves room for so many fds more. */
static void limit_fds(int room)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int end = 0;
    for (int free_fds = 0; free_fds < room || fcntl(end, F_GETFD) >= 0; end++)
        free_fds += fcntl(end, F_GETFD) < 0;
    limit.rlim_cur = (rlim_t)end;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

enum {
    COUNT = 12,
    ROOM = 5
};

static int with_pidfd(struct exitfd *x, const pid_t *pids, int count)
{
    int found = 0;
    for (int i = 0; i < count; i++) {
        int ret = exitfd_get_pidfd(x, pids[i]);
        CHECK(ret >= 0 || ret == -ENOTSUP);
        found += ret >= 0;
    }
    return found;
}

TEST(limits, RLIMIT_NOFILE_some_on_pidfds_the_rest_by_SIGCHLD_and_back)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pids[COUNT];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++)
            pids[i] = start_child(&gate, 120 + i);
        if (round == 0)
            limit_fds(ROOM);
        for (int i = 0; i < COUNT; i++)
            CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
        CHECK_EQ(with_pidfd(x, pids, COUNT), round == 0 ? ROOM : COUNT);
        if (backend_is("pidfd"))
            CHECK_EQ(exitfd_is_default_handler(), round == 1);
        let_through(&gate, COUNT);
        expect_all_exited(x, pids, COUNT, 120);
        CHECK_EQ(exitfd_is_default_handler(), 1);
        raise_fd_limit();
    }
    close_gate(&gate);
    exitfd_close(x);
}

/* The limit stays; what the reported children held is enough for the next
   ones. */
TEST(limits, RLIMIT_NOFILE_fds_of_reported_children_serve_the_next)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pids[ROOM];
    limit_fds(ROOM);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < ROOM; i++) {
            pids[i] = start_child(&gate, 120 + i);
            CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
        }
        CHECK_EQ(with_pidfd(x, pids, ROOM), ROOM);
        let_through(&gate, ROOM);
        expect_all_exited(x, pids, ROOM, 120);
    }
    raise_fd_limit();
    close_gate(&gate);
    exitfd_close(x);
}

TEST(limits, RLIMIT_NOFILE_with_NO_SIGNALS_is_EMFILE)
{
    skip_without_pidfds();
    struct exitfd *x = open_exitfd_flags(EXITFD_NO_SIGNALS);
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 120);
    limit_fds(0);
    int ret = exitfd_add(x, pid, 0, &pid);
    if (ret == 0) {
        CHECK(backend_is("io_uring"), "watched, and by what?");
        CHECK_EQ(exitfd_remove(x, pid), 0);
    }
    CHECK(ret == 0 || ret == -EMFILE, "exitfd_add: %s", strerror(-ret));
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT);
    raise_fd_limit();
    CHECK_EQ(exitfd_add(x, pid, 0, &pid), 0);
    let_through(&gate, 1);
    expect_all_exited(x, &pid, 1, 120);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(limits, RLIMIT_NOFILE_and_a_pidfd_that_cannot_be_duplicated)
{
    skip_without_pidfds();
    struct exitfd *x = open_for_truth();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 120);
    int pidfd = open_pidfd(pid);
    bool tells_its_pid = have_exit_record();
    limit_fds(0);
    int ret = exitfd_add_pidfd(x, pidfd, 0, &pid);
    CHECK(ret == 0 || (ret == -EMFILE && !tells_its_pid), "exitfd_add_pidfd: %s", strerror(-ret));
    if (ret < 0) {
        raise_fd_limit();
        CHECK_EQ(exitfd_add_pidfd(x, pidfd, 0, &pid), 0);
    }
    CHECK_EQ(exitfd_get_pidfd(x, pid) >= 0, ret < 0);
    let_through(&gate, 1);
    expect_all_exited(x, &pid, 1, 120);
    raise_fd_limit();
    close(pidfd);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(limits, RLIMIT_NOFILE_and_no_fd_for_the_open_is_EMFILE)
{
    struct exitfd *warm = open_for_truth();
    exitfd_close(warm);
    struct exitfd *x = NULL;
    limit_fds(0);
    int ret = exitfd_open(&x, 0);
    raise_fd_limit();
    CHECK_EQ(ret, -EMFILE);
    CHECK(x == NULL);
}

/* Set after the open by sandboxes. poll(2) takes no more fds than that,
   whatever their numbers. */
static int wait_with_a_limit_of(struct exitfd *x, rlim_t fds)
{
    struct exitfd_event event;
    struct rlimit before, limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = fds;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int ret = exitfd_wait(x, &event, 1, 1);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    return ret;
}

TEST(limits, RLIMIT_NOFILE_of_no_more_than_a_wait_polls)
{
    struct exitfd *x = open_for_truth();
    CHECK_EQ(wait_with_a_limit_of(x, backend_is("signalfd") ? 2 : 1), 0);
    CHECK_EQ(wait_with_a_limit_of(x, 0), -ENOTSUP);
    exitfd_close(x);
}
