/* SPDX-License-Identifier: MIT */
#pragma once

/* Puts the names of a receipt back on their images. Runs on the worker thread. */

#include "docker/api.h"
#include "janitor/receipt.h"
#include "store/store.h"

/*
 * `id` NULL: of the receipts that took a name the one that was written last, whatever the clock said
 * then. `*ret` is the reply of Rollback. A name that another image bears by now, or whose image is
 * gone, or that the engine fails at, is skipped and told; marked `deleted` where the clear deleted the image as it announced.
 * -ENOENT: no such receipt, or none that took a name. `*reterr_local` as in clear_run().
 */
int rollback_run(Docker *docker, Store *store, const char *id, Json **ret, bool *reterr_local,
                 Diag *reterr_diag) must_check;
