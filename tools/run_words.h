/* SPDX-License-Identifier: MIT */
/*
 * From a line of the list to the words of a command. No process is started
 * here.
 */
#ifndef RUN_WORDS_H
#define RUN_WORDS_H

#include <stdbool.h>

/*
 * The words of a line in which a shell would do nothing but split it and remove
 * its quotes, or NULL for any other line. In doubt it is another line. The
 * caller frees the value with one free(3).
 */
char **simple_words(const char *line);

/*
 * True if $'...' stands outside of other quotes: bash and ksh print names so
 * (%q), and some /bin/sh takes it for something else, with the names as
 * commands.
 */
bool has_dollar_quotes(const char *line);

/* The words of command with argument in place of each "{}". The caller frees
   the value with one free(3). */
char **fill_words(char *const *command, const char *argument);

/* As a shell would read them again. The caller frees it. */
char *quote_words(char *const *words);

#endif
