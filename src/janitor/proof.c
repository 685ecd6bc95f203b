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
#include "janitor/proof.h"
#include "janitor/source.h"

/* What all rules read and write. */
typedef struct Proof {
        const Inventory *inventory;
        const Config *config;
        const ClearPlan *plan;
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

/* A cleared image of the classic builder, with a name or without. A step that has none is left out where
 * an image stands on it that is remaining, too: that one has to go first. */
static int judge_cleared_classic(Proof *proof, size_t i) {
        const ImageSet *images = &proof->inventory->images;
        const Image *image = &images->v[i];
        const Source *source = &proof->sources[i];
        const Container *container = container_of_image(proof->inventory, image->id);
        size_t top = i;
        cleanup_free char *remedy = NULL;

        if (source->cleared_descendant)
                return 0;
        if (image->names.n == 0 && source->named_descendant != SOURCE_NO_IMAGE)
                top = source->named_descendant;
        if (top != i && proof->sources[top].like_ours &&
            source_is_foreign(proof->inventory, &images->v[top], &proof->sources[top]))
                return 0;
        if (container)
                return held_by_container(proof, image, container, classic_serves);
        if (asprintf(&remedy, "docker rmi %s, then clear again%s", image_any_name(&images->v[top]),
                     images->v[top].names.n > 0 ? "; if it is a base image, add it to [images] base"
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

static int judge_cleared(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const char *name = source_cache_name(proof->inventory, proof->config, image);
        const Source *source = &proof->sources[i];
        cleanup_free char *remedy = NULL;

        if (source->way != SOURCE_INLINE)
                return judge_cleared_classic(proof, i);
        if (asprintf(&remedy, "docker rmi %s, then clear again", name) < 0)
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
        static const char remedy[] = "take it out of [images] protect, or add it to [images] base";

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
        const Container *container = container_of_image(proof->inventory, image->id);
        const Source *source = &proof->sources[i];
        cleanup_free char *remedy = NULL;

        if (container)
                return held_by_container(proof, image, container, classic_serves);
        if (asprintf(&remedy, "docker rmi %.19s%s", image->id,
                     source->unclaimed ? "; or set [images] dangling=all" : "") < 0)
                return -ENOMEM;
        return add(proof, REMAINING_IMAGE, image->id, remedy, "an untagged image %s%s",
                   source->unclaimed ? "of unknown origin, " : "", classic_serves);
}

static const char *likeness_text(const Source *source) {
        if (source->of_our_project)
                return "has the label of a compose project of this application";
        if (source->way == SOURCE_INLINE)
                return "has layers or a stage of this application";
        return source->on_cleared ? "stands on a step of an image that was cleared"
                                  : "begins like one of this application, as far as is known";
}

/* An image of others that is like ours. */
static int judge_like_ours(Proof *proof, size_t i) {
        const Image *image = &proof->inventory->images.v[i];
        const Container *container = container_of_image(proof->inventory, image->id);
        const Source *source = &proof->sources[i];
        const char *name = image_any_name(image);
        cleanup_free char *remedy = NULL;

        if (container && source->way == SOURCE_CLASSIC_CHAIN)
                return held_by_container(proof, image, container,
                                         "which begins like an image of this application, and the "
                                         "classic builder takes cached steps from it");
        if (asprintf(&remedy,
                     "docker rmi %s, then clear again; if no build of this application takes steps "
                     "from it, add it to [images] base",
                     name) < 0)
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

        if (source->serves == SERVES_NOTHING)
                return 0;
        if (source->cleared)
                return judge_cleared(proof, i);
        name = protected_name(proof, image);
        if (name)
                return judge_protected(proof, source, name);
        if (source->unclaimed ||
            (source->untagged_ours && !image_has_children(proof->inventory, image)))
                return judge_untagged(proof, i);
        if (source->like_ours && source_is_foreign(proof->inventory, image, source))
                return judge_like_ours(proof, i);
        return 0;
}

/* Images that can't be read are named by unreadable_remaining(). */
static int judge_images(Proof *proof) {
        const ImageSet *images = &proof->inventory->images;
        const ClearPlan *plan = proof->plan;
        int r = 0;

        for (size_t i = 0; i < plan->names.n && r >= 0; i++) {
                r = add(proof, REMAINING_IMAGE, plan->names.v[i].name, "clear again", "%s",
                        inventory_building(proof->inventory)
                                ? "left alone while a build is under way"
                                : "the name could not be taken away");
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

/* The NAME in "buildx_buildkit_NAME0", or -1. */
static int builder_name(const char *container, const char **ret) {
        static const char prefix[] = "buildx_buildkit_";
        size_t n;

        if (strncmp(container, prefix, strlen(prefix)) != 0)
                return -1;
        *ret = container + strlen(prefix);
        n = strlen(*ret);
        while (n > 0 && (*ret)[n - 1] >= '0' && (*ret)[n - 1] <= '9')
                n--;
        return (int)n;
}

/* A docker-container builder of buildx is a container named buildx_buildkit_NAME0; its cache is in
 * its own volume and in no answer of the engine. */
static int judge_builders(Proof *proof) {
        for (size_t i = 0; i < proof->inventory->containers.n; i++) {
                const Container *container = &proof->inventory->containers.v[i];
                cleanup_free char *remedy = NULL;
                const char *name;
                int n = builder_name(container->name, &name), r;

                if (n < 0)
                        continue;
                if (asprintf(&remedy,
                             "docker buildx prune --builder %.*s -af; or set [builder] "
                             "external_builders=ignore",
                             n, name) < 0)
                        return -ENOMEM;
                r = add(proof, REMAINING_BUILDER, container->name, remedy,
                        "the buildx builder '%.*s' has a build cache of its own", n, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A builder that was removed with --keep-state leaves its volume, and one that is made again under its
 * name goes on with that. */
static int judge_builder_volumes(Proof *proof) {
        const ContainerSet *containers = &proof->inventory->containers;
        const Strv *volumes = &proof->inventory->builder_volumes;
        cleanup(index_done) Index builders = { 0 };

        for (size_t i = 0; i < containers->n; i++)
                if (index_add(&builders, containers->v[i].name, i) < 0)
                        return -ENOMEM;
        index_sort(&builders);
        for (size_t i = 0; i < volumes->n; i++) {
                const char *volume = volumes->v[i], *name;
                cleanup_free char *container = strndup(volume, strlen(volume) - strlen("_state"));
                cleanup_free char *remedy = text_format(
                        "docker volume rm %s; or set [builder] external_builders=ignore", volume);
                int n, r;

                if (!container || !remedy)
                        return -ENOMEM;
                n = builder_name(container, &name);
                if (n < 0 || index_find(&builders, container, NULL))
                        continue; /* named by its container */
                r = add(proof, REMAINING_BUILDER, volume, remedy,
                        "the volume keeps the build cache of the buildx builder '%.*s', whose "
                        "container is gone",
                        n, name);
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
                    const NamedImages *suspects, const ClearPlan *plan, RemainingList *ret) {
        cleanup(remaining_done) RemainingList list = { 0 };
        cleanup(proof_done) Proof proof = {
                .inventory = inventory,
                .config = config,
                .plan = plan,
                .list = &list,
        };
        int r = 0;

        if (options->target & TARGET_DOCKER)
                r = judge_buildkit_builds(&proof);
        if (r >= 0 && options->target & TARGET_BUILDER) {
                r = judge_records(&proof);
                if (r >= 0 && !config->external_builders_ignore)
                        r = judge_builders(&proof);
                if (r >= 0 && !config->external_builders_ignore)
                        r = judge_builder_volumes(&proof);
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
