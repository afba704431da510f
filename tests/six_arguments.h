/* SPDX-License-Identifier: MIT */
/* For a stand-in of syscall(2): it reads six arguments, as the C library does, however many its caller gave. */
#ifndef EXITFD_TESTS_SIX_ARGUMENTS_H
#define EXITFD_TESTS_SIX_ARGUMENTS_H

#define READS_SIX_ARGUMENTS __attribute__((no_sanitize_address))

#endif
