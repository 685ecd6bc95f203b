/* SPDX-License-Identifier: MIT */

/*
 * The source of a mount is somebody else's text. It is only ever looked at, by path, and a wrong
 * answer at worst spares a cache, or removes one that its owner hid from us on purpose.
 */

#include "janitor/mounted.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "docker/name.h"

static bool runs(const Container *container) {
        return strcmp(container->state, "exited") != 0 &&
               strcmp(container->state, "created") != 0 && strcmp(container->state, "dead") != 0;
}

void lineage_read(int fd, Lineage *ret) {
        cleanup_close int at_fd = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

        ret->n = 0;
        while (at_fd >= 0 && ret->n < LINEAGE_MAX) {
                int parent_fd;
                struct stat st;

                if (fstat(at_fd, &st) < 0)
                        return;
                if (ret->n > 0 && ret->v[ret->n - 1].dev == st.st_dev &&
                    ret->v[ret->n - 1].ino == st.st_ino)
                        return; /* ".." of "/" is itself */
                ret->v[ret->n].dev = st.st_dev;
                ret->v[ret->n++].ino = st.st_ino;
                parent_fd = openat(at_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
                cleanup_closep(&at_fd);
                at_fd = parent_fd;
        }
}

/* A source may be a file, or a socket: what counts is the directory it is in, then. */
static void read_source(const char *path, Lineage *ret) {
        cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);
        struct stat st;

        ret->n = 0;
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
                lineage_read(fd, ret);
}

static char *without_slashes(const char *path) {
        size_t n = strlen(path);

        while (n > 1 && path[n - 1] == '/')
                n--;
        return strndup(path, n);
}

static int add(MountedSet *set, const Container *container, const Mount *mount) {
        cleanup_free char *path = realpath(mount->source, NULL);
        Mounted *mounted;

        if (!path)
                path = without_slashes(mount->source);
        if (!path)
                return -ENOMEM;
        if (strcmp(path, "/") == 0)
                return 0;
        if (array_grow(set->v, set->n, set->size) < 0)
                return -ENOMEM;
        mounted = &set->v[set->n++];
        *mounted = (Mounted){ .container = container, .mount = mount };
        read_source(path, &mounted->lineage);
        mounted->path = TAKE_PTR(path);
        return 0;
}

int mounted_read(const ContainerSet *containers, MountedSet *ret) {
        cleanup(mounted_done) MountedSet set = { 0 };

        for (size_t i = 0; i < containers->n; i++) {
                const Container *container = &containers->v[i];

                for (size_t k = 0; runs(container) && k < container->n_mounts; k++) {
                        const Mount *mount = &container->mounts[k];
                        int r;

                        if (mount->source[0] != '/')
                                continue;
                        r = add(&set, container, mount);
                        if (r < 0)
                                return r;
                }
        }
        *ret = set;
        set = (MountedSet){ 0 };
        return 0;
}

void mounted_done(MountedSet *set) {
        for (size_t i = 0; i < set->n; i++)
                free(set->v[i].path);
        free(set->v);
        *set = (MountedSet){ 0 };
}

/* Whether one of two absolute paths is the other or lies below it. `b` is given in two parts. */
static bool related(const char *a, const char *b, const char *b_rest) {
        size_t n = strlen(b);

        if (strncmp(a, b, MIN(strlen(a), n)) != 0)
                return false;
        if (strlen(a) <= n) /* a is b's root or above it */
                return a[strlen(a)] == b[strlen(a)] || b[strlen(a)] == '/';
        if (a[n] != '/')
                return false;
        a += n + 1;
        n = MIN(strlen(a), strlen(b_rest));
        return strncmp(a, b_rest, n) == 0 && (a[n] == '\0' || a[n] == '/') &&
               (b_rest[n] == '\0' || b_rest[n] == '/');
}

static bool lineage_has(const Lineage *lineage, uint64_t dev, uint64_t ino) {
        for (size_t i = 0; i < lineage->n; i++)
                if (lineage->v[i].ino == ino && lineage->v[i].dev == dev)
                        return true;
        return false;
}

const Mounted *mounted_find(const MountedSet *set, const Lineage *root, const char *root_path,
                            const char *path, uint64_t dev, uint64_t ino) {
        for (size_t i = 0; i < set->n; i++) {
                const Mounted *mounted = &set->v[i];
                const Lineage *lineage = &mounted->lineage;

                if (related(mounted->path, root_path, path) || lineage_has(lineage, dev, ino) ||
                    (lineage->n > 0 && lineage_has(root, lineage->v[0].dev, lineage->v[0].ino)))
                        return mounted;
        }
        return NULL;
}

/* The compose projects that are the application's: the configured one, and those of containers made
 * from an image that matches. */
static int our_projects(const Config *config, const ContainerSet *containers, Strv *ret) {
        cleanup(strv_done) Strv projects = STRV_NULL;
        int r = 0;

        if (config->project)
                r = strv_add(&projects, config->project);
        for (size_t i = 0; i < containers->n && r >= 0; i++) {
                const Container *container = &containers->v[i];

                if (container->project && !strv_contains(&projects, container->project) &&
                    name_matches_any(&config->match, container->image))
                        r = strv_add(&projects, container->project);
        }
        if (r < 0)
                return r;
        *ret = projects;
        projects = STRV_NULL;
        return 0;
}

static bool bears_name(const Config *config, const char *component, size_t n) {
        static const char *const usual[] = { "static", "staticfiles" };

        for (size_t i = 0; i < ELEMENTSOF(usual); i++)
                if (strlen(usual[i]) == n && strncmp(usual[i], component, n) == 0)
                        return true;
        for (size_t i = 0; i < config->apps.n; i++) {
                const Strv *caches = &config->apps.v[i].caches;

                for (size_t k = 0; k < caches->n; k++) {
                        const char *slash = strrchr(caches->v[k], '/');
                        const char *last = slash ? slash + 1 : caches->v[k];

                        if (strlen(last) == n && strncmp(last, component, n) == 0)
                                return true;
                }
        }
        return false;
}

static bool holds_files(const Config *config, const Mount *mount) {
        for (const char *at = mount->destination; *at;) {
                size_t n = strcspn(at, "/");

                if (n > 0 && bears_name(config, at, n))
                        return true;
                at += n + (at[n] == '/');
        }
        return false;
}

static int add_volume(Json *array, const Container *container, const Mount *mount) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "volume", mount->volume);
        r |= json_add_string(json, "container", container->name);
        r |= json_add_string(json, "destination", mount->destination);
        return r < 0 ? -ENOMEM : json_add(array, NULL, TAKE_PTR(json));
}

Json *mounted_volumes_json(const Config *config, const ContainerSet *containers) {
        cleanup(json_free) Json *array = json_new_array();
        cleanup(strv_done) Strv projects = STRV_NULL;

        if (!array || our_projects(config, containers, &projects) < 0)
                return NULL;
        for (size_t i = 0; i < containers->n; i++) {
                const Container *container = &containers->v[i];

                if (!container->project || !strv_contains(&projects, container->project))
                        continue;
                for (size_t k = 0; k < container->n_mounts; k++) {
                        const Mount *mount = &container->mounts[k];

                        if (mount->volume && holds_files(config, mount) &&
                            add_volume(array, container, mount) < 0)
                                return NULL;
                }
        }
        return TAKE_PTR(array);
}
