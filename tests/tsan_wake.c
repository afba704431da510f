/* SPDX-License-Identifier: MIT */
/* A thread blocked in exitfd_wait delays no add, and is woken by what the add
   brings, be it dead already. */
#include "tap.h"
#include "tsan_thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUNDS 60

struct waiter {
    struct exitfd *x;
    atomic_int tid;
    pthread_t thread;
    struct exitfd_event event;
};

static void *wait_blocked(void *argument)
{
    struct waiter *waiter = argument;
    int ret;
    waiter->tid = (int)syscall(SYS_gettid);
    do
        ret = exitfd_wait(waiter->x, &waiter->event, 1, -1);
    while (ret == -EINTR);
    SOFT_CHECK(ret == 1);
    return NULL;
}

static bool sleeps(int tid)
{
    char stat_path[64];
    snprintf(stat_path, sizeof(stat_path), "/proc/self/task/%d/stat", tid);
    char state = state_in(stat_path);
    CHECK(state != '?');
    return state == 'S';
}

static void start_blocked(struct waiter *waiter)
{
    start_thread(&waiter->thread, wait_blocked, waiter);
    while (waiter->tid == 0 || !sleeps(waiter->tid))
        sched_yield();
}

static void expect_taken(struct waiter *waiter, pid_t pid, int code, int status)
{
    pthread_join(waiter->thread, NULL);
    SOFT_CHECK(is_event(&waiter->event, pid, code, status, EXITFD_REAPED));
}

static void a_blocked_wait_delays_no_call(void)
{
    struct exitfd *x = open_exitfd();
    for (int round = 0; round < ROUNDS; round++) {
        struct waiter waiter = { .x = x };
        pid_t kept = start_sleeper(), ends = start_sleeper();
        start_blocked(&waiter);
        SOFT_CHECK(exitfd_add(x, kept, 0, NULL) == 0);
        SOFT_CHECK(exitfd_kill(x, kept, 0) == 0);
        SOFT_CHECK(exitfd_remove(x, kept) == 0);
        SOFT_CHECK(exitfd_add(x, ends, 0, NULL) == 0);
        SOFT_CHECK(exitfd_kill(x, ends, SIGTERM) == 0);
        expect_taken(&waiter, ends, CLD_KILLED, SIGTERM);
        kill_and_reap(kept);
    }
    exitfd_close(x);
}

static void an_add_of_a_dead_child_wakes_a_blocked_wait(void)
{
    struct exitfd *x = open_exitfd();
    for (int round = 0; round < ROUNDS; round++) {
        struct waiter waiter = { .x = x };
        pid_t pid = start_exit(9);
        wait_until_zombie(pid);
        start_blocked(&waiter);
        SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
        expect_taken(&waiter, pid, CLD_EXITED, 9);
    }
    exitfd_close(x);
}

static const struct tap_case cases[] = {
    { "a_blocked_wait_delays_no_call", a_blocked_wait_delays_no_call },
    { "an_add_of_a_dead_child_wakes_a_blocked_wait", an_add_of_a_dead_child_wakes_a_blocked_wait },
};

int main(int argc, char *argv[])
{
    return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
