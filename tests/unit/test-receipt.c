/* SPDX-License-Identifier: MIT */

/* Receipts: their ids, their JSON, and what the store lists of them. */

#include <stdio.h>
#include <string.h>

#include "test.h"

#include "janitor/receipt.h"

static void test_targets(void **state) {
        AppConfig app = { .name = (char *)"frontend" };
        Config config = { .apps = { .v = &app, .n = 1 } };
        char name[APP_NAME_MAX];
        Target target;

        (void)state;
        for (size_t i = 0; i < n_target_names; i++) {
                assert_int_equal(target_from_string(&config, target_names[i], &target, name), 0);
                assert_string_equal(name, "");
                assert_string_equal(target_to_string(target, name), target_names[i]);
        }
        assert_int_equal(target_from_string(&config, "frontend", &target, name), 0);
        assert_int_equal(target, TARGET_APPS);
        assert_string_equal(target_to_string(target, name), "frontend");
        assert_int_equal(target_from_string(&config, "everything", &target, name), -EINVAL);
        assert_false(target_speaks_of_fresh(TARGET_APPS));
        assert_true(target_speaks_of_fresh(TARGET_ALL));
        assert_true(target_speaks_of_fresh(TARGET_DOCKER));
        assert_false(target_speaks_of_fresh(TARGET_BUILDER));
        assert_false(target_speaks_of_fresh(TARGET_IMAGES));
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
        assert_int_equal(named_images_add(&receipt.names, "a:2", "sha256:2"), 0);
        receipt.names.v[1].deleted = true;
        assert_int_equal(remaining_add(&receipt.remaining, REMAINING_RECORD, "r", "in use", NULL),
                         0);
        json = receipt_json(&receipt);
        assert_non_null(json);
        assert_string_equal(json_get_string(json, "outcome", ""), "notFresh");
        assert_false(json_get_bool(json, "fresh", true));
        assert_int_equal(json_get_int(json, "engineReportedBytes", 0), 7);
        assert_int_equal(json_size(json_get(json, "remaining")), 1);
        assert_int_equal(json_size(json_get(json, "caches")), 0);
        assert_true(json_is_array(json_get(json, "notReached")));
        assert_string_equal(json_get_string(json_first(json_get(json, "names")), "imageId", ""),
                            "sha256:1");
        assert_null(json_get(json_first(json_get(json, "names")), "deleted"));
        json_foreach (name, json_get(json, "names"))
                assert_int_equal(json_get_bool(name, "deleted", false),
                                 strcmp(json_get_string(name, "name", ""), "a:2") == 0);

        /* A target that says nothing of the build says nothing of fresh. */
        receipt.target = TARGET_BUILDER;
        json_free(json);
        json = receipt_json(&receipt);
        assert_null(json_get(json, "fresh"));
}

/* Each kind is named up to a limit, and counted past it, through any number of lists. */
static void test_remaining(void **state) {
        cleanup(remaining_done) RemainingList list = { 0 }, part = { 0 };
        const unsigned n = REMAINING_NAMED_MAX - 1;

        (void)state;
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(remaining_add(&list, REMAINING_CACHE, "c", "there", NULL), 0);
        for (unsigned i = 0; i < REMAINING_NAMED_MAX + 3; i++)
                assert_int_equal(remaining_add(&part, REMAINING_CACHE, "d", "there", NULL), 0);
        assert_int_equal(remaining_add(&part, REMAINING_APP, "a", "missing", "mount it"), 0);
        assert_true(remaining_is_full(&part, REMAINING_CACHE));
        assert_int_equal(part.n, REMAINING_NAMED_MAX + 1);

        assert_int_equal(remaining_add_all(&list, &part), 0);
        remaining_count(&list, REMAINING_CACHE, 8);
        assert_int_equal(remaining_close(&list), 0);
        assert_int_equal(remaining_close(&list), 0);
        assert_int_equal(list.n, REMAINING_NAMED_MAX + 2);
        assert_string_equal(list.v[n].object, "d");
        assert_string_equal(list.v[n + 1].remedy, "mount it");
        assert_string_equal(list.v[n + 2].object, "and 110 more");
        assert_int_equal(list.v[n + 2].kind, REMAINING_CACHE);
}

/* The first ones are named, all are counted, and only what is gone is told as gone. */
static void test_caches(void **state) {
        cleanup(receipt_done) Receipt receipt = { .target = TARGET_APPS };
        cleanup(json_free) Json *ahead = NULL, *json = NULL;
        const Json *first;
        char name[16];

        (void)state;
        strcpy(receipt.app, "frontend");
        assert_int_equal(receipt_add_cache(&receipt, "frontend", "gone", CONTEXT_INSIDE, NULL, 7),
                         0);
        for (unsigned i = 0; i < REMAINING_NAMED_MAX + 5; i++) {
                snprintf(name, sizeof(name), "%x", i);
                assert_int_equal(receipt_add_cache(&receipt, "frontend", "a\n/.next",
                                                   CONTEXT_IGNORED, name, 0),
                                 0);
        }
        assert_int_equal(receipt.removed[REMOVED_CACHES].objects, 1);
        ahead = receipt_json(&receipt); /* interrupted */
        assert_int_equal(json_size(json_get(ahead, "caches")), REMAINING_NAMED_MAX);

        receipt_cache_removed(&receipt, "3", 4096);
        receipt_cache_removed(&receipt, "67", 1); /* is not named */
        assert_int_equal(receipt.removed[REMOVED_CACHES].objects, 3);
        receipt.app_bytes = 4104;
        receipt.outcome = OUTCOME_NOT_CLEARED;
        json = receipt_json(&receipt);
        assert_non_null(json);
        assert_string_equal(json_get_string(json, "target", ""), "frontend");
        assert_int_equal(json_get_int(json, "appBytes", 0), 4104);
        assert_int_equal(json_size(json_get(json, "caches")), 2);
        first = json_first(json_get(json, "caches"));
        assert_string_equal(json_get_string(first, "path", ""), "gone");
        first = json_next(first);
        assert_string_equal(json_get_string(first, "path", ""), "a\\n/.next");
        assert_string_equal(json_get_string(first, "reach", ""), "ignored");
        assert_int_equal(json_get_int(first, "bytes", 0), 4096);
}

static void test_run(void **state) {
        cleanup(receipt_done) Receipt receipt = {
                .target = TARGET_IMAGES,
                .outcome = OUTCOME_NOT_CLEARED,
                .who.uid = 4000000000,
                .started_sec = 5,
                .finished_sec = 9,
                .disk_freed_bytes = 13,
        };
        Run run;

        (void)state;
        strcpy(receipt.id, "1-2-3");
        for (RemovedStep step = 0; step < REMOVED_MAX; step++) {
                receipt.removed[step].objects = 10 + step;
                receipt.removed[step].engine_bytes = 100 + step;
        }
        assert_int_equal(remaining_add(&receipt.remaining, REMAINING_RECORD, "r", "in use", NULL),
                         0);
        receipt_run(&receipt, &run);
        assert_string_equal(run.id, "1-2-3");
        assert_string_equal(run.kind, "clear");
        assert_string_equal(run.target, "images");
        assert_string_equal(run.outcome, "notCleared");
        assert_string_equal(run.who, "4000000000");
        assert_int_equal(run.started_sec, 5);
        assert_int_equal(run.finished_sec, 9);
        assert_int_equal(run.n_removed, 46);
        assert_int_equal(run.n_remaining, 1);
        assert_int_equal(run.engine_bytes, 406);
        assert_int_equal(run.freed_bytes, 13);
        assert_false(run.took_names);

        receipt.target = TARGET_APPS;
        receipt.app_bytes = 17;
        receipt_run(&receipt, &run);
        assert_string_equal(run.target, "apps");
        assert_int_equal(run.freed_bytes, 17);

        assert_int_equal(named_images_add(&receipt.names, "a:1", "sha256:1"), 0);
        receipt.who.user = strdup(
                "somebody whose name is longer than any name should be, and not by a little");
        receipt_run(&receipt, &run);
        assert_true(run.took_names);
        assert_int_equal(strlen(run.who), sizeof(run.who) - 1);
        assert_memory_equal(run.who, receipt.who.user, sizeof(run.who) - 1);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_targets), cmocka_unit_test(test_ids),
                cmocka_unit_test(test_json),    cmocka_unit_test(test_remaining),
                cmocka_unit_test(test_caches),  cmocka_unit_test(test_run),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
