/* SPDX-License-Identifier: MIT */
/* Numbers for people. */
#ifndef FORMAT_H
#define FORMAT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    FORMAT_SIZE = 32
};

const char *format_duration(int64_t ns, char buffer[FORMAT_SIZE]); /* "0.012 s", "12.3 s", "2:03", "1:02:03" */
const char *format_clock(int64_t ns, char buffer[FORMAT_SIZE]);    /* "0:12", "2:03", "1:02:03" */
const char *format_memory(int64_t kib, char buffer[FORMAT_SIZE]);  /* "3.4 MiB" */
const char *format_rate(int64_t count, int64_t ns, char buffer[FORMAT_SIZE]); /* "938/s", "1.5/s", "12/min" */

/* On one line, clean (escape.h), of so many characters at most. */
void print_command(FILE *out, const char *command, size_t columns);

#endif
