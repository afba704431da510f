/* SPDX-License-Identifier: MIT */
/*
 * The handler counts each signal and writes to a pipe. signals_take makes
 * signals of the counts again. What the handler writes is atomic.
 */
#include "signals.h"

#include "tool.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    BY_PROCESS,
    BY_KERNEL,
    ORIGINS
};

static int pipe_fds[2] = { -1, -1 };
static atomic_bool is_woken; /* something may be in the pipe. It is not, at each SIGCHLD of an orphan */
static struct sigaction found[NSIG];
static bool changed[NSIG];
static atomic_uint caught[ORIGINS][NSIG]; /* how often, since it was taken */

/* The pipe only wakes. When it is full it does so already. */
static void wake(void)
{
    atomic_store(&is_woken, true);
    if (write(pipe_fds[1], "", 1) < 0)
        return;
}

static void be_awake(void)
{
    char bytes[4096];
    if (!atomic_exchange(&is_woken, false))
        return;
    while (read(pipe_fds[0], bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
    }
}

int signals_open(void)
{
    for (int i = 0; i < 2; i++) {
        if (pipe_fds[i] >= 0)
            close(pipe_fds[i]); /* of the process that this one was forked from */
    }
    int r = open_pipe(pipe_fds);
    if (r < 0) {
        pipe_fds[0] = pipe_fds[1] = -1;
        return r;
    }
    set_nonblocking(pipe_fds[1]);
    set_nonblocking(pipe_fds[0]);
    return pipe_fds[0];
}

int signals_fd(void)
{
    return pipe_fds[0];
}

/* Positive codes are the kernel's on Linux. Elsewhere those of kill and
   sigqueue may be positive as well. */
static bool is_by_kernel(const siginfo_t *info)
{
    return info->si_code > 0 && info->si_code != SI_USER && info->si_code != SI_QUEUE;
}

/* As the kernel does with pending ones, so that of a stop and a continue the
   later one counts. */
static void forget_what_it_undoes(int signo)
{
    if (signo == SIGCONT)
        signals_forget(SIGTSTP);
    else if (signo == SIGTSTP)
        signals_forget(SIGCONT);
}

static void note_signal(int signo, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    bool by_kernel = is_by_kernel(info);
    (void)context;
    if (by_kernel || info->si_pid != getpid()) {
        forget_what_it_undoes(signo);
        atomic_fetch_add(&caught[by_kernel ? BY_KERNEL : BY_PROCESS][signo], 1);
        wake();
    }
    errno = saved_errno;
}

static bool set_action(int signo, struct sigaction *action)
{
    /* Without SA_RESTART: a write that blocks on a stopped terminal must end at
       Ctrl-C. */
    sigfillset(&action->sa_mask);
    if (sigaction(signo, action, changed[signo] ? NULL : &found[signo]) != 0)
        return false;
    changed[signo] = true;
    return true;
}

bool signals_catch(int signo)
{
    struct sigaction action = { .sa_sigaction = note_signal, .sa_flags = SA_SIGINFO };
    return set_action(signo, &action);
}

void signals_ignore(int signo)
{
    struct sigaction action = { .sa_handler = SIG_IGN };
    set_action(signo, &action);
}

static bool is_queued(int signo)
{
#ifdef SIGRTMIN
    return signo >= SIGRTMIN;
#else
    return (void)signo, false;
#endif
}

static bool take(atomic_uint *count, int signo)
{
    if (atomic_load(count) == 0)
        return false;
    if (is_queued(signo))
        atomic_fetch_sub(count, 1);
    else
        atomic_store(count, 0);
    return true;
}

static bool is_one_left(void)
{
    for (int i = 0; i < ORIGINS * NSIG; i++) {
        if (atomic_load(&caught[i / NSIG][i % NSIG]))
            return true;
    }
    return false;
}

int signals_take_with_origin(bool *ret_is_by_kernel)
{
    static int place; /* in the round, which goes through caught once */
    if (place == 0)
        be_awake();
    while (place < ORIGINS * NSIG) {
        int origin = place / NSIG, signo = place % NSIG;
        place++;
        if (take(&caught[origin][signo], signo)) {
            *ret_is_by_kernel = origin == BY_KERNEL;
            return signo;
        }
    }
    place = 0;
    if (is_one_left())
        wake();
    return 0;
}

int signals_take(void)
{
    bool by_kernel;
    return signals_take_with_origin(&by_kernel);
}

bool signals_kernel_sent(int signo)
{
    return atomic_load(&caught[BY_KERNEL][signo]) > 0;
}

void signals_forget(int signo)
{
    for (int i = 0; i < ORIGINS; i++)
        atomic_store(&caught[i][signo], 0);
}

bool signals_was_ignored(int signo)
{
    struct sigaction now;
    const struct sigaction *action = &found[signo];
    if (!changed[signo]) {
        sigaction(signo, NULL, &now);
        action = &now;
    }
    return action->sa_handler == SIG_IGN;
}

void signals_restore(int signo)
{
    if (changed[signo]) {
        sigaction(signo, &found[signo], NULL);
        changed[signo] = false;
    }
}

void signals_restore_all(void)
{
    for (int signo = 1; signo < NSIG; signo++)
        signals_restore(signo);
}

void signals_restore_in_child(void)
{
    for (int signo = 1; signo < NSIG; signo++) {
        if (changed[signo])
            sigaction(signo, &found[signo], NULL);
    }
}

sigset_t signals_block_all(void)
{
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGCHLD);
    sigprocmask(SIG_SETMASK, &all, &before);
    sigdelset(&before, SIGCHLD);
    return before;
}

void signals_set_mask(const sigset_t *mask)
{
    sigprocmask(SIG_SETMASK, mask, NULL);
}

void signals_unblock_for(const struct exitfd *x)
{
    sigset_t mask;
    sigemptyset(&mask);
    if (strcmp(exitfd_get_backend(x), "signalfd") == 0)
        sigaddset(&mask, SIGCHLD);
    signals_set_mask(&mask);
}

void signals_die_of(int signo)
{
    const struct rlimit no_core = { 0, 0 };
    sigset_t only;
    setrlimit(RLIMIT_CORE, &no_core);
    signal(signo, SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, signo);
    raise(signo);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
}
