/* SPDX-License-Identifier: MIT */

/*
 * Policy on large hosts: what is decided stays right, and the time is told for two sizes. Times are
 * not asserted, since a busy machine may take any; growth of more than N log N shows in the ratio.
 */

#include "host.h"

#include "base/span.h"
#include "base/text.h"

#define REPOSITORIES 50

static void add_image(Host *h, size_t i, const char *name) {
        Image image = { .created_sec = WALL_NOW - 90 * DAY, .size_bytes = 1 };

        snprintf(image.id, sizeof(image.id), "sha256:%064zx", i);
        if (i % 10 == 9)
                snprintf(image.parent_id, sizeof(image.parent_id), "sha256:%064zx", i - 1);
        if (i % 7 == 3)
                image.project = strdup(i % 2 ? "party" : "shop");
        if (name)
                assert_int_equal(strv_add(&image.names, name), 0);
        assert_int_equal(image_set_add(&h->inventory.images, &image), 0);
}

static void add_container(Host *h, size_t i) {
        Container container = {
                .name = text_format("c%zu", i),
                .image = strdup("watchparty-web:1"),
                .state = strdup(i % 2 ? "running" : "exited"),
        };

        snprintf(container.id, sizeof(container.id), "%064zx", i);
        /* a third of them of one image */
        snprintf(container.image_id, sizeof(container.image_id), "sha256:%064zx",
                 i % 3 == 0 ? 0 : i % (h->inventory.images.n / 2));
        assert_int_equal(container_set_add(&h->inventory.containers, &container), 0);
}

/* N images, of which every fifth has no name, N containers, and N / 10 names on one image. */
static Host large_host(size_t n) {
        Host h = host_new();

        h.config.keep_last = 2;
        h.config.project = (char *)"party";
        for (size_t i = 0; i < n; i++) {
                cleanup_free char *name = text_format("watchparty-r%zu:%s%zu", i % REPOSITORIES,
                                                      i % 11 == 5 ? "wpcache-rollback-" : "", i);

                add_image(&h, i, i % 5 == 4 ? NULL : name);
        }
        for (size_t i = 0; i < n / 10; i++) {
                cleanup_free char *name = text_format("watchparty-many%zu:%zu", i % 500, i);

                assert_int_equal(strv_add(&h.inventory.images.v[1].names, name), 0);
        }
        for (size_t i = 0; i < n; i++)
                add_container(&h, i);
        for (size_t i = 0; i < n / 10; i++) {
                cleanup_free char *service = text_format("s%zu", i);
                cleanup_free char *image = text_format("watchparty-r%zu:%zu", i % REPOSITORIES, i);

                assert_int_equal(service_images_add(&h.inventory.services, service, image, i % 2),
                                 0);
        }
        for (size_t i = 0; i < n; i += 2) /* names that clears took */
                assert_int_equal(named_images_add(&h.suspects, "", h.inventory.images.v[i].id), 0);
        assert_int_equal(image_set_index(&h.inventory.images), 0);
        assert_int_equal(container_set_index(&h.inventory.containers), 0);
        return h;
}

static void update(Host *h) {
        SeenTime now = { h->now.age_sec, 0 };

        assert_int_equal(seen_update(&h->seen, &h->inventory, &h->config, &now, NULL), 0);
}

/* What a pass does, without the engine; the time it took. */
static uint64_t decide_all(Host *h, PolicyPlan *ret) {
        uint64_t begin_usec = now_monotonic_usec();

        assert_int_equal(service_images_resolve(&h->inventory.services, &h->inventory.images), 0);
        update(h);
        *ret = host_decide(h);
        for (size_t i = 0; i < h->inventory.images.n; i++) {
                cleanup_free char *sentence = policy_image_sentence(&h->inventory, ret, i);

                assert_non_null(sentence);
        }
        return now_monotonic_usec() - begin_usec;
}

static void check(const Host *h, const PolicyPlan *plan) {
        size_t kept[REPOSITORIES] = { 0 };

        for (size_t i = 0; i < h->inventory.images.n; i++) {
                const Image *image = &h->inventory.images.v[i];
                const ImageVerdict *verdict = &plan->images[i];

                if (image_in_use(&h->inventory, image))
                        assert_false(verdict->remove);
                if (verdict->remove && verdict->rank > 0)
                        assert_true(verdict->rank > h->config.keep_last ||
                                    verdict->rule == RULE_ROLLBACK_EXPIRED);
                if (!verdict->remove && image->names.n == 1 && verdict->rule == RULE_KEEP_LAST)
                        kept[i % REPOSITORIES]++;
        }
        for (size_t i = 0; i < REPOSITORIES; i++)
                assert_true(kept[i] <= h->config.keep_last);
        assert_true(plan->n_remove > h->inventory.images.n / 10);
}

static void test_large_hosts(void **state) {
        uint64_t usec[2];

        (void)state;
        for (size_t i = 0; i < 2; i++) {
                Host h = large_host(5000 << i);
                PolicyPlan plan;

                update(&h);
                h.now.age_sec += 60 * DAY;
                h.now.wall_sec += 60 * DAY;
                usec[i] = decide_all(&h, &plan);
                check(&h, &plan);
                policy_plan_done(&plan);
                host_done(&h);
        }
        print_message("%llu ms for 5,000 images and containers, %llu ms for 10,000 (ratio %.1f)\n",
                      (unsigned long long)usec[0] / 1000, (unsigned long long)usec[1] / 1000,
                      (double)usec[1] / (double)usec[0]);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_large_hosts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
