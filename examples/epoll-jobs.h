/* SPDX-License-Identifier: MIT */
/*
 * epoll-jobs.c          the daemon: its jobs, its exitfd, its socket
 * epoll-jobs-client.c   the socket, who may connect, what a client says and
 *                       gets
 * epoll-jobs-loop.c     an epoll loop, as short as one can be
 */
#ifndef EPOLL_JOBS_H
#define EPOLL_JOBS_H

#include <exitfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

enum {
    LINE_BYTES = 4096,
    OUTPUT_BYTES = 4096, /* taken from a job at a time */
    REPLY_BYTES = 160,
    MAX_CLIENTS = 256,
    MAX_JOBS = 1000,
    JOBS_PER_CLIENT = 200,
    HOLD_BACK_BYTES = 64 * 1024,
    /* Past HOLD_BACK_BYTES nothing is taken in, and each job still to end adds
       one reply: this cannot overflow. */
    UNSENT_BYTES = HOLD_BACK_BYTES + OUTPUT_BYTES + (2 + JOBS_PER_CLIENT) * REPLY_BYTES
};

/* The first member of everything that epoll watches. */
struct source {
    void (*ready)(struct source *source, uint32_t events); /* NULL: retired */
    int fd;                                                /* -1: none any more */
    struct source *next, **link;
};

int open_loop(void);
int run_round(int timeout_ms); /* one epoll_wait and what it reports */
void close_loop(void);

int watch(struct source *source, int fd, void (*ready)(struct source *, uint32_t), uint32_t events);
int rewatch(struct source *source, uint32_t events);
void close_source(struct source *source);
/* Closes, and frees at the end of the round: the batch of epoll events being
   worked through may name it again. */
void retire(struct source *source);
void list_add(struct source **list, struct source *source);

struct client {
    struct source source;
    struct source *jobs;
    int n_jobs;
    bool sent_all;  /* half-closed */
    bool held_back; /* does not read: takes nothing in, neither lines nor output of jobs */
    bool skipping_line;
    uint32_t interest;
    size_t n_line, n_unsent;
    char line[LINE_BYTES];
    char unsent[UNSENT_BYTES];
};

/* Ends the program with a message if the path cannot be served. */
int listen_on(const char *path);
/* Call it while the listener is open. Leaves alone what is not our socket. */
void remove_socket(const char *path);
/* Whether it is the daemon's own user or root. */
bool may_command(int fd);
void refuse_client(int fd, const char *text);

bool open_client(struct source **clients, int fd);
void close_client(struct client *client);
void queue(struct client *client, const char *bytes, size_t n);
__attribute__((format(printf, 2, 3))) void reply(struct client *client, const char *format, ...);

/* Each of these two replies to the client. */
void start_job(struct client *client, char *command_line);
void kill_job(struct client *client, long pid);
void resume_output(struct client *client);
void abandon_jobs(struct client *client);

#endif
