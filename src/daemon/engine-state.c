/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "daemon/engine-state.h"

bool engine_state_set(EngineState *self, int error, const char *reason) {
        bool news = !reason != !self->reason || !self->known;

        free(self->reason);
        self->reason = reason ? strdup(reason) : NULL;
        if (reason && !self->reason) /* out of memory must not look like health */
                self->reason = strdup("?");
        self->error = error;
        self->known = true;
        return news;
}

/* Finds the first disk under pressure. The summary has the verdicts on its disks as JSON only, in the same order. */
static const Disk *full_disk(const Summary *summary) {
        size_t i = 0;

        json_foreach (disk, summary->disks_json) {
                if (i < summary->disks.n && json_get_bool(disk, "pressure", false))
                        return &summary->disks.v[i];
                i++;
        }
        return NULL;
}

void engine_state_polled(EngineState *self, Summary *summary) {
        summary_done(&self->summary);
        self->summary = *summary;
        *summary = (Summary){ 0 };
        self->full_disk = full_disk(&self->summary);
}

void engine_state_cleared(EngineState *self, const Job *job) {
        self->last_clear = job_run(job);
        self->counters.clears[job->outcome]++;
        self->counters.clear_engine_bytes += self->last_clear.engine_bytes;
        self->counters.clear_freed_bytes += self->last_clear.freed_bytes;
}

void engine_state_policy_run(EngineState *self, const PolicyResult *result) {
        if (!result->recorded && !result->error)
                return; /* a hold came up: nothing was tried */
        self->counters.policy_runs++;
        self->counters.policy_run_failures += result->error != NULL;
        if (!result->recorded)
                return;
        self->last_policy_run = result->run;
        self->counters.images_removed += result->n_images;
        self->counters.records_removed += result->n_records;
        self->counters.policy_engine_bytes += result->run.engine_bytes;
        self->counters.policy_freed_bytes += result->run.freed_bytes;
}

void engine_state_forget_apps(EngineState *self) {
        json_free(self->apps);
        self->apps = NULL;
}

void engine_state_done(EngineState *self) {
        free(self->reason);
        summary_done(&self->summary);
        engine_state_forget_apps(self);
}
