/* SPDX-License-Identifier: MIT */

/*
 * Between the look a plan was made from and each removal the host goes on. So everything is looked at
 * again right before each batch, and the names of each slice of a batch right before its images go: what
 * the plan did not know of (a name, a container, a build) leaves the image for the next pass.
 *
 * A name that an image has and is given again moves the image's LastTagTime alone; the plan went by the
 * time that is remembered. The engine's events tell of that. An image that may have had such an event
 * since it was last inspected, and every image where events are not heard, is inspected right before its
 * removal.
 */

#include <string.h>

#include "base/span.h"
#include "docker/parallel.h"
#include "janitor/act.h"
#include "janitor/image-facts.h"
#include "janitor/passing.h"
#include "janitor/plan.h"
#include "janitor/seen.h"

/* A clear may wait: what is not removed by then is the next pass's. */
#define REMOVE_USEC_MAX (2 * USEC_PER_MINUTE)
/* What may be removed after one look at the host: as many images as go, within these bounds, in a few
 * times as long as the look took. */
#define BATCH_LOOKS 4
#define BATCH_USEC_MIN USEC_PER_SEC
#define BATCH_USEC_MAX (2 * USEC_PER_SEC)
/* How many names of one image may be taken after one look at them. */
#define NAMES_MAX 16
/* How many images go after one look at their names, and how many names that look asks for. */
#define SLICE_MAX 8
#define SLICE_NAMES_MAX 32

/* Images that are to go, on several connections where the engine's image store gains by it. */
typedef struct Batch {
        Pass *pass;
        const size_t *images; /* positions in the look */
        size_t n;
        const SeenImage **seen; /* one an image of the look */
} Batch;

/* Images of a batch that go one after the other, on one connection. */
typedef struct Slice {
        const Batch *batch;
        uint64_t since_usec; /* CLOCK_BOOTTIME; no image got a name since. 0: not known */
        bool listed;         /* `named` was read, and since_usec is from before that */
        ImageSet named;      /* what has the names of these images */
} Slice;

static void slice_donep(Slice *slice) {
        image_set_done(&slice->named);
}

static uint64_t window_usec(uint64_t took_usec) {
        return MIN(MAX(BATCH_LOOKS * took_usec, BATCH_USEC_MIN), BATCH_USEC_MAX);
}

/* The lists were its first calls; to inspect images that were not known may have taken long. */
void pass_date_look(Pass *pass, uint64_t begin_usec) {
        pass->look_again_usec = begin_usec + window_usec(now_boottime_usec() - begin_usec);
}

/*
 * Whether others made or removed an image: what is among the newest, and whether a deploy is under way
 * (a classic build's first step has no other sign), then has to be decided anew. Untagged parents go
 * with an image that the pass took.
 */
static bool images_changed(const Pass *pass) {
        const ImageSet *before = &pass->look.inventory.images, *now = &pass->again.images;

        for (size_t i = 0; i < now->n; i++)
                if (!image_set_find(before, now->v[i].id))
                        return true;
        for (size_t i = 0; i < before->n; i++)
                if (!fate_asked(pass->fates[i]) && before->v[i].names.n > 0 &&
                    !image_set_find(now, before->v[i].id))
                        return true;
        return false;
}

int pass_may_go_on(Pass *pass, Diag *reterr_diag) {
        uint64_t begin_usec = now_boottime_usec(), end_usec;
        int r;

        if (begin_usec < pass->look_again_usec)
                return 1;
        r = inventory_observe(pass->docker, pass->config, OBSERVE_FIGURES,
                              &pass->memory->suspects.images, &pass->again, reterr_diag);
        if (r < 0)
                return r;
        pass->looked_again = true;
        end_usec = now_boottime_usec();
        pass->look_again_usec = end_usec + window_usec(end_usec - begin_usec);
        if (inventory_building(&pass->again))
                return pass_stop(pass, "A build began");
        if (inventory_is_partial(&pass->again) && pass->look.plan.n_remove > 0)
                return pass_stop(pass, "An image or a container can't be read any more");
        if (images_changed(pass))
                return pass_stop(pass, "Images came or went");
        return 1;
}

/* In any order. Without memory to tell, they differ, and the image is left. */
static bool same_names(const Strv *a, const Strv *b) {
        cleanup(strv_done) Strv x = STRV_NULL, y = STRV_NULL;

        if (a->n != b->n || strv_equal(a, b))
                return a->n == b->n;
        if (strv_copy(&x, a) < 0 || strv_copy(&y, b) < 0)
                return false;
        strv_sort(&x);
        strv_sort(&y);
        return strv_equal(&x, &y);
}

/* Whether the image was given a name, perhaps one that it has, since the time of that was last read: by
 * the look, if it inspected the image, or else by an earlier one. */
static bool was_tagged(const Batch *batch, size_t i, const ImageDetail *now) {
        const Inventory *before = &batch->pass->look.inventory;
        const ImageFacts *facts = fact_set_find(&before->facts, before->images.v[i].id);

        if (facts && facts->inspected)
                return facts->last_tagged_nsec != now->last_tagged_nsec;
        return !batch->seen[i] || seen_was_tagged(batch->seen[i], before->image_store,
                                                  now->last_tagged_sec, now->last_tagged_nsec);
}

/* Whether the image certainly has its names, and got none since it was last inspected. */
static bool is_untagged_since(const Slice *slice, size_t i) {
        const Pass *pass = slice->batch->pass;
        const Image *image = &pass->look.inventory.images.v[i];
        const SeenImage *seen = slice->batch->seen[i];

        if (slice->since_usec == 0 || !seen)
                return false;
        for (size_t j = 0; j < image->names.n && slice->listed; j++) {
                const Image *bearer = image_set_find_name(&slice->named, image->names.v[j]);

                if (!bearer || strcmp(bearer->id, image->id) != 0)
                        return false;
        }
        return tag_events_none(pass->tag_events, slice->since_usec) &&
               tag_events_none_of(pass->tag_events, image->id, seen->inspected_usec);
}

/* 1 if all that the plan went by still holds for this image, else 0. An error may be of this image
 * alone. */
static int is_unchanged(const Slice *slice, Docker *docker, size_t i, Diag *reterr_diag) {
        const Batch *batch = slice->batch;
        const Pass *pass = batch->pass;
        const Inventory *before = &pass->look.inventory;
        const Inventory *newest = pass->looked_again ? &pass->again : before;
        const Image *image = &before->images.v[i];
        const Image *now = image_set_find(&newest->images, image->id);
        cleanup(image_detail_done) ImageDetail detail = { 0 };
        int r;

        if (!now || !same_names(&now->names, &image->names) ||
            !same_names(&now->digests, &image->digests))
                return 0;
        if (image_in_use(newest, image) && !image_in_use(before, image))
                return 0;
        if (image_has_children(newest, image) && !image_has_children(before, image))
                return 0;
        if (is_untagged_since(slice, i))
                return 1;
        r = docker_image(docker, image->id, &detail, reterr_diag);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;
        return same_names(&detail.names, &image->names) && !was_tagged(batch, i, &detail);
}

/* 1 if the image still has this name, else 0; `now` is filled anew for the first of every few names. */
static int has_name(Docker *docker, const Image *image, const char *name, size_t n_taken,
                    ImageDetail *now, Diag *reterr_diag) {
        int r;

        if (n_taken == 0) /* seen a moment ago */
                return 1;
        if (n_taken % NAMES_MAX == 1) {
                image_detail_done(now);
                r = docker_image(docker, image->id, now, reterr_diag);
                if (r < 0)
                        return r == -ENOENT || failure_is_of_object(r) ? 0 : r;
                strv_sort(&now->names);
        }
        return strv_sorted_contains(&now->names, name);
}

static int take_names(const Pass *pass, Docker *docker, const Image *image,
                      const ImageVerdict *verdict, Diag *reterr_diag) {
        cleanup(image_detail_done) ImageDetail now = { 0 };
        size_t n_taken = 0;
        int r = 1;

        for (size_t i = 0; i < image->names.n && r > 0; i++) {
                const char *name = image->names.v[i];

                if (!policy_takes_name(pass->config, image, verdict, name))
                        continue;
                r = has_name(docker, image, name, n_taken++, &now, reterr_diag);
                if (r > 0)
                        r = act_take_seen_name(docker, name, reterr_diag);
        }
        return r;
}

/* 1 if the engine says that it is done, 0 if it refused or somebody was faster. */
static int take(const Pass *pass, Docker *docker, const Image *image, const ImageVerdict *verdict,
                Diag *reterr_diag) {
        const char *digest = image->digests.n > 0 ? image->digests.v[0] : NULL;
        size_t deleted;

        if (image->names.n > 0)
                return take_names(pass, docker, image, verdict, reterr_diag);
        return act_take_untagged(docker, image->id, digest, pass->started_sec - 1, &deleted,
                                 reterr_diag);
}

static bool goes_for_room(const Pass *pass, size_t i) {
        return pass->look.plan.images[i].rule == RULE_DISK_PRESSURE;
}

/* What goes for the disk's sake goes only while the disk still asks for it: 1, else 0. */
static int disk_still_asks(const Pass *pass) {
        const Disks *before = &pass->look.inventory.disks;
        Disks now;
        int r;

        if (pass->look.plan.inode_pressure)
                return 1;
        r = disks_observe(pass->config, &pass->look.inventory.engine, &now);
        if (r < 0)
                return r;
        r = before->n != now.n;
        for (size_t i = 0; i < now.n && r == 0; i++) {
                uint64_t need = pass->look.plan.disks[i].need_bytes;

                r = need > 0 && now.v[i].free_bytes < before->v[i].free_bytes + need;
        }
        disks_done(&now);
        return r;
}

/* Ends the batch, and with it the pass. */
static int halt(Pass *pass, size_t i, Fate fate) {
        pass->fates[i] = fate;
        return -EAGAIN;
}

static int leave(Pass *pass, size_t i, const char *what) {
        const Image *image = &pass->look.inventory.images.v[i];

        pass->fates[i] = FATE_CHANGED;
        return pass_say(pass, "%s is left for the next pass: it %s since it was looked at",
                        image->names.n > 0 ? image->names.v[0] : image->id, what);
}

static int remove_image(const Slice *slice, Docker *docker, size_t i, Diag *reterr_diag) {
        Pass *pass = slice->batch->pass;
        const ImageVerdict *verdict = &pass->look.plan.images[i];
        int r;

        r = goes_for_room(pass, i) ? disk_still_asks(pass) : 1;
        if (r == 0)
                return halt(pass, i, FATE_ROOM);
        if (r > 0)
                r = is_unchanged(slice, docker, i, reterr_diag);
        if (r < 0 && !failure_is_of_object(r))
                return r;
        if (r <= 0)
                return leave(pass, i, r < 0 ? "became unreadable" : "changed");
        pass->fates[i] = FATE_TRIED;
        r = take(pass, docker, &pass->look.inventory.images.v[i], verdict, reterr_diag);
        if (r == -EAGAIN)
                return halt(pass, i, FATE_BUILD);
        if (r > 0)
                pass->fates[i] = FATE_TAKEN;
        return MIN(r, 0);
}

static bool named_none_since(const Pass *pass, Docker *docker, uint64_t since_usec) {
        return tag_events_none_now(pass->tag_events, docker, pass->config->docker_socket,
                                   since_usec);
}

/*
 * Finds out whether these images have their names still. The events since the look tell that where no
 * image got a name. Otherwise the engine is asked what has these names now, and the events since then
 * count; images with more names than there is room for are inspected.
 */
static int look_up(Slice *slice, Docker *docker, const size_t *images, size_t n,
                   Diag *reterr_diag) {
        const Pass *pass = slice->batch->pass;
        const ImageSet *all = &pass->look.inventory.images;
        const char *names[SLICE_NAMES_MAX] = { NULL };
        uint64_t begin_usec = now_boottime_usec();
        size_t n_names = 0;
        int r = 0;

        if (!pass->tag_events)
                return 0;
        if (named_none_since(pass, docker, pass->look.inventory.begin_usec)) {
                slice->since_usec = pass->look.inventory.begin_usec;
                return 0;
        }
        slice->listed = true;
        for (size_t i = 0; i < n; i++) {
                const Strv *own = &all->v[images[i]].names;

                for (size_t j = 0; j < own->n && n_names + own->n - j <= SLICE_NAMES_MAX; j++)
                        names[n_names++] = own->v[j];
        }
        if (n_names > 0)
                r = docker_images_named(docker, names, n_names, &slice->named, reterr_diag);
        if (r < 0) /* of a name that can't be asked for: each image is inspected */
                return r == -EINVAL || failure_is_of_object(r) ? 0 : r;
        if (named_none_since(pass, docker, begin_usec))
                slice->since_usec = begin_usec;
        return 0;
}

/* A batch handles its first image however long that takes, so each batch makes progress. */
static int do_slice(Docker *docker, size_t at, void *userdata, Diag *reterr_diag) {
        const Batch *batch = userdata;
        const size_t begin = at * SLICE_MAX, end = MIN(batch->n, begin + SLICE_MAX);
        cleanup(slice_done) Slice slice = { .batch = batch };
        int r = 0;

        for (size_t i = begin; i < end && r >= 0; i++) {
                if (i > 0 && now_boottime_usec() >= batch->pass->look_again_usec)
                        break;
                if (i == begin)
                        r = look_up(&slice, docker, &batch->images[i], end - i, reterr_diag);
                if (r >= 0)
                        r = remove_image(&slice, docker, batch->images[i], reterr_diag);
        }
        return r;
}

static int run_batch(Batch *batch, size_t n, Diag *reterr_diag) {
        Docker *docker = batch->pass->docker;
        const size_t n_slices = (n + SLICE_MAX - 1) / SLICE_MAX;
        int r = 0;

        batch->n = n;
        if (batch->pass->look.inventory.image_store == IMAGE_STORE_CONTAINERD && n_slices > 1)
                return docker_parallel(docker, n_slices, do_slice, batch, reterr_diag);
        for (size_t i = 0; i < n_slices && r >= 0; i++)
                r = do_slice(docker, i, batch, reterr_diag);
        return r;
}

/* Drops those that had their turn. Notes whether the engine was asked to remove any, and the first that
 * ended the batch; `*ret_halt` is FATE_UNTOUCHED where none did. */
static size_t sift(Pass *pass, size_t *images, size_t n, Fate *ret_halt) {
        size_t n_left = 0;

        *ret_halt = FATE_UNTOUCHED;
        for (size_t i = 0; i < n; i++) {
                Fate fate = pass->fates[images[i]];

                pass->begun = pass->begun || fate_asked(fate);
                if (fate == FATE_UNTOUCHED)
                        images[n_left++] = images[i];
                else if (*ret_halt == FATE_UNTOUCHED && (fate == FATE_ROOM || fate == FATE_BUILD))
                        *ret_halt = fate;
        }
        return n_left;
}

/* How many images the next batch has. Of those that go for room each is a batch of its own: only once
 * one is gone does the disk tell whether the next has to go, too. */
static size_t batch_length(const Pass *pass, const size_t *images, size_t n) {
        size_t length = 0;

        while (length < n && !goes_for_room(pass, images[length]))
                length++;
        return MAX(length, (size_t)1);
}

static int remove_batches(Pass *pass, Batch *batch, size_t *images, size_t n, Diag *reterr_diag) {
        uint64_t end_usec = now_boottime_usec() + REMOVE_USEC_MAX;

        while (n > 0) {
                Fate halted;
                int r;

                if (now_boottime_usec() >= end_usec)
                        return pass_stop(pass, "A clear may be waiting");
                r = pass_may_go_on(pass, reterr_diag);
                if (r <= 0)
                        return r;
                r = run_batch(batch, batch_length(pass, images, n), reterr_diag);
                n = sift(pass, images, n, &halted);
                if (r == -EAGAIN && halted == FATE_ROOM)
                        return pass_say(pass, "The disk has room again: no more goes for it");
                if (r == -EAGAIN && halted == FATE_BUILD)
                        return pass_stop(pass, "A classic build may have begun");
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Of images that changed, when they were last tagged is asked once more and remembered: the next plan
 * goes by what is remembered, and would have them go again. */
static int learn(Pass *pass, Diag *reterr_diag) {
        Inventory *inventory = &pass->look.inventory;
        cleanup_free bool *marks = calloc(inventory->images.n + 1, sizeof(*marks));
        bool any = false;
        int r;

        if (!marks)
                return -ENOMEM;
        for (size_t i = 0; i < inventory->images.n; i++) {
                marks[i] = pass->fates[i] == FATE_CHANGED;
                any = any || marks[i];
        }
        if (!any)
                return 0;
        image_facts_age(inventory);
        r = image_facts_refresh(pass->docker, inventory, marks, reterr_diag);
        if (r >= 0)
                r = memory_note_images(pass->memory, inventory, pass->config,
                                       pass->look.now.age_sec);
        return MIN(r, 0);
}

/* Images that go for room come last: that ends once the disk has room, and the others go all the same. */
static size_t list_removals(const Pass *pass, bool for_room, size_t *ret) {
        size_t n = 0;

        for (size_t i = 0; i < pass->look.inventory.images.n; i++)
                if (pass->look.plan.images[i].remove && goes_for_room(pass, i) == for_room)
                        ret[n++] = i;
        return n;
}

int pass_remove_images(Pass *pass, Diag *reterr_diag) {
        const Inventory *inventory = &pass->look.inventory;
        cleanup_free size_t *images = calloc(inventory->images.n + 1, sizeof(*images));
        cleanup_free const SeenImage **seen = NULL;
        Batch batch = { .pass = pass, .images = images };
        size_t n;
        int r;

        if (!images || plan_recall(inventory, &pass->memory->seen, &seen) < 0)
                return -ENOMEM;
        batch.seen = seen;
        n = list_removals(pass, false, images);
        n += list_removals(pass, true, images + n);
        r = remove_batches(pass, &batch, images, n, reterr_diag);
        return r < 0 ? r : learn(pass, reterr_diag);
}
