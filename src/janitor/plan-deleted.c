/* SPDX-License-Identifier: MIT */

/*
 * An image goes with its last name if nothing else keeps it: a container, a service, a digest of another
 * repository, or an image that stands on it and stays. Where it stays, a rollback finds it by its id.
 */

#include "janitor/plan.h"

#include <string.h>

#include "docker/name.h"

/* Whether all its digests are in repositories of its names: the engine drops them with these. 1, 0 or -ENOMEM. */
static int has_digests_of_names_only(const Image *image) {
        cleanup(strv_done) Strv repositories = STRV_NULL;

        if (image->digests.n == 0)
                return 1;
        for (size_t i = 0; i < image->names.n; i++)
                if (strv_addn(&repositories, image->names.v[i],
                              name_repository_length(image->names.v[i])) < 0)
                        return -ENOMEM;
        strv_sort(&repositories);
        for (size_t i = 0; i < image->digests.n; i++) {
                const char *digest = image->digests.v[i];
                cleanup_free char *repository = strndup(digest, strcspn(digest, "@"));

                if (!repository)
                        return -ENOMEM;
                if (!strv_sorted_contains(&repositories, repository))
                        return 0;
        }
        return 1;
}

/* `n_taken`: how many of its names the plan takes. 1, 0 or -ENOMEM. */
static int loses_all(const ClearPlan *plan, const Image *image, size_t n_taken) {
        for (size_t i = 0; i < image->names.n; i++)
                n_taken += strv_sorted_contains(&plan->trash, image->names.v[i]);
        return n_taken < image->names.n ? 0 : has_digests_of_names_only(image);
}

static void count_names(const ImageSet *images, const NamedImages *names, size_t *n_taken) {
        for (size_t i = 0; i < names->n; i++) {
                const Image *image = image_set_find(images, names->v[i].id);

                if (image)
                        n_taken[image - images->v]++;
        }
}

/* One an image: whether it is there after the plan. An image without a name or children goes only if the plan
 * says so; the engine deletes one without a name with the last of its children. */
static int find_staying(const Inventory *inventory, const ClearPlan *plan, bool **ret) {
        const ImageSet *images = &inventory->images;
        cleanup_free size_t *parents = NULL, *order = NULL;
        cleanup_free size_t *n_taken = calloc(images->n + 1, sizeof(*n_taken));
        cleanup_free bool *stays = calloc(images->n + 1, sizeof(*stays));
        int r;

        if (!n_taken || !stays)
                return -ENOMEM;
        r = plan_parents(inventory, &parents);
        if (r >= 0)
                r = plan_children_first(parents, images->n, &order);
        if (r < 0)
                return r;
        count_names(images, &plan->names, n_taken);
        count_names(images, &plan->replaced_tags, n_taken);
        for (size_t i = 0; i < plan->rollback_tags.n; i++) {
                const Image *image = image_set_find(images, plan->rollback_tags.v[i].id);

                if (image)
                        stays[image - images->v] = true;
        }
        for (size_t k = 0; k < images->n; k++) {
                const size_t i = order[k];
                const Image *image = &images->v[i];

                r = loses_all(plan, image, n_taken[i]);
                if (r < 0)
                        return r;
                stays[i] = stays[i] || r == 0 || image_may_be_used(inventory, image) ||
                           (image->names.n == 0 && !image_has_children(inventory, image) &&
                            !strv_sorted_contains(&plan->untagged, image->id));
                if (stays[i] && parents[i] != PLAN_NO_PARENT)
                        stays[parents[i]] = true;
        }
        *ret = TAKE_PTR(stays);
        return 0;
}

static void mark_deleted(const ImageSet *images, const bool *stays, NamedImages *names) {
        for (size_t i = 0; i < names->n; i++) {
                const Image *image = image_set_find(images, names->v[i].id);

                names->v[i].deleted = image && !stays[image - images->v];
        }
}

int plan_mark_deleted(const Inventory *inventory, ClearPlan *plan) {
        cleanup_free bool *stays = NULL;
        int r;

        r = find_staying(inventory, plan, &stays);
        if (r < 0)
                return r;
        mark_deleted(&inventory->images, stays, &plan->names);
        mark_deleted(&inventory->images, stays, &plan->replaced_tags);
        return 0;
}
