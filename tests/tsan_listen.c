/* SPDX-License-Identifier: MIT */
/*
 * Exitfds that come to need SIGCHLD and go without it again, child by child, in
 * several threads, beside one that is blocked in a wait and one that opens and
 * closes. tsan_handler.c has the handler itself.
 */
#include "tap.h"
#include "tsan_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define STOPPERS 3
#define ROUNDS 40

static atomic_bool finished;

static struct exitfd_event next_in_a_blocked_wait(struct exitfd *x)
{
    struct exitfd_event event = { .pid = 0 };
    int ret;
    while ((ret = exitfd_wait(x, &event, 1, DEADLINE_MS)) == -EINTR)
        ;
    SOFT_CHECK(ret == 1);
    return event;
}

static void *stop_and_continue(void *unused)
{
    struct exitfd *x = open_exitfd();
    const int reported_status = status_of_a_stop();
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pid = start_sleeper();
        SOFT_CHECK(exitfd_add(x, pid, EXITFD_STOPPED, NULL) == 0);
        SOFT_CHECK(exitfd_kill(x, pid, SIGSTOP) == 0);
        struct exitfd_event event = round % 2 != 0 ? next_event(x) : next_in_a_blocked_wait(x);
        SOFT_CHECK(is_event(&event, pid, CLD_STOPPED, reported_status, EXITFD_PEEKED));
        SOFT_CHECK(exitfd_kill(x, pid, SIGKILL) == 0);
        event = next_event(x);
        SOFT_CHECK(is_event(&event, pid, CLD_KILLED, SIGKILL, EXITFD_REAPED));
    }
    exitfd_close(x);
    return unused;
}

static void *open_and_close(void *unused)
{
    while (!finished) {
        struct exitfd *x = open_exitfd();
        pid_t pid = start_exit(3);
        SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
        struct exitfd_event event = next_event(x);
        SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 3, EXITFD_REAPED));
        SOFT_CHECK(exitfd_add(x, -1, 0, NULL) == 0);
        SOFT_CHECK(exitfd_remove(x, -1) == 0);
        exitfd_close(x);
    }
    return unused;
}

static void stops_are_seen_while_others_come_and_go(void)
{
    pthread_t stoppers[STOPPERS], opener;
    struct sigaction before, after;
    finished = false;
    sigaction(SIGCHLD, NULL, &before);
    start_thread(&opener, open_and_close, NULL);
    for (int i = 0; i < STOPPERS; i++)
        start_thread(&stoppers[i], stop_and_continue, NULL);
    for (int i = 0; i < STOPPERS; i++)
        pthread_join(stoppers[i], NULL);
    finished = true;
    pthread_join(opener, NULL);
    sigaction(SIGCHLD, NULL, &after);
    SOFT_CHECK(before.sa_handler == after.sa_handler);
}

static const struct tap_case cases[] = {
    { "stops_are_seen_while_others_come_and_go", stops_are_seen_while_others_come_and_go },
};

int main(int argc, char *argv[])
{
    return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
