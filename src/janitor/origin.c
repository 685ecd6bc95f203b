/* SPDX-License-Identifier: MIT */

/*
 * The trap is a build of ours that failed or bears no name: its steps are in no history of ours, and serve the
 * next build. So an untagged image counts as others' by what is known of itself, or by a time that two
 * builds one after the other do not reach, and never because it is unlike ours.
 */

#include "janitor/origin.h"

#include <string.h>

#include "docker/name.h"
#include "docker/parallel.h"
#include "janitor/chains.h"
#include "janitor/ownership.h"
#include "janitor/stages.h"
#include "janitor/step.h"

#define NO_IMAGE SIZE_MAX
/* An engine's answer may date any number of images to one second: more than these are not compared. */
#define TOGETHER_MAX 256

/* Names */

static void note_names(const Config *config, Inventory *inventory) {
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];
                ImageFacts *facts = image->names.n > 0
                                            ? fact_set_find(&inventory->facts, image->id)
                                            : NULL;
                bool of_others, ours;

                if (!facts)
                        continue;
                of_others = facts->of_others;
                ours = facts->ours;
                for (size_t k = 0; k < image->names.n; k++) {
                        const char *name = image->names.v[k];

                        if (name_is_rollback(config, name))
                                ours = ours || name_matches_any(&config->match, name);
                        else if (!name_is_trash(name))
                                of_others = of_others || !name_is_ours(config, image, name) ||
                                            name_matches_any(&config->base, name);
                }
                facts->dirty |= facts->of_others != of_others || facts->ours != ours;
                facts->of_others = of_others;
                facts->ours = ours;
        }
}

/* Leaves */

/* A leaf that the engine is asked about. */
typedef struct Question {
        const Inventory *inventory;
        const Image *leaf;
        ImageFacts *facts;
} Question;

static int ask(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        const Question *question = (const Question *)userdata + i;
        ImageFacts *facts = question->facts;
        StepAnswer answer;
        int r;

        r = step_ask(docker, question->leaf->id, NULL, &answer, reterr_diag);
        if (r < 0 || answer.step == STEP_UNKNOWN)
                return r;
        facts->commit = answer.step == STEP_NONE ? COMMIT_YES : COMMIT_NO;
        facts->created_nsec = answer.created_nsec;
        if (question->inventory->image_store == IMAGE_STORE_GRAPHDRIVER)
                facts->bore_name |= answer.last_tagged_nsec != 0;
        facts->dirty = true;
        return 0;
}

static int ask_leaves(Docker *docker, Inventory *inventory, Diag *reterr_diag) {
        const ImageSet *images = &inventory->images;
        cleanup_free Question *questions = calloc(images->n + 1, sizeof(*questions));
        size_t n = 0;
        int r = 0;

        if (!questions)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++) {
                ImageFacts *facts = image_is_classic_leaf(inventory, &images->v[i])
                                            ? fact_set_find(&inventory->facts, images->v[i].id)
                                            : NULL;

                if (!facts || facts->commit != COMMIT_UNKNOWN)
                        continue;
                if (facts->kind == IMAGE_KIND_OTHER && facts->n_history != FACTS_NO_HISTORY) {
                        facts->commit = COMMIT_YES; /* with a comment */
                        facts->dirty = true;
                        continue;
                }
                questions[n++] = (Question){ inventory, &images->v[i], facts };
        }
        if (n >= DOCKER_PARALLEL_MIN)
                return docker_parallel(docker, n, ask, questions, reterr_diag);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = ask(docker, i, questions, reterr_diag);
        return r;
}

int origins_observe(Docker *docker, const Config *config, Inventory *inventory,
                    Diag *reterr_diag) {
        note_names(config, inventory);
        return ask_leaves(docker, inventory, reterr_diag);
}

/* Stages of others */

/* Whose images stand on a step. */
#define ENDS_OURS 1U
#define ENDS_OTHERS 2U

typedef struct Walk {
        Docker *docker;
        const Config *config;
        Inventory *inventory;
        ImageChain *chains;
        size_t *order; /* positions of the classic images, the oldest first, parents before children */
        size_t n;
        unsigned char *ends;
        size_t *later_than; /* the leaf, plus one, that an image was last found to be later than */
        size_t n_asked;
        bool *asked; /* for its time */
} Walk;

static void walk_donep(Walk *walk) {
        free(walk->chains);
        free(walk->order);
        free(walk->ends);
        free(walk->later_than);
        free(walk->asked);
}

static ImageFacts *facts_of(const Walk *walk, size_t i) {
        return fact_set_find(&walk->inventory->facts, walk->inventory->images.v[i].id);
}

static void mark_chain(Walk *walk, size_t image, unsigned char mark) {
        for (size_t i = image; i != CHAIN_NO_IMAGE && !(walk->ends[i] & mark);
             i = walk->chains[i].parent)
                walk->ends[i] |= mark;
}

/* An image that bears or bore a name ends a build. */
static void mark_ends(Walk *walk) {
        for (size_t i = 0; i < walk->inventory->images.n; i++) {
                const ImageFacts *facts = facts_of(walk, i);

                if (!facts || facts->commit == COMMIT_YES)
                        continue;
                if (facts->ours || image_is_ours(walk->config, &walk->inventory->images.v[i]))
                        mark_chain(walk, i, ENDS_OURS);
                else if (facts->of_others || facts->bore_name)
                        mark_chain(walk, i, ENDS_OTHERS);
        }
}

static int compare_images(const void *a, const void *b, void *userdata) {
        const Walk *walk = userdata;
        const size_t x = *(const size_t *)a, y = *(const size_t *)b;
        const Image *v = walk->inventory->images.v;

        if (v[x].created_sec != v[y].created_sec)
                return v[x].created_sec < v[y].created_sec ? -1 : 1;
        if (walk->chains[x].n_own != walk->chains[y].n_own)
                return walk->chains[x].n_own < walk->chains[y].n_own ? -1 : 1;
        return (x > y) - (x < y);
}

static int prepare(Walk *walk) {
        const Inventory *inventory = walk->inventory;
        const size_t n = inventory->images.n;
        int r;

        walk->order = calloc(n + 1, sizeof(*walk->order));
        walk->ends = calloc(n + 1, sizeof(*walk->ends));
        walk->later_than = calloc(n + 1, sizeof(*walk->later_than));
        walk->asked = calloc(n + 1, sizeof(*walk->asked));
        if (!walk->order || !walk->ends || !walk->later_than || !walk->asked)
                return -ENOMEM;
        r = chains_find(inventory, walk->config, &walk->chains);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (image_is_classic(inventory, &inventory->images.v[i]))
                        walk->order[walk->n++] = i;
        qsort_r(walk->order, walk->n, sizeof(*walk->order), compare_images, walk);
        mark_ends(walk);
        return 0;
}

/* A leaf of which neither its own facts nor stages_observe() tell whose it is. */
static bool is_open(const Walk *walk, size_t i) {
        const Image *image = &walk->inventory->images.v[i];
        const ImageFacts *facts = facts_of(walk, i);

        return facts && image_is_classic_leaf(walk->inventory, image) && !image->may_be_stage &&
               !image->next_step && !facts->ours && !facts->of_others && !facts->bore_name &&
               facts->commit == COMMIT_NO && facts->created_nsec;
}

static int ask_time(Walk *walk, size_t i, Diag *reterr_diag) {
        Image *image = &walk->inventory->images.v[i];
        const size_t n_asked = walk->n_asked;
        int r;

        r = step_ask_time(walk->docker, facts_of(walk, i), image, &walk->n_asked, reterr_diag);
        walk->asked[i] |= r >= 0 && walk->n_asked > n_asked && image->created_nsec;
        return r;
}

/* Of steps below an image nothing else is remembered. */
static int remember_times(const Walk *walk) {
        FactSet *facts = &walk->inventory->facts;
        bool added = false;

        for (size_t i = 0; i < walk->inventory->images.n; i++) {
                const Image *image = &walk->inventory->images.v[i];
                ImageFacts *entry;

                if (!walk->asked[i] || facts_of(walk, i))
                        continue;
                entry = fact_set_add(facts, image->id);
                if (!entry)
                        return -ENOMEM;
                entry->kind = IMAGE_KIND_CLASSIC;
                entry->created_nsec = image->created_nsec;
                added = true;
        }
        return added ? fact_set_index(facts) : 0;
}

/*
 * The first image made after the leaf at this place of the order: NO_IMAGE where there is none in the same
 * second or the next, or where it is not known. What stands on a later image is later still.
 */
static int find_next(Walk *walk, size_t place, size_t *ret, Diag *reterr_diag) {
        const Image *images = walk->inventory->images.v;
        const size_t leaf = walk->order[place];
        const int64_t leaf_sec = images[leaf].created_sec;
        const int64_t leaf_nsec = facts_of(walk, leaf)->created_nsec;
        size_t first = NO_IMAGE, begin = place;

        *ret = NO_IMAGE;
        while (begin > 0 && place - begin < TOGETHER_MAX &&
               images[walk->order[begin - 1]].created_sec == leaf_sec)
                begin--;
        for (size_t k = begin; k < walk->n; k++) {
                const size_t i = walk->order[k], parent = walk->chains[i].parent;
                int r;

                if (images[i].created_sec > leaf_sec + (first == NO_IMAGE))
                        break;
                if (k - begin >= TOGETHER_MAX)
                        return 0;
                if (parent != CHAIN_NO_IMAGE && walk->later_than[parent] == leaf + 1) {
                        walk->later_than[i] = leaf + 1;
                        continue;
                }
                if (i == leaf)
                        continue;
                r = ask_time(walk, i, reterr_diag);
                if (r < 0 || !images[i].created_nsec || images[i].created_nsec == leaf_nsec)
                        return r;
                if (images[i].created_nsec < leaf_nsec)
                        continue;
                walk->later_than[i] = leaf + 1;
                if (first == NO_IMAGE || images[i].created_nsec < images[first].created_nsec)
                        first = i;
        }
        *ret = first;
        return 0;
}

int stages_of_others_observe(Docker *docker, const Config *config, Inventory *inventory,
                             Diag *reterr_diag) {
        cleanup(walk_done) Walk walk = {
                .docker = docker,
                .config = config,
                .inventory = inventory,
        };
        int r;

        r = prepare(&walk);
        /* The newest first: an earlier stage of the same build is followed by a later one. */
        for (size_t k = walk.n; k > 0 && r >= 0; k--) {
                Image *images = inventory->images.v;
                const size_t leaf = walk.order[k - 1];
                size_t next;

                if (!is_open(&walk, leaf))
                        continue;
                r = find_next(&walk, k - 1, &next, reterr_diag);
                if (r < 0 || next == NO_IMAGE || walk.ends[next] != ENDS_OTHERS ||
                    images[next].created_nsec - facts_of(&walk, leaf)->created_nsec >
                            STAGE_OF_OTHERS_NSEC)
                        continue;
                images[leaf].next_step = strdup(images[next].id);
                if (!images[leaf].next_step)
                        return -ENOMEM;
                mark_chain(&walk, leaf, ENDS_OTHERS);
        }
        return r < 0 ? r : remember_times(&walk);
}
