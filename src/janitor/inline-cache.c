/* SPDX-License-Identifier: MIT */

#include "janitor/inline-cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/io.h"
#include "docker/history.h"
#include "wire/json.h"

#define IMAGE_CONFIG_BYTES_MAX (4U * 1024U * 1024U)
/* Builds whose steps a run asks for: each is a call. The next run asks for more. */
#define BUILDS_ASKED_MAX 64

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

/* What could not be read yet may be readable now. Returns whether the build history may tell more. */
static bool read_inline_caches(Inventory *inventory) {
        bool unknown = false;

        for (size_t i = 0; i < inventory->images.n; i++) {
                ImageFacts *facts = fact_set_find(&inventory->facts, inventory->images.v[i].id);

                if (!facts || facts->inline_cache != INLINE_CACHE_UNKNOWN)
                        continue;
                facts->inline_cache = read_inline_cache(&inventory->engine, facts->id);
                facts->dirty |= facts->inline_cache != INLINE_CACHE_UNKNOWN;
                unknown |= facts->inline_cache == INLINE_CACHE_UNKNOWN && !facts->build_asked &&
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

        for (size_t i = 0; i < inventory->facts.n; i++)
                inventory->facts.v[i].build_asked = true;
        r = docker_builds(docker, BUILDS_ALL, on_build, &builds, NULL);
        for (size_t i = 0; i < builds.n && r >= 0 && n_asked < BUILDS_ASKED_MAX; i++) {
                ImageFacts *facts = builds.v[i].facts;
                bool inlined;

                if (facts->inline_cache != INLINE_CACHE_UNKNOWN)
                        continue;
                n_asked++;
                r = docker_build_had_inline_cache(docker, builds.v[i].ref, &inlined, NULL);
                if (r >= 0) {
                        facts->inline_cache = inlined ? INLINE_CACHE_YES : INLINE_CACHE_NO;
                        facts->dirty = true;
                } else if (failure_is_of_object(r)) { /* of this record; another one may tell */
                        r = 0;
                }
        }
        return r == -ENOMEM || r == -ECANCELED ? r : 0;
}

int inline_caches_observe(Docker *docker, Inventory *inventory) {
        return read_inline_caches(inventory) ? ask_build_history(docker, inventory) : 0;
}
