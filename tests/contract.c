/* SPDX-License-Identifier: MIT */
#include "support.h"

TEST(contract, exit_status_0_is_reported)
{
    struct exitfd *x = open_exitfd();
    pid_t pid = start_child_exit(0);
    cr_assert_eq(exitfd_add(x, pid, 0, x), 0);
    struct exitfd_event event = wait_event(x);
    expect_exited(&event, pid, 0, x);
    expect_quiet(x);
    exitfd_close(x);
}
