/* SPDX-License-Identifier: MIT */

/*
 * What GetStatus says: always of what is known already, never asked of the engine for the occasion.
 */

#include <string.h>

#include "base/span.h"
#include "daemon/dispatch.h"
#include "daemon/remedy.h"
#include "janitor/history.h"

static Json *config_status(const Manager *manager) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "file", manager->config->file ?: "(defaults)");
        r |= json_add_int(json, "loadedAt", manager->config_loaded_sec);
        r |= json_add_string(json, "error", manager->config_error);
        return r < 0 ? NULL : TAKE_PTR(json);
}

void manager_builder_limits(const Manager *manager, uint64_t *ret_max_bytes,
                            uint64_t *ret_target_bytes) {
        const Disks *disks = &manager->engine.summary.disks;
        uint64_t total_bytes = disks->n > 0 ? disks->v[0].total_bytes : 0, max_bytes;
        Size max = manager->config->builder_max;

        if (total_bytes == 0)
                max.percent = 0; /* of a disk that is not known: as policy has it */
        max_bytes = size_of(&max, total_bytes);
        *ret_max_bytes = max_bytes;
        *ret_target_bytes =
                max_bytes == UINT64_MAX
                        ? UINT64_MAX
                        : MIN(size_of(&manager->config->builder_target, max_bytes), max_bytes);
}

static Json *builder_json(const Manager *manager) {
        cleanup(json_free) Json *json = json_new_object();
        const Summary *summary = &manager->engine.summary;
        uint64_t max_bytes, target_bytes;
        int r;

        r = json_add_int(json, "records", (int64_t)summary->records);
        r |= json_add_int(json, "inUse", (int64_t)summary->records_in_use);
        if (summary->records_leaked > 0)
                r |= json_add_int(json, "leaked", (int64_t)summary->records_leaked);
        r |= json_add_int(json, "bytes", (int64_t)summary->record_bytes);
        r |= json_add_int(json, "privateBytes", (int64_t)summary->record_private_bytes);
        manager_builder_limits(manager, &max_bytes, &target_bytes);
        if (max_bytes < UINT64_MAX) {
                r |= json_add_int(json, "maxBytes", (int64_t)max_bytes);
                r |= json_add_int(json, "targetBytes", (int64_t)target_bytes);
        }
        return r < 0 ? NULL : TAKE_PTR(json);
}

static Json *images_json(const Summary *summary) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_int(json, "matching", (int64_t)summary->images_matching);
        r |= json_add_int(json, "untagged", (int64_t)summary->images_untagged);
        r |= json_add_int(json, "total", (int64_t)summary->images);
        r |= json_add_int(json, "bytes", (int64_t)summary->image_bytes);
        r |= json_add_int(json, "rollbackTags", (int64_t)summary->rollback_tags);
        return r < 0 ? NULL : TAKE_PTR(json);
}

static Hold manager_hold_now(const Manager *manager, Hold hold) {
        return hold_now(hold, inhibitors_count(&manager->inhibitors),
                        schedule_quiet_sec(&manager->schedule, now_boottime_usec()),
                        manager->config);
}

Hold manager_hold(const Manager *manager) {
        return manager_hold_now(manager, manager->engine.summary.hold);
}

static Hold hold_from_string(const char *text) {
        for (Hold hold = HOLD_NONE + 1; text && hold < HOLD_MAX; hold++)
                if (strcmp(text, hold_to_string(hold)) == 0)
                        return hold;
        return HOLD_NONE;
}

Json *manager_policy(const Manager *manager, const Json *policy) {
        Hold said = hold_from_string(json_get_string(policy, "hold", NULL));
        Hold now = manager_hold_now(manager, said);
        cleanup(json_free) Json *json = json_new_object();
        int r = 0;

        json_foreach (member, policy) {
                const char *name = json_name(member);

                if (strcmp(name, "events") == 0 || strcmp(name, "lastRun") == 0 ||
                    (now != said && (strcmp(name, "hold") == 0 || strcmp(name, "holdUntil") == 0)))
                        continue;
                r |= json_add(json, name, json_copy(member));
        }
        if (now != said && now != HOLD_NONE)
                r |= json_add_string(json, "hold", hold_to_string(now));
        r |= json_add_bool(json, "events", dispatch_hears_events(manager));
        if (manager->engine.last_policy_run.id[0])
                r |= json_add(json, "lastRun", run_json(&manager->engine.last_policy_run));
        return r < 0 ? NULL : TAKE_PTR(json);
}

static int add_summary(const Manager *manager, Json *status) {
        const Summary *summary = &manager->engine.summary;
        int r;

        if (summary->observed_sec == 0)
                return 0;
        r = json_add_int(status, "observedAt", summary->observed_sec);
        r |= json_add(status, "builder", builder_json(manager));
        r |= json_add(status, "images", images_json(summary));
        if (summary->disks_json)
                r |= json_add(status, "disks", json_copy(summary->disks_json));
        if (summary->not_reached)
                r |= json_add(status, "notReached", json_copy(summary->not_reached));
        if (summary->policy)
                r |= json_add(status, "policy", manager_policy(manager, summary->policy));
        r |= json_add(status, "notes", json_new_strings(&summary->notes));
        return r;
}

static Json *current_json(const CurrentJob *current) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "id", current->id);
        r |= json_add_string(json, "kind", job_kind_to_string(current->kind));
        if (current->kind == JOB_CLEAR)
                r |= json_add_string(json, "target", current->target);
        r |= json_add_int(json, "startedAt", current->started_sec);
        r |= json_add_string(json, "step", current->step);
        r |= json_add_string(json, "message", current->message);
        return r < 0 ? NULL : TAKE_PTR(json);
}

static Json *store_json(const Manager *manager) {
        const StoreState *store = &manager->engine.store;
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "directory", manager->state_path);
        r |= json_add_string(json, "state",
                             store->writable   ? "stored"
                             : store->readable ? "unwritable"
                                               : "memory");
        r |= json_add_string(json, "reason", store->writable ? NULL : store->reason.text);
        r |= json_add_int(json, "unwritten", (int64_t)store->n_unwritten);
        return r < 0 ? NULL : TAKE_PTR(json);
}

static Json *inhibitors_json(const Inhibitors *inhibitors) {
        cleanup(json_free) Json *array = json_new_array();

        for (const Request *request = inhibitors->first; request; request = request->next) {
                cleanup(json_free) Json *json = NULL;
                int r;

                if (!request->held)
                        continue;
                json = json_new_object();
                r = json_add_string(json, "why", request->why);
                r |= json_add(json, "who", who_json(&request->who));
                r |= json_add_int(json, "since", request->since_sec);
                r |= json_add_int(json, "until", request->until_sec);
                r |= json_add(array, NULL, TAKE_PTR(json));
                if (r < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static Json *alarms_json(const Alarms *alarms) {
        cleanup(json_free) Json *array = json_new_array();

        for (AlarmKind kind = 0; kind < ALARM_MAX; kind++) {
                const Alarm *alarm = &alarms->v[kind];
                cleanup(json_free) Json *json = NULL;
                int r;

                if (!alarm->standing)
                        continue;
                json = json_new_object();
                r = json_add_string(json, "kind", alarm_kind_to_string(kind));
                r |= json_add_int(json, "since", alarm->since_sec);
                r |= json_add_string(json, "message", alarm->message ?: alarm_kind_to_string(kind));
                r |= json_add_string(json, "remedy", alarm->remedy);
                r |= json_add(array, NULL, TAKE_PTR(json));
                if (r < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static Json *last_clear_json(const Run *run) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "id", run->id);
        r |= json_add_string(json, "target", run->target);
        r |= json_add_string(json, "outcome", run->outcome);
        if (run->finished_sec > 0)
                r |= json_add_int(json, "finishedAt", run->finished_sec);
        r |= json_add_int(json, "remaining", (int64_t)run->n_remaining);
        return r < 0 ? NULL : TAKE_PTR(json);
}

/* As long as no search for caches has ended. */
static Json *configured_apps(const Config *config) {
        cleanup(json_free) Json *array = json_new_array();

        for (size_t i = 0; i < config->apps.n; i++) {
                const AppConfig *app = &config->apps.v[i];
                cleanup(json_free) Json *json = json_new_object();
                int r;

                r = json_add_string(json, "name", app->name);
                r |= json_add_string(json, "root", app->root);
                r |= json_add_string(json, "state", "unknown");
                r |= json_add_string(json, "context", app->context ?: app->root);
                if (r < 0 || json_add(array, NULL, TAKE_PTR(json)) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

Json *manager_status(const Manager *manager) {
        const EngineInfo *engine = manager->engine.known && !manager->engine.reason
                                           ? &manager->engine.summary.engine
                                           : NULL;
        cleanup(json_free) Json *json = json_new_object();
        size_t n_queued =
                worker_queued(manager->workers.janitor) + inhibitors_waiting(&manager->inhibitors);
        Json *engine_state =
                engine_json(manager->config->docker_socket, engine, manager->engine.reason);
        int r;

        r = json_add_string(json, "version", WPCACHE_VERSION);
        r |= json_add_int(json, "startedAt", manager->started_sec);
        r |= json_add(json, "config", config_status(manager));
        r |= json_add(json, "store", store_json(manager));
        if (engine_answered(manager->engine.error))
                r |= json_add_bool(engine_state, "answered", true);
        r |= json_add(json, "engine", engine_state);
        r |= add_summary(manager, json);
        r |= json_add(json, "apps",
                      manager->engine.apps ? json_copy(manager->engine.apps)
                                           : configured_apps(manager->config));
        r |= json_add(json, "inhibitors", inhibitors_json(&manager->inhibitors));
        r |= json_add(json, "alarms", alarms_json(&manager->alarms));
        if (manager->workers.queue.current.id[0] && manager->workers.queue.current.kind != JOB_POLL)
                r |= json_add(json, "job", current_json(&manager->workers.queue.current));
        r |= json_add_int(json, "queued", (int64_t)n_queued);
        if (manager->engine.last_clear.id[0])
                r |= json_add(json, "lastClear", last_clear_json(&manager->engine.last_clear));
        return r < 0 ? NULL : TAKE_PTR(json);
}
