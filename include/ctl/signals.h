/* SPDX-License-Identifier: MIT */
#pragma once

#include <signal.h>

#include "base/macro.h"

/*
 * Delivers these signals and SIGCHLD through a descriptor, which the caller owns. Signals that are
 * ignored already, by nohup(1) for example, stay ignored, also for the command that is run.
 * `ret_before` is the signal mask for that command. 0 or -errno.
 */
int signals_catch(const int *numbers, size_t n, sigset_t *ret_before, int *ret_fd) must_check;
