/* SPDX-License-Identifier: MIT */

/*
 * Whose an untagged image is can only be read from what it shares with images whose owner is
 * known: a compose project's label, a parent of the classic builder. A parent says nothing where it
 * is the base image both were built from, so the chain ends at the first image that others name.
 * Layers say nothing: BuildKit keeps no base image, so whose a common layer is can't be told.
 */

#include <stdio.h>
#include <string.h>

#include "docker/name.h"
#include "janitor/plan.h"

const Container *container_of_image(const Inventory *inventory, const char *image_id) {
        return container_set_holder(&inventory->containers, image_id);
}

static bool image_is_ours(const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_is_ours(config, image, image->names.v[i]) &&
                    !name_matches_any(&config->base, image->names.v[i]))
                        return true;
        return false;
}

/* Nobody but the janitor names it. (The containerd store lists a digest for every name; only a
 * digest without a name is a reference of its own.) */
static bool image_is_nameless(const Config *config, const Image *image) {
        if (image->names.n == 0)
                return image->digests.n == 0;
        for (size_t i = 0; i < image->names.n; i++)
                if (!name_is_trash(image->names.v[i]) &&
                    !name_is_rollback(config, image->names.v[i]))
                        return false;
        return true;
}

/* Whether a parent belongs to the chain; where not, it is what FROM named. */
static bool chain_takes(const Inventory *inventory, const Config *config, const Image *parent) {
        return image_is_classic(inventory, parent) &&
               (image_is_nameless(config, parent) || image_is_ours(config, parent));
}

/* The next image down the parent chain, or NULL at its end. */
static const Image *chain_next(const Inventory *inventory, const Config *config,
                               const Image *image) {
        const Image *parent = NULL;

        if (image->parent_id[0])
                parent = image_set_find(&inventory->images, image->parent_id);
        return parent && chain_takes(inventory, config, parent) ? parent : NULL;
}

/* The same by index, for whole sets. */
static size_t chain_next_index(const Inventory *inventory, const Config *config,
                               const size_t *parents, size_t image) {
        size_t parent = parents[image];

        if (parent == PLAN_NO_PARENT ||
            !chain_takes(inventory, config, &inventory->images.v[parent]))
                return PLAN_NO_PARENT;
        return parent;
}

/*
 * Where the chain of `image` ends at an image that others name although the classic builder made it,
 * that one's id: it may be a stage that was tagged, whose steps the next build takes. Else NULL. An
 * image that is meant to be built upon is told by [images] base.
 */
static const char *chain_end(const Inventory *inventory, const Config *config, const Image *image) {
        const Image *parent = image_set_find(&inventory->images, image->parent_id);

        if (!parent || !parent->parent_id[0])
                return NULL;
        for (size_t i = 0; i < parent->names.n; i++)
                if (name_matches_any(&config->base, parent->names.v[i]))
                        return NULL;
        return parent->id;
}

static int add_member(NamedImages *suspects, const char *id) {
        return !id || named_images_contain_id(suspects, id) ? 0
                                                            : named_images_add(suspects, "", id);
}

int plan_former_name(const Inventory *inventory, const Config *config, const Image *image,
                     char **ret) {
        const Container *container = container_of_image(inventory, image->id);
        cleanup_free char *name = NULL;

        *ret = NULL;
        if (!container || !image_is_untagged(image) ||
            strncmp(container->image, "sha256:", strlen("sha256:")) == 0 ||
            strchr(container->image, '@'))
                return 0;
        if (asprintf(&name, "%s%s", container->image, name_tag(container->image) ? "" : ":latest") <
            0)
                return -ENOMEM;
        if (name_in_scope(config, image, name))
                *ret = TAKE_PTR(name);
        return 0;
}

int plan_suspects(const Inventory *inventory, const Config *config, NamedImages *suspects) {
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];
                cleanup_free char *former = NULL;
                size_t n_left = inventory->images.n; /* in case an answer has a circle */
                const Image *next;
                bool taken = false;

                if (plan_former_name(inventory, config, image, &former) < 0)
                        return -ENOMEM;
                if (former) {
                        taken = true;
                        if (named_images_add_once(suspects, former, image->id) < 0)
                                return -ENOMEM;
                }
                for (size_t j = 0; j < image->names.n; j++) {
                        const char *name = image->names.v[j];

                        if (!name_in_scope(config, image, name))
                                continue;
                        taken = true;
                        if (named_images_add_once(suspects, name, image->id) < 0)
                                return -ENOMEM;
                }
                if (!taken)
                        continue;
                for (const Image *member = image; member && n_left > 0; member = next, n_left--) {
                        next = chain_next(inventory, config, member);
                        if (add_member(suspects,
                                       next ? next->id : chain_end(inventory, config, member)) < 0)
                                return -ENOMEM;
                }
        }
        return 0;
}

static bool project_is_ours(const Inventory *inventory, const Config *config, const char *project) {
        if (config->project && strcmp(config->project, project) == 0)
                return true;
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *other = &inventory->images.v[i];

                if (other->project && strcmp(other->project, project) == 0 &&
                    image_is_ours(config, other))
                        return true;
        }
        return false;
}

typedef struct Link {
        const char *id;
        size_t image;
} Link;

static int compare_links(const void *a, const void *b) {
        const Link *x = a, *y = b;

        return strcmp(x->id, y->id);
}

int plan_parents(const Inventory *inventory, size_t **ret) {
        const ImageSet *images = &inventory->images;
        cleanup_free Link *index = calloc(images->n + 1, sizeof(*index));
        size_t *parents = calloc(images->n + 1, sizeof(*parents));

        if (!index || !parents) {
                free(parents);
                return -ENOMEM;
        }
        for (size_t i = 0; i < images->n; i++)
                index[i] = (Link){ images->v[i].id, i };
        qsort(index, images->n, sizeof(*index), compare_links);
        for (size_t i = 0; i < images->n; i++) {
                const Link key = { .id = images->v[i].parent_id };
                const Link *found = NULL;

                if (key.id[0])
                        found = bsearch(&key, index, images->n, sizeof(*index), compare_links);
                parents[i] = found ? found->image : PLAN_NO_PARENT;
        }
        *ret = parents;
        return 0;
}

/* Who has an image in the parent chain of one that bears a name. */
#define OWNED_BY_US 1U
#define OWNED_BY_OTHERS 2U

/* Marks the parent chain of each named image with its owner. What follows a mark has it already. */
static void mark_owners(const Inventory *inventory, const Config *config, const size_t *parents,
                        unsigned char *owners) {
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];
                unsigned char mark;

                if (image_is_nameless(config, image))
                        continue;
                mark = image_is_ours(config, image) ? OWNED_BY_US : OWNED_BY_OTHERS;
                for (size_t j = i; j != PLAN_NO_PARENT && !(owners[j] & mark);
                     j = chain_next_index(inventory, config, parents, j))
                        owners[j] |= mark;
        }
}

static Claim claim_by_chain(const Inventory *inventory, const Config *config,
                            const NamedImages *suspects, const size_t *parents,
                            const unsigned char *owners, size_t image) {
        size_t n_left = inventory->images.n; /* in case an answer has a circle */
        Claim claim = CLAIM_NONE;

        for (size_t i = image; i != PLAN_NO_PARENT && n_left > 0; n_left--) {
                if (owners[i] & OWNED_BY_US ||
                    named_images_contain_id(suspects, inventory->images.v[i].id))
                        return CLAIM_OURS;
                if (owners[i] & OWNED_BY_OTHERS)
                        claim = CLAIM_FOREIGN;
                i = chain_next_index(inventory, config, parents, i);
        }
        return claim;
}

int plan_claims(const Inventory *inventory, const Config *config, const NamedImages *suspects,
                const size_t *parents, Claim **ret) {
        const ImageSet *images = &inventory->images;
        cleanup_free unsigned char *owners = calloc(images->n + 1, sizeof(*owners));
        Claim *claims = calloc(images->n + 1, sizeof(*claims));

        if (!owners || !claims) {
                free(claims);
                return -ENOMEM;
        }
        mark_owners(inventory, config, parents, owners);
        for (size_t i = 0; i < images->n; i++) {
                const Image *image = &images->v[i];

                if (image->names.n > 0)
                        claims[i] = CLAIM_NONE;
                else if (config->dangling_all || named_images_contain_id(suspects, image->id))
                        claims[i] = CLAIM_OURS;
                else if (image->project)
                        claims[i] = project_is_ours(inventory, config, image->project)
                                            ? CLAIM_OURS
                                            : CLAIM_FOREIGN;
                else
                        claims[i] = claim_by_chain(inventory, config, suspects, parents, owners, i);
        }
        *ret = claims;
        return 0;
}

static int make_claims(const Inventory *inventory, const Config *config,
                       const NamedImages *suspects, Claim **ret) {
        cleanup_free size_t *parents = NULL;
        int r = plan_parents(inventory, &parents);

        return r < 0 ? r : plan_claims(inventory, config, suspects, parents, ret);
}

int plan_unclaimed(const Inventory *inventory, const Config *config, const NamedImages *suspects,
                   UnclaimedImage found, void *userdata) {
        cleanup_free Claim *claims = NULL;
        int r = make_claims(inventory, config, suspects, &claims);

        if (r < 0)
                return r;
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];

                if (!image_is_untagged(image) || !image_is_classic(inventory, image) ||
                    image_has_children(inventory, image) || claims[i] != CLAIM_NONE)
                        continue;
                r = found(userdata, image);
                if (r < 0)
                        return r;
        }
        return 0;
}

/*
 * "REPO:wpcache-rollback-<12 of the id>", longer where another image bears that name. An image
 * that has a rollback tag already needs no second one.
 */
static int plan_rollback_tag(const Inventory *inventory, const Config *config, const Image *image,
                             const char *name, ClearPlan *plan) {
        const char *hex = strchr(image->id, ':');

        hex = hex ? hex + 1 : image->id;
        for (size_t i = 0; i < image->names.n; i++)
                if (name_is_rollback(config, image->names.v[i]))
                        return 0;
        for (int digits = 12; digits <= 64; digits += 4) {
                cleanup_free char *tag = NULL;
                const Image *bearer;

                if (asprintf(&tag, "%.*s:%s-%.*s", (int)name_repository_length(name), name,
                             config->rollback_tag, digits, hex) < 0)
                        return -ENOMEM;
                bearer = image_set_find_name(&inventory->images, tag);
                if (!bearer && !named_images_find(&plan->rollback_tags, tag))
                        return named_images_add(&plan->rollback_tags, tag, image->id);
        }
        return 0;
}

static int plan_image(const Inventory *inventory, const Config *config, Claim claim,
                      const Image *image, ClearPlan *plan) {
        const bool in_use = image_in_use(inventory, image);
        cleanup_free char *former = NULL;
        const char *first = NULL;
        int r;

        /* The engine lists it, but can't describe it: it is remaining, and left alone. */
        if (unreadable_contains(&inventory->images.unreadable, image->id))
                return 0;
        r = plan_former_name(inventory, config, image, &former);
        first = former;

        for (size_t i = 0; i < image->names.n && r >= 0; i++) {
                const char *name = image->names.v[i];

                /* The last name of an image in use is not the engine's to take. */
                if (name_is_trash(name) && (!in_use || image->names.n > 1))
                        r = strv_add(&plan->trash, name);
                plan->matches = plan->matches || name_is_ours(config, image, name);
                if (r < 0 || !name_in_scope(config, image, name))
                        continue;
                first = first ?: name;
                r = named_images_add(&plan->names, name, image->id);
        }
        if (r >= 0 && first && in_use)
                r = plan_rollback_tag(inventory, config, image, first, plan);
        if (r >= 0 && image_is_untagged(image) && !in_use &&
            !image_has_children(inventory, image) && claim == CLAIM_OURS)
                r = strv_add(&plan->untagged, image->id);
        return r;
}

static int add_once(Strv *list, const char *text) {
        return strv_contains(list, text) ? 0 : strv_add(list, text);
}

static int plan_other_projects(const Inventory *inventory, const Config *config, ClearPlan *plan) {
        Strv ours = STRV_NULL, all = STRV_NULL;
        int r = 0;

        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                const Image *image = &inventory->images.v[i];

                if (image->project)
                        r = add_once(image_is_ours(config, image) ? &ours : &all, image->project);
        }
        for (size_t i = 0; i < inventory->containers.n && r >= 0; i++)
                if (inventory->containers.v[i].project)
                        r = add_once(&all, inventory->containers.v[i].project);
        for (size_t i = 0; i < inventory->containers.n && r >= 0; i++) {
                const Container *container = &inventory->containers.v[i];
                const Image *image = image_set_find(&inventory->images, container->image_id);

                if (container->project && name_matches_any(&config->match, container->image))
                        r = add_once(&ours, container->project);
                else if (container->project && image && image_is_ours(config, image))
                        r = add_once(&ours, container->project);
        }
        strv_sort(&all);
        for (size_t i = 0; i < all.n && r >= 0; i++)
                if (!strv_contains(&ours, all.v[i]) &&
                    !(config->project && strcmp(config->project, all.v[i]) == 0))
                        r = strv_add(&plan->other_projects, all.v[i]);
        strv_done(&ours);
        strv_done(&all);
        return r;
}

/* Records by id, to follow parents. */
static int compare_record_ids(const void *a, const void *b) {
        const BuildRecord *const *x = a, *const *y = b;

        return strcmp((*x)->id, (*y)->id);
}

static const BuildRecord *find_record(const BuildRecord *const *index, size_t n, const char *id) {
        size_t low = 0;

        while (n > 0) {
                size_t half = n / 2;
                int c = strcmp(index[low + half]->id, id);

                if (c == 0)
                        return index[low + half];
                if (c < 0) {
                        low += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        return NULL;
}

/* Marks `record` and all it stands on. Every record is pushed once at most. */
static void mark_kept(const RecordSet *set, const BuildRecord *const *index, bool *kept,
                      const BuildRecord **stack, const BuildRecord *record) {
        size_t n_stack = 0;

        stack[n_stack++] = record;
        kept[record - set->v] = true;
        while (n_stack > 0) {
                const BuildRecord *top = stack[--n_stack];

                for (size_t i = 0; i < top->n_parents; i++) {
                        const BuildRecord *parent =
                                find_record(index, set->n, set->parents[top->parents + i]);

                        if (parent && !kept[parent - set->v]) {
                                kept[parent - set->v] = true;
                                stack[n_stack++] = parent;
                        }
                }
        }
}

static int plan_kept_mounts(const RecordSet *set, bool *kept, ClearPlan *plan) {
        cleanup_free const BuildRecord **index = calloc(set->n, sizeof(*index));
        cleanup_free const BuildRecord **stack = calloc(set->n, sizeof(*stack));
        int r = 0;

        if (!index || !stack)
                return -ENOMEM;
        for (size_t i = 0; i < set->n; i++)
                index[i] = &set->v[i];
        qsort(index, set->n, sizeof(*index), compare_record_ids);
        for (size_t i = 0; i < set->n; i++)
                if (set->v[i].type == RECORD_CACHE_MOUNT && !kept[i])
                        mark_kept(set, index, kept, stack, &set->v[i]);
        for (size_t i = 0; i < set->n && r >= 0; i++)
                if (kept[i])
                        r = strv_add(&plan->kept_mounts, set->v[i].id);
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
               const NamedImages *suspects, ClearPlan *ret) {
        cleanup(clear_plan_done) ClearPlan plan = { 0 };
        cleanup_free Claim *claims = NULL;
        int r;

        r = make_claims(inventory, config, suspects, &claims);
        if (r < 0)
                return r;
        if (options->target & TARGET_IMAGES)
                for (size_t i = 0; i < inventory->images.n && r >= 0; i++)
                        r = plan_image(inventory, config, claims[i], &inventory->images.v[i],
                                       &plan);
        if (r >= 0 && options->target & TARGET_BUILDER)
                r = plan_records(inventory, options, &plan);
        if (r >= 0 && options->target & TARGET_BUILDER)
                r = plan_other_projects(inventory, config, &plan);
        if (r < 0)
                return r;
        *ret = plan;
        plan = (ClearPlan){ 0 };
        return 0;
}

/* Takes the planned names off an image and puts its rollback tag on. */
static int predict_names(const ClearPlan *plan, Image *image) {
        cleanup(strv_done) Strv names = STRV_NULL;
        Strv old;

        for (size_t i = 0; i < image->names.n; i++)
                if (!named_images_find(&plan->names, image->names.v[i]) &&
                    !strv_contains(&plan->trash, image->names.v[i]) &&
                    strv_add(&names, image->names.v[i]) < 0)
                        return -ENOMEM;
        for (size_t i = 0; i < plan->rollback_tags.n; i++)
                if (strcmp(plan->rollback_tags.v[i].id, image->id) == 0 &&
                    strv_add(&names, plan->rollback_tags.v[i].name) < 0)
                        return -ENOMEM;
        old = image->names;
        image->names = names;
        names = old;
        if (image->names.n == 0)
                strv_done(&image->digests); /* those go with the last name */
        return 0;
}

/* Drops one image that nothing holds any more: 1; 0 if there is none. */
static int predict_removal(const Config *config, const ClearPlan *plan, const NamedImages *suspects,
                           Inventory *inventory) {
        ImageSet *images = &inventory->images;
        cleanup_free Claim *claims = NULL;
        int r = make_claims(inventory, config, suspects, &claims);

        if (r < 0)
                return r;
        for (size_t i = 0; i < images->n; i++) {
                Image *image = &images->v[i];

                if (!image_is_untagged(image) || container_of_image(inventory, image->id) ||
                    image_has_children(inventory, image) ||
                    (!strv_contains(&plan->untagged, image->id) && claims[i] != CLAIM_OURS))
                        continue;
                image_done(image);
                memmove(image, image + 1, (images->n - i - 1) * sizeof(*image));
                images->n--;
                return 1;
        }
        return 0;
}

int plan_predict(const Config *config, const ClearPlan *plan, const NamedImages *suspects,
                 Inventory *inventory) {
        RecordSet *records = &inventory->records;
        size_t n_kept = 0;
        int r;

        inventory->images.indexed = false;
        for (size_t i = 0; i < inventory->images.n; i++)
                if (predict_names(plan, &inventory->images.v[i]) < 0)
                        return -ENOMEM;
        do
                r = predict_removal(config, plan, suspects, inventory);
        while (r > 0);
        if (r < 0)
                return r;
        if (plan->n_records > 0) {
                for (size_t i = 0; i < records->n; i++)
                        if (records->v[i].in_use ||
                            strv_contains(&plan->kept_mounts, records->v[i].id))
                                records->v[n_kept++] = records->v[i];
                records->n = n_kept;
        }
        return 0;
}

void clear_plan_done(ClearPlan *plan) {
        named_images_done(&plan->rollback_tags);
        named_images_done(&plan->names);
        strv_done(&plan->untagged);
        strv_done(&plan->trash);
        strv_done(&plan->kept_mounts);
        strv_done(&plan->other_projects);
        *plan = (ClearPlan){ 0 };
}

bool clear_plan_empty(const ClearPlan *plan) {
        return plan->rollback_tags.n == 0 && plan->names.n == 0 && plan->untagged.n == 0 &&
               plan->trash.n == 0 && plan->n_records == 0;
}

static bool same_texts(const Strv *a, const Strv *b) {
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (!strv_contains(b, a->v[i]))
                        return false;
        return true;
}

/* In any order: the engine lists images of one age as it likes, each time anew. */
bool clear_plan_equal(const ClearPlan *a, const ClearPlan *b) {
        if (a->names.n != b->names.n || a->n_records != b->n_records ||
            a->record_bytes != b->record_bytes)
                return false;
        for (size_t i = 0; i < a->names.n; i++) {
                const NamedImage *other = named_images_find(&b->names, a->names.v[i].name);

                if (!other || strcmp(other->id, a->names.v[i].id) != 0)
                        return false;
        }
        return same_texts(&a->untagged, &b->untagged) && same_texts(&a->trash, &b->trash);
}

Json *clear_plan_json(const ClearPlan *plan, const ClearOptions *options,
                      const RemainingList *remaining, const Strv *assumes, const Strv *notes) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "target", target_to_string(options->target, options->app));
        r |= json_add(json, "names", named_images_json(&plan->names));
        r |= json_add(json, "rollbackTags", named_images_json(&plan->rollback_tags));
        r |= json_add(json, "untagged", json_new_strings(&plan->untagged));
        r |= json_add_int(json, "records", (int64_t)plan->n_records);
        r |= json_add_int(json, "recordBytes", (int64_t)plan->record_bytes);
        r |= json_add(json, "remaining", remaining_json(remaining));
        r |= json_add(json, "assumes", json_new_strings(assumes));
        r |= json_add(json, "notes", json_new_strings(notes));
        return r < 0 ? NULL : TAKE_PTR(json);
}
