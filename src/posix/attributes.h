/* SPDX-License-Identifier: MIT */
#ifndef EXITFD_ATTRIBUTES_H
#define EXITFD_ATTRIBUTES_H

#include <spawn.h>

/* Scheduling, an option of POSIX. 0 or an errno. */
int xfd_attributes_copy_scheduling(posix_spawnattr_t *copy, const posix_spawnattr_t *attr);

#endif
