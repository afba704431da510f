/* SPDX-License-Identifier: MIT */
/* Threads with an exitfd each, and forked children that hold copies of
   everything. */
#include "life_support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    flock = 150
};

/* Results are handed back to the test: an assert in a second thread would leave
   this one behind. */
struct collector {
    pthread_t thread;
    pid_t pids[flock];
    int reports[flock];
    pthread_barrier_t *all_added;
    const char *failure;
    int error;
};

static bool note(struct collector *me, const struct exitfd_event *event)
{
    pid_t *pid = event->data;
    if (pid < me->pids || pid >= me->pids + flock || event->pid != *pid || event->code != CLD_EXITED ||
        event->status != (int)(pid - me->pids) || event->origin != EXITFD_REAPED)
        return false;
    me->reports[pid - me->pids]++;
    return true;
}

static const char *collect_all(struct collector *me, struct exitfd *x)
{
    struct pollfd item = { .fd = exitfd_get_fd(x), .events = POLLIN };
    for (int got = 0; got < flock;) {
        struct exitfd_event events[7];
        int n = exitfd_wait(x, events, 7, 0);
        if (n < 0)
            return "exitfd_wait failed";
        for (int i = 0; i < n; i++)
            if (!note(me, &events[i]))
                return "wrong event";
        got += n;
        if (n == 0 && poll(&item, 1, DEADLINE_MS) == 0)
            return "an event is missing";
    }
    return exitfd_wait(x, &(struct exitfd_event){ 0 }, 1, 0) == 0 ? NULL : "one event too many";
}

static void *collect(void *arg)
{
    struct collector *me = arg;
    struct exitfd *x = NULL;
    me->error = exitfd_open(&x, 0);
    for (int i = 0; me->error == 0 && i < flock; i++)
        me->error = exitfd_add(x, me->pids[i], 0, &me->pids[i]);
    pthread_barrier_wait(me->all_added);
    me->failure = me->error == 0 ? collect_all(me, x) : "open or add failed";
    exitfd_close(x);
    return NULL;
}

TEST(sharing, two_exitfds_in_two_threads)
{
    raise_fd_limit();
    exitfd_close(open_exitfd());
    static struct collector collectors[2];
    pthread_barrier_t all_added;
    pthread_barrier_init(&all_added, NULL, 3);
    struct gate gate = open_gate();
    for (int i = 0; i < flock; i++)
        for (int c = 0; c < 2; c++)
            collectors[c].pids[i] = start_child(&gate, i);
    for (int c = 0; c < 2; c++) {
        collectors[c].all_added = &all_added;
        CHECK_EQ(pthread_create(&collectors[c].thread, NULL, collect, &collectors[c]), 0);
    }
    pthread_barrier_wait(&all_added);
    let_through(&gate, 2 * flock);
    for (int c = 0; c < 2; c++)
        pthread_join(collectors[c].thread, NULL);
    for (int c = 0; c < 2; c++) {
        CHECK(collectors[c].failure == NULL, "thread %d: %s: %s", c, collectors[c].failure,
              strerror(-collectors[c].error));
        for (int i = 0; i < flock; i++)
            CHECK_EQ(collectors[c].reports[i], 1);
    }
    pthread_barrier_destroy(&all_added);
    close_gate(&gate);
}

TEST(sharing, two_exitfds_in_one_thread)
{
    struct exitfd *one = open_exitfd(), *two = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid_one = start_child(&gate, 1), pid_two = start_child(&gate, 2);
    CHECK_EQ(exitfd_add(one, pid_one, 0, NULL), 0);
    CHECK_EQ(exitfd_add(two, pid_two, 0, NULL), 0);
    let_through(&gate, 2);
    wait_until_zombie(pid_one);
    wait_until_zombie(pid_two);
    struct exitfd_event event = wait_event(one);
    expect_exited(&event, pid_one, 1, NULL);
    expect_quiet(one);
    CHECK(is_zombie(pid_two), "reaped by the other exitfd");
    event = wait_event(two);
    expect_exited(&event, pid_two, 2, NULL);
    expect_quiet(two);
    exitfd_close(one);
    exitfd_close(two);
    close_gate(&gate);
}

TEST(sharing, closing_one_exitfd_leaves_the_other_working)
{
    struct exitfd *one = open_exitfd(), *two = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid_one = start_child(&gate, 1), pid_two = start_child(&gate, 2);
    CHECK_EQ(exitfd_add(one, pid_one, 0, NULL), 0);
    CHECK_EQ(exitfd_add(two, pid_two, 0, NULL), 0);
    exitfd_close(one);
    let_through(&gate, 2);
    struct exitfd_event event = wait_event(two);
    expect_exited(&event, pid_two, 2, NULL);
    expect_quiet(two);
    CHECK_EQ(WEXITSTATUS(reap(pid_one)), 1);
    exitfd_close(two);
    close_gate(&gate);
}

/* A forked child that does nothing but keep its copies of every fd. */
static pid_t start_holder(const struct gate *gate)
{
    return start_child(gate, 0);
}

TEST(sharing, forked_holder_of_the_fds_makes_no_stale_event)
{
    enum {
        children = 20
    };
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate(), holder_gate = open_gate();
    pid_t pids[children];
    for (int i = 0; i < children; i++) {
        pids[i] = start_child(&gate, i);
        CHECK_EQ(exitfd_add(x, pids[i], 0, &pids[i]), 0);
    }
    pid_t holder = start_holder(&holder_gate);

    CHECK_EQ(exitfd_remove(x, pids[0]), 0);
    let_through(&gate, children);
    wait_until_zombie(pids[0]);
    for (int i = 1; i < children; i++) {
        struct exitfd_event event = wait_event(x);
        pid_t *pid = event.data;
        expect_exited(&event, *pid, (int)(pid - pids), pid);
    }
    expect_quiet(x);
    reap(pids[0]);
    expect_quiet(x);
    for (int i = 0; i < children; i++) {
        expect_report(x);
        expect_quiet(x);
    }
    let_through(&holder_gate, 1);
    reap(holder);
    expect_quiet(x);
    exitfd_close(x);
    close_gate(&gate);
    close_gate(&holder_gate);
}

TEST(sharing, forked_holder_keeps_no_event_back_after_close)
{
    struct exitfd *old = open_exitfd();
    struct gate gate = open_gate(), holder_gate = open_gate();
    pid_t pid = start_child(&gate, 5);
    CHECK_EQ(exitfd_add(old, pid, 0, NULL), 0);
    pid_t holder = start_holder(&holder_gate);
    exitfd_close(old);
    struct exitfd *x = open_exitfd();
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 5, NULL);
    expect_quiet(x);
    let_through(&holder_gate, 1);
    reap(holder);
    exitfd_close(x);
    close_gate(&gate);
    close_gate(&holder_gate);
}

/*
 * 0 if every call of the forked child's copy answers -ESTALE, else the number
 * of the first that does not.
 */
static int first_call_not_stale(struct exitfd *x, pid_t pid, int pidfd)
{
    struct exitfd_event event;
    char *const argv[] = { "true", NULL };
    const int answers[] = {
        exitfd_get_fd(x),
        exitfd_add(x, pid, 0, NULL),
        exitfd_add(x, -1, 0, NULL),
        build_is_posix() ? -ESTALE : exitfd_add_pidfd(x, pidfd, 0, NULL),
        exitfd_remove(x, pid),
        exitfd_discard(x, pid),
        exitfd_kill(x, pid, 0),
        exitfd_get_pidfd(x, pid),
        exitfd_wait(x, &event, 1, 0),
        exitfd_wait(x, &event, 1, 1),
        exitfd_spawn(x, NULL, "true", NULL, NULL, argv, NULL, 0, NULL),
        exitfd_fork(x, 0, NULL),
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        if (answers[i] != -ESTALE)
            return (int)i + 1;
    return 0;
}

TEST(sharing, copy_in_a_forked_child_is_stale_and_closing_it_harms_nothing)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 3);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    pid_t child = fork_guarded();
    if (child == 0) {
        int failed = first_call_not_stale(x, pid, 0);
        exitfd_close(x);
        _exit(failed);
    }
    int status = reap(child);
    CHECK_EQ(status, 0, "call number %d did not answer -ESTALE", WEXITSTATUS(status));
    expect_quiet(x);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 3, NULL);
    expect_quiet(x);
    exitfd_close(x);
    close_gate(&gate);
}

/* The number that the pidfd had in the set is the host's own file by now, and
   it is the same open file. */
TEST(sharing, closing_in_a_forked_child_leaves_the_hosts_duplicate_of_a_pidfd)
{
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t pid = start_child(&gate, 3);
    CHECK_EQ(exitfd_add(x, pid, 0, NULL), 0);
    int borrowed = exitfd_get_pidfd(x, pid);
    int duplicate = borrowed < 0 ? -1 : dup(borrowed);
    let_through(&gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 3, NULL);
    if (duplicate >= 0) {
        CHECK_EQ(dup2(duplicate, borrowed), borrowed);
        close(duplicate);
        pid_t child = fork_guarded();
        if (child == 0) {
            exitfd_close(x);
            _exit(fcntl(borrowed, F_GETFD) < 0 ? 1 : 0);
        }
        CHECK_EQ(reap(child), 0, "the copy of the host's own fd was closed");
        close(borrowed);
    }
    close_gate(&gate);
    exitfd_close(x);
    if (borrowed < 0)
        SKIP("a child without a pidfd");
}

static void reported_after_the_reap_of_another(unsigned flags)
{
    enum {
        others = 20,
        rounds = 5
    };
    pid_t pids[others];
    struct exitfd *owner = open_exitfd(), *x = open_exitfd();
    struct gate gate = open_gate();
    for (int i = 0; i < others; i++) {
        pids[i] = start_child(&gate, 0);
        CHECK_EQ(exitfd_add(owner, pids[i], 0, NULL), 0);
        CHECK_EQ(exitfd_add(x, pids[i], flags, NULL), 0);
    }
    for (int round = 0; round < rounds; round++) {
        struct gate own_gate = open_gate();
        pid_t pid = start_child(&own_gate, 3);
        CHECK_EQ(exitfd_add(owner, pid, 0, NULL), 0);
        CHECK_EQ(exitfd_add(x, pid, flags, NULL), 0);
        let_through(&own_gate, 1);
        struct exitfd_event event = wait_event(owner);
        expect_exited(&event, pid, 3, NULL);
        event = wait_event(x);
        CHECK_EQ(event.pid, pid);
        CHECK(event.origin == EXITFD_UNKNOWN || (event.origin == EXITFD_RECORDED && event.status == 3));
        close_gate(&own_gate);
    }
    let_through(&gate, others);
    for (int i = 0; i < others; i++)
        wait_event(owner);
    for (int i = 0; i < others; i++)
        wait_event(x);
    expect_quiet(x);
    close_gate(&gate);
    exitfd_close(owner);
    exitfd_close(x);
}

TEST(sharing, an_observer_gets_at_once_what_an_owner_has_reaped)
{
    reported_after_the_reap_of_another(EXITFD_OBSERVE);
}

TEST(sharing, of_two_owners_the_second_gets_at_once_what_the_first_has_reaped)
{
    reported_after_the_reap_of_another(0);
}

/* One handler serves both, and must take stops for the one while the other does
   without. */
TEST(sharing, a_stop_is_reported_beside_an_exitfd_that_asks_for_none)
{
    struct exitfd *both[] = { open_exitfd(), open_exitfd() };
    for (int newer = 0; newer <= 1; newer++) {
        struct exitfd *stops = both[newer], *plain = both[1 - newer];
        pid_t pid = start_paused();
        CHECK_EQ(exitfd_add(stops, pid, EXITFD_STOPPED, stops), 0);
        CHECK_EQ(exitfd_add(plain, -1, 0, plain), 0);
        expect_quiet_soon(stops);
        kill(pid, SIGSTOP);
        wait_readable(exitfd_get_fd(stops));
        struct exitfd_event event = wait_event(stops);
        expect_event(&event, pid, CLD_STOPPED, SIGSTOP, EXITFD_PEEKED, stops);
        kill(pid, SIGKILL);
        event = wait_event(stops);
        expect_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED, stops);
        CHECK_EQ(exitfd_remove(plain, -1), 0);
    }
    exitfd_close(both[0]);
    exitfd_close(both[1]);
}

/* More than are noted of what is reaped here. A sibling lives on, or else each
   look would find that there is no child. */
static void reported_after_very_many_reaps_of_another(unsigned flags)
{
    enum {
        taken = 300
    };
    static struct exitfd_event events[taken];
    struct exitfd *owner = open_exitfd(), *x = open_exitfd();
    struct gate gate = open_gate(), siblings_gate = open_gate();
    raise_fd_limit();
    pid_t sibling = start_child(&siblings_gate, 4);
    CHECK_EQ(exitfd_add(x, sibling, 0, NULL), 0);
    for (int i = 0; i < taken; i++) {
        pid_t pid = start_child(&gate, 3);
        CHECK_EQ(exitfd_add(owner, pid, 0, NULL), 0);
        CHECK_EQ(exitfd_add(x, pid, flags, NULL), 0);
    }
    expect_no_event(x);
    let_through(&gate, taken);
    wait_events(owner, events, taken);
    /* wait_events asks again as long as there are events, and so would get
       those that were left to a later wait. */
    for (int got = 0; got < taken;) {
        wait_readable(exitfd_get_fd(x));
        int count = exitfd_wait(x, events + got, taken - got, 0);
        CHECK(count >= 0, "exitfd_wait: %d", count);
        got += count;
    }
    for (int i = 0; i < taken; i++)
        CHECK(events[i].pid != sibling);
    expect_quiet(x);
    let_through(&siblings_gate, 1);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, sibling, 4, NULL);
    close_gate(&siblings_gate);
    close_gate(&gate);
    exitfd_close(owner);
    exitfd_close(x);
}

TEST(sharing, an_observer_gets_all_of_very_many_that_an_owner_has_reaped)
{
    reported_after_very_many_reaps_of_another(EXITFD_OBSERVE);
}

TEST(sharing, of_two_owners_the_second_gets_all_of_very_many_that_the_first_has_reaped)
{
    reported_after_very_many_reaps_of_another(0);
}
