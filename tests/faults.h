/* SPDX-License-Identifier: MIT */
/* The whole life of an exitfd, each function of it used, in which one call may
   fail. */
#ifndef EXITFD_TESTS_FAULTS_H
#define EXITFD_TESTS_FAULTS_H

#include <stdbool.h>

/* Counts and prints what is not as it must be. */
void faults_expect(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

void faults_scenario(void);

#endif
