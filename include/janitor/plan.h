/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Decide: what a clear would do to an inventory. Pure: no clock, no I/O.
 */

#include "janitor/inventory.h"
#include "janitor/receipt.h"

typedef struct ClearOptions {
        Target target;
        char app[APP_NAME_MAX]; /* TARGET_APPS: one application; "": all */
        bool keep_mounts;
        bool include_mounted; /* caches of applications that a container has mounted */
        bool dry_run;
        uint64_t wait_usec; /* for builds under way */
} ClearOptions;

typedef struct ClearPlan {
        NamedImages rollback_tags; /* to make first: "repo:tag" and the image in use */
        NamedImages names;         /* to take away, and what each names now; `deleted` where
                                      the engine deletes the image with it */
        Strv untagged;             /* ids of untagged leaf images to remove by the trash tag */
        Strv trash;                /* left-over trash tags */
        Strv kept_mounts;          /* ids of records kept: cache mounts and what they stand on */
        size_t n_records;          /* records to prune */
        uint64_t record_bytes;
        Strv other_projects; /* compose projects whose builds go cold too */
        bool matches;        /* some image is one of [images] match */
} ClearPlan;

/*
 * 0 or -ENOMEM. `suspects` are images that clears took names from, now or earlier, and the members
 * of their parent chains.
 */
int plan_clear(const Inventory *inventory, const Config *config, const ClearOptions *options,
               const NamedImages *suspects, ClearPlan *ret) must_check;
void clear_plan_done(ClearPlan *plan);
static inline void clear_plan_donep(ClearPlan *plan) {
        clear_plan_done(plan);
}

/*
 * What the host will look like if every step of the plan succeeds, to be judged by a dry run:
 * names and records are taken out of the inventory, and images that then have nothing left to
 * live by. -ENOMEM leaves the inventory undefined.
 */
int plan_predict(const Config *config, const ClearPlan *plan, const NamedImages *suspects,
                 Inventory *inventory) must_check;

/* Nothing to remove. */
bool clear_plan_empty(const ClearPlan *plan);
/* Two passes that plan the same make no progress. */
bool clear_plan_equal(const ClearPlan *a, const ClearPlan *b);

/*
 * Adds to `suspects` every image that a name in scope names (with that name), and the members of
 * its parent chain (with the name ""), up to the image that its Dockerfile's FROM named.
 */
int plan_suspects(const Inventory *inventory, const Config *config,
                  NamedImages *suspects) must_check;

/* The untagged images of the classic builder that nobody can be said to own, and from which a
 * classic build of the application might still take steps. Borrowed ids. */
typedef int (*UnclaimedImage)(void *userdata, const Image *image);
int plan_unclaimed(const Inventory *inventory, const Config *config, const NamedImages *suspects,
                   UnclaimedImage found, void *userdata) must_check;

/* The parent of each image as an index, malloc'ed; PLAN_NO_PARENT where it has none or none that is
 * there. */
#define PLAN_NO_PARENT SIZE_MAX
int plan_parents(const Inventory *inventory, size_t **ret) must_check;

typedef enum Claim { CLAIM_NONE, CLAIM_OURS, CLAIM_FOREIGN } Claim;

/* Whose each image without a name is (all of them ours with dangling=all), malloc'ed; CLAIM_NONE for
 * those that have one. `parents` by plan_parents(). */
int plan_claims(const Inventory *inventory, const Config *config, const NamedImages *suspects,
                const size_t *parents, Claim **ret) must_check;

/*
 * The name that an untagged image in use went by: a rebuild takes the name from a release that still
 * runs, and its container remembers. NULL if it has none in scope; else malloc'ed into `*ret`.
 */
int plan_former_name(const Inventory *inventory, const Config *config, const Image *image,
                     char **ret) must_check;

/* The container that holds an image, or NULL; running ones first. */
const Container *container_of_image(const Inventory *inventory, const char *image_id);

/* Type Plan of the control interface, or NULL on out of memory. */
Json *clear_plan_json(const ClearPlan *plan, const ClearOptions *options,
                      const RemainingList *remaining, const Strv *assumes, const Strv *notes);
