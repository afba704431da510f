/* SPDX-License-Identifier: MIT */
/* Races over who reaps: a foreign reaper, or the kernel under SIG_IGN and
   SA_NOCLDWAIT, against us. */
#include "truth_rounds.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static atomic_bool reaper_retires;
static sem_t reaper_starts, reaper_is_done;

static void *steal_batches(void *arg)
{
    for (;;) {
        sem_wait(&reaper_starts);
        if (atomic_load(&reaper_retires))
            return arg;
        int status;
        for (pid_t pid; (pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR;)
            for (int i = 0; i < BATCH_MAX && pid > 0; i++)
                if (batch[i].pid == pid)
                    batch[i].stolen_status = status;
        sem_post(&reaper_is_done);
    }
}

/* Every child is reaped once: by us or by the foreign reaper, and we know
   which. */
TEST(stress, foreign_reap_against_ours)
{
    enum {
        BATCH = 8
    };
    struct exitfd *x = open_for_truth();
    gate = open_gate();
    sem_init(&reaper_starts, 0, 0);
    sem_init(&reaper_is_done, 0, 0);
    pthread_t reaper;
    CHECK_EQ(pthread_create(&reaper, NULL, steal_batches, NULL), 0);
    int rounds = rounds_in_batches(BATCH), stolen = 0;
    for (int first = 0; first < rounds; first += BATCH) {
        start_batch(x, first, BATCH);
        int reaped_before = reaped, stolen_before = stolen;
        sem_post(&reaper_starts);
        let_through(&gate, BATCH);
        take_events(x, BATCH, false);
        sem_wait(&reaper_is_done);
        for (int i = 0; i < BATCH; i++) {
            if (batch[i].stolen_status == -1)
                continue;
            CHECK_EQ(batch[i].stolen_status, batch[i].status << 8);
            stolen++;
        }
        CHECK_EQ(reaped - reaped_before + stolen - stolen_before, BATCH, "a child reaped by nobody, or by two");
    }
    atomic_store(&reaper_retires, true);
    sem_post(&reaper_starts);
    pthread_join(reaper, NULL);
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
    int rounds = rounds_in_batches(BATCH_MAX);
    for (int first = 0; first < rounds; first += BATCH_MAX) {
        start_batch(x, first, BATCH_MAX);
        let_through(&gate, BATCH_MAX);
        take_events(x, BATCH_MAX, calling);
    }
    expect_totals(rounds);
    CHECK_EQ(reaped, 0);
    expect_no_event(x);
    close_gate(&gate);
    exitfd_close(x);
}

TEST(stress, both_stages_of_SIG_IGN)
{
    reaped_by_the_kernel(SIG_IGN, 0, backend_is("self-pipe"));
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
    CHECK_EQ(pthread_create(&toggler, NULL, toggle_sigchld, NULL), 0);
    int rounds = rounds_in_batches(BATCH_MAX);
    for (int first = 0; first < rounds; first += BATCH_MAX) {
        start_batch(x, first, BATCH_MAX);
        let_through(&gate, BATCH_MAX);
        /* The kernel reaped without a signal. Without a pidfd a call finds
           these children while SIGCHLD is ignored. */
        take_events(x, BATCH_MAX, !tracks_by_pidfd());
    }
    atomic_store(&toggler_retires, true);
    pthread_join(toggler, NULL);
    expect_totals(rounds);
    close_gate(&gate);
    exitfd_close(x);
}
