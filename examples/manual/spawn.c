/* SPDX-License-Identifier: MIT */
/* Starts a program with its output sent elsewhere. */
#include <errno.h>
#include <exitfd.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

extern char **environ;

int main(void)
{
    char *ls[] = { "ls", "/nowhere", NULL };
    posix_spawn_file_actions_t actions;
    struct exitfd *x;
    struct exitfd_event event;
    char text[64];
    pid_t pid;

    if (exitfd_open(&x, 0) < 0 || posix_spawn_file_actions_init(&actions) != 0)
        return 1;
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int r = exitfd_spawn(x, &pid, ls[0], &actions, NULL, ls, environ, 0, NULL);
    posix_spawn_file_actions_destroy(&actions);
    if (r < 0) { /* there is no child, and no event will come */
        fprintf(stderr, "ls: %s\n", strerror(-r));
        return 1;
    }
    int n;
    while ((n = exitfd_wait(x, &event, 1, -1)) == -EINTR)
        continue;
    if (n == 1)
        exitfd_describe(&event, text, sizeof text);
    printf("ls, pid %d: %s\n", (int)pid, n == 1 ? text : strerror(-n));
    exitfd_close(x);
    return n == 1 ? 0 : 1;
}
