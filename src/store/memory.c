/* SPDX-License-Identifier: MIT */

/*
 * What is remembered from one pass to the next. It is written often and changes little, and each
 * write waits for the disk: of the images, those alone that are dirty.
 *
 * The trap is a new file in place of the one they were read from: what is not dirty is not in it
 * either. `rewrite` has all of them written then, once.
 */

#include <string.h>

#include "base/array.h"
#include "store/sql.h"

void seen_images_done(SeenImages *list) {
        for (size_t i = 0; i < list->n; i++)
                free(list->v[i].repository);
        free(list->v);
        *list = (SeenImages){ 0 };
}

static int seen_of_row(Statement *row, SeenImage *ret) {
        *ret = (SeenImage){
                .first_seen_sec = column_int(row, 1),
                .named_sec = column_int(row, 2),
                .used_sec = column_int(row, 3),
                .running_since_sec = column_int(row, 4),
                .tag_mark = column_int(row, 5),
                .names_hash = column_uint(row, 6),
                .tag_rest_nsec = column_int(row, 12),
                .marked_sec = -1,
                .own_mark = column_int(row, 8),
                .rollback_since_sec = column_int(row, 9),
                .own_hash = column_uint(row, 10),
                .ahead = (unsigned)column_uint(row, 11),
                .not_ours = column_int(row, 13),
        };
        if (column_text(row, 0, ret->id, sizeof(ret->id)) < 0)
                return -ENOMEM;
        return column_is_null(row, 7) ? 0 : column_copy(row, 7, &ret->repository);
}

static int read_seen(Store *store, SeenImages *ret, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        cleanup(seen_images_done) SeenImages list = { 0 };
        int r;

        r = sql_query(store,
                      "SELECT id, first_seen, named, used, running_since, tag_mark, names_hash,"
                      " repository, own_mark, rollback_since, own_hash, ahead, tag_rest, not_ours"
                      " FROM seen ORDER BY id",
                      NO_VALUES, &statement, reterr_diag);
        while (r >= 0 && (r = sql_step(store, statement, reterr_diag)) > 0) {
                if (array_grow(list.v, list.n, list.size) < 0)
                        return -ENOMEM;
                r = seen_of_row(statement, &list.v[list.n]);
                list.n += r >= 0;
        }
        if (r < 0)
                return r;
        *ret = list;
        list = (SeenImages){ 0 };
        return 0;
}

int store_read_seen(Store *store, SeenImages *ret, Diag *reterr_diag) {
        return guarded(store, reterr_diag, read_seen(store, ret, reterr_diag));
}

static int write_dirty(Store *store, const SeenImages *list, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        int r;

        r = sql_query(
                store,
                "REPLACE INTO seen (id, first_seen, named, used, running_since, tag_mark,"
                " names_hash, repository, own_mark, rollback_since, own_hash, ahead, tag_rest,"
                " not_ours) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                NO_VALUES, &statement, reterr_diag);
        for (size_t i = 0; i < list->n && r >= 0; i++) {
                const SeenImage *image = &list->v[i];

                if (!image->dirty && !store->rewrite)
                        continue;
                r = sql_bind(store, statement,
                             VALUES(TEXT(image->id), INT(image->first_seen_sec),
                                    INT(image->named_sec), INT(image->used_sec),
                                    INT(image->running_since_sec), INT(image->tag_mark),
                                    INT(image->names_hash), TEXT(image->repository),
                                    INT(image->own_mark), INT(image->rollback_since_sec),
                                    INT(image->own_hash), INT(image->ahead),
                                    INT(image->tag_rest_nsec), INT(image->not_ours)),
                             reterr_diag);
                if (r >= 0)
                        r = sql_step(store, statement, reterr_diag);
        }
        return r;
}

/* All of the list are stored by now, so that equal numbers mean equal sets. */
static int forget_gone(Store *store, const SeenImages *list, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        cleanup(index_done) Index by_id = { 0 };
        int64_t n = 0;
        int r;

        r = sql_read_int(store, "SELECT count(*) FROM seen", &n, reterr_diag);
        if (r < 0 || (size_t)n == list->n)
                return r;
        for (size_t i = 0; i < list->n; i++)
                if (index_add(&by_id, list->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&by_id);
        r = sql_query(store, "SELECT id FROM seen", NO_VALUES, &statement, reterr_diag);
        while (r >= 0 && (r = sql_step(store, statement, reterr_diag)) > 0) {
                char id[IMAGE_ID_MAX];

                r = column_text(statement, 0, id, sizeof(id));
                if (r >= 0 && !index_find(&by_id, id, NULL))
                        r = sql_execute(store, "DELETE FROM seen WHERE id = ?", VALUES(TEXT(id)),
                                        reterr_diag);
        }
        return r;
}

static int write_seen(Store *store, SeenImages *list, Diag *reterr_diag) {
        int r;

        r = sql_script(store, "BEGIN IMMEDIATE", reterr_diag);
        if (r >= 0)
                r = write_dirty(store, list, reterr_diag);
        if (r >= 0)
                r = forget_gone(store, list, reterr_diag);
        if (r >= 0)
                r = sql_script(store, "COMMIT", reterr_diag);
        if (r < 0)
                return r;
        store->rewrite = false;
        for (size_t i = 0; i < list->n; i++)
                list->v[i].dirty = false;
        return 0;
}

int store_write_seen(Store *store, SeenImages *list, Diag *reterr_diag) {
        return store_wrote(store, guarded(store, reterr_diag, write_seen(store, list, reterr_diag)),
                           reterr_diag);
}

void suspects_done(Suspects *suspects) {
        named_images_done(&suspects->images);
        *suspects = (Suspects){ 0 };
}

static int read_suspects(Store *store, Suspects *ret, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        cleanup(suspects_done) Suspects suspects = { 0 };
        int64_t ever_matched = 0;
        int r;

        r = sql_read_int(store, "SELECT ever_matched FROM host", &ever_matched, reterr_diag);
        if (r >= 0)
                r = sql_query(store, "SELECT name, id FROM suspects ORDER BY n", NO_VALUES,
                              &statement, reterr_diag);
        while (r >= 0 && (r = sql_step(store, statement, reterr_diag)) > 0) {
                const char *name = column_borrow(statement, 0);
                const char *id = column_borrow(statement, 1);

                r = name && id ? named_images_add(&suspects.images, name, id) : -ENOMEM;
        }
        if (r < 0)
                return r;
        suspects.ever_matched = ever_matched != 0;
        *ret = suspects;
        suspects = (Suspects){ 0 };
        return 0;
}

int store_read_suspects(Store *store, Suspects *ret, Diag *reterr_diag) {
        return guarded(store, reterr_diag, read_suspects(store, ret, reterr_diag));
}

static int write_suspects(Store *store, const Suspects *suspects, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        int r;

        r = sql_script(store, "BEGIN IMMEDIATE; DELETE FROM suspects", reterr_diag);
        if (r >= 0)
                r = sql_execute(store, "UPDATE host SET ever_matched = ?",
                                VALUES(INT(suspects->ever_matched)), reterr_diag);
        if (r >= 0)
                r = sql_query(store, "INSERT INTO suspects (name, id) VALUES (?, ?)", NO_VALUES,
                              &statement, reterr_diag);
        for (size_t i = 0; i < suspects->images.n && r >= 0; i++) {
                const NamedImage *image = &suspects->images.v[i];

                r = sql_bind(store, statement, VALUES(TEXT(image->name), TEXT(image->id)),
                             reterr_diag);
                if (r >= 0)
                        r = sql_step(store, statement, reterr_diag);
        }
        return r < 0 ? r : sql_script(store, "COMMIT", reterr_diag);
}

int store_write_suspects(Store *store, const Suspects *suspects, Diag *reterr_diag) {
        return store_wrote(
                store, guarded(store, reterr_diag, write_suspects(store, suspects, reterr_diag)),
                reterr_diag);
}

static int read_clock(Store *store, AgeClock *ret, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        AgeClock clock = { 0 };
        int r;

        r = sql_query(store,
                      "SELECT boot_id, boot_usec, age, age_rest_usec, wall_ahead, steady_since"
                      " FROM host",
                      NO_VALUES, &statement, reterr_diag);
        if (r >= 0)
                r = sql_step(store, statement, reterr_diag);
        if (r > 0) {
                r = column_text(statement, 0, clock.boot_id, sizeof(clock.boot_id));
                clock.boot_usec = column_uint(statement, 1);
                clock.age_sec = column_int(statement, 2);
                clock.age_rest_usec = column_uint(statement, 3);
                clock.wall_ahead_sec = column_int(statement, 4);
                clock.steady_since_sec = column_int(statement, 5);
        }
        if (r < 0)
                return r;
        *ret = clock;
        return 0;
}

int store_read_clock(Store *store, AgeClock *ret, Diag *reterr_diag) {
        return guarded(store, reterr_diag, read_clock(store, ret, reterr_diag));
}

int store_write_clock(Store *store, const AgeClock *clock, Diag *reterr_diag) {
        int r;

        r = guarded(store, reterr_diag,
                    sql_execute(store,
                                "UPDATE host SET boot_id = ?, boot_usec = ?, age = ?,"
                                " age_rest_usec = ?, wall_ahead = ?, steady_since = ?",
                                VALUES(TEXT(clock->boot_id), INT(clock->boot_usec),
                                       INT(clock->age_sec), INT(clock->age_rest_usec),
                                       INT(clock->wall_ahead_sec), INT(clock->steady_since_sec)),
                                reterr_diag));
        return store_wrote(store, r, reterr_diag);
}
