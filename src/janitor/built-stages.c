/* SPDX-License-Identifier: MIT */

/*
 * A record holds all that its build printed, so that few are asked for in one run; the next run asks
 * for more.
 */

#include "janitor/built-stages.h"

#include <string.h>

#include "base/array.h"
#include "docker/history.h"
#include "janitor/instruction.h"

#define BUILDS_ASKED_MAX 16

/* A step comes several times, while its state changes. */
static int on_step(void *userdata, const BuildStep *step) {
        HashList *stages = userdata;
        uint64_t hash;
        /* A name that fills its room may be cut off. */
        bool told = !step->part && strlen(step->name) < BUILD_NAME_MAX - 1;
        int r = !told ? 0 : instruction_hash_of_step(step->name, &hash);

        if (r <= 0 || hash_list_contains(stages, hash))
                return r;
        return hash_list_add(stages, hash);
}

/* A build that made an image whose stages are not known. */
typedef struct Candidate {
        ImageFacts *facts;
        int64_t completed_nsec;
        char ref[BUILD_REF_MAX];
} Candidate;

typedef struct Candidates {
        const FactSet *facts;
        Index wanted; /* ids of images */
        Candidate *v;
        size_t n, size;
} Candidates;

static void candidates_donep(Candidates *candidates) {
        index_done(&candidates->wanted);
        free(candidates->v);
}

static int on_build(void *userdata, const Build *build) {
        Candidates *candidates = userdata;

        for (size_t i = 0; i < build->results.n && !build->running && !build->failed; i++) {
                Candidate *candidate;

                if (!index_find(&candidates->wanted, build->results.v[i], NULL))
                        continue;
                if (array_grow(candidates->v, candidates->n, candidates->size) < 0)
                        return -ENOMEM;
                candidate = &candidates->v[candidates->n++];
                candidate->facts = fact_set_find(candidates->facts, build->results.v[i]);
                candidate->completed_nsec = build->completed_nsec;
                strcpy(candidate->ref, build->ref);
        }
        return 0;
}

static int compare_candidates(const void *a, const void *b) {
        const Candidate *x = a, *y = b;

        return (x->completed_nsec < y->completed_nsec) - (x->completed_nsec > y->completed_nsec);
}

static bool carries_inline_cache(const Inventory *inventory, const ImageFacts *facts) {
        return inventory->image_store == IMAGE_STORE_GRAPHDRIVER &&
               facts->inline_cache == INLINE_CACHE_YES;
}

/* Returns whether some image of others may serve. */
static int find_wanted(const Inventory *inventory, Index *ret) {
        bool others = false;

        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];
                const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);
                bool is_inline = facts && carries_inline_cache(inventory, facts);

                if (!facts || image_is_untagged(image))
                        continue;
                others |= !facts->ours && (is_inline || image_kind_is_classic(facts->kind));
                if (facts->kind == IMAGE_KIND_BUILDKIT && facts->stages.n == 0 &&
                    (facts->ours || is_inline) && index_add(ret, image->id, i) < 0)
                        return -ENOMEM;
        }
        index_sort(ret);
        return others && ret->n > 0;
}

/* A record that can't be read tells nothing, but an older one may. */
static int ask(Docker *docker, const Candidate *candidate) {
        cleanup(hash_list_done) HashList stages = { 0 };
        ImageFacts *facts = candidate->facts;
        int r;

        r = docker_build_steps(docker, candidate->ref, on_step, &stages, NULL);
        if (failure_is_of_object(r))
                return 0;
        if (r < 0 || stages.n == 0)
                return r;
        hash_list_done(&facts->stages);
        facts->stages = stages;
        stages = (HashList){ 0 };
        facts->dirty = true;
        return 0;
}

int built_stages_observe(Docker *docker, Inventory *inventory) {
        cleanup(candidates_done) Candidates candidates = { .facts = &inventory->facts };
        size_t n_asked = 0;
        int r;

        r = find_wanted(inventory, &candidates.wanted);
        if (r <= 0)
                return r;
        r = docker_builds(docker, BUILDS_ALL, on_build, &candidates, NULL);
        if (candidates.n > 0)
                qsort(candidates.v, candidates.n, sizeof(*candidates.v), compare_candidates);
        for (size_t i = 0; i < candidates.n && n_asked < BUILDS_ASKED_MAX && r >= 0; i++) {
                if (candidates.v[i].facts->stages.n > 0) /* by another build of the image */
                        continue;
                n_asked++;
                r = ask(docker, &candidates.v[i]);
        }
        return r == -ENOMEM || r == -ECANCELED ? r : 0;
}
