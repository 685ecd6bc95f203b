/* SPDX-License-Identifier: MIT */

/*
 * The trap is a build of ours that failed or bears no name: its steps are in no history of ours, and serve the
 * next build. So an untagged image counts as others' by what is known of itself, and neither because it is
 * unlike ours nor because a build of others followed: the next step of one build comes after 0.07 to 0.5
 * seconds, and the first step of the next build after 0.14 to 0.96 (measured on engines 20.10 and 28.5).
 */

#include "janitor/origin.h"

#include <string.h>

#include "docker/name.h"
#include "docker/parallel.h"
#include "janitor/commits.h"
#include "janitor/ownership.h"
#include "janitor/stages.h"
#include "janitor/step.h"
#include "janitor/tag-events.h"

/* Names */

static void set(bool *flag, ImageFacts *facts) {
        facts->dirty |= !*flag;
        *flag = true;
}

static void note_name(const Config *config, const Image *image, const char *name,
                      ImageFacts *facts) {
        if (name_is_trash(name))
                return;
        set(&facts->bore_name, facts);
        if (name_is_rollback(config, image, name)) {
                set(&facts->ours, facts);
        } else if (!name_is_ours(config, image, name) || name_matches_any(&config->base, name)) {
                set(&facts->of_others, facts);
        } else {
                set(&facts->ours, facts);
        }
}

static void note_names(const Config *config, Inventory *inventory) {
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];
                ImageFacts *facts =
                        image->names.n > 0 ? fact_set_find(&inventory->facts, image->id) : NULL;

                for (size_t k = 0; facts && k < image->names.n; k++)
                        note_name(config, image, image->names.v[k], facts);
        }
}

typedef struct Heard {
        const Config *config;
        Inventory *inventory;
        bool no_memory;
} Heard;

/* A build took the name away again before anybody looked. */
static int note_former(Inventory *inventory, const Image *image, const char *name,
                       ImageFacts **facts) {
        Image *untagged = &inventory->images.v[image - inventory->images.v];
        char *former = strdup(name);

        if (!former)
                return -ENOMEM;
        free(untagged->former);
        untagged->former = former;
        *facts = *facts ?: step_add_facts(inventory, image);
        return *facts ? 0 : -ENOMEM;
}

/* An image that is not there yet, or of which nothing is known yet, may be in the next inventory. */
static bool on_name(void *userdata, const char *id, const char *name) {
        Heard *heard = userdata;
        const Image *image = image_set_find(&heard->inventory->images, id);
        ImageFacts *facts = fact_set_find(&heard->inventory->facts, id);

        if (!image || (!facts && !image->parent_id[0]))
                return false;
        if (image_is_untagged(image) && note_former(heard->inventory, image, name, &facts) < 0) {
                heard->no_memory = true;
                return false;
        }
        if (!facts)
                return false;
        note_name(heard->config, image, name, facts);
        return true;
}

/* Commits */

/* An image that the engine is asked about. */
typedef struct Question {
        const Inventory *inventory;
        const Image *image;
        ImageFacts *facts;
} Question;

static int ask(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        const Question *question = (const Question *)userdata + i;
        ImageFacts *facts = question->facts;
        StepAnswer answer;
        int r;

        r = step_ask(docker, question->image->id, NULL, &answer, reterr_diag);
        if (r < 0 || answer.step == STEP_UNKNOWN)
                return r;
        facts->commit = answer.step == STEP_NONE ? COMMIT_YES : COMMIT_NO;
        facts->created_nsec = answer.created_nsec;
        if (question->inventory->image_store == IMAGE_STORE_GRAPHDRIVER)
                facts->bore_name |= answer.last_tagged_nsec != 0;
        facts->dirty = true;
        return 0;
}

/* The images whose commit is to be asked. */
typedef struct Questions {
        Docker *docker;
        Inventory *inventory;
        bool *wanted; /* one an image, as are the next */
        bool *asked;
        Question *v;
} Questions;

static void questions_donep(Questions *questions) {
        free(questions->wanted);
        free(questions->asked);
        free(questions->v);
}

/* Its position; images.n: there is none. */
static size_t parent_of(const ImageSet *images, const Image *image) {
        const Image *parent = image->parent_id[0] ? image_set_find(images, image->parent_id) : NULL;

        return parent ? (size_t)(parent - images->v) : images->n;
}

/* Leaves of the classic builder, and what has a name of ours or was made of an image that has one. */
static int want_first(const Config *config, Questions *questions) {
        const Inventory *inventory = questions->inventory;
        const ImageSet *images = &inventory->images;
        cleanup_free bool *ours = calloc(images->n + 1, sizeof(*ours)); /* the last one is never */

        if (!ours)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++)
                ours[i] = image_is_ours(config, &images->v[i]);
        for (size_t i = 0; i < images->n; i++) {
                const Image *image = &images->v[i];

                questions->wanted[i] =
                        fact_set_find(&inventory->facts, image->id) &&
                        (image_is_classic_leaf(inventory, image) ||
                         (!image_is_untagged(image) && image_is_classic(inventory, image) &&
                          (ours[i] || image_has_rollback_tag(config, image) ||
                           ours[parent_of(images, image)])));
        }
        return 0;
}

/* A container of a commit can be committed, too, and take over its name. */
static void want_below_commits(Questions *questions) {
        const Inventory *inventory = questions->inventory;
        const ImageSet *images = &inventory->images;

        memset(questions->wanted, 0, images->n * sizeof(*questions->wanted));
        for (size_t i = 0; i < images->n; i++) {
                const ImageFacts *facts = fact_set_find(&inventory->facts, images->v[i].id);
                size_t parent = parent_of(images, &images->v[i]);

                if (facts && facts->commit == COMMIT_YES && parent < images->n &&
                    !questions->asked[parent] && image_is_untagged(&images->v[parent]) &&
                    image_is_classic(inventory, &images->v[parent]))
                        questions->wanted[parent] = true;
        }
}

/* Returns how many were wanted. */
static int ask_wanted(Questions *questions, Diag *reterr_diag) {
        Inventory *inventory = questions->inventory;
        size_t n = 0, n_wanted = 0;
        int r;

        r = steps_add_facts(inventory, questions->wanted);
        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                const Image *image = &inventory->images.v[i];
                ImageFacts *facts =
                        questions->wanted[i] ? fact_set_find(&inventory->facts, image->id) : NULL;

                if (!facts)
                        continue;
                n_wanted++;
                questions->asked[i] = true;
                if (facts->commit != COMMIT_UNKNOWN)
                        continue;
                if (facts->kind == IMAGE_KIND_OTHER && facts->n_history != FACTS_NO_HISTORY) {
                        facts->commit = COMMIT_YES; /* with a comment */
                        facts->dirty = true;
                        continue;
                }
                questions->v[n++] = (Question){ inventory, image, facts };
        }
        if (r >= 0 && n >= DOCKER_PARALLEL_MIN)
                r = docker_parallel(questions->docker, n, ask, questions->v, reterr_diag);
        for (size_t i = 0; n < DOCKER_PARALLEL_MIN && i < n && r >= 0; i++)
                r = ask(questions->docker, i, questions->v, reterr_diag);
        return r < 0 ? r : (int)n_wanted;
}

static int ask_commits(Docker *docker, const Config *config, Inventory *inventory,
                       Diag *reterr_diag) {
        const size_t n = inventory->images.n;
        cleanup(questions_done) Questions questions = {
                .docker = docker,
                .inventory = inventory,
                .wanted = calloc(n + 1, sizeof(*questions.wanted)),
                .asked = calloc(n + 1, sizeof(*questions.asked)),
                .v = calloc(n + 1, sizeof(*questions.v)),
        };
        int r;

        if (!questions.wanted || !questions.asked || !questions.v)
                return -ENOMEM;
        r = want_first(config, &questions);
        if (r >= 0)
                r = ask_wanted(&questions, reterr_diag);
        for (unsigned i = 0; i < COMMITS_MAX && r > 0; i++) {
                want_below_commits(&questions);
                r = ask_wanted(&questions, reterr_diag);
        }
        return MIN(r, 0);
}

int origins_observe(Docker *docker, const Config *config, Inventory *inventory, Diag *reterr_diag) {
        Heard heard = { .config = config, .inventory = inventory };
        int r;

        note_names(config, inventory);
        tag_events_take_names(inventory->tag_events, on_name, &heard);
        r = heard.no_memory ? -ENOMEM : 0;
        if (r >= 0 && !inventory->facts.indexed)
                r = fact_set_index(&inventory->facts);
        return r < 0 ? r : ask_commits(docker, config, inventory, reterr_diag);
}
