/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Signs of life of a thread that does long work. Whatever waits for the outside world or goes through
 * its objects one by one beats: a call to the engine, a pause, a step of the store, the reading of a
 * directory. What lies between two beats is computation alone, which takes seconds at most; a thread
 * that is silent for much longer is in a loop that does not end, or in a system call that does not.
 */

#include <stdatomic.h>

#include "base/macro.h"

typedef _Atomic uint64_t Heartbeat;

/* From now on heartbeat() counts here for the calling thread; NULL: no more. */
void heartbeat_count(Heartbeat *heartbeat);

/* Beats, in a thread that is counted; does nothing in any other. */
void heartbeat(void);
