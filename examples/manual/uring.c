/* SPDX-License-Identifier: MIT */
/* Child exits in a ring of your own, in two ways. */
#include <errno.h>
#include <exitfd/uring.h>
#include <stdio.h>
#include <unistd.h>

enum {
    CHILDREN = 1,
    ONE_CHILD
};

static void print(const char *way, const struct exitfd_event *event)
{
    char text[64];

    exitfd_describe(event, text, sizeof text);
    printf("%s: %s\n", way, text);
}

int main(void)
{
    struct io_uring ring;
    struct io_uring_cqe *cqe;
    struct exitfd *x;
    struct exitfd_event event;
    int left = 2;

    if (io_uring_queue_init(8, &ring, 0) < 0 || exitfd_open(&x, 0) < 0)
        return 1;

    /* One poll for all children of an exitfd. */
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    exitfd_uring_prep_poll(sqe, x);
    io_uring_sqe_set_data64(sqe, CHILDREN);
    pid_t pid = exitfd_fork(x, 0, NULL);
    if (pid == 0)
        _exit(3);
    if (pid < 0)
        return 1;

    /* One request for a child on its own. */
    pid = fork();
    if (pid == 0)
        _exit(4);
    if (pid < 0)
        return 1;
    sqe = io_uring_get_sqe(&ring);
    exitfd_uring_prep_child(sqe, pid, 0);
    io_uring_sqe_set_data64(sqe, ONE_CHILD);

    while (left > 0) {
        int error = io_uring_submit_and_wait(&ring, 1);
        if (error < 0 && error != -EINTR)
            return 1;
        if (io_uring_peek_cqe(&ring, &cqe) < 0)
            continue;
        if (cqe->user_data == CHILDREN) {
            for (; exitfd_wait(x, &event, 1, 0) > 0; left--)
                print("exitfd", &event);
            if (exitfd_uring_keep_polling(&ring, cqe, x) < 0)
                return 1;
        } else {
            int n = exitfd_uring_take_child(cqe, pid, 0, NULL, &event);
            if (n < 0)
                return n == -EINVAL ? 77 : 1; /* before Linux 6.7 */
            if (n == 1)
                print("request", &event);
            left--;
        }
        io_uring_cqe_seen(&ring, cqe);
    }
    exitfd_close(x);
    io_uring_queue_exit(&ring);
    return 0;
}
