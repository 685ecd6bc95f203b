/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Prove: which sources of cached layers an inventory still holds. Pure. docs/ARCHITECTURE.md
 * tells where each rule comes from; in short, what can serve a cached step is
 *   - any build cache record, and a build under way, which makes some;
 *   - on the graphdriver store, an image with inline cache metadata under a name that a build may
 *     give in cache_from (never a rollback tag: no build names one);
 *   - an image the classic builder made, whatever its name, as long as its parents are there,
 *     and whatever container holds it;
 *   - the cache of another builder.
 */

#include "janitor/plan.h"

/*
 * `suspects` as in plan_clear(). `plan` is the plan for this same inventory: what a further pass would still
 * remove is remaining. `store_remedy`: how the state directory's disk is mended where it fails, so that the
 * clear takes no name; or NULL. Nothing added: the next build has no local source of cached layers.
 *
 * Of images all is named that has to go before the next clear is fresh, once each: with a source the containers
 * that hold it, and the images that stand on it, which keep it. Each command works once those before it were
 * carried out. Where a command would be too long it says that the next clear lists more.
 */
int proof_remaining(const Inventory *inventory, const Config *config, const ClearOptions *options,
                    const NamedImages *suspects, const ClearPlan *plan, const char *store_remedy,
                    RemainingList *ret) must_check;

/* The parts of it that name docker-container builders of buildx and the volumes they left, build cache records, and
 * builds under way. A BuildKit build that holds a record is named by that record. 0 or -ENOMEM. */
int proof_builders(const Inventory *inventory, RemainingList *list) must_check;
int proof_records(const Inventory *inventory, const ClearPlan *plan,
                  RemainingList *list) must_check;
int proof_buildkit_builds(const Inventory *inventory, RemainingList *list) must_check;
int proof_classic_builds(const Inventory *inventory, RemainingList *list) must_check;

/* What no local clear can reach or see, for the receipt. */
int proof_assumes(const Inventory *inventory, const Config *config, const ClearOptions *options,
                  const NamedImages *suspects, Strv *ret) must_check;
