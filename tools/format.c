/* SPDX-License-Identifier: MIT */
/*
 * Durations, memory and rates as a person reads them, for the status line and
 * the summary. JSON has the plain numbers (json.c).
 */
#include "format.h"

#include "escape.h"
#include "tool.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

const char *format_clock(int64_t ns, char buffer[FORMAT_SIZE])
{
    int64_t seconds = ns / NS_PER_SECOND;
    if (seconds >= 3600) {
        snprintf(buffer, FORMAT_SIZE, "%" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600, seconds / 60 % 60,
                 seconds % 60);
    } else {
        snprintf(buffer, FORMAT_SIZE, "%" PRId64 ":%02" PRId64, seconds / 60, seconds % 60);
    }
    return buffer;
}

const char *format_duration(int64_t ns, char buffer[FORMAT_SIZE])
{
    double seconds = (double)ns / (double)NS_PER_SECOND;
    if (seconds >= 60)
        return format_clock(ns, buffer);
    snprintf(buffer, FORMAT_SIZE, seconds < 10 ? "%.3f s" : "%.1f s", seconds);
    return buffer;
}

const char *format_memory(int64_t kib, char buffer[FORMAT_SIZE])
{
    double amount = (double)kib;
    const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
    size_t unit = 0;
    while (amount >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        amount /= 1024;
        unit++;
    }
    snprintf(buffer, FORMAT_SIZE, unit ? "%.1f %s" : "%.0f %s", amount, units[unit]);
    return buffer;
}

const char *format_rate(int64_t count, int64_t ns, char buffer[FORMAT_SIZE])
{
    double rate = ns > 0 ? (double)count * (double)NS_PER_SECOND / (double)ns : 0;
    if (rate >= 1)
        snprintf(buffer, FORMAT_SIZE, rate < 10 ? "%.1f/s" : "%.0f/s", rate);
    else
        snprintf(buffer, FORMAT_SIZE, "%.0f/min", rate * 60);
    return buffer;
}

static size_t count_characters(const char *text)
{
    size_t count = 0, left = strlen(text);
    for (size_t step; left; text += step, left -= step) {
        uint32_t character;
        step = next_character(text, left, &character);
        count++;
    }
    return count;
}

void print_command(FILE *out, const char *command, size_t columns)
{
    bool is_cut = count_characters(command) > columns;
    size_t count = is_cut ? columns - 3 : columns, left = strlen(command);
    for (size_t step; left && count; command += step, left -= step, count--) {
        uint32_t character;
        step = next_character(command, left, &character);
        char shown[4];
        memcpy(shown, command, step);
        fwrite(shown, 1, clean(shown, step), out);
    }
    fputs(is_cut ? "..." : "", out);
}
