/* SPDX-License-Identifier: MIT */
/* The signal state a spawned child starts with: SIGCHLD at its default, all
   else as with posix_spawnp. */
#include "life_support.h"

extern char **environ;

static struct signal_masks masks_in_child(struct exitfd *x, const posix_spawnattr_t *attr)
{
    struct output output = output_of(x, attr, (char *[]){ "cat", "/proc/self/status", NULL });
    return masks_in(output.text);
}

static sigset_t set_of(int sig)
{
    sigset_t set;
    sigemptyset(&set);
    if (sig != 0)
        sigaddset(&set, sig);
    return set;
}

TEST(spawn_signals, sigchld_is_default_and_unblocked)
{
    struct exitfd *x = open_exitfd();
    struct signal_masks masks = masks_in_child(x, NULL);
    CHECK(!is_in_mask(masks.blocked, SIGCHLD));
    CHECK(!is_in_mask(masks.ignored, SIGCHLD));
    exitfd_close(x);
}

TEST(spawn_signals, sigchld_is_unblocked_also_where_the_parent_blocks_it)
{
    struct exitfd *x = open_exitfd();
    block_sigchld();
    CHECK(!is_in_mask(masks_in_child(x, NULL).blocked, SIGCHLD));
    exitfd_close(x);
}

TEST(spawn_signals, sigchld_is_default_also_where_the_parent_ignores_it)
{
    struct exitfd *x = open_exitfd();
    signal(SIGCHLD, SIG_IGN);
    CHECK(!is_in_mask(masks_in_child(x, NULL).ignored, SIGCHLD));
    exitfd_close(x);
}

TEST(spawn_signals, sigchld_is_default_also_where_the_parent_ignored_it_before_the_open)
{
    signal(SIGCHLD, SIG_IGN);
    struct exitfd *x = open_exitfd();
    CHECK(!is_in_mask(masks_in_child(x, NULL).ignored, SIGCHLD));
    exitfd_close(x);
}

TEST(spawn_signals, without_attributes_the_mask_is_empty_and_what_is_ignored_stays_so)
{
    struct exitfd *x = open_exitfd();
    block_signal(SIGUSR1);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    struct signal_masks masks = masks_in_child(x, NULL);
    CHECK_EQ(masks.blocked, 0);
    CHECK(is_in_mask(masks.ignored, SIGUSR2));
    CHECK(!is_in_mask(masks.ignored, SIGPIPE));
    exitfd_close(x);
}

TEST(spawn_signals, with_attributes_other_signals_are_inherited)
{
    struct exitfd *x = open_exitfd();
    posix_spawnattr_t attr;
    posix_spawnattr_init(&attr);
    block_signal(SIGUSR1);
    signal(SIGUSR2, SIG_IGN);
    struct signal_masks masks = masks_in_child(x, &attr);
    CHECK(is_in_mask(masks.blocked, SIGUSR1));
    CHECK(is_in_mask(masks.ignored, SIGUSR2));
    posix_spawnattr_destroy(&attr);
    exitfd_close(x);
}

TEST(spawn_signals, the_parents_own_mask_and_disposition_stay_as_they_are)
{
    struct exitfd *x = open_exitfd();
    sigset_t before, after;
    struct sigaction action_before, action_after;
    block_signal(SIGUSR1);
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    sigaction(SIGCHLD, NULL, &action_before);
    masks_in_child(x, NULL);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    sigaction(SIGCHLD, NULL, &action_after);
    for (int sig = 1; sig < NSIG; sig++)
        CHECK_EQ(sigismember(&before, sig), sigismember(&after, sig), "signal %d", sig);
    CHECK_EQ(action_before.sa_handler, action_after.sa_handler);
    exitfd_close(x);
}

static struct signal_masks masks_with_attr(struct exitfd *x, short flags, int in_mask, int in_default)
{
    posix_spawnattr_t attr;
    sigset_t mask = set_of(in_mask), defaults = set_of(in_default);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigmask(&attr, &mask);
    posix_spawnattr_setsigdefault(&attr, &defaults);
    posix_spawnattr_setflags(&attr, flags);
    struct signal_masks masks = masks_in_child(x, &attr);
    posix_spawnattr_destroy(&attr);
    return masks;
}

TEST(spawn_signals, a_mask_of_the_caller_wins)
{
    struct exitfd *x = open_exitfd();
    block_signal(SIGUSR1);
    struct signal_masks masks = masks_with_attr(x, POSIX_SPAWN_SETSIGMASK, SIGCHLD, 0);
    CHECK(is_in_mask(masks.blocked, SIGCHLD));
    CHECK(!is_in_mask(masks.blocked, SIGUSR1));
    masks = masks_with_attr(x, POSIX_SPAWN_SETSIGMASK, SIGUSR2, 0);
    CHECK(!is_in_mask(masks.blocked, SIGCHLD));
    CHECK(is_in_mask(masks.blocked, SIGUSR2));
    exitfd_close(x);
}

TEST(spawn_signals, a_set_of_defaults_of_the_caller_wins)
{
    struct exitfd *x = open_exitfd();
    signal(SIGCHLD, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    struct signal_masks masks = masks_with_attr(x, POSIX_SPAWN_SETSIGDEF, 0, SIGUSR1);
    CHECK(is_in_mask(masks.ignored, SIGCHLD), "the caller's set has no SIGCHLD in it");
    CHECK(!is_in_mask(masks.ignored, SIGUSR1));
    masks = masks_with_attr(x, POSIX_SPAWN_SETSIGDEF, 0, SIGCHLD);
    CHECK(!is_in_mask(masks.ignored, SIGCHLD));
    CHECK(is_in_mask(masks.ignored, SIGUSR1));
    exitfd_close(x);
}

TEST(spawn_signals, of_mask_and_defaults_what_the_caller_left_open_is_ours)
{
    struct exitfd *x = open_exitfd();
    block_sigchld();
    signal(SIGCHLD, SIG_IGN);
    struct signal_masks masks = masks_with_attr(x, POSIX_SPAWN_SETSIGMASK, SIGCHLD, 0);
    CHECK(is_in_mask(masks.blocked, SIGCHLD));
    CHECK(!is_in_mask(masks.ignored, SIGCHLD));
    masks = masks_with_attr(x, POSIX_SPAWN_SETSIGDEF, 0, SIGUSR1);
    CHECK(!is_in_mask(masks.blocked, SIGCHLD));
    CHECK(is_in_mask(masks.ignored, SIGCHLD));
    masks = masks_with_attr(x, POSIX_SPAWN_SETPGROUP, SIGUSR1, SIGUSR1);
    CHECK(!is_in_mask(masks.blocked, SIGCHLD));
    CHECK(!is_in_mask(masks.blocked, SIGUSR1), "the set counts only with its flag");
    CHECK(!is_in_mask(masks.ignored, SIGCHLD));
    exitfd_close(x);
}
