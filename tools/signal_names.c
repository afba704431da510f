/* SPDX-License-Identifier: MIT */
#include "tool.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAMED(signo) [signo] = #signo

/* strsignal(3) gives sentences in the user's language, sigabbrev_np(3) is glibc's alone. */
static const char *const names[] = {
    NAMED(SIGHUP),    NAMED(SIGINT),  NAMED(SIGQUIT), NAMED(SIGILL),    NAMED(SIGTRAP), NAMED(SIGABRT), NAMED(SIGBUS),
    NAMED(SIGFPE),    NAMED(SIGKILL), NAMED(SIGUSR1), NAMED(SIGSEGV),   NAMED(SIGUSR2), NAMED(SIGPIPE), NAMED(SIGALRM),
    NAMED(SIGTERM),   NAMED(SIGCHLD), NAMED(SIGCONT), NAMED(SIGSTOP),   NAMED(SIGTSTP), NAMED(SIGTTIN), NAMED(SIGTTOU),
    NAMED(SIGURG),    NAMED(SIGXCPU), NAMED(SIGXFSZ), NAMED(SIGVTALRM), NAMED(SIGPROF), NAMED(SIGSYS),
#ifdef SIGSTKFLT
    NAMED(SIGSTKFLT),
#endif
#ifdef SIGPWR
    NAMED(SIGPWR),
#endif
#ifdef SIGIO
    NAMED(SIGIO),
#endif
#ifdef SIGWINCH
    NAMED(SIGWINCH),
#endif
};

enum {
    NAME_COUNT = sizeof names / sizeof *names
};

const char *signal_name(int signo, char buffer[SIGNAL_NAME_SIZE])
{
    if (signo > 0 && signo < NAME_COUNT && names[signo]) {
        return names[signo];
    }
    const char *format = "signal %d";
#ifdef SIGRTMIN
    if (signo >= SIGRTMIN && signo <= SIGRTMAX) {
        format = "SIGRTMIN+%d";
        signo -= SIGRTMIN;
    }
#endif
    snprintf(buffer, SIGNAL_NAME_SIZE, format, signo);
    return buffer;
}

bool parse_signal(const char *text, int *ret_signo)
{
    int64_t number;
    if (parse_number(text, 1, NSIG - 1, &number)) {
        *ret_signo = (int)number;
        return true;
    }
    for (int signo = 1; signo < NAME_COUNT; signo++) {
        if (names[signo] && (strcasecmp(text, names[signo]) == 0 || strcasecmp(text, names[signo] + 3) == 0)) {
            *ret_signo = signo;
            return true;
        }
    }
    return false;
}
