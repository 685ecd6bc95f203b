/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of store/ share, and nobody else's: store/sql.c speaks to SQLite, store/schema.c
 * says what is in a file, store/store.c keeps the file and opens it, and the others are operations
 * on it, those of store.h.
 */

#include "store/store.h"

typedef struct sqlite3_stmt Statement;
typedef struct Unwritten Unwritten;

struct Store {
        char *directory, *path;
        int dir_fd;   /* locked; -EBADF of a reader, or where there is no directory yet */
        int index_fd; /* of reserve.c, or -EBADF */
        bool reader;
        bool alone;           /* the connection needs no index, and lets nobody else read */
        struct sqlite3 *db;   /* NULL: closed, and opened by the next operation */
        bool damaged;         /* found by the present operation */
        bool rewrite;         /* another file, which does not have all seen images yet */
        Diag reason;          /* what is damaged */
        Diag damage;          /* not yet taken */
        bool unreadable;      /* so the last operation found */
        bool unwritable;      /* so the last write found */
        Diag failure;         /* why */
        Unwritten *unwritten; /* a reader borrows its writer's */
};

/* Disk space kept for the store, in reserve.c: the write-ahead log has this much, and is moved into the
 * database when it has half of it (SQLite's frames are of 4120 bytes); the database grows in steps. */
#define RESERVE_LOG_BYTES 524288
#define RESERVE_LOG_PAGES "64"
#define RESERVE_STEP_BYTES (256 * 1024)
/* Before the database is connected: false if the disk has no room for the index. The log, once it is in
 * WAL mode. */
bool reserve_index(Store *store);
void reserve_log(const Store *store);
/* After it was closed, if all of the log is in the database. */
void reserve_empty_log(const Store *store);

/* Runs that could not be written, in unwritten.c: as many of the newest. Used by both threads, but
 * unwritten_first() by the writer's. */
#define UNWRITTEN_MAX 64

Unwritten *unwritten_new(void);
Unwritten *unwritten_free(Unwritten *unwritten);
/* Takes `json` over. In the place of an earlier state of the run. */
void unwritten_add(Unwritten *unwritten, const Run *run, char *json);
void unwritten_remove(Unwritten *unwritten, const char *id);
/* The oldest run but the one with the id `except` (NULL: any), borrowed; NULL: there are none. */
const char *unwritten_first(const Unwritten *unwritten, const char *except, Run *ret);
bool unwritten_has(Unwritten *unwritten, const char *id);
size_t unwritten_count(Unwritten *unwritten);
/* Newest first; returns how many. */
size_t unwritten_list(Unwritten *unwritten, Run ret[static UNWRITTEN_MAX]);
/* `*ret_json` is malloc'ed. -ENOENT, -ENOMEM. */
int unwritten_read(Unwritten *unwritten, const char *id, Run *ret_run, char **ret_json) must_check;

/* Notes what is damaged; -EIO, and -EBADMSG of a reader. */
int sql_damaged(Store *store, const char *reason, Diag *reterr_diag) must_check;

/* store->db; it is to be closed after a failure, too. */
int sql_connect(Store *store, Diag *reterr_diag) must_check;
/* `as_is`: without moving the log into the file, which would spoil what is to be looked at later.
 * Otherwise the log stays where it is, and is empty where all of it could be moved. */
void sql_disconnect(Store *store, bool as_is);
/* Whether the file is no longer where it was opened. */
bool sql_has_moved(Store *store);
/* Rolls back what is left open, and gives memory back. */
void sql_settle(Store *store);

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)

/* What a parameter is bound to. */
typedef struct Value {
        bool is_text;
        const char *text; /* NULL: null */
        int64_t number;
} Value;

#define TEXT(t) ((Value){ .is_text = true, .text = (t) })
#define INT(i) ((Value){ .number = (int64_t)(i) })
#define VALUES(...) (const Value[]){ __VA_ARGS__ }, ELEMENTSOF(((const Value[]){ __VA_ARGS__ }))
#define NO_VALUES NULL, 0

Statement *statement_free(Statement *statement);
DEFINE_CLEANUP(Statement *, statement_free);

/* `*ret` is to be freed after a failure, too. The texts are borrowed until the statement is reset. */
int sql_query(Store *store, const char *sql, const Value *values, size_t n, Statement **ret,
              Diag *reterr_diag) must_check;
/* Resets the statement first. */
int sql_bind(Store *store, Statement *statement, const Value *values, size_t n,
             Diag *reterr_diag) must_check;
/* 1: a row; 0: no more. */
int sql_step(Store *store, Statement *statement, Diag *reterr_diag) must_check;

/* A statement of which no row is wanted. */
int sql_execute(Store *store, const char *sql, const Value *values, size_t n,
                Diag *reterr_diag) must_check;
/* Several statements, without parameters. */
int sql_script(Store *store, const char *sql, Diag *reterr_diag) must_check;
/* The first column of the first row; 0 if there is none. */
int sql_read_int(Store *store, const char *sql, int64_t *ret, Diag *reterr_diag) must_check;

/* Of the row that sql_step() came to. */
int64_t column_int(Statement *row, int column);
uint64_t column_uint(Statement *row, int column); /* of the same bits */
bool column_is_null(Statement *row, int column);
/* The text, borrowed until the next step; NULL on out of memory, and of null. */
const char *column_borrow(Statement *row, int column);
size_t column_length(Statement *row, int column); /* of that text */
/* The same of a column that is not null, as a copy: -ENOMEM. */
int column_text(Statement *row, int column, char *ret, size_t size) must_check;
int column_copy(Statement *row, int column, char **ret) must_check;

/* The version that this program knows. */
extern const int64_t schema_version;

/* Whose file it is, and its version, 0 of a new one, before anything is read that a newer schema may
 * have otherwise: -EPROTONOSUPPORT. */
int schema_check(Store *store, int64_t *ret_version, Diag *reterr_diag) must_check;
int schema_upgrade(Store *store, int64_t version, Diag *reterr_diag) must_check;

/* What guarded() is made of. */
int store_enter(Store *store, Diag *reterr_diag) must_check;
/* True: once more, as if nothing had been. */
bool store_leave(Store *store, unsigned attempt, int *r, const Diag *before,
                 Diag *reterr_diag) must_check;

/* The operation, an expression, on an open database, and once more on a new file where this one is
 * found damaged. A transaction that it leaves open is rolled back. */
#define guarded(store, reterr_diag, operation)                                        \
        ({                                                                            \
                Diag _before = (reterr_diag) ? *(reterr_diag) : DIAG_NULL;            \
                unsigned _attempt = 0;                                                \
                int _r;                                                               \
                do {                                                                  \
                        _r = store_enter(store, reterr_diag);                         \
                        if (_r >= 0)                                                  \
                                _r = (operation);                                     \
                } while (store_leave(store, _attempt++, &_r, &_before, reterr_diag)); \
                _r;                                                                   \
        })

/* Notes of an operation that writes whether it could; returns its result. */
int store_wrote(Store *store, int result, const Diag *diag) must_check;
