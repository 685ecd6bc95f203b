/* SPDX-License-Identifier: MIT */

/*
 * Every call here is one per image, so that the number of calls is what counts. An image is inspected
 * for its kind and layers; its history is asked for only where it decides something: who built it, or
 * how a Dockerfile of ours begins, or whether an image of the classic builder begins like that.
 */

#include "janitor/image-facts.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/io.h"
#include "base/text.h"
#include "docker/history.h"
#include "docker/name.h"
#include "docker/parallel.h"
#include "janitor/chains.h"
#include "janitor/instruction.h"
#include "wire/json.h"

#define IMAGE_CONFIG_BYTES_MAX (4U * 1024U * 1024U)
/* What is held of images while they are inspected at once. */
#define INSPECTIONS_MAX 256
/* Histories of ours that a run asks for, a repository: the newest images, whose Dockerfile the next
 * build is likely to have. */
#define HISTORIES_PER_REPOSITORY 32
/* Builds whose steps a run asks for: each is a call. The next run asks for more. */
#define BUILDS_ASKED_MAX 64

void image_facts_recall(Store *store, const SeenImages *seen, Inventory *inventory) {
        FactSet facts = { 0 };

        if (inventory->facts.n > 0 || store_read_facts(store, &facts, NULL) < 0)
                return;
        for (size_t i = 0; seen && i < seen->n; i++) {
                ImageFacts *known = fact_set_find(&facts, seen->v[i].id);

                if (known && seen->v[i].tag_mark == 0)
                        known->names_hash = 0;
        }
        inventory->facts = facts;
}

void image_facts_remember(Store *store, Inventory *inventory) {
        (void)!store_write_facts(store, &inventory->facts, NULL);
}

/* In any order. */
static uint64_t hash_names(const Image *image) {
        uint64_t sum = 1;

        for (size_t i = 0; i < image->names.n; i++)
                sum += text_hash(image->names.v[i]);
        return sum ?: 1;
}

static const char *name_of_ours(const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_is_ours(config, image, image->names.v[i]) &&
                    !name_matches_any(&config->base, image->names.v[i]))
                        return image->names.v[i];
        return NULL;
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

/* BuildKit signs the last entry of the history, and so does the engine's own import. Until the text of
 * that entry is known, all others count as the classic builder's. */
static ImageKind kind_from_comment(const char *comment) {
        if (strncmp(comment, "buildkit.", strlen("buildkit.")) == 0)
                return IMAGE_KIND_BUILDKIT;
        return *comment ? IMAGE_KIND_OTHER : IMAGE_KIND_CLASSIC;
}

static int add_facts(const Image *image, const ImageDetail *detail, FactSet *facts) {
        ImageFacts *entry = fact_set_find(facts, image->id);

        if (!entry) {
                entry = fact_set_add(facts, image->id);
                if (!entry)
                        return -ENOMEM;
        }
        if (entry->n_history == FACTS_NO_HISTORY)
                entry->kind = image->parent_id[0] ? IMAGE_KIND_CLASSIC
                                                  : kind_from_comment(detail->comment);
        prefixes_done(&entry->layers);
        for (size_t i = 0; i < detail->layers.n; i++)
                if (prefixes_add(&entry->layers, text_hash(detail->layers.v[i])) < 0)
                        return -ENOMEM;
        entry->last_tagged_sec = detail->last_tagged_sec;
        entry->names_hash = hash_names(image);
        entry->dirty = true;
        return 0;
}

/* An image with a parent is the classic builder's; of a step without a name no more need be known. */
static bool needs_inspection(const Inventory *inventory, const Image *image) {
        const ImageFacts *facts;

        if (image->parent_id[0] && image->names.n == 0)
                return false;
        facts = fact_set_find(&inventory->facts, image->id);
        return !facts || facts->names_hash != hash_names(image);
}

/* Images that are inspected together. */
typedef struct Inspections {
        const Image *const *images;
        struct Inspection {
                ImageDetail detail;
                bool gone;
        } * v; /* one an image */
        size_t n;
} Inspections;

static void inspections_donep(Inspections *inspections) {
        for (size_t i = 0; inspections->v && i < inspections->n; i++)
                image_detail_done(&inspections->v[i].detail);
        free(inspections->v);
}

/* An image that went away meanwhile is no failure of the observation. */
static int inspect_one(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        Inspections *inspections = userdata;
        int r;

        r = docker_image(docker, inspections->images[i]->id, &inspections->v[i].detail,
                         reterr_diag);
        inspections->v[i].gone = r == -ENOENT;
        return r == -ENOENT ? 0 : r;
}

static int inspect_together(Docker *docker, const Image *const *images, size_t n,
                            Inventory *inventory, Diag *reterr_diag) {
        cleanup(inspections_done) Inspections inspections = {
                .images = images,
                .v = calloc(n, sizeof(*inspections.v)),
                .n = n,
        };
        int r;

        if (!inspections.v)
                return -ENOMEM;
        r = docker_parallel(docker, n, inspect_one, &inspections, reterr_diag);
        for (size_t i = 0; i < n && r >= 0; i++)
                if (!inspections.v[i].gone)
                        r = add_facts(images[i], &inspections.v[i].detail, &inventory->facts);
        return r;
}

static int inspect_images(Docker *docker, Inventory *inventory, Diag *reterr_diag) {
        const ImageSet *images = &inventory->images;
        cleanup_free const Image **needed = calloc(images->n + 1, sizeof(*needed));
        size_t n = 0;
        int r = 0;

        if (!needed)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++)
                if (needs_inspection(inventory, &images->v[i]))
                        needed[n++] = &images->v[i];
        for (size_t i = 0; i < n && r >= 0; i += INSPECTIONS_MAX)
                r = inspect_together(docker, &needed[i], MIN(n - i, (size_t)INSPECTIONS_MAX),
                                     inventory, reterr_diag);
        return r < 0 ? r : fact_set_index(&inventory->facts);
}

/* The entries of a history, newest first, as the engine gives them. */
typedef struct Entries {
        struct Entry {
                uint64_t hash;
                bool classic, buildkit;
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
                .hash = text_hash(normal),
                .classic = instruction_is_classic(created_by, comment),
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
                if (!entries->v[entries->n - 1 - i].classic)
                        n = i + 1;
        return n;
}

/* A history that can't be read is not known; then the image may serve. */
static int read_history(Docker *docker, const Image *image, ImageFacts *facts, Diag *reterr_diag) {
        cleanup(entries_done) Entries entries = { 0 };
        int r;

        r = docker_image_history(docker, image->id, on_entry, &entries, reterr_diag);
        if (r == -ENOENT || r == -EBADMSG || r == -EMSGSIZE)
                return 0;
        if (r < 0)
                return r;
        prefixes_done(&facts->steps);
        for (size_t i = entries.n; i > 0; i--)
                if (prefixes_add(&facts->steps, entries.v[i - 1].hash) < 0)
                        return -ENOMEM;
        if (facts->kind == IMAGE_KIND_CLASSIC && !image->parent_id[0] &&
            !(entries.n > 0 && entries.v[0].classic))
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
                const char *name = name_of_ours(config, image);
                ImageFacts *facts = name ? fact_set_find(&inventory->facts, image->id) : NULL;

                if (!facts)
                        continue;
                facts->dirty |= !facts->ours;
                facts->ours = true;
                if (facts->kind != IMAGE_KIND_OTHER)
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

/* Whether the history says who built the image, or whether it begins like ours. */
static bool history_decides(const Inventory *inventory, const Image *image,
                            const ImageFacts *facts) {
        if (image->parent_id[0])
                return image->names.n > 0 || !image_has_children(inventory, image);
        return facts && facts->kind == IMAGE_KIND_CLASSIC;
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

/* Untagged images that the classic builder ended with have no facts until here. */
static int add_leaves(Inventory *inventory, const bool *wanted) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *missing = calloc(images->n + 1, sizeof(*missing));

        if (!missing)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++)
                missing[i] = wanted[i] && !fact_set_find(&inventory->facts, images->v[i].id);
        for (size_t i = 0; i < images->n; i++) {
                ImageFacts *facts;

                if (!missing[i])
                        continue;
                facts = fact_set_add(&inventory->facts, images->v[i].id);
                if (!facts)
                        return -ENOMEM;
                facts->kind = IMAGE_KIND_CLASSIC;
        }
        return fact_set_index(&inventory->facts);
}

static int read_histories(Docker *docker, const Config *config, Inventory *inventory,
                          Diag *reterr_diag) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *wanted = calloc(images->n + 1, sizeof(*wanted));
        int r;

        if (!wanted)
                return -ENOMEM;
        r = find_ours(config, inventory, wanted);
        if (r < 0)
                return r;
        want_histories(inventory, wanted);
        r = add_leaves(inventory, wanted);
        for (size_t i = 0; i < images->n && r >= 0; i++) {
                ImageFacts *facts =
                        wanted[i] ? fact_set_find(&inventory->facts, images->v[i].id) : NULL;

                if (facts)
                        r = read_history(docker, &images->v[i], facts, reterr_diag);
        }
        return r;
}

/* Where the chain of an image of ours tells where its base image ends, that is remembered with it. */
static int find_bases(const Config *config, Inventory *inventory) {
        cleanup_free ImageChain *chains = NULL;
        int r = chains_find(inventory, config, &chains);

        if (r < 0)
                return r;
        for (size_t i = 0; i < inventory->images.n; i++) {
                ImageFacts *facts = fact_set_find(&inventory->facts, inventory->images.v[i].id);
                size_t n_base = facts ? image_base_entries(facts, &chains[i]) : 0;

                if (!facts || facts->n_base == n_base)
                        continue;
                facts->n_base = n_base;
                facts->dirty = true;
        }
        return 0;
}

/* What could not be read yet may be readable now. Returns whether some image is left that may carry
 * inline cache metadata for all that is known. */
static bool read_inline_caches(Inventory *inventory) {
        bool unknown = false;

        for (size_t i = 0; i < inventory->images.n; i++) {
                ImageFacts *facts = fact_set_find(&inventory->facts, inventory->images.v[i].id);

                if (!facts || facts->inline_cache != INLINE_CACHE_UNKNOWN)
                        continue;
                facts->inline_cache = read_inline_cache(&inventory->engine, facts->id);
                facts->dirty |= facts->inline_cache != INLINE_CACHE_UNKNOWN;
                unknown |= facts->inline_cache == INLINE_CACHE_UNKNOWN &&
                           facts->kind == IMAGE_KIND_BUILDKIT;
        }
        return unknown && inventory->image_store == IMAGE_STORE_GRAPHDRIVER;
}

/* Builds that made an image of which it is not known whether it carries inline cache metadata. */
typedef struct UnknownBuild {
        ImageFacts *facts;
        char ref[BUILD_REF_MAX];
} UnknownBuild;

typedef struct UnknownBuilds {
        const FactSet *facts;
        UnknownBuild *v;
        size_t n, size;
} UnknownBuilds;

static void unknown_builds_donep(UnknownBuilds *builds) {
        free(builds->v);
}

static int on_build(void *userdata, const Build *build) {
        UnknownBuilds *builds = userdata;

        for (size_t i = 0; i < build->results.n && !build->running; i++) {
                ImageFacts *facts = fact_set_find(builds->facts, build->results.v[i]);

                if (!facts || facts->inline_cache != INLINE_CACHE_UNKNOWN)
                        continue;
                if (array_grow(builds->v, builds->n, builds->size) < 0)
                        return -ENOMEM;
                builds->v[builds->n] = (UnknownBuild){ .facts = facts };
                strcpy(builds->v[builds->n++].ref, build->ref);
        }
        return 0;
}

/*
 * The engine's build history tells of the images that were built here. Where it can't be read, nothing is
 * known. One id is one configuration, inline cache metadata included, so any build of an image answers
 * for it.
 */
static int ask_build_history(Docker *docker, Inventory *inventory) {
        cleanup(unknown_builds_done) UnknownBuilds builds = { .facts = &inventory->facts };
        size_t n_asked = 0;
        int r;

        r = docker_builds(docker, BUILDS_ALL, on_build, &builds, NULL);
        for (size_t i = 0; i < builds.n && r >= 0 && n_asked < BUILDS_ASKED_MAX; i++) {
                ImageFacts *facts = builds.v[i].facts;
                bool inlined;

                if (facts->inline_cache != INLINE_CACHE_UNKNOWN)
                        continue;
                n_asked++;
                r = docker_build_had_inline_cache(docker, builds.v[i].ref, &inlined, NULL);
                if (r < 0)
                        break;
                facts->inline_cache = inlined ? INLINE_CACHE_YES : INLINE_CACHE_NO;
                facts->dirty = true;
        }
        return r == -ENOMEM || r == -ECANCELED ? r : 0;
}

int image_facts_observe(Docker *docker, const Config *config, Inventory *inventory,
                        Diag *reterr_diag) {
        int r;

        r = inspect_images(docker, inventory, reterr_diag);
        if (r >= 0)
                r = read_histories(docker, config, inventory, reterr_diag);
        if (r >= 0)
                r = find_bases(config, inventory);
        if (r >= 0 && read_inline_caches(inventory))
                r = ask_build_history(docker, inventory);
        return r;
}
