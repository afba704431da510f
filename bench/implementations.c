/* SPDX-License-Identifier: MIT */
#include "implementation.h"

extern const struct implementation by_hand_pidfd, bare_pidfd, bare_pidfd_nested, bare_pidfd_asking;
extern const struct implementation blocking_waitpid, self_pipe_scan;
extern const struct implementation bare_fork, exitfd_by_spawn, exitfd_by_fork;
extern const struct implementation exitfd_pidfd, exitfd_pidfd_nested, exitfd_uring, exitfd_signalfd, exitfd_selfpipe;
extern const struct implementation peer_libuv, peer_libev, peer_libevent, peer_glib, peer_sdevent;

const struct implementation *const implementations[] = {
    &by_hand_pidfd,
    &bare_pidfd,
    &bare_pidfd_nested,
    &bare_pidfd_asking,
    &bare_fork,
#ifndef WITHOUT_EXITFD
    &exitfd_pidfd,
    &exitfd_pidfd_nested,
    &exitfd_by_spawn,
    &exitfd_by_fork,
    &exitfd_uring,
    &exitfd_signalfd,
    &exitfd_selfpipe,
#endif
    &blocking_waitpid,
    &self_pipe_scan,
#ifdef WITH_SDEVENT
    &peer_sdevent,
#endif
#ifdef WITH_LIBEV
    &peer_libev,
#endif
#ifdef WITH_LIBEVENT
    &peer_libevent,
#endif
#ifdef WITH_GLIB
    &peer_glib,
#endif
#ifdef WITH_LIBUV
    &peer_libuv,
#endif
    NULL,
};
