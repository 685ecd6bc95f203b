/* SPDX-License-Identifier: MIT */
#pragma once

/* What is remembered, as GetHistory tells it. Runs on the reader's thread. */

#include "store/store.h"

#define HISTORY_RUNS_MAX 1000
#define HISTORY_SAMPLES_MAX 500

/* `receipt_id` NULL: the lists. -ENOENT: there is no such run. `*ret` is the reply of GetHistory. */
int history_run(Store *store, int64_t since_sec, size_t limit, const char *receipt_id, Json **ret,
                Diag *reterr_diag) must_check;

/* Type Run of the interface, or NULL on out of memory. */
Json *run_json(const Run *run);
