/* SPDX-License-Identifier: MIT */

/*
 * The classic builder looks, from the image a step stands on, for a child that was made by the same
 * instruction. Names play no part in that; what counts is that the chain of parents is whole. With
 * cache_from it also takes steps from the history of the image named, chain or not.
 *
 * BuildKit takes steps from an image that a build names in cache_from if the image carries inline cache
 * metadata, and only on the graphdriver store: the containerd store asks a registry for such a name.
 */

#include "janitor/source.h"

#include <string.h>

#include "base/text.h"
#include "docker/name.h"
#include "janitor/commits.h"
#include "janitor/image-base.h"
#include "janitor/likeness.h"
#include "janitor/plan.h"

typedef struct Finder {
        const Inventory *inventory;
        const Config *config;
        const NamedImages *cleared;
        ImageChain *chains;
        size_t *bases; /* the base image of each, by image_bases_find() */
        Source *sources;
        Likeness likeness;
        LocalBase *local_bases; /* one an image */
} Finder;

static void finder_donep(Finder *finder) {
        free(finder->chains);
        free(finder->bases);
        free(finder->sources);
        likeness_done(&finder->likeness);
        free(finder->local_bases);
}

bool name_may_be_cache(const Config *config, const Image *image, const char *name) {
        return !name_is_trash(name) && !name_is_rollback(config, image, name) &&
               !name_matches_any(&config->base, name);
}

const char *source_cache_name(const Inventory *inventory, const Config *config,
                              const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_may_be_cache(config, image, image->names.v[i]))
                        return image->names.v[i];
        /* On the graphdriver store a digest is a name, too: what was pulled or pushed keeps it while
         * its repository has any tag. The containerd store lists a digest for every name. */
        if (inventory->image_store == IMAGE_STORE_GRAPHDRIVER && image->digests.n > 0)
                return image->digests.v[0];
        return NULL;
}

const char *image_any_name(const Image *image) {
        if (image->names.n > 0)
                return image->names.v[0];
        return image->digests.n > 0 ? image->digests.v[0] : image->id;
}

bool source_is_kept_commit(const Source *source) {
        return source->commit_of_ours && source->serves_by_rollback_tag != SERVES_NOTHING;
}

bool source_is_foreign(const Inventory *inventory, const Image *image, const Source *source) {
        return source->serves != SERVES_NOTHING && !source->ours && !source->cleared &&
               !source->configured_base && !source->untagged_ours && !source->unclaimed &&
               (!image_is_untagged(image) || !image_has_children(inventory, image));
}

static const ImageFacts *facts_of(const Finder *finder, size_t i) {
        return fact_set_find(&finder->inventory->facts, finder->inventory->images.v[i].id);
}

static bool is_configured_base(const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_matches_any(&config->base, image->names.v[i]))
                        return true;
        return false;
}

/* How many of the oldest entries of its history are known to be its base image's. */
static size_t known_base_entries(const Finder *finder, size_t i, const ImageFacts *facts) {
        if (chain_tells_base(&finder->chains[i]))
                return image_base_entries(facts, &finder->chains[i]);
        return image_base_history(finder->inventory, finder->bases[i], facts);
}

/* How many entries that are known builds made, where docker commit made the newest `n_commits`. The oldest ones are
 * known. */
static size_t entries_below_commits(const ImageFacts *facts, size_t n_commits) {
        const size_t n_history = facts->n_history < 0 ? 0 : (size_t)facts->n_history;

        return MIN(facts->steps.n, n_history - MIN(n_commits, n_history));
}

/* The same of a history whose first `n` entries are those of the image that a container was made of. An image of
 * others is a base image as a whole. */
static size_t base_entries_below(const Finder *finder, size_t below, const ImageFacts *facts,
                                 size_t n) {
        const ImageChain *chain = &finder->chains[below];
        const Image *image = &finder->inventory->images.v[below];

        if (!image_is_untagged(image) && !finder->sources[below].ours)
                return n;
        if (chain_tells_base(chain) && chain->n_own <= n)
                return n - chain->n_own;
        return image_base_history(finder->inventory, finder->bases[below], facts);
}

/* Whether some entry of its history past the base image gives a step to the classic builder. An entry
 * of docker commit counts as none here; compare_commit() finds those that a build takes for a step. */
static bool has_classic_steps(const Finder *finder, size_t i, const ImageFacts *facts) {
        const HashList *list = &facts->classic_steps;
        size_t n = list->n, k = known_base_entries(finder, i, facts);

        if (finder->sources[i].commit_of_ours) {
                const CommitBase base = commit_base(finder->inventory, finder->chains, i);

                n = entries_below_commits(facts, base.n);
                if (base.image != CHAIN_NO_IMAGE)
                        k = base_entries_below(finder, base.image, facts, n);
        }
        for (; k < n; k++)
                if (list->v[k] != CLASSIC_STEP_NO)
                        return true;
        return false;
}

/* By its parents, or by a digest that a build may name. */
static bool serves_by_any_tag(const Finder *finder, const Image *image, const Source *source) {
        return source->way == SOURCE_CLASSIC_CHAIN ||
               (finder->inventory->image_store == IMAGE_STORE_GRAPHDRIVER && image->digests.n > 0);
}

/*
 * moby's image/cache reads the history of the image that cache_from names: it takes a step from the first entry
 * past the base image of the build, if the text is the same, and so on; who made the newest entry plays no
 * part. Where the classic builder made that one, it made the entry past the base image, too.
 */
static void find_way(const Finder *finder, size_t i, Source *source) {
        const Inventory *inventory = finder->inventory;
        const Image *image = &inventory->images.v[i];
        const char *name = source_cache_name(inventory, finder->config, image);
        bool graphdriver = inventory->image_store == IMAGE_STORE_GRAPHDRIVER;
        const ImageFacts *facts = facts_of(finder, i);

        if (finder->sources[i].commit_of_ours) {
                if (commit_base(inventory, finder->chains, i).is_step)
                        source->way = SOURCE_CLASSIC_CHAIN;
                source->serves = source->way == SOURCE_NONE ? SERVES_NOTHING : SERVES_CERTAINLY;
        } else if (image_is_classic(inventory, image)) {
                if (finder->chains[i].whole)
                        source->way = SOURCE_CLASSIC_CHAIN;
                else if (name)
                        source->way = SOURCE_CLASSIC_NAME;
                source->serves = source->way == SOURCE_NONE ? SERVES_NOTHING : SERVES_CERTAINLY;
        } else if (graphdriver && name && facts) {
                if (facts->inline_cache == INLINE_CACHE_YES)
                        source->serves = SERVES_CERTAINLY;
                else if (facts->inline_cache == INLINE_CACHE_UNKNOWN &&
                         facts->kind == IMAGE_KIND_BUILDKIT)
                        source->serves = SERVES_PERHAPS;
                if (source->serves != SERVES_NOTHING)
                        source->way = SOURCE_INLINE;
        }
        if (source->way == SOURCE_NONE && name && facts && has_classic_steps(finder, i, facts)) {
                source->way = SOURCE_CLASSIC_NAME;
                source->serves = SERVES_PERHAPS;
        }
        if (serves_by_any_tag(finder, image, source))
                source->serves_by_rollback_tag = source->serves;
}

/* A name that [images] base has by now is none that a clear takes. */
static bool is_lost_name(const Finder *finder, const char *name) {
        return *name && !name_matches_any(&finder->config->base, name);
}

static void note_commit(const Finder *finder, size_t i, Source *source) {
        const Image *image = &finder->inventory->images.v[i];
        const ImageFacts *facts = facts_of(finder, i);

        source->commit = image_is_commit(finder->inventory, image);
        source->commit_of_ours = source->commit && !source->configured_base &&
                                 (source->ours || source->cleared || facts->ours);
}

static int find_ways(Finder *finder) {
        const ImageSet *images = &finder->inventory->images;
        cleanup(index_done) Index cleared = { 0 };

        for (size_t i = 0; i < finder->cleared->n; i++)
                if (index_add(&cleared, finder->cleared->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&cleared);
        for (size_t i = 0; i < images->n; i++) {
                Source *source = &finder->sources[i];
                const IndexEntry *entries;
                size_t n;

                source->ours = image_is_ours(finder->config, &images->v[i]);
                entries = index_find(&cleared, images->v[i].id, &n);
                for (size_t j = 0; j < n && !source->lost_name; j++)
                        source->lost_name =
                                is_lost_name(finder, finder->cleared->v[entries[j].at].name);
                source->configured_base = is_configured_base(finder->config, &images->v[i]);
                /* [images] base may have been set after a clear that took it for a stage. */
                source->cleared = entries && (source->lost_name || !source->configured_base);
                source->release = source->ours || source->lost_name ||
                                  (facts_of(finder, i) && facts_of(finder, i)->ours);
                note_commit(finder, i, source);
        }
        for (size_t i = 0; i < images->n; i++)
                find_way(finder, i, &finder->sources[i]);
        return 0;
}

/*
 * What [images] base names was built by steps, and upon images, that are the base image's, too, whatever an earlier
 * clear took them for; down to a release of ours. Where one is marked, all below it are.
 */
static void mark_below_bases(Finder *finder) {
        Source *sources = finder->sources;

        for (size_t i = 0; i < finder->inventory->images.n; i++) {
                if (!sources[i].configured_base || sources[i].cleared)
                        continue;
                for (size_t j = finder->chains[i].parent;
                     j != CHAIN_NO_IMAGE && !sources[j].below_base && !sources[j].release;
                     j = finder->chains[j].parent) {
                        sources[j].below_base = true;
                        sources[j].cleared = false;
                }
        }
}

/* The step that an image stands on, by one Dockerfile; CHAIN_NO_IMAGE: that is its base image. */
static size_t step_below(const Finder *finder, size_t i) {
        return finder->chains[i].n_own > 1 ? finder->chains[i].parent : CHAIN_NO_IMAGE;
}

/* Each image is walked through once: what follows one that was visited has its answer. */
static int mark_on_cleared(Finder *finder) {
        const size_t n = finder->inventory->images.n;
        cleanup_free size_t *path = calloc(n + 1, sizeof(*path));
        cleanup_free bool *visited = calloc(n + 1, sizeof(*visited));

        if (!path || !visited)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                size_t n_path = 0, j;
                bool found;

                for (j = i; j != CHAIN_NO_IMAGE && !visited[j]; j = step_below(finder, j)) {
                        visited[j] = true;
                        finder->sources[j].on_cleared = finder->sources[j].cleared;
                        path[n_path++] = j;
                }
                found = j != CHAIN_NO_IMAGE && finder->sources[j].on_cleared;
                while (n_path > 0) {
                        Source *source = &finder->sources[path[--n_path]];

                        source->on_cleared |= found;
                        found = source->on_cleared;
                }
        }
        return 0;
}

static int find_claims(Finder *finder) {
        const Inventory *inventory = finder->inventory;
        cleanup_free size_t *parents = NULL;
        cleanup_free Claim *claims = NULL;
        int r;

        r = plan_parents(inventory, &parents);
        if (r >= 0)
                r = plan_claims(inventory, finder->config, finder->cleared, parents, &claims);
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

static bool begins_like_ours(const Finder *finder, size_t i, const ImageFacts *facts,
                             const HashList *bases) {
        const bool exact = chain_tells_base(&finder->chains[i]);

        return image_is_classic(finder->inventory, &finder->inventory->images.v[i])
                       ? likeness_of_classic(&finder->likeness, facts, bases, exact)
                       : likeness_of_history(&finder->likeness, facts, bases, exact);
}

/* The base image has the names that it has now. */
static int compare_classic(Finder *finder, size_t i) {
        cleanup(hash_list_done) HashList bases = { 0 };
        const ImageFacts *facts = facts_of(finder, i);
        Source *source = &finder->sources[i];
        bool alike;

        if (image_base_repositories(finder->inventory, finder->bases[i], &bases) < 0)
                return -ENOMEM;
        alike = begins_like_ours(finder, i, facts, &bases);
        if (!alike && (source->ours || source->cleared) && facts &&
            facts->kind == IMAGE_KIND_BUILDKIT) {
                source->only_base_serves = true;
                if (!likeness_shares_base(&finder->likeness, facts))
                        return 0;
                source->way = SOURCE_NONE;
                source->serves = SERVES_NOTHING;
                return 0;
        }
        source->like_ours = alike || source->on_cleared;
        if (source->below_base)
                return 0;
        source->like_ours = source->like_ours || (facts && facts->made_amid_ours);
        if (!source->like_ours && source->way == SOURCE_CLASSIC_CHAIN)
                source->like_ours = source->below_ours =
                        likeness_is_below(&finder->likeness, facts);
        return 0;
}

static bool is_classic_source(const Source *source) {
        return source->way == SOURCE_CLASSIC_CHAIN || source->way == SOURCE_CLASSIC_NAME;
}

/*
 * A detached container with the very command and settings of a RUN step: what docker commit made of it is that
 * step to the classic builder (seen on all engines). So the command is compared with the steps of builds.
 */
static int compare_commit(Finder *finder, size_t i) {
        const ImageFacts *facts = facts_of(finder, i);
        const Image *image = &finder->inventory->images.v[i];
        cleanup(hash_list_done) HashList bases = { 0 };
        Source *source = &finder->sources[i];
        ImageFacts newest;

        if (!finder->sources[i].commit_of_ours || source->way == SOURCE_CLASSIC_CHAIN ||
            facts->steps.n == 0)
                return 0;
        if (image_base_repositories(finder->inventory, finder->bases[i], &bases) < 0)
                return -ENOMEM;
        newest = *facts; /* borrowed */
        newest.n_base = facts->steps.n - 1;
        if (!likeness_of_history(&finder->likeness, &newest, &bases, true))
                return 0;
        if (finder->chains[i].whole) {
                source->way = SOURCE_CLASSIC_CHAIN;
                source->serves = source->serves_by_rollback_tag = SERVES_CERTAINLY;
        } else if (source_cache_name(finder->inventory, finder->config, image)) {
                source->way = SOURCE_CLASSIC_NAME;
                source->serves = SERVES_PERHAPS; /* so that it gets a rollback tag */
                if (serves_by_any_tag(finder, image, source))
                        source->serves_by_rollback_tag = source->serves;
        }
        return 0;
}

/* Of a commit that is not there any more it is not known on how many others it stood. */
static size_t count_built_steps(const Finder *finder, const ImageFacts *facts) {
        const ImageSet *images = &finder->inventory->images;
        const Image *image;
        CommitBase base;

        if (facts->commit != COMMIT_YES)
                return facts->steps.n;
        image = image_set_find(images, facts->id);
        if (!image)
                return 0;
        base = commit_base(finder->inventory, finder->chains, (size_t)(image - images->v));
        return entries_below_commits(facts, base.n);
}

static int learn_ours(Finder *finder) {
        const Inventory *inventory = finder->inventory;
        int r = 0;

        for (size_t i = 0; i < inventory->facts.n && r >= 0; i++)
                if (facts_teach(&inventory->facts.v[i]))
                        r = likeness_add_ours(&finder->likeness, &inventory->facts.v[i],
                                              count_built_steps(finder, &inventory->facts.v[i]));
        likeness_sort(&finder->likeness);
        return r;
}

static bool is_made_of_our_steps(const Source *source) {
        return is_classic_source(source) && source->like_ours && !source->below_ours;
}

/* Images of others that ours may be built upon. */
static int learn_bases(Finder *finder) {
        const Inventory *inventory = finder->inventory;
        int r = 0;

        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                const Source *source = &finder->sources[i];
                const ImageFacts *facts = facts_of(finder, i);

                if (!facts || source->ours || source->cleared)
                        continue;
                if (source->configured_base || (image_may_be_base(&inventory->images.v[i], facts) &&
                                                !is_made_of_our_steps(source)))
                        r = likeness_add_base(&finder->likeness, facts);
        }
        likeness_sort(&finder->likeness);
        return r;
}

/* A pattern may name one service or some of them. */
static bool some_pattern_begins(const Strv *globs, const char *text) {
        for (size_t i = 0; i < globs->n; i++)
                if (strncmp(globs->v[i], text, strlen(text)) == 0)
                        return true;
        return false;
}

/* Compose names an image PROJECT-SERVICE if nothing else is said; its version 1, PROJECT_SERVICE. 1, 0 or
 * -ENOMEM. */
static int is_of_our_project(const Finder *finder, const Image *image) {
        const Strv *match = &finder->config->match;

        if (!image->project || !*image->project)
                return 0;
        if (likeness_of_project(&finder->likeness, image->project))
                return 1;
        for (const char *separator = "-_"; *separator; separator++) {
                cleanup_free char *beginning = text_format("%s%c", image->project, *separator);
                cleanup_free char *name =
                        beginning ? text_format("%sservice:latest", beginning) : NULL;

                if (!name)
                        return -ENOMEM;
                if (some_pattern_begins(match, beginning) || name_matches_any(match, name))
                        return 1;
        }
        return 0;
}

static int compare_projects(Finder *finder) {
        int r = 0;

        for (size_t i = 0; i < finder->inventory->images.n && r >= 0; i++) {
                Source *source = &finder->sources[i];

                if (source->serves != SERVES_CERTAINLY || source->like_ours)
                        continue;
                r = is_of_our_project(finder, &finder->inventory->images.v[i]);
                source->like_ours = source->of_our_project = r > 0;
        }
        return r < 0 ? r : 0;
}

/* An image with inline cache metadata may hold steps of the classic builder as well. */
static int compare_classic_steps(Finder *finder, size_t i, const ImageFacts *facts) {
        cleanup(hash_list_done) HashList bases = { 0 };

        if (!facts || !has_classic_steps(finder, i, facts))
                return 0;
        if (image_base_repositories(finder->inventory, finder->bases[i], &bases) < 0)
                return -ENOMEM;
        finder->sources[i].like_ours = likeness_of_history(&finder->likeness, facts, &bases, false);
        return 0;
}

static int compare_with_ours(Finder *finder) {
        const Inventory *inventory = finder->inventory;
        const size_t n = inventory->images.n;
        int r;

        r = learn_ours(finder);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = compare_commit(finder, i);
        for (size_t i = 0; i < n && r >= 0; i++)
                if (is_classic_source(&finder->sources[i]))
                        r = compare_classic(finder, i);
        if (r >= 0)
                r = learn_bases(finder);
        for (size_t i = 0; i < n && r >= 0; i++) {
                const Image *image = &inventory->images.v[i];
                const ImageFacts *facts = facts_of(finder, i);
                Source *source = &finder->sources[i];

                source->base = container_of_image(inventory, image->id) ? LOCAL_BASE_NOT
                                                                        : finder->local_bases[i];
                if (source->way != SOURCE_INLINE)
                        continue;
                source->like_ours = likeness_of_buildkit(&finder->likeness, facts,
                                                         image_may_be_base(image, facts));
                if (!source->like_ours)
                        r = compare_classic_steps(finder, i, facts);
        }
        return r < 0 ? r : compare_projects(finder);
}

int sources_find(const Inventory *inventory, const Config *config, const NamedImages *cleared,
                 Source **ret) {
        cleanup(finder_done) Finder finder = {
                .inventory = inventory,
                .config = config,
                .cleared = cleared,
                .sources = calloc(inventory->images.n + 1, sizeof(*finder.sources)),
        };
        int r;

        if (!finder.sources)
                return -ENOMEM;
        r = chains_find(inventory, config, &finder.chains);
        if (r >= 0)
                r = image_bases_find(inventory, finder.chains, &finder.bases);
        if (r >= 0)
                r = find_ways(&finder);
        if (r < 0)
                return r;
        mark_below_bases(&finder);
        r = mark_on_cleared(&finder);
        if (r >= 0)
                r = find_claims(&finder);
        if (r >= 0)
                r = local_bases_find(inventory, config, &finder.local_bases);
        if (r >= 0)
                r = compare_with_ours(&finder);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(finder.sources);
        return 0;
}
