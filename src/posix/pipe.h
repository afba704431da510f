/* SPDX-License-Identifier: MIT */
#ifndef EXITFD_PIPE_H
#define EXITFD_PIPE_H

/* A pipe with both ends non-blocking and close-on-exec. 0 or a negative errno. */
int xfd_pipe_open(int ends[2]);

#endif
