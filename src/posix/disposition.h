/* SPDX-License-Identifier: MIT */
/* SIGCHLD's disposition: our handler, what it chains to, and how to put that back. Under xfd_sigchld_lock. */
#ifndef EXITFD_DISPOSITION_H
#define EXITFD_DISPOSITION_H

#include <stdbool.h>

/* Sees to it that the handler is told of stops or not. Where it is not installed, or somebody has replaced it, it is
   installed for a newcomer only: we do not fight. -EAGAIN: it was buried too often. */
int xfd_disposition_install(bool stops, bool newcomer);

/* Puts back what was found, as far as what is there is still ours. */
void xfd_disposition_restore(void);

enum sigchld_state {
    SIGCHLD_OURS,   /* the handler is ours */
    SIGCHLD_OTHER,  /* it is somebody else's or the default: whether ours is called, only they know */
    SIGCHLD_IGNORED /* the kernel sends no signal, and reaps */
};

struct sigchld_disposition {
    enum sigchld_state state;
    bool no_zombies;  /* the kernel reaps by itself (SIG_IGN or SA_NOCLDWAIT) */
    bool hides_stops; /* SA_NOCLDSTOP: also of ours, where somebody has put it back as he had once found it */
};
struct sigchld_disposition xfd_disposition_get(void);

#endif
