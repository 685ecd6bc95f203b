/* SPDX-License-Identifier: MIT */

/*
 * Plans of small hosts, each written as a table: images (name, parent, labels), containers,
 * records; and what a clear must take away, tag and leave.
 */

#include <string.h>

#include "host.h"
#include "janitor/plan.h"
#include "test.h"

static void test_names(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "a", "watchparty-backend:latest", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "b", "localhost:5000/team/watchparty-frontend:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "c", "redis:7", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "d", "watchparty-db:1", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "e", "watchparty-base:1", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "f", "watchparty-old:wpcache-rollback-ffff", NULL, IMAGE_KIND_BUILDKIT);
        assert_int_equal(strv_add(&h.config.protect, "watchparty-db"), 0);
        assert_int_equal(strv_add(&h.config.base, "watchparty-base"), 0);

        plan = host_plan(&h);
        assert_int_equal(plan.names.n, 2);
        assert_non_null(named_images_find(&plan.names, "watchparty-backend:latest"));
        assert_non_null(
                named_images_find(&plan.names, "localhost:5000/team/watchparty-frontend:1"));
        assert_int_equal(plan.rollback_tags.n, 0);
        assert_true(plan.matches);
        clear_plan_done(&plan);
        host_done(&h);
}

static void test_rollback_tags(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "aaaaaaaaaaaa1111", "watchparty-backend:latest", NULL, IMAGE_KIND_BUILDKIT);
        host_name(&h, "aaaaaaaaaaaa1111", "watchparty-backend:v2");
        host_image(&h, "bbbbbbbbbbbb1111", "watchparty-backend:v1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "cccccccccccc1111", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        host_name(&h, "cccccccccccc1111", "watchparty-web:wpcache-rollback-cccccccccccc");
        host_image(&h, "dddddddddddd2222", "watchparty-web:2", NULL, IMAGE_KIND_BUILDKIT);
        /* A name of 12 digits that another image bears is not taken from it. */
        host_image(&h, "eeeeeeeeeeee3333", "watchparty-web:wpcache-rollback-dddddddddddd", NULL,
                   IMAGE_KIND_BUILDKIT);
        host_container(&h, "web", "aaaaaaaaaaaa1111", "running");
        host_container(&h, "old", "bbbbbbbbbbbb1111", "exited");
        host_container(&h, "keeps-its-tag", "cccccccccccc1111", "running");
        host_container(&h, "other", "dddddddddddd2222", "running");

        plan = host_plan(&h);
        assert_int_equal(plan.names.n, 5);
        assert_int_equal(plan.rollback_tags.n, 3);
        assert_non_null(named_images_find(&plan.rollback_tags,
                                          "watchparty-backend:wpcache-rollback-aaaaaaaaaaaa"));
        assert_non_null(named_images_find(&plan.rollback_tags,
                                          "watchparty-backend:wpcache-rollback-bbbbbbbbbbbb"));
        assert_non_null(named_images_find(&plan.rollback_tags,
                                          "watchparty-web:wpcache-rollback-dddddddddddd2222"));
        clear_plan_done(&plan);
        host_done(&h);
}

/* Whose an untagged image is. */
static void test_untagged(void **state) {
        static const struct {
                const char *what;
                const char *project, *parent;
                ImageKind kind;
                bool all, suspect, container;
                bool removed, unclaimed;
        } table[] = {
                { "nobody's", NULL, NULL, IMAGE_KIND_BUILDKIT },
                { "ours by project", "watchparty", NULL, IMAGE_KIND_BUILDKIT, .removed = true },
                { "another project's", "shop", NULL, IMAGE_KIND_BUILDKIT },
                { "ours by a parent", NULL, "step1", IMAGE_KIND_CLASSIC, .removed = true },
                { "held by a container", NULL, "step1", IMAGE_KIND_CLASSIC, .container = true },
                { "on another's step", NULL, "shopstep", IMAGE_KIND_CLASSIC },
                { "on the base image", NULL, "base", IMAGE_KIND_CLASSIC, .unclaimed = true },
                { "a suspect of an earlier clear", NULL, "base", IMAGE_KIND_CLASSIC,
                  .suspect = true, .removed = true },
                { "all of them", NULL, NULL, IMAGE_KIND_BUILDKIT, .all = true, .removed = true },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(strv_done) Strv unclaimed = STRV_NULL;
                Host h = host_new();
                ClearPlan plan;

                host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
                host_image(&h, "step1", NULL, "base", IMAGE_KIND_CLASSIC);
                host_image(&h, "ours", "watchparty-backend:latest", "step1", IMAGE_KIND_CLASSIC);
                host_project(&h, "ours", "watchparty");
                host_image(&h, "shopstep", NULL, "base", IMAGE_KIND_CLASSIC);
                host_image(&h, "shop", "shop:1", "shopstep", IMAGE_KIND_CLASSIC);
                host_image(&h, "x", NULL, table[i].parent, table[i].kind);
                host_project(&h, "x", table[i].project);
                if (table[i].container)
                        host_container(&h, "holder", "x", "exited");
                if (table[i].suspect)
                        assert_int_equal(named_images_add(&h.suspects, "", host_id("x")), 0);
                h.config.dangling_all = table[i].all;

                plan = host_plan(&h);
                if (strv_contains(&plan.untagged, host_id("x")) != table[i].removed)
                        fail_msg("%s: removed is wrong", table[i].what);
                host_unclaimed(&h, &unclaimed);
                if (strv_contains(&unclaimed, host_id("x")) != table[i].unclaimed)
                        fail_msg("%s: unclaimed is wrong", table[i].what);
                /* Steps go with the image that stands on them, never before it. */
                assert_false(strv_contains(&plan.untagged, host_id("step1")));
                clear_plan_done(&plan);
                host_done(&h);
        }
}

static void test_suspects(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "own", "mybase:1", "base", IMAGE_KIND_CLASSIC);
        host_image(&h, "s1", NULL, "own", IMAGE_KIND_CLASSIC);
        host_image(&h, "s2", NULL, "s1", IMAGE_KIND_CLASSIC);
        host_image(&h, "top", "watchparty-backend:latest", "s2", IMAGE_KIND_CLASSIC);

        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 4);
        assert_true(named_images_contain_id(&h.suspects, host_id("top")));
        assert_true(named_images_contain_id(&h.suspects, host_id("s2")));
        assert_true(named_images_contain_id(&h.suspects, host_id("s1")));
        /* A stage that somebody tagged, or a base image; it says which. */
        assert_true(named_images_contain_id(&h.suspects, host_id("own")));
        /* Again adds nothing. */
        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 4);

        named_images_done(&h.suspects);
        assert_int_equal(strv_add(&h.config.base, "mybase"), 0);
        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 3);
        host_done(&h);
}

static void test_records(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_record(&h, "r1", RECORD_REGULAR, false, 100, NULL);
        host_record(&h, "r2", RECORD_REGULAR, true, 10, "r1");
        host_record(&h, "seed", RECORD_REGULAR, false, 7, NULL);
        host_record(&h, "mount", RECORD_CACHE_MOUNT, false, 1000, "seed");
        host_record(&h, "plain", RECORD_CACHE_MOUNT, false, 1000, NULL);

        plan = host_plan(&h);
        assert_int_equal(plan.n_records, 4);
        assert_int_equal(plan.record_bytes, 2107);
        clear_plan_done(&plan);

        h.options.keep_mounts = true;
        plan = host_plan(&h);
        assert_int_equal(plan.n_records, 1);
        assert_int_equal(plan.record_bytes, 100);
        assert_int_equal(plan.kept_mounts.n, 3);
        assert_true(strv_contains(&plan.kept_mounts, "seed"));
        clear_plan_done(&plan);

        h.options.target = TARGET_IMAGES;
        plan = host_plan(&h);
        assert_true(clear_plan_empty(&plan));
        clear_plan_done(&plan);
        host_done(&h);
}

static void test_trash(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "a", "wpcache-trash:a", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "b", "wpcache-trash:b", NULL, IMAGE_KIND_BUILDKIT);
        host_container(&h, "holder", "b", "exited");
        plan = host_plan(&h);
        assert_int_equal(plan.trash.n, 1);
        assert_string_equal(plan.trash.v[0], "wpcache-trash:a");
        clear_plan_done(&plan);
        host_done(&h);
}

static void test_other_projects(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "a", "watchparty-backend:latest", NULL, IMAGE_KIND_BUILDKIT);
        host_project(&h, "a", "watchparty");
        host_image(&h, "b", "shop-web:latest", NULL, IMAGE_KIND_BUILDKIT);
        host_project(&h, "b", "shop");
        plan = host_plan(&h);
        assert_int_equal(plan.other_projects.n, 1);
        assert_string_equal(plan.other_projects.v[0], "shop");
        clear_plan_done(&plan);
        host_done(&h);
}

/* A rebuild took the name from a release that still runs: it gets one to be found by. */
static void test_running_untagged(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "aaaaaaaaaaaa1111", NULL, NULL, IMAGE_KIND_BUILDKIT);
        host_container(&h, "web", "aaaaaaaaaaaa1111", "running");
        free(h.inventory.containers.v[0].image);
        h.inventory.containers.v[0].image = strdup("localhost:5000/watchparty-web");
        host_image(&h, "bbbbbbbbbbbb1111", NULL, NULL, IMAGE_KIND_BUILDKIT);
        host_container(&h, "shop", "bbbbbbbbbbbb1111", "running");
        free(h.inventory.containers.v[1].image);
        h.inventory.containers.v[1].image = strdup("shop:2");

        plan = host_plan(&h);
        assert_int_equal(plan.rollback_tags.n, 1);
        assert_string_equal(plan.rollback_tags.v[0].name,
                            "localhost:5000/watchparty-web:wpcache-rollback-aaaaaaaaaaaa");
        assert_false(clear_plan_empty(&plan));
        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 1);
        clear_plan_done(&plan);
        host_done(&h);
}

/* Two plans are the same whatever order the engine lists images in. */
static void test_equal(void **state) {
        Host h = host_new(), g = host_new();
        ClearPlan a, b;

        (void)state;
        host_image(&h, "a", "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "b", "watchparty-b:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&g, "b", "watchparty-b:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&g, "a", "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
        a = host_plan(&h);
        b = host_plan(&g);
        assert_true(clear_plan_equal(&a, &b));
        clear_plan_done(&b);
        host_image(&g, "c", "watchparty-c:1", NULL, IMAGE_KIND_BUILDKIT);
        b = host_plan(&g);
        assert_false(clear_plan_equal(&a, &b));
        clear_plan_done(&a);
        clear_plan_done(&b);
        host_done(&h);
        host_done(&g);
}

/* The host after the plan, as a dry run judges it. */
static void test_predict(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "s1", NULL, "base", IMAGE_KIND_CLASSIC);
        host_image(&h, "gone", "watchparty-a:1", "s1", IMAGE_KIND_CLASSIC);
        host_image(&h, "t1", NULL, "base", IMAGE_KIND_CLASSIC);
        host_image(&h, "held", "watchparty-b:1", "t1", IMAGE_KIND_CLASSIC);
        host_container(&h, "holder", "held", "running");
        host_image(&h, "foreign", NULL, NULL, IMAGE_KIND_BUILDKIT);
        host_record(&h, "idle", RECORD_REGULAR, false, 1, NULL);
        host_record(&h, "busy", RECORD_REGULAR, true, 1, NULL);

        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        plan = host_plan(&h);
        assert_int_equal(plan_predict(&h.config, &plan, &h.suspects, &h.inventory), 0);
        clear_plan_done(&plan);
        assert_int_equal(h.inventory.images.n, 4);
        assert_null(image_set_find(&h.inventory.images, host_id("gone")));
        assert_null(image_set_find(&h.inventory.images, host_id("s1")));
        assert_string_equal(host_find(&h, "held")->names.v[0],
                            "watchparty-b:wpcache-rollback-held");
        assert_int_equal(h.inventory.records.n, 1);
        plan = host_plan(&h);
        assert_true(clear_plan_empty(&plan));
        clear_plan_done(&plan);
        host_done(&h);
}

/* Parents by index, and owners of a whole set; an answer that has parents in a circle ends, too. */
static void test_claims(void **state) {
        Host h = host_new();
        cleanup_free size_t *parents = NULL;
        cleanup_free Claim *claims = NULL;

        (void)state;
        host_image(&h, "a", NULL, "b", IMAGE_KIND_CLASSIC);
        host_image(&h, "b", NULL, "a", IMAGE_KIND_CLASSIC);
        host_image(&h, "c", NULL, "gone", IMAGE_KIND_CLASSIC);
        host_image(&h, "top", "watchparty-web:1", "mid", IMAGE_KIND_CLASSIC);
        host_image(&h, "mid", NULL, "low", IMAGE_KIND_CLASSIC);
        host_image(&h, "shop", "shop:1", "low", IMAGE_KIND_CLASSIC);
        host_image(&h, "low", NULL, NULL, IMAGE_KIND_CLASSIC);
        host_image(&h, "left", NULL, "low", IMAGE_KIND_CLASSIC);
        host_image(&h, "cart", NULL, "shop", IMAGE_KIND_CLASSIC);

        assert_int_equal(plan_parents(&h.inventory, &parents), 0);
        assert_int_equal(parents[0], 1);
        assert_int_equal(parents[1], 0);
        assert_int_equal(parents[2], PLAN_NO_PARENT);
        assert_int_equal(parents[3], 4);
        assert_int_equal(parents[4], 6);
        assert_int_equal(parents[6], PLAN_NO_PARENT);
        assert_int_equal(plan_claims(&h.inventory, &h.config, &h.suspects, parents, &claims), 0);
        assert_int_equal(claims[0], CLAIM_NONE);
        assert_int_equal(claims[2], CLAIM_NONE);
        assert_int_equal(claims[3], CLAIM_NONE); /* it has a name */
        assert_int_equal(claims[4], CLAIM_OURS);
        assert_int_equal(claims[6], CLAIM_OURS); /* of both */
        assert_int_equal(claims[7], CLAIM_OURS);
        assert_int_equal(claims[8], CLAIM_NONE); /* its chain ends at what FROM named */
        host_done(&h);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_rollback_tags),
                cmocka_unit_test(test_untagged),
                cmocka_unit_test(test_suspects),
                cmocka_unit_test(test_records),
                cmocka_unit_test(test_trash),
                cmocka_unit_test(test_other_projects),
                cmocka_unit_test(test_predict),
                cmocka_unit_test(test_running_untagged),
                cmocka_unit_test(test_equal),
                cmocka_unit_test(test_claims),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
