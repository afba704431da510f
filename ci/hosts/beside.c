/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a host by ci/proof-hosts. A thread of ours has an exitfd in
 * the process of the host, whatever language that is in. It starts children
 * while the host starts and waits for its own, and says what became of ours.
 *
 *   HOST_EXE     act only in a program of this name: wrappers and children are
 *                left alone
 *   HOST_FOLDER  "ready" is there once the host has had its first child. We
 *                write "ours", and "done" at the end
 *   HOST_LEAF    the program of the children (leaf.c)
 *   HOST_OPEN    "before" the host's own main function has run, or "after" its
 *                first child
 */
#include <dirent.h>
#include <errno.h>
#include <exitfd.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN 40
#define PATIENCE_MS 30000

static char folder[256], leaf[256];
static struct exitfd *x;
static int open_error = 1;

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static FILE *create(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return fopen(path, "we");
}

static void say_disposition(FILE *out)
{
    struct sigaction found;

    sigaction(SIGCHLD, NULL, &found);
    if (found.sa_handler == SIG_DFL || found.sa_handler == SIG_IGN) {
        fprintf(out, "sigchld %s\n", found.sa_handler == SIG_DFL ? "default" : "ignored");
        return;
    }
    fprintf(out, "sigchld handler%s%s\n", found.sa_flags & SA_RESTART ? "" : ", no SA_RESTART",
            found.sa_flags & SA_ONSTACK ? ", SA_ONSTACK" : "");
}

/* Of the host's threads: how many there are, and in how many SIGCHLD is
   blocked. */
static int count_blocked(int *threads)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    int blocked = 0;

    *threads = 0;
    while (tasks && (entry = readdir(tasks))) {
        char path[300], line[256];
        unsigned long long mask = 0;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        FILE *status = entry->d_name[0] == '.' || atoi(entry->d_name) == gettid() ? NULL : fopen(path, "re");
        if (!status)
            continue;
        while (fgets(line, sizeof line, status) && sscanf(line, "SigBlk: %llx", &mask) != 1)
            ;
        fclose(status);
        ++*threads;
        blocked += mask >> (SIGCHLD - 1) & 1;
    }
    if (tasks)
        closedir(tasks);
    return blocked;
}

/* The least of several times: to start a child, many a host blocks all signals
   for a moment. */
static void say_masks(FILE *out)
{
    int least = -1, threads = 0;

    for (int i = 0; i < 20; i++) {
        int of, blocked = count_blocked(&of);
        if (least < 0 || blocked < least) {
            least = blocked;
            threads = of;
        }
        sleep_ms(7);
    }
    fprintf(out, "blocked %d of %d\n", least, threads);
}

static int ending_of(int i)
{
    return i % 7 == 6 ? -SIGKILL : i + 1;
}

static bool start(int i)
{
    char number[12];
    char *argv[] = { leaf, number, NULL };
    struct exitfd_command command = { .size = sizeof command, .file = leaf, .argv = argv };

    snprintf(number, sizeof number, "%d", ending_of(i));
    return exitfd_start(x, NULL, &command, 0, (void *)(long)(i + 1)) == 0;
}

static struct {
    int started, reaped, recorded, unknown, wrong, interrupted, replaced, by_fd;
} count;

static void judge(const struct exitfd_event *event)
{
    int ending = ending_of((int)(long)event->data - 1);
    bool right = ending < 0 ? event->code == CLD_KILLED && event->status == -ending
                            : event->code == CLD_EXITED && event->status == ending;

    if (event->origin == EXITFD_UNKNOWN)
        count.unknown++;
    else if (!right)
        count.wrong++;
    else if (event->origin == EXITFD_RECORDED)
        count.recorded++;
    else
        count.reaped++;
}

static int told(void)
{
    return count.reaped + count.recorded + count.unknown + count.wrong;
}

/* As an event loop does: poll, and then take. One call at the end finds what
   the fd did not tell. */
static void take_all(void)
{
    long long limit = now_ms() + PATIENCE_MS;
    struct exitfd_event events[8];

    while (told() < count.started && now_ms() < limit) {
        if (poll(&(struct pollfd){ exitfd_get_fd(x), POLLIN, 0 }, 1, 1000) <= 0)
            continue;
        int n = exitfd_wait(x, events, 8, 0);
        count.replaced += n == -EPIPE;
        for (int i = 0; i < n; i++)
            judge(&events[i]);
    }
    count.by_fd = told();
    for (int n, calls = 0; calls < 2 * CHILDREN && told() < count.started; calls++)
        for (n = exitfd_wait(x, events, 8, 0); n > 0; n--)
            judge(&events[n - 1]);
}

/* As a thread in a stranger's process should be. Self-pipe alone needs SIGCHLD,
   in the thread that waits. */
static void set_mask(void)
{
    const char *backend = getenv("EXITFD_BACKEND");
    sigset_t set;

    sigfillset(&set);
    if (backend && strcmp(backend, "self-pipe") == 0)
        sigdelset(&set, SIGCHLD);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
}

static void *work(void *unused)
{
    char path[300];

    snprintf(path, sizeof path, "%s/ready", folder);
    while (access(path, F_OK) < 0)
        sleep_ms(5);
    FILE *out = create("ours");
    say_disposition(out);
    say_masks(out);
    fflush(out);
    if (open_error > 0)
        open_error = exitfd_open(&x, 0);
    if (open_error == 0) {
        set_mask();
        for (int i = 0; i < CHILDREN; i++) {
            count.started += start(i);
            sleep_ms(3);
        }
        take_all();
        fprintf(out, "ours %d started, %d reaped, %d recorded, %d unknown, %d wrong, %d by the fd, %d replaced\n",
                count.started, count.reaped, count.recorded, count.unknown, count.wrong, count.by_fd, count.replaced);
        exitfd_close(x);
    } else {
        fprintf(out, "ours cannot open: %s\n", strerror(-open_error));
    }
    fclose(out);
    fclose(create("done"));
    return unused;
}

__attribute__((constructor)) static void begin(void)
{
    const char *exe = getenv("HOST_EXE"), *where = getenv("HOST_FOLDER"), *program = getenv("HOST_LEAF");
    const char *when = getenv("HOST_OPEN");
    char self[256] = "";
    pthread_t thread;

    if (!exe || !where || !program || readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return;
    const char *name = strrchr(self, '/') ? strrchr(self, '/') + 1 : self;
    if (strncmp(name, exe, strlen(exe)) != 0)
        return;
    unsetenv("LD_PRELOAD");
    snprintf(folder, sizeof folder, "%s", where);
    snprintf(leaf, sizeof leaf, "%s", program);
    if (when && strcmp(when, "before") == 0)
        open_error = exitfd_open(&x, 0);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the thread begins with it */
    pthread_create(&thread, NULL, work, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
