/* SPDX-License-Identifier: MIT */

/*
 * The list of images tells seconds, in which a stage and the image of its build may have been made both,
 * and as well the image of one build and the first step of the next. Inspect tells nanoseconds.
 */

#include "janitor/stages.h"

#include "docker/name.h"
#include "janitor/ownership.h"
#include "janitor/step.h"

/* Named by somebody; a rollback or trash tag is of the janitor's and not of a build. */
static bool is_named(const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (!name_is_trash(image->names.v[i]) &&
                    !name_is_rollback(config, image, image->names.v[i]))
                        return true;
        return false;
}

/* Years that no clock shows stay within the type. */
static int64_t nsec_of(int64_t sec) {
        const int64_t max = INT64_MAX / NSEC_PER_SEC - 1;

        return MAX(MIN(sec, max), -max) * NSEC_PER_SEC;
}

/* A leaf that is not known to the nanosecond counts as made at the end of its second, a named image at
 * its beginning. */
static int64_t leaf_nsec(const Image *leaf) {
        return leaf->created_nsec ?: nsec_of(leaf->created_sec) + NSEC_PER_SEC - 1;
}

static int compare_builds(const void *a, const void *b) {
        const NamedBuild *x = a, *y = b;

        if (x->created_nsec != y->created_nsec)
                return x->created_nsec < y->created_nsec ? -1 : 1;
        return y->ours - x->ours; /* at one time ours comes first */
}

int named_builds_find(const Inventory *inventory, const Config *config, NamedBuilds *ret) {
        const ImageSet *images = &inventory->images;
        NamedBuilds builds = { .newest_of_ours_nsec = INT64_MIN };

        builds.v = calloc(images->n + 1, sizeof(*builds.v));
        if (!builds.v)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++) {
                const Image *image = &images->v[i];
                NamedBuild build = {
                        .created_nsec = image->created_nsec ?: nsec_of(image->created_sec),
                        .image = i,
                        .ours = image_is_ours(config, image),
                };

                /* One from the future says nothing of what was before it. */
                if (!is_named(config, image) || !image_is_classic(inventory, image) ||
                    image->created_sec > inventory->observed_sec + 1)
                        continue;
                if (build.ours)
                        builds.newest_of_ours_nsec =
                                MAX(builds.newest_of_ours_nsec, build.created_nsec);
                builds.v[builds.n++] = build;
        }
        qsort(builds.v, builds.n, sizeof(*builds.v), compare_builds);
        *ret = builds;
        return 0;
}

void named_builds_done(NamedBuilds *builds) {
        free(builds->v);
        *builds = (NamedBuilds){ 0 };
}

/* The first one at or after a time; builds->n: there is none. */
static size_t first_since(const NamedBuilds *builds, int64_t nsec) {
        size_t low = 0, n = builds->n;

        while (n > 0) {
                size_t half = n / 2;

                if (builds->v[low + half].created_nsec < nsec) {
                        low += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        return low;
}

bool image_is_classic_leaf(const Inventory *inventory, const Image *image) {
        return image_is_untagged(image) && image_is_classic(inventory, image) &&
               !image_has_children(inventory, image);
}

bool stage_has_ended(const NamedBuilds *builds, const Image *leaf) {
        return builds->newest_of_ours_nsec >= leaf_nsec(leaf);
}

/* Whether the first image that was made and named since, within STAGE_SEC, is ours. */
static bool ours_came_next(const NamedBuilds *builds, const Image *leaf) {
        size_t first = first_since(builds, leaf_nsec(leaf));
        int64_t took_nsec;

        return first < builds->n && builds->v[first].ours &&
               !__builtin_sub_overflow(builds->v[first].created_nsec, leaf_nsec(leaf),
                                       &took_nsec) &&
               took_nsec <= STAGE_SEC * NSEC_PER_SEC;
}

bool stage_is_ours(const NamedBuilds *builds, const Image *leaf) {
        return leaf->may_be_stage && ours_came_next(builds, leaf);
}

static int ask_time(Docker *docker, Inventory *inventory, Image *image, size_t *n_asked,
                    Diag *reterr_diag) {
        return step_ask_time(docker, fact_set_find(&inventory->facts, image->id), image, n_asked,
                             reterr_diag);
}

int stages_ask_times(Docker *docker, const Config *config, Inventory *inventory,
                     Diag *reterr_diag) {
        ImageSet *images = &inventory->images;
        cleanup(named_builds_done) NamedBuilds builds = { 0 };
        size_t n_asked = 0;
        int r;

        r = named_builds_find(inventory, config, &builds);
        for (size_t i = 0; i < images->n && n_asked < STEPS_ASKED_MAX && r >= 0; i++) {
                Image *leaf = &images->v[i];
                size_t first = first_since(&builds, nsec_of(leaf->created_sec));

                if (!image_is_classic_leaf(inventory, leaf))
                        continue;
                for (size_t k = first; k < builds.n && n_asked < STEPS_ASKED_MAX && r >= 0; k++) {
                        Image *named = &images->v[builds.v[k].image];

                        if (named->created_sec != leaf->created_sec)
                                break;
                        r = ask_time(docker, inventory, leaf, &n_asked, reterr_diag);
                        if (r >= 0)
                                r = ask_time(docker, inventory, named, &n_asked, reterr_diag);
                }
        }
        return r;
}

/*
 * What bore a name was a release, and no stage. The graphdriver store keeps the time of the last tag for
 * ever; the containerd store gives an image a name of its own where it has no other: a stage when it is
 * made, a release when it loses its last name, which is after the image that follows it was made.
 */
static bool bore_a_name(const Inventory *inventory, const NamedBuilds *builds, const Image *leaf,
                        int64_t last_tagged_nsec) {
        size_t first = first_since(builds, leaf_nsec(leaf));

        if (inventory->image_store == IMAGE_STORE_GRAPHDRIVER)
                return last_tagged_nsec != 0;
        return first == builds->n || last_tagged_nsec > builds->v[first].created_nsec;
}

int leaf_is_step(Docker *docker, const Image *leaf, const ImageFacts *facts, bool *ret,
                 Diag *reterr_diag) {
        StepAnswer answer = { .step = facts ? facts->step : STEP_UNKNOWN };
        int r = 0;

        if (answer.step == STEP_UNKNOWN)
                r = step_ask(docker, leaf->id, NULL, &answer, reterr_diag);
        *ret = answer.step != STEP_NONE;
        return r;
}

static void set_stage(Image *leaf, const ImageFacts *facts) {
        leaf->created_nsec = facts->created_nsec;
        leaf->may_be_stage =
                !facts->bore_name && (facts->step == STEP_OTHER || facts->step == STEP_COMMAND);
}

static int ask_leaf(Docker *docker, const Inventory *inventory, const NamedBuilds *builds,
                    Image *leaf, ImageFacts *facts, Diag *reterr_diag) {
        StepAnswer answer;
        int r;

        r = step_ask(docker, leaf->id, facts, &answer, reterr_diag);
        if (r < 0 || answer.step == STEP_UNKNOWN)
                return r;
        leaf->created_nsec = answer.created_nsec;
        facts->bore_name |= bore_a_name(inventory, builds, leaf, answer.last_tagged_nsec);
        set_stage(leaf, facts);
        return 0;
}

/* The image that was named first after a leaf has to be known to the nanosecond, too. */
static int ask_next_times(Docker *docker, const NamedBuilds *builds, Inventory *inventory,
                          Diag *reterr_diag) {
        size_t n_asked = 0;
        int r = 0;

        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                const Image *leaf = &inventory->images.v[i];

                if (image_is_classic_leaf(inventory, leaf) && ours_came_next(builds, leaf))
                        r = ask_time(
                                docker, inventory,
                                &inventory->images
                                         .v[builds->v[first_since(builds, leaf_nsec(leaf))].image],
                                &n_asked, reterr_diag);
        }
        return r;
}

/*
 * Sets may_be_stage of the leaves that came right before an image of ours: it never bore a name, no
 * compose project labels it, and the newest entry of its history is the classic builder's. A release
 * that lost its name, of another application perhaps, and what docker commit made are no stages. False
 * where that can't be read, and for those past a few dozen: then an image stays.
 */
static int ask_leaves(Docker *docker, const Config *config, Inventory *inventory,
                      Diag *reterr_diag) {
        cleanup(named_builds_done) NamedBuilds rough = { 0 }, builds = { 0 };
        size_t n_asked = 0;
        int r;

        r = named_builds_find(inventory, config, &rough);
        if (r >= 0)
                r = ask_next_times(docker, &rough, inventory, reterr_diag);
        if (r >= 0)
                r = named_builds_find(inventory, config, &builds);
        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                Image *leaf = &inventory->images.v[i];
                ImageFacts *facts = fact_set_find(&inventory->facts, leaf->id);

                if (!facts || leaf->project || !image_is_classic_leaf(inventory, leaf) ||
                    !ours_came_next(&builds, leaf))
                        continue;
                if (facts->step != STEP_UNKNOWN)
                        set_stage(leaf, facts);
                else if (n_asked++ < STEPS_ASKED_MAX)
                        r = ask_leaf(docker, inventory, &builds, leaf, facts, reterr_diag);
        }
        return r;
}

/* The history of the final image lacks the instructions of earlier stages; the stage's own history has
 * them. */
static int note_leaves(const Config *config, Inventory *inventory) {
        cleanup(named_builds_done) NamedBuilds builds = { 0 };
        int r = named_builds_find(inventory, config, &builds);

        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                const Image *image = &inventory->images.v[i];
                ImageFacts *facts = fact_set_find(&inventory->facts, image->id);

                if (!facts || facts->ours || !image_is_classic_leaf(inventory, image) ||
                    !stage_is_ours(&builds, image))
                        continue;
                facts->ours = facts->dirty = true;
        }
        return r;
}

int stages_observe(Docker *docker, const Config *config, Inventory *inventory, Diag *reterr_diag) {
        int r;

        r = stages_ask_times(docker, config, inventory, reterr_diag);
        if (r >= 0)
                r = ask_leaves(docker, config, inventory, reterr_diag);
        return r < 0 ? r : note_leaves(config, inventory);
}

/* The untagged images from `image` down, but those `known`: what FROM named is not of the stage. */
static int add_chain(const Inventory *inventory, const Image *image, bool *known,
                     NamedImages *suspects) {
        const ImageSet *images = &inventory->images;

        while (image && image_is_untagged(image) && image_is_classic(inventory, image) &&
               !known[image - images->v]) {
                known[image - images->v] = true;
                if (named_images_add(suspects, "", image->id) < 0)
                        return -ENOMEM;
                image = image->parent_id[0] ? image_set_find(images, image->parent_id) : NULL;
        }
        return 0;
}

int stages_add(const Inventory *inventory, const Config *config, NamedImages *suspects) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *known = calloc(images->n + 1, sizeof(*known));
        cleanup(named_builds_done) NamedBuilds builds = { 0 };
        int r;

        if (!known)
                return -ENOMEM;
        r = named_builds_find(inventory, config, &builds);
        for (size_t i = 0; i < suspects->n; i++) {
                const Image *image = image_set_find(images, suspects->v[i].id);

                if (image)
                        known[image - images->v] = true;
        }
        for (size_t i = 0; i < images->n && r >= 0; i++) {
                const Image *image = &images->v[i];

                if (image_is_classic_leaf(inventory, image) && stage_is_ours(&builds, image))
                        r = add_chain(inventory, image, known, suspects);
        }
        return r < 0 ? r : named_images_prepare(suspects);
}
