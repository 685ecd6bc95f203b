/* SPDX-License-Identifier: MIT */

/* Plain values and the sets that own them. Adding reserves first and then cannot fail. */

#include "docker/model.h"

#include <string.h>

#include "base/array.h"

_Static_assert(sizeof(BuildRecord) == 56, "a hundred thousand of them are 5.6 MB");

static const char *const record_types[RECORD_TYPE_MAX] = {
        [RECORD_REGULAR] = "regular",
        [RECORD_SOURCE_LOCAL] = "source.local",
        [RECORD_SOURCE_GIT] = "source.git.checkout",
        [RECORD_CACHE_MOUNT] = "exec.cachemount",
        [RECORD_FRONTEND] = "frontend",
        [RECORD_INTERNAL] = "internal",
};

const char *record_type_to_string(RecordType type) {
        return (unsigned)type < RECORD_TYPE_MAX ? record_types[type] : NULL;
}

RecordType record_type_from_string(const char *text) {
        for (unsigned i = 0; text && i < RECORD_TYPE_MAX; i++)
                if (record_types[i] && strcmp(record_types[i], text) == 0)
                        return (RecordType)i;

        return RECORD_OTHER;
}

int record_set_add(RecordSet *set, const BuildRecord *record, const char *const *parents,
                   size_t n_parents) {
        void *parents_array;

        if (n_parents > UINT16_MAX || set->n_parents > UINT32_MAX - n_parents)
                return -EOVERFLOW;
        for (size_t i = 0; i < n_parents; i++)
                if (strlen(parents[i]) >= RECORD_ID_MAX)
                        return -EOVERFLOW;

        if (array_grow(set->v, set->n, set->size) < 0)
                return -ENOMEM;
        parents_array = array_reserve(set->parents, &set->size_parents, set->n_parents, n_parents,
                                      sizeof(*set->parents));
        if (!parents_array)
                return -ENOMEM;
        set->parents = parents_array;

        set->v[set->n] = *record;
        set->v[set->n].parents = (uint32_t)set->n_parents;
        set->v[set->n].n_parents = (uint16_t)n_parents;
        set->n++;
        for (size_t i = 0; i < n_parents; i++)
                strcpy(set->parents[set->n_parents++], parents[i]);

        return 0;
}

void record_set_done(RecordSet *set) {
        free(set->v);
        free(set->parents);
        *set = RECORD_SET_NULL;
}

int unreadable_add(UnreadableSet *set, const char *object, const char *reason) {
        cleanup_free char *object_copy = NULL, *reason_copy = NULL;

        if (set->n_named < UNREADABLE_NAMED_MAX) {
                object_copy = strdup(object);
                reason_copy = strdup(reason);
                if (!object_copy || !reason_copy || array_grow(set->v, set->n_named, set->size) < 0)
                        return -ENOMEM;
                set->v[set->n_named++] = (Unreadable){
                        .object = TAKE_PTR(object_copy),
                        .reason = TAKE_PTR(reason_copy),
                };
        }

        set->n++;
        return 0;
}

bool unreadable_contains(const UnreadableSet *set, const char *object) {
        for (size_t i = 0; i < set->n_named; i++)
                if (strcmp(set->v[i].object, object) == 0)
                        return true;
        return false;
}

void unreadable_done(UnreadableSet *set) {
        for (size_t i = 0; i < set->n_named; i++) {
                free(set->v[i].object);
                free(set->v[i].reason);
        }
        free(set->v);
        *set = (UnreadableSet){ 0 };
}

int image_set_add(ImageSet *set, Image *image) {
        if (array_grow(set->v, set->n, set->size) < 0)
                return -ENOMEM;

        set->v[set->n++] = *image;
        set->indexed = false;
        *image = (Image){ 0 };
        return 0;
}

static void image_set_drop_indexes(ImageSet *set) {
        set->indexed = false;
        index_done(&set->by_id);
        index_done(&set->by_name);
        index_done(&set->by_parent);
}

int image_set_index(ImageSet *set) {
        int r = 0;

        image_set_drop_indexes(set);
        for (size_t i = 0; i < set->n && r >= 0; i++) {
                const Image *image = &set->v[i];

                r = index_add(&set->by_id, image->id, i);
                if (r >= 0 && image->parent_id[0])
                        r = index_add(&set->by_parent, image->parent_id, i);
                for (size_t j = 0; j < image->names.n && r >= 0; j++)
                        r = index_add(&set->by_name, image->names.v[j], i);
        }
        if (r < 0) {
                image_set_drop_indexes(set);
                return r;
        }
        index_sort(&set->by_id);
        index_sort(&set->by_name);
        index_sort(&set->by_parent);
        set->indexed = true;
        return 0;
}

const Image *image_set_find(const ImageSet *set, const char *id) {
        if (set->indexed) {
                const IndexEntry *entry = index_find(&set->by_id, id, NULL);

                return entry ? &set->v[entry->at] : NULL;
        }
        for (size_t i = 0; i < set->n; i++)
                if (strcmp(set->v[i].id, id) == 0)
                        return &set->v[i];

        return NULL;
}

const Image *image_set_find_name(const ImageSet *set, const char *name) {
        if (set->indexed) {
                const IndexEntry *entry = index_find(&set->by_name, name, NULL);

                return entry ? &set->v[entry->at] : NULL;
        }
        for (size_t i = 0; i < set->n; i++)
                if (strv_contains(&set->v[i].names, name))
                        return &set->v[i];

        return NULL;
}

bool image_set_has_children(const ImageSet *set, const char *id) {
        if (set->indexed)
                return index_find(&set->by_parent, id, NULL) != NULL;
        for (size_t i = 0; i < set->n; i++)
                if (strcmp(set->v[i].parent_id, id) == 0)
                        return true;

        return false;
}

bool image_set_has_child_since(const ImageSet *set, const char *id, int64_t sec) {
        const IndexEntry *children;
        size_t n = 0;

        if (!set->indexed) {
                for (size_t i = 0; i < set->n; i++)
                        if (strcmp(set->v[i].parent_id, id) == 0 && set->v[i].created_sec >= sec)
                                return true;
                return false;
        }
        children = index_find(&set->by_parent, id, &n);
        for (size_t i = 0; i < n; i++)
                if (set->v[children[i].at].created_sec >= sec)
                        return true;
        return false;
}

void image_done(Image *image) {
        strv_done(&image->names);
        strv_done(&image->digests);
        free(image->project);
        free(image->former);
        *image = (Image){ 0 };
}

void image_set_done(ImageSet *set) {
        for (size_t i = 0; i < set->n; i++)
                image_done(&set->v[i]);
        free(set->v);
        unreadable_done(&set->unreadable);
        image_set_drop_indexes(set);
        *set = (ImageSet){ 0 };
}

static void named_images_drop_indexes(NamedImages *list) {
        list->prepared = false;
        index_done(&list->by_name);
        index_done(&list->by_id);
}

int named_images_add(NamedImages *list, const char *name, const char *id) {
        cleanup_free char *copy = NULL;
        NamedImage *entry;

        if (strlen(id) >= IMAGE_ID_MAX)
                return -EINVAL;
        copy = strdup(name);
        if (!copy || array_grow(list->v, list->n, list->size) < 0)
                return -ENOMEM;
        list->prepared = false;
        entry = &list->v[list->n++];
        *entry = (NamedImage){ .name = TAKE_PTR(copy) };
        strcpy(entry->id, id);
        return 0;
}

int named_images_index(const NamedImages *list, Index *ret) {
        for (size_t i = 0; i < list->n; i++)
                if (index_add(ret, list->v[i].name, i) < 0)
                        return -ENOMEM;
        index_sort(ret);
        return 0;
}

NamedImage *named_images_find_pair(const NamedImages *list, const Index *index, const char *name,
                                   const char *id) {
        const IndexEntry *entry;
        size_t n;

        entry = index_find(index, name, &n);
        for (size_t i = 0; entry && i < n; i++)
                if (strcmp(list->v[entry[i].at].id, id) == 0)
                        return &list->v[entry[i].at];
        return NULL;
}

int named_images_merge(NamedImages *list, const NamedImages *from) {
        cleanup(index_done) Index index = { 0 };
        int r;

        r = named_images_index(list, &index);
        for (size_t i = 0; i < from->n && r >= 0; i++) {
                const NamedImage *entry = &from->v[i];
                NamedImage *known = named_images_find_pair(list, &index, entry->name, entry->id);

                if (!known) {
                        r = named_images_add(list, entry->name, entry->id);
                        if (r < 0)
                                return r;
                        known = &list->v[list->n - 1];
                }
                known->deleted |= entry->deleted;
                known->never_run |= entry->never_run;
        }
        return r;
}

int named_images_prepare(NamedImages *list) {
        int r;

        if (list->prepared)
                return 0;
        named_images_drop_indexes(list);
        r = named_images_index(list, &list->by_name);
        for (size_t i = 0; i < list->n && r >= 0; i++)
                r = index_add(&list->by_id, list->v[i].id, i);
        if (r < 0) {
                named_images_drop_indexes(list);
                return r;
        }
        index_sort(&list->by_id);
        list->prepared = true;
        return 0;
}

const NamedImage *named_images_find(const NamedImages *list, const char *name) {
        if (list->prepared) {
                const IndexEntry *entry = index_find(&list->by_name, name, NULL);

                return entry ? &list->v[entry->at] : NULL;
        }
        for (size_t i = 0; i < list->n; i++)
                if (strcmp(list->v[i].name, name) == 0)
                        return &list->v[i];
        return NULL;
}

bool named_images_contain_id(const NamedImages *list, const char *id) {
        if (list->prepared)
                return index_find(&list->by_id, id, NULL) != NULL;
        for (size_t i = 0; i < list->n; i++)
                if (strcmp(list->v[i].id, id) == 0)
                        return true;
        return false;
}

void named_images_done(NamedImages *list) {
        for (size_t i = 0; i < list->n; i++)
                free(list->v[i].name);
        free(list->v);
        named_images_drop_indexes(list);
        *list = (NamedImages){ 0 };
}

void image_detail_done(ImageDetail *detail) {
        free(detail->comment);
        free(detail->docker_version);
        free(detail->command);
        strv_done(&detail->names);
        strv_done(&detail->layers);
        *detail = (ImageDetail){ 0 };
}

bool container_shows_id(const Container *container) {
        return strncmp(container->image, "sha256:", strlen("sha256:")) == 0;
}

bool container_name_is_generated(const Container *container) {
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
        const char *name = container->name;
        size_t n = strspn(name, letters), n_second;

        if (strncmp(container->id, name, strlen(name)) == 0)
                return true; /* or it has none yet */
        if (n == 0 || name[n] != '_')
                return false;
        name += n + 1;
        n_second = strspn(name, letters);
        name += n_second;
        return n_second > 0 && name[strspn(name, "0123456789")] == '\0';
}

int container_set_add(ContainerSet *set, Container *container) {
        if (array_grow(set->v, set->n, set->size) < 0)
                return -ENOMEM;

        set->v[set->n++] = *container;
        set->indexed = false;
        *container = (Container){ 0 };
        return 0;
}

int container_set_index(ContainerSet *set) {
        set->indexed = false;
        index_done(&set->by_image);
        for (size_t i = 0; i < set->n; i++)
                if (index_add(&set->by_image, set->v[i].image_id, i) < 0)
                        return -ENOMEM;
        index_sort(&set->by_image);
        set->indexed = true;
        return 0;
}

const IndexEntry *container_set_of_image(const ContainerSet *set, const char *image_id,
                                         size_t *ret_n) {
        return index_find(&set->by_image, image_id, ret_n);
}

static const Container *better_holder(const Container *found, const Container *container) {
        if (!found ||
            (strcmp(found->state, "running") != 0 && strcmp(container->state, "running") == 0))
                return container;
        return found;
}

const Container *container_set_holder(const ContainerSet *set, const char *image_id) {
        const Container *found = NULL;

        if (set->indexed) {
                size_t n;
                const IndexEntry *entries = container_set_of_image(set, image_id, &n);

                for (size_t i = 0; i < n; i++)
                        found = better_holder(found, &set->v[entries[i].at]);
                return found;
        }
        for (size_t i = 0; i < set->n; i++)
                if (strcmp(set->v[i].image_id, image_id) == 0)
                        found = better_holder(found, &set->v[i]);
        return found;
}

void container_done(Container *container) {
        free(container->name);
        free(container->image);
        free(container->state);
        free(container->project);
        for (size_t i = 0; i < container->n_mounts; i++) {
                free(container->mounts[i].source);
                free(container->mounts[i].destination);
                free(container->mounts[i].volume);
        }
        free(container->mounts);
        strv_done(&container->image_mounts);
        *container = (Container){ 0 };
}

void container_set_done(ContainerSet *set) {
        for (size_t i = 0; i < set->n; i++)
                container_done(&set->v[i]);
        free(set->v);
        unreadable_done(&set->unreadable);
        index_done(&set->by_image);
        *set = (ContainerSet){ 0 };
}

void container_detail_done(ContainerDetail *detail) {
        free(detail->config_image);
        free(detail->log_driver);
        free(detail->status);
        *detail = (ContainerDetail){ 0 };
}

int volume_set_add(VolumeSet *set, Volume *volume) {
        if (array_grow(set->v, set->n, set->size) < 0)
                return -ENOMEM;

        set->v[set->n++] = *volume;
        *volume = (Volume){ 0 };
        return 0;
}

void volume_done(Volume *volume) {
        free(volume->name);
        free(volume->device);
        *volume = (Volume){ 0 };
}

void volume_set_done(VolumeSet *set) {
        for (size_t i = 0; i < set->n; i++)
                volume_done(&set->v[i]);
        free(set->v);
        unreadable_done(&set->unreadable);
        *set = (VolumeSet){ 0 };
}

int engine_info_copy(const EngineInfo *info, EngineInfo *ret) {
        char *root_dir = strdup(info->root_dir);

        if (!root_dir)
                return -ENOMEM;
        *ret = *info;
        ret->root_dir = root_dir;
        return 0;
}

void engine_info_done(EngineInfo *info) {
        free(info->root_dir);
        *info = (EngineInfo){ 0 };
}
