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

/* The position of an image, or of the facts of one, by the hash of layers. */
typedef struct Entry {
        uint64_t layers;
        size_t at;
} Entry;

typedef struct Entries {
        Entry *v;
        size_t n, size;
} Entries;

static void entries_donep(Entries *entries) {
        free(entries->v);
}

static int add(Entries *entries, uint64_t layers, size_t at) {
        if (array_grow(entries->v, entries->n, entries->size) < 0)
                return -ENOMEM;
        entries->v[entries->n++] = (Entry){ layers, at };
        return 0;
}

static int compare_entries(const void *a, const void *b) {
        const Entry *x = a, *y = b;

        return (x->layers > y->layers) - (x->layers < y->layers);
}

static void sort(Entries *entries) {
        if (entries->n > 0)
                qsort(entries->v, entries->n, sizeof(*entries->v), compare_entries);
}

/* The first entry that is not below `layers`. */
static size_t find_first(const Entries *entries, uint64_t layers) {
        size_t low = 0, high = entries->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (entries->v[middle].layers < layers)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool contains(const Entries *entries, uint64_t layers) {
        size_t i = find_first(entries, layers);

        return i < entries->n && entries->v[i].layers == layers;
}

/* Images of ours, by all of their layers. */
static int find_candidates(const Inventory *inventory, const Config *config, Entries *ret) {
        int r = 0;

        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                const Image *image = &inventory->images.v[i];
                const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);

                if (facts && facts->layers.n > 0 && image_is_ours(config, image))
                        r = add(ret, facts->layers.v[facts->layers.n - 1], i);
        }
        sort(ret);
        return r;
}

/* Images of ours, present or remembered, by their layers that are all layers of a candidate. */
static int find_longer(const Inventory *inventory, const Entries *candidates, Entries *ret) {
        int r = 0;

        for (size_t i = 0; i < inventory->facts.n; i++) {
                const ImageFacts *facts = &inventory->facts.v[i];

                for (size_t j = 0; facts->ours && j + 1 < facts->layers.n && r >= 0; j++)
                        if (contains(candidates, facts->layers.v[j]))
                                r = add(ret, facts->layers.v[j], i);
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

                for (size_t j = find_first(&longer, candidate->layers);
                     !*base && j < longer.n && longer.v[j].layers == candidate->layers; j++)
                        *base = !took_name(&inventory->images.v[candidate->at],
                                           &inventory->facts.v[longer.v[j].at]);
        }
        *ret = TAKE_PTR(bases);
        return 0;
}
