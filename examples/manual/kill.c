/* SPDX-License-Identifier: MIT */
/* Gives a child 100 ms, then SIGTERM, then a second, then SIGKILL. */
#include <errno.h>
#include <exitfd.h>
#include <stdio.h>

extern char **environ;

static int wait_ms(struct exitfd *x, struct exitfd_event *event, int timeout_ms)
{
    int n;

    do
        n = exitfd_wait(x, event, 1, timeout_ms);
    while (n == -EINTR);
    return n;
}

int main(void)
{
    char *job[] = { "sleep", "1000", NULL };
    struct exitfd *x;
    struct exitfd_event event;
    char text[64];
    pid_t pid;

    if (exitfd_open(&x, 0) < 0)
        return 1;
    if (exitfd_spawn(x, &pid, job[0], NULL, NULL, job, environ, 0, NULL) < 0)
        return 1;
    int n = wait_ms(x, &event, 100);
    if (n == 0) {
        exitfd_kill(x, pid, SIGTERM); /* it cannot hit another process */
        n = wait_ms(x, &event, 1000);
    }
    if (n == 0) {
        exitfd_kill(x, pid, SIGKILL);
        n = wait_ms(x, &event, -1);
    }
    if (n == 1) {
        exitfd_describe(&event, text, sizeof text);
        printf("sleep: %s\n", text);
    }
    exitfd_close(x);
    return n == 1 ? 0 : 1;
}
