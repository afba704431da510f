/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: FD_SET with an fd number of FD_SETSIZE (1,024) or more writes
 * beyond the set, whatever the fd limit is. Open the exitfd early, while
 * numbers are low: the fds of its children may have any number.
 */
#include "children.h"
#include <errno.h>
#include <sys/select.h>

int main(void)
{
    struct exitfd *x;
    must(exitfd_open(&x, 0), "exitfd_open");
    int exits = exitfd_get_fd(x);
    if (exits >= FD_SETSIZE)
        must(-EMFILE, "select");
    start_children(x);

    for (int left = CHILDREN; left > 0;) {
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(exits, &readable);
        int n = select(exits + 1, &readable, NULL, NULL, NULL);
        if (n < 0 && errno != EINTR)
            must(-errno, "select");
        if (n > 0)
            left -= print_ends(x);
    }
    exitfd_close(x);
    return 0;
}
