/* SPDX-License-Identifier: MIT */
/*
 * Linked with the static library. Its pthread_atfork handlers are registered
 * before those of a constructor of the program, as with the shared one. So
 * before a fork the handlers of the program run first. They may take a lock
 * that is held around calls of the library.
 */
#include "tap.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static bool asked, library_was_first;

/* The library's handler blocks all signals. */
static void before_fork(void)
{
    sigset_t mask;

    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    library_was_first = sigismember(&mask, SIGUSR1) == 1;
    asked = true;
}

__attribute__((constructor)) static void register_handlers(void)
{
    pthread_atfork(before_fork, NULL, NULL);
}

static void the_programs_handler_comes_first(void)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_exit(3);

    SOFT_CHECK(asked);
    SOFT_CHECK(!library_was_first);
    SOFT_CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    struct exitfd_event event = next_event(x);
    SOFT_CHECK(is_event(&event, pid, CLD_EXITED, 3, EXITFD_REAPED));
    exitfd_close(x);
}

int main(int argc, char *argv[])
{
    static const struct tap_case cases[] = {
        { "the_programs_handler_comes_first", the_programs_handler_comes_first },
    };
    return tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
