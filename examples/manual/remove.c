/* SPDX-License-Identifier: MIT */
/* Takes a child back, and waits for it with waitpid(2). */
#include <exitfd.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    struct exitfd *x;
    int status;

    if (exitfd_open(&x, 0) < 0)
        return 1;
    pid_t pid = exitfd_fork(x, 0, NULL);
    if (pid == 0)
        _exit(3);
    if (pid < 0 || exitfd_remove(x, pid) < 0)
        return 1;
    exitfd_close(x);
    /* Removed, so it is ours to wait for. */
    if (waitpid(pid, &status, 0) != pid)
        return 1;
    printf("exit status %d\n", WEXITSTATUS(status));
    return 0;
}
