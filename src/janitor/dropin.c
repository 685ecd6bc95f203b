/* SPDX-License-Identifier: MIT */

#include "janitor/dropin.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "apps/sysdirs.h"
#include "base/array.h"
#include "base/path.h"
#include "base/text.h"
#include "base/words.h"
#include "conf/loader.h"

typedef enum Setting { READ_WRITE, BIND, BIND_READ_ONLY, SETTING_MAX } Setting;

static const char *const setting_names[SETTING_MAX] = {
        [READ_WRITE] = "ReadWritePaths",
        [BIND] = "BindPaths",
        [BIND_READ_ONLY] = "BindReadOnlyPaths",
};

/* A setting of the unit, and comments that say for which applications it is. */
typedef struct Grant {
        Setting setting;
        char *path;
        Strv comments;
} Grant;

typedef struct Dropin {
        Grant *grants;
        size_t n, size;
        Strv capability; /* why the capability is needed */
        Strv trashes;    /* to be made for the user */
        bool home;       /* a path in a home is bound */
} Dropin;

static void grant_done(Grant *grant) {
        free(grant->path);
        strv_done(&grant->comments);
}

static void dropin_donep(Dropin *dropin) {
        for (size_t i = 0; i < dropin->n; i++)
                grant_done(&dropin->grants[i]);
        free(dropin->grants);
        strv_done(&dropin->capability);
        strv_done(&dropin->trashes);
}

/* Adds a text of the drop-in. One with a control character is refused: the owner of a directory could
 * otherwise write lines of the unit by its name. */
static int add_text(Strv *list, Diag *reterr_diag, const char *format, ...) printf_like(3, 4);
static int add_text(Strv *list, Diag *reterr_diag, const char *format, ...) {
        cleanup_free char *text = NULL;
        va_list args;
        int r;

        va_start(args, format);
        text = text_vformat(format, args);
        va_end(args);
        if (!text)
                return -ENOMEM;
        r = path_printable(text, reterr_diag);
        return r < 0 ? r : strv_add(list, text);
}

static int add_grant(Dropin *dropin, Setting setting, const char *path, const AppConfig *app,
                     const char *what, const Strv *notes, Diag *reterr_diag) {
        Grant *grant;
        int r;

        if (array_grow(dropin->grants, dropin->n, dropin->size) < 0)
                return -ENOMEM;
        grant = &dropin->grants[dropin->n];
        *grant = (Grant){ .setting = setting, .path = strdup(path) };
        if (!grant->path)
                return -ENOMEM;
        dropin->n++;
        r = path_printable(path, reterr_diag);
        if (r >= 0)
                r = add_text(&grant->comments, reterr_diag, "[app %s] %s", app->name, what);
        for (size_t i = 0; notes && i < notes->n && r >= 0; i++)
                r = add_text(&grant->comments, reterr_diag, "  %s", notes->v[i]);
        /* 257.13 drops it on the way to sd-executor; 252 does not. */
        if (r >= 0 && setting != READ_WRITE && strpbrk(path, "\"'"))
                r = strv_add(&grant->comments, "  systemd 257 binds no path with a quote in it");
        return r;
}

static int add_app_grants(Dropin *dropin, const AppConfig *app, const SandboxGrants *grants,
                          const ServiceUser *user, Diag *reterr_diag) {
        int r;

        r = add_grant(dropin, grants->hidden != HIDDEN_NOT ? BIND : READ_WRITE, grants->path, app,
                      app->root, &grants->notes, reterr_diag);
        if (r >= 0 && grants->other && sysdir_hidden(grants->other, NULL) == HIDDEN_NOT)
                r = add_grant(dropin, READ_WRITE, grants->other, app, app->trash, NULL,
                              reterr_diag);
        if (r >= 0 && app->context && sysdir_hidden(app->context, NULL) != HIDDEN_NOT)
                r = add_grant(dropin, BIND_READ_ONLY, app->context, app, app->context, NULL,
                              reterr_diag);
        if (r >= 0 && grants->capability && user->known)
                r = add_text(&dropin->capability, reterr_diag, "[app %s] %s", app->name,
                             grants->capability);
        else if (r >= 0 && grants->capability && dropin->capability.n == 0)
                r = add_text(&dropin->capability, reterr_diag, "%s", grants->capability);
        if (r >= 0 && grants->make_trash && !strv_contains(&dropin->trashes, grants->make_trash))
                r = add_text(&dropin->trashes, reterr_diag, "%s", grants->make_trash);
        return r;
}

static int compare_grants(const void *a, const void *b) {
        const Grant *x = a, *y = b;

        return x->setting != y->setting ? (x->setting < y->setting ? -1 : 1)
                                        : strcmp(x->path, y->path);
}

/* Whether `other` grants all that `grant` does. */
static bool covers(const Grant *other, const Grant *grant) {
        return path_within(grant->path, other->path) &&
               (other->setting == grant->setting ||
                (other->setting == BIND && grant->setting == BIND_READ_ONLY));
}

/* Drops grants that others cover, to which their comments go. */
static int merge_grants(Dropin *dropin) {
        size_t n = 0;
        int r = 0;

        /* A directory sorts before the paths in it. */
        if (dropin->n > 0)
                qsort(dropin->grants, dropin->n, sizeof(*dropin->grants), compare_grants);
        for (size_t i = 0; i < dropin->n; i++) {
                Grant grant = dropin->grants[i];
                size_t k = 0;

                dropin->grants[i] = (Grant){ 0 };
                while (k < n && !covers(&dropin->grants[k], &grant))
                        k++;
                if (k == n) {
                        dropin->home |= grant.setting != READ_WRITE &&
                                        sysdir_hidden(grant.path, NULL) == HIDDEN_HOME;
                        dropin->grants[n++] = grant;
                        continue;
                }
                for (size_t j = 0; j < grant.comments.n && r >= 0; j++)
                        r = strv_add(&dropin->grants[k].comments, grant.comments.v[j]);
                grant_done(&grant);
        }
        dropin->n = n;
        return r;
}

/* Writes a path as settings of units and lines of tmpfiles.d(5) take it. */
static void write_path(FILE *file, const char *prefix, const char *path) {
        bool plain = !path[strspn(path, "/-._+@,=~0123456789abcdefghijklmnopqrstuvwxyz"
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ")];

        fprintf(file, "%s%s", plain ? "" : "\"", prefix);
        for (; *path; path++) {
                if (*path == '"' || *path == '\\')
                        fputc('\\', file);
                else if (*path == '%')
                        fputc('%', file);
                fputc(*path, file);
        }
        fputs(plain ? "" : "\"", file);
}

static void write_comments(FILE *file, const Strv *comments) {
        for (size_t i = 0; i < comments->n; i++) {
                cleanup_free char *text = path_text(comments->v[i]);

                fprintf(file, "# %s\n", text ?: "");
        }
}

static void write_trashes(FILE *file, const Dropin *dropin, const ServiceUser *user) {
        if (dropin->trashes.n == 0 || dropin->capability.n > 0)
                return;
        fprintf(file,
                "# %s has to be given its trash; in /etc/tmpfiles.d/wpcache-apps.conf, then "
                "systemd-tmpfiles --create:\n",
                user->name);
        for (size_t i = 0; i < dropin->trashes.n; i++) {
                fputs("# d ", file);
                write_path(file, "", dropin->trashes.v[i]);
                fprintf(file, " 0700 %s %s\n", user->name, user->name);
        }
}

static void write_dropin(FILE *file, const Config *config, const Dropin *dropin,
                         const ServiceUser *user) {
        if (config->apps.n == 0) {
                fprintf(file, "# no application in %s: wpcached.service needs no drop-in\n",
                        config->file ?: "the defaults");
                return;
        }
        fprintf(file,
                "# By wpcached --print-dropin, of %s; to %s,\n"
                "# then: systemctl daemon-reload && systemctl restart wpcached\n"
                "[Service]\n",
                config->file ?: "the defaults", DROPIN_PATH);
        if (dropin->home)
                fputs("# Of homes, what is bound below is all that is seen.\nProtectHome=tmpfs\n",
                      file);
        for (size_t i = 0; i < dropin->n; i++) {
                write_comments(file, &dropin->grants[i].comments);
                fprintf(file, "%s=", setting_names[dropin->grants[i].setting]);
                write_path(file, "-", dropin->grants[i].path);
                fputc('\n', file);
        }
        if (dropin->capability.n > 0) {
                write_comments(file, &dropin->capability);
                fputs("AmbientCapabilities=CAP_DAC_OVERRIDE\n"
                      "CapabilityBoundingSet=CAP_DAC_OVERRIDE\n",
                      file);
        }
        write_trashes(file, dropin, user);
}

int dropin_text(const Config *config, const ServiceUser *user, char **ret, Diag *reterr_diag) {
        cleanup(dropin_done) Dropin dropin = { 0 };
        cleanup(strv_done) Strv outside = STRV_NULL;
        cleanup_free char *text = NULL;
        size_t n = 0;
        FILE *file;
        int r;

        r = config->file ? path_printable(config->file, reterr_diag) : 0;
        if (r >= 0)
                r = config_build_directories(config, &outside);
        for (size_t i = 0; i < config->apps.n && r >= 0; i++) {
                const AppConfig *app = &config->apps.v[i];
                cleanup(sandbox_grants_done) SandboxGrants grants = { 0 };

                r = sandbox_grants(app->root, &app->caches, app->trash, &outside, user, &grants,
                                   reterr_diag);
                if (r >= 0)
                        r = add_app_grants(&dropin, app, &grants, user, reterr_diag);
        }
        if (r >= 0)
                r = merge_grants(&dropin);
        if (r < 0)
                return r;

        file = open_memstream(&text, &n);
        if (!file)
                return -ENOMEM;
        write_dropin(file, config, &dropin, user);
        if (fclose(file) != 0)
                return -ENOMEM;
        *ret = TAKE_PTR(text);
        return 0;
}

int dropin_remedy(const Config *config, const char *path, int error, char **ret) {
        char *file = config->file;
        bool other_file = file && strcmp(file, CONFIG_PATH) != 0;

        *ret = NULL;
        if (error != -EACCES && error != -EROFS &&
            (error != -ENOENT || sysdir_hidden(path, NULL) == HIDDEN_NOT))
                return 0;
        if (getenv("INVOCATION_ID")) {
                cleanup_free char *quoted =
                        other_file ? words_quote(&(Strv){ .v = &file, .n = 1 }) : strdup("");

                if (!quoted)
                        return -ENOMEM;
                *ret = text_format("f=$(mktemp) && wpcached%s%s --print-dropin >$f && install -D "
                                   "-m 644 $f %s && systemctl daemon-reload && systemctl restart "
                                   "wpcached",
                                   other_file ? " --config " : "", quoted, DROPIN_PATH);
        } else if (error == -EACCES && geteuid() != 0) {
                *ret = text_format("run wpcached as root, or as a user that may write %s", path);
        } else {
                return 0;
        }
        return *ret ? 0 : -ENOMEM;
}
