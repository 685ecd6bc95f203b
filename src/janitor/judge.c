/* SPDX-License-Identifier: MIT */

/*
 * Images are judged one by one, by the first rule that applies; only then, under disk pressure, what
 * no rule but age keeps is taken, oldest first. Two sorts of time meet here. Ages are of age time,
 * which no setting of the wall clock changes; the engine's own times are wall time, and can only make
 * an image younger. The order within a repository goes by age time too, and by the engine's times
 * where images were first seen together: among themselves those keep their order however wrong the
 * clock is, so one that lies ahead of it counts there.
 */

#include <string.h>

#include "base/array.h"
#include "docker/name.h"
#include "janitor/judge.h"
#include "janitor/plan.h"

/* 2013-01-01: an image from before Docker was made with a time set by hand. */
#define DOCKER_BEGAN_SEC INT64_C(1356998400)
/* How long a newer release has to run before the tag to roll back to expires. */
#define SETTLED_SEC (24 * 3600)

/* What is known of an image besides its entry in the list. */
typedef struct Fact {
        const SeenImage *seen; /* NULL: not yet */
        const Container *container;
        bool has_children;
        bool ours; /* without a name, but the application's */
        int64_t age_sec;
        int64_t named_sec;  /* age time */
        int64_t engine_sec; /* wall time; 0: none that can be */
} Fact;

/* An image's place in a repository, or among the images without a name of a compose project. */
typedef struct Member {
        const char *group; /* see RULE_KEEP_LAST */
        size_t n;          /* of which the repository is so long */
        bool project;
        size_t image;
} Member;

/* What all rules read; `plan` is what they write. */
typedef struct Judge {
        const Inventory *inventory;
        const NamedImages *suspects;
        const Config *config;
        const PolicyNow *now;
        PolicyPlan *plan;
        Fact *facts; /* one an image */
        Member *members;
        size_t n_members, members_size;
} Judge;

static void judge_donep(Judge *judge) {
        free(judge->facts);
        free(judge->members);
}

static int compare_seen(const void *a, const void *b) {
        const SeenImage *const *x = a, *const *y = b;

        return strcmp((*x)->id, (*y)->id);
}

static int compare_seen_id(const void *id, const void *element) {
        const SeenImage *const *seen = element;

        return strcmp(id, (*seen)->id);
}

static int find_seen(const Judge *judge, const SeenImages *seen) {
        const ImageSet *images = &judge->inventory->images;
        cleanup_free const SeenImage **index = calloc(seen->n + 1, sizeof(*index));

        if (!index)
                return -ENOMEM;
        for (size_t i = 0; i < seen->n; i++)
                index[i] = &seen->v[i];
        qsort(index, seen->n, sizeof(*index), compare_seen);
        for (size_t i = 0; i < images->n && seen->n > 0; i++) {
                const SeenImage **found =
                        bsearch(images->v[i].id, index, seen->n, sizeof(*index), compare_seen_id);

                judge->facts[i].seen = found ? *found : NULL;
        }
        return 0;
}

static void find_times(const Judge *judge, const Image *image, Fact *fact) {
        const ImageFacts *facts = fact_set_find(&judge->inventory->facts, image->id);
        const SeenImage *seen = fact->seen;
        const PolicyNow *now = judge->now;
        int64_t times[] = {
                image->created_sec,
                facts && facts->last_tagged_sec != 0 ? facts->last_tagged_sec
                : seen                               ? seen->tag_mark
                                                     : 0,
        };

        fact->named_sec = seen ? seen->named_sec : now->age_sec;
        fact->age_sec = 0;
        if (seen)
                fact->age_sec = now->age_sec -
                                MAX(MAX(seen->first_seen_sec, seen->named_sec), seen->used_sec);
        for (size_t i = 0; i < ELEMENTSOF(times); i++) {
                if (times[i] < DOCKER_BEGAN_SEC)
                        continue;
                fact->engine_sec = MAX(fact->engine_sec, times[i]);
                if (times[i] <= now->wall_sec)
                        fact->age_sec = MIN(fact->age_sec, now->wall_sec - times[i]);
        }
        fact->age_sec = MAX(fact->age_sec, (int64_t)0);
}

static int find_facts(Judge *judge, const SeenImages *seen) {
        const Inventory *inventory = judge->inventory;
        const size_t n = inventory->images.n;
        cleanup_free size_t *parents = NULL;
        cleanup_free Claim *claims = NULL;
        int r;

        judge->facts = calloc(n + 1, sizeof(*judge->facts));
        if (!judge->facts)
                return -ENOMEM;
        r = find_seen(judge, seen);
        if (r >= 0)
                r = plan_parents(inventory, &parents);
        if (r >= 0)
                r = plan_claims(inventory, judge->config, judge->suspects, parents, &claims);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                const Image *image = &inventory->images.v[i];

                judge->facts[i].container = container_of_image(inventory, image->id);
                judge->facts[i].ours = claims[i] == CLAIM_OURS;
                find_times(judge, image, &judge->facts[i]);
                if (parents[i] != PLAN_NO_PARENT)
                        judge->facts[parents[i]].has_children = true;
        }
        return 0;
}

/* Repositories */

/* Below zero if `a` is newer than `b`. */
static int compare_age(const Judge *judge, size_t a, size_t b) {
        const Fact *x = &judge->facts[a], *y = &judge->facts[b];

        if (x->named_sec != y->named_sec)
                return x->named_sec > y->named_sec ? -1 : 1;
        if (x->engine_sec != y->engine_sec)
                return x->engine_sec > y->engine_sec ? -1 : 1;
        return strcmp(judge->inventory->images.v[a].id, judge->inventory->images.v[b].id);
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

        return c != 0 ? c : compare_age(userdata, x->image, y->image);
}

static int add_member(Judge *judge, const char *group, bool project, size_t image) {
        const Member member = { group, name_repository_length(group), project, image };

        for (size_t i = judge->n_members; i > 0 && judge->members[i - 1].image == image; i--)
                if (compare_groups(&judge->members[i - 1], &member) == 0)
                        return 0;
        if (array_grow(judge->members, judge->n_members, judge->members_size) < 0)
                return -ENOMEM;
        judge->members[judge->n_members++] = member;
        return 0;
}

/*
 * Whether a repository that was remembered is still one of [images] match, which may have changed. A
 * glob for certain tags can't tell without one.
 */
static bool remembered_is_ours(const Judge *judge, const Image *image, const char *repository) {
        const Strv *match = &judge->config->match;

        if (name_is_ours(judge->config, image, repository))
                return true;
        for (size_t i = 0; i < match->n; i++)
                if (name_tag(match->v[i]))
                        return true;
        return false;
}

/* An image without a name belongs where it last had one. */
static int add_untagged(Judge *judge, size_t i) {
        const Inventory *inventory = judge->inventory;
        const Image *image = &inventory->images.v[i];
        Fact *fact = &judge->facts[i];
        cleanup_free char *former = NULL;
        const char *repository = fact->seen ? fact->seen->repository : NULL;

        if (repository && !remembered_is_ours(judge, image, repository))
                repository = NULL;
        if (!repository) {
                if (plan_former_name(inventory, judge->config, image, &former) < 0)
                        return -ENOMEM;
                if (former)
                        repository = fact->container->image;
        }
        if (repository) {
                fact->ours = true;
                return add_member(judge, repository, false, i);
        }
        if (fact->ours && image->project)
                return add_member(judge, image->project, true, i);
        return 0;
}

static int find_members(Judge *judge) {
        for (size_t i = 0; i < judge->inventory->images.n; i++) {
                const Image *image = &judge->inventory->images.v[i];

                if (image->names.n == 0 && add_untagged(judge, i) < 0)
                        return -ENOMEM;
                for (size_t j = 0; j < image->names.n; j++)
                        if (name_is_ours(judge->config, image, image->names.v[j]) &&
                            add_member(judge, image->names.v[j], false, i) < 0)
                                return -ENOMEM;
        }
        if (judge->n_members > 0)
                qsort_r(judge->members, judge->n_members, sizeof(*judge->members), compare_members,
                        judge);
        return 0;
}

static void rank_members(Judge *judge) {
        size_t begin = 0;

        while (begin < judge->n_members) {
                const Member *members = &judge->members[begin];
                size_t n = 1;

                while (begin + n < judge->n_members && compare_groups(members, members + n) == 0)
                        n++;
                for (size_t i = 0; i < n; i++) {
                        ImageVerdict *verdict = &judge->plan->images[members[i].image];

                        if (verdict->rank > 0 && verdict->rank <= i + 1)
                                continue;
                        verdict->rank = (unsigned)i + 1;
                        verdict->of = (unsigned)n;
                        verdict->group = members[i].group;
                }
                begin += n;
        }
}

/* Whether a newer image of the repository of `name` has run for long enough to be trusted. */
static bool is_superseded(const Judge *judge, size_t image, const char *name) {
        const Member key = { .group = name, .n = name_repository_length(name) };

        for (size_t i = 0; i < judge->n_members; i++) {
                const Member *member = &judge->members[i];
                const SeenImage *seen = judge->facts[member->image].seen;

                if (compare_groups(member, &key) == 0 && member->image != image && seen &&
                    seen->running_since_sec >= 0 &&
                    judge->now->age_sec - seen->running_since_sec >= SETTLED_SEC &&
                    compare_age(judge, member->image, image) < 0)
                        return true;
        }
        return false;
}

/* Images */

/* The first name of each sort that an image has. */
typedef struct Names {
        const char *trash, *rollback, *ours, *other;
        bool all_trash, all_rollback;
} Names;

static Names sort_names(const Config *config, const Image *image) {
        Names names = { .all_trash = image->names.n > 0, .all_rollback = image->names.n > 0 };

        for (size_t i = 0; i < image->names.n; i++) {
                const char *name = image->names.v[i];
                bool trash = name_is_trash(name), rollback = name_is_rollback(config, name);

                if (trash)
                        names.trash = names.trash ?: name;
                else if (rollback)
                        names.rollback = names.rollback ?: name;
                else if (name_is_ours(config, image, name))
                        names.ours = names.ours ?: name;
                else
                        names.other = names.other ?: name;
                names.all_trash = names.all_trash && trash;
                names.all_rollback = names.all_rollback && rollback;
        }
        return names;
}

/* "repo@sha256:…": by its repository, since it has no tag. */
static bool digest_matches(const char *glob, const char *digest) {
        cleanup_free char *repository = strndup(digest, strcspn(digest, "@"));

        return !repository || name_matches(glob, repository); /* out of memory keeps */
}

/* The glob that takes a name of the image, its digest's repository, or the repository it last had a
 * name of; or NULL. */
static const char *find_glob(const Strv *globs, const Image *image, const char *repository) {
        for (size_t i = 0; i < globs->n; i++) {
                for (size_t j = 0; j < image->names.n; j++)
                        if (name_matches(globs->v[i], image->names.v[j]))
                                return globs->v[i];
                if (image->names.n > 0)
                        continue;
                if (repository && name_matches(globs->v[i], repository))
                        return globs->v[i];
                for (size_t j = 0; j < image->digests.n; j++)
                        if (digest_matches(globs->v[i], image->digests.v[j]))
                                return globs->v[i];
        }
        return NULL;
}

static void decide(ImageVerdict *verdict, bool remove, Rule rule, const char *object) {
        verdict->remove = remove;
        verdict->rule = rule;
        verdict->object = object;
}

/* Several rollback tags expire together: as long as one is wanted, the image is there anyway. */
static bool rollback_expired(const Judge *judge, const Image *image, size_t i) {
        if (judge->facts[i].container)
                return false;
        for (size_t j = 0; j < image->names.n; j++)
                if (!is_superseded(judge, i, image->names.v[j]))
                        return false;
        return true;
}

static void judge_by_age(const Judge *judge, const Image *image, ImageVerdict *verdict) {
        const Config *config = judge->config;
        bool named = image->names.n > 0;
        uint64_t max_usec = named ? config->image_max_age_usec : config->dangling_max_age_usec;
        int64_t min_sec = (int64_t)(config->image_min_age_usec / USEC_PER_SEC);

        if (verdict->age_sec < min_sec) {
                verdict->limit_sec = min_sec;
                decide(verdict, false, RULE_MIN_AGE, NULL);
                return;
        }
        if (!named && image->digests.n > 0 && !config->dangling_all) {
                decide(verdict, false, RULE_DIGEST, image->digests.v[0]);
                return;
        }
        if (max_usec == USEC_INFINITY) {
                decide(verdict, false, RULE_NO_LIMIT, NULL);
                return;
        }
        verdict->limit_sec = (int64_t)(max_usec / USEC_PER_SEC);
        if (verdict->age_sec > verdict->limit_sec)
                decide(verdict, true, named ? RULE_MAX_AGE : RULE_DANGLING_AGE, NULL);
        else
                decide(verdict, false, RULE_YOUNG, NULL);
}

/* What stays or goes whatever its age; false where age decides. */
static bool judge_by_place(const Judge *judge, const Image *image, size_t i,
                           ImageVerdict *verdict) {
        const Config *config = judge->config;
        const Fact *fact = &judge->facts[i];
        const char *repository = fact->seen ? fact->seen->repository : NULL;
        const char *protect = find_glob(&config->protect, image, repository);
        const char *base = find_glob(&config->base, image, repository);
        Names names = sort_names(config, image);
        bool untagged = image->names.n == 0;

        if (names.trash && !(names.all_trash && fact->container))
                decide(verdict, true, RULE_TRASH, names.trash);
        else if (protect || base)
                decide(verdict, false, protect ? RULE_PROTECT : RULE_BASE, protect ?: base);
        else if (!untagged && !names.ours && !names.all_rollback && !names.all_trash)
                decide(verdict, false, RULE_NO_MATCH, NULL);
        else if (names.all_rollback && rollback_expired(judge, image, i))
                decide(verdict, true, RULE_ROLLBACK_EXPIRED, names.rollback);
        else if (names.all_rollback)
                decide(verdict, false, RULE_ROLLBACK, names.rollback);
        else if (fact->container)
                decide(verdict, false, RULE_IN_USE, fact->container->name);
        else if (names.other)
                decide(verdict, false, RULE_OTHER_NAME, names.other);
        else if (fact->has_children)
                decide(verdict, false, RULE_STEP, NULL);
        else if (names.rollback && !rollback_expired(judge, image, i))
                decide(verdict, false, RULE_ROLLBACK, names.rollback);
        else if (untagged && !fact->ours && image->digests.n > 0)
                decide(verdict, false, RULE_DIGEST, image->digests.v[0]);
        else if (untagged && !fact->ours)
                decide(verdict, false, RULE_NOT_OURS, NULL);
        else if (verdict->rank > 0 && verdict->rank <= config->keep_last)
                decide(verdict, false, RULE_KEEP_LAST, verdict->group);
        else
                return false;
        return true;
}

/* Whether the image goes with the names that are taken from it. */
static bool takes_all(const Image *image, const ImageVerdict *verdict) {
        if (verdict->rule != RULE_TRASH)
                return true;
        for (size_t i = 0; i < image->names.n; i++)
                if (!name_is_trash(image->names.v[i]))
                        return false;
        return true;
}

static void count_removal(Judge *judge, size_t i) {
        const Image *image = &judge->inventory->images.v[i];

        judge->plan->n_remove++;
        if (takes_all(image, &judge->plan->images[i]))
                judge->plan->remove_bytes += image->size_bytes;
}

static void judge_all(Judge *judge) {
        const ImageSet *images = &judge->inventory->images;

        for (size_t i = 0; i < images->n; i++) {
                ImageVerdict *verdict = &judge->plan->images[i];

                verdict->age_sec = judge->facts[i].age_sec;
                verdict->limit_sec = -1;
                if (!judge_by_place(judge, &images->v[i], i, verdict))
                        judge_by_age(judge, &images->v[i], verdict);
                if (verdict->remove)
                        count_removal(judge, i);
        }
}

/* Oldest first. */
static int compare_candidates(const void *a, const void *b, void *userdata) {
        const size_t *x = a, *y = b;
        const Judge *judge = userdata;
        int64_t s = judge->facts[*x].age_sec, t = judge->facts[*y].age_sec;

        return s != t ? (s > t ? -1 : 1) : compare_age(judge, *y, *x);
}

/* Images before their time, as far as what goes anyway does not cover the need. */
static int take_for_disk(Judge *judge) {
        const Inventory *inventory = judge->inventory;
        PolicyPlan *plan = judge->plan;
        /* Sizes say nothing of inodes: one image at a time, once there is no more cache. */
        bool one = plan->inode_pressure && plan->builder.idle_bytes == 0 && plan->n_remove == 0;
        cleanup_free size_t *candidates = NULL;
        size_t n = 0;

        if (plan->need_bytes == 0 && !one)
                return 0;
        candidates = calloc(inventory->images.n + 1, sizeof(*candidates));
        if (!candidates)
                return -ENOMEM;
        for (size_t i = 0; i < inventory->images.n; i++)
                if (plan->images[i].rule == RULE_YOUNG || plan->images[i].rule == RULE_NO_LIMIT)
                        candidates[n++] = i;
        qsort_r(candidates, n, sizeof(*candidates), compare_candidates, judge);
        for (size_t i = 0; i < n; i++) {
                if (plan->builder.expected_bytes + plan->remove_bytes >= plan->need_bytes && !one)
                        break;
                one = false;
                decide(&plan->images[candidates[i]], true, RULE_DISK_PRESSURE, NULL);
                count_removal(judge, candidates[i]);
        }
        return 0;
}

/*
 * Which images an unreadable one stands on, what repository it counts in, and which image an
 * unreadable container uses: none of it is known, and any may be the one that would go. So none goes,
 * whatever the rules say of each alone.
 */
static void keep_all(Judge *judge) {
        const ImageSet *images = &judge->inventory->images;
        const ContainerSet *containers = &judge->inventory->containers;
        const bool image = images->unreadable.n > 0;
        PolicyPlan *plan = judge->plan;

        if (!inventory_is_partial(judge->inventory))
                return;
        plan->unreadable = image ? images->unreadable.v : containers->unreadable.v;
        for (size_t i = 0; i < images->n; i++)
                if (plan->images[i].remove)
                        decide(&plan->images[i], false,
                               image ? RULE_UNREADABLE_IMAGE : RULE_UNREADABLE_CONTAINER,
                               plan->unreadable->object);
        plan->n_remove = 0;
        plan->remove_bytes = 0;
}

int judge_images(const Inventory *inventory, const SeenImages *seen, const NamedImages *suspects,
                 const Config *config, const PolicyNow *now, PolicyPlan *plan) {
        cleanup(judge_done) Judge judge = {
                .inventory = inventory,
                .suspects = suspects,
                .config = config,
                .now = now,
                .plan = plan,
        };
        int r;

        plan->images = calloc(inventory->images.n + 1, sizeof(*plan->images));
        if (!plan->images || find_facts(&judge, seen) < 0 || find_members(&judge) < 0)
                return -ENOMEM;
        rank_members(&judge);
        judge_all(&judge);
        r = take_for_disk(&judge);
        keep_all(&judge);
        return r;
}
