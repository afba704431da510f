/* SPDX-License-Identifier: MIT */
/* Rounds of a race, for suites that need many of them to meet it once. */
#include "truth_rounds.h"

#include <poll.h>

struct round batch[BATCH_MAX];
struct gate gate;
int reaped, recorded, unknown;

int rounds_in_batches(int size)
{
    int batches = stress_rounds() / size;
    return (batches > 0 ? batches : 1) * size;
}

void spin(int turns)
{
    for (volatile int i = 0; i < turns; i++)
        ;
}

void start_batch(struct exitfd *x, int first, int size)
{
    for (int i = 0; i < size; i++) {
        int status = (first + i) % 251;
        batch[i] = (struct round){ .pid = start_child(&gate, status), .status = status, .stolen_status = -1 };
        CHECK_EQ(exitfd_add(x, batch[i].pid, 0, &batch[i]), 0);
    }
}

void note_event(const struct exitfd_event *event)
{
    struct round *round = event->data;
    CHECK_EQ(event->pid, round->pid, "an event of %d with the data of %d", (int)event->pid, (int)round->pid);
    CHECK_EQ(round->events++, 0, "two events of one child");
    if (event->origin == EXITFD_UNKNOWN)
        CHECK(event->code == 0 && event->status == 0, "a made-up status");
    else
        CHECK(event->code == CLD_EXITED && event->status == round->status, "origin %d code %d status %d, not %d",
              event->origin, event->code, event->status, round->status);
    reaped += event->origin == EXITFD_REAPED;
    recorded += event->origin == EXITFD_RECORDED;
    unknown += event->origin == EXITFD_UNKNOWN;
}

void expect_totals(int rounds)
{
    CHECK_EQ(reaped + recorded + unknown, rounds);
    cr_log_info("%d rounds: %d reaped, %d recorded, %d unknown", rounds, reaped, recorded, unknown);
    if (reports_stolen_status())
        CHECK_EQ(unknown, 0, "%d statuses lost that the kernel had", unknown);
    else
        CHECK_EQ(recorded, 0);
}

void take_events(struct exitfd *x, int n, bool calling)
{
    struct exitfd_event events[64];
    long long end = now_ms() + DEADLINE_MS;
    while (n > 0) {
        int ret = exitfd_wait(x, events, n < 64 ? n : 64, 0);
        CHECK(ret >= 0 || (calling && ret == -EPIPE), "exitfd_wait: %s", strerror(-ret));
        for (int i = 0; i < ret; i++)
            note_event(&events[i]);
        if (ret > 0) {
            n -= ret;
            end = now_ms() + DEADLINE_MS; /* only silence is a loss: gVisor takes a minute for 500 */
            continue;
        }
        struct pollfd item = { .fd = exitfd_get_fd(x), .events = POLLIN };
        poll(&item, 1, calling ? 1 : DEADLINE_MS);
        CHECK(now_ms() < end, "%d events missing", n);
    }
}
