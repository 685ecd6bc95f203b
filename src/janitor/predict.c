/* SPDX-License-Identifier: MIT */

/*
 * What a host looks like after a plan. An image that goes may take its parent with it, and that one
 * its own: images are taken from a list of those that nothing holds, and a parent joins the list when
 * its last child went, so that each image is visited once.
 */

#include "janitor/plan.h"

/* Takes the planned names off an image and puts its rollback tag on. */
static int predict_names(const ClearPlan *plan, const Index *tags, Image *image) {
        cleanup(strv_done) Strv names = STRV_NULL;
        const IndexEntry *tag;
        size_t n_tags;
        Strv old;

        for (size_t i = 0; i < image->names.n; i++)
                if (!named_images_find(&plan->names, image->names.v[i]) &&
                    !named_images_find(&plan->replaced_tags, image->names.v[i]) &&
                    !strv_sorted_contains(&plan->trash, image->names.v[i]) &&
                    strv_add(&names, image->names.v[i]) < 0)
                        return -ENOMEM;
        tag = index_find(tags, image->id, &n_tags);
        for (size_t i = 0; i < n_tags; i++)
                if (strv_add(&names, plan->rollback_tags.v[tag[i].at].name) < 0)
                        return -ENOMEM;
        old = image->names;
        image->names = names;
        names = old;
        if (image->names.n == 0)
                strv_done(&image->digests); /* those go with the last name */
        return 0;
}

static int predict_all_names(const ClearPlan *plan, ImageSet *images) {
        cleanup(index_done) Index tags = { 0 };
        int r = 0;

        for (size_t i = 0; i < plan->rollback_tags.n; i++)
                if (index_add(&tags, plan->rollback_tags.v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&tags);
        for (size_t i = 0; i < images->n && r >= 0; i++)
                r = predict_names(plan, &tags, &images->v[i]);
        return r < 0 ? r : image_set_index(images);
}

/* The images that go; one element of each an image. */
typedef struct Prediction {
        size_t *parents, *n_children;
        Claim *claims;
        size_t *list; /* room for all */
        bool *gone;
} Prediction;

static void prediction_donep(Prediction *prediction) {
        free(prediction->parents);
        free(prediction->n_children);
        free(prediction->claims);
        free(prediction->list);
        free(prediction->gone);
}

static bool may_go(const Inventory *inventory, const ClearPlan *plan, const Prediction *prediction,
                   size_t i) {
        const Image *image = &inventory->images.v[i];

        return prediction->n_children[i] == 0 && image_is_untagged(image) &&
               !image_may_be_used(inventory, image) &&
               (prediction->claims[i] == CLAIM_OURS ||
                strv_sorted_contains(&plan->untagged, image->id));
}

static void remove_leaves(const Inventory *inventory, const ClearPlan *plan,
                          Prediction *prediction) {
        size_t n = 0;

        for (size_t i = 0; i < inventory->images.n; i++)
                if (may_go(inventory, plan, prediction, i))
                        prediction->list[n++] = i;
        for (size_t next = 0; next < n; next++) {
                size_t image = prediction->list[next], parent = prediction->parents[image];

                prediction->gone[image] = true;
                if (parent == PLAN_NO_PARENT)
                        continue;
                prediction->n_children[parent]--;
                if (!prediction->gone[parent] && may_go(inventory, plan, prediction, parent))
                        prediction->list[n++] = parent;
        }
}

static int predict_removals(const Config *config, const ClearPlan *plan,
                            const NamedImages *suspects, Inventory *inventory) {
        ImageSet *images = &inventory->images;
        const size_t n = images->n;
        cleanup(prediction_done) Prediction prediction = {
                .n_children = calloc(n + 1, sizeof(*prediction.n_children)),
                .list = calloc(n + 1, sizeof(*prediction.list)),
                .gone = calloc(n + 1, sizeof(*prediction.gone)),
        };
        size_t n_kept = 0;
        int r;

        if (!prediction.n_children || !prediction.list || !prediction.gone)
                return -ENOMEM;
        r = plan_parents(inventory, &prediction.parents);
        if (r >= 0)
                r = plan_claims(inventory, config, suspects, prediction.parents,
                                &prediction.claims);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (prediction.parents[i] != PLAN_NO_PARENT)
                        prediction.n_children[prediction.parents[i]]++;
        remove_leaves(inventory, plan, &prediction);
        for (size_t i = 0; i < n; i++) {
                if (prediction.gone[i])
                        image_done(&images->v[i]);
                else
                        images->v[n_kept++] = images->v[i];
        }
        images->n = n_kept;
        return image_set_index(images);
}

int plan_predict(const Config *config, const ClearPlan *plan, const NamedImages *suspects,
                 Inventory *inventory) {
        RecordSet *records = &inventory->records;
        size_t n_kept = 0;
        int r;

        r = predict_all_names(plan, &inventory->images);
        if (r >= 0)
                r = predict_removals(config, plan, suspects, inventory);
        if (r < 0 || plan->n_records == 0)
                return r;
        for (size_t i = 0; i < records->n; i++)
                if (records->v[i].in_use ||
                    strv_sorted_contains(&plan->kept_mounts, records->v[i].id))
                        records->v[n_kept++] = records->v[i];
        records->n = n_kept;
        return 0;
}
