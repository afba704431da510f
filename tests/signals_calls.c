/* SPDX-License-Identifier: MIT */
/*
 * Each blocking call of the C library that a signal may interrupt, made ready
 * to be called while SIGCHLDs come. signals_eintr.c goes through the table.
 */
#include "signals_calls.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const struct timespec an_hour = { .tv_sec = 3600 };
static const struct timespec far_future = { .tv_sec = INT32_MAX };

static char directory[] = "/tmp/exitfd-eintr-XXXXXX";
static char fifo[sizeof(directory) + 8], locked_file[sizeof(directory) + 8];
static int empty_pipe[2], full_pipe[2], pair[2], full_pair[2], timed_pair[2];
static int listener, full_listener, in_backlog, epoll_set, inotify, lock_holder, lock_waiter;
static struct sockaddr_un full_address;
static socklen_t full_address_size;
static int empty_queue, full_queue, zero_semaphore;
static mqd_t empty_mq;
static pid_t living_child;
static uint32_t futex_word;
static sem_t semaphore;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static char buffer[64];

#define CALL(name, expression)                                                                                         \
    static int sit_in_##name(void)                                                                                     \
    {                                                                                                                  \
        return (int)(expression);                                                                                      \
    }

CALL(read, read(empty_pipe[0], buffer, 1))
CALL(read_inotify, read(inotify, buffer, sizeof(buffer)))
CALL(write, write(full_pipe[1], buffer, 1))
CALL(accept, accept(listener, NULL, NULL))
CALL(recvmsg, recvmsg(pair[0], &(struct msghdr){ .msg_iov = &(struct iovec){ buffer, 1 }, .msg_iovlen = 1 }, 0))
CALL(recv_timed, recv(timed_pair[0], buffer, 1, 0))
CALL(send, send(full_pair[0], buffer, 1, 0))
CALL(poll, poll(&(struct pollfd){ .fd = empty_pipe[0], .events = POLLIN }, 1, -1))
CALL(ppoll, ppoll(&(struct pollfd){ .fd = empty_pipe[0], .events = POLLIN }, 1, NULL, NULL))
CALL(select, select(0, NULL, NULL, NULL, NULL))
CALL(pselect, pselect(0, NULL, NULL, NULL, NULL, NULL))
CALL(epoll_wait, epoll_wait(epoll_set, &(struct epoll_event){ 0 }, 1, -1))
CALL(nanosleep, nanosleep(&an_hour, NULL))
CALL(futex, syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0))
CALL(futex_timed, syscall(SYS_futex, &futex_word, FUTEX_WAIT_PRIVATE, 0, &an_hour, NULL, 0))
CALL(sem_wait, sem_wait(&semaphore))
CALL(sem_timedwait, sem_timedwait(&semaphore, &far_future))
CALL(flock, flock(lock_waiter, LOCK_EX))
CALL(fcntl_lock, fcntl(lock_waiter, F_OFD_SETLKW, &(struct flock){ .l_type = F_WRLCK }))
CALL(waitpid, waitpid(living_child, NULL, 0))
CALL(waitid, waitid(P_PID, (id_t)living_child, &(siginfo_t){ 0 }, WEXITED))
CALL(msgrcv, msgrcv(empty_queue, buffer, 1, 0, 0))
CALL(msgsnd, msgsnd(full_queue, &(struct msgbuf){ .mtype = 1 }, 1, 0))
CALL(semop, semop(zero_semaphore, &(struct sembuf){ .sem_op = -1 }, 1))
CALL(mq_receive, mq_receive(empty_mq, buffer, sizeof(buffer), NULL))
CALL(open_fifo, open(fifo, O_RDONLY | O_CLOEXEC))
CALL(pause, pause())

static int sit_in_clock_nanosleep(void)
{
    errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &an_hour, NULL);
    return errno == 0 ? 0 : -1;
}

static int sit_in_sigtimedwait(void)
{
    sigset_t other;
    sigemptyset(&other);
    sigaddset(&other, SIGUSR2);
    return sigtimedwait(&other, NULL, &an_hour);
}

static int sit_in_connect(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int ret = connect(fd, (const struct sockaddr *)&full_address, full_address_size);
    int error = errno;
    close(fd);
    errno = error;
    return ret;
}

static int sit_in_cond_wait(void)
{
    pthread_mutex_lock(&mutex);
    errno = pthread_cond_wait(&condition, &mutex);
    pthread_mutex_unlock(&mutex);
    return errno == 0 ? 0 : -1;
}

static void signal_condition(void)
{
    pthread_mutex_lock(&mutex);
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&mutex);
}

const struct call calls[] = {
    { "read", RESTARTED, sit_in_read, NULL },
    { "read (inotify)", RESTARTED, sit_in_read_inotify, NULL },
    { "write", RESTARTED, sit_in_write, NULL },
    { "open (FIFO)", RESTARTED, sit_in_open_fifo, NULL },
    { "accept", RESTARTED, sit_in_accept, NULL },
    { "connect", RESTARTED, sit_in_connect, NULL },
    { "recvmsg", RESTARTED, sit_in_recvmsg, NULL },
    { "send", RESTARTED, sit_in_send, NULL },
    { "flock", RESTARTED, sit_in_flock, NULL },
    { "fcntl (F_OFD_SETLKW)", RESTARTED, sit_in_fcntl_lock, NULL },
    { "waitpid", RESTARTED, sit_in_waitpid, NULL },
    { "waitid", RESTARTED, sit_in_waitid, NULL },
    { "futex", RESTARTED, sit_in_futex, NULL },
    { "sem_wait", RESTARTED, sit_in_sem_wait, NULL },
    { "mq_receive", RESTARTED, sit_in_mq_receive, NULL },
    { "recv (SO_RCVTIMEO)", INTERRUPTED_BY_NOTHING, sit_in_recv_timed, NULL },
    { "poll", NEVER_RESTARTED, sit_in_poll, NULL },
    { "ppoll", NEVER_RESTARTED, sit_in_ppoll, NULL },
    { "select", NEVER_RESTARTED, sit_in_select, NULL },
    { "pselect", NEVER_RESTARTED, sit_in_pselect, NULL },
    { "epoll_wait", INTERRUPTED_BY_NOTHING, sit_in_epoll_wait, NULL },
    { "nanosleep", NEVER_RESTARTED, sit_in_nanosleep, NULL },
    { "clock_nanosleep", NEVER_RESTARTED, sit_in_clock_nanosleep, NULL },
    { "futex (time-out)", NEVER_RESTARTED, sit_in_futex_timed, NULL },
    { "sem_timedwait", NEVER_RESTARTED, sit_in_sem_timedwait, NULL },
    { "msgrcv", NEVER_RESTARTED, sit_in_msgrcv, NULL },
    { "msgsnd", NEVER_RESTARTED, sit_in_msgsnd, NULL },
    { "semop", INTERRUPTED_BY_NOTHING, sit_in_semop, NULL },
    { "sigtimedwait", INTERRUPTED_BY_NOTHING, sit_in_sigtimedwait, NULL },
    { "pause", NEVER_RESTARTED, sit_in_pause, NULL },
    { "pthread_cond_wait", NEVER_INTERRUPTED, sit_in_cond_wait, signal_condition },
};
const size_t call_count = sizeof(calls) / sizeof(calls[0]);

static void fill(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, buffer, 1) == 1)
        ;
    fcntl(fd, F_SETFL, flags);
}

/* Both ends of what is missing for ever stay open here. */
static void prepare_sockets(void)
{
    struct sockaddr_un any = { .sun_family = AF_UNIX };
    const struct timeval hour = { .tv_sec = an_hour.tv_sec };

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, timed_pair), 0);
    CHECK_EQ(setsockopt(timed_pair[0], SOL_SOCKET, SO_RCVTIMEO, &hour, sizeof(hour)), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, full_pair), 0);
    fill(full_pair[0]);

    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(bind(listener, (struct sockaddr *)&any, sizeof(any.sun_family)), 0);
    CHECK_EQ(listen(listener, 1), 0);

    full_listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(bind(full_listener, (struct sockaddr *)&any, sizeof(any.sun_family)), 0);
    CHECK_EQ(listen(full_listener, 0), 0);
    full_address_size = sizeof(full_address);
    CHECK_EQ(getsockname(full_listener, (struct sockaddr *)&full_address, &full_address_size), 0);
    in_backlog = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(connect(in_backlog, (struct sockaddr *)&full_address, full_address_size), 0);
}

static void prepare_files(void)
{
    CHECK(mkdtemp(directory) != NULL, "%s: %s", directory, strerror(errno));
    snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
    snprintf(locked_file, sizeof(locked_file), "%s/lock", directory);
    CHECK_EQ(mkfifo(fifo, 0600), 0);
    lock_holder = open(locked_file, O_RDWR | O_CREAT, 0600);
    lock_waiter = open(locked_file, O_RDWR);
    CHECK_EQ(flock(lock_holder, LOCK_EX), 0);
    CHECK_EQ(fcntl(lock_holder, F_OFD_SETLK, &(struct flock){ .l_type = F_WRLCK }), 0);
    inotify = inotify_init();
    CHECK(inotify >= 0);
}

static void prepare_queues(void)
{
    empty_queue = msgget(IPC_PRIVATE, 0600);
    full_queue = msgget(IPC_PRIVATE, 0600);
    zero_semaphore = semget(IPC_PRIVATE, 1, 0600);
    CHECK(empty_queue >= 0 && full_queue >= 0 && zero_semaphore >= 0, "System V IPC: %s", strerror(errno));
    while (msgsnd(full_queue, &(struct msgbuf){ .mtype = 1 }, 1, IPC_NOWAIT) == 0)
        ;
    struct mq_attr attributes = { .mq_maxmsg = 1, .mq_msgsize = sizeof(buffer) };
    char name[64];
    snprintf(name, sizeof(name), "/exitfd-eintr-%d", (int)getpid());
    empty_mq = mq_open(name, O_RDONLY | O_CREAT | O_EXCL, 0600, &attributes);
    CHECK(empty_mq != (mqd_t)-1, "mq_open: %s", strerror(errno));
    mq_unlink(name);
    CHECK_EQ(sem_init(&semaphore, 0, 0), 0);
}

void prepare_calls(void)
{
    CHECK_EQ(pipe(empty_pipe), 0);
    CHECK_EQ(pipe(full_pipe), 0);
    fill(full_pipe[1]);
    epoll_set = epoll_create1(0);
    living_child = fork_guarded();
    while (living_child == 0)
        pause();
    prepare_sockets();
    prepare_files();
    prepare_queues();
}

void clean_up_calls(void)
{
    const int fds[] = { empty_pipe[0], empty_pipe[1], full_pipe[0],  full_pipe[1],  pair[0],    pair[1],
                        full_pair[0],  full_pair[1],  timed_pair[0], timed_pair[1], listener,   full_listener,
                        in_backlog,    epoll_set,     inotify,       lock_holder,   lock_waiter };
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        close(fds[i]);
    unlink(fifo);
    unlink(locked_file);
    rmdir(directory);
    msgctl(empty_queue, IPC_RMID, NULL);
    msgctl(full_queue, IPC_RMID, NULL);
    semctl(zero_semaphore, 0, IPC_RMID);
    mq_close(empty_mq);
    sem_destroy(&semaphore);
    kill(living_child, SIGKILL);
    reap(living_child);
}
