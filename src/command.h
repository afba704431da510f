/* SPDX-License-Identifier: MIT */
#ifndef EXITFD_COMMAND_H
#define EXITFD_COMMAND_H

#include "start.h"

/* 0, -EINVAL or -ENOTSUP. What command points to is not copied. */
int xfd_command_read(const struct exitfd_command *command, struct start_plan *plan);

#endif
