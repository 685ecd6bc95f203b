/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Decide: what the daemon does on its own. A pure function, (inventory, memory, configuration, now)
 * -> plan: no clock, no I/O. The plan holds a verdict for every image and every file system, and
 * for every build record when asked (a hundred thousand verdicts are not kept). What `plan` shows,
 * `explain` says, the log has and the pass does is one and the same value.
 */

#include "janitor/seen.h"

/* Why an object stays or goes. Names on the wire: rule_to_string(). */
typedef enum Rule {
        /* images that stay */
        RULE_NO_MATCH,   /* none of [images] match */
        RULE_PROTECT,    /* object: the pattern of [images] protect */
        RULE_BASE,       /* object: the pattern of [images] base */
        RULE_IN_USE,     /* object: the container, or else the service of the swarm; NULL: services
                            cannot be read */
        RULE_OTHER_NAME, /* object: a name that policy may not take, which would keep it anyway */
        RULE_STEP,       /* another image stands on it (classic builder) */
        RULE_KEEP_LAST, /* object: its repository, perhaps with a tag; for an untagged image of which
                            only the compose project is known, that; rank, of */
        RULE_MIN_AGE,   /* age, limit */
        RULE_YOUNG,     /* not older than max_age or dangling_max_age: age, limit */
        RULE_NO_LIMIT,  /* max_age (dangling_max_age) is off */
        RULE_NOT_OURS,  /* untagged, and not known to be the application's; dangling=matched */
        RULE_DIGEST,    /* pulled by digest: no name, but not dangling; dangling=matched */
        RULE_ROLLBACK,  /* a rollback tag that is still wanted: object: its name */
        RULE_UNKNOWN,   /* what is remembered of images can't be read */
        RULE_UNREADABLE_IMAGE, /* it would go, but object: an image that can't be read: what it is,
                                      and what stands on it, is not known */
        RULE_UNREADABLE_CONTAINER, /* the same of a container, which may use any image */
        /* images that go */
        RULE_MAX_AGE,          /* age, limit */
        RULE_DANGLING_AGE,     /* untagged: age, limit */
        RULE_DISK_PRESSURE,    /* the disk asks for it */
        RULE_ROLLBACK_EXPIRED, /* object: the rollback tag; limit: by its age alone */
        RULE_TRASH,            /* a left-over trash tag: object */
        /* build records */
        RULE_RECORD_IN_USE,
        RULE_RECORD_CHILD,   /* another that stays was made from it */
        RULE_RECORD_LRU,     /* goes as the rank-th of `of` in BuildKit's order */
        RULE_RECORD_SPARED,  /* the amount to keep is reached before its turn */
        RULE_RECORD_NO_NEED, /* the builder's cache is within its limits */
        RULE_RECORD_AGE,     /* goes: unused for longer than [builder] max_age: age, limit */
        /* the builder's cache */
        RULE_MAX_SIZE,
        RULE_MAX
} Rule;

const char *rule_to_string(Rule rule);

typedef struct ImageVerdict {
        bool remove;
        Rule rule;
        const char *object; /* borrowed from inventory, configuration or memory; see Rule */
        unsigned rank, of;  /* its place in its repository (where it is best, if there are several),
                               newest first, from 1; 0: in none */
        const char *group;  /* that repository, as the object of RULE_KEEP_LAST; or NULL */
        int64_t age_sec, limit_sec; /* -1: does not apply */
} ImageVerdict;

typedef struct RecordVerdict {
        bool remove;
        Rule rule;
        unsigned rank, of;
        int64_t age_sec, limit_sec;
        bool shared; /* with an image: removing it frees nothing while the image stays */
        bool leaked; /* in use by no build, see janitor/builds.h */
} RecordVerdict;

typedef struct BuilderPlan {
        uint64_t private_bytes;           /* what counts */
        uint64_t idle_bytes;              /* of these, what no build uses */
        uint64_t max_bytes, target_bytes; /* UINT64_MAX: no limit */
        Rule rule;               /* RULE_MAX_SIZE, RULE_DISK_PRESSURE, RULE_RECORD_NO_NEED */
        uint64_t keep_bytes;     /* > 0: prune down to this; 0: no prune by size */
        uint64_t expected_bytes; /* what the prune by size should free, at most */
        unsigned unused_hours;   /* > 0: prune what was not used for so long; where no records were
                                  observed, there may be none */
        bool *unused;            /* one a record: goes by that; NULL without records */
        size_t n_unused;
} BuilderPlan;

/* One file system; same order as inventory->disks. One that tells no total is never under pressure. */
typedef struct DiskVerdict {
        bool pressure;       /* below min_free and not yet back at target_free */
        bool inode_pressure; /* below min_free_inodes and not yet a quarter above it */
        uint64_t need_bytes; /* up to target_free; 0 without pressure */
} DiskVerdict;

/* Why a plan is not carried out now. */
typedef enum Hold {
        HOLD_NONE,
        HOLD_OBSERVE,   /* mode=observe */
        HOLD_GRACE,     /* left_sec */
        HOLD_INHIBITED, /* an inhibitor is held */
        HOLD_BUILDING,  /* a build runs */
        HOLD_QUIET,     /* something happened lately: left_sec */
        HOLD_MAX
} Hold;

const char *hold_to_string(Hold hold);

/* What policy goes by besides the inventory. */
typedef struct PolicyNow {
        int64_t wall_sec;
        int64_t age_sec;          /* age time */
        int64_t steady_since_sec; /* AgeClock: age time since which the wall clock was not set */
        int64_t quiet_sec;        /* since something last happened */
        size_t n_inhibitors;
        /* What is remembered can't be read: how old images are, and since when policy runs on this
         * host. Images stay, and the build cache is held to its size without a grace. */
        bool forgetful;
        /* Disks that the plan before had under pressure, a bit each by their place: hysteresis. */
        uint64_t pressure, inode_pressure;
} PolicyNow;

typedef struct PolicyPlan {
        Hold hold;
        int64_t hold_left_sec; /* until the hold ends by itself; -1: not by time */
        BuilderPlan builder;
        DiskVerdict *disks;
        bool pressure, inode_pressure; /* of any disk */
        uint64_t need_bytes;           /* the most that one of them needs */
        ImageVerdict *images;          /* one an image of the inventory, same order */
        uint64_t keep_last;            /* of the configuration */
        const Unreadable *unreadable;  /* why every image is kept, or NULL; borrowed */
        size_t n_remove;
        uint64_t remove_bytes; /* of the images to remove, as the engine counts: layers that stay
                                  with other images included */
} PolicyPlan;

/* 0 or -ENOMEM. The plan borrows from inventory, seen and config. `seen` is up to the inventory. */
int policy_decide(const Inventory *inventory, const SeenImages *seen, const NamedImages *suspects,
                  const Config *config, const PolicyNow *now, PolicyPlan *ret) must_check;
void policy_plan_done(PolicyPlan *plan);
static inline void policy_plan_donep(PolicyPlan *plan) {
        policy_plan_done(plan);
}

/* Whether an image that the plan removes loses this name of its: an expired rollback tag and a left-over
 * trash tag go alone. */
bool policy_takes_name(const Config *config, const Image *image, const ImageVerdict *verdict,
                       const char *name);

/* Nothing to do, held or not. */
bool policy_plan_empty(const PolicyPlan *plan);

/*
 * Verdicts on build records. `turns` from lru_predict() with plan->builder.keep_bytes; NULL where
 * that is 0. Needs an inventory observed with its records.
 */
void policy_record(const Inventory *inventory, const PolicyPlan *plan, const uint32_t *turns,
                   const PolicyNow *now, size_t record, RecordVerdict *ret);

/* One sentence for a person, malloc'ed, NULL on out of memory: "watchparty-backend:7 stays: container
 * web (running) uses it." */
char *policy_image_sentence(const Inventory *inventory, const PolicyPlan *plan, size_t image);
char *policy_record_sentence(const Inventory *inventory, const PolicyPlan *plan, size_t record,
                             const RecordVerdict *verdict);

/* "nothing", or "prune the build cache from 12GB to 8GB and remove 2 images (1.2GB)". */
char *policy_plan_sentence(const PolicyPlan *plan);

/* What holds most of the disk's bytes and is not policy's to remove, largest first, with the command
 * that would free it; malloc'ed, "" if there is nothing to name. For the alarm. */
char *policy_pins(const Inventory *inventory, const PolicyPlan *plan);
