/* SPDX-License-Identifier: MIT */

#include "janitor/likeness.h"

#include "base/array.h"
#include "base/text.h"
#include "janitor/instruction.h"

static bool is_onbuild(uint64_t step) {
        return step == instruction_hash(INSTRUCTION_ONBUILD);
}

/* Adds the beginnings of the history. ONBUILD is passed over. Where the classic builder made the image, the
 * chain of its parents tells exactly where the base image ends; what docker commit made stands on none unless it
 * stands on a step. */
static int add_beginnings(Likeness *likeness, const ImageFacts *facts, size_t n_steps) {
        const bool built = n_steps == facts->steps.n || n_steps > facts->n_base;
        const bool exact = facts->kind == IMAGE_KIND_CLASSIC && built;
        uint64_t beginning = 0;
        int r = 0;

        for (size_t i = 0; i < n_steps && r >= 0; i++) {
                if (is_onbuild(facts->steps.v[i]))
                        continue;
                beginning = hash_prefix(beginning, facts->steps.v[i]);
                if (i >= facts->n_base)
                        r = hash_set_add(&likeness->steps, beginning);
                else if (exact)
                        r = hash_set_add(&likeness->below, beginning);
        }
        return r;
}

static uint64_t pair(uint64_t first, uint64_t second) {
        return hash_prefix(hash_prefix(0, first), second);
}

/* A step that the Dockerfile of an image of ours may begin with, by what is known of the base image. */
static int add_first_step(Likeness *likeness, const ImageFacts *facts, size_t i) {
        const uint64_t step = facts->steps.v[i];
        int r = 0;

        for (size_t k = 0; k < facts->bases.n && r >= 0; k++)
                r = hash_set_add(&likeness->on_named, pair(facts->bases.v[k], step));
        if (r < 0 || i == 0)
                return r;
        if (hash_list_contains(&facts->bases, text_hash(BASE_NAMELESS)))
                r = hash_set_add(&likeness->on_nameless, pair(facts->steps.v[0], step));
        else if (facts->bases.n == 0)
                r = hash_set_add(&likeness->on_unknown, pair(facts->steps.v[i - 1], step));
        return r;
}

/* The first step, and those after it as long as they are ONBUILD, for which one builder has no entry. */
static bool is_past_first_step(const ImageFacts *facts, size_t i) {
        return i > facts->n_base && !is_onbuild(facts->steps.v[i - 1]);
}

/* What the classic builder made tells exactly where the base image ends. */
static int add_first_steps(Likeness *likeness, const ImageFacts *facts, size_t n_steps) {
        int r = 0;

        for (size_t i = facts->n_base; i < n_steps && r >= 0; i++) {
                if (facts->kind == IMAGE_KIND_CLASSIC && is_past_first_step(facts, i))
                        break;
                r = add_first_step(likeness, facts, i);
        }
        return r;
}

/* In any order. */
static uint64_t hash_of_all(const HashList *list) {
        uint64_t sum = 0;

        for (size_t i = 0; i < list->n; i++)
                sum += hash_prefix(0, list->v[i]);
        return sum;
}

/* The history up to the last step of the classic builder; 0: it has none. */
static uint64_t hash_classic_part(const ImageFacts *facts) {
        uint64_t hash = 0, part = 0;

        for (size_t i = 0; i < facts->steps.n && i < facts->classic_steps.n; i++) {
                hash = hash_prefix(hash, facts->steps.v[i]);
                if (facts->classic_steps.v[i] != CLASSIC_STEP_NO)
                        part = hash;
        }
        return part;
}

static int add_classic_part(Likeness *likeness, const ImageFacts *facts) {
        const uint64_t part = hash_classic_part(facts);

        if (facts->kind != IMAGE_KIND_BUILDKIT || part == 0)
                return 0;
        if (array_grow(likeness->classic_parts, likeness->n_classic_parts,
                       likeness->classic_parts_size) < 0)
                return -ENOMEM;
        likeness->classic_parts[likeness->n_classic_parts++] = part;
        return 0;
}

int likeness_add_ours(Likeness *likeness, const ImageFacts *facts, size_t n_steps) {
        int r;

        likeness->histories_known |= n_steps > facts->n_base;
        r = add_beginnings(likeness, facts, n_steps);
        if (r >= 0)
                r = add_first_steps(likeness, facts, n_steps);
        if (r >= 0)
                r = add_classic_part(likeness, facts);
        if (r >= 0 && facts->project_hash != 0)
                r = hash_set_add(&likeness->projects, facts->project_hash);
        if (r >= 0 && facts->stages.n > 0)
                r = hash_set_add(&likeness->builds, hash_of_all(&facts->stages));
        for (size_t i = 0; i < facts->stages.n && r >= 0; i++)
                r = hash_set_add(&likeness->stages, facts->stages.v[i]);
        for (size_t i = 0; i + 1 < facts->layers.n && r >= 0; i++)
                r = hash_set_add(&likeness->beginnings, facts->layers.v[i]);
        if (facts->layers.n > 0 && r >= 0)
                r = hash_set_add(&likeness->wholes, facts->layers.v[facts->layers.n - 1]);
        return r;
}

int likeness_add_base(Likeness *likeness, const ImageFacts *facts) {
        if (facts->layers.n == 0)
                return 0;
        return hash_set_add(&likeness->bases, facts->layers.v[facts->layers.n - 1]);
}

static int compare_hashes(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

void likeness_sort(Likeness *likeness) {
        if (likeness->n_classic_parts > 0)
                qsort(likeness->classic_parts, likeness->n_classic_parts,
                      sizeof(*likeness->classic_parts), compare_hashes);
        hash_set_sort(&likeness->steps);
        hash_set_sort(&likeness->below);
        hash_set_sort(&likeness->on_named);
        hash_set_sort(&likeness->on_nameless);
        hash_set_sort(&likeness->on_unknown);
        hash_set_sort(&likeness->stages);
        hash_set_sort(&likeness->builds);
        hash_set_sort(&likeness->projects);
        hash_set_sort(&likeness->beginnings);
        hash_set_sort(&likeness->wholes);
        hash_set_sort(&likeness->bases);
}

void likeness_done(Likeness *likeness) {
        free(likeness->classic_parts);
        hash_set_done(&likeness->steps);
        hash_set_done(&likeness->below);
        hash_set_done(&likeness->on_named);
        hash_set_done(&likeness->on_nameless);
        hash_set_done(&likeness->on_unknown);
        hash_set_done(&likeness->stages);
        hash_set_done(&likeness->builds);
        hash_set_done(&likeness->projects);
        hash_set_done(&likeness->beginnings);
        hash_set_done(&likeness->wholes);
        hash_set_done(&likeness->bases);
        *likeness = (Likeness){ 0 };
}

/* Whether the classic builder takes entry i of the history for a step. */
static bool is_classic_step(const ImageFacts *facts, size_t i) {
        return i < facts->classic_steps.n && facts->classic_steps.v[i] != CLASSIC_STEP_NO;
}

/* Past the first `from` entries. `classic`: up to an entry that is a step to the classic builder. */
static bool has_beginning_of_ours(const Likeness *likeness, const ImageFacts *facts, size_t from,
                                  bool classic) {
        uint64_t beginning = 0;

        for (size_t i = 0; i < facts->steps.n; i++) {
                if (is_onbuild(facts->steps.v[i]))
                        continue;
                beginning = hash_prefix(beginning, facts->steps.v[i]);
                if (i >= from && (!classic || is_classic_step(facts, i)) &&
                    hash_set_contains(&likeness->steps, beginning))
                        return true;
        }
        return false;
}

bool likeness_is_below(const Likeness *likeness, const ImageFacts *facts) {
        uint64_t beginning = 0;

        if (!facts)
                return false;
        for (size_t i = 0; i < facts->steps.n; i++)
                if (!is_onbuild(facts->steps.v[i]))
                        beginning = hash_prefix(beginning, facts->steps.v[i]);
        return hash_set_contains(&likeness->below, beginning);
}

bool likeness_shares_base(const Likeness *likeness, const ImageFacts *facts) {
        const uint64_t part = hash_classic_part(facts), *v = likeness->classic_parts;
        const size_t n = likeness->n_classic_parts;
        const uint64_t *found = n > 0 ? bsearch(&part, v, n, sizeof(*v), compare_hashes) : NULL;

        return found &&
               ((found > v && found[-1] == part) || (found + 1 < v + n && found[1] == part));
}

static bool has_first_step_of_ours(const Likeness *likeness, const ImageFacts *facts,
                                   const HashList *bases, size_t i) {
        const uint64_t step = facts->steps.v[i];

        for (size_t k = 0; k < bases->n; k++)
                if (hash_set_contains(&likeness->on_named, pair(bases->v[k], step)))
                        return true;
        return i > 0 &&
               (hash_set_contains(&likeness->on_nameless, pair(facts->steps.v[0], step)) ||
                hash_set_contains(&likeness->on_unknown, pair(facts->steps.v[i - 1], step)));
}

/* A base image that FROM of some stage of ours named, or none. */
static bool has_base_of_ours(const Likeness *likeness, const HashList *bases) {
        for (size_t i = 0; i < bases->n; i++)
                if (bases->v[i] == text_hash(BASE_SCRATCH) ||
                    hash_set_contains(&likeness->stages, instruction_hash_of_from(bases->v[i])))
                        return true;
        return false;
}

/* Of the instructions that make a layer, which alone BuildKit's records name, the first one or most. */
static bool is_stage_of_ours(const Likeness *likeness, const ImageFacts *facts,
                             const HashList *bases) {
        size_t n = 0, n_ours = 0;
        bool first_is_ours = false;

        if (!has_base_of_ours(likeness, bases))
                return false;
        for (size_t i = facts->n_base; i < facts->steps.n; i++) {
                if (!instruction_makes_layer(facts->steps.v[i]))
                        continue;
                n_ours += hash_set_contains(&likeness->stages, facts->steps.v[i]);
                first_is_ours |= n == 0 && n_ours > 0;
                n++;
        }
        return first_is_ours || 2 * n_ours > n;
}

bool likeness_of_history(const Likeness *likeness, const ImageFacts *facts, const HashList *bases,
                         bool exact) {
        const size_t from = exact ? facts->n_base : 0;

        if (has_beginning_of_ours(likeness, facts, from, true) ||
            is_stage_of_ours(likeness, facts, bases))
                return true;
        /* No build stands on what has no name any more. */
        if (hash_list_contains(bases, text_hash(BASE_NAMELESS)))
                return false;
        for (size_t i = from; i < facts->steps.n; i++) {
                if (exact && is_past_first_step(facts, i))
                        break;
                if (is_classic_step(facts, i) && has_first_step_of_ours(likeness, facts, bases, i))
                        return true;
        }
        return false;
}

bool likeness_of_classic(const Likeness *likeness, const ImageFacts *facts, const HashList *bases,
                         bool exact) {
        if (!likeness->histories_known || !facts || facts->n_history == FACTS_NO_HISTORY)
                return true;
        if (facts->n_base >= HASHES_MAX) /* its own steps are beyond what is kept */
                return true;
        return likeness_of_history(likeness, facts, bases, exact);
}

static bool begins_like_ours(const Likeness *likeness, uint64_t hash) {
        return hash_set_contains(&likeness->beginnings, hash) ||
               hash_set_contains(&likeness->wholes, hash);
}

/* Layers in common with ours, without those of a common base: an image whose own layers end where those
 * in common do is not its own base. */
static bool shares_layers(const Likeness *likeness, const HashList *layers) {
        size_t n_common = 0, n_base = 0;

        while (n_common < layers->n && begins_like_ours(likeness, layers->v[n_common]))
                n_common++;
        for (size_t i = 0; i < n_common && i + 1 < layers->n; i++)
                if (hash_set_contains(&likeness->bases, layers->v[i]))
                        n_base = i + 1;
        return n_common > n_base;
}

/* All that its build did, builds of ours do. Where a build of ours does no more than that, it is no stage
 * but the same Dockerfile, perhaps with other contents: then the layers tell. */
static bool is_built_like_stage(const Likeness *likeness, const HashList *stages) {
        for (size_t i = 0; i < stages->n; i++)
                if (!hash_set_contains(&likeness->stages, stages->v[i]))
                        return false;
        return stages->n > 0 && !hash_set_contains(&likeness->builds, hash_of_all(stages));
}

bool likeness_of_buildkit(const Likeness *likeness, const ImageFacts *facts, bool pulled) {
        const HashList *layers = facts ? &facts->layers : NULL;

        if (!layers || layers->n == 0)
                return false;
        /* BuildKit asks for instructions and contents, not for layers: where files differ in their times
         * alone, no layer is the same, and each step serves. */
        if (facts->inline_cache == INLINE_CACHE_YES)
                return shares_layers(likeness, layers) ||
                       has_beginning_of_ours(likeness, facts, facts->n_base, false) ||
                       is_built_like_stage(likeness, &facts->stages);
        for (size_t i = 0; i < layers->n; i++)
                if (hash_set_contains(&likeness->wholes, layers->v[i]))
                        return true;
        return !pulled && hash_set_contains(&likeness->beginnings, layers->v[layers->n - 1]);
}

bool likeness_of_project(const Likeness *likeness, const char *project) {
        return hash_set_contains(&likeness->projects, text_hash(project));
}
