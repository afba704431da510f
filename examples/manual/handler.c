/* SPDX-License-Identifier: MIT */
/* A self-pipe: SIGCHLD makes a pipe readable, and the program reaps itself. */
#include <exitfd.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    int ends[2], status;
    char byte;

    if (pipe(ends) < 0 || exitfd_install_handler(ends[1], NULL) < 0)
        return 1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(3);
    if (pid < 0)
        return 1;

    struct pollfd in = { .fd = ends[0], .events = POLLIN };
    while (poll(&in, 1, -1) < 0)
        continue; /* EINTR: poll is never restarted after a handler */
    if (read(ends[0], &byte, 1) == 1 && waitpid(pid, &status, 0) == pid)
        printf("exit status %d\n", WEXITSTATUS(status));

    exitfd_install_handler(-1, NULL); /* before the pipe is closed */
    close(ends[0]);
    close(ends[1]);
    return 0;
}
