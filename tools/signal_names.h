/* SPDX-License-Identifier: MIT */
/* The names of signals, as the library has them. */
#ifndef SIGNAL_NAMES_H
#define SIGNAL_NAMES_H

#include <stdbool.h>

enum {
    SIGNAL_NAME_SIZE = 24
};

/* "SIGTERM", "SIGRTMIN+3" or "signal 99", as exitfd_describe says it. Returns
   buffer. */
const char *signal_name(int signo, char buffer[SIGNAL_NAME_SIZE]);

/* Of a name with or without SIG, in any case, or of a number. */
bool parse_signal(const char *text, int *ret_signo);

#endif
