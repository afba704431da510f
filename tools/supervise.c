/* SPDX-License-Identifier: MIT */
#include "supervise.h"

#include "ending.h"
#include "orphans.h"
#include "signals.h"
#include "tool.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

int supervise_prepare(struct exitfd **ret)
{
    struct exitfd *x;
    signal(SIGCHLD, SIG_DFL);
    int r = adopt_orphans();
    if (r < 0 && r != -ENOTSUP) {
        return r;
    }
    r = exitfd_open(&x, 0);
    if (r < 0) {
        return r;
    }
    r = exitfd_add(x, -1, 0, NULL);
    if (r < 0) {
        exitfd_close(x);
        return r;
    }
    *ret = x;
    return 0;
}

/* A fault of our own is not the child's, and SIGCHLD is how children are followed. */
static bool is_forwarded(int signo)
{
    static const int kept[] = { SIGCHLD, SIGFPE, SIGILL,  SIGSEGV, SIGBUS,  SIGABRT,
                                SIGTRAP, SIGSYS, SIGKILL, SIGSTOP, SIGTTIN, SIGTTOU };
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (signo == kept[i]) {
            return false;
        }
    }
    return true;
}

static int catch_signals(void)
{
    int fd = signals_open();
    for (int signo = 1; fd >= 0 && signo < NSIG; signo++) {
        if (is_forwarded(signo)) {
            signals_catch(signo); /* libc keeps some real-time signals for itself: those are not to be had */
        }
    }
    /* The terminal may be the child's from now on: writing to it and taking it back must not stop us. */
    signals_ignore(SIGTTIN);
    signals_ignore(SIGTTOU);
    return fd;
}

static void hand_over_terminal(int terminal, pid_t group)
{
    if (terminal >= 0 && tcgetpgrp(terminal) == getpgrp()) {
        tcsetpgrp(terminal, group);
    }
}

void take_back_terminal(int terminal, pid_t group)
{
    if (terminal >= 0 && tcgetpgrp(terminal) == group) {
        tcsetpgrp(terminal, getpgrp());
    }
}

static void forward(struct supervision *s, int signo)
{
    char name[SIGNAL_NAME_SIZE];
    if (s->shares_terminal_signals && (signo == SIGINT || signo == SIGQUIT || signo == SIGTSTP)) {
        return;
    }
    if (signo == SIGCONT) {
        hand_over_terminal(s->terminal, s->child);
    }
    /* A child that is not reaped yet keeps its number, as the group's too; it may have left that group. */
    if (!s->whole_group || kill(-s->child, signo) != 0) {
        exitfd_kill(s->x, s->child, signo);
    }
    if (s->tells_signals) {
        complain("%s: forwarded to %d", signal_name(signo, name), (int)s->child);
    }
}

/*
 * Where the child was stopped as from the keyboard, the shell that started us must see us stop, or its user has no
 * prompt. SIGTSTP's own default knows when nobody would ever continue us: PID 1, an orphaned process group.
 */
static void stop_with(struct supervision *s, int signo)
{
    if (signo == SIGSTOP) {
        return;
    }
    take_back_terminal(s->terminal, s->child);
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP);
    signals_catch(SIGTSTP);
}

void tell_orphan(const struct exitfd_event *event)
{
    char words[ENDING_SIZE];
    complain("orphan %d %s", (int)event->pid, ending_in_words(event, words));
}

/* True if the child has ended. */
static bool note_event(struct supervision *s, const struct exitfd_event *event)
{
    if (event->pid != s->child) {
        if (s->tells_orphans) {
            tell_orphan(event);
        }
        return false;
    }
    if (event->code == CLD_STOPPED) {
        stop_with(s, event->status);
        return false;
    }
    s->ending = *event;
    return true;
}

/* What ended together with the child is reaped with it. */
static bool take_events(struct supervision *s)
{
    struct exitfd_event events[16];
    bool has_ended = false;
    int n;
    while ((n = exitfd_wait(s->x, events, 16, 0)) > 0) {
        for (int i = 0; i < n; i++) {
            has_ended |= note_event(s, &events[i]);
        }
    }
    return has_ended;
}

int supervise(struct supervision *s)
{
    int signal_fd = catch_signals();
    if (signal_fd < 0) {
        return signal_fd;
    }
    signals_unblock_for(s->x);
    struct pollfd fds[] = { { .fd = signal_fd, .events = POLLIN }, { .fd = exitfd_get_fd(s->x), .events = POLLIN } };
    do {
        int signo;
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            return -errno;
        }
        while ((signo = signals_take())) {
            forward(s, signo);
        }
    } while (!take_events(s));
    return 0;
}
