/* SPDX-License-Identifier: MIT */
/* fork while other threads are inside the library: the child gets -ESTALE, and
   both go on, each with its own. */
#include "tap.h"
#include "tsan_thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* TSan delivers no signal to the child of a fork in a multi-threaded
   process. */
#if defined(__SANITIZE_THREAD__)
#define RUNS_NO_HANDLER_AFTER_FORK true
#elif defined(__has_feature)
#define RUNS_NO_HANDLER_AFTER_FORK __has_feature(thread_sanitizer)
#else
#define RUNS_NO_HANDLER_AFTER_FORK false
#endif

#define INSIDE 2
#define FORKS 60

struct inside {
    struct exitfd *x;
    pid_t watched;
    pthread_t thread;
};

static atomic_bool finished;

static void *stay_inside(void *argument)
{
    struct inside *inside = argument;
    struct exitfd_event event;
    while (!finished) {
        SOFT_CHECK(exitfd_remove(inside->x, inside->watched) == 0);
        SOFT_CHECK(exitfd_add(inside->x, inside->watched, 0, NULL) == 0);
        SOFT_CHECK(exitfd_kill(inside->x, inside->watched, 0) == 0);
        SOFT_CHECK(exitfd_wait(inside->x, &event, 1, 0) == 0);
    }
    return NULL;
}

/* It waits for no event: in a child of a process with threads TSan puts off
   every signal handler for ever. */
static int use(struct exitfd *own)
{
    struct exitfd_event event;
    pid_t pid = exitfd_fork(own, 0, own);
    while (pid == 0)
        pause();
    if (pid < 0 || exitfd_wait(own, &event, 1, 0) != 0 || exitfd_kill(own, pid, SIGKILL) != 0)
        return 4;
    if (exitfd_remove(own, pid) != 0)
        return 5;
    kill_and_reap(pid);
    return 0;
}

/* The number of the step that went wrong, or 0. */
static int live_as_child(struct exitfd *x, pid_t watched)
{
    struct exitfd_event event;
    if (exitfd_wait(x, &event, 1, -1) != -ESTALE || exitfd_add(x, watched, EXITFD_OBSERVE, NULL) != -ESTALE ||
        exitfd_kill(x, watched, SIGKILL) != -ESTALE || exitfd_remove(x, watched) != -ESTALE)
        return 1;
    bool by_handler = strcmp(exitfd_get_backend(x), "self-pipe") == 0;
    if (exitfd_close(x) != NULL)
        return 2;
    if (RUNS_NO_HANDLER_AFTER_FORK && by_handler)
        return 0;

    struct exitfd *own;
    if (exitfd_open(&own, 0) != 0)
        return 3;
    int failed = use(own);
    exitfd_close(own);
    return failed;
}

static pid_t fork_watched(struct exitfd *forks, bool by_hand)
{
    pid_t pid = by_hand ? fork() : exitfd_fork(forks, 0, NULL);
    CHECK(pid >= 0);
    if (pid > 0 && by_hand)
        SOFT_CHECK(exitfd_add(forks, pid, 0, NULL) == 0);
    return pid;
}

static void both_go_on(void)
{
    struct inside inside[INSIDE];
    struct exitfd *x = open_exitfd(), *forks = open_exitfd();
    for (int i = 0; i < INSIDE; i++) {
        inside[i] = (struct inside){ .x = x, .watched = start_sleeper() };
        SOFT_CHECK(exitfd_add(x, inside[i].watched, 0, NULL) == 0);
    }
    for (int i = 0; i < INSIDE; i++)
        start_thread(&inside[i].thread, stay_inside, &inside[i]);
    for (int i = 0; i < FORKS; i++) {
        pid_t pid = fork_watched(forks, i % 2 != 0);
        if (pid == 0) {
            alarm(120);
            _exit(live_as_child(x, inside[0].watched));
        }
        struct exitfd_event event = next_event(forks);
        SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 0, EXITFD_REAPED));
    }
    finished = true;
    for (int i = 0; i < INSIDE; i++)
        pthread_join(inside[i].thread, NULL);
    for (int i = 0; i < INSIDE; i++) {
        SOFT_CHECK(exitfd_kill(x, inside[i].watched, SIGTERM) == 0);
        struct exitfd_event event = next_event(x);
        SOFT_CHECK(is_event(&event, inside[i].watched, CLD_KILLED, SIGTERM, EXITFD_REAPED));
    }
    exitfd_close(forks);
    exitfd_close(x);
}

static const struct tap_case cases[] = {
    { "both_go_on", both_go_on },
};

int main(int argc, char *argv[])
{
    return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
