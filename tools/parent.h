/* SPDX-License-Identifier: MIT */
/* When does the process end that started this one? */
#ifndef PARENT_H
#define PARENT_H

#include <stdbool.h>

struct parent {
    int pidfd;    /* readable once the parent has ended, or -1 */
    bool is_gone; /* it had ended before this process looked */
};

/*
 * Without a pidfd the kernel sends signo to this process when the thread ends
 * that started it (PR_SET_PDEATHSIG). 0, or a negative errno.
 */
int parent_watch(struct parent *parent, int signo);

#endif
