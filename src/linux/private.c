/* SPDX-License-Identifier: MIT */
/*
 * Memory of private.h by MADV_WIPEONFORK. It is whole pages, because advice is
 * about pages. Where the advice is refused, or an emulator ignores it, they are
 * copied as usual.
 */
#include "private.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of LeakSanitizer, where the program has it: it looks for pointers in malloc's
   memory, and the data of a watch may be kept nowhere else. */
extern void __lsan_register_root_region(const void *start, size_t size) __attribute__((weak));
extern void __lsan_unregister_root_region(const void *start, size_t size) __attribute__((weak));

static size_t in_pages(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

static void show_to_sanitizer(const void *memory, size_t size)
{
    if (__lsan_register_root_region)
        __lsan_register_root_region(memory, size);
}

static void hide_from_sanitizer(const void *memory, size_t size)
{
    if (__lsan_unregister_root_region)
        __lsan_unregister_root_region(memory, size);
}

/* The two parts meet at the beginning of a page. */
void *xfd_private_alloc(size_t kept, size_t size)
{
    size_t before = in_pages(kept), after = in_pages(size - kept);
    char *pages = mmap(NULL, before + after, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED)
        return NULL;
    madvise(pages + before, after, MADV_WIPEONFORK);
    show_to_sanitizer(pages, before + after);
    return pages + before - kept;
}

void xfd_private_free(void *memory, size_t kept, size_t size)
{
    size_t before = in_pages(kept), after = in_pages(size - kept);

    if (!memory)
        return;
    char *pages = (char *)memory + kept - before;
    hide_from_sanitizer(pages, before + after);
    munmap(pages, before + after);
}

static void *move(void *memory, size_t old_size, size_t size)
{
    void *copy = xfd_private_alloc(0, size);

    if (!copy)
        return NULL;
    memcpy(copy, memory, old_size < size ? old_size : size);
    xfd_private_free(memory, 0, old_size);
    return copy;
}

/* The advice is kept. A seccomp filter may forbid mremap. */
void *xfd_private_resize(void *memory, size_t old_size, size_t size)
{
    size_t before = in_pages(old_size), after = in_pages(size);

    if (!memory)
        return xfd_private_alloc(0, size);
    if (before == after)
        return memory;
    void *moved = mremap(memory, before, after, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED)
        return move(memory, old_size, size);
    hide_from_sanitizer(memory, before);
    show_to_sanitizer(moved, after);
    return moved;
}
