/* SPDX-License-Identifier: MIT */

/*
 * The engine has no "delete if still": between the re-check and the call a name may move to
 * another image. For untagged images the trash tag closes that gap. For names it stays open for
 * the length of one call; what could slip in is a tag of the very same name, which a clear is there
 * to take away.
 */

#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "docker/name.h"
#include "janitor/act.h"

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

static int act_rollback_tag(Docker *docker, const NamedImage *tag, Receipt *receipt,
                            Diag *reterr_diag) {
        cleanup(image_detail_done) ImageDetail bearer = { 0 };
        cleanup_free char *repository = NULL;
        const char *suffix;
        int r;

        r = docker_image(docker, tag->name, &bearer, reterr_diag);
        if (r >= 0)
                return 0; /* somebody took the name meanwhile: never overwritten */
        if (r != -ENOENT)
                return r;
        r = split_name(tag->name, &repository, &suffix);
        if (r < 0)
                return r;
        r = docker_tag(docker, tag->id, repository, suffix, reterr_diag);
        if (r < 0)
                return is_refusal(r) ? 0 : r;
        return named_images_add(&receipt->rollback_tags, tag->name, tag->id);
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

/* The name is in the receipt before the engine is asked, so that nothing that fails afterwards loses
 * it. Once the engine was asked it stays: the answer may have been lost on its way. The last look of
 * the clear tells which names are still there. `earlier`: the index of the names that were in the
 * receipt before this round. */
static int act_name(Docker *docker, const NamedImage *name, const Index *earlier, Receipt *receipt,
                    Diag *reterr_diag) {
        NamedImages *names = &receipt->names;
        NamedImage *entry = named_images_find_pair(names, earlier, name->name, name->id);
        bool added = !entry, sent;
        int r;

        if (added) {
                r = named_images_add(names, name->name, name->id);
                if (r < 0)
                        return r;
                entry = &names->v[names->n - 1];
        }
        entry->deleted |= name->deleted;
        r = act_take_name(docker, name->name, name->id, &sent, reterr_diag);
        if (added && !sent)
                free(names->v[--names->n].name);
        receipt->removed[REMOVED_NAMES].objects += r > 0;
        return MIN(r, 0);
}

/*
 * 1 if nothing speaks against removing this image, 0 if it is to be left. Once the trash tag is on
 * an image that a container holds it can't be taken off again, so containers are looked at first.
 * A container made from an id since the pass began may be a step of a classic build, which stands
 * on untagged images: -EAGAIN then, to look at everything anew.
 */
static int may_trash(Docker *docker, const char *id, int64_t since_sec, Diag *reterr_diag) {
        cleanup(container_set_done) ContainerSet containers = { 0 };
        cleanup(image_detail_done) ImageDetail now = { 0 };
        int64_t now_sec;
        int r;

        r = docker_containers(docker, &containers, reterr_diag);
        if (r < 0)
                return r;
        if (containers.unreadable.n > 0)
                return 0; /* it may hold this image */
        now_sec = now_realtime_sec();
        for (size_t i = 0; i < containers.n; i++) {
                const Container *container = &containers.v[i];

                if (strcmp(container->image_id, id) == 0)
                        return 0;
                /* One from the future was made while the clock was ahead. */
                if (strncmp(container->image, "sha256:", strlen("sha256:")) == 0 &&
                    container->created_sec >= since_sec && container->created_sec <= now_sec + 1)
                        return -EAGAIN;
        }
        r = docker_image(docker, id, &now, reterr_diag);
        if (r < 0)
                return is_refusal(r) ? 0 : r;
        return now.names.n == 0;
}

int act_take_untagged(Docker *docker, const char *id, const char *digest, int64_t since_sec,
                      size_t *ret_deleted, Diag *reterr_diag) {
        cleanup_free char *repository = NULL, *tag = NULL, *name = NULL;
        const char *hex = strchr(id, ':');
        int r;

        hex = hex ? hex + 1 : id;
        r = may_trash(docker, id, since_sec, reterr_diag);
        if (r <= 0)
                return r;
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

int act_images(Docker *docker, const ClearPlan *plan, const Reporter *reporter, Receipt *receipt,
               Diag *reterr_diag) {
        int64_t since_sec = now_realtime_sec() - 1;
        cleanup(index_done) Index earlier = { 0 };
        size_t deleted;
        int r;

        r = named_images_index(&receipt->names, &earlier);
        for (size_t i = 0; i < plan->rollback_tags.n && r >= 0; i++)
                r = act_rollback_tag(docker, &plan->rollback_tags.v[i], receipt, reterr_diag);
        for (size_t i = 0; i < plan->names.n && r >= 0; i++) {
                cleanup_free char *message = NULL;

                if (asprintf(&message, "Removing image name %s", plan->names.v[i].name) < 0)
                        return -ENOMEM;
                reporter->progress(reporter->userdata, "images", message, receipt->passes,
                                   receipt->removed[REMOVED_RECORDS].engine_bytes);
                r = act_name(docker, &plan->names.v[i], &earlier, receipt, reterr_diag);
        }
        for (size_t i = 0; i < plan->trash.n && r >= 0; i++) {
                r = untag(docker, plan->trash.v[i], &deleted, reterr_diag);
                if (r > 0)
                        receipt->removed[REMOVED_UNTAGGED].objects += deleted;
        }
        if (r >= 0 && plan->untagged.n > 0)
                reporter->progress(reporter->userdata, "images", "Removing untagged images",
                                   receipt->passes, receipt->removed[REMOVED_RECORDS].engine_bytes);
        for (size_t i = 0; i < plan->untagged.n && r >= 0; i++) {
                r = act_take_untagged(docker, plan->untagged.v[i], NULL, since_sec, &deleted,
                                      reterr_diag);
                if (r > 0)
                        receipt->removed[REMOVED_UNTAGGED].objects += deleted;
        }
        return r == -EAGAIN ? 0 : MIN(r, 0);
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
