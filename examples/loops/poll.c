/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: poll fails with EINTR after any signal handler, SA_RESTART or
 * not. The pidfd back end has no handler, but the self-pipe one has, and so may
 * the rest of the program.
 */
#include "children.h"
#include <errno.h>
#include <poll.h>

int main(void)
{
    struct exitfd *x;
    must(exitfd_open(&x, 0), "exitfd_open");
    start_children(x);

    struct pollfd exits = { .fd = exitfd_get_fd(x), .events = POLLIN };
    for (int left = CHILDREN; left > 0;) {
        int n = poll(&exits, 1, -1);
        if (n < 0 && errno != EINTR)
            must(-errno, "poll");
        if (n > 0)
            left -= print_ends(x);
    }
    exitfd_close(x);
    return 0;
}
