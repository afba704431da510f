/* SPDX-License-Identifier: MIT */
/*
 * What the caller of exitfd_start asks for, checked before there is a child.
 * spawn.c calls this. What comes out is a plan (start.h), which the child only
 * carries out. No other file reads struct exitfd_command.
 */
#include "command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef __APPLE__
#include <crt_externs.h>
#define environ (*_NSGetEnviron())
#else
/* Of the program, not of libc, on FreeBSD: weak, or no library could be linked.
   Not hidden: the one file is built so. */
extern char **environ __attribute__((weak, visibility("default")));
#endif

#define ALL_OPTIONS (EXITFD_NEW_SESSION | EXITFD_NEW_GROUP | EXITFD_KEEP_SIGNALS)

/* What it gives where PATH is not set: confstr(3), _CS_PATH. */
#define DEFAULT_PATH "/bin:/usr/bin"

/* The PATH search as posix_spawnp(3) does it. */
static const char *path_for(const char *file)
{
    if (strchr(file, '/'))
        return NULL;
    const char *path = getenv("PATH");
    return path ? path : DEFAULT_PATH;
}

void xfd_start_signals(sigset_t *mask, sigset_t *default_signals)
{
    sigemptyset(mask);
    sigemptyset(default_signals);
    sigaddset(default_signals, SIGCHLD);
    sigaddset(default_signals, SIGPIPE);
}

void xfd_start_plan(struct start_plan *plan, const char *file, char *const argv[], char *const envp[])
{
    *plan = (struct start_plan){ .file = file, .path = path_for(file), .argv = argv, .envp = envp };
    xfd_start_signals(&plan->mask, &plan->default_signals);
}

static bool needs_path(const struct exitfd_action *action)
{
    return action->type == EXITFD_OPEN || action->type == EXITFD_CHDIR;
}

static bool is_known(const struct exitfd_action *action)
{
    switch (action->type) {
    case EXITFD_DUP2:
    case EXITFD_OPEN:
    case EXITFD_CLOSE:
    case EXITFD_CLOSE_FROM:
    case EXITFD_CHDIR:
    case EXITFD_FCHDIR:
        return !needs_path(action) || action->path;
    }
    return false;
}

static bool are_known(const struct exitfd_action *actions, size_t count)
{
    if (count > 0 && !actions)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!is_known(&actions[i]))
            return false;
    return true;
}

/* A later version's command is as good as ours if it does not use what is
   new. */
static bool copy(struct exitfd_command *known, const struct exitfd_command *command)
{
    const unsigned char *bytes = (const unsigned char *)command;

    if (command->size < sizeof *known)
        return false;
    for (size_t i = sizeof *known; i < command->size; i++)
        if (bytes[i] != 0)
            return false;
    memcpy(known, command, sizeof *known);
    return true;
}

static int check(const struct exitfd_command *command)
{
    if (!command->file || !command->argv || command->options & ~(unsigned)ALL_OPTIONS)
        return -EINVAL;
    if (!are_known(command->actions, command->action_count))
        return -EINVAL;
    return command->death_signal != 0 && !xfd_platform_has_death_signal() ? -ENOTSUP : 0;
}

int xfd_command_read(const struct exitfd_command *command, struct start_plan *plan)
{
    struct exitfd_command known;

    if (!command || !copy(&known, command))
        return -EINVAL;
    int error = check(&known);
    if (error < 0)
        return error;
    xfd_start_plan(plan, known.file, known.argv, known.envp ? known.envp : environ);
    plan->actions = known.actions;
    plan->action_count = known.action_count;
    plan->death_signal = known.death_signal;
    plan->new_session = known.options & EXITFD_NEW_SESSION;
    plan->set_group = known.options & EXITFD_NEW_GROUP && !plan->new_session; /* a session has a new group */
    plan->keep_mask = known.options & EXITFD_KEEP_SIGNALS;
    if (plan->keep_mask)
        sigemptyset(&plan->default_signals);
    return 0;
}
