/* SPDX-License-Identifier: MIT */
/*
 * The host's own use of SIGCHLD: handlers that call the one they found,
 * handlers that are set aside for a while and put back (the idiom around
 * system(3)), and the fd of exitfd_install_handler. Each handler of the host
 * has to run once for each signal, and as it asked the kernel.
 */
#include "fuzz.h"
#include "host_handlers.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define AS_ASKED (SA_ONSTACK | SA_NODEFER | SA_RESTART)

static int user_fd[2] = { -1, -1 };
bool host_was_on_top;

static int some_flags(void)
{
    return (below(2) ? SA_ONSTACK : 0) | (below(2) ? SA_NODEFER : 0) | (below(2) ? SA_RESTART : 0);
}

static void install(int number)
{
    int flags = some_flags();

    say("the host installs handler %d, flags 0x%x", number, (unsigned)(SA_SIGINFO | flags));
    push_host(&hosts[number], flags);
    host_was_on_top = true;
}

static void remove_if_on_top(int number)
{
    const struct sigaction current = current_action();

    if (host_of(&current) != &hosts[number])
        return;
    say("the host removes handler %d", number);
    pop_host(&hosts[number]);
}

/* One stands on the other, and nothing is changed while SIGCHLD is set aside.
   Stops may have been hidden meanwhile. */
void install_or_remove_host_handler(void)
{
    int number = hosts[0].active && below(2) ? 1 : 0;

    if (ignored)
        return;
    if (hosts[number].active)
        remove_if_on_top(number);
    else if (number == 1 || !hosts[1].active)
        install(number);
    no_job_must();
    signal_lost[0] = signal_lost[1] = true;
}

void save_and_put_back(void)
{
    set_aside_or_restore(SIG_DFL);
}

void use_user_fd(void)
{
    int old = -1, before = user_fd[0];

    say(before < 0 ? "a fd of the host's for each SIGCHLD" : "no fd of the host's any more");
    if (before < 0)
        CHECK(pipe2(user_fd, O_CLOEXEC | O_NONBLOCK) == 0, "pipe2");
    int error = exitfd_install_handler(before < 0 ? user_fd[1] : -1, &old);
    CHECK(error == 0, "exitfd_install_handler: %d", error);
    CHECK(old == (before < 0 ? -1 : user_fd[1]), "the fd before was %d", old);
    if (before < 0)
        return;
    close(user_fd[0]);
    close(user_fd[1]);
    user_fd[0] = user_fd[1] = -1;
}

/* So that nothing of the library needs SIGCHLD for a moment. */
void reopen_both(void)
{
    if (below(3) != 0)
        return;
    close_for_reopening(0);
    close_for_reopening(1);
    open_again(0);
    open_again(1);
}

static const struct host *top_host(void)
{
    return hosts[1].active ? &hosts[1] : hosts[0].active ? &hosts[0] : NULL;
}

/* A handler on top of that of the host asks the kernel for the same. */
static void expect_flags_kept(void)
{
    const struct sigaction current = current_action();
    const struct host *top = top_host();

    if (top && is_function(&current))
        CHECK(((current.sa_flags ^ top->own.sa_flags) & AS_ASKED) == 0, "flags 0x%x, and the host asked for 0x%x",
              (unsigned)current.sa_flags, (unsigned)top->own.sa_flags);
}

static bool has_byte(void)
{
    char bytes[64];
    bool any = false;

    while (user_fd[0] >= 0 && read(user_fd[0], bytes, sizeof(bytes)) > 0)
        any = true;
    return any;
}

void raise_sigchld(void)
{
    if (ignored)
        return;
    expect_flags_kept();
    has_byte();
    for (struct host *h = hosts; h < hosts + HOSTS; h++)
        h->calls = 0;
    say("SIGCHLD");
    raise(SIGCHLD);
    for (struct host *h = hosts; h < hosts + HOSTS; h++)
        CHECK(h->calls == h->active, "the host's handler ran %u times", h->calls);
    CHECK(has_byte() == (user_fd[0] >= 0 && library_is_reached()), "the host's fd");
}
