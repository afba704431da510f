/* SPDX-License-Identifier: MIT */
/* The commands' way from the list to the printer. */
#include "run_words.h"
#include "run_worker.h"
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How long what a command left behind may still print into its outputs. */
#define DRAIN_NS (5 * NS_PER_SECOND)
#define DRAIN_AT_END_NS (NS_PER_SECOND / 5)

static void tell_process(void *context, int64_t line, const char *what, const char *pids, const char *why)
{
    run_complain(context, "line %" PRId64 ": %s process %s: %s", line, what, pids, why);
}

static void ask_to_end(struct run *run, struct job *job)
{
    int r = job_ask_to_end(job, run->environment.x, run->options->kill_after_ns);
    if (r < 0 && r != -ESRCH) {
        char pid[16];
        snprintf(pid, sizeof pid, "%d", (int)job->pid);
        tell_process(run, job->line->number, "cannot end", pid, strerror(-r));
    }
}

void run_end(struct run *run)
{
    if (run->is_ending)
        return;
    run->is_ending = true;
    int64_t drained_ns = monotonic_ns() + DRAIN_AT_END_NS;
    for (int64_t i = 0; i < run->open_count; i++) {
        struct job *job = run->open[i];
        if (job->phase == JOB_RUNNING) {
            job->was_stopped = true;
            ask_to_end(run, job);
        } else if (job->phase == JOB_DRAINING && job->deadline_ns > drained_ns) {
            job->deadline_ns = drained_ns;
        }
    }
}

void run_kill(struct run *run)
{
    for (int64_t i = 0; i < run->open_count; i++)
        run->open[i]->deadline_ns = 0;
    groups_hurry(&run->groups);
}

void run_break_off(struct run *run, const char *what, int error)
{
    if (!run->has_broken)
        run_complain(run, "%s: %s", what, strerror(error));
    run->has_broken = true;
    run_end(run);
}

static void finish(struct run *run, struct job *job)
{
    run->progress.done++;
    run->progress.failed += job_result(job) != RESULT_SUCCEEDED;
    summary_add(&run->summary, job);
    printer_hold(&run->printer, job);
    if (!run->options->keep_order)
        printer_add(&run->printer, job);
}

static void heed_result(struct run *run, const struct job *job)
{
    if (run->options->fail_fast && job_result(job) != RESULT_SUCCEEDED)
        run_end(run);
}

void jobs_make_room(struct run *run)
{
    if (run->open_count == run->open_room) {
        run->open_room = 2 * run->open_room + 16;
        run->open = reallocate(run->open, (size_t)run->open_room, sizeof *run->open);
        run->fds = reallocate(run->fds, FD_OUTPUTS + 2 * (size_t)run->open_room, sizeof *run->fds);
    }
}

static void enter(struct run *run, struct job *job)
{
    run->progress.started++;
    if (run->options->keep_order)
        printer_add(&run->printer, job);
    if (job->phase == JOB_ENDED) {
        finish(run, job);
        heed_result(run, job);
        return;
    }
    if (run->options->timeout_ns != NEVER)
        job->deadline_ns = monotonic_ns() + run->options->timeout_ns;
    jobs_make_room(run);
    job->slot = run->open_count++;
    run->open[job->slot] = job;
    run->running_count++;
}

static int start_job(struct run *run, struct job **ret, struct line *line)
{
    int r = job_start(ret, line, &run->environment, run->options->output_limit);
    if ((r == -EMFILE || r == -ENFILE) && run->quiet_count) {
        quiet_close_all(run);
        r = job_start(ret, line, &run->environment, run->options->output_limit);
    }
    return r;
}

static void check_quotes(const struct run *run, struct line *line)
{
    if (!run->options->command && has_dollar_quotes(line->text) && !shell_knows_dollar_quotes())
        line->defect = "it holds $'...', which this /bin/sh reads otherwise. For names use exitfd run -- COMMAND {}";
}

static void start(struct run *run, struct line *line)
{
    struct job *job;
    check_quotes(run, line);
    int r = line->defect ? 0 : start_job(run, &job, line);
    if (r < 0 && run->open_count) {
        run->next_line = line;
        run->is_crowded = true;
        return;
    }
    if (line->defect || r < 0)
        job = job_refuse(line, line->defect ? line->defect : strerror(-r), &run->environment);
    enter(run, job);
}

/* A few: signals and outputs have their turn in between, though a start takes
   long on a busy machine. */
void jobs_start_some(struct run *run)
{
    const int most_at_once = 8;
    run->can_start_more = false;
    for (int i = 0; !run->is_ending && !run->is_crowded && run->running_count < run->options->jobs; i++) {
        struct line *line = run->next_line ? run->next_line : lines_take(&run->lines);
        run->next_line = line;
        if (!line)
            return;
        if (i == most_at_once) {
            run->can_start_more = true;
            return;
        }
        run->next_line = NULL;
        start(run, line);
    }
}

static void leave(struct run *run, struct job *job)
{
    struct job *moved = run->open[--run->open_count];
    moved->slot = job->slot;
    run->open[moved->slot] = moved;
    run->is_crowded = false;
}

/* Its outputs are closed, or what still holds them is waited for no longer. */
static void close_job(struct run *run, struct job *job)
{
    int fds[2];
    leave(run, job);
    job_close(job, fds);
    quiet_add(run, fds);
    finish(run, job);
}

static void note_end(struct run *run, const struct exitfd_event *event)
{
    struct job *job = event->data;
    const struct group group = { .number = job->pid,
                                 .line = job->line->number,
                                 .is_killed = job->phase == JOB_KILLED,
                                 .deadline_ns = job->deadline_ns };
    if (job->phase != JOB_RUNNING)
        groups_add(&run->groups, group);
    run->running_count--;
    run->is_crowded = false;
    job_end(job, event, &run->spill);
    job->deadline_ns = monotonic_ns() + (run->is_ending ? DRAIN_AT_END_NS : DRAIN_NS);
}

static void act_on_end(struct run *run, struct job *job)
{
    heed_result(run, job);
    if (!job_has_output_open(job))
        close_job(run, job);
}

/* All are noted first. One that ends the run must not signal those beside it:
   their numbers are given back. */
void jobs_end(struct run *run, const struct exitfd_event *events, int count)
{
    for (int i = 0; i < count; i++)
        note_end(run, &events[i]);
    for (int i = 0; i < count; i++)
        act_on_end(run, events[i].data);
}

/* A tracer, or a system call that does not end, may keep it: neither we nor the
   commands wait for that. */
static void leave_behind(struct run *run, struct job *job)
{
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)job->pid);
    tell_process(run, job->line->number, "SIGKILL has not ended", pid, "it is left behind");
    exitfd_discard(run->environment.x, job->pid);
    job->is_left = true;
    job->ending = (struct exitfd_event){ .pid = job->pid, .origin = EXITFD_UNKNOWN };
    job->ended_ns = monotonic_ns();
    run->running_count--;
    close_job(run, job);
    heed_result(run, job);
}

static void advance(struct run *run, struct job *job, int64_t now_ns)
{
    switch (job->phase) {
    case JOB_RUNNING:
        job->has_timed_out = true;
        ask_to_end(run, job);
        break;
    case JOB_ASKED:
        job_signal(job, run->environment.x, SIGKILL);
        job->phase = JOB_KILLED;
        job->deadline_ns = now_ns + SIGKILL_PATIENCE_NS;
        break;
    case JOB_KILLED:
        leave_behind(run, job);
        break;
    default:
        close_job(run, job);
        break;
    }
}

void jobs_meet_deadlines(struct run *run)
{
    int64_t now_ns = monotonic_ns();
    for (int64_t i = run->open_count; i-- > 0;) { /* the last one takes the place of one that leaves */
        if (run->open[i]->deadline_ns <= now_ns)
            advance(run, run->open[i], now_ns);
    }
    groups_advance(&run->groups, run->environment.x, tell_process, run);
}

static void end_for_output(struct run *run, struct job *job)
{
    if (job->is_too_long) {
        run_complain(run, "line %" PRId64 ": it has printed more than --output-limit. Ending it", job->line->number);
    } else {
        run_complain(run,
                     "line %" PRId64 ": cannot keep its output: %s. Ending it. Outputs are kept in a temporary file. "
                     "Set TMPDIR to a directory with room",
                     job->line->number, strerror(job->keep_error));
    }
    ask_to_end(run, job);
}

void jobs_read(struct run *run)
{
    for (int64_t i = run->open_count; i-- > 0;) {
        struct job *job = run->open[i];
        for (int which = 0; which < 2; which++) {
            if (job->polled[which] >= 0 && run->fds[job->polled[which]].revents)
                job_read(job, which, &run->spill);
        }
        if (job->phase == JOB_RUNNING && (job->is_too_long || job->keep_error))
            end_for_output(run, job);
        else if (job->phase == JOB_DRAINING && (job->is_flooded || !job_has_output_open(job)))
            close_job(run, job);
    }
}

void jobs_signal_all(struct run *run, int signo)
{
    for (int64_t i = 0; i < run->open_count; i++) {
        if (run->open[i]->phase < JOB_DRAINING)
            job_signal(run->open[i], run->environment.x, signo);
    }
}
