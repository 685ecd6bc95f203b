/* SPDX-License-Identifier: MIT */

/*
 * Every cache's name in the trash is stored before it is renamed, so that a daemon killed at any moment
 * leaves nothing that the next one does not know.
 */

#include <stdio.h>
#include <string.h>

#include "apps/quarantine.h"
#include "apps/trash.h"
#include "base/array.h"
#include "base/path.h"
#include "base/text.h"
#include "janitor/apps.h"

#define BATCH 256

static void forget_failures(AppsWork *work) {
        for (size_t i = 0; i < work->n_failures; i++) {
                free(work->failures[i].app);
                free(work->failures[i].path);
        }
        work->n_failures = 0;
}

int apps_work_failed(AppsWork *work, const App *app, const char *path, int error) {
        cleanup_free char *name = strdup(app->config->name), *copy = strdup(path);

        if (!name || !copy || array_grow(work->failures, work->n_failures, work->size_failures) < 0)
                return -ENOMEM;
        work->failures[work->n_failures++] = (AppFailure){ TAKE_PTR(name), TAKE_PTR(copy), error };
        return 0;
}

typedef struct Batch {
        AppsWork *work;
        const App *app;
        const char *place;
        CacheQuarantine takes[BATCH];
        const AppCache *caches[BATCH];
        size_t n;
        TrashItem items[BATCH];
        Diag *diag;
} Batch;

static void batch_free_items(Batch *batch) {
        for (size_t i = 0; i < batch->n; i++) {
                free(batch->items[i].place);
                free(batch->items[i].app);
                free(batch->items[i].path);
        }
        memset(batch->items, 0, sizeof(batch->items));
}

static int on_store(void *userdata, const CacheQuarantine *takes, size_t n) {
        Batch *batch = userdata;

        for (size_t i = 0; i < n; i++) {
                TrashItem *item = &batch->items[i];

                *item = (TrashItem){
                        .place = strdup(batch->place),
                        .dev = takes[i].dev,
                        .ino = takes[i].ino,
                        .app = strdup(batch->app->config->name),
                        .path = path_text(takes[i].path),
                };
                strcpy(item->name, takes[i].name);
                if (!item->place || !item->app || !item->path)
                        return -ENOMEM;
        }
        return store_add_trash(batch->work->store, batch->items, n, batch->diag);
}

/* What became of each, and what did not get into the trash is forgotten. */
static int settle(Batch *batch) {
        TrashItem forgotten[BATCH];
        AppsWork *work = batch->work;
        size_t n = 0;

        for (size_t i = 0; i < batch->n; i++) {
                const CacheQuarantine *take = &batch->takes[i];
                int r = 0;

                if (take->result == 0 && work->receipt)
                        r = receipt_add_cache(work->receipt, batch->app->config->name, take->path,
                                              batch->caches[i]->reach, take->name, 0);
                else if (take->result < 0 && take->result != -ENOENT)
                        r = apps_work_failed(work, batch->app, take->path, take->result);
                if (r < 0)
                        return r;
                if (take->result < 0 && take->result != -EEXIST)
                        forgotten[n++] = batch->items[i];
        }
        return n > 0 ? store_drop_trash(work->store, forgotten, n, batch->diag) : 0;
}

static int take_batch(Batch *batch, int trash_fd) {
        int r;

        r = cache_quarantine(&batch->app->root, &batch->app->config->caches, trash_fd, batch->takes,
                             batch->n, on_store, batch);
        if (r >= 0)
                r = settle(batch);
        batch_free_items(batch);
        batch->n = 0;
        return r;
}

static int take_into(AppsWork *work, const AppsLook *look, size_t index, const char *place,
                     int trash_fd, Diag *reterr_diag) {
        cleanup_free Batch *batch = calloc(1, sizeof(*batch));
        int r;

        if (!batch)
                return -ENOMEM;
        batch->work = work;
        batch->app = &look->apps[index];
        batch->place = place;
        batch->diag = reterr_diag;
        for (size_t i = 0; i < look->n_caches; i++) {
                const AppCache *cache = &look->caches[i];

                if (cache->app != index)
                        continue;
                batch->caches[batch->n] = cache;
                batch->takes[batch->n++] = (CacheQuarantine){ .path = cache->path,
                                                              .dev = cache->dev,
                                                              .ino = cache->ino };
                if (batch->n < BATCH)
                        continue;
                r = work->reporter->pause(work->reporter->userdata, 0);
                if (r >= 0)
                        r = take_batch(batch, trash_fd);
                if (r < 0)
                        return r;
        }
        return batch->n > 0 ? take_batch(batch, trash_fd) : 0;
}

/* -ENOTSUP: there is none. */
static int open_trash(AppsWork *work, const App *app, char **ret_path, int *ret_fd,
                      Diag *reterr_diag) {
        cleanup_free char *path = NULL, *directory = NULL, *state = NULL;
        cleanup(strv_done) Strv outside = STRV_NULL;
        cleanup_close int fd = -EBADF;
        int r;

        r = config_build_directories(work->config, &outside);
        if (r < 0)
                return r;
        if (app->config->trash) {
                path = strdup(app->config->trash);
                if (!path)
                        return -ENOMEM;
                r = trash_open(path, &app->root, &outside, &fd, reterr_diag);
                if (r < 0)
                        diag_prefix(reterr_diag, "[app %s] trash", app->config->name);
        } else {
                directory = store_directory(work->store);
                state = directory ? text_format("%s/trash", directory) : NULL;
                r = state ? trash_choose(&app->root, state, &outside, &path, &fd, reterr_diag)
                          : -ENOMEM;
        }
        if (r < 0)
                return r == -ENOMEM ? r : -ENOTSUP;
        *ret_path = TAKE_PTR(path);
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int take_in_place(AppsWork *work, const AppsLook *look, size_t index, const char *why) {
        int r = apps_note(&work->notes, text_format("%s: caches were removed where they lay: %s",
                                                    look->apps[index].config->name, why));

        return r < 0 ? r : apps_remove_in_place(work, look, index);
}

static int take_app(AppsWork *work, const AppsLook *look, size_t index) {
        const App *app = &look->apps[index];
        cleanup_close int trash_fd = -EBADF;
        cleanup_free char *place = NULL, *text = NULL;
        Diag diag = DIAG_NULL;
        int r;

        text = text_format("Clearing caches of %s", app->config->name);
        if (!text)
                return -ENOMEM;
        apps_work_tell(work, text);
        if (work->in_place)
                return take_in_place(work, look, index, work->in_place);
        r = open_trash(work, app, &place, &trash_fd, &diag);
        if (r >= 0)
                r = take_into(work, look, index, place, trash_fd, &diag);
        if (r >= 0 || r == -ENOMEM || r == -ECANCELED)
                return r;
        /* There is no trash, or what would be in it could not be stored. */
        return take_in_place(work, look, index, diag_text(&diag, r));
}

int apps_take(AppsWork *work, AppsLook *look) {
        int r = apps_work_count(work);

        if (r < 0)
                return r;
        forget_failures(work);
        remaining_done(&work->remaining);
        for (size_t i = 0; i < look->n; i++) {
                if (look->apps[i].n_caches == 0)
                        continue;
                r = take_app(work, look, i);
                if (r < 0)
                        return r;
        }
        return 0;
}
