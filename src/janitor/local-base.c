/* SPDX-License-Identifier: MIT */

/*
 * The trap is a release whose Dockerfile lost or got its last instruction: the layers of one release are the
 * beginning of the other's, as those of a base image would be. Dates do not tell the two apart, since a step
 * that comes from a cache keeps its date. What tells is a name that both releases bore, or names of one
 * repository whose tags differ in numbers alone.
 *
 * The search ends with the first longer image that never bore a name of this one. Releases that bore such a
 * name are passed over. Each remembers FACTS_NAMES_MAX names at most, and an image has each name alone, so
 * all searches together are N log N.
 */

#include "janitor/local-base.h"

#include "base/array.h"
#include "docker/name.h"
#include "janitor/ownership.h"

/* The position of an image, or of the facts of one, by a hash of its layers or of those and its history. */
typedef struct Entry {
        uint64_t key;
        size_t at;
} Entry;

typedef struct Entries {
        Entry *v;
        size_t n, size;
} Entries;

static void entries_donep(Entries *entries) {
        free(entries->v);
}

static int add(Entries *entries, uint64_t key, size_t at) {
        if (array_grow(entries->v, entries->n, entries->size) < 0)
                return -ENOMEM;
        entries->v[entries->n++] = (Entry){ key, at };
        return 0;
}

static int compare_entries(const void *a, const void *b) {
        const Entry *x = a, *y = b;

        return (x->key > y->key) - (x->key < y->key);
}

static void sort(Entries *entries) {
        if (entries->n > 0)
                qsort(entries->v, entries->n, sizeof(*entries->v), compare_entries);
}

/* The first entry that is not below `key`. */
static size_t find_first(const Entries *entries, uint64_t key) {
        size_t low = 0, high = entries->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (entries->v[middle].key < key)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool contains(const Entries *entries, uint64_t key) {
        size_t i = find_first(entries, key);

        return i < entries->n && entries->v[i].key == key;
}

/* Images of ours, by all of their layers, and by those and all of their history. */
static int find_candidates(const Inventory *inventory, const Config *config, Entries *ret) {
        int r = 0;

        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                const Image *image = &inventory->images.v[i];
                const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);

                if (!facts || facts->layers.n == 0 || !image_is_ours(config, image))
                        continue;
                r = add(ret, facts_all_layers(facts), i);
                if (r >= 0 && facts->steps.n > 0)
                        r = add(ret, facts_layers_and_history(facts), i);
        }
        sort(ret);
        return r;
}

static int add_beginnings(const ImageFacts *facts, size_t at, const Entries *candidates,
                          Entries *ret) {
        uint64_t steps = 0;
        int r = 0;

        for (size_t i = 0; i + 1 < facts->layers.n && r >= 0; i++)
                if (contains(candidates, facts->layers.v[i]))
                        r = add(ret, facts->layers.v[i], at);
        if (!contains(candidates, facts_all_layers(facts)))
                return r;
        for (size_t i = 0; i + 1 < facts->steps.n && r >= 0; i++) {
                uint64_t key;

                steps = hash_prefix(steps, facts->steps.v[i]);
                key = hash_prefix(facts_all_layers(facts), steps);
                if (contains(candidates, key))
                        r = add(ret, key, at);
        }
        return r;
}

/* Images of ours, present or remembered, by those of their beginnings that are a whole candidate. */
static int find_longer(const Inventory *inventory, const Entries *candidates, Entries *ret) {
        int r = 0;

        for (size_t i = 0; i < inventory->facts.n && r >= 0; i++) {
                const ImageFacts *facts = &inventory->facts.v[i];

                if (facts->ours && facts->layers.n > 0)
                        r = add_beginnings(facts, i, candidates, ret);
        }
        sort(ret);
        return r;
}

/* The image's names now, those of two releases alike. */
static int hash_names_of(const Image *image, Entries *ret) {
        int r = 0;

        for (size_t i = 0; i < image->names.n && r >= 0; i++) {
                uint64_t hash;

                r = name_release_hash(image->names.v[i], &hash);
                if (r >= 0)
                        r = add(ret, hash, i);
        }
        sort(ret);
        return r;
}

/* Whether the other image is known to have borne one of these names. */
static bool bore_name(const ImageFacts *other, const Entries *names) {
        for (size_t i = 0; i < other->names.n; i++)
                if (contains(names, other->names.v[i]))
                        return true;
        return false;
}

/* Whether some longer image never bore a name that the candidate has now. */
static int is_base_of_any(const Inventory *inventory, const Entry *candidate, const Entries *longer,
                          bool *ret) {
        cleanup(entries_done) Entries names = { 0 };
        size_t i = find_first(longer, candidate->key);

        *ret = false;
        if (i == longer->n || longer->v[i].key != candidate->key)
                return 0;
        if (hash_names_of(&inventory->images.v[candidate->at], &names) < 0)
                return -ENOMEM;
        for (; !*ret && i < longer->n && longer->v[i].key == candidate->key; i++)
                *ret = !bore_name(&inventory->facts.v[longer->v[i].at], &names);
        return 0;
}

int local_bases_find(const Inventory *inventory, const Config *config, bool **ret) {
        cleanup(entries_done) Entries candidates = { 0 }, longer = { 0 };
        cleanup_free bool *bases = calloc(inventory->images.n + 1, sizeof(*bases));
        int r;

        if (!bases)
                return -ENOMEM;
        r = find_candidates(inventory, config, &candidates);
        if (r >= 0)
                r = find_longer(inventory, &candidates, &longer);
        for (size_t i = 0; i < candidates.n && r >= 0; i++) {
                bool *base = &bases[candidates.v[i].at];

                if (!*base)
                        r = is_base_of_any(inventory, &candidates.v[i], &longer, base);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bases);
        return 0;
}
