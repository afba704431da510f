/* SPDX-License-Identifier: MIT */
/* The loop of exitfd run, which blocks on nothing but poll. */
#include "run_worker.h"

#include "signals.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void take_endings(struct run *run)
{
    struct exitfd_event events[64];
    int n;
    while ((n = exitfd_wait(run->environment.x, events, 64, 0)) > 0) {
        for (int i = 0; i < n; i++) {
            jobs_end(run, &events[i]);
        }
    }
}

static void read_outputs(struct run *run)
{
    for (int64_t i = 0; i < run->running_count; i++) {
        for (int which = 0; which < 2; which++) {
            int r;
            if (run->fds[FD_OUTPUTS + 2 * i + which].revents && !job_read(run->running[i], which, &run->spill, &r)) {
                run_break_off_keeping(run, r);
            }
        }
    }
}

static int64_t next_deadline_ns(const struct run *run)
{
    const int64_t recheck_ns = 20 * NS_PER_MS; /* nothing tells that a group has become empty */
    int64_t deadline_ns = run->lingering_count ? monotonic_ns() + recheck_ns : NEVER;
    if (run->status.next_ns < deadline_ns) {
        deadline_ns = run->status.next_ns;
    }
    if (run->print_until_ns < deadline_ns) {
        deadline_ns = run->print_until_ns;
    }
    for (int64_t i = 0; i < run->running_count; i++) {
        if (run->running[i]->deadline_ns < deadline_ns) {
            deadline_ns = run->running[i]->deadline_ns;
        }
    }
    return deadline_ns;
}

/* Ctrl-Z: the commands stop with us, and the time that passes meanwhile is not theirs. */
static void stop_for_a_while(struct run *run)
{
    int64_t stopped_ns = monotonic_ns();
    status_erase(&run->status);
    jobs_signal_all(run, SIGTSTP);
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP);
    signals_catch(SIGTSTP);
    jobs_signal_all(run, SIGCONT);
    for (int64_t i = 0; i < run->running_count; i++) {
        struct job *job = run->running[i];
        if (job->deadline_ns != NEVER) {
            job->deadline_ns += monotonic_ns() - stopped_ns;
        }
    }
}

static void take_signals(struct run *run)
{
    int signo;
    while ((signo = signals_take())) {
        if (signo == SIGTSTP) {
            stop_for_a_while(run);
            continue;
        }
        if (run->end_signal) { /* asked for a second time */
            run_kill(run);
            printer_give_up(&run->printer);
        }
        run->end_signal = signo;
        run_end(run);
    }
}

static void notice_dead_guard(struct run *run)
{
    if (!run->is_ending) {
        complain("the parent process was killed: ending the commands");
    }
    run->end_signal = SIGTERM;
    run->lifeline = -1;
    run_end(run);
}

/* We must end though nobody may take the output: it is waited for as long as commands that are asked to end are. */
static void limit_printing(struct run *run)
{
    bool is_only_printing = run->end_signal && !run->running_count && !run->lingering_count;
    if (is_only_printing && run->print_until_ns == NEVER) {
        run->print_until_ns = monotonic_ns() + run->options->kill_after_ns;
    }
    if (monotonic_ns() >= run->print_until_ns) {
        printer_give_up(&run->printer);
    }
}

static void print_some(struct run *run)
{
    limit_printing(run);
    printer_write(&run->printer);
    if (run->printer.error == EPIPE && !run->end_signal) {
        run->end_signal = SIGPIPE; /* nobody reads on: as any other program, but not without the commands */
        run_end(run);
    } else if (run->printer.error && run->printer.error != EPIPE && run->printer.error != PRINTER_GAVE_UP) {
        run_break_off(run, "cannot print the output of a command", run->printer.error, "");
    }
}

static void start_new_line(struct run *run)
{
    if (run->printer.is_mid_line) {
        fputc('\n', stderr);
        run->printer.is_mid_line = false;
    }
}

static void show_progress(struct run *run)
{
    if (monotonic_ns() < run->status.next_ns) {
        return;
    }
    run->progress.known = run->lines.commands;
    run->progress.is_list_read = run->lines.at_end;
    start_new_line(run);
    status_draw(&run->status, &run->progress, run->is_ending);
}

static bool is_done(const struct run *run)
{
    bool has_commands = run->next_line || run->lines.first || !run->lines.at_end;
    bool has_work = run->running_count || run->lingering_count || run->printer.first || run->printer.length;
    return !has_work && (run->is_ending || !has_commands);
}

static int prepare_fds(struct run *run)
{
    bool wants_list = lines_wants_input(&run->lines);
    run->fds[FD_EXITS] = (struct pollfd){ .fd = exitfd_get_fd(run->environment.x), .events = POLLIN };
    run->fds[FD_SIGNALS] = (struct pollfd){ .fd = run->signal_fd, .events = POLLIN };
    run->fds[FD_LIFELINE] = (struct pollfd){ .fd = run->lifeline, .events = POLLIN };
    run->fds[FD_LIST] = (struct pollfd){ .fd = wants_list ? run->lines.fd : -1, .events = POLLIN };
    run->fds[FD_PRINTER] = (struct pollfd){ .fd = printer_fd(&run->printer), .events = POLLOUT };
    int count = FD_OUTPUTS;
    for (int64_t i = 0; i < run->running_count; i++) {
        for (int which = 0; which < 2; which++) {
            run->fds[count++] = (struct pollfd){ .fd = run->running[i]->output_fds[which], .events = POLLIN };
        }
    }
    return count;
}

static void turn(struct run *run)
{
    int count = prepare_fds(run);
    if (poll(run->fds, (nfds_t)count, poll_timeout(next_deadline_ns(run))) < 0) {
        if (errno != EINTR) {
            run_break_off(run, "cannot wait for the commands", errno, "");
        }
        return;
    }
    read_outputs(run);
    if (run->fds[FD_EXITS].revents) {
        take_endings(run);
    }
    if (run->fds[FD_LIST].revents) {
        lines_fill(&run->lines);
    }
    if (run->fds[FD_LIFELINE].revents) {
        notice_dead_guard(run);
    }
}

static void work(struct run *run)
{
    jobs_make_room(run);
    do {
        take_signals(run);
        jobs_meet_deadlines(run);
        jobs_start_some(run);
        print_some(run);
        show_progress(run);
        if (!is_done(run)) {
            turn(run);
        }
    } while (!is_done(run));
}

static void catch_signals(void)
{
    static const int caught[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP };
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        if (!signals_was_ignored(caught[i])) { /* by nohup, or by a shell that put us into the background */
            signals_catch(caught[i]);
        }
    }
    signals_ignore(SIGPIPE);
    signals_ignore(SIGTTOU); /* the terminal's foreground is the guard's */
}

static int begin(struct run *run)
{
    const struct run_options *o = run->options;
    run->signal_fd = signals_open();
    run->environment.null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    run->environment.signal_mask = o->signal_mask;
    if (run->signal_fd < 0 || run->environment.null_fd < 0) {
        return -errno;
    }
    run->environment.open_files = raise_fd_limit();
    int r = exitfd_open(&run->environment.x, 0);
    if (r < 0) {
        return r;
    }
    lines_begin(&run->lines, o->list_fd);
    status_begin(&run->status, o);
    printer_begin(&run->printer, o, &run->status, &run->spill);
    summary_begin(&run->summary, o);
    run->progress.started_ns = monotonic_ns();
    catch_signals();
    signals_unblock_for(run->environment.x);
    return 0;
}

static void summarise(struct run *run)
{
    const struct leftover leftover = { .not_run = run->lines.commands - run->progress.started,
                                       .is_all_of_it = run->lines.at_end };
    status_erase(&run->status);
    start_new_line(run);
    if (run->lines.error) {
        complain("cannot read the list '%s': %s", run->options->list, strerror(run->lines.error));
    }
    if (run->options->json && !run->printer.error) {
        summary_print_json(&run->summary, leftover);
        run->has_broken |= close_stdout(0) != 0;
    } else if (!run->options->json && !run->options->quiet) {
        summary_print(&run->summary, leftover);
    }
}

static void release(struct run *run)
{
    struct line *line;
    exitfd_close(run->environment.x);
    printer_free(&run->printer);
    summary_free(&run->summary);
    while ((line = lines_take(&run->lines))) {
        line_free(line);
    }
    if (run->next_line) {
        line_free(run->next_line);
    }
    free(run->lines.partial);
    free(run->spill.unused);
    free(run->running);
    free(run->lingering);
    free(run->fds);
}

int run_worker(const struct run_options *options, int lifeline)
{
    struct run run = { .options = options, .lifeline = lifeline, .print_until_ns = NEVER, .spill.fd = -1 };
    int r = begin(&run);
    if (r < 0) {
        return complain_cannot_start(r);
    }
    work(&run);
    summarise(&run);
    bool is_success = summary_is_success(&run.summary) && !run.lines.error;
    release(&run);
    if (run.end_signal) {
        signals_die_of(run.end_signal);
    }
    return run.is_ending || run.has_broken ? WORKER_STOPPED : is_success ? 0 : STATUS_FAILED;
}
