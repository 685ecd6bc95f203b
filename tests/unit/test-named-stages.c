/* SPDX-License-Identifier: MIT */

/* Images of others that were made right before a step of ours. */

#include "host.h"

#include "engine.h"

#include "base/text.h"
#include "janitor/named-stages.h"
#include "janitor/stages.h"

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
        const Engine engine = { .server = "Docker/x (linux)",
                                .api_version = "1.41",
                                .info = "@20-info.json" };
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

static void set_contents(Host *h, const char *id, uint64_t of_base, const uint64_t *contents,
                         size_t n) {
        ImageFacts *facts = host_facts(h, id);

        assert_int_equal(hash_list_add(&facts->classic_steps, of_base), 0);
        for (size_t i = 0; i < n && contents[i]; i++)
                assert_int_equal(hash_list_add(&facts->classic_steps, contents[i]), 0);
        facts->n_history = (int64_t)facts->classic_steps.n;
}

/* What was made from the same directory as ours, however long before, is a stage; a file alone may be the same in
 * two applications. */
static void test_contents(void **state) {
        enum {
                FILE_1 = 8,
                FILE_2 = 16,
                OTHER = 24,
                DIRECTORY = 32 + CONTENTS_OF_DIRECTORY,
                BASE = 40
        };
        static const struct {
                const char *what;
                uint64_t ours, steps[2];
                int64_t age_sec;
                ImageStep step;
                AmidOurs amid;
        } cases[] = {
                { "a file", FILE_1, { FILE_1 }, 5000, STEP_OTHER, AMID_OURS_NAMED_BEFORE },
                { "another file", FILE_1, { OTHER }, 5000, STEP_OTHER, AMID_OURS_NOT },
                { "a file of the base image", FILE_1, { BASE }, 5000, STEP_OTHER, AMID_OURS_NOT },
                { "after ours", FILE_1, { FILE_1 }, 50, STEP_OTHER, AMID_OURS_NOT },
                { "a file, CMD", FILE_1, { FILE_1 }, 103, STEP_COMMAND, AMID_OURS_NOT },
                { "a directory, CMD",
                  DIRECTORY,
                  { DIRECTORY },
                  5000,
                  STEP_COMMAND,
                  AMID_OURS_NAMED_BEFORE },
                { "a directory, committed",
                  DIRECTORY,
                  { DIRECTORY },
                  103,
                  STEP_NONE,
                  AMID_OURS_NOT },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_of_two(cases[i].age_sec, cases[i].step);

                set_contents(&h, "ours", BASE, &cases[i].ours, 1);
                set_contents(&h, "x", BASE, cases[i].steps, 1);
                if (observe(&h) != cases[i].amid)
                        fail_msg("%s", cases[i].what);
                host_done(&h);
        }
        for (int i = 0; i < 2; i++) { /* two files, in two steps of each */
                static const uint64_t files[] = { FILE_1, FILE_2 };
                Host h = host_of_two(5000, STEP_COMMAND);

                image(&h, "step", NULL, 5001, STEP_OTHER);
                strcpy(host_find(&h, "x")->parent_id, "sha256:step");
                image(&h, "our-step", NULL, 101, STEP_OTHER);
                strcpy(host_find(&h, "ours")->parent_id, "sha256:our-step");
                set_contents(&h, "ours", BASE, files, 2);
                set_contents(&h, "x", BASE, i == 0 ? files : (const uint64_t[]){ FILE_1, FILE_1 },
                             2);
                assert_int_equal(observe(&h), i == 0 ? AMID_OURS_NAMED_BEFORE : AMID_OURS_NOT);
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

/* Something of others that was made in the second of ours is between the two or came after, as its exact time tells;
 * where that is not known, the stage counts. */
static void test_in_the_second_of_ours(void **state) {
        static const struct {
                int64_t nsec; /* ours has 5; 0: not known */
                AmidOurs amid;
        } cases[] = { { 4, AMID_OURS_NOT },
                      { 6, AMID_OURS_NAMED_BEFORE },
                      { 0, AMID_OURS_NAMED_BEFORE } };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_of_two(101, STEP_OTHER);

                image(&h, "child", "other:z", 100, STEP_COMMAND);
                if (cases[i].nsec > 0)
                        host_facts(&h, "child")->created_nsec =
                                (WALL_NOW - 100) * SEC + cases[i].nsec;
                assert_int_equal(observe(&h), cases[i].amid);
                host_done(&h);
        }
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
        strv_done(&host_find(&h, "ours")->names); /* an image of others stands on it now */
        image(&h, "child", "other:z", 50, STEP_COMMAND);
        strcpy(host_find(&h, "child")->parent_id, "sha256:ours");
        assert_int_equal(observe(&h), AMID_OURS_NAMED_SINCE);
        strv_done(&host_find(&h, "child")->names);
        h.inventory.images.n--;
        host_name(&h, "ours", "watchparty-a:1");

        image(&h, "between", "other:y", 101, STEP_COMMAND);
        assert_int_equal(observe(&h), AMID_OURS_NOT);
        assert_true(host_facts(&h, "x")->dirty);
        host_done(&h);
}

/* What the engine said of an image once is not asked again, whatever it was. */
static void test_asked_once(void **state) {
        static const struct {
                const char *created_by;
                AmidOurs amid;
        } cases[] = {
                { "/bin/sh -c make", AMID_OURS_NAMED_BEFORE },
                { "/bin/sh -c #(nop)  CMD [\\\"x\\\"]", AMID_OURS_NOT },
                { "run", AMID_OURS_NOT }, /* docker commit: the command of the image */
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char history[256];
                Engine engine = {
                        .server = "Docker/x (linux)",
                        .api_version = "1.41",
                        .info = "@20-info.json",
                        .answers = {
                                { "GET /v1.41/images/sha256%3Ax/json", 200,
                                  "{\"Id\":\"sha256:x\",\"Created\":\"2027-01-15T07:58:17.5Z\","
                                  "\"Config\":{\"Cmd\":[\"run\"]}}", 0 },
                                { "GET /v1.41/images/sha256%3Ax/history", 200, history, 0 },
                        },
                };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = NULL;
                Host h = host_of_two(103, STEP_UNKNOWN);

                snprintf(history, sizeof(history), "[{\"CreatedBy\":\"%s\",\"Comment\":\"\"}]",
                         cases[i].created_by);
                assert_int_equal(docker_new(stub->path, TIMEOUT, TIMEOUT, &docker), 0);
                assert_int_equal(fact_set_index(&h.inventory.facts), 0);
                for (unsigned k = 0; k < 3; k++) {
                        assert_int_equal(
                                named_stages_observe(docker, &h.config, &h.inventory, NULL), 0);
                        assert_int_equal(engine.used[0], 1);
                        assert_int_equal(engine.used[1], 1);
                        assert_int_equal(host_facts(&h, "x")->made_amid_ours, cases[i].amid);
                }
                host_done(&h);
        }
}

/* The same of a leaf, which is a stage of ours or once had a name. */
static void test_leaf_asked_once(void **state) {
        static const struct {
                const char *tagged;
                bool stage;
        } cases[] = {
                { "0001-01-01T00:00:00Z", true },
                { "2027-01-15T07:58:18Z", false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char detail[256];
                Engine engine = {
                        .server = "Docker/x (linux)",
                        .api_version = "1.41",
                        .info = "@20-info.json",
                        .answers = {
                                { "GET /v1.41/images/sha256%3Ax/json", 200, detail, 0 },
                                { "GET /v1.41/images/sha256%3Ax/history", 200,
                                  "[{\"CreatedBy\":\"/bin/sh -c make\",\"Comment\":\"\"}]", 0 },
                        },
                };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = NULL;
                Host h = host_of_two(103, STEP_UNKNOWN);

                h.inventory.image_store = IMAGE_STORE_GRAPHDRIVER;
                strv_done(&host_find(&h, "x")->names);
                snprintf(detail, sizeof(detail),
                         "{\"Id\":\"sha256:x\",\"Created\":\"2027-01-15T07:58:17.5Z\","
                         "\"Metadata\":{\"LastTagTime\":\"%s\"}}",
                         cases[i].tagged);
                assert_int_equal(docker_new(stub->path, TIMEOUT, TIMEOUT, &docker), 0);
                assert_int_equal(fact_set_index(&h.inventory.facts), 0);
                for (unsigned k = 0; k < 3; k++) {
                        host_find(&h, "x")->may_be_stage = false; /* a new list */
                        host_find(&h, "x")->created_nsec = 0;
                        assert_int_equal(stages_observe(docker, &h.config, &h.inventory, NULL), 0);
                        assert_int_equal(engine.used[0], 1);
                        assert_int_equal(host_find(&h, "x")->may_be_stage, cases[i].stage);
                        assert_int_equal(host_facts(&h, "x")->ours, cases[i].stage);
                }
                host_done(&h);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rules),
                cmocka_unit_test(test_contents),
                cmocka_unit_test(test_unknown_times),
                cmocka_unit_test(test_in_the_second_of_ours),
                cmocka_unit_test(test_lost_again),
                cmocka_unit_test(test_asked_once),
                cmocka_unit_test(test_leaf_asked_once),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
