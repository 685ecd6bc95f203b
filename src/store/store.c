/* SPDX-License-Identifier: MIT */

/*
 * Each public function is one operation on an open database, and guarded(): where SQLite finds the
 * file damaged, it is set aside and the operation runs once more, on a new one. So an operation hands
 * over its results at the end, and leaves nothing behind when it fails.
 *
 * The trap is POSIX's locks, which a process loses when it closes any descriptor of the file: nobody
 * but SQLite may open a file that SQLite has open. Another is that the file may go from under its
 * name, by an operator or by being set aside under a reader: then every write would succeed, into
 * nothing.
 */

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/array.h"
#include "base/io.h"
#include "base/span.h"
#include "store/store.h"

#define BUSY_MSEC 5000
#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)

/* Of the file's header: whose it is, "wpca", and which step of the schema it has reached. */
#define APPLICATION_ID 0x77706361

/* Step i leads from version i to i + 1. Runs are listed often, and whole ones are large: details
 * lie apart. `n` grows with every write. */
static const char *const schema[] = {
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
        "INSERT INTO host VALUES (1, 0, '', 0, 0, 0, 0, 0);",

        /* dev and ino: the bits of an unsigned number */
        "CREATE TABLE trash (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
        " place TEXT NOT NULL, dev INTEGER NOT NULL, ino INTEGER NOT NULL, app TEXT NOT NULL,"
        " path TEXT NOT NULL) STRICT;",
};
#define SCHEMA_VERSION ((int64_t)ELEMENTSOF(schema))

struct Store {
        char *path;
        int dir_fd, lock_fd;
        bool reader;
        sqlite3 *db;  /* NULL: closed, and opened by the next operation */
        bool damaged; /* found by the present operation */
        bool rewrite; /* another file, which does not have all seen images yet */
        Diag reason;  /* what is damaged */
        Diag damage;  /* not yet taken */
};

static inline void sqlite3_finalizep(sqlite3_stmt **statement) {
        sqlite3_finalize(*statement); /* again says how the last step failed, which was told */
}

static int damaged(Store *store, const char *reason, Diag *reterr_diag) {
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
                return damaged(store, text, reterr_diag);
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

/* The texts are borrowed until the statement is reset. */
static int bind(Store *store, sqlite3_stmt *statement, const Value *values, size_t n,
                Diag *reterr_diag) {
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

static int query(Store *store, const char *sql, const Value *values, size_t n, sqlite3_stmt **ret,
                 Diag *reterr_diag) {
        int code = sqlite3_prepare_v2(store->db, sql, -1, ret, NULL);

        return code == SQLITE_OK ? bind(store, *ret, values, n, reterr_diag)
                                 : fail(store, code, reterr_diag);
}

/* 1: a row; 0: no more. */
static int step(Store *store, sqlite3_stmt *statement, Diag *reterr_diag) {
        int code = sqlite3_step(statement);

        return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : fail(store, code, reterr_diag);
}

/* A statement of which no row is wanted. */
static int execute(Store *store, const char *sql, const Value *values, size_t n,
                   Diag *reterr_diag) {
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        int r = query(store, sql, values, n, &statement, reterr_diag);

        return r < 0 ? r : step(store, statement, reterr_diag);
}

/* Several statements, without parameters. */
static int script(Store *store, const char *sql, Diag *reterr_diag) {
        int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

        return code == SQLITE_OK ? 0 : fail(store, code, reterr_diag);
}

static int read_int(Store *store, const char *sql, int64_t *ret, Diag *reterr_diag) {
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        int r = query(store, sql, NO_VALUES, &statement, reterr_diag);

        if (r >= 0)
                r = step(store, statement, reterr_diag);
        if (r < 0)
                return r;
        *ret = r > 0 ? sqlite3_column_int64(statement, 0) : 0;
        return 0;
}

static uint64_t column_uint(sqlite3_stmt *statement, int column) {
        return (uint64_t)sqlite3_column_int64(statement, column);
}

/* Of a column that is not null. */
static int column_text(sqlite3_stmt *statement, int column, char *ret, size_t size) {
        const unsigned char *text = sqlite3_column_text(statement, column);

        if (!text)
                return -ENOMEM;
        snprintf(ret, size, "%s", (const char *)text);
        return 0;
}

static int column_copy(sqlite3_stmt *statement, int column, char **ret) {
        const char *text = (const char *)sqlite3_column_text(statement, column);

        *ret = text ? strdup(text) : NULL;
        return *ret ? 0 : -ENOMEM;
}

/* The idle daemon's memory is what counts: SQLite would put aside 48 kB for small objects and 20
 * pages for each file. */
static void configure_sqlite(void) {
        sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
        sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
}

/* `as_is`: without moving the log into the file, which would spoil what is to be looked at later. */
static void close_database(Store *store, bool as_is) {
        if (as_is && store->db)
                sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_close(store->db);
        store->db = NULL;
}

/* SQLite would make the file for everybody to read; its companions get the mode of the file. */
static int make_file(Store *store, Diag *reterr_diag) {
        cleanup_close int fd = openat(store->dir_fd, STORE_FILE,
                                      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0 && errno == EEXIST)
                return 0;
        if (fd < 0 || fsync(store->dir_fd) < 0)
                return diag_set(reterr_diag, -errno, "cannot make %s: %s", store->path,
                                error_text(errno));
        return 0;
}

/* Whose file it is, before anything is read that a newer schema may have otherwise. */
static int check_header(Store *store, int64_t *ret_version, Diag *reterr_diag) {
        int64_t application = 0, version = 0, n_tables = 0;
        int r;

        r = read_int(store, "PRAGMA application_id", &application, reterr_diag);
        if (r >= 0)
                r = read_int(store, "PRAGMA user_version", &version, reterr_diag);
        if (r < 0)
                return r;
        if (application == APPLICATION_ID && version > SCHEMA_VERSION)
                return diag_set(reterr_diag, -EPROTONOSUPPORT,
                                "%s was written by a newer wpcached: it has version %lld of the "
                                "schema, and this one knows %lld; it is left as it is",
                                store->path, (long long)version, (long long)SCHEMA_VERSION);
        if (application != APPLICATION_ID) {
                r = read_int(store, "SELECT count(*) FROM sqlite_schema", &n_tables, reterr_diag);
                if (r < 0)
                        return r;
                if (application != 0 || version != 0 || n_tables != 0)
                        return damaged(store, "it is a database, but not of wpcache", reterr_diag);
        }
        *ret_version = version;
        return 0;
}

static int quick_check(Store *store, Diag *reterr_diag) {
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        const char *text = NULL;
        int r;

        r = query(store, "PRAGMA quick_check(1)", NO_VALUES, &statement, reterr_diag);
        if (r >= 0)
                r = step(store, statement, reterr_diag);
        if (r < 0)
                return r;
        text = (const char *)sqlite3_column_text(statement, 0);
        return !text ? -ENOMEM : strcmp(text, "ok") == 0 ? 0 : damaged(store, text, reterr_diag);
}

static int upgrade(Store *store, int64_t version, Diag *reterr_diag) {
        char header[128];
        int r;

        if (version == SCHEMA_VERSION)
                return 0;
        store->rewrite |= version == 0;
        r = script(store, "BEGIN IMMEDIATE", reterr_diag);
        for (; version < SCHEMA_VERSION && r >= 0; version++)
                r = script(store, schema[version], reterr_diag);
        snprintf(header, sizeof(header), "PRAGMA application_id = %d; PRAGMA user_version = %d",
                 APPLICATION_ID, (int)SCHEMA_VERSION);
        if (r >= 0)
                r = script(store, header, reterr_diag);
        if (r >= 0)
                r = script(store, "COMMIT", reterr_diag);
        return r;
}

static int open_database(Store *store, Diag *reterr_diag) {
        int flags = SQLITE_OPEN_NOMUTEX |
                    (store->reader ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
        int64_t version = 0;
        int r, code;

        if (store->reader) {
                if (access(store->path, F_OK) < 0)
                        return diag_set(reterr_diag, -errno, "cannot open %s: %s", store->path,
                                        error_text(errno));
        } else {
                r = make_file(store, reterr_diag);
                if (r < 0)
                        return r;
        }
        code = sqlite3_open_v2(store->path, &store->db, flags, NULL);
        if (code != SQLITE_OK)
                return fail(store, code, reterr_diag);
        sqlite3_busy_timeout(store->db, BUSY_MSEC);
        r = check_header(store, &version, reterr_diag);
        if (r >= 0)
                r = script(store,
                           "PRAGMA cache_size = -64; PRAGMA mmap_size = 0;"
                           "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
                           "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;"
                           "PRAGMA wal_autocheckpoint = 256; PRAGMA journal_size_limit = 1048576",
                           reterr_diag);
        if (r < 0)
                return r;
        if (store->reader)
                return version == SCHEMA_VERSION ? 0
                                                 : diag_set(reterr_diag, -EPROTONOSUPPORT,
                                                            "%s has version %lld of the schema",
                                                            store->path, (long long)version);
        r = quick_check(store, reterr_diag);
        if (r >= 0)
                r = script(store, "PRAGMA journal_mode = WAL", reterr_diag);
        if (r >= 0)
                r = upgrade(store, version, reterr_diag);
        return r;
}

/* The file first: the log is nothing without it, and SQLite drops the log of an empty file. */
static int set_aside(Store *store, Diag *reterr_diag) {
        static const char *const companions[] = { "", "-wal", "-shm" };
        uint64_t now_usec = now_realtime_usec();
        time_t now = (time_t)(now_usec / USEC_PER_SEC);
        char aside[64], from[64], to[80];
        struct tm tm;
        size_t n;

        close_database(store, true);
        gmtime_r(&now, &tm);
        n = strftime(aside, sizeof(aside), STORE_FILE ".damaged-%Y%m%d-%H%M%S", &tm);
        snprintf(aside + n, sizeof(aside) - n, ".%06u", (unsigned)(now_usec % USEC_PER_SEC));
        for (size_t i = 0; i < ELEMENTSOF(companions); i++) {
                snprintf(from, sizeof(from), "%s%s", STORE_FILE, companions[i]);
                snprintf(to, sizeof(to), "%s%s", aside, companions[i]);
                if (renameat(store->dir_fd, from, store->dir_fd, to) < 0 && errno != ENOENT)
                        return diag_set(reterr_diag, -errno,
                                        "%s is damaged (%s) and cannot be set aside: %s",
                                        store->path, store->reason.text, error_text(errno));
        }
        diag_format(&store->damage,
                    "%s was damaged (%s) and is set aside as %s: the history, the receipts that a "
                    "rollback needs and the ages of images begin anew, and what is in a trash "
                    "directory stays there",
                    store->path, store->reason.text, aside);
        return 0;
}

static int enter(Store *store, Diag *reterr_diag) {
        int moved = 0, r;

        store->damaged = false;
        if (store->db) {
                sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
                if (!moved)
                        return 0;
                close_database(store, true);
                if (!store->reader)
                        diag_format(&store->damage,
                                    "%s was taken away or replaced while it was in use: what it "
                                    "held is lost to wpcached",
                                    store->path);
                store->rewrite = true;
        }
        r = open_database(store, reterr_diag);
        if (r < 0)
                close_database(store, true);
        return r;
}

/* True: once more, as if nothing had been. */
static bool leave(Store *store, unsigned attempt, int *r, const Diag *before, Diag *reterr_diag) {
        if (store->db) {
                if (!sqlite3_get_autocommit(store->db))
                        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
                sqlite3_db_release_memory(store->db);
        }
        if (*r >= 0 || !store->damaged || store->reader || attempt > 0)
                return false;
        *r = set_aside(store, reterr_diag);
        if (*r >= 0 && reterr_diag)
                *reterr_diag = *before;
        return *r >= 0;
}

#define guarded(store, reterr_diag, operation)                                  \
        ({                                                                      \
                Diag _before = (reterr_diag) ? *(reterr_diag) : DIAG_NULL;      \
                unsigned _attempt = 0;                                          \
                int _r;                                                         \
                do {                                                            \
                        _r = enter(store, reterr_diag);                         \
                        if (_r >= 0)                                            \
                                _r = (operation);                               \
                } while (leave(store, _attempt++, &_r, &_before, reterr_diag)); \
                _r;                                                             \
        })

Store *store_close(Store *store) {
        if (store) {
                close_database(store, false);
                cleanup_closep(&store->dir_fd);
                cleanup_closep(&store->lock_fd);
                free(store->path);
                free(store);
        }
        return NULL;
}

static int store_new(const char *directory, bool reader, Store **ret) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        cleanup(store_close) Store *store = malloc(sizeof(*store));

        pthread_once(&once, configure_sqlite);
        if (!store)
                return -ENOMEM;
        *store = (Store){ .dir_fd = -EBADF, .lock_fd = -EBADF, .reader = reader };
        if (asprintf(&store->path, "%s/%s", directory, STORE_FILE) < 0) {
                store->path = NULL;
                return -ENOMEM;
        }
        *ret = TAKE_PTR(store);
        return 0;
}

static int lock_directory(Store *store, const char *directory, Diag *reterr_diag) {
        int r;

        r = mkdir_parents(directory, 0700);
        if (r < 0)
                return diag_set(reterr_diag, r, "cannot make the state directory %s: %s", directory,
                                error_text(r));
        store->dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (store->dir_fd < 0)
                return diag_set(reterr_diag, -errno, "cannot open the state directory %s: %s",
                                directory, error_text(errno));
        store->lock_fd =
                openat(store->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (store->lock_fd < 0)
                return diag_set(reterr_diag, -errno, "cannot write to the state directory %s: %s",
                                directory, error_text(errno));
        if (flock(store->lock_fd, LOCK_EX | LOCK_NB) < 0)
                return diag_set(reterr_diag, errno == EWOULDBLOCK ? -EBUSY : -errno,
                                "another wpcached uses the state directory %s", directory);
        return 0;
}

int store_open(const char *directory, Store **ret, Diag *reterr_diag) {
        cleanup(store_close) Store *store = NULL;
        int r;

        r = store_new(directory, false, &store);
        if (r >= 0)
                r = lock_directory(store, directory, reterr_diag);
        if (r >= 0)
                r = guarded(store, reterr_diag, 0);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(store);
        return 0;
}

int store_open_reader(const char *directory, Store **ret, Diag *reterr_diag) {
        cleanup(store_close) Store *store = NULL;
        int r;

        r = store_new(directory, true, &store);
        if (r >= 0)
                r = guarded(store, reterr_diag, 0);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(store);
        return 0;
}

char *store_directory(const Store *store) {
        cleanup_free char *directory =
                strndup(store->path, strlen(store->path) - strlen("/" STORE_FILE));

        return directory ? realpath(directory, NULL) : NULL;
}

bool store_take_damage(Store *store, Diag *ret) {
        if (!store->damage.text[0])
                return false;
        *ret = store->damage;
        store->damage = DIAG_NULL;
        return true;
}

static int write_run(Store *store, const Run *run, const char *json, Diag *reterr_diag) {
        int r;

        r = script(store, "BEGIN IMMEDIATE", reterr_diag);
        if (r >= 0)
                r = execute(store,
                            "REPLACE INTO runs (id, kind, target, outcome, who, started, finished,"
                            " removed, remaining, engine_bytes, freed_bytes, took_names)"
                            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                            VALUES(TEXT(run->id), TEXT(run->kind), TEXT(run->target),
                                   TEXT(run->outcome), TEXT(run->who), INT(run->started_sec),
                                   INT(run->finished_sec), INT(run->n_removed),
                                   INT(run->n_remaining), INT(run->engine_bytes),
                                   INT(run->freed_bytes), INT(run->took_names)),
                            reterr_diag);
        if (r >= 0)
                r = execute(store, "INSERT INTO details VALUES (last_insert_rowid(), ?)",
                            VALUES(TEXT(json)), reterr_diag);
        return r < 0 ? r : script(store, "COMMIT", reterr_diag);
}

int store_write_run(Store *store, const Run *run, const Json *details, Diag *reterr_diag) {
        cleanup_free char *json = json_text(details);

        if (!json)
                return -ENOMEM;
        return guarded(store, reterr_diag, write_run(store, run, json, reterr_diag));
}

static int read_run(Store *store, const char *id, Json **ret_details, Diag *reterr_diag) {
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        const char *json;
        int r;

        r = query(store, "SELECT json FROM runs JOIN details USING (n) WHERE id = ?",
                  VALUES(TEXT(id)), &statement, reterr_diag);
        if (r >= 0)
                r = step(store, statement, reterr_diag);
        if (r < 0)
                return r;
        if (r == 0)
                return diag_set(reterr_diag, -ENOENT, "nothing is known of a run %s", id);
        json = (const char *)sqlite3_column_text(statement, 0);
        if (!json)
                return -ENOMEM;
        r = json_parse(json, (size_t)sqlite3_column_bytes(statement, 0), ret_details);
        return r == -EBADMSG ? diag_set(reterr_diag, r, "the record of run %s is damaged", id) : r;
}

int store_read_run(Store *store, const char *id, Json **ret_details, Diag *reterr_diag) {
        return guarded(store, reterr_diag, read_run(store, id, ret_details, reterr_diag));
}

static int run_of_row(sqlite3_stmt *row, Run *ret) {
        int r;

        r = column_text(row, 0, ret->id, sizeof(ret->id));
        r |= column_text(row, 1, ret->kind, sizeof(ret->kind));
        r |= column_text(row, 2, ret->target, sizeof(ret->target));
        r |= column_text(row, 3, ret->outcome, sizeof(ret->outcome));
        r |= column_text(row, 4, ret->who, sizeof(ret->who));
        ret->started_sec = sqlite3_column_int64(row, 5);
        ret->finished_sec = sqlite3_column_int64(row, 6);
        ret->n_removed = column_uint(row, 7);
        ret->n_remaining = column_uint(row, 8);
        ret->engine_bytes = column_uint(row, 9);
        ret->freed_bytes = column_uint(row, 10);
        ret->took_names = sqlite3_column_int64(row, 11) != 0;
        return r < 0 ? -ENOMEM : 0;
}

#define LIST_RUNS(condition)                                                            \
        "SELECT id, kind, target, outcome, who, started, finished, removed, remaining," \
        " engine_bytes, freed_bytes, took_names FROM runs WHERE " condition " AND "     \
        "started >= ?2 ORDER BY id DESC LIMIT ?3"

static int list_runs(Store *store, const char *kind, int64_t since_sec, size_t limit,
                     StoreRun found, void *userdata, Diag *reterr_diag) {
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        int r;

        r = query(store, kind ? LIST_RUNS("kind = ?1") : LIST_RUNS("?1 IS NULL"),
                  VALUES(TEXT(kind), INT(since_sec), INT(MIN(limit, (size_t)INT64_MAX))),
                  &statement, reterr_diag);
        while (r >= 0 && (r = step(store, statement, reterr_diag)) > 0) {
                Run run = { 0 };

                r = run_of_row(statement, &run);
                if (r >= 0)
                        r = found(userdata, &run);
                if (r != 0)
                        break;
        }
        return MIN(r, 0);
}

int store_list_runs(Store *store, const char *kind, int64_t since_sec, size_t limit, StoreRun found,
                    void *userdata, Diag *reterr_diag) {
        return guarded(store, reterr_diag,
                       list_runs(store, kind, since_sec, limit, found, userdata, reterr_diag));
}

int store_add_sample(Store *store, const Sample *sample, Diag *reterr_diag) {
        return guarded(store, reterr_diag,
                       execute(store, "REPLACE INTO samples VALUES (?, ?, ?, ?, ?, ?)",
                               VALUES(INT(sample->at_sec), INT(sample->age_sec),
                                      INT(sample->builder_bytes), INT(sample->image_bytes),
                                      INT(sample->disk_total_bytes), INT(sample->disk_free_bytes)),
                               reterr_diag));
}

/* How many samples there are, and from when to when. */
typedef struct SampleSpan {
        size_t n;
        int64_t first_sec, last_sec;
} SampleSpan;

static int span_of_samples(Store *store, int64_t since_sec, SampleSpan *ret, Diag *reterr_diag) {
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        int r;

        r = query(store, "SELECT count(*), min(at), max(at) FROM samples WHERE at >= ?",
                  VALUES(INT(since_sec)), &statement, reterr_diag);
        if (r >= 0)
                r = step(store, statement, reterr_diag);
        if (r < 0)
                return r;
        *ret = (SampleSpan){
                .n = (size_t)sqlite3_column_int64(statement, 0),
                .first_sec = sqlite3_column_int64(statement, 1),
                .last_sec = sqlite3_column_int64(statement, 2),
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
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        cleanup_free Sample *samples = NULL;
        size_t n = 0, part = SIZE_MAX;
        SampleSpan span;
        int r;

        /* One state of it all, with a writer beside; leave() ends it. */
        r = script(store, "BEGIN", reterr_diag);
        if (r >= 0)
                r = span_of_samples(store, since_sec, &span, reterr_diag);
        if (r < 0)
                return r;
        samples = calloc(MAX(MIN(span.n, n_max), (size_t)1), sizeof(*samples));
        if (!samples)
                return -ENOMEM;
        r = query(store,
                  "SELECT at, age, builder_bytes, image_bytes, disk_total_bytes, disk_free_bytes "
                  "FROM samples WHERE at >= ? ORDER BY at",
                  VALUES(INT(since_sec)), &statement, reterr_diag);
        while (r >= 0 && n_max > 0 && (r = step(store, statement, reterr_diag)) > 0) {
                int64_t at_sec = sqlite3_column_int64(statement, 0);
                size_t here = span.n > n_max ? part_of_span(&span, at_sec, n_max) : n;

                n += here != part;
                part = here;
                samples[n - 1] = (Sample){
                        .at_sec = at_sec,
                        .age_sec = sqlite3_column_int64(statement, 1),
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

        r = script(store, "BEGIN IMMEDIATE", reterr_diag);
        if (r >= 0)
                r = execute(
                        store,
                        "DELETE FROM runs WHERE (started < ? OR id <= (SELECT id FROM runs"
                        " ORDER BY id DESC LIMIT 1 OFFSET " STRINGIFY(
                                RUNS_KEPT) "))"
                                           " AND id IS NOT (SELECT max(id) FROM runs WHERE took_names)"
                                           " AND n <> (SELECT max(n) FROM runs)",
                        VALUES(INT(before_sec)), reterr_diag);
        if (r >= 0)
                r = execute(store,
                            "DELETE FROM samples WHERE at < ? OR at <= (SELECT at FROM samples"
                            " ORDER BY at DESC LIMIT 1 OFFSET " STRINGIFY(SAMPLES_KEPT) ")",
                            VALUES(INT(before_sec)), reterr_diag);
        return r < 0 ? r : script(store, "COMMIT", reterr_diag);
}

int store_trim(Store *store, int64_t before_sec, Diag *reterr_diag) {
        return guarded(store, reterr_diag, trim(store, before_sec, reterr_diag));
}

SeenImage *seen_images_find(const SeenImages *list, const char *id) {
        for (size_t i = 0; i < list->n; i++)
                if (strcmp(list->v[i].id, id) == 0)
                        return &list->v[i];
        return NULL;
}

void seen_images_done(SeenImages *list) {
        for (size_t i = 0; i < list->n; i++)
                free(list->v[i].repository);
        free(list->v);
        *list = (SeenImages){ 0 };
}

static int seen_of_row(sqlite3_stmt *row, SeenImage *ret) {
        *ret = (SeenImage){
                .first_seen_sec = sqlite3_column_int64(row, 1),
                .named_sec = sqlite3_column_int64(row, 2),
                .used_sec = sqlite3_column_int64(row, 3),
                .running_since_sec = sqlite3_column_int64(row, 4),
                .tag_mark = sqlite3_column_int64(row, 5),
                .names_hash = column_uint(row, 6),
        };
        if (column_text(row, 0, ret->id, sizeof(ret->id)) < 0)
                return -ENOMEM;
        return sqlite3_column_type(row, 7) == SQLITE_NULL ? 0
                                                          : column_copy(row, 7, &ret->repository);
}

static int read_seen(Store *store, SeenImages *ret, Diag *reterr_diag) {
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        cleanup(seen_images_done) SeenImages list = { 0 };
        int r;

        r = query(store,
                  "SELECT id, first_seen, named, used, running_since, tag_mark, names_hash,"
                  " repository FROM seen ORDER BY id",
                  NO_VALUES, &statement, reterr_diag);
        while (r >= 0 && (r = step(store, statement, reterr_diag)) > 0) {
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
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        int r;

        r = query(store, "REPLACE INTO seen VALUES (?, ?, ?, ?, ?, ?, ?, ?)", NO_VALUES, &statement,
                  reterr_diag);
        for (size_t i = 0; i < list->n && r >= 0; i++) {
                const SeenImage *image = &list->v[i];

                if (!image->dirty && !store->rewrite)
                        continue;
                r = bind(store, statement,
                         VALUES(TEXT(image->id), INT(image->first_seen_sec), INT(image->named_sec),
                                INT(image->used_sec), INT(image->running_since_sec),
                                INT(image->tag_mark), INT(image->names_hash),
                                TEXT(image->repository)),
                         reterr_diag);
                if (r >= 0)
                        r = step(store, statement, reterr_diag);
        }
        return r;
}

/* All of the list are stored by now, so that equal numbers mean equal sets. */
static int forget_gone(Store *store, const SeenImages *list, Diag *reterr_diag) {
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        int64_t n = 0;
        int r;

        r = read_int(store, "SELECT count(*) FROM seen", &n, reterr_diag);
        if (r < 0 || (size_t)n == list->n)
                return r;
        r = query(store, "SELECT id FROM seen", NO_VALUES, &statement, reterr_diag);
        while (r >= 0 && (r = step(store, statement, reterr_diag)) > 0) {
                char id[IMAGE_ID_MAX];

                r = column_text(statement, 0, id, sizeof(id));
                if (r >= 0 && !seen_images_find(list, id))
                        r = execute(store, "DELETE FROM seen WHERE id = ?", VALUES(TEXT(id)),
                                    reterr_diag);
        }
        return r;
}

static int write_seen(Store *store, SeenImages *list, Diag *reterr_diag) {
        int r;

        r = script(store, "BEGIN IMMEDIATE", reterr_diag);
        if (r >= 0)
                r = write_dirty(store, list, reterr_diag);
        if (r >= 0)
                r = forget_gone(store, list, reterr_diag);
        if (r >= 0)
                r = script(store, "COMMIT", reterr_diag);
        if (r < 0)
                return r;
        store->rewrite = false;
        for (size_t i = 0; i < list->n; i++)
                list->v[i].dirty = false;
        return 0;
}

int store_write_seen(Store *store, SeenImages *list, Diag *reterr_diag) {
        return guarded(store, reterr_diag, write_seen(store, list, reterr_diag));
}

void suspects_done(Suspects *suspects) {
        named_images_done(&suspects->images);
        *suspects = (Suspects){ 0 };
}

static int read_suspects(Store *store, Suspects *ret, Diag *reterr_diag) {
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        cleanup(suspects_done) Suspects suspects = { 0 };
        int64_t ever_matched = 0;
        int r;

        r = read_int(store, "SELECT ever_matched FROM host", &ever_matched, reterr_diag);
        if (r >= 0)
                r = query(store, "SELECT name, id FROM suspects ORDER BY n", NO_VALUES, &statement,
                          reterr_diag);
        while (r >= 0 && (r = step(store, statement, reterr_diag)) > 0) {
                const char *name = (const char *)sqlite3_column_text(statement, 0);
                const char *id = (const char *)sqlite3_column_text(statement, 1);

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
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        int r;

        r = script(store, "BEGIN IMMEDIATE; DELETE FROM suspects", reterr_diag);
        if (r >= 0)
                r = execute(store, "UPDATE host SET ever_matched = ?",
                            VALUES(INT(suspects->ever_matched)), reterr_diag);
        if (r >= 0)
                r = query(store, "INSERT INTO suspects (name, id) VALUES (?, ?)", NO_VALUES,
                          &statement, reterr_diag);
        for (size_t i = 0; i < suspects->images.n && r >= 0; i++) {
                const NamedImage *image = &suspects->images.v[i];

                r = bind(store, statement, VALUES(TEXT(image->name), TEXT(image->id)), reterr_diag);
                if (r >= 0)
                        r = step(store, statement, reterr_diag);
        }
        return r < 0 ? r : script(store, "COMMIT", reterr_diag);
}

int store_write_suspects(Store *store, const Suspects *suspects, Diag *reterr_diag) {
        return guarded(store, reterr_diag, write_suspects(store, suspects, reterr_diag));
}

static int read_clock(Store *store, AgeClock *ret, Diag *reterr_diag) {
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        AgeClock clock = { 0 };
        int r;

        r = query(store,
                  "SELECT boot_id, boot_usec, age, age_rest_usec, wall_ahead, steady_since"
                  " FROM host",
                  NO_VALUES, &statement, reterr_diag);
        if (r >= 0)
                r = step(store, statement, reterr_diag);
        if (r > 0) {
                r = column_text(statement, 0, clock.boot_id, sizeof(clock.boot_id));
                clock.boot_usec = column_uint(statement, 1);
                clock.age_sec = sqlite3_column_int64(statement, 2);
                clock.age_rest_usec = column_uint(statement, 3);
                clock.wall_ahead_sec = sqlite3_column_int64(statement, 4);
                clock.steady_since_sec = sqlite3_column_int64(statement, 5);
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
        return guarded(store, reterr_diag,
                       execute(store,
                               "UPDATE host SET boot_id = ?, boot_usec = ?, age = ?,"
                               " age_rest_usec = ?, wall_ahead = ?, steady_since = ?",
                               VALUES(TEXT(clock->boot_id), INT(clock->boot_usec),
                                      INT(clock->age_sec), INT(clock->age_rest_usec),
                                      INT(clock->wall_ahead_sec), INT(clock->steady_since_sec)),
                               reterr_diag));
}

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
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        int r;

        r = script(store, "BEGIN IMMEDIATE", reterr_diag);
        if (r >= 0)
                r = query(store,
                          "INSERT INTO trash (name, place, dev, ino, app, path)"
                          " VALUES (?, ?, ?, ?, ?, ?)",
                          NO_VALUES, &statement, reterr_diag);
        for (size_t i = 0; i < n && r >= 0; i++) {
                const TrashItem *item = &items[i];

                r = bind(store, statement,
                         VALUES(TEXT(item->name), TEXT(item->place), INT(item->dev), INT(item->ino),
                                TEXT(item->app), TEXT(item->path)),
                         reterr_diag);
                if (r >= 0)
                        r = step(store, statement, reterr_diag);
        }
        return r < 0 ? r : script(store, "COMMIT", reterr_diag);
}

int store_add_trash(Store *store, const TrashItem *items, size_t n, Diag *reterr_diag) {
        return guarded(store, reterr_diag, add_trash(store, items, n, reterr_diag));
}

static int read_trash(Store *store, TrashItems *ret, Diag *reterr_diag) {
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        cleanup(trash_items_done) TrashItems items = { 0 };
        int r;

        r = query(store, "SELECT name, place, dev, ino, app, path FROM trash ORDER BY n", NO_VALUES,
                  &statement, reterr_diag);
        while (r >= 0 && (r = step(store, statement, reterr_diag)) > 0) {
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
        cleanup(sqlite3_finalize) sqlite3_stmt *statement = NULL;
        int r;

        r = script(store, "BEGIN IMMEDIATE", reterr_diag);
        if (r >= 0)
                r = query(store, "DELETE FROM trash WHERE name = ?", NO_VALUES, &statement,
                          reterr_diag);
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = bind(store, statement, VALUES(TEXT(items[i].name)), reterr_diag);
                if (r >= 0)
                        r = step(store, statement, reterr_diag);
        }
        return r < 0 ? r : script(store, "COMMIT", reterr_diag);
}

int store_drop_trash(Store *store, const TrashItem *items, size_t n, Diag *reterr_diag) {
        return guarded(store, reterr_diag, drop_trash(store, items, n, reterr_diag));
}
