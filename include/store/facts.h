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

/* Prefix hashes of a list: v[i] covers elements 0 to i. Two lists share a prefix of length k if their
 * v[k-1] are equal. */
typedef struct Prefixes {
        uint64_t *v;
        size_t n;
} Prefixes;

/* What passes this is left out. Docker allows 127 layers. */
#define PREFIXES_MAX 256

/* Adds the next element, to a list that was begun by this function; does nothing once PREFIXES_MAX are
 * there. */
int prefixes_add(Prefixes *prefixes, uint64_t element_hash) must_check;
void prefixes_done(Prefixes *prefixes);

#define FACTS_NO_HISTORY (-1)

/* So many names of an image are remembered. */
#define FACTS_NAMES_MAX 8

typedef struct ImageFacts {
        char id[IMAGE_ID_MAX];
        ImageKind kind;
        InlineCache inline_cache;
        bool ours;           /* it bore a name of ours at some time, or was a stage of such */
        int64_t n_history;   /* entries in its history; FACTS_NO_HISTORY: not read */
        uint64_t names_hash; /* of its names when it was inspected; 0: it was not */
        Prefixes layers;     /* of the contents of its layers, the lowest first */
        Prefixes steps;      /* of the instructions in its history, the oldest first */
        size_t n_base;       /* so many entries, at least, are its base image's */
        uint64_t names
                [FACTS_NAMES_MAX]; /* hashes of names of ours that it was seen with, the first ones */
        size_t n_names;
        bool build_asked;         /* in this run: the build history does not tell of it */
        bool inspected;           /* in this run */
        int64_t last_tagged_sec;  /* as inspected in this run; 0: not told */
        int64_t last_tagged_nsec; /* the same, exactly */
        bool dirty;               /* differs from what is stored */
} ImageFacts;

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
/* Remembers a name of ours, by its text_hash(), unless it is known or there is no room. */
void facts_add_name(ImageFacts *facts, uint64_t name_hash);
bool facts_know_name(const ImageFacts *facts, uint64_t name_hash);
void fact_set_done(FactSet *facts);
static inline void fact_set_donep(FactSet *facts) {
        fact_set_done(facts);
}

/* So many images are remembered; past that those go that were stored first. */
#define FACTS_KEPT 20000

/* Indexed. */
int store_read_facts(Store *store, FactSet *ret, Diag *reterr_diag) must_check;
/* Writes those that are dirty, and trims. */
int store_write_facts(Store *store, FactSet *facts, Diag *reterr_diag) must_check;
