/* SPDX-License-Identifier: MIT */
/* How the plain programs with threads start one. It is not in tap.c, because
   the others are linked without threads. */
#ifndef EXITFD_TESTS_TSAN_THREAD_H
#define EXITFD_TESTS_TSAN_THREAD_H

#include "check.h"

#include <errno.h>
#include <pthread.h>

static inline void start_thread(pthread_t *thread, void *(*run)(void *), void *argument)
{
    errno = pthread_create(thread, NULL, run, argument);
    CHECK(errno == 0);
}

#endif
