/* SPDX-License-Identifier: MIT */

/*
 * inih splits lines into names and values, and no more is left to it: it tells its handler no line
 * number, reports one mistake a file, cuts long lines and long section names silently, takes an
 * indented line for more of the value before, and ':' for '='. So it reads through read_line(),
 * which counts, keeps the section, and hands it only lines that it can't get wrong; every other line
 * is reported and reaches inih as an empty one. A line handed over that comes back as no value
 * (`pending`) is a mistake as well. None of this depends on how the distribution built inih, other
 * than its buffer being no smaller than INI_MAX_LINE.
 */

#include "conf/config.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "apps/sweep.h"
#include "base/array.h"
#include "base/bytes.h"
#include "base/io.h"
#include "base/span.h"
#include "conf/keys.h"

#define BLANKS " \t"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static_assert(CONFIG_LINE_MAX + 2 <= INI_MAX_LINE, "inih would cut lines");

/* Where a key was set last, or the section of an application opened first. */
typedef struct Origin {
        const char *file; /* the very pointer from Loader.files; NULL: it has its default */
        unsigned line;
        unsigned turn; /* counts what is set, from 1; 0: it has its default */
        bool mistaken; /* the value then was none: an older one stayed */
} Origin;

typedef struct Loader {
        Config *config;
        ConfigErrors *errors;
        Strv files;
        /* 0: of the Config's own keys; 1 + i: of the keys of apps.v[i] */
        Origin origins[1 + APPS_MAX][KEYS_MAX];
        Origin app_heads[APPS_MAX];
        unsigned turn;
        bool out_of_memory;
        int file_error; /* of the first file that could not be read */

        /* the file being read */
        const char *file;
        const char *rest, *end;
        unsigned line;
        enum { SECTION_NONE, SECTION_KNOWN, SECTION_UNKNOWN } section;
        char title[sizeof APP_SECTION + APP_NAME_MAX]; /* of a known one, "app frontend" */
        size_t scope;                                  /* its place in `origins` */
        bool pending; /* inih has a line that should come back as a value */
} Loader;

static void add_error(Loader *loader, const char *file, unsigned line, const Diag *diag) {
        ConfigErrors *errors = loader->errors;
        ConfigError error = { .line = line };
        ConfigError *grown;

        error.file = strdup(file);
        error.text = strdup(diag->text);
        grown = reallocarray(errors->v, errors->n + 1, sizeof *grown);
        if (grown)
                errors->v = grown;
        if (!grown || !error.file || !error.text) {
                free(error.file);
                free(error.text);
                loader->out_of_memory = true;
                return;
        }
        errors->v[errors->n++] = error;
}

static void complain(Loader *loader, const char *format, ...) printf_like(2, 3);
static void complain(Loader *loader, const char *format, ...) {
        Diag diag = DIAG_NULL;
        char text[sizeof diag.text + 8];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        diag_format(&diag, "%s", text);
        add_error(loader, loader->file, loader->line, &diag);
}

static void unknown_key(Loader *loader, const char *section, const char *name) {
        const char *nearest = key_nearest(section, name), *title = loader->title;
        char homes[KEY_HOMES_MAX];

        if (key_homes(name, homes))
                complain(loader, "[%s] %s: unknown key; it belongs to %s", title, name, homes);
        else if (nearest)
                complain(loader, "[%s] %s: unknown key; did you mean '%s'?", title, name, nearest);
        else
                complain(loader, "[%s] %s: unknown key", title, name);
}

/* inih's handler: one value of the line that read_line() handed over last. What it takes for the
 * section may have been cut. */
static int on_value(void *userdata, const char *cut, const char *name, const char *value) {
        Loader *loader = userdata;
        const char *section = loader->scope > 0 ? APP_SECTION : loader->title;
        void *base = loader->config;
        Diag diag = DIAG_NULL;
        Origin *origin;
        const Key *key;
        int r;

        (void)cut;
        loader->pending = false;
        if (*name == '\0') {
                complain(loader, "no key before '='");
                return 1;
        }
        if (loader->section == SECTION_UNKNOWN) /* told once, at its head */
                return 1;
        if (loader->section == SECTION_NONE) {
                char homes[KEY_HOMES_MAX];

                if (key_homes(name, homes))
                        complain(loader, "%s: a key outside a section; it belongs to %s", name,
                                 homes);
                else
                        complain(loader, "%s: a key outside a section", name);
                return 1;
        }
        key = key_find(section, name);
        if (!key) {
                unknown_key(loader, section, name);
                return 1;
        }
        origin = &loader->origins[loader->scope][key - config_keys];
        if (origin->file == loader->file) {
                complain(loader, "[%s] %s: set twice, before in line %u", loader->title, name,
                         origin->line);
                return 1;
        }
        *origin = (Origin){ loader->file, loader->line, ++loader->turn, false };
        if (loader->scope > 0)
                base = &loader->config->apps.v[loader->scope - 1];
        r = key_parse(key, value, base, &diag);
        if (r == -ENOMEM)
                loader->out_of_memory = true;
        else if (r < 0) {
                complain(loader, "[%s] %s: %s", loader->title, name, diag_text(&diag, r));
                origin->mistaken = true;
        }
        return 1;
}

/* NULL on out of memory. */
static AppConfig *add_app(AppConfigs *apps, const char *name) {
        cleanup_free char *copy = strdup(name);

        if (!copy || array_grow(apps->v, apps->n, apps->size) < 0)
                return NULL;
        apps->v[apps->n] = (AppConfig){ .name = TAKE_PTR(copy) };
        return &apps->v[apps->n++];
}

static bool open_app(Loader *loader, const char *name) {
        AppConfigs *apps = &loader->config->apps;
        const AppConfig *known = config_app(loader->config, name);
        size_t i = known ? (size_t)(known - apps->v) : apps->n;
        Diag diag = DIAG_NULL;
        int r;

        r = app_name_check(name, &diag);
        if (r < 0) {
                complain(loader, "[%s %s]: %s", APP_SECTION, name, diag_text(&diag, r));
                return false;
        }
        if (i == APPS_MAX) {
                complain(loader, "[%s %s]: one application too many; %d are possible", APP_SECTION,
                         name, APPS_MAX);
                return false;
        }
        if (i == apps->n) {
                AppConfig *app = add_app(apps, name);

                if (!app || keys_set_defaults(KEY_OF_APP, app) < 0) {
                        loader->out_of_memory = true;
                        return false;
                }
                loader->app_heads[i] = (Origin){ .file = loader->file, .line = loader->line };
        }
        snprintf(loader->title, sizeof loader->title, "%s %s", APP_SECTION, name);
        loader->scope = 1 + i;
        return true;
}

/* What follows where a section was meant for an application's, as in "apps", "app:web" or
 * "application web"; NULL where it was not. */
static const char *app_meant(const char *name) {
        static const char *const words[] = { "application", "apps", APP_SECTION };

        name += strspn(name, BLANKS);
        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                size_t n = strlen(words[i]);

                if (strncasecmp(name, words[i], n) == 0 && !isalnum((unsigned char)name[n]))
                        return name + n + strspn(name + n, BLANKS ".:/_-\"'");
        }
        return NULL;
}

static void unknown_section(Loader *loader, const char *name) {
        const char *app = app_meant(name), *nearest = section_nearest(name);

        if (app || (nearest && strcmp(nearest, APP_SECTION) == 0))
                complain(loader, "[%s]: unknown section; did you mean [%s %s]?", name, APP_SECTION,
                         app && app_name_check(app, NULL) == 0 ? app : "NAME");
        else if (nearest)
                complain(loader, "[%s]: unknown section; did you mean [%s]?", name, nearest);
        else
                complain(loader, "[%s]: unknown section", name);
}

static bool open_section(Loader *loader, const char *name) {
        size_t n = strcspn(name, BLANKS);
        const char *rest = name + n + strspn(name + n, BLANKS), *section = section_find(name);

        if (n == strlen(APP_SECTION) && strncmp(name, APP_SECTION, n) == 0 && *rest)
                return open_app(loader, rest);
        if (!section || strcmp(section, APP_SECTION) == 0) {
                unknown_section(loader, name);
                return false;
        }
        snprintf(loader->title, sizeof loader->title, "%s", section);
        loader->scope = 0;
        return true;
}

static bool check_section(Loader *loader, const char *line) {
        size_t n = strcspn(line + 1, "]");
        const char *after = line + 1 + n;
        char name[CONFIG_LINE_MAX + 1];

        loader->section = SECTION_UNKNOWN;
        if (*after == '\0') {
                complain(loader, "a section without its ']'");
                return false;
        }
        after++;
        if (*after && (*after != ' ' || after[strspn(after, BLANKS)] != ';')) {
                complain(loader, "something after the ']' of a section");
                return false;
        }
        memcpy(name, line + 1, n);
        name[n] = '\0';
        if (!open_section(loader, name))
                return false;
        loader->section = SECTION_KNOWN;
        return true;
}

/* Whether inih may see the line; puts it into `line`, which has room. */
static bool check_line(Loader *loader, const char *text, size_t n, char *line) {
        char cleaned[CONFIG_LINE_MAX + 1];
        const char *separator;
        size_t blanks = 0;

        if (memchr(text, '\0', n)) {
                complain(loader, "a NUL byte");
                return false;
        }
        while (n > 0 && strchr(BLANKS, text[n - 1]))
                n--;
        while (blanks < n && strchr(BLANKS, text[blanks]))
                blanks++;
        if (blanks == n || text[blanks] == ';' || text[blanks] == '#')
                return false;
        if (n > CONFIG_LINE_MAX) {
                complain(loader, "the line has %zu characters; %d are possible", n,
                         CONFIG_LINE_MAX);
                return false;
        }
        if (blanks > 0) {
                complain(loader, "a blank before the text: keys and sections start in the first "
                                 "column, and values do not continue");
                return false;
        }

        memcpy(line, text, n);
        line[n] = '\0';
        for (char *tab = line; (tab = strchr(tab, '\t'));)
                *tab = ' ';
        memcpy(cleaned, line, n + 1);
        if (strcmp(text_clean(cleaned), line) != 0) {
                complain(loader, "a control character, or not UTF-8: '%s'", cleaned);
                return false;
        }

        if (line[0] == '[')
                return check_section(loader, line);
        separator = strpbrk(line, "=:");
        if (!separator || *separator == ':') {
                complain(loader, "no '=': '%s' is neither KEY=VALUE nor [SECTION]", line);
                return false;
        }
        loader->pending = true;
        return true;
}

static void end_line(Loader *loader) {
        if (loader->pending) /* such as "a key ;=" */
                complain(loader, "neither KEY=VALUE nor [SECTION]");
        loader->pending = false;
}

/* inih's reader, as fgets(3). `line` has INI_MAX_LINE bytes or more. */
static char *read_line(char *line, int size, void *userdata) {
        Loader *loader = userdata;
        const char *text = loader->rest, *newline;
        size_t n;

        end_line(loader);
        if (text == loader->end || size < CONFIG_LINE_MAX + 2)
                return NULL;
        newline = memchr(text, '\n', (size_t)(loader->end - text));
        n = (size_t)((newline ? newline : loader->end) - text);
        loader->rest = newline ? newline + 1 : loader->end;
        loader->line++;

        if (n > 0 && text[n - 1] == '\r')
                n--;
        if (loader->line == 1 && n >= strlen(BYTE_ORDER_MARK) &&
            memcmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0) {
                text += strlen(BYTE_ORDER_MARK);
                n -= strlen(BYTE_ORDER_MARK);
        }
        if (!check_line(loader, text, n, line))
                line[0] = '\0';
        return line;
}

static void file_failed(Loader *loader, const char *file, int error) {
        Diag diag = DIAG_NULL;

        if (error == -ENOMEM)
                loader->out_of_memory = true;
        else if (error == -EFBIG)
                diag_format(&diag, "larger than %u bytes", CONFIG_FILE_MAX);
        else if (error == -EINVAL)
                diag_format(&diag, "not a regular file");
        else
                diag_format(&diag, "can't be read: %s", error_text(error));
        add_error(loader, file, 0, &diag);
        if (loader->file_error == 0)
                loader->file_error = error;
}

static void load_file(Loader *loader, const char *file) {
        cleanup_free char *text = NULL;
        size_t before = loader->errors->n, n;
        int r;

        r = file_read(AT_FDCWD, file, CONFIG_FILE_MAX, &text, &n);
        if (r < 0) {
                file_failed(loader, file, r);
                return;
        }
        loader->file = file;
        loader->rest = text;
        loader->end = text + n;
        loader->line = 0;
        loader->section = SECTION_NONE;
        r = ini_parse_stream(read_line, loader, on_value, loader);
        end_line(loader);
        if (r == -2)
                loader->out_of_memory = true;
        else if ((r != 0 && loader->errors->n == before) || loader->rest != loader->end) {
                /* inih saw a mistake that nothing above saw, or has a buffer of another size */
                loader->line = r > 0 ? (unsigned)r : 0;
                complain(loader, "not understood");
        }
}

/* The *.conf of FILE.d in name order; no such directory is none of them. */
static int find_drop_ins(Loader *loader, const char *path) {
        cleanup(strv_done) Strv names = STRV_NULL;
        cleanup_free char *directory = NULL;
        struct dirent *entry;
        DIR *stream;
        int r = 0;

        if (asprintf(&directory, "%s.d", path) < 0) {
                directory = NULL;
                return -ENOMEM;
        }
        stream = opendir(directory);
        if (!stream && errno == ENOENT)
                return 0;
        if (!stream) {
                file_failed(loader, directory, -errno);
                return 0;
        }
        while (r == 0 && (errno = 0, entry = readdir(stream))) {
                const char *name = entry->d_name;
                size_t n = strlen(name);

                if (name[0] != '.' && n > strlen(".conf") &&
                    strcmp(name + n - strlen(".conf"), ".conf") == 0)
                        r = strv_add(&names, name);
        }
        if (r == 0 && errno != 0)
                file_failed(loader, directory, -errno);
        closedir(stream);

        strv_sort(&names);
        for (size_t i = 0; r == 0 && i < names.n; i++) {
                cleanup_free char *file = NULL;

                if (asprintf(&file, "%s/%s", directory, names.v[i]) < 0) {
                        file = NULL;
                        return -ENOMEM;
                }
                r = strv_add(&loader->files, file);
        }
        return r;
}

static const Origin *origin_of(const Loader *loader, const char *section, const char *name) {
        return &loader->origins[0][key_find(section, name) - config_keys];
}

/* `low` is more than `high`, which is told of the one that was set last. */
static void wrong_order(Loader *loader, const char *section, const char *low, const char *low_text,
                        const char *high, const char *high_text) {
        const Origin *lows = origin_of(loader, section, low);
        const Origin *highs = origin_of(loader, section, high);
        bool low_last = lows->turn > highs->turn;
        const Origin *last = low_last ? lows : highs, *first = low_last ? highs : lows;
        Diag diag = DIAG_NULL;

        if (lows->mistaken || highs->mistaken)
                return;
        diag_format(&diag, "[%s] %s: %s is %s than %s, which is %s%s", section,
                    low_last ? low : high, low_last ? low_text : high_text,
                    low_last ? "more" : "less", low_last ? high : low,
                    low_last ? high_text : low_text, first->turn == 0 ? " by default" : "");
        add_error(loader, last->file, last->line, &diag);
}

static void check_bytes(Loader *loader, const char *section, const char *low, uint64_t low_bytes,
                        const char *high, uint64_t high_bytes) {
        char low_text[BYTES_TEXT_MAX], high_text[BYTES_TEXT_MAX];

        if (high_bytes > 0 && low_bytes > high_bytes)
                wrong_order(loader, section, low, bytes_format(low_bytes, low_text), high,
                            bytes_format(high_bytes, high_text));
}

/* A share of the disk and an amount can only be compared where the disk is known. */
static void check_order(Loader *loader) {
        const Config *config = loader->config;

        check_bytes(loader, "builder", "target_size", config->builder_target.bytes, "max_size",
                    config->builder_max.bytes);
        if (config->image_min_age_usec > config->image_max_age_usec) {
                char min_text[SPAN_TEXT_MAX], max_text[SPAN_TEXT_MAX];

                wrong_order(loader, "images", "min_age",
                            span_format(config->image_min_age_usec, min_text), "max_age",
                            span_format(config->image_max_age_usec, max_text));
        }
        check_bytes(loader, "disk", "min_free", config->min_free.bytes, "target_free",
                    config->target_free.bytes);
        if (config->target_free.percent > 0 &&
            config->min_free.percent > config->target_free.percent) {
                char min_text[16], target_text[16];

                snprintf(min_text, sizeof min_text, "%u%%", config->min_free.percent);
                snprintf(target_text, sizeof target_text, "%u%%", config->target_free.percent);
                wrong_order(loader, "disk", "min_free", min_text, "target_free", target_text);
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

static void check_app(Loader *loader, size_t i) {
        const AppConfig *app = &loader->config->apps.v[i];
        const Origin *head = &loader->app_heads[i], *origins = loader->origins[1 + i];
        const Origin *root = &origins[key_find(APP_SECTION, "root") - config_keys];
        Diag diag;
        int r;

        for (size_t k = 0; k < n_config_keys; k++) {
                const Key *key = &config_keys[k];

                if (key->owner != KEY_OF_APP || key->fallback || origins[k].turn > 0)
                        continue;
                diag_format(&diag, "[%s %s]: no %s", APP_SECTION, app->name, key->name);
                add_error(loader, head->file, head->line, &diag);
        }
        if (!app->root || root->mistaken)
                return;
        diag = DIAG_NULL;
        r = check_root(app->root, &diag);
        if (r == -ENOMEM)
                loader->out_of_memory = true;
        if (r != -EINVAL)
                return;
        diag_prefix(&diag, "[%s %s] root", APP_SECTION, app->name);
        add_error(loader, root->file, root->line, &diag);
}

/* What no key can see alone. */
static void check_whole(Loader *loader) {
        const Config *config = loader->config;
        const Origin *origin = origin_of(loader, "images", "match");
        Diag diag = DIAG_NULL;

        check_order(loader);
        for (size_t i = 0; i < config->apps.n; i++)
                check_app(loader, i);

        if (config->match.n > 0 || config->project)
                return;
        diag_format(&diag, "[images] match: empty, with no project set: "
                           "no image would ever be cleared");
        add_error(loader, origin->file ? origin->file : config->file, origin->line, &diag);
}

static bool size_is_off(const Size *size) {
        return size->bytes == 0 && size->percent == 0;
}

static int load_defaults(Config **ret) {
        cleanup(config_free) Config *config = calloc(1, sizeof *config);
        int r;

        if (!config)
                return -ENOMEM;
        r = keys_set_defaults(KEY_OF_CONFIG, config);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(config);
        return 0;
}

static int load_files(Loader *loader, const char *path) {
        int r;

        loader->config->file = strdup(path);
        if (!loader->config->file)
                return -ENOMEM;
        r = strv_add(&loader->files, path);
        if (r < 0)
                return r;
        r = find_drop_ins(loader, path);
        if (r < 0)
                return r;
        for (size_t i = 0; i < loader->files.n; i++)
                load_file(loader, loader->files.v[i]);
        check_whole(loader);
        if (size_is_off(&loader->config->target_free))
                loader->config->target_free = loader->config->min_free;

        if (loader->out_of_memory)
                return -ENOMEM;
        if (loader->file_error < 0)
                return loader->file_error;
        return loader->errors->n > 0 ? -EINVAL : 0;
}

int config_load(const char *path, Config **ret, ConfigErrors *reterr_errors) {
        cleanup(config_free) Config *config = NULL;
        Loader loader = { .errors = reterr_errors };
        int r;

        *reterr_errors = (ConfigErrors){ 0 };
        r = load_defaults(&config);
        if (r < 0)
                return r;
        if (path) {
                loader.config = config;
                r = load_files(&loader, path);
                strv_done(&loader.files);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(config);
        return 0;
}

uint64_t size_of(const Size *size, uint64_t whole_bytes) {
        uint64_t share =
                whole_bytes / 100 * size->percent + whole_bytes % 100 * size->percent / 100;

        if (size->percent == 0)
                return size->bytes > 0 ? size->bytes : UINT64_MAX;
        return size->bytes > 0 ? MIN(size->bytes, share) : share;
}

static int copy_apps(const AppConfigs *from, AppConfigs *to) {
        for (size_t i = 0; i < from->n; i++) {
                AppConfig *app = add_app(to, from->v[i].name);
                int r = app ? keys_copy(KEY_OF_APP, &from->v[i], app) : -ENOMEM;

                if (r < 0)
                        return r;
        }
        return 0;
}

int config_copy(const Config *config, Config **ret) {
        cleanup(config_free) Config *copy = calloc(1, sizeof *copy);
        int r;

        if (!copy)
                return -ENOMEM;
        if (config->file) {
                copy->file = strdup(config->file);
                if (!copy->file)
                        return -ENOMEM;
        }
        r = keys_copy(KEY_OF_CONFIG, config, copy);
        if (r == 0)
                r = copy_apps(&config->apps, &copy->apps);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(copy);
        return 0;
}

Config *config_free(Config *config) {
        if (!config)
                return NULL;
        keys_clear(KEY_OF_CONFIG, config);
        for (size_t i = 0; i < config->apps.n; i++) {
                keys_clear(KEY_OF_APP, &config->apps.v[i]);
                free(config->apps.v[i].name);
        }
        free(config->apps.v);
        free(config->file);
        free(config);
        return NULL;
}

const AppConfig *config_app(const Config *config, const char *name) {
        for (size_t i = 0; i < config->apps.n; i++)
                if (strcmp(config->apps.v[i].name, name) == 0)
                        return &config->apps.v[i];
        return NULL;
}

void config_errors_done(ConfigErrors *errors) {
        for (size_t i = 0; i < errors->n; i++) {
                free(errors->v[i].file);
                free(errors->v[i].text);
        }
        free(errors->v);
        *errors = (ConfigErrors){ 0 };
}

char *config_error_text(const ConfigError *error) {
        char *text;
        int r;

        if (error->line > 0)
                r = asprintf(&text, "%s:%u: %s", error->file, error->line, error->text);
        else
                r = asprintf(&text, "%s: %s", error->file, error->text);
        return r < 0 ? NULL : text_clean(text);
}

int config_restart_keys(const Config *old_config, const Config *new_config, Strv *ret_keys) {
        for (size_t i = 0; i < n_config_keys; i++) {
                const Key *key = &config_keys[i];
                char name[64];
                int r;

                assert(!key->restart || key->owner == KEY_OF_CONFIG);
                if (!key->restart || key_equal(key, old_config, new_config))
                        continue;
                snprintf(name, sizeof name, "[%s] %s", key->section, key->name);
                r = strv_add(ret_keys, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

static const char first_app[] =
        "# Applications, whose caches a clear removes: a section for each. These two are\n"
        "# examples; as shipped there is none.\n"
        "#[app frontend]\n";

static const char second_app[] =
        "\n"
        "#[app backend]\n"
        "#root=/srv/watch-party/backend\n"
        "\n"
        "# staticfiles is not among them: a running web server may be serving it, and\n"
        "# collectstatic writes it anew; with --clear, from nothing.\n"
        "#caches=__pycache__\n";

char *config_listing(void) {
        cleanup_free char *text = NULL;
        const char *section = "";
        size_t size;
        FILE *stream;

        stream = open_memstream(&text, &size);
        if (!stream)
                return NULL;
        fputs("# wpcached.conf(5). Every key is shown with its default; wpcached.conf.d/"
              "*.conf come after.\n",
              stream);
        for (size_t i = 0; i < n_config_keys; i++) {
                const Key *key = &config_keys[i];
                bool app = key->owner == KEY_OF_APP;

                fputc('\n', stream);
                if (strcmp(section, key->section) != 0 && app)
                        fputs(first_app, stream);
                else if (strcmp(section, key->section) != 0)
                        fprintf(stream, "[%s]\n", key->section);
                section = key->section;
                for (const char *line = key->about; *line;) {
                        size_t n = strcspn(line, "\n");

                        fprintf(stream, "# %.*s\n", (int)n, line);
                        line += n + (line[n] == '\n');
                }
                fprintf(stream, "#%s=%s\n", key->name,
                        key->fallback ? key->fallback : key->example);
                if (app && (i + 1 == n_config_keys || config_keys[i + 1].owner != KEY_OF_APP))
                        fputs(second_app, stream);
        }
        return fclose(stream) == 0 ? TAKE_PTR(text) : NULL;
}
