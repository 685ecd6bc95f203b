/* SPDX-License-Identifier: MIT */

/*
 * inih splits lines into names and values. It tells its handler no line number, reports one mistake a
 * file, cuts long lines and section names silently, takes an indented line for a continuation, and
 * ':' for '='. So it reads through read_line(), which counts lines, keeps the section, and passes on
 * only lines that inih cannot get wrong. Every other line is reported, and inih gets an empty one. A
 * line that is passed on and does not come back as a value (`pending`) is a mistake, too. Of how inih
 * was built only the size of its buffer matters: INI_MAX_LINE at least.
 */

#include "conf/loader.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/text.h"
#include "checks-internal.h"
#include "config-internal.h"
#include "cross-checks-internal.h"
#include "key-value-internal.h"

#define BLANKS " \t"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static_assert(CONFIG_LINE_MAX + 2 <= INI_MAX_LINE, "inih would cut lines");

typedef struct Loader {
        Draft draft;
        Strv files;
        unsigned turn;
        int file_error; /* of the first file that could not be read */

        /* the file being read */
        const char *file;
        const char *rest, *end;
        unsigned line;
        enum { SECTION_NONE, SECTION_KNOWN, SECTION_UNKNOWN } section;
        char title[sizeof APP_SECTION + APP_NAME_MAX]; /* of a known section, "app frontend" */
        size_t scope;                                  /* its index in `origins` */
        bool pending; /* a line that was passed on has not come back yet */
} Loader;

/* Reports a mistake in the current line. */
#define complain(loader, ...) \
        draft_error(&(loader)->draft, (loader)->file, (loader)->line, __VA_ARGS__)

/* A line that cannot be read may have set any key of the section. */
static void line_lost(Loader *loader) {
        if (loader->section == SECTION_KNOWN && loader->scope > 0)
                loader->draft.app_heads[loader->scope - 1].mistaken = true;
}

static void unknown_key(Loader *loader, const char *section, const char *name) {
        const char *nearest = key_nearest(section, name), *title = loader->title;
        char homes[KEY_HOMES_MAX];

        if (key_homes(name, homes))
                complain(loader, "[%s] %s: unknown key; it belongs to %s", title, name, homes);
        else if (nearest) {
                const Key *key = key_find(section, nearest);
                Origin *meant = &loader->draft.origins[loader->scope][key - config_keys];

                complain(loader, "[%s] %s: unknown key; did you mean '%s'?", title, name, nearest);
                if (meant->turn == 0)
                        meant->mistaken = true;
        } else
                complain(loader, "[%s] %s: unknown key", title, name);
}

/* inih's handler: a value of the line that read_line() passed on last. `cut` is the section, perhaps
 * cut by inih. */
static int on_ini_value(void *userdata, const char *cut, const char *name, const char *value) {
        Loader *loader = userdata;
        const char *section = loader->scope > 0 ? APP_SECTION : loader->title;
        void *base = loader->draft.config;
        Diag diag = DIAG_NULL;
        Origin *origin;
        const Key *key;
        bool again;
        int r;

        loader->pending = false;
        if (*name == '\0') {
                complain(loader, "no key before '='");
                line_lost(loader);
                return 1;
        }
        if (loader->section == SECTION_UNKNOWN) /* reported at its head */
                return 1;
        if (loader->section == SECTION_NONE) {
                char buffer[KEY_HOMES_MAX];
                const char *homes = key_homes(name, buffer);

                complain(loader, "%s: a key outside a section%s%s", name,
                         homes ? "; it belongs to " : "", homes ? homes : "");
                return 1;
        }
        key = key_find(section, name);
        if (!key) {
                unknown_key(loader, section, name);
                return 1;
        }
        origin = &loader->draft.origins[loader->scope][key - config_keys];
        again = origin->file == loader->file;
        if (again && key->kind != KEY_LIST) {
                complain(loader, "[%s] %s: set twice, before in line %u", loader->title, name,
                         origin->line);
                return 1;
        }
        *origin = (Origin){
                .file = loader->file,
                .line = loader->line,
                .turn = ++loader->turn,
                .mistaken = again && origin->mistaken,
                .emptied = key->kind == KEY_LIST && *value == '\0',
        };
        if (loader->scope > 0)
                base = &loader->draft.config->apps.v[loader->scope - 1];
        r = again ? key_add(key, value, base, &diag) : key_parse(key, value, base, &diag);
        if (r == -ENOMEM)
                loader->draft.out_of_memory = true;
        else if (r < 0) {
                complain(loader, "[%s] %s: %s", loader->title, name, diag_text(&diag, r));
                origin->mistaken = true;
        }
        return 1;
}

static bool open_app_section(Loader *loader, const char *name) {
        AppConfigs *apps = &loader->draft.config->apps;
        const AppConfig *known = config_app(loader->draft.config, name);
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
                AppConfig *app = app_configs_add(apps, name);

                if (!app || keys_set_defaults(KEY_OF_APP, app) < 0) {
                        loader->draft.out_of_memory = true;
                        return false;
                }
                loader->draft.app_heads[i] = (Origin){ .file = loader->file, .line = loader->line };
        }
        snprintf(loader->title, sizeof loader->title, "%s %s", APP_SECTION, name);
        loader->scope = 1 + i;
        return true;
}

static void unknown_section(Loader *loader, const char *name) {
        const char *app = app_section_meant(name), *nearest = section_nearest(name), *near;
        char buffer[APP_NAME_MAX];

        near = app_name_near(app ?: name, buffer);
        if (!app && nearest && strcmp(nearest, APP_SECTION) != 0)
                complain(loader, "[%s]: unknown section; did you mean [%s]?", name, nearest);
        else if (app || nearest || near)
                complain(loader, "[%s]: unknown section; did you mean [%s %s]?", name, APP_SECTION,
                         near && (app || !nearest) ? near : "NAME");
        else
                complain(loader, "[%s]: unknown section", name);
}

static bool open_section(Loader *loader, const char *name) {
        size_t n = strcspn(name, BLANKS);
        const char *rest = name + n + strspn(name + n, BLANKS), *section = section_find(name);

        if (n == strlen(APP_SECTION) && strncmp(name, APP_SECTION, n) == 0 && *rest)
                return open_app_section(loader, rest);
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

static void line_too_long(Loader *loader, const char *text, size_t n) {
        const char *section = loader->scope > 0 ? APP_SECTION : loader->title, *end;
        char name[CONFIG_LINE_MAX + 1];
        const Key *key = NULL;
        bool list;

        end = memchr(text, '=', MIN(n, sizeof name - 1));
        while (end && end > text && strchr(BLANKS, end[-1]))
                end--;
        if (end && loader->section == SECTION_KNOWN) {
                memcpy(name, text, (size_t)(end - text));
                name[end - text] = '\0';
                key = key_find(section, name);
        }
        list = key && key->kind == KEY_LIST;
        complain(loader, "the line has %zu characters; %d are possible%s%s%s", n, CONFIG_LINE_MAX,
                 list ? ": repeat " : "", list ? name : "",
                 list ? "= in further lines, each adds to the list" : "");
}

/* Whether inih may read the line, which is copied to `line`, which has room for it. */
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
                line_too_long(loader, text, n);
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
        if (loader->pending) { /* such as "a key ;=" */
                complain(loader, "neither KEY=VALUE nor [SECTION]");
                line_lost(loader);
        }
        loader->pending = false;
}

/* inih's reader, as fgets(3). `line` has at least INI_MAX_LINE bytes. */
static char *read_line(char *line, int size, void *userdata) {
        Loader *loader = userdata;
        const char *text = loader->rest, *newline;
        size_t before, n;

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
        before = loader->draft.errors->n;
        if (!check_line(loader, text, n, line))
                line[0] = '\0';
        if (loader->draft.errors->n > before)
                line_lost(loader);
        return line;
}

static void file_failed(Loader *loader, const char *file, int error) {
        Diag diag = DIAG_NULL;

        if (error == -ENOMEM)
                loader->draft.out_of_memory = true;
        else if (error == -EFBIG)
                diag_format(&diag, "larger than %u bytes", CONFIG_FILE_MAX);
        else if (error == -EINVAL)
                diag_format(&diag, "not a regular file");
        else
                diag_format(&diag, "can't be read: %s", error_text(error));
        draft_error(&loader->draft, file, 0, "%s", diag.text);
        if (loader->file_error == 0)
                loader->file_error = error;
}

static void load_file(Loader *loader, const char *file) {
        cleanup_free char *text = NULL;
        size_t before = loader->draft.errors->n, n;
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
        r = ini_parse_stream(read_line, loader, on_ini_value, loader);
        end_line(loader);
        if (r == -2)
                loader->draft.out_of_memory = true;
        else if ((r != 0 && loader->draft.errors->n == before) || loader->rest != loader->end) {
                /* inih found a mistake that read_line() did not, or its buffer is too small */
                loader->line = r > 0 ? (unsigned)r : 0;
                complain(loader, "not understood");
        }
}

static bool is_drop_in(const char *name) {
        size_t n = strlen(name);

        return name[0] != '.' && n > strlen(".conf") &&
               strcmp(name + n - strlen(".conf"), ".conf") == 0;
}

/* Adds the *.conf of PATH.d in the order of their names. That directory may be missing. */
static int find_drop_ins(Loader *loader, const char *path) {
        cleanup(strv_done) Strv files = STRV_NULL;
        cleanup_free char *directory = text_format("%s.d", path);
        struct dirent *entry;
        DIR *stream;
        int r = 0;

        if (!directory)
                return -ENOMEM;
        stream = opendir(directory);
        if (!stream && errno == ENOENT)
                return 0;
        if (!stream) {
                file_failed(loader, directory, -errno);
                return 0;
        }
        while (r == 0 && (errno = 0, entry = readdir(stream))) {
                cleanup_free char *file = NULL;

                if (!is_drop_in(entry->d_name))
                        continue;
                file = text_format("%s/%s", directory, entry->d_name);
                r = file ? strv_add(&files, file) : -ENOMEM;
        }
        if (r == 0 && errno != 0)
                file_failed(loader, directory, -errno);
        closedir(stream);

        strv_sort(&files);
        for (size_t i = 0; r == 0 && i < files.n; i++)
                r = strv_add(&loader->files, files.v[i]);
        return r;
}

static int load_files(Loader *loader, const char *path) {
        Config *config = loader->draft.config;
        int r;

        config->file = strdup(path);
        if (!config->file)
                return -ENOMEM;
        r = strv_add(&loader->files, path);
        if (r >= 0)
                r = find_drop_ins(loader, path);
        if (r < 0)
                return r;
        for (size_t i = 0; i < loader->files.n; i++)
                load_file(loader, loader->files.v[i]);
        draft_check(&loader->draft);
        if (size_is_off(&config->target_free))
                config->target_free = config->min_free;

        if (loader->draft.out_of_memory)
                return -ENOMEM;
        if (loader->file_error < 0)
                return loader->file_error;
        return loader->draft.errors->n > 0 ? -EINVAL : 0;
}

int config_load(const char *path, Config **ret, ConfigErrors *reterr_errors) {
        cleanup(config_free) Config *config = NULL;
        Loader loader = { .draft.errors = reterr_errors };
        int r;

        *reterr_errors = (ConfigErrors){ 0 };
        r = config_new(&config);
        if (r < 0)
                return r;
        if (path) {
                loader.draft.config = config;
                r = load_files(&loader, path);
                strv_done(&loader.files);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(config);
        return 0;
}
