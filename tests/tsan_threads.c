/* SPDX-License-Identifier: MIT */
/* Threads that add, kill, remove, discard and wait on one exitfd, all at once: each event once, and no data race. */
#include "plain.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { WORKERS = 4, TAKERS = 2, ROUNDS = 60 };

/* Of each child of a worker's round, in this order. */
enum { EXITS, IS_KILLED, IS_REMOVED, IS_DISCARDED, FATES };

struct crowd {
    struct exitfd *x;
    atomic_int events[WORKERS][ROUNDS][FATES];
    atomic_int reported;
    atomic_bool stop;
};

struct worker {
    struct crowd *crowd;
    int number;
    pthread_t thread;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct exitfd *x = worker->crowd->x;
    for (int round = 0; round < ROUNDS; round++) {
        atomic_int *events = worker->crowd->events[worker->number][round];
        pid_t pid = fork_exiting(round);
        CHECK_RESULT(exitfd_add(x, pid, 0, &events[EXITS]), 0);

        pid = fork_paused();
        CHECK_RESULT(exitfd_add(x, pid, round % 2 ? EXITFD_STOPPED : 0, &events[IS_KILLED]), 0);
        CHECK_RESULT(exitfd_kill(x, pid, SIGKILL), 0);

        pid = fork_paused();
        CHECK_RESULT(exitfd_add(x, pid, 0, &events[IS_REMOVED]), 0);
        CHECK_RESULT(exitfd_remove(x, pid), 0);
        CHECK_RESULT(exitfd_kill(x, pid, SIGKILL), -ENOENT);
        kill(pid, SIGKILL);
        CHECK(exit_status_of(pid) == 128 + SIGKILL);

        pid = fork_paused();
        CHECK_RESULT(exitfd_add(x, pid, 0, &events[IS_DISCARDED]), 0);
        CHECK_RESULT(exitfd_discard(x, pid), 0);
        CHECK_RESULT(exitfd_kill(x, pid, SIGKILL), 0);
    }
    return NULL;
}

static void *take(void *argument)
{
    struct crowd *crowd = argument;
    struct exitfd_event events[3];
    while (!atomic_load(&crowd->stop)) {
        int n = exitfd_wait(crowd->x, events, 3, 5);
        CHECK(n >= 0 || n == -EINTR);
        for (int i = 0; i < n; i++) {
            atomic_fetch_add((atomic_int *)events[i].data, 1);
            atomic_fetch_add(&crowd->reported, 1);
        }
    }
    return NULL;
}

static void wait_until_all_is_reaped(const struct crowd *crowd)
{
    siginfo_t info;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ||
           atomic_load(&crowd->reported) < WORKERS * ROUNDS * 2)
        usleep(1000);
}

int main(void)
{
    static struct crowd crowd;
    struct worker workers[WORKERS];
    pthread_t takers[TAKERS];
    begin();
    crowd.x = open_or_skip();
    for (int i = 0; i < TAKERS; i++)
        CHECK(pthread_create(&takers[i], NULL, take, &crowd) == 0);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){ .crowd = &crowd, .number = i };
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    wait_until_all_is_reaped(&crowd);
    atomic_store(&crowd.stop, true);
    for (int i = 0; i < TAKERS; i++)
        pthread_join(takers[i], NULL);
    for (int i = 0; i < WORKERS; i++)
        for (int round = 0; round < ROUNDS; round++)
            for (int fate = 0; fate < FATES; fate++)
                CHECK_RESULT(crowd.events[i][round][fate], fate == EXITS || fate == IS_KILLED);
    exitfd_close(crowd.x);
    return 0;
}
