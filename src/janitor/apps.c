/* SPDX-License-Identifier: MIT */

/*
 * Looking at applications. Nothing here changes anything. The trap is a look that sees less than
 * there is and is taken for clean: what could not be searched is remaining, or an assumption.
 */

#include "janitor/apps.h"

#include <string.h>

#include "apps/dir.h"
#include "apps/find.h"
#include "apps/marker.h"
#include "apps/measure.h"
#include "apps/quarantine.h"
#include "apps/root.h"
#include "base/array.h"
#include "base/path.h"
#include "base/span.h"
#include "base/text.h"
#include "janitor/dropin.h"

/* Searching and measuring costs a host what it would cost `du`. */
#define WATCH_USEC (10 * USEC_PER_MINUTE)
#define WATCH_SHARE 500
#define WATCH_MEASURE_USEC (10 * USEC_PER_SEC)

static const char *const state_names[APP_STATE_MAX] = {
        [APP_OK] = "ok",
        [APP_MISSING] = "missing",
        [APP_EMPTY] = "empty",
        [APP_UNREADABLE] = "unreadable",
        [APP_READ_ONLY] = "readOnly",
        [APP_NOT_WRITABLE] = "notWritable",
        [APP_REFUSED] = "refused",
};

static AppState state_of_error(int error) {
        switch (error) {
        case -ENOENT:
                return APP_MISSING;
        case -EROFS:
                return APP_READ_ONLY;
        case -EPERM:
        case -EINVAL:
        case -ENOTDIR:
        case -ELOOP:
                return APP_REFUSED;
        default:
                return APP_UNREADABLE;
        }
}

/* Opens a root: whether it may be searched. `ret_error`: what the system said, if it is that. */
static AppState open_root(const AppConfig *config, AppRoot *ret, int *ret_error,
                          Diag *reterr_diag) {
        int r = app_open(config->root, ret, reterr_diag);

        *ret_error = r;
        if (r == -ENOENT)
                diag_format(reterr_diag, "%s does not exist", config->root);
        else if (r < 0 && !reterr_diag->text[0])
                diag_format(reterr_diag, "%s: %s", config->root, error_text(r));
        if (r < 0)
                return state_of_error(r);
        if (!app_marker(ret)) {
                bool empty = app_is_empty(ret);

                app_close(ret);
                diag_format(reterr_diag, empty ? "%s is empty" : "%s has no project in it",
                            config->root);
                return empty ? APP_EMPTY : APP_REFUSED;
        }
        if (ret->writable)
                return APP_OK;
        diag_format(reterr_diag, "%s is not wpcached's to write", config->root);
        *ret_error = -EACCES;
        return APP_NOT_WRITABLE;
}

/* Without a search. */
static uint64_t states_hash(const Config *config) {
        uint64_t hash = 0;

        for (size_t i = 0; i < config->apps.n; i++) {
                AppRoot root = APP_ROOT_NULL;
                Diag diag = DIAG_NULL;
                int error;
                AppState state = open_root(&config->apps.v[i], &root, &error, &diag);

                hash = hash * 31 + state;
                hash = hash * 31 + root.ino;
                app_close(&root);
        }
        return hash;
}

int apps_note(Strv *notes, char *text) {
        cleanup_free char *owned = text;

        if (!owned)
                return -ENOMEM;
        if (notes->n > REMAINING_NAMED_MAX)
                return 0;
        return strv_add(notes, notes->n < REMAINING_NAMED_MAX ? owned : "there is more to note");
}

char *apps_object(const char *place, const char *path) {
        cleanup_free char *text = path_text(path);

        return text ? text_format("%s/%s", place, text) : NULL;
}

/* An error that only shows once it is open. */
static int refuse(const Config *config, App *app, AppsLook *look, int error) {
        free(app->reason);
        free(TAKE_PTR(app->remedy));
        app->reason = strdup(error_text(error));
        app->state = APP_UNREADABLE;
        if (!app->reason || dropin_remedy(config, app->config->root, error, &app->remedy) < 0)
                return -ENOMEM;
        return remaining_add(&look->remaining, REMAINING_APP, app->config->name, app->reason,
                             app->remedy);
}

static int open_app(const Config *config, App *app, AppsLook *look) {
        Diag diag = DIAG_NULL;
        int error, r;

        app->state = open_root(app->config, &app->root, &error, &diag);
        if (app->state != APP_OK) {
                app->reason = strdup(diag.text);
                if (!app->reason)
                        return -ENOMEM;
                r = dropin_remedy(config, app->config->root, error, &app->remedy);
                if (r < 0)
                        return r;
        }
        if (app->root.fd < 0)
                return remaining_add(&look->remaining, REMAINING_APP, app->config->name,
                                     app->reason, app->remedy);

        diag = DIAG_NULL;
        lineage_read(app->root.fd, &app->lineage);
        r = dir_path(app->root.fd, &app->path);
        if (r < 0 && r != -ENOMEM) { /* it is moved about, or its path is too long */
                app_close(&app->root);
                return refuse(config, app, look, r);
        }
        if (r >= 0)
                r = context_new(&app->root, app->config->context, app->config->dockerfile,
                                &app->context, &diag);
        if (r >= 0 && diag.text[0])
                r = apps_note(&look->notes, text_format("%s: %s", app->config->name, diag.text));
        return r;
}

typedef struct Search {
        const Config *config;
        App *app;
        size_t index;
        AppsLook *look;
        const AppsOptions *options;
        const Reporter *reporter;
        uint64_t measure_until_usec;
        unsigned n_steps;
} Search;

static int on_step(void *userdata) {
        Search *search = userdata;

        return search->n_steps++ % 64 == 0 ? search->reporter->pause(search->reporter->userdata, 0)
                                           : 0;
}

static int keep(Search *search, const Cache *cache) {
        AppsLook *look = search->look;
        size_t n = strlen(cache->path) + 1;
        AppCache *kept;

        search->app->n_caches++;
        look->hash += text_hash(cache->path) + search->index;
        if (look->n_caches >= APP_CACHES_MAX || look->paths_bytes + n > APP_PATHS_BYTES_MAX) {
                look->more = true;
                return 0;
        }
        if (array_grow(look->caches, look->n_caches, look->size_caches) < 0)
                return -ENOMEM;
        kept = &look->caches[look->n_caches];
        *kept = (AppCache){
                .app = search->index,
                .path = strdup(cache->path),
                .dev = cache->dev,
                .ino = cache->ino,
                .reach = context_status(search->app->context, cache->path),
        };
        if (!kept->path)
                return -ENOMEM;
        look->n_caches++;
        look->paths_bytes += n;
        search->app->n_reached += kept->reach == CONTEXT_INSIDE;
        return 0;
}

/* Another file system is never entered. What a name of ours leads into it by is there to be cleared;
 * what might be anywhere below matters where a build sees it. */
static bool leads_into(const Search *search, const char *path) {
        const Strv *names = &search->app->config->caches;
        size_t n = strlen(path);

        for (size_t i = 0; i < names->n; i++)
                if (strncmp(names->v[i], path, n) == 0 && names->v[i][n] == '/')
                        return true;
        return context_status(search->app->context, path) == CONTEXT_INSIDE;
}

static int on_unsearched(Search *search, const Cache *cache, const char *object) {
        cleanup_free char *reason = NULL, *remedy = NULL;
        int r;

        if (cache->error == -EXDEV && !leads_into(search, cache->path))
                return apps_note(
                        &search->look->notes,
                        text_format("%s is another file system, and was not searched: no build "
                                    "sees it",
                                    object));
        if (cache->error == -EXDEV)
                return remaining_add(&search->look->remaining, REMAINING_CACHE, object,
                                     "another file system is mounted there, and was not searched",
                                     "unmount it, or have .dockerignore exclude it");
        reason = text_format("cannot be searched: %s", cache->error == -ESTALE
                                                               ? "it is moved about"
                                                               : error_text(cache->error));
        r = dropin_remedy(search->config, object, cache->error, &remedy);
        return reason && r == 0 ? remaining_add(&search->look->remaining, REMAINING_CACHE, object,
                                                reason, remedy)
                                : -ENOMEM;
}

static int on_found(void *userdata, const Cache *cache) {
        Search *search = userdata;
        cleanup_free char *object = NULL, *reason = NULL, *remedy = NULL;
        int r;

        if (cache->kind == CACHE_OTHER)
                return 0;
        object = apps_object(search->app->config->root, cache->path);
        if (!object)
                return -ENOMEM;
        switch (cache->kind) {
        case CACHE_LINK:
                return apps_note(
                        &search->look->notes,
                        text_format("%s is a symlink: it is not followed, and left", object));
        case CACHE_MOUNT:
                remedy = apps_remedy("umount", object);
                return remedy ? remaining_add(&search->look->remaining, REMAINING_CACHE, object,
                                              "a file system is mounted on it", remedy)
                              : -ENOMEM;
        case CACHE_UNSEARCHED:
                return on_unsearched(search, cache, object);
        default:
                break;
        }
        r = search->options->predict ? cache_quarantine_check(&search->app->root, cache->path) : 0;
        if (r < 0) {
                reason = text_format("cannot be cleared: %s", error_text(r));
                if (!reason || dropin_remedy(search->config, object, r, &remedy) < 0)
                        return -ENOMEM;
                return remaining_add(&search->look->remaining, REMAINING_CACHE, object, reason,
                                     remedy);
        }
        return keep(search, cache);
}

static int on_measure_step(void *userdata) {
        Search *search = userdata;
        int r = on_step(search);

        if (r < 0)
                return r;
        return search->n_steps % 64 == 0 && now_boottime_usec() > search->measure_until_usec
                       ? -ETIMEDOUT
                       : 0;
}

/* What can't be measured counts nothing. */
static int measure(Search *search) {
        AppsLook *look = search->look;

        search->measure_until_usec = now_boottime_usec() + search->options->measure_usec;
        for (size_t i = 0; i < look->n_caches; i++) {
                AppCache *cache = &look->caches[i];
                int r;

                if (cache->app != search->index)
                        continue;
                r = cache_measure(&search->app->root, cache->path, cache->dev, cache->ino,
                                  on_measure_step, search, &cache->bytes);
                if (r == -ETIMEDOUT)
                        return 0;
                if (r == -ECANCELED || r == -ENOMEM)
                        return r;
                search->app->bytes += cache->bytes;
        }
        search->app->measured = true;
        return 0;
}

static int search_app(Search *search) {
        CacheHooks hooks = { .found = on_found, .step = on_step, .userdata = search };
        App *app = search->app;
        int r;

        r = cache_find(&app->root, &app->config->caches, &hooks);
        if (r == -ECANCELED || r == -ENOMEM)
                return r;
        if (r < 0)
                return refuse(search->config, app, search->look, r);
        app->searched = true;
        return search->options->measure ? measure(search) : 0;
}

static int look_at(const Config *config, const AppsOptions *options, const Reporter *reporter,
                   AppsLook *look) {
        look->apps = calloc(MAX(config->apps.n, (size_t)1), sizeof(*look->apps));
        if (!look->apps)
                return -ENOMEM;
        for (size_t i = 0; i < config->apps.n; i++) {
                const AppConfig *app_config = &config->apps.v[i];
                App *app = &look->apps[look->n];
                Search search = {
                        .config = config,
                        .app = app,
                        .index = look->n,
                        .look = look,
                        .options = options,
                        .reporter = reporter,
                };
                int r;

                if (options->name && strcmp(options->name, app_config->name) != 0)
                        continue;
                *app = (App){ .config = app_config, .root = APP_ROOT_NULL };
                look->n++;
                r = open_app(config, app, look);
                if (r >= 0 && app->root.fd >= 0 && !options->states_alone)
                        r = search_app(&search);
                if (r < 0)
                        return r;
        }
        return 0;
}

int apps_look(const Config *config, const AppsOptions *options, const Reporter *reporter,
              AppsLook *ret) {
        cleanup(apps_look_done) AppsLook look = { 0 };
        int r;

        r = look_at(config, options, reporter, &look);
        if (r < 0)
                return r;
        *ret = look;
        look = (AppsLook){ 0 };
        return 0;
}

/* `mounted` is NULL where that is not known, since a container is unreadable. */
static int spare(AppsLook *look, const AppCache *cache, const Mounted *mounted,
                 const Unreadable *unreadable) {
        cleanup_free char *object = NULL, *reason = NULL, *remedy = NULL;
        App *app = &look->apps[cache->app];

        object = apps_object(app->config->root, cache->path);
        if (mounted) {
                reason = text_format("container %s has %s mounted at %s", mounted->container->name,
                                     mounted->mount->volume ?: mounted->mount->source,
                                     mounted->mount->destination);
                remedy = text_format("wpcachectl clear --target %s --include-mounted, then docker "
                                     "restart %s",
                                     app->config->name, mounted->container->name);
        } else {
                reason = text_format("a container may have it mounted: %s can't be read (%s)",
                                     unreadable->object, unreadable->reason);
                remedy = text_format("wpcachectl clear --target %s --include-mounted",
                                     app->config->name);
        }
        if (!object || !reason || !remedy)
                return -ENOMEM;
        app->n_caches--;
        app->n_reached -= cache->reach == CONTEXT_INSIDE;
        app->bytes -= cache->bytes;
        return remaining_add(&look->remaining, REMAINING_CACHE, object, reason, remedy);
}

/* Whether a cache is to be left: 1, 0, or -ENOMEM; `*ret` is then the mount, where that is known. */
static int is_held(const AppsLook *look, const AppCache *cache, const MountedSet *mounted,
                   const ContainerSet *containers, const Mounted **ret) {
        const App *app = &look->apps[cache->app];
        int r;

        r = mounted_find(mounted, &app->lineage, app->path, cache->path, cache->dev, cache->ino,
                         ret);
        return r < 0 ? r : *ret || containers->unreadable.n > 0;
}

int apps_spare_mounted(AppsLook *look, const ContainerSet *containers) {
        cleanup(mounted_done) MountedSet mounted = { 0 };
        size_t n = look->n_caches;
        int r;

        r = mounted_read(containers, &mounted);
        look->n_caches = 0;
        for (size_t i = 0; i < n; i++) {
                AppCache *cache = &look->caches[i];
                const Mounted *found = NULL;

                if (r >= 0)
                        r = is_held(look, cache, &mounted, containers, &found);
                if (r <= 0) { /* after an error, too: the list stays whole */
                        look->caches[look->n_caches++] = *cache;
                        continue;
                }
                r = spare(look, cache, found, containers->unreadable.v);
                free(cache->path);
        }
        return MIN(r, 0);
}

void apps_look_done(AppsLook *look) {
        for (size_t i = 0; i < look->n; i++) {
                App *app = &look->apps[i];

                app_close(&app->root);
                context_free(app->context);
                free(app->reason);
                free(app->remedy);
                free(app->path);
        }
        for (size_t i = 0; i < look->n_caches; i++)
                free(look->caches[i].path);
        free(look->apps);
        free(look->caches);
        remaining_done(&look->remaining);
        strv_done(&look->notes);
        *look = (AppsLook){ 0 };
}

static int add_app(Json *array, const App *app, int64_t searched_sec) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "name", app->config->name);
        r |= json_add_string(json, "root", app->config->root);
        r |= json_add_string(json, "state", state_names[app->state]);
        r |= json_add_string(json, "reason", app->reason);
        r |= json_add_string(json, "remedy", app->remedy);
        r |= json_add_string(json, "context", app->config->context ?: app->config->root);
        if (app->searched) {
                r |= json_add_int(json, "searchedAt", searched_sec);
                r |= json_add_int(json, "caches", (int64_t)app->n_caches);
                r |= json_add_int(json, "reached", (int64_t)app->n_reached);
        }
        if (app->measured)
                r |= json_add_int(json, "bytes", (int64_t)app->bytes);
        return r < 0 ? -ENOMEM : json_add(array, NULL, TAKE_PTR(json));
}

Json *apps_json(const AppsLook *look, int64_t searched_sec) {
        cleanup(json_free) Json *array = json_new_array();

        for (size_t i = 0; i < look->n; i++)
                if (!array || add_app(array, &look->apps[i], searched_sec) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

int apps_add_caches(const AppsLook *look, Json *array) {
        for (size_t i = 0; i < look->n_caches && json_size(array) < REMAINING_NAMED_MAX; i++) {
                const AppCache *cache = &look->caches[i];
                cleanup_free char *path = path_text(cache->path);
                int r;

                if (!path)
                        return -ENOMEM;
                r = cache_add_json(array, look->apps[cache->app].config->name, path, cache->reach,
                                   cache->bytes);
                if (r < 0)
                        return r;
        }
        return 0;
}

int apps_watch(AppsWatch *watch, const Config *config, unsigned generation,
               const Reporter *reporter, Json **ret) {
        cleanup(apps_look_done) AppsLook look = { 0 };
        uint64_t begin_usec = now_monotonic_usec(), hash = states_hash(config);
        AppsOptions options = { .measure = true, .measure_usec = WATCH_MEASURE_USEC };
        Json *json;
        int r;

        if (watch->looked_usec > 0 && watch->generation == generation &&
            watch->states_hash == hash &&
            now_boottime_usec() <
                    watch->looked_usec + MAX(WATCH_USEC, WATCH_SHARE * watch->took_usec))
                return 0;
        r = apps_look(config, &options, reporter, &look);
        if (r == -ECANCELED) {
                options.states_alone = true;
                r = apps_look(config, &options, reporter, &look);
        }
        if (r < 0)
                return r;
        json = apps_json(&look, now_realtime_sec());
        if (!json)
                return -ENOMEM;
        *watch = (AppsWatch){
                .looked_usec = now_boottime_usec(),
                .took_usec = now_monotonic_usec() - begin_usec,
                .states_hash = hash,
                .generation = generation,
        };
        *ret = json;
        return 0;
}
