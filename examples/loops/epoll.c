/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: with EPOLLET there is no second notification for what was
 * left unread, so take events until there are none. Without EPOLLET one call a
 * round is enough.
 */
#include "children.h"
#include <errno.h>
#include <sys/epoll.h>

int main(void)
{
    struct exitfd *x;
    must(exitfd_open(&x, 0), "exitfd_open");
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event interest = { .events = EPOLLIN | EPOLLET };
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, exitfd_get_fd(x), &interest) < 0)
        must(-errno, "epoll");
    start_children(x);

    for (int left = CHILDREN; left > 0;) {
        struct epoll_event ready;
        if (epoll_wait(epoll_fd, &ready, 1, -1) < 0 && errno != EINTR)
            must(-errno, "epoll_wait");
        for (int n; (n = print_ends(x)) > 0;)
            left -= n;
    }
    close(epoll_fd);
    exitfd_close(x);
    return 0;
}
