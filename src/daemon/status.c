/* SPDX-License-Identifier: MIT */

/*
 * What GetStatus says: always of what is known already, never asked of the engine for the occasion.
 */

#include "daemon/manager.h"

static Json *config_status(const Manager *manager) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "file", manager->config->file ?: "(defaults)");
        r |= json_add_int(json, "loadedAt", manager->config_loaded_sec);
        r |= json_add_string(json, "error", manager->config_error);
        return r < 0 ? NULL : TAKE_PTR(json);
}

static int add_summary(const Summary *summary, Json *status) {
        cleanup(json_free) Json *builder = json_new_object(), *images = json_new_object();
        cleanup(json_free) Json *disk = json_new_object();
        int r;

        if (summary->observed_sec == 0)
                return 0;
        r = json_add_int(status, "observedAt", summary->observed_sec);
        r |= json_add_int(builder, "records", (int64_t)summary->records);
        r |= json_add_int(builder, "inUse", (int64_t)summary->records_in_use);
        r |= json_add_int(builder, "bytes", (int64_t)summary->record_bytes);
        r |= json_add_int(builder, "sharedBytes", (int64_t)summary->record_shared_bytes);
        r |= json_add_int(images, "matching", (int64_t)summary->images_matching);
        r |= json_add_int(images, "untagged", (int64_t)summary->images_untagged);
        r |= json_add_int(images, "total", (int64_t)summary->images);
        r |= json_add_int(images, "rollbackTags", (int64_t)summary->rollback_tags);
        r |= json_add(status, "builder", TAKE_PTR(builder));
        r |= json_add(status, "images", TAKE_PTR(images));
        if (summary->disk_total_bytes > 0) {
                r |= json_add_string(disk, "path", summary->engine.root_dir);
                r |= json_add_int(disk, "totalBytes", (int64_t)summary->disk_total_bytes);
                r |= json_add_int(disk, "freeBytes", (int64_t)summary->disk_free_bytes);
                r |= json_add(status, "disk", TAKE_PTR(disk));
        }
        return r;
}

static Json *present_json(const Present *present) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "id", present->id);
        r |= json_add_string(json, "kind", job_kind_to_string(present->kind));
        if (present->kind == JOB_CLEAR)
                r |= json_add_string(json, "target", target_to_string(present->target));
        r |= json_add_int(json, "startedAt", present->started_sec);
        r |= json_add_string(json, "step", present->step);
        r |= json_add_string(json, "message", present->message);
        return r < 0 ? NULL : TAKE_PTR(json);
}

Json *manager_status(Manager *manager) {
        const EngineInfo *engine =
                manager->engine_known && !manager->engine_reason ? &manager->summary.engine : NULL;
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "version", WPCACHE_VERSION);
        r |= json_add_int(json, "startedAt", manager->started_sec);
        r |= json_add(json, "config", config_status(manager));
        r |= json_add(json, "engine",
                      engine_json(manager->config->docker_socket, engine, manager->engine_reason));
        r |= add_summary(&manager->summary, json);
        if (manager->present.id[0] && manager->present.kind != JOB_POLL)
                r |= json_add(json, "job", present_json(&manager->present));
        r |= json_add_int(json, "queued", (int64_t)worker_queued(manager->worker));
        if (manager->last_clear)
                r |= json_add(json, "lastClear", json_copy(manager->last_clear));
        return r < 0 ? NULL : TAKE_PTR(json);
}
