/* SPDX-License-Identifier: MIT */
#pragma once

/* The file of [metrics] textfile, which the reader writes. */

#include "daemon/metrics.h"
#include "daemon/workers.h"

/* Has the file written, if one is configured. Failures are logged. */
void metrics_file_write(Workers *workers, const StatusFacts *facts);
/* That was done. `*broken`: the last attempt failed, which is logged once. */
void metrics_file_written(bool *broken, const Job *job);
