/* SPDX-License-Identifier: MIT */
/* The handler that the application had keeps what it asked the kernel for. */
#include "signals.h"
#include "support.h"

#include <unistd.h>

static void ignore(int sig)
{
    (void)sig;
}

static int flags_in_force(int flags_found)
{
    set_sigchld(ignore, flags_found);
    unblock_sigchld();
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    int flags = current_disposition().sa_flags & (SA_RESTART | SA_ONSTACK | SA_NODEFER);
    exitfd_close(x);
    CHECK_EQ(current_disposition().sa_flags & (SA_RESTART | SA_ONSTACK | SA_NODEFER), flags_found);
    return flags;
}

TEST(host_handler, its_flags_are_in_force)
{
    static const int all[] = { 0, SA_RESTART, SA_ONSTACK, SA_NODEFER, SA_RESTART | SA_ONSTACK | SA_NODEFER };

    for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++)
        CHECK_EQ(flags_in_force(all[i]), all[i], "found with %#x", (unsigned)all[i]);
}

TEST(host_handler, the_stack_it_was_given_meanwhile_is_kept_at_close)
{
    set_sigchld(ignore, SA_RESTART);
    unblock_sigchld();
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    struct sigaction action = current_disposition();
    action.sa_flags |= SA_ONSTACK;
    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
    exitfd_close(x);
    CHECK_EQ(current_disposition().sa_flags & SA_ONSTACK, SA_ONSTACK);
}

static struct sigaction below;
static int calls;

static void chaining(int sig, siginfo_t *info, void *context)
{
    if (++calls > 100)
        _exit(1); /* an endless chain */
    if (below.sa_flags & SA_SIGINFO)
        below.sa_sigaction(sig, info, context);
}

/* As system(3) does: the default for a moment, in which an exitfd is opened and
   closed. */
static void set_default_for_a_moment(void)
{
    struct sigaction saved, none = { .sa_handler = SIG_DFL };

    sigaction(SIGCHLD, &none, &saved);
    exitfd_close(open_exitfd_flags(EXITFD_SELFPIPE));
    sigaction(SIGCHLD, &saved, NULL);
}

TEST(host_handler, put_back_over_ours_it_is_called_once_a_thousand_times)
{
    struct sigaction action = { .sa_sigaction = chaining, .sa_flags = SA_SIGINFO | SA_RESTART };

    unblock_sigchld();
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    sigemptyset(&action.sa_mask);
    CHECK_EQ(sigaction(SIGCHLD, &action, &below), 0);
    exitfd_close(x);
    for (int round = 0; round < 1000; round++) {
        set_default_for_a_moment();
        x = open_exitfd_flags(EXITFD_SELFPIPE);
        calls = 0;
        send_sigchld();
        CHECK_EQ(calls, 1, "called %d times in round %d", calls, round);
        exitfd_close(x);
    }
}
