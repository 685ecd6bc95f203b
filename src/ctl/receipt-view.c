/* SPDX-License-Identifier: MIT */

#include "ctl/receipt-view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/output.h"
#include "model/target.h"

bool receipt_ended(const Json *receipt) {
        const char *outcome = json_get_string(receipt, "outcome", "");

        return strcmp(outcome, "interrupted") != 0 && strcmp(outcome, "failed") != 0;
}

static const struct {
        const char *reach, *text;
} reaches[] = {
        { "context", "in the build context" },
        { "ignored", "ignored by .dockerignore" },
        { "outside", "outside the build context" },
};

const char *view_reach(const Json *cache) {
        const char *reach = output_text(cache, "reach");

        for (size_t i = 0; i < ELEMENTSOF(reaches); i++)
                if (strcmp(reach, reaches[i].reach) == 0)
                        return reaches[i].text;
        return reach;
}

bool view_app_ok(const Json *app) {
        const char *state = output_text(app, "state");

        return strcmp(state, "ok") == 0 || strcmp(state, "unknown") == 0;
}

static const char *app_state(const Json *app) {
        const char *state = output_text(app, "state");

        if (strcmp(state, "readOnly") == 0)
                return "read-only";
        return strcmp(state, "notWritable") == 0 ? "not writable" : state;
}

void view_app_fault(const Json *app) {
        const char *root = output_text(app, "root");
        const char *reason = json_get_string(app, "reason", NULL);

        /* a reason that names the root needs no more words */
        if (reason && strstr(reason, root))
                printf("%s", reason);
        else
                printf("%s is %s%s%s", root, app_state(app), reason ? ": " : "",
                       reason ? reason : "");
}

static bool is_of(const Json *cache, const char *app) {
        return strcmp(output_text(cache, "app"), app) == 0;
}

/* So many caches of an application are printed. */
#define CACHES_SHOWN 10

static void print_paths(const Json *caches, const char *app, bool measured) {
        char bytes[BYTES_TEXT_MAX];
        size_t n = 0;

        json_foreach (cache, caches) {
                if (!is_of(cache, app) || n++ >= CACHES_SHOWN)
                        continue;
                if (measured)
                        printf("    %8s", output_bytes(cache, "bytes", bytes));
                printf("%s%s, %s\n", measured ? "  " : "    ", output_text(cache, "path"),
                       view_reach(cache));
        }
        if (n > CACHES_SHOWN)
                printf("%*sand %zu more\n", measured ? 14 : 4, "", n - CACHES_SHOWN);
}

/* "frontend: 3 caches removed, 1.2GB (2 in the build context, 1 ignored by .dockerignore)" */
static void print_app_caches(const Json *caches, const char *app, bool ended) {
        size_t n = 0, n_reach[ELEMENTSOF(reaches)] = { 0 };
        char count[OUTPUT_COUNT_MAX], bytes[BYTES_TEXT_MAX];
        bool any = false;
        uint64_t sum = 0;

        json_foreach (cache, caches) {
                if (!is_of(cache, app))
                        continue;
                n++;
                sum += output_amount(cache, "bytes");
                for (size_t i = 0; i < ELEMENTSOF(reaches); i++)
                        n_reach[i] +=
                                strcmp(json_get_string(cache, "reach", ""), reaches[i].reach) == 0;
        }
        printf("%s: %s removed%s%s", app, output_count((int64_t)n, "cache", count),
               ended ? ", " : " or about to be", ended ? bytes_format(sum, bytes) : "");
        for (size_t i = 0; i < ELEMENTSOF(reaches); i++)
                if (n_reach[i] > 0) {
                        printf("%s%zu %s", any ? ", " : " (", n_reach[i], reaches[i].text);
                        any = true;
                }
        puts(any ? ")" : "");
        print_paths(caches, app, ended);
}

void view_caches(const Json *receipt) {
        const Json *caches = json_get(receipt, "caches");
        const char *target = output_text(receipt, "target");
        const char *outcome = json_get_string(receipt, "outcome", "");
        const size_t n = json_size(caches);
        int64_t n_all = 0;

        json_foreach (removed, json_get(receipt, "removed"))
                if (strcmp(json_get_string(removed, "step", ""), "caches") == 0)
                        n_all = json_get_int(removed, "objects", 0);
        /* the count includes caches that earlier runs had left, which are not named */
        if (n > 0 && n_all > (int64_t)n)
                printf("Of %" PRIi64 " caches that were removed, the receipt names %zu:\n", n_all,
                       n);
        else if (n == 0 && n_all == 0 && strcmp(outcome, "cleared") == 0 &&
                 !target_touches_docker(target_of(target)) &&
                 json_size(json_get(receipt, "remaining")) == 0)
                printf("%s: nothing to remove\n", target);
        json_foreach (cache, caches) {
                const char *app = output_text(cache, "app");
                const Json *first = json_first(caches);

                while (!is_of(first, app))
                        first = json_next(first);
                if (first == cache)
                        print_app_caches(caches, app, receipt_ended(receipt));
        }
}

void view_remaining(const Terminal *terminal, const Json *remaining) {
        json_foreach (left, remaining) {
                const char *remedy = json_get_string(left, "remedy", NULL);

                printf("%sREMAINING:%s %s %s: %s\n", terminal_style(terminal, STYLE_WARN),
                       terminal_style(terminal, STYLE_PLAIN), output_text(left, "kind"),
                       output_text(left, "object"), output_text(left, "reason"));
                if (remedy)
                        printf("           end it: %s\n", remedy);
        }
}

void view_not_reached(const Json *volumes) {
        json_foreach (volume, volumes)
                printf("NOT REACHED: volume %s (container %s, %s): no clear touches volumes\n",
                       output_text(volume, "volume"), output_text(volume, "container"),
                       output_text(volume, "destination"));
}

static void print_reclaimed(const Json *receipt, bool settled) {
        uint64_t disk_bytes = output_amount(receipt, "diskFreedBytes");
        uint64_t engine_bytes = output_amount(receipt, "engineReportedBytes");
        uint64_t app_bytes = output_amount(receipt, "appBytes");
        char disk[BYTES_TEXT_MAX], engine[BYTES_TEXT_MAX], app[BYTES_TEXT_MAX];
        bool docker = target_touches_docker(target_of(json_get_string(receipt, "target", "all")));
        bool engine_differs;

        /* no figures were counted */
        if (!receipt_ended(receipt) && app_bytes + (docker ? disk_bytes + engine_bytes : 0) == 0)
                return;
        bytes_format(disk_bytes, disk);
        bytes_format(engine_bytes, engine);
        bytes_format(app_bytes, app);
        if (!docker) {
                printf("Total reclaimed space: %s\n", app);
                return;
        }
        /* the disk frees space a moment after the engine has answered */
        printf("Total reclaimed space: %s%s", disk,
               !settled && disk_bytes < engine_bytes + app_bytes ? " so far" : "");
        engine_differs = strcmp(disk, engine) != 0;
        if (engine_differs || app_bytes > 0)
                printf(" (%s%s%s%s%s)", engine_differs ? "engine reported " : "",
                       engine_differs ? engine : "", engine_differs && app_bytes > 0 ? ", " : "",
                       app_bytes > 0 ? "application caches " : "", app_bytes > 0 ? app : "");
        putchar('\n');
}

void view_clear_result(const Ctl *ctl, const Json *receipt, bool settled) {
        const Json *kept = json_get(receipt, "keptMounts");
        char count[OUTPUT_COUNT_MAX];

        view_caches(receipt);
        view_remaining(&ctl->terminal, json_get(receipt, "remaining"));
        print_reclaimed(receipt, settled);
        if (json_size(kept) > 0)
                printf("KEPT: %s: cache mounts, and what they stand on\n",
                       output_count((int64_t)json_size(kept), "build cache record", count));
        view_not_reached(json_get(receipt, "notReached"));
        output_texts("NOTE", json_get(receipt, "notes"));
        output_omitted(receipt);
        output_texts("ASSUMES", json_get(receipt, "assumes"));
}
