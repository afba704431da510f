/* SPDX-License-Identifier: MIT */
/* The ring belongs to the thread that opened it: what the calls of other
   threads return, also after its end. */
#include "uring_support.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A thread that does one thing to x and hands back a result. */
struct errand {
    struct exitfd *x;
    pid_t pid;
    int pidfd, fd;
    int result;
    pthread_t self;
};

static void run(struct errand *errand, void *(*body)(void *))
{
    CHECK_EQ(pthread_create(&errand->self, NULL, body, errand), 0);
    pthread_join(errand->self, NULL);
}

/* The first function that does not say -EXDEV, by its position. */
static void *call_everything(void *argument)
{
    struct errand *errand = argument;
    struct exitfd *x = errand->x;
    pid_t pid = errand->pid;
    struct exitfd_event event;
    char *const argv[] = { (char[]){ "true" }, NULL };
    const int results[] = {
        exitfd_get_fd(x),
        exitfd_add(x, pid, 0, NULL),
        exitfd_add(x, -1, 0, NULL),
        exitfd_add_pidfd(x, errand->pidfd, 0, NULL),
        exitfd_remove(x, pid),
        exitfd_remove(x, -1),
        exitfd_discard(x, pid),
        exitfd_kill(x, pid, 0),
        exitfd_get_pidfd(x, pid),
        exitfd_wait(x, &event, 1, 0),
        exitfd_wait(x, &event, 1, -1),
        exitfd_spawn(x, NULL, "true", NULL, NULL, argv, NULL, 0, NULL),
        exitfd_fork(x, 0, NULL),
    };
    const int count = sizeof(results) / sizeof(results[0]);
    errand->result = 0;
    while (errand->result < count && results[errand->result] == -EXDEV)
        errand->result++;
    if (errand->result == count)
        errand->result = -EXDEV;
    return NULL;
}

TEST(uring_threads, another_thread_gets_EXDEV_and_changes_nothing)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 5);
    struct errand errand = { .x = x, .pid = pid, .pidfd = open_pidfd(pid) };
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    run(&errand, call_everything);
    CHECK_EQ(errand.result, -EXDEV, "function %d says something else", errand.result);
    CHECK_STR(exitfd_get_backend(x), "io_uring");
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 5, x);
    expect_quiet(x);
    close(errand.pidfd);
    close_gate(&gate);
    exitfd_close(x);
}

static void *open_in_thread(void *argument)
{
    struct errand *errand = argument;
    errand->result = exitfd_open(&errand->x, EXITFD_URING);
    if (errand->result == 0 && errand->pid > 0)
        errand->result = exitfd_add(errand->x, errand->pid, 0, NULL);
    if (errand->result == 0)
        errand->fd = exitfd_get_fd(errand->x);
    return NULL;
}

static void *get_fd_in_thread(void *argument)
{
    struct errand *errand = argument;
    errand->result = exitfd_get_fd(errand->x);
    return NULL;
}

static void skip_without_io_uring(void)
{
    exitfd_close(open_exitfd());
}

/* A thread that ends gives its pthread_t to the next one, as a rule. */
TEST(uring_threads, a_thread_with_the_openers_pthread_t_is_another_thread)
{
    bool reused = false;
    skip_without_io_uring();
    for (int i = 0; i < 20; i++) {
        struct errand opener = { .x = NULL }, other = { .x = NULL };
        run(&opener, open_in_thread);
        CHECK_EQ(opener.result, 0);
        other.x = opener.x;
        run(&other, get_fd_in_thread);
        CHECK_EQ(other.result, -EXDEV);
        reused |= pthread_equal(opener.self, other.self);
        exitfd_close(opener.x);
    }
    CHECK(reused, "no pthread_t was reused, so this shows nothing");
}

TEST(uring_threads, a_poll_of_the_fd_wakes_when_its_thread_has_ended)
{
    struct gate gate = open_gate();
    struct exitfd_event event;
    skip_without_io_uring();
    struct errand opener = { .pid = start_child(&gate, 0) };
    run(&opener, open_in_thread);
    CHECK_EQ(opener.result, 0);
    let_through(&gate, 1);
    wait_readable(opener.fd);
    CHECK_EQ(exitfd_wait(opener.x, &event, 1, -1), -EXDEV);
    CHECK(exitfd_close(opener.x) == NULL);
    reap(opener.pid);
    close_gate(&gate);
}

static void *count_own_children(void *argument)
{
    struct errand *errand = argument;
    struct exitfd_event event;
    pid_t pid = fork_guarded();
    if (pid == 0)
        _exit(6);
    errand->result = exitfd_open(&errand->x, EXITFD_URING);
    if (errand->result == 0)
        errand->result = exitfd_add(errand->x, pid, 0, NULL);
    if (errand->result == 0)
        errand->result = exitfd_wait(errand->x, &event, 1, DEADLINE_MS);
    if (errand->result == 1)
        errand->result = event.origin == EXITFD_REAPED ? event.status : -1;
    exitfd_close(errand->x);
    return NULL;
}

TEST(uring_threads, each_thread_may_have_its_own)
{
    struct exitfd *x = open_exitfd();
    struct errand errand = { .x = NULL };
    run(&errand, count_own_children);
    CHECK_EQ(errand.result, 6);
    expect_report(x);
    exitfd_close(x);
}

/* Closing a ring makes the kernel interrupt its thread once more:
   uring_traps. */
TEST(uring_threads, close_leaves_no_interruption_behind)
{
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event unused;
    for (int i = 0; i < 3; i++) {
        struct exitfd *x = open_exitfd();
        expect_report(x);
        exitfd_close(x);
        CHECK_EQ(epoll_wait(epfd, &unused, 1, 300), 0, "epoll_wait after exitfd_close: %s", strerror(errno));
    }
    close(epfd);
}

static void wait_interrupted_by_nobody(struct exitfd *x, int epfd)
{
    struct epoll_event item;
    struct exitfd_event event;
    pid_t pid = start_child_that_awaits_sleep();
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(epoll_wait(epfd, &item, 1, DEADLINE_MS), 1, "epoll_wait: %s", strerror(errno));
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
    expect_exited(&event, pid, 0, NULL);
    CHECK_EQ(epoll_wait(epfd, &item, 1, 0), 0, "woken twice");
}

TEST(uring_threads, the_host_is_woken_once_for_each_exit_and_never_interrupted)
{
    struct exitfd *x = open_exitfd();
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event item = { .events = EPOLLIN };
    CHECK_EQ(epoll_ctl(epfd, EPOLL_CTL_ADD, exitfd_get_fd(x), &item), 0);
    for (int i = 0; i < 20; i++)
        wait_interrupted_by_nobody(x, epfd);
    close(epfd);
    exitfd_close(x);
}
