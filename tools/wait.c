/* SPDX-License-Identifier: MIT */
/* exitfd wait: observes processes, its own children or not, and tells how each
   ended. */
#include "ending.h"
#include "json.h"
#include "processes.h"
#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

static const char help[] = "Usage: exitfd wait [-t SECONDS] [-n COUNT] [--json] PID[:INODE]...\n"
                           "Wait for processes, children or not, and print how each ended.\n"
                           "\n"
                           "  -t, --timeout SECONDS  give up after SECONDS (0.5, 90s, 2m, 1h, 1d). 0 checks once\n"
                           "  -n, --count COUNT      return when COUNT of the processes have ended. Default: all\n"
                           "      --json             print a JSON object for each process\n"
                           "  -h, --help             print this\n"
                           "\n"
                           "A process counts as ended when its parent has waited for it. Only then is its\n"
                           "status on record. Before Linux 6.15 the status is unknown.\n"
                           "INODE is the inode number of the process's pidfd (Linux 6.9). With it, a process\n"
                           "that got the same PID later is not taken for the first one.\n"
                           "\n"
                           "Exit status, one PID:       that of the process, or 128 plus the signal that killed it\n"
                           "Exit status, several PIDs:  0 if each exited with 0, else 123\n"
                           "Both:  124 time-out, 1 no such process, 125 a status is unknown, 2 wrong usage\n";

/* Those of util-linux's waitpid, pwait, tail and timeout. */
static const struct foreign_option of_other_programs[] = {
    { " -c ", "Use -n COUNT" },
    { " -o --any ", "Use -n 1 to return when one has ended" },
    { " -e --exited ", "Leave it out. The others are waited for if a process does not exist" },
    { " -v --verbose ", "Leave it out. The end of each process is printed" },
    { " -p --pid ", "Name the process itself, as in exitfd wait PID" },
    { " -k -s --kill-after --signal ", "exitfd wait sends no signal. Use kill(1)" },
    { NULL, NULL },
};

struct target {
    pid_t pid;
    uint64_t inode; /* 0: not asked for */
    bool watched;
};

struct waiting {
    struct exitfd *x;
    struct target *targets;
    int target_count;
    int watched_count;
    int ended_count;
    int wanted_count;
    bool json;
    bool has_own_proc; /* else nothing tells a zombie, nor its parent */
    bool is_unwatched_one;
    bool is_unknown_one;
    bool is_failed_one;
    bool is_timed_out;
    int last_status;
};

static bool parse_target(char *text, struct target *target)
{
    char *colon = strchr(text, ':');
    if (colon) {
        char *end;
        errno = 0;
        target->inode = strtoull(colon + 1, &end, 10);
        if (colon[1] < '0' || colon[1] > '9' || *end || errno || target->inode == 0)
            return false;
        *colon = '\0';
    }
    int64_t pid;
    bool valid = parse_number(text, 1, INT_MAX, &pid);
    if (colon)
        *colon = ':';
    target->pid = (pid_t)pid;
    return valid;
}

static void print_without_ending(const struct waiting *w, pid_t pid, const char *outcome)
{
    if (!w->json)
        return;
    json_begin(stdout, "process");
    json_integer(stdout, "pid", pid);
    outcome_to_json(stdout, outcome);
    json_end(stdout);
    fflush(stdout);
}

static void note_missing(struct waiting *w, struct target *target, const char *why)
{
    complain("%d: %s", (int)target->pid, why);
    print_without_ending(w, target->pid, "missing");
    w->is_unwatched_one = true;
}

/* 0, -ESRCH for another process, or why they cannot be compared. */
#ifdef __linux__
static int check_inode(struct exitfd *x, const struct target *target)
{
    const long pidfs_magic = 0x50494446;
    struct statfs fs;
    struct stat st;
    int pidfd = exitfd_get_pidfd(x, target->pid);
    if (pidfd < 0)
        return pidfd;
    if (fstatfs(pidfd, &fs) != 0 || fstat(pidfd, &st) != 0)
        return -errno;
    if ((long)fs.f_type != pidfs_magic)
        return -ENOTSUP;
    return st.st_ino == target->inode ? 0 : -ESRCH;
}
#else
static int check_inode(struct exitfd *x, const struct target *target)
{
    (void)x, (void)target;
    return -ENOTSUP;
}
#endif

/* A process that was named before goes on being waited for. */
static void watch_inode(struct waiting *w, struct target *target)
{
    int r = check_inode(w->x, target);
    if (r == 0)
        return;
    if (target->watched) {
        exitfd_remove(w->x, target->pid);
        target->watched = false;
    }
    if (r == -ESRCH) {
        note_missing(w, target, "the PID belongs to another process now. Its pidfd has another inode");
        return;
    }
    w->is_unwatched_one = true;
    complain("%d:%" PRIu64 ": cannot compare the inode: %s. That needs Linux 6.9. Give the PID alone", (int)target->pid,
             target->inode, strerror(-r));
}

static void note_unwatched(struct waiting *w, const struct target *target, int reason)
{
    w->is_unwatched_one = true;
    if (reason == -ENOTSUP) {
        complain("%d: cannot wait for it. The %s back end sees only its own children. See 'exitfd doctor'",
                 (int)target->pid, exitfd_get_backend(w->x));
    } else {
        complain("%d: cannot wait for it: %s%s", (int)target->pid, strerror(-reason),
                 reason == -EMFILE ? ". Raise the limit on open files (ulimit -n)" : "");
    }
}

static void watch(struct waiting *w, struct target *target)
{
    /* Named twice: asked first, for meanwhile it may have been reaped, and then
       it could not be added. */
    bool is_watched = exitfd_get_pidfd(w->x, target->pid) != -ENOENT;
    int r = is_watched ? -EEXIST : exitfd_add(w->x, target->pid, EXITFD_OBSERVE, target);
    target->watched = r == 0;
    if (r == -ESRCH)
        note_missing(w, target, "no such process");
    else if (r < 0 && r != -EEXIST)
        note_unwatched(w, target, r);
    else if (target->inode)
        watch_inode(w, target);
}

static void watch_all(struct waiting *w)
{
    for (int i = 0; i < w->target_count; i++) {
        watch(w, &w->targets[i]);
        w->watched_count += w->targets[i].watched;
    }
    if (w->wanted_count > w->watched_count)
        w->wanted_count = w->watched_count;
}

static void report(struct waiting *w, const struct exitfd_event *ending)
{
    char words[ENDING_SIZE];
    ((struct target *)ending->data)->watched = false;
    w->ended_count++;
    w->last_status = ending_exit_status(ending);
    w->is_unknown_one |= ending->origin == EXITFD_UNKNOWN;
    w->is_failed_one |= !ending_is_success(ending);
    if (w->json) {
        json_begin(stdout, "process");
        json_integer(stdout, "pid", ending->pid);
        ending_to_json(stdout, ending);
        json_end(stdout);
    } else {
        printf("%d %s%s\n", (int)ending->pid, ending_in_words(ending, words),
               ending->origin == EXITFD_UNKNOWN ? ". The kernel has no record of it. See 'exitfd doctor'" : "");
    }
    fflush(stdout);
}

/* Whoever sees no such process in a list of running ones would wonder what is
   waited for. */
static void tell_zombies(const struct waiting *w)
{
    for (int i = 0; i < w->target_count; i++) {
        const struct target *target = &w->targets[i];
        int parent;
        if (target->watched && w->has_own_proc && is_zombie(target->pid, &parent)) {
            complain("%d: it has ended, but its parent %d has not waited for it yet. Its status is known only then",
                     (int)target->pid, parent);
        }
    }
}

/* The processes that are left; a zombie is worth a word, for it looks as if it
   had ended. */
static void report_rest(const struct waiting *w)
{
    for (int i = 0; i < w->target_count; i++) {
        const struct target *target = &w->targets[i];
        int parent;
        if (!target->watched)
            continue;
        if (w->has_own_proc && is_zombie(target->pid, &parent)) {
            complain("%d: time-out: it has ended, but its parent %d has not waited for it", (int)target->pid, parent);
            print_without_ending(w, target->pid, "zombie");
        } else {
            complain("%d: time-out: still running%s", (int)target->pid,
                     w->has_own_proc ? "" : ", or a zombie. /proc is missing, or of another pid namespace");
            print_without_ending(w, target->pid, "running");
        }
    }
}

static int wait_for_targets(struct waiting *w, int64_t deadline_ns)
{
    while (w->ended_count < w->wanted_count) {
        struct exitfd_event events[16];
        int left = w->wanted_count - w->ended_count;
        int n = exitfd_wait(w->x, events, left < 16 ? left : 16, poll_timeout(deadline_ns));
        if (n == -EINTR)
            continue;
        if (n < 0) {
            complain("cannot wait: %s", strerror(-n));
            return STATUS_FAILED;
        }
        for (int i = 0; i < n; i++)
            report(w, &events[i]);
        if (n == 0 && monotonic_ns() >= deadline_ns) {
            report_rest(w);
            w->is_timed_out = true;
            return STATUS_TIMED_OUT;
        }
    }
    if (w->is_unwatched_one)
        return STATUS_FAILED;
    if (w->target_count == 1)
        return w->last_status;
    return w->is_unknown_one ? STATUS_UNKNOWN : w->is_failed_one ? STATUS_SOME_FAILED : 0;
}

static int wait_with(struct waiting *w, int64_t timeout_ns)
{
    raise_fd_limit();
    w->has_own_proc = has_own_proc();
    int r = exitfd_open(&w->x, 0);
    if (r < 0)
        return complain_cannot_start(r);
    int64_t deadline_ns = timeout_ns == NEVER ? NEVER : monotonic_ns() + timeout_ns;
    watch_all(w);
    close(STDIN_FILENO); /* nothing is read from it, and /proc takes one. There may be no other left */
    if (timeout_ns > 0)
        tell_zombies(w);
    int status = wait_for_targets(w, deadline_ns);
    w->x = exitfd_close(w->x);
    int closed = close_stdout(status);
    return w->is_timed_out ? status : closed;
}

static int parse_targets(struct waiting *w, char **words, int count, int64_t wanted)
{
    if (count < 1)
        return usage_error("a PID is missing");
    if (wanted > count)
        return usage_error("--count %" PRId64 " is more than the PIDs given (%d)", wanted, count);
    w->targets = reallocate(NULL, (size_t)count, sizeof *w->targets);
    w->target_count = count;
    w->wanted_count = wanted ? (int)wanted : count;
    for (int i = 0; i < count; i++) {
        w->targets[i] = (struct target){ .pid = 0 };
        if (!parse_target(words[i], &w->targets[i]))
            return usage_error("'%s' is not a PID or PID:INODE. pgrep(1) finds PIDs by name", words[i]);
        if (w->targets[i].pid == getpid())
            return usage_error("%s is exitfd itself, which would wait for itself", words[i]);
    }
    return 0;
}

int wait_main(int argc, char **argv)
{
    enum {
        OPTION_JSON = 256
    };
    static const struct option options[] = { { "timeout", required_argument, NULL, 't' },
                                             { "count", required_argument, NULL, 'n' },
                                             { "json", no_argument, NULL, OPTION_JSON },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    struct waiting w = { .targets = NULL };
    int64_t timeout_ns = NEVER, wanted = 0;
    int option;
    while ((option = getopt_long(argc, argv, ":t:n:h", options, NULL)) != -1) {
        switch (option) {
        case 't':
            if (!read_duration(optarg, &timeout_ns))
                return STATUS_USAGE;
            break;
        case 'n':
            if (!read_count(optarg, 1, INT_MAX, &wanted))
                return STATUS_USAGE;
            break;
        case OPTION_JSON:
            w.json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return close_stdout(0);
        default:
            return foreign_option(argv, option, of_other_programs);
        }
    }
    int status = parse_targets(&w, argv + optind, argc - optind, wanted);
    status = status ? status : wait_with(&w, timeout_ns);
    free(w.targets);
    return status;
}
