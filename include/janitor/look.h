/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One look of the daemon on its own, and what policy says to it: what polls, passes, plans and
 * explanations have in common.
 */

#include "janitor/pass.h"

typedef struct Look {
        Inventory inventory;
        PolicyNow now;
        PolicyPlan plan; /* borrows from the inventory, the memory and the configuration */
} Look;

#define LOOK_NULL ((Look){ .inventory = INVENTORY_NULL })

/* Observes, brings the memory up to it, and decides. `ret` must be LOOK_NULL, and stays to be freed
 * after an error. Errors: those of docker/api.h; the store's are kept in memory->store_diag. */
int look_run(Docker *docker, const Config *config, Observe what, Memory *memory,
             const Surroundings *around, Look *ret, Diag *reterr_diag) must_check;
/*
 * Remembered facts do not tell when an image was last tagged, which can only make it younger: asks that of
 * the images that would be removed, and decides again, until there are no more. For a look at
 * everything (OBSERVE_ALL). A pass leaves it out, since it inspects each image right before its removal.
 */
int look_refresh(Docker *docker, const Config *config, Memory *memory, const Surroundings *around,
                 Look *look, Diag *reterr_diag) must_check;
void look_done(Look *look);
static inline void look_donep(Look *look) {
        look_done(look);
}

/* The members that type Verdict has of any object; `age_sec` below 0: not told. 0 or -ENOMEM. */
int look_add_verdict(Json *json, bool remove, Rule rule, const char *sentence, uint64_t bytes,
                     int64_t age_sec) must_check;

/* Types of the interface; NULL on out of memory. `full_sec`: the first disk's forecast, -1: none. */
Json *look_policy_json(const Look *look, const Config *config);
Json *look_disks_json(const Look *look, const Config *config, int64_t full_sec);
Json *look_image_json(const Look *look, size_t image);
Json *look_record_json(const Look *look, size_t record, const RecordVerdict *verdict);
