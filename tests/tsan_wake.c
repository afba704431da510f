/* SPDX-License-Identifier: MIT */
/* A thread blocked in exitfd_wait delays no add, and is woken by what the add brings, be it dead already. */
#include "plain.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>

enum { ROUNDS = 100 };

/* Whether a thread of this process sleeps in the kernel. */
static inline bool thread_sleeps(pid_t tid)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    const char *name_end = strrchr(text, ')');
    return name_end != NULL && strncmp(name_end, ") S", 3) == 0;
}

struct waiter {
    struct exitfd *x;
    atomic_int tid;
    struct exitfd_event event;
};

static void *wait_blocked(void *argument)
{
    struct waiter *waiter = argument;
    atomic_store(&waiter->tid, (int)syscall(SYS_gettid));
    waiter->event = next_event(waiter->x);
    return NULL;
}

static pthread_t start_waiter(struct waiter *waiter)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wait_blocked, waiter) == 0);
    while (atomic_load(&waiter->tid) == 0 || !thread_sleeps(atomic_load(&waiter->tid)))
        usleep(100);
    return thread;
}

int main(void)
{
    begin();
    struct exitfd *x = open_or_skip();
    for (int round = 0; round < ROUNDS; round++) {
        struct waiter waiter = { .x = x };
        pid_t alive = fork_paused(), next = round % 2 ? fork_exiting(9) : fork_paused();
        if (round % 2)
            wait_for_zombie(next);
        pthread_t thread = start_waiter(&waiter);
        CHECK_RESULT(exitfd_add(x, alive, 0, &alive), 0);
        CHECK_RESULT(exitfd_kill(x, alive, 0), 0);
        CHECK_RESULT(exitfd_remove(x, alive), 0);
        CHECK_RESULT(exitfd_add(x, next, 0, &next), 0);
        if (round % 2 == 0)
            CHECK_RESULT(exitfd_kill(x, next, SIGTERM), 0);
        pthread_join(thread, NULL);
        CHECK(waiter.event.pid == next && waiter.event.data == &next);
        CHECK(waiter.event.status == (round % 2 ? 9 : SIGTERM));
        kill(alive, SIGKILL);
        exit_status_of(alive);
    }
    exitfd_close(x);
    return 0;
}
