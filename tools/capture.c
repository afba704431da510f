/* SPDX-License-Identifier: MIT */
/*
 * The blocks of a command's output, in memory and in the spill. job.c reads
 * into a capture, and the printer takes from it. A block of the spill is used
 * again, so nothing may be taken twice.
 */
#include "capture.h"

#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_spill(struct spill *spill)
{
    char path[4096];
    const char *folder = getenv("TMPDIR");
    if (spill->fd >= 0)
        return 0;
    int length = snprintf(path, sizeof path, "%s/exitfd-run-XXXXXX", folder && *folder ? folder : "/tmp");
    if (length < 0 || (size_t)length >= sizeof path)
        return -ENAMETOOLONG;
    spill->fd = mkstemp(path);
    if (spill->fd < 0)
        return -errno;
    unlink(path);
    fcntl(spill->fd, F_SETFD, FD_CLOEXEC);
    return 0;
}

static off_t place_of(uint32_t block)
{
    return (off_t)block * CAPTURE_BLOCK;
}

static int write_block(int fd, const char *bytes, size_t count, off_t place)
{
    while (count) {
        ssize_t n = pwrite(fd, bytes, count, place);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            bytes += n;
            count -= (size_t)n;
            place += n;
        }
    }
    return 0;
}

static void give_back(struct spill *spill, uint32_t block)
{
    spill->unused = reallocate(spill->unused, spill->unused_count + 1, sizeof *spill->unused);
    spill->unused[spill->unused_count++] = block;
}

static int spill_tail(struct capture *capture, struct spill *spill)
{
    int r = open_spill(spill);
    if (r < 0)
        return r;
    uint32_t block = spill->unused_count ? spill->unused[--spill->unused_count] : spill->block_count++;
    r = write_block(spill->fd, capture->tail, capture->tail_length, place_of(block));
    if (r < 0) {
        give_back(spill, block);
        return r;
    }
    capture->blocks = reallocate(capture->blocks, capture->block_count + 1, sizeof *capture->blocks);
    capture->blocks[capture->block_count++] = block;
    capture->spilled += capture->tail_length;
    capture->tail_length = 0;
    return 0;
}

static void grow_tail(struct capture *capture)
{
    size_t room = capture->tail_room ? 4 * capture->tail_room : 4096;
    capture->tail = reallocate(capture->tail, room, 1);
    capture->tail_room = room;
}

int capture_make_room(struct capture *capture, struct spill *spill)
{
    if (capture->tail_length == CAPTURE_BLOCK) {
        int r = spill_tail(capture, spill);
        if (r < 0)
            return r;
    }
    if (capture->tail_length == capture->tail_room)
        grow_tail(capture);
    return 0;
}

ssize_t capture_read(struct capture *capture, int fd)
{
    ssize_t n = read(fd, capture->tail + capture->tail_length, capture->tail_room - capture->tail_length);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    capture->tail_length += (size_t)n;
    return n;
}

void capture_shorten(struct capture *capture, size_t count)
{
    capture->tail_length -= count;
}

static void free_tail(struct capture *capture)
{
    free(capture->tail);
    capture->tail = NULL;
    capture->tail_length = 0;
    capture->tail_room = 0;
}

void capture_trim(struct capture *capture)
{
    if (capture->tail_length == 0) {
        free_tail(capture);
    } else {
        capture->tail = reallocate(capture->tail, capture->tail_length, 1);
        capture->tail_room = capture->tail_length;
    }
}

int capture_park(struct capture *capture, struct spill *spill)
{
    int r = capture->tail_length ? spill_tail(capture, spill) : 0;
    if (r == 0)
        free_tail(capture);
    return r;
}

static ssize_t take_block(struct capture *capture, struct spill *spill, char *piece)
{
    uint32_t block = capture->blocks[capture->blocks_taken];
    size_t count = capture->spilled < CAPTURE_BLOCK ? capture->spilled : CAPTURE_BLOCK;
    ssize_t n = pread(spill->fd, piece, count, place_of(block));
    if (n != (ssize_t)count)
        return n < 0 ? -errno : -EIO;
    capture->blocks_taken++;
    capture->spilled -= count;
    give_back(spill, block);
    return n;
}

ssize_t capture_take(struct capture *capture, struct spill *spill, char piece[CAPTURE_BLOCK])
{
    if (capture->blocks_taken < capture->block_count)
        return take_block(capture, spill, piece);
    ssize_t count = (ssize_t)capture->tail_length;
    if (count)
        memcpy(piece, capture->tail, (size_t)count);
    free_tail(capture);
    return count;
}

void capture_drop(struct capture *capture, struct spill *spill)
{
    for (; capture->blocks_taken < capture->block_count; capture->blocks_taken++)
        give_back(spill, capture->blocks[capture->blocks_taken]);
    free_tail(capture);
    free(capture->blocks);
    *capture = (struct capture){ .tail = NULL };
}
