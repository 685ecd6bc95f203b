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
} ImageFacts;

typedef struct FactSet {
        ImageFacts *v;
        size_t n, size;
} FactSet;

const ImageFacts *fact_set_find(const FactSet *facts, const char *id);
void fact_set_done(FactSet *facts);

typedef struct Inventory {
        ImageStore image_store;
        RecordSet records;
        size_t n_in_use;
        uint64_t record_bytes; /* of all records */
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

/*
 * Reads everything. `ret` must be INVENTORY_NULL or a former inventory of the same job, of which
 * only the facts are kept. On error it is empty but for the facts. `known` are images that were
 * steps of a finished image, or that one, when last looked at: without a name they are left-overs,
 * however young, and no sign of a build.
 */
int inventory_observe(Docker *docker, const NamedImages *known, Inventory *ret,
                      Diag *reterr_diag) must_check;
void inventory_done(Inventory *inventory);
static inline void inventory_donep(Inventory *inventory) {
        inventory_done(inventory);
}

/* Whether the classic builder made (or committed, or loaded) this image. */
bool image_is_classic(const Inventory *inventory, const Image *image);
/* Neither a name nor a digest: what `docker images` calls dangling. */
bool image_is_untagged(const Image *image);
/* Whether another image was made from it by the classic builder or commit. */
bool image_has_children(const Inventory *inventory, const Image *image);

/* True while anything builds: BuildKit (a record in use) or the classic builder. */
bool inventory_building(const Inventory *inventory);

/* The figures of `status`, by one streaming reading that keeps no record. */
typedef struct Summary {
        EngineInfo engine;
        uint64_t records, records_in_use, record_bytes, record_shared_bytes;
        uint64_t images, images_matching, images_untagged, rollback_tags;
        uint64_t disk_total_bytes, disk_free_bytes; /* 0: could not be read */
        uint64_t build_cache_usec;                  /* what the engine took for its answer */
        int64_t observed_sec;
} Summary;

int summary_observe(Docker *docker, const Config *config, Summary *ret,
                    Diag *reterr_diag) must_check;
void summary_done(Summary *summary);
static inline void summary_donep(Summary *summary) {
        summary_done(summary);
}

/* Names the janitor gives: "wpcache-trash:ID" and "REPO:wpcache-rollback-ID". */
#define TRASH_REPOSITORY "wpcache-trash"
bool name_is_trash(const char *name);
bool name_is_rollback(const Config *config, const char *name);

/* Whether clears and policy may take this name of this image away: it matches, and is neither
 * protected nor a base image, nor one of the janitor's own. */
bool name_in_scope(const Config *config, const Image *image, const char *name);
/* Whether a name is one of [images] match, protected or not. */
bool name_is_ours(const Config *config, const Image *image, const char *name);
