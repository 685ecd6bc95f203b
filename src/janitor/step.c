/* SPDX-License-Identifier: MIT */

#include "janitor/step.h"

#include <string.h>

#include "janitor/instruction.h"

static void remember_time(ImageFacts *facts, int64_t created_nsec) {
        if (!facts || facts->created_nsec == created_nsec)
                return;
        facts->created_nsec = created_nsec;
        facts->dirty = true;
}

int step_ask_time(Docker *docker, ImageFacts *facts, Image *image, size_t *n_asked,
                  Diag *reterr_diag) {
        cleanup(image_detail_done) ImageDetail detail = { 0 };
        int r;

        if (!image->created_nsec && facts)
                image->created_nsec = facts->created_nsec;
        if (image->created_nsec || *n_asked >= STEPS_ASKED_MAX)
                return 0;
        (*n_asked)++;
        r = docker_image(docker, image->id, &detail, reterr_diag);
        if (r < 0)
                return r == -ENOENT || failure_is_of_object(r) ? 0 : r;
        image->created_nsec = detail.created_nsec;
        remember_time(facts, detail.created_nsec);
        return 0;
}

/* Of a history, whose newest entry is handed over first. */
typedef struct Newest {
        const char *command; /* of the image */
        bool nop;            /* the entry is an instruction that runs no command */
        ImageStep step;
} Newest;

/* docker commit writes the command of its container, which stays the image's own; a RUN step of a build
 * leaves the image the command that it had before. */
static int on_entry(void *userdata, const char *created_by, const char *comment) {
        Newest *newest = userdata;

        if (newest->step != STEP_UNKNOWN)
                return 0;
        newest->nop = strstr(created_by, "#(nop)");
        if (!instruction_may_be_classic(created_by, comment) ||
            strcmp(created_by, newest->command) == 0)
                newest->step = STEP_NONE;
        else if (strstr(created_by, "#(nop)  CMD") || strstr(created_by, "#(nop)  ENTRYPOINT"))
                newest->step = STEP_COMMAND;
        else
                newest->step = STEP_OTHER;
        return 0;
}

/* RUN leaves an image the command of its parent; docker commit --change 'CMD ...' does not. False where the
 * parent can't be read. */
static int has_another_command(Docker *docker, const ImageDetail *detail, bool *ret,
                               Diag *reterr_diag) {
        cleanup(image_detail_done) ImageDetail parent = { 0 };
        int r;

        *ret = false;
        if (!detail->parent_id[0])
                return 0;
        r = docker_image(docker, detail->parent_id, &parent, reterr_diag);
        if (r < 0)
                return r == -ENOENT || failure_is_of_object(r) ? 0 : r;
        *ret = strcmp(detail->command ?: "", parent.command ?: "") != 0;
        return 0;
}

int step_ask(Docker *docker, const char *id, ImageFacts *facts, StepAnswer *ret,
             Diag *reterr_diag) {
        cleanup(image_detail_done) ImageDetail detail = { 0 };
        Newest newest = { .step = STEP_UNKNOWN };
        bool changed = false;
        int r;

        *ret = (StepAnswer){ .step = STEP_UNKNOWN };
        r = docker_image(docker, id, &detail, reterr_diag);
        if (r >= 0) {
                newest.command = detail.command ?: "";
                r = docker_image_history(docker, id, on_entry, &newest, reterr_diag);
        }
        if (r < 0)
                return r == -ENOENT || failure_is_of_object(r) ? 0 : r;
        if (newest.step == STEP_OTHER && !newest.nop)
                r = has_another_command(docker, &detail, &changed, reterr_diag);
        if (r < 0)
                return r;
        *ret = (StepAnswer){
                .step = newest.step == STEP_UNKNOWN || changed ? STEP_NONE : newest.step,
                .created_nsec = detail.created_nsec,
                .last_tagged_nsec = detail.last_tagged_nsec,
        };
        remember_time(facts, detail.created_nsec);
        if (facts && facts->step != ret->step) {
                facts->step = ret->step;
                facts->dirty = true;
        }
        return 0;
}

ImageFacts *step_add_facts(Inventory *inventory, const Image *image) {
        ImageFacts *facts = fact_set_add(&inventory->facts, image->id);

        if (facts)
                facts->kind = IMAGE_KIND_CLASSIC;
        return facts;
}

int steps_add_facts(Inventory *inventory, const bool *wanted) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *missing = calloc(images->n + 1, sizeof(*missing));

        if (!missing)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++) /* while the index holds */
                missing[i] = wanted[i] && !fact_set_find(&inventory->facts, images->v[i].id);
        for (size_t i = 0; i < images->n; i++)
                if (missing[i] && !step_add_facts(inventory, &images->v[i]))
                        return -ENOMEM;
        return inventory->facts.indexed ? 0 : fact_set_index(&inventory->facts);
}
