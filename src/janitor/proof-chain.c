/* SPDX-License-Identifier: MIT */

/*
 * The trap is what comes to light only when something else has gone: the image that lost its last child, and
 * the step that lost its name to `docker rmi`. All of it is found beforehand, so that one clear names it.
 */

#include "janitor/proof-chain.h"

#include "docker/name.h"
#include "janitor/ownership.h"

const char *source_protected_name(const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_is_ours(config, image, image->names.v[i]) &&
                    name_matches_any(&config->protect, image->names.v[i]) &&
                    !name_matches_any(&config->base, image->names.v[i]))
                        return image->names.v[i];
        return NULL;
}

bool source_may_be_base(const Image *image, const Source *source) {
        if (source->way != SOURCE_CLASSIC_CHAIN)
                return false;
        if (source->cleared)
                return image->names.n > 0 && !source->lost_name;
        return source->below_ours;
}

static bool is_remaining(const Inventory *inventory, const Config *config, const Image *image,
                         const Source *source) {
        if (source->serves == SERVES_NOTHING || source->only_base_serves)
                return false;
        if (source->cleared || source->unclaimed || source_is_kept_commit(source) ||
            source_protected_name(config, image))
                return true;
        if (source->untagged_ours && !image_has_children(inventory, image))
                return true;
        return source->like_ours && source_is_foreign(inventory, image, source);
}

/* Parents before children. A source that is no base image comes before one that may be. */
static void find_below(const ProofChain *chain, const ImageSet *images, const Source *sources) {
        for (size_t k = images->n; k > 0; k--) {
                const size_t i = chain->order[k - 1], parent = chain->parents[i];
                size_t further;

                if (parent == PLAN_NO_PARENT)
                        continue;
                further = chain->below[parent];
                chain->below[i] = further;
                if (!chain->remains[parent] || sources[parent].way != SOURCE_CLASSIC_CHAIN)
                        continue;
                if (further == CHAIN_NO_SOURCE ||
                    !source_may_be_base(&images->v[parent], &sources[parent]) ||
                    source_may_be_base(&images->v[further], &sources[further]))
                        chain->below[i] = parent;
        }
}

/* The kind of source that an image is, or is a step of. Of two sources the one with the greater value has more
 * steps. */
typedef enum Top {
        TOP_NONE,
        TOP_SOURCE,    /* its steps are those that are like ours */
        TOP_UNCLAIMED, /* nothing tells whose its steps are: any step is */
} Top;

static Top own_top(const ProofChain *chain, const Image *image, const Source *source, size_t i) {
        if (!chain->remains[i] || source->way != SOURCE_CLASSIC_CHAIN ||
            source_may_be_base(image, source))
                return TOP_NONE;
        return source->unclaimed ? TOP_UNCLAIMED : TOP_SOURCE;
}

static bool is_step_of(const Image *image, const Source *source, Top top) {
        return top != TOP_NONE && image_is_untagged(image) && source->way == SOURCE_CLASSIC_CHAIN &&
               !source->below_ours && (source->like_ours || top == TOP_UNCLAIMED);
}

/* Children before parents, so that the order of images plays no part. */
static int mark_steps(const ProofChain *chain, const ImageSet *images, const Source *sources) {
        cleanup_free Top *tops = calloc(images->n + 1, sizeof(*tops));

        if (!tops)
                return -ENOMEM;
        for (size_t k = 0; k < images->n; k++) {
                const size_t i = chain->order[k], parent = chain->parents[i];

                chain->step[i] =
                        !chain->remains[i] && is_step_of(&images->v[i], &sources[i], tops[i]);
                if (!chain->step[i])
                        tops[i] = own_top(chain, &images->v[i], &sources[i], i);
                if (parent != PLAN_NO_PARENT)
                        tops[parent] = MAX(tops[parent], tops[i]);
        }
        return 0;
}

int proof_chain_find(const Inventory *inventory, const Config *config, const Source *sources,
                     ProofChain *ret) {
        const ImageSet *images = &inventory->images;
        const size_t n = images->n;
        cleanup(proof_chain_done) ProofChain chain = {
                .remains = calloc(n + 1, sizeof(*chain.remains)),
                .below = calloc(n + 1, sizeof(*chain.below)),
                .step = calloc(n + 1, sizeof(*chain.step)),
        };
        int r;

        if (!chain.remains || !chain.below || !chain.step)
                return -ENOMEM;
        r = plan_parents(inventory, &chain.parents);
        if (r >= 0)
                r = plan_children_first(chain.parents, n, &chain.order);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                chain.below[i] = CHAIN_NO_SOURCE;
                chain.remains[i] = is_remaining(inventory, config, &images->v[i], &sources[i]);
        }
        find_below(&chain, images, sources);
        r = mark_steps(&chain, images, sources);
        if (r < 0)
                return r;
        *ret = chain;
        chain = (ProofChain){ 0 };
        return 0;
}

void proof_chain_done(ProofChain *chain) {
        free(chain->parents);
        free(chain->order);
        free(chain->remains);
        free(chain->below);
        free(chain->step);
        *chain = (ProofChain){ 0 };
}
