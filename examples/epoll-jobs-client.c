/* SPDX-License-Identifier: MIT */
#include "epoll-jobs.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct stat our_socket;

static _Noreturn void give_up(const char *path, const char *why)
{
    fprintf(stderr, "epoll-jobs: '%s': %s\n", path, why);
    exit(1);
}

int listen_on(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = strlen(path);
    if (length == 0) /* would be an abstract socket, which has no mode: every user could connect */
        give_up(path, "the path of the socket is empty");
    if (length >= sizeof address.sun_path)
        give_up(path, "the path of the socket is longer than 107 bytes");
    memcpy(address.sun_path, path, length + 1);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask = umask(0177); /* any client that connects can run commands as this user */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, SOMAXCONN) < 0 ||
        lstat(path, &our_socket) < 0) {
        int error = errno;
        if (error == EADDRINUSE)
            fprintf(stderr, "epoll-jobs: if no daemon serves %s any more, remove it\n", path);
        give_up(path, strerror(error));
    }
    umask(mask);
    return fd;
}

/* A second daemon may serve the path by now. An open socket keeps its inode, so
   the number is not another's. */
void remove_socket(const char *path)
{
    struct stat found;
    if (lstat(path, &found) == 0 && found.st_dev == our_socket.st_dev && found.st_ino == our_socket.st_ino)
        unlink(path);
}

/* The mode of the socket may have been changed, or a connection passed on. */
bool may_command(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

void refuse_client(int fd, const char *text)
{
    send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void update_interest(struct client *client)
{
    uint32_t interest = (client->held_back || client->sent_all ? 0 : EPOLLIN) | (client->n_unsent > 0 ? EPOLLOUT : 0);
    if (interest != client->interest && rewatch(&client->source, interest) == 0)
        client->interest = interest;
}

void queue(struct client *client, const char *bytes, size_t n)
{
    memcpy(client->unsent + client->n_unsent, bytes, n);
    client->n_unsent += n;
    client->held_back = client->held_back || client->n_unsent >= HOLD_BACK_BYTES;
    update_interest(client);
}

void reply(struct client *client, const char *format, ...)
{
    char text[REPLY_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text - 1, format, arguments);
    va_end(arguments);
    size_t length = n < (int)sizeof text - 1 ? (size_t)n : sizeof text - 2;
    text[length++] = '\n';
    queue(client, text, length);
}

static void kill_line(struct client *client, const char *text)
{
    char *end;
    long pid = strtol(text, &end, 10);
    if (*text < '1' || *text > '9' || *end != '\0')
        reply(client, "error: not a pid: send kill PID");
    else
        kill_job(client, pid);
}

static void obey(struct client *client, char *line, size_t length)
{
    if (strlen(line) != length)
        reply(client, "error: a NUL byte in the line, not run");
    else if (line[strspn(line, " \t\r")] == '\0')
        reply(client, "error: empty line: send a command line, or kill PID");
    else if (strcmp(line, "kill") == 0)
        kill_line(client, "");
    else if (strncmp(line, "kill ", 5) == 0)
        kill_line(client, line + 5);
    else
        start_job(client, line);
}

static void obey_lines(struct client *client)
{
    char *start = client->line, *after = client->line + client->n_line, *newline;
    while (!client->held_back && (newline = memchr(start, '\n', (size_t)(after - start))) != NULL) {
        *newline = '\0';
        if (!client->skipping_line)
            obey(client, start, (size_t)(newline - start));
        client->skipping_line = false;
        start = newline + 1;
    }
    client->n_line = (size_t)(after - start);
    memmove(client->line, start, client->n_line);
    if (client->n_line == LINE_BYTES && !client->held_back) {
        if (!client->skipping_line)
            reply(client, "error: a line longer than %d bytes, not run", LINE_BYTES - 1);
        client->skipping_line = true;
        client->n_line = 0;
    }
}

static bool receive(struct client *client)
{
    ssize_t n = recv(client->source.fd, client->line + client->n_line, LINE_BYTES - client->n_line, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    client->n_line += (size_t)n;
    obey_lines(client);
    if (n == 0) {
        client->sent_all = true;
        if (client->n_line > 0) /* the beginning of a command is another command */
            reply(client, "error: the last line has no newline, not run");
    }
    return true;
}

static bool send_unsent(struct client *client)
{
    ssize_t n = send(client->source.fd, client->unsent, client->n_unsent, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    client->n_unsent -= (size_t)n;
    memmove(client->unsent, client->unsent + n, client->n_unsent);
    return true;
}

static void resume(struct client *client)
{
    client->held_back = false;
    resume_output(client);
    obey_lines(client);
}

static void client_ready(struct source *source, uint32_t events)
{
    struct client *client = (struct client *)source;
    bool here = (events & (EPOLLHUP | EPOLLERR)) == 0;
    if (here && events & EPOLLOUT)
        here = send_unsent(client);
    if (here && client->held_back && client->n_unsent <= HOLD_BACK_BYTES / 2)
        resume(client);
    if (here && events & EPOLLIN && !client->held_back)
        here = receive(client);
    if (here && client->sent_all && client->n_jobs == 0 && client->n_unsent == 0)
        here = false;
    if (here)
        update_interest(client);
    else
        close_client(client);
}

bool open_client(struct source **clients, int fd)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL || watch(&client->source, fd, client_ready, EPOLLIN) < 0) {
        free(client);
        return false;
    }
    client->interest = EPOLLIN;
    list_add(clients, &client->source);
    return true;
}

void close_client(struct client *client)
{
    abandon_jobs(client);
    retire(&client->source);
}
