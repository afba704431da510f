/* SPDX-License-Identifier: MIT */
#include "signal_names.h"

#include "tool.h"

#include <exitfd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The library's name of it, so that both say the same. exitfd_describe puts it
   behind other words. */
const char *signal_name(int signo, char buffer[SIGNAL_NAME_SIZE])
{
    static const char words[] = "killed by ";
    const struct exitfd_event event = { .code = CLD_KILLED, .status = signo, .origin = EXITFD_REAPED };
    char text[sizeof words - 1 + SIGNAL_NAME_SIZE];
    exitfd_describe(&event, text, sizeof text);
    snprintf(buffer, SIGNAL_NAME_SIZE, "%s", text + sizeof words - 1);
    return buffer;
}

static bool has_constant(const char *name)
{
    return strncmp(name, "SIG", 3) == 0 && strncmp(name, "SIGRT", 5) != 0;
}

bool parse_signal(const char *text, int *ret_signo)
{
    int64_t number;
    if (parse_number(text, 1, NSIG - 1, &number)) {
        *ret_signo = (int)number;
        return true;
    }
    for (int signo = 1; signo < NSIG; signo++) {
        char buffer[SIGNAL_NAME_SIZE];
        const char *name = signal_name(signo, buffer);
        if (has_constant(name) && (strcasecmp(text, name) == 0 || strcasecmp(text, name + 3) == 0)) {
            *ret_signo = signo;
            return true;
        }
    }
    return false;
}
