/* SPDX-License-Identifier: MIT */
/*
 * Commands for exitfd_start, and what became of them. The suites start_* use
 * it.
 */
#include "start_support.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>

enum {
    MOST_ACTIONS = 32
};

struct exitfd_command command_of(char *const argv[])
{
    return (struct exitfd_command){ .size = sizeof(struct exitfd_command), .file = argv[0], .argv = argv };
}

struct exitfd_command shell_command(const char *script)
{
    static char *argv[4];
    argv[0] = "sh";
    argv[1] = "-c";
    argv[2] = (char *)script;
    return command_of(argv);
}

static size_t read_all(int fd, char *text, size_t size)
{
    size_t length = 0;
    ssize_t n;
    while ((n = read(fd, text + length, size - 1 - length)) > 0)
        length += (size_t)n;
    CHECK(n == 0 && length < size - 1, "it wrote too much");
    text[length] = '\0';
    return length;
}

struct output output_of_command(struct exitfd *x, const struct exitfd_command *command)
{
    struct exitfd_action actions[MOST_ACTIONS];
    struct exitfd_command with_output = *command;
    struct output output;
    int ends[2];
    pid_t pid;
    CHECK(command->action_count < MOST_ACTIONS);
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    actions[0] = (struct exitfd_action){ .type = EXITFD_DUP2, .fd = ends[1], .target = STDOUT_FILENO };
    for (size_t i = 0; i < command->action_count; i++)
        actions[i + 1] = command->actions[i];
    with_output.actions = actions;
    with_output.action_count++;
    CHECK_EQ(exitfd_start(x, &pid, &with_output, 0, &output), 0);
    close(ends[1]);
    read_all(ends[0], output.text, sizeof(output.text));
    close(ends[0]);
    struct exitfd_event event = call_until_event(x);
    CHECK(event.origin == EXITFD_UNKNOWN || (event.code == CLD_EXITED && event.status == 0), "status %d: %s",
          event.status, output.text);
    CHECK_EQ(event.pid, pid);
    CHECK_EQ(event.data, &output);
    return output;
}

void expect_nothing_started(struct exitfd *x, int result, int wanted, pid_t pid)
{
    CHECK_EQ(result, wanted);
    CHECK_EQ(pid, -77, "the pid was written in spite of the failure");
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "there is a child in spite of the failure");
    expect_quiet_soon(x);
}

void *steal_children(void *stop)
{
    while (!atomic_load((atomic_bool *)stop))
        if (waitpid(-1, NULL, 0) < 0)
            sched_yield();
    return NULL;
}

struct signal_masks masks_in_program(struct exitfd *x, unsigned options)
{
    struct exitfd_command command = command_of((char *[]){ "cat", "/proc/self/status", NULL });
    command.options = options;
    struct output output = output_of_command(x, &command);
    return masks_in(output.text);
}
