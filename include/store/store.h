/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What outlives the daemon: one SQLite file, wpcache.db, in the state directory. The one user of
 * SQLite is store/sql.c.
 *
 * It is in WAL mode and synchronous: a write is durable on return, and a crash at any point leaves
 * all of it or nothing. A file that is damaged is set aside as wpcache.db.damaged-TIME and a new
 * one begun, at open or in the middle of work; and a new one is begun where it was taken away.
 * store_take_damage() tells, once. A schema newer than this program is not touched
 * (-EPROTONOSUPPORT).
 *
 * A full disk does not stop it as long as the file has blocks to write into: some are kept for it. Where
 * the disk is full, read-only or fails for good, an operation fails, and the next one tries again:
 * no restart is needed. Runs that could not be written are kept in memory until then, and read from
 * there.
 *
 * A Store belongs to one thread at a time. Errors common to all: -EIO, -ENOSPC, -EROFS, -ENOMEM,
 * and -EBUSY where another program holds the file for seconds, with the reason in the diag.
 */

#include "apps/quarantine.h"
#include "base/ageclock.h"
#include "base/diag.h"
#include "docker/model.h"
#include "wire/json.h"

#define STORE_FILE "wpcache.db"
#define RUN_ID_MAX 32
/* However long the retention is. */
#define RUNS_KEPT 10000
#define SAMPLES_KEPT 20000

typedef struct Store Store;

/*
 * Makes the directory (0700) if it is missing and locks it, so that one daemon at a time uses it:
 * -EBUSY if another does. Where the disk is full, read-only or fails it is 0 all the same:
 * store_state() tells.
 */
int store_open(const char *directory, Store **ret, Diag *reterr_diag) must_check;
/* For reading only, beside the writer, which must live longer, and on a thread of its own. It has the
 * writer's runs that are not written yet as well, and holds no file open between its operations. Where
 * the file is missing they are -ENOENT. It sets nothing aside: damage is -EBADMSG; but it follows to a
 * file that the writer begins. 0 or -ENOMEM. */
int store_open_reader(Store *writer, Store **ret) must_check;
Store *store_close(Store *store);
DEFINE_CLEANUP(Store *, store_close);

/* The state directory, absolute and without symlinks where it can be resolved; malloc'ed, or NULL. */
char *store_directory(const Store *store);

/* How the last operations went. */
typedef struct StoreState {
        bool readable;      /* the file could be opened */
        bool writable;      /* the last write could be done */
        size_t n_unwritten; /* runs in memory alone */
        Diag reason;        /* where it is not writable */
} StoreState;

void store_state(const Store *store, StoreState *ret);

/* True once after a file was lost; the diag says which, why, and what is lost with it. */
bool store_take_damage(Store *store, Diag *ret);

/* One thing the daemon did: a clear, a policy pass, a rollback. */
typedef struct Run {
        char id[RUN_ID_MAX];  /* from its time, so that ids sort */
        char kind[16];        /* "clear", "policy", "rollback" */
        char target[32];      /* of a clear, else "" */
        char outcome[16];     /* type Outcome of the interface */
        char who[64];         /* user name or uid; "" for the daemon on its own */
        int64_t started_sec;  /* wall time */
        int64_t finished_sec; /* 0: not yet */
        uint64_t n_removed, n_remaining;
        uint64_t engine_bytes, freed_bytes; /* freed: by statvfs(3) */
        bool took_names;                    /* there is something to roll back */
} Run;

/* Writes or replaces the run of this id, after those that are not written yet. `details` is its whole
 * JSON (a Receipt, a PolicyRun). After an error the run is kept in memory, the newest few dozen are,
 * and written by a later call of this or of store_write_kept(). */
int store_write_run(Store *store, const Run *run, const Json *details,
                    Diag *reterr_diag) must_check;
/* Whether the latest state of this run is not yet written to the file. */
bool store_keeps_run(const Store *store, const char *id);
/* Writes the runs that are in memory alone. 0: there are none left. */
int store_write_kept(Store *store, Diag *reterr_diag) must_check;
/* -ENOENT: there is none; -EBADMSG: its details are damaged. */
int store_read_run(Store *store, const char *id, Json **ret_details, Diag *reterr_diag) must_check;
int store_find_run(Store *store, const char *id, Run *ret, Diag *reterr_diag) must_check;

/* Runs that started at or after `since_sec`, the one that was written last first, whatever the clock
 * was then; `limit` at most, of one kind unless it is NULL. A negative return of `found` ends the
 * listing and is handed through; 1 ends it with 0. `found` may not use the store. Where the file can't
 * be read, those in memory are found before the error. */
typedef int (*StoreRun)(void *userdata, const Run *run);
int store_list_runs(Store *store, const char *kind, int64_t since_sec, size_t limit, StoreRun found,
                    void *userdata, Diag *reterr_diag) must_check;

/* How the caches stood at a time. */
typedef struct Sample {
        int64_t at_sec;  /* wall time */
        int64_t age_sec; /* age time */
        uint64_t builder_bytes, image_bytes, disk_total_bytes, disk_free_bytes;
} Sample;

int store_add_sample(Store *store, const Sample *sample, Diag *reterr_diag) must_check;

/* Samples of `since_sec` and later, oldest first, thinned evenly in time to at most `n_max`.
 * `*ret` is malloc'ed. */
int store_list_samples(Store *store, int64_t since_sec, size_t n_max, Sample **ret, size_t *ret_n,
                       Diag *reterr_diag) must_check;

/* Drops runs and samples older than `before_sec` (wall time), and the oldest of what passes
 * RUNS_KEPT and SAMPLES_KEPT; but neither the newest run that took names away nor the last written. */
int store_trim(Store *store, int64_t before_sec, Diag *reterr_diag) must_check;

#define SEEN_CREATED_AHEAD 1U
#define SEEN_TAG_AHEAD 2U

/* What is remembered of one image. Times are age time. Names that the janitor gives (rollback and trash
 * tags) are no names here, and neither is the LastTagTime that they move. */
typedef struct SeenImage {
        char id[IMAGE_ID_MAX];
        int64_t first_seen_sec;
        int64_t named_sec;         /* when it last got a name, or its name again */
        int64_t used_sec;          /* when it was last in use; -1: never seen */
        int64_t running_since_sec; /* since when a running container has it; -1: none has */
        int64_t tag_mark;          /* the engine's LastTagTime (wall), for changes; 0: unread */
        int64_t tag_rest_nsec;     /* its part below a second */
        int64_t marked_sec; /* when that was last read, -1: not since the start; not stored */
        uint64_t
                inspected_usec; /* CLOCK_BOOTTIME before that; 0: not since the start; not stored */
        int64_t own_mark;       /* the LastTagTime of a tag of the janitor's; 0: unread */
        int64_t rollback_since_sec; /* since when it has a rollback tag; -1: it has none */
        unsigned
                ahead; /* of the engine's times, those that lay ahead of its clock when first read */
        /* By its facts: docker commit made it, or it bore names of others alone. A poll reads no facts. */
        bool not_ours;
        uint64_t names_hash; /* of its names, to see a change by */
        uint64_t own_hash;   /* the same of the janitor's */
        char *repository;    /* the matching one it last belonged to, or NULL */
        bool dirty;          /* differs from what is stored; store_write_seen() resets it */
} SeenImage;

typedef struct SeenImages {
        SeenImage *v;
        size_t n, size;
} SeenImages;

void seen_images_done(SeenImages *list);
static inline void seen_images_donep(SeenImages *list) {
        seen_images_done(list);
}

int store_read_seen(Store *store, SeenImages *ret, Diag *reterr_diag) must_check;
/* Writes those that are dirty, and forgets those in the store that are not in the list. */
int store_write_seen(Store *store, SeenImages *list, Diag *reterr_diag) must_check;

/*
 * Images that clears took names from, or that stood in the parent chain of one, and that were still
 * there: a later clear would not see that they are ours. `ever_matched`: some image matched [images]
 * match once.
 */
typedef struct Suspects {
        NamedImages images; /* name: the last one known, or "" for a parent */
        bool ever_matched;
} Suspects;

void suspects_done(Suspects *suspects);
static inline void suspects_donep(Suspects *suspects) {
        suspects_done(suspects);
}

int store_read_suspects(Store *store, Suspects *ret, Diag *reterr_diag) must_check;
int store_write_suspects(Store *store, const Suspects *suspects, Diag *reterr_diag) must_check;

/* Of a new file: zeroes. */
int store_read_clock(Store *store, AgeClock *ret, Diag *reterr_diag) must_check;
int store_write_clock(Store *store, const AgeClock *clock, Diag *reterr_diag) must_check;

/*
 * A cache of an application that is in a trash directory, or is about to be. After a file was lost
 * there are none, and what is in the trash then stays there until somebody removes it by hand, since
 * nothing is removed that is not stored.
 */
typedef struct TrashItem {
        char *place;               /* path of the trash directory, in bytes */
        char name[TRASH_NAME_MAX]; /* in it; unique */
        uint64_t dev, ino;
        char *app, *path; /* where it came from, as text for a person */
} TrashItem;

typedef struct TrashItems {
        TrashItem *v;
        size_t n, size;
} TrashItems;

void trash_items_done(TrashItems *items);
static inline void trash_items_donep(TrashItems *items) {
        trash_items_done(items);
}

/* All or none. -EEXIST: one of the names is stored already, or twice among these. */
int store_add_trash(Store *store, const TrashItem *items, size_t n, Diag *reterr_diag) must_check;
/* In the order they were added. */
int store_read_trash(Store *store, TrashItems *ret, Diag *reterr_diag) must_check;
/* Forgets those of these names, all or none; names that are not stored are no error. */
int store_drop_trash(Store *store, const TrashItem *items, size_t n, Diag *reterr_diag) must_check;
