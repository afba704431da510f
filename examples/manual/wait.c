/* SPDX-License-Identifier: MIT */
/* Three children at once, and what each event means. */
#include <errno.h>
#include <exitfd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print(const struct exitfd_event *e)
{
    const char *name = e->data;

    if (e->origin == EXITFD_UNKNOWN)
        printf("%s: ended, but its status is lost\n", name);
    else if (e->code == CLD_EXITED)
        printf("%s: exit status %d\n", name, e->status);
    else
        printf("%s: signal %d\n", name, e->status);
}

int main(void)
{
    static char *names[] = { "one", "two", "three" };
    struct exitfd *x;
    struct exitfd_event events[16];
    int left = 0;

    if (exitfd_open(&x, 0) < 0)
        return 1;
    for (; left < 3; left++) {
        pid_t pid = exitfd_fork(x, 0, names[left]);
        if (pid == 0)
            _exit(left);
        if (pid < 0) { /* there is no child, and no event will come */
            fprintf(stderr, "exitfd_fork: %s\n", strerror(-pid));
            return 1;
        }
    }

    while (left > 0) {
        int n = exitfd_wait(x, events, 16, -1);
        if (n == -EINTR || n == -EPIPE)
            continue; /* a handler ran; to stop on SIGTERM, see CAVEATS */
        if (n < 0) {
            fprintf(stderr, "exitfd_wait: %s\n", strerror(-n));
            return 1;
        }
        for (int i = 0; i < n; i++)
            print(&events[i]);
        left -= n;
    }
    exitfd_close(x);
    return 0;
}
