/* SPDX-License-Identifier: MIT */
/*
 * The races of a status, 20,000 children each (EXITFD_STRESS_ROUNDS says otherwise, for slow machines): every child
 * gives one event or is somebody's to reap, never both, never neither, and no status is another's.
 */
#include "truth_support.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    BATCH_MAX = 500
};

struct round {
    pid_t pid;
    int status;
    int events;
    int stolen_status; /* -1: nobody else reaped it */
};

static struct round batch[BATCH_MAX];
static struct gate gate;
static int reaped, recorded, unknown;

static int total_rounds(void)
{
    const char *wanted = getenv("EXITFD_STRESS_ROUNDS");
    return wanted != NULL ? atoi(wanted) : 20000;
}

static void spin(int turns)
{
    for (volatile int i = 0; i < turns; i++)
        ;
}

static pid_t fork_exiting_after(int turns, int status)
{
    pid_t pid = fork_guarded();
    if (pid != 0)
        return pid;
    spin(turns);
    _exit(status);
}

static void start_batch(struct exitfd *x, int first, int size)
{
    for (int i = 0; i < size; i++) {
        int status = (first + i) % 251;
        batch[i] = (struct round){ .pid = start_child(&gate, status), .status = status, .stolen_status = -1 };
        cr_assert_eq(exitfd_add(x, batch[i].pid, 0, &batch[i]), 0);
    }
}

static void note_event(const struct exitfd_event *event)
{
    struct round *round = event->data;
    cr_assert_eq(event->pid, round->pid, "an event of %d with the data of %d", (int)event->pid, (int)round->pid);
    cr_assert_eq(round->events++, 0, "two events of one child");
    if (event->origin == EXITFD_UNKNOWN)
        cr_assert(event->code == 0 && event->status == 0, "a made-up status");
    else
        cr_assert(event->code == CLD_EXITED && event->status == round->status, "origin %d code %d status %d, not %d",
                  event->origin, event->code, event->status, round->status);
    reaped += event->origin == EXITFD_REAPED;
    recorded += event->origin == EXITFD_RECORDED;
    unknown += event->origin == EXITFD_UNKNOWN;
}

static void expect_totals(int rounds)
{
    cr_assert_eq(reaped + recorded + unknown, rounds);
    cr_log_info("%d rounds: %d reaped, %d recorded, %d unknown", rounds, reaped, recorded, unknown);
    if (tells_stolen_status())
        cr_assert_eq(unknown, 0, "%d statuses lost that the kernel had", unknown);
    else
        cr_assert_eq(recorded, 0);
}

/* Takes n events, by polling; calling: also without the fd's help, for a self-pipe whose handler was replaced. */
static void take_events(struct exitfd *x, int n, bool calling)
{
    struct exitfd_event events[64];
    long long end = now_ms() + DEADLINE_MS;
    while (n > 0) {
        int ret = exitfd_wait(x, events, n < 64 ? n : 64, 0);
        cr_assert(ret >= 0 || (calling && ret == -EPIPE), "exitfd_wait: %s", strerror(-ret));
        for (int i = 0; i < ret; i++)
            note_event(&events[i]);
        if (ret > 0) {
            n -= ret;
            continue;
        }
        struct pollfd item = { .fd = exitfd_get_fd(x), .events = POLLIN };
        poll(&item, 1, calling ? 1 : DEADLINE_MS);
        cr_assert_lt(now_ms(), end, "%d events missing", n);
    }
}

static atomic_bool thief_retires;
static sem_t thief_starts, thief_is_done;

static void *steal_batches(void *arg)
{
    for (;;) {
        sem_wait(&thief_starts);
        if (atomic_load(&thief_retires))
            return arg;
        int status;
        for (pid_t pid; (pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR;)
            for (int i = 0; i < BATCH_MAX && pid > 0; i++)
                if (batch[i].pid == pid)
                    batch[i].stolen_status = status;
        sem_post(&thief_is_done);
    }
}

/* Every child is reaped once: by us or by the thief, and we know which. */
TEST(stress, thief_against_our_reap)
{
    enum {
        BATCH = 8
    };
    struct exitfd *x = open_for_truth();
    gate = open_gate();
    sem_init(&thief_starts, 0, 0);
    sem_init(&thief_is_done, 0, 0);
    pthread_t thief;
    cr_assert_eq(pthread_create(&thief, NULL, steal_batches, NULL), 0);
    int rounds = total_rounds() / BATCH * BATCH, stolen = 0;
    for (int first = 0; first < rounds; first += BATCH) {
        start_batch(x, first, BATCH);
        int reaped_before = reaped, stolen_before = stolen;
        sem_post(&thief_starts);
        let_through(&gate, BATCH);
        take_events(x, BATCH, false);
        sem_wait(&thief_is_done);
        for (int i = 0; i < BATCH; i++) {
            if (batch[i].stolen_status == -1)
                continue;
            cr_assert_eq(batch[i].stolen_status, batch[i].status << 8);
            stolen++;
        }
        cr_assert_eq(reaped - reaped_before + stolen - stolen_before, BATCH, "a child reaped by nobody, or by two");
    }
    atomic_store(&thief_retires, true);
    sem_post(&thief_starts);
    pthread_join(thief, NULL);
    expect_totals(rounds);
    expect_no_event(x);
    close_gate(&gate);
    exitfd_close(x);
}

static void reaped_by_the_kernel(void (*handler)(int), int flags, bool calling)
{
    struct exitfd *x = open_for_truth();
    gate = open_gate();
    set_sigchld(handler, flags);
    int rounds = total_rounds() / BATCH_MAX * BATCH_MAX;
    for (int first = 0; first < rounds; first += BATCH_MAX) {
        start_batch(x, first, BATCH_MAX);
        let_through(&gate, BATCH_MAX);
        take_events(x, BATCH_MAX, calling);
    }
    expect_totals(rounds);
    cr_assert_eq(reaped, 0);
    expect_no_event(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stress, both_stages_of_SIG_IGN)
{
    reaped_by_the_kernel(SIG_IGN, 0, backend_is("self-pipe"));
}

static void host_handler(int sig)
{
    (void)sig;
}

TEST(stress, both_stages_of_SA_NOCLDWAIT)
{
    reaped_by_the_kernel(host_handler, SA_NOCLDWAIT | SA_RESTART, backend_is("self-pipe"));
}

static atomic_bool toggler_retires;

static void *toggle_sigchld(void *arg)
{
    struct sigaction found, ignored = { .sa_handler = SIG_IGN };
    sigemptyset(&ignored.sa_mask);
    sigaction(SIGCHLD, NULL, &found);
    while (!atomic_load(&toggler_retires)) {
        sigaction(SIGCHLD, &ignored, NULL);
        poll(NULL, 0, 1);
        sigaction(SIGCHLD, &found, NULL);
        poll(NULL, 0, 1);
    }
    return arg;
}

TEST(stress, SIG_IGN_toggled_while_they_exit)
{
    struct exitfd *x = open_for_truth();
    gate = open_gate();
    pthread_t toggler;
    cr_assert_eq(pthread_create(&toggler, NULL, toggle_sigchld, NULL), 0);
    int rounds = total_rounds() / BATCH_MAX * BATCH_MAX;
    for (int first = 0; first < rounds; first += BATCH_MAX) {
        start_batch(x, first, BATCH_MAX);
        let_through(&gate, BATCH_MAX);
        /* No signal tells of those that the kernel reaped: by SIGCHLD they are found when we look while it is ignored. */
        take_events(x, BATCH_MAX, !follows_by_pidfd());
    }
    atomic_store(&toggler_retires, true);
    pthread_join(toggler, NULL);
    expect_totals(rounds);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stress, exit_against_add)
{
    enum {
        BATCH = 100
    };
    struct exitfd *x = open_for_truth();
    int rounds = total_rounds() / BATCH * BATCH;
    for (int first = 0; first < rounds; first += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            int status = (first + i) % 251;
            batch[i] = (struct round){ .pid = fork_exiting_after(i * 100, status), .status = status };
            spin(i % 10 * 2000);
            cr_assert_eq(exitfd_add(x, batch[i].pid, 0, &batch[i]), 0);
        }
        take_events(x, BATCH, false);
    }
    expect_totals(rounds);
    cr_assert_eq(reaped, rounds);
    expect_quiet(x);
    exitfd_close(x);
}

static int removed;

/* Either remove is in time and the child is ours to reap, or there has been its event. */
static void remove_or_find_its_event(struct exitfd *x, struct round *round, int events_so_far)
{
    int ret = exitfd_remove(x, round->pid);
    if (ret == -ENOENT) {
        cr_assert_eq(events_so_far, 1, "the watch is gone without an event");
        return;
    }
    cr_assert_eq(ret, 0);
    cr_assert_eq(reap(round->pid), round->status << 8);
    removed++;
}

TEST(stress, remove_against_exit)
{
    struct exitfd *x = open_for_truth();
    int rounds = total_rounds();
    for (int i = 0; i < rounds; i++) {
        struct round *round = &batch[0];
        *round = (struct round){ .pid = fork_exiting_after(i % 97 * 100, i % 251), .status = i % 251 };
        cr_assert_eq(exitfd_add(x, round->pid, 0, round), 0);
        spin(i % 101 * 2000);
        struct exitfd_event event;
        int ret = exitfd_wait(x, &event, 1, i % 4 == 0);
        cr_assert(ret >= 0 || ret == -EINTR, "exitfd_wait: %s", strerror(-ret));
        if (ret == 1)
            note_event(&event);
        remove_or_find_its_event(x, round, ret == 1);
        expect_no_event(x);
    }
    cr_log_info("%d rounds: %d removed in time, %d events", rounds, removed, reaped);
    cr_assert_eq(removed + reaped, rounds);
    expect_quiet(x);
    exitfd_close(x);
}

static atomic_bool taker_retires;
static atomic_int taken[BATCH_MAX];
static atomic_int taken_wrong;

static void *take_all(void *arg)
{
    struct exitfd_event event;
    while (!atomic_load(&taker_retires)) {
        if (exitfd_wait(arg, &event, 1, 1) != 1)
            continue;
        struct round *round = event.data;
        if (event.origin != EXITFD_REAPED || event.code != CLD_EXITED || event.status != round->status)
            atomic_fetch_add(&taken_wrong, 1);
        atomic_fetch_add(&taken[round - batch], 1);
    }
    return NULL;
}

/* A thread takes events while this one removes. A watch that is gone has an event on its way out of exitfd_wait. */
TEST(stress, remove_against_a_thread_that_waits)
{
    if (backend_is("io_uring"))
        SKIP("an io_uring exitfd belongs to one thread");
    struct exitfd *x = open_for_truth();
    pthread_t taker;
    cr_assert_eq(pthread_create(&taker, NULL, take_all, x), 0);
    int rounds = total_rounds(), events = 0;
    for (int i = 0; i < rounds; i++) {
        int slot = i % BATCH_MAX;
        struct round *round = &batch[slot];
        atomic_store(&taken[slot], 0);
        *round = (struct round){ .pid = fork_exiting_after(i % 97 * 100, i % 251), .status = i % 251 };
        cr_assert_eq(exitfd_add(x, round->pid, 0, round), 0);
        spin(i % 101 * 2000);
        int ret = exitfd_remove(x, round->pid);
        if (ret == 0) {
            cr_assert_eq(reap(round->pid), round->status << 8);
            removed++;
            continue;
        }
        cr_assert_eq(ret, -ENOENT);
        for (long long end = now_ms() + DEADLINE_MS; atomic_load(&taken[slot]) == 0 && now_ms() < end;)
            sched_yield();
        cr_assert_eq(atomic_load(&taken[slot]), 1, "the watch is gone without an event");
        events++;
    }
    atomic_store(&taker_retires, true);
    pthread_join(taker, NULL);
    cr_log_info("%d rounds: %d removed in time, %d events", rounds, removed, events);
    cr_assert_eq(atomic_load(&taken_wrong), 0);
    cr_assert_eq(removed + events, rounds);
    exitfd_close(x);
}
