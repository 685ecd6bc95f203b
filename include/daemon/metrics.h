/* SPDX-License-Identifier: MIT */
#pragma once

/* What the daemon knows, in Prometheus' text format (exposition format 0.0.4). */

#include "daemon/status.h"
#include "daemon/workers.h"

/* malloc'ed, NULL on out of memory. */
char *metrics_text(const StatusFacts *facts);

/* Has the reader write the file of [metrics] textfile, if it is configured. Failures are logged. */
void metrics_file_write(Workers *workers, const StatusFacts *facts);
/* That was done. `*broken`: the last attempt failed, which is logged once. */
void metrics_file_written(bool *broken, const Job *job);
