/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The clear: observe, decide, act, and again until a pass finds nothing left and nothing builds;
 * that last observation is the proof. Runs on the worker thread and blocks it.
 *
 * Images are left alone while a build is under way, since it may stand on one of them (FROM,
 * cache_from, a step between two commits of the classic builder); the build cache can be pruned
 * at any time, since the engine keeps what a build uses.
 */

#include "janitor/memory.h"
#include "janitor/plan.h"
#include "janitor/reporter.h"

/*
 * Runs one clear, or with options->dry_run plans it. Fills `receipt`, of which the caller has set id,
 * target, who, started_sec and keep_mounts, and writes it to memory->store. Each of its looks brings the
 * memory of builds, mounts and images up to date.
 *
 * 0: the receipt holds an outcome; with dry_run `*ret_plan` is the plan (type Plan). On an error
 * (those of docker/api.h) receipt->passes is 0 if nothing was touched; otherwise the outcome is
 * OUTCOME_FAILED, or OUTCOME_INTERRUPTED after -ECANCELED, and the receipt is stored.
 * `*reterr_local` is set if it was not the engine that failed, but something here (the disk).
 */
int clear_run(Docker *docker, const Config *config, Memory *memory, const ClearOptions *options,
              const Reporter *reporter, Receipt *receipt, Json **ret_plan, bool *reterr_local,
              Diag *reterr_diag) must_check;
