/* SPDX-License-Identifier: MIT */

/* The store: what is remembered of images, of the host and of what is in the trash. */

#include "store-scratch.h"

static void test_seen(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup(seen_images_done) SeenImages list = { 0 }, back = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(store_read_seen(store, &back, &diag), 0);
        assert_int_equal(back.n, 0);
        for (unsigned i = 0; i < 100; i++)
                add_seen(&list, i * 37 % 100, i % 3 ? "watchparty/back end" : NULL);
        assert_null(seen_images_find(&list, "sha256:"));
        assert_int_equal(store_write_seen(store, &list, &diag), 0);
        assert_int_equal(store_read_seen(store, &back, &diag), 0);
        assert_seen_equal(&back, &list);
        seen_images_done(&back);

        /* What is dirty is written; what is gone is forgotten; the rest is left alone. */
        store = store_close(store);
        raw(&scratch, "UPDATE seen SET used = 77");
        store = open_store(&scratch);
        list.v[5].named_sec = 1234;
        list.v[5].dirty = true;
        free(list.v[list.n - 1].repository);
        free(list.v[list.n - 2].repository);
        list.n -= 2;
        add_seen(&list, 500, "new");
        assert_int_equal(store_write_seen(store, &list, &diag), 0);
        for (size_t i = 0; i < list.n; i++)
                if (i != 5 && i != list.n - 1)
                        list.v[i].used_sec = 77;
        assert_int_equal(store_read_seen(store, &back, &diag), 0);
        assert_seen_equal(&back, &list);

        seen_images_done(&list);
        seen_images_done(&back);
        assert_int_equal(store_write_seen(store, &list, &diag), 0);
        assert_int_equal(store_read_seen(store, &back, &diag), 0);
        assert_int_equal(back.n, 0);
}

static void test_suspects_and_clock(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup(suspects_done) Suspects suspects = { 0 }, back = { 0 };
        AgeClock clock, clock_back = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(store_read_suspects(store, &back, &diag), 0);
        assert_int_equal(back.images.n, 0);
        assert_false(back.ever_matched);
        memset(&clock, 0xff, sizeof(clock));
        assert_int_equal(store_read_clock(store, &clock, &diag), 0);
        assert_memory_equal(&clock, &clock_back, sizeof(clock));

        /* In the order they were added, and one image under two names, or none. */
        suspects.ever_matched = true;
        assert_int_equal(named_images_add(&suspects.images, "b:1", "sha256:2"), 0);
        assert_int_equal(named_images_add(&suspects.images, "a:1", "sha256:2"), 0);
        assert_int_equal(named_images_add(&suspects.images, "", "sha256:1"), 0);
        assert_int_equal(store_write_suspects(store, &suspects, &diag), 0);
        assert_int_equal(store_write_suspects(store, &suspects, &diag), 0);
        clock = (AgeClock){ .boot_id = "0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f",
                            .boot_usec = 1,
                            .age_sec = 2,
                            .age_rest_usec = 3,
                            .wall_ahead_sec = -4,
                            .steady_since_sec = 5 };
        assert_int_equal(store_write_clock(store, &clock, &diag), 0);
        store = store_close(store);
        store = open_store(&scratch);
        assert_int_equal(store_read_suspects(store, &back, &diag), 0);
        assert_true(back.ever_matched);
        assert_int_equal(back.images.n, 3);
        for (size_t i = 0; i < 3; i++) {
                assert_string_equal(back.images.v[i].name, suspects.images.v[i].name);
                assert_string_equal(back.images.v[i].id, suspects.images.v[i].id);
        }
        assert_int_equal(store_read_clock(store, &clock_back, &diag), 0);
        assert_memory_equal(&clock, &clock_back, sizeof(clock));

        suspects_done(&suspects);
        suspects_done(&back);
        assert_int_equal(store_write_suspects(store, &suspects, &diag), 0);
        assert_int_equal(store_read_suspects(store, &back, &diag), 0);
        assert_int_equal(back.images.n, 0);
        assert_false(back.ever_matched);
}

static void test_trash(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch), *reader = NULL;
        cleanup(trash_items_done) TrashItems items = { 0 }, rest = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        assert_trash(store, &items);
        assert_int_equal(store_add_trash(store, NULL, 0, &diag), 0);
        assert_int_equal(store_drop_trash(store, NULL, 0, &diag), 0);

        for (unsigned i = 0; i < 100; i++)
                make_trash(&items, i * 37 % 100); /* in no order */
        assert_int_equal(store_add_trash(store, items.v, 60, &diag), 0);
        assert_int_equal(store_add_trash(store, items.v + 60, 40, &diag), 0);
        assert_trash(store, &items);
        store = store_close(store);
        store = open_store(&scratch);
        assert_trash(store, &items);

        /* A reader sees it and leaves it. */
        assert_int_equal(store_open_reader(store, &reader), 0);
        assert_trash(reader, &items);
        make_trash(&rest, 1000);
        assert_int_equal(store_add_trash(reader, rest.v, 1, &diag), -EROFS);
        assert_int_equal(store_drop_trash(reader, items.v, 1, &diag), -EROFS);
        assert_trash(store, &items);

        /* What is dropped goes by its name alone; the rest stays in its order. */
        assert_int_equal(store_drop_trash(store, rest.v, 1, &diag), 0);
        assert_trash(store, &items);
        trash_items_done(&rest);
        for (unsigned i = 0; i < 50; i++)
                make_trash(&rest, i * 37 % 100);
        make_trash(&rest, 1000);
        rest.v[0].dev = 7;
        assert_int_equal(store_drop_trash(store, rest.v, rest.n, &diag), 0);
        trash_items_done(&rest);
        for (unsigned i = 50; i < 100; i++)
                make_trash(&rest, i * 37 % 100);
        assert_trash(reader, &rest);

        /* The order is that of adding, though a name is added again. */
        assert_int_equal(store_add_trash(store, items.v, 1, &diag), 0);
        make_trash(&rest, 0);
        assert_trash(store, &rest);
        assert_int_equal(store_drop_trash(store, rest.v, rest.n, &diag), 0);
        trash_items_done(&rest);
        assert_trash(store, &rest);
}

static void test_trash_all_or_none(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup(trash_items_done) TrashItems items = { 0 }, more = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        for (unsigned i = 0; i < 10; i++)
                make_trash(&items, i);
        assert_int_equal(store_add_trash(store, items.v, 10, &diag), 0);
        for (unsigned i = 20; i < 30; i++)
                make_trash(&more, i);

        /* The last of them is there already, or twice. */
        strcpy(more.v[9].name, items.v[5].name);
        assert_int_equal(store_add_trash(store, more.v, 10, &diag), -EEXIST);
        assert_non_null(strstr(diag.text, scratch.file));
        assert_trash(store, &items);
        strcpy(more.v[9].name, more.v[0].name);
        assert_int_equal(store_add_trash(store, more.v, 10, &diag), -EEXIST);
        assert_trash(store, &items);

        /* Nothing is left open by that. */
        assert_int_equal(store_add_trash(store, more.v, 9, &diag), 0);
        assert_int_equal(store_drop_trash(store, more.v, 9, &diag), 0);
        write_number(store, 1, 1);
        store = store_close(store);
        store = open_store(&scratch);
        assert_trash(store, &items);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_seen),
                cmocka_unit_test(test_suspects_and_clock),
                cmocka_unit_test(test_trash),
                cmocka_unit_test(test_trash_all_or_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
