/* SPDX-License-Identifier: MIT */
/* What descendants leave behind: their orphans become children of this process,
   and can be made to end. */
#ifndef ORPHANS_H
#define ORPHANS_H

#include <exitfd.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Makes this process the parent of its descendants' orphans; 0, or a negative
 * errno. PID 1 is that already. Before anything is started: the children that
 * there are now are left alone by end_orphans, with all below them.
 */
int adopt_orphans(void);

/*
 * Sends SIGTERM to every descendant that is left, and to the children that are
 * inherited meanwhile with all below them. Not to what a process starts after
 * its SIGTERM. Sends SIGKILL to what is still there after grace_ns, or once a
 * signal to end is caught (signals_take). Returns when there is no child. x
 * must have the catch-all watch, and its other watches have ended. tell is
 * called for each ending, if it is not NULL. While there is a child, PID 1 also
 * signals what came from outside its namespace. Descendants are found by /proc.
 * Where that is not there or of another pid namespace PID 1 sends both to all
 * processes (kill(2), pid -1), and any other process says that it cannot, and
 * returns.
 */
void end_orphans(struct exitfd *x, int64_t grace_ns, void (*tell)(const struct exitfd_event *event));

#endif
