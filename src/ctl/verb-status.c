/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"
#include "ctl/receipt-view.h"
#include "ctl/status-disks.h"
#include "ctl/verbs.h"
#include "wire/interface.h"

static void print_alarms(const Ctl *ctl, const Json *alarms) {
        char since[SPAN_TEXT_MAX];

        json_foreach (alarm, alarms) {
                const char *remedy = json_get_string(alarm, "remedy", NULL);

                printf("%sALARM: %s%s (since %s)\n", terminal_style(&ctl->terminal, STYLE_BAD),
                       json_get_string(alarm, "message", output_text(alarm, "kind")),
                       terminal_style(&ctl->terminal, STYLE_PLAIN),
                       output_age(json_get_int(alarm, "since", 0), since));
                if (remedy)
                        printf("       end it: %s\n", remedy);
        }
}

static void print_health(const Ctl *ctl, const Json *status) {
        const char *state = json_get_string(json_get(status, "engine"), "state", "unknown");
        const char *version = output_text(status, "version"), *health;
        int64_t n_alarms = (int64_t)json_size(json_get(status, "alarms"));
        char since[SPAN_TEXT_MAX], count[OUTPUT_COUNT_MAX], apps[OUTPUT_COUNT_MAX + 32];
        int64_t n_apps_failed = 0;
        Style style = STYLE_GOOD;

        json_foreach (app, json_get(status, "apps"))
                n_apps_failed += !view_app_ok(app);
        if (strcmp(state, "unavailable") == 0) {
                style = STYLE_BAD;
                health = json_get_bool(json_get(status, "engine"), "answered", false)
                                 ? "the Docker engine gives no usable answer"
                                 : "the Docker engine is not available";
        } else if (n_alarms > 0) {
                style = STYLE_BAD;
                health = output_count(n_alarms, "alarm", count);
        } else if (json_get_string(json_get(status, "config"), "error", NULL)) {
                style = STYLE_WARN;
                health = "a mistake in the configuration";
        } else if (strcmp(state, "ok") != 0) {
                style = STYLE_WARN;
                health = "the Docker engine was not asked yet";
        } else if (n_apps_failed > 0) {
                style = STYLE_WARN;
                snprintf(apps, sizeof(apps), "the caches of %s can't be cleared",
                         output_count(n_apps_failed, "application", count));
                health = apps;
        } else {
                health = "ok";
        }
        printf("%swpcached %s: %s%s, started %s\n", terminal_style(&ctl->terminal, style), version,
               health, terminal_style(&ctl->terminal, STYLE_PLAIN),
               output_age(json_get_int(status, "startedAt", 0), since));
        if (strcmp(version, WPCACHE_VERSION) != 0) {
                output_label("Client");
                printf("wpcachectl %s, another version than the daemon's\n", WPCACHE_VERSION);
        }
}

static void print_engine(const Ctl *ctl, const Json *engine) {
        const char *state = json_get_string(engine, "state", "unknown");
        const char *reason = json_get_string(engine, "reason", NULL);
        const char *version = json_get_string(engine, "version", NULL);
        const char *api = json_get_string(engine, "apiVersion", NULL);
        const char *store = json_get_string(engine, "imageStore", NULL);
        const char *socket = output_text(engine, "socket");

        output_label("Engine");
        if (strcmp(state, "ok") != 0)
                printf("%s%s%s%s%s%s", terminal_style(&ctl->terminal, STYLE_BAD), state,
                       terminal_style(&ctl->terminal, STYLE_PLAIN), reason ? ": " : "",
                       reason ? reason : "", version ? ", last seen " : "");
        if (version)
                printf("%s%s%s%s%s", version, api ? ", API " : "", api ? api : "",
                       store ? ", image store " : "", store ? store : "");
        if (!reason || !strstr(reason, socket))
                printf(" at %s", socket);
        putchar('\n');
}

/* `disk` holds Docker's data; its size is the measure if the build cache has no limit. */
static void print_build_cache(const Ctl *ctl, const Json *builder, const Json *disk) {
        uint64_t bytes = output_amount(builder, "privateBytes"), percent;
        uint64_t shared = output_amount(builder, "bytes"), max = output_amount(builder, "maxBytes");
        char count[OUTPUT_COUNT_MAX], text[BYTES_TEXT_MAX], max_text[BYTES_TEXT_MAX];
        int64_t n_leaked = json_get_int(builder, "leaked", 0);
        int64_t n_in_use = json_get_int(builder, "inUse", 0) - n_leaked;

        if (!builder)
                return;
        percent = output_percent(bytes, max > 0 ? max : output_amount(disk, "totalBytes"));
        output_label("Build cache");
        terminal_bar(&ctl->terminal, max > 0 && bytes > max ? STYLE_WARN : STYLE_GOOD, percent);
        printf(" %s", bytes_format(bytes, text));
        if (max > 0)
                printf(", %" PRIu64 "%% of its limit of %s", percent, bytes_format(max, max_text));
        printf(", in %s", output_count(json_get_int(builder, "records", 0), "record", count));
        if (shared > bytes)
                printf(", and %s shared with images", bytes_format(shared - bytes, text));
        if (n_in_use > 0)
                printf(", %" PRIi64 " in use", n_in_use);
        if (n_leaked > 0)
                printf(", %" PRIi64 " held by the engine for no build", n_leaked);
        putchar('\n');
}

static void print_images(const Ctl *ctl, const Json *images, const Json *disk) {
        int64_t n_tags = json_get_int(images, "rollbackTags", 0);
        char count[OUTPUT_COUNT_MAX], bytes[BYTES_TEXT_MAX];

        if (!images)
                return;
        output_label("Images");
        terminal_bar(
                &ctl->terminal, STYLE_GOOD,
                output_percent(output_amount(images, "bytes"), output_amount(disk, "totalBytes")));
        printf(" %s, %" PRIi64 " matching, %" PRIi64 " untagged, %" PRIi64 " in all",
               output_bytes(images, "bytes", bytes), json_get_int(images, "matching", 0),
               json_get_int(images, "untagged", 0), json_get_int(images, "total", 0));
        if (n_tags > 0)
                printf(", %s", output_count(n_tags, "rollback tag", count));
        putchar('\n');
}

/* Figures that are not known are left out: 0 would look clean. */
static void print_app_figures(const Json *app) {
        int64_t searched_sec = json_get_int(app, "searchedAt", -1);
        int64_t n_caches = json_get_int(app, "caches", -1);
        char count[OUTPUT_COUNT_MAX], bytes[BYTES_TEXT_MAX], since[SPAN_TEXT_MAX];
        const char *state = output_text(app, "state");

        if (n_caches >= 0)
                printf(", %s", output_count(n_caches, "cache", count));
        if (n_caches > 0 && json_get(app, "bytes"))
                printf(", %s", output_bytes(app, "bytes", bytes));
        if (n_caches > 0)
                printf(", %" PRIi64 " can reach an image", json_get_int(app, "reached", 0));
        if (searched_sec >= 0)
                printf(", searched %s", output_age(searched_sec, since));
        else if (strcmp(state, "unknown") == 0)
                printf(", not looked at yet");
        else if (strcmp(state, "ok") == 0 || strcmp(state, "notWritable") == 0)
                printf(", not searched yet");
        putchar('\n');
}

static void print_apps(const Ctl *ctl, const Json *apps) {
        if (apps && json_size(apps) == 0) {
                output_label("App");
                printf("none configured: a clear leaves .next, __pycache__ and the like, which a "
                       "build copies into images; see [app NAME] in wpcached.conf(5)\n");
        }
        json_foreach (app, apps) {
                const char *remedy = json_get_string(app, "remedy", NULL);

                output_label("App");
                printf("%s", output_text(app, "name"));
                if (view_app_ok(app)) {
                        printf(" at %s", output_text(app, "root"));
                } else {
                        printf(": %s", terminal_style(&ctl->terminal, STYLE_WARN));
                        view_app_fault(app);
                        printf("%s", terminal_style(&ctl->terminal, STYLE_PLAIN));
                }
                print_app_figures(app);
                if (remedy)
                        printf("     end it: %s\n", remedy);
        }
}

static void print_notes(const Json *notes) {
        json_foreach (note, notes) {
                output_label("Note");
                printf("%s\n", json_string(note));
        }
}

static void print_volumes(const Json *volumes) {
        if (json_size(volumes) == 0)
                return;
        output_label("Not reached");
        printf("what lies in volumes: ");
        json_foreach (volume, volumes)
                printf("%s%s (container %s, %s)", volume == json_first(volumes) ? "" : ", ",
                       output_text(volume, "volume"), output_text(volume, "container"),
                       output_text(volume, "destination"));
        putchar('\n');
}

static void print_last_run(const Ctl *ctl, const Json *run) {
        const char *outcome = output_text(run, "outcome");
        char since[SPAN_TEXT_MAX], bytes[BYTES_TEXT_MAX];
        int64_t n_left = json_get_int(run, "remaining", 0);

        if (!run)
                return;
        output_label("Last policy");
        printf("%s%s%s, %s, %" PRIi64 " removed, ",
               terminal_style(&ctl->terminal,
                              strcmp(outcome, "done") == 0 ? STYLE_GOOD : STYLE_WARN),
               outcome, terminal_style(&ctl->terminal, STYLE_PLAIN),
               output_age(json_get_int(run, "finishedAt", json_get_int(run, "startedAt", 0)),
                          since),
               json_get_int(run, "removed", 0));
        if (n_left > 0)
                printf("%" PRIi64 " left, ", n_left);
        printf("%s freed (run %s)\n", output_bytes(run, "diskFreedBytes", bytes),
               output_text(run, "id"));
}

static void print_policy(const Ctl *ctl, const Json *policy) {
        char hold[OUTPUT_HOLD_MAX];

        if (!policy)
                return;
        output_hold(policy, hold);
        output_label("Policy");
        if (hold[0])
                printf("%sheld%s: %s\n", terminal_style(&ctl->terminal, STYLE_WARN),
                       terminal_style(&ctl->terminal, STYLE_PLAIN), hold);
        else
                printf("%s\n", output_text(policy, "mode"));
        output_label("Next");
        printf("%s\n", output_text(policy, "next"));
        if (json_get_string(policy, "unreadable", NULL)) {
                output_label("Kept");
                printf("all images: the engine lists an object that can't be read, %s\n",
                       output_text(policy, "unreadable"));
        }
        print_last_run(ctl, json_get(policy, "lastRun"));
}

static void print_inhibitors(const Json *inhibitors) {
        char since[SPAN_TEXT_MAX], until[SPAN_TEXT_MAX], who[OUTPUT_WHO_MAX];

        json_foreach (inhibitor, inhibitors) {
                output_label("Inhibitor");
                printf("'%s' of %s, taken %s, ends %s at the latest\n",
                       output_text(inhibitor, "why"), output_who(json_get(inhibitor, "who"), who),
                       output_age(json_get_int(inhibitor, "since", 0), since),
                       output_ahead(json_get_int(inhibitor, "until", 0), until));
        }
}

static void print_looked(const Json *status) {
        int64_t observed = json_get_int(status, "observedAt", -1);
        char since[SPAN_TEXT_MAX];

        output_label("Looked");
        printf("%s%s\n", observed >= 0 ? output_age(observed, since) : "never",
               json_get_bool(json_get(status, "policy"), "events", false)
                       ? ", and hears the engine's events"
                       : "");
}

static void print_job(const Json *job, int64_t n_queued) {
        const char *target = json_get_string(job, "target", NULL);
        char since[SPAN_TEXT_MAX];

        if (!job && n_queued == 0)
                return;
        output_label("Job");
        if (job)
                printf("%s%s%s: %s, started %s%s", output_job_kind(job), target ? " " : "",
                       target ? target : "",
                       json_get_string(job, "message", output_text(job, "step")),
                       output_age(json_get_int(job, "startedAt", 0), since),
                       n_queued > 0 ? "; " : "");
        if (n_queued > 0)
                printf("%" PRIi64 " queued", n_queued);
        putchar('\n');
}

static void print_last_clear(const Ctl *ctl, const Json *last) {
        const char *outcome = output_text(last, "outcome");
        bool good = strcmp(outcome, "fresh") == 0 || strcmp(outcome, "cleared") == 0;
        int64_t finished = json_get_int(last, "finishedAt", -1);
        int64_t n_remaining = json_get_int(last, "remaining", 0);
        char since[SPAN_TEXT_MAX];

        output_label("Last clear");
        if (!last) {
                printf("none\n");
                return;
        }
        printf("%s, %s%s%s", output_text(last, "target"),
               terminal_style(&ctl->terminal, good ? STYLE_GOOD : STYLE_WARN), outcome,
               terminal_style(&ctl->terminal, STYLE_PLAIN));
        if (finished >= 0)
                printf(", %s", output_age(finished, since));
        if (n_remaining > 0)
                printf(", %" PRIi64 " left", n_remaining);
        printf(" (receipt %s)\n", output_text(last, "id"));
}

static void print_config(const Ctl *ctl, const Json *config) {
        const char *error = json_get_string(config, "error", NULL);
        const char *file = json_get_string(config, "file", "");
        char since[SPAN_TEXT_MAX];

        output_label("Config");
        printf("%s, loaded %s\n", file[0] ? file : "the defaults",
               output_age(json_get_int(config, "loadedAt", 0), since));
        if (error) {
                output_label("");
                printf("%snot in force:%s %s\n", terminal_style(&ctl->terminal, STYLE_WARN),
                       terminal_style(&ctl->terminal, STYLE_PLAIN), error);
        }
}

/* Prints the state of the store if it is not normal. */
static void print_store(const Ctl *ctl, const Json *store) {
        const char *state = json_get_string(store, "state", "stored");
        const char *reason = json_get_string(store, "reason", NULL);
        int64_t n_unwritten = json_get_int(store, "unwritten", 0);
        char count[OUTPUT_COUNT_MAX];

        if (strcmp(state, "stored") == 0)
                return;
        output_label("Store");
        printf("%s%s%s: %s%s%s", terminal_style(&ctl->terminal, STYLE_BAD),
               strcmp(state, "memory") == 0 ? "in memory alone" : "nothing can be stored",
               terminal_style(&ctl->terminal, STYLE_PLAIN), output_text(store, "directory"),
               reason ? ": " : "", reason ? reason : "");
        if (n_unwritten > 0)
                printf("; %s not stored yet", output_count(n_unwritten, "run", count));
        putchar('\n');
}

static void print_status(const Ctl *ctl, const Json *status) {
        const Json *disks = json_get(status, "disks"), *data_disk = json_first(disks);

        print_alarms(ctl, json_get(status, "alarms"));
        print_health(ctl, status);
        print_engine(ctl, json_get(status, "engine"));
        print_build_cache(ctl, json_get(status, "builder"), data_disk);
        print_images(ctl, json_get(status, "images"), data_disk);
        print_apps(ctl, json_get(status, "apps"));
        print_volumes(json_get(status, "notReached"));
        print_notes(json_get(status, "notes"));
        status_print_disks(ctl, disks);
        print_looked(status);
        print_policy(ctl, json_get(status, "policy"));
        print_inhibitors(json_get(status, "inhibitors"));
        print_job(json_get(status, "job"), json_get_int(status, "queued", 0));
        print_last_clear(ctl, json_get(status, "lastClear"));
        print_config(ctl, json_get(status, "config"));
        print_store(ctl, json_get(status, "store"));
}

int verb_status(const Ctl *ctl) {
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        const Json *status, *alarm;
        int r;

        r = client_call(ctl, INTERFACE_NAME ".GetStatus", NULL, CLIENT_TIMEOUT_USEC, &reply);
        if (r != CTL_DONE)
                return r;
        status = json_get(reply.parameters, "status");
        if (!json_is_object(status))
                return ctl_fail(CTL_FAILED, "wpcached answered with no status");
        alarm = json_first(json_get(status, "alarms"));
        if (ctl->terminal.json != JSON_FORMAT_OFF)
                r = output_json(ctl, status);
        else if (!ctl->quiet)
                print_status(ctl, status);
        else if (alarm)
                ctl_fail(CTL_ALARM, "alarm: %s",
                         json_get_string(alarm, "message", output_text(alarm, "kind")));
        return r == CTL_DONE && alarm ? CTL_ALARM : r;
}
