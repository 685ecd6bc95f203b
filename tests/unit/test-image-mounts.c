/* SPDX-License-Identifier: MIT */

/* Which image a container has mounted, as far as the engine's lists tell. */

#include "docker/image-mounts.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

#define HEX62 "00000000000000000000000000000000000000000000000000000000000000"
#define NOW_SEC 1000

typedef struct Host {
        ContainerSet containers;
        ImageSet images;
        ImageMounts mounts;
        KnownMounts known;
        int64_t tagged_sec; /* of every image */
        size_t n_asked;
} Host;

static void host_donep(Host *h) {
        container_set_done(&h->containers);
        image_set_done(&h->images);
        image_mounts_done(&h->mounts);
        known_mounts_done(&h->known);
}

static void add_image(Host *h, const char *hex, const char *name, int64_t created_sec) {
        Image image = { .created_sec = created_sec };

        snprintf(image.id, sizeof(image.id), "sha256:%s", hex);
        if (name)
                assert_int_equal(strv_add(strchr(name, '@') ? &image.digests : &image.names, name),
                                 0);
        assert_int_equal(image_set_add(&h->images, &image), 0);
}

static void add_container(Host *h, const char *name, const char *state, const char *mounted,
                          int64_t created_sec) {
        Container container = { .name = strdup(name),
                                .image = strdup("other"),
                                .state = strdup(state),
                                .created_sec = created_sec };

        snprintf(container.id, sizeof(container.id), "%s", name);
        assert_int_equal(strv_add(&container.image_mounts, mounted), 0);
        assert_int_equal(container_set_add(&h->containers, &container), 0);
}

static int tagged(void *userdata, const Image *image, int64_t *ret_sec) {
        Host *h = userdata;

        (void)image;
        h->n_asked++;
        *ret_sec = h->tagged_sec;
        return 0;
}

static void find(Host *h) {
        image_mounts_done(&h->mounts);
        assert_int_equal(image_set_index(&h->images), 0);
        assert_int_equal(image_mounts_find(&h->containers, &h->images, NOW_SEC, tagged, h,
                                           &h->known, &h->mounts),
                         0);
}

static const char *holder(const Host *h, const char *hex, bool certain) {
        const Container *container;
        char id[IMAGE_ID_MAX];

        snprintf(id, sizeof(id), "sha256:%s", hex);
        container = image_mounts_holder(&h->mounts, &h->containers, id, certain);
        return container ? container->name : "";
}

#define assert_holder(h, hex, certain, name) assert_string_equal(holder(h, hex, certain), name)

/* By an id or a digest there is nothing to guess. */
static void test_by_id(void **state) {
        static const char *const references[] = { "aa" HEX62,
                                                  "sha256:aa" HEX62,
                                                  "aa",
                                                  "sha256:aa",
                                                  "web@sha256:dada",
                                                  "docker.io/library/web:9@"
                                                  "sha256:dada" };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(references); i++) {
                cleanup(host_done) Host h = { 0 };

                add_image(&h, "aa" HEX62, "web@sha256:dada", 1);
                add_image(&h, "bb" HEX62, "web:9", 1);
                add_image(&h, "cc" HEX62, NULL, 1);
                add_container(&h, "c", "exited", references[i], 2);
                find(&h);
                assert_holder(&h, "aa" HEX62, true, "c");
                assert_holder(&h, "bb" HEX62, true, "");
                assert_holder(&h, "bb" HEX62, false, "");
                assert_holder(&h, "cc" HEX62, false, "");
                assert_int_equal(h.n_asked, 0);
        }
}

/* A name that was given before the container was made has not moved since. */
static void test_name_that_stayed(void **state) {
        cleanup(host_done) Host h = { .tagged_sec = 4 };

        (void)state;
        add_image(&h, "aa" HEX62, "web:1", 1);
        add_image(&h, "bb" HEX62, "web:2", 1);
        add_image(&h, "cc" HEX62, NULL, 1);
        add_container(&h, "stopped", "exited", "web:1", 6);
        add_container(&h, "up", "running", "docker.io/library/web:1", 5);
        find(&h);
        assert_holder(&h, "aa" HEX62, true, "up");
        assert_holder(&h, "bb" HEX62, false, "");
        assert_holder(&h, "cc" HEX62, false, "");
        assert_int_equal(h.n_asked, 1);
}

/* What may be the mounted image: another of the repository, or one without a name, made before. */
static void test_name_that_moved(void **state) {
        static const int64_t tagged_secs[] = { 0, 7 };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(tagged_secs); i++) {
                cleanup(host_done) Host h = { .tagged_sec = tagged_secs[i] };

                add_image(&h, "aa" HEX62, "host:5000/web:1", 7);
                add_image(&h, "bb" HEX62, "host:5000/web:wpcache-rollback-bb", 5);
                add_image(&h, "cc" HEX62, "host:5000/web@sha256:dada", 1);
                add_image(&h, "dd" HEX62, NULL, 5);
                add_image(&h, "ee" HEX62, "host:5000/web:made-later", 8);
                add_image(&h, "ff" HEX62, NULL, 9);
                add_image(&h, "a0" HEX62, "web:1", 1);
                add_image(&h, "a1" HEX62, "host:5000/web:dated-2099", 2000);
                add_container(&h, "old", "exited", "host:5000/web:1", 4);
                add_container(&h, "young", "exited", "host:5000/web:1", 6);
                find(&h);
                assert_holder(&h, "aa" HEX62, true, "old");
                assert_holder(&h, "bb" HEX62, false, "young");
                assert_holder(&h, "cc" HEX62, false, "young");
                assert_holder(&h, "dd" HEX62, false, "young");
                assert_holder(&h, "ee" HEX62, false, "");
                assert_holder(&h, "ff" HEX62, false, "");
                assert_holder(&h, "a0" HEX62, false, "");
                assert_holder(&h, "a1" HEX62, false, "young");
                assert_int_equal(h.n_asked, 1);
        }
}

static void test_name_that_is_gone(void **state) {
        cleanup(host_done) Host h = { 0 };

        (void)state;
        add_image(&h, "aa" HEX62, "web:wpcache-rollback-aa", 1);
        add_container(&h, "c", "running", "web:1", 2);
        find(&h);
        assert_holder(&h, "aa" HEX62, true, "");
        assert_holder(&h, "aa" HEX62, false, "c");
        assert_int_equal(h.n_asked, 0);
}

/* Of a tag and a container of the same second it is not known which came first. */
static void test_name_of_the_same_second(void **state) {
        cleanup(host_done) Host h = { .tagged_sec = 5 };

        (void)state;
        add_image(&h, "aa" HEX62, "web:1", 1);
        add_image(&h, "bb" HEX62, NULL, 1);
        add_container(&h, "c", "running", "web:1", 5);
        find(&h);
        assert_holder(&h, "aa" HEX62, true, "c");
        assert_holder(&h, "bb" HEX62, false, "c");
}

static void replace_images(Host *h) {
        image_set_done(&h->images);
        h->n_asked = 0;
}

/* A container keeps its image: what was known before a clear took the name, or a build moved it, holds. */
static void test_name_that_was_known(void **state) {
        cleanup(host_done) Host h = { .tagged_sec = 4 };

        (void)state;
        add_image(&h, "aa" HEX62, "web:1", 1);
        add_container(&h, "c", "exited", "web:1", 5);
        find(&h);

        replace_images(&h);
        add_image(&h, "aa" HEX62, "web:wpcache-rollback-aa", 1);
        add_image(&h, "bb" HEX62, NULL, 1);
        find(&h);
        assert_holder(&h, "aa" HEX62, true, "c");
        assert_holder(&h, "bb" HEX62, false, "");
        assert_int_equal(h.n_asked, 0);

        replace_images(&h);
        h.tagged_sec = 8;
        add_image(&h, "aa" HEX62, NULL, 1);
        add_image(&h, "bb" HEX62, NULL, 1);
        add_image(&h, "cc" HEX62, "web:1", 7);
        add_container(&h, "d", "exited", "web:1", 9); /* of the newer image, and of no other */
        find(&h);
        assert_holder(&h, "aa" HEX62, true, "c");
        assert_holder(&h, "bb" HEX62, false, "");
        assert_holder(&h, "cc" HEX62, true, "d");

        container_set_done(&h.containers);
        find(&h);
        assert_int_equal(h.known.n, 0);
}

static void test_mounted_by_id(void **state) {
        cleanup(host_done) Host h = { 0 };

        (void)state;
        add_container(&h, "c", "running", "aa0", 2);
        add_container(&h, "d", "running", "web:1", 2);
        assert_true(containers_mount_id(&h.containers, "sha256:aa" HEX62));
        assert_false(containers_mount_id(&h.containers, "sha256:ab" HEX62));
}

/* Ten thousand containers, each with a mount by a name that may have moved, and as many images. */
static void test_many(void **state) {
        enum { N = 10000 };
        cleanup(host_done) Host h = { 0 };

        (void)state;
        for (unsigned i = 0; i < N; i++) {
                char hex[16], name[32];

                snprintf(hex, sizeof(hex), "%08x", i * 2654435761U);
                snprintf(name, sizeof(name), "web:%u", i);
                add_image(&h, hex, name, 1);
                add_container(&h, name, "exited", i % 2 ? name : "web:gone", i);
        }
        find(&h);
        assert_int_equal(h.n_asked, 64);
        assert_int_equal(h.mounts.n, N + N / 2);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_by_id),
                cmocka_unit_test(test_name_that_stayed),
                cmocka_unit_test(test_name_that_moved),
                cmocka_unit_test(test_name_that_is_gone),
                cmocka_unit_test(test_name_of_the_same_second),
                cmocka_unit_test(test_name_that_was_known),
                cmocka_unit_test(test_mounted_by_id),
                cmocka_unit_test(test_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
