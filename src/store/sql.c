/* SPDX-License-Identifier: MIT */

/*
 * SQLite as the rest of the store sees it: a result code is -errno here, and the diag has SQLite's
 * own words with the path of the file. That the file is damaged is noted beside that, for guarded()
 * to find whatever became of the errno on its way.
 *
 * The trap is that these words are those of the connection's latest call, so fail() comes right
 * after the call that failed. Another is that a connection does not close while it has a statement,
 * and keeps the file open and locked: a Statement ends with the function that has it, which is
 * before guarded() may close anything.
 */

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/heartbeat.h"

#include "store/sql.h"

#define BUSY_MSEC 5000

Statement *statement_free(Statement *statement) {
        sqlite3_finalize(statement); /* again says how the last step failed, which was told */
        return NULL;
}

int sql_damaged(Store *store, const char *reason, Diag *reterr_diag) {
        store->damaged = true;
        diag_format(&store->reason, "%s", reason);
        return diag_set(reterr_diag, store->reader ? -EBADMSG : -EIO, "%s is damaged: %s",
                        store->path, reason);
}

/* Of a result code of SQLite's. */
static int fail(Store *store, int code, Diag *reterr_diag) {
        const char *text = sqlite3_errmsg(store->db);
        int cause = 0, error = -EIO;

        switch (code & 0xff) {
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return sql_damaged(store, text, reterr_diag);
        case SQLITE_FULL:
                error = -ENOSPC;
                break;
        case SQLITE_READONLY:
                error = -EROFS;
                break;
        case SQLITE_NOMEM:
                error = -ENOMEM;
                break;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                error = -EBUSY;
                break;
        case SQLITE_CONSTRAINT:
                if (sqlite3_extended_errcode(store->db) == SQLITE_CONSTRAINT_UNIQUE)
                        error = -EEXIST;
                break;
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
                cause = sqlite3_system_errno(store->db);
                if (cause == ENOSPC || cause == EDQUOT)
                        error = -ENOSPC;
                else if (cause == EROFS)
                        error = -EROFS;
                break;
        }
        if (cause != 0)
                return diag_set(reterr_diag, error, "%s: %s: %s", store->path, text,
                                error_text(cause));
        return diag_set(reterr_diag, error, "%s: %s", store->path, text);
}

int sql_bind(Store *store, Statement *statement, const Value *values, size_t n, Diag *reterr_diag) {
        sqlite3_reset(statement);
        for (size_t i = 0; i < n; i++) {
                int code;

                if (values[i].is_text)
                        code = sqlite3_bind_text(statement, (int)i + 1, values[i].text, -1,
                                                 SQLITE_STATIC);
                else
                        code = sqlite3_bind_int64(statement, (int)i + 1, values[i].number);
                if (code != SQLITE_OK)
                        return fail(store, code, reterr_diag);
        }
        return 0;
}

int sql_query(Store *store, const char *sql, const Value *values, size_t n, Statement **ret,
              Diag *reterr_diag) {
        int code = sqlite3_prepare_v2(store->db, sql, -1, ret, NULL);

        return code == SQLITE_OK ? sql_bind(store, *ret, values, n, reterr_diag)
                                 : fail(store, code, reterr_diag);
}

int sql_step(Store *store, Statement *statement, Diag *reterr_diag) {
        int code = sqlite3_step(statement);

        heartbeat();
        return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : fail(store, code, reterr_diag);
}

int sql_execute(Store *store, const char *sql, const Value *values, size_t n, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        int r = sql_query(store, sql, values, n, &statement, reterr_diag);

        return r < 0 ? r : sql_step(store, statement, reterr_diag);
}

int sql_script(Store *store, const char *sql, Diag *reterr_diag) {
        int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

        return code == SQLITE_OK ? 0 : fail(store, code, reterr_diag);
}

int sql_read_int(Store *store, const char *sql, int64_t *ret, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        int r = sql_query(store, sql, NO_VALUES, &statement, reterr_diag);

        if (r >= 0)
                r = sql_step(store, statement, reterr_diag);
        if (r < 0)
                return r;
        *ret = r > 0 ? sqlite3_column_int64(statement, 0) : 0;
        return 0;
}

int64_t column_int(Statement *row, int column) {
        return sqlite3_column_int64(row, column);
}

uint64_t column_uint(Statement *row, int column) {
        return (uint64_t)sqlite3_column_int64(row, column);
}

bool column_is_null(Statement *row, int column) {
        return sqlite3_column_type(row, column) == SQLITE_NULL;
}

const char *column_borrow(Statement *row, int column) {
        return (const char *)sqlite3_column_text(row, column);
}

size_t column_length(Statement *row, int column) {
        return (size_t)sqlite3_column_bytes(row, column);
}

int column_text(Statement *row, int column, char *ret, size_t size) {
        const char *text = column_borrow(row, column);

        if (!text)
                return -ENOMEM;
        snprintf(ret, size, "%s", text);
        return 0;
}

int column_copy(Statement *row, int column, char **ret) {
        const char *text = column_borrow(row, column);

        *ret = text ? strdup(text) : NULL;
        return *ret ? 0 : -ENOMEM;
}

/* The idle daemon's memory is what counts: SQLite would put aside 48 kB for small objects and 20
 * pages for each file. */
static void configure_sqlite(void) {
        sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
        sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
}

int sql_connect(Store *store, Diag *reterr_diag) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        int flags = SQLITE_OPEN_NOMUTEX |
                    (store->reader ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
        int code;

        pthread_once(&once, configure_sqlite);
        code = sqlite3_open_v2(store->path, &store->db, flags, NULL);
        if (code != SQLITE_OK)
                return fail(store, code, reterr_diag);
        sqlite3_busy_timeout(store->db, BUSY_MSEC);
        sqlite3_file_control(store->db, "main", SQLITE_FCNTL_PERSIST_WAL, &(int){ 1 });
        sqlite3_file_control(store->db, "main", SQLITE_FCNTL_CHUNK_SIZE,
                             &(int){ RESERVE_STEP_BYTES });
        return 0;
}

/* True if all of the log is in the database. With a limit, SQLite would cut the log to nothing when it
 * closes the database. */
static bool move_log(Store *store) {
        int n_log = -1, n_moved = -1, code;

        sqlite3_exec(store->db, "PRAGMA journal_size_limit = -1", NULL, NULL, NULL);
        code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &n_log,
                                         &n_moved);
        return code == SQLITE_OK && n_log == n_moved;
}

void sql_disconnect(Store *store, bool as_is) {
        bool moved = false;

        if (!store->db)
                return;
        if (as_is)
                sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        else if (!store->reader)
                moved = move_log(store);
        sqlite3_close(store->db);
        store->db = NULL;
        if (moved)
                reserve_empty_log(store);
}

bool sql_has_moved(Store *store) {
        int moved = 0;

        sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
        return moved != 0;
}

void sql_settle(Store *store) {
        if (!sqlite3_get_autocommit(store->db))
                sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        sqlite3_db_release_memory(store->db);
}
