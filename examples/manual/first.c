/* SPDX-License-Identifier: MIT */
/* Starts a program, and waits for its end with poll(2). */
#include <exitfd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

extern char **environ;

int main(void)
{
    char *sh[] = { "sh", "-c", "exit 3", NULL };
    struct exitfd *x;
    struct exitfd_event event;
    char text[64];

    int error = exitfd_open(&x, 0);
    if (error == 0)
        error = exitfd_spawn(x, NULL, sh[0], NULL, NULL, sh, environ, 0, "job");
    if (error < 0) {
        fprintf(stderr, "first: %s\n", strerror(-error));
        return 1;
    }

    /* A real program has its sockets in fds too. */
    struct pollfd fds[] = { { .fd = exitfd_get_fd(x), .events = POLLIN } };
    int n;
    while ((n = exitfd_wait(x, &event, 1, 0)) == 0)
        poll(fds, 1, -1);

    if (n == 1) {
        exitfd_describe(&event, text, sizeof text);
        printf("%s: %s\n", (char *)event.data, text);
    }
    exitfd_close(x);
    return n == 1 ? 0 : 1;
}
