/* SPDX-License-Identifier: MIT */
/* fork while other threads are inside the library: the child is told, both go on, each with its own. */
#include "plain.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { INSIDE = 2, FORKS = 60 };

struct inside {
    struct exitfd *x;
    pid_t watched;
    pthread_t thread;
};

static atomic_bool stop;

static void *stay_inside(void *argument)
{
    struct inside *inside = argument;
    struct exitfd_event event;
    while (!atomic_load(&stop)) {
        CHECK_RESULT(exitfd_remove(inside->x, inside->watched), 0);
        CHECK_RESULT(exitfd_add(inside->x, inside->watched, 0, inside), 0);
        CHECK_RESULT(exitfd_kill(inside->x, inside->watched, 0), 0);
        CHECK_RESULT(exitfd_wait(inside->x, &event, 1, 0), 0);
    }
    return NULL;
}

static void live_as_child(struct exitfd *x, pid_t watched)
{
    struct exitfd_event event;
    CHECK_RESULT(exitfd_wait(x, &event, 1, -1), -ESTALE);
    CHECK_RESULT(exitfd_add(x, watched, EXITFD_OBSERVE, NULL), -ESTALE);
    CHECK_RESULT(exitfd_kill(x, watched, SIGKILL), -ESTALE);
    CHECK(exitfd_close(x) == NULL);

    struct exitfd *own = open_or_skip();
    pid_t pid = fork_exiting(5);
    CHECK_RESULT(exitfd_add(own, pid, 0, own), 0);
    event = next_event(own);
    CHECK(event.pid == pid && event.status == 5 && event.data == own);
    exitfd_close(own);
    _exit(0);
}

int main(void)
{
    struct inside inside[INSIDE];
    begin();
    struct exitfd *x = open_or_skip(), *forks = open_or_skip();
    for (int i = 0; i < INSIDE; i++) {
        inside[i] = (struct inside){ .x = x, .watched = fork_paused() };
        CHECK_RESULT(exitfd_add(x, inside[i].watched, 0, &inside[i]), 0);
    }
    for (int i = 0; i < INSIDE; i++)
        CHECK(pthread_create(&inside[i].thread, NULL, stay_inside, &inside[i]) == 0);
    for (int i = 0; i < FORKS; i++) {
        pid_t pid = i % 2 ? exitfd_fork(forks, 0, forks) : fork();
        CHECK(pid >= 0);
        if (pid == 0)
            live_as_child(x, inside[0].watched);
        if (i % 2 == 0)
            CHECK_RESULT(exitfd_add(forks, pid, 0, forks), 0);
        struct exitfd_event event = next_event(forks);
        CHECK(event.pid == pid && event.code == CLD_EXITED && event.status == 0);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < INSIDE; i++) {
        pthread_join(inside[i].thread, NULL);
        CHECK_RESULT(exitfd_kill(x, inside[i].watched, SIGTERM), 0);
        CHECK(next_event(x).status == SIGTERM);
    }
    exitfd_close(forks);
    exitfd_close(x);
    return 0;
}
