/* SPDX-License-Identifier: MIT */

/*
 * The trap here is time: the engine answers three questions one after the other and may change in
 * between. BuildKit holds records from soon after a build's start until after its image has its
 * name, so records are read before images: a build unseen by the first has its image seen by the
 * second. The classic builder removes a step's container after it made the image, so containers
 * are read before images, too.
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/array.h"
#include "base/io.h"
#include "base/span.h"
#include "base/text.h"
#include "docker/name.h"
#include "janitor/classic-builds.h"
#include "janitor/image-facts.h"

#define CONTAINERD_ROOT "/var/lib/containerd"
/* Unreadable images, or containers, past which the failure to describe one more is the engine's. */
#define FAILURES_MAX 8

void disks_done(Disks *disks) {
        for (size_t i = 0; i < disks->n; i++)
                free(disks->v[i].path);
        free(disks->v);
        strv_done(&disks->unseen);
        *disks = (Disks){ 0 };
}

static inline void disks_donep(Disks *disks) {
        disks_done(disks);
}

/* Paths of one file system are one disk, under the first of them. */
static int add_disk(Disks *disks, const char *path) {
        cleanup_free char *copy = NULL, *text = NULL;
        struct stat st, other;
        struct statvfs fs;

        if (stat(path, &st) < 0 || statvfs(path, &fs) < 0) {
                text = text_format("%s: %s", path, error_text(errno));
                return text ? strv_add(&disks->unseen, text) : -ENOMEM;
        }
        for (size_t i = 0; i < disks->n; i++)
                if (stat(disks->v[i].path, &other) >= 0 && other.st_dev == st.st_dev)
                        return 0;
        copy = strdup(path);
        if (!copy || array_grow(disks->v, disks->n, disks->size) < 0)
                return -ENOMEM;
        disks->v[disks->n++] = (Disk){
                .path = TAKE_PTR(copy),
                .total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize,
                .free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize,
                .total_inodes = fs.f_files,
                .free_inodes = fs.f_favail,
        };
        return 0;
}

int disks_observe(const Config *config, const EngineInfo *engine, Disks *ret) {
        cleanup(disks_done) Disks disks = { 0 };
        int r = 0;

        for (size_t i = 0; i < config->disk_paths.n && r >= 0; i++)
                r = add_disk(&disks, config->disk_paths.v[i]);
        if (config->disk_paths.n == 0) {
                r = add_disk(&disks, engine->root_dir);
                if (r >= 0 && engine->image_store == IMAGE_STORE_CONTAINERD &&
                    access(CONTAINERD_ROOT, F_OK) == 0)
                        r = add_disk(&disks, CONTAINERD_ROOT);
        }
        if (r < 0)
                return r;
        *ret = disks;
        disks = (Disks){ 0 };
        return 0;
}

/* Empties all but the facts, what is borrowed, and the end of our builds. */
static void inventory_reset(Inventory *inventory) {
        const int64_t ours_ended_nsec = inventory->ours_ended_nsec;
        KnownMounts *known_mounts = inventory->known_mounts;
        struct TagEvents *tag_events = inventory->tag_events;
        BuildWatch *watch = inventory->watch;
        FactSet facts = inventory->facts;

        engine_info_done(&inventory->engine);
        disks_done(&inventory->disks);
        record_set_done(&inventory->records);
        unreadable_done(&inventory->unreadable_records);
        image_set_done(&inventory->images);
        container_set_done(&inventory->containers);
        service_images_done(&inventory->services);
        image_mounts_done(&inventory->image_mounts);
        strv_done(&inventory->builder_volumes);
        unreadable_done(&inventory->unreadable_volumes);
        strv_done(&inventory->classic_builds);
        builds_done(&inventory->builds);
        *inventory = INVENTORY_NULL;
        inventory->ours_ended_nsec = ours_ended_nsec;
        inventory->facts = facts;
        inventory->watch = watch;
        inventory->known_mounts = known_mounts;
        inventory->tag_events = tag_events;
}

void inventory_done(Inventory *inventory) {
        inventory_reset(inventory);
        fact_set_done(&inventory->facts);
}

bool inventory_is_partial(const Inventory *inventory) {
        return inventory->images.unreadable.n > 0 || inventory->containers.unreadable.n > 0;
}

bool inventory_buildkit_building(const Inventory *inventory) {
        const Builds *builds = &inventory->builds;

        return builds->n_running > 0 || builds->unknown[0] ||
               inventory->n_in_use > builds->leaked.n;
}

bool inventory_building(const Inventory *inventory) {
        return inventory_buildkit_building(inventory) || inventory->classic_builds.n > 0;
}

const Container *container_of_image(const Inventory *inventory, const char *image_id) {
        return container_set_holder(&inventory->containers, image_id)
                       ?: image_mounts_holder(&inventory->image_mounts, &inventory->containers,
                                              image_id, true);
}

const Container *container_that_may_mount(const Inventory *inventory, const Image *image) {
        return image_mounts_holder(&inventory->image_mounts, &inventory->containers, image->id,
                                   false);
}

const ServiceImage *service_of_image(const Inventory *inventory, const Image *image) {
        return service_images_find(&inventory->services, image->id);
}

bool image_in_use(const Inventory *inventory, const Image *image) {
        return container_of_image(inventory, image->id) ||
               container_that_may_mount(inventory, image) || inventory->services.unread ||
               service_of_image(inventory, image);
}

bool image_may_be_used(const Inventory *inventory, const Image *image) {
        return image_in_use(inventory, image) || inventory->containers.unreadable.n > 0;
}

bool image_is_untagged(const Image *image) {
        return image->names.n == 0 && image->digests.n == 0;
}

bool image_is_classic(const Inventory *inventory, const Image *image) {
        const ImageFacts *facts;

        if (image->parent_id[0])
                return true;
        facts = fact_set_find(&inventory->facts, image->id);
        return facts && image_kind_is_classic(facts->kind);
}

bool image_has_children(const Inventory *inventory, const Image *image) {
        return image_set_has_children(&inventory->images, image->id);
}

/* A tag of "PREFIX-..." */
static bool has_tag_prefix(const char *name, const char *prefix) {
        const char *tag = name_tag(name);
        size_t n = strlen(prefix);

        return tag && strncmp(tag, prefix, n) == 0 && tag[n] == '-';
}

bool name_is_trash(const char *name) {
        size_t n = name_repository_length(name);

        return (n == strlen(TRASH_REPOSITORY) && strncmp(name, TRASH_REPOSITORY, n) == 0) ||
               has_tag_prefix(name, TRASH_REPOSITORY);
}

static bool is_of_project(const Config *config, const Image *image) {
        return config->project && image->project && strcmp(config->project, image->project) == 0;
}

bool name_is_rollback(const Config *config, const Image *image, const char *name) {
        return has_tag_prefix(name, config->rollback_tag) &&
               (name_repository_matches_any(&config->match, name) || is_of_project(config, image));
}

bool image_has_rollback_tag(const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_is_rollback(config, image, image->names.v[i]))
                        return true;
        return false;
}

bool name_is_own(const char *rollback_tag, const char *name) {
        return name_is_trash(name) || has_tag_prefix(name, rollback_tag);
}

bool name_is_ours(const Config *config, const Image *image, const char *name) {
        if (name_is_own(config->rollback_tag, name))
                return false;
        return name_matches_any(&config->match, name) || is_of_project(config, image);
}

bool name_in_scope(const Config *config, const Image *image, const char *name) {
        return name_is_ours(config, image, name) && !name_matches_any(&config->protect, name) &&
               !name_matches_any(&config->base, name);
}

/*
 * On the containerd store a look during a build makes the engine take that build's records for
 * private until it restarts (refs.go, layerDigestChainCache). Its own prune counts by the same flag,
 * so the figure is what a prune goes by, right or wrong, and is used as it is; what is in use stays
 * either way.
 */
static int count_record(void *userdata, const BuildRecord *record, const char *const *parents,
                        size_t n_parents) {
        Inventory *inventory = userdata;

        (void)parents;
        (void)n_parents;
        inventory->n_records++;
        inventory->record_bytes += record->size_bytes;
        if (!record->shared)
                inventory->private_bytes += record->size_bytes;
        if (!record->in_use)
                return 0;
        inventory->n_in_use++;
        if (!record->shared)
                inventory->in_use_private_bytes += record->size_bytes;
        inventory->builds.source_in_use |= record->source;
        return id_set_add(&inventory->builds.in_use, record->id);
}

static int keep_record(void *userdata, const BuildRecord *record, const char *const *parents,
                       size_t n_parents) {
        Inventory *inventory = userdata;

        if (count_record(inventory, record, parents, n_parents) < 0)
                return -ENOMEM;
        return record_set_add(&inventory->records, record, parents, n_parents);
}

static int observe_records(Docker *docker, Observe what, Inventory *inventory, Diag *reterr_diag) {
        uint64_t begin_usec = now_monotonic_usec(), observed_usec = now_boottime_usec();
        int r;

        r = docker_build_cache(docker, what == OBSERVE_ALL ? keep_record : count_record, inventory,
                               &inventory->unreadable_records, reterr_diag);
        if (r < 0)
                return r;
        inventory->build_cache_usec = now_monotonic_usec() - begin_usec;
        return builds_observe(docker, &inventory->engine, inventory->watch, observed_usec,
                              what == OBSERVE_ALL, &inventory->builds);
}

bool failure_is_of_object(int error) {
        return error == -EBADMSG || error == -EREMOTEIO;
}

int inventory_add_failure(UnreadableSet *set, const char *id, int error, const Diag *diag,
                          Diag *reterr_diag) {
        if (!failure_is_of_object(error) || set->n >= FAILURES_MAX) {
                if (reterr_diag)
                        *reterr_diag = *diag;
                return error;
        }
        return unreadable_add(set, id, diag_text(diag, error));
}

int inventory_observe_containers(Docker *docker, ContainerSet *ret, Diag *reterr_diag) {
        cleanup(container_set_done) ContainerSet containers = { 0 };
        int r;

        r = docker_containers(docker, &containers, reterr_diag);
        for (size_t i = 0; i < containers.n && r >= 0; i++) {
                cleanup(container_detail_done) ContainerDetail detail = { 0 };
                Container *container = &containers.v[i];
                Diag diag = DIAG_NULL;

                if (!container_shows_id(container))
                        continue;
                r = docker_container(docker, container->id, &detail, &diag);
                if (r == -ENOENT) { /* gone */
                        r = 0;
                } else if (r < 0) {
                        r = inventory_add_failure(&containers.unreadable, container->id, r, &diag,
                                                  reterr_diag);
                } else {
                        free(container->image);
                        container->image = TAKE_PTR(detail.config_image);
                }
        }
        if (r < 0)
                return r;
        *ret = containers;
        containers = (ContainerSet){ 0 };
        return 0;
}

static bool any_volume(const ContainerSet *containers) {
        for (size_t i = 0; i < containers->n; i++)
                for (size_t k = 0; k < containers->v[i].n_mounts; k++)
                        if (containers->v[i].mounts[k].volume)
                                return true;
        return false;
}

static int resolve_mount(const VolumeSet *volumes, const Index *by_name, Mount *mount) {
        const IndexEntry *entry = mount->volume ? index_find(by_name, mount->volume, NULL) : NULL;
        char *device;

        if (!entry)
                return 0;
        device = strdup(volumes->v[entry->at].device);
        if (!device)
                return -ENOMEM;
        free(mount->source);
        mount->source = device;
        return 0;
}

static int index_volumes(const VolumeSet *volumes, Index *ret) {
        for (size_t i = 0; i < volumes->n; i++)
                if (index_add(ret, volumes->v[i].name, i) < 0)
                        return -ENOMEM;
        index_sort(ret);
        return 0;
}

int inventory_resolve_volumes(Docker *docker, ContainerSet *containers, Diag *reterr_diag) {
        cleanup(volume_set_done) VolumeSet volumes = { 0 };
        cleanup(index_done) Index by_name = { 0 };
        int r;

        if (!any_volume(containers))
                return 0;
        r = docker_volumes(docker, &volumes, reterr_diag);
        if (r >= 0)
                r = index_volumes(&volumes, &by_name);
        for (size_t i = 0; i < containers->n && r >= 0; i++)
                for (size_t k = 0; k < containers->v[i].n_mounts && r >= 0; k++)
                        r = resolve_mount(&volumes, &by_name, &containers->v[i].mounts[k]);
        /* One that can't be read may be any path, of any container. */
        for (size_t i = 0; i < volumes.unreadable.n_named && r >= 0; i++) {
                const Unreadable *volume = &volumes.unreadable.v[i];
                cleanup_free char *object = text_format("volume %s", volume->object);

                r = object ? unreadable_add(&containers->unreadable, object, volume->reason)
                           : -ENOMEM;
        }
        return r;
}

/* The cache of a builder outlives its container there (`docker buildx rm --keep-state`). */
static int observe_builder_volumes(Docker *docker, const Config *config, Inventory *inventory,
                                   Diag *reterr_diag) {
        int r;

        if (config->external_builders_ignore)
                return 0;
        r = docker_builder_volumes(docker, &inventory->builder_volumes,
                                   &inventory->unreadable_volumes, reterr_diag);
        if (r != -EOPNOTSUPP)
                return r;
        inventory->builder_volumes_unknown = true;
        return 0;
}

int inventory_observe(Docker *docker, const Config *config, Observe what, const NamedImages *known,
                      Inventory *ret, Diag *reterr_diag) {
        const EngineInfo *engine;
        int r;

        inventory_reset(ret);
        r = docker_negotiate(docker, &engine, reterr_diag);
        if (r >= 0)
                r = engine_info_copy(engine, &ret->engine);
        if (r < 0)
                return r;
        ret->image_store = ret->engine.image_store;
        ret->observed_sec = now_realtime_sec();
        ret->begin_usec = now_boottime_usec();

        r = observe_records(docker, what, ret, reterr_diag);
        if (r >= 0)
                r = docker_containers(docker, &ret->containers, reterr_diag);
        if (r >= 0)
                r = docker_services(docker, &ret->services, reterr_diag);
        if (r >= 0)
                r = docker_images(docker, &ret->images, reterr_diag);
        if (r >= 0 && what == OBSERVE_ALL)
                r = image_facts_observe(docker, config, ret, reterr_diag);
        if (r >= 0 && what == OBSERVE_ALL)
                r = observe_builder_volumes(docker, config, ret, reterr_diag);
        if (r >= 0)
                r = service_images_resolve(&ret->services, &ret->images);
        if (r >= 0)
                r = docker_image_mounts(docker, &ret->containers, &ret->images, ret->observed_sec,
                                        ret->known_mounts, &ret->image_mounts, reterr_diag);
        if (r >= 0)
                r = classic_builds_observe(docker, config, known, ret, reterr_diag);
        if (r >= 0)
                r = disks_observe(config, &ret->engine, &ret->disks);
        if (r < 0)
                inventory_reset(ret);
        return r;
}
