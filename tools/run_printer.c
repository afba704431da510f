/* SPDX-License-Identifier: MIT */
/*
 * Puts the outputs of the jobs behind each other, in the order of the list or
 * of ending. One job prints at a time, and the others are kept (capture.h). It
 * writes what is taken now, and never blocks on a reader.
 */
#include "ending.h"
#include "format.h"
#include "json.h"
#include "run.h"
#include "tool.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HELD_LIMIT = 8 << 20,
    SHOWN_COMMAND = 200
};

static bool have_one_file(int fd, int other)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void printer_begin(struct printer *printer, const struct run_options *options, struct status_line *status,
                   struct spill *spill)
{
    *printer = (struct printer){ .options = options, .status = status, .spill = spill, .fd = -1 };
    printer->has_one_file = have_one_file(STDOUT_FILENO, STDERR_FILENO);
    printer->last = &printer->first;
}

void printer_add(struct printer *printer, struct job *job)
{
    *printer->last = job;
    printer->last = &job->next;
}

static size_t held_bytes(const struct job *job)
{
    return job->outputs[0].tail_length + job->outputs[1].tail_length;
}

/* Where there is no room in the file either it stays in memory. */
void printer_hold(struct printer *printer, struct job *job)
{
    if (printer->held_bytes + held_bytes(job) > HELD_LIMIT) {
        capture_park(&job->outputs[0], printer->spill);
        capture_park(&job->outputs[1], printer->spill);
    }
    printer->held_bytes += held_bytes(job);
}

static void drop_first(struct printer *printer)
{
    struct job *job = printer->first;
    printer->first = job->next;
    printer->last = printer->first ? printer->last : &printer->first;
    printer->stage = STAGE_BEGIN;
    printer->has_begun = false;
    job_free(job, printer->spill);
}

static void begin_json(FILE *out, const struct job *job)
{
    json_begin(out, "job");
    json_integer(out, "line", job->line->number);
    json_string(out, "command", job->command);
    json_string(out, "argument", job->command == job->line->text ? NULL : job->line->text);
    if (job->refusal) {
        json_null(out, "pid");
        outcome_to_json(out, "not-started");
    } else if (job->is_left) {
        json_integer(out, "pid", job->pid);
        outcome_to_json(out, "running");
    } else {
        json_integer(out, "pid", job->pid);
        ending_to_json(out, &job->ending);
    }
    json_string(out, "error", job->keep_error ? strerror(job->keep_error) : job->refusal);
    json_boolean(out, "timed_out", job->has_timed_out);
    json_boolean(out, "stopped", job->was_stopped);
    json_boolean(out, "output_limit", job->is_too_long);
    json_seconds(out, "wall", job_wall_ns(job));
    json_seconds(out, "cpu", job_cpu_ns(job));
    json_integer(out, "peak_kib", job_peak_kib(job));
}

/* Everything that one output stream of the job has left would be too much to
   hold: one piece of it. */
static bool put_piece(struct printer *printer, FILE *out, int which, struct json_text *json)
{
    static char piece[CAPTURE_BLOCK];
    struct capture *capture = &printer->first->outputs[which];
    size_t in_memory = capture->tail_length;
    ssize_t count = capture_take(capture, printer->spill, piece);
    printer->held_bytes -= in_memory - capture->tail_length;
    if (count < 0)
        printer->error = (int)-count;
    if (count <= 0)
        return false;
    if (json)
        json_text_add(out, json, piece, (size_t)count);
    else
        fwrite(piece, 1, (size_t)count, out);
    return true;
}

static void put_verdict(const struct printer *printer, FILE *out)
{
    char verdict[VERDICT_SIZE], wall[FORMAT_SIZE];
    const struct job *job = printer->first;
    if (job_result(job) == RESULT_SUCCEEDED || (printer->options->quiet && !job->refusal))
        return;
    if (printer->is_mid_line)
        fputc('\n', out);
    fprintf(out, "%s: line %" PRId64 ": %s", command_name, job->line->number, job_verdict(job, verdict));
    if (job->refusal) {
        fputs(": ", out);
        print_command(out, job->refusal, SIZE_MAX);
    } else {
        fprintf(out, "%s after %s: ", job->was_stopped ? ", stopped" : "", format_duration(job_wall_ns(job), wall));
        print_command(out, job->command, SHOWN_COMMAND);
    }
    fputc('\n', out);
}

/* A stage of the first job, or one piece of it. False if the stage goes on. */
static bool put_json(struct printer *printer, FILE *out)
{
    static struct json_text json;
    switch (printer->stage) {
    case STAGE_BEGIN:
        begin_json(out, printer->first);
        json_text_begin(out, &json, "stdout");
        return true;
    case STAGE_STDOUT:
        return !put_piece(printer, out, 0, &json);
    case STAGE_BETWEEN:
        json_text_end(out, &json);
        json_text_begin(out, &json, "stderr");
        return true;
    case STAGE_STDERR:
        return !put_piece(printer, out, 1, &json);
    case STAGE_VERDICT:
        json_text_end(out, &json);
        json_end(out);
        return true;
    default:
        return true;
    }
}

/* The same for a reader without --json. */
static bool put_text(struct printer *printer, FILE *out)
{
    switch (printer->stage) {
    case STAGE_STDOUT:
        return !put_piece(printer, out, 0, NULL);
    case STAGE_STDERR:
        printer->fd = STDERR_FILENO;
        return !put_piece(printer, out, 1, NULL);
    case STAGE_VERDICT:
        printer->fd = STDERR_FILENO;
        put_verdict(printer, out);
        return true;
    default:
        return true;
    }
}

static void put_next(struct printer *printer, FILE *out)
{
    printer->fd = STDOUT_FILENO;
    if (printer->stage == STAGE_END)
        drop_first(printer);
    else if (printer->options->json ? put_json(printer, out) : put_text(printer, out))
        printer->stage++;
}

static void drop_text(struct printer *printer)
{
    free(printer->text);
    printer->text = NULL;
    printer->length = 0;
    printer->written = 0;
}

static FILE *begin_text(struct printer *printer)
{
    drop_text(printer);
    FILE *out = open_memstream(&printer->text, &printer->length);
    if (!out)
        printer->error = errno;
    return out;
}

static void end_text(struct printer *printer, FILE *out)
{
    bool is_whole = !ferror(out);
    if (fclose(out) != 0 || !is_whole)
        printer->error = ENOMEM;
}

static bool goes_to_stderr(const struct printer *printer)
{
    return printer->fd == STDERR_FILENO || printer->has_one_file;
}

bool printer_is_in_job(const struct printer *printer)
{
    return printer->has_begun && !printer->error;
}

static bool has_to_wait(const struct printer *printer)
{
    return printer->has_to_yield && !printer->has_begun && goes_to_stderr(printer);
}

/* False if there is nothing to print now. */
static bool has_text(struct printer *printer)
{
    while (!printer->length && printer->first && printer->first->phase == JOB_ENDED && !printer->error) {
        FILE *out = begin_text(printer);
        if (out) {
            put_next(printer, out);
            end_text(printer, out);
        }
    }
    return printer->length && !printer->error;
}

FILE *printer_begin_last(struct printer *printer, int fd)
{
    if (printer->error && (fd == STDOUT_FILENO || printer->error == PRINTER_GAVE_UP))
        return NULL;
    printer->fd = fd;
    printer->error = 0;
    printer->is_at_summary = fd == STDERR_FILENO;
    printer->has_begun = false;
    return begin_text(printer);
}

void printer_end_last(struct printer *printer, FILE *out)
{
    end_text(printer, out);
}

/* A pipe that poll(2) calls writable takes this much, and a file takes
   everything. A terminal may take one byte only. */
static size_t harmless_amount(int fd, size_t amount)
{
    struct stat st;
    bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    return is_file || amount < PIPE_BUF ? amount : PIPE_BUF;
}

/* False if not all was taken that was to be. */
static bool write_text(struct printer *printer)
{
    const char *rest = printer->text + printer->written;
    bool is_on_terminal = isatty(printer->fd) && isatty(STDERR_FILENO);
    if (is_on_terminal)
        status_erase(printer->status);
    const size_t amount = harmless_amount(printer->fd, printer->length - printer->written);
    ssize_t n = write(printer->fd, rest, amount);
    if (n < 0) {
        printer->error = errno == EAGAIN || errno == EINTR ? 0 : errno;
        return false;
    }
    if (is_on_terminal && n > 0)
        printer->is_mid_line = rest[n - 1] != '\n';
    printer->has_begun |= n > 0 && goes_to_stderr(printer);
    printer->written += (size_t)n;
    if (printer->written == printer->length)
        drop_text(printer);
    return (size_t)n == amount;
}

void printer_write(struct printer *printer)
{
    while (has_text(printer) && !has_to_wait(printer) && is_writable(printer->fd) && write_text(printer)) {
    }
    if (printer->error) {
        drop_text(printer);
        while (printer->first && printer->first->phase == JOB_ENDED)
            drop_first(printer);
    }
}

void printer_give_up(struct printer *printer)
{
    if (!printer->error)
        printer->error = PRINTER_GAVE_UP;
}

int printer_fd(const struct printer *printer)
{
    return printer->length ? printer->fd : -1;
}

void printer_free(struct printer *printer)
{
    drop_text(printer);
    while (printer->first)
        drop_first(printer);
}
