/* SPDX-License-Identifier: MIT */

/*
 * The trap is in telling a name that came from one that went, by a mark alone: a rebuild takes the
 * name from a release, which must not make it the newest. So the mark counts names in its low byte;
 * fewer names than before are names lost, else at least one is new. (That two went and one came
 * between two looks passes for a loss; the engine's LastTagTime tells of it at the next close look.)
 *
 * The janitor's own tags move LastTagTime as others' do. The engine does not tell which tag it is of,
 * so the first LastTagTime that is read after a tag of ours came is taken for ours. That holds after
 * a crash too, since nothing has to be written down when the tag is made; what others did between our
 * tag and that look is lost, so a poll makes it at once (look.c).
 */

#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "docker/name.h"
#include "janitor/plan.h"
#include "janitor/seen.h"

/* What the host's and a builder's clock may differ. */
#define AHEAD_SEC 3600

static bool is_own(const Config *config, const Image *image, const char *name) {
        return name_is_trash(name) || name_is_rollback(config, image, name);
}

/* Of each name of others, or of each that is the janitor's own, summed: in any order. */
static uint64_t hash_names(const Config *config, const Image *image, bool own) {
        uint64_t sum = 0;
        size_t n = 0;

        for (size_t i = 0; i < image->names.n; i++)
                if (is_own(config, image, image->names.v[i]) == own) {
                        sum += text_hash(image->names.v[i]);
                        n++;
                }
        return (sum << 8) | MIN(n, (size_t)UINT8_MAX);
}

static bool has_names(uint64_t hash) {
        return (hash & UINT8_MAX) > 0;
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

/* Protected and base images are no less so without their name. */
static bool tells_repository(const Config *config, const Image *image, const char *name) {
        return name_is_ours(config, image, name) ||
               (!is_own(config, image, name) && (name_matches_any(&config->protect, name) ||
                                                 name_matches_any(&config->base, name)));
}

/* The repository stays as long as one of the names is of it, and when the last name goes. */
static int update_repository(SeenImage *seen, const Inventory *inventory, const Config *config,
                             const Image *image) {
        cleanup_free char *former = NULL;
        const char *first = NULL;

        for (size_t i = 0; i < image->names.n; i++) {
                const char *name = image->names.v[i];

                if (!tells_repository(config, image, name))
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
        if (image->former && tells_repository(config, image, image->former))
                return set_repository(seen, image->former);
        if (plan_former_name(inventory, config, image, &former) < 0)
                return -ENOMEM;
        return former ? set_repository(seen, former) : 0;
}

static bool names_came(uint64_t old_hash, uint64_t new_hash) {
        return new_hash != old_hash && (new_hash & UINT8_MAX) >= (old_hash & UINT8_MAX);
}

static bool update_names(SeenImage *seen, const Config *config, const Image *image,
                         int64_t age_now_sec) {
        uint64_t hash = hash_names(config, image, false);

        if (hash == seen->names_hash)
                return false;
        if (names_came(seen->names_hash, hash))
                seen->named_sec = age_now_sec;
        seen->names_hash = hash;
        seen->dirty = true;
        return true;
}

static void update_own_names(SeenImage *seen, const Config *config, const Image *image,
                             int64_t age_now_sec) {
        uint64_t hash = hash_names(config, image, true);
        bool rollback;

        if (hash == seen->own_hash)
                return;
        if (names_came(seen->own_hash, hash))
                seen->own_mark = 0;
        rollback = image_has_rollback_tag(config, image);
        if (rollback != (seen->rollback_since_sec >= 0))
                seen->rollback_since_sec = rollback ? age_now_sec : -1;
        seen->own_hash = hash;
        seen->dirty = true;
}

bool seen_wants_own_mark(const SeenImage *seen) {
        return has_names(seen->own_hash) && seen->own_mark == 0;
}

void seen_set_own_mark(SeenImage *seen, int64_t tagged_sec) {
        seen->own_mark = tagged_sec;
        seen->dirty = true;
}

/* Nobody but the janitor tags an image and leaves it without a name. */
static bool is_own_mark(const SeenImage *seen) {
        bool nameless = !has_names(seen->names_hash);

        return seen_wants_own_mark(seen) ||
               (nameless && (has_names(seen->own_hash) || seen->tag_mark != 0));
}

bool seen_is_ahead(const Inventory *inventory, int64_t sec) {
        return sec > inventory->observed_sec + AHEAD_SEC;
}

/*
 * When the image got the name that moved the mark to `tagged_sec`, in age time. The first mark that is
 * read may be older than the daemon, and then tells nothing that was not seen. A later one is of a tag
 * made since the mark was read before; where by the clock it was not, the clock was set, and it counts
 * as made now.
 */
static int64_t naming_time(const SeenImage *seen, const Inventory *inventory, int64_t tagged_sec,
                           int64_t age_now_sec) {
        int64_t age_sec = age_now_sec - (inventory->observed_sec - tagged_sec);

        if (tagged_sec > inventory->observed_sec)
                return seen->tag_mark == 0 ? seen->named_sec : age_now_sec;
        if (seen->tag_mark == 0 || (seen->marked_sec >= 0 && age_sec >= seen->marked_sec))
                return MAX(seen->named_sec, age_sec);
        return age_now_sec;
}

/* A LastTagTime that was not read before: true if the image got a name since the mark was read. */
static bool move_mark(SeenImage *seen, const Inventory *inventory, int64_t tagged_sec,
                      int64_t age_now_sec) {
        bool named;

        if (is_own_mark(seen)) {
                seen_set_own_mark(seen, tagged_sec);
                return false;
        }
        /* On the containerd store it goes back as names are taken away. */
        named = tagged_sec > seen->tag_mark || inventory->image_store == IMAGE_STORE_GRAPHDRIVER;
        if (named)
                seen->named_sec = naming_time(seen, inventory, tagged_sec, age_now_sec);
        seen->ahead = (seen->ahead & ~SEEN_TAG_AHEAD) |
                      (seen_is_ahead(inventory, tagged_sec) ? SEEN_TAG_AHEAD : 0);
        named = named && seen->tag_mark != 0;
        seen->tag_mark = tagged_sec;
        seen->dirty = true;
        return named;
}

bool seen_was_tagged(const SeenImage *seen, ImageStore store, int64_t sec, int64_t nsec) {
        int64_t rest_nsec = nsec % NSEC_PER_SEC;

        if (sec == 0 || seen->tag_mark == 0 || sec == seen->own_mark)
                return false;
        if (store == IMAGE_STORE_GRAPHDRIVER)
                return sec != seen->tag_mark || rest_nsec != seen->tag_rest_nsec;
        return sec > seen->tag_mark || (sec == seen->tag_mark && rest_nsec > seen->tag_rest_nsec);
}

static void update_rest(SeenImage *seen, int64_t rest_nsec) {
        seen->dirty = seen->dirty || seen->tag_rest_nsec != rest_nsec;
        seen->tag_rest_nsec = rest_nsec;
}

static bool update_mark(SeenImage *seen, const Inventory *inventory, int64_t age_now_sec) {
        const ImageFacts *facts = fact_set_find(&inventory->facts, seen->id);
        int64_t tagged_sec = facts ? facts->last_tagged_sec : 0;
        bool named = false;

        if (facts && facts->inspected)
                seen->inspected_usec = MAX(seen->inspected_usec, facts->inspected_usec);
        if (tagged_sec == 0)
                return false;
        if (tagged_sec != seen->tag_mark && tagged_sec != seen->own_mark)
                named = move_mark(seen, inventory, tagged_sec, age_now_sec);
        /* In the second of one of the janitor's tags the nanoseconds are those of that tag. */
        if (tagged_sec == seen->tag_mark && tagged_sec != seen->own_mark &&
            !seen_wants_own_mark(seen))
                update_rest(seen, facts->last_tagged_nsec % NSEC_PER_SEC);
        seen->marked_sec = age_now_sec;
        return named;
}

/* What an inventory without facts does not tell stays as it is. */
static void update_owner(SeenImage *seen, const Inventory *inventory) {
        const ImageFacts *facts = fact_set_find(&inventory->facts, seen->id);

        if (!facts || facts_not_ours(facts) == seen->not_ours)
                return;
        seen->not_ours = !seen->not_ours;
        seen->dirty = true;
}

static void update_use(SeenImage *seen, const Inventory *inventory, const Image *image,
                       int64_t age_now_sec) {
        const Container *container = container_of_image(inventory, seen->id);
        bool running = container && strcmp(container->state, "running") == 0;

        if (container || container_that_may_mount(inventory, image) ||
            service_of_image(inventory, image)) {
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

static SeenImage seen_new(const Inventory *inventory, const Config *config, const Image *image,
                          int64_t age_now_sec) {
        SeenImage seen = {
                .first_seen_sec = age_now_sec,
                .named_sec = age_now_sec,
                .used_sec = -1,
                .running_since_sec = -1,
                .rollback_since_sec = -1,
                .marked_sec = -1,
                .ahead = seen_is_ahead(inventory, image->created_sec) ? SEEN_CREATED_AHEAD : 0,
                .names_hash = hash_names(config, image, false),
                .dirty = true,
        };

        strcpy(seen.id, image->id);
        return seen;
}

/* What is not listed is gone, but where the list has images that can't be read: it may be one of those. True if
 * it is gone. */
static bool drop(SeenImage *seen, const Inventory *inventory, SeenImage *v, size_t *n) {
        if (inventory->images.unreadable.n > 0) {
                v[(*n)++] = *seen;
                return false;
        }
        free(seen->repository);
        return true;
}

/* Both in order of ids: moves what stays from `old`, makes what is new, drops what is gone. `v` has room for
 * all. True if anything came or went. */
static bool merge(SeenImages *old, const Inventory *inventory, const Config *config,
                  const Image *const *images, size_t n_images, int64_t age_now_sec, SeenImage *v,
                  size_t *ret_n) {
        bool changed = false;
        size_t j = 0, n = 0;

        for (size_t i = 0; i < n_images; i++) {
                if (n > 0 && strcmp(v[n - 1].id, images[i]->id) == 0)
                        continue;
                for (; j < old->n && strcmp(old->v[j].id, images[i]->id) < 0; j++)
                        changed |= drop(&old->v[j], inventory, v, &n);
                if (j < old->n && strcmp(old->v[j].id, images[i]->id) == 0) {
                        v[n++] = old->v[j++];
                } else {
                        v[n++] = seen_new(inventory, config, images[i], age_now_sec);
                        changed = true;
                }
        }
        for (; j < old->n; j++)
                changed |= drop(&old->v[j], inventory, v, &n);
        *ret_n = n;
        return changed;
}

int seen_update(SeenImages *list, const Inventory *inventory, const Config *config,
                int64_t age_now_sec, bool *ret_changed) {
        const ImageSet *set = &inventory->images;
        cleanup_free const Image **images = calloc(set->n + 1, sizeof(*images));
        const size_t size = set->n + list->n + 1;
        SeenImage *v = calloc(size, sizeof(*v));
        bool changed, first = list->n == 0;
        size_t n = 0;
        int r = 0;

        if (!images || !v) {
                free(v);
                return -ENOMEM;
        }
        for (size_t i = 0; i < set->n; i++)
                images[i] = &set->v[i];
        qsort(images, set->n, sizeof(*images), compare_images);
        if (list->n > 0)
                qsort(list->v, list->n, sizeof(*list->v), compare_seen);

        changed = merge(list, inventory, config, images, set->n, age_now_sec, v, &n);
        free(list->v);
        *list = (SeenImages){ v, n, size };

        for (size_t i = 0, j = 0; i < n; i++) {
                while (j < set->n && strcmp(images[j]->id, v[i].id) < 0)
                        j++;
                if (j == set->n || strcmp(images[j]->id, v[i].id) != 0)
                        continue;
                changed |= update_names(&v[i], config, images[j], age_now_sec);
                update_own_names(&v[i], config, images[j], age_now_sec);
                changed |= update_mark(&v[i], inventory, age_now_sec);
                update_owner(&v[i], inventory);
                update_use(&v[i], inventory, images[j], age_now_sec);
                if (update_repository(&v[i], inventory, config, images[j]) < 0)
                        r = -ENOMEM;
        }
        if (r >= 0 && ret_changed)
                *ret_changed = changed && !first;
        return r;
}
