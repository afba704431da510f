/* SPDX-License-Identifier: MIT */
/* A pipe on which a child reports the errno of the step that failed. The exec
   closes it: then there is nothing to read. */
#ifndef EXITFD_REPORT_H
#define EXITFD_REPORT_H

struct report {
    int read_end, write_end; /* -1: not there, or closed */
};

/* 0 or a negative errno, and both are -1. */
int xfd_report_open(struct report *report);

void xfd_report_close_write_end(struct report *report);
void xfd_report_close(struct report *report);

/* Waits for the child's exec, its failure or its end. A positive errno, or
   0. */
int xfd_report_read(const struct report *report);

#endif
