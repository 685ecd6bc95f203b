/* SPDX-License-Identifier: MIT */

/*
 * What images serve is found by janitor/source. Here each image that serves is named, and with it what keeps
 * it: the containers that hold it, and the images that stand on it with theirs. The order is one in which the
 * commands work. A step without a name has none of its own where an image that stands on it is named: the
 * engine deletes it with that, or the next clear does.
 *
 * Where something can't be known (a configuration this process may not read) it counts: "not
 * fresh" by mistake costs a look, "fresh" by mistake is what this program was made against.
 */

#include <stdio.h>

#include "base/text.h"
#include "docker/name.h"
#include "janitor/proof-chain.h"
#include "janitor/proof-remedy.h"
#include "janitor/proof.h"

/* What all rules read and write. */
typedef struct Proof {
        const Inventory *inventory;
        const Config *config;
        const ClearPlan *plan;
        const char *store_remedy; /* not NULL: no name goes, since no receipt can be stored */
        Source *sources;
        ProofChain chain;
        Index planned; /* ids of images that the plan takes a name from */
        /* One each image: it is named, or an image that stands on it is. */
        bool *named;
        /* The images that stand on one that may be a base image, as lists: the first of each, and the one after
         * each; CHAIN_NO_SOURCE: none. */
        size_t *upon, *next_upon;
        bool *listed; /* one each container: a remedy has it */
        RemainingList *list;
} Proof;

static void proof_donep(Proof *proof) {
        free(proof->sources);
        proof_chain_done(&proof->chain);
        index_done(&proof->planned);
        free(proof->named);
        free(proof->upon);
        free(proof->next_upon);
        free(proof->listed);
}

/* No name holds it: the engine deletes it with the last image that stands on it, the next clear with its last
 * container. */
static bool goes_along(const Proof *proof, const Image *image) {
        const Source *source = &proof->sources[image - proof->inventory->images.v];

        return image_is_untagged(image) &&
               (source->untagged_ours || image_has_children(proof->inventory, image));
}

/* Where the image would serve by none of the names that stay with it, those alone go that serve: 1 if there are
 * such names, else 0. */
static int add_serving_names(Proof *proof, const Image *image, Removal *removal) {
        const Source *source = &proof->sources[image - proof->inventory->images.v];
        size_t n = 0;
        int r = 0;

        if (source->way == SOURCE_CLASSIC_CHAIN || source->serves_by_rollback_tag != SERVES_NOTHING)
                return 0;
        for (size_t i = 0; i < image->names.n; i++)
                n += name_may_be_cache(proof->config, image, image->names.v[i]);
        if (n == 0 || n == image->names.n)
                return 0;
        for (size_t i = 0; i < image->names.n && r >= 0; i++)
                if (name_may_be_cache(proof->config, image, image->names.v[i]))
                        r = removal_add_name(removal, image->names.v[i]);
        return r < 0 ? r : 1;
}

static int add_to_removal(Proof *proof, const Image *image, Removal *removal) {
        int r = add_serving_names(proof, image, removal);

        if (r != 0)
                return MIN(r, 0);
        return removal_add(removal, proof->inventory, image, goes_along(proof, image),
                           proof->listed);
}

/* The command that removes the image; "": the commands of earlier entries are enough, so it has no entry of its
 * own. NULL on out of memory. */
static char *remove_command(Proof *proof, const Image *image) {
        cleanup(removal_done) Removal removal = { 0 };

        return add_to_removal(proof, image, &removal) < 0 ? NULL : removal_text(&removal);
}

/* `unless`: what may be done instead, or "". */
static int held_by_container(Proof *proof, const Image *image, const Container *container,
                             const char *what, const char *unless) {
        bool certain = container_of_image(proof->inventory, image->id), named;
        cleanup(removal_done) Removal removal = { 0 };
        cleanup_free char *command = NULL, *remedy = NULL;

        if (container->builds) /* proof_classic_builds() names it */
                return 0;
        if (add_to_removal(proof, image, &removal) < 0)
                return -ENOMEM;
        command = removal_text(&removal);
        if (command && !*command)
                return 0;
        if (!command || asprintf(&remedy, "%s, then clear again; or build with --no-cache%s",
                                 command, unless) < 0)
                return -ENOMEM;
        named = removal.containers.n == 0; /* by an earlier entry */
        return remaining_format(proof->list, named ? REMAINING_IMAGE : REMAINING_CONTAINER,
                                named ? image_any_name(image) : container->name, remedy,
                                "the %s container %.12s %s %s (%.19s), %s", container->state,
                                container->id, certain ? "holds" : "may have mounted",
                                image->names.n > 0 ? image->names.v[0] : "an untagged image",
                                image->id, what);
}

static const char classic_serves[] = "which the classic builder takes cached steps from";
/* Of an image that stands on a release of ours, that serves whatever the image is. */
static const char *unless_base(const Image *image, const Source *source) {
        return image->names.n == 0 || source->on_cleared
                       ? ""
                       : "; if no build of this application takes steps from it, add it to [images] "
                         "base";
}

/* An image with a name of others, between an image of ours and its base image: a stage of the same Dockerfile
 * that others named, or a base image that the classic builder made. Nothing tells which. If it is a base image,
 * what stands on it serves nothing: so that is in the remedy alone. */
static int judge_below(Proof *proof, const Image *image) {
        const ImageSet *images = &proof->inventory->images;
        cleanup(removal_done) Removal all = { 0 };
        cleanup_free char *removal = NULL, *remedy = NULL;
        int r = 0;

        for (size_t i = proof->upon[image - images->v]; i != CHAIN_NO_SOURCE && r >= 0;
             i = proof->next_upon[i])
                if (!goes_along(proof, &images->v[i]) ||
                    holder_of_image(proof->inventory, &images->v[i]))
                        r = add_to_removal(proof, &images->v[i], &all);
        if (r >= 0)
                r = add_to_removal(proof, image, &all);
        removal = r < 0 ? NULL : removal_text(&all);
        if (!removal || asprintf(&remedy,
                                 "if a FROM names it, add it to [images] base; if not, %s, then "
                                 "clear again",
                                 removal) < 0)
                return -ENOMEM;
        return remaining_format(
                proof->list, REMAINING_IMAGE, image_any_name(image), remedy,
                "an image of this application was built upon %.19s: if that is a stage of the same "
                "Dockerfile, and not its base image, the classic builder takes cached steps from it",
                image->id);
}

/* A cleared image of the classic builder, with a name or without. */
static int judge_cleared_classic(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const Source *source = &proof->sources[i];
        const Container *container = holder_of_image(proof->inventory, image);
        cleanup_free char *removal = NULL, *remedy = NULL;

        if (image->names.n > 0 && !source->lost_name)
                return judge_below(proof, image);
        if (container)
                return held_by_container(proof, image, container, classic_serves, "");
        removal = remove_command(proof, image);
        if (!removal || asprintf(&remedy, "%s, then clear again", removal) < 0)
                return -ENOMEM;
        if (image->names.n == 0)
                return remaining_format(proof->list, REMAINING_IMAGE, image->id, remedy,
                                        "an untagged image %s", classic_serves);
        return remaining_format(proof->list, REMAINING_IMAGE, image_any_name(image), remedy,
                                "it names %.19s, an image that was cleared, %s", image->id,
                                classic_serves);
}

static const char *carries(const Source *source) {
        return source->serves == SERVES_CERTAINLY ? "carries" : "may carry";
}

/* A local base image keeps its name, so nothing of it was cleared; a build of its own Dockerfile takes
 * steps from it all the same. */
static int judge_base(Proof *proof, const Image *image, const Source *source) {
        const char *name = image_any_name(image);
        cleanup_free char *removal = remove_command(proof, image);
        cleanup_free char *remedy = NULL;

        if (!removal ||
            asprintf(&remedy,
                     "if a FROM names it, add it to [images] base; if not, %s, then clear again",
                     removal) < 0)
                return -ENOMEM;
        if (source->way != SOURCE_INLINE)
                return remaining_format(proof->list, REMAINING_IMAGE, name, remedy,
                                        "a local base image, %s", classic_serves);
        return remaining_format(
                proof->list, REMAINING_IMAGE, name, remedy,
                "a local base image, which %s inline cache metadata that a build naming it in "
                "cache_from takes cached steps from",
                carries(source));
}

/* It may hold data that is nowhere else, so no clear deletes it. */
static int judge_commit(Proof *proof, const Image *image) {
        const Source *source = &proof->sources[image - proof->inventory->images.v];
        cleanup_free char *removal = remove_command(proof, image);
        cleanup_free char *remedy = NULL;

        if (removal && !*removal)
                return 0;
        if (!removal || asprintf(&remedy,
                                 "save what you need of it (docker save), %s, then clear again; or "
                                 "build with --no-cache%s",
                                 removal,
                                 source->base == LOCAL_BASE_NOT
                                         ? ""
                                         : "; or, if a FROM names it, add it to [images] base") < 0)
                return -ENOMEM;
        return remaining_format(
                proof->list, REMAINING_IMAGE, image_any_name(image), remedy,
                "docker commit made it from a container of this application: it is kept, and the "
                "classic builder takes cached steps from it or from the images that it stands on");
}

/* A name that a clear would have taken from any other image. */
static bool keeps_name(const Proof *proof, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_in_scope(proof->config, image, image->names.v[i]))
                        return true;
        return false;
}

static int judge_cleared(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const char *name = source_cache_name(proof->inventory, proof->config, image);
        const Source *source = &proof->sources[i];
        cleanup_free char *removal = NULL, *remedy = NULL;

        if (source_is_kept_commit(source))
                return judge_commit(proof, image);
        if (source->base && keeps_name(proof, image))
                return judge_base(proof, image, source);
        if (source->way != SOURCE_INLINE)
                return judge_cleared_classic(proof, i);
        removal = remove_command(proof, image);
        if (!removal || asprintf(&remedy, "%s, then clear again", removal) < 0)
                return -ENOMEM;
        return remaining_format(
                proof->list, REMAINING_IMAGE, name, remedy,
                "it names %.19s, an image that was cleared, which %s inline cache metadata that "
                "a build naming it in cache_from takes cached steps from",
                image->id, carries(source));
}

/* A matching image that [images] protect keeps: nobody took its name, and it serves all the same. Once it is not
 * protected, a clear takes its names of ours; it takes no other name, and no image that a container holds. */
static int judge_protected(Proof *proof, const Image *image, const Source *source,
                           const char *protected) {
        cleanup(removal_done) Removal rest = { 0 };
        cleanup_free char *removal = NULL, *remedy = NULL;
        int r = 0;

        if (source->serves_by_rollback_tag != SERVES_NOTHING)
                r = removal_add_containers(&rest, proof->inventory, image, proof->listed);
        for (size_t i = 0; i < image->names.n && r >= 0; i++) {
                const char *name = image->names.v[i];

                if (!name_is_ours(proof->config, image, name) &&
                    !name_matches_any(&proof->config->base, name))
                        r = removal_add_name(&rest, name);
        }
        removal = r < 0 ? NULL : removal_text(&rest);
        if (!removal ||
            asprintf(&remedy,
                     "take it out of [images] protect%s%s, then clear again; if no build of this "
                     "application takes steps from it, add it to [images] base",
                     *removal ? ", " : "", removal) < 0)
                return -ENOMEM;
        if (source->way != SOURCE_INLINE)
                return remaining_format(proof->list, REMAINING_IMAGE, protected, remedy,
                                        "it is protected, %s", classic_serves);
        return remaining_format(
                proof->list, REMAINING_IMAGE, protected, remedy,
                "it is protected, and %s inline cache metadata that a build naming it in "
                "cache_from takes cached steps from",
                carries(source));
}

/* An untagged image of the classic builder that is ours, or of unknown origin. */
static int judge_untagged(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const Container *container = holder_of_image(proof->inventory, image);
        const Source *source = &proof->sources[i];
        cleanup_free char *remedy = NULL;

        if (container)
                return held_by_container(proof, image, container, classic_serves, "");
        if (asprintf(&remedy, "docker rmi %.19s, then clear again%s", image->id,
                     source->unclaimed
                             ? "; or set [images] dangling=all, which takes every untagged image"
                             : "") < 0)
                return -ENOMEM;
        return remaining_format(proof->list, REMAINING_IMAGE, image->id, remedy,
                                "an untagged image %s%s",
                                source->unclaimed ? "of unknown origin, " : "", classic_serves);
}

static const char *likeness_text(const Source *source) {
        if (source->of_our_project)
                return "has the label of a compose project of this application";
        if (source->way == SOURCE_INLINE)
                return "has layers, the first step or a stage of this application";
        return source->on_cleared ? "stands on a step of an image of this application"
                                  : "begins like one of this application, as far as is known";
}

/* An image of others that is like ours. */
static int judge_like_ours(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const Container *container = holder_of_image(proof->inventory, image);
        const Source *source = &proof->sources[i];
        const char *name = image_any_name(image);
        cleanup_free char *removal = NULL, *remedy = NULL;

        if (source->below_ours)
                return judge_below(proof, image);
        if (container && source->way == SOURCE_CLASSIC_CHAIN)
                return held_by_container(proof, image, container,
                                         "which begins like an image of this application, and the "
                                         "classic builder takes cached steps from it",
                                         unless_base(image, source));
        removal = remove_command(proof, image);
        if (!removal ||
            asprintf(&remedy, "%s, then clear again%s", removal, unless_base(image, source)) < 0)
                return -ENOMEM;
        if (source->way == SOURCE_INLINE)
                return remaining_format(
                        proof->list, REMAINING_IMAGE, name, remedy,
                        "an image outside [images] match that %s and %s inline cache metadata, which a "
                        "build naming it in cache_from takes cached steps from",
                        likeness_text(source), carries(source));
        return remaining_format(
                proof->list, REMAINING_IMAGE, name, remedy,
                "an image outside [images] match that %s, %s%s", likeness_text(source),
                classic_serves,
                source->way == SOURCE_CLASSIC_NAME ? " if a build names it in cache_from" : "");
}

static int judge_source(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const Source *source = &proof->sources[i];
        const char *name = source_protected_name(proof->config, image);

        if (source->cleared)
                return judge_cleared(proof, i);
        if (source_is_kept_commit(source))
                return judge_commit(proof, image);
        if (name)
                return judge_protected(proof, image, source, name);
        if (source->unclaimed || source->untagged_ours)
                return judge_untagged(proof, i);
        return source->commit ? judge_commit(proof, image) : judge_like_ours(proof, i);
}

/* How an image keeps the source that it stands on. */
static char *upon_text(const Proof *proof, size_t below) {
        const Image *image = &proof->inventory->images.v[below];
        const Source *source = &proof->sources[below];

        if (source->cleared && !keeps_name(proof, image))
                return text_format("stands on %.19s, %s, %s", image->id,
                                   source->lost_name ? "an image that was cleared"
                                                     : "a step of an image of this application",
                                   classic_serves);
        return text_format("was built upon %s, which stays as long as this does, and %s",
                           image_any_name(image), classic_serves);
}

/* An image that keeps a source, and serves nothing itself. */
static int judge_keeper(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const Source *below = &proof->sources[proof->chain.below[i]];
        const Container *container = holder_of_image(proof->inventory, image);
        cleanup_free char *upon = upon_text(proof, proof->chain.below[i]);
        cleanup_free char *which = upon ? text_format("which %s", upon) : NULL;
        cleanup_free char *removal = NULL, *remedy = NULL;

        if (!which)
                return -ENOMEM;
        if (container)
                return held_by_container(proof, image, container, which, "");
        removal = remove_command(proof, image);
        if (!removal || asprintf(&remedy, "%s, then clear again%s", removal,
                                 image->names.n > 0 && below->cleared && !below->release &&
                                                 !proof->sources[i].configured_base
                                         ? "; if it is a base image, add it to [images] base"
                                         : "") < 0)
                return -ENOMEM;
        return remaining_format(proof->list, REMAINING_IMAGE, image_any_name(image), remedy,
                                "it %s", upon);
}

/* A name that the clear would take, and did not. */
static int judge_name(Proof *proof, const char *name) {
        if (inventory_building(proof->inventory))
                return remaining_format(proof->list, REMAINING_IMAGE, name, "clear again",
                                        "left alone while a build is under way");
        if (proof->store_remedy)
                return remaining_format(
                        proof->list, REMAINING_IMAGE, name, proof->store_remedy,
                        "left alone, since the receipt that would have it cannot be stored");
        return remaining_format(proof->list, REMAINING_IMAGE, name, "clear again",
                                "the name could not be taken away");
}

static int judge_names(Proof *proof) {
        const NamedImages *names = &proof->plan->names;
        int r = 0;

        for (size_t i = 0; i < names->n && r >= 0; i++) {
                r = judge_name(proof, names->v[i].name);
                if (r >= 0)
                        r = index_add(&proof->planned, names->v[i].id, i);
        }
        index_sort(&proof->planned);
        return r;
}

/* Named already: by a name that the clear did not take, or by unreadable_remaining(). */
static bool is_named_elsewhere(const Proof *proof, const Image *image) {
        return index_find(&proof->planned, image->id, NULL) ||
               unreadable_contains(&proof->inventory->images.unreadable, image->id);
}

/* It stands on an image that may be a base image, whose remedy has it. */
static bool is_in_remedy(const Proof *proof, size_t i) {
        const size_t below = proof->chain.below[i];

        return below != CHAIN_NO_SOURCE && !proof->chain.remains[i] &&
               source_may_be_base(&proof->inventory->images.v[below], &proof->sources[below]);
}

/* Lists, for each image that may be a base image, those that stand on it: children before parents. */
static void find_upon(Proof *proof) {
        const ImageSet *images = &proof->inventory->images;

        for (size_t i = 0; i < images->n; i++)
                proof->upon[i] = CHAIN_NO_SOURCE;
        for (size_t k = images->n; k > 0; k--) {
                const size_t i = proof->chain.order[k - 1];

                if (!is_in_remedy(proof, i) || is_named_elsewhere(proof, &images->v[i]))
                        continue;
                proof->next_upon[i] = proof->upon[proof->chain.below[i]];
                proof->upon[proof->chain.below[i]] = i;
        }
}

static int judge_one(Proof *proof, size_t i) {
        if (proof->chain.remains[i])
                return judge_source(proof, i);
        return judge_keeper(proof, i);
}

static void mark_named(Proof *proof, size_t i) {
        const size_t parent = proof->chain.parents[i];

        proof->named[i] = true;
        if (parent != PLAN_NO_PARENT)
                proof->named[parent] = true;
}

/* Containers of steps without a name: once they are gone, the step goes with the images that stand on it. */
static int judge_held_steps(Proof *proof) {
        const ImageSet *images = &proof->inventory->images;
        int r = 0;

        for (size_t k = 0; k < images->n && r >= 0; k++) {
                const size_t i = proof->chain.order[k];
                const Image *image = &images->v[i];
                const Container *container;

                if (!image_is_untagged(image) || !image_has_children(proof->inventory, image) ||
                    is_named_elsewhere(proof, image) ||
                    (!proof->chain.step[i] &&
                     (is_in_remedy(proof, i) ||
                      (!proof->chain.remains[i] && proof->chain.below[i] == CHAIN_NO_SOURCE))))
                        continue;
                container = holder_of_image(proof->inventory, image);
                if (!container)
                        continue;
                r = proof->chain.step[i]
                            ? held_by_container(proof, image, container, classic_serves, "")
                            : judge_one(proof, i);
                mark_named(proof, i);
        }
        return r;
}

static int judge_images(Proof *proof) {
        const ImageSet *images = &proof->inventory->images;
        int r = judge_held_steps(proof);

        for (size_t k = 0; k < images->n && r >= 0; k++) {
                const size_t i = proof->chain.order[k];
                const Image *image = &images->v[i];

                if (!proof->chain.remains[i] && proof->chain.below[i] == CHAIN_NO_SOURCE)
                        continue;
                if (!is_named_elsewhere(proof, image) && !is_in_remedy(proof, i) &&
                    !(image_is_untagged(image) && proof->named[i]))
                        r = judge_one(proof, i);
                mark_named(proof, i);
        }
        return r;
}

static int proof_images(const Inventory *inventory, const Config *config,
                        const NamedImages *suspects, const ClearPlan *plan,
                        const char *store_remedy, RemainingList *list) {
        const size_t n = inventory->images.n;
        cleanup(proof_done) Proof proof = {
                .inventory = inventory,
                .config = config,
                .plan = plan,
                .store_remedy = store_remedy,
                .named = calloc(n + 1, sizeof(*proof.named)),
                .upon = calloc(n + 1, sizeof(*proof.upon)),
                .next_upon = calloc(n + 1, sizeof(*proof.next_upon)),
                .listed = calloc(inventory->containers.n + 1, sizeof(*proof.listed)),
                .list = list,
        };
        int r;

        if (!proof.named || !proof.upon || !proof.next_upon || !proof.listed)
                return -ENOMEM;
        r = sources_find(inventory, config, suspects, &proof.sources);
        if (r >= 0)
                r = proof_chain_find(inventory, config, proof.sources, &proof.chain);
        if (r >= 0)
                r = judge_names(&proof);
        if (r < 0)
                return r;
        find_upon(&proof);
        return judge_images(&proof);
}

int proof_remaining(const Inventory *inventory, const Config *config, const ClearOptions *options,
                    const NamedImages *suspects, const ClearPlan *plan, const char *store_remedy,
                    RemainingList *ret) {
        cleanup(remaining_done) RemainingList list = { 0 };
        int r = 0;

        if (options->target & TARGET_DOCKER)
                r = proof_buildkit_builds(inventory, &list);
        if (r >= 0 && options->target & TARGET_BUILDER) {
                r = proof_records(inventory, plan, &list);
                if (r >= 0 && !config->external_builders_ignore)
                        r = proof_builders(inventory, &list);
        }
        if (r >= 0 && options->target & TARGET_IMAGES) {
                r = proof_classic_builds(inventory, &list);
                if (r >= 0)
                        r = proof_images(inventory, config, suspects, plan, store_remedy, &list);
        }
        if (r < 0)
                return r;
        *ret = list;
        list = (RemainingList){ 0 };
        return 0;
}
