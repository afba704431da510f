/* SPDX-License-Identifier: MIT */
/*
 * Counts the results and keeps the rows of the table at the end: what failed
 * first, then the slowest. It keeps no more rows than are shown.
 */
#include "format.h"
#include "json.h"
#include "run.h"
#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    BEFORE_COMMAND = 56, /* columns */
    LEAST_COMMAND = 24
};

void summary_begin(struct summary *summary, const struct run_options *options)
{
    *summary = (struct summary){ .started_ns = monotonic_ns(), .row_limit = (size_t)options->summary_rows };
}

static bool is_before(const struct summary_row *a, const struct summary_row *b)
{
    return a->is_success != b->is_success ? !a->is_success : a->wall_ns > b->wall_ns;
}

static void free_row(struct summary_row *row)
{
    free(row->command);
    free(row);
}

static size_t place_of(const struct summary *summary, const struct summary_row *row)
{
    size_t low = 0, high = summary->row_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_before(row, summary->rows[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void add_row(struct summary *summary, const struct summary_row *row)
{
    size_t place = place_of(summary, row);
    if (place == summary->row_limit)
        return;
    if (summary->row_count == summary->row_limit)
        free_row(summary->rows[--summary->row_count]);
    else
        summary->rows = reallocate(summary->rows, summary->row_count + 1, sizeof *summary->rows);
    struct summary_row *copy = reallocate(NULL, 1, sizeof *copy);
    *copy = *row;
    copy->command = copy_text(row->command, strlen(row->command));
    memmove(&summary->rows[place + 1], &summary->rows[place], (summary->row_count - place) * sizeof *summary->rows);
    summary->rows[place] = copy;
    summary->row_count++;
}

void summary_add(struct summary *summary, const struct job *job)
{
    enum job_result result = job_result(job);
    struct summary_row row = { .line = job->line->number,
                               .command = job->command,
                               .is_success = result == RESULT_SUCCEEDED,
                               .wall_ns = job_wall_ns(job),
                               .cpu_ns = job_cpu_ns(job),
                               .peak_kib = job_peak_kib(job) };
    snprintf(row.verdict, sizeof row.verdict, "%s", job_verdict(job, (char[VERDICT_SIZE]){ "" }));
    summary->results[result]++;
    summary->cpu_ns += row.cpu_ns;
    summary->peak_kib = row.peak_kib > summary->peak_kib ? row.peak_kib : summary->peak_kib;
    add_row(summary, &row);
}

static int64_t count_all(const struct summary *summary)
{
    int64_t count = 0;
    for (int result = 0; result < RESULT_COUNT; result++)
        count += summary->results[result];
    return count;
}

bool summary_is_success(const struct summary *summary)
{
    return summary->results[RESULT_SUCCEEDED] == count_all(summary);
}

static void print_totals(const struct summary *summary, struct leftover leftover, FILE *out)
{
    static const char *const labels[RESULT_COUNT] = { [RESULT_FAILED] = "failed",
                                                      [RESULT_TIMED_OUT] = "timed out",
                                                      [RESULT_STOPPED] = "stopped",
                                                      [RESULT_UNKNOWN] = "unknown" };
    char wall[FORMAT_SIZE], rate[FORMAT_SIZE], cpu[FORMAT_SIZE], peak[FORMAT_SIZE];
    int64_t count = count_all(summary), elapsed_ns = monotonic_ns() - summary->started_ns;
    fprintf(out, "%s: %" PRId64 " command%s in %s: %" PRId64 " succeeded", command_name, count, count == 1 ? "" : "s",
            format_duration(elapsed_ns, wall), summary->results[RESULT_SUCCEEDED]);
    for (int result = RESULT_FAILED; result < RESULT_COUNT; result++) {
        if (summary->results[result])
            fprintf(out, ", %" PRId64 " %s", summary->results[result], labels[result]);
    }
    if (leftover.not_run || !leftover.is_all_of_it)
        fprintf(out, ", %s%" PRId64 " not run", leftover.is_all_of_it ? "" : "at least ", leftover.not_run);
    fprintf(out, "; %s, CPU %s, peak %s\n", format_rate(count, elapsed_ns, rate), format_duration(summary->cpu_ns, cpu),
            format_memory(summary->peak_kib, peak));
}

static void print_row(const struct summary_row *row, int command_room, FILE *out)
{
    char wall[FORMAT_SIZE], cpu[FORMAT_SIZE], peak[FORMAT_SIZE];
    fprintf(out, "%12s %10s %10s %10s %7" PRId64 "  ", row->verdict, format_duration(row->wall_ns, wall),
            format_duration(row->cpu_ns, cpu), format_memory(row->peak_kib, peak), row->line);
    print_command(out, row->command, (size_t)command_room);
    fputc('\n', out);
}

void summary_print(const struct summary *summary, struct leftover leftover, FILE *out)
{
    int room = terminal_columns() - BEFORE_COMMAND;
    print_totals(summary, leftover, out);
    if (summary->row_count)
        fprintf(out, "%12s %10s %10s %10s %7s  %s\n", "RESULT", "WALL", "CPU", "PEAK", "LINE", "COMMAND");
    for (size_t i = 0; i < summary->row_count; i++)
        print_row(summary->rows[i], room > LEAST_COMMAND ? room : LEAST_COMMAND, out);
    int64_t hidden = count_all(summary) - (int64_t)summary->row_count;
    if (hidden && summary->row_limit)
        fprintf(out, "%12s and %" PRId64 " more (--summary ROWS)\n", "...", hidden);
}

void summary_print_json(const struct summary *summary, struct leftover leftover, FILE *out)
{
    static const char *const keys[RESULT_COUNT] = { "succeeded", "failed", "timed_out", "stopped", "unknown" };
    json_begin(out, "summary");
    json_integer(out, "commands", count_all(summary));
    for (int result = 0; result < RESULT_COUNT; result++)
        json_integer(out, keys[result], summary->results[result]);
    json_integer(out, "not_run", leftover.not_run);
    json_boolean(out, "list_read", leftover.is_all_of_it);
    json_seconds(out, "wall", monotonic_ns() - summary->started_ns);
    json_seconds(out, "cpu", summary->cpu_ns);
    json_integer(out, "peak_kib", summary->peak_kib);
    json_end(out);
}

void summary_free(struct summary *summary)
{
    for (size_t i = 0; i < summary->row_count; i++)
        free_row(summary->rows[i]);
    free(summary->rows);
}
