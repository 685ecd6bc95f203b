/* SPDX-License-Identifier: MIT */

/*
 * What is in a trash is forgotten only when nothing of it is left; what is there and not stored is never
 * touched.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "apps/remove.h"
#include "apps/trash.h"
#include "base/bytes.h"
#include "base/index.h"
#include "base/span.h"
#include "base/text.h"
#include "base/words.h"
#include "janitor/apps.h"
#include "janitor/dropin.h"

#define TOLD_USEC (2 * USEC_PER_SEC)
/* Of all that a clear removes: who owns it may go on filling what he has open. The rest stays stored. */
#define REMOVE_USEC (10 * USEC_PER_MINUTE)
#define GONE_MAX 256

void apps_work_done(AppsWork *work) {
        for (size_t i = 0; i < work->n_failures; i++) {
                free(work->failures[i].app);
                free(work->failures[i].path);
        }
        free(work->failures);
        remaining_done(&work->remaining);
        strv_done(&work->notes);
        *work = (AppsWork){ 0 };
}

void apps_work_tell(AppsWork *work, const char *message) {
        work->told_usec = now_boottime_usec();
        work->reporter->progress(work->reporter->userdata, "apps", message,
                                 work->receipt ? work->receipt->passes : 0, 0);
}

/* Removing a tree. */

typedef struct Removal {
        AppsWork *work;
        const char *app, *place, *from; /* for a person */
        uint64_t until_usec;
        bool silent;
        RemovalFigures figures;
        int error; /* of remaining(), which can return none */
        unsigned n_steps;
} Removal;

static int on_step(void *userdata, const RemovalFigures *figures) {
        Removal *removal = userdata;
        const Reporter *reporter = removal->work->reporter;
        char bytes[BYTES_TEXT_MAX], text[160];
        uint64_t now_usec;

        if (removal->error < 0)
                return removal->error;
        if (removal->n_steps++ % 128 != 0)
                return 0;
        now_usec = now_boottime_usec();
        if (now_usec > removal->until_usec)
                return -ETIMEDOUT;
        if (now_usec > removal->work->told_usec + TOLD_USEC) {
                snprintf(text, sizeof(text), "Removing caches of %s (%" PRIu64 " files, %s so far)",
                         removal->app, figures->n_files, bytes_format(figures->bytes, bytes));
                apps_work_tell(removal->work, text);
        }
        return reporter->pause(reporter->userdata, 0);
}

char *apps_remedy(const char *command, const char *object) {
        char *words[] = { (char *)object };
        const Strv list = { words, 1 };
        cleanup_free char *quoted = NULL;

        if (strchr(object, '\\') || strstr(object, "[...]"))
                return text_format("%s, by hand: its name is no text", command);
        quoted = words_quote(&list);
        return quoted ? text_format("%s %s", command, quoted) : NULL;
}

static int remains(AppsWork *work, const char *object, const char *from, int error) {
        cleanup_free char *reason = NULL, *remedy = NULL;
        int r = 0;

        if (remaining_is_full(&work->remaining, REMAINING_CACHE)) {
                remaining_count(&work->remaining, REMAINING_CACHE, 1);
                return 0;
        }
        reason =
                text_format("of %s: %s", from,
                            error == -EPERM       ? "immutable, or not ours to remove"
                            : error == -EXDEV     ? "a file system is mounted there"
                            : error == -ENOTEMPTY ? "somebody goes on writing to it"
                            : error == -ETIMEDOUT ? "to remove it takes longer; the rest goes later"
                                                  : error_text(error));
        if (error == -EPERM)
                remedy = apps_remedy("chattr -i -a", object);
        else if (error == -EXDEV || error == -EBUSY)
                remedy = apps_remedy("umount", object);
        else
                r = dropin_remedy(work->config, object, error, &remedy);
        if (!reason || r < 0 ||
            ((error == -EPERM || error == -EXDEV || error == -EBUSY) && !remedy))
                return -ENOMEM;
        return remaining_add(&work->remaining, REMAINING_CACHE, object, reason, remedy);
}

static void on_remaining(void *userdata, const char *path, int error) {
        Removal *removal = userdata;
        cleanup_free char *object = NULL;

        if (removal->silent)
                return;
        object = apps_object(removal->place, path);
        removal->error = object ? remains(removal->work, object, removal->from, error) : -ENOMEM;
}

static int removal_end(Removal *removal, int r) {
        removal->work->bytes += removal->figures.bytes;
        return removal->error < 0 ? removal->error : r;
}

static uint64_t deadline(AppsWork *work) {
        if (work->until_usec == 0)
                work->until_usec = now_boottime_usec() + REMOVE_USEC;
        return work->until_usec;
}

/* Where no trash can be had. */
int apps_remove_in_place(AppsWork *work, const AppsLook *look, size_t index) {
        const App *app = &look->apps[index];

        for (size_t i = 0; i < look->n_caches; i++) {
                const AppCache *cache = &look->caches[i];
                Removal removal = {
                        .work = work,
                        .app = app->config->name,
                        .place = app->config->root,
                        .from = app->config->name,
                        .until_usec = deadline(work),
                };
                RemovalHooks hooks = { on_step, on_remaining, &removal };
                int r;

                if (cache->app != index)
                        continue;
                r = cache_remove(&app->root, &app->config->caches, cache->path, cache->dev,
                                 cache->ino, &hooks, &removal.figures);
                r = removal_end(&removal, r);
                if (r == -ECANCELED || r == -ENOMEM)
                        return r;
                if (r < 0 && r != -ENOENT) {
                        r = apps_work_failed(work, app, cache->path, r);
                } else if (r == 0) {
                        work->n_removed++;
                        r = receipt_add_cache(work->receipt, app->config->name, cache->path,
                                              cache->reach, NULL, removal.figures.bytes);
                }
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        return 0;
}

/* Sweeping. */

/* A trash directory that is open, for items that come together. */
typedef struct Place {
        char *path;
        int fd;
        uint64_t dev;
        int error;
        Diag diag;
} Place;

/* One that is missing from a file system that is not the item's was not removed: it is not mounted. */
static void place_open(Place *place, const TrashItem *item) {
        const char *slash = strrchr(item->place, '/');
        cleanup_free char *parent =
                slash ? strndup(item->place, (size_t)(slash - item->place) + 1) : NULL;
        struct stat st;

        cleanup_closep(&place->fd);
        free(place->path);
        *place = (Place){ .path = strdup(item->place), .fd = -EBADF };
        if (!parent || !place->path)
                place->error = slash ? -ENOMEM : -EINVAL;
        else if (stat(item->place, &st) == 0)
                place->error = trash_open(item->place, NULL, NULL, &place->fd, &place->diag);
        else if (stat(parent, &st) == 0 && st.st_dev == item->dev)
                place->error = -ENOENT; /* and not made for the purpose */
        else
                place->error = -ENODEV;
        if (place->fd >= 0 && fstat(place->fd, &st) < 0)
                place->error = -errno;
        place->dev = place->error == -ENOENT || place->fd >= 0 ? st.st_dev : 0;
}

/* The number of a device may be another after the host was started anew: what bears the name that no
 * one could guess, on the trash's own device, with the inode, is what was put there. */
static int remove_item(const Place *place, const TrashItem *item, const RemovalHooks *hooks,
                       RemovalFigures *figures) {
        int r;

        if (place->error < 0)
                return place->error;
        r = trash_remove(place->fd, item->name, item->dev, item->ino, hooks, figures);
        if (r == -ESTALE && place->dev != item->dev)
                r = trash_remove(place->fd, item->name, place->dev, item->ino, hooks, figures);
        return r;
}

/* What is not of an application that this work is about is told, but not for its account. */
static bool is_ours(const AppsWork *work, const TrashItem *item) {
        if (work->name)
                return strcmp(work->name, item->app) == 0;
        return !work->receipt || config_app(work->config, item->app);
}

static int item_left(AppsWork *work, const Place *place, const TrashItem *item, const char *object,
                     const char *from, int error) {
        if (!is_ours(work, item))
                return apps_note(&work->notes,
                                 text_format("%s, of %s, is still there: %s", object, from,
                                             error == -ENOTEMPTY ? "not all of it could "
                                                                   "be removed"
                                                                 : error_text(error)));
        if (place->error < 0 && place->diag.text[0])
                return remaining_add(&work->remaining, REMAINING_CACHE, object, place->diag.text,
                                     NULL);
        return error == -ENOTEMPTY ? 0 /* told entry by entry */
                                   : remains(work, object, from, error);
}

static int sweep_item(AppsWork *work, const Place *place, const TrashItem *item, bool old) {
        cleanup_free char *from = text_format("%s's %s", item->app, item->path);
        Removal removal = {
                .work = work,
                .app = item->app,
                .place = item->place,
                .from = from,
                .until_usec = deadline(work),
                .silent = !is_ours(work, item),
        };
        RemovalHooks hooks = { on_step, on_remaining, &removal };
        cleanup_free char *object = NULL;
        int r;

        if (!from)
                return -ENOMEM;
        r = removal_end(&removal, remove_item(place, item, &hooks, &removal.figures));
        if (r == 0) {
                work->n_removed++;
                work->n_left_overs += old;
                if (work->receipt && !old)
                        receipt_cache_removed(work->receipt, item->name, removal.figures.bytes);
        }
        if (r == 0 || (r == -ENOENT && place->dev == item->dev))
                return 1;
        object = text_format("%s/%s", item->place, item->name);
        if (!object)
                return -ENOMEM;
        switch (r) {
        case -ECANCELED:
        case -ENOMEM:
                return r;
        case -ENODEV:
        case -ENOENT:
                return apps_note(&work->notes,
                                 text_format("%s, what is left of %s, is not to be found: is "
                                             "its file system mounted?",
                                             object, from));
        case -ESTALE:
                return apps_note(
                        &work->notes,
                        text_format("%s is not what was put there, %s: left alone", object, from));
        default:
                return item_left(work, place, item, object, from, r);
        }
}

/* Items that are gone. To forget each costs the disk a write, and to find one gone is no harm: where
 * the store fails, the next sweep does. */
typedef struct Gone {
        TrashItem v[GONE_MAX]; /* borrowed */
        size_t n;
} Gone;

static int forget(AppsWork *work, Gone *gone) {
        size_t n = gone->n;
        int r;

        gone->n = 0;
        r = n > 0 ? store_drop_trash(work->store, gone->v, n, NULL) : 0;
        return r == -ENOMEM ? r : 0;
}

static int sweep_items(AppsWork *work, const TrashItems *items, Gone *gone) {
        size_t n_old = work->n_old;
        Place place = { .fd = -EBADF };
        int r = 0;

        for (size_t i = 0; i < items->n && r >= 0; i++) {
                const TrashItem *item = &items->v[i];

                if (!place.path || strcmp(place.path, item->place) != 0)
                        place_open(&place, item);
                r = sweep_item(work, &place, item, i < n_old);
                if (r > 0) {
                        gone->v[gone->n++] = *item;
                        work->n_old -= i < n_old;
                }
                if (r >= 0 && gone->n == GONE_MAX)
                        r = forget(work, gone);
        }
        cleanup_closep(&place.fd);
        free(place.path);
        return r;
}

static void count_old(AppsWork *work, const TrashItems *items) {
        if (!work->counted)
                work->n_old = items->n;
        work->counted = true;
}

int apps_work_count(AppsWork *work) {
        cleanup(trash_items_done) TrashItems items = { 0 };
        int r;

        if (work->counted)
                return 0;
        r = store_read_trash(work->store, &items, NULL);
        if (r == -ENOMEM)
                return r;
        if (r >= 0) /* else nothing is put beside it either */
                count_old(work, &items);
        return 0;
}

int apps_sweep(AppsWork *work) {
        cleanup(trash_items_done) TrashItems items = { 0 };
        Gone gone = { .n = 0 };
        Diag diag = DIAG_NULL;
        int r, k;

        r = store_read_trash(work->store, &items, &diag);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return apps_note(&work->notes,
                                 text_format("what earlier runs left in trash directories is not "
                                             "known: %s",
                                             diag_text(&diag, r)));
        count_old(work, &items);
        r = sweep_items(work, &items, &gone);
        k = forget(work, &gone);
        return r < 0 ? r : k;
}

/* What is left. */

static int index_failures(const AppsWork *work, Index *ret) {
        for (size_t i = 0; i < work->n_failures; i++)
                if (index_add(ret, work->failures[i].path, i) < 0)
                        return -ENOMEM;
        index_sort(ret);
        return 0;
}

static const AppFailure *find_failure(const AppsWork *work, const Index *by_path, const char *app,
                                      const char *path) {
        size_t n;
        const IndexEntry *entries = index_find(by_path, path, &n);

        for (size_t i = 0; i < n; i++) /* one an application */
                if (strcmp(work->failures[entries[i].at].app, app) == 0)
                        return &work->failures[entries[i].at];
        return NULL;
}

bool apps_hopeless(const AppsWork *work, const AppsLook *look) {
        cleanup(index_done) Index by_path = { 0 };

        if (index_failures(work, &by_path) < 0)
                return false;
        for (size_t i = 0; i < look->n_caches; i++) {
                const AppCache *cache = &look->caches[i];
                const AppFailure *failure = find_failure(
                        work, &by_path, look->apps[cache->app].config->name, cache->path);

                if (!failure || failure->error == -ESTALE || failure->error == -EEXIST ||
                    failure->error == -ENOTDIR)
                        return false;
        }
        return look->n_caches > 0 && !look->more;
}

static int still_there(const AppsWork *work, const Index *by_path, const AppsLook *look,
                       const AppCache *cache, RemainingList *list) {
        const AppConfig *config = look->apps[cache->app].config;
        const AppFailure *failure = find_failure(work, by_path, config->name, cache->path);
        cleanup_free char *object = NULL, *reason = NULL, *remedy = NULL;

        object = apps_object(config->root, cache->path);
        if (failure && dropin_remedy(work->config, config->root, failure->error, &remedy) < 0)
                return -ENOMEM;
        if (failure)
                reason = text_format("cannot be cleared: %s",
                                     failure->error == -ESTALE || failure->error == -EEXIST
                                             ? "something else was put in its place meanwhile"
                                             : error_text(failure->error));
        else
                reason = strdup("it was made anew: something goes on writing to it");
        return object && reason ? remaining_add(list, REMAINING_CACHE, object, reason, remedy)
                                : -ENOMEM;
}

/* Caches that are there though they should be gone. */
static int add_found(const AppsWork *work, const AppsLook *look, RemainingList *list) {
        size_t n_named = MIN(look->n_caches, (size_t)REMAINING_NAMED_MAX), n = 0;
        cleanup(index_done) Index by_path = { 0 };
        int r = index_failures(work, &by_path);

        for (size_t i = 0; i < n_named && r >= 0; i++)
                r = still_there(work, &by_path, look, &look->caches[i], list);
        if (r < 0)
                return r;
        for (size_t i = 0; i < look->n; i++)
                n += look->apps[i].n_caches;
        remaining_count(list, REMAINING_CACHE, n - n_named);
        return 0;
}

int apps_remaining(const AppsWork *work, const AppsLook *look, bool taken, RemainingList *ret) {
        int r = remaining_add_all(ret, &look->remaining);

        if (r >= 0)
                r = remaining_add_all(ret, &work->remaining);
        return r < 0 || taken ? r : add_found(work, look, ret);
}
