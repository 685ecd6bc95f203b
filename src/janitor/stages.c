/* SPDX-License-Identifier: MIT */

/*
 * The engine tells when an image was made in whole seconds, so a stage and the image of its build may
 * have the same second: at or after it is enough.
 */

#include "janitor/stages.h"

#include "docker/name.h"

static bool names_ours(const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_is_ours(config, image, image->names.v[i]) &&
                    !name_matches_any(&config->base, image->names.v[i]))
                        return true;
        return false;
}

/* Named by somebody; a rollback or trash tag is of the janitor's and not of a build. */
static bool is_named(const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (!name_is_trash(image->names.v[i]) &&
                    !name_is_rollback(config, image->names.v[i]))
                        return true;
        return false;
}

static int compare_builds(const void *a, const void *b) {
        const NamedBuild *x = a, *y = b;

        if (x->created_sec != y->created_sec)
                return x->created_sec < y->created_sec ? -1 : 1;
        return y->ours - x->ours; /* within one second ours comes first */
}

int named_builds_find(const Inventory *inventory, const Config *config, NamedBuilds *ret) {
        const ImageSet *images = &inventory->images;
        NamedBuilds builds = { .newest_of_ours_sec = INT64_MIN };

        builds.v = calloc(images->n + 1, sizeof(*builds.v));
        if (!builds.v)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++) {
                const Image *image = &images->v[i];
                NamedBuild build = { image->created_sec, names_ours(config, image) };

                /* One from the future says nothing of what was before it. */
                if (!is_named(config, image) || !image_is_classic(inventory, image) ||
                    image->created_sec > inventory->observed_sec + 1)
                        continue;
                if (build.ours)
                        builds.newest_of_ours_sec =
                                MAX(builds.newest_of_ours_sec, build.created_sec);
                builds.v[builds.n++] = build;
        }
        qsort(builds.v, builds.n, sizeof(*builds.v), compare_builds);
        *ret = builds;
        return 0;
}

void named_builds_done(NamedBuilds *builds) {
        free(builds->v);
        *builds = (NamedBuilds){ 0 };
}

bool stage_has_ended(const NamedBuilds *builds, const Image *image) {
        return builds->newest_of_ours_sec >= image->created_sec;
}

bool stage_is_ours(const NamedBuilds *builds, const Image *image) {
        size_t low = 0, n = builds->n;

        while (n > 0) {
                size_t half = n / 2;

                if (builds->v[low + half].created_sec < image->created_sec) {
                        low += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        return low < builds->n && builds->v[low].ours &&
               builds->v[low].created_sec - image->created_sec <= STAGE_SEC;
}

/* The untagged images from `image` down, but those `known`: what FROM named is not of the stage. */
static int add_chain(const Inventory *inventory, const Image *image, bool *known,
                     NamedImages *suspects) {
        const ImageSet *images = &inventory->images;

        while (image && image_is_untagged(image) && image_is_classic(inventory, image) &&
               !known[image - images->v]) {
                known[image - images->v] = true;
                if (named_images_add(suspects, "", image->id) < 0)
                        return -ENOMEM;
                image = image->parent_id[0] ? image_set_find(images, image->parent_id) : NULL;
        }
        return 0;
}

int stages_add(const Inventory *inventory, const Config *config, NamedImages *suspects) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *known = calloc(images->n + 1, sizeof(*known));
        cleanup(named_builds_done) NamedBuilds builds = { 0 };
        int r;

        if (!known)
                return -ENOMEM;
        r = named_builds_find(inventory, config, &builds);
        for (size_t i = 0; i < suspects->n; i++) {
                const Image *image = image_set_find(images, suspects->v[i].id);

                if (image)
                        known[image - images->v] = true;
        }
        for (size_t i = 0; i < images->n && r >= 0; i++) {
                const Image *image = &images->v[i];

                if (image_is_untagged(image) && image_is_classic(inventory, image) &&
                    stage_is_ours(&builds, image) && !image_has_children(inventory, image))
                        r = add_chain(inventory, image, known, suspects);
        }
        return r;
}
