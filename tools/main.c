/* SPDX-License-Identifier: MIT */
/*
 * Finds the subcommand, and answers --help and --version. First it opens what
 * is closed of the fds 0 to 2, so that no file of ours gets such a number. Only
 * wait gives up 0 once it reads no more.
 */
#include "tool.h"

#include <exitfd.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct subcommand {
    const char *name;
    const char *full_name;
    int (*main)(int argc, char **argv);
    const char *purpose;
} subcommands[] = {
    { "wait", "exitfd wait", wait_main, "wait for any processes and print how each ended" },
    { "run", "exitfd run", run_main, "run the command lines of a file, several at a time" },
    { "init", "exitfd init", init_main, "run a command as PID 1 of a container, or as a sub-reaper" },
    { "doctor", "exitfd doctor", doctor_main, "print what this machine and this environment offer" },
};

enum {
    SUBCOMMAND_COUNT = sizeof subcommands / sizeof *subcommands
};

static int print_help(void)
{
    puts("Usage: exitfd COMMAND [OPTION]... [ARGUMENT]...\n"
         "Child exits, exactly once, with their true status.\n");
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        printf("  %-8s %s\n", subcommands[i].name, subcommands[i].purpose);
    puts("\n'exitfd help COMMAND' or 'exitfd COMMAND --help' describes one of them.\n"
         "The manual page exitfd(1) describes all.\n"
         "'exitfd --version' prints the versions of this program and of its library.");
    return close_stdout(0);
}

static int print_version(void)
{
    printf("exitfd %d.%d.%d (library %s)\n", EXITFD_VERSION_MAJOR, EXITFD_VERSION_MINOR, EXITFD_VERSION_PATCH,
           exitfd_version());
    return close_stdout(0);
}

/*
 * A descriptor of ours that is numbered 0, 1 or 2 would be taken for a standard
 * one. Code that reads from a closed one, or prints to it, must notice: it
 * cannot be read, or written. A command that is executed finds it closed as it
 * was.
 */
static bool fill_standard_fds(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int mode = (fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC;
        /* A folder cannot be read or written either, and one is there without a
           /dev. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode) != fd && open("/", O_RDONLY | O_CLOEXEC) != fd)
            return false;
    }
    return true;
}

static const struct subcommand *find_subcommand(const char *name)
{
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        if (strcmp(name, subcommands[i].name) == 0)
            return &subcommands[i];
    }
    return NULL;
}

static int run_subcommand(const char *name, int argc, char **argv)
{
    const struct subcommand *subcommand = find_subcommand(name);
    if (!subcommand) {
        return usage_error("'%s' is not a command. Commands are wait, run, init and doctor%s", name,
                           *name == '-' ? ". Options follow the command, as in exitfd init -g -- COMMAND" : "");
    }
    command_name = subcommand->full_name;
    opterr = 0;
    return subcommand->main(argc, argv);
}

/* "exitfd help run" is "exitfd run --help". */
static int help_main(int argc, char **argv)
{
    char help[] = "--help", *words[] = { NULL, help, NULL };
    if (argc > 2)
        return usage_error("'%s' is one too many. help takes one command", argv[2]);
    return argc == 2 ? run_subcommand(argv[1], 2, words) : print_help();
}

int main(int argc, char **argv)
{
    if (!fill_standard_fds()) {
        complain("standard input, output or error is closed, and neither /dev/null nor / can be opened");
        return STATUS_FAILED;
    }
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word)
        return usage_error("a command is missing. Commands are wait, run, init and doctor");
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return print_help();
    if (strcmp(word, "help") == 0)
        return help_main(argc - 1, argv + 1);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return print_version();
    return run_subcommand(word, argc - 1, argv + 1);
}
