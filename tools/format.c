/* SPDX-License-Identifier: MIT */
#include "format.h"

#include "tool.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>

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
    if (seconds >= 60) {
        return format_clock(ns, buffer);
    }
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
    if (rate >= 1) {
        snprintf(buffer, FORMAT_SIZE, rate < 10 ? "%.1f/s" : "%.0f/s", rate);
    } else {
        snprintf(buffer, FORMAT_SIZE, "%.0f/min", rate * 60);
    }
    return buffer;
}

static bool continues_character(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80; /* UTF-8 */
}

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++) {
        count += !continues_character(*text);
    }
    return count;
}

void print_command(FILE *out, const char *command, size_t columns)
{
    bool is_cut = count_characters(command) > columns;
    size_t left = is_cut ? columns - 3 : columns;
    for (; *command && (left || continues_character(*command)); command++) {
        left -= !continues_character(*command);
        fputc(isspace((unsigned char)*command) ? ' ' : iscntrl((unsigned char)*command) ? '?' : *command, out);
    }
    fputs(is_cut ? "..." : "", out);
}
