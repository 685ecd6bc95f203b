/* SPDX-License-Identifier: MIT */

#include "janitor/build-steps.h"

#include <string.h>

#include "docker/name.h"
#include "docker/references.h"
#include "janitor/instruction.h"
#include "janitor/ownership.h"

/* Builds whose steps a run asks for: each is a call. BuildKit keeps 50 builds if nothing else is set. */
#define BUILDS_ASKED_MAX 64

/* What the steps of one build tell. */
typedef struct BuildSteps {
        HashList stages;
        Strv images; /* that it names, each at least once */
        bool has_inline_cache;
} BuildSteps;

static void build_steps_donep(BuildSteps *steps) {
        hash_list_done(&steps->stages);
        strv_done(&steps->images);
}

const char *build_step_image(const char *name) {
        static const char *const words[] = { "FROM ", "load metadata for " };
        const char *end = *name == '[' ? strstr(name, "] ") : NULL;
        const char *text = end ? end + 2 : name;

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strncmp(text, words[i], strlen(words[i])) == 0)
                        return text + strlen(words[i]);
        return NULL;
}

/* Of a reference by digest alone the repository. */
static int add_image(BuildSteps *steps, const char *reference) {
        cleanup_free char *name = NULL;

        if (reference_name(reference, &name) < 0)
                return -ENOMEM;
        name = name ?: reference_repository(reference);
        if (!name)
                return -ENOMEM;
        if (steps->images.n == FACTS_NEEDS_MAX || strv_contains(&steps->images, name))
                return 0;
        return strv_add(&steps->images, name);
}

static int add_instruction(BuildSteps *steps, const char *name) {
        uint64_t hash;
        int r = instruction_hash_of_step(name, &hash);

        if (r <= 0 || hash_list_contains(&steps->stages, hash))
                return r;
        return hash_list_add(&steps->stages, hash);
}

/* A step comes several times, while its state changes. */
static int on_step(void *userdata, const BuildStep *step) {
        BuildSteps *steps = userdata;
        const char *image;
        int r;

        steps->has_inline_cache |= build_step_is_inline_cache(step);
        /* A name that fills its room may be cut off. */
        if (step->part || strlen(step->name) >= BUILD_NAME_MAX - 1)
                return 0;
        image = build_step_image(step->name);
        r = image ? add_image(steps, image) : 0;
        return r < 0 ? r : add_instruction(steps, step->name);
}

static bool bears_name_of(const Image *image, uint64_t repository) {
        for (size_t i = 0; image && i < image->names.n; i++)
                if (name_repository_hash(image->names.v[i]) == repository)
                        return true;
        return false;
}

/* Whether the image that the build made is, or was, of the same repository as the one it needs: that repository
 * has releases, too, so it is no sign of a base image. */
static bool is_of_needed_repository(const Inventory *inventory, const EndedBuild *build,
                                    const char *name) {
        const uint64_t repository = name_repository_hash(name);

        for (size_t i = 0; i < build->images.n; i++) {
                const char *id = build->images.v[i];
                const ImageFacts *facts = fact_set_find(&inventory->facts, id);

                if ((facts && hash_list_contains(&facts->names, repository)) ||
                    bears_name_of(image_set_find(&inventory->images, id), repository))
                        return true;
        }
        return false;
}

static int add_need(const Inventory *inventory, const EndedBuild *build, const char *name,
                    ImageFacts *facts) {
        int r = facts_add_need(facts, name);

        if (r >= 0 && !is_of_needed_repository(inventory, build, name))
                r = facts_add_needed_repository(facts, name);
        return r;
}

/* One id is one configuration, inline cache metadata included, so any build of an image answers for it. */
static int note_result(const Inventory *inventory, const EndedBuild *build, ImageFacts *facts,
                       BuildSteps *steps) {
        int r = 0;

        if (facts->stages.n == 0 && steps->stages.n > 0) {
                for (size_t i = 0; i < steps->stages.n && r >= 0; i++)
                        r = hash_list_add(&facts->stages, steps->stages.v[i]);
                facts->dirty = true;
        }
        if (inventory->image_store == IMAGE_STORE_GRAPHDRIVER &&
            facts->inline_cache == INLINE_CACHE_UNKNOWN) {
                facts->inline_cache = steps->has_inline_cache ? INLINE_CACHE_YES : INLINE_CACHE_NO;
                facts->dirty = true;
        }
        for (size_t i = 0; i < steps->images.n && r >= 0; i++)
                r = add_need(inventory, build, steps->images.v[i], facts);
        return r;
}

/* Of an image that is needed and still here, its own facts tell so, too: those of the image that was built
 * may never have been known. */
static int note_need(const Config *config, Inventory *inventory, const EndedBuild *build,
                     const char *name) {
        const Image *image = image_set_find_name(&inventory->images, name);
        ImageFacts *facts = image && image_is_ours(config, image)
                                    ? fact_set_find(&inventory->facts, image->id)
                                    : NULL;

        return facts ? add_need(inventory, build, name, facts) : 0;
}

/* A build may take its image from the one that bore its name before: "FROM app:latest" for app:latest. That image
 * has the name no more. */
static void drop_own_names(const Inventory *inventory, const EndedBuild *build, Strv *names) {
        size_t n = 0;

        for (size_t i = 0; i < names->n; i++) {
                const Image *bearer = image_set_find_name(&inventory->images, names->v[i]);

                if (bearer && strv_contains(&build->images, bearer->id))
                        free(names->v[i]);
                else
                        names->v[n++] = names->v[i];
        }
        names->n = n;
}

static int note_build(const Config *config, Inventory *inventory, const EndedBuild *build,
                      BuildSteps *steps) {
        int r = 0;

        drop_own_names(inventory, build, &steps->images);
        for (size_t i = 0; i < build->images.n && r >= 0; i++) {
                ImageFacts *facts = fact_set_find(&inventory->facts, build->images.v[i]);

                if (facts)
                        r = note_result(inventory, build, facts, steps);
        }
        for (size_t i = 0; i < steps->images.n && r >= 0; i++)
                r = note_need(config, inventory, build, steps->images.v[i]);
        return r;
}

/* An image that is gone may be loaded again, after its build was read. */
static int add_facts_of_results(Inventory *inventory, size_t n_builds) {
        const EndedBuild *builds = inventory->builds.ended;
        FactSet *facts = &inventory->facts;
        const size_t n_known = facts->n;

        for (size_t i = 0; i < n_builds; i++)
                for (size_t j = 0; j < builds[i].images.n; j++) {
                        const char *id = builds[i].images.v[j];

                        if (strlen(id) < IMAGE_ID_MAX && !fact_set_find(facts, id) &&
                            !fact_set_add(facts, id))
                                return -ENOMEM;
                }
        return facts->n == n_known ? 0 : fact_set_index(facts);
}

/* Returns 0 also for a record that can't be read: another one may tell more. */
static int read_build(Docker *docker, const Config *config, Inventory *inventory,
                      const EndedBuild *build) {
        cleanup(build_steps_done) BuildSteps steps = { 0 };
        int r;

        r = docker_build_steps(docker, build->ref, on_step, &steps, NULL);
        if (failure_is_of_object(r))
                return 0;
        return r < 0 ? r : note_build(config, inventory, build, &steps);
}

int build_steps_observe(Docker *docker, const Config *config, Inventory *inventory) {
        const Builds *builds = &inventory->builds;
        const size_t n = MIN(builds->n_ended, (size_t)BUILDS_ASKED_MAX);
        int r;

        r = add_facts_of_results(inventory, n);
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = read_build(docker, config, inventory, &builds->ended[i]);
                if (r >= 0 && inventory->watch)
                        r = build_watch_note_read(inventory->watch, builds->ended[i].ref);
        }
        return r == -ENOMEM || r == -ECANCELED ? r : 0;
}
