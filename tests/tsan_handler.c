/* SPDX-License-Identifier: MIT */
/* SIGCHLDs rain while threads install and uninstall the handler, and open, use and close exitfds that need it. */
#include "plain.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { OPENERS = 2, ROUNDS = 150 };

static atomic_bool stop;

static void *rain(void *nothing)
{
    while (!atomic_load(&stop)) {
        kill(getpid(), SIGCHLD);
        exit_status_of(fork_exiting(0));
    }
    return nothing;
}

static void *install_and_uninstall(void *nothing)
{
    while (!atomic_load(&stop)) {
        int ends[2], old = -77;
        CHECK(pipe2(ends, O_CLOEXEC) == 0);
        CHECK_RESULT(exitfd_install_handler(ends[1], &old), 0);
        CHECK(old == -1);
        CHECK_RESULT(exitfd_is_default_handler(), 0);
        struct pollfd rained = { .fd = ends[0], .events = POLLIN };
        while (poll(&rained, 1, -1) < 0)
            CHECK(errno == EINTR);
        CHECK_RESULT(exitfd_install_handler(-1, &old), 0);
        CHECK(old == ends[1]);
        close(ends[0]);
        close(ends[1]);
    }
    return nothing;
}

static void *open_and_close(void *argument)
{
    unsigned flags = *(unsigned *)argument;
    for (int round = 0; round < ROUNDS; round++) {
        struct exitfd *x;
        CHECK_RESULT(exitfd_open(&x, flags), 0);
        pid_t pid = fork_exiting(round % 100);
        CHECK_RESULT(exitfd_add(x, pid, round % 2 ? EXITFD_STOPPED : 0, x), 0);
        struct exitfd_event event = next_event(x);
        CHECK(event.pid == pid && event.status == round % 100 && event.origin == EXITFD_REAPED);
        exitfd_close(x);
    }
    return NULL;
}

int main(void)
{
    pthread_t raining, installing, opening[OPENERS];
    unsigned flags[OPENERS] = { 0, EXITFD_SELFPIPE };
    alarm(300);
    exitfd_close(open_or_skip());
    CHECK(pthread_create(&raining, NULL, rain, NULL) == 0);
    CHECK(pthread_create(&installing, NULL, install_and_uninstall, NULL) == 0);
    for (int i = 0; i < OPENERS; i++)
        CHECK(pthread_create(&opening[i], NULL, open_and_close, &flags[i]) == 0);
    for (int i = 0; i < OPENERS; i++)
        pthread_join(opening[i], NULL);
    atomic_store(&stop, true);
    pthread_join(installing, NULL);
    pthread_join(raining, NULL);
    CHECK_RESULT(exitfd_is_default_handler(), 1);
    return 0;
}
