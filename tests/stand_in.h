/* SPDX-License-Identifier: MIT */
/*
 * For functions of the C library that a test program defines itself, so that
 * the library's calls pass through it. FIND_NEXT finds the one behind it.
 *
 * syscall(2) is variadic, so its stand-in is written once, here:
 * STAND_IN_FOR_SYSCALL(answer) defines it. The test's own function
 *
 *     static long answer(long number, const long a[6]);
 *
 * gets all calls, and hands on with next_syscall what it does not answer.
 */
#ifndef EXITFD_TESTS_STAND_IN_H
#define EXITFD_TESTS_STAND_IN_H

#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Of the pointer to a function that is at `function`, unless it was found
   before. ISO C cannot convert dlsym's. */
static inline void find_next(const char *name, void *function)
{
    void *found;
    memcpy(&found, function, sizeof(found));
    if (found == NULL && (found = dlsym(RTLD_NEXT, name)) == NULL)
        abort();
    memcpy(function, &found, sizeof(found));
}

/* In a stand-in for `name`: declares `next`, the function that it stands
   for. */
#define FIND_NEXT(name)                                                                                                \
    static __typeof__(name) *next;                                                                                     \
    find_next(#name, &next)

/* It reads six arguments, as the C library does, however many its caller
   gave. */
#define READ_SIX_ARGUMENTS(name, answer)                                                                               \
    __attribute__((no_sanitize_address)) long name(long number, ...)                                                   \
    {                                                                                                                  \
        long a[6];                                                                                                     \
        va_list list;                                                                                                  \
        va_start(list, number);                                                                                        \
        for (int i = 0; i < 6; i++)                                                                                    \
            a[i] = va_arg(list, long);                                                                                 \
        va_end(list);                                                                                                  \
        return answer(number, a);                                                                                      \
    }

#define STAND_IN_FOR_SYSCALL(answer)                                                                                   \
    static long next_syscall(long number, const long a[6])                                                             \
    {                                                                                                                  \
        FIND_NEXT(syscall);                                                                                            \
        return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);                                                       \
    }                                                                                                                  \
    static long answer(long number, const long a[6]);                                                                  \
    READ_SIX_ARGUMENTS(syscall, answer)

#endif
