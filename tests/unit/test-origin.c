/* SPDX-License-Identifier: MIT */

/* What is known of whose an image is. */

#include "host.h"

#include "engine.h"

#include "base/text.h"
#include "janitor/origin.h"

static void observe(Host *h, const Engine *engine) {
        cleanup(stub_free) Stub *stub = stub_new(serve, engine);
        cleanup(docker_free) Docker *docker = NULL;
        Diag diag = DIAG_NULL;

        assert_int_equal(docker_new(stub->path, TIMEOUT, TIMEOUT, &docker), 0);
        assert_int_equal(image_set_index(&h->inventory.images), 0);
        assert_int_equal(fact_set_index(&h->inventory.facts), 0);
        assert_int_equal(origins_observe(docker, &h->config, &h->inventory, &diag), 0);
        h->inventory.facts.indexed = false;
}

static void test_names(void **state) {
        static const struct {
                const char *name;
                bool of_others, ours;
        } cases[] = {
                { "other/web:1", true, false },
                { "watchparty-a:1", false, true },
                { "watchparty-base:1", true, false },
                { "watchparty-a:wpcache-rollback-0123", false, true },
                { "other:wpcache-rollback-0123", true, false },
                { "wpcache-trash:0123", false, false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const Engine engine = { ENGINE_20 }; /* knows no image */
                Host h = host_new();

                assert_int_equal(strv_add(&h.config.base, "watchparty-base"), 0);
                host_image(&h, "x", cases[i].name, NULL, IMAGE_KIND_BUILDKIT);
                observe(&h, &engine);
                assert_int_equal(host_facts(&h, "x")->of_others, cases[i].of_others);
                assert_int_equal(host_facts(&h, "x")->ours, cases[i].ours);
                host_done(&h);
        }
}

/* Which images with a name the engine is asked about, and once. */
static void test_commits(void **state) {
        static const struct {
                const char *name, *parent, *cmd, *created_by;
                size_t n_asked;
                Commit commit;
        } cases[] = {
                { "watchparty-a:fix", "p", "[\"/app\"]", "/app", 1, COMMIT_YES },
                { "watchparty-a:1", "p", "[\"/app\"]", "/bin/sh -c make", 1, COMMIT_NO },
                { "watchparty-a:fix", NULL, "[\"/app\"]", "/app", 1, COMMIT_YES },
                { "watchparty-a:wpcache-rollback-01", "p", "[\"/app\"]", "/app", 1, COMMIT_YES },
                { "other:1", "p", "[\"/app\"]", "/app", 1, COMMIT_YES },
                { "other:1", "q", "[\"/app\"]", "/app", 0, COMMIT_UNKNOWN },
                { "other:1", NULL, "[\"/app\"]", "/app", 0, COMMIT_UNKNOWN },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup_free char *image =
                        text_format("{\"Id\":\"sha256:x\",\"Config\":{\"Cmd\":%s}}", cases[i].cmd);
                cleanup_free char *history =
                        text_format("[{\"CreatedBy\":\"%s\"}]", cases[i].created_by);
                Engine engine = { ENGINE_20,
                                  .answers = {
                                          { "GET /v1.41/images/sha256%3Ax/json", 200, image, 0 },
                                          { "GET /v1.41/images/sha256%3Ap/json", 200, image, 0 },
                                          { "GET /v1.41/images/sha256%3Ax/history", 200, history,
                                            0 },
                                  } };
                Host h = host_new();

                host_image(&h, "p", "watchparty-a:0", NULL, IMAGE_KIND_BUILDKIT);
                host_image(&h, "q", "python:3", NULL, IMAGE_KIND_BUILDKIT);
                host_image(&h, "x", cases[i].name, cases[i].parent, IMAGE_KIND_CLASSIC);
                observe(&h, &engine);
                observe(&h, &engine);
                assert_int_equal(engine.used[2], cases[i].n_asked);
                assert_int_equal(host_facts(&h, "x")->commit, cases[i].commit);
                assert_int_equal(host_facts(&h, "p")->commit, COMMIT_UNKNOWN);
                host_done(&h);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_commits),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
