/* SPDX-License-Identifier: MIT */
/* Adds are handed to the kernel together, and nothing is late for it. */
#include "stand_in.h"
#include "uring_support.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Between the library and liburing: counts the calls that enter the kernel, and
   fails those of submission. */
static int enters, failing_submissions;

static int pass_on(const char *name, struct io_uring *ring)
{
    int (*next)(struct io_uring *) = NULL;
    find_next(name, &next);
    enters++;
    if (failing_submissions > 0) {
        failing_submissions--;
        return -EAGAIN;
    }
    return next(ring);
}

int io_uring_submit(struct io_uring *ring)
{
    return pass_on("io_uring_submit", ring);
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
    return pass_on("io_uring_submit_and_get_events", ring);
}

/* Run once, just before the library reads its eventfd. */
static void (*before_reading)(void);
static int read_fd;

ssize_t read(int fd, void *buffer, size_t size)
{
    void (*hook)(void) = before_reading;
    if (hook != NULL && fd == read_fd) {
        before_reading = NULL;
        hook();
    }
    return syscall(SYS_read, fd, buffer, size);
}

enum {
    MANY = 600 /* more than fit into either queue, and than one io_uring_enter works off */
};

static pid_t pids[MANY];

static void add_many(struct exitfd *x, const struct gate *gate)
{
    for (int i = 0; i < MANY; i++) {
        pids[i] = start_child(gate, i % 100);
        CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
    }
}

static void expect_many(struct exitfd *x)
{
    static struct exitfd_event events[MANY];
    wait_events(x, events, MANY);
    for (int i = 0; i < MANY; i++) {
        pid_t *pid = events[i].data;
        expect_exited(&events[i], *pid, (int)(pid - pids) % 100, pid);
        CHECK(!is_child(*pid));
    }
    expect_quiet(x);
}

TEST(uring_batch, many_adds_cost_few_system_calls)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    enters = 0;
    add_many(x, &gate);
    CHECK(enters < MANY / 20, "%d io_uring_enter for %d children", enters, MANY);
    expect_quiet(x);
    let_through(&gate, MANY);
    expect_many(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* A full queue is submitted, and no reason to do without a pidfd. */
TEST(uring_batch, many_adds_have_a_pidfd_each)
{
    raise_fd_limit();
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    add_many(x, &gate);
    for (int i = 0; i < MANY; i++)
        CHECK(exitfd_get_pidfd(x, pids[i]) >= 0, "child %d of %d has none", i, MANY);
    CHECK_EQ(exitfd_is_default_handler(), 1);
    let_through(&gate, MANY);
    expect_many(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(uring_batch, many_exits_at_once_that_were_not_taken)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    add_many(x, &gate);
    expect_quiet(x);
    let_through(&gate, MANY);
    for (int i = 0; i < MANY; i++)
        wait_until_zombie(pids[i]);
    expect_many(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(uring_batch, a_few_adds_are_not_held_back)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    for (int i = 0; i < 5; i++)
        CHECK_EQ(exitfd_add(x, start_child(&gate, 0), 0, NULL), 0);
    CHECK(!is_readable(exitfd_get_fd(x)), "readable without an event");
    let_through(&gate, 5);
    struct exitfd_event events[5];
    wait_events(x, events, 5);
    close_gate(&gate);
    exitfd_close(x);
}

static void expect_readable_for_what_is_held_back(struct exitfd *x)
{
    struct gate gate = open_gate();
    struct exitfd_event event;
    for (int i = 0; i < 60; i++)
        CHECK_EQ(exitfd_add(x, start_child(&gate, 0), 0, NULL), 0);
    enters = 0;
    pid_t pid = start_child_exit(3);
    wait_until_zombie(pid);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    CHECK_EQ(enters, 0, "not held back, so this shows nothing");
    CHECK(is_readable(exitfd_get_fd(x)));
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
    expect_exited(&event, pid, 3, x);
    let_through(&gate, 60);
    for (int i = 0; i < 60; i++)
        event = wait_event(x);
    expect_quiet(x);
    close_gate(&gate);
}

TEST(uring_batch, a_child_dead_before_its_submission_makes_the_fd_readable)
{
    struct exitfd *x = open_exitfd();
    for (int round = 0; round < 3; round++)
        expect_readable_for_what_is_held_back(x);
    exitfd_close(x);
}

TEST(uring_batch, blocking_waits_submit_first)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    struct exitfd_event event;
    for (int i = 0; i < 60; i++)
        CHECK_EQ(exitfd_add(x, start_child(&gate, 0), 0, NULL), 0);
    pid_t pid = start_child_that_awaits_sleep();
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(wait_blocked(x, &event), 1);
    CHECK_EQ(event.pid, pid);
    let_through(&gate, 60);
    for (int i = 0; i < 60; i++)
        event = wait_event(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* What is removed while it is held back, and what takes its place in the
   table. */
TEST(uring_batch, held_back_and_removed)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    add_many(x, &gate);
    for (int i = MANY - 40; i < MANY; i++) {
        CHECK_EQ(exitfd_remove(x, pids[i]), 0);
        CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
    }
    let_through(&gate, MANY);
    expect_many(x);
    close_gate(&gate);
    exitfd_close(x);
}

/* The cancellation is held back too, but no longer than until the next wait. */
TEST(uring_batch, a_removed_child_does_not_wake_the_fd)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 0);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    CHECK_EQ(exitfd_remove(x, pid), 0);
    expect_quiet(x);
    let_through(&gate, 1);
    reap(pid);
    CHECK(!is_readable(exitfd_get_fd(x)));
    close_gate(&gate);
    exitfd_close(x);
}

TEST(uring_batch, closed_while_held_back)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    add_many(x, &gate);
    exitfd_close(x);
    let_through(&gate, MANY);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(WEXITSTATUS(reap(pids[i])), i % 100);
    close_gate(&gate);
}

/* Short of memory the kernel answers EAGAIN and leaves the requests where they
   are. */
TEST(uring_batch, submissions_that_fail_are_made_later)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(4);
    wait_until_zombie(pid);
    failing_submissions = 3;
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    CHECK_EQ(failing_submissions, 2);
    CHECK(is_readable(exitfd_get_fd(x)), "held back in silence");
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 4, x);
    CHECK_EQ(failing_submissions, 0);
    expect_quiet(x);
    exitfd_close(x);
}

/* A queue that is full and cannot be emptied leaves each further child to
   SIGCHLD, and not to chance. */
TEST(uring_batch, a_full_queue_that_cannot_be_submitted)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    failing_submissions = 1 << 20;
    add_many(x, &gate);
    failing_submissions = 0;
    let_through(&gate, MANY);
    expect_many(x);
    close_gate(&gate);
    exitfd_close(x);
    CHECK_EQ(exitfd_is_default_handler(), 1);
}

static struct gate second_gate;
static pid_t second_child;

static void let_second_child_die(void)
{
    let_through(&second_gate, 1);
    wait_until_zombie(second_child);
}

/* The wake-up of an exit between io_uring_enter and the read is read away with
   those before it. */
TEST(uring_batch, an_exit_while_the_eventfd_is_being_read)
{
    for (int max = 1; max <= 2; max++) {
        struct exitfd *x = open_exitfd();
        struct exitfd_event events[2];
        pid_t first = start_child_exit(1);
        second_gate = open_gate();
        second_child = start_child(&second_gate, 2);
        CHECK_EQ(exitfd_add(x, first, 0, NULL), 0);
        CHECK_EQ(exitfd_add(x, second_child, 0, NULL), 0);
        wait_until_zombie(first);
        read_fd = exitfd_get_fd(x);
        before_reading = let_second_child_die;
        CHECK_EQ(exitfd_wait(x, events, max, 0), max);
        CHECK(before_reading == NULL, "nothing was read, so this shows nothing");
        expect_exited(&events[0], first, 1, NULL);
        if (max == 1) {
            CHECK(is_readable(exitfd_get_fd(x)), "the second event is lost");
            events[1] = wait_event(x);
        }
        expect_exited(&events[1], second_child, 2, NULL);
        expect_quiet(x);
        close_gate(&second_gate);
        exitfd_close(x);
    }
}
