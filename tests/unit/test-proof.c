/* SPDX-License-Identifier: MIT */

/*
 * Each row is a host after a clear, and what still serves a cached step there. Every rule was seen
 * on real engines; the freshness matrix of the integration tests shows the same with builds.
 */

#include "base/text.h"
#include "host.h"
#include "janitor/local-base.h"
#include "janitor/proof-chain.h"

typedef struct Row {
        const char *what;
        ImageStore store;
        ImageKind kind;
        InlineCache inline_cache;
        const char *parent; /* "step", "gone" or NULL */
        const char *name;
        const char *container; /* its state */
        bool suspect;
        RemainingKind kind_left; /* REMAINING_KIND_MAX: nothing */
} Row;

static const Row rows[] = {
        { "a rollback tag on BuildKit's", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_BUILDKIT,
          INLINE_CACHE_YES, NULL, "watchparty-b:wpcache-rollback-x", "running", true,
          REMAINING_KIND_MAX },
        { "another tag, inline", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES,
          NULL, "other:x", NULL, true, REMAINING_IMAGE },
        { "another tag, who knows", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_BUILDKIT,
          INLINE_CACHE_UNKNOWN, NULL, "other:x", NULL, true, REMAINING_IMAGE },
        { "another tag, not inline", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_BUILDKIT, INLINE_CACHE_NO,
          NULL, "other:x", NULL, true, REMAINING_KIND_MAX },
        { "another tag, containerd", IMAGE_STORE_CONTAINERD, IMAGE_KIND_BUILDKIT,
          INLINE_CACHE_UNKNOWN, NULL, "other:x", NULL, true, REMAINING_KIND_MAX },
        { "not ours, inline", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES, NULL,
          "other:x", NULL, false, REMAINING_KIND_MAX },
        { "protected, inline", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES, NULL,
          "watchparty-protected:1", NULL, false, REMAINING_IMAGE },
        { "protected, who knows", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_BUILDKIT,
          INLINE_CACHE_UNKNOWN, NULL, "watchparty-protected:1", NULL, false, REMAINING_IMAGE },
        { "protected, not inline", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_BUILDKIT, INLINE_CACHE_NO,
          NULL, "watchparty-protected:1", NULL, false, REMAINING_KIND_MAX },
        { "protected, classic", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_CLASSIC, INLINE_CACHE_NO,
          "step", "watchparty-protected:1", NULL, false, REMAINING_IMAGE },
        { "a base image", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_CLASSIC, INLINE_CACHE_NO, "step",
          "watchparty-base:1", NULL, false, REMAINING_KIND_MAX },
        { "classic, rollback tag, running", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_CLASSIC,
          INLINE_CACHE_NO, "step", "watchparty-b:wpcache-rollback-x", "running", true,
          REMAINING_CONTAINER },
        { "classic, rollback tag, nobody", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_CLASSIC,
          INLINE_CACHE_NO, "step", "watchparty-b:wpcache-rollback-x", NULL, true, REMAINING_IMAGE },
        { "classic, another name", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_CLASSIC, INLINE_CACHE_NO,
          "step", "other:x", NULL, true, REMAINING_IMAGE },
        { "classic, containerd, chain gone", IMAGE_STORE_CONTAINERD, IMAGE_KIND_CLASSIC,
          INLINE_CACHE_UNKNOWN, "gone", "watchparty-b:wpcache-rollback-x", "running", true,
          REMAINING_KIND_MAX },
        { "the same with a name for cache_from", IMAGE_STORE_CONTAINERD, IMAGE_KIND_CLASSIC,
          INLINE_CACHE_UNKNOWN, "gone", "other:x", NULL, true, REMAINING_IMAGE },
        { "a failed build's container", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_CLASSIC,
          INLINE_CACHE_NO, "step", NULL, "exited", false, REMAINING_CONTAINER },
        { "untagged, classic, nobody's", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_CLASSIC,
          INLINE_CACHE_NO, "step", NULL, NULL, false, REMAINING_IMAGE },
        { "untagged, BuildKit", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES,
          NULL, NULL, "exited", false, REMAINING_KIND_MAX },
        { "imported", IMAGE_STORE_GRAPHDRIVER, IMAGE_KIND_OTHER, INLINE_CACHE_UNKNOWN, NULL,
          "other:x", NULL, true, REMAINING_KIND_MAX },
};

static RemainingList judge(Host *h) {
        RemainingList list = { 0 };
        ClearPlan plan = host_plan(h);

        assert_int_equal(proof_remaining(&h->inventory, &h->config, &h->options, &h->suspects,
                                         &plan, NULL, &list),
                         0);
        clear_plan_done(&plan);
        return list;
}

static void test_images(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const Row *row = &rows[i];
                Host h = host_new();
                RemainingList list;

                h.inventory.image_store = row->store;
                assert_int_equal(strv_add(&h.config.protect, "watchparty-protected"), 0);
                assert_int_equal(strv_add(&h.config.base, "watchparty-base"), 0);
                host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
                if (row->parent && strcmp(row->parent, "step") == 0)
                        host_image(&h, "step", NULL, "base", IMAGE_KIND_CLASSIC);
                host_image(&h, "x", row->name, row->parent, row->kind);
                host_facts(&h, "x")->inline_cache = row->inline_cache;
                if (row->container)
                        host_container(&h, "holder", "x", row->container);
                if (row->suspect)
                        assert_int_equal(
                                named_images_add(&h.suspects, "watchparty-b:1", host_id("x")), 0);

                list = judge(&h);
                if (list.n != (row->kind_left != REMAINING_KIND_MAX) ||
                    (list.n == 1 && list.v[0].kind != row->kind_left))
                        fail_msg("%s: %zu remaining, first of kind %d", row->what, list.n,
                                 list.n > 0 ? (int)list.v[0].kind : -1);
                if (list.n == 1 && row->container)
                        assert_string_equal(list.v[0].object, "holder");
                remaining_done(&list);
                host_done(&h);
        }
}

/* Another repository's image stands on a step of ours: it is named, once. */
static void test_shared_step(void **state) {
        Host h = host_new();
        RemainingList list;

        (void)state;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "s1", NULL, "base", IMAGE_KIND_CLASSIC);
        host_image(&h, "s2", NULL, "s1", IMAGE_KIND_CLASSIC);
        host_image(&h, "y", "other:y", "s2", IMAGE_KIND_CLASSIC);
        assert_int_equal(named_images_add(&h.suspects, "", host_id("s1")), 0);
        assert_int_equal(named_images_add(&h.suspects, "", host_id("s2")), 0);
        list = judge(&h);
        assert_int_equal(list.n, 1);
        assert_string_equal(list.v[0].object, "other:y");
        remaining_done(&list);
        host_done(&h);
}

/* What no clear takes keeps the steps of ours that it stands on: it is named, and not they. A container that
 * holds a step is. */
static void test_kept_on_a_step(void **state) {
        static const struct {
                Commit commit;
                bool of_others, held;
                const char *object, *reason;
        } cases[] = {
                { COMMIT_YES, false, false, "sha256:y", "docker commit made it" },
                { COMMIT_NO, true, false, "sha256:y", "stands on a step of an image of this" },
                { COMMIT_YES, false, true, "one", "holds an untagged image" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                RemainingList list;

                host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
                host_image(&h, "s1", NULL, "base", IMAGE_KIND_CLASSIC);
                host_image(&h, "s2", NULL, "s1", IMAGE_KIND_CLASSIC);
                host_image(&h, "y", NULL, "s2", IMAGE_KIND_CLASSIC);
                host_facts(&h, "y")->commit = cases[i].commit;
                host_facts(&h, "y")->of_others = cases[i].of_others;
                if (cases[i].held)
                        host_container(&h, "one", "s2", "exited");
                assert_int_equal(named_images_add(&h.suspects, "", host_id("s1")), 0);
                assert_int_equal(named_images_add(&h.suspects, "watchparty-x:1", host_id("s2")), 0);
                list = judge(&h);
                assert_int_equal(list.n, cases[i].held ? 2 : 1);
                assert_string_equal(list.v[0].object, cases[i].object);
                assert_non_null(strstr(list.v[0].reason, cases[i].reason));
                remaining_done(&list);
                host_done(&h);
        }
}

/* A cleared image with a name of others is named, and before it what others built on it. */
static void test_cleared_with_a_child(void **state) {
        Host h = host_new();
        RemainingList list;

        (void)state;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "y", "other:y", "x", IMAGE_KIND_CLASSIC);
        host_image(&h, "x", "pinned:x", "base", IMAGE_KIND_CLASSIC);
        host_history(&h, "x", "bA");
        host_facts(&h, "x")->ours = true;
        host_history(&h, "y", "baC");
        assert_int_equal(named_images_add(&h.suspects, "watchparty-x:1", host_id("x")), 0);
        list = judge(&h);
        assert_int_equal(list.n, 2);
        assert_string_equal(list.v[0].object, "other:y");
        assert_string_equal(list.v[1].object, "pinned:x");
        remaining_done(&list);
        host_done(&h);
}

/* Where a source is, what stands on it is named with it, children before parents; and none of it is assumed. A
 * step without a name goes along, unless a container holds it. */
static void test_what_stands_on_a_source(void **state) {
        static const char *const objects[] = { "debug", "leaf", "one", "other:b", "other:a" };
        static const char *const remedies[] = { "docker rm debug, ", "docker rmi sha256:leaf, ",
                                                "docker rm -f one && docker rmi other:c, ",
                                                "docker rmi other:b, ", "docker rmi other:a, " };
        cleanup(strv_done) Strv assumes = STRV_NULL;
        Host h = host_new();
        RemainingList list;

        (void)state;
        host_image(&h, "ours", "watchparty-x:1", NULL, IMAGE_KIND_BUILDKIT);
        host_history(&h, "ours", "xAB");
        host_facts(&h, "ours")->ours = true;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "a", "other:a", "base", IMAGE_KIND_CLASSIC);
        host_history(&h, "a", "xA");
        host_image(&h, "s", NULL, "a", IMAGE_KIND_CLASSIC);
        host_history(&h, "s", "xaC");
        host_image(&h, "b", "other:b", "s", IMAGE_KIND_CLASSIC);
        host_history(&h, "b", "xaCD");
        host_image(&h, "c", "other:c", "b", IMAGE_KIND_CLASSIC);
        host_history(&h, "c", "xacdE");
        host_image(&h, "leaf", NULL, "b", IMAGE_KIND_CLASSIC);
        host_history(&h, "leaf", "xacdF");
        host_facts(&h, "leaf")->of_others = true;
        host_container(&h, "debug", "s", "exited");
        host_container(&h, "one", "c", "running");
        image_done(&h.inventory.images.v[0]); /* ours is remembered */
        memmove(h.inventory.images.v, h.inventory.images.v + 1,
                --h.inventory.images.n * sizeof(Image));
        list = judge(&h);
        assert_int_equal(list.n, ELEMENTSOF(objects));
        for (size_t i = 0, k; i < list.n; i++) {
                for (k = 0; k < list.n && !strstr(list.v[i].object, objects[k]);)
                        k++;
                assert_true(k < list.n);
                assert_true(k == 1 || k == 2 || k == i); /* these two in either order */
                assert_memory_equal(list.v[i].remedy, remedies[k], strlen(remedies[k]));
        }
        remaining_done(&list);
        assert_int_equal(proof_assumes(&h.inventory, &h.config, &h.options, &h.suspects, &assumes),
                         0);
        assert_null(strstr(assumes.v[assumes.n - 1], "other:"));
        host_done(&h);
}

/* An engine's answer may hold a circle: then what is in it is named all the same. */
static void test_sources_in_a_circle(void **state) {
        Host h = host_new();
        RemainingList list;

        (void)state;
        host_image(&h, "1", NULL, "2", IMAGE_KIND_CLASSIC);
        host_image(&h, "2", NULL, "1", IMAGE_KIND_CLASSIC);
        host_image(&h, "3", "other:3", "2", IMAGE_KIND_CLASSIC);
        assert_int_equal(named_images_add(&h.suspects, "", host_id("1")), 0);
        list = judge(&h);
        assert_true(list.n > 0);
        remaining_done(&list);
        host_done(&h);
}

/* Every container and name of an image has to go; a container that builds is named with its build. */
static void test_remedy(void **state) {
        Host h = host_new();
        RemainingList list;

        (void)state;
        host_image(&h, "x", "other:x", NULL, IMAGE_KIND_CLASSIC);
        host_name(&h, "x", "other:y");
        list = judge(&h);
        assert_int_equal(list.n, 1);
        assert_non_null(
                strstr(list.v[0].remedy, "docker rmi other:x other:y, then clear again; if "));
        remaining_done(&list);

        host_container(&h, "one", "x", "exited");
        list = judge(&h);
        assert_non_null(strstr(list.v[0].remedy, "docker rm one && docker rmi other:x other:y, "));
        remaining_done(&list);
        host_container(&h, "two", "x", "running");
        assert_int_equal(container_set_index(&h.inventory.containers), 0);
        list = judge(&h);
        assert_non_null(strstr(list.v[0].remedy, "docker rm -f one two && docker rmi other:x "));
        assert_non_null(strstr(list.v[0].remedy, "add it to [images] base"));
        remaining_done(&list);

        h.inventory.containers.v[0].builds = true;
        list = judge(&h);
        assert_non_null(strstr(list.v[0].remedy, "docker rm -f two && docker rmi other:x "));
        remaining_done(&list);
        h.inventory.containers.v[1].builds = true;
        list = judge(&h);
        assert_int_equal(list.n, 0);
        host_done(&h);
}

/* One that serves by its names alone stays: those of others go, and neither its rollback tag nor its container. */
static void test_remedy_of_a_name(void **state) {
        Host h = host_new();
        RemainingList list;

        (void)state;
        host_image(&h, "x", "watchparty-web:wpcache-rollback-1", NULL, IMAGE_KIND_BUILDKIT);
        host_name(&h, "x", "other:x");
        host_facts(&h, "x")->inline_cache = INLINE_CACHE_YES;
        host_container(&h, "one", "x", "running");
        assert_int_equal(named_images_add(&h.suspects, "watchparty-web:1", host_id("x")), 0);
        list = judge(&h);
        assert_int_equal(list.n, 1);
        assert_string_equal(list.v[0].remedy, "docker rmi other:x, then clear again");
        remaining_done(&list);
        host_done(&h);
}

/* A container that may have any of these images mounted, by a name that moved. */
static void host_may_mount(Host *h, const char *container, const char *const *images, size_t n) {
        ImageMounts *mounts = &h->inventory.image_mounts;

        host_image(h, "tools", "tools:1", NULL, IMAGE_KIND_OTHER);
        host_container(h, container, "tools", "running");
        mounts->v = calloc(n, sizeof(*mounts->v));
        assert_non_null(mounts->v);
        for (size_t i = 0; i < n; i++) {
                mounts->v[i].container = h->inventory.containers.n - 1;
                strcpy(mounts->v[i].image_id, host_id(images[i]));
                assert_int_equal(index_add(&mounts->by_image, mounts->v[i].image_id, i), 0);
        }
        mounts->n = mounts->size = n;
        index_sort(&mounts->by_image);
}

/* One command removes it; what goes along then has no entry, and what has a name has its own command alone. */
static void test_one_container_of_many_steps(void **state) {
        static const char *const steps[] = { "s1", "s2", "s3", "leaf", "y" };
        Host h = host_new();
        RemainingList list;

        (void)state;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "s1", NULL, "base", IMAGE_KIND_CLASSIC);
        host_image(&h, "s2", NULL, "s1", IMAGE_KIND_CLASSIC);
        host_image(&h, "s3", NULL, "s2", IMAGE_KIND_CLASSIC);
        host_image(&h, "leaf", NULL, "s3", IMAGE_KIND_CLASSIC);
        host_image(&h, "y", "other:y", "s3", IMAGE_KIND_CLASSIC);
        for (size_t i = 0; i < 4; i++)
                assert_int_equal(named_images_add(&h.suspects, "", host_id(steps[i])), 0);
        host_may_mount(&h, "c", steps, ELEMENTSOF(steps));
        list = judge(&h);
        assert_int_equal(list.n, 2);
        assert_string_equal(list.v[0].object, "c");
        assert_memory_equal(list.v[0].remedy, "docker rm -f c, ", strlen("docker rm -f c, "));
        assert_string_equal(list.v[1].object, "other:y");
        assert_memory_equal(list.v[1].remedy, "docker rmi other:y, ",
                            strlen("docker rmi other:y, "));
        remaining_done(&list);
        host_done(&h);
}

/* A command lists 16 of them at most. As long as a container holds the image, none of its names can go. */
static void test_remedy_of_many(void **state) {
        static const struct {
                unsigned containers, names;
                const char *last, *more;
        } cases[] = {
                { 16, 16, " c15 && docker rmi other:0 ", " other:15, then clear again" },
                { 20, 1, "docker rm -f c0 ", " c15 (the next clear lists more containers), then " },
                { 20, 20, "docker rm -f c0 ",
                  " c15 (the next clear lists more containers), then " },
                { 1, 20, "docker rm -f c0 && docker rmi other:0 ",
                  " other:15 (the next clear lists more names), then clear again" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                RemainingList list;
                char text[24];

                host_image(&h, "x", NULL, NULL, IMAGE_KIND_CLASSIC);
                for (unsigned k = 0; k < cases[i].names; k++) {
                        snprintf(text, sizeof(text), "other:%u", k);
                        host_name(&h, "x", text);
                }
                for (unsigned k = 0; k < cases[i].containers; k++) {
                        snprintf(text, sizeof(text), "c%u", k);
                        host_container(&h, text, "x", "running");
                }
                assert_int_equal(container_set_index(&h.inventory.containers), 0);
                list = judge(&h);
                assert_int_equal(list.n, 1);
                if (!strstr(list.v[0].remedy, cases[i].last) ||
                    !strstr(list.v[0].remedy, cases[i].more))
                        fail_msg("%u, %u: %s", cases[i].containers, cases[i].names,
                                 list.v[0].remedy);
                remaining_done(&list);
                host_done(&h);
        }
}

/* A clear takes the names of ours once they are not protected; the rest has to go as well. */
static void test_remedy_of_a_protected_image(void **state) {
        static const struct {
                ImageKind kind;
                const char *other, *container, *remedy;
        } cases[] = {
                { IMAGE_KIND_CLASSIC, NULL, NULL, "protect, then clear again; " },
                { IMAGE_KIND_CLASSIC, NULL, "web",
                  "protect, docker rm -f web, then clear again; " },
                { IMAGE_KIND_CLASSIC, "other:x", "web",
                  "protect, docker rm -f web && docker rmi other:x, then clear again; " },
                { IMAGE_KIND_CLASSIC, "watchparty-a:2", NULL, "protect, then clear again; " },
                /* Only its names let it serve. */
                { IMAGE_KIND_BUILDKIT, "other:x", "web",
                  "protect, docker rmi other:x, then clear again; " },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                RemainingList list;

                assert_int_equal(strv_add(&h.config.protect, "watchparty-a"), 0);
                host_image(&h, "x", "watchparty-a:1", NULL, cases[i].kind);
                host_facts(&h, "x")->inline_cache = INLINE_CACHE_YES;
                if (cases[i].other)
                        host_name(&h, "x", cases[i].other);
                if (cases[i].container)
                        host_container(&h, cases[i].container, "x", "running");
                list = judge(&h);
                assert_int_equal(list.n, 1);
                if (!strstr(list.v[0].remedy, cases[i].remedy))
                        fail_msg("%zu: %s", i, list.v[0].remedy);
                remaining_done(&list);
                host_done(&h);
        }
}

/* Two sources stand on a step, and the one of unknown origin makes what is below it a step as well, whichever the
 * engine lists first. */
static void test_steps_in_any_order(void **state) {
        static const char *const orders[][2] = { { "claimed", "unclaimed" },
                                                 { "unclaimed", "claimed" } };

        (void)state;
        for (size_t k = 0; k < ELEMENTSOF(orders); k++) {
                cleanup(proof_chain_done) ProofChain chain = { 0 };
                Source sources[4] = { 0 };
                Host h = host_new();

                host_image(&h, orders[k][0], NULL, "upper", IMAGE_KIND_CLASSIC);
                host_image(&h, orders[k][1], NULL, "upper", IMAGE_KIND_CLASSIC);
                host_image(&h, "lower", NULL, NULL, IMAGE_KIND_CLASSIC);
                host_image(&h, "upper", NULL, "lower", IMAGE_KIND_CLASSIC);
                for (size_t i = 0; i < ELEMENTSOF(sources); i++)
                        sources[i] =
                                (Source){ .way = SOURCE_CLASSIC_CHAIN, .serves = SERVES_CERTAINLY };
                sources[host_index(&h, "claimed")].untagged_ours = true;
                sources[host_index(&h, "unclaimed")].unclaimed = true;
                sources[host_index(&h, "upper")].like_ours = true;
                assert_int_equal(image_set_index(&h.inventory.images), 0);
                assert_int_equal(proof_chain_find(&h.inventory, &h.config, sources, &chain), 0);
                assert_true(chain.remains[0] && chain.remains[1]);
                assert_true(chain.step[host_index(&h, "upper")]);
                assert_true(chain.step[host_index(&h, "lower")]);
                host_done(&h);
        }
}

/* Docker removes a container in these states only where it is told to. */
static void test_remedy_of_a_state(void **state) {
        static const struct {
                const char *state, *remedy;
        } table[] = {
                { "created", "docker rm one && " },       { "exited", "docker rm one && " },
                { "dead", "docker rm one && " },          { "running", "docker rm -f one && " },
                { "restarting", "docker rm -f one && " }, { "paused", "docker rm -f one && " },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                RemainingList list;

                host_image(&h, "x", "other:x", NULL, IMAGE_KIND_CLASSIC);
                host_container(&h, "one", "x", table[i].state);
                list = judge(&h);
                assert_int_equal(list.n, 1);
                if (!strstr(list.v[0].remedy, table[i].remedy))
                        fail_msg("%s: %s", table[i].state, list.v[0].remedy);
                remaining_done(&list);
                host_done(&h);
        }
}

/* A local base image keeps its name: it is remaining, and was not cleared. */
static void test_local_base(void **state) {
        static const struct {
                ImageKind kind;
                InlineCache inline_cache;
                const char *reason;
        } cases[] = {
                { IMAGE_KIND_CLASSIC, INLINE_CACHE_NO,
                  "a local base image, which the classic builder" },
                { IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES,
                  "a local base image, which carries inline" },
                { IMAGE_KIND_BUILDKIT, INLINE_CACHE_UNKNOWN,
                  "a local base image, which may carry" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                RemainingList list;

                host_image(&h, "b", "watchparty-base:1", NULL, cases[i].kind);
                host_layers(&h, "b", "b");
                host_facts(&h, "b")->inline_cache = cases[i].inline_cache;
                host_image(&h, "child", "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
                host_layers(&h, "child", "bA");
                host_facts(&h, "child")->ours = true;
                image_done(&h.inventory.images.v[--h.inventory.images.n]);
                assert_int_equal(named_images_add(&h.suspects, "", host_id("b")), 0);
                list = judge(&h);
                assert_int_equal(list.n, 1);
                assert_string_equal(list.v[0].object, "watchparty-base:1");
                assert_non_null(strstr(list.v[0].reason, cases[i].reason));
                assert_non_null(strstr(list.v[0].remedy, "docker rmi watchparty-base:1"));
                remaining_done(&list);
                host_done(&h);
        }
}

/* What was built upon an image whose name the clear left is not told that this was cleared. */
static void test_upon_what_was_kept(void **state) {
        static const struct {
                bool configured; /* what was built is a base image itself */
                const char *reason;
        } cases[] = {
                { true, "it was built upon watchparty-base:1, which stays as long as this does" },
                { false, "that stands on a step of an image of this application, " },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                RemainingList list;

                host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
                host_image(&h, "b", "watchparty-base:1", "base", IMAGE_KIND_CLASSIC);
                host_layers(&h, "b", "b");
                host_history(&h, "b", "xB");
                host_image(&h, "c", "other:c", "b", IMAGE_KIND_CLASSIC);
                host_history(&h, "c", "xbC");
                if (cases[i].configured)
                        assert_int_equal(strv_add(&h.config.base, "other"), 0);
                host_image(&h, "child", "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
                host_layers(&h, "child", "bA");
                host_facts(&h, "child")->ours = true;
                image_done(&h.inventory.images.v[--h.inventory.images.n]);
                assert_int_equal(named_images_add(&h.suspects, "watchparty-base:1", host_id("b")),
                                 0);
                list = judge(&h);
                assert_int_equal(list.n, 2);
                assert_string_equal(list.v[0].object, "other:c");
                if (!strstr(list.v[0].reason, cases[i].reason))
                        fail_msg("%s", list.v[0].reason);
                assert_string_equal(list.v[1].object, "watchparty-base:1");
                remaining_done(&list);
                host_done(&h);
        }
}

/* A release of many names, beside thousands that bore one of them before it: those are no images built upon
 * it; one that never did is. */
static void test_local_base_of_many_names(void **state) {
        enum { NAMES = 1000, RELEASES = 10000 };
        cleanup_free LocalBase *bases = NULL;
        Host h = host_new();
        char text[64];

        (void)state;
        host_image(&h, "b", "watchparty-web:latest", NULL, IMAGE_KIND_BUILDKIT);
        for (unsigned i = 0; i < NAMES; i++) {
                snprintf(text, sizeof(text), "watchparty-web:%u", i);
                host_name(&h, "b", text);
        }
        host_layers(&h, "b", "b");
        for (unsigned i = 0; i <= RELEASES; i++) {
                ImageFacts *facts;

                snprintf(text, sizeof(text), "sha256:r%u", i);
                facts = fact_set_add(&h.inventory.facts, text);
                assert_non_null(facts);
                facts->ours = true;
                assert_int_equal(prefixes_add(&facts->layers, 'b'), 0);
                assert_int_equal(prefixes_add(&facts->layers, 1000 + i), 0);
                if (i == RELEASES)
                        break;
                assert_int_equal(facts_add_name(facts, "watchparty-web:latest"), 0);
                if (i + 1 < RELEASES)
                        continue;
                assert_int_equal(fact_set_index(&h.inventory.facts), 0);
                assert_int_equal(local_bases_find(&h.inventory, &h.config, &bases), 0);
                assert_int_equal(bases[0], LOCAL_BASE_NOT);
                free(TAKE_PTR(bases));
        }
        assert_int_equal(fact_set_index(&h.inventory.facts), 0);
        assert_int_equal(local_bases_find(&h.inventory, &h.config, &bases), 0);
        assert_int_equal(bases[0], LOCAL_BASE_KNOWN);
        host_done(&h);
}

/* The volume of a builder whose container is gone, and of one whose container is there. */
static void test_builder_volumes(void **state) {
        Host h = host_new();
        RemainingList list;

        (void)state;
        host_image(&h, "bk", "moby/buildkit:buildx-stable-1", NULL, IMAGE_KIND_OTHER);
        host_container(&h, "buildx_buildkit_a0", "bk", "running");
        assert_int_equal(strv_add(&h.inventory.builder_volumes, "buildx_buildkit_a0_state"), 0);
        assert_int_equal(strv_add(&h.inventory.builder_volumes, "buildx_buildkit_arm640_state"), 0);
        list = judge(&h);
        assert_int_equal(list.n, 2);
        assert_string_equal(list.v[0].object, "buildx_buildkit_a0");
        assert_string_equal(list.v[1].object, "buildx_buildkit_arm640_state");
        assert_int_equal(list.v[1].kind, REMAINING_BUILDER);
        assert_non_null(strstr(list.v[1].reason, "builder 'arm64'"));
        assert_non_null(strstr(list.v[1].remedy, "docker volume rm buildx_buildkit_arm640_state"));
        remaining_done(&list);

        h.config.external_builders_ignore = true;
        list = judge(&h);
        assert_int_equal(list.n, 0);
        remaining_done(&list);
        host_done(&h);
}

/* A container under another name has the volume: it goes first, by force unless it has stopped. */
static void test_builder_volume_in_use(void **state) {
        static const struct {
                const char *state, *remedy;
        } cases[] = {
                { "exited", "docker rm other && docker volume rm " },
                { "running", "docker rm -f other && docker volume rm " },
                { "paused", "docker rm -f other && docker volume rm " },
                { "restarting", "docker rm -f other && docker volume rm " },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                Container *container;
                RemainingList list;

                host_image(&h, "bk", "moby/buildkit:buildx-stable-1", NULL, IMAGE_KIND_OTHER);
                host_container(&h, "other", "bk", cases[i].state);
                container = &h.inventory.containers.v[0];
                container->mounts = calloc(1, sizeof(*container->mounts));
                assert_non_null(container->mounts);
                container->n_mounts = 1;
                container->mounts[0].volume = strdup("buildx_buildkit_a0_state");
                assert_int_equal(strv_add(&h.inventory.builder_volumes, "buildx_buildkit_a0_state"),
                                 0);
                list = judge(&h);
                assert_int_equal(list.n, 1);
                assert_non_null(strstr(list.v[0].remedy, cases[i].remedy));
                remaining_done(&list);
                host_done(&h);
        }
}

/* unreadable_remaining() names it, and judges it by nothing that is not known. */
static void test_the_unreadable_is_named_once(void **state) {
        Host h = host_new();
        RemainingList list;

        (void)state;
        host_image(&h, "1", NULL, NULL, IMAGE_KIND_CLASSIC);
        assert_int_equal(named_images_add(&h.suspects, "", host_id("1")), 0);
        list = judge(&h);
        assert_int_equal(list.n, 1);
        remaining_done(&list);

        assert_int_equal(unreadable_add(&h.inventory.images.unreadable, host_id("1"), "odd"), 0);
        list = judge(&h);
        assert_int_equal(list.n, 0);
        remaining_done(&list);
        host_done(&h);
}

static void test_assumes(void **state) {
        cleanup(strv_done) Strv assumes = STRV_NULL;
        Host h = host_new();
        size_t n;

        (void)state;
        assert_int_equal(proof_assumes(&h.inventory, &h.config, &h.options, &h.suspects, &assumes),
                         0);
        n = assumes.n;
        strv_done(&assumes);

        /* All in one line. */
        for (int i = 0; i < 53; i++) {
                char id[16], name[32];

                snprintf(id, sizeof(id), "x%d", i);
                snprintf(name, sizeof(name), "other:%d", i);
                host_image(&h, id, name, NULL, IMAGE_KIND_BUILDKIT); /* who knows */
        }
        h.inventory.builder_volumes_unknown = true;
        assert_int_equal(proof_assumes(&h.inventory, &h.config, &h.options, &h.suspects, &assumes),
                         0);
        assert_int_equal(assumes.n, n + 2);
        assert_non_null(strstr(assumes.v[n], "volumes"));
        assert_non_null(strstr(assumes.v[n + 1], ": other:0, other:1, other:2, other:3, "));
        assert_non_null(strstr(assumes.v[n + 1], ", other:49 and 3 more"));
        strv_done(&assumes);

        h.options.target = TARGET_IMAGES; /* says nothing of the next build */
        assert_int_equal(proof_assumes(&h.inventory, &h.config, &h.options, &h.suspects, &assumes),
                         0);
        assert_int_equal(assumes.n, 0);
        host_done(&h);
}

/* A local base image that perhaps serves by steps of the classic builder stays, and is named. */
static void test_kept_base_is_assumed(void **state) {
        cleanup(strv_done) Strv assumes = STRV_NULL;
        Host h = host_new();
        ImageFacts *facts;

        (void)state;
        host_image(&h, "x", "watchparty-tools:1", NULL, IMAGE_KIND_BUILDKIT);
        host_layers(&h, "x", "pQC");
        host_history(&h, "x", "pqC");
        facts = host_facts(&h, "x");
        facts->classic_steps.v[0] = facts->classic_steps.v[1] = CLASSIC_STEP_YES;
        facts->inline_cache = INLINE_CACHE_NO;
        facts->ours = true;
        assert_int_equal(facts_add_need(facts, "watchparty-tools:1"), 0);
        host_image(&h, "o", "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
        host_layers(&h, "o", "nAB");
        host_history(&h, "o", "nAB");
        host_facts(&h, "o")->ours = true;
        host_facts(&h, "o")->inline_cache = INLINE_CACHE_NO;
        assert_int_equal(image_set_index(&h.inventory.images), 0);
        assert_int_equal(fact_set_index(&h.inventory.facts), 0);
        assert_int_equal(proof_assumes(&h.inventory, &h.config, &h.options, &h.suspects, &assumes),
                         0);
        assert_non_null(strstr(assumes.v[assumes.n - 1], ": watchparty-tools:1"));
        host_done(&h);
}

/* An image of BuildKit's upon steps of the classic builder, most likely those of its base image: a clear takes its
 * name, and names others that it has among the assumptions. */
static void test_only_its_base_serves(void **state) {
        static const char *const others[] = { "pinned:1", "watchparty-a:keep", NULL };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                cleanup(strv_done) Strv assumes = STRV_NULL;
                Host h = host_new();
                RemainingList list;
                ClearPlan plan;

                assert_int_equal(strv_add(&h.config.protect, "watchparty-a:keep"), 0);
                host_image(&h, "a", "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
                if (others[i])
                        host_name(&h, "a", others[i]);
                host_history(&h, "a", "pqA");
                host_facts(&h, "a")->inline_cache = INLINE_CACHE_NO;
                host_facts(&h, "a")->ours = true;
                host_facts(&h, "a")->classic_steps.v[1] = CLASSIC_STEP_YES;
                plan = host_plan(&h);
                assert_int_equal(plan.names.n, 1);
                clear_plan_done(&plan);
                assert_int_equal(named_images_add(&h.suspects, "watchparty-a:1", host_id("a")), 0);
                assert_int_equal(
                        proof_assumes(&h.inventory, &h.config, &h.options, &h.suspects, &assumes),
                        0);
                assert_true(!others[i] || strstr(assumes.v[assumes.n - 1], others[i]));
                assert_null(strstr(assumes.v[assumes.n - 1], "watchparty-a:1"));
                list = judge(&h); /* the name that is still there */
                assert_int_equal(list.n, 1);
                remaining_done(&list);
                host_done(&h);
        }
}

static void test_builder(void **state) {
        Host h = host_new();
        RemainingList list;

        (void)state;
        host_record(&h, "busy", RECORD_REGULAR, true, 1, NULL);
        host_record(&h, "stuck", RECORD_REGULAR, false, 1, NULL);
        host_image(&h, "bk", "moby/buildkit:buildx-stable-1", NULL, IMAGE_KIND_OTHER);
        host_container(&h, "buildx_buildkit_ci20", "bk",
                       "running"); /* node 0 of the builder "ci2" */
        list = judge(&h);
        assert_int_equal(list.n, 3);
        assert_string_equal(list.v[0].object, "busy");
        assert_non_null(strstr(list.v[0].reason, "in use by a build"));
        assert_string_equal(list.v[1].object, "stuck");
        assert_int_equal(list.v[2].kind, REMAINING_BUILDER);
        assert_non_null(strstr(list.v[2].remedy, "--builder ci2 -af"));
        remaining_done(&list);

        h.config.external_builders_ignore = true;
        h.options.target = TARGET_BUILDER;
        list = judge(&h);
        assert_int_equal(list.n, 2);
        remaining_done(&list);

        h.options.target = TARGET_IMAGES;
        list = judge(&h);
        assert_int_equal(list.n, 0);
        remaining_done(&list);
        host_done(&h);
}

/* A mount made from a stage keeps that stage's records, which serve on either store. */
static void test_kept_mounts(void **state) {
        Host h = host_new();
        RemainingList list;

        (void)state;
        h.options.keep_mounts = true;
        host_record(&h, "plain", RECORD_CACHE_MOUNT, false, 1, NULL);
        list = judge(&h);
        assert_int_equal(list.n, 0);
        remaining_done(&list);

        host_record(&h, "seed", RECORD_REGULAR, false, 1, NULL);
        host_record(&h, "mount", RECORD_CACHE_MOUNT, false, 1, "seed");
        list = judge(&h);
        assert_int_equal(list.n, 1);
        assert_string_equal(list.v[0].object, "seed");
        remaining_done(&list);

        h.inventory.image_store = IMAGE_STORE_CONTAINERD;
        list = judge(&h);
        assert_int_equal(list.n, 1);
        remaining_done(&list);
        host_done(&h);
}

static void test_many(void **state) {
        Host h = host_new();
        RemainingList list;

        (void)state;
        for (int i = 0; i < REMAINING_NAMED_MAX + 7; i++) {
                char id[16];

                snprintf(id, sizeof(id), "r%d", i);
                host_record(&h, id, RECORD_REGULAR, true, 1, NULL);
        }
        list = judge(&h);
        assert_int_equal(remaining_close(&list), 0);
        assert_int_equal(list.n, REMAINING_NAMED_MAX + 1);
        assert_string_equal(list.v[list.n - 1].object, "and 7 more");
        remaining_done(&list);
        host_done(&h);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_images),
                cmocka_unit_test(test_shared_step),
                cmocka_unit_test(test_kept_on_a_step),
                cmocka_unit_test(test_builder),
                cmocka_unit_test(test_remedy),
                cmocka_unit_test(test_remedy_of_a_name),
                cmocka_unit_test(test_one_container_of_many_steps),
                cmocka_unit_test(test_remedy_of_many),
                cmocka_unit_test(test_remedy_of_a_protected_image),
                cmocka_unit_test(test_steps_in_any_order),
                cmocka_unit_test(test_remedy_of_a_state),
                cmocka_unit_test(test_local_base),
                cmocka_unit_test(test_upon_what_was_kept),
                cmocka_unit_test(test_local_base_of_many_names),
                cmocka_unit_test(test_builder_volumes),
                cmocka_unit_test(test_builder_volume_in_use),
                cmocka_unit_test(test_the_unreadable_is_named_once),
                cmocka_unit_test(test_cleared_with_a_child),
                cmocka_unit_test(test_what_stands_on_a_source),
                cmocka_unit_test(test_sources_in_a_circle),
                cmocka_unit_test(test_assumes),
                cmocka_unit_test(test_kept_base_is_assumed),
                cmocka_unit_test(test_only_its_base_serves),
                cmocka_unit_test(test_kept_mounts),
                cmocka_unit_test(test_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
