/* SPDX-License-Identifier: MIT */
/*
 * The loop that init and the guard of run share: one child, its stops, its
 * terminal, signals that are passed on, and orphans. Only this thread calls
 * exitfd_wait, so until then the pid of a child stays its own.
 */
#include "supervise.h"

#include "ending.h"
#include "orphans.h"
#include "signals.h"
#include "terminal.h"
#include "tool.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void adopt(void)
{
    int r = adopt_orphans();
    if (r < 0 && r != -ENOTSUP)
        complain("orphans are neither reaped nor ended here, because PR_SET_CHILD_SUBREAPER failed: %s", strerror(-r));
}

static int take_events(struct supervision *s);

static int prepare_exitfd(struct supervision *s)
{
    int r = exitfd_open(&s->x, 0);
    if (r < 0)
        return r;
    r = exitfd_add(s->x, -1, 0, NULL);
    /* A sandbox may forbid what a wait needs. PID 1 may have orphans before it
       starts anything. */
    r = r < 0 ? r : take_events(s);
    if (r < 0)
        s->x = exitfd_close(s->x);
    return r < 0 ? r : 0;
}

int supervise_prepare(struct supervision *s)
{
    int signal_fd = signals_open();
    if (signal_fd < 0)
        return signal_fd;
    signal(SIGCHLD, SIG_DFL);
    adopt();
    terminal_find();
    return prepare_exitfd(s);
}

/* A fault of our own is not the child's, and SIGCHLD is for us. */
static bool is_forwarded(int signo)
{
    static const int kept[] = { SIGCHLD, SIGFPE, SIGILL,  SIGSEGV, SIGBUS,  SIGABRT,
                                SIGTRAP, SIGSYS, SIGKILL, SIGSTOP, SIGTTIN, SIGTTOU };
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (signo == kept[i])
            return false;
    }
    return true;
}

static void catch_signals(void)
{
    for (int signo = 1; signo < NSIG; signo++) {
        if (is_forwarded(signo))
            signals_catch(signo); /* fails for the real-time signals that libc keeps for itself */
    }
    /* The terminal may be the child's from now on: writing to it and taking it
       back must not stop us. */
    signals_ignore(SIGTTIN);
    signals_ignore(SIGTTOU);
}

/* A child that is not reaped yet keeps its number, as its group's too, and only
   take_events reaps it. */
static int send(const struct supervision *s, bool to_group, int signo)
{
    if (to_group && kill(-s->child, signo) == 0)
        return 0; /* else it has left that group */
    if (kill(s->child, signo) == 0)
        return 0;
    int reason = errno;
    return exitfd_kill(s->x, s->child, signo) == 0 ? 0 : -reason; /* a sandbox may forbid the one and not the other */
}

static void continue_child(struct supervision *s)
{
    bool has_own_group = !s->shares_terminal_signals;
    if (has_own_group)
        terminal_hand_over(s->terminal, s->child);
    send(s, has_own_group, SIGCONT);
    s->is_stopped = false;
    s->has_continued = true;
}

/*
 * Those of the terminal have reached the child itself if it has our process
 * group. A hangup is an exception: the leader of a session gets it alone. A
 * SIGCONT of ours takes back a stop that was faster than it: that one is sent
 * again.
 */
static bool has_got_it(const struct supervision *s, int signo, bool is_by_kernel)
{
    bool is_for_the_group = signo == SIGINT || signo == SIGQUIT || signo == SIGTSTP || signo == SIGWINCH ||
                            (signo == SIGHUP && getsid(0) != getpid());
    bool is_undone = signo == SIGTSTP && s->has_continued;
    bool was_too_early = sigismember(&s->before_fork, signo) == 1;
    return s->shares_terminal_signals && is_by_kernel && is_for_the_group && !is_undone && !was_too_early;
}

static void tell_forwarded(const struct supervision *s, int signo, int r)
{
    char name[SIGNAL_NAME_SIZE];
    if (r < 0)
        complain("%s: cannot be forwarded to %d: %s", signal_name(signo, name), (int)s->child, strerror(-r));
    else if (s->tells_signals)
        complain("%s: forwarded to %d", signal_name(signo, name), (int)s->child);
}

static bool asks_to_end(int signo)
{
    return signo == SIGTERM || signo == SIGINT || signo == SIGHUP || signo == SIGQUIT;
}

static void forward(struct supervision *s, int signo)
{
    if (signo == SIGCONT && !s->shares_terminal_signals) {
        terminal_hand_over(s->terminal, s->child);
        s->is_stopped = false;
    }
    s->has_continued |= signo == SIGCONT;
    bool to_group = s->whole_group || (signo == SIGCONT && !s->shares_terminal_signals);
    tell_forwarded(s, signo, send(s, to_group, signo));
}

static void note_stop_of_group(struct supervision *s, int signo, bool is_by_kernel)
{
    s->group_is_stopped |= signo == SIGTSTP && is_by_kernel;
    s->group_is_stopped &= signo != SIGCONT;
}

/* True if the child has been asked to end. */
static bool forward_signals(struct supervision *s)
{
    bool is_by_kernel, is_asked_to_end = false;
    int signo;
    while ((signo = signals_take_with_origin(&is_by_kernel))) {
        is_asked_to_end |= asks_to_end(signo);
        note_stop_of_group(s, signo, is_by_kernel);
        if (!has_got_it(s, signo, is_by_kernel))
            forward(s, signo);
    }
    s->has_continued = false;
    sigemptyset(&s->before_fork);
    return is_asked_to_end;
}

static bool has_been_continued(pid_t child)
{
    siginfo_t info = { 0 };
    return waitid(P_PID, (id_t)child, &info, WCONTINUED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child;
}

/*
 * A shell waits for the whole job to stop, and a script or the rest of a
 * pipeline is part of it. Blocked meanwhile, a second one from elsewhere, of
 * the key itself or of another init in the job, makes one stop with ours.
 * Between the default action and kill it would stop us alone, and once
 * continued we would stop the whole job again.
 *
 * A key has stopped the rest already. The shell shows its prompt when a script
 * has stopped, and an fg may come before our stop. After kill, a SIGCONT takes
 * the pending stop back. One that came before it has continued the child.
 */
static void stop_job(const struct supervision *s, int signo)
{
    bool is_by_key = s->shares_terminal_signals && (s->group_is_stopped || signals_kernel_sent(SIGTSTP));
    pid_t whom = is_by_key ? getpid() : 0;
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, signo);
    sigprocmask(SIG_BLOCK, &only, NULL);
    signal(signo, SIG_DFL);
    signals_forget(SIGTSTP); /* of this stop */
    kill(whom, signo);
    if (has_been_continued(s->child))
        kill(whom, SIGCONT);
    sigprocmask(SIG_UNBLOCK, &only, NULL); /* stops here */
    signals_forget(SIGCONT);               /* continue_child is what it asks for */
    if (signo == SIGTSTP)
        signals_catch(signo);
    else
        signals_ignore(signo);
}

/*
 * Where the child was stopped as from the keyboard, the shell that started us
 * must see us stop, or its user has no prompt. A program that restores the
 * terminal first stops itself by SIGSTOP. The default action of the three
 * others knows when nobody would ever continue us, as PID 1 or in an orphaned
 * process group. Then we go on at once, and so must the child. Without a
 * terminal a stop is nobody's affair but that of its sender.
 *
 * A job that is continued in the background, to end by a signal, may use the
 * terminal before the signal reaches it. It would stop with that signal
 * pending, so that stop is undone once. So is one by a SIGTSTP that was sent
 * just before that signal, where no shell shows that the job has stopped.
 */
static void stop_with(struct supervision *s, int signo)
{
    int terminal = terminal_find();
    bool is_just_asked = monotonic_ns() - s->asked_ns < NS_PER_SECOND;
    bool may_undo = signo == SIGTTIN || signo == SIGTTOU || (signo == SIGTSTP && terminal < 0 && is_just_asked);
    if (s->was_asked_to_end && may_undo) {
        s->was_asked_to_end = false;
        continue_child(s);
        return;
    }
    bool is_in_foreground =
        terminal_foreground_is(terminal, getpgrp()) || terminal_foreground_is(terminal, getpgid(s->child));
    s->is_stopped = true;
    if (terminal < 0 || (signo == SIGSTOP && !is_in_foreground))
        return;
    terminal_take_back(s->terminal, s->child);
    stop_job(s, signo == SIGSTOP ? SIGTSTP : signo);
    s->group_is_stopped = false;
    continue_child(s);
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
        if (s->tells_orphans)
            tell_orphan(event);
        return false;
    }
    if (event->code == CLD_STOPPED) {
        stop_with(s, event->status);
        return false;
    }
    s->ending = *event;
    return true;
}

/*
 * 1 if the child has ended, or a negative errno. What ended together with the
 * child is reaped with it. Descendants that fork and end for ever must not keep
 * us from signals, and those that came during a stop are older than the next
 * stop. While the child lives, no call is made to find that nothing is left:
 * poll does that.
 */
static int take_events(struct supervision *s)
{
    enum {
        ROUNDS = 64,
        MOST = 16
    };
    struct exitfd_event events[MOST];
    int has_ended = 0, n = MOST;
    for (int i = 0; i < ROUNDS && (n == MOST || (n > 0 && has_ended)) && !s->has_continued; i++) {
        n = exitfd_wait(s->x, events, MOST, 0);
        for (int j = 0; j < n; j++)
            has_ended |= note_event(s, &events[j]);
    }
    return has_ended || n >= 0 || n == -EPIPE ? has_ended : n;
}

static void notice_end_of_parent(struct supervision *s)
{
    forward(s, s->parent_death_signal);
}

int supervise(struct supervision *s)
{
    catch_signals();
    signals_unblock_for(s->x);
    if (s->parent_death_signal && s->parent.is_gone)
        notice_end_of_parent(s);
    struct pollfd fds[] = { { .fd = signals_fd(), .events = POLLIN },
                            { .fd = exitfd_get_fd(s->x), .events = POLLIN },
                            { .fd = s->parent_death_signal ? s->parent.pidfd : -1, .events = POLLIN } };
    int r = 0;
    while (r == 0) {
        if (poll(fds, 3, s->has_continued ? 0 : -1) < 0 && errno != EINTR)
            return -errno;
        bool is_asked_to_end = forward_signals(s);
        s->was_asked_to_end |= is_asked_to_end;
        s->times_asked += is_asked_to_end;
        s->asked_ns = is_asked_to_end ? monotonic_ns() : s->asked_ns;
        if (fds[2].revents) {
            is_asked_to_end |= asks_to_end(s->parent_death_signal);
            notice_end_of_parent(s);
            fds[2] = (struct pollfd){ .fd = -1 };
        }
        r = take_events(s);
        if (is_asked_to_end && s->is_stopped)
            continue_child(s); /* a stopped process ends by nothing but SIGKILL */
    }
    return r < 0 ? r : 0;
}
