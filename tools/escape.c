/* SPDX-License-Identifier: MIT */
/*
 * Text from outside is made harmless here before a person sees it. Every
 * message goes through say. It may be called when memory has run out, so it
 * allocates nothing.
 */
#include "escape.h"

#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_in(uint32_t character, uint32_t first, uint32_t last)
{
    return character >= first && character <= last;
}

bool is_control(uint32_t character)
{
    return character < 0x20 || is_in(character, 0x7f, 0x9f) || character == 0x61c || is_in(character, 0x200e, 0x200f) ||
           is_in(character, 0x2028, 0x202e) || is_in(character, 0x2066, 0x206f);
}

static size_t length_of(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

size_t next_character(const char *text, size_t count, uint32_t *ret)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *bytes = (const unsigned char *)text;
    size_t length = length_of(bytes[0]);
    uint32_t character = length == 1 ? bytes[0] : bytes[0] & (0x7fu >> length);

    *ret = NOT_UTF8;
    if (length == 0 || length > count)
        return 1;
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 1;
        character = character << 6 | (bytes[i] & 0x3f);
    }
    if (character < smallest[length] || is_in(character, 0xd800, 0xdfff) || character > 0x10ffff)
        return 1;
    *ret = character;
    return length;
}

size_t clean(char *text, size_t length)
{
    size_t kept = 0;
    for (size_t i = 0, step; i < length; i += step) {
        uint32_t character;
        step = next_character(text + i, length - i, &character);
        if (is_in(character, '\t', '\r')) {
            text[kept++] = ' ';
        } else if (character == NOT_UTF8 || is_control(character)) {
            text[kept++] = '?';
        } else {
            memmove(text + kept, text + i, step);
            kept += step;
        }
    }
    return kept;
}

int say_patience_ms = -1;

/* A caught signal ends it, because a reader that is stuck must not keep us from
   ending. */
static void write_whole(int fd, const char *text, size_t length)
{
    while (length) {
        ssize_t n = write(fd, text, length);
        if (n > 0) {
            text += n;
            length -= (size_t)n;
        } else if (errno != EAGAIN || poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1) < 0) {
            return;
        }
    }
}

/*
 * A pipe that poll(2) calls writable takes PIPE_BUF bytes. A terminal may take
 * one and block. So it is opened anew, non-blocking: others have the fd that we
 * were given, and no flag of theirs may change.
 */
static int patient_fd(void)
{
    static int own = -2;
    if (own == -2)
        own = isatty(STDERR_FILENO) ? open("/proc/self/fd/2", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC) : -1;
    return own >= 0 ? own : STDERR_FILENO;
}

/* False if there is a reader that does not read. No signal shortens its
   time. */
static bool write_patiently(int fd, const char *text, size_t length, int64_t until_ns)
{
    while (length) {
        int64_t left_ms = (until_ns - monotonic_ns()) / 1000000;
        int r = poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, left_ms > 0 ? (int)left_ms : 0);
        ssize_t n = r > 0 ? write(fd, text, length < PIPE_BUF ? length : PIPE_BUF) : 0;
        if (n > 0) {
            text += n;
            length -= (size_t)n;
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return true;
        } else if (left_ms <= 0) {
            return false;
        }
    }
    return true;
}

static void say_whole(const char *text, size_t length)
{
    static bool is_stuck; /* it had its time, and gets it again when it has read */
    if (say_patience_ms < 0) {
        write_whole(STDERR_FILENO, text, length);
        return;
    }
    int64_t patience_ns = is_stuck ? 0 : (int64_t)say_patience_ms * 1000000;
    is_stuck = !write_patiently(patient_fd(), text, length, monotonic_ns() + patience_ns);
}

size_t compose(char *text, const char *prefix, const char *format, va_list args)
{
    int n = snprintf(text, LONGEST_MESSAGE, "%s: ", prefix);
    size_t length = n > 0 ? (size_t)n : 0;

    n = vsnprintf(text + length, LONGEST_MESSAGE - length, format, args);
    length += n > 0 ? (size_t)n : 0;
    length = clean(text, length < LONGEST_MESSAGE ? length : LONGEST_MESSAGE - 1);
    text[length++] = '\n';
    return length;
}

void say(const char *prefix, const char *format, va_list args)
{
    char text[LONGEST_MESSAGE + 1];
    say_whole(text, compose(text, prefix, format, args));
}
