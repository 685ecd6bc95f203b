/* SPDX-License-Identifier: MIT */
#pragma once

/* What the daemon knows, in Prometheus' text format (exposition format 0.0.4). */

#include "daemon/status.h"

/* malloc'ed, NULL on out of memory. */
char *metrics_text(const StatusFacts *facts);
