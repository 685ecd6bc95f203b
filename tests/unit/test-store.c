/* SPDX-License-Identifier: MIT */

/* The store: what was written is there, whatever happens to the process or to the file. */

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "test.h"

#include "base/array.h"
#include "base/io.h"
#include "base/span.h"
#include "store/store.h"

#define NOBODY 65534

/* A directory of the test's own, gone after it. */
typedef struct Scratch {
        char path[64], file[128];
} Scratch;

static Scratch scratch_in(const char *directory) {
        Scratch scratch;

        snprintf(scratch.path, sizeof(scratch.path), "%s/wpcache-test-XXXXXX", directory);
        assert_non_null(mkdtemp(scratch.path));
        snprintf(scratch.file, sizeof(scratch.file), "%s/%s", scratch.path, STORE_FILE);
        return scratch;
}

static Scratch scratch_new(void) {
        return scratch_in("/tmp");
}

static void scratch_donep(Scratch *scratch) {
        char command[128];

        snprintf(command, sizeof(command), "rm -rf '%s'", scratch->path);
        assert_int_equal(system(command), 0);
}

static Store *open_store(const Scratch *scratch) {
        Store *store = NULL;
        Diag diag = DIAG_NULL;

        if (store_open(scratch->path, &store, &diag) < 0)
                fail_msg("%s", diag.text);
        return store;
}

static void run_child(void (*function)(const Scratch *), const Scratch *scratch) {
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                function(scratch);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

/* Past the store, while it is closed. */
static void raw(const Scratch *scratch, const char *sql) {
        sqlite3 *db;

        assert_int_equal(sqlite3_open(scratch->file, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static Run make_run(unsigned number) {
        Run run = { .kind = "policy", .outcome = "done", .started_sec = number };

        snprintf(run.id, sizeof(run.id), "20260101-%08u", number);
        return run;
}

/* Details of a run: its number, and more text the greater `n`. */
static Json *make_details(unsigned number, size_t n) {
        cleanup_free char *text = malloc(n + 1);
        Json *details = json_new_object();

        assert_non_null(text);
        memset(text, 'a' + (int)(number % 26), n);
        text[n] = '\0';
        assert_int_equal(json_add_int(details, "number", number), 0);
        assert_int_equal(json_add_string(details, "text", text), 0);
        return details;
}

static int try_write(Store *store, unsigned number, size_t n, Diag *reterr_diag) {
        cleanup(json_free) Json *details = make_details(number, n);
        Run run = make_run(number);

        return store_write_run(store, &run, details, reterr_diag);
}

static void write_number(Store *store, unsigned number, size_t n) {
        Diag diag = DIAG_NULL;

        if (try_write(store, number, n, &diag) < 0)
                fail_msg("%s", diag.text);
}

static int try_read(Store *store, unsigned number, size_t n) {
        cleanup(json_free) Json *back = NULL, *details = make_details(number, n);
        cleanup_free char *is = NULL, *expected = NULL;
        Run run = make_run(number);
        int r;

        r = store_read_run(store, run.id, &back, NULL);
        if (r < 0)
                return r;
        is = json_text(back);
        expected = json_text(details);
        assert_string_equal(is, expected);
        return 0;
}

typedef struct Listed {
        Run *v;
        size_t n, size, end_after;
        int end_with;
} Listed;

static int list_one(void *userdata, const Run *run) {
        Listed *listed = userdata;

        assert_int_equal(array_grow(listed->v, listed->n, listed->size), 0);
        listed->v[listed->n++] = *run;
        return listed->n == listed->end_after ? listed->end_with : 0;
}

static void listed_donep(Listed *listed) {
        free(listed->v);
}

static size_t count_runs(Store *store) {
        cleanup(listed_done) Listed listed = { 0 };
        Diag diag = DIAG_NULL;

        if (store_list_runs(store, NULL, 0, SIZE_MAX, list_one, &listed, &diag) < 0)
                fail_msg("%s", diag.text);
        return listed.n;
}

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
        assert_int_equal(store_open_reader(path, &second, &diag), -ENOENT);
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
                Run run = make_run(i * 7 % 10); /* in no order */

                if (i * 7 % 10 % 3 == 0)
                        strcpy(run.kind, "clear");
                assert_int_equal(store_write_run(store, &run, details, &diag), 0);
        }
        assert_int_equal(store_list_runs(store, NULL, 0, SIZE_MAX, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 10);
        for (unsigned i = 0; i < 10; i++)
                assert_int_equal(listed.v[i].started_sec, 9 - i);

        listed.n = 0;
        assert_int_equal(store_list_runs(store, NULL, 4, 3, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 3);
        assert_int_equal(listed.v[2].started_sec, 7);
        listed.n = 0;
        assert_int_equal(store_list_runs(store, NULL, 8, 3, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 2);
        listed.n = 0;
        assert_int_equal(store_list_runs(store, "clear", 1, 9, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 3);
        assert_int_equal(listed.v[0].started_sec, 9);
        assert_int_equal(listed.v[2].started_sec, 3);
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

static void add_sample(Store *store, int64_t at_sec) {
        Sample sample = {
                .at_sec = at_sec,
                .age_sec = at_sec / 2,
                .builder_bytes = (uint64_t)at_sec * 3,
                .image_bytes = 4,
                .disk_total_bytes = INT64_MAX,
                .disk_free_bytes = 6,
        };
        Diag diag = DIAG_NULL;

        if (store_add_sample(store, &sample, &diag) < 0)
                fail_msg("%s", diag.text);
}

static size_t list_samples(Store *store, int64_t since_sec, size_t n_max, Sample **ret) {
        Diag diag = DIAG_NULL;
        size_t n;

        free(*ret);
        *ret = NULL;
        if (store_list_samples(store, since_sec, n_max, ret, &n, &diag) < 0)
                fail_msg("%s", diag.text);
        assert_true(n <= n_max);
        for (size_t i = 1; i < n; i++)
                assert_true((*ret)[i - 1].at_sec < (*ret)[i].at_sec);
        return n;
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

        assert_int_equal(store_open_reader(scratch.path, &reader, &diag), 0);
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

static void add_seen(SeenImages *list, unsigned number, const char *repository) {
        SeenImage *image;

        if (array_grow(list->v, list->n, list->size) < 0)
                abort(); /* fail() would not end this for the static analyser */
        image = &list->v[list->n++];
        *image = (SeenImage){
                .first_seen_sec = number,
                .named_sec = number + 1,
                .used_sec = -1,
                .running_since_sec = number % 2 ? -1 : (int64_t)number,
                .tag_mark = 1795255200,
                .names_hash = UINT64_MAX - number,
                .repository = repository ? strdup(repository) : NULL,
                .dirty = true,
        };
        snprintf(image->id, sizeof(image->id), "sha256:%064u", number);
}

static void assert_seen_equal(const SeenImages *a, const SeenImages *b) {
        assert_int_equal(a->n, b->n);
        for (size_t i = 0; i < a->n; i++) {
                const SeenImage *x = &a->v[i], *y = seen_images_find(b, x->id);

                assert_non_null(y);
                assert_int_equal(x->first_seen_sec, y->first_seen_sec);
                assert_int_equal(x->named_sec, y->named_sec);
                assert_int_equal(x->used_sec, y->used_sec);
                assert_int_equal(x->running_since_sec, y->running_since_sec);
                assert_int_equal(x->tag_mark, y->tag_mark);
                assert_true(x->names_hash == y->names_hash);
                assert_int_equal(!x->repository, !y->repository);
                if (x->repository)
                        assert_string_equal(x->repository, y->repository);
                assert_false(y->dirty);
        }
}

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

/* Of more than a signed number holds, and text of somebody's. */
static void make_trash(TrashItems *items, unsigned number) {
        TrashItem *item;

        if (array_grow(items->v, items->n, items->size) < 0)
                abort();
        item = &items->v[items->n++];
        *item = (TrashItem){
                .place = strdup("/srv/.wpcache-trash \xff\n'"),
                .dev = UINT64_MAX - number,
                .ino = (UINT64_C(1) << 63) + number,
                .app = strdup("frontend"),
                .path = strdup("node_modules/.cache \\xff"),
        };
        snprintf(item->name, sizeof(item->name), "%032x", number);
}

static void assert_trash(Store *store, const TrashItems *expected) {
        cleanup(trash_items_done) TrashItems items = { 0 };
        Diag diag = DIAG_NULL;

        if (store_read_trash(store, &items, &diag) < 0)
                fail_msg("%s", diag.text);
        assert_int_equal(items.n, expected->n);
        for (size_t i = 0; i < items.n; i++) {
                const TrashItem *a = &items.v[i], *b = &expected->v[i];

                assert_string_equal(a->place, b->place);
                assert_string_equal(a->name, b->name);
                assert_true(a->dev == b->dev && a->ino == b->ino);
                assert_string_equal(a->app, b->app);
                assert_string_equal(a->path, b->path);
        }
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
        assert_int_equal(store_open_reader(scratch.path, &reader, &diag), 0);
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
        assert_int_equal(store_open_reader(scratch.path, &reader, &diag), 0);
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

/* In a process of its own: to close a file would drop the locks that SQLite holds on it. */
static void spoil(const Scratch *scratch) {
        static char garbage[64 * 1024];
        int fd = open(scratch->file, O_WRONLY);
        off_t size = lseek(fd, 0, SEEK_END);

        memset(garbage, 0x5a, sizeof(garbage));
        for (off_t at = 0; at < size; at += (off_t)sizeof(garbage)) {
                size_t n = MIN((size_t)(size - at), sizeof(garbage));

                if (pwrite(fd, garbage, n, at) != (ssize_t)n)
                        _exit(1);
        }
        close(fd);
}

static void spoil_middle(const Scratch *scratch) {
        char garbage[3 * 4096];
        int fd = open(scratch->file, O_WRONLY);

        for (size_t i = 0; i < sizeof(garbage); i++)
                garbage[i] = (char)(i * 31);
        if (pwrite(fd, garbage, sizeof(garbage), 20 * 4096) != sizeof(garbage))
                _exit(1);
        close(fd);
}

static void cut_half(const Scratch *scratch) {
        struct stat st;

        if (stat(scratch->file, &st) < 0 || truncate(scratch->file, st.st_size / 2) < 0)
                _exit(1);
}

static void cut_short(const Scratch *scratch) {
        if (truncate(scratch->file, 50) < 0)
                _exit(1);
}

static void cut_uneven(const Scratch *scratch) {
        if (truncate(scratch->file, 4096 + 1000) < 0)
                _exit(1);
}

/* A database of somebody's. */
static void exchange(const Scratch *scratch) {
        if (unlink(scratch->file) < 0)
                _exit(1);
        raw(scratch, "CREATE TABLE customers (name TEXT)");
}

static void (*const damages[])(const Scratch *) = {
        spoil, spoil_middle, cut_half, cut_short, cut_uneven, exchange,
};

/* The one file that was set aside, and whose name the store told. */
static void check_set_aside(const Scratch *scratch, Store *store, const char *content, size_t n) {
        cleanup_free char *aside = NULL;
        char path[256];
        Diag diag = DIAG_NULL;
        const char *name;
        size_t n_aside;

        assert_true(store_take_damage(store, &diag));
        assert_non_null(strstr(diag.text, scratch->file));
        name = strstr(diag.text, STORE_FILE ".damaged-20");
        assert_non_null(name);
        snprintf(path, sizeof(path), "%s/%.*s", scratch->path, (int)strcspn(name, ":"), name);
        assert_int_equal(file_read(AT_FDCWD, path, SIZE_MAX, &aside, &n_aside), 0);
        if (content) {
                assert_int_equal(n_aside, n);
                assert_memory_equal(aside, content, n);
        }
        assert_false(store_take_damage(store, &diag));
}

static void test_damaged_at_open(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(damages); i++) {
                cleanup(scratch_done) Scratch scratch = scratch_new();
                cleanup(store_close) Store *store = open_store(&scratch), *reader = NULL;
                cleanup_free char *content = NULL;
                Diag diag = DIAG_NULL;
                size_t n;

                for (unsigned number = 0; number < 300; number++)
                        write_number(store, number, 500);
                store = store_close(store);
                run_child(damages[i], &scratch);
                assert_int_equal(file_read(AT_FDCWD, scratch.file, SIZE_MAX, &content, &n), 0);

                store = open_store(&scratch);
                assert_string_equal(diag.text, "");
                check_set_aside(&scratch, store, content, n);
                assert_int_equal(count_runs(store), 0);
                write_number(store, 1, 10);
                assert_int_equal(store_open_reader(scratch.path, &reader, &diag), 0);
                assert_int_equal(count_runs(reader), 1);
                store = store_close(store);
                store = open_store(&scratch);
                assert_false(store_take_damage(store, &diag));
                assert_int_equal(try_read(store, 1, 10), 0);
        }
}

/* As a crash leaves it that comes before the first write. */
static void test_empty_file(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL;
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(file_write_atomic(AT_FDCWD, scratch.file, "", 0, 0600), 0);
        store = open_store(&scratch);
        assert_false(store_take_damage(store, &diag));
        write_number(store, 1, 10);

        /* ... and one that comes before the tables. */
        store = store_close(store);
        assert_int_equal(unlink(scratch.file), 0);
        raw(&scratch, "PRAGMA journal_mode = WAL");
        store = open_store(&scratch);
        assert_false(store_take_damage(store, &diag));
        assert_int_equal(count_runs(store), 0);
}

typedef struct Content {
        SeenImages seen;
        Suspects suspects;
        TrashItems trash;
        AgeClock clock;
} Content;

/* Operation number `i` on a file that is damaged; false when there are no more. */
static bool operate(Store *store, size_t i, Content *content) {
        cleanup(listed_done) Listed listed = { 0 };
        cleanup(seen_images_done) SeenImages seen = { 0 };
        cleanup(suspects_done) Suspects suspects = { 0 };
        cleanup_free Sample *samples = NULL;
        Diag diag = { "as before" };
        AgeClock clock;
        int r;

        switch (i) {
        case 0:
                r = try_write(store, 7, 10, &diag);
                assert_int_equal(try_read(store, 7, 10), 0);
                break;
        case 1:
                r = store_list_runs(store, NULL, 0, 9, list_one, &listed, &diag);
                break;
        case 2:
                r = store_add_sample(store, &(Sample){ .at_sec = 5 }, &diag);
                assert_int_equal(list_samples(store, 0, 9, &samples), 1);
                break;
        case 3:
                assert_int_equal(list_samples(store, 0, 9, &samples), 0);
                r = 0;
                break;
        case 4:
                r = store_trim(store, 0, &diag);
                break;
        case 5:
                r = store_read_seen(store, &seen, &diag);
                assert_int_equal(seen.n, 0);
                break;
        case 6: /* all of them, since none is in the new file */
                r = store_write_seen(store, &content->seen, &diag);
                assert_int_equal(store_read_seen(store, &seen, &diag), 0);
                assert_seen_equal(&seen, &content->seen);
                break;
        case 7:
                r = store_read_suspects(store, &suspects, &diag);
                assert_int_equal(suspects.images.n, 0);
                break;
        case 8:
                r = store_write_suspects(store, &content->suspects, &diag);
                assert_int_equal(store_read_suspects(store, &suspects, &diag), 0);
                assert_int_equal(suspects.images.n, 1);
                break;
        case 9:
                r = store_read_clock(store, &clock, &diag);
                assert_int_equal(clock.age_sec, 0);
                break;
        case 10:
                r = store_write_clock(store, &content->clock, &diag);
                assert_int_equal(store_read_clock(store, &clock, &diag), 0);
                assert_int_equal(clock.age_sec, 9);
                break;
        case 11:
                assert_int_equal(try_read(store, 1, 500), -ENOENT);
                r = 0;
                break;
        case 12:
                assert_trash(store, &(TrashItems){ 0 });
                r = 0;
                break;
        case 13: /* not even a name that the old file had stands against it */
                r = store_add_trash(store, content->trash.v, 1, &diag);
                assert_trash(store, &content->trash);
                break;
        case 14:
                r = store_drop_trash(store, content->trash.v, 1, &diag);
                assert_trash(store, &(TrashItems){ 0 });
                break;
        default:
                return false;
        }
        assert_int_equal(r, 0);
        assert_string_equal(diag.text, "as before");
        return true;
}

static void test_damaged_in_work(void **state) {
        bool more = true;

        (void)state;
        for (size_t i = 0; more; i++) {
                cleanup(scratch_done) Scratch scratch = scratch_new();
                cleanup(store_close) Store *store = open_store(&scratch), *reader = NULL;
                Content content = { .clock.age_sec = 9 };
                Diag diag = DIAG_NULL;

                for (unsigned number = 0; number < 30; number++) {
                        write_number(store, number, 500);
                        add_seen(&content.seen, number, "r");
                }
                assert_int_equal(named_images_add(&content.suspects.images, "b:1", "sha256:2"), 0);
                assert_int_equal(store_write_seen(store, &content.seen, &diag), 0);
                assert_int_equal(store_write_suspects(store, &content.suspects, &diag), 0);
                assert_int_equal(store_write_clock(store, &content.clock, &diag), 0);
                make_trash(&content.trash, 1);
                assert_int_equal(store_add_trash(store, content.trash.v, 1, &diag), 0);
                store = store_close(store); /* all of it is in the file then, and not in the log */
                store = open_store(&scratch);
                assert_int_equal(store_open_reader(scratch.path, &reader, &diag), 0);
                assert_int_equal(count_runs(store), 30);
                assert_int_equal(count_runs(reader), 30);

                run_child(spoil, &scratch);
                assert_int_equal(store_read_clock(reader, &content.clock, &diag), -EBADMSG);
                assert_int_equal(access(scratch.file, F_OK), 0);
                assert_int_equal(content.clock.age_sec, 9);
                more = operate(store, i, &content);
                if (more) {
                        check_set_aside(&scratch, store, NULL, 0);
                        /* The reader follows to the new file. */
                        write_number(store, 1000, 9);
                        assert_int_equal(try_read(reader, 1000, 9), 0);
                        assert_int_equal(try_read(reader, 1, 500), -ENOENT);
                }
                store = store_close(store);
                store = open_store(&scratch);
                assert_int_equal(store_take_damage(store, &diag), !more);
                seen_images_done(&content.seen);
                suspects_done(&content.suspects);
                trash_items_done(&content.trash);
        }
}

/* By an operator who did not stop the daemon. */
static void test_taken_away(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch), *reader = NULL;
        cleanup(seen_images_done) SeenImages list = { 0 }, back = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        add_seen(&list, 1, NULL);
        assert_int_equal(store_write_seen(store, &list, &diag), 0);
        assert_int_equal(store_open_reader(scratch.path, &reader, &diag), 0);
        assert_int_equal(unlink(scratch.file), 0);
        assert_int_equal(store_read_clock(reader, &(AgeClock){ 0 }, &diag), -ENOENT);
        write_number(store, 1, 10);
        assert_int_equal(store_write_seen(store, &list, &diag), 0);
        assert_int_equal(try_read(reader, 1, 10), 0);
        assert_true(store_take_damage(store, &diag));
        assert_non_null(strstr(diag.text, "taken away"));
        store = store_close(store);
        store = open_store(&scratch);
        assert_int_equal(try_read(store, 1, 10), 0);
        assert_int_equal(store_read_seen(store, &back, &diag), 0);
        assert_seen_equal(&back, &list);
}

static void test_newer_schema(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup_free char *before = NULL, *after = NULL;
        size_t n_before, n_after;
        Diag diag = DIAG_NULL;

        (void)state;
        write_number(store, 1, 10);
        store = store_close(store);
        raw(&scratch, "PRAGMA user_version = 99; DROP TABLE runs");
        assert_int_equal(file_read(AT_FDCWD, scratch.file, SIZE_MAX, &before, &n_before), 0);
        assert_int_equal(store_open(scratch.path, &store, &diag), -EPROTONOSUPPORT);
        assert_non_null(strstr(diag.text, scratch.file));
        assert_non_null(strstr(diag.text, "99"));
        assert_int_equal(store_open_reader(scratch.path, &store, &diag), -EPROTONOSUPPORT);
        assert_int_equal(file_read(AT_FDCWD, scratch.file, SIZE_MAX, &after, &n_after), 0);
        assert_int_equal(n_before, n_after);
        assert_memory_equal(before, after, n_before);

        raw(&scratch, "PRAGMA user_version = 2");
        assert_int_equal(store_open_reader(scratch.path, &store, &diag), 0);
}

/* A file as version 1 of the schema made it, never to be changed here. */
static const char version_1[] =
        "CREATE TABLE runs (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
        " target TEXT NOT NULL, outcome TEXT NOT NULL, who TEXT NOT NULL,"
        " started INTEGER NOT NULL, finished INTEGER NOT NULL, removed INTEGER NOT NULL,"
        " remaining INTEGER NOT NULL, engine_bytes INTEGER NOT NULL, freed_bytes INTEGER NOT NULL,"
        " took_names INTEGER NOT NULL) STRICT;"
        "CREATE INDEX runs_of_kind ON runs (kind, id);"
        "CREATE TABLE details (n INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,"
        " json TEXT NOT NULL) STRICT;"
        "CREATE TABLE samples (at INTEGER PRIMARY KEY, age INTEGER NOT NULL,"
        " builder_bytes INTEGER NOT NULL, image_bytes INTEGER NOT NULL,"
        " disk_total_bytes INTEGER NOT NULL, disk_free_bytes INTEGER NOT NULL) STRICT;"
        "CREATE TABLE seen (id TEXT PRIMARY KEY, first_seen INTEGER NOT NULL,"
        " named INTEGER NOT NULL, used INTEGER NOT NULL, running_since INTEGER NOT NULL,"
        " tag_mark INTEGER NOT NULL, names_hash INTEGER NOT NULL, repository TEXT)"
        " STRICT, WITHOUT ROWID;"
        "CREATE TABLE suspects (n INTEGER PRIMARY KEY, name TEXT NOT NULL, id TEXT NOT NULL)"
        " STRICT;"
        "CREATE TABLE host (n INTEGER PRIMARY KEY CHECK (n = 1), ever_matched INTEGER NOT NULL,"
        " boot_id TEXT NOT NULL, boot_usec INTEGER NOT NULL, age INTEGER NOT NULL,"
        " age_rest_usec INTEGER NOT NULL, wall_ahead INTEGER NOT NULL,"
        " steady_since INTEGER NOT NULL) STRICT;"
        "INSERT INTO host VALUES (1, 1, 'boot', 2, 3, 4, -5, 6);"
        "INSERT INTO runs VALUES (7, '20260101-00000003', 'clear', 'all', 'fresh', 'root',"
        " 3, 4, 5, 6, 7, 8, 1);"
        "INSERT INTO details VALUES (7, '{\"passes\":2}');"
        "INSERT INTO samples VALUES (1000, 500, 1, 2, 3, 4);"
        "INSERT INTO seen VALUES ('sha256:1', 1, 2, -1, -1, 3, -1, 'app');"
        "INSERT INTO suspects VALUES (1, 'b:1', 'sha256:2');"
        "PRAGMA journal_mode = WAL; PRAGMA application_id = 2003854177; PRAGMA user_version = 1";

static void check_version_1(Store *store) {
        cleanup(listed_done) Listed listed = { 0 };
        cleanup(seen_images_done) SeenImages seen = { 0 };
        cleanup(suspects_done) Suspects suspects = { 0 };
        cleanup(json_free) Json *details = NULL;
        cleanup_free Sample *samples = NULL;
        AgeClock clock;
        Run run = make_run(3);

        assert_int_equal(store_list_runs(store, "clear", 0, 9, list_one, &listed, NULL), 0);
        assert_int_equal(listed.n, 1);
        assert_string_equal(listed.v[0].id, run.id);
        assert_string_equal(listed.v[0].outcome, "fresh");
        assert_int_equal(listed.v[0].freed_bytes, 8);
        assert_true(listed.v[0].took_names);
        assert_int_equal(store_read_run(store, run.id, &details, NULL), 0);
        assert_int_equal(json_get_int(details, "passes", 0), 2);
        assert_int_equal(list_samples(store, 0, 9, &samples), 1);
        assert_int_equal(samples[0].disk_free_bytes, 4);
        assert_int_equal(store_read_seen(store, &seen, NULL), 0);
        assert_int_equal(seen.n, 1);
        assert_string_equal(seen.v[0].repository, "app");
        assert_true(seen.v[0].names_hash == UINT64_MAX);
        assert_int_equal(store_read_suspects(store, &suspects, NULL), 0);
        assert_int_equal(suspects.images.n, 1);
        assert_string_equal(suspects.images.v[0].name, "b:1");
        assert_true(suspects.ever_matched);
        assert_int_equal(store_read_clock(store, &clock, NULL), 0);
        assert_int_equal(clock.wall_ahead_sec, -5);
}

/* What an older daemon remembers stays, and an older daemon would leave the file alone from then on. */
static void test_upgrade(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL, *reader = NULL;
        cleanup(trash_items_done) TrashItems items = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        raw(&scratch, version_1);
        assert_int_equal(store_open_reader(scratch.path, &reader, &diag), -EPROTONOSUPPORT);
        store = open_store(&scratch);
        assert_false(store_take_damage(store, &diag));
        check_version_1(store);
        assert_trash(store, &items);
        make_trash(&items, 1);
        assert_int_equal(store_add_trash(store, items.v, 1, &diag), 0);
        assert_int_equal(store_open_reader(scratch.path, &reader, &diag), 0);
        check_version_1(reader);
        assert_trash(reader, &items);

        /* Once. */
        reader = store_close(reader);
        store = store_close(store);
        raw(&scratch, "CREATE TABLE t (n INTEGER CHECK (n = 2)) STRICT;"
                      "INSERT INTO t SELECT user_version FROM pragma_user_version; DROP TABLE t");
        store = open_store(&scratch);
        check_version_1(store);
        assert_trash(store, &items);
}

static void open_unwritable(const Scratch *scratch) {
        Diag diag = DIAG_NULL;
        Store *store;

        if (geteuid() == 0 && setuid(NOBODY) < 0)
                _exit(1);
        if (store_open(scratch->path, &store, &diag) != -EACCES ||
            !strstr(diag.text, scratch->path))
                _exit(2);
}

static void test_unwritable(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();

        (void)state;
        assert_int_equal(chmod(scratch.path, 0555), 0);
        run_child(open_unwritable, &scratch);
        assert_int_equal(chmod(scratch.path, 0755), 0);
}

static bool write_text(const char *path, const char *text) {
        cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd >= 0 && write_full(fd, text, strlen(text)) == 0;
}

/* Mounts a small file system that nobody else sees. The process stays apart: for the last test. */
static bool mount_small(const char *path) {
        uid_t uid = geteuid();
        gid_t gid = getegid();
        char uids[32], gids[32];

        if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return false;
        snprintf(uids, sizeof(uids), "0 %u 1", (unsigned)uid);
        snprintf(gids, sizeof(gids), "0 %u 1", (unsigned)gid);
        if (uid != 0 &&
            !(write_text("/proc/self/setgroups", "deny") &&
              write_text("/proc/self/uid_map", uids) && write_text("/proc/self/gid_map", gids)))
                return false;
        return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("none", path, "tmpfs", 0, "size=2m,mode=0700") == 0;
}

static void test_full_disk(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL;
        cleanup(trash_items_done) TrashItems items = { 0 };
        static char zeroes[64 * 1024];
        Diag diag = DIAG_NULL;
        char path[128];
        unsigned n = 0;
        int fd, r;

        (void)state;
        if (!mount_small(scratch.path)) {
                print_message("no file system to fill: %s\n", strerror(errno));
                skip();
        }
        store = open_store(&scratch);
        write_number(store, n++, 20000);
        snprintf(path, sizeof(path), "%s/filler", scratch.path);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        for (size_t size = sizeof(zeroes); size > 0; size /= 2)
                while (write(fd, zeroes, size) > 0)
                        ;
        close(fd);
        while ((r = try_write(store, n, 20000, &diag)) == 0 && n < 1000)
                n++;
        assert_int_equal(r, -ENOSPC);
        assert_non_null(strstr(diag.text, scratch.file));
        assert_int_equal(count_runs(store), n);
        assert_int_equal(try_read(store, n, 20000), -ENOENT);
        for (unsigned i = 0; i < 2000; i++)
                make_trash(&items, i);
        assert_int_equal(store_add_trash(store, items.v, items.n, &diag), -ENOSPC);
        assert_trash(store, &(TrashItems){ 0 });

        assert_int_equal(unlink(path), 0);
        write_number(store, n++, 20000);
        store = store_close(store);
        store = open_store(&scratch);
        assert_false(store_take_damage(store, &diag));
        assert_int_equal(count_runs(store), n);
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(try_read(store, i, 20000), 0);
        store = store_close(store);
        assert_int_equal(umount(scratch.path), 0);
}

#define KILLS 100

/* Every third is long, so that the log is moved into the file time and again. */
static size_t length_of(unsigned number) {
        return number % 3 ? 200 : 40000;
}

/* Two items go with every run, added before it; those of the run before go after it. */
static void make_pair(TrashItems *pair, unsigned number) {
        make_trash(pair, 2 * number);
        make_trash(pair, 2 * number + 1);
}

static void write_until_killed(const Scratch *scratch, unsigned number, int fd) {
        TrashItems left = { 0 };
        SeenImages seen = { 0 };
        Store *store;

        if (store_open(scratch->path, &store, NULL) < 0 ||
            store_read_trash(store, &left, NULL) < 0 ||
            store_drop_trash(store, left.v, left.n, NULL) < 0)
                _exit(1);
        add_seen(&seen, number, "r");
        for (;; number++) {
                cleanup(trash_items_done) TrashItems pairs = { 0 };

                make_pair(&pairs, number - 1);
                make_pair(&pairs, number);
                if (store_add_trash(store, pairs.v + 2, 2, NULL) < 0 ||
                    try_write(store, number, length_of(number), NULL) < 0 ||
                    store_drop_trash(store, pairs.v, 2, NULL) < 0 ||
                    write(fd, &number, sizeof(number)) != sizeof(number))
                        _exit(2);
                seen.v[0].dirty = true;
                if (store_write_seen(store, &seen, NULL) < 0 ||
                    (number % 50 == 0 && store_trim(store, number - 500, NULL) < 0))
                        _exit(3);
        }
}

/* Starts a writer, kills it at some time, and returns the number of the last run that it told. */
static unsigned write_and_kill(const Scratch *scratch, unsigned number) {
        unsigned told = number - 1, next;
        uint16_t random;
        int fds[2], status;
        pid_t pid;

        assert_int_equal(getrandom(&random, sizeof(random), 0), sizeof(random));
        assert_int_equal(pipe(fds), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                write_until_killed(scratch, number, fds[1]);
        close(fds[1]);
        /* While it opens the store, or in the middle of work. */
        if (random % 2) {
                assert_int_equal(read(fds[0], &next, sizeof(next)), sizeof(next));
                assert_int_equal(next, number);
                told = next;
        }
        usleep(random % 20000);
        kill(pid, SIGKILL);
        while (read(fds[0], &next, sizeof(next)) == sizeof(next)) {
                assert_int_equal(next, told + 1);
                told = next;
        }
        close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        return told;
}

/* Those of the run that was told last, or of the next one, or of both. */
static void check_pairs(Store *store, unsigned told) {
        cleanup(trash_items_done) TrashItems pairs = { 0 }, expected = { 0 };
        unsigned first;

        assert_int_equal(store_read_trash(store, &pairs, NULL), 0);
        assert_true(pairs.n > 0);
        first = (unsigned)strtoul(pairs.v[0].name, NULL, 16) / 2;
        assert_in_range(first, told, told + 1);
        make_pair(&expected, first);
        if (pairs.n > 2 && first == told)
                make_pair(&expected, told + 1);
        assert_trash(store, &expected);
}

static void test_kills(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        unsigned number = 1000, n_told = 0;

        (void)state;
        for (unsigned round = 0; round < KILLS; round++) {
                unsigned told = write_and_kill(&scratch, number);
                cleanup(store_close) Store *store = open_store(&scratch);
                cleanup(listed_done) Listed listed = { 0 };
                Diag diag = DIAG_NULL;

                assert_false(store_take_damage(store, &diag));
                for (unsigned i = MAX(number, told < 500 ? 0 : told - 450); i <= told; i++)
                        assert_int_equal(try_read(store, i, length_of(i)), 0);
                /* What was not told is there wholly or not at all, and nothing is between. */
                assert_int_equal(store_list_runs(store, NULL, 0, 500, list_one, &listed, &diag), 0);
                assert_true(listed.n > 0 || told < 1000);
                for (size_t i = 0; i < listed.n; i++) {
                        unsigned there = (unsigned)listed.v[i].started_sec;

                        assert_int_equal(there + i, listed.v[0].started_sec);
                        assert_int_equal(try_read(store, there, length_of(there)), 0);
                }
                if (listed.n > 0)
                        assert_in_range(listed.v[0].started_sec, told, told + 1);
                if (told >= number)
                        check_pairs(store, told);
                n_told += told + 1 - number;
                number = listed.n > 0 ? (unsigned)listed.v[0].started_sec + 1 : number;
        }
        print_message("%u runs told in %d lives\n", n_told, KILLS);
        assert_true(n_told > KILLS / 5);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_open),       cmocka_unit_test(test_runs),
                cmocka_unit_test(test_list),       cmocka_unit_test(test_samples),
                cmocka_unit_test(test_trim),       cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_seen),       cmocka_unit_test(test_suspects_and_clock),
                cmocka_unit_test(test_reader),     cmocka_unit_test(test_damaged_at_open),
                cmocka_unit_test(test_empty_file), cmocka_unit_test(test_damaged_in_work),
                cmocka_unit_test(test_taken_away), cmocka_unit_test(test_newer_schema),
                cmocka_unit_test(test_trash),      cmocka_unit_test(test_trash_all_or_none),
                cmocka_unit_test(test_upgrade),    cmocka_unit_test(test_unwritable),
                cmocka_unit_test(test_kills),      cmocka_unit_test(test_full_disk),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
