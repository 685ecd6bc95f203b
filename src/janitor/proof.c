/* SPDX-License-Identifier: MIT */

/*
 * What serves a cached step, as found on engines 20.10, 26.1 and 28.5 with both image stores:
 *
 * BuildKit takes steps from its records (a plain cache mount is none, but those that a mount with
 * from= was made from are; on the containerd store only some, which no record tells apart), and on
 * the graphdriver store from an image that a build names in cache_from if it carries inline cache
 * metadata. The containerd store asks a registry for such a name, never the local image.
 *
 * The classic builder looks, from the image a step stands on, for a child that was made by the same
 * instruction. Names play no part in that; what counts is that the chain of parents is whole. With
 * cache_from it also takes steps from the history of the image named, whole chain or not.
 *
 * Where something can't be known (a configuration this process may not read) it counts: "not
 * fresh" by mistake costs a look, "fresh" by mistake is what this program was made against.
 */

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"
#include "docker/name.h"
#include "janitor/proof.h"

/* What all rules read and write. */
typedef struct Proof {
        const Inventory *inventory;
        const Config *config;
        const NamedImages *suspects;
        RemainingList *list;
} Proof;

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

/* A name that a build may give in cache_from: any but the janitor's own. On the graphdriver store a
 * digest is one, too, which what was pulled or pushed keeps while its repository has any tag; the
 * containerd store lists one for every name. */
static const char *nameable(const Inventory *inventory, const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (!name_is_trash(image->names.v[i]) &&
                    !name_is_rollback(config, image->names.v[i]) &&
                    !name_matches_any(&config->base, image->names.v[i]))
                        return image->names.v[i];
        if (inventory->image_store == IMAGE_STORE_GRAPHDRIVER && image->digests.n > 0)
                return image->digests.v[0];
        return NULL;
}

static const char *any_name(const Image *image) {
        return image->names.n > 0 ? image->names.v[0] : image->id;
}

/*
 * The classic builder reaches an image only if all its parents are there (the graphdriver store
 * keeps them as long as it lives; the containerd store does not), down to what FROM can name: an
 * image that has a name, or the first step of a build from scratch.
 */
static bool chain_is_whole(const Inventory *inventory, const Image *image) {
        while (image && image->parent_id[0])
                image = image_set_find(&inventory->images, image->parent_id);
        return image && (!image_is_untagged(image) || image_is_classic(inventory, image));
}

static bool is_suspect(const Proof *proof, const Image *image) {
        return named_images_contain_id(proof->suspects, image->id);
}

/* Whether some suspect stands on this one; then that one is named, and not this. */
static bool suspect_stands_on(const Proof *proof, const Image *image) {
        for (size_t i = 0; i < proof->inventory->images.n; i++) {
                const Image *child = &proof->inventory->images.v[i];

                if (strcmp(child->parent_id, image->id) == 0 &&
                    (is_suspect(proof, child) || suspect_stands_on(proof, child)))
                        return true;
        }
        return false;
}

/* A named image that has `image` among its parents, or NULL. */
static const Image *named_descendant(const Inventory *inventory, const Image *image) {
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *child = &inventory->images.v[i];

                if (strcmp(child->parent_id, image->id) != 0)
                        continue;
                if (child->names.n > 0)
                        return child;
                child = named_descendant(inventory, child);
                if (child)
                        return child;
        }
        return NULL;
}

static int held_by_container(Proof *proof, const Image *image, const Container *container,
                             const char *what) {
        bool running = strcmp(container->state, "running") == 0;
        cleanup_free char *remedy = NULL;
        int n;

        if (image->names.n > 0)
                n = asprintf(&remedy,
                             "docker rm %s%s && docker rmi %s, then clear again; or build with "
                             "--no-cache",
                             running ? "-f " : "", container->name, image->names.v[0]);
        else
                n = asprintf(&remedy, "docker rm %s%s, then clear again; or build with --no-cache",
                             running ? "-f " : "", container->name);
        if (n < 0)
                return -ENOMEM;
        return add(proof, REMAINING_CONTAINER, container->name, remedy,
                   "the %s container %.12s holds %s (%.19s), %s", container->state, container->id,
                   image->names.n > 0 ? image->names.v[0] : "an untagged image", image->id, what);
}

static const char classic_serves[] = "which the classic builder takes cached steps from";

static int judge_classic(Proof *proof, const Image *image) {
        const Container *container = container_of_image(proof->inventory, image->id);
        const char *name = nameable(proof->inventory, proof->config, image);
        cleanup_free char *remedy = NULL;
        const Image *top;

        /* With a name it serves by its history, without one by its parents. */
        if (!name && !chain_is_whole(proof->inventory, image))
                return 0;
        if (suspect_stands_on(proof, image))
                return 0;
        if (container)
                return held_by_container(proof, image, container, classic_serves);
        top = image->names.n > 0 ? image : named_descendant(proof->inventory, image);
        if (!top) {
                if (asprintf(&remedy, "docker rmi %.19s", image->id) < 0)
                        return -ENOMEM;
                return add(proof, REMAINING_IMAGE, image->id, remedy, "an untagged image %s",
                           classic_serves);
        }
        if (asprintf(&remedy,
                     "docker rmi %s, then clear again; if it is a base image, add it to [images] "
                     "base",
                     any_name(top)) < 0)
                return -ENOMEM;
        if (top != image)
                return add(proof, REMAINING_IMAGE, any_name(top), remedy,
                           "it stands on %.19s, a step of an image that was cleared, %s", image->id,
                           classic_serves);
        return add(proof, REMAINING_IMAGE, any_name(image), remedy,
                   "it names %.19s, an image that was cleared, %s", image->id, classic_serves);
}

static int judge_suspect(Proof *proof, const Image *image) {
        const ImageFacts *facts = fact_set_find(&proof->inventory->facts, image->id);
        InlineCache inline_cache = facts ? facts->inline_cache : INLINE_CACHE_UNKNOWN;
        cleanup_free char *remedy = NULL;
        const char *name;

        if (image_is_classic(proof->inventory, image))
                return judge_classic(proof, image);
        name = nameable(proof->inventory, proof->config, image);
        if (proof->inventory->image_store == IMAGE_STORE_CONTAINERD || !name ||
            inline_cache == INLINE_CACHE_NO || (facts && facts->kind == IMAGE_KIND_OTHER))
                return 0;
        if (asprintf(&remedy, "docker rmi %s, then clear again", name) < 0)
                return -ENOMEM;
        return add(proof, REMAINING_IMAGE, name, remedy,
                   "it names %.19s, an image that was cleared, which %s inline cache metadata that "
                   "a build naming it in cache_from takes cached steps from",
                   image->id, inline_cache == INLINE_CACHE_YES ? "carries" : "may carry");
}

/* A matching image that [images] protect keeps: nobody took its name, and it serves all the same. */
static int judge_protected(Proof *proof, const Image *image, const char *name) {
        const ImageFacts *facts = fact_set_find(&proof->inventory->facts, image->id);

        if (image->parent_id[0] && chain_is_whole(proof->inventory, image))
                return add(proof, REMAINING_IMAGE, name,
                           "take it out of [images] protect, or add it to [images] base",
                           "it is protected, %s", classic_serves);
        if (proof->inventory->image_store == IMAGE_STORE_GRAPHDRIVER && facts &&
            facts->kind == IMAGE_KIND_BUILDKIT && facts->inline_cache != INLINE_CACHE_NO)
                return add(
                        proof, REMAINING_IMAGE, name,
                        "take it out of [images] protect, or add it to [images] base",
                        "it is protected, and %s inline cache metadata that a build naming it in "
                        "cache_from takes cached steps from",
                        facts->inline_cache == INLINE_CACHE_YES ? "carries" : "may carry");
        return 0;
}

static int judge_images(Proof *proof, const ClearPlan *plan) {
        int r;

        for (size_t i = 0; i < plan->names.n; i++) {
                r = add(proof, REMAINING_IMAGE, plan->names.v[i].name, "clear again", "%s",
                        inventory_building(proof->inventory)
                                ? "left alone while a build is under way"
                                : "the name could not be taken away");
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < proof->inventory->images.n; i++) {
                const Image *image = &proof->inventory->images.v[i];

                r = 0;
                if (named_images_contain_id(&plan->names, image->id))
                        continue; /* told above */
                if (is_suspect(proof, image)) {
                        r = judge_suspect(proof, image);
                } else {
                        for (size_t j = 0; j < image->names.n && r >= 0; j++)
                                if (name_is_ours(proof->config, image, image->names.v[j]) &&
                                    name_matches_any(&proof->config->protect, image->names.v[j]) &&
                                    !name_matches_any(&proof->config->base, image->names.v[j])) {
                                        r = judge_protected(proof, image, image->names.v[j]);
                                        break;
                                }
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

static int judge_unclaimed(void *userdata, const Image *image) {
        Proof *proof = userdata;
        const Container *container = container_of_image(proof->inventory, image->id);
        cleanup_free char *remedy = NULL;

        if (!chain_is_whole(proof->inventory, image))
                return 0;
        if (container)
                return held_by_container(proof, image, container, classic_serves);
        if (asprintf(&remedy, "docker rmi %.19s; or set [images] dangling=all", image->id) < 0)
                return -ENOMEM;
        return add(proof, REMAINING_IMAGE, image->id, remedy,
                   "an untagged image that nothing tells the owner of, %s", classic_serves);
}

/* Untagged images of ours that a container holds; the plan has the others. */
static int judge_untagged(Proof *proof, const ClearPlan *plan) {
        for (size_t i = 0; i < plan->untagged.n; i++) {
                cleanup_free char *remedy = NULL;
                const Image *image = image_set_find(&proof->inventory->images, plan->untagged.v[i]);
                int r;

                /* Only the classic builder takes steps from what has no name. */
                if (!image || !image_is_classic(proof->inventory, image) ||
                    is_suspect(proof, image))
                        continue;
                if (asprintf(&remedy, "docker rmi %.19s", image->id) < 0)
                        return -ENOMEM;
                r = add(proof, REMAINING_IMAGE, image->id, remedy, "an untagged image %s",
                        classic_serves);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int judge_records(Proof *proof, const ClearPlan *plan) {
        const RecordSet *set = &proof->inventory->records;
        int r;

        for (size_t i = 0; i < set->n; i++) {
                const BuildRecord *record = &set->v[i];
                const char *type = record_type_to_string(record->type) ?: "of unknown type";
                char bytes[BYTES_TEXT_MAX];

                bytes_format(record->size_bytes, bytes);
                if (record->in_use)
                        r = add(proof, REMAINING_RECORD, record->id,
                                "wait for the build to end, then clear again",
                                "build cache record (%s, %s) in use by a build", type, bytes);
                else if (!strv_sorted_contains(&plan->kept_mounts, record->id))
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

/* A docker-container builder of buildx is a container named buildx_buildkit_NAME0; its cache is in
 * its own volume and in no answer of the engine. */
static int judge_builders(Proof *proof) {
        static const char prefix[] = "buildx_buildkit_";

        for (size_t i = 0; i < proof->inventory->containers.n; i++) {
                const Container *container = &proof->inventory->containers.v[i];
                cleanup_free char *remedy = NULL;
                const char *name = container->name;
                size_t n;
                int r;

                if (strncmp(name, prefix, strlen(prefix)) != 0)
                        continue;
                name += strlen(prefix);
                n = strlen(name);
                while (n > 0 && name[n - 1] >= '0' && name[n - 1] <= '9')
                        n--;
                if (asprintf(&remedy,
                             "docker buildx prune --builder %.*s -af; or set [builder] "
                             "external_builders=ignore",
                             (int)n, name) < 0)
                        return -ENOMEM;
                r = add(proof, REMAINING_BUILDER, container->name, remedy,
                        "the buildx builder '%.*s' has a build cache of its own", (int)n, name);
                if (r < 0)
                        return r;
        }
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
                    const NamedImages *suspects, const ClearPlan *plan, RemainingList *ret) {
        cleanup(remaining_done) RemainingList list = { 0 };
        Proof proof = { inventory, config, suspects, &list };
        int r = 0;

        if (options->target & TARGET_BUILDER) {
                r = judge_records(&proof, plan);
                if (r >= 0 && !config->external_builders_ignore)
                        r = judge_builders(&proof);
        }
        if (r >= 0 && options->target & TARGET_IMAGES) {
                r = judge_classic_builds(&proof);
                if (r >= 0)
                        r = judge_images(&proof, plan);
                if (r >= 0)
                        r = judge_untagged(&proof, plan);
                if (r >= 0)
                        r = plan_unclaimed(inventory, config, suspects, judge_unclaimed, &proof);
        }
        if (r < 0)
                return r;
        *ret = list;
        list = (RemainingList){ 0 };
        return 0;
}

/* Names outside the clear's reach that carry inline cache metadata, as far as can be read. */
static int assume_inline_names(const Inventory *inventory, const NamedImages *suspects, Strv *ret) {
        cleanup_free char *names = NULL, *text = NULL;

        if (inventory->image_store == IMAGE_STORE_CONTAINERD)
                return 0;
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];
                const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);
                char *longer;

                if (!facts || facts->inline_cache != INLINE_CACHE_YES || image->names.n == 0 ||
                    named_images_contain_id(suspects, image->id))
                        continue;
                if (asprintf(&longer, "%s%s%s", names ?: "", names ? ", " : "", any_name(image)) <
                    0)
                        return -ENOMEM;
                free(names);
                names = longer;
        }
        if (!names)
                return 0;
        if (asprintf(&text,
                     "no build of this application names in cache_from an image outside [images] "
                     "match that carries inline cache metadata: %s",
                     names) < 0)
                return -ENOMEM;
        return strv_add(ret, text);
}

int proof_assumes(const Inventory *inventory, const ClearOptions *options,
                  const NamedImages *suspects, Strv *ret) {
        static const char *const texts[] = {
                "no build imports cache from a registry (cache_from of a pushed image) or from a "
                "cache exporter of CI: no local clear reaches those",
                "base images are as fresh as they should be: whether a build pulls them is the "
                "build's to say (--pull)",
                "no static files are served from a named volume: volumes are never touched",
        };

        if (!target_speaks_of_fresh(options->target))
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                if (strv_add(ret, texts[i]) < 0)
                        return -ENOMEM;
        return assume_inline_names(inventory, suspects, ret);
}
