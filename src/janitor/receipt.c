/* SPDX-License-Identifier: MIT */

/*
 * Receipts as values and as JSON. What is stored is the JSON of the wire, so that what `history`
 * shows, what `clear --json` printed and what lies on disk can't drift apart.
 */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/array.h"
#include "base/path.h"
#include "base/text.h"
#include "janitor/receipt.h"

const char *target_to_string(Target target, const char *app) {
        return app[0] ? app : target_name(target);
}

int target_from_string(const Config *config, const char *text, Target *ret,
                       char ret_app[static APP_NAME_MAX]) {
        bool is_name = target_is_name(text);

        if (!is_name && !config_app(config, text))
                return -EINVAL;
        *ret = target_of(text);
        strcpy(ret_app, is_name ? "" : text);
        return 0;
}

static const char *const outcome_names[OUTCOME_MAX] = {
        [OUTCOME_INTERRUPTED] = "interrupted", [OUTCOME_FRESH] = "fresh",
        [OUTCOME_NOT_FRESH] = "notFresh",      [OUTCOME_CLEARED] = "cleared",
        [OUTCOME_NOT_CLEARED] = "notCleared",  [OUTCOME_FAILED] = "failed",
};

const char *outcome_to_string(Outcome outcome) {
        return outcome_names[outcome];
}

Json *named_images_json(const NamedImages *list) {
        cleanup(json_free) Json *array = json_new_array();

        for (size_t i = 0; i < list->n; i++) {
                cleanup(json_free) Json *entry = json_new_object();
                int r;

                r = json_add_string(entry, "name", list->v[i].name);
                r |= json_add_string(entry, "imageId", list->v[i].id);
                if (list->v[i].deleted)
                        r |= json_add_bool(entry, "deleted", true);
                r |= json_add(array, NULL, TAKE_PTR(entry));
                if (r < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static const char *const remaining_kind_names[REMAINING_KIND_MAX] = {
        [REMAINING_RECORD] = "record",
        [REMAINING_IMAGE] = "image",
        [REMAINING_CONTAINER] = "container",
        [REMAINING_BUILDER] = "builder",
        [REMAINING_BUILD] = "build",
        [REMAINING_CACHE] = "cache",
        [REMAINING_APP] = "app",
        [REMAINING_STORE] = "store",
};

static int add_remaining(RemainingList *list, RemainingKind kind, const char *object,
                         const char *reason, const char *remedy) {
        cleanup_free char *o = strdup(object), *w = strdup(reason);
        cleanup_free char *m = remedy ? strdup(remedy) : NULL;

        if (!o || !w || (remedy && !m) || array_grow(list->v, list->n, list->size) < 0)
                return -ENOMEM;
        list->v[list->n++] = (Remaining){
                .kind = kind,
                .object = TAKE_PTR(o),
                .reason = TAKE_PTR(w),
                .remedy = TAKE_PTR(m),
        };
        list->counts[kind].named++;
        return 0;
}

bool remaining_is_full(const RemainingList *list, RemainingKind kind) {
        return list->counts[kind].named >= REMAINING_NAMED_MAX;
}

void remaining_count(RemainingList *list, RemainingKind kind, size_t n) {
        list->counts[kind].more += n;
}

int remaining_add(RemainingList *list, RemainingKind kind, const char *object, const char *reason,
                  const char *remedy) {
        if (!remaining_is_full(list, kind))
                return add_remaining(list, kind, object, reason, remedy);
        remaining_count(list, kind, 1);
        return 0;
}

int remaining_format(RemainingList *list, RemainingKind kind, const char *object,
                     const char *remedy, const char *format, ...) {
        cleanup_free char *reason = NULL;
        va_list args;

        va_start(args, format);
        reason = text_vformat(format, args);
        va_end(args);
        return reason ? remaining_add(list, kind, object, reason, remedy) : -ENOMEM;
}

int remaining_add_all(RemainingList *list, const RemainingList *from) {
        int r = 0;

        for (size_t i = 0; i < from->n && r >= 0; i++)
                r = remaining_add(list, from->v[i].kind, from->v[i].object, from->v[i].reason,
                                  from->v[i].remedy);
        for (RemainingKind kind = 0; kind < REMAINING_KIND_MAX; kind++)
                remaining_count(list, kind, from->counts[kind].more);
        return r;
}

int remaining_close(RemainingList *list) {
        for (RemainingKind kind = 0; kind < REMAINING_KIND_MAX; kind++) {
                char text[64];
                int r;

                if (list->counts[kind].more == 0)
                        continue;
                snprintf(text, sizeof(text), "and %zu more", list->counts[kind].more);
                r = add_remaining(list, kind, text, "as the ones named", NULL);
                if (r < 0)
                        return r;
                list->counts[kind].more = 0;
        }
        return 0;
}

void remaining_done(RemainingList *list) {
        for (size_t i = 0; i < list->n; i++) {
                free(list->v[i].object);
                free(list->v[i].reason);
                free(list->v[i].remedy);
        }
        free(list->v);
        *list = (RemainingList){ 0 };
}

Json *remaining_json(const RemainingList *list) {
        cleanup(json_free) Json *array = json_new_array();

        for (size_t i = 0; i < list->n; i++) {
                cleanup(json_free) Json *entry = json_new_object();
                const Remaining *remaining = &list->v[i];
                int r;

                r = json_add_string(entry, "kind", remaining_kind_names[remaining->kind]);
                r |= json_add_string(entry, "object", remaining->object);
                r |= json_add_string(entry, "reason", remaining->reason);
                r |= json_add_string(entry, "remedy", remaining->remedy);
                r |= json_add(array, NULL, TAKE_PTR(entry));
                if (r < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

void receipt_id_make(char ret_id[static RECEIPT_ID_MAX], uint64_t now_usec) {
        time_t t = (time_t)(now_usec / USEC_PER_SEC);
        struct tm tm;
        size_t n;

        gmtime_r(&t, &tm);
        n = strftime(ret_id, RECEIPT_ID_MAX, "%Y%m%d-%H%M%S", &tm);
        /* Two clears within one second are told apart, and which was the later one. */
        snprintf(ret_id + n, RECEIPT_ID_MAX - n, "-%05x", (unsigned)(now_usec % USEC_PER_SEC));
}

bool receipt_id_valid(const char *text) {
        size_t n = strspn(text, "0123456789abcdef-");

        return n > 0 && n < RECEIPT_ID_MAX && text[n] == '\0' && text[0] != '-';
}

void receipt_done(Receipt *receipt) {
        free(receipt->who.user);
        free(receipt->who.command);
        json_free(receipt->engine);
        remaining_done(&receipt->remaining);
        strv_done(&receipt->assumes);
        strv_done(&receipt->notes);
        named_images_done(&receipt->names);
        named_images_done(&receipt->rollback_tags);
        named_images_done(&receipt->replaced_tags);
        strv_done(&receipt->kept_mounts);
        for (size_t i = 0; i < receipt->disks.n; i++)
                free(receipt->disks.v[i].path);
        free(receipt->disks.v);
        for (size_t i = 0; i < receipt->caches.n; i++) {
                free(receipt->caches.v[i].app);
                free(receipt->caches.v[i].path);
        }
        free(receipt->caches.v);
        json_free(receipt->not_reached);
        free(receipt->error);
        *receipt = (Receipt){ 0 };
}

Json *who_json(const Who *who) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_int(json, "uid", who->uid);
        r |= json_add_int(json, "pid", who->pid);
        r |= json_add_string(json, "user", who->user);
        r |= json_add_string(json, "command", who->command);
        return r < 0 ? NULL : TAKE_PTR(json);
}

static Json *removed_json(const Receipt *receipt) {
        static const char *const names[REMOVED_MAX] = { "names", "untagged", "records", "caches" };
        cleanup(json_free) Json *array = json_new_array();

        for (RemovedStep step = 0; step < REMOVED_MAX; step++) {
                cleanup(json_free) Json *entry = json_new_object();
                int r;

                r = json_add_string(entry, "step", names[step]);
                r |= json_add_int(entry, "objects", (int64_t)receipt->removed[step].objects);
                r |= json_add_int(entry, "engineReportedBytes",
                                  (int64_t)receipt->removed[step].engine_bytes);
                r |= json_add(array, NULL, TAKE_PTR(entry));
                if (r < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static Json *caches_json(const Receipt *receipt) {
        bool ended = receipt->outcome != OUTCOME_INTERRUPTED && receipt->outcome != OUTCOME_FAILED;
        cleanup(json_free) Json *array = json_new_array();

        for (size_t i = 0; i < receipt->caches.n; i++) {
                const TakenCache *cache = &receipt->caches.v[i];
                int r;

                if (ended && !cache->removed)
                        continue;
                r = cache_add_json(array, cache->app, cache->path, cache->reach, cache->bytes);

                if (r < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static uint64_t engine_bytes(const Receipt *receipt) {
        uint64_t bytes = 0;

        for (RemovedStep step = 0; step < REMOVED_MAX; step++)
                bytes += receipt->removed[step].engine_bytes;
        return bytes;
}

int cache_add_json(Json *array, const char *app, const char *path, ContextStatus reach,
                   uint64_t bytes) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "app", app);
        r |= json_add_string(json, "path", path);
        r |= json_add_string(json, "reach", context_status_to_string(reach));
        r |= json_add_int(json, "bytes", (int64_t)bytes);
        return r < 0 ? -ENOMEM : json_add(array, NULL, TAKE_PTR(json));
}

Json *receipt_json(const Receipt *receipt) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "id", receipt->id);
        r |= json_add_string(json, "target", target_to_string(receipt->target, receipt->app));
        r |= json_add_string(json, "outcome", outcome_to_string(receipt->outcome));
        if (target_speaks_of_fresh(receipt->target))
                r |= json_add_bool(json, "fresh", receipt->outcome == OUTCOME_FRESH);
        r |= json_add(json, "who", who_json(&receipt->who));
        r |= json_add_int(json, "startedAt", receipt->started_sec);
        if (receipt->finished_sec > 0)
                r |= json_add_int(json, "finishedAt", receipt->finished_sec);
        r |= json_add_bool(json, "keepMounts", receipt->keep_mounts);
        r |= json_add_int(json, "passes", receipt->passes);
        if (receipt->engine)
                r |= json_add(json, "engine", json_copy(receipt->engine));
        r |= json_add(json, "remaining", remaining_json(&receipt->remaining));
        r |= json_add(json, "assumes", json_new_strings(&receipt->assumes));
        r |= json_add(json, "notes", json_new_strings(&receipt->notes));
        r |= json_add(json, "removed", removed_json(receipt));
        r |= json_add_int(json, "engineReportedBytes", (int64_t)engine_bytes(receipt));
        r |= json_add_int(json, "diskFreedBytes", (int64_t)receipt->disk_freed_bytes);
        r |= json_add_int(json, "appBytes", (int64_t)receipt->app_bytes);
        r |= json_add(json, "caches", caches_json(receipt));
        r |= json_add(json, "notReached",
                      receipt->not_reached ? json_copy(receipt->not_reached) : json_new_array());
        r |= json_add(json, "names", named_images_json(&receipt->names));
        r |= json_add(json, "rollbackTags", named_images_json(&receipt->rollback_tags));
        r |= json_add(json, "replacedTags", named_images_json(&receipt->replaced_tags));
        r |= json_add(json, "keptMounts", json_new_strings(&receipt->kept_mounts));
        r |= json_add_string(json, "error", receipt->error);
        return r < 0 ? NULL : TAKE_PTR(json);
}

void receipt_run(const Receipt *receipt, Run *ret) {
        *ret = (Run){
                .kind = "clear",
                .started_sec = receipt->started_sec,
                .finished_sec = receipt->finished_sec,
                .n_remaining = receipt->remaining.n,
                .engine_bytes = engine_bytes(receipt),
                .freed_bytes = receipt->target & TARGET_DOCKER ? receipt->disk_freed_bytes
                                                               : receipt->app_bytes,
                .took_names = receipt->names.n > 0,
        };
        for (RemovedStep step = 0; step < REMOVED_MAX; step++)
                ret->n_removed += receipt->removed[step].objects;
        strcpy(ret->id, receipt->id);
        snprintf(ret->target, sizeof(ret->target), "%s",
                 target_to_string(receipt->target, receipt->app));
        snprintf(ret->outcome, sizeof(ret->outcome), "%s", outcome_to_string(receipt->outcome));
        if (receipt->who.user)
                snprintf(ret->who, sizeof(ret->who), "%s", receipt->who.user);
        else
                snprintf(ret->who, sizeof(ret->who), "%u", (unsigned)receipt->who.uid);
}

int receipt_add_disk(Receipt *receipt, const char *path) {
        cleanup_free char *copy = NULL;
        struct stat st, other;

        if (stat(path, &st) < 0)
                return 0;
        for (size_t i = 0; i < receipt->disks.n; i++)
                if (stat(receipt->disks.v[i].path, &other) >= 0 && other.st_dev == st.st_dev)
                        return 0;
        copy = strdup(path);
        if (!copy || array_grow(receipt->disks.v, receipt->disks.n, receipt->disks.size) < 0)
                return -ENOMEM;
        receipt->disks.v[receipt->disks.n++] = (FreedDisk){ .path = TAKE_PTR(copy) };
        return 0;
}

void receipt_measure_disks(Receipt *receipt) {
        receipt->disk_freed_bytes = 0;
        for (size_t i = 0; i < receipt->disks.n; i++) {
                FreedDisk *disk = &receipt->disks.v[i];
                struct statvfs fs;
                uint64_t free_bytes;

                if (statvfs(disk->path, &fs) < 0)
                        continue;
                free_bytes = (uint64_t)fs.f_bfree * fs.f_frsize;
                if (!disk->measured)
                        disk->before_bytes = free_bytes;
                else if (free_bytes > disk->before_bytes)
                        receipt->disk_freed_bytes += free_bytes - disk->before_bytes;
                disk->measured = true;
        }
}

void receipt_cache_removed(Receipt *receipt, const char *name, uint64_t bytes) {
        receipt->removed[REMOVED_CACHES].objects++;
        for (size_t i = 0; i < receipt->caches.n; i++) {
                TakenCache *cache = &receipt->caches.v[i];

                if (strcmp(cache->name, name) != 0)
                        continue;
                cache->removed = true;
                cache->bytes = bytes;
        }
}

int receipt_add_cache(Receipt *receipt, const char *app, const char *path, ContextStatus reach,
                      const char *name, uint64_t bytes) {
        cleanup_free char *app_copy = NULL, *text = NULL;
        TakenCache *cache;

        receipt->removed[REMOVED_CACHES].objects += !name;
        if (receipt->caches.n >= REMAINING_NAMED_MAX)
                return 0;
        app_copy = strdup(app);
        text = path_text(path);
        if (!app_copy || !text ||
            array_grow(receipt->caches.v, receipt->caches.n, receipt->caches.size) < 0)
                return -ENOMEM;
        cache = &receipt->caches.v[receipt->caches.n++];
        *cache = (TakenCache){ .reach = reach, .removed = !name, .bytes = bytes };
        snprintf(cache->name, sizeof(cache->name), "%s", name ?: "");
        cache->app = TAKE_PTR(app_copy);
        cache->path = TAKE_PTR(text);
        return 0;
}

Json *engine_json(const char *socket, const EngineInfo *info, const char *reason) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "state", info ? "ok" : reason ? "unavailable" : "unknown");
        r |= json_add_string(json, "reason", reason);
        r |= json_add_string(json, "socket", socket);
        if (info) {
                r |= json_add_string(json, "version", info->version);
                r |= json_add_string(json, "apiVersion", info->api_version);
                r |= json_add_string(json, "imageStore",
                                     info->image_store == IMAGE_STORE_CONTAINERD ? "containerd"
                                                                                 : "graphdriver");
        }
        return r < 0 ? NULL : TAKE_PTR(json);
}
