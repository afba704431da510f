/* SPDX-License-Identifier: MIT */
/*
 * Starts one command for job.c. Between vfork and exec the child shares our
 * memory. There it makes system calls, and writes nothing that we would see.
 */
#include "run_start.h"

#include "run.h"
#include "signals.h"
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static bool ask_shell(void)
{
    int status = -1;
    pid_t pid = vfork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "test $'x' = x", (char *)NULL);
        _exit(STATUS_CANNOT_EXECUTE);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool shell_knows_dollar_quotes(void)
{
    static int answer = -1;
    if (answer < 0)
        answer = ask_shell();
    return answer;
}

struct failure {
    volatile int error; /* errno of the exec */
    const char *volatile file;
};

/* The guard sees to everything when exitfd run is killed; this is for when the
   guard is killed too. */
static void die_with_parent(pid_t parent)
{
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(STATUS_FAILED);
#else
    (void)parent;
#endif
}

static void try_to_execute(const char *file, char *const *words, struct failure *failure)
{
    failure->error = 0; /* if it can be executed nothing comes after it */
    failure->file = NULL;
    execvp(file, words);
    failure->error = errno;
    failure->file = file;
}

_Noreturn static void become_command(const struct start *start, pid_t parent, struct failure *failure)
{
    static char shell[] = "/bin/sh", name[] = "sh", option[] = "-c", end[] = "--";
    char *const shell_words[] = { name, option, end, (char *)start->line, NULL };
    die_with_parent(parent);
    setpgid(0, 0);
    dup2(start->environment->null_fd, STDIN_FILENO);
    dup2(start->output_fds[0], STDOUT_FILENO);
    dup2(start->output_fds[1], STDERR_FILENO);
    setrlimit(RLIMIT_NOFILE, &start->environment->open_files);
    signals_restore_in_child();
    signals_set_mask(&start->environment->signal_mask);
    if (start->words)
        try_to_execute(start->words[0], start->words, failure);
    if (start->line) { /* it knows best what to say of a program that is not there */
        try_to_execute(shell, shell_words, failure);
    }
    _exit(STATUS_CANNOT_EXECUTE);
}

/* Nothing but this may stand between the call and the child's exec. */
__attribute__((noinline)) static pid_t fork_command(const struct start *start, pid_t parent, struct failure *failure)
{
    pid_t pid = vfork();
    if (pid == 0)
        become_command(start, parent, failure);
    return pid < 0 ? -errno : pid;
}

static void watch(const struct start *start, pid_t pid)
{
    int r = exitfd_add(start->environment->x, pid, 0, start->data);
    if (r < 0) {
        complain("cannot watch a command: %s", strerror(-r));
        exit(WORKER_FAILED);
    }
}

/* Every signal is blocked around it: a handler that ran before the exec would
   be ours, and in our memory. */
pid_t start_process(const struct start *start, const char **ret_file)
{
    struct failure failure = { .error = 0 };
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork_command(start, getpid(), &failure);
    sigprocmask(SIG_SETMASK, &before, NULL);
    *ret_file = failure.file;
    if (pid > 0 && failure.error) {
        waitpid(pid, NULL, 0);
        return -failure.error;
    }
    if (pid > 0)
        watch(start, pid);
    return pid;
}
