/* SPDX-License-Identifier: MIT */
/*
 * The pid table: the watches, in slots that never change their number. It makes
 * no system call but for memory, and takes no lock: its caller holds x->lock. A
 * pid may stand in it twice, for the child that has it and for one that had it.
 */
#ifndef EXITFD_WATCHES_H
#define EXITFD_WATCHES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    WATCH_DISCARDED = 1 << 16, /* beside the public flags of exitfd_add */
    WATCH_REARMED = 1 << 17,   /* its pidfd was reported, and only EPOLL_CTL_DEL takes it out of the epoll set */
    WATCH_STOP_SEEN = 1 << 18, /* an observed child's stop, or continue, was reported: peeking shows it again */
    WATCH_CONTINUE_SEEN = 1 << 19,
    WATCH_REAPED_ELSEWHERE = 1 << 20, /* not by us: its pid may name another child by now */
    WATCH_SHARED = 1 << 21,   /* the caller has its pidfd too, so our close does not end the entry in the epoll set */
    WATCH_STARTED = 1 << 22,  /* bound by a start of ours, so no other start has the same child */
    WATCH_HELD = 1 << 23,     /* its event was given, and EXITFD_HOLD keeps it */
    WATCH_RECORDED = 1 << 24, /* reaped before it was added: record says how it ended */
    WATCH_ORPHAN = 1 << 25,   /* of the catch-all watch: it may have another exit signal, or none */
    WATCH_UNPOLLED = 1 << 26  /* the kernel refused what would report it: it is looked at now and then */
};

#define PID_LOST ((pid_t)-1) /* of a watch whose process was reaped before: no call returns its pid any more */

struct autokill;

/* How a process ended that was reaped, as the kernel has kept it. */
struct record {
    uint16_t wait_status; /* as waitpid gives it */
    uint8_t crash_signal; /* as in an event */
};

struct watch {
    void *data;
    struct autokill *autokill; /* autokill.h; NULL: not with EXITFD_AUTOKILL */
    pid_t pid;                 /* 0 while the slot is taken but names no process yet */
    int pidfd;                 /* -1 where SIGCHLD takes its place */
    uint32_t flags;
    uint32_t generation;  /* tells this use of the slot from earlier ones */
    uint32_t chain;       /* next of the same bucket, or next free slot */
    uint32_t next, prev;  /* in the list of tracking.h; next == SLOT_NONE: not in it */
    struct record record; /* with WATCH_RECORDED, or just read for its event */
    uint64_t bound_seq;   /* how many starts of children had begun when it was bound, registry.h */
};

/* Whether its exit is an event. That of a discarded child is not. */
static inline bool xfd_watch_is_reported(const struct watch *w)
{
    return !(w->flags & WATCH_DISCARDED);
}

#define SLOT_NONE 0 /* the first slot is never used: memory that a fork has wiped holds empty lists */

/* A forked child needs the first half, to free what lies elsewhere. The second
   half, and all that lies elsewhere, is as private.h says. */
struct watches {
    struct watch *slots;
    uint32_t *buckets;
    uint32_t capacity, bucket_count;
    atomic_bool growing; /* another thread may fork meanwhile: all of these are about to change */

    _Alignas(16) uint32_t free_slot; /* head of the free list through chain */
    uint32_t fresh;                  /* slots from here on were never used */
    uint32_t bound;                  /* how many name a process */
    bool ended;                      /* a watch has ended since xfd_watches_take_ended */
};

/* A token names one use of one slot, for ever: a stale one finds nothing. */
uint64_t xfd_watches_token(const struct watches *ws, const struct watch *w);
struct watch *xfd_watches_by_token(const struct watches *ws, uint64_t token);

/* The newest watch of that pid: an older one, whose process other code has
   reaped, may still wait for its event. */
struct watch *xfd_watches_find(const struct watches *ws, pid_t pid);

/*
 * Reserves a slot, the only step that can fail (-ENOMEM). It invalidates every
 * struct watch pointer.
 */
int xfd_watches_reserve(struct watches *ws, struct watch **ret);
void xfd_watches_bind(struct watches *ws, struct watch *w, pid_t pid);
void xfd_watches_bind_behind(struct watches *ws, struct watch *w, pid_t pid); /* for what is no longer the newest */
void xfd_watches_drop(struct watches *ws, struct watch *w);

/* Whether a watch has ended since the last time. */
bool xfd_watches_take_ended(struct watches *ws);

/* The first bound watch in a slot not before *slot, which moves on; NULL at the
   end. */
struct watch *xfd_watches_iterate(const struct watches *ws, uint32_t *slot);

/* In a forked child as well. There the memory stays if another thread of the
   parent was about to move it. */
void xfd_watches_free(struct watches *ws);

#endif
