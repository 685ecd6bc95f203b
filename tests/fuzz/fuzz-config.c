/* SPDX-License-Identifier: MIT */

/*
 * A file of any content is either a Config that is whole, or mistakes that can be told. What no
 * mistake was found in must also read the same with the tricks of the format undone, so that a
 * value cut or joined by inih would show: see normalize().
 */

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "apps/find.h"
#include "base/io.h"
#include "base/text.h"
#include "conf/checks-internal.h"
#include "conf/key-value-internal.h"
#include "conf/loader.h"

/* Errors that no line alone shows come last, in an order of their own: of an application two, since
 * where its root is missing none is looked at. */
#define WHOLE_ERRORS_MAX (5 + 3 * APPS_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int load(const char *text, size_t n, Config **ret) {
        cleanup_close int fd = memfd_create("config", MFD_CLOEXEC);
        ConfigErrors errors;
        char path[64];
        int r;

        if (fd < 0 || write_full(fd, text, n) < 0)
                abort();
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        r = config_load(path, ret, &errors);
        if (r == 0)
                assert(errors.n == 0);
        else
                assert((r == -EINVAL || r == -EFBIG) && errors.n > 0);
        for (size_t i = 0; i < errors.n; i++) {
                cleanup_free char *line = config_error_text(&errors.v[i]);
                cleanup_free char *cleaned = line ? strdup(line) : NULL;

                assert(cleaned && strcmp(text_clean(cleaned), line) == 0);
                assert(i == 0 || errors.v[i].line >= errors.v[i - 1].line ||
                       i + WHOLE_ERRORS_MAX >= errors.n);
        }
        config_errors_done(&errors);
        return r;
}

static void assert_same_keys(KeyOwner owner, const void *a, const void *b) {
        for (size_t i = 0; i < n_config_keys; i++)
                assert(config_keys[i].owner != owner || key_equal(&config_keys[i], a, b));
}

static void assert_same(const Config *a, const Config *b) {
        assert_same_keys(KEY_OF_CONFIG, a, b);
        assert(a->apps.n == b->apps.n);
        for (size_t i = 0; i < a->apps.n; i++) {
                assert(strcmp(a->apps.v[i].name, b->apps.v[i].name) == 0);
                assert_same_keys(KEY_OF_APP, &a->apps.v[i], &b->apps.v[i]);
        }
}

static void assert_directory(const char *path) {
        char slashed[CONFIG_LINE_MAX + 2];

        snprintf(slashed, sizeof slashed, "%s/", path);
        assert(path[0] == '/' && !strstr(slashed, "/./") && !strstr(slashed, "/../"));
        assert(!strstr(slashed, "//") || strcmp(path, "/") == 0);
}

static void assert_app(const Config *config, const AppConfig *app) {
        assert(config_app(config, app->name) == app);
        assert(app_name_check(app->name, NULL) == 0 && strlen(app->name) < APP_NAME_MAX);
        assert_directory(app->root);
        assert(app->caches.n > 0);
        for (size_t i = 0; i < app->caches.n; i++)
                assert(cache_name_valid(app->caches.v[i]));
        if (app->trash)
                assert_directory(app->trash);
        if (app->context)
                assert_directory(app->context);
        assert(app->dockerfile[0] != '\0');
}

static void assert_size(const Size *size) {
        assert(size->percent <= 100 && size->bytes <= INT64_MAX);
        assert(size_of(size, 100) <= 100 || size->percent == 0);
        assert(size_of(size, UINT64_MAX) > 0);
}

/* What the rest of the daemon relies on. */
static void assert_sound(const Config *config) {
        assert(config->match.n > 0 || config->project);
        assert(config->docker_socket[0] == '/' && strlen(config->docker_socket) < 108);
        assert_size(&config->builder_max);
        assert_size(&config->builder_target);
        assert_size(&config->min_free);
        assert_size(&config->target_free);
        assert(config->builder_target.bytes > 0 || config->builder_target.percent > 0);
        assert(config->builder_max.bytes == 0 ||
               config->builder_target.bytes <= config->builder_max.bytes);
        assert(config->builder_age_usec == USEC_INFINITY ||
               (config->builder_age_usec >= USEC_PER_HOUR &&
                config->builder_age_usec % USEC_PER_HOUR == 0));
        assert(config->image_min_age_usec <= config->image_max_age_usec);
        assert(config->keep_last <= 1000);
        if (config->target_free.percent > 0)
                assert(config->min_free.percent <= config->target_free.percent);
        else if (config->target_free.bytes > 0)
                assert(config->min_free.bytes <= config->target_free.bytes);
        else
                assert(size_of(&config->min_free, 100) == UINT64_MAX);
        assert(config->min_free_inodes_percent < 100);
        assert(config->poll_share_percent > 0 && config->poll_share_percent <= 100);
        for (size_t i = 0; i < config->disk_paths.n; i++)
                assert(config->disk_paths.v[i][0] == '/');
        assert(!config->metrics_textfile || config->metrics_textfile[0] == '/');
        assert(!config->alarm_command || config->alarm_command[0] != '\0');
        assert(config->apps.n <= APPS_MAX);
        for (size_t i = 0; i < config->apps.n; i++)
                assert_app(config, &config->apps.v[i]);
}

/* Takes what the format allows around values away, by itself: blank lines and comments, the byte
 * order mark, carriage returns, blanks around '=' and at the ends. `text` is known to be free of
 * mistakes. */
static void normalize(const char *text, FILE *out) {
        if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
                text += 3;
        while (*text) {
                size_t length = strcspn(text, "\n"), n = length, equals;
                const char *blank;

                if (text[strspn(text, " \t\r")] == '#' || text[strspn(text, " \t\r")] == ';')
                        n = 0;
                for (blank = text; blank + 1 < text + n; blank++)
                        if ((*blank == ' ' || *blank == '\t') && blank[1] == ';')
                                n = (size_t)(blank - text);
                while (n > 0 && strchr(" \t\r", text[n - 1]))
                        n--;
                equals = strcspn(text, "=");
                if (n > 0 && text[0] != '[' && equals < n) {
                        size_t key = equals, value = equals + 1;

                        while (key > 0 && strchr(" \t", text[key - 1]))
                                key--;
                        while (value < n && strchr(" \t", text[value]))
                                value++;
                        fprintf(out, "%.*s=%.*s\n", (int)key, text, (int)(n - value), text + value);
                } else if (n > 0)
                        fprintf(out, "%.*s\n", (int)n, text);
                text += length + (text[length] == '\n');
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        cleanup(config_free) Config *config = NULL, *copy = NULL, *again = NULL;
        cleanup(strv_done) Strv keys = STRV_NULL;
        cleanup_free char *text = strndup((const char *)data, n), *normal = NULL;
        size_t normal_n;
        FILE *out;

        if (load((const char *)data, n, &config) < 0)
                return 0;
        if (config_copy(config, &copy) < 0 || config_restart_keys(config, copy, &keys) < 0)
                abort();
        assert_same(config, copy);
        assert(keys.n == 0);
        assert_sound(config);

        out = open_memstream(&normal, &normal_n);
        if (!out || !text)
                abort();
        normalize(text, out);
        fclose(out);
        if (load(normal, normal_n, &again) < 0)
                abort();
        assert_same(config, again);
        return 0;
}
