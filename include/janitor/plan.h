/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Decide: what a clear would do to an inventory. Pure: no clock, no I/O, and N log N.
 */

#include "janitor/ownership.h"
#include "janitor/receipt.h"
#include "janitor/tag-events.h"

typedef struct ClearOptions {
        Target target;
        char app[APP_NAME_MAX]; /* TARGET_APPS: one application; "": all */
        bool keep_mounts;
        bool include_mounted; /* caches of applications that a container has mounted */
        bool dry_run;
        uint64_t wait_usec;    /* for builds under way */
        int64_t asked_sec;     /* when the clear was asked for (wall time); 0: not known */
        uint64_t asked_usec;   /* the same, CLOCK_BOOTTIME */
        TagEvents *tag_events; /* borrowed, or NULL: the engine's events are not heard */
} ClearOptions;

/* What a clear knows besides an inventory. A pointer may be NULL. */
typedef struct ClearContext {
        const SeenImages *seen;  /* what is remembered of images */
        const Strv *first;       /* ids of the images of the clear's first look, sorted; NULL: this
                                  * is the first */
        const Strv *kept;        /* ids of the images that earlier rounds kept, sorted */
        const NamedImages *made; /* rollback tags that earlier rounds made */
} ClearContext;

/* Why a name in scope stays. */
typedef enum KeptReason {
        KEPT_OLDER,  /* an older release that serves no build */
        KEPT_BASE,   /* a local base image */
        KEPT_COMMIT, /* docker commit made it, and it serves: source_is_kept_commit() */
} KeptReason;

typedef struct KeptName {
        KeptReason reason;
        char *name;
        char id[IMAGE_ID_MAX];
} KeptName;

typedef struct KeptNames {
        KeptName *v;
        size_t n, size;
} KeptNames;

typedef struct ClearPlan {
        NamedImages rollback_tags; /* to make first: "repo:tag", and the image */
        NamedImages names;         /* to take away, and what each names now; `deleted` where
                                      the engine deletes the image with it */
        NamedImages replaced_tags; /* rollback tags of earlier clears, to take away last */
        KeptNames kept;
        bool no_room;     /* an image gets no rollback tag since the disk is under pressure */
        Strv untagged;    /* ids of untagged leaf images to remove by the trash tag; sorted */
        Strv trash;       /* left-over trash tags; sorted */
        Strv kept_mounts; /* ids of records kept: cache mounts and what they stand on; sorted */
        size_t n_records; /* records to prune */
        uint64_t record_bytes;
        Strv other_projects; /* compose projects whose builds go cold too; sorted */
        bool matches;        /* some image is one of [images] match */
} ClearPlan;

/*
 * 0 or -ENOMEM. `suspects` are images that clears took names from, now or earlier, and the members
 * of their parent chains. `context` may be NULL.
 *
 * Names in scope go from images that may serve a build and from current ones: the newest image of each
 * repository, and those that a container or a service uses. Before its names go, an image gets a
 * rollback tag in each repository of theirs if it is in use, current, made after the clear was asked
 * for, or may serve only as far as is known; not if that tag would let it serve (unless it is in use,
 * and so can't be deleted). What docker commit made keeps its names instead.
 */
int plan_clear(const Inventory *inventory, const Config *config, const ClearOptions *options,
               const NamedImages *suspects, const ClearContext *context, ClearPlan *ret) must_check;
void clear_plan_done(ClearPlan *plan);
static inline void clear_plan_donep(ClearPlan *plan) {
        clear_plan_done(plan);
}

/* The image part of plan_clear(): everything but records and projects. */
int plan_images(const Inventory *inventory, const Config *config, const ClearOptions *options,
                const NamedImages *suspects, const ClearContext *context,
                ClearPlan *plan) must_check;

/* Marks the names with which the engine deletes their images. To be called last, when the other parts of the
 * image plan are filled in; `trash` and `untagged` must be sorted. N log N. 0 or -ENOMEM. */
int plan_mark_deleted(const Inventory *inventory, ClearPlan *plan) must_check;

/*
 * What the host will look like if every step of the plan succeeds, to be judged by a dry run:
 * names and records are taken out of the inventory, and images that then have nothing left to
 * live by. -ENOMEM leaves the inventory undefined.
 */
int plan_predict(const Config *config, const ClearPlan *plan, const NamedImages *suspects,
                 Inventory *inventory) must_check;

/* Drops what the plan would do to images and their names. */
void clear_plan_leave_images(ClearPlan *plan);

/* Nothing to remove. */
bool clear_plan_empty(const ClearPlan *plan);
/* Two passes that plan the same make no progress. */
bool clear_plan_equal(const ClearPlan *a, const ClearPlan *b);

/* Type Plan of the control interface, or NULL on out of memory. */
Json *clear_plan_json(const ClearPlan *plan, const ClearOptions *options,
                      const RemainingList *remaining, const Strv *assumes, const Strv *notes);
