/* SPDX-License-Identifier: MIT */

/*
 * The trap is in telling a name that came from one that went, by a mark alone: a rebuild takes the
 * name from a release, which must not make it the newest. So the mark counts names in its low byte;
 * fewer names than before are names lost, else at least one is new. (That two went and one came
 * between two looks passes for a loss; the engine's LastTagTime tells of it at the next close look.)
 */

#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "docker/name.h"
#include "janitor/plan.h"
#include "janitor/seen.h"

/* Of each name, summed: in any order. */
static uint64_t hash_names(const Strv *names) {
        uint64_t sum = 0;

        for (size_t i = 0; i < names->n; i++)
                sum += text_hash(names->v[i]);
        return (sum << 8) | MIN(names->n, (size_t)UINT8_MAX);
}

static int set_repository(SeenImage *seen, const char *name) {
        char *repository = strndup(name, name_repository_length(name));

        if (!repository)
                return -ENOMEM;
        free(seen->repository);
        seen->repository = repository;
        seen->dirty = true;
        return 0;
}

static bool is_repository_of(const char *repository, const char *name) {
        size_t n = name_repository_length(name);

        return repository && strlen(repository) == n && strncmp(repository, name, n) == 0;
}

/* The repository stays as long as one of the names is of it, and when the last name goes. */
static int update_repository(SeenImage *seen, const Inventory *inventory, const Config *config,
                             const Image *image) {
        cleanup_free char *former = NULL;
        const char *first = NULL;

        for (size_t i = 0; i < image->names.n; i++) {
                const char *name = image->names.v[i];

                /* Of protected and base images, too: they are no less so without their name. */
                if (!name_is_ours(config, image, name) &&
                    (name_is_trash(name) || name_is_rollback(config, name) ||
                     (!name_matches_any(&config->protect, name) &&
                      !name_matches_any(&config->base, name))))
                        continue;
                if (is_repository_of(seen->repository, name))
                        return 0;
                if (!first || strcmp(name, first) < 0)
                        first = name;
        }
        if (first)
                return set_repository(seen, first);
        if (seen->repository)
                return 0;
        if (plan_former_name(inventory, config, image, &former) < 0)
                return -ENOMEM;
        return former ? set_repository(seen, former) : 0;
}

static bool names_came(uint64_t old_hash, uint64_t new_hash) {
        return new_hash != old_hash && (new_hash & UINT8_MAX) >= (old_hash & UINT8_MAX);
}

static bool update_names(SeenImage *seen, const Image *image, int64_t age_now_sec) {
        uint64_t hash = hash_names(&image->names);

        if (hash == seen->names_hash)
                return false;
        if (names_came(seen->names_hash, hash))
                seen->named_sec = age_now_sec;
        seen->names_hash = hash;
        seen->dirty = true;
        return true;
}

static bool update_mark(SeenImage *seen, const Inventory *inventory, int64_t age_now_sec) {
        const ImageFacts *facts = fact_set_find(&inventory->facts, seen->id);
        int64_t tagged_sec = facts ? facts->last_tagged_sec : 0;
        bool named = false;

        if (tagged_sec == 0 || tagged_sec == seen->tag_mark)
                return false;
        if (seen->tag_mark == 0) {
                /* The first close look; it may have got its name again since it was first seen. A
                 * time ahead of the clock tells nothing. */
                if (tagged_sec <= inventory->observed_sec)
                        seen->named_sec = MAX(seen->named_sec,
                                              age_now_sec - (inventory->observed_sec - tagged_sec));
        } else if (tagged_sec > seen->tag_mark ||
                   inventory->image_store == IMAGE_STORE_GRAPHDRIVER) {
                seen->named_sec = age_now_sec;
                named = true;
        }
        seen->tag_mark = tagged_sec;
        seen->dirty = true;
        return named;
}

static void update_use(SeenImage *seen, const Inventory *inventory, int64_t age_now_sec) {
        const Container *container = container_of_image(inventory, seen->id);
        bool running = container && strcmp(container->state, "running") == 0;

        if (container) {
                if (seen->used_sec < 0 ||
                    seen->used_sec / SEEN_USED_COARSE_SEC != age_now_sec / SEEN_USED_COARSE_SEC)
                        seen->dirty = true;
                seen->used_sec = age_now_sec;
        }
        if (running != (seen->running_since_sec >= 0)) {
                seen->running_since_sec = running ? age_now_sec : -1;
                seen->dirty = true;
        }
}

static int compare_seen(const void *a, const void *b) {
        const SeenImage *x = a, *y = b;

        return strcmp(x->id, y->id);
}

static int compare_images(const void *a, const void *b) {
        const Image *const *x = a, *const *y = b;

        return strcmp((*x)->id, (*y)->id);
}

static SeenImage seen_new(const Image *image, int64_t age_now_sec) {
        SeenImage seen = {
                .first_seen_sec = age_now_sec,
                .named_sec = age_now_sec,
                .used_sec = -1,
                .running_since_sec = -1,
                .names_hash = hash_names(&image->names),
                .dirty = true,
        };

        strcpy(seen.id, image->id);
        return seen;
}

/* Both in order of ids: moves what stays from `old`, makes what is new, frees what is gone. `v` has
 * room for all. True if anything came or went. */
static bool merge(SeenImages *old, const Image *const *images, size_t n_images, int64_t age_now_sec,
                  SeenImage *v, size_t *ret_n) {
        bool changed = false;
        size_t j = 0, n = 0;

        for (size_t i = 0; i < n_images; i++) {
                if (n > 0 && strcmp(v[n - 1].id, images[i]->id) == 0)
                        continue;
                for (; j < old->n && strcmp(old->v[j].id, images[i]->id) < 0; j++) {
                        free(old->v[j].repository);
                        changed = true;
                }
                if (j < old->n && strcmp(old->v[j].id, images[i]->id) == 0) {
                        v[n++] = old->v[j++];
                } else {
                        v[n++] = seen_new(images[i], age_now_sec);
                        changed = true;
                }
        }
        for (; j < old->n; j++) {
                free(old->v[j].repository);
                changed = true;
        }
        *ret_n = n;
        return changed;
}

int seen_update(SeenImages *list, const Inventory *inventory, const Config *config,
                int64_t age_now_sec, bool *ret_changed) {
        const ImageSet *set = &inventory->images;
        cleanup_free const Image **images = calloc(set->n + 1, sizeof(*images));
        SeenImage *v = calloc(set->n + 1, sizeof(*v));
        bool changed, first = list->n == 0;
        size_t n = 0;
        int r = 0;

        /* An image that can't be read is not gone. Nothing is removed meanwhile, so nothing need be
         * known of those that came. */
        if (set->unreadable.n > 0) {
                free(v);
                return 0;
        }
        if (!images || !v) {
                free(v);
                return -ENOMEM;
        }
        for (size_t i = 0; i < set->n; i++)
                images[i] = &set->v[i];
        qsort(images, set->n, sizeof(*images), compare_images);
        if (list->n > 0)
                qsort(list->v, list->n, sizeof(*list->v), compare_seen);

        changed = merge(list, images, set->n, age_now_sec, v, &n);
        free(list->v);
        *list = (SeenImages){ v, n, set->n + 1 };

        for (size_t i = 0, j = 0; i < n; i++, j++) {
                while (strcmp(images[j]->id, v[i].id) != 0)
                        j++;
                changed |= update_names(&v[i], images[j], age_now_sec);
                changed |= update_mark(&v[i], inventory, age_now_sec);
                update_use(&v[i], inventory, age_now_sec);
                if (update_repository(&v[i], inventory, config, images[j]) < 0)
                        r = -ENOMEM;
        }
        if (r >= 0 && ret_changed)
                *ret_changed = changed && !first;
        return r;
}
