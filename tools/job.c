/* SPDX-License-Identifier: MIT */
/*
 * A command's start, its outputs, its time limits and its verdict. run_jobs.c
 * moves jobs through their phases and calls this. Nothing here blocks, and no
 * output is read for more than READ_AT_ONCE at a time.
 */
#include "job.h"

#include "ending.h"
#include "run_words.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A command that prints for ever does not keep us from the others. */
enum {
    READ_AT_ONCE = 1 << 20
};

static void close_outputs(struct job *job)
{
    for (int i = 0; i < 2; i++) {
        if (job->output_fds[i] >= 0) {
            close(job->output_fds[i]);
            job->output_fds[i] = -1;
        }
    }
}

static int open_outputs(struct job *job, int child_fds[2])
{
    for (int i = 0; i < 2; i++) {
        int fds[2];
        int r = open_pipe(fds);
        if (r < 0) {
            if (i == 1)
                close(child_fds[0]);
            close_outputs(job);
            return r;
        }
        set_nonblocking(fds[0]);
        job->output_fds[i] = fds[0];
        child_fds[i] = fds[1];
    }
    return 0;
}

static struct job *new_job(struct line *line, const struct job_environment *environment)
{
    struct job *job = reallocate(NULL, 1, sizeof *job);
    *job = (struct job){
        .line = line, .started_ns = monotonic_ns(), .deadline_ns = NEVER, .output_fds = { -1, -1 }, .polled = { -1, -1 }
    };
    job->words = environment->command ? fill_words(environment->command, line->text) : simple_words(line->text);
    job->command = environment->command ? quote_words(job->words) : line->text;
    return job;
}

static void end_without_run(struct job *job, char *why)
{
    job->refusal = why;
    job->phase = JOB_ENDED;
    job->ended_ns = job->started_ns;
}

/* Frees what job_refuse and job_start have made of a line, but not the line. */
static void free_all_but_line(struct job *job)
{
    close_outputs(job);
    if (job->command != job->line->text)
        free(job->command);
    free(job->words);
    free(job->refusal);
    free(job);
}

/* These pass, if others run: what they hold is given back. */
static bool is_want_of_room(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN;
}

static char *explain(const char *file, int error)
{
    const char *const format = "cannot execute '%s': %s", *reason = strerror(error);
    size_t size = strlen(format) + strlen(file) + strlen(reason);
    char *text = reallocate(NULL, size, 1);
    snprintf(text, size, format, file, reason);
    return text;
}

int job_start(struct job **ret, struct line *line, const struct job_environment *environment, int64_t room)
{
    int child_fds[2];
    const char *file = NULL;
    struct job *job = new_job(line, environment);
    int r = open_outputs(job, child_fds);
    if (r == 0) {
        const struct start start = { .words = job->words,
                                     .line = environment->command ? NULL : line->text,
                                     .output_fds = child_fds,
                                     .environment = environment,
                                     .data = job };
        r = start_process(&start, &file);
        close(child_fds[0]);
        close(child_fds[1]);
    }
    if (r < 0 && (!file || is_want_of_room(-r))) {
        free_all_but_line(job);
        return r;
    }
    if (r < 0) {
        close_outputs(job);
        end_without_run(job, explain(file, -r));
    } else {
        job->pid = r;
        job->room = room;
    }
    *ret = job;
    return 0;
}

struct job *job_refuse(struct line *line, const char *why, const struct job_environment *environment)
{
    struct job *job = new_job(line, environment);
    end_without_run(job, copy_text(why, strlen(why)));
    return job;
}

void job_free(struct job *job, struct spill *spill)
{
    struct line *line = job->line;
    for (int i = 0; i < 2; i++)
        capture_drop(&job->outputs[i], spill);
    free_all_but_line(job);
    line_free(line);
}

int job_signal(const struct job *job, struct exitfd *x, int signo)
{
    int r = kill(-job->pid, signo) == 0 ? 0 : -errno;
    if (getpgid(job->pid) != job->pid)
        r = exitfd_kill(x, job->pid, signo);
    return r;
}

/* Its group may outlive it. Held, its zombie keeps that number from becoming
   another's. */
static void hold(struct job *job, struct exitfd *x)
{
    int r = exitfd_remove(x, job->pid);
    r = r < 0 ? r : exitfd_add(x, job->pid, EXITFD_HOLD, job);
    if (r < 0) {
        complain("cannot watch a command: %s", strerror(-r));
        exit(out_of_memory_status);
    }
}

int job_ask_to_end(struct job *job, struct exitfd *x, int64_t kill_after_ns)
{
    hold(job, x);
    int r = job_signal(job, x, SIGTERM);
    job_signal(job, x, SIGCONT); /* a stopped process acts on SIGTERM only when it goes on */
    job->phase = JOB_ASKED;
    job->deadline_ns = monotonic_ns() + kill_after_ns;
    return r;
}

/* What is kept of the count bytes that were added last. */
static void limit_output(struct job *job, int which, int64_t count)
{
    if (count > job->room) {
        *(job->phase == JOB_DRAINING ? &job->is_flooded : &job->is_too_long) = true;
        capture_shorten(&job->outputs[which], (size_t)(count - job->room));
        count = job->room;
    }
    job->room -= count;
}

static bool drops_output(const struct job *job)
{
    return job->is_too_long || job->is_flooded || job->keep_error;
}

static ssize_t read_once(struct job *job, int which, struct spill *spill)
{
    static char dropped[CAPTURE_BLOCK];
    int fd = job->output_fds[which];
    if (!drops_output(job)) {
        int r = capture_make_room(&job->outputs[which], spill);
        job->keep_error = -r;
    }
    if (drops_output(job))
        return read(fd, dropped, sizeof dropped);
    ssize_t n = capture_read(&job->outputs[which], fd);
    if (n > 0)
        limit_output(job, which, n);
    return n;
}

void job_read(struct job *job, int which, struct spill *spill)
{
    int *fd = &job->output_fds[which];
    for (size_t budget = READ_AT_ONCE; budget && *fd >= 0;) {
        ssize_t n = read_once(job, which, spill);
        if (n < 0)
            return; /* EAGAIN or EINTR: reading a pipe does not fail */
        if (n == 0) {
            close(*fd);
            *fd = -1;
        }
        budget -= (size_t)n < budget ? (size_t)n : budget;
    }
}

bool job_has_output_open(const struct job *job)
{
    return job->output_fds[0] >= 0 || job->output_fds[1] >= 0;
}

void job_end(struct job *job, const struct exitfd_event *ending, struct spill *spill)
{
    job_read(job, 0, spill);
    job_read(job, 1, spill);
    job->ended_ns = monotonic_ns();
    job->ending = *ending;
    if (ending->origin == EXITFD_PEEKED)
        job->ending.origin = EXITFD_REAPED; /* which it will be, when its group is gone */
    job->phase = JOB_DRAINING;
}

void job_close(struct job *job, int ret_fds[2])
{
    job->phase = JOB_ENDED;
    for (int i = 0; i < 2; i++) {
        ret_fds[i] = job->output_fds[i];
        job->output_fds[i] = -1;
        capture_trim(&job->outputs[i]);
    }
}

static bool has_failed_output(const struct job *job)
{
    return job->is_too_long || job->keep_error;
}

enum job_result job_result(const struct job *job)
{
    if (job->refusal)
        return RESULT_FAILED;
    if (job->has_timed_out)
        return RESULT_TIMED_OUT;
    if (job->was_stopped)
        return RESULT_STOPPED;
    if (has_failed_output(job))
        return RESULT_FAILED;
    if (job->ending.origin == EXITFD_UNKNOWN)
        return RESULT_UNKNOWN;
    return ending_is_success(&job->ending) ? RESULT_SUCCEEDED : RESULT_FAILED;
}

int64_t job_wall_ns(const struct job *job)
{
    return job->ended_ns - job->started_ns;
}

static int64_t timeval_ns(struct timeval time)
{
    return time.tv_sec * NS_PER_SECOND + time.tv_usec * 1000;
}

int64_t job_cpu_ns(const struct job *job)
{
    return timeval_ns(job->ending.rusage.ru_utime) + timeval_ns(job->ending.rusage.ru_stime);
}

/* getrusage(2): kilobytes everywhere but on Apple's systems. */
int64_t job_peak_kib(const struct job *job)
{
#ifdef __APPLE__
    return job->ending.rusage.ru_maxrss / 1024;
#else
    return job->ending.rusage.ru_maxrss;
#endif
}

const char *job_verdict(const struct job *job, char buffer[VERDICT_SIZE])
{
    char name[SIGNAL_NAME_SIZE];
    enum job_result result = job_result(job);
    if (job->refusal)
        return "not started";
    if (result == RESULT_TIMED_OUT)
        return "timed out";
    if (has_failed_output(job))
        return job->is_too_long ? "output limit" : "output lost";
    if (job->ending.origin == EXITFD_UNKNOWN)
        return job->is_left ? "left running" : "unknown";
    if (job->ending.code == CLD_EXITED)
        snprintf(buffer, VERDICT_SIZE, "exit %d", job->ending.status);
    else
        snprintf(buffer, VERDICT_SIZE, "%s", signal_name(job->ending.status, name));
    return buffer;
}
