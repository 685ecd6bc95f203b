/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "daemon/remedy.h"
#include "daemon/schedule.h"
#include "daemon/status.h"
#include "janitor/history.h"

static Json *config_status(const StatusFacts *facts) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "file", facts->config->file ?: "(defaults)");
        r |= json_add_int(json, "loadedAt", facts->config_loaded_sec);
        r |= json_add_string(json, "error", facts->config_error);
        return r < 0 ? NULL : TAKE_PTR(json);
}

void builder_limits(const Config *config, const Disks *disks, uint64_t *ret_max_bytes,
                    uint64_t *ret_target_bytes) {
        uint64_t total_bytes = disks->n > 0 ? disks->v[0].total_bytes : 0, max_bytes;
        Size max = config->builder_max;

        if (total_bytes == 0)
                max.percent = 0; /* a share of an unknown disk is no limit, as in policy */
        max_bytes = size_of(&max, total_bytes);
        *ret_max_bytes = max_bytes;
        *ret_target_bytes = max_bytes == UINT64_MAX
                                    ? UINT64_MAX
                                    : MIN(size_of(&config->builder_target, max_bytes), max_bytes);
}

static Json *builder_status(const StatusFacts *facts) {
        cleanup(json_free) Json *json = json_new_object();
        const Summary *summary = &facts->engine->summary;
        uint64_t max_bytes, target_bytes;
        int r;

        r = json_add_int(json, "records", (int64_t)summary->records);
        r |= json_add_int(json, "inUse", (int64_t)summary->records_in_use);
        if (summary->records_leaked > 0)
                r |= json_add_int(json, "leaked", (int64_t)summary->records_leaked);
        r |= json_add_int(json, "bytes", (int64_t)summary->record_bytes);
        r |= json_add_int(json, "privateBytes", (int64_t)summary->record_private_bytes);
        builder_limits(facts->config, &summary->disks, &max_bytes, &target_bytes);
        if (max_bytes < UINT64_MAX) {
                r |= json_add_int(json, "maxBytes", (int64_t)max_bytes);
                r |= json_add_int(json, "targetBytes", (int64_t)target_bytes);
        }
        return r < 0 ? NULL : TAKE_PTR(json);
}

static Json *images_status(const Summary *summary) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_int(json, "matching", (int64_t)summary->images_matching);
        r |= json_add_int(json, "untagged", (int64_t)summary->images_untagged);
        r |= json_add_int(json, "total", (int64_t)summary->images);
        r |= json_add_int(json, "bytes", (int64_t)summary->image_bytes);
        r |= json_add_int(json, "rollbackTags", (int64_t)summary->rollback_tags);
        return r < 0 ? NULL : TAKE_PTR(json);
}

static Hold hold_with(const StatusFacts *facts, Hold hold) {
        return hold_now(hold, inhibitors_count(facts->inhibitors), facts->quiet_sec, facts->config);
}

Hold status_hold(const StatusFacts *facts) {
        return hold_with(facts, facts->engine->summary.hold);
}

static Hold hold_from_string(const char *text) {
        for (Hold hold = HOLD_NONE + 1; text && hold < HOLD_MAX; hold++)
                if (strcmp(text, hold_to_string(hold)) == 0)
                        return hold;
        return HOLD_NONE;
}

Json *status_policy_json(const StatusFacts *facts, const Json *policy) {
        Hold said = hold_from_string(json_get_string(policy, "hold", NULL));
        Hold now = hold_with(facts, said);
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
        r |= json_add_bool(json, "events", facts->event_stream_connected);
        if (facts->engine->last_policy_run.id[0])
                r |= json_add(json, "lastRun", run_json(&facts->engine->last_policy_run));
        return r < 0 ? NULL : TAKE_PTR(json);
}

static int add_summary(const StatusFacts *facts, Json *status) {
        const Summary *summary = &facts->engine->summary;
        int r;

        if (summary->observed_sec == 0)
                return 0;
        r = json_add_int(status, "observedAt", summary->observed_sec);
        r |= json_add(status, "builder", builder_status(facts));
        r |= json_add(status, "images", images_status(summary));
        if (summary->disks_json)
                r |= json_add(status, "disks", json_copy(summary->disks_json));
        if (summary->not_reached)
                r |= json_add(status, "notReached", json_copy(summary->not_reached));
        if (summary->policy)
                r |= json_add(status, "policy", status_policy_json(facts, summary->policy));
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

static Json *store_json(const StatusFacts *facts) {
        const StoreState *store = &facts->engine->store;
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "directory", facts->state_path);
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

/* For the time before the first search for caches has ended. */
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

Json *status_json(const StatusFacts *facts) {
        const EngineInfo *engine = facts->engine->known && !facts->engine->reason
                                           ? &facts->engine->summary.engine
                                           : NULL;
        cleanup(json_free) Json *json = json_new_object();
        Json *engine_state =
                engine_json(facts->config->docker_socket, engine, facts->engine->reason);
        int r;

        r = json_add_string(json, "version", WPCACHE_VERSION);
        r |= json_add_int(json, "startedAt", facts->started_sec);
        r |= json_add(json, "config", config_status(facts));
        r |= json_add(json, "store", store_json(facts));
        if (engine_answered(facts->engine->error))
                r |= json_add_bool(engine_state, "answered", true);
        r |= json_add(json, "engine", engine_state);
        r |= add_summary(facts, json);
        r |= json_add(json, "apps",
                      facts->engine->apps ? json_copy(facts->engine->apps)
                                          : configured_apps(facts->config));
        r |= json_add(json, "inhibitors", inhibitors_json(facts->inhibitors));
        r |= json_add(json, "alarms", alarms_json(facts->alarms));
        if (facts->current->id[0] && facts->current->kind != JOB_POLL)
                r |= json_add(json, "job", current_json(facts->current));
        r |= json_add_int(json, "queued", (int64_t)facts->n_waiting);
        if (facts->engine->last_clear.id[0])
                r |= json_add(json, "lastClear", last_clear_json(&facts->engine->last_clear));
        return r < 0 ? NULL : TAKE_PTR(json);
}

void status_line(const StatusFacts *facts, char *ret, size_t size) {
        const EngineState *engine = facts->engine;
        const CurrentJob *current = facts->current;

        ret[0] = '\0';
        if (engine->reason)
                snprintf(ret, size, "Engine not available: %s", engine->reason);
        else if (current->id[0] && current->kind != JOB_POLL)
                snprintf(ret, size, "%s: %s", job_kind_to_string(current->kind), current->message);
        else if (engine->summary.observed_sec > 0)
                snprintf(ret, size, "Build cache: %llu records",
                         (unsigned long long)engine->summary.records);
        text_clean(ret); /* a newline would start another field of sd_notify(3) */
}
