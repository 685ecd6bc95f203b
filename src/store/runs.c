/* SPDX-License-Identifier: MIT */

/*
 * What was done, and how the caches stood: lists that grow, are read from their end, and are trimmed
 * at their beginning.
 *
 * The trap is the clock, which may be set back: the run whose id or time sorts last is not always
 * the one that was written last. `n` tells the order, since it grows with every write, of a run that
 * was there before, too.
 */

#include <string.h>

#include "store/sql.h"

static int write_run(Store *store, const Run *run, const char *json, Diag *reterr_diag) {
        int r;

        r = sql_script(store, "BEGIN IMMEDIATE", reterr_diag);
        if (r >= 0)
                r = sql_execute(
                        store,
                        "REPLACE INTO runs (id, kind, target, outcome, who, started, finished,"
                        " removed, remaining, engine_bytes, freed_bytes, took_names)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        VALUES(TEXT(run->id), TEXT(run->kind), TEXT(run->target),
                               TEXT(run->outcome), TEXT(run->who), INT(run->started_sec),
                               INT(run->finished_sec), INT(run->n_removed), INT(run->n_remaining),
                               INT(run->engine_bytes), INT(run->freed_bytes), INT(run->took_names)),
                        reterr_diag);
        if (r >= 0)
                r = sql_execute(store, "INSERT INTO details VALUES (last_insert_rowid(), ?)",
                                VALUES(TEXT(json)), reterr_diag);
        return r < 0 ? r : sql_script(store, "COMMIT", reterr_diag);
}

bool store_keeps_run(const Store *store, const char *id) {
        return unwritten_has(store->unwritten, id);
}

/* `except`: the id of a run that is left out, or NULL. */
static int write_kept(Store *store, const char *except, Diag *reterr_diag) {
        const char *json;
        Run run;
        int r;

        while ((json = unwritten_first(store->unwritten, except, &run))) {
                r = store_wrote(
                        store,
                        guarded(store, reterr_diag, write_run(store, &run, json, reterr_diag)),
                        reterr_diag);
                if (r < 0)
                        return r;
                unwritten_remove(store->unwritten, run.id);
        }
        return 0;
}

int store_write_kept(Store *store, Diag *reterr_diag) {
        return write_kept(store, NULL, reterr_diag);
}

int store_write_run(Store *store, const Run *run, const Json *details, Diag *reterr_diag) {
        cleanup_free char *json = json_text(details);
        int r;

        if (!json)
                return -ENOMEM;
        if (store->reader)
                return diag_set(reterr_diag, -EROFS, "%s is open for reading", store->path);
        /* An earlier state of this run stays in memory, for the reader's thread, until the new state is
         * in the file. */
        r = write_kept(store, run->id, reterr_diag);
        if (r >= 0)
                r = store_wrote(
                        store,
                        guarded(store, reterr_diag, write_run(store, run, json, reterr_diag)),
                        reterr_diag);
        if (r < 0)
                unwritten_add(store->unwritten, run, TAKE_PTR(json));
        else
                unwritten_remove(store->unwritten, run->id);
        return r;
}

static int read_run(Store *store, const char *id, Json **ret_details, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        const char *json;
        int r;

        r = sql_query(store, "SELECT json FROM runs JOIN details USING (n) WHERE id = ?",
                      VALUES(TEXT(id)), &statement, reterr_diag);
        if (r >= 0)
                r = sql_step(store, statement, reterr_diag);
        if (r < 0)
                return r;
        if (r == 0)
                return diag_set(reterr_diag, -ENOENT, "nothing is known of a run %s", id);
        json = column_borrow(statement, 0);
        if (!json)
                return -ENOMEM;
        r = json_parse(json, column_length(statement, 0), ret_details);
        return r == -EBADMSG ? diag_set(reterr_diag, r, "the record of run %s is damaged", id) : r;
}

int store_read_run(Store *store, const char *id, Json **ret_details, Diag *reterr_diag) {
        cleanup_free char *json = NULL;
        Run run;
        int r;

        r = unwritten_read(store->unwritten, id, &run, &json);
        if (r != -ENOENT)
                return r < 0 ? r : json_parse(json, strlen(json), ret_details);
        return guarded(store, reterr_diag, read_run(store, id, ret_details, reterr_diag));
}

static int run_of_row(Statement *row, Run *ret) {
        int r;

        r = column_text(row, 0, ret->id, sizeof(ret->id));
        r |= column_text(row, 1, ret->kind, sizeof(ret->kind));
        r |= column_text(row, 2, ret->target, sizeof(ret->target));
        r |= column_text(row, 3, ret->outcome, sizeof(ret->outcome));
        r |= column_text(row, 4, ret->who, sizeof(ret->who));
        ret->started_sec = column_int(row, 5);
        ret->finished_sec = column_int(row, 6);
        ret->n_removed = column_uint(row, 7);
        ret->n_remaining = column_uint(row, 8);
        ret->engine_bytes = column_uint(row, 9);
        ret->freed_bytes = column_uint(row, 10);
        ret->took_names = column_int(row, 11) != 0;
        return r < 0 ? -ENOMEM : 0;
}

#define SELECT_RUNS                                                                     \
        "SELECT id, kind, target, outcome, who, started, finished, removed, remaining," \
        " engine_bytes, freed_bytes, took_names FROM runs "

static int find_run(Store *store, const char *id, Run *ret, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        int r;

        r = sql_query(store, SELECT_RUNS "WHERE id = ?", VALUES(TEXT(id)), &statement, reterr_diag);
        if (r >= 0)
                r = sql_step(store, statement, reterr_diag);
        if (r == 0)
                return diag_set(reterr_diag, -ENOENT, "nothing is known of a run %s", id);
        return r < 0 ? r : run_of_row(statement, ret);
}

int store_find_run(Store *store, const char *id, Run *ret, Diag *reterr_diag) {
        cleanup_free char *json = NULL;
        int r;

        r = unwritten_read(store->unwritten, id, ret, &json);
        if (r != -ENOENT)
                return r;
        return guarded(store, reterr_diag, find_run(store, id, ret, reterr_diag));
}

/* A listing of runs: first those that are not written yet, then those of the file without them. */
typedef struct Listing {
        const char *kind;
        int64_t since_sec;
        size_t limit;
        StoreRun found;
        void *userdata;
        Run kept[UNWRITTEN_MAX];
        size_t n_kept, n;
} Listing;

static bool is_kept(const Listing *listing, const char *id) {
        for (size_t i = 0; i < listing->n_kept; i++)
                if (strcmp(listing->kept[i].id, id) == 0)
                        return true;
        return false;
}

/* 1 ends the listing. */
static int list_kept(Store *store, Listing *listing) {
        int r = 0;

        listing->n_kept = unwritten_list(store->unwritten, listing->kept);
        for (size_t i = 0; i < listing->n_kept && r == 0; i++) {
                const Run *run = &listing->kept[i];

                if (listing->n >= listing->limit)
                        return 1;
                if (run->started_sec < listing->since_sec ||
                    (listing->kind && strcmp(run->kind, listing->kind) != 0))
                        continue;
                listing->n++;
                r = listing->found(listing->userdata, run);
        }
        return r;
}

/* In the order of their rows, so that a listing that ends early reads no more than it tells. */
#define LIST_RUNS(condition) \
        SELECT_RUNS "NOT INDEXED WHERE " condition " AND started >= ?2 ORDER BY n DESC"

static int list_runs(Store *store, Listing *listing, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        int r;

        r = sql_query(store, listing->kind ? LIST_RUNS("kind = ?1") : LIST_RUNS("?1 IS NULL"),
                      VALUES(TEXT(listing->kind), INT(listing->since_sec)), &statement,
                      reterr_diag);
        while (r >= 0 && listing->n < listing->limit &&
               (r = sql_step(store, statement, reterr_diag)) > 0) {
                Run run = { 0 };

                r = run_of_row(statement, &run);
                if (r >= 0 && is_kept(listing, run.id))
                        continue;
                listing->n++;
                if (r >= 0)
                        r = listing->found(listing->userdata, &run);
                if (r != 0)
                        break;
        }
        return MIN(r, 0);
}

int store_list_runs(Store *store, const char *kind, int64_t since_sec, size_t limit, StoreRun found,
                    void *userdata, Diag *reterr_diag) {
        Listing listing = { kind, since_sec, limit, found, userdata, .n = 0 };
        int r;

        r = list_kept(store, &listing);
        if (r != 0)
                return MIN(r, 0);
        return guarded(store, reterr_diag, list_runs(store, &listing, reterr_diag));
}

int store_add_sample(Store *store, const Sample *sample, Diag *reterr_diag) {
        int r;

        r = guarded(store, reterr_diag,
                    sql_execute(store, "REPLACE INTO samples VALUES (?, ?, ?, ?, ?, ?)",
                                VALUES(INT(sample->at_sec), INT(sample->age_sec),
                                       INT(sample->builder_bytes), INT(sample->image_bytes),
                                       INT(sample->disk_total_bytes), INT(sample->disk_free_bytes)),
                                reterr_diag));
        return store_wrote(store, r, reterr_diag);
}

/* How many samples there are, and from when to when. */
typedef struct SampleSpan {
        size_t n;
        int64_t first_sec, last_sec;
} SampleSpan;

static int span_of_samples(Store *store, int64_t since_sec, SampleSpan *ret, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        int r;

        r = sql_query(store, "SELECT count(*), min(at), max(at) FROM samples WHERE at >= ?",
                      VALUES(INT(since_sec)), &statement, reterr_diag);
        if (r >= 0)
                r = sql_step(store, statement, reterr_diag);
        if (r < 0)
                return r;
        *ret = (SampleSpan){
                .n = (size_t)column_int(statement, 0),
                .first_sec = column_int(statement, 1),
                .last_sec = column_int(statement, 2),
        };
        return 0;
}

/* Into which of n equal parts of the span a time falls. */
static size_t part_of_span(const SampleSpan *span, int64_t at_sec, size_t n) {
        double share = ((double)at_sec - (double)span->first_sec) /
                       ((double)span->last_sec - (double)span->first_sec + 1);

        return MIN((size_t)(share * (double)n), n - 1);
}

/* Where there are too many, the last of each part stays. */
static int collect_samples(Store *store, int64_t since_sec, size_t n_max, Sample **ret,
                           size_t *ret_n, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        cleanup_free Sample *samples = NULL;
        size_t n = 0, part = SIZE_MAX;
        SampleSpan span;
        int r;

        /* One state of it all, with a writer beside; store_leave() ends it. */
        r = sql_script(store, "BEGIN", reterr_diag);
        if (r >= 0)
                r = span_of_samples(store, since_sec, &span, reterr_diag);
        if (r < 0)
                return r;
        samples = calloc(MAX(MIN(span.n, n_max), (size_t)1), sizeof(*samples));
        if (!samples)
                return -ENOMEM;
        r = sql_query(
                store,
                "SELECT at, age, builder_bytes, image_bytes, disk_total_bytes, disk_free_bytes "
                "FROM samples WHERE at >= ? ORDER BY at",
                VALUES(INT(since_sec)), &statement, reterr_diag);
        while (r >= 0 && n_max > 0 && (r = sql_step(store, statement, reterr_diag)) > 0) {
                int64_t at_sec = column_int(statement, 0);
                size_t here = span.n > n_max ? part_of_span(&span, at_sec, n_max) : n;

                n += here != part;
                part = here;
                samples[n - 1] = (Sample){
                        .at_sec = at_sec,
                        .age_sec = column_int(statement, 1),
                        .builder_bytes = column_uint(statement, 2),
                        .image_bytes = column_uint(statement, 3),
                        .disk_total_bytes = column_uint(statement, 4),
                        .disk_free_bytes = column_uint(statement, 5),
                };
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(samples);
        *ret_n = n;
        return 0;
}

int store_list_samples(Store *store, int64_t since_sec, size_t n_max, Sample **ret, size_t *ret_n,
                       Diag *reterr_diag) {
        return guarded(store, reterr_diag,
                       collect_samples(store, since_sec, n_max, ret, ret_n, reterr_diag));
}

/* Nor does the run go that was written last: after the clock was set back it looks like the oldest. */
static int trim(Store *store, int64_t before_sec, Diag *reterr_diag) {
        int r;

        r = sql_script(store, "BEGIN IMMEDIATE", reterr_diag);
        if (r >= 0)
                r = sql_execute(
                        store,
                        "DELETE FROM runs WHERE (started < ? OR n <= (SELECT n FROM runs"
                        " ORDER BY n DESC LIMIT 1 OFFSET " STRINGIFY(
                                RUNS_KEPT) "))"
                                           " AND n IS NOT (SELECT max(n) FROM runs WHERE took_names)"
                                           " AND n <> (SELECT max(n) FROM runs)",
                        VALUES(INT(before_sec)), reterr_diag);
        if (r >= 0)
                r = sql_execute(store,
                                "DELETE FROM samples WHERE at < ? OR at <= (SELECT at FROM samples"
                                " ORDER BY at DESC LIMIT 1 OFFSET " STRINGIFY(SAMPLES_KEPT) ")",
                                VALUES(INT(before_sec)), reterr_diag);
        return r < 0 ? r : sql_script(store, "COMMIT", reterr_diag);
}

int store_trim(Store *store, int64_t before_sec, Diag *reterr_diag) {
        return store_wrote(store, guarded(store, reterr_diag, trim(store, before_sec, reterr_diag)),
                           reterr_diag);
}
