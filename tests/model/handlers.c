/* SPDX-License-Identifier: MIT */
/*
 * What the library and its host may do with the disposition of SIGCHLD, in
 * every order up to a length. After each step SIGCHLD is raised, unless the
 * host has set its handler aside:
 *
 *   - the handlers end: no two of them call each other without end;
 *   - each handler that the host has installed and not removed runs once,
 *     whatever stands over it;
 *   - the fd of exitfd_install_handler gets a byte, or more (CAVEATS there),
 *     where a handler of the library can be reached, and none elsewhere;
 *   - where the library gives up its last use of a handler, and no handler of
 *     the host is there, SIGCHLD is as it was.
 *
 * Each order is tried in a process of its own: what was once in a chain of the
 * host stays bound for its life.
 */
#include "check.h"
#include "host_handlers.h"

#include <errno.h>
#include <exitfd.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_LENGTH 12
#define STEPS_DONE 10 /* and so many: an exit status */

static struct sigaction set_aside;
static bool is_set_aside;
static struct exitfd *exitfds[2];
static int user_fd[2] = { -1, -1 };

void report_failure(const char *message)
{
    printf("# %s\n", message);
    _exit(1);
}

/* 0, or -EAGAIN: all handlers of the library are buried. The two are alike, so
   the first is opened first. */
static int open_or_close(int number)
{
    struct exitfd **x = &exitfds[number];

    if (number == 1 && !*x && !exitfds[0])
        return -EAGAIN;
    if (!*x)
        return exitfd_open(x, EXITFD_SELFPIPE);
    exitfd_close(*x);
    *x = NULL;
    return 0;
}

static int install_or_uninstall(void)
{
    if (user_fd[0] >= 0) {
        CHECK_EQ(exitfd_install_handler(-1, NULL), 0);
        close(user_fd[0]);
        close(user_fd[1]);
        user_fd[0] = user_fd[1] = -1;
        return 0;
    }
    CHECK_EQ(pipe2(user_fd, O_CLOEXEC | O_NONBLOCK), 0);
    int error = exitfd_install_handler(user_fd[1], NULL);
    if (error < 0) {
        close(user_fd[0]);
        close(user_fd[1]);
        user_fd[0] = user_fd[1] = -1;
    }
    return error;
}

/*
 * False: a host does no such thing. It removes only what is on top, and changes
 * nothing under what it has set aside. The two are alike, so the first is
 * pushed first.
 */
static bool push_or_pop(int number)
{
    struct host *h = &hosts[number];
    struct sigaction current = current_action();

    if (is_set_aside || (h->active && host_of(&current) != h) || (number == 1 && !h->active && !hosts[0].active))
        return false;
    if (h->active)
        pop_host(h);
    else
        push_host(h, 0);
    return true;
}

/* As around system(3). */
static void set_aside_or_put_back(void)
{
    const struct sigaction none = { .sa_handler = SIG_DFL };

    sigaction(SIGCHLD, is_set_aside ? &set_aside : &none, is_set_aside ? NULL : &set_aside);
    is_set_aside = !is_set_aside;
}

static const char *const steps[] = { "open or close a", "open or close b", "fd or none",
                                     "push or pop 0",   "push or pop 1",   "aside or back" };
#define STEPS (sizeof steps / sizeof *steps)

/* False: it cannot be done here. */
static bool step(unsigned number)
{
    switch (number) {
    case 0:
    case 1:
        return open_or_close((int)number) == 0;
    case 2:
        return install_or_uninstall() == 0;
    case 3:
    case 4:
        return push_or_pop((int)number - 3);
    default:
        set_aside_or_put_back();
        return true;
    }
}

static void expect_one_signal(void)
{
    char bytes[64];
    bool reaches = library_is_reached();

    for (int i = 0; i < HOSTS; i++)
        hosts[i].calls = 0;
    raise(SIGCHLD);
    for (int i = 0; i < HOSTS; i++)
        CHECK_EQ(hosts[i].calls, hosts[i].active ? 1 : 0, "handler %d of the host", i);
    if (user_fd[0] < 0)
        return;
    ssize_t count = read(user_fd[0], bytes, sizeof bytes);
    CHECK(reaches ? count >= 1 : count == -1, "%zd bytes, and a handler of the library is %s", count,
          reaches ? "there" : "not there");
}

/* A handler of the library that was buried when it was given up stays when the
   host lays it bare. */
static void expect_nothing_left(unsigned last_step)
{
    struct sigaction current = current_action();
    bool used = exitfds[0] || exitfds[1] || user_fd[0] >= 0 || hosts[0].active || hosts[1].active;

    CHECK(last_step > 2 || used || !is_function(&current), "a handler is left");
}

/* How many steps could be done. */
static int try_order(const unsigned *order, int length)
{
    const struct sigaction none = { .sa_handler = SIG_DFL };

    sigaction(SIGCHLD, &none, NULL);
    for (int i = 0; i < length; i++) {
        if (!step(order[i]))
            return i;
        if (is_set_aside)
            continue;
        expect_one_signal();
        expect_nothing_left(order[i]);
    }
    return length;
}

/* As try_order, in a process of its own. -1: something was wrong. */
static int try_in_child(const unsigned *order, int length)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(STEPS_DONE + try_order(order, length));
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid, "fork: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) >= STEPS_DONE)
        return WEXITSTATUS(status) - STEPS_DONE;
    printf("# wait status %#x:", (unsigned)status);
    for (int i = 0; i < length; i++)
        printf("%s %s", i ? "," : "", steps[order[i]]);
    printf("\n");
    return -1;
}

/* The next order with another step after the first `kept`, or false. */
static bool next_order(unsigned *order, int length, int kept)
{
    int i = kept;

    memset(order + kept + 1, 0, sizeof *order * (size_t)(length - kept - 1));
    while (i >= 0 && ++order[i] == STEPS)
        order[i--] = 0;
    return i >= 0;
}

static int length_of(int argc, char *argv[])
{
    if (argc != 2 || argv[1][strspn(argv[1], "0123456789")] || atoi(argv[1]) < 1 || atoi(argv[1]) > MAX_LENGTH) {
        fprintf(stderr, "Usage: handlers_model LENGTH\nTries all orders of LENGTH steps, 1 to %d.\n", MAX_LENGTH);
        exit(argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2);
    }
    return atoi(argv[1]);
}

int main(int argc, char *argv[])
{
    unsigned order[MAX_LENGTH] = { 0 };
    int length = length_of(argc, argv), wrong = 0, whole = 0, done;

    setvbuf(stdout, NULL, _IONBF, 0);
    do {
        done = try_in_child(order, length);
        wrong += done < 0;
        whole += done == length;
    } while (wrong < 10 && next_order(order, length, done < 0 || done == length ? length - 1 : done));
    printf("%s 1 - %d orders of %d steps\n1..1\n", wrong ? "not ok" : "ok", whole, length);
    return wrong > 0;
}
