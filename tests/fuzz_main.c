/* SPDX-License-Identifier: MIT */
/* Episodes: each a process of its own, with a seed of its own. */
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct child children[CHILDREN];
struct exitfd *exitfds[2];
bool signal_lost[2], ignored, has_records, lists_children, without_signals[2];
int any_child = -1;
char operations[EPISODE * 2][80];
unsigned operation_count;
static uint64_t seed, random_state;

unsigned below(unsigned limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % limit;
}

int number(const struct child *c)
{
    return (int)(c - children);
}

void report_failure(const char *message)
{
    for (unsigned i = 0; i < operation_count && i < EPISODE * 2; i++)
        printf("# %s\n", operations[i]);
    printf("# %s\n# repeat with --seed %llu --operations %d\n", message, (unsigned long long)seed, EPISODE);
    for (int i = 0; i < CHILDREN; i++)
        if (children[i].state == ALIVE || children[i].state == STOPPED)
            kill(children[i].pid, SIGKILL);
    fflush(stdout);
    _exit(1);
}

/* PIDFD_GET_INFO with PIDFD_INFO_EXIT, asked without the library: Linux 6.15. */
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

static void run_episode(unsigned count)
{
    alarm(280);
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
        "usage: %s [--seed N] [--operations N] [--help]\n"
        "Random operations on exitfds against a model of what must be reported; prints TAP. EXITFD_BACKEND chooses\n"
        "what is tested. What fails prints its own seed and what was done.\n",
        name);
    return output == stderr ? 2 : 0;
}

int main(int argc, char *argv[])
{
    const char *backend = getenv("EXITFD_BACKEND");
    unsigned long count = 4000, done = 0;
    struct exitfd *x;
    int status = 0;

    seed = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return explain(argv[0], stdout);
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--operations") == 0 && i + 1 < argc)
            count = strtoul(argv[++i], NULL, 0);
        else
            return explain(argv[0], stderr);
    }
    if (backend && strcmp(backend, "signalfd") == 0) {
        sigset_t sigchld;
        sigemptyset(&sigchld);
        sigaddset(&sigchld, SIGCHLD);
        sigprocmask(SIG_BLOCK, &sigchld, NULL);
    }
    if (exitfd_open(&x, 0) == -ENOTSUP) {
        printf("1..0 # SKIP EXITFD_BACKEND=%s is not in this kernel or this build\n", backend ? backend : "");
        return 0;
    }
    printf("# back end %s, seed %llu, %lu operations\n", exitfd_get_backend(x), (unsigned long long)seed, count);
    exitfd_close(x);
    for (; done < count && status == 0; done += EPISODE, seed++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0)
            run_episode(count - done < EPISODE ? (unsigned)(count - done) : EPISODE);
        waitpid(pid, &status, 0);
    }
    if (status != 0)
        printf("# seed %llu: wait status 0x%x\n", (unsigned long long)seed - 1, (unsigned)status);
    printf("%sok 1 - %lu operations\n1..1\n", status ? "not " : "", done);
    return status != 0;
}
