/* SPDX-License-Identifier: MIT */

#include "janitor/chains.h"

#include "docker/name.h"
#include "janitor/commits.h"

typedef enum Visit { UNVISITED, VISITING, VISITED } Visit;

typedef struct Walk {
        const Inventory *inventory;
        const Config *config;
        ImageChain *chains;
        Visit *visits;
        size_t *path; /* room for one walk */
} Walk;

static void walk_donep(Walk *walk) {
        free(walk->chains);
        free(walk->visits);
        free(walk->path);
}

static int find_parents(Walk *walk) {
        const ImageSet *images = &walk->inventory->images;
        cleanup(index_done) Index by_id = { 0 };

        for (size_t i = 0; i < images->n; i++)
                if (index_add(&by_id, images->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&by_id);
        for (size_t i = 0; i < images->n; i++) {
                const IndexEntry *parent = NULL;

                if (images->v[i].parent_id[0])
                        parent = index_find(&by_id, images->v[i].parent_id, NULL);
                walk->chains[i].parent = parent ? parent->at : CHAIN_NO_IMAGE;
        }
        return 0;
}

/* Whether the classic builder takes steps from images alone that this engine built: so do 25.0.2 and later
 * (CVE-2024-24557; IsBuiltLocally in moby's image/cache), and thus every engine with API 1.45. */
static bool asks_who_built(const EngineInfo *engine) {
        return engine->api_major > 1 || (engine->api_major == 1 && engine->api_minor >= 45);
}

/* The first step of a build FROM scratch: it has no parent, and a history of one entry. What has more
 * was made elsewhere and loaded: the classic builder does not reach it. */
static bool is_first_step(const Inventory *inventory, const Image *image) {
        const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);

        if (image->parent_id[0] || !facts || facts->n_history > 1)
                return false;
        return facts->kind == IMAGE_KIND_CLASSIC ||
               (facts->kind == IMAGE_KIND_LOADED && !asks_who_built(&inventory->engine));
}

/* Whether a step may stand on this image as on another step of the same Dockerfile. Where not, it is the
 * base image: another tool or docker commit made it, or others name it. */
static bool is_step(const Walk *walk, const Image *image) {
        if (image_is_commit(walk->inventory, image) ||
            (!image->parent_id[0] && !is_first_step(walk->inventory, image)))
                return false;
        for (size_t i = 0; i < image->names.n; i++) {
                const char *name = image->names.v[i];

                if (!name_is_trash(name) && !name_is_rollback(walk->config, image, name) &&
                    (!name_is_ours(walk->config, image, name) ||
                     name_matches_any(&walk->config->base, name)))
                        return false;
        }
        return image->names.n > 0 || image->digests.n == 0;
}

static void complete(Walk *walk, size_t i) {
        const ImageSet *images = &walk->inventory->images;
        const Image *image = &images->v[i];
        ImageChain *chain = &walk->chains[i];

        if (!image->parent_id[0]) {
                chain->whole = is_first_step(walk->inventory, image);
                chain->n_own = chain->whole;
        } else if (chain->parent == CHAIN_NO_IMAGE) {
                chain->n_own = CHAIN_BROKEN;
        } else {
                const Image *parent = &images->v[chain->parent];
                const ImageChain *below = &walk->chains[chain->parent];

                chain->whole = !image_is_untagged(parent) || below->whole;
                chain->n_own = 1;
                chain->base = chain->parent;
                if (is_step(walk, parent)) {
                        chain->n_own =
                                below->n_own == CHAIN_BROKEN ? CHAIN_BROKEN : below->n_own + 1;
                        chain->base = below->base;
                }
        }
        walk->visits[i] = VISITED;
}

/* Down to the first image that was visited already, or to the end; then up again. In a circle that
 * first image is still being visited, and counts as broken. */
static void follow(Walk *walk, size_t image) {
        size_t n = 0;

        for (size_t i = image; i != CHAIN_NO_IMAGE && walk->visits[i] == UNVISITED;
             i = walk->chains[i].parent) {
                walk->visits[i] = VISITING;
                walk->chains[i].n_own = CHAIN_BROKEN;
                walk->chains[i].base = CHAIN_NO_IMAGE;
                walk->path[n++] = i;
        }
        while (n > 0)
                complete(walk, walk->path[--n]);
}

int chains_find(const Inventory *inventory, const Config *config, ImageChain **ret) {
        const size_t n = inventory->images.n;
        cleanup(walk_done) Walk walk = {
                .inventory = inventory,
                .config = config,
                .chains = calloc(n + 1, sizeof(*walk.chains)),
                .visits = calloc(n + 1, sizeof(*walk.visits)),
                .path = calloc(n + 1, sizeof(*walk.path)),
        };
        int r;

        if (!walk.chains || !walk.visits || !walk.path)
                return -ENOMEM;
        r = find_parents(&walk);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                follow(&walk, i);
        *ret = TAKE_PTR(walk.chains);
        return 0;
}

size_t image_base_entries(const ImageFacts *facts, const ImageChain *chain) {
        if (facts->n_history == FACTS_NO_HISTORY || !chain_tells_base(chain) ||
            chain->n_own > (size_t)facts->n_history)
                return facts->n_base;
        return (size_t)facts->n_history - chain->n_own;
}
