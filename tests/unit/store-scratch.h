/* SPDX-License-Identifier: MIT */
#pragma once

/* A store in a directory of the test's own, and what is written into it and looked for. */

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "test.h"

#include "base/array.h"
#include "seen-find.h"
#include "store/store.h"

/* A directory of the test's own, gone after it. */
typedef struct Scratch {
        char path[64], file[128];
} Scratch;

static inline Scratch scratch_in(const char *directory) {
        Scratch scratch;

        snprintf(scratch.path, sizeof(scratch.path), "%s/wpcache-test-XXXXXX", directory);
        assert_non_null(mkdtemp(scratch.path));
        snprintf(scratch.file, sizeof(scratch.file), "%s/%s", scratch.path, STORE_FILE);
        return scratch;
}

static inline Scratch scratch_new(void) {
        return scratch_in("/tmp");
}

static inline void scratch_donep(Scratch *scratch) {
        char command[128];

        snprintf(command, sizeof(command), "rm -rf '%s'", scratch->path);
        assert_int_equal(system(command), 0);
}

static inline Store *open_store(const Scratch *scratch) {
        Store *store = NULL;
        Diag diag = DIAG_NULL;

        if (store_open(scratch->path, &store, &diag) < 0)
                fail_msg("%s", diag.text);
        return store;
}

static inline void run_child(void (*function)(const Scratch *), const Scratch *scratch) {
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
static inline void raw(const Scratch *scratch, const char *sql) {
        sqlite3 *db;

        assert_int_equal(sqlite3_open(scratch->file, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline Run make_run(unsigned number) {
        Run run = { .kind = "policy", .outcome = "done", .started_sec = number };

        snprintf(run.id, sizeof(run.id), "20260101-%08u", number);
        return run;
}

/* Details of a run: its number, and more text the greater `n`. */
static inline Json *make_details(unsigned number, size_t n) {
        cleanup_free char *text = malloc(n + 1);
        Json *details = json_new_object();

        assert_non_null(text);
        memset(text, 'a' + (int)(number % 26), n);
        text[n] = '\0';
        assert_int_equal(json_add_int(details, "number", number), 0);
        assert_int_equal(json_add_string(details, "text", text), 0);
        return details;
}

static inline int try_write(Store *store, unsigned number, size_t n, Diag *reterr_diag) {
        cleanup(json_free) Json *details = make_details(number, n);
        Run run = make_run(number);

        return store_write_run(store, &run, details, reterr_diag);
}

static inline void write_number(Store *store, unsigned number, size_t n) {
        Diag diag = DIAG_NULL;

        if (try_write(store, number, n, &diag) < 0)
                fail_msg("%s", diag.text);
}

static inline int try_read(Store *store, unsigned number, size_t n) {
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

static inline int list_one(void *userdata, const Run *run) {
        Listed *listed = userdata;

        assert_int_equal(array_grow(listed->v, listed->n, listed->size), 0);
        listed->v[listed->n++] = *run;
        return listed->n == listed->end_after ? listed->end_with : 0;
}

static inline void listed_donep(Listed *listed) {
        free(listed->v);
}

static inline size_t count_runs(Store *store) {
        cleanup(listed_done) Listed listed = { 0 };
        Diag diag = DIAG_NULL;

        if (store_list_runs(store, NULL, 0, SIZE_MAX, list_one, &listed, &diag) < 0)
                fail_msg("%s", diag.text);
        return listed.n;
}

static inline void add_sample(Store *store, int64_t at_sec) {
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

static inline size_t list_samples(Store *store, int64_t since_sec, size_t n_max, Sample **ret) {
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

static inline void add_seen(SeenImages *list, unsigned number, const char *repository) {
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
                .tag_rest_nsec = 123456789 - (int64_t)number,
                .own_mark = -(int64_t)number,
                .rollback_since_sec = (int64_t)number - 1,
                .ahead = number % 4,
                .names_hash = UINT64_MAX - number,
                .own_hash = UINT64_MAX / 2 + number,
                .repository = repository ? strdup(repository) : NULL,
                .dirty = true,
        };
        snprintf(image->id, sizeof(image->id), "sha256:%064u", number);
}

static inline void assert_seen_equal(const SeenImages *a, const SeenImages *b) {
        assert_int_equal(a->n, b->n);
        for (size_t i = 0; i < a->n; i++) {
                const SeenImage *x = &a->v[i], *y = seen_images_find(b, x->id);

                assert_non_null(y);
                assert_int_equal(x->first_seen_sec, y->first_seen_sec);
                assert_int_equal(x->named_sec, y->named_sec);
                assert_int_equal(x->used_sec, y->used_sec);
                assert_int_equal(x->running_since_sec, y->running_since_sec);
                assert_int_equal(x->tag_mark, y->tag_mark);
                assert_int_equal(x->tag_rest_nsec, y->tag_rest_nsec);
                assert_int_equal(x->own_mark, y->own_mark);
                assert_int_equal(x->rollback_since_sec, y->rollback_since_sec);
                assert_int_equal(x->ahead, y->ahead);
                assert_true(x->names_hash == y->names_hash);
                assert_true(x->own_hash == y->own_hash);
                assert_int_equal(!x->repository, !y->repository);
                if (x->repository)
                        assert_string_equal(x->repository, y->repository);
                assert_false(y->dirty);
        }
}

/* Of more than a signed number holds, and text of somebody's. */
static inline void make_trash(TrashItems *items, unsigned number) {
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

static inline void assert_trash(Store *store, const TrashItems *expected) {
        cleanup(trash_items_done) TrashItems items = { 0 };
        Diag diag = DIAG_NULL;

        if (store_read_trash(store, &items, &diag) < 0)
                fail_msg("%s", diag.text);
        assert_int_equal(items.n, expected->n);
        for (size_t i = 0; i < expected->n; i++) {
                const TrashItem *a = &items.v[i], *b = &expected->v[i];

                assert_string_equal(a->place, b->place);
                assert_string_equal(a->name, b->name);
                assert_true(a->dev == b->dev && a->ino == b->ino);
                assert_string_equal(a->app, b->app);
                assert_string_equal(a->path, b->path);
        }
}
