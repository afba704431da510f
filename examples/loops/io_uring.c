/* SPDX-License-Identifier: MIT */
/*
 * The sharp edge: a poll request is over once it has completed, so ask again
 * after each. A multishot one (io_uring_prep_poll_multishot) is not, but it is
 * edge-triggered: with it take events until there are none.
 * This ring is the program's own: any back end of exitfd, its io_uring one too,
 * is one more fd to it.
 */
#include "children.h"
#include <errno.h>
#include <liburing.h>
#include <poll.h>

int main(void)
{
    struct exitfd *x;
    must(exitfd_open(&x, 0), "exitfd_open");
    struct io_uring ring;
    must(io_uring_queue_init(8, &ring, 0), "io_uring_queue_init");
    start_children(x);

    for (int left = CHILDREN; left > 0;) {
        io_uring_prep_poll_add(io_uring_get_sqe(&ring), exitfd_get_fd(x), POLLIN);
        must(io_uring_submit(&ring), "io_uring_submit");
        struct io_uring_cqe *done;
        int r;
        while ((r = io_uring_wait_cqe(&ring, &done)) == -EINTR)
            continue;
        must(r, "io_uring_wait_cqe");
        must(done->res, "poll request");
        io_uring_cqe_seen(&ring, done);
        left -= print_ends(x);
    }
    io_uring_queue_exit(&ring);
    exitfd_close(x);
    return 0;
}
