/* SPDX-License-Identifier: MIT */
/*
 * The words in which every test says what must hold. A format and up to seven
 * arguments may follow, for what the values do not say:
 *
 *     CHECK(condition);
 *     CHECK_EQ(found, wanted);       numbers or pointers
 *     CHECK_STR(found, wanted);      strings
 *
 * What does not hold is printed with its place, its values, and errno. A value
 * that is a negative errno is printed with its words. Then it ends
 *
 *  - in a suite: the test, which has failed
 *  - in a child that the test forked: that child, with exit status 1, and the
 *    words are on stderr. The test has to look at the status
 *  - in another thread of a suite: the whole process, by SIGABRT
 *  - in a plain program: the program, with "Bail out!"
 *
 * Plain programs also have SOFT_CHECK(condition), for any thread. It fails the
 * case that runs, which goes on.
 */
#ifndef EXITFD_TESTS_CHECK_H
#define EXITFD_TESTS_CHECK_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
#define _Noreturn [[noreturn]]
#endif

#define CHECK(...)                                                                                                     \
    CHECK_PICK(__VA_ARGS__, CHECK_SAYING, CHECK_SAYING, CHECK_SAYING, CHECK_SAYING, CHECK_SAYING, CHECK_SAYING,        \
               CHECK_SAYING, CHECK_SAYING, CHECK_SAYING, CHECK_BARE, 0)                                                \
    (#__VA_ARGS__, __VA_ARGS__)
#define CHECK_EQ(...)                                                                                                  \
    CHECK_PICK(__VA_ARGS__, CHECK_EQ_SAYING, CHECK_EQ_SAYING, CHECK_EQ_SAYING, CHECK_EQ_SAYING, CHECK_EQ_SAYING,       \
               CHECK_EQ_SAYING, CHECK_EQ_SAYING, CHECK_EQ_SAYING, CHECK_EQ_BARE, 0)                                    \
    (#__VA_ARGS__, __VA_ARGS__)
#define CHECK_STR(...)                                                                                                 \
    CHECK_PICK(__VA_ARGS__, CHECK_STR_SAYING, CHECK_STR_SAYING, CHECK_STR_SAYING, CHECK_STR_SAYING, CHECK_STR_SAYING,  \
               CHECK_STR_SAYING, CHECK_STR_SAYING, CHECK_STR_SAYING, CHECK_STR_BARE, 0)                                \
    (#__VA_ARGS__, __VA_ARGS__)

#define SOFT_CHECK(condition) soft_check(condition, #condition, __FILE__, __LINE__)
void soft_check(bool holds, const char *what, const char *file, int line);

/* From here on it is about how that works. Each harness has its own
   report_failure. */
_Noreturn void report_failure(const char *message);

/* The eleventh: which macro has that number of arguments. */
#define CHECK_PICK(a, b, c, d, e, f, g, h, i, j, k, ...) k

#define CHECK_BARE(text, condition) CHECK_SAYING(text, condition, " ")
#define CHECK_SAYING(text, condition, ...)                                                                             \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, text, "", __VA_ARGS__))

#define CHECK_EQ_BARE(text, found, wanted) CHECK_EQ_SAYING(text, found, wanted, " ")
#define CHECK_EQ_SAYING(text, found, wanted, ...)                                                                      \
    do {                                                                                                               \
        intptr_t found_ = (intptr_t)(found), wanted_ = (intptr_t)(wanted);                                             \
        if (found_ != wanted_)                                                                                         \
            check_failed(__FILE__, __LINE__, text, unequal(found_, wanted_).words, __VA_ARGS__);                       \
    } while (0)

#define CHECK_STR_BARE(text, found, wanted) CHECK_STR_SAYING(text, found, wanted, " ")
#define CHECK_STR_SAYING(text, found, wanted, ...)                                                                     \
    do {                                                                                                               \
        const char *found_ = (found), *wanted_ = (wanted);                                                             \
        if (found_ == NULL || strcmp(found_, wanted_) != 0)                                                            \
            check_failed(__FILE__, __LINE__, text, found_ == NULL ? "(null)" : found_, __VA_ARGS__);                   \
    } while (0)

struct check_values {
    char words[200];
};

static inline void describe_value(char *text, size_t size, intptr_t value)
{
    const intptr_t last_errno = -4095;
    if (value < 0 && value >= last_errno)
        snprintf(text, size, "%ld (%s)", (long)value, strerror((int)-value));
    else if (value == (int)value)
        snprintf(text, size, "%ld", (long)value);
    else
        snprintf(text, size, "%#lx", (unsigned long)value);
}

static inline struct check_values unequal(intptr_t found, intptr_t wanted)
{
    struct check_values values;
    char one[80], other[80];
    int error = errno;
    describe_value(one, sizeof(one), found);
    describe_value(other, sizeof(other), wanted);
    snprintf(values.words, sizeof(values.words), "%s is not %s", one, other);
    errno = error;
    return values;
}

__attribute__((noreturn, format(printf, 5, 6))) static inline void
check_failed(const char *file, int line, const char *text, const char *values, const char *format, ...)
{
    char message[1200], said[300];
    int error = errno;
    va_list list;
    va_start(list, format);
    vsnprintf(said, sizeof(said), format, list);
    va_end(list);
    snprintf(message, sizeof(message), "%s:%d: not so: %s: %s %s (errno: %s)", file, line, text, values, said,
             strerror(error));
    report_failure(message);
}

#endif
