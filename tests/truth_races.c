/* SPDX-License-Identifier: MIT */
/* The exit of a child against its exitfd_add and its exitfd_remove. */
#include "truth_rounds.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static pid_t fork_exiting_after(int turns, int status)
{
    pid_t pid = fork_guarded();
    if (pid != 0)
        return pid;
    spin(turns);
    _exit(status);
}

TEST(races, exit_against_add)
{
    enum {
        BATCH = 100
    };
    struct exitfd *x = open_for_truth();
    int rounds = rounds_in_batches(BATCH);
    for (int first = 0; first < rounds; first += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            int status = (first + i) % 251;
            batch[i] = (struct round){ .pid = fork_exiting_after(i * 100, status), .status = status };
            spin(i % 10 * 1000);
            CHECK_EQ(exitfd_add(x, batch[i].pid, 0, &batch[i]), 0);
        }
        take_events(x, BATCH, false);
    }
    expect_totals(rounds);
    CHECK_EQ(reaped, rounds);
    expect_quiet(x);
    exitfd_close(x);
}

static int removed;

/* Either remove is in time and the child is ours to reap, or there has been its
   event. */
static void remove_or_find_its_event(struct exitfd *x, struct round *round, int events_so_far)
{
    int ret = exitfd_remove(x, round->pid);
    if (ret == -ENOENT) {
        CHECK_EQ(events_so_far, 1, "the watch is gone without an event");
        return;
    }
    CHECK_EQ(ret, 0);
    CHECK_EQ(reap(round->pid), round->status << 8);
    removed++;
}

TEST(races, remove_against_exit)
{
    struct exitfd *x = open_for_truth();
    int rounds = stress_rounds();
    for (int i = 0; i < rounds; i++) {
        struct round *round = &batch[0];
        *round = (struct round){ .pid = fork_exiting_after(i % 97 * 100, i % 251), .status = i % 251 };
        CHECK_EQ(exitfd_add(x, round->pid, 0, round), 0);
        spin(i % 101 * 500);
        struct exitfd_event event;
        int ret = exitfd_wait(x, &event, 1, i % 4 == 0);
        CHECK(ret >= 0 || ret == -EINTR, "exitfd_wait: %s", strerror(-ret));
        if (ret == 1)
            note_event(&event);
        remove_or_find_its_event(x, round, ret == 1);
        expect_no_event(x);
    }
    cr_log_info("%d rounds: %d removed in time, %d events", rounds, removed, reaped);
    CHECK_EQ(removed + reaped, rounds);
    expect_quiet(x);
    exitfd_close(x);
}

static atomic_bool taker_retires;
static atomic_int taken[BATCH_MAX];
static atomic_int taken_wrong;
static int wanted[BATCH_MAX];

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

/* A thread takes events while this one removes. A watch that is gone has an
   event on its way out of exitfd_wait. */
TEST(races, remove_against_a_thread_that_waits)
{
    if (backend_is("io_uring"))
        SKIP("an io_uring exitfd belongs to one thread");
    struct exitfd *x = open_for_truth();
    pthread_t taker;
    CHECK_EQ(pthread_create(&taker, NULL, take_all, x), 0);
    int rounds = stress_rounds(), events = 0;
    for (int i = 0; i < rounds; i++) {
        int slot = i % BATCH_MAX;
        struct round *round = &batch[slot];
        CHECK_EQ(atomic_load(&taken[slot]), wanted[slot], "an event after the remove, or a second one");
        atomic_store(&taken[slot], 0);
        *round = (struct round){ .pid = fork_exiting_after(i % 97 * 100, i % 251), .status = i % 251 };
        CHECK_EQ(exitfd_add(x, round->pid, 0, round), 0);
        spin(i % 101 * 500);
        int ret = exitfd_remove(x, round->pid);
        wanted[slot] = ret != 0;
        if (ret == 0) {
            CHECK_EQ(reap(round->pid), round->status << 8);
            removed++;
            continue;
        }
        CHECK_EQ(ret, -ENOENT);
        for (long long end = now_ms() + DEADLINE_MS; atomic_load(&taken[slot]) == 0 && now_ms() < end;)
            sched_yield();
        CHECK_EQ(atomic_load(&taken[slot]), 1, "the watch is gone without an event");
        events++;
    }
    atomic_store(&taker_retires, true);
    pthread_join(taker, NULL);
    cr_log_info("%d rounds: %d removed in time, %d events", rounds, removed, events);
    for (int slot = 0; slot < BATCH_MAX; slot++)
        CHECK_EQ(atomic_load(&taken[slot]), wanted[slot]);
    CHECK_EQ(atomic_load(&taken_wrong), 0);
    CHECK_EQ(removed + events, rounds);
    exitfd_close(x);
}
