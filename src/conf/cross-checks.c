/* SPDX-License-Identifier: MIT */

/*
 * Mistakes that no key shows alone: two keys in the wrong order, a missing key, an unusable root, a
 * trash that builds read, and no image selected.
 *
 * - Avoid duplicate errors: after an invalid value the previous one is kept, so cross-checks must skip
 *   that key.
 * - An error stands at the key that was set last. Lines of two files have no order, so `turn` decides.
 * - A root that its owner made unusable is no mistake: it would stop the daemon for everyone, at a
 *   moment of the owner's choice.
 */

#include "cross-checks-internal.h"

#include <stdio.h>
#include <string.h>

#include "apps/marker.h"
#include "apps/root.h"
#include "base/bytes.h"
#include "base/path.h"
#include "base/span.h"
#include "key-value-internal.h"

static const Origin *origin_of(const Draft *draft, const char *section, const char *name) {
        return &draft->origins[0][key_find(section, name) - config_keys];
}

/* Reports that `low` is more than `high`. */
static void wrong_order(Draft *draft, const char *section, const char *low, const char *low_text,
                        const char *high, const char *high_text) {
        const Origin *lows = origin_of(draft, section, low);
        const Origin *highs = origin_of(draft, section, high);
        bool low_last = lows->turn > highs->turn;
        const Origin *last = low_last ? lows : highs, *first = low_last ? highs : lows;

        if (lows->mistaken || highs->mistaken)
                return;
        draft_error(draft, last->file, last->line, "[%s] %s: %s is %s than %s, which is %s%s",
                    section, low_last ? low : high, low_last ? low_text : high_text,
                    low_last ? "more" : "less", low_last ? high : low,
                    low_last ? high_text : low_text, first->turn == 0 ? " by default" : "");
}

static void check_bytes(Draft *draft, const char *section, const char *low, uint64_t low_bytes,
                        const char *high, uint64_t high_bytes) {
        char low_text[BYTES_TEXT_MAX], high_text[BYTES_TEXT_MAX];

        if (high_bytes > 0 && low_bytes > high_bytes)
                wrong_order(draft, section, low, bytes_format(low_bytes, low_text), high,
                            bytes_format(high_bytes, high_text));
}

/* A share of the disk and an amount cannot be compared here: the disk is not known. */
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

/* Which users may have made a path what it is. */
typedef struct Way {
        bool movable; /* users other than root may replace a directory of the path */
        bool open;    /* they may add names to its last directory */
} Way;

static void on_path_directory(void *userdata, const struct stat *st) {
        Way *way = userdata;

        way->movable |= st->st_uid != 0 || (st->st_mode & 022 && !(st->st_mode & S_ISVTX));
        way->open = st->st_mode & 022;
}

/* Walks the path again. Others may have changed it meanwhile, but the first directory in which they
 * can is still on it. Where the walk ends does not count. */
static ConfigLevel level_of(const char *path) {
        Way way = { 0 };
        int fd = trusted_open(path, on_path_directory, &way, NULL);

        if (fd >= 0)
                close(fd);
        return way.movable || way.open ? CONFIG_STATE : CONFIG_MISTAKE;
}

static int no_project(const char *path, Diag *diag) {
        Diag names = DIAG_NULL;

        for (const char *const *marker = app_markers(); *marker; marker++)
                diag_format(&names, "%s%s%s", names.text, *names.text ? ", " : "", *marker);
        return diag_set(diag, -EINVAL, "%s has no project in it (none of %s)", path, names.text);
}

/* 0, or an error whose reason goes to the user. */
static int cross_check_root(const char *path, ConfigLevel *ret_level, Diag *diag) {
        cleanup(app_close) AppRoot root = APP_ROOT_NULL;
        int r;

        r = app_open(path, &root, diag);
        if (r == 0 && app_marker(&root))
                return 0;
        if (r == 0 && app_is_empty(&root)) {
                *ret_level = CONFIG_NOTE;
                return diag_set(diag, -ENOENT, "%s is empty", path);
        }
        if (r == 0 || r == -ENOTDIR || r == -ELOOP) {
                *ret_level = level_of(path);
                return r == 0 ? no_project(path, diag) : r;
        }
        if (r == -ENOENT && strpbrk(path, "*?,")) {
                *ret_level = level_of(path);
                return diag_set(diag, r,
                                "%s does not exist: a root is one directory; a pattern or a list "
                                "is not possible",
                                path);
        }
        *ret_level = r == -EPERM ? CONFIG_MISTAKE : CONFIG_NOTE;
        if (r == -ENOENT)
                diag_format(diag, "%s does not exist yet", path);
        return r;
}

static const Origin *app_origin(const Draft *draft, size_t i, const char *name) {
        return &draft->origins[1 + i][key_find(APP_SECTION, name) - config_keys];
}

/* Compares the paths as written; the trash is checked again when it is opened. */
static void cross_check_trash(Draft *draft, size_t i) {
        const AppConfigs *apps = &draft->config->apps;
        const Origin *origin = app_origin(draft, i, "trash");
        const char *trash = apps->v[i].trash;

        for (size_t k = 0; trash && !origin->mistaken && k < apps->n; k++) {
                size_t at = (i + k) % apps->n; /* its own root first */
                const AppConfig *app = &apps->v[at];
                bool in_root = app->root && !app_origin(draft, at, "root")->mistaken &&
                               path_within(trash, app->root);
                bool in_context = app->context && !app_origin(draft, at, "context")->mistaken &&
                                  path_within(trash, app->context);

                if (!in_root && !in_context)
                        continue;
                draft_error(draft, origin->file, origin->line,
                            "[%s %s] trash: '%s' lies in the %s%s%s%s; a build would find it",
                            APP_SECTION, apps->v[i].name, trash, in_root ? "root" : "context",
                            at != i ? " of [" APP_SECTION " " : "", at != i ? app->name : "",
                            at != i ? "]" : "");
                return;
        }
}

static void check_required(Draft *draft, size_t i) {
        const Origin *head = &draft->app_heads[i], *origins = draft->origins[1 + i];

        for (size_t k = 0; k < n_config_keys; k++) {
                const Key *key = &config_keys[k];

                if (key->owner != KEY_OF_APP || key->fallback || origins[k].turn > 0 ||
                    origins[k].mistaken || head->mistaken)
                        continue;
                draft_error(draft, head->file, head->line, "[%s %s] %s: required, and not set",
                            APP_SECTION, draft->config->apps.v[i].name, key->name);
        }
}

/* An empty value resets a list, and further lines may add to it. A list that ends up empty is a
 * mistake if the key is required or has a word for the empty list, such as "auto". */
static void check_emptied(Draft *draft, size_t scope) {
        for (size_t k = 0; k < n_config_keys; k++) {
                const Origin *origin = &draft->origins[scope][k];
                const Key *key = &config_keys[k];
                Diag diag = DIAG_NULL;

                if (!origin->emptied || origin->mistaken || (key->fallback && !key->none) ||
                    key_empty(key, &diag) >= 0)
                        continue;
                draft_error(draft, origin->file, origin->line, "[%s%s%s] %s: %s", key->section,
                            scope > 0 ? " " : "",
                            scope > 0 ? draft->config->apps.v[scope - 1].name : "", key->name,
                            diag.text);
        }
}

static void check_app(Draft *draft, size_t i) {
        const AppConfig *app = &draft->config->apps.v[i];
        const Origin *root = app_origin(draft, i, "root");
        ConfigLevel level = CONFIG_MISTAKE;
        Diag diag = DIAG_NULL;
        int r = 0;

        check_required(draft, i);
        check_emptied(draft, 1 + i);
        if (app->root && !root->mistaken)
                r = cross_check_root(app->root, &level, &diag);
        if (r == -ENOMEM)
                draft->out_of_memory = true;
        else if (r < 0)
                draft_tell(draft, level, root->file, root->line, "[%s %s] root: %s", APP_SECTION,
                           app->name, diag_text(&diag, r));
        cross_check_trash(draft, i);
}

void draft_check(Draft *draft) {
        const Config *config = draft->config;
        const Origin *origin = origin_of(draft, "images", "match");

        check_order(draft);
        check_emptied(draft, 0);
        for (size_t i = 0; i < config->apps.n; i++)
                check_app(draft, i);

        if (config->match.n > 0 || config->project)
                return;
        draft_error(draft, origin->file ? origin->file : config->file, origin->line,
                    "[images] match: empty, with no project set: no image would ever be cleared");
}
