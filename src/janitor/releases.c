/* SPDX-License-Identifier: MIT */

/*
 * Two sorts of time meet here. Ages are of age time, which no setting of the wall clock changes; the
 * engine's own times are wall time, and can only make an image younger. The order within a repository
 * goes by age time too, and by the engine's times where images were first seen together: among
 * themselves those keep their order however wrong the clock is now. A time that lay ahead of the clock
 * when it was first read was made up, or stamped before the clock was set back, and counts less than
 * any other.
 */

#include <string.h>

#include "base/array.h"
#include "docker/name.h"
#include "janitor/plan.h"
#include "janitor/releases.h"

/* 2013-01-01: an image from before Docker was made with a time set by hand. */
#define DOCKER_BEGAN_SEC INT64_C(1356998400)

void releases_done(Releases *releases) {
        free(releases->facts);
        free(releases->members);
        free(releases->groups);
        *releases = (Releases){ 0 };
}

/* A time that is not before Docker; 0 where there is none. A script tags several releases in a second,
 * so the order needs more than that. */
static int64_t nsec_of(int64_t sec, int64_t rest_nsec) {
        if (sec < DOCKER_BEGAN_SEC)
                return 0;
        return sec < INT64_MAX / NSEC_PER_SEC ? sec * NSEC_PER_SEC + rest_nsec : INT64_MAX;
}

/* When others than the janitor last tagged it, by the engine. */
static int64_t last_tagged(const Releases *releases, const Image *image, const SeenImage *seen) {
        const ImageFacts *facts = fact_set_find(&releases->inventory->facts, image->id);

        if (facts && facts->last_tagged_sec != 0 &&
            !(seen && facts->last_tagged_sec == seen->own_mark))
                return nsec_of(facts->last_tagged_sec, facts->last_tagged_nsec % NSEC_PER_SEC);
        return seen ? nsec_of(seen->tag_mark, seen->tag_rest_nsec) : 0;
}

/*
 * The time of its name by the engine's clock: its last tag. A build sets Created before it tags, so
 * Created tells nothing beside a tag; alone (pulled, loaded) it stands for it. `ahead` are the times,
 * bits of SeenImage, not to be believed.
 */
static int64_t engine_time(unsigned ahead, int64_t created_nsec, int64_t tagged_nsec) {
        if (tagged_nsec > 0 && !(ahead & SEEN_TAG_AHEAD))
                return tagged_nsec;
        return ahead & SEEN_CREATED_AHEAD ? 0 : created_nsec;
}

static void find_times(const Releases *releases, const Image *image, Fact *fact) {
        const SeenImage *seen = fact->seen;
        const PolicyNow *now = releases->now;
        int64_t times[] = { nsec_of(image->created_sec, 0), last_tagged(releases, image, seen) };

        fact->named_sec = seen ? seen->named_sec : now->age_sec;
        fact->first_seen_sec = seen ? seen->first_seen_sec : now->age_sec;
        fact->engine_nsec = engine_time(seen ? seen->ahead : 0, times[0], times[1]);
        fact->told_nsec = engine_time(0, times[0], times[1]);
        fact->created_nsec = times[0];
        fact->age_sec = 0;
        if (seen)
                fact->age_sec = now->age_sec -
                                MAX(MAX(seen->first_seen_sec, seen->named_sec), seen->used_sec);
        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                int64_t sec = times[i] / NSEC_PER_SEC;

                if (sec > 0 && sec <= now->wall_sec)
                        fact->age_sec = MIN(fact->age_sec, now->wall_sec - sec);
        }
        fact->age_sec = MAX(fact->age_sec, (int64_t)0);
}

void releases_forget_tag(Fact *fact) {
        const SeenImage *seen = fact->seen;
        int64_t tagged_nsec = seen ? nsec_of(seen->tag_mark, seen->tag_rest_nsec) : 0;

        fact->engine_nsec = engine_time(seen ? seen->ahead : 0, fact->created_nsec, tagged_nsec);
        fact->told_nsec = engine_time(0, fact->created_nsec, tagged_nsec);
}

static int find_facts(Releases *releases, const SeenImages *seen, const NamedImages *suspects) {
        const Inventory *inventory = releases->inventory;
        const Config *config = releases->config;
        const size_t n = inventory->images.n;
        cleanup_free size_t *parents = NULL;
        cleanup_free const SeenImage **recalled = NULL;
        cleanup_free Claim *claims = NULL;
        int r;

        releases->facts = calloc(n + 1, sizeof(*releases->facts));
        if (!releases->facts)
                return -ENOMEM;
        r = plan_recall(inventory, seen, &recalled);
        if (r >= 0)
                r = plan_parents(inventory, &parents);
        if (r >= 0)
                r = plan_claims(inventory, config, suspects, parents, &claims);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                const Image *image = &inventory->images.v[i];

                releases->facts[i].seen = recalled[i];
                releases->facts[i].container = container_of_image(inventory, image->id);
                releases->facts[i].service = service_of_image(inventory, image);
                releases->facts[i].in_use = image_in_use(inventory, image);
                releases->facts[i].ours =
                        claims[i] == CLAIM_OURS &&
                        (config->dangling_all || !recalled[i] || !recalled[i]->not_ours);
                find_times(releases, image, &releases->facts[i]);
                if (parents[i] != PLAN_NO_PARENT)
                        releases->facts[parents[i]].has_children = true;
        }
        return 0;
}

/* Repositories */

static int compare_times(int64_t a, int64_t b) {
        return (a > b) - (a < b);
}

int releases_compare(const Releases *releases, size_t a, size_t b) {
        const Fact *x = &releases->facts[a], *y = &releases->facts[b];

        int c = -compare_times(x->named_sec, y->named_sec);

        c = c ?: -compare_times(x->engine_nsec, y->engine_nsec);
        c = c ?: -compare_times(x->told_nsec, y->told_nsec);
        c = c ?: -compare_times(x->created_nsec, y->created_nsec);
        c = c ?: -compare_times(x->first_seen_sec, y->first_seen_sec);
        return c
                       ?: strcmp(releases->inventory->images.v[a].id,
                                 releases->inventory->images.v[b].id);
}

static int compare_groups(const Member *a, const Member *b) {
        int c = (int)a->project - (int)b->project;

        if (c == 0)
                c = strncmp(a->group, b->group, MIN(a->n, b->n));
        return c != 0 ? c : (a->n > b->n) - (a->n < b->n);
}

static int compare_members(const void *a, const void *b, void *userdata) {
        const Member *x = a, *y = b;
        int c = compare_groups(x, y);

        return c != 0 ? c : releases_compare(userdata, x->image, y->image);
}

static int add_member(Releases *releases, const char *group, bool project, size_t image) {
        const Member member = { group, name_repository_length(group), project, image };

        if (array_grow(releases->members, releases->n_members, releases->members_size) < 0)
                return -ENOMEM;
        releases->members[releases->n_members++] = member;
        return 0;
}

/*
 * Whether a repository that was remembered is still one of [images] match, which may have changed. A
 * glob for certain tags can't tell without one.
 */
static bool remembered_is_ours(const Releases *releases, const Image *image,
                               const char *repository) {
        const Strv *match = &releases->config->match;

        if (name_is_ours(releases->config, image, repository))
                return true;
        for (size_t i = 0; i < match->n; i++)
                if (name_tag(match->v[i]))
                        return true;
        return false;
}

/* An image without a name belongs where it last had one. */
static int add_untagged(Releases *releases, size_t i) {
        const Inventory *inventory = releases->inventory;
        const Image *image = &inventory->images.v[i];
        Fact *fact = &releases->facts[i];
        cleanup_free char *former = NULL;
        const char *repository = fact->seen ? fact->seen->repository : NULL;

        /* What docker commit made of it is nowhere else, whatever name it bore. */
        if (repository && (!remembered_is_ours(releases, image, repository) ||
                           (fact->seen->not_ours && !releases->config->dangling_all)))
                repository = NULL;
        if (!repository) {
                if (plan_former_name(inventory, releases->config, image, &former) < 0)
                        return -ENOMEM;
                if (former)
                        repository = container_set_holder(&inventory->containers, image->id)->image;
        }
        if (repository) {
                fact->ours = true;
                return add_member(releases, repository, false, i);
        }
        if (fact->ours && image->project)
                return add_member(releases, image->project, true, i);
        return 0;
}

static int find_members(Releases *releases) {
        for (size_t i = 0; i < releases->inventory->images.n; i++) {
                const Image *image = &releases->inventory->images.v[i];

                if (image->names.n == 0 && add_untagged(releases, i) < 0)
                        return -ENOMEM;
                for (size_t j = 0; j < image->names.n; j++)
                        if (name_is_ours(releases->config, image, image->names.v[j]) &&
                            add_member(releases, image->names.v[j], false, i) < 0)
                                return -ENOMEM;
        }
        if (releases->n_members > 0)
                qsort_r(releases->members, releases->n_members, sizeof(*releases->members),
                        compare_members, releases);
        return 0;
}

/* An image with several names in one repository is one member of it. */
static void drop_repeated(Releases *releases) {
        size_t n = 0;

        for (size_t i = 0; i < releases->n_members; i++)
                if (n == 0 || releases->members[n - 1].image != releases->members[i].image ||
                    compare_groups(&releases->members[n - 1], &releases->members[i]) != 0)
                        releases->members[n++] = releases->members[i];
        releases->n_members = n;
}

/* Whether it has run for long enough to be trusted. */
static bool is_settled(const Releases *releases, size_t image) {
        const SeenImage *seen = releases->facts[image].seen;

        return seen && seen->running_since_sec >= 0 &&
               releases->now->age_sec - seen->running_since_sec >= SETTLED_SEC;
}

static void rank_group(Releases *releases, Group *group) {
        for (size_t i = 0; i < group->n; i++) {
                const Member *member = &releases->members[group->first + i];
                Fact *fact = &releases->facts[member->image];

                if (group->settled == RELEASES_NONE && is_settled(releases, member->image))
                        group->settled = member->image;
                if (fact->rank > 0 && fact->rank <= i + 1)
                        continue;
                fact->rank = (unsigned)i + 1;
                fact->of = (unsigned)group->n;
                fact->group = member->group;
        }
}

static int rank_members(Releases *releases) {
        drop_repeated(releases);
        releases->groups = calloc(releases->n_members + 1, sizeof(*releases->groups));
        if (!releases->groups)
                return -ENOMEM;
        for (size_t i = 0; i < releases->n_members;) {
                Group *group = &releases->groups[releases->n_groups++];

                *group = (Group){ .first = i, .n = 1, .settled = RELEASES_NONE };
                while (i + group->n < releases->n_members &&
                       compare_groups(&releases->members[i], &releases->members[i + group->n]) == 0)
                        group->n++;
                rank_group(releases, group);
                i += group->n;
        }
        return 0;
}

static const Group *find_group(const Releases *releases, const char *name) {
        const Member key = { .group = name, .n = name_repository_length(name) };
        size_t low = 0, n = releases->n_groups;

        while (n > 0) {
                size_t half = n / 2;
                const Group *group = &releases->groups[low + half];
                int c = compare_groups(&releases->members[group->first], &key);

                if (c == 0)
                        return group;
                if (c < 0) {
                        low += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        return NULL;
}

bool releases_superseded(const Releases *releases, size_t image, const char *name) {
        const Group *group = find_group(releases, name);

        return group && group->settled != RELEASES_NONE && group->settled != image &&
               releases_compare(releases, group->settled, image) < 0;
}

int releases_find(const Inventory *inventory, const SeenImages *seen, const NamedImages *suspects,
                  const Config *config, const PolicyNow *now, Releases *ret) {
        cleanup(releases_done) Releases releases = {
                .inventory = inventory,
                .config = config,
                .now = now,
        };

        if (find_facts(&releases, seen, suspects) < 0 || find_members(&releases) < 0 ||
            rank_members(&releases) < 0)
                return -ENOMEM;
        *ret = releases;
        releases = (Releases){ 0 };
        return 0;
}
