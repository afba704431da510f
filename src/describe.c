/* SPDX-License-Identifier: MIT */
/*
 * Events in other forms: as a wait status, and in words. These are calls of the
 * caller alone. They make no system call, take no lock and need no exitfd.
 */
#include "exitfd.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

/* waitpid(2) gives the same numbers on every system that has CLD_EXITED. */
#define STATUS_CONTINUED 0xffff
#define STATUS_STOPPED 0x7f
#define STATUS_DUMPED 0x80

int exitfd_get_wait_status(const struct exitfd_event *e)
{
    if (!e || e->origin == EXITFD_UNKNOWN)
        return -1;
    switch (e->code) {
    case CLD_EXITED:
        return (e->status & 0xff) << 8;
    case CLD_KILLED:
        return e->status;
    case CLD_DUMPED:
        return e->status | STATUS_DUMPED;
    case CLD_STOPPED:
        return e->status << 8 | STATUS_STOPPED;
    case CLD_CONTINUED:
        return STATUS_CONTINUED;
    default:
        return -1;
    }
}

/* strsignal(3) depends on the locale and sigabbrev_np(3) on the libc. Numbers
   differ between processors. */
static const struct {
    int number;
    const char *name;
} signals[] = {
    { SIGABRT, "SIGABRT" },     { SIGALRM, "SIGALRM" }, { SIGBUS, "SIGBUS" },   { SIGCHLD, "SIGCHLD" },
    { SIGCONT, "SIGCONT" },     { SIGFPE, "SIGFPE" },   { SIGHUP, "SIGHUP" },   { SIGILL, "SIGILL" },
    { SIGINT, "SIGINT" },       { SIGKILL, "SIGKILL" }, { SIGPIPE, "SIGPIPE" }, { SIGPROF, "SIGPROF" },
    { SIGQUIT, "SIGQUIT" },     { SIGSEGV, "SIGSEGV" }, { SIGSTOP, "SIGSTOP" }, { SIGSYS, "SIGSYS" },
    { SIGTERM, "SIGTERM" },     { SIGTRAP, "SIGTRAP" }, { SIGTSTP, "SIGTSTP" }, { SIGTTIN, "SIGTTIN" },
    { SIGTTOU, "SIGTTOU" },     { SIGURG, "SIGURG" },   { SIGUSR1, "SIGUSR1" }, { SIGUSR2, "SIGUSR2" },
    { SIGVTALRM, "SIGVTALRM" }, { SIGXCPU, "SIGXCPU" }, { SIGXFSZ, "SIGXFSZ" },
#ifdef SIGIO
    { SIGIO, "SIGIO" },
#endif
#ifdef SIGWINCH
    { SIGWINCH, "SIGWINCH" },
#endif
#ifdef SIGPWR
    { SIGPWR, "SIGPWR" },
#endif
#ifdef SIGSTKFLT
    { SIGSTKFLT, "SIGSTKFLT" },
#endif
#ifdef SIGEMT
    { SIGEMT, "SIGEMT" },
#endif
#ifdef SIGINFO
    { SIGINFO, "SIGINFO" },
#endif
};

#ifdef SIGRTMIN
#define FIRST_REAL_TIME SIGRTMIN
#define LAST_REAL_TIME SIGRTMAX
#else
#define FIRST_REAL_TIME 0
#define LAST_REAL_TIME (-1)
#endif

struct signal_name {
    char text[32];
};

static struct signal_name name_of(int number)
{
    struct signal_name name;

    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        if (signals[i].number == number) {
            snprintf(name.text, sizeof name.text, "%s", signals[i].name);
            return name;
        }
    }
    if (number < FIRST_REAL_TIME || number > LAST_REAL_TIME)
        snprintf(name.text, sizeof name.text, "signal %d", number);
    else if (number == FIRST_REAL_TIME)
        snprintf(name.text, sizeof name.text, "SIGRTMIN");
    else
        snprintf(name.text, sizeof name.text, "SIGRTMIN+%d", number - FIRST_REAL_TIME);
    return name;
}

int exitfd_describe(const struct exitfd_event *e, char *buffer, size_t size)
{
    if (!e || (!buffer && size > 0))
        return -EINVAL;
    int code = e->origin == EXITFD_UNKNOWN ? 0 : e->code;
    switch (code) {
    case CLD_EXITED:
        return snprintf(buffer, size, "exited %d", e->status);
    case CLD_KILLED:
        return snprintf(buffer, size, "killed by %s", name_of(e->status).text);
    case CLD_DUMPED:
        return snprintf(buffer, size, "killed by %s (core dumped)", name_of(e->status).text);
    case CLD_STOPPED:
        return snprintf(buffer, size, "stopped by %s", name_of(e->status).text);
    case CLD_CONTINUED:
        return snprintf(buffer, size, "continued");
    default:
        return snprintf(buffer, size, "ended, status unknown");
    }
}
