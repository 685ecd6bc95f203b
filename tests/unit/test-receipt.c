/* SPDX-License-Identifier: MIT */

/* Receipts, their files, and the memory beside them. */

#include <stdio.h>
#include <string.h>

#include "test.h"

#include "base/io.h"
#include "janitor/state.h"

#include <fcntl.h>

static char *scratch(void) {
        char *path = strdup("/tmp/wpcache-test-XXXXXX");

        assert_non_null(path);
        assert_non_null(mkdtemp(path));
        return path;
}

static void scratch_done(char *path) {
        char command[128];

        snprintf(command, sizeof(command), "rm -rf '%s'", path);
        assert_int_equal(system(command), 0);
        free(path);
}

static void test_targets(void **state) {
        Target target;

        (void)state;
        for (size_t i = 0; i < n_target_names; i++) {
                assert_int_equal(target_from_string(target_names[i], &target), 0);
                assert_string_equal(target_to_string(target), target_names[i]);
        }
        assert_int_equal(target_from_string("everything", &target), -EINVAL);
        assert_true(target_speaks_of_fresh(TARGET_ALL));
        assert_true(target_speaks_of_fresh(TARGET_DOCKER));
        assert_false(target_speaks_of_fresh(TARGET_BUILDER));
        assert_false(target_speaks_of_fresh(TARGET_IMAGES));
        for (Outcome outcome = 0; outcome < OUTCOME_MAX; outcome++)
                assert_int_equal(outcome_from_string(outcome_to_string(outcome)), outcome);
        assert_int_equal(outcome_from_string("splendid"), OUTCOME_INTERRUPTED);
}

static void test_ids(void **state) {
        char id[RECEIPT_ID_MAX], other[RECEIPT_ID_MAX];

        (void)state;
        receipt_id_make(id, 1795184516 * USEC_PER_SEC);
        assert_string_equal(id, "20261120-142156-00000");
        for (uint64_t usec = 1; usec < USEC_PER_SEC; usec = usec * 3 + 7) {
                receipt_id_make(other, 1795184516 * USEC_PER_SEC + usec);
                assert_true(receipt_id_valid(other));
                assert_true(strcmp(id, other) < 0);
                strcpy(id, other);
        }
        assert_false(receipt_id_valid(""));
        assert_false(receipt_id_valid("../../etc/passwd"));
        assert_false(receipt_id_valid("-rf"));
        assert_false(receipt_id_valid("20261120 142156"));
        assert_false(receipt_id_valid("000000000000000000000000000000000000000000"));
}

static void test_json(void **state) {
        cleanup(receipt_done) Receipt receipt = {
                .target = TARGET_ALL,
                .outcome = OUTCOME_NOT_FRESH,
                .started_sec = 5,
                .finished_sec = 9,
        };
        cleanup(json_free) Json *json = NULL;

        (void)state;
        strcpy(receipt.id, "1-2-3");
        receipt.removed[REMOVED_RECORDS].engine_bytes = 7;
        assert_int_equal(named_images_add(&receipt.names, "a:1", "sha256:1"), 0);
        assert_int_equal(remaining_add(&receipt.remaining, REMAINING_RECORD, "r", "in use", NULL),
                         0);
        json = receipt_json(&receipt);
        assert_non_null(json);
        assert_string_equal(json_get_string(json, "outcome", ""), "notFresh");
        assert_false(json_get_bool(json, "fresh", true));
        assert_int_equal(json_get_int(json, "engineReportedBytes", 0), 7);
        assert_int_equal(json_size(json_get(json, "remaining")), 1);
        assert_string_equal(json_get_string(json_first(json_get(json, "names")), "imageId", ""),
                            "sha256:1");

        /* A target that says nothing of the build says nothing of fresh. */
        receipt.target = TARGET_BUILDER;
        json_free(json);
        json = receipt_json(&receipt);
        assert_null(json_get(json, "fresh"));
}

static void test_files(void **state) {
        char *path = scratch();
        cleanup(state_close) StateDir *dir = NULL;
        StateDir *second = NULL;
        cleanup(json_free) Json *json = json_new_object(), *back = NULL;
        cleanup(strv_done) Strv ids = STRV_NULL;
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(state_open(path, &dir, &diag), 0);
        assert_int_equal(state_open(path, &second, &diag), -EBUSY);
        assert_non_null(strstr(diag.text, "another wpcached"));

        assert_int_equal(json_add_string(json, "id", "x"), 0);
        for (int i = 0; i < RECEIPTS_KEPT + 5; i++) {
                char id[RECEIPT_ID_MAX];

                snprintf(id, sizeof(id), "20260101-%06d-abcd", i);
                assert_int_equal(state_write_receipt(dir, id, json, &diag), 0);
                assert_int_equal(state_write_receipt(dir, id, json, &diag), 0);
        }
        assert_int_equal(state_list_receipts(dir, &ids, &diag), 0);
        assert_int_equal(ids.n, RECEIPTS_KEPT);
        assert_string_equal(ids.v[0], "20260101-000005-abcd");
        assert_int_equal(state_read_receipt(dir, ids.v[0], &back, &diag), 0);
        assert_string_equal(json_get_string(back, "id", ""), "x");

        back = json_free(back);
        assert_int_equal(state_read_receipt(dir, "20250101-000000-abcd", &back, &diag), -ENOENT);
        assert_int_equal(state_read_receipt(dir, "../memory", &back, &diag), -ENOENT);
        dir = state_close(dir);
        scratch_done(path);
}

static void test_memory(void **state) {
        char *path = scratch();
        cleanup(state_close) StateDir *dir = NULL;
        cleanup(memory_done) Memory memory = { 0 }, back = { 0 };
        Diag diag = DIAG_NULL;
        char file[64];

        (void)state;
        assert_int_equal(state_open(path, &dir, &diag), 0);
        assert_int_equal(state_read_memory(dir, &back, &diag), 0);
        assert_int_equal(back.images.n, 0);
        assert_false(back.ever_matched);

        memory.ever_matched = true;
        assert_int_equal(named_images_add(&memory.images, "a:1", "sha256:1"), 0);
        assert_int_equal(named_images_add(&memory.images, "", "sha256:2"), 0);
        assert_int_equal(state_write_memory(dir, &memory, &diag), 0);
        assert_int_equal(state_read_memory(dir, &back, &diag), 0);
        assert_true(back.ever_matched);
        assert_int_equal(back.images.n, 2);
        assert_true(named_images_contain_id(&back.images, "sha256:2"));
        memory_done(&back);

        /* A damaged file is set aside and told, once. */
        snprintf(file, sizeof(file), "%s/memory.json", path);
        assert_int_equal(file_write_atomic(AT_FDCWD, file, "{\"images\": [", 12, 0600), 0);
        assert_int_equal(state_read_memory(dir, &back, &diag), 1);
        assert_non_null(strstr(diag.text, "memory.json.damaged"));
        assert_int_equal(back.images.n, 0);
        assert_int_equal(state_read_memory(dir, &back, &diag), 0);
        dir = state_close(dir);
        scratch_done(path);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_targets), cmocka_unit_test(test_ids),
                cmocka_unit_test(test_json),    cmocka_unit_test(test_files),
                cmocka_unit_test(test_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
