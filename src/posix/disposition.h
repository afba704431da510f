/* SPDX-License-Identifier: MIT */
/*
 * SIGCHLD's disposition: our handler, what it chains to, and how to put that
 * back. All calls that change it are made under xfd_sigchld_lock.
 */
#ifndef EXITFD_DISPOSITION_H
#define EXITFD_DISPOSITION_H

#include <stdbool.h>

/*
 * Makes the handler run for stops, or not. Where it is not installed, or other
 * code has replaced it, it is installed for a newcomer only: we do not fight.
 * -EAGAIN: it was buried too often.
 */
int xfd_disposition_install(bool stops, bool newcomer);

/* Puts back what was found, as far as what is there is still ours. */
void xfd_disposition_restore(void);

enum sigchld_state {
    SIGCHLD_OURS,   /* the handler is ours */
    SIGCHLD_OTHER,  /* another one, or the default: ours may be called by it, or not */
    SIGCHLD_IGNORED /* the kernel sends no signal, and reaps */
};

struct sigchld_disposition {
    enum sigchld_state state;
    bool no_zombies;  /* the kernel reaps by itself (SIG_IGN or SA_NOCLDWAIT) */
    bool hides_stops; /* SA_NOCLDSTOP: also of ours, where other code has put it back as it had once found it */
};
struct sigchld_disposition xfd_disposition_get(void);

#endif
