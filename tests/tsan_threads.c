/* SPDX-License-Identifier: MIT */
/* Threads that add, kill, remove, discard and wait on one exitfd, all at once:
   each event once, and no data race. */
#include "tap.h"
#include "tsan_thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define WORKERS 4
#define TAKERS 2
#define ROUNDS 60

/* What becomes of the children of a round, in this order. The first two are
   reported. */
enum {
    EXITS,
    IS_KILLED,
    REPORTED,
    IS_REMOVED = REPORTED,
    IS_DISCARDED,
    FATES
};

static struct exitfd *x;
static atomic_int events_of[WORKERS][ROUNDS][FATES];
static atomic_int reported;
static atomic_bool finished;

static pid_t add_sleeper(unsigned flags, atomic_int *events)
{
    pid_t pid = start_sleeper();
    SOFT_CHECK(exitfd_add(x, pid, flags, events) == 0);
    return pid;
}

static void work_a_round(atomic_int *events, unsigned flags)
{
    pid_t pid = start_exit(7);
    SOFT_CHECK(exitfd_add(x, pid, flags, &events[EXITS]) == 0);

    pid = add_sleeper(flags, &events[IS_KILLED]);
    SOFT_CHECK(exitfd_kill(x, pid, SIGKILL) == 0);

    pid = add_sleeper(flags, &events[IS_REMOVED]);
    SOFT_CHECK(exitfd_remove(x, pid) == 0);
    SOFT_CHECK(exitfd_kill(x, pid, SIGKILL) == -ENOENT);
    kill_and_reap(pid);

    pid = add_sleeper(flags, &events[IS_DISCARDED]);
    SOFT_CHECK(exitfd_discard(x, pid) == 0);
    SOFT_CHECK(exitfd_kill(x, pid, SIGKILL) == 0);
}

static void *work(void *argument)
{
    atomic_int(*events)[FATES] = argument;
    for (int round = 0; round < ROUNDS; round++)
        work_a_round(events[round], round % 2 != 0 ? EXITFD_STOPPED : 0);
    return NULL;
}

static void *take(void *unused)
{
    struct exitfd_event events[3];
    while (!finished) {
        int n = exitfd_wait(x, events, 3, 5);
        SOFT_CHECK(n >= 0 || n == -EINTR);
        for (int i = 0; i < n; i++) {
            atomic_fetch_add((atomic_int *)events[i].data, 1);
            atomic_fetch_add(&reported, 1);
        }
    }
    return unused;
}

static void each_event_comes_once(void)
{
    pthread_t workers[WORKERS], takers[TAKERS];
    x = open_exitfd();
    for (int i = 0; i < TAKERS; i++)
        start_thread(&takers[i], take, NULL);
    for (int i = 0; i < WORKERS; i++)
        start_thread(&workers[i], work, events_of[i]);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    for (int ms = 0; ms < DEADLINE_MS && (have_children() || reported < WORKERS * ROUNDS * REPORTED); ms++)
        poll(NULL, 0, 1);
    finished = true;
    for (int i = 0; i < TAKERS; i++)
        pthread_join(takers[i], NULL);
    SOFT_CHECK(!have_children());
    for (int i = 0; i < WORKERS; i++)
        for (int round = 0; round < ROUNDS; round++)
            for (int fate = 0; fate < FATES; fate++)
                SOFT_CHECK(events_of[i][round][fate] == (fate < REPORTED));
    exitfd_close(x);
}

static const struct tap_case cases[] = {
    { "each_event_comes_once", each_event_comes_once },
};

int main(int argc, char *argv[])
{
    return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
