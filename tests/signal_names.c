/* SPDX-License-Identifier: MIT */
/* The program exitfd names each signal as the library does, and reads those
   names. */
#include "tap.h"

#include "../tools/signal_names.h"

#include <signal.h>

static void each_signal_has_the_name_that_the_library_gives_it(void)
{
    for (int signo = 1; signo < NSIG + 2; signo++) {
        struct exitfd_event event = { .code = CLD_KILLED, .status = signo, .origin = EXITFD_REAPED };
        char described[64], named[64], buffer[SIGNAL_NAME_SIZE];
        exitfd_describe(&event, described, sizeof described);
        snprintf(named, sizeof named, "killed by %s", signal_name(signo, buffer));
        CHECK_STR(named, described, "signal %d", signo);
    }
}

static void names_are_read_with_and_without_sig(void)
{
    static const int signals[] = { SIGHUP, SIGKILL, SIGUSR2, SIGCHLD, SIGWINCH, SIGSYS };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        char buffer[SIGNAL_NAME_SIZE];
        const char *name = signal_name(signals[i], buffer);
        int signo = 0;
        SOFT_CHECK(parse_signal(name, &signo) && signo == signals[i]);
        signo = 0;
        SOFT_CHECK(parse_signal(name + 3, &signo) && signo == signals[i]);
    }
}

static void what_is_no_name_is_not_read(void)
{
    int signo = 77;
    SOFT_CHECK(!parse_signal("", &signo) && !parse_signal("SIG", &signo) && !parse_signal("SIGNONE", &signo));
    SOFT_CHECK(!parse_signal("signal 32", &signo) && !parse_signal("nal 32", &signo) && !parse_signal("0", &signo));
    SOFT_CHECK(signo == 77);
}

static const struct tap_case cases[] = {
    { "each_signal_has_the_name_that_the_library_gives_it", each_signal_has_the_name_that_the_library_gives_it },
    { "names_are_read_with_and_without_sig", names_are_read_with_and_without_sig },
    { "what_is_no_name_is_not_read", what_is_no_name_is_not_read },
};

int main(int argc, char *argv[])
{
    return tap_main(argc, argv, cases, sizeof cases / sizeof *cases);
}
