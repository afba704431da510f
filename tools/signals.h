/* SPDX-License-Identifier: MIT */
/* Signals as a pollable fd, and what a child must undo of that before it
   becomes a command. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <exitfd.h>
#include <signal.h>
#include <stdbool.h>

/* A pipe that is readable while a caught signal has not been taken; the fd, or
   a negative errno. */
int signals_open(void);
int signals_fd(void);

/* False if the signal cannot be caught. */
bool signals_catch(int signo);
void signals_ignore(int signo);

/*
 * The next caught signal, or 0 after the last one. Each signal comes once
 * before the 0 comes, so that a loop ends while somebody floods us. A standard
 * signal that was caught several times is one, as in the kernel; of a real-time
 * signal each one is kept. What this process has sent to itself does not count,
 * as the SIGPIPE of a message that it printed.
 */
int signals_take(void);

/* The same. *ret_is_by_kernel tells those of the keyboard, of a resized window
   or of a hangup from those of kill(2). */
int signals_take_with_origin(bool *ret_is_by_kernel);

/* One from the kernel has been caught and not been taken. */
bool signals_kernel_sent(int signo);

/* As if it had not been caught. */
void signals_forget(int signo);

/* The disposition that the signal had when it was first caught or ignored
   here. */
bool signals_was_ignored(int signo);
void signals_restore(int signo);
void signals_restore_all(void);

/* The same in a child of vfork(2), whose memory is its parent's: nothing is
   noted. */
void signals_restore_in_child(void);

/* Blocks everything but SIGCHLD, which exitfd may need; the value is the mask
   that was, without SIGCHLD. */
sigset_t signals_block_all(void);
void signals_set_mask(const sigset_t *mask);

/* All of them, except SIGCHLD if x reads it by a signalfd. */
void signals_unblock_for(const struct exitfd *x);

/* Ends this process by a signal whose disposition may have been changed: the
   shell stops its script at an interrupt. */
void signals_die_of(int signo);

#endif
