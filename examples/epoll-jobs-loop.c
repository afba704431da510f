/* SPDX-License-Identifier: MIT */
#include "epoll-jobs.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int epoll_fd;
static struct source *retired;

void list_add(struct source **list, struct source *source)
{
    source->next = *list;
    source->link = list;
    if (source->next != NULL)
        source->next->link = &source->next;
    *list = source;
}

static void list_remove(struct source *source)
{
    *source->link = source->next;
    if (source->next != NULL)
        source->next->link = source->link;
}

static int set_epoll(int operation, struct source *source, uint32_t events)
{
    struct epoll_event interest = { .events = events, .data.ptr = source };
    return epoll_ctl(epoll_fd, operation, source->fd, &interest) < 0 ? -errno : 0;
}

int watch(struct source *source, int fd, void (*ready)(struct source *, uint32_t), uint32_t events)
{
    source->fd = fd;
    source->ready = ready;
    return set_epoll(EPOLL_CTL_ADD, source, events);
}

int rewatch(struct source *source, uint32_t events)
{
    return set_epoll(EPOLL_CTL_MOD, source, events);
}

/* close alone leaves it in the epoll set while a child that has yet to exec
   holds a copy, and events of it keep coming. */
void close_source(struct source *source)
{
    if (source->fd < 0)
        return;
    set_epoll(EPOLL_CTL_DEL, source, 0);
    close(source->fd);
    source->fd = -1;
}

void retire(struct source *source)
{
    close_source(source);
    source->ready = NULL;
    list_remove(source);
    list_add(&retired, source);
}

static void free_retired(void)
{
    while (retired != NULL) {
        struct source *source = retired;
        list_remove(source);
        free(source);
    }
}

int open_loop(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return epoll_fd < 0 ? -errno : 0;
}

int run_round(int timeout_ms)
{
    struct epoll_event ready[64];
    int n = epoll_wait(epoll_fd, ready, 64, timeout_ms);
    if (n < 0 && errno != EINTR)
        return -errno;
    for (int i = 0; i < n; i++) {
        struct source *source = ready[i].data.ptr;
        if (source->ready != NULL)
            source->ready(source, ready[i].events);
    }
    free_retired();
    return 0;
}

void close_loop(void)
{
    free_retired();
    close(epoll_fd);
}
