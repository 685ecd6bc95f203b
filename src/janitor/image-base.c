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

/* All layers of an image that may be a base, and its position. */
typedef struct Whole {
        uint64_t layers;
        size_t image;
} Whole;

/* Of images with the same layers one with a name comes first. */
static int compare_wholes(const void *a, const void *b, void *userdata) {
        const Inventory *inventory = userdata;
        const Whole *x = a, *y = b;
        bool x_named, y_named;

        if (x->layers != y->layers)
                return x->layers < y->layers ? -1 : 1;
        x_named = !image_is_untagged(&inventory->images.v[x->image]);
        y_named = !image_is_untagged(&inventory->images.v[y->image]);
        return x_named != y_named ? y_named - x_named
                                  : (x->image > y->image) - (x->image < y->image);
}

static const Whole *find_whole(const Whole *v, size_t n, uint64_t layers) {
        size_t low = 0;

        while (n > 0) {
                size_t half = n / 2;

                if (v[low + half].layers < layers) {
                        low += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        return &v[low];
}

/* The longest beginning of an image's layers that another image is the whole of. */
static size_t base_by_layers(const Whole *wholes, size_t n_wholes, const ImageFacts *facts) {
        for (size_t n = facts->layers.n; n > 1; n--) {
                const uint64_t layers = facts->layers.v[n - 2];
                const Whole *found = find_whole(wholes, n_wholes, layers);

                if (found < wholes + n_wholes && found->layers == layers)
                        return found->image;
        }
        return BASE_NOT_KNOWN;
}

static size_t base_by_chain(const ImageChain *chain) {
        return chain->base == CHAIN_NO_IMAGE ? BASE_IS_SCRATCH : chain->base;
}

int image_bases_find(const Inventory *inventory, const ImageChain *chains, size_t **ret) {
        const ImageSet *images = &inventory->images;
        cleanup_free Whole *wholes = calloc(images->n + 1, sizeof(*wholes));
        size_t *bases = calloc(images->n + 1, sizeof(*bases)), n = 0;

        if (!wholes || !bases) {
                free(bases);
                return -ENOMEM;
        }
        for (size_t i = 0; i < images->n; i++) {
                const ImageFacts *facts = fact_set_find(&inventory->facts, images->v[i].id);

                if (image_may_be_base(&images->v[i], facts) && facts->layers.n > 0)
                        wholes[n++] = (Whole){ facts->layers.v[facts->layers.n - 1], i };
        }
        qsort_r(wholes, n, sizeof(*wholes), compare_wholes, (void *)inventory);
        for (size_t i = 0; i < images->n; i++) {
                const ImageFacts *facts = fact_set_find(&inventory->facts, images->v[i].id);

                bases[i] = chain_tells_base(&chains[i]) ? base_by_chain(&chains[i])
                           : facts                      ? base_by_layers(wholes, n, facts)
                                                        : BASE_NOT_KNOWN;
        }
        *ret = bases;
        return 0;
}

static int add_repository(HashList *list, const char *name) {
        size_t n = MIN(name_repository_length(name), strcspn(name, "@"));
        cleanup_free char *repository = strndup(name, n);
        uint64_t hash;

        if (!repository)
                return -ENOMEM;
        hash = text_hash(repository);
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
                facts->dirty |= facts->n_base != n_base;
                facts->n_base = n_base;
                if (facts->ours)
                        r = note_base(inventory, bases[i], facts);
        }
        return r;
}
