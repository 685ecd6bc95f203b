/* SPDX-License-Identifier: MIT */

/*
 * Refuses a text that could be accepted but never have an effect, such as a name that no cache will
 * ever bear: later that would look like an application without caches. A directory is reduced to one
 * spelling, so that equal directories are equal texts.
 */

#include "checks-internal.h"

#include <ctype.h>
#include <string.h>
#include <sys/un.h>

#include "apps/find.h"
#include "apps/marker.h"
#include "model/target.h"

#define PATH_TEXT_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define CAPITALS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* The tag is PREFIX-<12 of the image's id>; a tag has at most 128 characters. */
#define TAG_PREFIX_MAX 100

int check_socket(char **text, Diag *reterr_diag) {
        const char *path = *text;

        if (path[0] != '/')
                return diag_set(reterr_diag, -EINVAL, "'%s' is not an absolute path", path);
        if (path[strlen(path) - 1] == '/')
                return diag_set(reterr_diag, -EINVAL, "'%s' is a directory, not a socket", path);
        if (strlen(path) > PATH_TEXT_MAX)
                return diag_set(reterr_diag, -EINVAL,
                                "the path has %zu characters; a socket's may have %zu",
                                strlen(path), PATH_TEXT_MAX);
        return 0;
}

int check_host(char **text, Diag *reterr_diag) {
        static const char scheme[] = "unix://";
        const char *host = *text;

        if (strncmp(host, scheme, strlen(scheme)) == 0) {
                *text += strlen(scheme);
                return check_socket(text, reterr_diag);
        }
        if (host[0] == '/')
                return diag_set(reterr_diag, -EINVAL, "'%s' lacks its scheme; did you mean '%s%s'?",
                                host, scheme, host);
        if (strstr(host, "://"))
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' is not a local socket, and only those are supported: "
                                "what wpcached clears and measures is on its own host",
                                host);
        return diag_set(reterr_diag, -EINVAL, "'%s' is not unix:// and an absolute path", host);
}

/* Compose accepts no other name for a project. A label that was written by hand may have another
 * value, but compose sets the label of the images that this key selects. */
int check_project(char **text, Diag *reterr_diag) {
        const char *project = *text;

        if (*project == '\0') {
                *text = NULL;
                return 0;
        }
        if (!strchr(LETTERS DIGITS, *project) ||
            project[strspn(project, LETTERS DIGITS "_-")] != '\0')
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' is no name of a compose project: those have a-z 0-9 _ - and "
                                "start with a letter or digit",
                                project);
        return 0;
}

int check_tag(char **text, Diag *reterr_diag) {
        const char *tag = *text;

        if (*tag == '\0')
                return diag_set(reterr_diag, -EINVAL, "may not be empty");
        if (!strchr(LETTERS CAPITALS DIGITS "_", *tag) ||
            tag[strspn(tag, LETTERS CAPITALS DIGITS "_.-")] != '\0')
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' can't begin a tag: those have A-Z a-z 0-9 _ . - and start "
                                "with none of the last two",
                                tag);
        if (strlen(tag) > TAG_PREFIX_MAX)
                return diag_set(reterr_diag, -EINVAL, "has %zu characters; %d are possible",
                                strlen(tag), TAG_PREFIX_MAX);
        return 0;
}

/* Checks the syntax only, in systemd's relaxed sense. Whether the name exists shows when it is
 * resolved. */
int check_operator(char **text, Diag *reterr_diag) {
        static const char prefix[] = "user:";
        const char *name = *text;

        if (strncmp(name, prefix, strlen(prefix)) == 0)
                name += strlen(prefix);
        if (*name == '\0' || *name == '-' || strpbrk(name, " \t:/\"'") ||
            name[strspn(name, DIGITS)] == '\0')
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' is neither the name of a group nor user:NAME", *text);
        return 0;
}

int check_path(char **text, Diag *reterr_diag) {
        if (**text != '/')
                return diag_set(reterr_diag, -EINVAL, "'%s' is not an absolute path", *text);
        return 0;
}

static bool has_component(const char *path, const char *component) {
        size_t n = strlen(component);

        for (; *path; path += strcspn(path, "/"), path += *path == '/')
                if (strcspn(path, "/") == n && strncmp(path, component, n) == 0)
                        return true;
        return false;
}

/* Reduces a directory to one spelling. */
int check_directory(char **text, Diag *reterr_diag) {
        char *path = *text, *end = path;

        if (*path != '/')
                return check_path(text, reterr_diag);
        if (has_component(path, ".") || has_component(path, ".."))
                return diag_set(reterr_diag, -EINVAL, "'%s' has a '.' or a '..' in it", path);
        for (const char *p = path; *p; p++)
                if (*p != '/' || p[1] != '/')
                        *end++ = *p;
        if (end > path + 1 && end[-1] == '/')
                end--;
        *end = '\0';
        return 0;
}

/* Refuses marks of other formats, which would become part of the name. */
static int check_marks(const char *name, Diag *reterr_diag) {
        if (strpbrk(name, "\"'"))
                return diag_set(reterr_diag, -EINVAL, "%s has quotes in it", name);
        if (strchr(name, '#'))
                return diag_set(reterr_diag, -EINVAL,
                                "'%s': '#' starts no comment here; use a blank and ';'", name);
        if (strchr(name, ';'))
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' has a ';' in it; commas separate the names of a list, and a "
                                "blank and ';' start a comment",
                                name);
        if (strpbrk(name, "*?[]{}"))
                return diag_set(reterr_diag, -EINVAL, "'%s' is a glob; a cache is named in full",
                                name);
        if (strchr(name, '\\'))
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' has a backslash in it; names are taken as they are, and '/' "
                                "separates those of a path",
                                name);
        if (strchr(name, ' '))
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' has a blank in it; commas separate the names of a list",
                                name);
        return 0;
}

int check_cache(char **text, Diag *reterr_diag) {
        char *name = *text, *last;
        size_t n = strlen(name);
        int r;

        if (*name == '/')
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' is an absolute path; a cache has a name, or a path below "
                                "the root",
                                name);
        if (has_component(name, ".") || has_component(name, ".."))
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' has a '.' or a '..' in it; a cache lies below the root",
                                name);
        r = check_marks(name, reterr_diag);
        if (r < 0)
                return r;
        if (name[n - 1] == '/')
                name[n - 1] = '\0';
        if (!cache_name_valid(name))
                return diag_set(reterr_diag, -EINVAL, "'%s' has an empty component", name);
        last = strrchr(name, '/');
        last = last ? last + 1 : name;
        for (const char *const *marker = app_markers(); *marker; marker++)
                if (strcmp(last, *marker) == 0)
                        return diag_set(reterr_diag, -EINVAL,
                                        "'%s' is what makes a directory a project; it is no cache",
                                        last);
        return 0;
}

int check_dockerfile(char **text, Diag *reterr_diag) {
        const char *path = *text, *name = strrchr(path, '/');

        if (*path == '\0')
                return diag_set(reterr_diag, -EINVAL, "may not be empty");
        name = name ? name + 1 : path;
        if (*name == '\0' || strcmp(name, ".") == 0)
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' is a directory; did you mean '%.*sDockerfile'?", path,
                                (int)(name - path), path);
        if (has_component(path, ".."))
                return diag_set(reterr_diag, -EINVAL, "'%s' has a '..' in it", path);
        return 0;
}

/* The rule that a name breaks, or NULL. */
static const char *name_rule(const char *name) {
        if (name[strspn(name, LETTERS DIGITS "_.-")] != '\0')
                return "a-z, 0-9, '_', '.', '-'";
        if (strspn(name, LETTERS DIGITS) == 0)
                return "a letter or digit first";
        return NULL;
}

const char *app_name_near(const char *text, char buffer[static APP_NAME_MAX]) {
        static const char around[] = " \t\"'";
        size_t n;

        text += strspn(text, " \t\"'_.-");
        n = strcspn(text, around);
        if (n >= APP_NAME_MAX || text[n + strspn(text + n, around)] != '\0')
                return NULL;
        for (size_t i = 0; i < n; i++)
                buffer[i] = (char)tolower((unsigned char)text[i]);
        buffer[n] = '\0';
        return name_rule(buffer) || target_is_name(buffer) ? NULL : buffer;
}

int app_name_check(const char *name, Diag *reterr_diag) {
        const char *rule = name_rule(name);

        if (rule) {
                char buffer[APP_NAME_MAX];
                const char *near = app_name_near(name, buffer);

                diag_format(reterr_diag, "'%s' is not a valid name (%s)", name, rule);
                if (near && reterr_diag)
                        diag_format(reterr_diag, "%s; did you mean [%s %s]?", reterr_diag->text,
                                    APP_SECTION, near);
                return -EINVAL;
        }
        if (strlen(name) >= APP_NAME_MAX)
                return diag_set(reterr_diag, -EINVAL,
                                "the name has %zu characters; %d are possible", strlen(name),
                                APP_NAME_MAX - 1);
        if (target_is_name(name))
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' is another target of a clear; choose another name", name);
        return 0;
}

const char *app_section_meant(const char *name) {
        static const char *const words[] = { "application", "apps", APP_SECTION };

        name += strspn(name, " \t");
        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                size_t n = strlen(words[i]);

                if (strncasecmp(name, words[i], n) == 0 && !isalnum((unsigned char)name[n]))
                        return name + n + strspn(name + n, " \t.:/_-\"'");
        }
        return NULL;
}

/* node_exporter's textfile collector reads only files with such names. */
int check_textfile(char **text, Diag *reterr_diag) {
        static const char suffix[] = ".prom";
        const char *path = *text;
        size_t n = strlen(path);

        if (n == 0) {
                *text = NULL;
                return 0;
        }
        if (path[0] != '/')
                return check_path(text, reterr_diag);
        if (path[n - 1] == '/')
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' is a directory; did you mean '%swpcache%s'?", path, path,
                                suffix);
        if (n < strlen(suffix) || strcmp(path + n - strlen(suffix), suffix) != 0)
                return diag_set(reterr_diag, -EINVAL,
                                "'%s' does not end in '%s', and node_exporter reads only what "
                                "does; did you mean '%s%s'?",
                                path, suffix, path, suffix);
        return 0;
}

int check_command(char **text, Diag *reterr_diag) {
        if (**text == '\0')
                *text = NULL;
        return 0;
}
