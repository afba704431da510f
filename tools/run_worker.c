/* SPDX-License-Identifier: MIT */
/* The loop of exitfd run, which blocks on nothing but poll. */
#include "run_worker.h"

#include "signals.h"
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static void take_endings(struct run *run)
{
    struct exitfd_event events[64];
    int n;
    while ((n = exitfd_wait(run->environment.x, events, 64, 0)) > 0)
        jobs_end(run, events, n);
}

static int64_t earlier(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

static int64_t next_deadline_ns(const struct run *run)
{
    int64_t deadline_ns = groups_next_ns(&run->groups);
    deadline_ns = earlier(deadline_ns, run->status.next_ns);
    deadline_ns = earlier(deadline_ns, run->print_until_ns);
    deadline_ns = earlier(deadline_ns, run->quiet_next_ns);
    for (int64_t i = 0; i < run->open_count; i++)
        deadline_ns = earlier(deadline_ns, run->open[i]->deadline_ns);
    return deadline_ns;
}

/* Ctrl-Z: the commands stop with us, and the time that passes meanwhile is not
   theirs. */
static void stop_for_a_while(struct run *run)
{
    int64_t stopped_ns = monotonic_ns();
    status_erase(&run->status);
    jobs_signal_all(run, SIGTSTP);
    signal(SIGTSTP, SIG_DFL);
    raise(SIGTSTP);
    signals_catch(SIGTSTP);
    jobs_signal_all(run, SIGCONT);
    for (int64_t i = 0; i < run->open_count; i++) {
        struct job *job = run->open[i];
        if (job->deadline_ns != NEVER)
            job->deadline_ns += monotonic_ns() - stopped_ns;
    }
}

static void give_up_printing(struct run *run)
{
    printer_give_up(&run->printer);
    messages_drop(run);
}

static void take_signals(struct run *run)
{
    int signo;
    bool is_by_kernel;
    while ((signo = signals_take_with_origin(&is_by_kernel))) {
        if (signo == SIGTSTP) {
            stop_for_a_while(run);
            continue;
        }
        if (signo == SIGALRM && is_by_kernel) { /* interrupt_writes */
            continue;
        }
        if (run->end_signal) { /* asked for a second time */
            run_kill(run);
            give_up_printing(run);
        }
        run->end_signal = signo;
        run_end(run);
    }
}

static void notice_dead_guard(struct run *run)
{
    if (!run->is_ending)
        run_complain(run, "the parent process was killed. Ending the commands");
    run->end_signal = SIGTERM;
    run->lifeline = -1;
    run_end(run);
}

/* We must end even if the output is not read. It gets as long as commands get
   to end. */
static void limit_printing(struct run *run)
{
    bool is_only_printing = run->end_signal && !run->open_count && !run->groups.count;
    if (is_only_printing && run->print_until_ns == NEVER)
        run->print_until_ns = monotonic_ns() + run->options->kill_after_ns;
    if (monotonic_ns() >= run->print_until_ns)
        give_up_printing(run);
}

static void print_some(struct run *run)
{
    limit_printing(run);
    if (!messages_say(run))
        return; /* the terminal stands still, and what came now would break that line */
    run->printer.has_to_yield = run->message_count > 0;
    printer_write(&run->printer);
    if (run->printer.is_at_summary)
        return; /* a reader that is gone changes no result */
    if (run->printer.error == EPIPE && !run->end_signal) {
        run->end_signal = SIGPIPE; /* the reader is gone: end as any other program, with the commands */
        run_end(run);
    } else if (run->printer.error && run->printer.error != EPIPE && run->printer.error != PRINTER_GAVE_UP) {
        run_break_off(run, "cannot print the output of a command", run->printer.error);
    }
}

static void show_progress(struct run *run)
{
    if (monotonic_ns() < run->status.next_ns)
        return;
    if ((run->printer.is_mid_line && run->printer.length) ||
        messages_are_mid_line(run)) { /* the rest of that line is on its way */
        run->status.next_ns = monotonic_ns() + run->status.interval_ns;
        return;
    }
    run->progress.known = run->lines.commands;
    run->progress.is_list_read = run->lines.at_end;
    run_start_new_line(run);
    status_draw(&run->status, &run->progress, run->is_ending);
}

static bool is_done(const struct run *run)
{
    bool has_commands = run->next_line || run->lines.first || !run->lines.at_end;
    bool has_work =
        run->open_count || run->groups.count || run->printer.first || run->printer.length || run->message_count;
    return !has_work && (run->is_ending || !has_commands);
}

/*
 * Those that are closed are left out: poll takes no more entries than the limit
 * on open files, and the commands that run are not bounded by that. The value
 * is how many entries there are.
 */
static int add_outputs(struct run *run)
{
    int count = FD_OUTPUTS;
    for (int64_t i = 0; i < run->open_count; i++) {
        struct job *job = run->open[i];
        for (int which = 0; which < 2; which++) {
            bool is_open = job->output_fds[which] >= 0;
            job->polled[which] = is_open ? count : -1;
            if (is_open)
                run->fds[count++] = (struct pollfd){ .fd = job->output_fds[which], .events = POLLIN };
        }
    }
    return count;
}

static int prepare_fds(struct run *run)
{
    bool wants_list = lines_wants_input(&run->lines);
    run->fds[FD_EXITS] = (struct pollfd){ .fd = exitfd_get_fd(run->environment.x), .events = POLLIN };
    run->fds[FD_SIGNALS] = (struct pollfd){ .fd = run->signal_fd, .events = POLLIN };
    run->fds[FD_LIFELINE] = (struct pollfd){ .fd = run->lifeline, .events = POLLIN };
    run->fds[FD_LIST] = (struct pollfd){ .fd = wants_list ? run->lines.fd : -1, .events = POLLIN };
    run->fds[FD_PRINTER] = (struct pollfd){ .fd = printer_fd(&run->printer), .events = POLLOUT };
    run->fds[FD_MESSAGES] = (struct pollfd){ .fd = run->message_count ? STDERR_FILENO : -1, .events = POLLOUT };
    return add_outputs(run);
}

static void turn(struct run *run)
{
    int count = prepare_fds(run);
    int timeout = run->can_start_more ? 0 : poll_timeout(next_deadline_ns(run));
    if (poll(run->fds, (nfds_t)count, timeout) < 0) {
        if (errno != EINTR)
            run_break_off(run, "cannot wait for the commands", errno);
        return;
    }
    jobs_read(run);
    if (run->fds[FD_EXITS].revents)
        take_endings(run);
    if (run->fds[FD_LIST].revents)
        lines_fill(&run->lines);
    if (run->fds[FD_LIFELINE].revents)
        notice_dead_guard(run);
}

/*
 * A terminal that poll(2) calls writable may take a part of a write and block
 * the rest, for as long as its user has pressed Ctrl-S or the network stands
 * still. A pipe may be filled by another writer after poll. No flag of ours may
 * be set on it, because others have it open, too. So the timer's signal ends
 * such a write now and then.
 */
static bool may_block(int fd)
{
    struct stat st;
    return isatty(fd) || (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)));
}

static void interrupt_writes(const struct run *run, bool is_wanted)
{
    const struct timeval interval = { .tv_usec = is_wanted ? 100000 : 0 };
    if (run->may_block)
        setitimer(ITIMER_REAL, &(struct itimerval){ .it_interval = interval, .it_value = interval }, NULL);
}

static void print(struct run *run)
{
    interrupt_writes(run, true);
    print_some(run);
    show_progress(run);
    interrupt_writes(run, false);
}

static void work(struct run *run)
{
    jobs_make_room(run);
    do {
        take_signals(run);
        jobs_meet_deadlines(run);
        quiet_drain(run);
        jobs_start_some(run);
        print(run);
        if (!is_done(run))
            turn(run);
    } while (!is_done(run));
}

static void catch_signals(bool uses_timer)
{
    static const int caught[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP };
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        if (!signals_was_ignored(caught[i])) { /* by nohup, or by a shell that put us into the background */
            signals_catch(caught[i]);
        }
    }
    if (uses_timer)
        signals_catch(SIGALRM);
    signals_ignore(SIGPIPE);
    signals_ignore(SIGXFSZ); /* EFBIG says the same */
    signals_ignore(SIGTTOU); /* the terminal's foreground is the guard's */
}

/* If /dev/null cannot be opened, a pipe without a writer is as empty. */
static int open_empty(void)
{
    int fds[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int r = open_pipe(fds);
        if (r < 0)
            return r;
        close(fds[1]);
        fd = fds[0];
    }
    return fd;
}

static int begin_environment(struct run *run)
{
    run->environment.signal_mask = run->options->signal_mask;
    run->environment.command = run->options->command;
    run->environment.null_fd = open_empty();
    if (run->environment.null_fd < 0)
        return run->environment.null_fd;
    run->environment.open_files = raise_fd_limit();
    return exitfd_open(&run->environment.x, 0);
}

static int begin(struct run *run)
{
    const struct run_options *o = run->options;
    run->signal_fd = signals_open();
    int r = run->signal_fd < 0 ? run->signal_fd : begin_environment(run);
    if (r < 0)
        return r;
    out_of_memory_status = WORKER_FAILED;
    lines_begin(&run->lines, o->list_fd, o->format);
    status_begin(&run->status, o);
    printer_begin(&run->printer, o, &run->status, &run->spill);
    summary_begin(&run->summary, o);
    run->progress.started_ns = monotonic_ns();
    run->may_block = may_block(STDOUT_FILENO) || may_block(STDERR_FILENO);
    catch_signals(run->may_block);
    signals_unblock_for(run->environment.x);
    return 0;
}

static void print_summary(struct run *run, FILE *out)
{
    const struct leftover leftover = { .not_run = run->lines.commands - run->progress.started,
                                       .is_all_of_it = run->lines.at_end && !run->lines.error };
    if (run->options->json)
        summary_print_json(&run->summary, leftover, out);
    else if (!run->options->quiet)
        summary_print(&run->summary, leftover, out);
}

/* It goes the way of the outputs: a reader that is slow, or that never reads,
   is the same to it. */
static void summarise(struct run *run)
{
    const int fd = run->options->json ? STDOUT_FILENO : STDERR_FILENO;
    FILE *out;
    interrupt_writes(run, true);
    status_erase(&run->status);
    run->status.next_ns = NEVER;
    run_start_new_line(run);
    interrupt_writes(run, false);
    if (run->lines.error)
        run_complain(run, "cannot read the list '%s': %s", run->options->list, strerror(run->lines.error));
    out = printer_begin_last(&run->printer, fd);
    if (out) {
        print_summary(run, out);
        printer_end_last(&run->printer, out);
    }
    if (run->printer.length || run->message_count)
        work(run);
}

static void release(struct run *run)
{
    struct line *line;
    exitfd_close(run->environment.x);
    printer_free(&run->printer);
    summary_free(&run->summary);
    while ((line = lines_take(&run->lines)))
        line_free(line);
    if (run->next_line)
        line_free(run->next_line);
    free(run->lines.partial);
    free(run->spill.unused);
    free(run->open);
    free(run->groups.all);
    free(run->quiet_fds);
    messages_drop(run);
    free(run->messages);
    free(run->fds);
}

/* None of its lines was taken for a command. */
static int refuse_script(struct run *run)
{
    int status =
        usage_error("the list '%s' begins with '#!', so it is a script. To run a script, put its name into a list",
                    run->options->list);
    release(run);
    return status;
}

int run_worker(const struct run_options *options, int lifeline)
{
    struct run run = {
        .options = options, .lifeline = lifeline, .print_until_ns = NEVER, .quiet_next_ns = NEVER, .spill.fd = -1
    };
    int r = begin(&run);
    if (r < 0)
        return complain_cannot_start(r);
    work(&run);
    if (run.lines.is_script)
        return refuse_script(&run);
    summarise(&run);
    bool is_success = summary_is_success(&run.summary) && !run.lines.error;
    release(&run);
    if (run.end_signal)
        signals_die_of(run.end_signal);
    return run.is_ending || run.has_broken ? WORKER_STOPPED : is_success ? 0 : STATUS_FAILED;
}
