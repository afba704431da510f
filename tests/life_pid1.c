/* SPDX-License-Identifier: MIT */
/* PID 1 of a pid namespace with 10,000 orphans: each is reported once, truly, and there is no zombie at the end. */
#include "pid_namespace.h"

#include <poll.h>

enum { PARENTS = 40, ORPHANS_OF_EACH = 250, PARENTS_AT_ONCE = 4, STATUSES = 200 };

/* Half of them die before their parent and are zombies when they land here, half lose it while they live. */
static void breed(void)
{
    int parent_lives[2];
    CHECK(pipe(parent_lives) == 0);
    for (int i = 0; i < ORPHANS_OF_EACH; i++) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid > 0)
            continue;
        close(parent_lives[1]);
        char byte;
        if (i % 2 != 0)
            CHECK(read(parent_lives[0], &byte, 1) == 0);
        _exit(i % STATUSES);
    }
    _exit(0);
}

static void start_parent(struct exitfd *x, int *parents)
{
    pid_t pid = exitfd_fork(x, 0, parents);
    if (pid == 0)
        breed();
    CHECK(pid > 0);
}

int main(void)
{
    int parents = 0, orphans = 0, of_status[STATUSES] = { 0 };
    begin();
    become_pid_1();
    struct exitfd *x = open_or_skip();
    CHECK_RESULT(exitfd_add(x, -1, 0, &orphans), 0);
    for (int i = 0; i < PARENTS_AT_ONCE; i++)
        start_parent(x, &parents);

    struct pollfd readable = { .fd = exitfd_get_fd(x), .events = POLLIN };
    while (parents < PARENTS || orphans < PARENTS * ORPHANS_OF_EACH) {
        struct exitfd_event events[16];
        int n = exitfd_wait(x, events, 16, 0);
        CHECK(n >= 0);
        if (n == 0)
            CHECK(poll(&readable, 1, 60000) > 0 || errno == EINTR);
        for (int i = 0; i < n; i++) {
            CHECK(events[i].origin == EXITFD_REAPED && events[i].code == CLD_EXITED);
            ++*(int *)events[i].data;
            if (events[i].data == &orphans)
                of_status[events[i].status]++;
            else if (parents + PARENTS_AT_ONCE <= PARENTS)
                start_parent(x, &parents);
        }
    }
    CHECK_RESULT(parents, PARENTS);
    CHECK_RESULT(orphans, PARENTS * ORPHANS_OF_EACH);
    for (int i = 0; i < STATUSES; i++)
        CHECK_RESULT(of_status[i], PARENTS * (i < ORPHANS_OF_EACH - STATUSES ? 2 : 1));
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    exitfd_close(x);
    return 0;
}
