/* SPDX-License-Identifier: MIT */

/*
 * Images are judged one by one, by the first rule that applies; only then, under disk pressure, what
 * no rule but age keeps is taken, oldest first. Which release is the newest is releases.c's to say.
 */

#include <string.h>

#include "docker/name.h"
#include "janitor/judge.h"
#include "janitor/releases.h"

/* What all rules read; `plan` is what they write. */
typedef struct Judge {
        const Inventory *inventory;
        const Config *config;
        const PolicyNow *now;
        PolicyPlan *plan;
        Releases releases;
} Judge;

static void judge_donep(Judge *judge) {
        releases_done(&judge->releases);
}

/* The first name of each sort that an image has. */
typedef struct Names {
        const char *trash, *rollback, *ours, *other;
        bool all_trash, all_rollback;
} Names;

static Names sort_names(const Config *config, const Image *image) {
        Names names = { .all_trash = image->names.n > 0, .all_rollback = image->names.n > 0 };

        for (size_t i = 0; i < image->names.n; i++) {
                const char *name = image->names.v[i];
                bool trash = name_is_trash(name), rollback = name_is_rollback(config, image, name);

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

/* How old the image's rollback tag is; -1: not known. */
static int64_t rollback_age(const Judge *judge, size_t i) {
        const SeenImage *seen = judge->releases.facts[i].seen;

        return seen && seen->rollback_since_sec >= 0
                       ? judge->now->age_sec - seen->rollback_since_sec
                       : -1;
}

static bool rollback_too_old(const Judge *judge, size_t i) {
        const uint64_t max_usec = judge->config->image_max_age_usec;

        return max_usec != USEC_INFINITY &&
               rollback_age(judge, i) > (int64_t)(max_usec / USEC_PER_SEC);
}

/*
 * Several rollback tags of an image expire together: as long as one is wanted, the image is there
 * anyway. They end with [images] max_age, and before that once a newer release proved itself.
 */
static bool rollback_expired(const Judge *judge, const Image *image, size_t i) {
        if (judge->releases.facts[i].in_use)
                return false;
        if (rollback_too_old(judge, i))
                return true;
        for (size_t j = 0; j < image->names.n; j++)
                if (name_is_rollback(judge->config, image, image->names.v[j]) &&
                    !releases_superseded(&judge->releases, i, image->names.v[j]))
                        return false;
        return true;
}

static void decide_expired(const Judge *judge, size_t i, const char *tag, ImageVerdict *verdict) {
        if (rollback_too_old(judge, i)) {
                verdict->age_sec = rollback_age(judge, i);
                verdict->limit_sec = (int64_t)(judge->config->image_max_age_usec / USEC_PER_SEC);
        }
        decide(verdict, true, RULE_ROLLBACK_EXPIRED, tag);
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

/* The user's name; NULL if the services could not be read. */
static const char *user_of(const Judge *judge, const Image *image, const Fact *fact) {
        const Container *container =
                fact->container ?: container_that_may_mount(judge->inventory, image);

        if (!fact->container && fact->service)
                return fact->service->service;
        return container ? container->name : NULL;
}

/* What stays or goes whatever its age; false where age decides. */
static bool judge_by_place(const Judge *judge, const Image *image, size_t i,
                           ImageVerdict *verdict) {
        const Config *config = judge->config;
        const Fact *fact = &judge->releases.facts[i];
        const char *repository = fact->seen ? fact->seen->repository : NULL;
        const char *protect = find_glob(&config->protect, image, repository);
        const char *base = find_glob(&config->base, image, repository);
        Names names = sort_names(config, image);
        bool untagged = image->names.n == 0;

        if (names.trash && !(names.all_trash && fact->in_use))
                decide(verdict, true, RULE_TRASH, names.trash);
        else if (protect || base)
                decide(verdict, false, protect ? RULE_PROTECT : RULE_BASE, protect ?: base);
        else if (!untagged && !names.ours && !names.all_rollback && !names.all_trash)
                decide(verdict, false, RULE_NO_MATCH, NULL);
        else if (names.all_rollback && rollback_expired(judge, image, i))
                decide_expired(judge, i, names.rollback, verdict);
        else if (names.all_rollback)
                decide(verdict, false, RULE_ROLLBACK, names.rollback);
        else if (fact->in_use)
                decide(verdict, false, RULE_IN_USE, user_of(judge, image, fact));
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

bool policy_takes_name(const Config *config, const Image *image, const ImageVerdict *verdict,
                       const char *name) {
        if (verdict->rule == RULE_TRASH)
                return name_is_trash(name);
        return verdict->rule != RULE_ROLLBACK_EXPIRED || name_is_rollback(config, image, name);
}

/* Whether the image goes with the names that are taken from it. */
static bool takes_all(const Config *config, const Image *image, const ImageVerdict *verdict) {
        for (size_t i = 0; i < image->names.n; i++)
                if (!policy_takes_name(config, image, verdict, image->names.v[i]))
                        return false;
        return true;
}

static void count_removal(Judge *judge, size_t i) {
        const Image *image = &judge->inventory->images.v[i];

        judge->plan->n_remove++;
        if (takes_all(judge->config, image, &judge->plan->images[i]))
                judge->plan->remove_bytes += image->size_bytes;
}

/* An image that stays may lose its rollback tag. */
static void judge_rollback_tag(const Judge *judge, const Image *image, size_t i,
                               ImageVerdict *verdict) {
        const char *tag = NULL;

        for (size_t j = 0; j < image->names.n && !tag; j++)
                if (name_is_rollback(judge->config, image, image->names.v[j]))
                        tag = image->names.v[j];
        if (tag && verdict->rule != RULE_PROTECT && verdict->rule != RULE_BASE &&
            rollback_expired(judge, image, i))
                decide_expired(judge, i, tag, verdict);
}

static void judge_all(Judge *judge) {
        const ImageSet *images = &judge->inventory->images;

        for (size_t i = 0; i < images->n; i++) {
                ImageVerdict *verdict = &judge->plan->images[i];

                verdict->rank = judge->releases.facts[i].rank;
                verdict->of = judge->releases.facts[i].of;
                verdict->group = judge->releases.facts[i].group;
                verdict->age_sec = judge->releases.facts[i].age_sec;
                verdict->limit_sec = -1;
                if (!judge_by_place(judge, &images->v[i], i, verdict))
                        judge_by_age(judge, &images->v[i], verdict);
                if (!verdict->remove)
                        judge_rollback_tag(judge, &images->v[i], i, verdict);
                if (verdict->remove)
                        count_removal(judge, i);
        }
}

/* Oldest first. */
static int compare_candidates(const void *a, const void *b, void *userdata) {
        const size_t *x = a, *y = b;
        const Judge *judge = userdata;
        int64_t s = judge->releases.facts[*x].age_sec, t = judge->releases.facts[*y].age_sec;

        return s != t ? (s > t ? -1 : 1) : releases_compare(&judge->releases, *y, *x);
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
                .config = config,
                .now = now,
                .plan = plan,
        };
        int r;

        plan->images = calloc(inventory->images.n + 1, sizeof(*plan->images));
        if (!plan->images ||
            releases_find(inventory, seen, suspects, config, now, &judge.releases) < 0)
                return -ENOMEM;
        judge_all(&judge);
        r = take_for_disk(&judge);
        keep_all(&judge);
        return r;
}
