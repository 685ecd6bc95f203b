/* SPDX-License-Identifier: MIT */
#pragma once

/* Prometheus' text format (exposition format 0.0.4) of what the manager knows. */

#include "janitor/job.h"

typedef struct Manager Manager;

/* malloc'ed, NULL on out of memory. */
char *metrics_text(const Manager *manager);

/* Has the reader write [metrics] textfile, if there is one. */
void metrics_write(Manager *manager);
/* That was done. */
void metrics_written(Manager *manager, const Job *job);
