/* SPDX-License-Identifier: MIT */
/*
 * What others have written, a name or a line or an argument, shown to a person:
 * it must not act upon the terminal. Every message goes through here.
 */
#ifndef ESCAPE_H
#define ESCAPE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOT_UTF8 UINT32_MAX

/*
 * The length of the first character of count bytes (at least 1), and its
 * number. A byte that begins no character of UTF-8 has the length 1 and is
 * NOT_UTF8.
 */
size_t next_character(const char *text, size_t count, uint32_t *ret);

/* True of what a terminal acts upon, or what changes how the text beside it is
   shown: C0, DEL, C1, line separators and the bidirectional controls. */
bool is_control(uint32_t character);

/* Puts '?' in place of each control and each byte that is no UTF-8, and a blank
   in place of white space; the value is the new length. */
size_t clean(char *text, size_t length);

enum {
    LONGEST_MESSAGE = 16384 /* two paths of the greatest length, and some words */
};

/* How long a message waits for a reader that does not read. Then what is left
   of it is dropped. -1: for ever. */
extern int say_patience_ms;

/*
 * "PREFIX: MESSAGE" and a line feed, as one clean line, into text, which has
 * room for LONGEST_MESSAGE + 1 bytes. The value is its length. No NUL is added.
 */
__attribute__((format(printf, 3, 0))) size_t compose(char *text, const char *prefix, const char *format, va_list args);

/*
 * Prints "PREFIX: MESSAGE" on standard error as one line, clean, with one
 * write(2). It is whole also on a pipe that is full and non-blocking. Needs no
 * memory.
 */
__attribute__((format(printf, 2, 0))) void say(const char *prefix, const char *format, va_list args);

#endif
