/* SPDX-License-Identifier: MIT */

/* Untagged images that are known to be no step of ours. */

#include "host.h"

#include "engine.h"

#include "janitor/origin.h"

#define MSEC (NSEC_PER_SEC / 1000)

/* An image of the classic builder, made so many milliseconds after a second. */
static void step(Host *h, const char *id, const char *name, const char *parent, int64_t msec) {
        Image *image;

        host_image(h, id, name, parent, IMAGE_KIND_CLASSIC);
        image = host_find(h, id);
        image->created_sec = WALL_NOW - 100 + msec / 1000;
        image->created_nsec = (WALL_NOW - 100) * NSEC_PER_SEC + msec * MSEC;
        host_facts(h, id)->created_nsec = image->created_nsec;
        host_facts(h, id)->commit = COMMIT_NO;
        host_facts(h, id)->of_others = name && strncmp(name, "other", 5) == 0;
        host_facts(h, id)->ours = name && strncmp(name, "watchparty", 10) == 0;
}

/* The engine knows no image. */
static void observe(Host *h) {
        const Engine engine = { .server = "Docker/x (linux)",
                                .api_version = "1.41",
                                .info = "@20-info.json" };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = NULL;
        Diag diag = DIAG_NULL;

        assert_int_equal(docker_new(stub->path, TIMEOUT, TIMEOUT, &docker), 0);
        assert_int_equal(image_set_index(&h->inventory.images), 0);
        assert_int_equal(fact_set_index(&h->inventory.facts), 0);
        assert_int_equal(origins_observe(docker, &h->config, &h->inventory, &diag), 0);
        assert_int_equal(stages_of_others_observe(docker, &h->config, &h->inventory, &diag), 0);
        h->inventory.facts.indexed = false;
}

/* The stage "s" at 500 ms, and a build of others after it. */
static Host host_of_stage(int64_t next_msec) {
        Host h = host_new();

        host_image(&h, "base", "base:1", NULL, IMAGE_KIND_OTHER);
        step(&h, "r", NULL, "base", 400);
        step(&h, "s", NULL, "r", 500);
        step(&h, "f1", NULL, "base", next_msec);
        step(&h, "f2", "other/web:1", "f1", next_msec + 300);
        return h;
}

static void check(Host *h, bool of_others) {
        observe(h);
        assert_int_equal(host_find(h, "s")->next_step != NULL, of_others);
        if (of_others)
                assert_string_equal(host_find(h, "s")->next_step, "sha256:f1");
        assert_false(host_facts(h, "s")->ours);
        host_done(h);
}

static void test_time(void **state) {
        static const struct {
                int64_t next_msec;
                bool of_others;
        } cases[] = {
                { 501, true },   { 550, true },   { 600, true },   { 601, false },
                { 1500, false }, { 2500, false }, { 499, false }, { 500, false },
        };
        Host h;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                h = host_of_stage(cases[i].next_msec);
                check(&h, cases[i].of_others);
        }
        h = host_of_stage(550); /* into the next second */
        for (size_t i = 1; i < 5; i++) {
                h.inventory.images.v[i].created_nsec += 480 * MSEC;
                h.inventory.images.v[i].created_sec =
                        h.inventory.images.v[i].created_nsec / NSEC_PER_SEC;
                h.inventory.facts.v[i].created_nsec = h.inventory.images.v[i].created_nsec;
        }
        check(&h, true);
}

static void test_whose_step_follows(void **state) {
        Host h = host_of_stage(550);

        (void)state;
        step(&h, "ours", "watchparty-a:1", "base", 520);
        check(&h, false);
        h = host_of_stage(550);
        step(&h, "ours", NULL, "base", 520); /* of a build that failed */
        check(&h, false);
        h = host_of_stage(550); /* ours stands on the step, too */
        step(&h, "ours", "watchparty-a:1", "f1", 900);
        check(&h, false);
        h = host_of_stage(550); /* the build has not ended */
        strv_done(&host_find(&h, "f2")->names);
        host_facts(&h, "f2")->of_others = false;
        check(&h, false);
        h = host_of_stage(550); /* an earlier release */
        strv_done(&host_find(&h, "f2")->names);
        check(&h, true);
        h = host_of_stage(550); /* a later step of the same chain alone */
        host_find(&h, "f1")->created_nsec -= 100 * MSEC;
        host_facts(&h, "f1")->created_nsec -= 100 * MSEC;
        check(&h, false);
}

static void test_what_it_is(void **state) {
        Host h = host_of_stage(550);

        (void)state;
        host_facts(&h, "s")->ours = true;
        observe(&h);
        assert_null(host_find(&h, "s")->next_step);
        host_done(&h);
        h = host_of_stage(550);
        host_find(&h, "s")->may_be_stage = true;
        check(&h, false);
        h = host_of_stage(550);
        host_facts(&h, "s")->commit = COMMIT_YES;
        check(&h, false);
        h = host_of_stage(550);
        host_facts(&h, "s")->created_nsec = 0;
        check(&h, false);
}

/* The time of a step that the engine does not tell may lie between. */
static void test_unknown_time(void **state) {
        Host h = host_of_stage(550);

        (void)state;
        step(&h, "x", NULL, "base", 520);
        host_find(&h, "x")->created_nsec = host_facts(&h, "x")->created_nsec = 0;
        check(&h, false);
        h = host_of_stage(550);
        host_find(&h, "f2")->created_nsec = host_facts(&h, "f2")->created_nsec = 0;
        check(&h, true); /* what stands on f1 came after it */
}

static void test_several_stages(void **state) {
        Host h = host_of_stage(550);

        (void)state;
        step(&h, "t", NULL, "base", 450);
        observe(&h);
        assert_string_equal(host_find(&h, "s")->next_step, "sha256:f1");
        assert_string_equal(host_find(&h, "t")->next_step, "sha256:s");
        host_done(&h);
}

/* More images of one second than are compared. */
static void test_together(void **state) {
        Host h = host_of_stage(550);

        (void)state;
        for (unsigned i = 0; i < 300; i++) {
                char id[16];

                snprintf(id, sizeof(id), "n%u", i);
                step(&h, id, "other/n:1", "base", 950);
        }
        check(&h, false);
}

static void test_names(void **state) {
        static const struct {
                const char *name;
                bool of_others, ours;
        } cases[] = {
                { "other/web:1", true, false },
                { "watchparty-a:1", false, false }, /* image-history.c notes what is ours */
                { "watchparty-base:1", true, false },
                { "watchparty-a:wpcache-rollback-0123", false, true },
                { "other:wpcache-rollback-0123", false, false },
                { "wpcache-trash:0123", false, false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();

                assert_int_equal(strv_add(&h.config.base, "watchparty-base"), 0);
                host_image(&h, "x", cases[i].name, NULL, IMAGE_KIND_BUILDKIT);
                observe(&h);
                assert_int_equal(host_facts(&h, "x")->of_others, cases[i].of_others);
                assert_int_equal(host_facts(&h, "x")->ours, cases[i].ours);
                host_done(&h);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_time),         cmocka_unit_test(test_whose_step_follows),
                cmocka_unit_test(test_what_it_is),   cmocka_unit_test(test_unknown_time),
                cmocka_unit_test(test_several_stages), cmocka_unit_test(test_together),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
