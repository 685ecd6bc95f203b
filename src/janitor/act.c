/* SPDX-License-Identifier: MIT */

/*
 * The engine has no "delete if still": between the re-check and the call a name may move to
 * another image. For untagged images the trash tag closes that gap. For names it stays open for
 * the length of one slice of a list; what could slip in is a tag of the very same name, which a clear is
 * there to take away. The engine's events tell that no name moved since the plan was made; where they
 * can't, one list tells what all names of a slice are now. To inspect each image before its removal would
 * double the calls, and on the containerd store even the list costs as much as a removal.
 */

#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "base/text.h"
#include "docker/name.h"
#include "docker/parallel.h"
#include "janitor/act.h"

/* How many objects are looked at together, right before they go one by one; and how many where several
 * such slices are done at once. */
#define SLICE_MAX 32
#define PARALLEL_SLICE 8
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
        if (containers.unreadable.n > 0)
                return 0; /* it may hold this image */
        if (classic_build_began(&containers, since_sec))
                return -EAGAIN;
        if (container_set_holder(&containers, id) || containers_mount_id(&containers, id))
                return 0;
        r = docker_image(docker, id, &now, reterr_diag);
        if (r < 0)
                return is_refusal(r) || failure_is_of_object(r) ? 0 : r;
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
        const NameEvents *events;
        const Reporter *reporter;
        Receipt *receipt;
        int64_t since_sec;
        bool parallel; /* the engine's image store gains by it */
        size_t *tags; /* of each name that the plan takes: the rollback tag that has to be there first */
} Act;

#define NO_TAG SIZE_MAX

static void act_donep(Act *act) {
        free(act->tags);
}

static void report(const Act *act, const char *message) {
        act->reporter->progress(act->reporter->userdata, "images", message, act->receipt->passes,
                                act->receipt->removed[REMOVED_RECORDS].engine_bytes);
}

/* What became of a name. */
typedef enum NameOutcome {
        NAME_SKIPPED, /* it is not what the plan knew, so the engine was not asked */
        NAME_ASKED,   /* the engine refused, or what it did is not known */
        NAME_DONE,
} NameOutcome;

/* One thing that is done with each name of a list. */
typedef struct Task Task;
struct Task {
        const Act *act;
        const NamedImages *names;
        const size_t *tags; /* as act->tags, or NULL: none has to be there */
        bool (*may)(const Task *task, const ImageSet *now, size_t i);
        /* 1: done, 0: refused */
        int (*call)(Docker *docker, const NamedImage *name, size_t *ret_deleted, Diag *reterr_diag);
        bool announced;
        size_t n_slice;
        NameOutcome *outcomes; /* one a name */
        size_t *deleted;       /* one a name: images, by the engine's word */
};

static void task_donep(Task *task) {
        free(task->outcomes);
        free(task->deleted);
}

static int tag_image(Docker *docker, const NamedImage *name, size_t *ret_deleted,
                     Diag *reterr_diag) {
        cleanup_free char *repository = NULL;
        const char *suffix;
        int r;

        *ret_deleted = 0;
        r = split_name(name->name, &repository, &suffix);
        if (r >= 0)
                r = docker_tag(docker, name->id, repository, suffix, reterr_diag);
        if (r < 0)
                return is_refusal(r) ? 0 : r;
        return 1;
}

static int untag_image(Docker *docker, const NamedImage *name, size_t *ret_deleted,
                       Diag *reterr_diag) {
        return untag(docker, name->name, ret_deleted, reterr_diag);
}

static bool bears(const ImageSet *images, const char *name, const char *id) {
        const Image *bearer = image_set_find_name(images, name);

        return bearer && strcmp(bearer->id, id) == 0;
}

/* A name that somebody took meanwhile is never overwritten. */
static bool is_free(const Task *task, const ImageSet *now, size_t i) {
        return !image_set_find_name(now, task->names->v[i].name);
}

/* The rollback tag that has to be on the image before it loses this name, or NULL. */
static const NamedImage *tag_of(const Task *task, size_t i) {
        if (!task->tags || task->tags[i] == NO_TAG)
                return NULL;
        return &task->act->plan->rollback_tags.v[task->tags[i]];
}

/* The name is still this image's, and the rollback tag that the image was to get first is on it. */
static bool may_take(const Task *task, const ImageSet *now, size_t i) {
        const NamedImage *name = &task->names->v[i], *tag = tag_of(task, i);

        return bears(now, name->name, name->id) && (!tag || bears(now, tag->name, name->id));
}

/* Asks the engine who bears these names now, and the rollback tags planned for their images. */
static int look_up(Docker *docker, const Task *task, size_t begin, size_t n, ImageSet *ret,
                   Diag *reterr_diag) {
        const char *names[2 * SLICE_MAX] = { NULL };
        size_t n_names = 0;

        for (size_t i = begin; i < begin + n; i++) {
                const NamedImage *tag = tag_of(task, i);

                names[n_names++] = task->names->v[i].name;
                if (tag)
                        names[n_names++] = tag->name;
        }
        return docker_images_named(docker, names, n_names, ret, reterr_diag);
}

/* Whether what the plan knew of these names still holds: no image got a name since. A rollback tag that
 * has to be there first is younger than the plan. */
static bool none_moved(const Task *task, Docker *docker, size_t begin, size_t n) {
        const NameEvents *events = task->act->events;

        if (task->may != may_take)
                return false;
        for (size_t i = begin; i < begin + n; i++)
                if (tag_of(task, i))
                        return false;
        return tag_events_none_now(events->tag_events, docker, events->docker_socket,
                                   events->since_usec);
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

/* The names of one slice, looked up together right before they go one by one. */
static int do_slice(Docker *docker, size_t slice, void *userdata, Diag *reterr_diag) {
        Task *task = userdata;
        const size_t begin = slice * task->n_slice;
        const size_t n = MIN(task->names->n - begin, task->n_slice);
        const bool as_planned = none_moved(task, docker, begin, n);
        cleanup(image_set_done) ImageSet now = { 0 };
        int r = 0;

        if (!as_planned)
                r = look_up(docker, task, begin, n, &now, reterr_diag);
        for (size_t i = begin; i < begin + n && r >= 0; i++) {
                const NamedImage *name = &task->names->v[i];

                if (!as_planned && !task->may(task, &now, i))
                        continue; /* the next observation tells what it is now */
                if (task->announced && announce(task->act, name) < 0)
                        return -ENOMEM;
                task->outcomes[i] = NAME_ASKED;
                r = task->call(docker, name, &task->deleted[i], reterr_diag);
                if (r > 0)
                        task->outcomes[i] = NAME_DONE;
        }
        return MIN(r, 0);
}

static int prepare_task(Task *task) {
        task->outcomes = calloc(task->names->n + 1, sizeof(*task->outcomes));
        task->deleted = calloc(task->names->n + 1, sizeof(*task->deleted));
        return task->outcomes && task->deleted ? 0 : -ENOMEM;
}

static int run_task(Task *task, Diag *reterr_diag) {
        const size_t n = task->names->n;
        size_t n_slices;
        int r = 0;

        task->n_slice = task->act->parallel ? PARALLEL_SLICE : SLICE_MAX;
        n_slices = (n + task->n_slice - 1) / task->n_slice;
        if (task->act->parallel && n_slices > 1)
                return docker_parallel(task->act->docker, n_slices, do_slice, task, reterr_diag);
        for (size_t i = 0; i < n_slices && r >= 0; i++)
                r = do_slice(task->act->docker, i, task, reterr_diag);
        return r;
}

/* Adds the names that the engine dealt with as wanted. */
static int collect(const Task *task, NamedImages *ret) {
        int r = 0;

        for (size_t i = 0; i < task->names->n && r >= 0; i++)
                if (task->outcomes[i] == NAME_DONE)
                        r = named_images_add(ret, task->names->v[i].name, task->names->v[i].id);
        return r;
}

static int make_tags(Act *act, Diag *reterr_diag) {
        cleanup(task_done) Task task = {
                .act = act,
                .names = &act->plan->rollback_tags,
                .may = is_free,
                .call = tag_image,
        };
        int r, k;

        r = prepare_task(&task);
        if (r < 0)
                return r;
        r = run_task(&task, reterr_diag);
        k = collect(&task, &act->receipt->rollback_tags);
        return r < 0 ? r : k;
}

/* `earlier`: the names that a list of the receipt had before this round. `*ret_added`: where the name is,
 * if it was not there before. */
static int note_name(const NamedImage *name, const Index *earlier, NamedImages *names,
                     size_t *ret_added) {
        NamedImage *entry = named_images_find_pair(names, earlier, name->name, name->id);

        *ret_added = SIZE_MAX;
        if (!entry) {
                if (named_images_add(names, name->name, name->id) < 0)
                        return -ENOMEM;
                *ret_added = names->n - 1;
                entry = &names->v[*ret_added];
        }
        entry->deleted |= name->deleted;
        entry->never_run |= name->never_run;
        return 0;
}

/* Once the engine was asked a name stays: the answer may have been lost on its way. The last look of the
 * clear tells which names are still there. */
static void drop_skipped(const Task *task, const size_t *added, NamedImages *names) {
        size_t n = 0;

        for (size_t i = 0; i < task->names->n; i++)
                if (added[i] != SIZE_MAX && task->outcomes[i] == NAME_SKIPPED) {
                        free(names->v[added[i]].name);
                        names->v[added[i]].name = NULL;
                }
        for (size_t i = 0; i < names->n; i++)
                if (names->v[i].name)
                        names->v[n++] = names->v[i];
        names->n = n;
}

/* Each name is in a list of the receipt before the engine is asked, so that nothing that fails
 * afterwards loses it. */
static int run_noted_task(Task *task, NamedImages *list, Diag *reterr_diag) {
        cleanup_free size_t *added = calloc(task->names->n + 1, sizeof(*added));
        cleanup(index_done) Index earlier = { 0 };
        int r;

        r = added ? prepare_task(task) : -ENOMEM;
        if (r >= 0)
                r = named_images_index(list, &earlier);
        for (size_t i = 0; i < task->names->n && r >= 0; i++)
                r = note_name(&task->names->v[i], &earlier, list, &added[i]);
        if (r < 0)
                return r;
        r = run_task(task, reterr_diag);
        drop_skipped(task, added, list);
        return r;
}

static int take_names(Act *act, Diag *reterr_diag) {
        cleanup(task_done) Task task = {
                .act = act,
                .names = &act->plan->names,
                .tags = act->tags,
                .may = may_take,
                .call = untag_image,
                .announced = true,
        };
        int r;

        r = run_noted_task(&task, &act->receipt->names, reterr_diag);
        for (size_t i = 0; task.outcomes && i < task.names->n; i++)
                act->receipt->removed[REMOVED_NAMES].objects += task.outcomes[i] == NAME_DONE;
        return r;
}

/* Rollback tags of earlier clears, which go once all new ones are there. */
static int replace_tags(Act *act, Diag *reterr_diag) {
        cleanup(task_done) Task task = {
                .act = act,
                .names = &act->plan->replaced_tags,
                .may = may_take,
                .call = untag_image,
                .announced = true,
        };
        int r;

        r = run_noted_task(&task, &act->receipt->replaced_tags, reterr_diag);
        for (size_t i = 0; task.deleted && i < task.names->n; i++)
                act->receipt->removed[REMOVED_UNTAGGED].objects += task.deleted[i];
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
        if (r >= 0 && containers.unreadable.n > 0)
                return 0; /* it may hold any of them */
        for (size_t i = 0; i < n && r >= 0; i++) {
                const Image *image = image_set_find(&now, ids[i]);
                size_t deleted = 0;

                if (!image || !image_is_untagged(image) ||
                    container_set_holder(&containers, ids[i]) ||
                    containers_mount_id(&containers, ids[i]))
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
        for (size_t i = 0; i < untagged->n && r >= 0; i += SLICE_MAX)
                r = take_untagged(act, &untagged->v[i], MIN(untagged->n - i, (size_t)SLICE_MAX),
                                  reterr_diag);
        return r == -EAGAIN ? 0 : MIN(r, 0);
}

/* An image and a repository, as a key. */
static int add_key(const NamedImage *name, Strv *keys) {
        cleanup_free char *key = text_format("%s %.*s", name->id,
                                             (int)name_repository_length(name->name), name->name);

        return key ? strv_add(keys, key) : -ENOMEM;
}

/* Each name waits for the tag of its image in its repository. */
static int prepare(Act *act) {
        const NamedImages *tags = &act->plan->rollback_tags, *names = &act->plan->names;
        cleanup(strv_done) Strv of_tags = STRV_NULL, of_names = STRV_NULL;
        cleanup(index_done) Index by_key = { 0 };
        int r = 0;

        act->tags = calloc(names->n + 1, sizeof(*act->tags));
        if (!act->tags)
                return -ENOMEM;
        for (size_t i = 0; i < tags->n && r >= 0; i++)
                r = add_key(&tags->v[i], &of_tags);
        for (size_t i = 0; i < names->n && r >= 0; i++)
                r = add_key(&names->v[i], &of_names);
        for (size_t i = 0; i < tags->n && r >= 0; i++)
                r = index_add(&by_key, of_tags.v[i], i);
        index_sort(&by_key);
        for (size_t i = 0; i < names->n && r >= 0; i++) {
                const IndexEntry *tag = index_find(&by_key, of_names.v[i], NULL);

                act->tags[i] = tag ? tag->at : NO_TAG;
        }
        return r;
}

int act_images(Docker *docker, const ClearPlan *plan, const NameEvents *events,
               const Reporter *reporter, Receipt *receipt, Diag *reterr_diag) {
        cleanup(act_done) Act act = {
                .docker = docker,
                .plan = plan,
                .events = events,
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
                r = make_tags(&act, reterr_diag);
        if (r >= 0)
                r = take_names(&act, reterr_diag);
        if (r >= 0 && receipt->rollback_tags.n - n_tags == plan->rollback_tags.n)
                r = replace_tags(&act, reterr_diag);
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
