/* SPDX-License-Identifier: MIT */
#include "terminal.h"

#include <fcntl.h>
#include <unistd.h>

static int open_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    /* A container may have no /dev/tty, and this process no fd to spare. */
    for (int i = STDIN_FILENO; fd < 0 && i <= STDERR_FILENO; i++)
        fd = tcgetpgrp(i) >= 0 ? i : -1;
    return fd;
}

int terminal_find(void)
{
    static int terminal = -2;
    if (terminal == -2)
        terminal = open_terminal();
    return terminal;
}

bool terminal_foreground_is(int terminal, pid_t group)
{
    return terminal >= 0 && tcgetpgrp(terminal) == group;
}

void terminal_hand_over(int terminal, pid_t group)
{
    if (terminal_foreground_is(terminal, getpgrp()))
        tcsetpgrp(terminal, group);
}

void terminal_take_back(int terminal, pid_t group)
{
    if (terminal_foreground_is(terminal, group))
        tcsetpgrp(terminal, getpgrp());
}
