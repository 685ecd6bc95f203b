/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "test.h"

#include "docker/model.h"

static void test_record_types(void **state) {
        (void)state;
        for (int i = 0; i < RECORD_OTHER; i++) {
                const char *text = record_type_to_string((RecordType)i);

                assert_non_null(text);
                assert_int_equal(record_type_from_string(text), i);
        }
        assert_string_equal(record_type_to_string(RECORD_CACHE_MOUNT), "exec.cachemount");
        assert_null(record_type_to_string(RECORD_OTHER));
        assert_null(record_type_to_string(RECORD_TYPE_MAX));
        assert_int_equal(record_type_from_string("new.kind"), RECORD_OTHER);
        assert_int_equal(record_type_from_string(""), RECORD_OTHER);
        assert_int_equal(record_type_from_string(NULL), RECORD_OTHER);
}

/* The budget is 128 bytes a record, its parents included. */
static void test_record_size(void **state) {
        (void)state;
        assert_true(sizeof(BuildRecord) + 2 * RECORD_ID_MAX <= 128);
}

static void test_record_set(void **state) {
        static const char too_long[] = "0123456789abcdef0123456789abcdef";
        const char *parents[] = { "p0", "p1", too_long };
        RecordSet set = RECORD_SET_NULL;

        (void)state;
        for (unsigned i = 0; i < 1000; i++) {
                BuildRecord record = { .size_bytes = i, .parents = 7, .n_parents = 9 };

                snprintf(record.id, sizeof(record.id), "r%u", i);
                assert_int_equal(record_set_add(&set, &record, parents, i % 3), 0);
        }

        assert_int_equal(set.n, 1000);
        assert_int_equal(set.n_parents, 999);
        for (unsigned i = 0; i < 1000; i++) {
                char id[RECORD_ID_MAX];

                snprintf(id, sizeof(id), "r%u", i);
                assert_string_equal(set.v[i].id, id);
                assert_int_equal(set.v[i].size_bytes, i);
                assert_int_equal(set.v[i].n_parents, i % 3);
                assert_int_equal(set.v[i].parents, i / 3 * 3 + (i % 3 == 2));
                for (unsigned j = 0; j < set.v[i].n_parents; j++)
                        assert_string_equal(set.parents[set.v[i].parents + j], parents[j]);
        }

        assert_int_equal(record_set_add(&set, &set.v[0], parents, 3), -EOVERFLOW);
        assert_int_equal(record_set_add(&set, &set.v[0], parents, UINT16_MAX + 1), -EOVERFLOW);
        assert_int_equal(set.n, 1000);

        record_set_done(&set);
        assert_int_equal(set.n, 0);
        assert_null(set.v);
        assert_int_equal(record_set_add(&set, &(BuildRecord){ .id = "again" }, NULL, 0), 0);
        record_set_done(&set);
        record_set_done(&set);
}

static void test_image_set(void **state) {
        ImageSet set = { 0 };

        (void)state;
        for (unsigned i = 0; i < 100; i++) {
                cleanup(image_done) Image image = { 0 };
                char name[32];

                snprintf(image.id, sizeof(image.id), "sha256:%u", i);
                snprintf(name, sizeof(name), "app:%u", i);
                assert_int_equal(strv_add(&image.names, name), 0);
                image.project = strdup("shop");
                assert_int_equal(image_set_add(&set, &image), 0);
                assert_string_equal(image.id, "");
                assert_null(image.project);
                assert_int_equal(image.names.n, 0);
        }

        assert_int_equal(set.n, 100);
        assert_ptr_equal(image_set_find(&set, "sha256:99"), &set.v[99]);
        assert_null(image_set_find(&set, "sha256:100"));
        assert_ptr_equal(image_set_find_name(&set, "app:42"), &set.v[42]);
        assert_null(image_set_find_name(&set, "app"));
        image_set_done(&set);
        assert_int_equal(set.n, 0);
        assert_null(image_set_find(&set, "sha256:1"));
}

/* Pairs count once, and `deleted` in either list counts. */
static void test_merge_names(void **state) {
        NamedImages list = { 0 }, from = { 0 };

        (void)state;
        assert_int_equal(named_images_add(&list, "a:1", "sha256:1"), 0);
        assert_int_equal(named_images_add(&list, "b:1", "sha256:1"), 0);
        assert_int_equal(named_images_add(&from, "a:1", "sha256:2"), 0);
        assert_int_equal(named_images_add(&from, "b:1", "sha256:1"), 0);
        assert_int_equal(named_images_add(&from, "c:1", "sha256:1"), 0);
        list.v[0].deleted = from.v[1].deleted = true;
        for (unsigned i = 0; i < 2; i++) {
                assert_int_equal(named_images_merge(&list, &from), 0);
                assert_int_equal(list.n, 4);
                assert_true(list.v[0].deleted && list.v[1].deleted);
                assert_string_equal(list.v[2].name, "a:1");
                assert_string_equal(list.v[2].id, "sha256:2");
                assert_false(list.v[2].deleted || list.v[3].deleted);
        }
        named_images_done(&list);
        named_images_done(&from);
}

static void test_container_set(void **state) {
        ContainerSet set = { 0 };

        (void)state;
        for (unsigned i = 0; i < 100; i++) {
                cleanup(container_done) Container container = { .name = strdup("web") };

                container.mounts = calloc(2, sizeof(*container.mounts));
                assert_non_null(container.mounts);
                container.n_mounts = 2;
                container.mounts[0].source = strdup("/srv");
                container.mounts[1].volume = strdup("data"); /* as a failure leaves it: in part */
                assert_int_equal(container_set_add(&set, &container), 0);
                assert_null(container.name);
                assert_null(container.mounts);
                assert_int_equal(container.n_mounts, 0);
        }
        assert_int_equal(set.n, 100);
        assert_string_equal(set.v[99].name, "web");
        assert_string_equal(set.v[99].mounts[1].volume, "data");
        container_set_done(&set);
        assert_int_equal(set.n, 0);
}

static void test_volume_set(void **state) {
        VolumeSet set = { 0 };

        (void)state;
        for (unsigned i = 0; i < 100; i++) {
                cleanup(volume_done) Volume volume = { strdup("cache"), strdup("/srv") };

                assert_int_equal(volume_set_add(&set, &volume), 0);
                assert_null(volume.name);
                assert_null(volume.device);
        }
        assert_int_equal(set.n, 100);
        assert_string_equal(set.v[99].name, "cache");
        assert_string_equal(set.v[99].device, "/srv");
        volume_set_done(&set);
        assert_int_equal(set.n, 0);
        assert_null(set.v);
        volume_set_done(&set);
}

static void test_generated_names(void **state) {
        static const struct {
                const char *name;
                bool generated;
        } table[] = {
                { "angry_lovelace", true }, { "angry_lovelace7", true },
                { "0123456789ab", true },   { "", true },
                { "web", false },           { "shop-web-1", false },
                { "shop_web_1", false },    { "shop_", false },
                { "_web", false },          { "Shop_web", false },
                { "ab0123456789", false },  { "shop_7", false },
                { "shop_web7b", false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char name[32];
                Container container = { .id = "0123456789abcdef", .name = name };

                snprintf(name, sizeof(name), "%s", table[i].name);
                if (container_name_is_generated(&container) != table[i].generated)
                        fail_msg("%s", table[i].name);
        }
}

static void test_children_since(void **state) {
        ImageSet set = { 0 };

        (void)state;
        for (unsigned i = 0; i < 4; i++) {
                cleanup(image_done) Image image = { .created_sec = 100 + i };

                snprintf(image.id, sizeof(image.id), "sha256:%u", i);
                strcpy(image.parent_id, i < 2 ? "sha256:base" : "");
                assert_int_equal(image_set_add(&set, &image), 0);
        }
        for (unsigned i = 0; i < 2; i++) { /* without the index and with it */
                assert_true(image_set_has_child_since(&set, "sha256:base", 101));
                assert_false(image_set_has_child_since(&set, "sha256:base", 102));
                assert_false(image_set_has_child_since(&set, "sha256:0", 0));
                assert_int_equal(image_set_index(&set), 0);
        }
        image_set_done(&set);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_record_types),   cmocka_unit_test(test_record_size),
                cmocka_unit_test(test_record_set),     cmocka_unit_test(test_image_set),
                cmocka_unit_test(test_container_set),  cmocka_unit_test(test_volume_set),
                cmocka_unit_test(test_merge_names),    cmocka_unit_test(test_generated_names),
                cmocka_unit_test(test_children_since),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
