/* SPDX-License-Identifier: MIT */

/*
 * Names follow Prometheus' conventions: a prefix, base units, "_total" on counters only. A figure
 * that is not known is left out, since 0 would be wrong.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/metrics.h"

static void family(FILE *file, const char *name, const char *type, const char *help) {
        fprintf(file, "# HELP wpcache_%s %s\n# TYPE wpcache_%s %s\n", name, help, name, type);
}

/* Writes the value of a label, in quotes. */
static void put_quoted(FILE *file, const char *text) {
        fputc('"', file);
        for (; *text; text++) {
                if (*text == '\n') {
                        fputs("\\n", file);
                        continue;
                }
                if (*text == '"' || *text == '\\')
                        fputc('\\', file);
                fputc(*text, file);
        }
        fputc('"', file);
}

static void labelled(FILE *file, const char *name, const char *label, const char *text,
                     int64_t value) {
        fprintf(file, "wpcache_%s{%s=", name, label);
        put_quoted(file, text);
        fprintf(file, "} %" PRIi64 "\n", value);
}

static void gauge(FILE *file, const char *name, const char *help, int64_t value) {
        family(file, name, "gauge", help);
        fprintf(file, "wpcache_%s %" PRIi64 "\n", name, value);
}

static void counter(FILE *file, const char *name, const char *help, uint64_t value) {
        family(file, name, "counter", help);
        fprintf(file, "wpcache_%s %" PRIu64 "\n", name, value);
}

static void put_health(FILE *file, const StatusFacts *facts) {
        gauge(file, "up", "The daemon runs.", 1);
        family(file, "build_info", "gauge", "The daemon's version.");
        labelled(file, "build_info", "version", WPCACHE_VERSION, 1);
        gauge(file, "start_time_seconds", "When the daemon was started.", facts->started_sec);
        gauge(file, "config_error", "The newest configuration has a mistake and is not in force.",
              facts->config_error != NULL);
        if (facts->engine->known)
                gauge(file, "engine_up", "The Docker engine answers.", !facts->engine->reason);
        gauge(file, "engine_events_connected", "The engine's events are listened to.",
              facts->event_stream_connected);
        family(file, "alarm", "gauge", "The alarm stands.");
        for (AlarmKind kind = 0; kind < ALARM_MAX; kind++)
                labelled(file, "alarm", "kind", alarm_kind_to_string(kind),
                         facts->alarms->v[kind].standing);
        gauge(file, "inhibitors", "Inhibitors that are held.",
              (int64_t)inhibitors_count(facts->inhibitors));
        gauge(file, "jobs_waiting", "Clears and rollbacks that wait.", (int64_t)facts->n_waiting);
}

static void put_builder(FILE *file, const StatusFacts *facts) {
        const Summary *summary = &facts->engine->summary;
        uint64_t max_bytes, target_bytes;

        gauge(file, "builder_cache_bytes", "Build cache, all records.",
              (int64_t)summary->record_bytes);
        gauge(file, "builder_cache_private_bytes",
              "Build cache not shared with an image, which counts against the limit.",
              (int64_t)summary->record_private_bytes);
        gauge(file, "builder_cache_records", "Build cache records.", (int64_t)summary->records);
        gauge(file, "builder_cache_records_in_use", "Build cache records that a build uses.",
              (int64_t)(summary->records_in_use - summary->records_leaked));
        gauge(file, "builder_cache_records_leaked",
              "Build cache records that the engine holds in use for no build.",
              (int64_t)summary->records_leaked);
        builder_limits(facts->config, &summary->disks, &max_bytes, &target_bytes);
        if (max_bytes == UINT64_MAX)
                return;
        gauge(file, "builder_cache_max_bytes", "Above this the build cache is pruned.",
              (int64_t)max_bytes);
        gauge(file, "builder_cache_target_bytes", "To this the build cache is pruned.",
              (int64_t)target_bytes);
}

static void put_images(FILE *file, const Summary *summary) {
        gauge(file, "images", "Images.", (int64_t)summary->images);
        gauge(file, "images_matching", "Images of which a name matches [images] match.",
              (int64_t)summary->images_matching);
        gauge(file, "images_untagged", "Images without a name.", (int64_t)summary->images_untagged);
        gauge(file, "image_bytes", "Images as the engine counts, shared layers with each.",
              (int64_t)summary->image_bytes);
        gauge(file, "rollback_tags", "Rollback tags.", (int64_t)summary->rollback_tags);
}

static void put_disks(FILE *file, const Summary *summary) {
        static const struct {
                const char *name, *member, *help;
        } figures[] = {
                { "disk_size_bytes", "totalBytes", "Size of the file system." },
                { "disk_free_bytes", "freeBytes", "Free for those who are not root." },
                { "disk_inodes", "totalInodes", "Inodes of the file system." },
                { "disk_inodes_free", "freeInodes", "Free inodes." },
        };

        if (json_size(summary->disks_json) == 0)
                return;
        for (size_t i = 0; i < ELEMENTSOF(figures); i++) {
                family(file, figures[i].name, "gauge", figures[i].help);
                json_foreach (disk, summary->disks_json)
                        labelled(file, figures[i].name, "path", json_get_string(disk, "path", "?"),
                                 json_get_int(disk, figures[i].member, 0));
        }
        family(file, "disk_pressure", "gauge", "Below min_free, or not yet back at target_free.");
        json_foreach (disk, summary->disks_json)
                labelled(file, "disk_pressure", "path", json_get_string(disk, "path", "?"),
                         json_get_bool(disk, "pressure", false));
}

static void put_apps(FILE *file, const Json *apps) {
        static const struct {
                const char *name, *member, *help;
        } figures[] = {
                { "app_caches", "caches", "Caches of the application." },
                { "app_caches_reached", "reached", "Those that a build can copy into an image." },
                { "app_cache_bytes", "bytes", "What they hold." },
        };

        if (json_size(apps) == 0)
                return;
        family(file, "app_ok", "gauge", "The application's root can be searched and written.");
        json_foreach (app, apps)
                labelled(file, "app_ok", "app", json_get_string(app, "name", "?"),
                         strcmp(json_get_string(app, "state", ""), "ok") == 0);
        for (size_t i = 0; i < ELEMENTSOF(figures); i++) {
                family(file, figures[i].name, "gauge", figures[i].help);
                json_foreach (app, apps)
                        if (json_get(app, figures[i].member))
                                labelled(file, figures[i].name, "app",
                                         json_get_string(app, "name", "?"),
                                         json_get_int(app, figures[i].member, 0));
        }
}

static void put_hold(FILE *file, const StatusFacts *facts) {
        Hold now = status_hold(facts);

        family(file, "policy_hold", "gauge", "Why policy does nothing now.");
        for (Hold hold = HOLD_NONE; hold < HOLD_MAX; hold++)
                labelled(file, "policy_hold", "hold",
                         hold == HOLD_NONE ? "none" : hold_to_string(hold), hold == now);
        gauge(file, "policy_wanted", "There is something that policy would remove.",
              facts->engine->summary.wanted);
}

static void put_times(FILE *file, const EngineState *engine) {
        const Run *clear = &engine->last_clear, *policy = &engine->last_policy_run;

        if (engine->summary.observed_sec > 0)
                gauge(file, "last_poll_timestamp_seconds", "When the engine was last looked at.",
                      engine->summary.observed_sec);
        if (policy->id[0])
                gauge(file, "last_pass_timestamp_seconds", "When the last policy pass ended.",
                      policy->finished_sec);
        if (clear->finished_sec == 0)
                return;
        gauge(file, "last_clear_timestamp_seconds", "When the last clear ended.",
              clear->finished_sec);
        gauge(file, "last_clear_fresh", "The last clear proved that the next build is fresh.",
              strcmp(clear->outcome, outcome_to_string(OUTCOME_FRESH)) == 0);
}

static void put_counters(FILE *file, const Counters *counters) {
        counter(file, "polls_total", "Looks at the engine.", counters->polls);
        counter(file, "poll_failures_total", "Looks that failed.", counters->poll_failures);
        counter(file, "engine_events_total", "Events of the engine.", counters->events);
        counter(file, "policy_passes_total", "Passes of the policy.", counters->policy_runs);
        counter(file, "policy_pass_failures_total", "Passes that failed.",
                counters->policy_run_failures);
        counter(file, "policy_images_removed_total", "Images removed by policy.",
                counters->images_removed);
        counter(file, "policy_records_removed_total", "Build cache records removed by policy.",
                counters->records_removed);
        counter(file, "policy_engine_reported_bytes_total",
                "Freed by policy, by the engine's word.", counters->policy_engine_bytes);
        counter(file, "policy_disk_freed_bytes_total",
                "Freed on the disk by the end of policy passes.", counters->policy_freed_bytes);
        family(file, "clears_total", "counter", "Clears by outcome.");
        for (Outcome outcome = 0; outcome < OUTCOME_MAX; outcome++)
                labelled(file, "clears_total", "outcome", outcome_to_string(outcome),
                         (int64_t)counters->clears[outcome]);
        counter(file, "clear_engine_reported_bytes_total", "Freed by clears, by the engine's word.",
                counters->clear_engine_bytes);
        counter(file, "clear_disk_freed_bytes_total", "Freed on the disk by the end of clears.",
                counters->clear_freed_bytes);
}

char *metrics_text(const StatusFacts *facts) {
        char *text = NULL;
        size_t n = 0;
        FILE *file = open_memstream(&text, &n);
        bool failed;

        if (!file)
                return NULL;
        put_health(file, facts);
        if (facts->engine->summary.observed_sec > 0) {
                put_builder(file, facts);
                put_images(file, &facts->engine->summary);
                put_disks(file, &facts->engine->summary);
                put_hold(file, facts);
        }
        put_apps(file, facts->engine->apps);
        put_times(file, facts->engine);
        put_counters(file, &facts->engine->counters);
        failed = ferror(file);
        if (fclose(file) != 0 || failed) {
                free(text);
                return NULL;
        }
        return text;
}

void metrics_file_write(Workers *workers, const StatusFacts *facts) {
        cleanup(job_free) Job *job = NULL;
        char id[RECEIPT_ID_MAX];
        int r = -ENOMEM;

        if (!facts->config->metrics_textfile)
                return;
        job = calloc(1, sizeof(*job));
        if (job) {
                job->kind = JOB_TEXTFILE;
                job->text = metrics_text(facts);
        }
        if (job && job->text)
                r = workers_submit(workers, TAKE_PTR(job), id);
        if (r < 0)
                log_error_errno(r, "Cannot write the metrics");
}

void metrics_file_written(bool *broken, const Job *job) {
        bool failed = job->error < 0;

        if (job->error == -ECANCELED)
                return;
        if (failed && !*broken)
                log_warning("Cannot write the metrics to %s: %s", job->config->metrics_textfile,
                            diag_text(&job->diag, job->error));
        else if (!failed && *broken)
                log_info("The metrics are written to %s again", job->config->metrics_textfile);
        *broken = failed;
}
