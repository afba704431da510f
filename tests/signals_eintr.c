/* SPDX-License-Identifier: MIT */
/*
 * A thread sits in each interruptible call in turn while children exit. Only that thread has SIGCHLD unblocked (on
 * signalfd none has), so whatever can be interrupted is. docs/eintr.md is what this prints.
 */
#include "signals.h"
#include "signals_calls.h"
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EXITS_PER_CALL 100

struct sitter {
    pthread_t thread;
    const struct call *call;
    bool sigchld_blocked;
    atomic_int tid;
    atomic_bool told_to_stop;
    atomic_bool done;
    atomic_int interruptions;
    atomic_int unexpected; /* an errno other than EINTR, or -1 if the call succeeded */
};

static void *sit(void *argument)
{
    struct sitter *sitter = argument;
    if (sitter->sigchld_blocked)
        block_sigchld();
    else
        unblock_sigchld();
    sitter->tid = own_tid();
    while (!sitter->told_to_stop) {
        int ret = sitter->call->sit();
        if (sitter->told_to_stop)
            break;
        if (ret >= 0 || errno != EINTR)
            break;
        sitter->interruptions++;
    }
    if (!sitter->told_to_stop)
        sitter->unexpected = errno;
    sitter->done = true;
    return NULL;
}

/* Nothing between setting tid and the call sleeps. */
static void wait_until_it_sits(struct sitter *sitter)
{
    while (sitter->tid == 0)
        poll(NULL, 0, 1);
    cr_assert(wait_until_asleep(sitter->tid), "%s: ended with errno %d, or never blocked", sitter->call->name,
              sitter->unexpected);
}

static void make_it_stand_up(struct sitter *sitter)
{
    sitter->told_to_stop = true;
    while (!sitter->done) {
        if (sitter->call->release != NULL)
            sitter->call->release();
        pthread_kill(sitter->thread, SIGUSR1);
        poll(NULL, 0, 1);
    }
    pthread_join(sitter->thread, NULL);
}

static void interrupt(int sig)
{
    (void)sig;
}

static void watched_children_exit(struct exitfd *x)
{
    for (int i = 0; i < EXITS_PER_CALL; i++)
        cr_assert_eq(exitfd_add(x, start_child_exit(0), 0, NULL), 0);
    struct exitfd_event events[EXITS_PER_CALL];
    wait_events(x, events, EXITS_PER_CALL);
}

static void unwatched_child_exits(struct exitfd *none)
{
    (void)none;
    reap(start_child_exit(0));
}

/* How often the call was interrupted while children exited; -1 if it ended in another way. */
static int count_interruptions(const struct call *call, bool sigchld_blocked, void (*exits)(struct exitfd *),
                               struct exitfd *x)
{
    struct sitter sitter = { .call = call, .sigchld_blocked = sigchld_blocked };
    cr_assert_eq(pthread_create(&sitter.thread, NULL, sit, &sitter), 0);
    wait_until_it_sits(&sitter);
    exits(x);
    /* A signal sent to a thread is seen by its call before the call is seen asleep again. */
    if (!sitter.done)
        wait_until_it_sits(&sitter);
    make_it_stand_up(&sitter);
    return sitter.unexpected != 0 ? -1 : sitter.interruptions;
}

static void prepare(void)
{
    struct sigaction release = { .sa_handler = interrupt };
    sigemptyset(&release.sa_mask);
    cr_assert_eq(sigaction(SIGUSR1, &release, NULL), 0);
    prepare_calls();
    block_sigchld();
}

static bool is_as_expected(const struct call *call, int interruptions, bool has_handler)
{
    if (has_handler && call->restart == NEVER_RESTARTED)
        return interruptions > 0;
    return interruptions == 0;
}

TEST(eintr, no_call_is_interrupted_but_those_that_the_kernel_never_restarts_after_a_handler)
{
    unblock_sigchld();
    if (backend_is("signalfd"))
        block_sigchld();
    struct exitfd *x = open_exitfd();
    const char *backend = exitfd_get_backend(x);
    bool has_handler = backend_is("self-pipe");
    int wrong = 0;
    prepare();
    for (size_t i = 0; i < call_count; i++) {
        int count = count_interruptions(&calls[i], backend_is("signalfd"), watched_children_exit, x);
        bool good = is_as_expected(&calls[i], count, has_handler);
        printf("# eintr, %s: %-22s %s in %d exits%s\n", backend, calls[i].name,
               count > 0    ? "interrupted"
               : count == 0 ? "never interrupted"
                            : "ENDED",
               EXITS_PER_CALL, good ? "" : "  <-- not as expected");
        wrong += !good;
    }
    fflush(stdout);
    clean_up_calls();
    exitfd_close(x);
    cr_assert_eq(wrong, 0, "%d calls not as expected: the lines above", wrong);
}

/* That the test above can see an interruption at all, in each of its calls. */
TEST(eintr, a_handler_without_sa_restart_interrupts_every_call)
{
    int wrong = 0;
    set_disposition(interrupt, 0);
    prepare();
    for (size_t i = 0; i < call_count; i++) {
        int count = count_interruptions(&calls[i], false, unwatched_child_exits, NULL);
        bool good = calls[i].restart == NEVER_INTERRUPTED ? count == 0 : count == 1;
        if (!good)
            printf("# %s: %d interruptions after one SIGCHLD\n", calls[i].name, count);
        wrong += !good;
    }
    fflush(stdout);
    clean_up_calls();
    cr_assert_eq(wrong, 0, "%d calls not as expected: the lines above", wrong);
}
