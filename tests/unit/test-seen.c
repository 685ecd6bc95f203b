/* SPDX-License-Identifier: MIT */

/* What is remembered from one look to the next. */

#include "host.h"

static bool look(Host *h, int64_t after_sec) {
        bool changed;

        h->now.age_sec += after_sec;
        h->now.wall_sec += after_sec;
        h->inventory.observed_sec = h->now.wall_sec;
        assert_int_equal(seen_update(&h->seen, &h->inventory, &h->config, h->now.age_sec, &changed),
                         0);
        /* One that can't be read is remembered. */
        assert_int_equal(h->seen.n, h->inventory.images.n + h->inventory.images.unreadable.n);
        for (size_t i = 1; i < h->seen.n; i++)
                assert_true(strcmp(h->seen.v[i - 1].id, h->seen.v[i].id) < 0);
        return changed;
}

static const SeenImage *seen(const Host *h, const char *id) {
        const SeenImage *found = seen_images_find(&h->seen, host_id(id));

        assert_non_null(found);
        return found;
}

static void clean(Host *h) {
        for (size_t i = 0; i < h->seen.n; i++)
                h->seen.v[i].dirty = false;
}

static void drop_name(Host *h, const char *id, size_t i) {
        Strv *names = &host_find(h, id)->names;

        free(names->v[i]);
        names->v[i] = names->v[--names->n];
}

static void drop_image(Host *h, size_t i) {
        ImageSet *images = &h->inventory.images;

        image_done(&images->v[i]);
        images->v[i] = images->v[--images->n];
}

static void drop_container(Host *h, size_t i) {
        ContainerSet *containers = &h->inventory.containers;

        container_done(&containers->v[i]);
        containers->v[i] = containers->v[--containers->n];
}

static void test_first_and_last(void **state) {
        Host h = host_new();

        (void)state;
        assert_false(look(&h, 0));
        host_image(&h, "b", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "a", "redis:7", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "c", NULL, NULL, IMAGE_KIND_OTHER);
        host_container(&h, "web", "a", "running");
        assert_false(look(&h, 0)); /* the first that shows any */
        assert_int_equal(seen(&h, "b")->first_seen_sec, AGE_NOW);
        assert_int_equal(seen(&h, "b")->named_sec, AGE_NOW);
        assert_int_equal(seen(&h, "b")->used_sec, -1);
        assert_int_equal(seen(&h, "b")->running_since_sec, -1);
        assert_string_equal(seen(&h, "b")->repository, "watchparty-web");
        assert_null(seen(&h, "a")->repository);
        assert_null(seen(&h, "c")->repository);
        assert_true(seen(&h, "c")->dirty);

        clean(&h);
        assert_false(look(&h, 60));
        assert_false(seen(&h, "b")->dirty || seen(&h, "a")->dirty || seen(&h, "c")->dirty);
        assert_int_equal(seen(&h, "b")->first_seen_sec, AGE_NOW);

        host_image(&h, "0", "watchparty-web:2", NULL, IMAGE_KIND_BUILDKIT);
        assert_true(look(&h, 60));
        assert_int_equal(seen(&h, "0")->first_seen_sec, AGE_NOW + 120);
        assert_false(look(&h, 60));
        drop_image(&h, 1);
        assert_true(look(&h, 60));
        assert_null(seen_images_find(&h.seen, host_id("a")));
        while (h.inventory.images.n > 0)
                drop_image(&h, 0);
        assert_true(look(&h, 60));
        host_done(&h);
}

/* Names that come make an image newer, those that go do not; its repository stays with it. */
static void test_names(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "x", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        look(&h, 0);
        clean(&h);
        host_name(&h, "x", "watchparty-web:latest");
        assert_true(look(&h, 10));
        assert_int_equal(seen(&h, "x")->named_sec, AGE_NOW + 10);
        assert_true(seen(&h, "x")->dirty);

        drop_name(&h, "x", 0);
        clean(&h);
        assert_true(look(&h, 10));
        assert_int_equal(seen(&h, "x")->named_sec, AGE_NOW + 10);
        assert_true(seen(&h, "x")->dirty);

        /* one for another */
        drop_name(&h, "x", 0);
        host_name(&h, "x", "localhost:5000/t/watchparty-api:1");
        assert_true(look(&h, 10));
        assert_int_equal(seen(&h, "x")->named_sec, AGE_NOW + 30);
        assert_string_equal(seen(&h, "x")->repository, "localhost:5000/t/watchparty-api");

        drop_name(&h, "x", 0);
        assert_true(look(&h, 10));
        assert_int_equal(seen(&h, "x")->named_sec, AGE_NOW + 30);
        assert_string_equal(seen(&h, "x")->repository, "localhost:5000/t/watchparty-api");
        assert_false(look(&h, 10));

        /* the order of names means nothing */
        host_name(&h, "x", "watchparty-b:1");
        host_name(&h, "x", "watchparty-a:1");
        look(&h, 10);
        assert_string_equal(seen(&h, "x")->repository, "watchparty-a");
        drop_name(&h, "x", 0);
        host_name(&h, "x", "watchparty-b:1");
        clean(&h);
        assert_false(look(&h, 10));
        assert_false(seen(&h, "x")->dirty);

        /* it stays with the repository it was of while it has a name there */
        host_name(&h, "x", "watchparty-0:1");
        look(&h, 10);
        assert_string_equal(seen(&h, "x")->repository, "watchparty-a");
        host_done(&h);
}

/* What is the janitor's own or of no concern is not remembered; what may not be touched is, since
 * it may not be touched without its name either. */
static void test_repositories(void **state) {
        static const struct {
                const char *name, *repository;
        } table[] = {
                { "watchparty-db:1", "watchparty-db" },
                { "watchparty-base:1", "watchparty-base" },
                { "python:3", "python" },
                { "watchparty-web:wpcache-rollback-1", NULL },
                { "wpcache-trash:1", NULL },
                { "redis:7", NULL },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *expected = table[i].repository;
                Host h = host_new();

                assert_int_equal(strv_add(&h.config.base, "python"), 0);
                assert_int_equal(strv_add(&h.config.protect, "watchparty-db"), 0);
                assert_int_equal(strv_add(&h.config.base, "watchparty-base"), 0);
                host_image(&h, "x", table[i].name, NULL, IMAGE_KIND_BUILDKIT);
                look(&h, 0);
                if (expected)
                        assert_string_equal(seen(&h, "x")->repository, expected);
                else
                        assert_null(seen(&h, "x")->repository);
                host_name(&h, "x", "watchparty-web:1");
                look(&h, 0);
                assert_string_equal(seen(&h, "x")->repository, expected ?: "watchparty-web");
                host_done(&h);
        }
}

/* A release that runs and lost its name before it was ever seen. */
static void test_former_name(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "x", NULL, NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "y", NULL, NULL, IMAGE_KIND_BUILDKIT);
        host_container(&h, "web", "x", "running");
        host_container(&h, "shop", "y", "running");
        free(h.inventory.containers.v[0].image);
        h.inventory.containers.v[0].image = strdup("localhost:5000/watchparty-web");
        look(&h, 0);
        assert_string_equal(seen(&h, "x")->repository, "localhost:5000/watchparty-web");
        assert_null(seen(&h, "y")->repository);
        drop_container(&h, 0);
        look(&h, 60);
        assert_string_equal(seen(&h, "x")->repository, "localhost:5000/watchparty-web");
        host_done(&h);
}

static void test_use(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "x", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        look(&h, 0);
        clean(&h);

        host_container(&h, "web", "x", "exited");
        look(&h, 10);
        assert_int_equal(seen(&h, "x")->used_sec, AGE_NOW + 10);
        assert_int_equal(seen(&h, "x")->running_since_sec, -1);
        assert_true(seen(&h, "x")->dirty);
        clean(&h);

        host_container(&h, "web2", "x", "running");
        assert_false(look(&h, 10)); /* a container that restarts for ever is no change */
        assert_int_equal(seen(&h, "x")->running_since_sec, AGE_NOW + 20);
        assert_true(seen(&h, "x")->dirty);
        clean(&h);

        assert_false(look(&h, 10));
        assert_int_equal(seen(&h, "x")->running_since_sec, AGE_NOW + 20);
        assert_int_equal(seen(&h, "x")->used_sec, AGE_NOW + 30);
        assert_false(seen(&h, "x")->dirty); /* AGE_NOW is a whole hour */
        assert_false(look(&h, 3600 - 31));
        assert_false(seen(&h, "x")->dirty);
        assert_false(look(&h, 1));
        assert_true(seen(&h, "x")->dirty);

        drop_container(&h, 1);
        assert_false(look(&h, 10));
        assert_int_equal(seen(&h, "x")->running_since_sec, -1);
        drop_container(&h, 0);
        look(&h, 10);
        assert_int_equal(seen(&h, "x")->used_sec, AGE_NOW + 3600 + 10);
        look(&h, 90 * DAY);
        assert_int_equal(seen(&h, "x")->used_sec, AGE_NOW + 3600 + 10);
        host_service(&h, "web", "watchparty-web:1", true);
        look(&h, 0);
        assert_int_equal(seen(&h, "x")->used_sec, h.now.age_sec);
        host_done(&h);
}

/* LastTagTime: a rebuild from the cache gives an image the name it has. */
static void test_marks(void **state) {
        static const struct {
                const char *what;
                ImageStore store;
                int64_t mark, tagged; /* before now; 0: none */
                int64_t named_sec;    /* before now; the image was first seen 10 days ago */
                bool changed;
        } table[] = {
                { "not told", IMAGE_STORE_GRAPHDRIVER, 5 * DAY, 0, 10 * DAY, false },
                { "the same", IMAGE_STORE_GRAPHDRIVER, 5 * DAY, 5 * DAY, 10 * DAY, false },
                { "later", IMAGE_STORE_GRAPHDRIVER, 5 * DAY, DAY, 0, true },
                { "earlier, by a clock set back", IMAGE_STORE_GRAPHDRIVER, 5 * DAY, 6 * DAY, 0,
                  true },
                { "later, containerd", IMAGE_STORE_CONTAINERD, 5 * DAY, DAY, 0, true },
                { "a name went, containerd", IMAGE_STORE_CONTAINERD, 5 * DAY, 6 * DAY, 10 * DAY,
                  false },
                { "the first look, before it was seen", IMAGE_STORE_GRAPHDRIVER, 0, 11 * DAY,
                  10 * DAY, false },
                { "the first look, since", IMAGE_STORE_GRAPHDRIVER, 0, 3 * DAY, 3 * DAY, false },
                { "the first look, ahead of the clock", IMAGE_STORE_GRAPHDRIVER, 0, -3 * DAY,
                  10 * DAY, false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                bool changed;

                host_image(&h, "x", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
                look(&h, 0);
                host_aged(&h, "x", 10 * DAY);
                host_seen(&h, "x")->tag_mark = table[i].mark ? WALL_NOW - table[i].mark : 0;
                h.inventory.image_store = table[i].store;
                if (table[i].tagged)
                        host_facts(&h, "x")->last_tagged_sec = WALL_NOW - table[i].tagged;
                clean(&h);
                changed = look(&h, 0);
                if (changed != table[i].changed ||
                    seen(&h, "x")->named_sec != AGE_NOW - table[i].named_sec)
                        fail_msg("%s: named %lld s before", table[i].what,
                                 (long long)(AGE_NOW - seen(&h, "x")->named_sec));
                clean(&h);
                assert_false(look(&h, 0));
                assert_false(seen(&h, "x")->dirty);
                host_done(&h);
        }
}

static void tagged(Host *h, const char *id, int64_t before_sec) {
        host_facts(h, id)->last_tagged_sec = h->now.wall_sec - before_sec;
}

/* A mark that moved tells when; an image that was named between that and this look stays the newer. */
static void test_retag_counts_from_its_own_time(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "v1", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        tagged(&h, "v1", 0);
        look(&h, 0);
        h.now.age_sec += DAY;
        h.now.wall_sec += DAY;
        host_facts(&h, "v1")->last_tagged_sec = h.now.wall_sec; /* and no close look for a while */
        host_image(&h, "v2", "watchparty-web:2", NULL, IMAGE_KIND_BUILDKIT);
        h.inventory.facts.n = 0;
        look(&h, HOUR);
        h.inventory.facts.n = 2;
        assert_true(look(&h, DAY));
        assert_int_equal(seen(&h, "v1")->named_sec, AGE_NOW + DAY);
        assert_true(seen(&h, "v2")->named_sec > seen(&h, "v1")->named_sec);
        /* by the clock it was before the mark was read, which did not see it: the clock was set */
        host_facts(&h, "v1")->last_tagged_sec = h.now.wall_sec - 60;
        assert_true(look(&h, DAY));
        assert_int_equal(seen(&h, "v1")->named_sec, h.now.age_sec);
        host_done(&h);
}

#define ROLLBACK "watchparty-web:wpcache-rollback-1"

/* A clear gives a running image a rollback tag: it is no newer for it, whether its names stay, go, or
 * come back, and the host is as quiet as before. */
static void test_own_tags_are_no_naming(void **state) {
        static const struct {
                const char *what;
                const char *own; /* the janitor's tag */
                bool name_stays, poll_first;
        } table[] = {
                { "a rollback tag beside a name", ROLLBACK, true, false },
                { "the same, by a poll", ROLLBACK, true, true },
                { "a rollback tag in place of the name", ROLLBACK, false, false },
                { "the same, by a poll", ROLLBACK, false, true },
                { "a trash tag", "wpcache-trash:1", false, false },
                { "a trash tag in its repository", "watchparty-web:wpcache-trash-1", true, true },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                int64_t named_sec, mark;

                host_image(&h, "v1", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
                tagged(&h, "v1", 10 * DAY);
                look(&h, 0);
                named_sec = seen(&h, "v1")->named_sec;
                mark = seen(&h, "v1")->tag_mark;
                look(&h, DAY);
                /* the clear */
                host_name(&h, "v1", table[i].own);
                tagged(&h, "v1", -1);
                if (!table[i].name_stays)
                        drop_name(&h, "v1", 0);
                if (table[i].poll_first) {
                        h.inventory.facts.n = 0;
                        assert_int_equal(look(&h, 10), !table[i].name_stays);
                        assert_true(seen_wants_own_mark(seen(&h, "v1")));
                        h.inventory.facts.n = 1;
                        assert_false(look(&h, 10));
                } else {
                        assert_int_equal(look(&h, 10), !table[i].name_stays);
                }
                assert_false(seen_wants_own_mark(seen(&h, "v1")));
                assert_false(look(&h, 10));
                if (seen(&h, "v1")->named_sec != named_sec || seen(&h, "v1")->tag_mark != mark)
                        fail_msg("%s", table[i].what);
                assert_int_equal(seen(&h, "v1")->rollback_since_sec >= 0,
                                 strcmp(table[i].own, ROLLBACK) == 0);
                /* others tag it, again by a name it has: that counts */
                if (!table[i].name_stays)
                        host_name(&h, "v1", "watchparty-web:1");
                tagged(&h, "v1", -20);
                assert_true(look(&h, 20));
                assert_int_equal(seen(&h, "v1")->named_sec, h.now.age_sec);
                assert_int_equal(seen(&h, "v1")->tag_mark, h.now.wall_sec);
                /* the rollback tag goes, and comes back with the next clear */
                strv_done(&host_find(&h, "v1")->names);
                host_name(&h, "v1", "watchparty-web:1");
                assert_false(look(&h, DAY));
                assert_int_equal(seen(&h, "v1")->rollback_since_sec, -1);
                host_name(&h, "v1", ROLLBACK);
                tagged(&h, "v1", 0);
                named_sec = seen(&h, "v1")->named_sec;
                assert_false(look(&h, 10));
                assert_int_equal(seen(&h, "v1")->named_sec, named_sec);
                assert_int_equal(seen(&h, "v1")->rollback_since_sec, h.now.age_sec);
                host_done(&h);
        }
}

/* A person made a tag of that form if [images] match does not have its repository. */
static void test_tag_of_others_in_that_form(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "v1", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        tagged(&h, "v1", 10 * DAY);
        look(&h, DAY);
        host_name(&h, "v1", "mirror:wpcache-rollback-1");
        tagged(&h, "v1", 0);
        assert_true(look(&h, 10));
        assert_int_equal(seen(&h, "v1")->named_sec, h.now.age_sec);
        assert_int_equal(seen(&h, "v1")->rollback_since_sec, -1);
        host_done(&h);
}

/* The memory was lost: the LastTagTime of an image that has a rollback tag is taken for that tag's. */
static void test_own_tag_at_first_sight(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "v1", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        host_name(&h, "v1", ROLLBACK);
        tagged(&h, "v1", 60);
        look(&h, 0);
        assert_int_equal(seen(&h, "v1")->tag_mark, 0);
        assert_int_equal(seen(&h, "v1")->own_mark, h.now.wall_sec - 60);
        assert_int_equal(seen(&h, "v1")->rollback_since_sec, AGE_NOW);
        host_done(&h);
}

/* A clear right after a release was tagged: both times have the same second, and the release is no newer. */
static void test_own_tag_in_the_second_of_another(void **state) {
        const int64_t nsec = (WALL_NOW - 60) * 1000000000;
        Host h = host_new();

        (void)state;
        host_image(&h, "v1", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        tagged(&h, "v1", 60);
        host_facts(&h, "v1")->last_tagged_nsec = nsec + 7;
        look(&h, 0);
        host_name(&h, "v1", ROLLBACK);
        host_facts(&h, "v1")->last_tagged_nsec = nsec + 8;
        look(&h, 0);
        assert_true(seen_wants_own_mark(seen(&h, "v1")));
        assert_int_equal(seen(&h, "v1")->tag_rest_nsec, 7);
        seen_set_own_mark(host_seen(&h, "v1"), WALL_NOW - 60);
        look(&h, 1);
        assert_int_equal(seen(&h, "v1")->tag_rest_nsec, 7);
        host_done(&h);
}

static void test_marks_are_exact(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "x", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        tagged(&h, "x", 60);
        host_facts(&h, "x")->last_tagged_nsec = (WALL_NOW - 60) * 1000000000 + 7;
        look(&h, 0);
        assert_int_equal(seen(&h, "x")->tag_mark, WALL_NOW - 60);
        assert_int_equal(seen(&h, "x")->tag_rest_nsec, 7);
        clean(&h);
        look(&h, 0);
        assert_false(seen(&h, "x")->dirty);
        h.inventory.facts.n = 0; /* a poll reads none */
        look(&h, 0);
        assert_int_equal(seen(&h, "x")->tag_rest_nsec, 7);
        host_done(&h);
}

static void test_tag_since_the_last_look(void **state) {
        const int64_t sec = WALL_NOW - 60, nsec = sec * 1000000000 + 7;
        Host h = host_new();
        SeenImage image;

        (void)state;
        host_image(&h, "x", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        tagged(&h, "x", 60);
        host_facts(&h, "x")->last_tagged_nsec = nsec;
        look(&h, 0);
        image = *seen(&h, "x");
        for (ImageStore store = IMAGE_STORE_GRAPHDRIVER; store <= IMAGE_STORE_CONTAINERD; store++) {
                assert_false(seen_was_tagged(&image, store, sec, nsec));
                assert_true(seen_was_tagged(&image, store, sec, nsec + 1));
                assert_true(seen_was_tagged(&image, store, sec + 1, nsec + 1000000000));
                assert_false(seen_was_tagged(&image, store, 0, 0)); /* the engine keeps none */
        }
        /* On the containerd store it goes back as names are taken away; elsewhere the clock was set. */
        assert_true(seen_was_tagged(&image, IMAGE_STORE_GRAPHDRIVER, sec - 9, nsec));
        assert_false(seen_was_tagged(&image, IMAGE_STORE_CONTAINERD, sec - 9, nsec));
        seen_set_own_mark(&image, sec + 5);
        assert_false(seen_was_tagged(&image, IMAGE_STORE_GRAPHDRIVER, sec + 5, nsec));
        image.tag_mark = 0; /* untagged images of the classic builder are not inspected */
        assert_false(seen_was_tagged(&image, IMAGE_STORE_GRAPHDRIVER, sec, nsec));
        host_done(&h);
}

static void test_times_ahead_at_first_sight(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "x", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "y", "watchparty-web:2", NULL, IMAGE_KIND_BUILDKIT);
        host_find(&h, "x")->created_sec = WALL_NOW + DAY;
        tagged(&h, "y", -DAY);
        look(&h, 0);
        assert_int_equal(seen(&h, "x")->ahead, SEEN_CREATED_AHEAD);
        assert_int_equal(seen(&h, "y")->ahead, SEEN_TAG_AHEAD);
        tagged(&h, "y", -10);
        look(&h, 2 * DAY);
        assert_int_equal(seen(&h, "x")->ahead, SEEN_CREATED_AHEAD);
        assert_int_equal(seen(&h, "y")->ahead, 0);
        host_done(&h);
}

/* An image that can't be read is not gone: nothing is forgotten while the list is partial. */
static void test_partial(void **state) {
        Host h = host_new();
        bool changed = false;

        (void)state;
        host_image(&h, "y", "watchparty-web:2", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "x", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        look(&h, 0);
        image_done(&h.inventory.images.v[--h.inventory.images.n]);
        assert_int_equal(unreadable_add(&h.inventory.images.unreadable, host_id("x"), "odd"), 0);
        assert_int_equal(seen_update(&h.seen, &h.inventory, &h.config, h.now.age_sec, &changed), 0);
        assert_false(changed);
        assert_non_null(seen(&h, "x"));
        /* A clear goes on with the others. */
        host_name(&h, "y", ROLLBACK);
        host_image(&h, "z", "watchparty-web:3", NULL, IMAGE_KIND_BUILDKIT);
        assert_true(look(&h, 10));
        assert_int_equal(h.seen.n, 3);
        assert_true(seen(&h, "y")->rollback_since_sec >= 0);
        assert_non_null(seen(&h, "z"));
        /* It can be read again. */
        unreadable_done(&h.inventory.images.unreadable);
        host_image(&h, "x", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        assert_false(look(&h, 10));
        assert_int_equal(h.seen.n, 3);
        host_done(&h);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_first_and_last),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_repositories),
                cmocka_unit_test(test_former_name),
                cmocka_unit_test(test_use),
                cmocka_unit_test(test_marks),
                cmocka_unit_test(test_retag_counts_from_its_own_time),
                cmocka_unit_test(test_own_tags_are_no_naming),
                cmocka_unit_test(test_tag_of_others_in_that_form),
                cmocka_unit_test(test_own_tag_at_first_sight),
                cmocka_unit_test(test_own_tag_in_the_second_of_another),
                cmocka_unit_test(test_marks_are_exact),
                cmocka_unit_test(test_tag_since_the_last_look),
                cmocka_unit_test(test_times_ahead_at_first_sight),
                cmocka_unit_test(test_partial),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
