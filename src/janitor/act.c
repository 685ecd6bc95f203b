/* SPDX-License-Identifier: MIT */

/*
 * The engine has no "delete if still": between the re-check and the call a name may move to
 * another image. For untagged images the trash tag closes that gap. For names it stays open for
 * the length of one batch of calls; what could slip in is a tag of the very same name, which a clear is
 * there to take away. One list before each batch tells what its names are now: to inspect each image
 * takes as long as a quarter of its removal, on the containerd store.
 */

#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "base/text.h"
#include "docker/name.h"
#include "docker/parallel.h"
#include "janitor/act.h"

/* How many objects are looked at together, right before they go one by one. */
#define BATCH_MAX 32
/* Builds may make records as fast as these rounds delete them; the next pass goes on. */
#define PRUNE_ROUNDS_MAX 16

/* Refused or gone: the next observation tells which. */
static bool is_refusal(int error) {
        return error == -EBUSY || error == -ENOENT;
}

/* "repo:tag" cut in two; `repository` is the caller's to free. */
static int split_name(const char *name, char **ret_repository, const char **ret_tag) {
        const char *tag = name_tag(name);

        if (!tag)
                return -EINVAL;
        *ret_repository = strndup(name, name_repository_length(name));
        *ret_tag = tag;
        return *ret_repository ? 0 : -ENOMEM;
}

static int untag(Docker *docker, const char *name, size_t *ret_deleted, Diag *reterr_diag) {
        int r;

        r = docker_untag(docker, name, ret_deleted, reterr_diag);
        if (r < 0)
                return is_refusal(r) ? 0 : r;
        return 1;
}

int act_take_name(Docker *docker, const char *name, const char *id, bool *ret_sent,
                  Diag *reterr_diag) {
        cleanup(image_detail_done) ImageDetail now = { 0 };
        size_t deleted;
        int r;

        *ret_sent = false;
        r = docker_image(docker, name, &now, reterr_diag);
        if (r < 0)
                return is_refusal(r) ? 0 : r;
        if (strcmp(now.id, id) != 0)
                return 0; /* another image's by now */
        *ret_sent = true;
        return untag(docker, name, &deleted, reterr_diag);
}

int act_take_seen_name(Docker *docker, const char *name, Diag *reterr_diag) {
        size_t deleted;

        return untag(docker, name, &deleted, reterr_diag);
}

/*
 * A container made from an id since the pass began may be a step of a classic build, which stands on
 * untagged images.
 */
static bool classic_build_began(const ContainerSet *containers, int64_t since_sec) {
        int64_t now_sec = now_realtime_sec();

        for (size_t i = 0; i < containers->n; i++) {
                const Container *container = &containers->v[i];

                /* One from the future was made while the clock was ahead. */
                if (strncmp(container->image, "sha256:", strlen("sha256:")) == 0 &&
                    container->created_sec >= since_sec && container->created_sec <= now_sec + 1)
                        return true;
        }
        return false;
}

/* 1 if nothing speaks against removing this image, 0 if it is to be left. Once the trash tag is on an
 * image that a container holds it can't be taken off again, so containers are looked at first. */
static int may_trash(Docker *docker, const char *id, int64_t since_sec, Diag *reterr_diag) {
        cleanup(container_set_done) ContainerSet containers = { 0 };
        cleanup(image_detail_done) ImageDetail now = { 0 };
        int r;

        r = docker_containers(docker, &containers, reterr_diag);
        if (r < 0)
                return r;
        if (classic_build_began(&containers, since_sec))
                return -EAGAIN;
        if (container_set_holder(&containers, id))
                return 0;
        r = docker_image(docker, id, &now, reterr_diag);
        if (r < 0)
                return is_refusal(r) ? 0 : r;
        return now.names.n == 0;
}

/* Removes an untagged image by a trash tag; results as of act_take_untagged(). */
static int trash(Docker *docker, const char *id, const char *digest, size_t *ret_deleted,
                 Diag *reterr_diag) {
        cleanup_free char *repository = NULL, *tag = NULL, *name = NULL;
        const char *hex = strchr(id, ':');
        int r;

        hex = hex ? hex + 1 : id;
        if (digest)
                r = asprintf(&tag, TRASH_REPOSITORY "-%.12s", hex);
        else
                r = asprintf(&tag, "%s", hex);
        if (r < 0)
                return -ENOMEM;
        repository = digest ? strndup(digest, strcspn(digest, "@")) : strdup(TRASH_REPOSITORY);
        if (!repository || asprintf(&name, "%s:%s", repository, tag) < 0)
                return -ENOMEM;
        r = docker_tag(docker, id, repository, tag, reterr_diag);
        if (r < 0)
                return is_refusal(r) ? 0 : r;
        return untag(docker, name, ret_deleted, reterr_diag);
}

int act_take_untagged(Docker *docker, const char *id, const char *digest, int64_t since_sec,
                      size_t *ret_deleted, Diag *reterr_diag) {
        int r;

        r = may_trash(docker, id, since_sec, reterr_diag);
        return r <= 0 ? r : trash(docker, id, digest, ret_deleted, reterr_diag);
}

/* The images of a plan */

/* What the parts of act_images() share. */
typedef struct Act {
        Docker *docker;
        const ClearPlan *plan;
        const Reporter *reporter;
        Receipt *receipt;
        int64_t since_sec;
        bool parallel;      /* the engine's image store gains by it */
        Index planned_tags; /* plan->rollback_tags by image id */
        Index earlier;      /* names in the receipt before this round */
} Act;

static void act_donep(Act *act) {
        index_done(&act->planned_tags);
        index_done(&act->earlier);
}

static void report(const Act *act, const char *message) {
        act->reporter->progress(act->reporter->userdata, "images", message, act->receipt->passes,
                                act->receipt->removed[REMOVED_RECORDS].engine_bytes);
}

/* What is done with the names of one batch; one element each. */
typedef struct Batch {
        const Act *act;
        const NamedImage *v[BATCH_MAX];
        int results[BATCH_MAX];    /* 1: the engine did it, 0: it refused */
        size_t deleted[BATCH_MAX]; /* images, by the engine's word */
        size_t n;
} Batch;

static int untag_one(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        Batch *batch = userdata;

        batch->results[i] = untag(docker, batch->v[i]->name, &batch->deleted[i], reterr_diag);
        return batch->results[i];
}

static int tag_one(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        Batch *batch = userdata;
        cleanup_free char *repository = NULL;
        const char *suffix;
        int r;

        r = split_name(batch->v[i]->name, &repository, &suffix);
        if (r >= 0)
                r = docker_tag(docker, batch->v[i]->id, repository, suffix, reterr_diag);
        batch->results[i] = r >= 0;
        return is_refusal(r) ? 0 : r;
}

static int run_batch(const Act *act, Batch *batch, DockerTask task, Diag *reterr_diag) {
        int r = 0;

        if (act->parallel)
                return docker_parallel(act->docker, batch->n, task, batch, reterr_diag);
        for (size_t i = 0; i < batch->n && r >= 0; i++)
                r = task(act->docker, i, batch, reterr_diag);
        return MIN(r, 0);
}

/* Asks the engine who bears the names of a batch now, and the rollback tags planned for their images. */
static int look_up(const Act *act, const NamedImage *v, size_t n, ImageSet *ret,
                   Diag *reterr_diag) {
        const char *names[2 * BATCH_MAX];
        size_t n_names = 0;

        for (size_t i = 0; i < n; i++) {
                const IndexEntry *tag = index_find(&act->planned_tags, v[i].id, NULL);

                names[n_names++] = v[i].name;
                if (tag)
                        names[n_names++] = act->plan->rollback_tags.v[tag->at].name;
        }
        return docker_images_named(act->docker, names, n_names, ret, reterr_diag);
}

static bool bears(const ImageSet *images, const char *name, const char *id) {
        const Image *bearer = image_set_find_name(images, name);

        return bearer && strcmp(bearer->id, id) == 0;
}

/* Whether the rollback tag that an image was to get first is on it. */
static bool has_planned_tag(const Act *act, const ImageSet *images, const char *id) {
        const IndexEntry *tag = index_find(&act->planned_tags, id, NULL);

        return !tag || bears(images, act->plan->rollback_tags.v[tag->at].name, id);
}

/* A name that somebody took meanwhile is never overwritten. */
static int make_tags(Act *act, const NamedImage *v, size_t n, Diag *reterr_diag) {
        cleanup(image_set_done) ImageSet now = { 0 };
        Batch batch = { .act = act };
        int r, k = 0;

        r = look_up(act, v, n, &now, reterr_diag);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (!image_set_find_name(&now, v[i].name))
                        batch.v[batch.n++] = &v[i];
        r = run_batch(act, &batch, tag_one, reterr_diag);
        for (size_t i = 0; i < batch.n && k >= 0; i++)
                if (batch.results[i] > 0)
                        k = named_images_add(&act->receipt->rollback_tags, batch.v[i]->name,
                                             batch.v[i]->id);
        return r < 0 ? r : k;
}

/* Each name is in the receipt before the engine is asked, so that nothing that fails afterwards loses
 * it. Once the engine was asked it stays: the answer may have been lost on its way. The last look of
 * the clear tells which names are still there. */
static int note_name(Act *act, const NamedImage *name) {
        NamedImages *names = &act->receipt->names;
        NamedImage *entry = named_images_find_pair(names, &act->earlier, name->name, name->id);

        if (!entry) {
                if (named_images_add(names, name->name, name->id) < 0)
                        return -ENOMEM;
                entry = &names->v[names->n - 1];
        }
        entry->deleted |= name->deleted;
        return 0;
}

static int announce(const Act *act, const NamedImage *name) {
        cleanup_free char *message = NULL;

        if (name->deleted)
                message = text_format("delete %s (cannot be rolled back)", name->name);
        else
                message = text_format("Removing image name %s", name->name);
        if (!message)
                return -ENOMEM;
        report(act, message);
        return 0;
}

static int take_names(Act *act, const NamedImage *v, size_t n, Diag *reterr_diag) {
        cleanup(image_set_done) ImageSet now = { 0 };
        Batch batch = { .act = act };
        int r;

        r = look_up(act, v, n, &now, reterr_diag);
        for (size_t i = 0; i < n && r >= 0; i++) {
                if (!bears(&now, v[i].name, v[i].id) || !has_planned_tag(act, &now, v[i].id))
                        continue; /* the next observation tells what it is now */
                r = note_name(act, &v[i]);
                if (r >= 0)
                        r = announce(act, &v[i]);
                batch.v[batch.n++] = &v[i];
        }
        if (r >= 0)
                r = run_batch(act, &batch, untag_one, reterr_diag);
        for (size_t i = 0; i < batch.n; i++)
                act->receipt->removed[REMOVED_NAMES].objects += batch.results[i] > 0;
        return r;
}

/* Rollback tags of earlier clears, which go once all new ones are there. */
static int replace_tags(Act *act, const NamedImage *v, size_t n, Diag *reterr_diag) {
        cleanup(image_set_done) ImageSet now = { 0 };
        Batch batch = { .act = act };
        int r, k = 0;

        r = look_up(act, v, n, &now, reterr_diag);
        for (size_t i = 0; i < n && r >= 0; i++) {
                if (!bears(&now, v[i].name, v[i].id))
                        continue;
                r = announce(act, &v[i]);
                batch.v[batch.n++] = &v[i];
        }
        if (r >= 0)
                r = run_batch(act, &batch, untag_one, reterr_diag);
        for (size_t i = 0; i < batch.n && k >= 0; i++) {
                act->receipt->removed[REMOVED_UNTAGGED].objects += batch.deleted[i];
                if (batch.results[i] > 0)
                        k = named_images_add(&act->receipt->replaced_tags, batch.v[i]->name,
                                             batch.v[i]->id);
        }
        return r < 0 ? r : k;
}

typedef int (*ActOnNames)(Act *act, const NamedImage *v, size_t n, Diag *reterr_diag);

static int in_batches(Act *act, const NamedImages *names, ActOnNames function, Diag *reterr_diag) {
        int r = 0;

        for (size_t i = 0; i < names->n && r >= 0; i += BATCH_MAX)
                r = function(act, &names->v[i], MIN(names->n - i, (size_t)BATCH_MAX), reterr_diag);
        return r;
}

static int take_trash(Act *act, Diag *reterr_diag) {
        for (size_t i = 0; i < act->plan->trash.n; i++) {
                size_t deleted = 0;
                int r;

                r = untag(act->docker, act->plan->trash.v[i], &deleted, reterr_diag);
                if (r < 0)
                        return r;
                act->receipt->removed[REMOVED_UNTAGGED].objects += deleted;
        }
        return 0;
}

static int take_untagged(Act *act, char *const *ids, size_t n, Diag *reterr_diag) {
        cleanup(container_set_done) ContainerSet containers = { 0 };
        cleanup(image_set_done) ImageSet now = { 0 };
        int r;

        r = docker_images_untagged(act->docker, &now, reterr_diag);
        if (r >= 0)
                r = docker_containers(act->docker, &containers, reterr_diag);
        if (r >= 0 && classic_build_began(&containers, act->since_sec))
                r = -EAGAIN;
        for (size_t i = 0; i < n && r >= 0; i++) {
                const Image *image = image_set_find(&now, ids[i]);
                size_t deleted = 0;

                if (!image || !image_is_untagged(image) ||
                    container_set_holder(&containers, ids[i]))
                        continue;
                r = trash(act->docker, ids[i], NULL, &deleted, reterr_diag);
                if (r >= 0)
                        act->receipt->removed[REMOVED_UNTAGGED].objects += deleted;
        }
        return r;
}

static int take_all_untagged(Act *act, Diag *reterr_diag) {
        const Strv *untagged = &act->plan->untagged;
        int r = 0;

        if (untagged->n > 0)
                report(act, "Removing untagged images");
        for (size_t i = 0; i < untagged->n && r >= 0; i += BATCH_MAX)
                r = take_untagged(act, &untagged->v[i], MIN(untagged->n - i, (size_t)BATCH_MAX),
                                  reterr_diag);
        return r == -EAGAIN ? 0 : MIN(r, 0);
}

static int prepare(Act *act) {
        const NamedImages *tags = &act->plan->rollback_tags;

        for (size_t i = 0; i < tags->n; i++)
                if (index_add(&act->planned_tags, tags->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&act->planned_tags);
        return named_images_index(&act->receipt->names, &act->earlier);
}

int act_images(Docker *docker, const ClearPlan *plan, const Reporter *reporter, Receipt *receipt,
               Diag *reterr_diag) {
        cleanup(act_done) Act act = {
                .docker = docker,
                .plan = plan,
                .reporter = reporter,
                .receipt = receipt,
                .since_sec = now_realtime_sec() - 1,
        };
        size_t n_tags = receipt->rollback_tags.n;
        const EngineInfo *engine;
        int r;

        r = docker_negotiate(docker, &engine, reterr_diag);
        if (r < 0)
                return r;
        act.parallel = engine->image_store == IMAGE_STORE_CONTAINERD;
        r = prepare(&act);
        if (r >= 0)
                r = in_batches(&act, &plan->rollback_tags, make_tags, reterr_diag);
        if (r >= 0)
                r = in_batches(&act, &plan->names, take_names, reterr_diag);
        if (r >= 0 && receipt->rollback_tags.n - n_tags == plan->rollback_tags.n)
                r = in_batches(&act, &plan->replaced_tags, replace_tags, reterr_diag);
        if (r >= 0)
                r = take_trash(&act, reterr_diag);
        return r < 0 ? r : take_all_untagged(&act, reterr_diag);
}

/* With a type filter the engine deletes leaves of that type alone, so types are taken in turn
 * until a round deletes nothing. */
static int prune_but_mounts(Docker *docker, Receipt *receipt, Diag *reterr_diag) {
        size_t n_round, n_rounds = 0;

        do {
                n_round = 0;
                for (RecordType type = 0; type < RECORD_OTHER; type++) {
                        uint64_t bytes;
                        size_t n;
                        int r;

                        if (type == RECORD_CACHE_MOUNT)
                                continue;
                        r = docker_prune_build_cache(docker, record_type_to_string(type), &n,
                                                     &bytes, reterr_diag);
                        if (r < 0)
                                return r;
                        n_round += n;
                        receipt->removed[REMOVED_RECORDS].objects += n;
                        receipt->removed[REMOVED_RECORDS].engine_bytes += bytes;
                }
        } while (n_round > 0 && ++n_rounds < PRUNE_ROUNDS_MAX);
        return 0;
}

int act_builder(Docker *docker, const ClearOptions *options, Receipt *receipt, Diag *reterr_diag) {
        uint64_t bytes;
        size_t n;
        int r;

        if (options->keep_mounts)
                return prune_but_mounts(docker, receipt, reterr_diag);
        r = docker_prune_build_cache(docker, NULL, &n, &bytes, reterr_diag);
        if (r < 0)
                return r;
        receipt->removed[REMOVED_RECORDS].objects += n;
        receipt->removed[REMOVED_RECORDS].engine_bytes += bytes;
        return 0;
}
