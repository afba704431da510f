/* SPDX-License-Identifier: MIT */
/*
 * A thread sits in each interruptible call in turn while children exit. Only
 * that thread has SIGCHLD unblocked (on signalfd none has), so whatever can be
 * interrupted is. docs/eintr.md is what this prints.
 */
#include "signals.h"
#include "signals_calls.h"
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
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
    CHECK(wait_until_asleep(sitter->tid), "%s: ended with errno %d, or never blocked", sitter->call->name,
          sitter->unexpected);
}

static unsigned long long signal_set(const char *status, const char *name)
{
    const char *line = strstr(status, name);
    return line != NULL ? strtoull(line + strlen(name), NULL, 16) : 0;
}

static bool has_signals_to_take(pid_t tid)
{
    char path[64], status[4096] = "";
    snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    fread(status, 1, sizeof(status) - 1, file);
    fclose(file);
    unsigned long long pending = signal_set(status, "SigPnd:") | signal_set(status, "ShdPnd:");
    return (pending & ~signal_set(status, "SigBlk:")) != 0;
}

/* A call that is on its way to sleep looks asleep already, and still sees a
   signal before it does sleep. */
static void wait_until_it_took_its_signals(struct sitter *sitter)
{
    long long end = now_ms() + DEADLINE_MS;
    while (has_signals_to_take(sitter->tid)) {
        CHECK(now_ms() < end, "%s: a signal stays pending", sitter->call->name);
        sched_yield();
    }
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

/* None exits inside fork, where the C library has all signals blocked: see the
   last test. */
static void watched_children_exit(struct exitfd *x)
{
    struct gate gate = open_gate();
    struct exitfd_event events[EXITS_PER_CALL];
    pid_t pids[EXITS_PER_CALL];
    for (int i = 0; i < EXITS_PER_CALL; i++)
        pids[i] = start_light_child(&gate, 0);
    for (int i = 0; i < EXITS_PER_CALL; i++) {
        let_through(&gate, 1);
        CHECK_EQ(exitfd_add(x, pids[i], 0, NULL), 0);
    }
    wait_events(x, events, EXITS_PER_CALL);
    close_gate(&gate);
}

static void unwatched_child_exits(struct exitfd *none)
{
    (void)none;
    reap(start_child_exit(0));
}

/* How often the call was interrupted while children exited; -1 if it ended in
   another way. */
static int count_interruptions(const struct call *call, bool sigchld_blocked, void (*exits)(struct exitfd *),
                               struct exitfd *x)
{
    struct sitter sitter = { .call = call, .sigchld_blocked = sigchld_blocked };
    CHECK_EQ(pthread_create(&sitter.thread, NULL, sit, &sitter), 0);
    wait_until_it_sits(&sitter);
    exits(x);
    wait_until_it_took_its_signals(&sitter);
    if (!sitter.done)
        wait_until_it_sits(&sitter);
    make_it_stand_up(&sitter);
    return sitter.unexpected != 0 ? -1 : sitter.interruptions;
}

static void prepare(void)
{
    struct sigaction release = { .sa_handler = interrupt };
    sigemptyset(&release.sa_mask);
    CHECK_EQ(sigaction(SIGUSR1, &release, NULL), 0);
    prepare_calls();
}

static bool is_never_restarted(const struct call *call)
{
    return call->restart == NEVER_RESTARTED || call->restart == INTERRUPTED_BY_NOTHING;
}

static const char *describe(int interruptions)
{
    return interruptions > 0 ? "interrupted" : interruptions == 0 ? "never interrupted" : "ENDED";
}

/* SIGCHLD goes to the sitter alone if there is a handler, and to no thread if
   there is a signalfd. */
TEST(eintr, no_call_is_interrupted_but_those_that_the_kernel_never_restarts_after_a_handler)
{
    struct exitfd *x = open_exitfd();
    bool has_handler = backend_is("self-pipe"), blocked_everywhere = backend_is("signalfd");
    int wrong = 0;
    prepare();
    if (has_handler)
        block_sigchld();
    for (size_t i = 0; i < call_count; i++) {
        int count = count_interruptions(&calls[i], blocked_everywhere, watched_children_exit, x);
        bool good = has_handler && is_never_restarted(&calls[i]) ? count > 0 : count == 0;
        diagnose("eintr, %s: %s: %s in %d exits%s", exitfd_get_backend(x), calls[i].name, describe(count),
                 EXITS_PER_CALL, good ? "" : ", which is wrong");
        wrong += !good;
    }
    clean_up_calls();
    exitfd_close(x);
    CHECK_EQ(wrong, 0, "%d calls not as expected: see the report", wrong);
}

static int count_wrong_after_one_sigchld(int (*expected)(const struct call *))
{
    int wrong = 0;
    prepare();
    block_sigchld();
    for (size_t i = 0; i < call_count; i++) {
        int count = count_interruptions(&calls[i], false, unwatched_child_exits, NULL);
        if (count == expected(&calls[i]))
            continue;
        diagnose("eintr: %s: %s after one SIGCHLD, which is wrong", calls[i].name, describe(count));
        wrong++;
    }
    clean_up_calls();
    return wrong;
}

static int once_if_it_can_be(const struct call *call)
{
    return call->restart != NEVER_INTERRUPTED;
}

static int once_if_it_does_not_look(const struct call *call)
{
    return call->restart == INTERRUPTED_BY_NOTHING;
}

/* That the test above can see an interruption at all, in each of its calls. */
TEST(eintr, a_handler_without_sa_restart_interrupts_every_call)
{
    set_sigchld(interrupt, 0);
    int wrong = count_wrong_after_one_sigchld(once_if_it_can_be);
    CHECK_EQ(wrong, 0, "%d calls not as expected: see the report", wrong);
}

/*
 * The kernel's own doing, without a handler and without exitfd: a SIGCHLD at
 * its default is dropped when it is sent, unless the thread that forked has it
 * blocked. Then it wakes another thread, to be dropped only there.
 */
TEST(eintr, a_mask_alone_makes_the_kernel_interrupt_some_calls)
{
    int wrong = count_wrong_after_one_sigchld(once_if_it_does_not_look);
    CHECK_EQ(wrong, 0, "%d calls not as expected: see the report", wrong);
}
