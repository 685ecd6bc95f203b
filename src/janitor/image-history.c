/* SPDX-License-Identifier: MIT */

#include "janitor/image-history.h"

#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "docker/name.h"
#include "docker/parallel.h"
#include "janitor/image-base.h"
#include "janitor/instruction.h"
#include "janitor/ownership.h"
#include "janitor/step.h"

/* Histories of ours that a run asks for, a repository: the newest images, whose Dockerfile the next
 * build is likely to have. */
#define HISTORIES_PER_REPOSITORY 32

/* The entries of a history, newest first, as the engine gives them. */
typedef struct Entries {
        struct Entry {
                uint64_t hash, classic_step;
                bool classic, may_be_classic, buildkit;
        } * v;
        size_t n, size;
} Entries;

static void entries_donep(Entries *entries) {
        free(entries->v);
}

static int on_entry(void *userdata, const char *created_by, const char *comment) {
        cleanup_free char *normal = instruction_normal(created_by);
        Entries *entries = userdata;

        if (!normal || array_grow(entries->v, entries->n, entries->size) < 0)
                return -ENOMEM;
        entries->v[entries->n++] = (struct Entry){
                .hash = instruction_hash(normal),
                .classic_step = instruction_classic_step(created_by, comment),
                .classic = instruction_is_classic(created_by, comment),
                .may_be_classic = instruction_may_be_classic(created_by, comment),
                .buildkit = strncmp(comment, "buildkit.", strlen("buildkit.")) == 0,
        };
        return 0;
}

/* How many of the oldest entries the builder of the image can't have written. */
static size_t count_base_entries(const Entries *entries, ImageKind kind) {
        size_t n = 0;

        if (kind == IMAGE_KIND_BUILDKIT) {
                while (n < entries->n && !entries->v[entries->n - 1 - n].buildkit)
                        n++;
                return n;
        }
        for (size_t i = 0; i < entries->n; i++)
                if (!entries->v[entries->n - 1 - i].may_be_classic)
                        n = i + 1;
        return n;
}

/* An image with a parent here was made by the classic builder or by docker commit, which may leave a comment.
 * RUN ["npm", "ci"], and RUN after SHELL, have no form of their own, so another image is told by its form. */
static bool is_classic(const Image *image, const Entries *entries) {
        if (image->parent_id[0])
                return entries->n == 0 || entries->v[0].may_be_classic;
        return entries->n > 0 && entries->v[0].classic;
}

/* A history that can't be read is not known; then the image may serve. */
static int read_history(Docker *docker, const Image *image, ImageFacts *facts, Diag *reterr_diag) {
        cleanup(entries_done) Entries entries = { 0 };
        int r;

        r = docker_image_history(docker, image->id, on_entry, &entries, reterr_diag);
        if (r == -ENOENT || failure_is_of_object(r))
                return 0;
        if (r < 0)
                return r;
        hash_list_done(&facts->steps);
        hash_list_done(&facts->classic_steps);
        for (size_t i = entries.n; i > 0; i--)
                if (hash_list_add(&facts->steps, entries.v[i - 1].hash) < 0 ||
                    hash_list_add(&facts->classic_steps, entries.v[i - 1].classic_step) < 0)
                        return -ENOMEM;
        if (image_kind_is_classic(facts->kind) && !is_classic(image, &entries))
                facts->kind = IMAGE_KIND_OTHER;
        facts->n_base = count_base_entries(&entries, facts->kind);
        facts->n_history = (int64_t)entries.n;
        facts->dirty = true;
        return 0;
}

/* An image of ours with its repository, the newest of each first. */
typedef struct Release {
        const char *name;
        size_t n_repository; /* length */
        size_t image;
        int64_t created_sec;
} Release;

static int compare_releases(const void *a, const void *b) {
        const Release *x = a, *y = b;
        size_t n = MIN(x->n_repository, y->n_repository);
        int c = memcmp(x->name, y->name, n);

        if (c == 0 && x->n_repository != y->n_repository)
                c = x->n_repository < y->n_repository ? -1 : 1;
        if (c == 0)
                c = (x->created_sec < y->created_sec) - (x->created_sec > y->created_sec);
        return c != 0 ? c : (x->image > y->image) - (x->image < y->image);
}

static bool same_repository(const Release *a, const Release *b) {
        return a->n_repository == b->n_repository && memcmp(a->name, b->name, a->n_repository) == 0;
}

static int note_names(const Config *config, const Image *image, ImageFacts *facts) {
        int r = 0;

        for (size_t i = 0; i < image->names.n && r >= 0; i++) {
                const char *name = image->names.v[i];

                if (name_is_rollback(config, image, name)) {
                        /* The name that the image lost was of this repository. */
                        r = facts->ours ? facts_add_repository(facts, name) : 0;
                        continue;
                }
                if (!name_is_ours(config, image, name))
                        continue;
                r = facts_add_release(facts, name);
                if (r >= 0)
                        r = facts_add_name(facts, name);
        }
        return r;
}

/* Not an import: what was committed, or built by another tool, stands on a layer of its base image. */
static bool may_hold_steps(const ImageFacts *facts) {
        return facts->kind != IMAGE_KIND_OTHER || facts->layers.n > 1;
}

/* Marks in `wanted` the newest images of ours of each repository, and notes in the facts which images
 * are ours. */
static int find_ours(const Config *config, Inventory *inventory, bool *wanted) {
        const ImageSet *images = &inventory->images;
        cleanup_free Release *releases = calloc(images->n + 1, sizeof(*releases));
        size_t n = 0, n_of_one = 0;

        if (!releases)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++) {
                const Image *image = &images->v[i];
                const char *name = image_name_of_ours(config, image);
                ImageFacts *facts = name ? fact_set_find(&inventory->facts, image->id) : NULL;

                if (!facts)
                        continue;
                facts->dirty |= !facts->ours;
                facts->ours = true;
                if (note_names(config, image, facts) < 0)
                        return -ENOMEM;
                if (image->project && facts->project_hash != text_hash(image->project)) {
                        facts->project_hash = text_hash(image->project);
                        facts->dirty = true;
                }
                if (may_hold_steps(facts))
                        releases[n++] = (Release){ name, name_repository_length(name), i,
                                                   image->created_sec };
        }
        qsort(releases, n, sizeof(*releases), compare_releases);
        for (size_t i = 0; i < n; i++) {
                n_of_one =
                        i > 0 && same_repository(&releases[i - 1], &releases[i]) ? n_of_one + 1 : 0;
                wanted[releases[i].image] = n_of_one < HISTORIES_PER_REPOSITORY;
        }
        return 0;
}

/* Whether the history says who built the image, whether it begins like ours, or where a base image of ours
 * ends. Any image of others that has a name may hold steps of the classic builder, under those that made it. */
static bool history_decides(const Inventory *inventory, const Image *image,
                            const ImageFacts *facts) {
        if (image->parent_id[0])
                return image->names.n > 0 || !image_has_children(inventory, image);
        if (!facts)
                return false;
        return image_kind_is_classic(facts->kind) || facts->inline_cache == INLINE_CACHE_YES ||
               (!facts->ours && !image_is_untagged(image) && may_hold_steps(facts));
}

/* Marks in `wanted`, beside the images of ours there, what history_decides(); and takes out what is
 * known. */
static void want_histories(const Inventory *inventory, bool *wanted) {
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];
                const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);

                wanted[i] = (wanted[i] || history_decides(inventory, image, facts)) &&
                            (!facts || facts->n_history == FACTS_NO_HISTORY);
        }
}

/* An image whose history is read, into its facts. */
typedef struct Reading {
        const Image *image;
        ImageFacts *facts;
} Reading;

static int read_one(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        const Reading *reading = (const Reading *)userdata + i;

        return read_history(docker, reading->image, reading->facts, reterr_diag);
}

int image_histories_observe(Docker *docker, const Config *config, Inventory *inventory,
                            Diag *reterr_diag) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *wanted = calloc(images->n + 1, sizeof(*wanted));
        cleanup_free Reading *readings = calloc(images->n + 1, sizeof(*readings));
        size_t n = 0;
        int r;

        if (!wanted || !readings)
                return -ENOMEM;
        r = find_ours(config, inventory, wanted);
        if (r < 0)
                return r;
        want_histories(inventory, wanted);
        r = steps_add_facts(inventory, wanted);
        for (size_t i = 0; i < images->n && r >= 0; i++) {
                ImageFacts *facts =
                        wanted[i] ? fact_set_find(&inventory->facts, images->v[i].id) : NULL;

                if (facts)
                        readings[n++] = (Reading){ &images->v[i], facts };
        }
        if (r >= 0 && n >= DOCKER_PARALLEL_MIN)
                return docker_parallel(docker, n, read_one, readings, reterr_diag);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = read_one(docker, i, readings, reterr_diag);
        return r;
}
