/* SPDX-License-Identifier: MIT */
#pragma once

#include <signal.h>

#include "base/macro.h"

/*
 * Has these signals, and SIGCHLD, come by a descriptor, which is the caller's. Those that are ignored
 * already, by nohup(1) say, stay so, for the command that is run as well. `ret_before` is for that
 * command. -errno.
 */
int signals_catch(const int *numbers, size_t n, sigset_t *ret_before, int *ret_fd) must_check;
