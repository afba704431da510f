/* SPDX-License-Identifier: MIT */
/*
 * What a command prints, kept until its turn comes. Only the last 64 KiB of
 * each stand in memory; full blocks go to one unlinked temporary file, whose
 * blocks are used again.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    CAPTURE_BLOCK = 65536
};

struct spill {
    int fd; /* -1 until it is needed */
    uint32_t block_count;
    uint32_t *unused;
    size_t unused_count;
};

struct capture {
    char *tail;
    size_t tail_length, tail_room;
    uint32_t *blocks; /* in the spill, before the tail */
    size_t block_count, blocks_taken;
    size_t spilled; /* bytes in them */
};

/* Each returns 0 or more, or the negative errno of the temporary file. */

/* For one capture_read. */
int capture_make_room(struct capture *capture, struct spill *spill);

/* Reads once from fd: the count, 0 at its end, -EAGAIN when there is nothing
   now. */
ssize_t capture_read(struct capture *capture, int fd);

/* Forgets the last count bytes of those that the last capture_read gave. */
void capture_shorten(struct capture *capture, size_t count);

/* Nothing more will be read: the memory that is left is no more than what is
   kept. */
void capture_trim(struct capture *capture);

/* The memory goes to the spill too. Nothing can be read afterwards. */
int capture_park(struct capture *capture, struct spill *spill);

/* The next piece, which is forgotten here; 0 when there is none. */
ssize_t capture_take(struct capture *capture, struct spill *spill, char piece[CAPTURE_BLOCK]);

/* Forgets everything. */
void capture_drop(struct capture *capture, struct spill *spill);

#endif
