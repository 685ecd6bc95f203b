/* SPDX-License-Identifier: MIT */

/*
 * All steps that the classic builder made here are gone through from the newest to the oldest. The list of
 * images tells seconds; where those are the same, the engine is asked for the exact time.
 */

#include "janitor/named-stages.h"

#include "base/hash-set.h"
#include "base/text.h"
#include "janitor/chains.h"
#include "janitor/ownership.h"
#include "janitor/stages.h"
#include "janitor/step.h"

/* Between the last step of a stage that was built alone and the step of ours that follows. */
#define FOLLOWS_SEC 10

#define NO_STEP SIZE_MAX

/* A step, and the image with a name, or the stage of ours without one, that ends its build. */
typedef struct Step {
        int64_t created_sec;
        size_t image, end;
        size_t n_own; /* steps from the base image up to this one */
        bool ours;
} Step;

/* Of the things that an image copied, which ours copied, too. */
typedef enum Copied {
        COPIED_NOTHING,
        COPIED_ONE,  /* one file, or one set of files */
        COPIED_MUCH, /* a directory, or several of those */
} Copied;

typedef struct Walk {
        Docker *docker;
        Inventory *inventory;
        Step *steps;
        size_t n_steps;
        bool *stages; /* one an image: it turned out to be a stage of ours */
        ImageChain *chains;
        HashSet ends;     /* text_hash() of the ids of images that end builds of ours */
        HashSet contents; /* what their own steps copied: CLASSIC_STEP_CONTENTS and above */
        size_t n_asked, n_times_asked;
} Walk;

static void walk_donep(Walk *walk) {
        free(walk->steps);
        free(walk->stages);
        free(walk->chains);
        hash_set_done(&walk->ends);
        hash_set_done(&walk->contents);
}

/* What ends a build: an image with a name, or a stage of ours that is known as such. */
static bool ends_build(const Config *config, const Inventory *inventory, const Image *image,
                       bool *ret_ours) {
        const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);

        *ret_ours = image_is_ours(config, image) || (facts && facts->ours);
        return image->names.n > 0 || (*ret_ours && image_is_classic_leaf(inventory, image));
}

/* Newest first; of one second those of ours first, so that what others made then is asked about. */
static int compare_steps(const void *a, const void *b) {
        const Step *x = a, *y = b;

        if (x->created_sec != y->created_sec)
                return x->created_sec > y->created_sec ? -1 : 1;
        if (x->ours != y->ours)
                return y->ours - x->ours;
        if (x->n_own != y->n_own)
                return x->n_own > y->n_own ? -1 : 1;
        return (x->image > y->image) - (x->image < y->image);
}

/* A step belongs to the first build that is found to have it: ours are looked through before others. */
static void find_steps(Walk *walk, const Config *config, bool *visited, bool ours) {
        const ImageSet *images = &walk->inventory->images;
        const ImageChain *chains = walk->chains;

        for (size_t i = 0; i < images->n; i++) {
                bool is_ours;

                if (!chain_tells_base(&chains[i]) ||
                    !ends_build(config, walk->inventory, &images->v[i], &is_ours) ||
                    is_ours != ours)
                        continue;
                for (size_t j = i; j != chains[i].base && j != CHAIN_NO_IMAGE && !visited[j];
                     j = chains[j].parent) {
                        visited[j] = true;
                        walk->steps[walk->n_steps++] =
                                (Step){ images->v[j].created_sec, j, i, chains[j].n_own, ours };
                }
        }
}

static ImageFacts *facts_of(const Walk *walk, const Image *image) {
        return fact_set_find(&walk->inventory->facts, image->id);
}

/* What the image's own steps are to the classic builder, those above its base image: `*ret_n` of them. */
static const uint64_t *own_steps(const Walk *walk, size_t image, size_t *ret_n) {
        const ImageFacts *facts = facts_of(walk, &walk->inventory->images.v[image]);
        const ImageChain *chain = &walk->chains[image];
        const HashList *list = facts ? &facts->classic_steps : NULL;

        *ret_n = 0;
        /* A longer history is not kept whole. */
        if (!list || !chain_tells_base(chain) || (int64_t)list->n != facts->n_history ||
            chain->n_own > list->n)
                return NULL;
        *ret_n = chain->n_own;
        return list->v + list->n - chain->n_own;
}

/* What is known of the builds of ours: the images that end them, and what these copied. */
static int learn_ours(Walk *walk, const Config *config) {
        const ImageSet *images = &walk->inventory->images;
        bool ours;
        int r = 0;

        for (size_t i = 0; i < images->n && r >= 0; i++) {
                const uint64_t *v;
                size_t n;

                if (!ends_build(config, walk->inventory, &images->v[i], &ours) || !ours)
                        continue;
                r = hash_set_add(&walk->ends, text_hash(images->v[i].id));
                v = own_steps(walk, i, &n);
                for (size_t k = 0; k < n && r >= 0; k++)
                        if (v[k] >= CLASSIC_STEP_CONTENTS)
                                r = hash_set_add(&walk->contents, v[k]);
        }
        hash_set_sort(&walk->ends);
        hash_set_sort(&walk->contents);
        return r;
}

/* Whether the image copied what ours copied, so that it is made from the same directory. A single file may
 * well be the same in two applications, a script for instance. */
static Copied copied_like_ours(const Walk *walk, size_t image) {
        size_t n;
        const uint64_t *v = own_steps(walk, image, &n);
        uint64_t one = 0;

        for (size_t i = 0; i < n; i++) {
                if (v[i] < CLASSIC_STEP_CONTENTS || v[i] == one ||
                    !hash_set_contains(&walk->contents, v[i]))
                        continue;
                if (one != 0 || v[i] & CONTENTS_OF_DIRECTORY)
                        return COPIED_MUCH;
                one = v[i];
        }
        return one != 0 ? COPIED_ONE : COPIED_NOTHING;
}

static bool is_here(const Walk *walk, uint64_t id_hash) {
        return hash_set_contains(&walk->ends, id_hash);
}

static int order_steps(Walk *walk, const Config *config) {
        const size_t n = walk->inventory->images.n;
        cleanup_free bool *visited = calloc(n + 1, sizeof(*visited));
        int r;

        walk->steps = calloc(n + 1, sizeof(*walk->steps));
        walk->stages = calloc(n + 1, sizeof(*walk->stages));
        if (!visited || !walk->steps || !walk->stages)
                return -ENOMEM;
        r = chains_find(walk->inventory, config, &walk->chains);
        if (r >= 0)
                r = learn_ours(walk, config);
        if (r < 0)
                return r;
        find_steps(walk, config, visited, true);
        find_steps(walk, config, visited, false);
        qsort(walk->steps, walk->n_steps, sizeof(*walk->steps), compare_steps);
        return 0;
}

static int ask_time(Walk *walk, Image *image, Diag *reterr_diag) {
        return step_ask_time(walk->docker, facts_of(walk, image), image, &walk->n_times_asked,
                             reterr_diag);
}

/* Whether the image was made before the step; false where that is not known. */
static int was_made_before(Walk *walk, Image *image, Image *step, bool *ret, Diag *reterr_diag) {
        int r = 0;

        *ret = image->created_sec < step->created_sec;
        if (*ret || image->created_sec > step->created_sec)
                return 0;
        r = ask_time(walk, image, reterr_diag);
        if (r >= 0)
                r = ask_time(walk, step, reterr_diag);
        *ret = image->created_nsec && step->created_nsec &&
               image->created_nsec <= step->created_nsec;
        return r;
}

static bool follows_at_once(const Step *step, const Step *next) {
        int64_t sec;

        return !__builtin_sub_overflow(next->created_sec, step->created_sec, &sec) &&
               sec <= FOLLOWS_SEC;
}

/* The step that ends a build of others, and the step of ours that was made next. `*ret` stays what it is
 * where the engine does not answer. */
static int judge(Walk *walk, const Step *step, const Step *next, Copied copied, AmidOurs *ret,
                 Diag *reterr_diag) {
        Image *images = walk->inventory->images.v;
        Image *image = &images[step->image], *end = &images[next->end];
        ImageFacts *facts = facts_of(walk, image);
        StepAnswer answer = { .step = facts->step, .last_tagged_nsec = facts->last_tagged_nsec };
        bool before;
        int r = 0;

        if (answer.step == STEP_UNKNOWN && walk->n_asked++ < STEPS_ASKED_MAX)
                r = step_ask(walk->docker, image->id, facts, &answer, reterr_diag);
        if (r < 0 || answer.step == STEP_UNKNOWN)
                return r;
        *ret = AMID_OURS_NOT;
        if (answer.step != STEP_OTHER && !(answer.step == STEP_COMMAND && copied == COPIED_MUCH))
                return 0;
        r = was_made_before(walk, image, &images[next->image], &before, reterr_diag);
        if (r < 0 || !before)
                return r;
        *ret = MAX(facts->made_amid_ours, AMID_OURS_NAMED_BEFORE);
        if (answer.last_tagged_nsec / NSEC_PER_SEC < end->created_sec)
                return 0;
        r = ask_time(walk, end, reterr_diag);
        if (end->created_nsec && answer.last_tagged_nsec > end->created_nsec)
                *ret = AMID_OURS_NAMED_SINCE;
        return r;
}

/* What was found once holds as long as the image of ours that told it is gone: it can't be asked again. */
static int observe_end(Walk *walk, const Step *step, const Step *next, Diag *reterr_diag) {
        const Image *images = walk->inventory->images.v, *image = &images[step->image];
        ImageFacts *facts = facts_of(walk, image);
        uint64_t amid_hash = 0;
        Copied copied = copied_like_ours(walk, step->image);
        AmidOurs amid = AMID_OURS_NOT;
        int r = 0;

        if (!facts)
                return 0;
        if (!image->project && next->end != NO_STEP &&
            (copied != COPIED_NOTHING || follows_at_once(step, next))) {
                amid_hash = text_hash(images[next->end].id);
                amid = facts->made_amid_ours;
                if (!amid || facts->amid_hash != amid_hash)
                        r = judge(walk, step, next, copied, &amid, reterr_diag);
        } else if (facts->made_amid_ours && !is_here(walk, facts->amid_hash)) {
                amid_hash = facts->amid_hash;
                amid = facts->made_amid_ours;
        }
        if (r < 0)
                return r;
        amid_hash = amid ? amid_hash : 0;
        facts->dirty |= facts->made_amid_ours != amid || facts->amid_hash != amid_hash;
        facts->made_amid_ours = amid;
        facts->amid_hash = amid_hash;
        walk->stages[step->image] = amid != AMID_OURS_NOT;
        return 0;
}

/*
 * A step of others comes between what was made before it and `next`, unless it is a stage of ours. Steps are ordered
 * by whole seconds: one of the same second as `next` may have been made after it, and then lies between nothing.
 */
static int pass_step_of_others(Walk *walk, const Step *step, Step *next, Diag *reterr_diag) {
        Image *images = walk->inventory->images.v;
        bool before = true;
        int r = 0;

        if (next->end == NO_STEP)
                return 0;
        if (walk->stages[step->end]) {
                *next = (Step){ step->created_sec, step->image, next->end, 0, true };
                return 0;
        }
        if (step->created_sec == next->created_sec)
                r = was_made_before(walk, &images[step->image], &images[next->image], &before,
                                    reterr_diag);
        if (before)
                next->end = NO_STEP;
        return r;
}

int named_stages_observe(Docker *docker, const Config *config, Inventory *inventory,
                         Diag *reterr_diag) {
        cleanup(walk_done) Walk walk = { .docker = docker, .inventory = inventory };
        Step next = { .end = NO_STEP }; /* a step of ours, with nothing of others since */
        int r;

        r = order_steps(&walk, config);
        for (size_t i = 0; i < walk.n_steps && r >= 0; i++) {
                const Step *step = &walk.steps[i];

                if (step->image == step->end && !step->ours)
                        r = observe_end(&walk, step, &next, reterr_diag);
                if (r >= 0 && step->ours)
                        next = *step;
                else if (r >= 0)
                        r = pass_step_of_others(&walk, step, &next, reterr_diag);
        }
        return r;
}
