/* SPDX-License-Identifier: MIT */

/*
 * What no key can see alone: two keys in the wrong order, one that is missing, a root that is none,
 * and that no image is selected.
 *
 * The trap is a mistake that is told twice: where a value was none, an older one stands in its
 * place, of which nothing may be said. Another is where to tell it, which is what was set last:
 * lines of two files have no order, so that is by `turn`.
 */

#include <stdio.h>

#include "apps/sweep.h"
#include "base/bytes.h"
#include "base/span.h"
#include "conf/draft.h"

static const Origin *origin_of(const Draft *draft, const char *section, const char *name) {
        return &draft->origins[0][key_find(section, name) - config_keys];
}

/* `low` is more than `high`, which is told of the one that was set last. */
static void wrong_order(Draft *draft, const char *section, const char *low, const char *low_text,
                        const char *high, const char *high_text) {
        const Origin *lows = origin_of(draft, section, low);
        const Origin *highs = origin_of(draft, section, high);
        bool low_last = lows->turn > highs->turn;
        const Origin *last = low_last ? lows : highs, *first = low_last ? highs : lows;
        Diag diag = DIAG_NULL;

        if (lows->mistaken || highs->mistaken)
                return;
        diag_format(&diag, "[%s] %s: %s is %s than %s, which is %s%s", section,
                    low_last ? low : high, low_last ? low_text : high_text,
                    low_last ? "more" : "less", low_last ? high : low,
                    low_last ? high_text : low_text, first->turn == 0 ? " by default" : "");
        draft_error(draft, last->file, last->line, &diag);
}

static void check_bytes(Draft *draft, const char *section, const char *low, uint64_t low_bytes,
                        const char *high, uint64_t high_bytes) {
        char low_text[BYTES_TEXT_MAX], high_text[BYTES_TEXT_MAX];

        if (high_bytes > 0 && low_bytes > high_bytes)
                wrong_order(draft, section, low, bytes_format(low_bytes, low_text), high,
                            bytes_format(high_bytes, high_text));
}

/* A share of the disk and an amount can only be compared where the disk is known. */
static void check_order(Draft *draft) {
        const Config *config = draft->config;

        check_bytes(draft, "builder", "target_size", config->builder_target.bytes, "max_size",
                    config->builder_max.bytes);
        if (config->image_min_age_usec > config->image_max_age_usec) {
                char min_text[SPAN_TEXT_MAX], max_text[SPAN_TEXT_MAX];

                wrong_order(draft, "images", "min_age",
                            span_format(config->image_min_age_usec, min_text), "max_age",
                            span_format(config->image_max_age_usec, max_text));
        }
        check_bytes(draft, "disk", "min_free", config->min_free.bytes, "target_free",
                    config->target_free.bytes);
        if (config->target_free.percent > 0 &&
            config->min_free.percent > config->target_free.percent) {
                char min_text[16], target_text[16];

                snprintf(min_text, sizeof min_text, "%u%%", config->min_free.percent);
                snprintf(target_text, sizeof target_text, "%u%%", config->target_free.percent);
                wrong_order(draft, "disk", "min_free", min_text, "target_free", target_text);
        }
}

/* -EINVAL where the root is none. What may pass, such as one that is not mounted yet, is a state of
 * the application and not looked at here. */
static int check_root(const char *path, Diag *diag) {
        cleanup(app_close) AppRoot root = APP_ROOT_NULL;
        const char *const *markers = app_markers();
        Diag names = DIAG_NULL;
        int r;

        r = app_open(path, &root, diag);
        if (r == -ENOMEM)
                return r;
        if (r == -EPERM || r == -EINVAL || r == -ENOTDIR || r == -ELOOP)
                return diag_set(diag, -EINVAL, "%s", diag_text(diag, r));
        if (r < 0 || app_marker(&root) || app_is_empty(&root))
                return 0;
        for (; *markers; markers++)
                diag_format(&names, "%s%s%s", names.text, *names.text ? ", " : "", *markers);
        return diag_set(diag, -EINVAL, "%s has no project in it (none of %s)", path, names.text);
}

static void check_app(Draft *draft, size_t i) {
        const AppConfig *app = &draft->config->apps.v[i];
        const Origin *head = &draft->app_heads[i], *origins = draft->origins[1 + i];
        const Origin *root = &origins[key_find(APP_SECTION, "root") - config_keys];
        Diag diag;
        int r;

        for (size_t k = 0; k < n_config_keys; k++) {
                const Key *key = &config_keys[k];

                if (key->owner != KEY_OF_APP || key->fallback || origins[k].turn > 0)
                        continue;
                diag_format(&diag, "[%s %s]: no %s", APP_SECTION, app->name, key->name);
                draft_error(draft, head->file, head->line, &diag);
        }
        if (!app->root || root->mistaken)
                return;
        diag = DIAG_NULL;
        r = check_root(app->root, &diag);
        if (r == -ENOMEM)
                draft->out_of_memory = true;
        if (r != -EINVAL)
                return;
        diag_prefix(&diag, "[%s %s] root", APP_SECTION, app->name);
        draft_error(draft, root->file, root->line, &diag);
}

void draft_check(Draft *draft) {
        const Config *config = draft->config;
        const Origin *origin = origin_of(draft, "images", "match");
        Diag diag = DIAG_NULL;

        check_order(draft);
        for (size_t i = 0; i < config->apps.n; i++)
                check_app(draft, i);

        if (config->match.n > 0 || config->project)
                return;
        diag_format(&diag, "[images] match: empty, with no project set: "
                           "no image would ever be cleared");
        draft_error(draft, origin->file ? origin->file : config->file, origin->line, &diag);
}
