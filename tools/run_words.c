/* SPDX-License-Identifier: MIT */
/*
 * Recognises lines that need no shell, and quotes words for one. A line that is
 * not understood goes to the shell, so that nothing is split in another way.
 */
#include "run_words.h"

#include "tool.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

/*
 * Words that some /bin/sh does not look for in PATH, or takes for more than a
 * program's name: dash, bash, busybox, ksh93, mksh, zsh and yash. Of programs
 * that do the same as the builtin only echo, true and false are left out.
 * setsid(1) does not wait where it leads a process group, as a command without
 * a shell does. In the order of strcmp.
 */
static const char *const names_of_the_shell[] = {
    ".",         "[",        "[[",       "alias",      "autoload", "bg",        "bind",       "break",    "builtin",
    "bye",       "caller",   "case",     "cd",         "chdir",    "command",   "compgen",    "complete", "compopt",
    "compound",  "continue", "coproc",   "declare",    "dirs",     "disable",   "disown",     "do",       "done",
    "elif",      "else",     "emulate",  "enable",     "end",      "enum",      "esac",       "eval",     "exec",
    "exit",      "export",   "fc",       "fg",         "fi",       "float",     "for",        "foreach",  "function",
    "functions", "getln",    "getopts",  "global",     "hash",     "help",      "hist",       "history",  "if",
    "in",        "integer",  "jobs",     "kill",       "let",      "limit",     "local",      "log",      "login",
    "logout",    "mapfile",  "nameref",  "namespace",  "newgrp",   "nocorrect", "noglob",     "popd",     "print",
    "printf",    "pushd",    "pushln",   "pwd",        "r",        "read",      "readarray",  "readonly", "redirect",
    "rehash",    "repeat",   "return",   "sched",      "select",   "set",       "setopt",     "setsid",   "shift",
    "shopt",     "source",   "stop",     "suspend",    "test",     "then",      "time",       "times",    "trap",
    "ttyctl",    "type",     "typeset",  "ulimit",     "umask",    "unalias",   "unfunction", "unhash",   "unlimit",
    "unset",     "unsetopt", "until",    "vared",      "wait",     "whence",    "where",      "which",    "while",
    "zcompile",  "zle",      "zmodload", "zparseopts", "zstyle",
};

static int compare_names(const void *name, const void *entry)
{
    return strcmp(name, *(const char *const *)entry);
}

static bool is_of_the_shell(const char *name)
{
    return bsearch(name, names_of_the_shell, sizeof names_of_the_shell / sizeof *names_of_the_shell,
                   sizeof *names_of_the_shell, compare_names);
}

static bool is_plain(char c)
{
    unsigned char byte = (unsigned char)c;
    return isalnum(byte) || byte >= 0x80 || (c && strchr("_-./:@%+,=", c));
}

/* Copies what stands between quotes; the value is behind them, NULL where a
   shell would do more. */
static const char *copy_quoted(const char *from, char **to)
{
    const char quote = *from++;
    for (; *from && *from != quote; from++) {
        if (quote == '"' && strchr("$`\\", *from))
            return NULL;
        *(*to)++ = *from;
    }
    return *from ? from + 1 : NULL;
}

static const char *copy_word(const char *from, char **to)
{
    while (from && *from && *from != ' ' && *from != '\t') {
        if (*from == '\'' || *from == '"')
            from = copy_quoted(from, to);
        else if (is_plain(*from))
            *(*to)++ = *from++;
        else
            return NULL;
    }
    *(*to)++ = '\0';
    return from;
}

/* The shell's echo may know options and backslashes that the program does not
   know. */
static bool is_plain_echo(char *const *words)
{
    for (size_t i = 1; words[i]; i++) {
        if (words[i][0] == '-' || strchr(words[i], '\\'))
            return false;
    }
    return true;
}

static bool is_program(char *const *words)
{
    const char *name = words[0];
    if (strcmp(name, "echo") == 0)
        return is_plain_echo(words);
    if (strcmp(name, "true") == 0 || strcmp(name, "false") == 0)
        return !words[1];
    return !is_of_the_shell(name);
}

/* An assignment, a word of zsh and a quoted name are the shell's. */
static bool begins_with_a_name(const char *line)
{
    size_t length = strcspn(line, " \t");
    return (isalnum((unsigned char)*line) || strchr("_./", *line)) && !memchr(line, '=', length) &&
           !memchr(line, '\'', length) && !memchr(line, '"', length);
}

/* Functions and settings that bash takes from there, whatever it is called
   by. */
static bool has_shell_in_environment(void)
{
    static int answer = -1;
    if (answer < 0) {
        answer = 0;
        for (char **variable = environ; variable && *variable; variable++)
            answer |= strncmp(*variable, "BASH_FUNC_", 10) == 0 || strncmp(*variable, "SHELLOPTS=", 10) == 0;
    }
    return answer;
}

char **simple_words(const char *line)
{
    line += strspn(line, " \t");
    const size_t length = strlen(line), most = length / 2 + 2;
    if (!*line || !begins_with_a_name(line) || has_shell_in_environment())
        return NULL;
    char **words = reallocate(NULL, most * sizeof *words + length + 1, 1);
    char *to = (char *)(words + most);
    size_t count = 0;
    while (line && *line) {
        words[count++] = to;
        line = *line == '=' ? NULL : copy_word(line, &to);
        line = line ? line + strspn(line, " \t") : NULL;
    }
    words[count] = NULL;
    if (!line || !is_program(words)) {
        free(words);
        return NULL;
    }
    return words;
}

static const char *skip_quoted(const char *text, char quote)
{
    for (; *text && *text != quote; text++)
        text += quote == '"' && *text == '\\' && text[1];
    return text;
}

/* The last character of what begins at text and has no "$'" in it: a comment,
   "$$", something quoted, or one character. */
static const char *skip_one(const char *text, bool is_begin_of_word)
{
    if (*text == '#' && is_begin_of_word)
        return text + strcspn(text, "\n") - 1;
    if (*text == '\'' || *text == '"')
        return skip_quoted(text + 1, *text);
    bool is_pair = (text[0] == '$' && text[1] == '$') || (text[0] == '\\' && text[1]);
    return text + is_pair;
}

/* Behind one of "{(`<" a "#" may be no comment. To take a comment for a command
   refuses a line, the reverse runs it. */
bool has_dollar_quotes(const char *line)
{
    bool is_begin_of_word = true, is_simple = true;
    while (*line) {
        if (line[0] == '$' && line[1] == '\'')
            return true;
        const char *last = skip_one(line, is_begin_of_word && is_simple);
        is_begin_of_word = last == line && strchr(" \t\n;&|", *line);
        is_simple &= last != line || !strchr("{(`<", *line);
        line = *last ? last + 1 : last;
    }
    return false;
}

/* The length of word with argument in place of each "{}", which is written to
   to, if that is not NULL. */
static size_t fill_word(char *to, const char *word, const char *argument)
{
    size_t length = 0;
    while (*word) {
        bool is_place = word[0] == '{' && word[1] == '}';
        const char *from = is_place ? argument : word;
        size_t step = is_place ? strlen(argument) : 1;
        if (to)
            memcpy(to + length, from, step);
        length += step;
        word += is_place ? 2 : 1;
    }
    if (to)
        to[length] = '\0';
    return length + 1;
}

char **fill_words(char *const *command, const char *argument)
{
    size_t count = 0, size = 0;
    while (command[count])
        size += fill_word(NULL, command[count++], argument);
    char **words = reallocate(NULL, (count + 1) * sizeof *words + size, 1);
    char *to = (char *)(words + count + 1);
    for (size_t i = 0; i < count; i++) {
        words[i] = to;
        to += fill_word(to, command[i], argument);
    }
    words[count] = NULL;
    return words;
}

static bool needs_quotes(const char *word)
{
    bool is_bare = *word != '\0';
    for (const char *c = word; *c; c++)
        is_bare &= is_plain(*c);
    return !is_bare;
}

static char *quote_word(char *to, const char *word)
{
    if (!needs_quotes(word))
        return stpcpy(to, word);
    *to++ = '\'';
    for (; *word; word++) {
        if (*word == '\'')
            to = stpcpy(to, "'\\''");
        else
            *to++ = *word;
    }
    return stpcpy(to, "'");
}

char *quote_words(char *const *words)
{
    size_t size = 1;
    for (char *const *word = words; *word; word++)
        size += 4 * strlen(*word) + 3;
    char *text = reallocate(NULL, size, 1), *to = text;
    for (char *const *word = words; *word; word++) {
        to = quote_word(to, *word);
        *to++ = word[1] ? ' ' : '\0';
    }
    return text;
}
