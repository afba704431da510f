/* SPDX-License-Identifier: MIT */
#include "run_worker.h"
#include "tool.h"

#include <errno.h>
#include <string.h>

void run_end(struct run *run)
{
    if (run->is_ending) {
        return;
    }
    run->is_ending = true;
    for (int64_t i = 0; i < run->running_count; i++) {
        struct job *job = run->running[i];
        if (job->phase == JOB_RUNNING) {
            job->was_stopped = true;
            job_ask_to_end(job, run->options->kill_after_ns);
        }
    }
}

void run_kill(struct run *run)
{
    for (int64_t i = 0; i < run->running_count; i++) {
        run->running[i]->deadline_ns = 0;
    }
    for (size_t i = 0; i < run->lingering_count; i++) {
        run->lingering[i].deadline_ns = 0;
    }
}

void run_break_off(struct run *run, const char *what, int error, const char *advice)
{
    if (!run->has_broken) {
        status_erase(&run->status);
        complain("%s: %s%s", what, strerror(error), advice);
    }
    run->has_broken = true;
    run_end(run);
}

void run_break_off_keeping(struct run *run, int r)
{
    run_break_off(run, "cannot keep the output of a command", -r,
                  "; it goes to a temporary file: set TMPDIR to where there is room");
}

static void finish(struct run *run, struct job *job)
{
    bool is_success = job_result(job) == RESULT_SUCCEEDED;
    run->progress.done++;
    run->progress.failed += !is_success;
    summary_add(&run->summary, job);
    int r = printer_hold(&run->printer, job);
    if (r < 0) {
        run_break_off_keeping(run, r);
    }
    if (!run->options->keep_order) {
        printer_add(&run->printer, job);
    }
    if (!is_success && run->options->fail_fast) {
        run_end(run);
    }
}

void jobs_make_room(struct run *run)
{
    if (run->running_count == run->running_room) {
        run->running_room = 2 * run->running_room + 16;
        run->running = reallocate(run->running, (size_t)run->running_room, sizeof *run->running);
        run->fds = reallocate(run->fds, FD_OUTPUTS + 2 * (size_t)run->running_room, sizeof *run->fds);
    }
}

static void enter(struct run *run, struct job *job)
{
    run->progress.started++;
    if (run->options->keep_order) {
        printer_add(&run->printer, job);
    }
    if (job->phase == JOB_ENDED) {
        finish(run, job);
        return;
    }
    if (run->options->timeout_ns != NEVER) {
        job->deadline_ns = job->started_ns + run->options->timeout_ns;
    }
    jobs_make_room(run);
    job->slot = run->running_count++;
    run->running[job->slot] = job;
}

static void start(struct run *run, struct line *line)
{
    struct job *job;
    int r = 0;
    if (!line->defect) {
        r = job_start(&job, line, &run->environment);
    }
    if (r < 0 && run->running_count) {
        run->next_line = line;
        run->is_crowded = true;
        return;
    }
    if (line->defect || r < 0) {
        job = job_refuse(line, line->defect ? line->defect : strerror(-r));
    }
    enter(run, job);
}

void jobs_start_some(struct run *run)
{
    while (!run->is_ending && !run->is_crowded && run->running_count < run->options->jobs) {
        struct line *line = run->next_line ? run->next_line : lines_take(&run->lines);
        run->next_line = NULL;
        if (!line) {
            return;
        }
        start(run, line);
    }
}

static void leave(struct run *run, struct job *job)
{
    struct job *moved = run->running[--run->running_count];
    moved->slot = job->slot;
    run->running[moved->slot] = moved;
    run->is_crowded = false;
}

/* The number stays the group's while it has a process left, so it is looked at before anything else can take it. */
static void let_linger(struct run *run, pid_t group, int64_t deadline_ns)
{
    if (kill(-group, 0) != 0 && errno == ESRCH) {
        return;
    }
    run->lingering = reallocate(run->lingering, run->lingering_count + 1, sizeof *run->lingering);
    run->lingering[run->lingering_count++] = (struct lingering_group){ group, deadline_ns };
}

void jobs_end(struct run *run, const struct exitfd_event *event)
{
    struct job *job = event->data;
    enum job_phase phase = job->phase;
    int64_t deadline_ns = job->deadline_ns;
    int r;
    leave(run, job);
    if (!job_end(job, event, &run->spill, &r)) {
        run_break_off_keeping(run, r);
    }
    if (phase != JOB_RUNNING) {
        let_linger(run, job->pid, phase == JOB_KILLED ? 0 : deadline_ns);
    }
    finish(run, job);
}

static void advance(struct run *run, struct job *job)
{
    if (job->phase == JOB_RUNNING) {
        job->has_timed_out = true;
        job_ask_to_end(job, run->options->kill_after_ns);
    } else {
        job_signal(job, SIGKILL);
        job->phase = JOB_KILLED;
        job->deadline_ns = NEVER;
    }
}

void jobs_meet_deadlines(struct run *run)
{
    int64_t now_ns = monotonic_ns();
    for (int64_t i = 0; i < run->running_count; i++) {
        if (run->running[i]->deadline_ns <= now_ns) {
            advance(run, run->running[i]);
        }
    }
    for (size_t i = run->lingering_count; i-- > 0;) {
        struct lingering_group *group = &run->lingering[i];
        bool is_empty = kill(-group->group, 0) != 0 && errno == ESRCH;
        if (!is_empty && group->deadline_ns > now_ns) {
            continue;
        }
        if (!is_empty) {
            kill(-group->group, SIGKILL);
        }
        *group = run->lingering[--run->lingering_count];
    }
}

void jobs_signal_all(struct run *run, int signo)
{
    for (int64_t i = 0; i < run->running_count; i++) {
        job_signal(run->running[i], signo);
    }
}
