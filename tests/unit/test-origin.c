/* SPDX-License-Identifier: MIT */

/* What is known of whose an image is. */

#include "host.h"

#include "engine.h"

#include "janitor/origin.h"

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
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
