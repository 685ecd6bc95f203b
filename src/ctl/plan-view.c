/* SPDX-License-Identifier: MIT */

#include "ctl/plan-view.h"

#include <stdio.h>
#include <string.h>

#include "ctl/fail.h"
#include "ctl/output.h"
#include "ctl/receipt-view.h"
#include "model/target.h"

/* A plan lists at most this many caches. */
#define CACHES_LISTED 100

static int by_app_and_path(const void *a, const void *b) {
        const Json *x = *(const Json *const *)a, *y = *(const Json *const *)b;
        int r = strcmp(output_text(x, "app"), output_text(y, "app"));

        return r ? r : strcmp(output_text(x, "path"), output_text(y, "path"));
}

static int print_caches(const Json *caches) {
        const size_t n = json_size(caches);
        cleanup_free const Json **sorted = calloc(n + 1, sizeof(*sorted));
        char count[OUTPUT_COUNT_MAX], bytes[BYTES_TEXT_MAX];
        uint64_t sum = 0;
        size_t at = 0;

        if (!sorted)
                return ctl_fail(CTL_FAILED, "out of memory");
        json_foreach (cache, caches)
                sorted[at++] = cache;
        qsort(sorted, n, sizeof(*sorted), by_app_and_path);
        for (size_t i = 0; i < n; i++) {
                sum += output_amount(sorted[i], "bytes");
                printf("  remove    %s: %s (%s, %s)\n", output_text(sorted[i], "app"),
                       output_text(sorted[i], "path"), output_bytes(sorted[i], "bytes", bytes),
                       view_reach(sorted[i]));
        }
        if (n > 0)
                printf("  %s %s, %s%s\n", n < CACHES_LISTED ? "in all   " : "the first",
                       output_count((int64_t)n, "cache", count), bytes_format(sum, bytes),
                       n < CACHES_LISTED ? "" : "; there may be more");
        return CTL_DONE;
}

static bool is_remaining(const Json *remaining, const char *object) {
        json_foreach (left, remaining)
                if (strcmp(json_get_string(left, "object", ""), object) == 0)
                        return true;
        return false;
}

/* Prints the applications of which nothing is removed, and why. */
static void print_left_apps(const Ctl *ctl, const Json *apps, const Json *remaining) {
        json_foreach (app, apps) {
                const char *name = output_text(app, "name");
                const char *root = output_text(app, "root");
                const char *remedy = json_get_string(app, "remedy", NULL);

                if (!view_app_ok(app) && !is_remaining(remaining, name)) {
                        printf("  %sleave%s     %s: ", terminal_style(&ctl->terminal, STYLE_WARN),
                               terminal_style(&ctl->terminal, STYLE_PLAIN), name);
                        view_app_fault(app);
                        putchar('\n');
                        if (remedy)
                                printf("            end it: %s\n", remedy);
                } else if (view_app_ok(app) && json_get_int(app, "caches", -1) == 0) {
                        printf("  nothing   of %s: no cache below %s\n", name, root);
                }
        }
}

/* Prints names that are removed, with `why` behind those whose image stays. */
static void print_plan_names(const Json *names, const char *verb, const char *why) {
        json_foreach (name, names) {
                const char *id = output_text(name, "imageId");
                bool deleted = json_get_bool(name, "deleted", false);

                printf("  %-9s %s (%.*s)%s\n", deleted ? "delete" : verb, output_text(name, "name"),
                       output_id_length(id), id, deleted ? " (cannot be rolled back)" : why);
        }
}

static void print_kept(const Json *plan) {
        const Json *kept = json_get(plan, "kept");
        int64_t n_more = json_get_int(plan, "keptNames", 0) - (int64_t)json_size(kept);
        char count[OUTPUT_COUNT_MAX];

        json_foreach (name, kept) {
                const char *reason = output_text(name, "reason");

                printf("  keep      %s (kept: %s)\n", output_text(name, "name"),
                       strcmp(reason, "older") == 0    ? "serves no build"
                       : strcmp(reason, "base") == 0   ? "local base image"
                       : strcmp(reason, "commit") == 0 ? "made by docker commit"
                                                       : reason);
        }
        if (n_more > 0)
                printf("  keep      %s more\n", output_count(n_more, "name", count));
}

int view_clear_plan(const Ctl *ctl, const Json *plan) {
        const Json *names = json_get(plan, "names");
        const Json *untagged = json_get(plan, "untagged"), *remaining = json_get(plan, "remaining");
        char bytes[BYTES_TEXT_MAX], count[OUTPUT_COUNT_MAX];
        int r;

        printf("Clearing '%s' would:\n", ctl->target);
        r = print_caches(json_get(plan, "caches"));
        if (r != CTL_DONE)
                return r;
        print_left_apps(ctl, json_get(plan, "apps"), remaining);
        print_plan_names(names, "untag", "");
        print_plan_names(json_get(plan, "replacedTags"), "untag", ", replaced");
        json_foreach (tag, json_get(plan, "rollbackTags"))
                printf("  tag       %s, to roll back to\n", output_text(tag, "name"));
        print_kept(plan);
        if (json_size(untagged) > 0) {
                printf("  remove    %s: ",
                       output_count((int64_t)json_size(untagged), "untagged image", count));
                json_foreach (image, untagged) {
                        const char *id = json_string(image) ? json_string(image) : "?";

                        printf("%s%.*s", image == json_first(untagged) ? "" : ", ",
                               output_id_length(id), id);
                }
                putchar('\n');
        }
        if (target_touches_docker(target_of(ctl->target)))
                printf("  prune     %s, %s\n",
                       output_count(json_get_int(plan, "records", 0), "build cache record", count),
                       output_bytes(plan, "recordBytes", bytes));
        if (json_size(remaining) > 0)
                printf("Left after it, with the commands for then:\n");
        view_remaining(&ctl->terminal, remaining);
        view_not_reached(json_get(plan, "notReached"));
        output_texts("NOTE", json_get(plan, "notes"));
        output_omitted(plan);
        output_texts("ASSUMES", json_get(plan, "assumes"));
        return CTL_DONE;
}
