/* SPDX-License-Identifier: MIT */
/*
 * Forked children that close the copies of their parent's exitfds, while other
 * threads of the parent are anywhere in the library. They are made by fork, by
 * _Fork, and by the system call, which no pthread_atfork handler sees. And a
 * program with fork handlers of its own, which may hold its own lock around
 * calls of the library.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 10000
#define ROUNDS 5

static pthread_mutex_t hosts_lock = PTHREAD_MUTEX_INITIALIZER;

static void lock(void)
{
    pthread_mutex_lock(&hosts_lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&hosts_lock);
}

__attribute__((constructor)) static void register_handlers(void)
{
    pthread_atfork(lock, unlock, unlock);
}

static pid_t fork_by_libc(void)
{
    return fork();
}

static pid_t fork_by_system_call(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
#define HAS_BARE_FORK 1
static pid_t fork_by_bare_fork(void)
{
    return _Fork();
}
#endif

static pid_t (*const forks[])(void) = {
    fork_by_libc,
    fork_by_system_call,
#ifdef HAS_BARE_FORK
    fork_by_bare_fork,
#endif
};
#define WAYS (sizeof(forks) / sizeof(*forks))

_Noreturn static void answer_and_close(int to)
{
    struct exitfd_event event;
    char answer = exitfd_wait(exitfds[0], &event, 1, 0) == -ESTALE ? 'y' : 'n';

    exitfd_close(exitfds[0]);
    exitfd_close(exitfds[1]);
    _exit(write(to, &answer, 1) != 1);
}

static void fork_by(unsigned way)
{
    int ends[2];
    char answer = 'x';

    CHECK(pipe2(ends, O_CLOEXEC) == 0, "pipe2");
    pid_t pid = forks[way]();
    if (pid == 0)
        answer_and_close(ends[1]);
    close(ends[1]);
    struct pollfd readable = { .fd = ends[0], .events = POLLIN };
    int ret;
    while ((ret = poll(&readable, 1, ANSWER_MS)) < 0 && errno == EINTR)
        ;
    if (ret == 0)
        kill(pid, SIGKILL);
    CHECK(ret == 1, "the child hangs, way %u", way);
    while (read(ends[0], &answer, 1) < 0 && errno == EINTR)
        ;
    CHECK(answer == 'y', "the copy is not stale: %c", answer);
    close(ends[0]);
    reap(pid);
}

void fork_and_close(void)
{
    if (below(6) != 0)
        return;
    say("fork, and close the copies");
    fork_by(0);
}

static atomic_bool storm_ends;

static void *storm(void *unused)
{
    while (!storm_ends)
        pthread_kill(pthread_self(), SIGCHLD);
    return unused;
}

void fork_and_close_in_a_storm(void)
{
    pthread_t thread;
    unsigned way = below(WAYS);

    if (below(6) != 0)
        return;
    say("fork in a storm of SIGCHLD, way %u", way);
    storm_ends = false;
    CHECK(pthread_create(&thread, NULL, storm, NULL) == 0, "pthread_create");
    for (int round = 0; round < ROUNDS; round++)
        fork_by(way);
    storm_ends = true;
    pthread_join(thread, NULL);
}

static void *open_and_close(void *unused)
{
    struct exitfd *x;

    for (int round = 0; round < ROUNDS; round++) {
        lock();
        if (exitfd_open(&x, EXITFD_NO_SIGNALS) == 0 || exitfd_open(&x, 0) == 0)
            exitfd_close(x);
        unlock();
    }
    return unused;
}

void fork_beside_a_lock(void)
{
    pthread_t thread;

    if (below(6) != 0)
        return;
    say("fork beside a lock that is held around calls of the library");
    CHECK(pthread_create(&thread, NULL, open_and_close, NULL) == 0, "pthread_create");
    for (int round = 0; round < ROUNDS; round++)
        fork_by(0);
    pthread_join(thread, NULL);
}
