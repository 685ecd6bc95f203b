/* SPDX-License-Identifier: MIT */

#include "janitor/dropin.h"

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

/* A line, and for whom it is. */
typedef struct Grant {
        Setting setting;
        char *path;
        Strv comments;
} Grant;

typedef struct Dropin {
        Grant *grants;
        size_t n, size;
        Strv capability, trashes; /* why, and which */
        bool home;                /* something in it is bound */
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

static int say(Strv *list, char *text) {
        cleanup_free char *owned = text;

        return owned ? strv_add(list, owned) : -ENOMEM;
}

static int grant(Dropin *dropin, Setting setting, const char *path, const AppConfig *app,
                 const char *what, const Strv *notes) {
        Grant *added;
        int r;

        if (array_grow(dropin->grants, dropin->n, dropin->size) < 0)
                return -ENOMEM;
        added = &dropin->grants[dropin->n];
        *added = (Grant){ .setting = setting, .path = strdup(path) };
        if (!added->path)
                return -ENOMEM;
        dropin->n++;
        r = say(&added->comments, text_format("[app %s] %s", app->name, what));
        for (size_t i = 0; notes && i < notes->n && r >= 0; i++)
                r = say(&added->comments, text_format("  %s", notes->v[i]));
        /* 257.13 drops it on the way to sd-executor; 252 does not. */
        if (r >= 0 && setting != READ_WRITE && strpbrk(path, "\"'"))
                r = strv_add(&added->comments, "  systemd 257 binds no path with a quote in it");
        return r;
}

static int add(Dropin *dropin, const AppConfig *app, const SandboxGrants *need,
               const ServiceUser *user) {
        int r;

        r = grant(dropin, need->hidden != HIDDEN_NOT ? BIND : READ_WRITE, need->path, app,
                  app->root, &need->notes);
        if (r >= 0 && need->other && sysdir_hidden(need->other, NULL) == HIDDEN_NOT)
                r = grant(dropin, READ_WRITE, need->other, app, app->trash, NULL);
        if (r >= 0 && app->context && sysdir_hidden(app->context, NULL) != HIDDEN_NOT)
                r = grant(dropin, BIND_READ_ONLY, app->context, app, app->context, NULL);
        if (r >= 0 && need->capability && !user->known)
                r = dropin->capability.n > 0 ? 0 : strv_add(&dropin->capability, need->capability);
        else if (r >= 0 && need->capability)
                r = say(&dropin->capability,
                        text_format("[app %s] %s", app->name, need->capability));
        if (r >= 0 && need->make_trash && !strv_contains(&dropin->trashes, need->make_trash))
                r = strv_add(&dropin->trashes, need->make_trash);
        return r;
}

static int compare(const void *a, const void *b) {
        const Grant *x = a, *y = b;

        return x->setting != y->setting ? (x->setting < y->setting ? -1 : 1)
                                        : strcmp(x->path, y->path);
}

/* Whether what one grants is granted by another, too. */
static bool covers(const Grant *other, const Grant *grant) {
        return path_within(grant->path, other->path) &&
               (other->setting == grant->setting ||
                (other->setting == BIND && grant->setting == BIND_READ_ONLY));
}

static int merge(Dropin *dropin) {
        size_t n = 0;

        if (dropin->n == 0)
                return 0;
        /* A directory sorts before what is in it. */
        qsort(dropin->grants, dropin->n, sizeof(*dropin->grants), compare);
        for (size_t i = 0; i < dropin->n; i++) {
                Grant *grant = &dropin->grants[i];
                size_t k = 0;
                int r = 0;

                while (k < n && !covers(&dropin->grants[k], grant))
                        k++;
                if (k == n) {
                        dropin->home |= grant->setting != READ_WRITE &&
                                        sysdir_hidden(grant->path, NULL) == HIDDEN_HOME;
                        if (n != i) {
                                dropin->grants[n] = *grant;
                                *grant = (Grant){ 0 };
                        }
                        n++;
                        continue;
                }
                for (size_t j = 0; j < grant->comments.n && r >= 0; j++)
                        r = strv_add(&dropin->grants[k].comments, grant->comments.v[j]);
                if (r < 0)
                        return r;
                grant_done(grant);
                *grant = (Grant){ 0 };
        }
        dropin->n = n;
        return 0;
}

/* As a setting of a unit takes it, and a line of tmpfiles.d(5). */
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

static int check_list(const Strv *list, Diag *reterr_diag) {
        int r = 0;

        for (size_t i = 0; i < list->n && r >= 0; i++)
                r = path_printable(list->v[i], reterr_diag);
        return r;
}

/* Who may name a directory would else write lines of the unit. */
static int check(const Config *config, const Dropin *dropin, Diag *reterr_diag) {
        int r = config->file ? path_printable(config->file, reterr_diag) : 0;

        for (size_t i = 0; i < dropin->n && r >= 0; i++) {
                r = path_printable(dropin->grants[i].path, reterr_diag);
                if (r >= 0)
                        r = check_list(&dropin->grants[i].comments, reterr_diag);
        }
        if (r >= 0)
                r = check_list(&dropin->capability, reterr_diag);
        return r < 0 ? r : check_list(&dropin->trashes, reterr_diag);
}

int dropin_text(const Config *config, const ServiceUser *user, char **ret, Diag *reterr_diag) {
        cleanup(dropin_done) Dropin dropin = { 0 };
        cleanup(strv_done) Strv outside = STRV_NULL;
        cleanup_free char *text = NULL;
        size_t n = 0;
        FILE *file;
        int r;

        r = config_build_directories(config, &outside);
        if (r < 0)
                return r;
        for (size_t i = 0; i < config->apps.n; i++) {
                const AppConfig *app = &config->apps.v[i];
                cleanup(sandbox_grants_done) SandboxGrants need = { 0 };

                r = sandbox_grants(app->root, &app->caches, app->trash, &outside, user, &need,
                                   reterr_diag);
                if (r >= 0)
                        r = add(&dropin, app, &need, user);
                if (r < 0)
                        return r;
        }
        r = merge(&dropin);
        if (r >= 0)
                r = check(config, &dropin, reterr_diag);
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
        bool by_systemd = getenv("INVOCATION_ID");

        *ret = NULL;
        if (error != -EACCES && error != -EROFS &&
            (error != -ENOENT || sysdir_hidden(path, NULL) == HIDDEN_NOT))
                return 0;
        if (by_systemd) {
                cleanup(strv_done) Strv words = STRV_NULL;
                cleanup_free char *command = NULL;
                int r;

                r = strv_add(&words, "wpcached");
                if (r >= 0 && config->file && strcmp(config->file, CONFIG_PATH) != 0) {
                        r = strv_add(&words, "--config");
                        if (r >= 0)
                                r = strv_add(&words, config->file);
                }
                if (r >= 0)
                        r = strv_add(&words, "--print-dropin");
                command = r < 0 ? NULL : words_quote(&words);
                if (!command)
                        return -ENOMEM;
                *ret = text_format("f=$(mktemp) && %s >$f && install -D -m 644 $f %s && systemctl "
                                   "daemon-reload && systemctl restart wpcached",
                                   command, DROPIN_PATH);
                return *ret ? 0 : -ENOMEM;
        }
        if (error != -EACCES || geteuid() == 0)
                return 0;
        *ret = text_format("run wpcached as root, or as a user that may write %s", path);
        return *ret ? 0 : -ENOMEM;
}
