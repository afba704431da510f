/* SPDX-License-Identifier: MIT */
#ifndef EXITFD_ENVIRONMENT_H
#define EXITFD_ENVIRONMENT_H

/* getenv, but NULL in a program that runs with more rights than its caller has. */
const char *xfd_secure_environment(const char *name);

#endif
