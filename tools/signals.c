/* SPDX-License-Identifier: MIT */
#include "signals.h"

#include "tool.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int pipe_fds[2] = { -1, -1 };
static struct sigaction found[NSIG];
static bool changed[NSIG];

int signals_open(void)
{
    for (int i = 0; i < 2; i++) {
        if (pipe_fds[i] >= 0) {
            close(pipe_fds[i]); /* of the process that this one was forked from */
        }
    }
    int r = open_pipe(pipe_fds);
    if (r < 0) {
        return r;
    }
    set_nonblocking(pipe_fds[1]);
    set_nonblocking(pipe_fds[0]);
    return pipe_fds[0];
}

static void put_into_pipe(int signo)
{
    int saved_errno = errno;
    unsigned char byte = (unsigned char)signo;
    if (write(pipe_fds[1], &byte, 1) < 0) {
        /* 65,536 signals are waiting to be taken: one more of them says nothing new. */
    }
    errno = saved_errno;
}

static bool set_handler(int signo, void (*handler)(int))
{
    /* Without SA_RESTART: a write that blocks on a stopped terminal must end at Ctrl-C. */
    struct sigaction action = { .sa_handler = handler };
    sigfillset(&action.sa_mask);
    if (sigaction(signo, &action, changed[signo] ? NULL : &found[signo]) != 0) {
        return false;
    }
    changed[signo] = true;
    return true;
}

bool signals_catch(int signo)
{
    return set_handler(signo, put_into_pipe);
}

void signals_ignore(int signo)
{
    set_handler(signo, SIG_IGN);
}

int signals_take(void)
{
    unsigned char byte;
    return read(pipe_fds[0], &byte, 1) == 1 ? byte : 0;
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
    for (int signo = 1; signo < NSIG; signo++) {
        signals_restore(signo);
    }
}

void signals_restore_in_child(void)
{
    for (int signo = 1; signo < NSIG; signo++) {
        if (changed[signo]) {
            sigaction(signo, &found[signo], NULL);
        }
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
    if (strcmp(exitfd_get_backend(x), "signalfd") == 0) {
        sigaddset(&mask, SIGCHLD);
    }
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
