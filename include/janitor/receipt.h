/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a clear did and what it found afterwards, and its JSON (type Receipt of the control
 * interface). Plain values; the lists own what is in them.
 */

#include <sys/types.h>

#include "apps/context.h"
#include "apps/quarantine.h"
#include "conf/config.h"
#include "docker/model.h"
#include "model/target.h"
#include "store/store.h"
#include "wire/json.h"

#define RECEIPT_ID_MAX RUN_ID_MAX

/* `app`: of one application, or "". */
const char *target_to_string(Target target, const char *app);
/* -EINVAL: neither one of target_names nor an application of `config`. */
int target_from_string(const Config *config, const char *text, Target *ret,
                       char ret_app[static APP_NAME_MAX]) must_check;

typedef enum Outcome {
        OUTCOME_INTERRUPTED, /* the outcome until another is known */
        OUTCOME_FRESH,
        OUTCOME_NOT_FRESH,
        OUTCOME_CLEARED,
        OUTCOME_NOT_CLEARED,
        OUTCOME_FAILED,
        OUTCOME_MAX
} Outcome;

const char *outcome_to_string(Outcome outcome);

/* Type Name[] of the interface, or NULL on out of memory. */
Json *named_images_json(const NamedImages *list);

/* One source of cached layers that is left. */
typedef enum RemainingKind {
        REMAINING_RECORD,    /* a build cache record */
        REMAINING_IMAGE,     /* an image or a name of one */
        REMAINING_CONTAINER, /* a container that holds an image */
        REMAINING_BUILDER,   /* another builder with a cache of its own */
        REMAINING_BUILD,     /* a build under way */
        REMAINING_CACHE,     /* a cache of an application, by its path */
        REMAINING_APP,       /* an application's root */
        REMAINING_STORE,     /* the state directory: it keeps the clear from going on */
        REMAINING_KIND_MAX
} RemainingKind;

typedef struct Remaining {
        RemainingKind kind;
        char *object, *reason;
        char *remedy; /* the command that would end it, or NULL */
} Remaining;

/* Objects of one kind past this many are counted, not named. */
#define REMAINING_NAMED_MAX 100

typedef struct RemainingList {
        Remaining *v;
        size_t n, size;
        struct {
                size_t named, more;
        } counts[REMAINING_KIND_MAX];
} RemainingList;

/* Copies the texts, or counts the object where enough of its kind are named. 0 or -ENOMEM. */
int remaining_add(RemainingList *list, RemainingKind kind, const char *object, const char *reason,
                  const char *remedy) must_check;
/* The same with a reason by a format. */
int remaining_format(RemainingList *list, RemainingKind kind, const char *object,
                     const char *remedy, const char *format, ...) must_check printf_like(5, 6);
/* Adds all of another list, which is not closed. */
int remaining_add_all(RemainingList *list, const RemainingList *from) must_check;
/* Counts objects that there is no need to name any more. */
void remaining_count(RemainingList *list, RemainingKind kind, size_t n);
bool remaining_is_full(const RemainingList *list, RemainingKind kind);
/* Once all are added: an entry for each kind of which some were only counted. */
int remaining_close(RemainingList *list) must_check;
void remaining_done(RemainingList *list);
static inline void remaining_donep(RemainingList *list) {
        remaining_done(list);
}
Json *remaining_json(const RemainingList *list);

/* Who asked, by the kernel's word; `command` is the client's own. */
typedef struct Who {
        uid_t uid;
        pid_t pid;
        char *user; /* NULL: no such user known */
        char *command;
} Who;

Json *who_json(const Who *who);

typedef enum RemovedStep {
        REMOVED_NAMES,
        REMOVED_UNTAGGED,
        REMOVED_RECORDS,
        REMOVED_CACHES,
        REMOVED_MAX
} RemovedStep;

/* A cache of an application that was taken. */
typedef struct TakenCache {
        char *app, *path; /* as text */
        char name[TRASH_NAME_MAX];
        uint64_t bytes; /* freed */
        bool removed;   /* nothing of it is left */
        ContextStatus reach;
} TakenCache;

/* A disk whose free space is measured. */
typedef struct FreedDisk {
        char *path;
        bool measured;
        uint64_t before_bytes; /* free there before the first removal */
} FreedDisk;

typedef struct Receipt {
        char id[RECEIPT_ID_MAX];
        Target target;
        char app[APP_NAME_MAX];
        Outcome outcome;
        Who who;
        int64_t started_sec, finished_sec; /* 0: not yet */
        bool keep_mounts;
        unsigned passes;
        Json *engine; /* type Engine, or NULL */
        RemainingList remaining;
        Strv assumes, notes;
        struct {
                uint64_t objects, engine_bytes;
        } removed[REMOVED_MAX];
        struct {
                FreedDisk *v;
                size_t n, size;
        } disks; /* not part of the JSON */
        uint64_t disk_freed_bytes;
        struct {
                TakenCache *v; /* the first REMAINING_NAMED_MAX */
                size_t n, size;
        } caches;
        uint64_t app_bytes;
        Json *not_reached;         /* type Volume[], or NULL */
        NamedImages names;         /* taken away; each is in here before the engine is asked */
        NamedImages rollback_tags; /* made */
        NamedImages replaced_tags; /* rollback tags of earlier clears, taken away in the same way */
        Strv kept_mounts;
        char *error;
} Receipt;

/* An id from the time, CLOCK_REALTIME: ids sort in the order they were made. */
void receipt_id_make(char ret_id[static RECEIPT_ID_MAX], uint64_t now_usec);
/* Whether text could be an id at all. */
bool receipt_id_valid(const char *text);

void receipt_done(Receipt *receipt);
static inline void receipt_donep(Receipt *receipt) {
        receipt_done(receipt);
}

Json *receipt_json(const Receipt *receipt);

/* Adds one of type Cache. 0 or -ENOMEM. */
int cache_add_json(Json *array, const char *app, const char *path, ContextStatus reach,
                   uint64_t bytes) must_check;

/* The receipt in short, for the store. What was freed is the disks' word; where no cache of Docker's
 * went, what was unlinked, which others who write meanwhile do not blur. */
void receipt_run(const Receipt *receipt, Run *ret);

/* Counts the disk that `path` is on, if it is not counted yet. */
int receipt_add_disk(Receipt *receipt, const char *path) must_check;
/* Called before the first removal, notes what is free on those disks; called again, what was freed
 * since. Where it can't be read, the figure stays 0. */
void receipt_measure_disks(Receipt *receipt);

/* Notes a cache that was taken, until REMAINING_NAMED_MAX are; `path` below the root. It is counted as
 * removed, and told as that, once nothing of it is left; of a clear that came to no end all are told.
 * `name`: in the trash; NULL: it is removed already, and freed `bytes`. */
int receipt_add_cache(Receipt *receipt, const char *app, const char *path, ContextStatus reach,
                      const char *name, uint64_t bytes) must_check;
void receipt_cache_removed(Receipt *receipt, const char *name, uint64_t bytes);

/* Type Engine. `info` NULL: unavailable for this `reason`, or not asked yet where that is NULL. */
Json *engine_json(const char *socket, const EngineInfo *info, const char *reason);
