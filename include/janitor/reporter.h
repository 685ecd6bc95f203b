/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/macro.h"

/* How a job tells where it is and waits. Called on the worker thread, but for progress(). */
typedef struct Reporter {
        /* From any thread of the job, several at once (docker/parallel.h). */
        void (*progress)(void *userdata, const char *step, const char *message, unsigned pass,
                         uint64_t engine_bytes);
        /* True: the observation that follows may be the proof, so nobody may join the job. */
        void (*proving)(void *userdata, bool proving);
        /* Sleeps `usec`; -ECANCELED at once when the daemon stops. */
        int (*pause)(void *userdata, uint64_t usec);
        void *userdata;
} Reporter;
