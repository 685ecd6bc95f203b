/* SPDX-License-Identifier: MIT */

/*
 * The names by which something in a trash directory may be removed, after a crash as well.
 *
 * The trap is half a list: what was renamed under a name that is not here stays where it is for
 * good. So all of the names are here, on the disk, before the first rename, or none is.
 */

#include "base/array.h"
#include "store/sql.h"

void trash_items_done(TrashItems *items) {
        for (size_t i = 0; i < items->n; i++) {
                free(items->v[i].place);
                free(items->v[i].app);
                free(items->v[i].path);
        }
        free(items->v);
        *items = (TrashItems){ 0 };
}

static int add_trash(Store *store, const TrashItem *items, size_t n, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        int r;

        r = sql_script(store, "BEGIN IMMEDIATE", reterr_diag);
        if (r >= 0)
                r = sql_query(store,
                              "INSERT INTO trash (name, place, dev, ino, app, path)"
                              " VALUES (?, ?, ?, ?, ?, ?)",
                              NO_VALUES, &statement, reterr_diag);
        for (size_t i = 0; i < n && r >= 0; i++) {
                const TrashItem *item = &items[i];

                r = sql_bind(store, statement,
                             VALUES(TEXT(item->name), TEXT(item->place), INT(item->dev),
                                    INT(item->ino), TEXT(item->app), TEXT(item->path)),
                             reterr_diag);
                if (r >= 0)
                        r = sql_step(store, statement, reterr_diag);
        }
        return r < 0 ? r : sql_script(store, "COMMIT", reterr_diag);
}

int store_add_trash(Store *store, const TrashItem *items, size_t n, Diag *reterr_diag) {
        return store_wrote(store,
                           guarded(store, reterr_diag, add_trash(store, items, n, reterr_diag)),
                           reterr_diag);
}

static int read_trash(Store *store, TrashItems *ret, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        cleanup(trash_items_done) TrashItems items = { 0 };
        int r;

        r = sql_query(store, "SELECT name, place, dev, ino, app, path FROM trash ORDER BY n",
                      NO_VALUES, &statement, reterr_diag);
        while (r >= 0 && (r = sql_step(store, statement, reterr_diag)) > 0) {
                TrashItem *item;

                if (array_grow(items.v, items.n, items.size) < 0)
                        return -ENOMEM;
                item = &items.v[items.n++];
                *item = (TrashItem){ .dev = column_uint(statement, 2),
                                     .ino = column_uint(statement, 3) };
                r = column_text(statement, 0, item->name, sizeof(item->name));
                if (r >= 0)
                        r = column_copy(statement, 1, &item->place);
                if (r >= 0)
                        r = column_copy(statement, 4, &item->app);
                if (r >= 0)
                        r = column_copy(statement, 5, &item->path);
        }
        if (r < 0)
                return r;
        *ret = items;
        items = (TrashItems){ 0 };
        return 0;
}

int store_read_trash(Store *store, TrashItems *ret, Diag *reterr_diag) {
        return guarded(store, reterr_diag, read_trash(store, ret, reterr_diag));
}

static int drop_trash(Store *store, const TrashItem *items, size_t n, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        int r;

        r = sql_script(store, "BEGIN IMMEDIATE", reterr_diag);
        if (r >= 0)
                r = sql_query(store, "DELETE FROM trash WHERE name = ?", NO_VALUES, &statement,
                              reterr_diag);
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = sql_bind(store, statement, VALUES(TEXT(items[i].name)), reterr_diag);
                if (r >= 0)
                        r = sql_step(store, statement, reterr_diag);
        }
        return r < 0 ? r : sql_script(store, "COMMIT", reterr_diag);
}

int store_drop_trash(Store *store, const TrashItem *items, size_t n, Diag *reterr_diag) {
        return store_wrote(store,
                           guarded(store, reterr_diag, drop_trash(store, items, n, reterr_diag)),
                           reterr_diag);
}
