/* SPDX-License-Identifier: MIT */
/* Functions that not every POSIX system has, or not under one name. */
#ifndef EXITFD_COMPAT_H
#define EXITFD_COMPAT_H

#include <spawn.h>

/* getenv, but NULL in a program that runs with more rights than its caller
   has. */
const char *xfd_compat_getenv(const char *name);

/* A pipe with both ends non-blocking and close-on-exec. 0 or a negative
   errno. */
int xfd_compat_pipe(int ends[2]);

/* Scheduling, an option of POSIX, of an attribute object. 0 or an errno. */
int xfd_compat_copy_scheduling(posix_spawnattr_t *copy, const posix_spawnattr_t *attr);

#endif
