/* SPDX-License-Identifier: MIT */

/*
 * inih splits lines into names and values, and no more is left to it: it tells its handler no line
 * number, reports one mistake a file, cuts long lines and long section names silently, takes an
 * indented line for more of the value before, and ':' for '='. So it reads through read_line(),
 * which counts, and hands it only lines that it can't get wrong; every other line is reported and
 * reaches inih as an empty one. A line handed over that comes back as no value (`pending`) is a
 * mistake as well. None of this depends on how the distribution built inih, other than its buffer
 * being no smaller than INI_MAX_LINE.
 */

#include "conf/config.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/io.h"
#include "base/span.h"
#include "conf/keys.h"

#define BLANKS " \t"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

static_assert(CONFIG_LINE_MAX + 2 <= INI_MAX_LINE, "inih would cut lines");

/* Where a key was set last. */
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
        Origin origins[KEYS_MAX];
        unsigned turn;
        bool out_of_memory;
        int file_error; /* of the first file that could not be read */

        /* the file being read */
        const char *file;
        const char *rest, *end;
        unsigned line;
        enum { SECTION_NONE, SECTION_KNOWN, SECTION_UNKNOWN } section;
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
        const char *nearest = key_nearest(section, name);
        char homes[KEY_HOMES_MAX];

        if (key_homes(name, homes))
                complain(loader, "[%s] %s: unknown key; it belongs to %s", section, name, homes);
        else if (nearest)
                complain(loader, "[%s] %s: unknown key; did you mean '%s'?", section, name,
                         nearest);
        else
                complain(loader, "[%s] %s: unknown key", section, name);
}

/* inih's handler: one value of the line that read_line() handed over last. */
static int on_value(void *userdata, const char *section, const char *name, const char *value) {
        Loader *loader = userdata;
        Diag diag = DIAG_NULL;
        Origin *origin;
        const Key *key;
        int r;

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
        origin = &loader->origins[key - config_keys];
        if (origin->file == loader->file) {
                complain(loader, "[%s] %s: set twice, before in line %u", section, name,
                         origin->line);
                return 1;
        }
        *origin = (Origin){ loader->file, loader->line, ++loader->turn, false };
        r = key_parse(key, value, loader->config, &diag);
        if (r == -ENOMEM)
                loader->out_of_memory = true;
        else if (r < 0) {
                complain(loader, "[%s] %s: %s", section, name, diag_text(&diag, r));
                origin->mistaken = true;
        }
        return 1;
}

static bool check_section(Loader *loader, const char *line) {
        size_t n = strcspn(line + 1, "]");
        const char *after = line + 1 + n, *nearest;
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
        nearest = section_nearest(name);
        if (section_known(name))
                loader->section = SECTION_KNOWN;
        else if (nearest)
                complain(loader, "[%s]: unknown section; did you mean [%s]?", name, nearest);
        else
                complain(loader, "[%s]: unknown section", name);
        return loader->section == SECTION_KNOWN;
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
        return &loader->origins[key_find(section, name) - config_keys];
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

/* What no key can see alone. */
static void check_whole(Loader *loader) {
        const Config *config = loader->config;
        const Origin *origin = origin_of(loader, "images", "match");
        Diag diag = DIAG_NULL;

        check_order(loader);

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

        if (!config)
                return -ENOMEM;
        for (size_t i = 0; i < n_config_keys; i++) {
                int r = key_parse(&config_keys[i], config_keys[i].fallback, config, NULL);

                assert(r != -EINVAL);
                if (r < 0)
                        return r;
        }
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

int config_copy(const Config *config, Config **ret) {
        cleanup(config_free) Config *copy = calloc(1, sizeof *copy);

        if (!copy)
                return -ENOMEM;
        if (config->file) {
                copy->file = strdup(config->file);
                if (!copy->file)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < n_config_keys; i++) {
                int r = key_copy(&config_keys[i], config, copy);

                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(copy);
        return 0;
}

Config *config_free(Config *config) {
        if (!config)
                return NULL;
        for (size_t i = 0; i < n_config_keys; i++)
                key_clear(&config_keys[i], config);
        free(config->file);
        free(config);
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

                if (!key->restart || key_equal(key, old_config, new_config))
                        continue;
                snprintf(name, sizeof name, "[%s] %s", key->section, key->name);
                r = strv_add(ret_keys, name);
                if (r < 0)
                        return r;
        }
        return 0;
}

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

                fputc('\n', stream);
                if (strcmp(section, key->section) != 0)
                        fprintf(stream, "[%s]\n", key->section);
                section = key->section;
                for (const char *line = key->about; *line;) {
                        size_t n = strcspn(line, "\n");

                        fprintf(stream, "# %.*s\n", (int)n, line);
                        line += n + (line[n] == '\n');
                }
                fprintf(stream, "#%s=%s\n", key->name, key->fallback);
        }
        return fclose(stream) == 0 ? TAKE_PTR(text) : NULL;
}
