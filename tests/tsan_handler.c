/* SPDX-License-Identifier: MIT */
/*
 * Exitfds and the primitive are opened and closed by several threads while
 * SIGCHLDs rain on all of them. A plain program, since Criterion cannot run
 * under TSan; worth running without it too.
 */
#include "tap.h"
#include "tsan_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define OPENERS 3
#define ROUNDS 30
#define CHILDREN_PER_ROUND 4
#define SENT_TO_ITSELF 20000

static atomic_bool finished;
static atomic_int guest_calls;

static void count_guest(int sig)
{
    (void)sig;
    int error = errno;
    atomic_fetch_add(&guest_calls, 1);
    errno = error;
}

static void set_guest_handler(void)
{
    struct sigaction action = { .sa_handler = count_guest, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
}

static bool guest_handler_is_back(void)
{
    struct sigaction action;
    sigaction(SIGCHLD, NULL, &action);
    return action.sa_handler == count_guest;
}

static struct exitfd *open_with_handler(void)
{
    struct exitfd *x = NULL;
    SOFT_CHECK(exitfd_open(&x, EXITFD_SELFPIPE) == 0);
    return x;
}

static void *open_use_and_close(void *unused)
{
    for (int round = 0; round < ROUNDS; round++) {
        struct exitfd *x = open_with_handler();
        if (x == NULL)
            break;
        for (int i = 0; i < CHILDREN_PER_ROUND; i++)
            SOFT_CHECK(exitfd_add(x, start_exit(i), 0, NULL) == 0);
        for (int i = 0; i < CHILDREN_PER_ROUND; i++)
            SOFT_CHECK(next_event(x).origin == EXITFD_REAPED);
        exitfd_close(x);
    }
    return unused;
}

static void *install_and_remove(void *unused)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    while (!finished) {
        SOFT_CHECK(exitfd_install_handler(ends[1], NULL) == 0);
        SOFT_CHECK(exitfd_install_handler(-1, NULL) == 0);
    }
    close(ends[0]);
    close(ends[1]);
    return unused;
}

static void *rain(void *unused)
{
    while (!finished)
        kill(getpid(), SIGCHLD);
    return unused;
}

/* EXITFD_BACKEND=signalfd had it blocked. */
static void unblock_sigchld(void)
{
    sigset_t sigchld;
    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    pthread_sigmask(SIG_UNBLOCK, &sigchld, NULL);
}

static void exitfds_come_and_go_while_sigchlds_rain(void)
{
    pthread_t openers[OPENERS], installer, cloud;
    finished = false;
    unblock_sigchld();
    set_guest_handler();
    start_thread(&installer, install_and_remove, NULL);
    start_thread(&cloud, rain, NULL);
    for (int i = 0; i < OPENERS; i++)
        start_thread(&openers[i], open_use_and_close, NULL);
    for (int i = 0; i < OPENERS; i++)
        pthread_join(openers[i], NULL);
    finished = true;
    pthread_join(installer, NULL);
    pthread_join(cloud, NULL);
    SOFT_CHECK(guest_calls > 0);
    SOFT_CHECK(guest_handler_is_back());
}

/* Once exitfd_install_handler(-1) has returned, the number may be that of
   another file. No byte may land there. */
static void no_byte_comes_after_the_removal(void)
{
    pthread_t cloud;
    finished = false;
    unblock_sigchld();
    start_thread(&cloud, rain, NULL);
    for (int round = 0; round < 500; round++) {
        int ends[2];
        char byte;
        CHECK(pipe(ends) == 0);
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        SOFT_CHECK(exitfd_install_handler(ends[1], NULL) == 0);
        kill(getpid(), SIGCHLD);
        SOFT_CHECK(exitfd_install_handler(-1, NULL) == 0);
        while (read(ends[0], &byte, 1) > 0)
            ;
        for (int i = 0; i < 20; i++)
            kill(getpid(), SIGCHLD);
        SOFT_CHECK(read(ends[0], &byte, 1) < 0 && errno == EAGAIN);
        close(ends[0]);
        close(ends[1]);
    }
    finished = true;
    pthread_join(cloud, NULL);
}

/* To the thread itself, so that the handler has run at the return. */
static void *signal_itself(void *unused)
{
    for (int i = 0; i < SENT_TO_ITSELF; i++)
        pthread_kill(pthread_self(), SIGCHLD);
    finished = true;
    return unused;
}

static int count_bytes(int fd)
{
    char bytes[4096];
    int count = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;)
        count += (int)got;
    close(fd);
    return count;
}

static void no_sigchld_falls_between_two_fds(void)
{
    pthread_t thread;
    int one[2], other[2];
    CHECK(pipe(one) == 0 && pipe(other) == 0);
    finished = false;
    unblock_sigchld();
    SOFT_CHECK(exitfd_install_handler(one[1], NULL) == 0);
    start_thread(&thread, signal_itself, NULL);
    while (!finished) {
        SOFT_CHECK(exitfd_install_handler(other[1], NULL) == 0);
        SOFT_CHECK(exitfd_install_handler(one[1], NULL) == 0);
    }
    pthread_join(thread, NULL);
    SOFT_CHECK(exitfd_install_handler(-1, NULL) == 0);
    close(one[1]);
    close(other[1]);
    SOFT_CHECK(count_bytes(one[0]) + count_bytes(other[0]) == SENT_TO_ITSELF);
}

static const struct tap_case cases[] = {
    { "exitfds_come_and_go_while_sigchlds_rain", exitfds_come_and_go_while_sigchlds_rain },
    { "no_byte_comes_after_the_removal", no_byte_comes_after_the_removal },
    { "no_sigchld_falls_between_two_fds", no_sigchld_falls_between_two_fds },
};

int main(int argc, char *argv[])
{
    return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
