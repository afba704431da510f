/* SPDX-License-Identifier: MIT */
#include "tool.h"

#include <exitfd.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct subcommand {
    const char *name;
    const char *full_name;
    int (*main)(int argc, char **argv);
    const char *purpose;
} subcommands[] = {
    { "wait", "exitfd wait", wait_main, "wait for any processes and tell how each ended" },
    { "run", "exitfd run", run_main, "run the command lines of a file, several at a time" },
    { "init", "exitfd init", init_main, "be PID 1 of a container, or a sub-reaper, around a command" },
    { "doctor", "exitfd doctor", doctor_main, "tell what this machine and this environment offer" },
};

enum {
    SUBCOMMAND_COUNT = sizeof subcommands / sizeof *subcommands
};

static int print_help(void)
{
    puts("Usage: exitfd COMMAND [OPTION]... [ARGUMENT]...\n"
         "Child exits, exactly once, with their true status.\n");
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        printf("  %-8s %s\n", subcommands[i].name, subcommands[i].purpose);
    }
    puts("\n'exitfd COMMAND --help' describes one of them, exitfd(1) all.\n"
         "'exitfd --version' prints the versions of this program and of its library.");
    return close_stdout(0);
}

static int print_version(void)
{
    printf("exitfd %d.%d.%d (library %s)\n", EXITFD_VERSION_MAJOR, EXITFD_VERSION_MINOR, EXITFD_VERSION_PATCH,
           exitfd_version());
    return close_stdout(0);
}

/* A descriptor of ours that is numbered 0, 1 or 2 would be taken for a standard one, by a command at the latest. Who reads
   from one that was closed, or prints to it, must notice: it cannot be read, or written. */
static bool fill_standard_fds(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) {
            return false;
        }
    }
    return true;
}

static const struct subcommand *find_subcommand(const char *name)
{
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        if (strcmp(name, subcommands[i].name) == 0) {
            return &subcommands[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (!fill_standard_fds()) {
        complain("cannot open /dev/null: is /dev mounted?");
        return STATUS_FAILED;
    }
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        return usage_error("a command is missing: wait, run, init or doctor");
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        return print_help();
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        return print_version();
    }
    const struct subcommand *subcommand = find_subcommand(word);
    if (!subcommand) {
        return usage_error("'%s' is not a command: it is one of wait, run, init and doctor", word);
    }
    command_name = subcommand->full_name;
    opterr = 0;
    return subcommand->main(argc - 1, argv + 1);
}
