/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Caches of applications, as clears, plans and polls have to do with them: looked at, taken out of
 * the way, removed. What apps/root.h says of hostile trees holds; which containers have a cache
 * mounted is the engine's word. Run on the worker thread and block it.
 */

#include "apps/context.h"
#include "apps/root.h"
#include "janitor/mounted.h"
#include "janitor/receipt.h"
#include "janitor/reporter.h"

/* So many caches of one look are kept, and so many bytes of their paths; the next look, after these
 * were taken, finds the rest. */
#define APP_CACHES_MAX 4096
#define APP_PATHS_BYTES_MAX (4U * 1024U * 1024U)

typedef enum AppState {
        APP_OK,
        APP_MISSING,
        APP_EMPTY, /* a mount or a checkout that may come */
        APP_UNREADABLE,
        APP_READ_ONLY,
        APP_NOT_WRITABLE, /* names can't be taken out of the root itself */
        APP_REFUSED,      /* what the configuration would not be loaded with, since then */
        APP_STATE_MAX
} AppState;

typedef struct App {
        const AppConfig *config; /* borrowed */
        AppState state;
        char *reason; /* where the state is not APP_OK */
        char *remedy; /* what would end that, or NULL */
        AppRoot root; /* open where its state allows a search */
        char *path;   /* of the root without symlinks, while it is open */
        Lineage lineage;
        Context *context;
        uint64_t n_caches, n_reached, bytes; /* those that can be taken; measured only */
        bool searched, measured;
} App;

typedef struct AppCache {
        size_t app; /* index in AppsLook.apps */
        char *path; /* below the root */
        uint64_t dev, ino, bytes;
        ContextStatus reach;
} AppCache;

typedef struct AppsLook {
        App *apps;
        size_t n;
        AppCache *caches; /* to be taken */
        size_t n_caches, size_caches, paths_bytes;
        bool more;               /* than are kept */
        uint64_t hash;           /* of which caches were found */
        RemainingList remaining; /* what can't be taken: mounted, not searched, no root */
        Strv notes;
} AppsLook;

typedef struct AppsOptions {
        const char *name;  /* one application; NULL: all */
        bool states_alone; /* how the roots stand; nothing is searched */
        bool predict;      /* caches that could not be taken are remaining */
        bool measure;      /* for so long, then no more: */
        uint64_t measure_usec;
} AppsOptions;

/*
 * Looks for the caches of applications. 0 also where roots are missing or can't be searched: that is
 * remaining. -ECANCELED by reporter->pause (which is asked with 0 now and then), -ENOMEM. `ret` holds
 * descriptors: one look at a time.
 */
int apps_look(const Config *config, const AppsOptions *options, const Reporter *reporter,
              AppsLook *ret) must_check;
/* Of what was found, leaves what running containers have mounted: that is remaining. */
int apps_spare_mounted(AppsLook *look, const ContainerSet *containers) must_check;
void apps_look_done(AppsLook *look);
static inline void apps_look_donep(AppsLook *look) {
        apps_look_done(look);
}

/* What is known of them between clears. */
typedef struct AppsWatch {
        uint64_t looked_usec; /* CLOCK_BOOTTIME; 0: look anew */
        uint64_t took_usec;
        uint64_t states_hash;
        unsigned generation; /* of the configuration */
} AppsWatch;

/*
 * Looks how the roots stand, and where that changed or it was long ago, searches and measures them:
 * `*ret` is type App[] then, else NULL. Where the search is cut short by reporter->pause, the states
 * are told alone, until it is due again. 0 or -ENOMEM.
 */
int apps_watch(AppsWatch *watch, const Config *config, unsigned generation,
               const Reporter *reporter, Json **ret) must_check;

/* Type App[] of the interface, or NULL on out of memory. */
Json *apps_json(const AppsLook *look, int64_t searched_sec);
/* Adds to an array of type Cache[], until it has REMAINING_NAMED_MAX. 0 or -ENOMEM. */
int apps_add_caches(const AppsLook *look, Json *array) must_check;

/* Taking and removing. */

typedef struct AppFailure {
        char *app, *path;
        int error;
} AppFailure;

/* What is done in the course of a clear, or of a sweep of left-overs. */
typedef struct AppsWork {
        const Config *config;
        Store *store;
        const Reporter *reporter;
        const char *name; /* one application; NULL: all */
        Receipt *receipt; /* gets each cache as it goes; NULL: left-overs alone */
        /* Why nothing may be renamed, or NULL: caches are removed where they lie then. Borrowed. */
        const char *in_place;

        /* out */
        AppFailure *failures; /* of the last apps_take() */
        size_t n_failures, size_failures;
        RemainingList remaining; /* since the last apps_take() began */
        Strv notes;
        uint64_t n_removed, n_left_overs, bytes; /* left-overs: of earlier runs */
        uint64_t told_usec;                      /* the last progress */
        uint64_t until_usec;                     /* for all removals; 0: none began */
        bool counted;
        size_t n_old; /* rows of earlier runs, which come first */
} AppsWork;

void apps_work_done(AppsWork *work);
static inline void apps_work_donep(AppsWork *work) {
        apps_work_done(work);
}

/*
 * Takes what a look found out of the way: into a trash, each stored before; where none can be had,
 * or the store fails, removes it where it lies. What can't be taken is no error, but in
 * work->failures. -ECANCELED, -ENOMEM.
 */
int apps_take(AppsWork *work, AppsLook *look) must_check;

/*
 * Removes what is in the trash by the store's word, of this run or an earlier one. What can't be
 * removed is no error, but in work->remaining. Errors as apps_take().
 */
int apps_sweep(AppsWork *work) must_check;

/* Whether the caches that a look found are those that were not taken a moment ago, for reasons that time
 * does not mend. */
bool apps_hopeless(const AppsWork *work, const AppsLook *look);

/* Adds what is left after the last look of a clear: what can't be taken, and what was still found; or,
 * for a plan, will be left once all that was found is `taken`. */
int apps_remaining(const AppsWork *work, const AppsLook *look, bool taken,
                   RemainingList *ret) must_check;

/* A command on a path of an application, for a person to paste: its owner chose the name. `object` is
 * path_text()'s; one that does not stand for itself is not put into a command. Malloc'ed, NULL on out
 * of memory. */
char *apps_remedy(const char *command, const char *object);

/* What apps.c, apps-take.c and apps-sweep.c share. */

void apps_work_tell(AppsWork *work, const char *message);
/* Adds a note, and takes `text` over; NULL: -ENOMEM. After REMAINING_NAMED_MAX of them, the last says
 * that there are more. */
int apps_note(Strv *notes, char *text) must_check;
/* What lies at `path`, bytes, below a place; malloc'ed text, NULL on out of memory. */
char *apps_object(const char *place, const char *path);
int apps_work_failed(AppsWork *work, const App *app, const char *path, int error) must_check;
/* Counts what earlier runs left, before this one takes anything. */
int apps_work_count(AppsWork *work) must_check;
/* Where no trash can be had. */
int apps_remove_in_place(AppsWork *work, const AppsLook *look, size_t index) must_check;
