/* SPDX-License-Identifier: MIT */
/* Of the platform: an fd that is readable while a pipe is, and from time to
   time besides. */
#ifndef EXITFD_TICKER_H
#define EXITFD_TICKER_H

#include <stdbool.h>

struct exitfd;

/*
 * Makes x->fd such an fd, of x->pipe_end. 0 or a negative errno, -ENOTSUP where
 * there is no way.
 */
int xfd_ticker_open(struct exitfd *x);

/* The set_recheck of struct backend. */
void xfd_ticker_set(struct exitfd *x);

/* Whether that time has come. Asks once for each time. */
bool xfd_ticker_drain(struct exitfd *x);

void xfd_ticker_close(struct exitfd *x);

#endif
