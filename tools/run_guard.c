/* SPDX-License-Identifier: MIT */
/*
 * exitfd run is two processes. The worker, in a process group of its own,
 * starts the commands. The guard is its parent and what the shell sees:
 * sub-reaper of everything that the commands leave behind. When the guard is
 * killed, the worker's lifeline, a pipe, ends and it stops its commands. When
 * the worker is killed, its commands become the guard's children.
 */
#include "ending.h"
#include "orphans.h"
#include "run.h"
#include "signals.h"
#include "supervise.h"
#include "tool.h"

#include <stdlib.h>
#include <unistd.h>

static int start_worker(struct supervision *s, const struct run_options *options,
                        int (*work)(const struct run_options *options, int lifeline))
{
    int lifeline[2];
    int r = open_pipe(lifeline);
    if (r < 0)
        return r;
    s->child = exitfd_fork(s->x, EXITFD_STOPPED, NULL);
    if (s->child == 0) {
        exitfd_close(s->x);
        close(lifeline[1]);
        if (!s->shares_terminal_signals)
            setpgid(0, 0);
        exit(work(options, lifeline[0]));
    }
    close(lifeline[0]);
    close(options->list_fd);
    if (s->child > 0 && !s->shares_terminal_signals)
        setpgid(s->child, s->child);
    return s->child < 0 ? s->child : 0; /* the guard's end of the lifeline stays open as long as the guard lives */
}

static bool is_interrupt(const struct exitfd_event *ending)
{
    const int signo = ending->status;
    return ending->origin != EXITFD_UNKNOWN && ending->code != CLD_EXITED &&
           (signo == SIGINT || signo == SIGTERM || signo == SIGHUP || signo == SIGQUIT || signo == SIGPIPE);
}

static int conclude(const struct supervision *s, const struct run_options *options)
{
    char words[ENDING_SIZE];
    const struct exitfd_event *ending = &s->ending;
    int status = ending_exit_status(ending);
    bool has_exited = ending->origin != EXITFD_UNKNOWN && ending->code == CLD_EXITED;
    if (has_exited && status != WORKER_STOPPED && status != WORKER_FAILED)
        return status;
    if (has_exited && status == WORKER_FAILED)
        complain("the process that ran the commands could not go on. Ending them");
    else if (!has_exited && !is_interrupt(ending))
        complain("the process that ran the commands %s. Ending them", ending_in_words(ending, words));
    end_orphans(s->x, s->times_asked > 1 ? 0 : options->kill_after_ns, NULL);
    if (is_interrupt(ending))
        signals_die_of(ending->status);
    return has_exited ? STATUS_FAILED : status;
}

int guard_worker(const struct run_options *options, int (*work)(const struct run_options *options, int lifeline))
{
    /* A list that is typed can be read in the terminal's foreground only, and
       there Ctrl-C reaches both processes. */
    struct supervision s = { .terminal = -1, .shares_terminal_signals = isatty(options->list_fd) };
    signals_block_all();
    int r = supervise_prepare(&s);
    if (r == 0) {
        r = start_worker(&s, options, work);
        r = r < 0 ? r : supervise(&s);
    }
    if (r < 0)
        return complain_cannot_start(r);
    return conclude(&s, options);
}
