/* SPDX-License-Identifier: MIT */

/* Images of others that were made right before a step of ours. */

#include "host.h"

#include "engine.h"

#include "base/text.h"
#include "janitor/named-stages.h"

#define SEC NSEC_PER_SEC

/* An image of the classic builder, made so many seconds ago, with what the engine told of it. */
static void image(Host *h, const char *id, const char *name, int64_t age_sec, ImageStep step) {
        ImageFacts *facts;

        host_image(h, id, name, "base", IMAGE_KIND_CLASSIC);
        host_find(h, id)->created_sec = WALL_NOW - age_sec;
        facts = host_facts(h, id);
        facts->step = step;
        facts->dirty = false;
}

static Host host_of_two(int64_t age_sec, ImageStep step) {
        Host h = host_new();

        host_image(&h, "base", "base:1", NULL, IMAGE_KIND_OTHER);
        image(&h, "x", "other:x", age_sec, step);
        image(&h, "ours", "watchparty-a:1", 100, STEP_OTHER);
        host_facts(&h, "ours")->created_nsec = (WALL_NOW - 100) * SEC + 5;
        return h;
}

/* The engine knows no image. */
static AmidOurs observe(Host *h) {
        const Engine engine = { .server = "Docker/28", .api_version = "1.47", .info = "{}" };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = NULL;
        Diag diag = DIAG_NULL;

        assert_int_equal(docker_new(stub->path, TIMEOUT, TIMEOUT, &docker), 0);
        assert_int_equal(fact_set_index(&h->inventory.facts), 0);
        assert_int_equal(named_stages_observe(docker, &h->config, &h->inventory, &diag), 0);
        h->inventory.facts.indexed = false;
        assert_false(host_facts(h, "x")->ours);
        return host_facts(h, "x")->made_amid_ours;
}

static void test_rules(void **state) {
        static const struct {
                const char *what;
                int64_t age_sec;
                ImageStep step;
                int64_t tagged_nsec; /* after ours was made */
                const char *project;
                AmidOurs amid;
        } cases[] = {
                { "a stage", 103, STEP_OTHER, -SEC, NULL, AMID_OURS_NAMED_BEFORE },
                { "ten seconds", 110, STEP_OTHER, 0, NULL, AMID_OURS_NAMED_BEFORE },
                { "a stage that was named later", 103, STEP_OTHER, 1, NULL, AMID_OURS_NAMED_SINCE },
                { "long before", 111, STEP_OTHER, -SEC, NULL, AMID_OURS_NOT },
                { "long before, tagged again", 111, STEP_OTHER, 50 * SEC, NULL, AMID_OURS_NOT },
                { "an application, tagged again", 103, STEP_COMMAND, 50 * SEC, NULL,
                  AMID_OURS_NOT },
                { "docker commit, tagged again", 103, STEP_NONE, 50 * SEC, NULL, AMID_OURS_NOT },
                { "of a project, tagged again", 103, STEP_OTHER, 50 * SEC, "p", AMID_OURS_NOT },
                { "not known", 103, STEP_UNKNOWN, 50 * SEC, NULL, AMID_OURS_NOT },
                { "after ours", 99, STEP_OTHER, 50 * SEC, NULL, AMID_OURS_NOT },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_of_two(cases[i].age_sec, cases[i].step);

                host_project(&h, "x", cases[i].project);
                host_facts(&h, "x")->last_tagged_nsec =
                        host_facts(&h, "ours")->created_nsec + cases[i].tagged_nsec;
                if (observe(&h) != cases[i].amid)
                        fail_msg("%s", cases[i].what);
                host_done(&h);
        }
}

/* A time of ours that is not known is not the year 1970. */
static void test_unknown_times(void **state) {
        Host h = host_of_two(103, STEP_OTHER);

        (void)state;
        host_facts(&h, "ours")->created_nsec = 0;
        host_facts(&h, "x")->last_tagged_nsec = WALL_NOW * SEC;
        assert_int_equal(observe(&h), AMID_OURS_NAMED_BEFORE);
        host_done(&h);

        h = host_of_two(100, STEP_OTHER); /* the same second */
        assert_int_equal(observe(&h), AMID_OURS_NOT);
        host_find(&h, "x")->created_nsec = (WALL_NOW - 100) * SEC + 4;
        assert_int_equal(observe(&h), AMID_OURS_NAMED_BEFORE);
        host_facts(&h, "x")->made_amid_ours = AMID_OURS_NOT;
        host_find(&h, "x")->created_nsec = (WALL_NOW - 100) * SEC + 6;
        assert_int_equal(observe(&h), AMID_OURS_NOT);
        host_find(&h, "x")->created_nsec = (WALL_NOW - 100) * SEC + 4;
        host_find(&h, "ours")->created_nsec = host_facts(&h, "ours")->created_nsec = 0;
        assert_int_equal(observe(&h), AMID_OURS_NOT);
        host_done(&h);
}

/* It holds while the image of ours that told it is gone, and not against that image's word. */
static void test_lost_again(void **state) {
        Host h = host_of_two(103, STEP_OTHER);

        (void)state;
        host_facts(&h, "x")->last_tagged_nsec = WALL_NOW * SEC;
        assert_int_equal(observe(&h), AMID_OURS_NAMED_SINCE);
        assert_true(host_facts(&h, "x")->dirty);
        host_facts(&h, "x")->dirty = false;
        host_facts(&h, "x")->last_tagged_nsec = 0; /* known in the run of the inspection alone */
        assert_int_equal(observe(&h), AMID_OURS_NAMED_SINCE);
        assert_false(host_facts(&h, "x")->dirty);

        h.inventory.images.n--; /* ours */
        assert_int_equal(observe(&h), AMID_OURS_NAMED_SINCE);
        h.inventory.images.n++;

        image(&h, "between", "other:y", 101, STEP_COMMAND);
        assert_int_equal(observe(&h), AMID_OURS_NOT);
        assert_true(host_facts(&h, "x")->dirty);
        host_done(&h);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rules),
                cmocka_unit_test(test_unknown_times),
                cmocka_unit_test(test_lost_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
