/* SPDX-License-Identifier: MIT */
/* What /proc tells of the other threads of this process. */
#ifndef EXITFD_THREADS_H
#define EXITFD_THREADS_H

#include <stdbool.h>

/* Whether a thread can be seen that has SIGCHLD not blocked. */
bool xfd_threads_one_takes_sigchld(void);

#endif
