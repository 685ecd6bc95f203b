/* SPDX-License-Identifier: MIT */

/* How a clear plans: once at each look, in the light of its plans before. */

#include "base/span.h"
#include "janitor/clearing.h"
#include "janitor/image-facts.h"

int clear_note_images(Clear *clear) {
        int64_t age_sec = memory_age_sec(clear->memory, now_realtime_usec());

        return memory_note_images(clear->memory, &clear->inventory, clear->config, age_sec);
}

bool clear_waits_for_build(const Clear *clear) {
        if (clear->options->target & TARGET_IMAGES)
                return inventory_building(&clear->inventory);
        return inventory_buildkit_building(&clear->inventory);
}

/* What the first look found: what comes later was made after the clear was asked for. */
static int note_first(Clear *clear) {
        if (clear->looked)
                return 0;
        for (size_t i = 0; i < clear->inventory.images.n; i++)
                if (strv_add(&clear->first, clear->inventory.images.v[i].id) < 0)
                        return -ENOMEM;
        strv_sort(&clear->first);
        clear->looked = true;
        return 0;
}

/* What later plans have to know of this one, and the receipt. */
static int note_plan(Clear *clear) {
        const ClearPlan *plan = &clear->plan;
        int r = 0;

        for (size_t i = 0; i < plan->kept.n && r >= 0; i++)
                r = strv_add(&clear->kept, plan->kept.v[i].id);
        strv_sort(&clear->kept);
        strv_unique(&clear->kept);
        clear->no_room = clear->no_room || plan->no_room;
        if (r >= 0 && plan->matches && !clear->suspects.ever_matched)
                clear->suspects.ever_matched = clear->dirty = true;
        return r;
}

static int make_plan(Clear *clear) {
        ClearContext context = {
                .seen = &clear->memory->seen,
                .first = &clear->first,
                .kept = &clear->kept,
                .made = &clear->receipt->rollback_tags,
        };
        int r;

        clear_plan_done(&clear->plan);
        r = note_first(clear);
        if (r >= 0)
                r = named_images_prepare(&clear->receipt->rollback_tags);
        return r < 0 ? r
                     : plan_clear(&clear->inventory, clear->config, clear->options,
                                  &clear->suspects.images, &context, &clear->plan);
}

int clear_plan(Clear *clear) {
        int r = make_plan(clear);

        return r < 0 ? r : note_plan(clear);
}

/*
 * A build that came wholly from the cache gives an image the name that it has: the lists of before and
 * after are equal, and only LastTagTime tells that somebody wants the image. So that is asked for right
 * before names are taken, of the images that lose theirs, unless the engine's events tell that the image
 * got no name since the clear was asked for. Nothing was tagged since then while it is still that second,
 * and while a build is waited for no name is taken. Returns how many images were inspected: the plan is to
 * be made again.
 */
static int refresh_taken(Clear *clear, Diag *reterr_diag) {
        const int64_t asked_sec = clear->options->asked_sec;
        const uint64_t asked_usec = clear->options->asked_usec;
        TagEvents *tag_events = clear->options->tag_events;
        const ImageSet *images = &clear->inventory.images;
        const NamedImages *names = &clear->plan.names;
        cleanup_free bool *marks = NULL;
        bool heard;
        int n, r;

        if (asked_sec == 0 || now_realtime_sec() <= asked_sec || names->n == 0 ||
            clear_waits_for_build(clear))
                return 0;
        marks = calloc(images->n + 1, sizeof(*marks));
        if (!marks)
                return -ENOMEM;
        heard = tag_events_sync(tag_events, clear->docker, clear->config->docker_socket);
        for (size_t i = 0; i < names->n; i++) {
                const Image *image = image_set_find(images, names->v[i].id);

                if (image && (!heard || !tag_events_none_of(tag_events, image->id, asked_usec)))
                        marks[image - images->v] = true;
        }
        n = image_facts_refresh(clear->docker, &clear->inventory, marks, reterr_diag);
        r = n > 0 ? clear_note_images(clear) : 0;
        return r < 0 ? r : n;
}

int clear_plan_docker(Clear *clear, Diag *reterr_diag) {
        int r;

        do {
                r = make_plan(clear);
                if (r >= 0)
                        r = refresh_taken(clear, reterr_diag);
        } while (r > 0);
        return r < 0 ? r : note_plan(clear);
}
