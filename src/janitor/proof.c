/* SPDX-License-Identifier: MIT */

/*
 * BuildKit takes cached steps from its records (a plain cache mount is none, but those that a mount with
 * from= was made from are; on the containerd store only some, which no record tells apart). What images
 * serve is found by janitor/source; here each one that does is named, with the command that ends it.
 *
 * Where something can't be known (a configuration this process may not read) it counts: "not
 * fresh" by mistake costs a look, "fresh" by mistake is what this program was made against.
 */

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"
#include "docker/name.h"
#include "janitor/proof-remedy.h"
#include "janitor/proof.h"
#include "janitor/source.h"

/* What all rules read and write. */
typedef struct Proof {
        const Inventory *inventory;
        const Config *config;
        const ClearPlan *plan;
        const char *store_remedy; /* not NULL: no name goes, since no receipt can be stored */
        Source *sources;
        Index planned; /* ids of images that the plan takes a name from */
        RemainingList *list;
} Proof;

static void proof_donep(Proof *proof) {
        free(proof->sources);
        index_done(&proof->planned);
}

static int printf_like(5, 6) add(Proof *proof, RemainingKind kind, const char *object,
                                 const char *remedy, const char *format, ...) {
        cleanup_free char *reason = NULL;
        va_list args;

        va_start(args, format);
        reason = text_vformat(format, args);
        va_end(args);
        if (!reason)
                return -ENOMEM;
        return remaining_add(proof->list, kind, object, reason, remedy);
}

/* The container that keeps the engine from deleting the image, or may. */
static const Container *holder_of_image(const Proof *proof, const Image *image) {
        return container_of_image(proof->inventory, image->id)
                       ?: container_that_may_mount(proof->inventory, image);
}

/* `unless`: what may be done instead, or "". */
static int held_by_container(Proof *proof, const Image *image, const Container *container,
                             const char *what, const char *unless) {
        bool certain = container_of_image(proof->inventory, image->id);
        cleanup_free char *removal = NULL, *remedy = NULL;

        if (container->builds) /* judge_classic_builds() names it */
                return 0;
        removal = remedy_remove(proof->inventory, image);
        if (!removal || asprintf(&remedy, "%s, then clear again; or build with --no-cache%s",
                                 removal, unless) < 0)
                return -ENOMEM;
        return add(proof, REMAINING_CONTAINER, container->name, remedy,
                   "the %s container %.12s %s %s (%.19s), %s", container->state, container->id,
                   certain ? "holds" : "may have mounted",
                   image->names.n > 0 ? image->names.v[0] : "an untagged image", image->id, what);
}

static const char classic_serves[] = "which the classic builder takes cached steps from";
static const char unless_base[] =
        "; if no build of this application takes steps from it, add it to [images] base";

/* An image with a name of others, between an image of ours and its base image: a stage of the same Dockerfile
 * that others named, or a base image that the classic builder made. Nothing tells which. */
static int judge_below(Proof *proof, const Image *image, const char *what) {
        cleanup_free char *removal = remedy_remove(proof->inventory, image);
        cleanup_free char *remedy = NULL;

        if (!removal || asprintf(&remedy,
                                 "if a FROM names it, add it to [images] base; if not, %s, then "
                                 "clear again",
                                 removal) < 0)
                return -ENOMEM;
        return add(
                proof, REMAINING_IMAGE, image_any_name(image), remedy,
                "%s was built upon %.19s: if that is a stage of the same Dockerfile, and not its "
                "base image, the classic builder takes cached steps from it",
                what, image->id);
}

/* A cleared image of the classic builder, with a name or without. A step that has none is left out where
 * an image stands on it that is remaining, too: that image has to go first. */
static int judge_cleared_classic(Proof *proof, size_t i) {
        const ImageSet *images = &proof->inventory->images;
        const Image *image = &images->v[i];
        const Source *source = &proof->sources[i];
        const Container *container = holder_of_image(proof, image);
        size_t top = i;
        cleanup_free char *removal = NULL, *remedy = NULL;

        if (source->cleared_descendant)
                return 0;
        if (image->names.n == 0 && source->named_descendant != SOURCE_NO_IMAGE)
                top = source->named_descendant;
        if (top != i && !container && source_is_kept_commit(&proof->sources[top]))
                return 0;
        if (top != i && proof->sources[top].like_ours &&
            source_is_foreign(proof->inventory, &images->v[top], &proof->sources[top]))
                return 0;
        if (top == i && image->names.n > 0 && !source->lost_name)
                return judge_below(proof, image, "an image that was cleared");
        if (container)
                return held_by_container(proof, image, container, classic_serves, "");
        if (top == i && image->names.n == 0 && source->kept_descendant)
                return 0;
        removal = remedy_remove(proof->inventory, &images->v[top]);
        if (!removal || asprintf(&remedy, "%s, then clear again%s", removal,
                                 images->v[top].names.n > 0 && !proof->sources[top].configured_base
                                         ? "; if it is a base image, add it to [images] base"
                                         : "") < 0)
                return -ENOMEM;
        if (top != i)
                return add(proof, REMAINING_IMAGE, image_any_name(&images->v[top]), remedy,
                           "it stands on %.19s, a step of an image that was cleared, %s", image->id,
                           classic_serves);
        if (image->names.n == 0)
                return add(proof, REMAINING_IMAGE, image->id, remedy, "an untagged image %s",
                           classic_serves);
        return add(proof, REMAINING_IMAGE, image_any_name(image), remedy,
                   "it names %.19s, an image that was cleared, %s", image->id, classic_serves);
}

static const char *carries(const Source *source) {
        return source->serves == SERVES_CERTAINLY ? "carries" : "may carry";
}

/* A local base image keeps its name, so nothing of it was cleared; a build of its own Dockerfile takes
 * steps from it all the same. */
static int judge_base(Proof *proof, const Image *image, const Source *source) {
        const char *name = image_any_name(image);
        cleanup_free char *removal = remedy_remove(proof->inventory, image);
        cleanup_free char *remedy = NULL;

        if (!removal ||
            asprintf(&remedy,
                     "%s, then clear again; or, if a FROM names it, add it to [images] base",
                     removal) < 0)
                return -ENOMEM;
        if (source->way != SOURCE_INLINE)
                return add(proof, REMAINING_IMAGE, name, remedy, "a local base image, %s",
                           classic_serves);
        return add(proof, REMAINING_IMAGE, name, remedy,
                   "a local base image, which %s inline cache metadata that a build naming it in "
                   "cache_from takes cached steps from",
                   carries(source));
}

/* It may hold data that is nowhere else, so no clear deletes it. */
static int judge_commit(Proof *proof, const Image *image) {
        cleanup_free char *removal = remedy_remove(proof->inventory, image);
        cleanup_free char *remedy = NULL;

        if (!removal || asprintf(&remedy,
                                 "save what you need of it (docker save), %s, then clear again; or "
                                 "build with --no-cache",
                                 removal) < 0)
                return -ENOMEM;
        return add(
                proof, REMAINING_IMAGE, image_any_name(image), remedy,
                "docker commit made it from a container of this application: it is kept, and the "
                "classic builder takes cached steps from it or from the images that it stands on");
}

static int judge_cleared(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const char *name = source_cache_name(proof->inventory, proof->config, image);
        const Source *source = &proof->sources[i];
        cleanup_free char *removal = NULL, *remedy = NULL;

        if (source_is_kept_commit(source))
                return judge_commit(proof, image);
        if (source->base && !source->cleared_descendant)
                return judge_base(proof, image, source);
        if (source->way != SOURCE_INLINE)
                return judge_cleared_classic(proof, i);
        removal = remedy_remove(proof->inventory, image);
        if (!removal || asprintf(&remedy, "%s, then clear again", removal) < 0)
                return -ENOMEM;
        return add(proof, REMAINING_IMAGE, name, remedy,
                   "it names %.19s, an image that was cleared, which %s inline cache metadata that "
                   "a build naming it in cache_from takes cached steps from",
                   image->id, carries(source));
}

/* A name that [images] protect keeps from the clear, or NULL. */
static const char *protected_name(const Proof *proof, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_is_ours(proof->config, image, image->names.v[i]) &&
                    name_matches_any(&proof->config->protect, image->names.v[i]) &&
                    !name_matches_any(&proof->config->base, image->names.v[i]))
                        return image->names.v[i];
        return NULL;
}

/* A matching image that [images] protect keeps: nobody took its name, and it serves all the same. */
static int judge_protected(Proof *proof, const Source *source, const char *name) {
        static const char remedy[] =
                "take it out of [images] protect, then clear again; if no build of this application "
                "takes steps from it, add it to [images] base";

        if (source->way != SOURCE_INLINE)
                return add(proof, REMAINING_IMAGE, name, remedy, "it is protected, %s",
                           classic_serves);
        return add(proof, REMAINING_IMAGE, name, remedy,
                   "it is protected, and %s inline cache metadata that a build naming it in "
                   "cache_from takes cached steps from",
                   carries(source));
}

/* An untagged image of the classic builder that is ours, or of unknown origin. */
static int judge_untagged(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const Container *container = holder_of_image(proof, image);
        const Source *source = &proof->sources[i];
        cleanup_free char *remedy = NULL;

        if (container)
                return held_by_container(proof, image, container, classic_serves, "");
        if (asprintf(&remedy, "docker rmi %.19s, then clear again%s", image->id,
                     source->unclaimed
                             ? "; or set [images] dangling=all, which takes every untagged image"
                             : "") < 0)
                return -ENOMEM;
        return add(proof, REMAINING_IMAGE, image->id, remedy, "an untagged image %s%s",
                   source->unclaimed ? "of unknown origin, " : "", classic_serves);
}

static const char *likeness_text(const Source *source) {
        if (source->of_our_project)
                return "has the label of a compose project of this application";
        if (source->way == SOURCE_INLINE)
                return "has layers, the first step or a stage of this application";
        return source->on_cleared ? "stands on a step of an image that was cleared"
                                  : "begins like one of this application, as far as is known";
}

/* An image of others that is like ours. */
static int judge_like_ours(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const Container *container = holder_of_image(proof, image);
        const Source *source = &proof->sources[i];
        const char *name = image_any_name(image);
        cleanup_free char *removal = NULL, *remedy = NULL;

        if (source->below_ours)
                return judge_below(proof, image, "an image of this application");
        if (container && source->way == SOURCE_CLASSIC_CHAIN)
                return held_by_container(proof, image, container,
                                         "which begins like an image of this application, and the "
                                         "classic builder takes cached steps from it",
                                         image->names.n > 0 ? unless_base : "");
        removal = remedy_remove(proof->inventory, image);
        if (!removal || asprintf(&remedy, "%s, then clear again%s", removal,
                                 image_is_untagged(image) ? "" : unless_base) < 0)
                return -ENOMEM;
        if (source->way == SOURCE_INLINE)
                return add(
                        proof, REMAINING_IMAGE, name, remedy,
                        "an image outside [images] match that %s and %s inline cache metadata, which a "
                        "build naming it in cache_from takes cached steps from",
                        likeness_text(source), carries(source));
        return add(proof, REMAINING_IMAGE, name, remedy,
                   "an image outside [images] match that %s, %s%s", likeness_text(source),
                   classic_serves,
                   source->way == SOURCE_CLASSIC_NAME ? " if a build names it in cache_from" : "");
}

static int judge_image(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const Source *source = &proof->sources[i];
        const char *name;

        if (source->serves == SERVES_NOTHING || source->only_base_serves)
                return 0;
        if (source->cleared)
                return judge_cleared(proof, i);
        name = protected_name(proof, image);
        if (name)
                return judge_protected(proof, source, name);
        if (source_is_kept_commit(source))
                return judge_commit(proof, image);
        if (source->unclaimed ||
            (source->untagged_ours && !image_has_children(proof->inventory, image)))
                return judge_untagged(proof, i);
        if (!source->like_ours || !source_is_foreign(proof->inventory, image, source))
                return 0;
        return source->commit ? judge_commit(proof, image) : judge_like_ours(proof, i);
}

/* A name that the clear would take, and did not. */
static int judge_name(Proof *proof, const char *name) {
        if (inventory_building(proof->inventory))
                return add(proof, REMAINING_IMAGE, name, "clear again",
                           "left alone while a build is under way");
        if (proof->store_remedy)
                return add(proof, REMAINING_IMAGE, name, proof->store_remedy,
                           "left alone, since the receipt that would have it cannot be stored");
        return add(proof, REMAINING_IMAGE, name, "clear again", "the name could not be taken away");
}

/* Images that can't be read are named by unreadable_remaining(). */
static int judge_images(Proof *proof) {
        const ImageSet *images = &proof->inventory->images;
        const ClearPlan *plan = proof->plan;
        int r = 0;

        for (size_t i = 0; i < plan->names.n && r >= 0; i++) {
                r = judge_name(proof, plan->names.v[i].name);
                if (r >= 0)
                        r = index_add(&proof->planned, plan->names.v[i].id, i);
        }
        if (r < 0)
                return r;
        index_sort(&proof->planned);
        for (size_t i = 0; i < images->n && r >= 0; i++)
                if (!index_find(&proof->planned, images->v[i].id, NULL) &&
                    !unreadable_contains(&images->unreadable, images->v[i].id))
                        r = judge_image(proof, i);
        return r;
}

static int judge_records(Proof *proof) {
        const RecordSet *set = &proof->inventory->records;
        const Strv *mounts = &proof->plan->kept_mounts;
        cleanup(index_done) Index kept = { 0 };
        int r;

        for (size_t i = 0; i < mounts->n; i++)
                if (index_add(&kept, mounts->v[i], i) < 0)
                        return -ENOMEM;
        index_sort(&kept);

        for (size_t i = 0; i < set->n; i++) {
                const BuildRecord *record = &set->v[i];
                const char *type = record_type_to_string(record->type) ?: "of unknown type";
                char bytes[BYTES_TEXT_MAX];

                bytes_format(record->size_bytes, bytes);
                if (record->in_use && id_set_contains(&proof->inventory->builds.leaked, record->id))
                        r = add(proof, REMAINING_RECORD, record->id,
                                "restart the engine (systemctl restart docker), then clear again",
                                "build cache record (%s, %s) that the engine holds in use although "
                                "no build runs: it lost count",
                                type, bytes);
                else if (record->in_use)
                        r = add(proof, REMAINING_RECORD, record->id,
                                "wait for the build to end, then clear again",
                                "build cache record (%s, %s) in use by a build", type, bytes);
                else if (!index_find(&kept, record->id, NULL))
                        r = add(proof, REMAINING_RECORD, record->id, "docker builder prune -af",
                                "build cache record (%s, %s) that the engine did not delete", type,
                                bytes);
                else if (record->type != RECORD_CACHE_MOUNT)
                        r = add(proof, REMAINING_RECORD, record->id, "clear without --keep-mounts",
                                "build cache record (%s, %s) that a kept cache mount was made from "
                                "(--mount=type=cache,from=), which a build takes cached steps from",
                                type, bytes);
                else
                        r = 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A build that holds no record is named by nothing else. */
static int judge_buildkit_builds(Proof *proof) {
        const Inventory *inventory = proof->inventory;
        const Builds *builds = &inventory->builds;

        if (builds->unknown[0])
                return add(proof, REMAINING_BUILD, "BuildKit", "clear again",
                           "whether a build runs can't be told: %s", builds->unknown);
        if (builds->n_running > 0 && inventory->n_in_use <= builds->leaked.n)
                return add(proof, REMAINING_BUILD, "BuildKit",
                           "wait for the build to end, then clear again",
                           "a build runs (%zu in BuildKit's history)", builds->n_running);
        return 0;
}

static int judge_classic_builds(Proof *proof) {
        for (size_t i = 0; i < proof->inventory->classic_builds.n; i++) {
                int r = add(proof, REMAINING_BUILD, "classic builder",
                            "wait for the build to end, then clear again", "%s",
                            proof->inventory->classic_builds.v[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

int proof_remaining(const Inventory *inventory, const Config *config, const ClearOptions *options,
                    const NamedImages *suspects, const ClearPlan *plan, const char *store_remedy,
                    RemainingList *ret) {
        cleanup(remaining_done) RemainingList list = { 0 };
        cleanup(proof_done) Proof proof = {
                .inventory = inventory,
                .config = config,
                .plan = plan,
                .store_remedy = store_remedy,
                .list = &list,
        };
        int r = 0;

        if (options->target & TARGET_DOCKER)
                r = judge_buildkit_builds(&proof);
        if (r >= 0 && options->target & TARGET_BUILDER) {
                r = judge_records(&proof);
                if (r >= 0 && !config->external_builders_ignore)
                        r = proof_builders(inventory, &list);
        }
        if (r >= 0 && options->target & TARGET_IMAGES) {
                r = judge_classic_builds(&proof);
                if (r >= 0)
                        r = sources_find(inventory, config, suspects, &proof.sources);
                if (r >= 0)
                        r = judge_images(&proof);
        }
        if (r < 0)
                return r;
        *ret = list;
        list = (RemainingList){ 0 };
        return 0;
}
