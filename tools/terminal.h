/* SPDX-License-Identifier: MIT */
/* The controlling terminal, and which process group has its foreground. */
#ifndef TERMINAL_H
#define TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>

/* An fd of the controlling terminal, or -1. It is opened at the first call and
   stays open. */
int terminal_find(void);

/* All of these do nothing, and say false, if the terminal is -1. */
bool terminal_foreground_is(int terminal, pid_t group);

/* If our process group has the foreground, group gets it. */
void terminal_hand_over(int terminal, pid_t group);

/* If group has the foreground, our process group gets it. SIGTTOU must be
   ignored. */
void terminal_take_back(int terminal, pid_t group);

#endif
