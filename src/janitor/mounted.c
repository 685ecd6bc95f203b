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
#include "base/text.h"
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

/* The directory at `path` and those above it. None if a file or a socket is mounted: of such a mount only the
 * path is compared. */
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

static int add_directories(MountedSet *set, const Lineage *lineage) {
        for (size_t i = 0; i < lineage->n; i++) {
                if (array_grow(set->directories, set->n_directories, set->size_directories) < 0)
                        return -ENOMEM;
                set->directories[set->n_directories++] = (MountedDirectory){
                        .dev = lineage->v[i].dev,
                        .ino = lineage->v[i].ino,
                        .at = set->n - 1,
                        .source = i == 0,
                };
        }
        return 0;
}

static int add(MountedSet *set, const Container *container, const Mount *mount) {
        cleanup_free char *path = realpath(mount->source, NULL);
        Lineage lineage;

        if (!path)
                path = without_slashes(mount->source);
        if (!path)
                return -ENOMEM;
        if (strcmp(path, "/") == 0)
                return 0;
        if (array_grow(set->v, set->n, set->size) < 0)
                return -ENOMEM;
        read_source(path, &lineage);
        set->v[set->n++] = (Mounted){
                .container = container,
                .mount = mount,
                .path = TAKE_PTR(path),
        };
        return add_directories(set, &lineage);
}

static int compare_directories(const void *a, const void *b) {
        const MountedDirectory *x = a, *y = b;

        if (x->dev != y->dev)
                return x->dev < y->dev ? -1 : 1;
        if (x->ino != y->ino)
                return x->ino < y->ino ? -1 : 1;
        if (x->source != y->source)
                return x->source ? -1 : 1;
        return (x->at > y->at) - (x->at < y->at);
}

static int sort_mounted(MountedSet *set) {
        for (size_t i = 0; i < set->n; i++)
                if (index_add(&set->by_path, set->v[i].path, i) < 0)
                        return -ENOMEM;
        index_sort(&set->by_path);
        if (set->n_directories > 0)
                qsort(set->directories, set->n_directories, sizeof(*set->directories),
                      compare_directories);
        return 0;
}

int mounted_read(const ContainerSet *containers, MountedSet *ret) {
        cleanup(mounted_done) MountedSet set = { 0 };
        int r = 0;

        for (size_t i = 0; i < containers->n && r >= 0; i++) {
                const Container *container = &containers->v[i];

                for (size_t k = 0; runs(container) && k < container->n_mounts && r >= 0; k++)
                        if (container->mounts[k].source[0] == '/')
                                r = add(&set, container, &container->mounts[k]);
        }
        if (r >= 0)
                r = sort_mounted(&set);
        if (r < 0)
                return r;
        *ret = set;
        set = (MountedSet){ 0 };
        return 0;
}

void mounted_done(MountedSet *set) {
        for (size_t i = 0; i < set->n; i++)
                free(set->v[i].path);
        free(set->v);
        free(set->directories);
        index_done(&set->by_path);
        *set = (MountedSet){ 0 };
}

/* A mount whose source is at an absolute path or above it. `path` is changed, and put back. */
static const Mounted *find_above(const MountedSet *set, char *path) {
        for (size_t n = strlen(path); n > 1; n--) {
                const IndexEntry *entry;
                char end = path[n];

                if (end != '/' && end != '\0')
                        continue;
                path[n] = '\0';
                entry = index_find(&set->by_path, path, NULL);
                path[n] = end;
                if (entry)
                        return &set->v[entry->at];
        }
        return NULL;
}

/* A mount whose source is a directory, or, with `below`, is the directory or lies below it. */
static const Mounted *find_directory(const MountedSet *set, uint64_t dev, uint64_t ino,
                                     bool below) {
        const MountedDirectory key = { .dev = dev, .ino = ino, .source = true };
        size_t low = 0, n = set->n_directories;
        const MountedDirectory *found;

        while (n > 0) {
                size_t half = n / 2;

                if (compare_directories(&set->directories[low + half], &key) < 0) {
                        low += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        found = &set->directories[low];
        if (low == set->n_directories || found->dev != dev || found->ino != ino ||
            (!below && !found->source))
                return NULL;
        return &set->v[found->at];
}

static int find_by_path(const MountedSet *set, const char *root_path, const char *path,
                        const Mounted **ret) {
        cleanup_free char *below = text_format("%s/%s/", root_path, path);
        const IndexEntry *entry;

        if (!below)
                return -ENOMEM;
        entry = index_find_prefix(&set->by_path, below, NULL);
        below[strlen(below) - 1] = '\0';
        *ret = entry ? &set->v[entry->at] : find_above(set, below);
        return 0;
}

int mounted_find(const MountedSet *set, const Lineage *root, const char *root_path,
                 const char *path, uint64_t dev, uint64_t ino, const Mounted **ret) {
        int r = find_by_path(set, root_path, path, ret);

        if (r >= 0 && !*ret)
                *ret = find_directory(set, dev, ino, true);
        for (size_t i = 0; i < root->n && r >= 0 && !*ret; i++)
                *ret = find_directory(set, root->v[i].dev, root->v[i].ino, false);
        return r;
}

/* The compose projects that are the application's: the configured one, and those of containers made
 * from an image that matches. */
static int our_projects(const Config *config, const ContainerSet *containers, Index *ret) {
        int r = 0;

        if (config->project)
                r = index_add(ret, config->project, 0);
        for (size_t i = 0; i < containers->n && r >= 0; i++) {
                const Container *container = &containers->v[i];

                if (container->project && name_matches_any(&config->match, container->image))
                        r = index_add(ret, container->project, i);
        }
        index_sort(ret);
        return r;
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
        cleanup(index_done) Index projects = { 0 };

        if (!array || our_projects(config, containers, &projects) < 0)
                return NULL;
        for (size_t i = 0; i < containers->n; i++) {
                const Container *container = &containers->v[i];

                if (!container->project || !index_find(&projects, container->project, NULL))
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
