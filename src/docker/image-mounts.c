/* SPDX-License-Identifier: MIT */

/*
 * The trap is a name that moved: the container keeps the image that had the name when it was made, and a
 * rebuild gives the name to another, or a clear takes it. A bearer that was last tagged before the
 * container was made had the name then; of any other bearer that is not known. The engine lists seconds,
 * and of two events of one second it is not known which came first.
 */

#include "docker/image-mounts.h"

#include <string.h>

#include "base/array.h"
#include "base/text.h"

#define ASKED_MAX 64

/* A repository whose name may have moved since a container mounted it. */
typedef struct Moved {
        char *repository;
        size_t container;
} Moved;

typedef struct Finder {
        const ContainerSet *containers;
        const ImageSet *images;
        int64_t now_sec;
        ImageMountsTagged tagged;
        void *userdata;
        References references;
        const KnownMounts *known; /* from earlier calls, or NULL */
        KnownMounts certain;      /* from this one */
        ImageMounts mounts;
        Moved *moved; /* by repository and, once it is sorted, one each: the youngest container */
        size_t n_moved, moved_size;
        Index by_repository;
        size_t youngest;    /* of all containers in `moved` */
        int64_t *times_sec; /* one an image: its last tag; -1: not asked yet */
        size_t n_asked;
} Finder;

void known_mounts_done(KnownMounts *known) {
        for (size_t i = 0; i < known->n; i++)
                free(known->v[i].key);
        free(known->v);
        index_done(&known->by_key);
        *known = (KnownMounts){ 0 };
}

static void finder_donep(Finder *finder) {
        known_mounts_done(&finder->certain);
        references_done(&finder->references);
        image_mounts_done(&finder->mounts);
        for (size_t i = 0; i < finder->n_moved; i++)
                free(finder->moved[i].repository);
        free(finder->moved);
        index_done(&finder->by_repository);
        free(finder->times_sec);
}

static int add(Finder *finder, const char *image_id, size_t container, bool certain) {
        ImageMounts *mounts = &finder->mounts;
        ImageMount mount = { .container = container, .certain = certain };

        if (array_grow(mounts->v, mounts->n, mounts->size) < 0)
                return -ENOMEM;
        strcpy(mount.image_id, image_id);
        mounts->v[mounts->n++] = mount;
        return 0;
}

static int add_moved(Finder *finder, const char *reference, size_t container) {
        char *repository = reference_repository(reference);

        if (!repository || array_grow(finder->moved, finder->n_moved, finder->moved_size) < 0) {
                free(repository);
                return -ENOMEM;
        }
        finder->moved[finder->n_moved++] = (Moved){ repository, container };
        return 0;
}

/* When the image last got a name, by the engine; 0: not known. */
static int last_tagged(Finder *finder, const Image *image, int64_t *ret_sec) {
        int64_t *known = &finder->times_sec[image - finder->images->v];
        int r;

        if (*known < 0 && finder->n_asked == ASKED_MAX)
                *known = 0;
        if (*known < 0) {
                finder->n_asked++;
                r = finder->tagged(finder->userdata, image, known);
                if (r < 0)
                        return r;
        }
        *ret_sec = *known;
        return 0;
}

static int mount_key(const Finder *finder, size_t container, const char *reference, char **ret) {
        *ret = text_format("%s %s", finder->containers->v[container].id, reference);
        return *ret ? 0 : -ENOMEM;
}

/* The image that an earlier call found for certain, or NULL. */
static int find_known(const Finder *finder, size_t container, const char *reference,
                      const char **ret_id) {
        cleanup_free char *key = NULL;
        const IndexEntry *entry;
        int r;

        *ret_id = NULL;
        if (!finder->known || finder->known->n == 0)
                return 0;
        r = mount_key(finder, container, reference, &key);
        if (r < 0)
                return r;
        entry = index_find(&finder->known->by_key, key, NULL);
        *ret_id = entry ? finder->known->v[entry->at].image_id : NULL;
        return 0;
}

static int add_known(Finder *finder, size_t container, const char *reference,
                     const char *image_id) {
        KnownMounts *known = &finder->certain;
        KnownMount mount = { 0 };

        if (mount_key(finder, container, reference, &mount.key) < 0 ||
            array_grow(known->v, known->n, known->size) < 0) {
                free(mount.key);
                return -ENOMEM;
        }
        strcpy(mount.image_id, image_id);
        known->v[known->n++] = mount;
        return 0;
}

static int find_by_name_now(Finder *finder, size_t container, const char *reference) {
        int64_t tagged_sec = 0;
        const Image *image;
        bool by_name;
        int r;

        r = references_find(&finder->references, reference, &image, &by_name);
        if (r >= 0 && image)
                r = add(finder, image->id, container, true);
        if (r >= 0 && image && by_name)
                r = last_tagged(finder, image, &tagged_sec);
        if (r < 0 || (image && !by_name))
                return r;
        if (tagged_sec > 0 && tagged_sec < finder->containers->v[container].created_sec)
                return add_known(finder, container, reference, image->id);
        return add_moved(finder, reference, container);
}

static int find_mount(Finder *finder, size_t container, const char *reference) {
        const char *id;
        int r;

        r = find_known(finder, container, reference, &id);
        if (r < 0)
                return r;
        if (!id)
                return find_by_name_now(finder, container, reference);
        r = add_known(finder, container, reference, id);
        return r < 0 || !image_set_find(finder->images, id) ? r : add(finder, id, container, true);
}

static int find_mounts(Finder *finder) {
        int r = 0;

        for (size_t i = 0; i < finder->containers->n && r >= 0; i++) {
                const Strv *mounts = &finder->containers->v[i].image_mounts;

                for (size_t j = 0; j < mounts->n && r >= 0; j++)
                        r = find_mount(finder, i, mounts->v[j]);
        }
        return r;
}

static int64_t made_sec(const Finder *finder, size_t container) {
        return finder->containers->v[container].created_sec;
}

static int compare_moved(const void *a, const void *b, void *userdata) {
        const Moved *x = a, *y = b;
        const Finder *finder = userdata;
        int64_t x_sec = made_sec(finder, x->container), y_sec = made_sec(finder, y->container);
        int c = strcmp(x->repository, y->repository);

        return c != 0 ? c : (x_sec < y_sec) - (x_sec > y_sec);
}

/* Of one repository the youngest container leaves the most images possible. */
static int index_moved(Finder *finder) {
        Moved *v = finder->moved;
        size_t n = 0;

        qsort_r(v, finder->n_moved, sizeof(*v), compare_moved, finder);
        finder->youngest = v[0].container;
        for (size_t i = 0; i < finder->n_moved; i++) {
                if (made_sec(finder, v[i].container) > made_sec(finder, finder->youngest))
                        finder->youngest = v[i].container;
                if (n > 0 && strcmp(v[n - 1].repository, v[i].repository) == 0)
                        free(v[i].repository);
                else
                        v[n++] = v[i];
        }
        finder->n_moved = n;
        for (size_t i = 0; i < n; i++)
                if (index_add(&finder->by_repository, v[i].repository, i) < 0)
                        return -ENOMEM;
        index_sort(&finder->by_repository);
        return 0;
}

static bool was_there(const Finder *finder, const Image *image, size_t container) {
        return image->created_sec <= made_sec(finder, container) ||
               image->created_sec > finder->now_sec;
}

/* Adds the image if one of these names or digests is in a repository whose names may have moved. */
static int add_by_repository(Finder *finder, const Image *image, const Strv *names, bool *added) {
        for (size_t i = 0; i < names->n && !*added; i++) {
                cleanup_free char *repository = reference_repository(names->v[i]);
                const IndexEntry *entry;

                if (!repository)
                        return -ENOMEM;
                entry = index_find(&finder->by_repository, repository, NULL);
                if (!entry || !was_there(finder, image, finder->moved[entry->at].container))
                        continue;
                *added = true;
                return add(finder, image->id, finder->moved[entry->at].container, false);
        }
        return 0;
}

static int find_possible(Finder *finder) {
        for (size_t i = 0; i < finder->images->n; i++) {
                const Image *image = &finder->images->v[i];
                bool added = false;
                int r;

                if (image->names.n == 0 && image->digests.n == 0) {
                        r = was_there(finder, image, finder->youngest)
                                    ? add(finder, image->id, finder->youngest, false)
                                    : 0;
                } else {
                        r = add_by_repository(finder, image, &image->names, &added);
                        if (r >= 0)
                                r = add_by_repository(finder, image, &image->digests, &added);
                }
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool any_mount(const ContainerSet *containers) {
        for (size_t i = 0; i < containers->n; i++)
                if (containers->v[i].image_mounts.n > 0)
                        return true;
        return false;
}

static int index_mounts(ImageMounts *mounts) {
        for (size_t i = 0; i < mounts->n; i++)
                if (index_add(&mounts->by_image, mounts->v[i].image_id, i) < 0)
                        return -ENOMEM;
        index_sort(&mounts->by_image);
        return 0;
}

static int index_known(KnownMounts *known) {
        for (size_t i = 0; i < known->n; i++)
                if (index_add(&known->by_key, known->v[i].key, i) < 0)
                        return -ENOMEM;
        index_sort(&known->by_key);
        return 0;
}

static void replace_known(KnownMounts *known, KnownMounts *newer) {
        if (!known)
                return;
        known_mounts_done(known);
        *known = *newer;
        *newer = (KnownMounts){ 0 };
}

int image_mounts_find(const ContainerSet *containers, const ImageSet *images, int64_t now_sec,
                      ImageMountsTagged tagged, void *userdata, KnownMounts *known,
                      ImageMounts *ret) {
        cleanup(finder_done) Finder finder = {
                .containers = containers,
                .images = images,
                .now_sec = now_sec,
                .tagged = tagged,
                .userdata = userdata,
                .known = known,
        };
        int r;

        *ret = (ImageMounts){ 0 };
        if (!any_mount(containers)) {
                replace_known(known, &finder.certain);
                return 0;
        }
        finder.times_sec = calloc(images->n + 1, sizeof(*finder.times_sec));
        if (!finder.times_sec)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++)
                finder.times_sec[i] = -1;
        r = references_init(&finder.references, images);
        if (r >= 0)
                r = find_mounts(&finder);
        if (r >= 0 && finder.n_moved > 0)
                r = index_moved(&finder);
        if (r >= 0 && finder.n_moved > 0)
                r = find_possible(&finder);
        if (r >= 0)
                r = index_mounts(&finder.mounts);
        if (r >= 0)
                r = index_known(&finder.certain);
        if (r < 0)
                return r;
        replace_known(known, &finder.certain);
        *ret = finder.mounts;
        finder.mounts = (ImageMounts){ 0 };
        return 0;
}

typedef struct Asking {
        Docker *docker;
        Diag *reterr_diag;
} Asking;

static int ask_tagged(void *userdata, const Image *image, int64_t *ret_sec) {
        cleanup(image_detail_done) ImageDetail detail = { 0 };
        const Asking *asking = userdata;
        int r;

        *ret_sec = 0;
        r = docker_image(asking->docker, image->id, &detail, asking->reterr_diag);
        if (r == -ENOENT || r == -EBADMSG || r == -EREMOTEIO)
                return 0;
        if (r >= 0)
                *ret_sec = detail.last_tagged_sec;
        return r;
}

int docker_image_mounts(Docker *docker, const ContainerSet *containers, const ImageSet *images,
                        int64_t now_sec, KnownMounts *known, ImageMounts *ret, Diag *reterr_diag) {
        Asking asking = { docker, reterr_diag };

        return image_mounts_find(containers, images, now_sec, ask_tagged, &asking, known, ret);
}

const Container *image_mounts_holder(const ImageMounts *mounts, const ContainerSet *containers,
                                     const char *image_id, bool certain) {
        const Container *found = NULL;
        const IndexEntry *entries;
        size_t n;

        entries = index_find(&mounts->by_image, image_id, &n);
        for (size_t i = 0; i < n; i++) {
                const ImageMount *mount = &mounts->v[entries[i].at];
                const Container *container = &containers->v[mount->container];

                if (mount->certain == certain &&
                    (!found || (strcmp(found->state, "running") != 0 &&
                                strcmp(container->state, "running") == 0)))
                        found = container;
        }
        return found;
}

bool containers_mount_id(const ContainerSet *containers, const char *image_id) {
        for (size_t i = 0; i < containers->n; i++)
                for (size_t j = 0; j < containers->v[i].image_mounts.n; j++)
                        if (reference_is_id_of(containers->v[i].image_mounts.v[j], image_id))
                                return true;
        return false;
}

void image_mounts_done(ImageMounts *mounts) {
        free(mounts->v);
        index_done(&mounts->by_image);
        *mounts = (ImageMounts){ 0 };
}
