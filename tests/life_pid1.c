/* SPDX-License-Identifier: MIT */
/* PID 1 of a pid namespace with thousands of orphans: each is reported once,
   truly, and no zombie is left at the end. */
#include "life_support.h"

enum {
    ORPHANS_OF_EACH = 250,
    PARENTS_AT_ONCE = 4,
    STATUSES = 200
};

static int parents;

static struct {
    int parents, orphans, of_status[STATUSES];
} seen;

/* Half of them die before their parent and are zombies when they land here,
   half lose it while they live. */
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

static void start_parent(struct exitfd *x)
{
    pid_t pid = exitfd_fork(x, 0, &seen.parents);
    if (pid == 0)
        breed();
    CHECK(pid > 0);
}

static void account_for(struct exitfd *x, const struct exitfd_event *event)
{
    CHECK(event->origin == EXITFD_REAPED && event->code == CLD_EXITED && event->status < STATUSES);
    if (event->data == &seen.orphans) {
        seen.orphans++;
        seen.of_status[event->status]++;
        return;
    }
    CHECK(event->data == &seen.parents && event->status == 0);
    if (++seen.parents <= parents - PARENTS_AT_ONCE)
        start_parent(x);
}

static void reap_orphans(void)
{
    struct exitfd *x;
    CHECK(exitfd_open(&x, 0) == 0);
    CHECK(exitfd_add(x, -1, 0, &seen.orphans) == 0);
    for (int i = 0; i < PARENTS_AT_ONCE; i++)
        start_parent(x);

    struct pollfd readable = { .fd = exitfd_get_fd(x), .events = POLLIN };
    while (seen.parents < parents || seen.orphans < parents * ORPHANS_OF_EACH) {
        struct exitfd_event events[16];
        int n = exitfd_wait(x, events, 16, 0);
        CHECK(n >= 0);
        if (n == 0)
            CHECK(poll(&readable, 1, DEADLINE_MS) == 1 || errno == EINTR);
        for (int i = 0; i < n; i++)
            account_for(x, &events[i]);
    }
    CHECK(seen.parents == parents && seen.orphans == parents * ORPHANS_OF_EACH);
    for (int i = 0; i < STATUSES; i++)
        CHECK(seen.of_status[i] == parents * (i < ORPHANS_OF_EACH - STATUSES ? 2 : 1));
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    exitfd_close(x);
}

TEST(pid1, of_thousands_of_orphans_none_stays_a_zombie)
{
    exitfd_close(open_exitfd());
    int wanted = stress_rounds() / 2 / ORPHANS_OF_EACH;
    parents = wanted < PARENTS_AT_ONCE ? PARENTS_AT_ONCE : wanted;
    run_as_pid_1(reap_orphans, "unshare(CLONE_NEWPID): not permitted here");
}
