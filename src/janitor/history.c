/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "janitor/history.h"

Json *run_json(const Run *run) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "id", run->id);
        r |= json_add_string(json, "kind", run->kind);
        if (run->target[0])
                r |= json_add_string(json, "target", run->target);
        r |= json_add_string(json, "outcome", run->outcome);
        if (run->who[0])
                r |= json_add_string(json, "who", run->who);
        r |= json_add_int(json, "startedAt", run->started_sec);
        if (run->finished_sec > 0)
                r |= json_add_int(json, "finishedAt", run->finished_sec);
        r |= json_add_int(json, "removed", (int64_t)run->n_removed);
        r |= json_add_int(json, "remaining", (int64_t)run->n_remaining);
        r |= json_add_int(json, "engineReportedBytes", (int64_t)run->engine_bytes);
        r |= json_add_int(json, "diskFreedBytes", (int64_t)run->freed_bytes);
        return r < 0 ? NULL : TAKE_PTR(json);
}

static int add_run(void *userdata, const Run *run) {
        return json_add(userdata, NULL, run_json(run));
}

static Json *samples_json(const Sample *samples, size_t n) {
        cleanup(json_free) Json *array = json_new_array();

        for (size_t i = 0; i < n; i++) {
                cleanup(json_free) Json *json = json_new_object();
                int r;

                r = json_add_int(json, "at", samples[i].at_sec);
                r |= json_add_int(json, "builderBytes", (int64_t)samples[i].builder_bytes);
                r |= json_add_int(json, "imageBytes", (int64_t)samples[i].image_bytes);
                r |= json_add_int(json, "diskTotalBytes", (int64_t)samples[i].disk_total_bytes);
                r |= json_add_int(json, "diskFreeBytes", (int64_t)samples[i].disk_free_bytes);
                r |= json_add(array, NULL, TAKE_PTR(json));
                if (r < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

/* Where the file can't be read, those runs are told that are in memory. */
static int list(Store *store, int64_t since_sec, size_t limit, Json *reply) {
        cleanup(json_free) Json *runs = json_new_array();
        cleanup_free Sample *samples = NULL;
        Diag diag = DIAG_NULL;
        size_t n = 0;
        int r;

        if (!runs)
                return -ENOMEM;
        r = store_list_runs(store, NULL, since_sec, MIN(limit, (size_t)HISTORY_RUNS_MAX), add_run,
                            runs, &diag);
        if (r >= 0)
                r = store_list_samples(store, since_sec, HISTORY_SAMPLES_MAX, &samples, &n, &diag);
        if (r < 0 &&
            (r == -ENOMEM || json_add_string(reply, "incomplete", diag_text(&diag, r)) < 0))
                return -ENOMEM;
        r = json_add(reply, "runs", TAKE_PTR(runs));
        r |= json_add(reply, "samples", samples_json(samples, n));
        return r < 0 ? -ENOMEM : 0;
}

/* A rollback is told whole by its run. */
static int one(Store *store, const char *id, Json *reply, Diag *reterr_diag) {
        cleanup(json_free) Json *details = NULL, *runs = NULL;
        Run run;
        int r;

        r = store_find_run(store, id, &run, reterr_diag);
        if (r < 0)
                return r;
        if (strcmp(run.kind, "rollback") == 0) {
                runs = json_new_array();
                if (json_add(runs, NULL, run_json(&run)) < 0)
                        return -ENOMEM;
                return json_add(reply, "runs", TAKE_PTR(runs));
        }
        r = store_read_run(store, id, &details, reterr_diag);
        if (r < 0)
                return r;
        return json_add(reply, strcmp(run.kind, "clear") == 0 ? "receipt" : "policyRun",
                        TAKE_PTR(details));
}

int history_run(Store *store, int64_t since_sec, size_t limit, const char *receipt_id, Json **ret,
                Diag *reterr_diag) {
        cleanup(json_free) Json *reply = json_new_object();
        int r;

        if (!reply)
                return -ENOMEM;
        r = receipt_id ? one(store, receipt_id, reply, reterr_diag)
                       : list(store, since_sec, limit, reply);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(reply);
        return 0;
}
