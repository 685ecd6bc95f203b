/* SPDX-License-Identifier: MIT */

/*
 * A clear's plan: the build cache, and what is said of the plan as a whole. Its images are
 * plan-images.c's.
 */

#include <stdio.h>
#include <string.h>

#include "base/index.h"
#include "docker/name.h"
#include "janitor/plan.h"

/* Names that stay, past this many, are not listed. */
#define KEPT_LISTED_MAX 100

/* The application's projects, and all that are known, each sorted and once. Whether an image is the
 * application's is asked once of each: many containers may be of one that has many names. */
static int find_projects(const Inventory *inventory, const Config *config, Strv *ours, Strv *all) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *is_ours = calloc(images->n + 1, sizeof(*is_ours));
        int r = 0;

        if (!is_ours)
                return -ENOMEM;
        if (config->project)
                r = strv_add(ours, config->project);
        for (size_t i = 0; i < images->n && r >= 0; i++) {
                const Image *image = &images->v[i];

                is_ours[i] = image_is_ours(config, image);
                if (image->project)
                        r = strv_add(is_ours[i] ? ours : all, image->project);
        }
        for (size_t i = 0; i < inventory->containers.n && r >= 0; i++) {
                const Container *container = &inventory->containers.v[i];
                const Image *image;

                if (!container->project)
                        continue;
                image = image_set_find(images, container->image_id);
                r = strv_add(name_matches_any(&config->match, container->image) ||
                                             (image && is_ours[image - images->v])
                                     ? ours
                                     : all,
                             container->project);
        }
        strv_sort(ours);
        strv_unique(ours);
        strv_sort(all);
        strv_unique(all);
        return r;
}

static int plan_other_projects(const Inventory *inventory, const Config *config, ClearPlan *plan) {
        cleanup(strv_done) Strv ours = STRV_NULL, all = STRV_NULL;
        int r;

        r = find_projects(inventory, config, &ours, &all);
        for (size_t i = 0; i < all.n && r >= 0; i++)
                if (!strv_sorted_contains(&ours, all.v[i]))
                        r = strv_add(&plan->other_projects, all.v[i]);
        return r;
}

/* Marks the record at `at` and all it stands on. Every record is pushed once at most. */
static void mark_kept(const RecordSet *set, const Index *by_id, bool *kept, size_t *stack,
                      size_t at) {
        size_t n_stack = 0;

        stack[n_stack++] = at;
        kept[at] = true;
        while (n_stack > 0) {
                const BuildRecord *top = &set->v[stack[--n_stack]];

                for (size_t i = 0; i < top->n_parents; i++) {
                        const IndexEntry *parent =
                                index_find(by_id, set->parents[top->parents + i], NULL);

                        if (parent && !kept[parent->at]) {
                                kept[parent->at] = true;
                                stack[n_stack++] = parent->at;
                        }
                }
        }
}

static int plan_kept_mounts(const RecordSet *set, bool *kept, ClearPlan *plan) {
        cleanup(index_done) Index by_id = { 0 };
        cleanup_free size_t *stack = calloc(set->n, sizeof(*stack));
        int r = 0;

        if (!stack)
                return -ENOMEM;
        for (size_t i = 0; i < set->n; i++)
                if (index_add(&by_id, set->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&by_id);
        for (size_t i = 0; i < set->n; i++)
                if (set->v[i].type == RECORD_CACHE_MOUNT && !kept[i])
                        mark_kept(set, &by_id, kept, stack, i);
        for (size_t i = 0; i < set->n && r >= 0; i++)
                if (kept[i])
                        r = strv_add(&plan->kept_mounts, set->v[i].id);
        strv_sort(&plan->kept_mounts);
        return r;
}

static int plan_records(const Inventory *inventory, const ClearOptions *options, ClearPlan *plan) {
        const RecordSet *set = &inventory->records;
        cleanup_free bool *kept = NULL;
        int r;

        plan->n_records = inventory->unreadable_records.n;
        if (set->n == 0)
                return 0;
        kept = calloc(set->n, sizeof(*kept));
        if (!kept)
                return -ENOMEM;
        if (options->keep_mounts) {
                r = plan_kept_mounts(set, kept, plan);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < set->n; i++)
                if (!set->v[i].in_use && !kept[i]) {
                        plan->n_records++;
                        plan->record_bytes += set->v[i].size_bytes;
                }
        return 0;
}

int plan_clear(const Inventory *inventory, const Config *config, const ClearOptions *options,
               const NamedImages *suspects, const ClearContext *context, ClearPlan *ret) {
        cleanup(clear_plan_done) ClearPlan plan = { 0 };
        int r = 0;

        if (options->target & TARGET_IMAGES)
                r = plan_images(inventory, config, options, suspects, context, &plan);
        if (r >= 0 && options->target & TARGET_BUILDER)
                r = plan_records(inventory, options, &plan);
        if (r >= 0 && options->target & TARGET_BUILDER)
                r = plan_other_projects(inventory, config, &plan);
        if (r >= 0)
                r = named_images_prepare(&plan.names);
        if (r >= 0)
                r = named_images_prepare(&plan.replaced_tags);
        if (r < 0)
                return r;
        *ret = plan;
        plan = (ClearPlan){ 0 };
        return 0;
}

void clear_plan_done(ClearPlan *plan) {
        named_images_done(&plan->rollback_tags);
        named_images_done(&plan->names);
        named_images_done(&plan->replaced_tags);
        for (size_t i = 0; i < plan->kept.n; i++)
                free(plan->kept.v[i].name);
        free(plan->kept.v);
        strv_done(&plan->untagged);
        strv_done(&plan->trash);
        strv_done(&plan->kept_mounts);
        strv_done(&plan->other_projects);
        *plan = (ClearPlan){ 0 };
}

void clear_plan_leave_images(ClearPlan *plan) {
        named_images_done(&plan->rollback_tags);
        named_images_done(&plan->names);
        named_images_done(&plan->replaced_tags);
        strv_done(&plan->untagged);
        strv_done(&plan->trash);
}

bool clear_plan_empty(const ClearPlan *plan) {
        return plan->rollback_tags.n == 0 && plan->names.n == 0 && plan->replaced_tags.n == 0 &&
               plan->untagged.n == 0 && plan->trash.n == 0 && plan->n_records == 0;
}

static bool same_names(const NamedImages *a, const NamedImages *b) {
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++) {
                const NamedImage *other = named_images_find(b, a->v[i].name);

                if (!other || strcmp(other->id, a->v[i].id) != 0)
                        return false;
        }
        return true;
}

/* In any order: the engine lists images of one age as it likes, each time anew. */
bool clear_plan_equal(const ClearPlan *a, const ClearPlan *b) {
        return a->n_records == b->n_records && a->record_bytes == b->record_bytes &&
               same_names(&a->names, &b->names) &&
               same_names(&a->replaced_tags, &b->replaced_tags) &&
               strv_equal(&a->untagged, &b->untagged) && strv_equal(&a->trash, &b->trash);
}

static Json *kept_json(const KeptNames *kept) {
        static const char *const reasons[] = {
                [KEPT_OLDER] = "older", [KEPT_BASE] = "base", [KEPT_COMMIT] = "commit"
        };
        cleanup(json_free) Json *array = json_new_array();

        for (size_t i = 0; i < MIN(kept->n, (size_t)KEPT_LISTED_MAX); i++) {
                cleanup(json_free) Json *entry = json_new_object();
                int r;

                r = json_add_string(entry, "name", kept->v[i].name);
                r |= json_add_string(entry, "imageId", kept->v[i].id);
                r |= json_add_string(entry, "reason", reasons[kept->v[i].reason]);
                r |= json_add(array, NULL, TAKE_PTR(entry));
                if (r < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

Json *clear_plan_json(const ClearPlan *plan, const ClearOptions *options,
                      const RemainingList *remaining, const Strv *assumes, const Strv *notes) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "target", target_to_string(options->target, options->app));
        r |= json_add(json, "names", named_images_json(&plan->names));
        r |= json_add(json, "rollbackTags", named_images_json(&plan->rollback_tags));
        r |= json_add(json, "replacedTags", named_images_json(&plan->replaced_tags));
        r |= json_add(json, "kept", kept_json(&plan->kept));
        r |= json_add_int(json, "keptNames", (int64_t)plan->kept.n);
        r |= json_add(json, "untagged", json_new_strings(&plan->untagged));
        r |= json_add_int(json, "records", (int64_t)plan->n_records);
        r |= json_add_int(json, "recordBytes", (int64_t)plan->record_bytes);
        r |= json_add(json, "remaining", remaining_json(remaining));
        r |= json_add(json, "assumes", json_new_strings(assumes));
        r |= json_add(json, "notes", json_new_strings(notes));
        return r < 0 ? NULL : TAKE_PTR(json);
}
