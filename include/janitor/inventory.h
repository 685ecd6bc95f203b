/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Observe: one reading of everything a clear has to know, whole or not at all.
 *
 * Who built an image is not in the engine's list. The classic builder's images have a ParentId;
 * those it made in the first step FROM scratch have none, and are told from BuildKit's by the
 * comment of their last layer. So images are inspected, once a job: facts about an id never change.
 */

#include "conf/config.h"
#include "docker/api.h"
#include "janitor/receipt.h"

/* Who made an image, as far as the classic builder's cache is concerned. */
typedef enum ImageKind {
        IMAGE_KIND_BUILDKIT, /* built by BuildKit: the classic builder never matches it */
        IMAGE_KIND_CLASSIC,  /* the classic builder may take it as a cached step */
        IMAGE_KIND_OTHER,    /* imported, loaded, pulled */
} ImageKind;

/* Whether an image carries BuildKit's inline cache metadata, which makes it a source for
 * cache_from on the graphdriver store. The API does not tell: it is read from the image's
 * configuration below Docker's data root, where this process may. */
typedef enum InlineCache { INLINE_CACHE_UNKNOWN, INLINE_CACHE_NO, INLINE_CACHE_YES } InlineCache;

typedef struct ImageFacts {
        char id[IMAGE_ID_MAX];
        ImageKind kind;
        InlineCache inline_cache;
        int64_t last_tagged_sec; /* when it was looked at; 0: never or not told */
} ImageFacts;

typedef struct FactSet {
        ImageFacts *v;
        size_t n, size;
        bool indexed; /* by_id is in step with `v` */
        Index by_id;
} FactSet;

/* Makes fact_set_find() fast; to be called again after a change. */
int fact_set_index(FactSet *facts) must_check;
const ImageFacts *fact_set_find(const FactSet *facts, const char *id);
void fact_set_done(FactSet *facts);

/* A file system that Docker keeps its data on. */
typedef struct Disk {
        char *path;
        uint64_t total_bytes, free_bytes;   /* free: for those who are not root */
        uint64_t total_inodes, free_inodes; /* 0 of 0: it has no fixed number */
} Disk;

typedef struct Disks {
        Disk *v;
        size_t n, size;
        Strv unseen; /* paths that can't be looked at, and why */
} Disks;

void disks_done(Disks *disks);

/*
 * The file systems of [disk] paths, each once; "auto": of Docker's data root, and on the containerd
 * store of /var/lib/containerd, where an engine that did not start its own containerd keeps images.
 */
int disks_observe(const Config *config, const EngineInfo *engine, Disks *ret) must_check;

typedef struct Inventory {
        EngineInfo engine; /* who answered */
        ImageStore image_store;
        /* Figures of the whole build cache, kept or not. */
        size_t n_records, n_in_use;
        uint64_t record_bytes;  /* of all records */
        uint64_t private_bytes; /* of those not shared with an image: what BuildKit counts */
        uint64_t in_use_private_bytes;
        uint64_t in_use_hash;      /* of the ids in use, in any order; 0: none */
        uint64_t build_cache_usec; /* what the engine took for its answer */
        RecordSet records;         /* empty with OBSERVE_FIGURES */
        UnreadableSet unreadable_records;
        Disks disks;
        ImageSet images;
        ContainerSet containers; /* `image` is as at create, also where the list has an id */
        FactSet facts;
        Strv classic_builds; /* signs of a classic build under way, for a person */
        int64_t observed_sec;
} Inventory;

#define INVENTORY_NULL ((Inventory){ .image_store = IMAGE_STORE_GRAPHDRIVER })

/* A classic build leaves its newest image untagged for a moment between two steps; one younger
 * than this is taken for a build under way. */
#define CLASSIC_QUIET_SEC 60
/* How long the commit of a RUN step that ended well may take before its container counts as left
 * over. */
#define CLASSIC_COMMIT_SEC 600

typedef enum Observe {
        OBSERVE_ALL,
        OBSERVE_FIGURES, /* keeps no build record and looks closely at no image: for a poll */
} Observe;

/*
 * Reads everything. One object that can't be read does not spoil the rest: the sets of images and
 * containers and `unreadable_records` name it, and whoever acts has to ask them. An image is
 * unreadable, though it is in the list, if the engine can't tell its details.
 *
 * `ret` must be INVENTORY_NULL or a former inventory of the same job, of which
 * only the facts are kept. On error it is empty but for the facts. `known` are images that were
 * steps of a finished image, or that one, when last looked at: without a name they are left-overs,
 * however young, and no sign of a build.
 */
int inventory_observe(Docker *docker, const Config *config, Observe what, const NamedImages *known,
                      Inventory *ret, Diag *reterr_diag) must_check;
void inventory_done(Inventory *inventory);
static inline void inventory_donep(Inventory *inventory) {
        inventory_done(inventory);
}

/* The containers alone, with `image` as in an inventory. */
int inventory_observe_containers(Docker *docker, ContainerSet *ret, Diag *reterr_diag) must_check;

/* A volume may be a path of the host under another name: puts that in place of its mounts' sources.
 * "volume NAME" of a volume that can't be read is added to the set's unreadable ones. */
int inventory_resolve_volumes(Docker *docker, ContainerSet *containers,
                              Diag *reterr_diag) must_check;

/* Whether the classic builder made (or committed, or loaded) this image. */
bool image_is_classic(const Inventory *inventory, const Image *image);
/* Neither a name nor a digest: what `docker images` calls dangling. */
bool image_is_untagged(const Image *image);
/* Whether another image was made from it by the classic builder or commit. */
bool image_has_children(const Inventory *inventory, const Image *image);

/* Whether some image or container could not be read: what an image is needed for is not known then. */
bool inventory_is_partial(const Inventory *inventory);

/* True while anything builds: BuildKit (a record in use) or the classic builder. */
bool inventory_building(const Inventory *inventory);

/* Names the janitor gives: "wpcache-trash:ID", "REPO:wpcache-trash-ID" to an image that has but a digest
 * in that repository, and "REPO:wpcache-rollback-ID". */
#define TRASH_REPOSITORY "wpcache-trash"
bool name_is_trash(const char *name);
bool name_is_rollback(const Config *config, const char *name);

/* Whether clears and policy may take this name of this image away: it matches, and is neither
 * protected nor a base image, nor one of the janitor's own. */
bool name_in_scope(const Config *config, const Image *image, const char *name);
/* Whether a name is one of [images] match, protected or not. */
bool name_is_ours(const Config *config, const Image *image, const char *name);
