/* SPDX-License-Identifier: MIT */
/* A child tells its pid to another thread, which adds it before the fork that
   made it has returned. */
#include "life_support.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>

static struct {
    atomic_bool on;
    int to_other[2]; /* the pid, from the child itself */
    sem_t added;
    struct exitfd *x;
    const char *failed; /* what the other thread found wrong; it may not assert */
} meeting;

static bool wait_for_add(void)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += DEADLINE_MS / 1000;
    return sem_timedwait(&meeting.added, &end) == 0;
}

static void hold_the_fork_up(void)
{
    if (atomic_exchange(&meeting.on, false) && !wait_for_add())
        meeting.failed = "no add";
}

static void prepare(struct exitfd *x)
{
    meeting.x = x;
    CHECK_EQ(pipe2(meeting.to_other, O_CLOEXEC), 0);
    CHECK_EQ(sem_init(&meeting.added, 0, 0), 0);
    CHECK_EQ(pthread_atfork(NULL, hold_the_fork_up, NULL), 0);
    atomic_store(&meeting.on, true);
}

static void end_meeting(void)
{
    close(meeting.to_other[0]);
    close(meeting.to_other[1]);
    sem_destroy(&meeting.added);
    CHECK(meeting.failed == NULL, "%s", meeting.failed);
}

static pid_t fork_one_that_tells(struct exitfd *x, void *data)
{
    pid_t pid = exitfd_fork(x, 0, data);
    if (pid == 0) {
        pid = getpid();
        alarm(120);
        CHECK(write(meeting.to_other[1], &pid, sizeof(pid)) == sizeof(pid));
        for (;;)
            pause();
    }
    CHECK(pid > 0);
    return pid;
}

static pid_t learn_pid(void)
{
    pid_t pid;
    return read(meeting.to_other[0], &pid, sizeof(pid)) == sizeof(pid) ? pid : -1;
}

/* From here on the thread's own exitfd, for on io_uring each has its own. */
static void *observe(void *fork_is_over)
{
    struct exitfd *own;
    struct exitfd_event event = { 0 };
    int ret;
    if (exitfd_open(&own, 0) < 0) {
        meeting.failed = "exitfd_open";
        return NULL;
    }
    pid_t pid = learn_pid();
    if (exitfd_add(own, pid, EXITFD_OBSERVE, own) != 0)
        meeting.failed = "exitfd_add";
    sem_post(&meeting.added);
    sem_wait(fork_is_over);
    if (exitfd_wait(own, &event, 1, 0) != 0)
        meeting.failed = "an event of a child that lives";
    kill(pid, SIGTERM);
    while ((ret = exitfd_wait(own, &event, 1, DEADLINE_MS)) == -EINTR)
        ;
    if (ret != 1 || event.pid != pid || event.origin != EXITFD_PEEKED || event.code != CLD_KILLED || event.data != own)
        meeting.failed = "not the event of its exit";
    exitfd_close(own);
    return NULL;
}

TEST(learned, and_observed_by_another_exitfd)
{
    struct exitfd *x = open_exitfd();
    sem_t fork_is_over;
    CHECK_EQ(sem_init(&fork_is_over, 0, 0), 0);
    prepare(x);
    struct helper helper = start_helper(observe, &fork_is_over);
    pid_t pid = fork_one_that_tells(x, x);
    sem_post(&fork_is_over);
    join_helper(&helper);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGTERM, EXITFD_REAPED, x);
    sem_destroy(&fork_is_over);
    end_meeting();
    exitfd_close(x);
}

static void *add_to_the_same(void *unused)
{
    if (exitfd_add(meeting.x, learn_pid(), 0, NULL) != 0)
        meeting.failed = "exitfd_add";
    sem_post(&meeting.added);
    return unused;
}

TEST(learned, and_added_to_the_same_exitfd_is_one_watch)
{
    struct exitfd *x = open_exitfd();
    if (backend_is("io_uring"))
        SKIP("io_uring: one thread");
    prepare(x);
    struct helper helper = start_helper(add_to_the_same, NULL);
    pid_t pid = fork_one_that_tells(x, x);
    join_helper(&helper);
    expect_no_event(x);
    CHECK_EQ(exitfd_kill(x, pid, SIGTERM), 0);
    struct exitfd_event event = wait_event(x);
    expect_event(&event, pid, CLD_KILLED, SIGTERM, EXITFD_REAPED, x);
    CHECK_EQ(exitfd_remove(x, pid), -ENOENT);
    expect_quiet_soon(x);
    end_meeting();
    exitfd_close(x);
}
