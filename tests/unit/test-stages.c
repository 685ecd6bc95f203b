/* SPDX-License-Identifier: MIT */

#include "host.h"

#include "janitor/stages.h"

/* A step or image of the classic builder, made so many seconds ago. */
static void step(Host *h, const char *id, const char *name, const char *parent, int64_t age_sec) {
        host_image(h, id, name, parent, IMAGE_KIND_CLASSIC);
        host_find(h, id)->created_sec = WALL_NOW - age_sec;
        host_find(h, id)->may_be_stage = true;
}

static NamedBuilds builds_of(const Host *h) {
        NamedBuilds builds;

        assert_int_equal(named_builds_find(&h->inventory, &h->config, &builds), 0);
        return builds;
}

static void check(Host *h, const char *id, bool ended, bool ours) {
        NamedBuilds builds = builds_of(h);

        assert_int_equal(stage_has_ended(&builds, host_find(h, id)), ended);
        assert_int_equal(stage_is_ours(&builds, host_find(h, id)), ours);
        named_builds_done(&builds);
}

static void test_stage_of_ours(void **state) {
        Host h = host_new();

        (void)state;
        step(&h, "a1", NULL, "base", 30);
        step(&h, "a2", NULL, "a1", 25);
        step(&h, "b1", NULL, NULL, 20);
        check(&h, "a2", false, false); /* the build goes on */
        step(&h, "b2", "watchparty-frontend:latest", "b1", 10);
        check(&h, "a2", true, true);
        step(&h, "c1", NULL, "base", 10); /* the same second: it may be the next build's */
        check(&h, "c1", false, false);
        host_find(&h, "c1")->created_nsec = (WALL_NOW - 10) * NSEC_PER_SEC + 5;
        check(&h, "c1", false, false);
        host_find(&h, "b2")->created_nsec = (WALL_NOW - 10) * NSEC_PER_SEC + 5;
        check(&h, "c1", true, true);
        host_find(&h, "b2")->created_nsec = (WALL_NOW - 10) * NSEC_PER_SEC + 4;
        check(&h, "c1", false, false);
        step(&h, "d1", NULL, "base", 9); /* the next build */
        check(&h, "d1", false, false);
        host_done(&h);
}

static void test_named_by_others(void **state) {
        static const struct {
                const char *name;
                ImageKind kind;
                int64_t age_sec;
                bool ended, ours;
        } cases[] = {
                { "watchparty-backend:1", IMAGE_KIND_CLASSIC, 10, true, true },
                { "other/thing:1", IMAGE_KIND_CLASSIC, 10, false, false },
                { "watchparty-backend:1", IMAGE_KIND_BUILDKIT, 10, false, false },
                { "watchparty-base:1", IMAGE_KIND_CLASSIC, 10, false, false },
                { "watchparty-backend:wpcache-rollback-0123", IMAGE_KIND_CLASSIC, 10, false,
                  false },
                { "wpcache-trash:0123", IMAGE_KIND_CLASSIC, 10, false, false },
                { "watchparty-backend:1", IMAGE_KIND_CLASSIC, 31, false, false },
                { "watchparty-backend:1", IMAGE_KIND_CLASSIC, -3600, false, false }, /* 2099 */
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();

                assert_int_equal(strv_add(&h.config.base, "watchparty-base"), 0);
                step(&h, "leaf", NULL, "parent", 30);
                host_image(&h, "named", cases[i].name, NULL, cases[i].kind);
                host_find(&h, "named")->created_sec = WALL_NOW - cases[i].age_sec;
                check(&h, "leaf", cases[i].ended, cases[i].ours);
                host_done(&h);
        }
}

/* Years that no clock shows. */
static void test_far_years(void **state) {
        static const int64_t years[] = { INT64_MIN, -1, 0, INT64_MAX };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(years); i++) {
                Host h = host_new();

                step(&h, "leaf", NULL, "parent", 0);
                host_find(&h, "leaf")->created_sec = years[i];
                step(&h, "mine", "watchparty-backend:1", NULL, 10);
                check(&h, "leaf", years[i] < WALL_NOW, false);
                host_find(&h, "mine")->created_sec = years[i];
                check(&h, "leaf", false, false);
                host_done(&h);
        }
}

/* Which build a stage is of is told by the first one that was named since. */
static void test_whose_stage(void **state) {
        Host h = host_new();

        (void)state;
        step(&h, "theirs", NULL, "x", 500);
        step(&h, "their-image", "other/thing:1", "y", 400);
        step(&h, "ours", NULL, "x", 300);
        step(&h, "our-image", "watchparty-backend:1", "z", 200);
        check(&h, "theirs", true, false);
        check(&h, "ours", true, true);
        step(&h, "old", NULL, "x", 400 + STAGE_SEC + 2);
        check(&h, "old", true, false);
        host_done(&h);

        h = host_new(); /* too long ago to be of the build that came next */
        step(&h, "old", NULL, "x", 10 + STAGE_SEC + 2);
        step(&h, "older", NULL, "x", 10 + STAGE_SEC);
        step(&h, "our-image", "watchparty-backend:1", "z", 10);
        check(&h, "old", true, false);
        check(&h, "older", true, true);
        host_done(&h);
}

/* The stage and its untagged steps are ours from then on; not the base, nor what has children. */
static void test_added(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "base", "node:20", NULL, IMAGE_KIND_OTHER);
        step(&h, "a1", NULL, "base", 30);
        step(&h, "a2", NULL, "a1", 25);
        step(&h, "a3", NULL, "a2", 24);
        step(&h, "mine", "watchparty-frontend:1", NULL, 10);
        step(&h, "next", NULL, "mine", 5);
        assert_int_equal(named_images_add(&h.suspects, "", host_id("a2")), 0);
        assert_int_equal(stages_add(&h.inventory, &h.config, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 2);
        assert_true(h.suspects.prepared); /* plan_claims() asks for each image */
        assert_true(named_images_contain_id(&h.suspects, host_id("a3")));
        h.suspects.v[0].id[0] = 'x';
        assert_int_equal(stages_add(&h.inventory, &h.config, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 2);
        named_images_done(&h.suspects);
        assert_int_equal(stages_add(&h.inventory, &h.config, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 3);
        assert_true(named_images_contain_id(&h.suspects, host_id("a1")));
        assert_false(named_images_contain_id(&h.suspects, host_id("base")));
        assert_false(named_images_contain_id(&h.suspects, host_id("next")));
        host_done(&h);

        h = host_new(); /* an answer with a circle has no leaf */
        step(&h, "p", NULL, "q", 30);
        step(&h, "q", NULL, "p", 30);
        step(&h, "r", NULL, "p", 30);
        step(&h, "mine", "watchparty-frontend:1", NULL, 10);
        assert_int_equal(stages_add(&h.inventory, &h.config, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 3);
        host_done(&h);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_stage_of_ours), cmocka_unit_test(test_named_by_others),
                cmocka_unit_test(test_far_years),     cmocka_unit_test(test_whose_stage),
                cmocka_unit_test(test_added),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
