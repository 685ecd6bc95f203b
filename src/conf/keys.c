/* SPDX-License-Identifier: MIT */

#include "conf/keys.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/span.h"

#define PATH_TEXT_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* The tag is PREFIX-<12 of the image's id>; a tag has at most 128 characters. */
#define TAG_PREFIX_MAX 100

static int check_socket(const char **text, Diag *diag) {
        const char *path = *text;

        if (path[0] != '/')
                return diag_set(diag, -EINVAL, "'%s' is not an absolute path", path);
        if (path[strlen(path) - 1] == '/')
                return diag_set(diag, -EINVAL, "'%s' is a directory, not a socket", path);
        if (strlen(path) > PATH_TEXT_MAX)
                return diag_set(diag, -EINVAL,
                                "the path has %zu characters; a socket's may have %zu",
                                strlen(path), PATH_TEXT_MAX);
        return 0;
}

static int check_host(const char **text, Diag *diag) {
        static const char scheme[] = "unix://";
        const char *host = *text;

        if (strncmp(host, scheme, strlen(scheme)) == 0) {
                *text += strlen(scheme);
                return check_socket(text, diag);
        }
        if (host[0] == '/')
                return diag_set(diag, -EINVAL, "'%s' lacks its scheme; did you mean '%s%s'?", host,
                                scheme, host);
        if (strstr(host, "://"))
                return diag_set(diag, -EINVAL,
                                "'%s' is not a local socket, and only those are supported: "
                                "what wpcached clears and measures is on its own host",
                                host);
        return diag_set(diag, -EINVAL, "'%s' is not unix:// and an absolute path", host);
}

/* What docker/name.h can match against; conf/ stands beside docker/ and can't ask it. */
static int check_glob(const char **text, Diag *diag) {
        const char *glob = *text;

        if (strpbrk(glob, " \t"))
                return diag_set(diag, -EINVAL,
                                "'%s' has a blank in it; commas separate the globs of a list",
                                glob);
        for (const char *p = glob; *p; p++) {
                if (*p == ']')
                        return diag_set(diag, -EINVAL, "'%s' has a ']' without its '['", glob);
                if (*p == '\\') {
                        if (*++p == '\0')
                                return diag_set(diag, -EINVAL, "'%s' ends in a backslash", glob);
                        continue;
                }
                if (*p != '[')
                        continue;
                p += 1 + (p[1] == '!' || p[1] == '^');
                if (*p == ']') /* the first is one of the set */
                        p++;
                p += strcspn(p, "]/");
                if (*p != ']')
                        return diag_set(diag, -EINVAL, "'%s' has a '[' without its ']'", glob);
        }
        return 0;
}

static int check_project(const char **text, Diag *diag) {
        const char *project = *text;

        if (*project == '\0') {
                *text = NULL;
                return 0;
        }
        if (!strchr(LETTERS DIGITS, *project) ||
            project[strspn(project, LETTERS DIGITS "_-")] != '\0')
                return diag_set(diag, -EINVAL,
                                "'%s' is no name of a compose project: those have a-z 0-9 _ - and "
                                "start with a letter or digit",
                                project);
        return 0;
}

static int check_tag(const char **text, Diag *diag) {
        const char *tag = *text;

        if (*tag == '\0')
                return diag_set(diag, -EINVAL, "may not be empty");
        if (!strchr(LETTERS CAPITALS DIGITS "_", *tag) ||
            tag[strspn(tag, LETTERS CAPITALS DIGITS "_.-")] != '\0')
                return diag_set(diag, -EINVAL,
                                "'%s' can't begin a tag: those have A-Z a-z 0-9 _ . - and start "
                                "with none of the last two",
                                tag);
        if (strlen(tag) > TAG_PREFIX_MAX)
                return diag_set(diag, -EINVAL, "has %zu characters; %d are possible", strlen(tag),
                                TAG_PREFIX_MAX);
        return 0;
}

/* Syntax alone, in systemd's relaxed sense; whether it exists is found out when it is resolved. */
static int check_operator(const char **text, Diag *diag) {
        static const char prefix[] = "user:";
        const char *name = *text;

        if (strncmp(name, prefix, strlen(prefix)) == 0)
                name += strlen(prefix);
        if (*name == '\0' || *name == '-' || strpbrk(name, " \t:/") ||
            name[strspn(name, DIGITS)] == '\0')
                return diag_set(diag, -EINVAL, "'%s' is neither the name of a group nor user:NAME",
                                *text);
        return 0;
}

#define FIELD(name) .offset = offsetof(Config, name)

const Key config_keys[] = {
        {
                .section = "docker",
                .name = "host",
                .fallback = "unix:///run/docker.sock",
                .about = "The engine's socket on this host.",
                FIELD(docker_socket),
                .kind = KEY_TEXT,
                .check = check_host,
        },
        {
                .section = "docker",
                .name = "timeout",
                .fallback = "30s",
                .about = "How long one call to the engine may take, prunes aside.",
                FIELD(timeout_usec),
                .kind = KEY_SPAN,
                .least_usec = USEC_PER_SEC,
                .most_usec = USEC_PER_HOUR,
        },
        {
                .section = "docker",
                .name = "prune_timeout",
                .fallback = "30min",
                .about = "How long one prune may take.",
                FIELD(prune_timeout_usec),
                .kind = KEY_SPAN,
                .least_usec = USEC_PER_SEC,
                .most_usec = USEC_PER_DAY,
        },
        {
                .section = "poll",
                .name = "interval",
                .fallback = "60s",
                .about = "How often the engine is looked at for status.",
                FIELD(poll_interval_usec),
                .kind = KEY_SPAN,
                .least_usec = USEC_PER_SEC,
                .most_usec = USEC_PER_DAY,
        },
        {
                .section = "builder",
                .name = "external_builders",
                .fallback = "report",
                .about =
                        "A buildx builder in a container of its own has a cache that a clear does\n"
                        "not reach: \"report\" it, and be not fresh, or \"ignore\" it.",
                FIELD(external_builders_ignore),
                .kind = KEY_FLAG,
                .words = { "report", "ignore" },
        },
        {
                .section = "images",
                .name = "match",
                .fallback = "watchparty-*",
                .about = "Images of the application: globs, separated by commas. One without '/'\n"
                         "is matched against the last component of the repository; one with a\n"
                         "':' must match the tag as well.",
                FIELD(match),
                .kind = KEY_LIST,
                .check = check_glob,
        },
        {
                .section = "images",
                .name = "project",
                .fallback = "",
                .about = "Also the images that docker compose labelled with this project.",
                FIELD(project),
                .kind = KEY_TEXT,
                .check = check_project,
        },
        {
                .section = "images",
                .name = "protect",
                .fallback = "",
                .about = "Images never touched, though they match: globs.",
                FIELD(protect),
                .kind = KEY_LIST,
                .check = check_glob,
        },
        {
                .section = "images",
                .name = "base",
                .fallback = "",
                .about = "Images that builds start from: globs. Neither cleared nor counted as a\n"
                         "source of cached layers.",
                FIELD(base),
                .kind = KEY_LIST,
                .check = check_glob,
        },
        {
                .section = "images",
                .name = "dangling",
                .fallback = "matched",
                .about = "Which untagged images a clear removes: those that are the application's\n"
                         "(\"matched\"), or \"all\".",
                FIELD(dangling_all),
                .kind = KEY_FLAG,
                .words = { "matched", "all" },
        },
        {
                .section = "images",
                .name = "rollback_tag",
                .fallback = "wpcache-rollback",
                .about = "An image in use is tagged REPOSITORY:THIS-ID before a clear takes its\n"
                         "names away.",
                FIELD(rollback_tag),
                .kind = KEY_TEXT,
                .check = check_tag,
        },
        {
                .section = "control",
                .name = "socket",
                .fallback = "/run/wpcache/io.watchparty.Cache",
                .about = "Where wpcachectl finds the daemon; wpcached.socket has the same path.\n"
                         "Takes effect after a restart.",
                FIELD(control_socket),
                .kind = KEY_TEXT,
                .check = check_socket,
                .restart = true,
        },
        {
                .section = "control",
                .name = "operators",
                .fallback = "wpcache",
                .about = "Who may clear and roll back, besides root: groups, and users as\n"
                         "user:NAME, separated by commas.",
                FIELD(operators),
                .kind = KEY_LIST,
                .check = check_operator,
        },
        {
                .section = "control",
                .name = "readers",
                .fallback = "wpcache",
                .about = "Who may look, besides operators and root.",
                FIELD(readers),
                .kind = KEY_LIST,
                .check = check_operator,
        },
};

const size_t n_config_keys = ELEMENTSOF(config_keys);
static_assert(ELEMENTSOF(config_keys) <= KEYS_MAX, "raise KEYS_MAX");

const Key *key_find(const char *section, const char *name) {
        for (size_t i = 0; i < n_config_keys; i++)
                if ((!section || strcmp(config_keys[i].section, section) == 0) &&
                    strcmp(config_keys[i].name, name) == 0)
                        return &config_keys[i];
        return NULL;
}

const char *key_nearest(const char *section, const char *name) {
        const char *names[KEYS_MAX];
        size_t n = 0;

        for (size_t i = 0; i < n_config_keys; i++)
                if (strcmp(config_keys[i].section, section) == 0)
                        names[n++] = config_keys[i].name;
        return strv_nearest(name, names, n);
}

bool section_known(const char *section) {
        for (size_t i = 0; i < n_config_keys; i++)
                if (strcmp(config_keys[i].section, section) == 0)
                        return true;
        return false;
}

const char *section_nearest(const char *section) {
        const char *names[KEYS_MAX];

        for (size_t i = 0; i < n_config_keys; i++)
                names[i] = config_keys[i].section;
        return strv_nearest(section, names, n_config_keys);
}

static void *field(const Key *key, Config *config) {
        return (char *)config + key->offset;
}

static const void *const_field(const Key *key, const Config *config) {
        return (const char *)config + key->offset;
}

static int parse_text(const Key *key, const char *text, char **ret, Diag *diag) {
        char *copy = NULL;
        int r;

        r = key->check(&text, diag);
        if (r < 0)
                return r;
        if (text) {
                copy = strdup(text);
                if (!copy)
                        return -ENOMEM;
        }
        free(*ret);
        *ret = copy;
        return 0;
}

static int parse_list(const Key *key, const char *text, Strv *ret, Diag *diag) {
        cleanup(strv_done) Strv list = STRV_NULL;
        int r;

        r = strv_split(&list, text);
        if (r < 0)
                return r;
        for (size_t i = 0; i < list.n; i++) {
                const char *item = list.v[i];

                r = key->check(&item, diag);
                if (r < 0)
                        return r;
        }
        strv_done(ret);
        *ret = list;
        list = STRV_NULL;
        return 0;
}

static int parse_span(const Key *key, const char *text, uint64_t *ret, Diag *diag) {
        char limit[SPAN_TEXT_MAX];
        uint64_t usec;
        int r;

        r = span_parse(text, &usec);
        if (r == -EINVAL)
                return diag_set(diag, r, "'%s' is no span of time as in 90s, 5min or 1h 30min",
                                text);
        if (r == 0 && usec < key->least_usec)
                return diag_set(diag, -EINVAL, "'%s' is too short; the least is %s", text,
                                span_format(key->least_usec, limit));
        if (r < 0 || usec > key->most_usec)
                return diag_set(diag, -EINVAL, "'%s' is too long; the most is %s", text,
                                span_format(key->most_usec, limit));
        *ret = usec;
        return 0;
}

static int parse_flag(const Key *key, const char *text, bool *ret, Diag *diag) {
        const char *nearest;

        for (size_t i = 0; i < ELEMENTSOF(key->words); i++)
                if (strcmp(text, key->words[i]) == 0) {
                        *ret = i == 1;
                        return 0;
                }
        nearest = strv_nearest(text, key->words, ELEMENTSOF(key->words));
        if (nearest)
                return diag_set(diag, -EINVAL, "'%s' is neither '%s' nor '%s'; did you mean '%s'?",
                                text, key->words[0], key->words[1], nearest);
        return diag_set(diag, -EINVAL, "'%s' is neither '%s' nor '%s'", text, key->words[0],
                        key->words[1]);
}

int key_parse(const Key *key, const char *text, Config *config, Diag *reterr_diag) {
        void *value = field(key, config);

        switch (key->kind) {
        case KEY_TEXT:
                return parse_text(key, text, value, reterr_diag);
        case KEY_LIST:
                return parse_list(key, text, value, reterr_diag);
        case KEY_SPAN:
                return parse_span(key, text, value, reterr_diag);
        case KEY_FLAG:
                return parse_flag(key, text, value, reterr_diag);
        }
        assert(false);
        return -EINVAL;
}

int key_copy(const Key *key, const Config *from, Config *to) {
        const void *value = const_field(key, from);
        void *copy = field(key, to);

        switch (key->kind) {
        case KEY_TEXT: {
                const char *text = *(char *const *)value;

                *(char **)copy = text ? strdup(text) : NULL;
                return text && !*(char **)copy ? -ENOMEM : 0;
        }
        case KEY_LIST:
                return strv_copy(copy, value);
        case KEY_SPAN:
                *(uint64_t *)copy = *(const uint64_t *)value;
                return 0;
        case KEY_FLAG:
                *(bool *)copy = *(const bool *)value;
                return 0;
        }
        assert(false);
        return -EINVAL;
}

bool key_equal(const Key *key, const Config *a, const Config *b) {
        const void *x = const_field(key, a), *y = const_field(key, b);

        switch (key->kind) {
        case KEY_TEXT: {
                const char *s = *(char *const *)x, *t = *(char *const *)y;

                return s && t ? strcmp(s, t) == 0 : s == t;
        }
        case KEY_LIST:
                return strv_equal(x, y);
        case KEY_SPAN:
                return *(const uint64_t *)x == *(const uint64_t *)y;
        case KEY_FLAG:
                return *(const bool *)x == *(const bool *)y;
        }
        assert(false);
        return false;
}

void key_clear(const Key *key, Config *config) {
        void *value = field(key, config);

        if (key->kind == KEY_TEXT) {
                free(*(char **)value);
                *(char **)value = NULL;
        } else if (key->kind == KEY_LIST)
                strv_done(value);
}
