/* SPDX-License-Identifier: MIT */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "ctl/client.h"
#include "wire/interface.h"

#define BAR_WIDTH 20

static uint64_t amount(const Json *object, const char *name) {
        return (uint64_t)MAX(json_get_int(object, name, 0), 0);
}

static void label(const char *text) {
        printf("%11s: ", text);
}

static void print_health(const Ctl *ctl, const Json *status) {
        const char *state = json_get_string(json_get(status, "engine"), "state", "unknown");
        const char *version = json_get_string(status, "version", "?"), *health;
        char since[SPAN_TEXT_MAX];
        Style style = STYLE_GOOD;

        if (strcmp(state, "unavailable") == 0) {
                style = STYLE_BAD;
                health = "the Docker engine is not available";
        } else if (json_get_string(json_get(status, "config"), "error", NULL)) {
                style = STYLE_WARN;
                health = "a mistake in the configuration";
        } else if (strcmp(state, "ok") == 0) {
                health = "ok";
        } else {
                style = STYLE_WARN;
                health = "the Docker engine was not asked yet";
        }
        printf("%swpcached %s: %s%s, started %s\n", render_style(&ctl->render, style), version,
               health, render_style(&ctl->render, STYLE_PLAIN),
               render_age(json_get_int(status, "startedAt", 0), since));
        if (strcmp(version, WPCACHE_VERSION) != 0) {
                label("Client");
                printf("wpcachectl %s, another version than the daemon's\n", WPCACHE_VERSION);
        }
}

static void print_engine(const Ctl *ctl, const Json *engine) {
        const char *state = json_get_string(engine, "state", "unknown");
        const char *reason = json_get_string(engine, "reason", NULL);
        const char *version = json_get_string(engine, "version", NULL);
        const char *api = json_get_string(engine, "apiVersion", NULL);
        const char *store = json_get_string(engine, "imageStore", NULL);
        const char *socket = json_get_string(engine, "socket", "?");

        label("Engine");
        if (strcmp(state, "ok") != 0)
                printf("%s%s%s%s%s%s", render_style(&ctl->render, STYLE_BAD), state,
                       render_style(&ctl->render, STYLE_PLAIN), reason ? ": " : "",
                       reason ? reason : "", version ? ", last seen " : "");
        if (version)
                printf("%s%s%s%s%s", version, api ? ", API " : "", api ? api : "",
                       store ? ", image store " : "", store ? store : "");
        if (!reason || !strstr(reason, socket))
                printf(" at %s", socket);
        putchar('\n');
}

static void print_builder(const Json *builder) {
        char count[RENDER_COUNT_MAX], bytes[BYTES_TEXT_MAX];
        int64_t n_in_use = json_get_int(builder, "inUse", 0);

        if (!builder)
                return;
        label("Build cache");
        printf("%s, %s", render_count(json_get_int(builder, "records", 0), "record", count),
               bytes_format(amount(builder, "bytes"), bytes));
        if (amount(builder, "sharedBytes") > 0)
                printf(" (%s shared with images)",
                       bytes_format(amount(builder, "sharedBytes"), bytes));
        if (n_in_use > 0)
                printf(", %" PRIi64 " in use", n_in_use);
        putchar('\n');
}

static void print_images(const Json *images) {
        int64_t n_tags = json_get_int(images, "rollbackTags", 0);
        char count[RENDER_COUNT_MAX];

        if (!images)
                return;
        label("Images");
        printf("%" PRIi64 " matching, %" PRIi64 " untagged, %" PRIi64 " in all",
               json_get_int(images, "matching", 0), json_get_int(images, "untagged", 0),
               json_get_int(images, "total", 0));
        if (n_tags > 0)
                printf(", %s", render_count(n_tags, "rollback tag", count));
        putchar('\n');
}

static void print_disk(const Ctl *ctl, const Json *disk) {
        uint64_t total = amount(disk, "totalBytes"), left = amount(disk, "freeBytes");
        char free_text[BYTES_TEXT_MAX], total_text[BYTES_TEXT_MAX], bar[BAR_WIDTH + 1];
        unsigned percent;

        if (!disk || total == 0 || left > total)
                return;
        percent = (unsigned)((total - left) * 100 / total);
        memset(bar, '-', BAR_WIDTH);
        memset(bar, '#', (percent * BAR_WIDTH + 50) / 100);
        bar[BAR_WIDTH] = '\0';
        label("Disk");
        printf("%s[%s]%s %u%% used, %s of %s free at %s\n",
               render_style(&ctl->render, percent >= 95   ? STYLE_BAD
                                          : percent >= 85 ? STYLE_WARN
                                                          : STYLE_GOOD),
               bar, render_style(&ctl->render, STYLE_PLAIN), percent, bytes_format(left, free_text),
               bytes_format(total, total_text), json_get_string(disk, "path", "?"));
}

static void print_job(const Json *job, int64_t n_queued) {
        const char *target = json_get_string(job, "target", NULL);
        char since[SPAN_TEXT_MAX];

        if (!job && n_queued == 0)
                return;
        label("Job");
        if (job)
                printf("%s%s%s: %s, started %s%s", json_get_string(job, "kind", "?"),
                       target ? " " : "", target ? target : "",
                       json_get_string(job, "message", json_get_string(job, "step", "?")),
                       render_age(json_get_int(job, "startedAt", 0), since),
                       n_queued > 0 ? "; " : "");
        if (n_queued > 0)
                printf("%" PRIi64 " queued", n_queued);
        putchar('\n');
}

static void print_last_clear(const Ctl *ctl, const Json *last) {
        const char *outcome = json_get_string(last, "outcome", "?");
        bool good = strcmp(outcome, "fresh") == 0 || strcmp(outcome, "cleared") == 0;
        int64_t finished = json_get_int(last, "finishedAt", -1);
        int64_t n_remaining = json_get_int(last, "remaining", 0);
        char since[SPAN_TEXT_MAX];

        label("Last clear");
        if (!last) {
                printf("none\n");
                return;
        }
        printf("%s, %s%s%s", json_get_string(last, "target", "?"),
               render_style(&ctl->render, good ? STYLE_GOOD : STYLE_WARN), outcome,
               render_style(&ctl->render, STYLE_PLAIN));
        if (finished >= 0)
                printf(", %s", render_age(finished, since));
        if (n_remaining > 0)
                printf(", %" PRIi64 " left", n_remaining);
        printf(" (receipt %s)\n", json_get_string(last, "id", "?"));
}

static void print_config(const Ctl *ctl, const Json *config) {
        const char *error = json_get_string(config, "error", NULL);
        const char *file = json_get_string(config, "file", "");
        char since[SPAN_TEXT_MAX];

        label("Config");
        printf("%s, loaded %s\n", file[0] ? file : "the defaults",
               render_age(json_get_int(config, "loadedAt", 0), since));
        if (error) {
                label("");
                printf("%snot in force:%s %s\n", render_style(&ctl->render, STYLE_WARN),
                       render_style(&ctl->render, STYLE_PLAIN), error);
        }
}

static void print_status(const Ctl *ctl, const Json *status) {
        int64_t observed = json_get_int(status, "observedAt", -1);
        char since[SPAN_TEXT_MAX];

        print_health(ctl, status);
        print_engine(ctl, json_get(status, "engine"));
        print_builder(json_get(status, "builder"));
        print_images(json_get(status, "images"));
        print_disk(ctl, json_get(status, "disk"));
        label("Looked");
        printf("%s\n", observed >= 0 ? render_age(observed, since) : "never");
        print_job(json_get(status, "job"), json_get_int(status, "queued", 0));
        print_last_clear(ctl, json_get(status, "lastClear"));
        print_config(ctl, json_get(status, "config"));
}

int verb_status(const Ctl *ctl) {
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        const Json *status;
        int r;

        r = client_call(ctl, INTERFACE_NAME ".GetStatus", NULL, CLIENT_TIMEOUT_USEC, &reply);
        if (r != CTL_DONE)
                return r;
        status = json_get(reply.parameters, "status");
        if (!json_is_object(status))
                return client_fail(CTL_FAILED, "wpcached answered with no status");
        if (ctl->render.json != JSON_FORMAT_OFF)
                return render_json(&ctl->render, status) < 0
                               ? client_fail(CTL_FAILED, "out of memory")
                               : CTL_DONE;
        if (!ctl->quiet)
                print_status(ctl, status);
        return CTL_DONE;
}
