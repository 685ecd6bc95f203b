/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "base/text.h"
#include "docker/name.h"
#include "janitor/proof-chain.h"
#include "janitor/proof.h"

/* Images that may serve, no clear takes, and are not remaining, all in one line. Names past this many are counted:
 * a receipt has to fit into the disk space kept for it. */
#define ASSUMED_NAMES_MAX 50

/* A name that a build may give in cache_from, and that no clear takes; NULL: there is none. */
static const char *staying_name(const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++) {
                const char *name = image->names.v[i];

                if (!name_in_scope(config, image, name) && !name_is_trash(name) &&
                    !name_is_rollback(config, image, name) &&
                    !name_matches_any(&config->base, name))
                        return name;
        }
        return NULL;
}

/* What to call an image that is to be named; NULL: it is not. */
static const char *assumed_name(const Inventory *inventory, const Config *config,
                                const Image *image, const Source *source) {
        if (source->only_base_serves && source->serves != SERVES_NOTHING)
                return source->base != LOCAL_BASE_NOT ? image_any_name(image)
                                                      : staying_name(config, image);
        if (!source->like_ours && source_is_foreign(inventory, image, source))
                return image_any_name(image);
        return NULL;
}

/* What stands on a source is remaining with it. Where that may be a base image, it is in the remedy at most. */
static bool is_keeper(const Inventory *inventory, const Source *sources, const ProofChain *chain,
                      size_t i) {
        const size_t below = chain->below[i];

        return below != CHAIN_NO_SOURCE &&
               !source_may_be_base(&inventory->images.v[below], &sources[below]);
}

static int assume_others(const Inventory *inventory, const Config *config,
                         const NamedImages *suspects, Strv *ret) {
        cleanup(strv_done) Strv named = STRV_NULL;
        cleanup_free char *names = NULL, *more = NULL, *text = NULL;
        cleanup_free Source *sources = NULL;
        cleanup(proof_chain_done) ProofChain chain = { 0 };
        size_t n = 0;
        int r;

        r = sources_find(inventory, config, suspects, &sources);
        if (r >= 0)
                r = proof_chain_find(inventory, config, sources, &chain);
        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                const char *name =
                        assumed_name(inventory, config, &inventory->images.v[i], &sources[i]);

                if (name && !is_keeper(inventory, sources, &chain, i) && n++ < ASSUMED_NAMES_MAX)
                        r = strv_add(&named, name);
        }
        if (r < 0 || n == 0)
                return r;
        names = strv_join(&named, ", ");
        if (!names)
                return -ENOMEM;
        more = n > named.n ? text_format(" and %zu more", n - named.n) : strdup("");
        if (!more)
                return -ENOMEM;
        text = text_format(
                "no build of this application takes cached steps from images that a "
                "clear leaves and that carry or may carry inline cache metadata, or that "
                "the classic builder made: %s%s",
                names, more);
        return text ? strv_add(ret, text) : -ENOMEM;
}

int proof_assumes(const Inventory *inventory, const Config *config, const ClearOptions *options,
                  const NamedImages *suspects, Strv *ret) {
        static const char *const texts[] = {
                "no build imports cache from a registry (cache_from of a pushed image) or from a "
                "cache exporter of CI: no local clear reaches those",
                "no build imports cache from a directory on this host (cache_from: type=local) "
                "that is not in caches= of an [app NAME]: a clear removes the directories there, "
                "and finds no others",
                "base images are not refreshed: build with --pull to do so",
                "no static files are served from a named volume: volumes are never touched",
        };

        if (!target_speaks_of_fresh(options->target))
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (strv_add(ret, texts[i]) < 0)
                        return -ENOMEM;
        if (inventory->builder_volumes_unknown &&
            strv_add(ret, "no buildx builder that was removed left its state: the engine does not "
                          "let volumes be listed") < 0)
                return -ENOMEM;
        return assume_others(inventory, config, suspects, ret);
}
