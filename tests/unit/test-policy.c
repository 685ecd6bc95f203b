/* SPDX-License-Identifier: MIT */

/*
 * What policy decides: a table of images with the rule that applies to each, boundaries one second to
 * either side; hosts that act out whole weeks; and random hosts held against what must never happen.
 */

#include <time.h>

#include "docker/name.h"
#include "host.h"
#include "janitor/lru.h"

#define GB UINT64_C(1000000000)

/* One image "x" under test. Zero is the default everywhere: a named, unused image of 40 days. */
typedef struct Row {
        const char *what;
        Rule rule;
        const char *object; /* NULL: any */

        const char *names[4];
        bool untagged;
        const char *repository, *project, *digest, *container; /* container: its state */
        bool child, suspect, other_seen_project;
        int64_t age_sec;                 /* -1: not seen before */
        int64_t created_sec, tagged_sec; /* before now, negative: ahead of it; 0: not told */
        int64_t used_sec;                /* before now; 0: never */

        const char *protect, *base;
        bool dangling_all, no_max_age;
        uint64_t keep_last; /* with no other image in the repository: 1 keeps it */
} Row;

#define NAME "watchparty-web:1"
#define YEAR (365 * DAY)
#define GOES(rule) ((rule) >= RULE_MAX_AGE && (rule) <= RULE_TRASH)

static const Row rows[] = {
        /* named */
        { "no match", RULE_NO_MATCH, .names = { "redis:7" } },
        { "no match, in use", RULE_NO_MATCH, .names = { "redis:7" }, .container = "running" },
        { "no match, protected", RULE_PROTECT, "redis", .names = { "redis:7" },
          .protect = "redis" },
        { "too old", RULE_MAX_AGE },
        { "protected and too old", RULE_PROTECT, "watchparty-web", .protect = "watchparty-web" },
        { "protected and in use", RULE_PROTECT, .protect = "watchparty-*", .container = "exited" },
        { "protected by tag", RULE_PROTECT, "watchparty-web:1", .protect = "watchparty-web:1" },
        { "another tag protected", RULE_MAX_AGE, .protect = "watchparty-web:2" },
        { "protected by its other name", RULE_PROTECT, "keep-*", .names = { NAME, "keep-me:1" },
          .protect = "keep-*" },
        { "base and too old", RULE_BASE, "watchparty-w*", .base = "watchparty-w*" },
        { "protect before base", RULE_PROTECT, "watchparty-web", .protect = "watchparty-web",
          .base = "watchparty-web" },
        { "running", RULE_IN_USE, "web", .container = "running" },
        { "stopped", RULE_IN_USE, "web", .container = "exited" },
        { "created, never run", RULE_IN_USE, "web", .container = "created" },
        { "in use and beyond all limits", RULE_IN_USE, "web", .container = "exited",
          .age_sec = YEAR },
        { "in use and among the newest", RULE_IN_USE, "web", .container = "exited",
          .keep_last = 5 },
        { "in use and young", RULE_IN_USE, "web", .container = "exited", .age_sec = 1 },
        { "another name", RULE_OTHER_NAME, "other:1", .names = { NAME, "other:1" } },
        { "another name, in use", RULE_IN_USE, .names = { NAME, "other:1" },
          .container = "exited" },
        { "two repositories, both ours", RULE_MAX_AGE,
          .names = { NAME, "localhost:5000/team/watchparty-api:3" } },
        { "another image stands on it", RULE_STEP, .child = true },
        { "a step among the newest", RULE_STEP, .child = true, .keep_last = 1 },
        { "one of the newest", RULE_KEEP_LAST, NAME, .keep_last = 1 },
        { "one of the newest, a year old", RULE_KEEP_LAST, .keep_last = 1, .age_sec = YEAR },
        { "one of the newest and young", RULE_KEEP_LAST, .keep_last = 1, .age_sec = 5 },
        { "by the project's label", RULE_MAX_AGE, .names = { "web:1" }, .project = "party" },
        { "by another project's label", RULE_NO_MATCH, .names = { "web:1" }, .project = "shop" },
        /* ages of what has a name */
        { "not yet min_age", RULE_MIN_AGE, .age_sec = HOUR - 1 },
        { "just min_age", RULE_YOUNG, .age_sec = HOUR },
        { "just before max_age", RULE_YOUNG, .age_sec = 30 * DAY - 1 },
        { "at max_age", RULE_YOUNG, .age_sec = 30 * DAY },
        { "just past max_age", RULE_MAX_AGE, .age_sec = 30 * DAY + 1 },
        { "max_age off", RULE_NO_LIMIT, .age_sec = YEAR, .no_max_age = true },
        { "not seen before", RULE_MIN_AGE, .age_sec = -1 },
        { "not seen before, made long ago", RULE_MIN_AGE, .age_sec = -1, .created_sec = YEAR },
        { "created lately, seen for long", RULE_YOUNG, .created_sec = 2 * DAY },
        { "created just now", RULE_MIN_AGE, .created_sec = 1 },
        { "created at max_age", RULE_YOUNG, .created_sec = 30 * DAY },
        { "created just past max_age", RULE_MAX_AGE, .created_sec = 30 * DAY + 1 },
        { "created in 1970, young", RULE_YOUNG, .created_sec = WALL_NOW, .age_sec = 2 * DAY },
        { "created in 1970, just seen", RULE_MIN_AGE, .created_sec = WALL_NOW, .age_sec = 60 },
        { "created in 1970, old", RULE_MAX_AGE, .created_sec = WALL_NOW },
        { "created before 2013", RULE_MAX_AGE, .created_sec = WALL_NOW - 1356998399 },
        { "created in the future, old", RULE_MAX_AGE, .created_sec = -1 },
        { "created in the future, young", RULE_YOUNG, .created_sec = -YEAR, .age_sec = DAY },
        { "tagged lately", RULE_YOUNG, .created_sec = 90 * DAY, .tagged_sec = 3 * DAY },
        { "tagged in the future", RULE_MAX_AGE, .tagged_sec = -YEAR },
        { "used lately", RULE_YOUNG, .used_sec = 30 * DAY },
        { "used, but long ago", RULE_MAX_AGE, .used_sec = 30 * DAY + 1 },
        /* untagged */
        { "untagged, nobody's", RULE_NOT_OURS, .untagged = true },
        { "untagged, nobody's, young", RULE_NOT_OURS, .untagged = true, .age_sec = 1 },
        { "untagged, nobody's, in use", RULE_IN_USE, .untagged = true, .container = "exited" },
        { "untagged, another project's", RULE_NOT_OURS, .untagged = true, .project = "shop" },
        { "untagged, nobody's, all", RULE_DANGLING_AGE, .untagged = true, .dangling_all = true },
        { "untagged, another project's, all", RULE_DANGLING_AGE, .untagged = true,
          .project = "shop", .dangling_all = true },
        { "former member", RULE_DANGLING_AGE, .untagged = true, .repository = "watchparty-web" },
        { "former member among the newest", RULE_KEEP_LAST, "watchparty-web", .untagged = true,
          .repository = "watchparty-web", .keep_last = 1 },
        { "former member in use", RULE_IN_USE, "web", .untagged = true,
          .repository = "watchparty-web", .container = "running" },
        { "former member, now protected", RULE_PROTECT, "watchparty-web", .untagged = true,
          .repository = "watchparty-web", .protect = "watchparty-web" },
        { "former member, now base", RULE_BASE, .untagged = true, .repository = "watchparty-web",
          .base = "watchparty-web" },
        { "former member of what matches no more", RULE_NOT_OURS, .untagged = true,
          .repository = "party-web" },
        { "former member, with children", RULE_STEP, .untagged = true,
          .repository = "watchparty-web", .child = true },
        { "former member, min_age", RULE_MIN_AGE, .untagged = true, .repository = "watchparty-web",
          .age_sec = HOUR - 1 },
        { "former member, at its age", RULE_YOUNG, .untagged = true, .repository = "watchparty-web",
          .age_sec = DAY },
        { "former member, past its age", RULE_DANGLING_AGE, .untagged = true,
          .repository = "watchparty-web", .age_sec = DAY + 1 },
        { "former member, dangling_max_age off", RULE_NO_LIMIT, .untagged = true,
          .repository = "watchparty-web", .no_max_age = true },
        { "ours by project", RULE_DANGLING_AGE, .untagged = true, .project = "party" },
        { "ours by project among the newest", RULE_KEEP_LAST, "party", .untagged = true,
          .project = "party", .keep_last = 1 },
        { "ours by the project of another", RULE_DANGLING_AGE, .untagged = true,
          .project = "theatre", .other_seen_project = true },
        { "a suspect", RULE_DANGLING_AGE, .untagged = true, .suspect = true },
        { "a suspect, keep_last aside", RULE_DANGLING_AGE, .untagged = true, .suspect = true,
          .keep_last = 9 },
        { "pulled by digest", RULE_DIGEST, "redis@sha256:1", .untagged = true,
          .digest = "redis@sha256:1" },
        { "pulled by digest, all", RULE_DANGLING_AGE, .untagged = true, .digest = "redis@sha256:1",
          .dangling_all = true },
        { "pulled by digest, protected, all", RULE_PROTECT, "redis", .untagged = true,
          .digest = "redis@sha256:1", .dangling_all = true, .protect = "redis" },
        { "former member with a digest", RULE_DIGEST, .untagged = true,
          .repository = "watchparty-web", .digest = "watchparty-web@sha256:1" },
        { "named, with a digest", RULE_MAX_AGE, .digest = "watchparty-web@sha256:1" },
        /* the janitor's own tags */
        { "rollback tag", RULE_ROLLBACK, .names = { "watchparty-web:wpcache-rollback-1" } },
        { "rollback tag, in use", RULE_ROLLBACK, .names = { "watchparty-web:wpcache-rollback-1" },
          .container = "running" },
        { "rollback tag, protected", RULE_PROTECT, .names = { "watchparty-web:wpcache-rollback-1" },
          .protect = "watchparty-web" },
        { "rollback tag beside a name", RULE_ROLLBACK, "watchparty-web:wpcache-rollback-1",
          .names = { NAME, "watchparty-web:wpcache-rollback-1" } },
        { "rollback tag beside another's name", RULE_NO_MATCH,
          .names = { "redis:7", "watchparty-web:wpcache-rollback-1" } },
        { "trash", RULE_TRASH, "wpcache-trash:1", .names = { "wpcache-trash:1" } },
        { "trash, in its own repository", RULE_TRASH, .names = { "redis:wpcache-trash-1" } },
        { "trash, just made", RULE_TRASH, .names = { "wpcache-trash:1" }, .age_sec = -1 },
        { "trash, in use", RULE_IN_USE, "web", .names = { "wpcache-trash:1" },
          .container = "exited" },
        { "trash beside a name, in use", RULE_TRASH, "wpcache-trash:1",
          .names = { NAME, "wpcache-trash:1" }, .container = "exited" },
        { "trash beside a protected name", RULE_TRASH, .names = { NAME, "wpcache-trash:1" },
          .protect = "watchparty-web" },
};

static Host row_host(const Row *row) {
        Host h = host_new();
        SeenImage *seen;
        Image *image;

        h.config.keep_last = row->keep_last;
        h.config.dangling_all = row->dangling_all;
        h.config.project = (char *)"party";
        if (row->no_max_age)
                h.config.image_max_age_usec = h.config.dangling_max_age_usec = USEC_INFINITY;
        if (row->protect)
                assert_int_equal(strv_add(&h.config.protect, row->protect), 0);
        if (row->base)
                assert_int_equal(strv_add(&h.config.base, row->base), 0);

        host_image(&h, "x", NULL, NULL, IMAGE_KIND_BUILDKIT);
        if (!row->untagged && !row->names[0])
                host_name(&h, "x", NAME);
        for (size_t i = 0; i < ELEMENTSOF(row->names) && row->names[i]; i++)
                host_name(&h, "x", row->names[i]);
        image = host_find(&h, "x");
        image->size_bytes = 100;
        if (row->created_sec)
                image->created_sec = WALL_NOW - row->created_sec;
        if (row->digest)
                assert_int_equal(strv_add(&image->digests, row->digest), 0);
        host_project(&h, "x", row->project);
        if (row->tagged_sec)
                host_facts(&h, "x")->last_tagged_sec = WALL_NOW - row->tagged_sec;
        if (row->child)
                host_image(&h, "child", NULL, "x", IMAGE_KIND_CLASSIC);
        if (row->other_seen_project) {
                host_image(&h, "other", "watchparty-else:1", NULL, IMAGE_KIND_BUILDKIT);
                host_project(&h, "other", row->project);
        }
        if (row->container) {
                host_container(&h, "web", "x", row->container);
                free(h.inventory.containers.v[0].image);
                h.inventory.containers.v[0].image = strdup("sha256:x");
        }
        if (row->suspect)
                assert_int_equal(named_images_add(&h.suspects, "", host_id("x")), 0);
        if (row->age_sec >= 0) {
                seen = host_aged(&h, "x", row->age_sec ?: 40 * DAY);
                if (row->used_sec)
                        seen->used_sec = AGE_NOW - row->used_sec;
                if (row->repository)
                        seen->repository = strdup(row->repository);
        }
        return h;
}

static void test_rules(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const Row *row = &rows[i];
                Host h = row_host(row);
                PolicyPlan plan = host_decide(&h);
                const ImageVerdict *verdict = host_verdict(&h, &plan, "x");
                cleanup_free char *sentence = policy_image_sentence(&h.inventory, &plan, 0);

                if (verdict->rule != row->rule || verdict->remove != GOES(row->rule))
                        fail_msg("%s: %s, not %s", row->what, rule_to_string(verdict->rule),
                                 rule_to_string(row->rule));
                if (row->object && (!verdict->object || strcmp(verdict->object, row->object) != 0))
                        fail_msg("%s: object is %s", row->what, verdict->object);
                if (!sentence || strchr(sentence, '\n') || strstr(sentence, "null") ||
                    !strstr(sentence, verdict->remove ? " goes: " : " stays: "))
                        fail_msg("%s: \"%s\"", row->what, sentence);
                if (policy_plan_empty(&plan) == verdict->remove)
                        fail_msg("%s: the plan is %sempty", row->what,
                                 verdict->remove ? "" : "not ");
                if (verdict->remove &&
                    plan.remove_bytes != (row->names[1] && row->rule == RULE_TRASH ? 0 : 100))
                        fail_msg("%s: %llu bytes", row->what,
                                 (unsigned long long)plan.remove_bytes);
                policy_plan_done(&plan);
                host_done(&h);
        }
}

static void test_sentences(void **state) {
        static const struct {
                Row row;
                const char *sentence;
        } table[] = {
                { { .container = "running" },
                  "watchparty-web:1 stays: container web (running) uses it." },
                { { .keep_last = 2 },
                  "watchparty-web:1 stays: it is the newest of 1 of watchparty-web "
                  "(keep_last=2)." },
                { { .age_sec = 31 * DAY },
                  "watchparty-web:1 goes: it is 31d old, older than max_age (30d), and the "
                  "newest of 1 of watchparty-web (keep_last=0)." },
                { { .age_sec = 20 * 60 },
                  "watchparty-web:1 stays: it is 20min old, and min_age is 1h." },
                { { .untagged = true, .suspect = true, .age_sec = 2 * DAY },
                  "x goes: it is untagged and 2d old, older than dangling_max_age (1d)." },
                { { .untagged = true, .project = "party", .keep_last = 1 },
                  "x stays: it is the newest of 1 untagged images of project party "
                  "(keep_last=1)." },
                { { .protect = "watchparty-w*" },
                  "watchparty-web:1 stays: [images] protect has watchparty-w*." },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = row_host(&table[i].row);
                PolicyPlan plan = host_decide(&h);
                cleanup_free char *sentence = policy_image_sentence(&h.inventory, &plan, 0);

                assert_string_equal(sentence, table[i].sentence);
                policy_plan_done(&plan);
                host_done(&h);
        }
}

static void assert_rule(Host *h, const PolicyPlan *plan, const char *id, Rule rule) {
        const ImageVerdict *verdict = host_verdict(h, plan, id);

        if (verdict->rule != rule || verdict->remove != GOES(rule))
                fail_msg("%s: %s, not %s", id, rule_to_string(verdict->rule), rule_to_string(rule));
}

/* The newest stay whatever keeps the others, and what is kept for another reason takes its place. */
static void test_keep_last(void **state) {
        Host h = host_new();
        PolicyPlan plan;

        (void)state;
        h.config.keep_last = 2;
        host_release(&h, "a1", "watchparty-a:1", 31 * DAY);
        host_release(&h, "a4", "watchparty-a:4", 34 * DAY);
        host_release(&h, "a2", "watchparty-a:2", 32 * DAY);
        host_release(&h, "a3", "watchparty-a:3", 33 * DAY);
        host_container(&h, "old", "a1", "exited");
        /* a repository of its own, though the last component is the same */
        host_release(&h, "r1", "localhost:5000/watchparty-a:1", 50 * DAY);
        /* one that begins the same */
        host_release(&h, "ab", "watchparty-ab:1", 60 * DAY);

        plan = host_decide(&h);
        assert_rule(&h, &plan, "a1", RULE_IN_USE);
        assert_rule(&h, &plan, "a2", RULE_KEEP_LAST);
        assert_rule(&h, &plan, "a3", RULE_MAX_AGE);
        assert_rule(&h, &plan, "a4", RULE_MAX_AGE);
        assert_rule(&h, &plan, "r1", RULE_KEEP_LAST);
        assert_rule(&h, &plan, "ab", RULE_KEEP_LAST);
        assert_int_equal(host_verdict(&h, &plan, "a1")->rank, 1);
        assert_int_equal(host_verdict(&h, &plan, "a4")->rank, 4);
        assert_int_equal(host_verdict(&h, &plan, "a4")->of, 4);
        assert_int_equal(host_verdict(&h, &plan, "r1")->of, 1);
        assert_int_equal(plan.n_remove, 2);
        policy_plan_done(&plan);

        /* Two tags of one repository are one place in it; two repositories are two. */
        host_name(&h, "a3", "watchparty-a:also");
        host_name(&h, "a4", "watchparty-b:1");
        plan = host_decide(&h);
        assert_rule(&h, &plan, "a3", RULE_MAX_AGE);
        assert_rule(&h, &plan, "a4", RULE_KEEP_LAST);
        assert_int_equal(host_verdict(&h, &plan, "a3")->rank, 3);
        assert_int_equal(host_verdict(&h, &plan, "a4")->rank, 1);
        policy_plan_done(&plan);

        /* The same host under disk pressure, as hard as can be. */
        host_disk(&h, 100 * GB, 0);
        h.config.min_free = (Size){ .percent = 50 };
        h.config.image_max_age_usec = USEC_INFINITY;
        for (size_t i = 0; i < h.inventory.images.n; i++)
                h.inventory.images.v[i].size_bytes = 1;
        plan = host_decide(&h);
        assert_rule(&h, &plan, "a1", RULE_IN_USE);
        assert_rule(&h, &plan, "a2", RULE_KEEP_LAST);
        assert_rule(&h, &plan, "a3", RULE_DISK_PRESSURE);
        assert_rule(&h, &plan, "a4", RULE_KEEP_LAST);
        policy_plan_done(&plan);
        host_done(&h);
}

/* What an object that can't be read needs is not known: no image goes, whatever asks for it. */
static void test_unreadable(void **state) {
        for (size_t i = 0; i < 3; i++) {
                Host h = host_new();
                UnreadableSet *images = &h.inventory.images.unreadable;
                UnreadableSet *containers = &h.inventory.containers.unreadable;
                PolicyPlan plan;

                (void)state;
                h.config.keep_last = 1;
                host_release(&h, "a1", "watchparty-a:1", 31 * DAY);
                host_release(&h, "a2", "watchparty-a:2", 32 * DAY);
                host_release(&h, "a3", "watchparty-a:3", 3 * DAY);
                host_image(&h, "t", "wpcache-trash:1", NULL, IMAGE_KIND_BUILDKIT);
                if (i == 2) {
                        host_disk(&h, 100 * GB, 0);
                        h.config.min_free = (Size){ .percent = 50 };
                }
                plan = host_decide(&h);
                assert_true(plan.n_remove >= 3);
                assert_null(plan.unreadable);
                policy_plan_done(&plan);

                if (i != 1)
                        assert_int_equal(unreadable_add(images, "sha256:x", "odd"), 0);
                if (i != 0)
                        assert_int_equal(unreadable_add(containers, "c", "odd"), 0);
                plan = host_decide(&h);
                assert_int_equal(plan.n_remove, 0);
                assert_int_equal(plan.remove_bytes, 0);
                assert_string_equal(plan.unreadable->object, i == 1 ? "c" : "sha256:x");
                assert_rule(&h, &plan, "a3", RULE_KEEP_LAST); /* as before */
                assert_rule(&h, &plan, "a2",
                            i == 1 ? RULE_UNREADABLE_CONTAINER : RULE_UNREADABLE_IMAGE);
                assert_rule(&h, &plan, "t",
                            i == 1 ? RULE_UNREADABLE_CONTAINER : RULE_UNREADABLE_IMAGE);
                policy_plan_done(&plan);
                host_done(&h);
        }
}

/* First seen together, they are told apart by the engine's times, and then by id. */
static void test_order(void **state) {
        static const struct {
                const char *what;
                int64_t a_created, a_tagged, b_created, b_tagged; /* before now; 0: none */
                bool a_first;
                unsigned a_ahead, b_ahead;
        } table[] = {
                { "created in 2099 both, and tagged", -70 * (int64_t)YEAR, 50 * DAY,
                  -70 * (int64_t)YEAR, 40 * DAY, false, SEEN_CREATED_AHEAD, SEEN_CREATED_AHEAD },
                { "created in 2099 both, the other way", -70 * (int64_t)YEAR, 40 * DAY,
                  -70 * (int64_t)YEAR, 50 * DAY, true, SEEN_CREATED_AHEAD, SEEN_CREATED_AHEAD },
                { "created in 2099, and a later tag", -70 * (int64_t)YEAR, 50 * DAY, 60 * DAY,
                  40 * DAY, false, SEEN_CREATED_AHEAD, 0 },
                { "created in 2099 and never tagged", -70 * (int64_t)YEAR, 0, 60 * DAY, 40 * DAY,
                  false, SEEN_CREATED_AHEAD, 0 },
                { "created in 2099 and 2098, never tagged", -70 * (int64_t)YEAR, 0,
                  -69 * (int64_t)YEAR, 0, true, SEEN_CREATED_AHEAD, SEEN_CREATED_AHEAD },
                { "created on one date, and tagged", 60 * DAY, 50 * DAY, 60 * DAY, 40 * DAY, false,
                  0, 0 },
                { "created after its last tag, by a clock set back", 30 * DAY, 50 * DAY, 60 * DAY,
                  40 * DAY, false, 0, 0 },
                { "tagged before the clock was set back", -8 * DAY, -8 * DAY, 40 * DAY, 40 * DAY,
                  false, SEEN_CREATED_AHEAD | SEEN_TAG_AHEAD, 0 },
                { "the same, both", -9 * DAY, -9 * DAY, -8 * DAY, -8 * DAY, true,
                  SEEN_CREATED_AHEAD | SEEN_TAG_AHEAD, SEEN_CREATED_AHEAD | SEEN_TAG_AHEAD },
                { "created", 50 * DAY, 0, 51 * DAY, 0, true },
                { "created the other way", 51 * DAY, 0, 50 * DAY, 0, false },
                { "tagged", 50 * DAY, 0, 60 * DAY, 40 * DAY, false },
                { "1970 is no time", WALL_NOW, 0, 50 * DAY, 0, false },
                { "1970, tagged", WALL_NOW, 40 * DAY, 50 * DAY, 0, true },
                { "nor is one before 2013", WALL_NOW, 0, WALL_NOW - 1356998399, 0, true },
                { "by id", WALL_NOW, 0, WALL_NOW, 0, true },
                { "a year later by the clock", 50 * DAY + YEAR, 0, 51 * DAY + YEAR, 0, true },
                { "a year earlier by the clock", 50 * DAY - YEAR, 0, 51 * DAY - YEAR, 0, true },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                PolicyPlan plan;

                h.config.keep_last = 1;
                host_release(&h, "b", "watchparty-x:2", 40 * DAY)->created_sec =
                        WALL_NOW - table[i].b_created;
                host_release(&h, "a", "watchparty-x:1", 40 * DAY)->created_sec =
                        WALL_NOW - table[i].a_created;
                host_seen(&h, "a")->ahead = table[i].a_ahead;
                host_seen(&h, "b")->ahead = table[i].b_ahead;
                if (table[i].a_tagged)
                        host_facts(&h, "a")->last_tagged_sec = WALL_NOW - table[i].a_tagged;
                if (table[i].b_tagged) /* as remembered, where a poll reads no facts */
                        host_seen(&h, "b")->tag_mark = WALL_NOW - table[i].b_tagged;
                plan = host_decide(&h);
                if ((host_verdict(&h, &plan, "a")->rank == 1) != table[i].a_first)
                        fail_msg("%s", table[i].what);
                policy_plan_done(&plan);
                /* What was named later is newer, whatever the engine says. */
                host_seen(&h, "a")->named_sec += table[i].a_first ? -1 : 1;
                plan = host_decide(&h);
                if ((host_verdict(&h, &plan, "a")->rank == 1) == table[i].a_first)
                        fail_msg("%s: named later", table[i].what);
                policy_plan_done(&plan);
                host_done(&h);
        }
}

/* A script tagged both within a second. */
static void test_order_within_a_second(void **state) {
        (void)state;
        for (int64_t later = 0; later < 2; later++) {
                Host h = host_new();
                PolicyPlan plan;

                h.config.keep_last = 1;
                host_release(&h, "a", "watchparty-x:1", 40 * DAY)->created_sec = WALL_NOW - YEAR;
                host_release(&h, "b", "watchparty-x:2", 40 * DAY)->created_sec = WALL_NOW - YEAR;
                for (int64_t i = 0; i < 2; i++) {
                        ImageFacts *facts = host_facts(&h, i == 0 ? "a" : "b");

                        facts->last_tagged_sec = WALL_NOW - 50 * DAY;
                        facts->last_tagged_nsec =
                                facts->last_tagged_sec * 1000000000 + (i == later ? 2 : 1);
                }
                plan = host_decide(&h);
                assert_rule(&h, &plan, later == 0 ? "a" : "b", RULE_KEEP_LAST);
                assert_rule(&h, &plan, later == 0 ? "b" : "a", RULE_MAX_AGE);
                policy_plan_done(&plan);
                host_done(&h);
        }
}

/* All times of the engine are equal: what was first seen later is newer. */
static void test_order_by_first_sight(void **state) {
        Host h = host_new();
        PolicyPlan plan;

        (void)state;
        h.config.keep_last = 1;
        host_release(&h, "a", "watchparty-x:1", 40 * DAY)->created_sec = WALL_NOW - YEAR;
        host_release(&h, "b", "watchparty-x:2", 40 * DAY)->created_sec = WALL_NOW - YEAR;
        host_seen(&h, "a")->first_seen_sec -= DAY;
        plan = host_decide(&h);
        assert_rule(&h, &plan, "a", RULE_MAX_AGE);
        assert_rule(&h, &plan, "b", RULE_KEEP_LAST);
        policy_plan_done(&plan);
        host_done(&h);
}

/* A host in time: memory goes along, and a day can be many polls. */
static void live(Host *h, int64_t sec) {
        h->now.wall_sec += sec;
        h->now.age_sec += sec;
        h->inventory.observed_sec = h->now.wall_sec;
        assert_int_equal(seen_update(&h->seen, &h->inventory, &h->config, h->now.age_sec, NULL), 0);
}

static void remove_image(Host *h, size_t i) {
        ImageSet *images = &h->inventory.images;

        image_done(&images->v[i]);
        memmove(&images->v[i], &images->v[i + 1], (--images->n - i) * sizeof(*images->v));
}

static void apply(Host *h, const PolicyPlan *plan) {
        for (size_t i = h->inventory.images.n; i-- > 0;)
                if (plan->images[i].remove)
                        remove_image(h, i);
}

static void untag(Host *h, const char *id) {
        strv_done(&host_find(h, id)->names);
}

static bool is_there(const Host *h, const char *id) {
        return image_set_find(&h->inventory.images, host_id(id)) != NULL;
}

/* Three rebuilds of :latest: the release before the last is there after a week, the one before that
 * is not. All by seen_update(), as the daemon lives it, with images made reproducibly. */
static void test_three_rebuilds(void **state) {
        static const char *const releases[] = { "one", "two", "three" };
        Host h = host_new();

        (void)state;
        h.config.keep_last = 2;
        host_image(&h, "redis", "redis:7", NULL, IMAGE_KIND_OTHER);
        live(&h, 0);
        for (size_t i = 0; i < ELEMENTSOF(releases); i++) {
                if (i > 0)
                        untag(&h, releases[i - 1]);
                host_image(&h, releases[i], "watchparty-web:latest", NULL, IMAGE_KIND_BUILDKIT);
                live(&h, 10 * 60);
        }
        for (int hour = 0; hour < 7 * 24; hour++) {
                PolicyPlan plan;

                live(&h, HOUR);
                plan = host_decide(&h);
                apply(&h, &plan);
                if (is_there(&h, "one") != (hour < 23))
                        fail_msg("the first release is %s after %d hours",
                                 is_there(&h, "one") ? "there" : "gone", hour);
                policy_plan_done(&plan);
        }
        assert_true(is_there(&h, "two"));
        assert_true(is_there(&h, "three"));
        assert_true(is_there(&h, "redis"));
        host_done(&h);
}

/* A release that runs lost its name before this daemon ever saw it: its container knows. */
static void test_former_by_container(void **state) {
        Host h = host_new();
        PolicyPlan plan;

        (void)state;
        h.config.keep_last = 2;
        host_release(&h, "new", "watchparty-web:latest", 40 * DAY);
        host_release(&h, "runs", NULL, 41 * DAY);
        host_release(&h, "old", "watchparty-web:old", 42 * DAY);
        host_container(&h, "web", "runs", "running");
        free(h.inventory.containers.v[0].image);
        h.inventory.containers.v[0].image = strdup("watchparty-web");
        plan = host_decide(&h);
        assert_rule(&h, &plan, "runs", RULE_IN_USE);
        assert_int_equal(host_verdict(&h, &plan, "runs")->rank, 2);
        assert_int_equal(host_verdict(&h, &plan, "old")->rank, 3);
        assert_rule(&h, &plan, "old", RULE_MAX_AGE);
        policy_plan_done(&plan);
        host_done(&h);
}

/* Untagged images of which only the project is known: the newest stay, one that another image was
 * built upon among them. */
static void test_project_group(void **state) {
        Host h = host_new();
        PolicyPlan plan;

        (void)state;
        h.config.keep_last = 2;
        h.config.project = (char *)"party";
        for (int i = 0; i < 3; i++) {
                char id[8];

                snprintf(id, sizeof(id), "p%d", i);
                host_release(&h, id, NULL, (i + 2) * DAY);
                host_project(&h, id, "party");
        }
        host_release(&h, "step", NULL, DAY / 2);
        host_project(&h, "step", "party");
        host_image(&h, "on", "watchparty-x:1", "step", IMAGE_KIND_CLASSIC);
        host_release(&h, "shop", NULL, 90 * DAY);
        host_project(&h, "shop", "shop");
        plan = host_decide(&h);
        assert_rule(&h, &plan, "p0", RULE_KEEP_LAST);
        assert_rule(&h, &plan, "p1", RULE_DANGLING_AGE);
        assert_rule(&h, &plan, "p2", RULE_DANGLING_AGE);
        assert_rule(&h, &plan, "step", RULE_STEP);
        assert_rule(&h, &plan, "shop", RULE_NOT_OURS);
        policy_plan_done(&plan);
        host_done(&h);
}

/* A service scaled to 0 has no container, and still needs its image. */
static void test_swarm_services(void **state) {
        static const struct {
                const char *what, *image;
                bool next, untagged, trash;
                Rule rule;
                const char *words; /* in the sentence */
        } table[] = {
                { "its spec", "watchparty-web:1", true, false, false, RULE_IN_USE,
                  "in use by service web." },
                { "its previous spec, or a task", "watchparty-web:1", false, false, false,
                  RULE_IN_USE, "in use by service web (its previous spec or a task)" },
                { "by digest and a tag", "watchparty-web:9@sha256:d", true, false, false,
                  RULE_IN_USE, "service web" },
                { "by digest, untagged", "watchparty-web@sha256:d", true, true, false, RULE_IN_USE,
                  "service web" },
                { "by id, untagged", "sha256:x", true, true, false, RULE_IN_USE, "service web" },
                { "by id, under a left-over trash tag", "sha256:x", true, true, true, RULE_IN_USE,
                  "service web" },
                { "another tag", "watchparty-web:2", true, false, false, RULE_MAX_AGE, "max_age" },
                { "the tag beside a digest that is another image's", "watchparty-web:1@sha256:e",
                  true, false, false, RULE_MAX_AGE, "max_age" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *sentence = NULL;
                Host h = host_new();
                PolicyPlan plan;
                Image *image;

                host_release(&h, "new", "redis:7", DAY);
                assert_int_equal(
                        strv_add(&host_find(&h, "new")->digests, "watchparty-web@sha256:e"), 0);
                image = host_release(&h, "x", table[i].untagged ? NULL : "watchparty-web:1",
                                     40 * DAY);
                host_seen(&h, "x")->repository = strdup("watchparty-web");
                assert_int_equal(strv_add(&image->digests, "watchparty-web@sha256:d"), 0);
                if (table[i].trash)
                        host_name(&h, "x", "watchparty-web:wpcache-trash-1");
                host_service(&h, "web", table[i].image, table[i].next);
                plan = host_decide(&h);
                assert_rule(&h, &plan, "x", table[i].rule);
                sentence = policy_image_sentence(&h.inventory, &plan, host_index(&h, "x"));
                if (!strstr(sentence, table[i].words))
                        fail_msg("%s: %s", table[i].what, sentence);
                policy_plan_done(&plan);
                host_done(&h);
        }
}

static void test_unreadable_services_keep_every_image(void **state) {
        cleanup_free char *sentence = NULL;
        Host h = host_new();
        PolicyPlan plan;

        (void)state;
        host_release(&h, "x", "watchparty-web:1", 40 * DAY);
        h.inventory.services.unread = strdup("the swarm is locked");
        plan = host_decide(&h);
        assert_rule(&h, &plan, "x", RULE_IN_USE);
        sentence = policy_image_sentence(&h.inventory, &plan, host_index(&h, "x"));
        assert_non_null(strstr(sentence, "the swarm is locked"));
        policy_plan_done(&plan);
        host_done(&h);
}

/* A rollback tag ends with max_age, whatever runs; the image only where nothing else keeps it. */
static void test_rollback_ends_with_max_age(void **state) {
        static const struct {
                const char *what, *name; /* beside the rollback tag; or NULL */
                int64_t age_sec, tag_age_sec;
                const char *container, *protect;
                uint64_t keep_last;
                Rule rule;
                bool image_goes;
        } table[] = {
                { "just not", NULL, 90 * DAY, 30 * DAY, NULL, NULL, 0, RULE_ROLLBACK, false },
                { "just so", NULL, 90 * DAY, 30 * DAY + 1, NULL, NULL, 0, RULE_ROLLBACK_EXPIRED,
                  true },
                { "not known since when", NULL, 90 * DAY, -1, NULL, NULL, 0, RULE_ROLLBACK, false },
                { "in use", NULL, 90 * DAY, 60 * DAY, "exited", NULL, 0, RULE_ROLLBACK, false },
                { "in use, with a name", "watchparty-web:1", 90 * DAY, 60 * DAY, "exited", NULL, 0,
                  RULE_IN_USE, false },
                { "protected", "watchparty-web:1", 90 * DAY, 60 * DAY, NULL, "watchparty-web", 0,
                  RULE_PROTECT, false },
                { "the newest of its repository", "watchparty-web:1", 90 * DAY, 60 * DAY, NULL,
                  NULL, 1, RULE_ROLLBACK_EXPIRED, false },
                { "named lately", "watchparty-web:1", DAY, 60 * DAY, NULL, NULL, 0,
                  RULE_ROLLBACK_EXPIRED, false },
                { "a name of others", "redis:7", 90 * DAY, 60 * DAY, NULL, NULL, 0,
                  RULE_ROLLBACK_EXPIRED, false },
                { "nothing keeps it", "watchparty-web:1", 90 * DAY, 60 * DAY, NULL, NULL, 0,
                  RULE_MAX_AGE, true },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *tag = "watchparty-web:wpcache-rollback-1";
                cleanup_free char *sentence = NULL;
                Host h = host_new();
                PolicyPlan plan;

                h.config.keep_last = table[i].keep_last;
                if (table[i].protect)
                        assert_int_equal(strv_add(&h.config.protect, table[i].protect), 0);
                host_release(&h, "x", table[i].name ?: tag, table[i].age_sec)->size_bytes = 7;
                if (table[i].name)
                        host_name(&h, "x", tag);
                if (table[i].tag_age_sec >= 0)
                        host_seen(&h, "x")->rollback_since_sec = AGE_NOW - table[i].tag_age_sec;
                if (table[i].container)
                        host_container(&h, "web", "x", table[i].container);
                plan = host_decide(&h);
                if (host_verdict(&h, &plan, "x")->rule != table[i].rule ||
                    plan.remove_bytes != (table[i].image_goes ? 7 : 0))
                        fail_msg("%s: %s", table[i].what,
                                 rule_to_string(host_verdict(&h, &plan, "x")->rule));
                sentence = policy_image_sentence(&h.inventory, &plan, host_index(&h, "x"));
                if (table[i].rule == RULE_ROLLBACK_EXPIRED)
                        assert_non_null(
                                strstr(sentence, "wpcache-rollback-1 goes: the rollback tag is"));
                policy_plan_done(&plan);
                host_done(&h);
        }
}

/* An image that another one stands on loses its rollback tag alone. Once the other one has gone by its
 * age, nothing keeps the first one any more. */
static void test_rollback_tag_of_a_step(void **state) {
        Host h = host_new();
        PolicyPlan plan;

        (void)state;
        host_image(&h, "step", "watchparty-web:1", NULL, IMAGE_KIND_CLASSIC);
        host_name(&h, "step", "watchparty-web:wpcache-rollback-1");
        host_aged(&h, "step", 90 * DAY)->rollback_since_sec = AGE_NOW - 60 * DAY;
        host_image(&h, "on", NULL, "step", IMAGE_KIND_CLASSIC);
        host_aged(&h, "on", 2 * DAY);
        plan = host_decide(&h);
        assert_rule(&h, &plan, "step", RULE_ROLLBACK_EXPIRED);
        assert_rule(&h, &plan, "on", RULE_DANGLING_AGE);
        policy_plan_done(&plan);

        strv_done(&host_find(&h, "step")->names);
        host_name(&h, "step", "watchparty-web:1");
        plan = host_decide(&h);
        assert_rule(&h, &plan, "step", RULE_STEP);
        policy_plan_done(&plan);

        host_find(&h, "on")->parent_id[0] = '\0'; /* as good as gone */
        plan = host_decide(&h);
        assert_rule(&h, &plan, "step", RULE_MAX_AGE);
        policy_plan_done(&plan);
        host_done(&h);
}

static void test_rollback(void **state) {
        static const struct {
                const char *what;
                const char *container;        /* of the rollback image */
                const char *name;             /* of the other image */
                int64_t age_sec, running_sec; /* of the other; running -1: not */
                bool expired;
        } table[] = {
                { "a newer one ran for a day", NULL, "watchparty-web:2", 5 * DAY, DAY, true },
                { "not quite a day", NULL, "watchparty-web:2", 5 * DAY, DAY - 1, false },
                { "it does not run", NULL, "watchparty-web:2", 5 * DAY, -1, false },
                { "it is older", NULL, "watchparty-web:2", 11 * DAY, 11 * DAY, false },
                { "another repository", NULL, "watchparty-api:2", 5 * DAY, DAY, false },
                { "a container uses it", "exited", "watchparty-web:2", 5 * DAY, DAY, false },
                { "another rollback tag", NULL, "watchparty-web:wpcache-rollback-2", 5 * DAY, DAY,
                  false },
                { "none", NULL, "redis:7", 5 * DAY, DAY, false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                PolicyPlan plan;

                host_release(&h, "back", "watchparty-web:wpcache-rollback-1", 10 * DAY);
                host_release(&h, "new", table[i].name, table[i].age_sec);
                host_container(&h, "now", "new", "running");
                if (table[i].running_sec >= 0)
                        host_seen(&h, "new")->running_since_sec = AGE_NOW - table[i].running_sec;
                if (table[i].container)
                        host_container(&h, "then", "back", table[i].container);
                plan = host_decide(&h);
                if (host_verdict(&h, &plan, "back")->remove != table[i].expired)
                        fail_msg("%s", table[i].what);
                assert_int_equal(host_verdict(&h, &plan, "back")->rank, 0);
                policy_plan_done(&plan);
                /* Tags of two repositories: only both. */
                host_name(&h, "back", "watchparty-else:wpcache-rollback-1");
                plan = host_decide(&h);
                assert_rule(&h, &plan, "back", RULE_ROLLBACK);
                policy_plan_done(&plan);
                host_done(&h);
        }
}

/* Classic builder: what goes by the chain of parents. */
static void test_chains(void **state) {
        Host h = host_new();
        PolicyPlan plan;

        (void)state;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "step", NULL, "base", IMAGE_KIND_CLASSIC);
        host_image(&h, "ours", "watchparty-web:1", "step", IMAGE_KIND_CLASSIC);
        host_image(&h, "left", NULL, "step", IMAGE_KIND_CLASSIC);
        host_image(&h, "theirs", NULL, "base", IMAGE_KIND_CLASSIC);
        for (size_t i = 0; i < h.inventory.images.n; i++)
                host_aged(&h, strchr(h.inventory.images.v[i].id, ':') + 1, 2 * DAY);
        plan = host_decide(&h);
        assert_rule(&h, &plan, "base", RULE_NO_MATCH);
        assert_rule(&h, &plan, "step", RULE_STEP);
        assert_rule(&h, &plan, "ours", RULE_YOUNG);
        assert_rule(&h, &plan, "left", RULE_DANGLING_AGE);
        assert_rule(&h, &plan, "theirs", RULE_NOT_OURS);
        policy_plan_done(&plan);
        host_done(&h);
}

static void test_holds(void **state) {
        static const struct {
                const char *what;
                bool observe, building, pressure;
                int64_t age_sec, quiet_sec;
                size_t n_inhibitors;
                Hold hold;
                int64_t left_sec;
        } table[] = {
                { "nothing", false, false, false, DAY, 300, 0, HOLD_NONE, -1 },
                { "just after grace", false, false, false, DAY, DAY, 0, HOLD_NONE, -1 },
                { "the last second of grace", false, false, false, DAY - 1, DAY, 0, HOLD_GRACE, 1 },
                { "a new host", false, false, false, 0, 0, 1, HOLD_GRACE, DAY },
                { "a new host under pressure", false, false, true, 0, DAY, 0, HOLD_GRACE, DAY },
                { "observe", true, true, true, 0, 0, 3, HOLD_OBSERVE, -1 },
                { "inhibited", false, true, false, DAY, 0, 1, HOLD_INHIBITED, -1 },
                { "inhibited under pressure", false, false, true, DAY, 0, 1, HOLD_INHIBITED, -1 },
                { "building", false, true, false, DAY, 0, 0, HOLD_BUILDING, -1 },
                { "building under pressure", false, true, true, DAY, 0, 0, HOLD_BUILDING, -1 },
                { "quiet", false, false, false, DAY, 299, 0, HOLD_QUIET, 1 },
                { "quiet since the start", false, false, false, DAY, 0, 0, HOLD_QUIET, 300 },
                { "quiet under pressure", false, false, true, DAY, 0, 0, HOLD_NONE, -1 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                PolicyPlan plan;

                h.config.grace_usec = USEC_PER_DAY;
                h.config.observe_only = table[i].observe;
                h.config.min_free = (Size){ .percent = 10 };
                h.now.age_sec = table[i].age_sec;
                h.now.quiet_sec = table[i].quiet_sec;
                h.now.n_inhibitors = table[i].n_inhibitors;
                h.inventory.n_records = h.inventory.n_in_use = table[i].building;
                host_disk(&h, 100 * GB, table[i].pressure ? GB : 50 * GB);
                plan = host_decide(&h);
                if (plan.hold != table[i].hold || plan.hold_left_sec != table[i].left_sec)
                        fail_msg("%s: %s, %lld s left", table[i].what, hold_to_string(plan.hold),
                                 (long long)plan.hold_left_sec);
                assert_int_equal(plan.pressure, table[i].pressure);
                policy_plan_done(&plan);
                host_done(&h);
        }

        Host h = host_new();
        PolicyPlan plan;

        assert_int_equal(strv_add(&h.inventory.classic_builds, "a build"), 0);
        plan = host_decide(&h);
        assert_int_equal(plan.hold, HOLD_BUILDING);
        policy_plan_done(&plan);
        host_done(&h);
}

/* Where what is remembered can't be read, images stay, under pressure too, and the build cache is held
 * to its size without a grace; other holds hold. */
static void test_forgetful(void **state) {
        Host h = host_new();
        PolicyPlan plan;

        (void)state;
        h.config.grace_usec = (uint64_t)(AGE_NOW + DAY) * USEC_PER_SEC;
        h.config.keep_last = 0;
        h.config.min_free = (Size){ .percent = 10 };
        h.config.builder_max = (Size){ .bytes = 2 * GB };
        h.inventory.private_bytes = 5 * GB;
        host_release(&h, "old", "watchparty-web:1", 400 * DAY);
        host_image(&h, "used", "watchparty-web:2", NULL, IMAGE_KIND_BUILDKIT);
        host_aged(&h, "used", 400 * DAY);
        host_container(&h, "web", "used", "running");
        host_disk(&h, 100 * GB, GB);
        plan = host_decide(&h);
        assert_int_equal(plan.hold, HOLD_GRACE);
        assert_true(host_verdict(&h, &plan, "old")->remove);
        policy_plan_done(&plan);

        h.now.forgetful = true;
        plan = host_decide(&h);
        assert_int_equal(plan.hold, HOLD_NONE);
        assert_rule(&h, &plan, "old", RULE_UNKNOWN);
        assert_false(host_verdict(&h, &plan, "old")->remove);
        assert_rule(&h, &plan, "used", RULE_IN_USE);
        assert_int_equal(plan.n_remove, 0);
        assert_true(plan.builder.keep_bytes > 0);
        policy_plan_done(&plan);

        h.now.n_inhibitors = 1;
        plan = host_decide(&h);
        assert_int_equal(plan.hold, HOLD_INHIBITED);
        policy_plan_done(&plan);
        host_done(&h);
}

/* Each disk comes and goes by its own measure, whatever another one does. */
static void test_two_disks(void **state) {
        Host h = host_new();
        PolicyPlan plan;

        (void)state;
        h.config.min_free = (Size){ .percent = 15 };
        h.config.target_free = (Size){ .percent = 20 };
        host_disk(&h, 100 * GB, 17 * GB);
        host_disk(&h, 100 * GB, 17 * GB);
        h.now.pressure = 1 << 1;
        plan = host_decide(&h);
        assert_false(plan.disks[0].pressure);
        assert_true(plan.disks[1].pressure);
        assert_int_equal(plan.need_bytes, 3 * GB);
        policy_plan_done(&plan);
        host_done(&h);
}

static void test_disks(void **state) {
        static const struct {
                const char *what;
                Size min, target;
                uint64_t free;
                bool before, pressure;
                uint64_t need;
        } table[] = {
                { "plenty", { .percent = 15 }, { .percent = 20 }, 40, false, false, 0 },
                { "at min_free", { .percent = 15 }, { .percent = 20 }, 15, false, false, 0 },
                { "below it", { .percent = 15 }, { .percent = 20 }, 14, false, true, 6 },
                { "on the way up", { .percent = 15 }, { .percent = 20 }, 19, true, true, 1 },
                { "on the way down", { .percent = 15 }, { .percent = 20 }, 19, false, false, 0 },
                { "there again", { .percent = 15 }, { .percent = 20 }, 20, true, false, 0 },
                { "no target", { .percent = 15 }, SIZE_OFF, 14, true, true, 1 },
                { "no target, there again", { .percent = 15 }, SIZE_OFF, 15, true, false, 0 },
                { "off", SIZE_OFF, SIZE_OFF, 0, true, false, 0 },
                { "amounts", { .bytes = 10 * GB }, { .bytes = 30 * GB }, 9, false, true, 21 },
                { "a target below", { .percent = 15 }, { .bytes = GB }, 14, false, true, 1 },
                { "more than there is", { .bytes = 500 * GB }, SIZE_OFF, 50, false, true, 50 },
                { "empty and full", { .percent = 100 }, { .percent = 100 }, 100, true, false, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                PolicyPlan plan;

                h.config.min_free = table[i].min;
                h.config.target_free = table[i].target;
                h.now.pressure = table[i].before;
                host_disk(&h, 100 * GB, table[i].free * GB);
                host_disk(&h, 0, 0); /* tells nothing */
                plan = host_decide(&h);
                if (plan.pressure != table[i].pressure ||
                    plan.disks[0].pressure != table[i].pressure ||
                    plan.disks[0].need_bytes != table[i].need * GB ||
                    plan.need_bytes != plan.disks[0].need_bytes)
                        fail_msg("%s: %d, %llu", table[i].what, plan.pressure,
                                 (unsigned long long)plan.need_bytes);
                assert_false(plan.disks[1].pressure || plan.disks[1].inode_pressure);
                policy_plan_done(&plan);
                host_done(&h);
        }
}

static void test_inodes(void **state) {
        static const struct {
                uint64_t total, free;
                bool before, pressure;
        } table[] = {
                { 1000, 50, false, false }, { 1000, 49, false, true },  { 1000, 61, true, true },
                { 1000, 62, true, false },  { 1000, 61, false, false }, { 0, 0, true, false },
        };
        Host h = host_new();
        PolicyPlan plan;

        (void)state;
        h.config.min_free_inodes_percent = 5;
        host_disk(&h, 100 * GB, 90 * GB);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                h.inventory.disks.v[0].total_inodes = table[i].total;
                h.inventory.disks.v[0].free_inodes = table[i].free;
                h.now.inode_pressure = table[i].before;
                plan = host_decide(&h);
                assert_int_equal(plan.inode_pressure, table[i].pressure);
                assert_int_equal(plan.need_bytes, 0);
                policy_plan_done(&plan);
        }
        h.config.min_free_inodes_percent = 0;
        h.inventory.disks.v[0].total_inodes = 1000;
        h.inventory.disks.v[0].free_inodes = 0;
        plan = host_decide(&h);
        assert_false(plan.inode_pressure);
        policy_plan_done(&plan);

        /* First the cache that is not in use, all of it; then one image a time, the oldest. */
        h.config.min_free_inodes_percent = 5;
        host_release(&h, "new", "watchparty-a:2", 2 * DAY)->size_bytes = GB;
        host_release(&h, "old", "watchparty-a:1", 3 * DAY)->size_bytes = GB;
        h.inventory.n_records = 2;
        h.inventory.private_bytes = 3 * GB;
        plan = host_decide(&h);
        assert_int_equal(plan.builder.keep_bytes, 1);
        assert_int_equal(plan.builder.rule, RULE_DISK_PRESSURE);
        assert_int_equal(plan.n_remove, 0);
        policy_plan_done(&plan);
        h.inventory.in_use_private_bytes = 3 * GB;
        plan = host_decide(&h);
        assert_int_equal(plan.builder.keep_bytes, 0);
        assert_rule(&h, &plan, "old", RULE_DISK_PRESSURE);
        assert_rule(&h, &plan, "new", RULE_YOUNG);
        policy_plan_done(&plan);
        /* An image that goes by its age is the one. */
        host_aged(&h, "new", 31 * DAY);
        plan = host_decide(&h);
        assert_rule(&h, &plan, "new", RULE_MAX_AGE);
        assert_rule(&h, &plan, "old", RULE_YOUNG);
        policy_plan_done(&plan);
        host_done(&h);
}

static void test_builder(void **state) {
        static const struct {
                const char *what;
                Size max, target;
                uint64_t private, in_use, total, free; /* GB; min_free is 10 % to 20 % */
                Rule rule;
                uint64_t keep, expected;
        } table[] = {
                { "within",
                  { .bytes = 10 * GB },
                  { .percent = 80 },
                  10,
                  0,
                  100,
                  50,
                  RULE_RECORD_NO_NEED,
                  0,
                  0 },
                { "above",
                  { .bytes = 10 * GB },
                  { .percent = 80 },
                  11,
                  0,
                  100,
                  50,
                  RULE_MAX_SIZE,
                  8 * GB,
                  3 * GB },
                { "a share of the disk is less",
                  { .bytes = 10 * GB, .percent = 5 },
                  { .percent = 80 },
                  11,
                  0,
                  100,
                  50,
                  RULE_MAX_SIZE,
                  4 * GB,
                  7 * GB },
                { "a share of an unknown disk",
                  { .bytes = 10 * GB, .percent = 5 },
                  { .percent = 80 },
                  9,
                  0,
                  0,
                  0,
                  RULE_RECORD_NO_NEED,
                  0,
                  0 },
                { "only a share, of an unknown disk",
                  { .percent = 5 },
                  { .percent = 80 },
                  900,
                  0,
                  0,
                  0,
                  RULE_RECORD_NO_NEED,
                  0,
                  0 },
                { "off",
                  SIZE_OFF,
                  { .percent = 80 },
                  900,
                  0,
                  1000,
                  500,
                  RULE_RECORD_NO_NEED,
                  0,
                  0 },
                { "an amount as target",
                  { .bytes = 10 * GB },
                  { .bytes = 2 * GB },
                  11,
                  0,
                  100,
                  50,
                  RULE_MAX_SIZE,
                  2 * GB,
                  9 * GB },
                { "a target above",
                  { .bytes = 10 * GB },
                  { .bytes = 20 * GB },
                  11,
                  0,
                  100,
                  50,
                  RULE_MAX_SIZE,
                  10 * GB,
                  GB },
                { "most is in use",
                  { .bytes = 10 * GB },
                  { .percent = 80 },
                  12,
                  11,
                  100,
                  50,
                  RULE_MAX_SIZE,
                  8 * GB,
                  GB },
                { "all is in use",
                  { .bytes = 10 * GB },
                  { .percent = 80 },
                  12,
                  12,
                  100,
                  50,
                  RULE_RECORD_NO_NEED,
                  0,
                  0 },
                { "pressure",
                  { .bytes = 100 * GB },
                  { .percent = 80 },
                  30,
                  0,
                  100,
                  9,
                  RULE_DISK_PRESSURE,
                  19 * GB,
                  11 * GB },
                { "pressure asks for less than the limit",
                  { .bytes = 10 * GB },
                  { .percent = 80 },
                  40,
                  0,
                  100,
                  9,
                  RULE_MAX_SIZE,
                  8 * GB,
                  32 * GB },
                { "pressure asks for more",
                  { .bytes = 10 * GB },
                  { .percent = 80 },
                  12,
                  0,
                  100,
                  9,
                  RULE_DISK_PRESSURE,
                  GB,
                  11 * GB },
                { "pressure asks for all",
                  { .bytes = 10 * GB },
                  { .percent = 80 },
                  5,
                  0,
                  100,
                  9,
                  RULE_DISK_PRESSURE,
                  1,
                  5 * GB },
                { "pressure, all in use",
                  { .bytes = 10 * GB },
                  { .percent = 80 },
                  5,
                  5,
                  100,
                  9,
                  RULE_RECORD_NO_NEED,
                  0,
                  0 },
                { "pressure, no cache",
                  { .bytes = 10 * GB },
                  { .percent = 80 },
                  0,
                  0,
                  100,
                  9,
                  RULE_RECORD_NO_NEED,
                  0,
                  0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                PolicyPlan plan;

                h.config.builder_max = table[i].max;
                h.config.builder_target = table[i].target;
                h.config.min_free = (Size){ .percent = 10 };
                h.config.target_free = (Size){ .percent = 20 };
                h.inventory.n_records = 10;
                h.inventory.n_in_use = table[i].in_use > 0;
                h.inventory.private_bytes = table[i].private * GB;
                h.inventory.in_use_private_bytes = table[i].in_use * GB;
                host_disk(&h, table[i].total * GB, table[i].free * GB);
                plan = host_decide(&h);
                if (plan.builder.rule != table[i].rule ||
                    plan.builder.keep_bytes != table[i].keep ||
                    plan.builder.expected_bytes != table[i].expected)
                        fail_msg("%s: %s, keep %llu, %llu expected", table[i].what,
                                 rule_to_string(plan.builder.rule),
                                 (unsigned long long)plan.builder.keep_bytes,
                                 (unsigned long long)plan.builder.expected_bytes);
                assert_int_equal(policy_plan_empty(&plan), table[i].keep == 0);
                policy_plan_done(&plan);
                host_done(&h);
        }
}

/* The builder gives first; then images, oldest first, and none more than is needed. */
static void test_escalation(void **state) {
        static const struct {
                uint64_t cache, free;
                size_t n_gone; /* of four images of 2 GB, oldest first */
        } table[] = {
                { 20, 9, 0 }, { 11, 9, 0 }, { 10, 9, 1 }, { 9, 9, 1 },
                { 8, 9, 2 },  { 0, 9, 4 },  { 0, 10, 0 },
        };
        static const char *const ids[] = { "i4", "i3", "i2", "i1" };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                PolicyPlan plan;

                h.config.min_free = (Size){ .percent = 10 };
                h.config.target_free = (Size){ .percent = 20 };
                h.inventory.n_records = 1;
                h.inventory.private_bytes = table[i].cache * GB;
                host_disk(&h, 100 * GB, table[i].free * GB);
                for (size_t j = 0; j < ELEMENTSOF(ids); j++)
                        host_release(&h, ids[ELEMENTSOF(ids) - 1 - j], "watchparty-a:1",
                                     (int64_t)(j + 1) * DAY)
                                ->size_bytes = 2 * GB;
                host_release(&h, "fresh", "watchparty-b:1", HOUR - 1)->size_bytes = 2 * GB;
                host_release(&h, "used", "watchparty-b:2", 9 * DAY)->size_bytes = 2 * GB;
                host_container(&h, "c", "used", "exited");
                plan = host_decide(&h);
                for (size_t j = 0; j < ELEMENTSOF(ids); j++)
                        assert_rule(&h, &plan, ids[j],
                                    j < table[i].n_gone ? RULE_DISK_PRESSURE : RULE_YOUNG);
                assert_rule(&h, &plan, "fresh", RULE_MIN_AGE);
                assert_rule(&h, &plan, "used", RULE_IN_USE);
                assert_int_equal(plan.remove_bytes, table[i].n_gone * 2 * GB);
                policy_plan_done(&plan);
                /* What goes by its age counts first. */
                host_aged(&h, "i1", 31 * DAY);
                plan = host_decide(&h);
                assert_rule(&h, &plan, "i1", RULE_MAX_AGE);
                assert_int_equal(plan.n_remove, MAX(table[i].n_gone, (size_t)1));
                policy_plan_done(&plan);
                host_done(&h);
        }
}

static void test_builder_age(void **state) {
        static const struct {
                const char *what;
                int64_t steady_sec; /* how long the clock was */
                int64_t used_sec;   /* since, of the child */
                bool observed;
                unsigned hours;
                size_t n;
        } table[] = {
                { "old", 100 * HOUR, 49 * HOUR, true, 48, 2 },
                { "at the limit", 100 * HOUR, 48 * HOUR, true, 48, 2 },
                { "one younger than it", 100 * HOUR, 48 * HOUR - 1, true, 0, 0 },
                { "the clock was set within", 48 * HOUR - 1, 49 * HOUR, true, 0, 0 },
                { "long enough ago", 48 * HOUR, 49 * HOUR, true, 48, 2 },
                { "a poll can't tell", 100 * HOUR, 1, false, 48, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                PolicyPlan plan;

                h.config.builder_age_usec = 48 * USEC_PER_HOUR;
                h.now.steady_since_sec = AGE_NOW - table[i].steady_sec;
                host_record(&h, "parent", RECORD_REGULAR, false, 10, NULL);
                host_record(&h, "child", RECORD_REGULAR, false, 10, "parent");
                host_record(&h, "busy", RECORD_REGULAR, true, 10, NULL);
                for (size_t j = 0; j < h.inventory.records.n; j++)
                        h.inventory.records.v[j].last_used_nsec =
                                (WALL_NOW - 99 * HOUR) * NSEC_PER_SEC;
                h.inventory.records.v[1].last_used_nsec =
                        (WALL_NOW - table[i].used_sec) * NSEC_PER_SEC;
                h.inventory.n_records = h.inventory.records.n;
                if (!table[i].observed)
                        record_set_done(&h.inventory.records);
                plan = host_decide(&h);
                if (plan.builder.unused_hours != table[i].hours ||
                    plan.builder.n_unused != table[i].n)
                        fail_msg("%s: %u hours, %zu", table[i].what, plan.builder.unused_hours,
                                 plan.builder.n_unused);
                policy_plan_done(&plan);
                host_done(&h);
        }
}

static void test_records(void **state) {
        static const struct {
                const char *id;
                Rule rule;
                const char *sentence;
        } table[] = {
                { "busy", RULE_RECORD_IN_USE, "Build cache record busy stays: a build uses it." },
                { "leaf", RULE_RECORD_LRU,
                  "Build cache record leaf goes: 1st of 1 in BuildKit's order of use, to bring the "
                  "cache to 30B." },
                { "root", RULE_RECORD_SPARED,
                  "Build cache record root stays: the cache is down to 30B before its turn, after "
                  "1 others." },
                { "trunk", RULE_RECORD_CHILD,
                  "Build cache record trunk stays: another record that stays was made from it." },
                { "twig", RULE_RECORD_SPARED, NULL },
        };
        Host h = host_new();
        cleanup_free uint32_t *turns = NULL;
        cleanup_free char *text = NULL;
        uint64_t bytes, private_bytes;
        RecordVerdict verdict;
        PolicyPlan plan;

        (void)state;
        host_record(&h, "busy", RECORD_REGULAR, true, 10, NULL);
        host_record(&h, "leaf", RECORD_REGULAR, false, 10, "root");
        host_record(&h, "root", RECORD_REGULAR, false, 10, NULL);
        host_record(&h, "trunk", RECORD_REGULAR, false, 1, NULL);
        host_record(&h, "twig", RECORD_REGULAR, false, 5, "trunk");
        for (size_t i = 0; i < 5; i++)
                h.inventory.records.v[i].last_used_nsec =
                        (WALL_NOW - HOUR + (int64_t)i) * NSEC_PER_SEC;
        h.inventory.n_records = 5;
        h.inventory.private_bytes = 36;
        h.inventory.in_use_private_bytes = 10;
        h.config.builder_max = (Size){ .bytes = 35 };
        h.config.builder_target = (Size){ .bytes = 30 };
        plan = host_decide(&h);
        assert_int_equal(plan.builder.keep_bytes, 30);
        assert_int_equal(lru_predict(&h.inventory.records, 30, &turns, &bytes, &private_bytes), 0);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *sentence = NULL;

                policy_record(&h.inventory, &plan, turns, &h.now, i, &verdict);
                if (verdict.rule != table[i].rule)
                        fail_msg("%s: %s", table[i].id, rule_to_string(verdict.rule));
                assert_int_equal(verdict.remove, verdict.rule == RULE_RECORD_LRU);
                assert_int_equal(verdict.age_sec, HOUR - (int64_t)i);
                sentence = policy_record_sentence(&h.inventory, &plan, i, &verdict);
                assert_non_null(sentence);
                if (table[i].sentence)
                        assert_string_equal(sentence, table[i].sentence);
        }
        text = policy_plan_sentence(&plan);
        assert_string_equal(text, "prune the build cache from 36B to 30B");
        policy_plan_done(&plan);

        h.config.builder_max = SIZE_OFF;
        h.config.builder_age_usec = USEC_PER_HOUR;
        plan = host_decide(&h);
        policy_record(&h.inventory, &plan, NULL, &h.now, 1, &verdict);
        assert_int_equal(verdict.rule, RULE_RECORD_NO_NEED);
        policy_plan_done(&plan);
        h.now.wall_sec += 5;
        plan = host_decide(&h);
        policy_record(&h.inventory, &plan, NULL, &h.now, 1, &verdict);
        assert_int_equal(verdict.rule, RULE_RECORD_AGE);
        assert_true(verdict.remove);
        assert_int_equal(verdict.limit_sec, HOUR);
        policy_plan_done(&plan);
        host_done(&h);
}

static void test_plan_sentence(void **state) {
        static const struct {
                uint64_t private, keep;
                unsigned hours;
                size_t n;
                uint64_t bytes;
                const char *sentence;
        } table[] = {
                { 0, 0, 0, 0, 0, "nothing" },
                { 12 * GB, 8 * GB, 0, 2, 1200000000,
                  "prune the build cache from 12GB to 8GB and remove 2 images (1.2GB)" },
                { 12 * GB, 1, 0, 0, 0, "prune the build cache (12GB)" },
                { 0, 0, 0, 1, GB, "remove 1 image (1GB)" },
                { 9 * GB, 0, 168, 0, 0, "prune build cache not used for 7d" },
                { 9 * GB, 8 * GB, 168, 0, 0,
                  "prune the build cache from 9GB to 8GB and prune build cache not used for 7d" },
                { 9 * GB, 8 * GB, 168, 1, 5,
                  "prune the build cache from 9GB to 8GB, prune build cache not used for 7d and "
                  "remove 1 image (5B)" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const PolicyPlan plan = {
                        .builder = { .private_bytes = table[i].private,
                                     .keep_bytes = table[i].keep,
                                     .unused_hours = table[i].hours },
                        .n_remove = table[i].n,
                        .remove_bytes = table[i].bytes,
                };
                cleanup_free char *sentence = policy_plan_sentence(&plan);

                assert_string_equal(sentence, table[i].sentence);
        }
}

static void test_pins(void **state) {
        Host h = host_new();
        cleanup_free char *none = NULL, *pins = NULL;
        PolicyPlan plan = host_decide(&h);

        (void)state;
        none = policy_pins(&h.inventory, &plan);
        assert_string_equal(none, "");
        policy_plan_done(&plan);

        host_release(&h, "a", "watchparty-a:1", 40 * DAY)->size_bytes = 3 * GB;
        host_container(&h, "stopped", "a", "exited");
        host_release(&h, "b", "watchparty-b:1", 40 * DAY)->size_bytes = 2 * GB;
        host_container(&h, "web", "b", "running");
        host_release(&h, "young", "watchparty-c:1", 2 * DAY)->size_bytes = 9 * GB;
        host_release(&h, "old", "watchparty-d:1", 40 * DAY)->size_bytes = 9 * GB;
        host_release(&h, "e", "redis:7", 40 * DAY)->size_bytes = GB;
        h.inventory.in_use_private_bytes = h.inventory.private_bytes = 4 * GB;
        plan = host_decide(&h);
        pins = policy_pins(&h.inventory, &plan);
        assert_string_equal(
                pins,
                "build cache in use (4GB): it is free when the build has ended | "
                "watchparty-a:1 (3GB): container stopped (exited) uses it; to free it: docker rm "
                "stopped | "
                "watchparty-b:1 (2GB): container web (running) uses it; to free it: docker stop "
                "web && docker rm web | "
                "redis:7 (1GB): none of its names is one of [images] match; to free it: docker rmi "
                "redis:7");
        policy_plan_done(&plan);
        host_done(&h);
}

static void test_strings(void **state) {
        (void)state;
        for (Rule rule = 0; rule < RULE_MAX; rule++) {
                assert_non_null(rule_to_string(rule));
                for (Rule other = 0; other < rule; other++)
                        assert_string_not_equal(rule_to_string(rule), rule_to_string(other));
        }
        for (Hold hold = 0; hold < HOLD_MAX; hold++)
                assert_non_null(hold_to_string(hold));
        assert_null(rule_to_string(RULE_MAX));
        assert_null(hold_to_string(HOLD_MAX));
}

/* Random hosts */

static uint64_t random_state;

static uint64_t random_next(void) { /* splitmix64 */
        uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

static uint64_t random_below(uint64_t n) {
        return random_next() % n;
}

static bool one_in(uint64_t n) {
        return random_below(n) == 0;
}

/* Ages cluster around the limits. */
static int64_t random_age(void) {
        static const int64_t around[] = { 0, HOUR, DAY, 30 * DAY, 60 * DAY };

        return MAX(around[random_below(ELEMENTSOF(around))] + (int64_t)random_below(5) - 2,
                   (int64_t)0) +
               (one_in(3) ? (int64_t)random_below(20 * DAY) : 0);
}

static const char *random_name(void) {
        static const char *const repositories[] = {
                "watchparty-web", "watchparty-api", "localhost:5000/t/watchparty-web",
                "redis",          "watchparty-db",  "watchparty-base",
                "wpcache-trash",
        };
        static const char *const tags[] = { "1", "2", "latest", "wpcache-rollback-1" };
        static char name[128];

        snprintf(name, sizeof(name), "%s:%s", repositories[random_below(ELEMENTSOF(repositories))],
                 tags[random_below(ELEMENTSOF(tags))]);
        return name;
}

static void random_image(Host *h, size_t n_images) {
        static const char *const projects[] = { "party", "shop" };
        char id[16], parent[16];
        SeenImage *seen;
        Image *image;

        snprintf(id, sizeof(id), "%04x%zu", (unsigned)random_below(0x10000), n_images);
        snprintf(parent, sizeof(parent), "%s", "none");
        if (n_images > 0 && one_in(5))
                snprintf(parent, sizeof(parent), "%s",
                         strchr(h->inventory.images.v[random_below(n_images)].id, ':') + 1);
        host_image(h, id, NULL, parent, one_in(4) ? IMAGE_KIND_CLASSIC : IMAGE_KIND_BUILDKIT);
        for (uint64_t i = one_in(3) ? 0 : 1 + random_below(one_in(4) ? 3 : 1); i > 0; i--) {
                const char *name = random_name();

                if (!image_set_find_name(&h->inventory.images, name))
                        host_name(h, id, name);
        }
        image = host_find(h, id);
        image->size_bytes = random_below(5) * GB / 2;
        if (!one_in(3))
                image->created_sec = WALL_NOW - random_age() + (one_in(9) ? YEAR : 0);
        if (image->names.n == 0 && one_in(5))
                assert_int_equal(strv_add(&image->digests, "x@sha256:1"), 0);
        if (one_in(3))
                host_project(h, id, projects[random_below(2)]);
        if (one_in(4)) {
                host_container(h, id, id, one_in(2) ? "running" : "exited");
                if (one_in(2)) {
                        Container *c = &h->inventory.containers.v[h->inventory.containers.n - 1];

                        free(c->image);
                        c->image = strdup(random_name());
                }
        }
        if (one_in(10))
                assert_int_equal(named_images_add(&h->suspects, "", host_id(id)), 0);
        if (one_in(15))
                return;
        seen = host_aged(h, id, random_age());
        if (one_in(4))
                seen->named_sec = MIN(seen->named_sec + random_age(), h->now.age_sec);
        if (one_in(4))
                seen->used_sec = AGE_NOW - random_age();
        if (one_in(4))
                seen->running_since_sec = AGE_NOW - random_age();
        if (one_in(4))
                seen->tag_mark = WALL_NOW - random_age();
        seen->ahead = one_in(4) ? random_below(4) : 0;
        if (one_in(2)) {
                const char *name = random_name();

                seen->repository = strndup(name, name_repository_length(name));
        }
}

static Host random_host(void) {
        Host h = host_new();
        size_t n = random_below(14);

        h.config.keep_last = random_below(4);
        h.config.dangling_all = one_in(5);
        h.config.project = one_in(3) ? (char *)"party" : NULL;
        if (one_in(4))
                h.config.image_max_age_usec = USEC_INFINITY;
        if (one_in(4))
                h.config.dangling_max_age_usec = USEC_INFINITY;
        if (one_in(2))
                assert_int_equal(strv_add(&h.config.protect, "watchparty-db"), 0);
        if (one_in(2))
                assert_int_equal(strv_add(&h.config.base, "watchparty-base"), 0);
        for (size_t i = 0; i < n; i++)
                random_image(&h, i);
        h.config.builder_max = (Size){ .bytes = random_below(3) * 4 * GB };
        h.config.builder_target = (Size){ .percent = 80 };
        h.inventory.n_records = random_below(3);
        h.inventory.private_bytes = h.inventory.n_records * random_below(12) * GB / 2;
        h.inventory.in_use_private_bytes = MIN(h.inventory.private_bytes, random_below(4) * GB);
        if (one_in(2)) {
                h.config.min_free = (Size){ .percent = 15 };
                h.config.target_free = (Size){ .percent = 20 };
                host_disk(&h, 50 * GB, random_below(12) * GB);
                h.inventory.disks.v[0].total_inodes = one_in(2) ? 100 : 0;
                h.inventory.disks.v[0].free_inodes = random_below(20);
                h.config.min_free_inodes_percent = one_in(2) ? 10 : 0;
                h.now.pressure = one_in(2);
        }
        return h;
}

static bool in_use(const Host *h, const Image *image) {
        for (size_t i = 0; i < h->inventory.containers.n; i++)
                if (strcmp(h->inventory.containers.v[i].image_id, image->id) == 0)
                        return true;
        return false;
}

static bool is_protected(const Host *h, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_matches_any(&h->config.protect, image->names.v[i]) ||
                    name_matches_any(&h->config.base, image->names.v[i]))
                        return true;
        return false;
}

static bool removes_image(const Host *h, const Image *image, const ImageVerdict *verdict) {
        if (!verdict->remove)
                return false;
        for (size_t i = 0; i < image->names.n; i++)
                if (!policy_takes_name(&h->config, image, verdict, image->names.v[i]))
                        return false;
        return true;
}

/* The order and the repositories once more, plainly. */
static int64_t named_sec(const Host *h, const Image *image) {
        const SeenImage *seen = seen_images_find(&h->seen, image->id);

        return seen ? seen->named_sec : h->now.age_sec;
}

static int64_t engine_sec(const Image *image, const SeenImage *seen, unsigned ahead) {
        if (seen && seen->tag_mark >= 1356998400 && !(ahead & SEEN_TAG_AHEAD))
                return seen->tag_mark;
        return image->created_sec >= 1356998400 && !(ahead & SEEN_CREATED_AHEAD)
                       ? image->created_sec
                       : 0;
}

static bool is_newer(const Host *h, const Image *a, const Image *b) {
        const SeenImage *x = seen_images_find(&h->seen, a->id), *y;
        int64_t pairs[5][2];

        y = seen_images_find(&h->seen, b->id);
        memcpy(pairs,
               (int64_t[][2]){
                       { named_sec(h, a), named_sec(h, b) },
                       { engine_sec(a, x, x ? x->ahead : 0), engine_sec(b, y, y ? y->ahead : 0) },
                       { engine_sec(a, x, 0), engine_sec(b, y, 0) },
                       { engine_sec(a, NULL, 0), engine_sec(b, NULL, 0) },
                       { x ? x->first_seen_sec : AGE_NOW, y ? y->first_seen_sec : AGE_NOW },
               },
               sizeof(pairs));
        for (size_t i = 0; i < ELEMENTSOF(pairs); i++)
                if (pairs[i][0] != pairs[i][1])
                        return pairs[i][0] > pairs[i][1];
        return strcmp(a->id, b->id) < 0;
}

static bool same_repository(const char *a, const char *b) {
        size_t n = name_repository_length(a);

        return n == name_repository_length(b) && strncmp(a, b, n) == 0;
}

/* It has a name of the repository, or last had, or its container was made by one. */
static bool is_member(const Host *h, const Image *image, const char *name) {
        const SeenImage *seen = seen_images_find(&h->seen, image->id);

        for (size_t i = 0; i < image->names.n; i++)
                if (name_is_ours(&h->config, image, image->names.v[i]) &&
                    same_repository(image->names.v[i], name))
                        return true;
        if (image->names.n > 0)
                return false;
        if (seen && seen->repository && name_is_ours(&h->config, image, seen->repository))
                return same_repository(seen->repository, name);
        for (size_t i = 0; i < h->inventory.containers.n; i++) {
                const Container *container = &h->inventory.containers.v[i];

                if (strcmp(container->image_id, image->id) == 0 && image->digests.n == 0 &&
                    name_in_scope(&h->config, image, container->image) &&
                    same_repository(container->image, name))
                        return true;
        }
        return false;
}

static size_t n_newer(const Host *h, const Image *image, const char *name) {
        size_t n = 0;

        for (size_t i = 0; i < h->inventory.images.n; i++) {
                const Image *other = &h->inventory.images.v[i];

                n += other != image && is_member(h, other, name) && is_newer(h, other, image);
        }
        return n;
}

static bool goes_by_place(const Host *h, const Image *image, const ImageVerdict *verdict) {
        return removes_image(h, image, verdict) && verdict->rule != RULE_TRASH &&
               verdict->rule != RULE_ROLLBACK_EXPIRED;
}

static void check_image(const Host *h, const PolicyPlan *plan, size_t i, uint64_t seed) {
        const Image *image = &h->inventory.images.v[i];
        const SeenImage *seen = seen_images_find(&h->seen, image->id);
        const ImageVerdict *verdict = &plan->images[i];

        if (verdict->remove != GOES(verdict->rule))
                fail_msg("seed %#llx: the rule is %s", (unsigned long long)seed,
                         rule_to_string(verdict->rule));
        if (!removes_image(h, image, verdict))
                return;
        if (in_use(h, image) || (verdict->rule != RULE_TRASH && is_protected(h, image)))
                fail_msg("seed %#llx: %s goes, in use or protected", (unsigned long long)seed,
                         image->id);
        if (!goes_by_place(h, image, verdict))
                return;
        if (verdict->age_sec < HOUR)
                fail_msg("seed %#llx: %s goes at %lld s", (unsigned long long)seed, image->id,
                         (long long)verdict->age_sec);
        for (size_t j = 0; j < image->names.n; j++) {
                const char *name = image->names.v[j];

                if (name_is_rollback(&h->config, image, name))
                        continue;
                if (!name_in_scope(&h->config, image, name))
                        fail_msg("seed %#llx: %s goes", (unsigned long long)seed, name);
                if (n_newer(h, image, name) < h->config.keep_last)
                        fail_msg("seed %#llx: %s goes, one of the newest", (unsigned long long)seed,
                                 name);
        }
        if (image->names.n == 0 && seen && seen->repository &&
            name_is_ours(&h->config, image, seen->repository) &&
            n_newer(h, image, seen->repository) < h->config.keep_last)
                fail_msg("seed %#llx: a former %s goes, one of the newest",
                         (unsigned long long)seed, seen->repository);
}

static void check_pressure(const Host *h, const PolicyPlan *plan, uint64_t seed) {
        uint64_t by_pressure = 0, last = 0, others = 0;
        int64_t youngest_sec = INT64_MAX;
        size_t n = 0;

        for (size_t i = 0; i < h->inventory.images.n; i++) {
                const Image *image = &h->inventory.images.v[i];
                const ImageVerdict *verdict = &plan->images[i];

                if (verdict->rule != RULE_DISK_PRESSURE) {
                        others += removes_image(h, image, verdict) ? image->size_bytes : 0;
                        continue;
                }
                n++;
                by_pressure += image->size_bytes;
                if (verdict->age_sec <= youngest_sec) {
                        last = verdict->age_sec == youngest_sec ? MAX(last, image->size_bytes)
                                                                : image->size_bytes;
                        youngest_sec = verdict->age_sec;
                }
        }
        if (n == 0)
                return;
        if (!plan->pressure && !(plan->inode_pressure && n == 1))
                fail_msg("seed %#llx: no disk asked for it", (unsigned long long)seed);
        if (plan->pressure &&
            plan->builder.expected_bytes + others + by_pressure - last >= plan->need_bytes)
                fail_msg("seed %#llx: more than was asked for", (unsigned long long)seed);
        for (size_t i = 0; i < h->inventory.images.n; i++)
                if ((plan->images[i].rule == RULE_YOUNG || plan->images[i].rule == RULE_NO_LIMIT) &&
                    plan->images[i].age_sec > youngest_sec)
                        fail_msg("seed %#llx: an older one was spared", (unsigned long long)seed);
}

static void assert_same(const Host *h, const PolicyPlan *a, const PolicyPlan *b, uint64_t seed) {
        bool same = a->n_remove == b->n_remove && a->remove_bytes == b->remove_bytes &&
                    a->builder.keep_bytes == b->builder.keep_bytes && a->hold == b->hold;

        for (size_t i = 0; i < h->inventory.images.n; i++)
                same = same && a->images[i].rule == b->images[i].rule &&
                       a->images[i].rank == b->images[i].rank;
        if (!same)
                fail_msg("seed %#llx: two plans", (unsigned long long)seed);
}

/* The same plan again; and by a wall clock that is a year off. For that all images were made before
 * they were first seen, as they are. */
static void check_same(Host *h, const PolicyPlan *plan, uint64_t seed) {
        PolicyPlan again = host_decide(h);

        assert_same(h, plan, &again, seed);
        policy_plan_done(&again);
        for (size_t i = 0; i < h->inventory.images.n; i++) {
                Image *image = &h->inventory.images.v[i];
                SeenImage *seen = seen_images_find(&h->seen, image->id);

                image->created_sec = WALL_NOW - (seen ? AGE_NOW - seen->first_seen_sec : 0) -
                                     (int64_t)random_below(100 * DAY);
                if (seen)
                        seen->tag_mark = image->created_sec;
        }
        again = host_decide(h);
        for (int years = -1; years <= 1; years += 2) {
                PolicyPlan jumped;

                h->now.wall_sec = WALL_NOW + years * YEAR;
                jumped = host_decide(h);
                assert_same(h, &again, &jumped, seed);
                policy_plan_done(&jumped);
        }
        h->now.wall_sec = WALL_NOW;
        policy_plan_done(&again);
}

static bool has_children(const Host *h, const Image *image) {
        for (size_t i = 0; i < h->inventory.images.n; i++)
                if (strcmp(h->inventory.images.v[i].parent_id, image->id) == 0)
                        return true;
        return false;
}

/* Carries a plan out; `rules` are those of the images that are left. What loses a rollback tag may be a
 * step at the same time. */
static void carry_out(Host *h, const PolicyPlan *plan, Rule *rules) {
        ImageSet *images = &h->inventory.images;
        bool steps[32];
        size_t n = 0;

        for (size_t i = 0; i < images->n; i++)
                steps[i] = has_children(h, &images->v[i]);
        for (size_t i = 0; i < images->n; i++) {
                Strv *names = &images->v[i].names;
                size_t n_names = 0;

                if (removes_image(h, &images->v[i], &plan->images[i])) {
                        image_done(&images->v[i]);
                        continue;
                }
                for (size_t j = 0; j < names->n; j++)
                        if (plan->images[i].remove &&
                            policy_takes_name(&h->config, &images->v[i], &plan->images[i],
                                              names->v[j]))
                                free(names->v[j]);
                        else
                                names->v[n_names++] = names->v[j];
                names->n = n_names;
                rules[n] = plan->images[i].rule;
                if (rules[n] == RULE_ROLLBACK_EXPIRED && steps[i])
                        rules[n] = RULE_STEP;
                images->v[n++] = images->v[i];
        }
        images->n = n;
}

/* With nothing else changed, nothing more goes by its age, but for what stood below an image that
 * went, or had a trash tag, which goes first. */
static void check_settled(Host *h, const PolicyPlan *plan, uint64_t seed) {
        Rule rules[32];
        PolicyPlan again;

        carry_out(h, plan, rules);
        again = host_decide(h);
        for (size_t i = 0; i < h->inventory.images.n; i++)
                if (again.images[i].remove && again.images[i].rule != RULE_DISK_PRESSURE &&
                    rules[i] != RULE_STEP && rules[i] != RULE_TRASH)
                        fail_msg("seed %#llx: %s goes next, by %s after %s",
                                 (unsigned long long)seed, h->inventory.images.v[i].id,
                                 rule_to_string(again.images[i].rule), rule_to_string(rules[i]));
        policy_plan_done(&again);
}

static void test_random_hosts(void **state) {
        const char *given = getenv("WPCACHE_SEED");
        uint64_t base = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
        size_t n_hosts = 25000, n_removed = 0, n_pressed = 0;

        (void)state;
        print_message("seed %#llx\n", (unsigned long long)base);
        for (size_t i = 0; i < n_hosts; i++) {
                uint64_t seed = base + i;
                PolicyPlan plan;
                Host h;

                random_state = seed;
                h = random_host();
                plan = host_decide(&h);
                for (size_t j = 0; j < h.inventory.images.n; j++) {
                        check_image(&h, &plan, j, seed);
                        n_removed += plan.images[j].remove;
                        n_pressed += plan.images[j].rule == RULE_DISK_PRESSURE;
                }
                check_pressure(&h, &plan, seed);
                check_same(&h, &plan, seed);
                policy_plan_done(&plan);
                plan = host_decide(&h);
                check_settled(&h, &plan, seed);
                policy_plan_done(&plan);
                host_done(&h);
        }
        assert_true(n_removed > n_hosts / 2);
        assert_true(n_pressed > n_hosts / 50);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rules),
                cmocka_unit_test(test_sentences),
                cmocka_unit_test(test_keep_last),
                cmocka_unit_test(test_unreadable),
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_order_within_a_second),
                cmocka_unit_test(test_order_by_first_sight),
                cmocka_unit_test(test_three_rebuilds),
                cmocka_unit_test(test_former_by_container),
                cmocka_unit_test(test_project_group),
                cmocka_unit_test(test_swarm_services),
                cmocka_unit_test(test_unreadable_services_keep_every_image),
                cmocka_unit_test(test_rollback_tag_of_a_step),
                cmocka_unit_test(test_rollback),
                cmocka_unit_test(test_rollback_ends_with_max_age),
                cmocka_unit_test(test_chains),
                cmocka_unit_test(test_holds),
                cmocka_unit_test(test_disks),
                cmocka_unit_test(test_two_disks),
                cmocka_unit_test(test_inodes),
                cmocka_unit_test(test_builder),
                cmocka_unit_test(test_escalation),
                cmocka_unit_test(test_builder_age),
                cmocka_unit_test(test_records),
                cmocka_unit_test(test_plan_sentence),
                cmocka_unit_test(test_pins),
                cmocka_unit_test(test_strings),
                cmocka_unit_test(test_forgetful),
                cmocka_unit_test(test_random_hosts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
