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
#include <sys/statvfs.h>

#include "base/array.h"
#include "base/io.h"
#include "base/span.h"
#include "docker/name.h"
#include "janitor/inventory.h"
#include "wire/json.h"

#define IMAGE_CONFIG_BYTES_MAX (4U * 1024U * 1024U)

const ImageFacts *fact_set_find(const FactSet *facts, const char *id) {
        for (size_t i = 0; i < facts->n; i++)
                if (strcmp(facts->v[i].id, id) == 0)
                        return &facts->v[i];
        return NULL;
}

void fact_set_done(FactSet *facts) {
        free(facts->v);
        *facts = (FactSet){ 0 };
}

/* Empties all but the facts. */
static void inventory_reset(Inventory *inventory) {
        FactSet facts = inventory->facts;

        record_set_done(&inventory->records);
        image_set_done(&inventory->images);
        container_set_done(&inventory->containers);
        strv_done(&inventory->classic_builds);
        *inventory = INVENTORY_NULL;
        inventory->facts = facts;
}

void inventory_done(Inventory *inventory) {
        inventory_reset(inventory);
        fact_set_done(&inventory->facts);
}

bool inventory_building(const Inventory *inventory) {
        return inventory->n_in_use > 0 || inventory->classic_builds.n > 0;
}

bool image_is_untagged(const Image *image) {
        return image->names.n == 0 && image->digests.n == 0;
}

bool image_is_classic(const Inventory *inventory, const Image *image) {
        const ImageFacts *facts;

        if (image->parent_id[0])
                return true;
        facts = fact_set_find(&inventory->facts, image->id);
        return facts && facts->kind == IMAGE_KIND_CLASSIC;
}

bool image_has_children(const Inventory *inventory, const Image *image) {
        for (size_t i = 0; i < inventory->images.n; i++)
                if (strcmp(inventory->images.v[i].parent_id, image->id) == 0)
                        return true;
        return false;
}

bool name_is_trash(const char *name) {
        size_t n = name_repository_length(name);

        return n == strlen(TRASH_REPOSITORY) && strncmp(name, TRASH_REPOSITORY, n) == 0;
}

bool name_is_rollback(const Config *config, const char *name) {
        const char *tag = name_tag(name);
        size_t n = strlen(config->rollback_tag);

        return tag && strncmp(tag, config->rollback_tag, n) == 0 && tag[n] == '-';
}

bool name_is_ours(const Config *config, const Image *image, const char *name) {
        if (name_is_trash(name) || name_is_rollback(config, name))
                return false;
        if (name_matches_any(&config->match, name))
                return true;
        return config->project && image->project && strcmp(config->project, image->project) == 0;
}

bool name_in_scope(const Config *config, const Image *image, const char *name) {
        return name_is_ours(config, image, name) && !name_matches_any(&config->protect, name) &&
               !name_matches_any(&config->base, name);
}

static int add_record(void *userdata, const BuildRecord *record, const char *const *parents,
                      size_t n_parents) {
        Inventory *inventory = userdata;

        inventory->n_in_use += record->in_use;
        inventory->record_bytes += record->size_bytes;
        return record_set_add(&inventory->records, record, parents, n_parents);
}

/* BuildKit signs the last layer's comment and the engine's own import as well; what is left was
 * made by the classic builder, by commit, or came by load or pull. */
static ImageKind kind_from_comment(const char *comment) {
        if (strncmp(comment, "buildkit.", strlen("buildkit.")) == 0)
                return IMAGE_KIND_BUILDKIT;
        if (strncmp(comment, "Imported from", strlen("Imported from")) == 0)
                return IMAGE_KIND_OTHER;
        return IMAGE_KIND_CLASSIC;
}

/*
 * The graphdriver store keeps each image's configuration in a file of its id's name. A process
 * that may not read below Docker's data root does not know.
 */
static InlineCache read_inline_cache(const EngineInfo *engine, const char *id) {
        cleanup_free char *path = NULL, *text = NULL;
        cleanup(json_free) Json *json = NULL;
        const char *hex = strchr(id, ':');
        size_t n;

        if (engine->image_store == IMAGE_STORE_CONTAINERD || !hex || strchr(hex, '/'))
                return INLINE_CACHE_UNKNOWN;
        if (asprintf(&path, "%s/image/%s/imagedb/content/sha256/%s", engine->root_dir,
                     engine->driver, hex + 1) < 0)
                return INLINE_CACHE_UNKNOWN;
        if (file_read(AT_FDCWD, path, IMAGE_CONFIG_BYTES_MAX, &text, &n) < 0 ||
            json_parse(text, n, &json) < 0)
                return INLINE_CACHE_UNKNOWN;
        return json_get(json, "moby.buildkit.cache.v0") ? INLINE_CACHE_YES : INLINE_CACHE_NO;
}

/* -ENOENT: the image went away meanwhile, which is no failure of the observation. */
static int look_closely(Docker *docker, const EngineInfo *engine, const Image *image,
                        FactSet *facts, Diag *reterr_diag) {
        cleanup(image_detail_done) ImageDetail detail = { 0 };
        ImageFacts *entry;
        int r;

        r = docker_image(docker, image->id, &detail, reterr_diag);
        if (r < 0)
                return r;
        if (array_grow(facts->v, facts->n, facts->size) < 0)
                return -ENOMEM;
        entry = &facts->v[facts->n++];
        *entry = (ImageFacts){
                .kind = kind_from_comment(detail.comment),
                .inline_cache = read_inline_cache(engine, image->id),
        };
        strcpy(entry->id, image->id);
        return 0;
}

static int observe_images(Docker *docker, const EngineInfo *engine, Inventory *inventory,
                          Diag *reterr_diag) {
        int r;

        r = docker_images(docker, &inventory->images, reterr_diag);
        if (r < 0)
                return r;
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];

                /* One with a parent is the classic builder's: no more need be known. */
                if (image->parent_id[0] || fact_set_find(&inventory->facts, image->id))
                        continue;
                r = look_closely(docker, engine, image, &inventory->facts, reterr_diag);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        return 0;
}

/*
 * A RUN step of the classic builder is a container made from an image's id and without a log; one
 * that a person or compose made keeps the name it was made from in its configuration, even when
 * the name has moved on and the list shows an id. A step that ended well is about to be committed;
 * one that failed is left over.
 */
static bool is_classic_step(const ContainerDetail *detail) {
        return strncmp(detail->config_image, "sha256:", strlen("sha256:")) == 0 &&
               strcmp(detail->log_driver, "none") == 0;
}

static int observe_classic_container(Docker *docker, Container *container, Inventory *inventory,
                                     Strv *failed_ids, Diag *reterr_diag) {
        cleanup(container_detail_done) ContainerDetail detail = { 0 };
        char text[160];
        int r;

        if (strncmp(container->image, "sha256:", strlen("sha256:")) != 0)
                return 0;
        r = docker_container(docker, container->id, &detail, reterr_diag);
        if (r == -ENOENT) /* gone since the list, as a step that was committed is: look again */
                return strv_add(&inventory->classic_builds, "a container of a build just ended");
        if (r < 0)
                return r;
        if (!is_classic_step(&detail)) {
                free(container->image);
                container->image = TAKE_PTR(detail.config_image);
                return 0;
        }
        if (strcmp(detail.status, "exited") == 0 &&
            (detail.exit_code != 0 ||
             inventory->observed_sec - detail.finished_sec > CLASSIC_COMMIT_SEC))
                return strv_add(failed_ids, container->image_id);
        snprintf(text, sizeof(text), "container %.12s (%.64s) runs a step of a classic build",
                 container->id, container->name);
        return strv_add(&inventory->classic_builds, text);
}

static int observe_classic_builds(Docker *docker, const NamedImages *known, Inventory *inventory,
                                  Diag *reterr_diag) {
        /* Not when the look began: a step may have been committed since. */
        int64_t now_sec = (int64_t)(now_realtime_usec() / USEC_PER_SEC);
        cleanup(strv_done) Strv failed_ids = STRV_NULL;
        char text[160];
        int r;

        for (size_t i = 0; i < inventory->containers.n; i++) {
                r = observe_classic_container(docker, &inventory->containers.v[i], inventory,
                                              &failed_ids, reterr_diag);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];
                int64_t age_sec = now_sec - image->created_sec;

                if (!image_is_untagged(image) || !image_is_classic(inventory, image) ||
                    age_sec < 0 || age_sec > CLASSIC_QUIET_SEC ||
                    strv_contains(&failed_ids, image->id) ||
                    named_images_contain_id(known, image->id) ||
                    image_has_children(inventory, image))
                        continue;
                snprintf(text, sizeof(text), "image %.19s of a classic build is %llds old",
                         image->id, (long long)age_sec);
                r = strv_add(&inventory->classic_builds, text);
                if (r < 0)
                        return r;
        }
        return 0;
}

int inventory_observe(Docker *docker, const NamedImages *known, Inventory *ret, Diag *reterr_diag) {
        cleanup(engine_info_done) EngineInfo info = { 0 };
        const EngineInfo *engine;
        int r;

        inventory_reset(ret);
        r = docker_negotiate(docker, &engine, reterr_diag);
        if (r < 0)
                return r;
        r = engine_info_copy(engine, &info);
        if (r < 0)
                return r;
        ret->image_store = info.image_store;
        ret->observed_sec = (int64_t)(now_realtime_usec() / USEC_PER_SEC);

        r = docker_build_cache(docker, add_record, ret, reterr_diag);
        if (r >= 0)
                r = docker_containers(docker, &ret->containers, reterr_diag);
        if (r >= 0)
                r = observe_images(docker, &info, ret, reterr_diag);
        if (r >= 0)
                r = observe_classic_builds(docker, known, ret, reterr_diag);
        if (r < 0)
                inventory_reset(ret);
        return r;
}

void summary_done(Summary *summary) {
        engine_info_done(&summary->engine);
        *summary = (Summary){ 0 };
}

static int count_record(void *userdata, const BuildRecord *record, const char *const *parents,
                        size_t n_parents) {
        Summary *summary = userdata;

        (void)parents;
        (void)n_parents;
        summary->records++;
        summary->records_in_use += record->in_use;
        summary->record_bytes += record->size_bytes;
        if (record->shared)
                summary->record_shared_bytes += record->size_bytes;
        return 0;
}

static void count_image(const Config *config, const Image *image, Summary *summary) {
        bool ours = false;

        /* An untagged parent is a step of an image, not an image of its own. */
        for (size_t i = 0; i < image->names.n; i++) {
                ours = ours || name_is_ours(config, image, image->names.v[i]);
                summary->rollback_tags += name_is_rollback(config, image->names.v[i]);
        }
        summary->images++;
        summary->images_matching += ours;
        summary->images_untagged += image->names.n == 0 && image->digests.n == 0;
}

static int disk_usage(const char *path, uint64_t *ret_total_bytes, uint64_t *ret_free_bytes) {
        struct statvfs fs;

        if (statvfs(path, &fs) < 0)
                return -errno;
        *ret_total_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
        *ret_free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
        return 0;
}

int summary_observe(Docker *docker, const Config *config, Summary *ret, Diag *reterr_diag) {
        cleanup(summary_done) Summary summary = { 0 };
        cleanup(image_set_done) ImageSet images = { 0 };
        const EngineInfo *engine;
        uint64_t begin_usec;
        int r;

        r = docker_negotiate(docker, &engine, reterr_diag);
        if (r < 0)
                return r;
        r = engine_info_copy(engine, &summary.engine);
        if (r < 0)
                return r;
        r = docker_images(docker, &images, reterr_diag);
        if (r < 0)
                return r;
        for (size_t i = 0; i < images.n; i++)
                count_image(config, &images.v[i], &summary);

        begin_usec = now_boottime_usec();
        r = docker_build_cache(docker, count_record, &summary, reterr_diag);
        if (r < 0)
                return r;
        summary.build_cache_usec = now_boottime_usec() - begin_usec;

        /* A data root that can't be seen from here leaves the figures at 0, "not known". */
        if (disk_usage(summary.engine.root_dir, &summary.disk_total_bytes,
                       &summary.disk_free_bytes) < 0)
                summary.disk_total_bytes = summary.disk_free_bytes = 0;
        summary.observed_sec = (int64_t)(now_realtime_usec() / USEC_PER_SEC);
        *ret = summary;
        summary = (Summary){ 0 };
        return 0;
}
