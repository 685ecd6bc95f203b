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
        r = sql_connect(store, reterr_diag);
        if (r >= 0)
                r = schema_check(store, &version, reterr_diag);
        if (r >= 0)
                r = sql_script(
                        store,
                        "PRAGMA cache_size = -64; PRAGMA mmap_size = 0;"
                        "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
                        "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;"
                        "PRAGMA wal_autocheckpoint = 256; PRAGMA journal_size_limit = 1048576",
                        reterr_diag);
        if (r < 0)
                return r;
        if (store->reader)
                return version == schema_version ? 0
                                                 : diag_set(reterr_diag, -EPROTONOSUPPORT,
                                                            "%s has version %lld of the schema",
                                                            store->path, (long long)version);
        r = quick_check(store, reterr_diag);
        if (r >= 0)
                r = sql_script(store, "PRAGMA journal_mode = WAL", reterr_diag);
        if (r >= 0)
                r = schema_upgrade(store, version, reterr_diag);
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

int store_enter(Store *store, Diag *reterr_diag) {
        int r;

        store->damaged = false;
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
        r = open_database(store, reterr_diag);
        if (r < 0)
                sql_disconnect(store, true);
        return r;
}

bool store_leave(Store *store, unsigned attempt, int *r, const Diag *before, Diag *reterr_diag) {
        if (store->db)
                sql_settle(store);
        if (*r >= 0 || !store->damaged || store->reader || attempt > 0)
                return false;
        *r = set_aside(store, reterr_diag);
        if (*r >= 0 && reterr_diag)
                *reterr_diag = *before;
        return *r >= 0;
}

Store *store_close(Store *store) {
        if (store) {
                sql_disconnect(store, false);
                cleanup_closep(&store->dir_fd);
                cleanup_closep(&store->lock_fd);
                free(store->path);
                free(store);
        }
        return NULL;
}

static int store_new(const char *directory, bool reader, Store **ret) {
        cleanup(store_close) Store *store = malloc(sizeof(*store));

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
