/* SPDX-License-Identifier: MIT */
/* Episodes: each a process of its own, with a seed of its own. */
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANGS_SECONDS 20

struct child children[CHILDREN];
struct exitfd *exitfds[2];
bool signal_lost[2], ignored, has_records, lists_children, without_signals[2];
int any_child = -1;
struct log *done;
static uint64_t seed, random_state;
static pid_t episode;

unsigned below(unsigned limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % limit;
}

pid_t reap(pid_t pid)
{
    pid_t reaped;

    while ((reaped = waitpid(pid, NULL, 0)) < 0 && errno == EINTR)
        ;
    return reaped;
}

int number(const struct child *c)
{
    return (int)(c - children);
}

void say(const char *format, ...)
{
    char *line = done->lines[done->count++ % LINES];
    va_list list;

    va_start(list, format);
    vsnprintf(line, sizeof(done->lines[0]), format, list);
    va_end(list);
    done->steps += line[0] != ' ';
}

void report_failure(const char *message)
{
    snprintf(done->failure, sizeof(done->failure), "%s", message);
    for (const struct child *c = children; c < children + CHILDREN; c++)
        say("  %d: pid %d, state %d, watching %d %d, pidfd %d %d, jobs 0x%x 0x%x", number(c), (int)c->pid, c->state,
            c->watching[0], c->watching[1], c->has_pidfd[0], c->has_pidfd[1], c->jobs[0], c->jobs[1]);
    for (int i = 0; i < CHILDREN; i++)
        if (children[i].state == ALIVE || children[i].state == STOPPED)
            kill(children[i].pid, SIGKILL);
    _exit(1);
}

static void print_log(int status)
{
    for (unsigned i = done->count < LINES ? 0 : done->count - LINES; i < done->count; i++)
        printf("# %s\n", done->lines[i % LINES]);
    printf("# seed %llu: wait status 0x%x: %s\n", (unsigned long long)seed, (unsigned)status, done->failure);
    printf("# repeat with --seed %llu --operations %d --only ", (unsigned long long)seed, EPISODE);
    print_kinds(stdout);
}

/* An episode that has done nothing for so long hangs, perhaps with all signals
   blocked. */
static void end_what_hangs(int signum)
{
    static unsigned count_before;

    (void)signum;
    if (done->count == count_before) {
        strcpy(done->failure, "it hangs");
        kill(episode, SIGKILL);
    }
    count_before = done->count;
    alarm(HANGS_SECONDS);
}

/* PIDFD_GET_INFO with PIDFD_INFO_EXIT, asked without the library: Linux
   6.15. */
static void find_records(void)
{
    uint64_t info[8] = { UINT64_C(1) << 3 };
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    waitpid(pid, NULL, 0);
    has_records = pidfd >= 0 && ioctl(pidfd, _IOWR(0xFF, 11, uint64_t[8]), info) == 0 && info[0] >> 3 & 1;
    close(pidfd);
}

_Noreturn static void run_episode(unsigned count)
{
    signal(SIGALRM, SIG_DFL);
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int x = 0; x < 2; x++)
        CHECK(exitfd_open(&exitfds[x], 0) == 0, "exitfd_open");
    find_records();
    lists_children = exitfd_add_pidfd(exitfds[0], -1, 0, NULL) != -ENOTSUP; /* a build that knows Linux */
    while (count-- > 0)
        operate();
    if (ignored)
        ignore_or_restore();
    for (struct child *c = children; c < children + CHILDREN; c++)
        end(c);
    clear();
    for (struct child *c = children; c < children + CHILDREN; c++)
        steal(c);
    for (int x = 0; x < 2; x++)
        exitfd_close(exitfds[x]);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0, "a child is left");
    _exit(0);
}

static int explain(const char *name, FILE *output)
{
    fprintf(
        output,
        "usage: %s [--seed N] [--operations N] [--only KIND,...] [--help]\n"
        "Random operations on exitfds against a model of what must be reported; prints TAP. EXITFD_BACKEND chooses\n"
        "what is tested. What fails prints its own seed and what was done. The kinds of operations are\n",
        name);
    print_kinds(output);
    return output == stderr ? 2 : 0;
}

static const char *const tsan =
#if defined(__SANITIZE_THREAD__)
    "TSan runs handlers later";
#else
    NULL;
#endif

/* What cannot be done here, and why. */
static void skip_kinds(const char *backend)
{
    if (strcmp(backend, "signalfd") == 0)
        skip_kind("handlers", "SIGCHLD is blocked");
    if (tsan)
        skip_kind("handlers", tsan);
    if (tsan)
        skip_kind("forks", tsan);
    pid_t pid = fork();
    if (pid == 0)
        _exit(!enter_pid_namespace());
    int status;
    waitpid(pid, &status, 0);
    if (status != 0)
        skip_kind("pids", "a pid namespace of one's own is not permitted");
}

/* In a pid namespace, if pids are to be used again: who asks for the namespace
   is not in it. */
_Noreturn static void start_episode(unsigned count)
{
    int status;

    if (!has_kind("pids"))
        run_episode(count);
    CHECK(enter_pid_namespace(), "a pid namespace");
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        mount_proc();
        run_episode(count);
    }
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        snprintf(done->failure, sizeof(done->failure), "signal %d", WTERMSIG(status));
    _exit(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

static int wait_for_episode(void)
{
    int status;

    alarm(HANGS_SECONDS);
    while (waitpid(episode, &status, 0) < 0)
        ;
    alarm(0);
    return status;
}

static void block_sigchld(void)
{
    sigset_t sigchld;
    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    sigprocmask(SIG_BLOCK, &sigchld, NULL);
}

static int run_episodes(unsigned long count)
{
    unsigned long operations = 0, steps = 0;
    int status = 0;

    for (; operations < count && status == 0; operations += EPISODE, seed += status == 0) {
        fflush(stdout);
        memset(done, 0, sizeof(*done));
        episode = fork();
        if (episode == 0)
            start_episode(count - operations < EPISODE ? (unsigned)(count - operations) : EPISODE);
        status = wait_for_episode();
        steps += done->steps;
    }
    if (status != 0)
        print_log(status);
    printf("%sok 1 - %lu operations, %lu steps\n1..1\n", status ? "not " : "", operations, steps);
    return status != 0;
}

int main(int argc, char *argv[])
{
    const char *backend = getenv("EXITFD_BACKEND");
    unsigned long count = 4000;
    struct exitfd *x;

    seed = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return explain(argv[0], stdout);
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--operations") == 0 && i + 1 < argc)
            count = strtoul(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--only") != 0 || i + 1 == argc || !choose_kinds(argv[++i]))
            return explain(argv[0], stderr);
    }
    if (backend && strcmp(backend, "signalfd") == 0)
        block_sigchld();
    if (exitfd_open(&x, 0) == -ENOTSUP) {
        printf("1..0 # SKIP EXITFD_BACKEND=%s is not in this kernel or this build\n", backend ? backend : "");
        return 0;
    }
    printf("# back end %s, seed %llu, %lu operations\n", exitfd_get_backend(x), (unsigned long long)seed, count);
    skip_kinds(exitfd_get_backend(x));
    exitfd_close(x);
    done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(done != MAP_FAILED, "mmap");
    signal(SIGALRM, end_what_hangs);
    return run_episodes(count);
}
