/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The daemon's own looks and passes. Run on the worker thread and block it.
 *
 * A poll looks at figures, images and containers, updates the memory, and says what policy would do.
 * A pass looks at everything anew, decides, says each removal with its rule (Reporter.progress, step
 * "policy") and carries out exactly that plan, each object looked at again immediately before: an
 * image that got a name, a container or a build meanwhile is left for the next pass.
 */

#include "janitor/memory.h"
#include "janitor/policy.h"
#include "janitor/reporter.h"
#include "janitor/tag-events.h"

/* What the loop thread knows and the worker does not. */
typedef struct Surroundings {
        int64_t quiet_sec; /* since the last event */
        size_t n_inhibitors;
        TagEvents *tag_events; /* borrowed, or NULL: the engine's events are not heard */
} Surroundings;

/* How things stand, for status, metrics and alarms. */
typedef struct Summary {
        EngineInfo engine;
        uint64_t records, records_in_use, record_bytes, record_private_bytes;
        uint64_t held_hash;         /* builds_held_hash() */
        char building_unknown[256]; /* why it is not known whether a build runs, or "" */
        uint64_t records_leaked;    /* of those in use */
        uint64_t leaked_since_usec; /* see Builds */
        uint64_t images, images_matching, images_untagged, image_bytes, rollback_tags;
        Disks disks;
        Json *disks_json;          /* type Disk[] of the interface */
        Json *not_reached;         /* type Volume[] */
        Strv notes;                /* for the operator: globs that match no image */
        uint64_t build_cache_usec; /* what the engine took for its answer */
        int64_t observed_sec;      /* wall time; 0: never */
        Json *policy;              /* type Policy of the interface */
        bool due;                  /* the plan is not empty and nothing holds it */
        bool wanted;               /* the plan is not empty */
        Hold hold;
        int64_t hold_left_sec;
        bool pressure;
        char *pins;        /* what pins the bytes, under pressure; or NULL */
        bool changed;      /* something came, went or was renamed since the last look, or builds */
        char *store_error; /* how the store failed since the last poll, which went on; or NULL */
} Summary;

void summary_done(Summary *summary);
static inline void summary_donep(Summary *summary) {
        summary_done(summary);
}

int poll_run(Docker *docker, const Config *config, Memory *memory, const Surroundings *around,
             Summary *ret, Diag *reterr_diag) must_check;

/*
 * One pass. 0: `*ret` is its record (type PolicyRun), or NULL where there was nothing to do or a hold
 * came up; `*ret_n_left` counts objects of the plan that are still there afterwards (the engine
 * refused). On an error of the engine `*ret` tells how far it came, if it had begun. Where its record
 * can't be stored, the next poll's store_error tells.
 */
int pass_run(Docker *docker, const Config *config, Memory *memory, const Surroundings *around,
             const char *id, const Reporter *reporter, Json **ret, size_t *ret_n_left,
             bool *reterr_local, Diag *reterr_diag) must_check;

/* What policy would do and why, touching nothing (type PolicyPlan). */
int plan_run(Docker *docker, const Config *config, Memory *memory, const Surroundings *around,
             Json **ret, Diag *reterr_diag) must_check;

/*
 * The verdict on one image (name, or id of at least 4 digits, with or without "sha256:") or build
 * record (id, or the beginning of one). -ENOENT: nothing is called that; -ENOTUNIQ: several are, the
 * diag names them. `*ret` is type Verdict.
 */
int explain_run(Docker *docker, const Config *config, Memory *memory, const Surroundings *around,
                const char *object, Json **ret, Diag *reterr_diag) must_check;
