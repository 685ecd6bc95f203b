/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Signs of a build of the classic builder, which shows in no list of the engine: the container of one of its
 * steps, and an image that may be its newest step. docs/ARCHITECTURE.md has what the signs are.
 */

#include "janitor/inventory.h"

/* A classic build leaves its newest image untagged for a moment between two steps; one younger
 * than this is taken for a build under way, unless its build has ended, see janitor/stages.h. */
#define CLASSIC_QUIET_SEC 60
/* How long the commit of a RUN step that ended well, and its start, may take before its container counts
 * as left over. */
#define CLASSIC_COMMIT_SEC 600

/* Completes inventory->classic_builds and the `builds` of containers. Containers and images must be read
 * already; `known` as for inventory_observe(). */
int classic_builds_observe(Docker *docker, const Config *config, const NamedImages *known,
                           Inventory *inventory, Diag *reterr_diag) must_check;
