/* SPDX-License-Identifier: MIT */
/* What gVisor answers and Linux does not, on any kernel: ci/proof-kernels
   gvisor runs the suites on the real one. */
#include "life_support.h"
#include "stand_in.h"
#include "truth_inject.h"

#include <sys/resource.h>

static void tell_as_a_death(siginfo_t *info)
{
    const int stopped = 0x7f; /* the lower bits of a wait status */
    if (info->si_code == CLD_STOPPED || info->si_code == CLD_CONTINUED) {
        info->si_code = info->si_code == CLD_STOPPED ? CLD_KILLED : CLD_DUMPED;
        info->si_status = stopped;
    }
}

int getrusage(__rusage_who_t who, struct rusage *usage)
{
    FIND_NEXT(getrusage);
    int result = next(who, usage);
    if (change_answer != NULL)
        usage->ru_minflt = 0;
    return result;
}

TEST(gvisor, a_stop_reported_as_a_death_is_a_stop)
{
    if (build_is_posix())
        SKIP("gVisor is Linux: the posix build has no answer to it");
    change_answer = tell_as_a_death;
    struct exitfd *x = open_exitfd();
    for (unsigned observes = 0; observes <= EXITFD_OBSERVE; observes += EXITFD_OBSERVE) {
        pid_t pid = start_paused();
        CHECK_EQ(exitfd_add(x, pid, EXITFD_STOPPED | EXITFD_CONTINUED | observes, x), 0);
        kill(pid, SIGSTOP);
        struct exitfd_event event = wait_event(x);
        expect_event(&event, pid, CLD_STOPPED, 0, EXITFD_PEEKED, x);
        kill(pid, SIGCONT);
        event = wait_event(x);
        expect_event(&event, pid, CLD_CONTINUED, SIGCONT, EXITFD_PEEKED, x);
        kill(pid, SIGKILL);
        event = wait_event(x);
        expect_event(&event, pid, CLD_KILLED, SIGKILL, observes ? EXITFD_PEEKED : EXITFD_REAPED, x);
        if (observes)
            reap(pid);
    }
    exitfd_close(x);
}

/* Its siblings live on, so its SIGCHLD is the only sign. */
TEST(gvisor, a_stolen_child_is_found_where_no_page_faults_are_counted)
{
    enum {
        SIBLINGS = 30
    };
    learn_what_is_recorded();
    change_answer = tell_as_a_death;
    struct exitfd *x = open_exitfd();
    struct gate gate = open_gate();
    pid_t siblings[SIBLINGS];
    for (int i = 0; i < SIBLINGS; i++) {
        siblings[i] = start_paused();
        CHECK_EQ(exitfd_add(x, siblings[i], 0, x), 0);
    }
    pid_t pid = start_child(&gate, 19);
    CHECK_EQ(exitfd_add(x, pid, 0, x), 0);
    let_through(&gate, 1);
    CHECK_EQ(steal(-1), 19 << 8);
    wait_readable(exitfd_get_fd(x));
    struct exitfd_event event;
    CHECK_EQ(exitfd_wait(x, &event, 1, 0), 1);
    expect_stolen(&event, pid, CLD_EXITED, 19, x);
    exitfd_close(x);
    for (int i = 0; i < SIBLINGS; i++)
        kill_and_reap(siblings[i]);
    close_gate(&gate);
}
