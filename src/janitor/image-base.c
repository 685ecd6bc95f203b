/* SPDX-License-Identifier: MIT */

/*
 * The next build of an application stands on whatever bears its base image's name then. So two images have
 * the same base image, as far as caches are concerned, if some repository named both, whatever version
 * each of them is.
 */

#include "janitor/image-base.h"

#include <string.h>

#include "base/text.h"
#include "docker/name.h"

bool image_may_be_base(const Image *image, const ImageFacts *facts) {
        if (!facts || facts->ours || facts->made_amid_ours)
                return false;
        return facts->kind != IMAGE_KIND_BUILDKIT || (image->digests.n > 0 && !facts->tagged_here);
}

/* The position of an image that may be a base, by a hash of all its layers, or of those and its history. */
typedef struct Whole {
        uint64_t key;
        size_t image;
} Whole;

typedef struct Wholes {
        const Inventory *inventory;
        Whole *v;
        size_t n;
} Wholes;

/* So many images with the same layers are compared by their histories. */
#define SAME_LAYERS_MAX 16

/* Of images with the same key one with a name comes first. */
static int compare_wholes(const void *a, const void *b, void *userdata) {
        const Inventory *inventory = userdata;
        const Whole *x = a, *y = b;
        bool x_named, y_named;

        if (x->key != y->key)
                return x->key < y->key ? -1 : 1;
        x_named = !image_is_untagged(&inventory->images.v[x->image]);
        y_named = !image_is_untagged(&inventory->images.v[y->image]);
        return x_named != y_named ? y_named - x_named
                                  : (x->image > y->image) - (x->image < y->image);
}

size_t image_base_history(const Inventory *inventory, size_t base, const ImageFacts *facts) {
        const ImageFacts *of_base =
                base < inventory->images.n
                        ? fact_set_find(&inventory->facts, inventory->images.v[base].id)
                        : NULL;
        const HashList *steps = of_base ? &of_base->steps : NULL;

        if (!steps || steps->n == 0 || steps->n >= facts->steps.n ||
            memcmp(steps->v, facts->steps.v, steps->n * sizeof(*steps->v)) != 0)
                return 0;
        return steps->n;
}

/* Of several images with these layers, one whose history is the beginning of the image's. BASE_NOT_KNOWN: there
 * is none with these layers. */
static size_t find_whole(const Wholes *wholes, uint64_t key, const ImageFacts *facts) {
        const Whole *v = wholes->v;
        size_t low = 0, n = wholes->n;

        while (n > 0) {
                size_t half = n / 2;

                if (v[low + half].key < key) {
                        low += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        for (size_t i = low; i < wholes->n && i - low < SAME_LAYERS_MAX && v[i].key == key; i++)
                if (image_base_history(wholes->inventory, v[i].image, facts) > 0)
                        return v[i].image;
        return low < wholes->n && v[low].key == key ? v[low].image : BASE_NOT_KNOWN;
}

/* An image that adds ENV, CMD or the like to its base image has no more layers: its history is longer. */
static size_t base_with_same_layers(const Wholes *wholes, const ImageFacts *facts) {
        size_t longest = BASE_NOT_KNOWN;
        uint64_t steps = 0;

        for (size_t i = 0; i < facts->steps.n && facts->layers.n > 0; i++) {
                size_t found =
                        find_whole(wholes, hash_prefix(facts_all_layers(facts), steps), facts);

                longest = found != BASE_NOT_KNOWN ? found : longest;
                steps = hash_prefix(steps, facts->steps.v[i]);
        }
        return longest;
}

/* The longest beginning of an image's layers that another image is the whole of. */
static size_t base_by_layers(const Wholes *wholes, const ImageFacts *facts) {
        size_t found = base_with_same_layers(wholes, facts);

        for (size_t n = facts->layers.n; n > 1 && found == BASE_NOT_KNOWN; n--)
                found = find_whole(wholes, facts->layers.v[n - 2], facts);
        return found;
}

static size_t base_by_chain(const ImageChain *chain) {
        return chain->base == CHAIN_NO_IMAGE ? BASE_IS_SCRATCH : chain->base;
}

int image_bases_find(const Inventory *inventory, const ImageChain *chains, size_t **ret) {
        const ImageSet *images = &inventory->images;
        cleanup_free Whole *v = calloc(2 * images->n + 1, sizeof(*v));
        size_t *bases = calloc(images->n + 1, sizeof(*bases));
        Wholes wholes = { inventory, v, 0 };

        if (!v || !bases) {
                free(bases);
                return -ENOMEM;
        }
        for (size_t i = 0; i < images->n; i++) {
                const ImageFacts *facts = fact_set_find(&inventory->facts, images->v[i].id);

                if (!image_may_be_base(&images->v[i], facts) || facts->layers.n == 0)
                        continue;
                v[wholes.n++] = (Whole){ facts_all_layers(facts), i };
                v[wholes.n++] = (Whole){ facts_layers_and_history(facts), i };
        }
        qsort_r(v, wholes.n, sizeof(*v), compare_wholes, (void *)inventory);
        for (size_t i = 0; i < images->n; i++) {
                const ImageFacts *facts = fact_set_find(&inventory->facts, images->v[i].id);

                bases[i] = chain_tells_base(&chains[i]) ? base_by_chain(&chains[i])
                           : facts                      ? base_by_layers(&wholes, facts)
                                                        : BASE_NOT_KNOWN;
        }
        *ret = bases;
        return 0;
}

static int add_repository(HashList *list, const char *name) {
        const uint64_t hash = name_repository_hash(name);

        return list->n == BASES_MAX || hash_list_contains(list, hash) ? 0
                                                                      : hash_list_add(list, hash);
}

int image_base_repositories(const Inventory *inventory, size_t base, HashList *ret) {
        const Image *image;
        int r = 0;

        if (base == BASE_NOT_KNOWN)
                return 0;
        if (base == BASE_IS_SCRATCH)
                return hash_list_add(ret, text_hash(BASE_SCRATCH));
        image = &inventory->images.v[base];
        if (image_is_untagged(image))
                return hash_list_add(ret, text_hash(BASE_NAMELESS));
        for (size_t i = 0; i < image->names.n && r >= 0; i++)
                r = add_repository(ret, image->names.v[i]);
        for (size_t i = 0; i < image->digests.n && r >= 0; i++)
                r = add_repository(ret, image->digests.v[i]);
        return r;
}

static int note_base(const Inventory *inventory, size_t base, ImageFacts *facts) {
        const uint64_t nameless = text_hash(BASE_NAMELESS);
        cleanup(hash_list_done) HashList now = { 0 };
        size_t n_before;

        if (image_base_repositories(inventory, base, &now) < 0)
                return -ENOMEM;
        if (now.n == 0 || (facts->bases.n > 0 && hash_list_contains(&now, nameless)))
                return 0;
        if (hash_list_contains(&facts->bases, nameless))
                hash_list_done(&facts->bases);
        n_before = facts->bases.n;
        for (size_t i = 0; i < now.n && facts->bases.n < BASES_MAX; i++)
                if (!hash_list_contains(&facts->bases, now.v[i]) &&
                    hash_list_add(&facts->bases, now.v[i]) < 0)
                        return -ENOMEM;
        facts->dirty |= facts->bases.n != n_before;
        return 0;
}

int image_bases_note(const Config *config, Inventory *inventory) {
        cleanup_free ImageChain *chains = NULL;
        cleanup_free size_t *bases = NULL;
        int r;

        r = chains_find(inventory, config, &chains);
        if (r >= 0)
                r = image_bases_find(inventory, chains, &bases);
        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                ImageFacts *facts = fact_set_find(&inventory->facts, inventory->images.v[i].id);
                size_t n_base = facts ? image_base_entries(facts, &chains[i]) : 0;

                if (!facts)
                        continue;
                /* Who signed the entries does not tell where a base image ends that BuildKit made, too. */
                n_base = MAX(n_base, image_base_history(inventory, bases[i], facts));
                facts->dirty |= facts->n_base != n_base;
                facts->n_base = n_base;
                if (facts_teach(facts))
                        r = note_base(inventory, bases[i], facts);
        }
        return r;
}
