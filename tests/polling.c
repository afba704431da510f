/* SPDX-License-Identifier: MIT */
/* The fd in every kind of poller. */
#include "support.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/epoll.h>

static int open_epoll(int fd, uint32_t events)
{
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    CHECK(epfd >= 0);
    struct epoll_event item = { .events = events, .data.fd = fd };
    CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &item), 0, "EPOLL_CTL_ADD: %s", strerror(errno));
    return epfd;
}

static bool epoll_reports(int epfd, int fd, int timeout_ms)
{
    struct epoll_event item = { .events = 0 };
    int n;
    do
        n = epoll_wait(epfd, &item, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    CHECK(n == 0 || (n == 1 && item.data.fd == fd && item.events == EPOLLIN), "epoll_wait: %d, events %#x", n,
          item.events);
    return n == 1;
}

static void report_through_epoll_level_triggered(int depth)
{
    enum {
        children = 5
    };
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    int epfds[4] = { open_epoll(exitfd_get_fd(x), EPOLLIN) };
    for (int i = 1; i < depth; i++)
        epfds[i] = open_epoll(epfds[i - 1], EPOLLIN);
    int outer = epfds[depth - 1], inner = depth > 1 ? epfds[depth - 2] : exitfd_get_fd(x);
    for (intptr_t i = 0; i < children; i++)
        CHECK_EQ(exitfd_add(x, start_child(&gate, 0), 0, NULL), 0);
    CHECK(!epoll_reports(outer, inner, 0));
    let_through(&gate, children);
    for (int i = 0; i < children; i++) {
        CHECK(epoll_reports(outer, inner, DEADLINE_MS), "%d events, then no more", i);
        struct exitfd_event event = wait_event(x);
        expect_exited(&event, event.pid, 0, NULL);
    }
    expect_no_event(x);
    CHECK(!epoll_reports(outer, inner, 0));
    for (int i = 0; i < depth; i++)
        close(epfds[i]);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(polling, epoll_level_triggered)
{
    report_through_epoll_level_triggered(1);
}

TEST(polling, epoll_within_epolls)
{
    report_through_epoll_level_triggered(3);
}

static int drain(struct exitfd *x)
{
    struct exitfd_event events[4];
    int total = 0, n;
    while ((n = exitfd_wait(x, events, 4, 0)) > 0)
        total += n;
    CHECK_EQ(n, 0, "exitfd_wait: %s", strerror(-n));
    return total;
}

TEST(polling, epoll_edge_triggered_with_exits_while_it_is_drained)
{
    enum {
        children = 12,
        rounds = 25
    };
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    int fd = exitfd_get_fd(x);
    int epfd = open_epoll(fd, EPOLLIN | EPOLLET);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < children; i++)
            CHECK_EQ(exitfd_add(x, start_child(&gate, 0), 0, NULL), 0);
        let_through(&gate, children);
        for (int got = 0; got < children; got += drain(x))
            CHECK(epoll_reports(epfd, fd, DEADLINE_MS), "round %d: no edge for the last %d", round, children - got);
    }
    expect_quiet(x);
    close(epfd);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(polling, epoll_edge_triggered_added_when_an_event_is_due)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    wait_until_zombie(pid);
    int epfd = open_epoll(exitfd_get_fd(x), EPOLLIN | EPOLLET);
    CHECK(epoll_reports(epfd, exitfd_get_fd(x), DEADLINE_MS));
    CHECK_EQ(drain(x), 1);
    close(epfd);
    exitfd_close(x);
}

TEST(polling, epoll_edge_triggered_and_a_child_dead_before_the_add)
{
    struct exitfd *x = open_exitfd();
    int epfd = open_epoll(exitfd_get_fd(x), EPOLLIN | EPOLLET);
    for (int i = 0; i < 20; i++) {
        pid_t pid = start_child_exit(0);
        wait_until_zombie(pid);
        drain(x);
        CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
        CHECK(epoll_reports(epfd, exitfd_get_fd(x), DEADLINE_MS));
        CHECK_EQ(drain(x), 1);
    }
    close(epfd);
    exitfd_close(x);
}
#endif

static bool select_reports(int fd, struct timeval timeout)
{
    fd_set fds;
    int n;
    do {
        FD_ZERO(&fds);
        FD_SET(fd, &fds);
        n = select(fd + 1, &fds, NULL, NULL, &timeout);
    } while (n < 0 && errno == EINTR);
    CHECK(n >= 0, "select: %s", strerror(errno));
    return n == 1;
}

TEST(polling, select)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    const struct timeval none = { 0 }, deadline = { .tv_sec = DEADLINE_MS / 1000 };
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK(!select_reports(exitfd_get_fd(x), none));
    let_through(&gate, 1);
    CHECK(select_reports(exitfd_get_fd(x), deadline));
    CHECK(select_reports(exitfd_get_fd(x), none));
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, NULL);
    expect_no_event(x);
    CHECK(!select_reports(exitfd_get_fd(x), none));
    close_gate(&gate);
    exitfd_close(x);
}

TEST(polling, poll)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    CHECK(!is_readable(exitfd_get_fd(x)));
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    expect_quiet(x);
    let_through(&gate, 1);
    wait_readable(exitfd_get_fd(x));
    CHECK(is_readable(exitfd_get_fd(x)));
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, NULL);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(polling, the_fd_never_changes)
{
    struct exitfd *x = open_exitfd();
    int fd = exitfd_get_fd(x);
    pid_t pid = start_child_exit(0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(exitfd_get_fd(x), fd);
    wait_event(x);
    CHECK_EQ(exitfd_get_fd(x), fd);
    exitfd_close(x);
}
