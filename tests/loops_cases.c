/* SPDX-License-Identifier: MIT */
/* What every adapter must do, whatever the loop: loops_side.h. */
#include "loops_side.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 1000

extern char **environ;

static const struct side *side;

static void count(struct receiver *r, int error, const struct exitfd_event *event)
{
    if (error) {
        r->errors++;
        r->last_error = error;
        return;
    }
    r->events++;
    r->sum += event->status;
    r->pid = event->pid;
}

void start_two(struct exitfd *x)
{
    for (int i = 0; i < 2; i++) {
        pid_t pid = exitfd_fork(x, 0, NULL);
        if (pid == 0)
            _exit(4);
        wait_until_zombie(pid);
    }
}

struct receiver *new_receiver(const struct side *of, struct exitfd *x)
{
    struct receiver *r = calloc(1, sizeof *r);
    CHECK(r != NULL, "calloc");
    r->side = of;
    r->take = count;
    r->x = x;
    return r;
}

void start_receiving(struct receiver *r, void *loop)
{
    r->attached = r->side->attach(loop, r->x, r);
    CHECK(r->attached != NULL, "attach");
}

void run_until(void *loop, const struct receiver *r, int events)
{
    alarm(DEADLINE_MS / 1000); /* a loop that never comes back fails by that */
    while (r->events + r->errors < events)
        r->side->run_once(loop);
    alarm(0);
}

static void detach(struct receiver *r)
{
    side->detach(r->attached);
    r->attached = NULL;
}

static pid_t watch_exit(struct exitfd *x, int status)
{
    pid_t pid = exitfd_fork(x, 0, NULL);
    CHECK(pid >= 0, "exitfd_fork");
    if (pid == 0)
        _exit(status);
    return pid;
}

static void end(void *loop, struct receiver *r, struct exitfd *x)
{
    if (r->attached)
        detach(r);
    exitfd_close(x);
    side->free_loop(loop);
    CHECK(r->released == 1);
    free(r);
}

static void one_callback_per_event(void)
{
    void *loop = side->new_loop();
    struct exitfd *x = open_exitfd();
    struct receiver *r = new_receiver(side, x);
    start_receiving(r, loop);

    for (int status = 1; status <= 3; status++)
        wait_until_zombie(watch_exit(x, status));
    run_until(loop, r, 3);
    side->run_now(loop);
    CHECK(r->events == 3 && r->sum == 6 && r->errors == 0);
    CHECK(is_quiet(x));

    /* Also one that comes while the loop sleeps, and of a signal. */
    pid_t pid = start_sleeper();
    CHECK(exitfd_add(x, pid, 0, NULL) == 0);
    kill(pid, SIGKILL);
    run_until(loop, r, 4);
    CHECK(r->events == 4 && r->sum == 6 + SIGKILL && r->pid == pid);
    CHECK(!is_child(pid));
    end(loop, r, x);
}

static void no_callback_after_a_detach_and_nothing_is_lost(void)
{
    void *loop = side->new_loop();
    struct exitfd *x = open_exitfd();
    struct receiver *r = new_receiver(side, x);
    start_receiving(r, loop);

    pid_t pid = watch_exit(x, 5);
    wait_until_zombie(pid);
    detach(r);
    side->run_now(loop);
    CHECK(r->events == 0 && r->released == 1);
    CHECK(is_zombie(pid));

    r->released = 0;
    start_receiving(r, loop);
    run_until(loop, r, 1);
    CHECK(r->events == 1 && r->sum == 5);
    end(loop, r, x);
}

static void stop_in_the_callback(struct receiver *r, int error, const struct exitfd_event *event)
{
    count(r, error, event);
    detach(r);
}

static void a_callback_detaches(void)
{
    void *loop = side->new_loop();
    struct exitfd *x = open_exitfd();
    struct receiver *r = new_receiver(side, x);
    r->take = stop_in_the_callback;
    start_receiving(r, loop);

    wait_until_zombie(watch_exit(x, 1));
    wait_until_zombie(watch_exit(x, 1));
    run_until(loop, r, 1);
    side->run_now(loop);
    CHECK(r->events == 1);
    struct exitfd_event event = next_event(x);
    CHECK(event.status == 1);
    end(loop, r, x);
}

static void close_in_the_callback(struct receiver *r, int error, const struct exitfd_event *event)
{
    stop_in_the_callback(r, error, event);
    r->x = exitfd_close(r->x);
}

static void a_callback_frees_everything(void)
{
    void *loop = side->new_loop();
    struct exitfd *x = open_exitfd();
    struct receiver *r = new_receiver(side, x);
    r->take = close_in_the_callback;
    start_receiving(r, loop);

    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        wait_until_zombie(pids[i] = watch_exit(x, i));
    run_until(loop, r, 1);
    side->run_now(loop);
    CHECK(r->events == 1 && r->x == NULL);
    for (int i = 0; i < 3; i++) {
        CHECK(is_zombie(pids[i]) == (pids[i] != r->pid));
        waitpid(pids[i], NULL, 0);
    }
    end(loop, r, NULL);
}

static void two_loops_and_two_in_one(void)
{
    void *loops[2] = { side->new_loop(), side->new_loop() };
    struct exitfd *x[3];
    struct receiver *r[3];
    for (int i = 0; i < 3; i++) {
        x[i] = open_exitfd();
        r[i] = new_receiver(side, x[i]);
        start_receiving(r[i], loops[i / 2]); /* two in the first, one in the second */
    }

    for (int i = 0; i < 3; i++)
        for (int n = 0; n <= i; n++)
            wait_until_zombie(watch_exit(x[i], i + 1));
    run_until(loops[1], r[2], 3);
    CHECK(r[0]->events == 0 && r[1]->events == 0 && r[2]->events == 3 && r[2]->sum == 9);
    run_until(loops[0], r[0], 1);
    run_until(loops[0], r[1], 2);
    CHECK(r[0]->events == 1 && r[0]->sum == 1 && r[1]->events == 2 && r[1]->sum == 4);

    /* From one loop to the other. */
    detach(r[0]);
    side->run_now(loops[0]);
    start_receiving(r[0], loops[1]);
    wait_until_zombie(watch_exit(x[0], 7));
    run_until(loops[1], r[0], 2);
    CHECK(r[0]->events == 2 && r[0]->sum == 8);

    for (int i = 0; i < 3; i++) {
        detach(r[i]);
        exitfd_close(x[i]);
    }
    side->free_loop(loops[0]);
    side->free_loop(loops[1]);
    for (int i = 0; i < 3; i++)
        free(r[i]);
}

static void many_children(void)
{
    void *loop = side->new_loop();
    struct exitfd *x = open_exitfd();
    struct receiver *r = new_receiver(side, x);
    start_receiving(r, loop);

    char *command[] = { "false", NULL }; /* cheaper than a fork of this program under ASan */
    for (int i = 0; i < MANY; i++)
        CHECK(exitfd_spawn(x, NULL, "false", NULL, NULL, command, environ, 0, NULL) == 0);
    run_until(loop, r, MANY);
    side->run_now(loop);
    CHECK(r->events == MANY && r->sum == MANY && r->errors == 0);
    CHECK(is_quiet(x));
    CHECK(waitpid(-1, NULL, WNOHANG) < 0);
    end(loop, r, x);
}

/* In a forked child the callback gets -ESTALE once. Then the loop can be used
   again. */
static bool works_in_the_child(void *loop, struct receiver *r)
{
    side->after_fork(loop);
    struct exitfd *stale = r->x;
    detach(r);
    exitfd_close(stale);
    struct exitfd *x = open_exitfd();
    struct receiver *mine = new_receiver(side, x);
    start_receiving(mine, loop);
    watch_exit(x, 3);
    run_until(loop, mine, 1);
    bool well = mine->events == 1 && mine->sum == 3 && r->events == 0 && r->errors == 0;
    detach(mine);
    exitfd_close(x);
    side->free_loop(loop);
    free(mine);
    return well && r->released == 1;
}

static void after_a_fork(void)
{
    void *loop = side->new_loop();
    struct exitfd *x = open_exitfd();
    struct receiver *r = new_receiver(side, x);
    start_receiving(r, loop);
    pid_t pid = start_sleeper();
    CHECK(exitfd_add(x, pid, 0, NULL) == 0);

    if (side->after_fork) {
        pid_t forked = fork_guarded();
        if (forked == 0)
            _exit(works_in_the_child(loop, r) ? 0 : 1);
        int status = -1;
        waitpid(forked, &status, 0);
        CHECK(status == 0);
    }
    kill(pid, SIGKILL);
    run_until(loop, r, 1);
    CHECK(r->events == 1 && r->sum == SIGKILL);
    end(loop, r, x);
}

/*
 * A child that goes on with the loop as if nothing were. Not on signalfd, whose
 * fd shows a forked child its own signals, as exitfd.h says.
 */
static void a_stale_one_is_reported_once(void)
{
    struct exitfd *x = open_exitfd();
    if (!side->after_fork || strcmp(exitfd_get_backend(x), "signalfd") == 0) {
        exitfd_close(x);
        return;
    }
    void *loop = side->new_loop();
    struct receiver *r = new_receiver(side, x);
    start_receiving(r, loop);
    wait_until_zombie(watch_exit(x, 1));

    pid_t forked = fork_guarded();
    if (forked == 0) {
        side->after_fork(loop);
        run_until(loop, r, 1);
        side->run_now(loop);
        side->run_now(loop);
        _exit(r->events == 0 && r->errors == 1 && r->last_error == -ESTALE ? 0 : 1);
    }
    int status = -1;
    waitpid(forked, &status, 0);
    CHECK(status == 0);
    run_until(loop, r, 1);
    CHECK(r->events == 1);
    end(loop, r, x);
}

static void what_cannot_be_attached(void)
{
    void *loop = side->new_loop();
    struct receiver *r = new_receiver(side, NULL);
    CHECK(side->attach(loop, NULL, r) == NULL);
    side->free_loop(loop);
    CHECK(r->released == 0);
    free(r);
}

int loops_main(int argc, char *argv[], const struct side *of, const struct tap_case *more, size_t more_count)
{
    struct tap_case cases[16] = {
        { "one_callback_per_event", one_callback_per_event },
        { "no_callback_after_a_detach_and_nothing_is_lost", no_callback_after_a_detach_and_nothing_is_lost },
        { "a_callback_detaches", a_callback_detaches },
        { "a_callback_frees_everything", a_callback_frees_everything },
        { "two_loops_and_two_in_one", two_loops_and_two_in_one },
        { "many_children", many_children },
        { "after_a_fork", after_a_fork },
        { "a_stale_one_is_reported_once", a_stale_one_is_reported_once },
        { "what_cannot_be_attached", what_cannot_be_attached },
    };
    size_t own = 9;

    side = of;
    for (size_t i = 0; i < more_count && own < sizeof cases / sizeof *cases; i++)
        cases[own++] = more[i];
    return tap_main(argc, argv, cases, own);
}
