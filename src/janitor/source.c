/* SPDX-License-Identifier: MIT */

/*
 * The classic builder looks, from the image a step stands on, for a child that was made by the same
 * instruction. Names play no part in that; what counts is that the chain of parents is whole, down to
 * an image that FROM can name or to the first step of a build from scratch. With cache_from it also
 * takes steps from the history of the image named, chain or not.
 *
 * BuildKit takes steps from an image that a build names in cache_from if the image carries inline cache
 * metadata, and only on the graphdriver store: the containerd store asks a registry for such a name.
 *
 * The trap is a chain of parents as an engine's answer gives it: it may be thousands long, broken or a
 * circle. So each image is visited once, without recursion.
 */

#include <string.h>

#include "docker/name.h"
#include "janitor/plan.h"
#include "janitor/source.h"

typedef enum Chain { CHAIN_UNVISITED, CHAIN_VISITING, CHAIN_BROKEN, CHAIN_WHOLE } Chain;

typedef struct Finder {
        const Inventory *inventory;
        const Config *config;
        size_t *parents; /* of each image; SOURCE_NO_IMAGE */
        size_t *path;    /* room for a walk */
        Chain *chains;
        Index cleared; /* by id */
        Source *sources;
} Finder;

static void finder_donep(Finder *finder) {
        free(finder->parents);
        free(finder->path);
        free(finder->chains);
        free(finder->sources);
        index_done(&finder->cleared);
}

const char *source_cache_name(const Inventory *inventory, const Config *config,
                              const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (!name_is_trash(image->names.v[i]) &&
                    !name_is_rollback(config, image->names.v[i]) &&
                    !name_matches_any(&config->base, image->names.v[i]))
                        return image->names.v[i];
        /* On the graphdriver store a digest is a name, too: what was pulled or pushed keeps it while
         * its repository has any tag. The containerd store lists a digest for every name. */
        if (inventory->image_store == IMAGE_STORE_GRAPHDRIVER && image->digests.n > 0)
                return image->digests.v[0];
        return NULL;
}

static int find_parents(Finder *finder) {
        const ImageSet *images = &finder->inventory->images;
        cleanup(index_done) Index by_id = { 0 };

        for (size_t i = 0; i < images->n; i++)
                if (index_add(&by_id, images->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&by_id);
        for (size_t i = 0; i < images->n; i++) {
                const IndexEntry *parent = NULL;

                if (images->v[i].parent_id[0])
                        parent = index_find(&by_id, images->v[i].parent_id, NULL);
                finder->parents[i] = parent ? parent->at : SOURCE_NO_IMAGE;
        }
        return 0;
}

/* Walks down from an image to the first whose answer is known, and gives that answer to all it passed:
 * where the chain is whole for an image, it is for those that stand on it. */
static void follow_chain(Finder *finder, size_t image) {
        const Image *images = finder->inventory->images.v;
        Chain chain = CHAIN_UNVISITED;
        size_t n = 0;

        for (size_t i = image; chain == CHAIN_UNVISITED; i = finder->parents[i]) {
                if (finder->chains[i] == CHAIN_VISITING) {
                        chain = CHAIN_BROKEN; /* a circle */
                } else if (finder->chains[i] != CHAIN_UNVISITED) {
                        chain = finder->chains[i];
                } else {
                        finder->chains[i] = CHAIN_VISITING;
                        finder->path[n++] = i;
                        if (!images[i].parent_id[0])
                                chain = image_is_untagged(&images[i]) &&
                                                        !image_is_classic(finder->inventory,
                                                                          &images[i])
                                                ? CHAIN_BROKEN
                                                : CHAIN_WHOLE;
                        else if (finder->parents[i] == SOURCE_NO_IMAGE)
                                chain = CHAIN_BROKEN;
                }
        }
        while (n > 0)
                finder->chains[finder->path[--n]] = chain;
}

static void find_way(const Finder *finder, const Image *image, Chain chain, Source *source) {
        const Inventory *inventory = finder->inventory;
        const char *name = source_cache_name(inventory, finder->config, image);
        const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);
        bool by_digest = inventory->image_store == IMAGE_STORE_GRAPHDRIVER && image->digests.n > 0;

        if (image_is_classic(inventory, image)) {
                if (chain == CHAIN_WHOLE)
                        source->way = SOURCE_CLASSIC_CHAIN;
                else if (name)
                        source->way = SOURCE_CLASSIC_NAME;
                source->serves = source->way == SOURCE_NONE ? SERVES_NOTHING : SERVES_CERTAINLY;
        } else if (inventory->image_store == IMAGE_STORE_GRAPHDRIVER && name &&
                   !(facts && facts->inline_cache == INLINE_CACHE_NO) &&
                   !(facts && facts->kind == IMAGE_KIND_OTHER)) {
                source->way = SOURCE_INLINE;
                source->serves = facts && facts->inline_cache == INLINE_CACHE_YES ? SERVES_CERTAINLY
                                                                                  : SERVES_PERHAPS;
        }
        if (source->way == SOURCE_CLASSIC_CHAIN || by_digest)
                source->serves_by_rollback_tag = source->serves;
}

static bool has_name_of_ours(const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_is_ours(config, image, image->names.v[i]) &&
                    !name_matches_any(&config->base, image->names.v[i]))
                        return true;
        return false;
}

/* Tells the parents of each image which stand on them: each is told of one named image, and of the
 * first cleared one. */
static void mark_descendants(Finder *finder) {
        const ImageSet *images = &finder->inventory->images;
        Source *sources = finder->sources;

        for (size_t i = 0; i < images->n; i++) {
                size_t named = images->v[i].names.n > 0 ? i : SOURCE_NO_IMAGE;
                size_t n_left = images->n; /* in case of a circle */

                for (size_t j = i; named != SOURCE_NO_IMAGE && j != SOURCE_NO_IMAGE &&
                                   sources[j].named_descendant == SOURCE_NO_IMAGE && n_left > 0;
                     j = finder->parents[j], n_left--)
                        sources[j].named_descendant = named;
        }
        for (size_t i = 0; i < images->n; i++) {
                if (!sources[i].cleared)
                        continue;
                for (size_t j = finder->parents[i];
                     j != SOURCE_NO_IMAGE && !sources[j].cleared_descendant; j = finder->parents[j])
                        sources[j].cleared_descendant = true;
        }
}

static int find_claims(Finder *finder, const NamedImages *cleared) {
        const Inventory *inventory = finder->inventory;
        cleanup_free Claim *claims = NULL;
        int r = plan_claims(inventory, finder->config, cleared, finder->parents, &claims);

        if (r < 0)
                return r;
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];

                if (!image_is_untagged(image))
                        continue;
                finder->sources[i].untagged_ours = claims[i] == CLAIM_OURS;
                finder->sources[i].unclaimed = claims[i] == CLAIM_NONE &&
                                               image_is_classic(inventory, image) &&
                                               !image_has_children(inventory, image);
        }
        return 0;
}

int sources_find(const Inventory *inventory, const Config *config, const NamedImages *cleared,
                 Source **ret) {
        const ImageSet *images = &inventory->images;
        cleanup(finder_done) Finder finder = {
                .inventory = inventory,
                .config = config,
                .parents = calloc(images->n + 1, sizeof(*finder.parents)),
                .path = calloc(images->n + 1, sizeof(*finder.path)),
                .chains = calloc(images->n + 1, sizeof(*finder.chains)),
                .sources = calloc(images->n + 1, sizeof(*finder.sources)),
        };
        int r;

        if (!finder.parents || !finder.path || !finder.chains || !finder.sources)
                return -ENOMEM;
        for (size_t i = 0; i < cleared->n; i++)
                if (index_add(&finder.cleared, cleared->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&finder.cleared);
        r = find_parents(&finder);
        if (r < 0)
                return r;
        for (size_t i = 0; i < images->n; i++) {
                const Image *image = &images->v[i];
                Source *source = &finder.sources[i];

                *source = (Source){
                        .named_descendant = SOURCE_NO_IMAGE,
                        .ours = has_name_of_ours(config, image),
                        .cleared = index_find(&finder.cleared, image->id, NULL),
                };
                follow_chain(&finder, i);
                find_way(&finder, image, finder.chains[i], source);
        }
        mark_descendants(&finder);
        r = find_claims(&finder, cleared);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(finder.sources);
        return 0;
}
