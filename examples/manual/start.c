/* SPDX-License-Identifier: MIT */
/* Starts a shell that leads a process group, and ends the whole group. */
#include <errno.h>
#include <exitfd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    char *shell[] = { "sh", "-c", "sleep 1000 & sleep 1000", NULL };
    const struct exitfd_action actions[] = {
        { .type = EXITFD_OPEN, .fd = 0, .path = "/dev/null" },
        { .type = EXITFD_CLOSE_FROM, .fd = 3 },
    };
    const struct exitfd_command command = {
        .size = sizeof command,
        .file = shell[0],
        .argv = shell,
        .actions = actions,
        .action_count = sizeof actions / sizeof *actions,
        .options = EXITFD_NEW_GROUP,
    };
    struct exitfd *x;
    struct exitfd_event event;
    char text[64];
    pid_t pid;

    if (exitfd_open(&x, 0) < 0)
        return 1;
    int n = exitfd_start(x, &pid, &command, EXITFD_HOLD, NULL);
    if (n < 0) { /* there is no child, and no event will come */
        fprintf(stderr, "sh: %s\n", strerror(-n));
        return 1;
    }
    exitfd_kill(x, -pid, SIGTERM);
    while ((n = exitfd_wait(x, &event, 1, -1)) == -EINTR)
        continue;
    if (n == 1)
        exitfd_describe(&event, text, sizeof text);
    printf("sh, pid %d: %s\n", (int)pid, n == 1 ? text : strerror(-n));
    /* The zombie of sh holds the number of the group. */
    exitfd_kill(x, -pid, SIGKILL);
    exitfd_discard(x, pid);
    exitfd_close(x);
    return n == 1 ? 0 : 1;
}
