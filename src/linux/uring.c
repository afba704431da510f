/* SPDX-License-Identifier: MIT */
/*
 * One poll request for each pidfd in a ring of our own; where there is no pidfd to be had, one waitid request instead
 * (Linux 6.7), which needs no SIGCHLD. The numbers behind this choice are in docs/uring.md.
 *
 * The fd is an eventfd registered with the ring. An ordinary ring would interrupt the host's blocked system calls at each
 * completion. With DEFER_TASKRUN the kernel leaves the work to our next io_uring_enter, and to poll the ring's own fd
 * would not tell that there is some: the eventfd does, once when work is left and again when it has been done. So it is
 * read after the work, and then the TASKRUN flag, which the kernel sets before it signals, tells what came between.
 */
#include "follow.h"
#include "linux/pidfd.h"
#include "linux/set.h"
#include "linux/sys.h"
#include "linux/thread.h"
#include "status.h"
#include "wake.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#define ENTRIES 128
#define BURST 16 /* so many children added between two waits go to the kernel one by one, further ones together */
#define RING_FLAGS                                                                                                     \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL)
#define OP_WAITID 50 /* IORING_OP_WAITID, Linux 6.7, absent from liburing 2.3 */
#define JOB_FLAGS (EXITFD_STOPPED | EXITFD_CONTINUED)

/* No slot has these numbers (watches.h). */
#define TOKEN_NONE UINT64_MAX
#define TOKEN_TICK (UINT64_MAX - 1)

struct uring {
    struct io_uring ring;
    uint64_t thread;        /* the only one the kernel lets near the ring */
    bool has_waitid;
    bool tick_armed;
    bool poked;             /* the fd is readable because of what is held back */
    bool some_unarmed;      /* a watch could not be handed to the kernel for want of memory */
    unsigned added;         /* since the last wait */
};

static int probe(unsigned flags, bool forced)
{
    (void)flags;
    return forced ? 0 : -ENOTSUP;
}

static bool has_waitid(struct io_uring *ring)
{
    struct io_uring_probe *known = io_uring_get_probe_ring(ring);
    bool has = known && io_uring_opcode_supported(known, OP_WAITID);

    io_uring_free_probe(known);
    return has;
}

/* gVisor sets up a ring that cannot register anything. */
static int set_up(struct exitfd *x)
{
    struct uring *u = x->uring;
    int error = io_uring_queue_init(ENTRIES, &u->ring, RING_FLAGS);

    if (error < 0)
        return not_here(-error);
    error = io_uring_register_eventfd(&u->ring, x->fd);
    u->has_waitid = error == 0 && has_waitid(&u->ring);
    if (error == 0 && !u->has_waitid)
        error = pidfd_probe();
    if (error == 0)
        error = follow_start(x);
    if (error < 0)
        io_uring_queue_exit(&u->ring);
    return error < 0 ? not_here(-error) : 0;
}

static int open_uring(struct exitfd *x)
{
    x->wake_size = sizeof(uint64_t);
    x->fd = x->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (x->fd < 0)
        return -errno;
    x->uring = calloc(1, sizeof *x->uring);
    int error = x->uring ? set_up(x) : -ENOMEM;
    if (error < 0) {
        free(x->uring);
        close_fd(&x->fd);
        return error;
    }
    x->uring->thread = thread_number();
    return 0;
}
