/* SPDX-License-Identifier: MIT */

/* The store: what is written is there, listed in order and trimmed, and read beside its writer. */

#include <pthread.h>
#include <sys/stat.h>

#include "store-scratch.h"

#include "base/span.h"

static void test_open(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL;
        Store *second = NULL;
        char path[96], file[128];
        Diag diag = DIAG_NULL;
        struct stat st;
        mode_t mask;

        (void)state;
        snprintf(path, sizeof(path), "%s/var/state", scratch.path);
        mask = umask(0);
        assert_int_equal(store_open(path, &store, &diag), 0);
        umask(mask);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        for (const char *const *end = (const char *const[]){ "", "-wal", "-shm", NULL }; *end;
             end++) {
                snprintf(file, sizeof(file), "%s/%s%s", path, STORE_FILE, *end);
                assert_int_equal(stat(file, &st), 0);
                assert_int_equal(st.st_mode & 07777, 0600);
        }

        assert_int_equal(store_open(path, &second, &diag), -EBUSY);
        assert_non_null(strstr(diag.text, "another wpcached"));
        assert_false(store_take_damage(store, &diag));
        store = store_close(store);
        assert_int_equal(store_open(path, &store, &diag), 0);
        assert_false(store_take_damage(store, &diag));
}

static void test_runs(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup(json_free) Json *details = json_new_object(), *back = NULL;
        cleanup(listed_done) Listed listed = { 0 };
        Diag diag = DIAG_NULL;
        Run run = {
                .id = "20261121-100000-0000a",
                .kind = "clear",
                .target = "all",
                .outcome = "interrupted",
                .who = "o'neill",
                .started_sec = 1795255200,
                .n_removed = 3,
                .n_remaining = UINT32_MAX,
                .engine_bytes = INT64_MAX,
                .freed_bytes = 5,
                .took_names = true,
        };

        (void)state;
        assert_int_equal(store_read_run(store, run.id, &back, &diag), -ENOENT);
        assert_non_null(strstr(diag.text, run.id));
        assert_int_equal(json_add_string(details, "text", "ä\n\"'"), 0);
        assert_int_equal(store_write_run(store, &run, details, &diag), 0);
        assert_int_equal(store_list_runs(store, NULL, 0, 9, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 1);
        assert_memory_equal(&listed.v[0], &run, sizeof(run));
        assert_int_equal(store_read_run(store, run.id, &back, &diag), 0);
        assert_string_equal(json_get_string(back, "text", ""), "ä\n\"'");
        back = json_free(back);

        /* It is written again, all of it. */
        strcpy(run.outcome, "notCleared");
        run.finished_sec = run.started_sec + 9;
        run.took_names = false;
        assert_int_equal(json_add_int(details, "passes", 2), 0);
        assert_int_equal(store_write_run(store, &run, details, &diag), 0);
        store = store_close(store);
        store = open_store(&scratch);
        listed.n = 0;
        assert_int_equal(store_list_runs(store, NULL, 0, 9, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 1);
        assert_memory_equal(&listed.v[0], &run, sizeof(run));
        assert_int_equal(store_read_run(store, run.id, &back, &diag), 0);
        assert_int_equal(json_get_int(back, "passes", 0), 2);

        /* Text of somebody's is no SQL. */
        assert_int_equal(store_read_run(store, "' OR 1 --", &back, &diag), -ENOENT);

        store = store_close(store);
        raw(&scratch, "UPDATE details SET json = '{\"passes\": '");
        store = open_store(&scratch);
        back = json_free(back);
        assert_int_equal(store_read_run(store, run.id, &back, &diag), -EBADMSG);
        assert_non_null(strstr(diag.text, run.id));
        assert_false(store_take_damage(store, &diag));
}

static void test_list(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup(listed_done) Listed listed = { 0 };
        cleanup(json_free) Json *details = json_new_object();
        Diag diag = DIAG_NULL;

        (void)state;
        for (unsigned i = 0; i < 10; i++) {
                Run run = make_run(i * 7 % 10); /* the clock goes to and fro */

                if (i * 7 % 10 % 3 == 0)
                        strcpy(run.kind, "clear");
                assert_int_equal(store_write_run(store, &run, details, &diag), 0);
        }
        assert_int_equal(store_list_runs(store, NULL, 0, SIZE_MAX, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 10);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(listed.v[i].started_sec, (9 - i) * 7 % 10);

        listed.n = 0;
        assert_int_equal(store_list_runs(store, NULL, 4, 3, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 3);
        assert_int_equal(listed.v[0].started_sec, 6);
        assert_int_equal(listed.v[1].started_sec, 9);
        assert_int_equal(listed.v[2].started_sec, 5);
        listed.n = 0;
        assert_int_equal(store_list_runs(store, NULL, 8, 3, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 2);
        listed.n = 0;
        assert_int_equal(store_list_runs(store, "clear", 1, 9, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 3);
        assert_int_equal(listed.v[0].started_sec, 3);
        assert_int_equal(listed.v[1].started_sec, 6);
        assert_int_equal(listed.v[2].started_sec, 9);
        listed.n = 0;
        assert_int_equal(store_list_runs(store, "rollback", 0, 9, list_one, &listed, &diag), 0);
        assert_int_equal(store_list_runs(store, NULL, 0, 0, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 0);

        listed.end_after = 2;
        listed.end_with = 1;
        assert_int_equal(store_list_runs(store, NULL, 0, 9, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 2);
        listed.n = 0;
        listed.end_with = -ENOMSG;
        assert_int_equal(store_list_runs(store, NULL, 0, 9, list_one, &listed, &diag), -ENOMSG);
        assert_int_equal(listed.n, 2);
        write_number(store, 11, 1); /* nothing is left open by that */
}

static void test_samples(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup_free Sample *samples = NULL;

        (void)state;
        assert_int_equal(list_samples(store, 0, 10, &samples), 0);
        for (unsigned i = 0; i < 100; i++)
                add_sample(store, 1000 + i * 37 % 100 * 10); /* in no order */
        add_sample(store, 1000);                             /* again */
        assert_int_equal(list_samples(store, 0, 1000, &samples), 100);
        assert_int_equal(samples[1].at_sec, 1010);
        assert_int_equal(samples[1].age_sec, 505);
        assert_int_equal(samples[1].builder_bytes, 3030);
        assert_int_equal(samples[1].image_bytes, 4);
        assert_true(samples[1].disk_total_bytes == INT64_MAX);
        assert_int_equal(samples[1].disk_free_bytes, 6);
        assert_int_equal(list_samples(store, 1500, 1000, &samples), 50);
        assert_int_equal(samples[0].at_sec, 1500);
        assert_int_equal(list_samples(store, 1500, 50, &samples), 50);
        assert_int_equal(list_samples(store, 5000, 50, &samples), 0);

        assert_int_equal(list_samples(store, 0, 10, &samples), 10);
        for (size_t i = 1; i < 10; i++)
                assert_in_range(samples[i].at_sec - samples[i - 1].at_sec, 90, 110);
        assert_int_equal(samples[9].at_sec, 1990);
        assert_int_equal(list_samples(store, 0, 1, &samples), 1);
        assert_int_equal(samples[0].at_sec, 1990);
        assert_int_equal(list_samples(store, 0, 0, &samples), 0);

        /* Even in time, not in number: those of a sparse time stay. */
        for (int64_t day = 1; day < 30; day++)
                add_sample(store, 2000 + day * 86400);
        for (int64_t i = 0; i < 500; i++)
                add_sample(store, 2000 + 30 * INT64_C(86400) + i);
        assert_int_equal(list_samples(store, 2000, 60, &samples), 30);
        for (size_t i = 1; i < 29; i++)
                assert_int_equal(samples[i].at_sec - samples[i - 1].at_sec, 86400);
}

static bool has_run(Store *store, unsigned number) {
        cleanup(json_free) Json *details = NULL;
        Run run = make_run(number);
        int r = store_read_run(store, run.id, &details, NULL);

        assert_true(r == 0 || r == -ENOENT);
        return r == 0;
}

static void test_trim(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup(json_free) Json *details = json_new_object();
        cleanup_free Sample *samples = NULL;
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(store_trim(store, 100, &diag), 0);
        for (unsigned i = 0; i < 10; i++) {
                Run run = make_run(i);

                run.took_names = i == 2 || i == 4;
                assert_int_equal(store_write_run(store, &run, details, &diag), 0);
                add_sample(store, i);
        }
        assert_int_equal(store_trim(store, 6, &diag), 0);
        assert_int_equal(count_runs(store), 5);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(has_run(store, i), i == 4 || i >= 6);
        assert_int_equal(list_samples(store, 0, 99, &samples), 4);
        assert_int_equal(samples[0].at_sec, 6);

        /* What was written last stays, though the clock was set back meanwhile. */
        write_number(store, 1, 0);
        assert_int_equal(store_trim(store, 100, &diag), 0);
        assert_int_equal(count_runs(store), 2);
        assert_true(has_run(store, 1) && has_run(store, 4));
        assert_int_equal(list_samples(store, 0, 99, &samples), 0);

        /* Details go with their run. */
        store = store_close(store);
        raw(&scratch, "CREATE TABLE t (n INTEGER CHECK (n = 2)) STRICT;"
                      "INSERT INTO t SELECT count(*) FROM details; DROP TABLE t");
}

static double milliseconds_since(uint64_t begin_usec) {
        return (double)(now_boottime_usec() - begin_usec) / 1000;
}

/* In memory where there is room for it, since each write is waited for. */
static void test_bounds(void **state) {
        cleanup(scratch_done) Scratch scratch =
                scratch_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        cleanup(store_close) Store *store = open_store(&scratch), *reader = NULL;
        cleanup(listed_done) Listed listed = { 0 };
        cleanup_free Sample *samples = NULL;
        Diag diag = DIAG_NULL;
        uint64_t begin_usec;
        double ms;

        (void)state;
        for (unsigned i = 0; i < RUNS_KEPT + 20; i++)
                write_number(store, i, 1500);
        for (unsigned i = 0; i < SAMPLES_KEPT + 20; i++)
                add_sample(store, 2 * i);
        begin_usec = now_boottime_usec();
        assert_int_equal(store_trim(store, 0, &diag), 0);
        print_message("trim: %.1f ms\n", milliseconds_since(begin_usec));
        assert_int_equal(count_runs(store), RUNS_KEPT);
        assert_false(has_run(store, 19));
        assert_true(has_run(store, 20));
        assert_int_equal(list_samples(store, 0, SIZE_MAX, &samples), SAMPLES_KEPT);
        assert_int_equal(samples[0].at_sec, 40);

        store = store_close(store);
        begin_usec = now_boottime_usec();
        store = open_store(&scratch);
        print_message("open: %.1f ms\n", milliseconds_since(begin_usec));

        assert_int_equal(store_open_reader(store, &reader), 0);
        begin_usec = now_boottime_usec();
        assert_int_equal(store_list_runs(reader, NULL, 0, 1000, list_one, &listed, &diag), 0);
        assert_int_equal(list_samples(reader, 0, 500, &samples), 500);
        ms = milliseconds_since(begin_usec);
        assert_int_equal(listed.n, 1000);
        print_message("1000 of %d runs, 500 of %d samples: %.1f ms\n", RUNS_KEPT, SAMPLES_KEPT, ms);
        assert_true(ms < 1000);

        listed.n = 0;
        begin_usec = now_boottime_usec();
        assert_int_equal(store_list_runs(reader, NULL, 0, SIZE_MAX, list_one, &listed, &diag), 0);
        print_message("all runs: %.1f ms\n", milliseconds_since(begin_usec));
        assert_int_equal(listed.n, RUNS_KEPT);

        /* A look for what is not there is what no early end helps. */
        listed.n = 0;
        begin_usec = now_boottime_usec();
        assert_int_equal(store_list_runs(reader, NULL, INT64_MAX, 1, list_one, &listed, &diag), 0);
        print_message("none of them: %.1f ms\n", milliseconds_since(begin_usec));
        begin_usec = now_boottime_usec();
        assert_int_equal(store_list_runs(reader, "clear", 0, 1, list_one, &listed, &diag), 0);
        print_message("none of this kind: %.1f ms\n", milliseconds_since(begin_usec));
        assert_int_equal(listed.n, 0);
}

static void *write_many(void *userdata) {
        for (unsigned i = 0; i < 500; i++)
                write_number(userdata, i, 5000);
        return NULL;
}

/* Beside a writer on another thread, a reader sees one state of it all, and never an older one. */
static void test_reader(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch), *reader = NULL;
        Diag diag = DIAG_NULL;
        pthread_t writer;
        size_t n = 0;

        (void)state;
        assert_int_equal(store_open_reader(store, &reader), 0);
        assert_int_equal(try_write(reader, 0, 0, &diag), -EROFS);
        assert_int_equal(pthread_create(&writer, NULL, write_many, store), 0);
        while (n < 500) {
                cleanup(listed_done) Listed listed = { 0 };

                assert_int_equal(
                        store_list_runs(reader, NULL, 0, SIZE_MAX, list_one, &listed, &diag), 0);
                assert_true(listed.n >= n);
                n = listed.n;
                for (size_t i = 0; i < n; i++)
                        assert_int_equal(listed.v[i].started_sec, n - 1 - i);
                if (n > 0)
                        assert_int_equal(try_read(reader, (unsigned)n - 1, 5000), 0);
        }
        assert_int_equal(pthread_join(writer, NULL), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_open),   cmocka_unit_test(test_runs),
                cmocka_unit_test(test_list),   cmocka_unit_test(test_samples),
                cmocka_unit_test(test_trim),   cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_reader),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
