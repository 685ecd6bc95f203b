/* SPDX-License-Identifier: MIT */

/*
 * All steps that the classic builder made here are gone through from the newest to the oldest. The list of
 * images tells seconds; where those are the same, the engine is asked for the exact time.
 */

#include "janitor/named-stages.h"

#include <string.h>

#include "janitor/chains.h"
#include "janitor/instruction.h"
#include "janitor/ownership.h"
#include "janitor/stages.h"

/* Between the last step of a stage that was built alone and the step of ours that follows. */
#define FOLLOWS_SEC 10
/* Images that the engine is asked about; the rest are left as they are. */
#define ASKED_MAX 64

#define NO_STEP SIZE_MAX

/* A step, and the image with a name, or the stage of ours without one, that ends its build. */
typedef struct Step {
        int64_t created_sec;
        size_t image, end;
        size_t n_own; /* steps from the base image up to this one */
        bool ours;
} Step;

typedef struct Walk {
        Docker *docker;
        Inventory *inventory;
        Step *steps;
        size_t n_steps;
        bool *stages; /* one an image: it turned out to be a stage of ours */
        size_t n_asked;
} Walk;

static void walk_donep(Walk *walk) {
        free(walk->steps);
        free(walk->stages);
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
static void find_steps(Walk *walk, const Config *config, const ImageChain *chains, bool *visited,
                       bool ours) {
        const ImageSet *images = &walk->inventory->images;

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

static int order_steps(Walk *walk, const Config *config) {
        const size_t n = walk->inventory->images.n;
        cleanup_free bool *visited = calloc(n + 1, sizeof(*visited));
        cleanup_free ImageChain *chains = NULL;
        int r;

        walk->steps = calloc(n + 1, sizeof(*walk->steps));
        walk->stages = calloc(n + 1, sizeof(*walk->stages));
        if (!visited || !walk->steps || !walk->stages)
                return -ENOMEM;
        r = chains_find(walk->inventory, config, &chains);
        if (r < 0)
                return r;
        find_steps(walk, config, chains, visited, true);
        find_steps(walk, config, chains, visited, false);
        qsort(walk->steps, walk->n_steps, sizeof(*walk->steps), compare_steps);
        return 0;
}

/* What the engine tells of an image; `last` is the newest entry of its history. */
typedef struct Answer {
        ImageDetail detail;
        bool read, is_step, is_application;
} Answer;

static void answer_donep(Answer *answer) {
        image_detail_done(&answer->detail);
}

/* docker commit writes the command of its container, which stays the image's own. */
static int on_entry(void *userdata, const char *created_by, const char *comment) {
        Answer *answer = userdata;

        if (answer->read)
                return 0;
        answer->read = true;
        answer->is_step = instruction_is_classic(created_by, comment) &&
                          strcmp(created_by, answer->detail.command) != 0;
        answer->is_application = strstr(created_by, "#(nop)  CMD") != NULL ||
                                 strstr(created_by, "#(nop)  ENTRYPOINT") != NULL;
        return 0;
}

/* Nothing is answered (0) of an image that is gone or can't be read. */
static int ask(Walk *walk, Image *image, bool history, Answer *ret, Diag *reterr_diag) {
        int r;

        walk->n_asked++;
        r = docker_image(walk->docker, image->id, &ret->detail, reterr_diag);
        if (r >= 0) {
                image->created_nsec = ret->detail.created_nsec;
                if (history)
                        r = docker_image_history(walk->docker, image->id, on_entry, ret,
                                                 reterr_diag);
        }
        return r == -ENOENT || failure_is_of_object(r) ? 0 : r;
}

static int ask_time(Walk *walk, Image *image, Diag *reterr_diag) {
        cleanup(answer_done) Answer answer = { 0 };

        return image->created_nsec ? 0 : ask(walk, image, false, &answer, reterr_diag);
}

/* The image that ends a build of others, and the step of ours that was made next, as far as seconds tell. */
static int judge(Walk *walk, const Step *step, const Step *next, Diag *reterr_diag) {
        Image *images = walk->inventory->images.v;
        Image *image = &images[step->image], *end = &images[next->end];
        ImageFacts *facts = fact_set_find(&walk->inventory->facts, image->id);
        cleanup(answer_done) Answer answer = { 0 };
        int r;

        if (!facts || image->project || walk->n_asked >= ASKED_MAX)
                return 0;
        r = ask(walk, image, true, &answer, reterr_diag);
        if (r >= 0)
                r = ask_time(walk, &images[next->image], reterr_diag);
        if (r >= 0)
                r = ask_time(walk, end, reterr_diag);
        if (r < 0 || !answer.is_step || images[next->image].created_nsec < image->created_nsec)
                return r;
        if (answer.detail.last_tagged_nsec > end->created_nsec)
                facts->ours = true;
        else if (next->created_sec - step->created_sec <= FOLLOWS_SEC && !answer.is_application)
                facts->made_amid_ours = true;
        facts->dirty |= facts->ours || facts->made_amid_ours;
        walk->stages[step->image] = facts->ours || facts->made_amid_ours;
        return 0;
}

static bool follows(const Step *step, const Step *next) {
        int64_t sec;

        return next->end != NO_STEP &&
               !__builtin_sub_overflow(next->created_sec, step->created_sec, &sec) &&
               sec <= STAGE_SEC;
}

int named_stages_observe(Docker *docker, const Config *config, Inventory *inventory,
                         Diag *reterr_diag) {
        cleanup(walk_done) Walk walk = { .docker = docker, .inventory = inventory };
        Step next = { .end = NO_STEP }; /* a step of ours, with nothing of others since */
        int r;

        r = order_steps(&walk, config);
        for (size_t i = 0; i < walk.n_steps && r >= 0; i++) {
                const Step *step = &walk.steps[i];
                const ImageFacts *facts =
                        fact_set_find(&inventory->facts, inventory->images.v[step->end].id);

                if (step->image == step->end && !step->ours) {
                        walk.stages[step->image] = facts && facts->made_amid_ours;
                        if (!walk.stages[step->image] && follows(step, &next))
                                r = judge(&walk, step, &next, reterr_diag);
                }
                if (step->ours)
                        next = *step;
                else if (walk.stages[step->end] && next.end != NO_STEP)
                        next = (Step){ step->created_sec, step->image, next.end, 0, true };
                else
                        next.end = NO_STEP;
        }
        return r;
}
