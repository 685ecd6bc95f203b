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
 *
 * Where the disk is full, read-only or fails, the store is there all the same: each operation tries to
 * open the file once more, and says why it can't.
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/io.h"
#include "base/span.h"
#include "store/sql.h"

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

static int quick_check(Store *store, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        const char *text = NULL;
        int r;

        r = sql_query(store, "PRAGMA quick_check(1)", NO_VALUES, &statement, reterr_diag);
        if (r >= 0)
                r = sql_step(store, statement, reterr_diag);
        if (r < 0)
                return r;
        text = column_borrow(statement, 0);
        if (!text)
                return -ENOMEM;
        return strcmp(text, "ok") == 0 ? 0 : sql_damaged(store, text, reterr_diag);
}

static int open_database(Store *store, Diag *reterr_diag) {
        int64_t version = 0;
        int r;

        if (store->reader) {
                if (access(store->path, F_OK) < 0)
                        return diag_set(reterr_diag, -errno, "cannot open %s: %s", store->path,
                                        error_text(errno));
        } else {
                r = make_file(store, reterr_diag);
                if (r < 0)
                        return r;
        }
        store->alone = !store->reader && !reserve_index(store);
        r = sql_connect(store, reterr_diag);
        if (r >= 0 && store->alone)
                r = sql_script(store, "PRAGMA locking_mode = EXCLUSIVE", reterr_diag);
        if (r >= 0)
                r = schema_check(store, &version, reterr_diag);
        if (r >= 0)
                r = sql_script(store,
                               "PRAGMA cache_size = -64; PRAGMA mmap_size = 0;"
                               "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
                               "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;"
                               "PRAGMA wal_autocheckpoint = " RESERVE_LOG_PAGES ";"
                               "PRAGMA journal_size_limit = " STRINGIFY(RESERVE_LOG_BYTES),
                               reterr_diag);
        if (r < 0)
                return r;
        if (store->reader)
                return version == schema_version ? 0
                       : version == 0
                               ? diag_set(reterr_diag, -ENOENT, "%s has nothing in it", store->path)
                               : diag_set(reterr_diag, -EPROTONOSUPPORT,
                                          "%s has version %lld of the schema", store->path,
                                          (long long)version);
        r = quick_check(store, reterr_diag);
        if (r >= 0)
                r = sql_script(store, "PRAGMA journal_mode = WAL", reterr_diag);
        if (r >= 0)
                r = schema_upgrade(store, version, reterr_diag);
        if (r >= 0)
                reserve_log(store);
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

        sql_disconnect(store, true);
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

/* What time may mend: the disk is full, read-only or fails. */
static bool is_of_disk(int error) {
        return error == -ENOSPC || error == -EDQUOT || error == -EROFS || error == -EIO;
}

void store_state(const Store *store, StoreState *ret) {
        *ret = (StoreState){
                .readable = !store->unreadable,
                .writable = !store->unreadable && !store->unwritable,
                .n_unwritten = unwritten_count(store->unwritten),
        };
        if (!ret->writable)
                ret->reason = store->failure;
}

static void note_failure(Store *store, int error, const Diag *diag) {
        diag_format(&store->failure, "%s", diag_text(diag, error));
}

int store_wrote(Store *store, int result, const Diag *diag) {
        if (result >= 0 && store->unwritable) {
                store->unwritable = false;
                reserve_log(store); /* there is room again */
        }
        if (!is_of_disk(result))
                return result;
        store->unwritable = true;
        note_failure(store, result, diag);
        return result;
}

/* The directory itself is locked: to make a file takes space. */
static int lock_directory(Store *store, Diag *reterr_diag) {
        cleanup_close int fd = -EBADF;
        int r;

        r = mkdir_parents(store->directory, 0700);
        if (r < 0)
                return diag_set(reterr_diag, r, "cannot make the state directory %s: %s",
                                store->directory, error_text(r));
        fd = open(store->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return diag_set(reterr_diag, -errno, "cannot open the state directory %s: %s",
                                store->directory, error_text(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return diag_set(reterr_diag, errno == EWOULDBLOCK ? -EBUSY : -errno,
                                "another wpcached uses the state directory %s", store->directory);
        store->dir_fd = TAKE_FD(fd);
        return 0;
}

int store_enter(Store *store, Diag *reterr_diag) {
        int r = 0;

        store->damaged = false;
        if (store->alone && store->db && reserve_index(store))
                sql_disconnect(store, false);
        if (store->db) {
                if (!sql_has_moved(store))
                        return 0;
                sql_disconnect(store, true);
                if (!store->reader)
                        diag_format(&store->damage,
                                    "%s was taken away or replaced while it was in use: what it "
                                    "held is lost to wpcached",
                                    store->path);
                store->rewrite = true;
        }
        if (!store->reader && store->dir_fd < 0)
                r = lock_directory(store, reterr_diag);
        if (r >= 0)
                r = open_database(store, reterr_diag);
        store->unreadable = r < 0;
        if (r < 0)
                sql_disconnect(store, true);
        return r;
}

/* Whether the operation is to be done once more: on a new file, or on a new connection, since one to a
 * file that was read-only or failed stays so. */
static bool mend(Store *store, int *r, Diag *reterr_diag) {
        if (store->damaged) {
                *r = set_aside(store, reterr_diag);
                return *r >= 0;
        }
        if (*r != -EROFS && *r != -EIO)
                return false;
        sql_disconnect(store, true);
        return !store->unreadable;
}

bool store_leave(Store *store, unsigned attempt, int *r, const Diag *before, Diag *reterr_diag) {
        if (store->db)
                sql_settle(store);
        if (*r < 0 && !store->reader && attempt == 0 && mend(store, r, reterr_diag)) {
                if (reterr_diag)
                        *reterr_diag = *before;
                return true;
        }
        if (store->unreadable)
                note_failure(store, *r, reterr_diag);
        /* Connections of one process share the index: while a reader had it from a time when the disk
         * was read-only, the writer could not write. */
        if (store->reader)
                sql_disconnect(store, true);
        return false;
}

Store *store_close(Store *store) {
        if (store) {
                sql_disconnect(store, false);
                cleanup_closep(&store->dir_fd);
                cleanup_closep(&store->index_fd);
                if (!store->reader)
                        unwritten_free(store->unwritten);
                free(store->directory);
                free(store->path);
                free(store);
        }
        return NULL;
}

static int store_new(const char *directory, bool reader, Store **ret) {
        cleanup(store_close) Store *store = malloc(sizeof(*store));

        if (!store)
                return -ENOMEM;
        *store = (Store){ .dir_fd = -EBADF, .index_fd = -EBADF, .reader = reader };
        store->directory = strdup(directory);
        if (asprintf(&store->path, "%s/%s", directory, STORE_FILE) < 0)
                store->path = NULL;
        if (!store->directory || !store->path)
                return -ENOMEM;
        *ret = TAKE_PTR(store);
        return 0;
}

int store_open(const char *directory, Store **ret, Diag *reterr_diag) {
        cleanup(store_close) Store *store = NULL;
        Diag before = reterr_diag ? *reterr_diag : DIAG_NULL;
        int r;

        r = store_new(directory, false, &store);
        if (r < 0)
                return r;
        store->unwritten = unwritten_new();
        if (!store->unwritten)
                return -ENOMEM;
        r = guarded(store, reterr_diag, 0);
        if (r < 0 && !is_of_disk(r))
                return r;
        if (r < 0 && reterr_diag)
                *reterr_diag = before;
        *ret = TAKE_PTR(store);
        return 0;
}

int store_open_reader(Store *writer, Store **ret) {
        int r;

        r = store_new(writer->directory, true, ret);
        if (r >= 0)
                (*ret)->unwritten = writer->unwritten;
        return r;
}

char *store_directory(const Store *store) {
        char *path = realpath(store->directory, NULL);

        return path ? path : strdup(store->directory); /* a disk that fails need not resolve it */
}

bool store_take_damage(Store *store, Diag *ret) {
        if (!store->damage.text[0])
                return false;
        *ret = store->damage;
        store->damage = DIAG_NULL;
        return true;
}
