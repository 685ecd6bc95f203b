/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is known of images beyond the engine's list. It costs calls to the engine and never changes
 * for an id, so it is kept from one run to the next: of an image of ours also after the image is
 * gone, so that an image of others that begins alike is recognised.
 */

#include "base/diag.h"
#include "base/index.h"
#include "docker/model.h"

typedef struct Store Store;

/* Who made an image, as far as caches are concerned. */
typedef enum ImageKind {
        IMAGE_KIND_BUILDKIT, /* built by BuildKit: the classic builder never matches it */
        IMAGE_KIND_CLASSIC,  /* built by the classic builder, here as far as is known */
        IMAGE_KIND_OTHER,    /* imported, committed with a comment, or made by another tool */
        IMAGE_KIND_LOADED,   /* built by the classic builder, and loaded or pulled here */
        IMAGE_KIND_MAX
} ImageKind;

static inline bool image_kind_is_classic(ImageKind kind) {
        return kind == IMAGE_KIND_CLASSIC || kind == IMAGE_KIND_LOADED;
}

/* Whether an image carries BuildKit's inline cache metadata, which makes it a source for
 * cache_from on the graphdriver store. The API does not tell. */
typedef enum InlineCache { INLINE_CACHE_UNKNOWN, INLINE_CACHE_NO, INLINE_CACHE_YES } InlineCache;

/* What the newest entry in an image's history tells: see janitor/step.h. */
typedef enum ImageStep {
        STEP_UNKNOWN, /* not asked, or not answered */
        STEP_NONE,    /* docker commit made the image, or another tool than the classic builder */
        STEP_OTHER,   /* a step of a build, neither CMD nor ENTRYPOINT */
        STEP_COMMAND, /* CMD or ENTRYPOINT */
        STEP_MAX
} ImageStep;

/* Whether an image of others was made right before a step of ours: see janitor/named-stages.h. */
typedef enum AmidOurs {
        AMID_OURS_NOT,
        AMID_OURS_NAMED_BEFORE, /* when ours was made, the image may have had its name already */
        AMID_OURS_NAMED_SINCE,  /* it was tagged after ours was made */
        AMID_OURS_MAX
} AmidOurs;

/* Whether docker commit made an image: see janitor/origin.h. */
typedef enum Commit {
        COMMIT_UNKNOWN, /* not asked, or not answered */
        COMMIT_NO,
        COMMIT_YES,
        COMMIT_MAX
} Commit;

/* Made by hash_list_add() alone, which counts on the room that it left. */
typedef struct HashList {
        uint64_t *v;
        size_t n;
} HashList;

/* What passes this is left out. Docker allows 127 layers. */
#define HASHES_MAX 256

/* Does nothing once HASHES_MAX are there. */
int hash_list_add(HashList *list, uint64_t hash) must_check;
bool hash_list_contains(const HashList *list, uint64_t hash);
void hash_list_done(HashList *list);
static inline void hash_list_donep(HashList *list) {
        hash_list_done(list);
}

/* The hash of a list: of its elements but the last, and that one. 0 is the hash of an empty list. */
uint64_t hash_prefix(uint64_t prefix, uint64_t element_hash);
/* Adds the next element to a list of prefix hashes: v[i] is the hash of elements 0 to i. Two lists have
 * the first k elements in common if their v[k-1] are equal. */
int prefixes_add(HashList *prefixes, uint64_t element_hash) must_check;

/*
 * What an entry of a history is to the classic builder, which takes a step from the history of an image that
 * a build names in cache_from by the text of its entry alone: no step of it; a step; CMD or ENTRYPOINT; or
 * COPY or ADD, as a hash of what was copied, with CONTENTS_OF_DIRECTORY if that was one directory.
 */
#define CLASSIC_STEP_NO UINT64_C(0)
#define CLASSIC_STEP_YES UINT64_C(1)
#define CLASSIC_STEP_COMMAND UINT64_C(2)
#define CLASSIC_STEP_CONTENTS UINT64_C(4) /* the least of such hashes */
#define CONTENTS_OF_DIRECTORY UINT64_C(1)

#define FACTS_NO_HISTORY (-1)
/* Among the hashes of a base image's repositories: that of FROM scratch, and of an image without a name. */
#define BASE_SCRATCH "scratch"
#define BASE_NAMELESS ""
/* Repositories of a base image that are kept. */
#define BASES_MAX 8

/* So many names and repositories of an image are remembered. */
#define FACTS_NAMES_MAX 16
/* So many names and repositories of needed images are remembered with one image. */
#define FACTS_NEEDS_MAX 64

typedef struct ImageFacts {
        char id[IMAGE_ID_MAX];
        ImageKind kind;
        InlineCache inline_cache;
        bool ours; /* It once had a name in scope, or was a stage of such an image. */
        AmidOurs made_amid_ours;
        uint64_t amid_hash; /* text_hash() of the id of the image of ours that tells it */
        ImageStep step;
        bool bore_name; /* it has or had a name; of an untagged image known where `step` or `commit` is */
        bool of_others;       /* it had a name of others */
        Commit commit;        /* asked of some images, by janitor/origin.h */
        int64_t created_nsec; /* 0: not asked */
        /* By a build or by docker tag. On the containerd store also by docker pull and docker load. */
        bool tagged_here;
        int64_t n_history;      /* entries in its history; FACTS_NO_HISTORY: not read */
        uint64_t names_hash;    /* of its names when it was inspected; 0: it was not */
        HashList layers;        /* prefixes of the contents of its layers, the lowest first */
        HashList steps;         /* the instructions in its history, the oldest first */
        HashList classic_steps; /* what each of them is to the classic builder, as above */
        size_t n_base;          /* so many of its entries, at least, are its base image's */
        /* Where facts_teach(): the repositories that name or named its base image; empty: not known. */
        HashList bases;
        uint64_t project_hash; /* of an image of ours: its compose project; 0: none */
        HashList stages;       /* the instructions of all stages of its build: build-steps.h */
        /* Of ours that it was seen with, the same by name_release_hash(), and their repositories; the first ones. */
        HashList names;
        /* Hashes of names and repositories of images that a build was seen to need: those that the record of
         * this image's build names, or, of a local base image, its own. See janitor/local-base.h. */
        HashList needs;
        bool inspected;           /* in this run */
        uint64_t inspected_usec;  /* CLOCK_BOOTTIME before that; 0: never in this run */
        int64_t last_tagged_sec;  /* as inspected in this run; 0: not told */
        int64_t last_tagged_nsec; /* the same, exactly */
        bool dirty;               /* differs from what is stored */
} ImageFacts;

/* Whether the instructions of the image are taken for those of a build of ours. */
static inline bool facts_teach(const ImageFacts *facts) {
        return facts->ours || facts->made_amid_ours == AMID_OURS_NAMED_SINCE;
}

/* Whether an image without a name is known to be none of ours: a person made it by docker commit, or it bore
 * names of others alone. */
static inline bool facts_not_ours(const ImageFacts *facts) {
        return facts->commit == COMMIT_YES || (facts->of_others && !facts->ours);
}

typedef struct FactSet {
        ImageFacts *v;
        size_t n, size;
        bool indexed; /* by_id is in step with `v` */
        Index by_id;
} FactSet;

/* A new entry for an image of which there is none; NULL on out of memory. */
ImageFacts *fact_set_add(FactSet *facts, const char *id);
/* Makes fact_set_find() fast; to be called again after a change. */
int fact_set_index(FactSet *facts) must_check;
ImageFacts *fact_set_find(const FactSet *facts, const char *id);
/* A hash of all layers, one at least. */
uint64_t facts_all_layers(const ImageFacts *facts);
/* A hash of the whole history. */
uint64_t facts_whole_history(const ImageFacts *facts);
/* A hash of all layers, one at least, and of the whole history: an image that adds ENV, CMD or the like to its
 * base image has no more layers than that, but a longer history. Where the history was not read, it counts as
 * one without an entry. */
uint64_t facts_layers_and_history(const ImageFacts *facts);
/* Remembers a name of ours that the image bears, and its repository, as far as there is room in `names`. Names
 * here are in the form in which the engine lists them. */
int facts_add_name(ImageFacts *facts, const char *name) must_check;
/* The same, the repository of the name alone. */
int facts_add_repository(ImageFacts *facts, const char *name) must_check;
/* Remembers there as well what the name has in common with those of other releases: name_release_hash(). */
int facts_add_release(ImageFacts *facts, const char *name) must_check;
/* Remember the name of a needed image, and its repository, as far as there is room in `needs`. */
int facts_add_need(ImageFacts *facts, const char *name) must_check;
int facts_add_needed_repository(ImageFacts *facts, const char *name) must_check;
/* Remembers in `needs` that an image of this very name is perhaps needed, by possible_need_hash(). */
int facts_add_possible_need(ImageFacts *facts, const char *name) must_check;
uint64_t possible_need_hash(const char *name);
void fact_set_done(FactSet *facts);
static inline void fact_set_donep(FactSet *facts) {
        fact_set_done(facts);
}

/* So many images are remembered. Past that the facts of images of others go first, those that were stored
 * first before later ones. Images of ours past FACTS_OURS_KEPT count as images of others. */
#define FACTS_KEPT 20000
#define FACTS_OURS_KEPT 15000

/* Indexed. */
int store_read_facts(Store *store, FactSet *ret, Diag *reterr_diag) must_check;
/* Writes those that are dirty, and trims. */
int store_write_facts(Store *store, FactSet *facts, Diag *reterr_diag) must_check;
