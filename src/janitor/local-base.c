/* SPDX-License-Identifier: MIT */

/*
 * The trap is a release that lost its last instruction: its layers are the beginning of the release
 * before it, as those of a base image would be. Dates do not tell the two apart, since a step that comes
 * from a cache keeps its date; the name that both releases bore does.
 *
 * A name belongs to one image at a time, and few names of an image are remembered, so an image is
 * compared with few images that it is no base of before the search ends.
 */

#include "janitor/local-base.h"

#include "base/array.h"
#include "base/text.h"
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

static uint64_t all_layers(const ImageFacts *facts) {
        return facts->layers.v[facts->layers.n - 1];
}

/* An image that adds ENV, CMD or the like to its base image has no more layers: its history is longer. */
static uint64_t key_with_history(const ImageFacts *facts) {
        uint64_t steps = 0;

        for (size_t i = 0; i < facts->steps.n; i++)
                steps = hash_prefix(steps, facts->steps.v[i]);
        return hash_prefix(all_layers(facts), steps);
}

/* Images of ours, by all of their layers, and by those and all of their history. */
static int find_candidates(const Inventory *inventory, const Config *config, Entries *ret) {
        int r = 0;

        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                const Image *image = &inventory->images.v[i];
                const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);

                if (!facts || facts->layers.n == 0 || !image_is_ours(config, image))
                        continue;
                r = add(ret, all_layers(facts), i);
                if (r >= 0 && facts->steps.n > 0)
                        r = add(ret, key_with_history(facts), i);
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
        if (!contains(candidates, all_layers(facts)))
                return r;
        for (size_t i = 0; i + 1 < facts->steps.n && r >= 0; i++) {
                uint64_t key;

                steps = hash_prefix(steps, facts->steps.v[i]);
                key = hash_prefix(all_layers(facts), steps);
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

/* Whether the image has a name now that the other one is known to have borne. */
static bool took_name(const Image *image, const ImageFacts *other) {
        for (size_t i = 0; i < image->names.n && other->names.n > 0; i++)
                if (hash_list_contains(&other->names, text_hash(image->names.v[i])))
                        return true;
        return false;
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
        if (r < 0)
                return r;
        for (size_t i = 0; i < candidates.n; i++) {
                const Entry *candidate = &candidates.v[i];
                bool *base = &bases[candidate->at];

                for (size_t j = find_first(&longer, candidate->key);
                     !*base && j < longer.n && longer.v[j].key == candidate->key; j++)
                        *base = !took_name(&inventory->images.v[candidate->at],
                                           &inventory->facts.v[longer.v[j].at]);
        }
        *ret = TAKE_PTR(bases);
        return 0;
}
