/* SPDX-License-Identifier: MIT */
/* Waits for the end of any process, for example one of another user. */
#include <exitfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct exitfd *x;
    struct exitfd_event event;
    char text[64];

    if (argc != 2) {
        fprintf(stderr, "usage: observe PID\n");
        return 2;
    }
    int error = exitfd_open(&x, 0);
    if (error == 0)
        error = exitfd_add(x, atoi(argv[1]), EXITFD_OBSERVE, NULL);
    if (error == 0)
        error = exitfd_wait(x, &event, 1, -1);
    if (error < 0) {
        fprintf(stderr, "observe: %s\n", strerror(-error));
        return 1;
    }
    /* "exited 0", or "ended, status unknown" before Linux 6.15. */
    exitfd_describe(&event, text, sizeof text);
    printf("%d: %s\n", (int)event.pid, text);
    exitfd_close(x);
    return 0;
}
