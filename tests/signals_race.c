/* SPDX-License-Identifier: MIT */
/* Another thread that installs its SIGCHLD handler in the middle of ours doing so, or of ours going away. */
#include "signals.h"
#include "support.h"

#include <dlfcn.h>
#include <string.h>

static bool somebody_is_quicker;
static int plain_calls;

static void count_plain(int sig)
{
    plain_calls += sig == SIGCHLD;
}

static int next_sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
    static int (*next)(int, const struct sigaction *, struct sigaction *);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "sigaction");
    return next(sig, action, old);
}

int sigaction(int sig, const struct sigaction *action, struct sigaction *old)
{
    if (somebody_is_quicker && sig == SIGCHLD && action != NULL) {
        struct sigaction theirs = { .sa_handler = count_plain, .sa_flags = SA_RESTART };
        sigemptyset(&theirs.sa_mask);
        somebody_is_quicker = false;
        next_sigaction(SIGCHLD, &theirs, NULL);
    }
    return next_sigaction(sig, action, old);
}

static void expect_theirs_in_place(void)
{
    cr_assert_not(somebody_is_quicker, "the library never set a disposition");
    cr_assert_eq(current_disposition().sa_handler, count_plain, "clobbered");
}

TEST(race, a_handler_installed_while_ours_goes_is_not_clobbered)
{
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    somebody_is_quicker = true;
    exitfd_close(x);
    expect_theirs_in_place();
}

TEST(race, a_handler_installed_while_the_primitive_goes_is_not_clobbered)
{
    struct wakeup wakeup = open_wakeup();
    install(wakeup.write_end);
    somebody_is_quicker = true;
    install(-1);
    expect_theirs_in_place();
    close_wakeup(&wakeup);
}

TEST(race, a_handler_installed_while_ours_comes_is_chained_to_and_put_back)
{
    unblock_sigchld();
    somebody_is_quicker = true;
    struct exitfd *x = open_exitfd_flags(EXITFD_SELFPIPE);
    expect_served(x, 1);
    cr_assert_eq(plain_calls, 1);
    exitfd_close(x);
    expect_theirs_in_place();
}
