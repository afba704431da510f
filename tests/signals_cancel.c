/* SPDX-License-Identifier: MIT */
/* Threads that are to be cancelled end where they would without us: not in our
   handler, not in a function of ours. */
#include "life_support.h"
#include "signals.h"

#include <stdatomic.h>

extern char **environ;

struct victim {
    atomic_int done; /* how far it came, before the end that it chose itself */
    int failed;
    int write_end;
    pid_t child, discarded;
};

static void run_to_its_end(void *(*work)(void *), struct victim *victim)
{
    pthread_t thread;
    void *end = NULL;
    CHECK_EQ(pthread_create(&thread, NULL, work, victim), 0);
    CHECK_EQ(pthread_join(thread, &end), 0);
    CHECK_EQ(end, PTHREAD_CANCELED, "the thread was not to be cancelled");
}

/* No cancellation point itself, nor is what it calls, up to
   pthread_testcancel. */
static void *take_a_sigchld_while_cancelled(void *argument)
{
    struct victim *victim = argument;
    sigset_t sigchld;
    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    pthread_sigmask(SIG_UNBLOCK, &sigchld, NULL);
    pthread_cancel(pthread_self());
    pthread_kill(pthread_self(), SIGCHLD);
    atomic_fetch_add(&victim->done, 1);
    pthread_testcancel();
    return NULL;
}

TEST(signals_cancel, the_handler_ends_no_thread)
{
    struct wakeup wakeup = open_wakeup();
    struct victim victim = { .done = 0 };
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    install(wakeup.write_end);
    run_to_its_end(take_a_sigchld_while_cancelled, &victim);
    CHECK_EQ(victim.done, 1, "cancelled in the handler");
    CHECK_EQ(take_bytes(&wakeup), 1);
    CHECK(is_readable(exitfd_get_fd(x)));
    install(-1);
    exitfd_close(x);
    close_wakeup(&wakeup);
}

static void step(struct victim *victim, int result)
{
    int number = atomic_fetch_add(&victim->done, 1) + 1;
    if (result < 0 && victim->failed == 0)
        victim->failed = number;
}

static void *call_everything_while_cancelled(void *argument)
{
    struct victim *victim = argument;
    struct exitfd *x = NULL;
    struct exitfd_event event;
    char *argv[] = { "true", NULL };
    pthread_cancel(pthread_self());
    step(victim, exitfd_install_handler(victim->write_end, NULL));
    step(victim, exitfd_install_handler(-1, NULL));
    step(victim, exitfd_open(&x, 0));
    step(victim, exitfd_add(x, -1, 0, NULL));
    step(victim, exitfd_add(x, victim->child, 0, NULL));
    step(victim, exitfd_add(x, victim->discarded, 0, NULL));
    step(victim, exitfd_discard(x, victim->discarded));
    step(victim, exitfd_kill(x, victim->discarded, SIGKILL));
    step(victim, exitfd_wait(x, &event, 1, 0));
    step(victim, exitfd_remove(x, victim->child));
    step(victim, exitfd_remove(x, -1));
    step(victim, exitfd_spawn(x, NULL, "true", NULL, NULL, argv, environ, 0, NULL));
    pid_t pid = exitfd_fork(x, 0, NULL);
    if (pid == 0)
        _exit(0);
    step(victim, pid);
    step(victim, exitfd_close(x) == NULL ? 0 : -EINVAL);
    pthread_testcancel();
    return NULL;
}

TEST(signals_cancel, no_function_is_a_cancellation_point)
{
    enum {
        STEPS = 14
    };
    exitfd_close(open_exitfd());
    struct wakeup wakeup = open_wakeup();
    struct victim victim = { .write_end = wakeup.write_end, .child = start_paused(), .discarded = start_paused() };
    run_to_its_end(call_everything_while_cancelled, &victim);
    CHECK_EQ(victim.done, STEPS, "cancelled in call %d", victim.done + 1);
    CHECK_EQ(victim.failed, 0, "call %d failed", victim.failed);
    kill(victim.child, SIGKILL);
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    close_wakeup(&wakeup);
}

static void reach_a_cancellation_point(void)
{
    pthread_testcancel();
}

static void *fork_while_cancelled(void *argument)
{
    struct victim *victim = argument;
    struct exitfd *x = open_exitfd();
    pthread_cancel(pthread_self());
    victim->child = exitfd_fork(x, 0, x);
    if (victim->child == 0)
        _exit(6);
    atomic_fetch_add(&victim->done, 1);
    struct exitfd_event event = { .pid = 0 };
    while (exitfd_wait(x, &event, 1, DEADLINE_MS) == -EINTR)
        ;
    victim->failed = event.pid != victim->child || event.status != 6;
    exitfd_close(x);
    pthread_testcancel();
    return NULL;
}

TEST(signals_cancel, a_fork_with_a_handler_that_is_a_cancellation_point)
{
    struct victim victim = { .done = 0 };
    exitfd_close(open_exitfd()); /* skips, here and not in the thread */
    CHECK_EQ(pthread_atfork(NULL, reach_a_cancellation_point, NULL), 0);
    run_to_its_end(fork_while_cancelled, &victim);
    CHECK_EQ(victim.done, 1, "cancelled in exitfd_fork");
    CHECK_EQ(victim.failed, 0);
}
