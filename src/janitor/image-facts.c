/* SPDX-License-Identifier: MIT */

/*
 * Every call here is one per image, so that the number of calls is what counts.
 */

#include "janitor/image-facts.h"

#include <string.h>

#include "base/text.h"
#include "janitor/image-history.h"
#include "janitor/inline-cache.h"

#define NO_FACTS SIZE_MAX

void image_facts_recall(Store *store, Inventory *inventory) {
        if (inventory->facts.n == 0)
                (void)!store_read_facts(store, &inventory->facts, NULL);
}

void image_facts_remember(Store *store, Inventory *inventory) {
        (void)!store_write_facts(store, &inventory->facts, NULL);
}

/* In any order. */
static uint64_t hash_names(const Image *image) {
        uint64_t sum = 1;

        for (size_t i = 0; i < image->names.n; i++)
                sum += text_hash(image->names.v[i]);
        return sum ?: 1;
}

/* BuildKit signs the last entry of the history, and so does the engine's own import. Until the text of
 * that entry is known, all others count as the classic builder's. */
static ImageKind kind_from_comment(const char *comment) {
        if (strncmp(comment, "buildkit.", strlen("buildkit.")) == 0)
                return IMAGE_KIND_BUILDKIT;
        return *comment ? IMAGE_KIND_OTHER : IMAGE_KIND_CLASSIC;
}

/* `at`: the position of its facts, if there are any. */
static int inspect(Docker *docker, const Image *image, FactSet *facts, size_t at,
                   Diag *reterr_diag) {
        cleanup(image_detail_done) ImageDetail detail = { 0 };
        ImageFacts *entry = at != NO_FACTS ? &facts->v[at] : NULL;
        int r;

        r = docker_image(docker, image->id, &detail, reterr_diag);
        if (r == -ENOENT) { /* it went away meanwhile, which is no failure of the observation */
                if (entry)
                        entry->inspected = true;
                return 0;
        }
        if (r < 0)
                return r;
        entry = entry ?: fact_set_add(facts, image->id);
        if (!entry)
                return -ENOMEM;
        if (entry->n_history == FACTS_NO_HISTORY)
                entry->kind = image->parent_id[0] ? IMAGE_KIND_CLASSIC
                                                  : kind_from_comment(detail.comment);
        prefixes_done(&entry->layers);
        for (size_t i = 0; i < detail.layers.n; i++)
                if (prefixes_add(&entry->layers, text_hash(detail.layers.v[i])) < 0)
                        return -ENOMEM;
        entry->last_tagged_sec = detail.last_tagged_sec;
        entry->last_tagged_nsec = detail.last_tagged_nsec;
        entry->inspected = true;
        entry->names_hash = hash_names(image);
        entry->dirty = true;
        return 0;
}

/* An image with a parent is the classic builder's; of a step without a name no more need be known. */
static bool needs_inspection(const Inventory *inventory, const Image *image) {
        const ImageFacts *facts;

        if (image->parent_id[0] && image->names.n == 0)
                return false;
        facts = fact_set_find(&inventory->facts, image->id);
        return !facts || facts->names_hash != hash_names(image);
}

/* Returns how many were inspected. */
static int inspect_marked(Docker *docker, Inventory *inventory, const bool *marks,
                          Diag *reterr_diag) {
        const ImageSet *images = &inventory->images;
        FactSet *facts = &inventory->facts;
        cleanup_free size_t *at = calloc(images->n + 1, sizeof(*at));
        int n = 0, r, error = 0;
        Diag failure = DIAG_NULL;

        if (!at)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++) { /* while the index holds */
                const ImageFacts *known = fact_set_find(facts, images->v[i].id);

                at[i] = known ? (size_t)(known - facts->v) : NO_FACTS;
        }
        for (size_t i = 0; i < images->n; i++) {
                if (!marks[i])
                        continue;
                n++;
                Diag diag = DIAG_NULL;
                r = inspect(docker, &images->v[i], facts, at[i], &diag);
                if (r < 0) {
                        error = r;
                        failure = diag;
                        r = inventory_add_failure(&inventory->images.unreadable, images->v[i].id, r,
                                                  &diag, reterr_diag);
                }
                if (r < 0)
                        return r;
        }
        /* None could ever be described: not these images fail, but the engine. */
        if (error < 0 && facts->n == 0) {
                if (reterr_diag)
                        *reterr_diag = failure;
                return error;
        }
        r = fact_set_index(facts);
        return r < 0 ? r : n;
}

static int inspect_images(Docker *docker, Inventory *inventory, Diag *reterr_diag) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *marks = calloc(images->n + 1, sizeof(*marks));

        if (!marks)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++)
                marks[i] = needs_inspection(inventory, &images->v[i]);
        return inspect_marked(docker, inventory, marks, reterr_diag);
}

int image_facts_refresh(Docker *docker, Inventory *inventory, const bool *marks,
                        Diag *reterr_diag) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *stale = calloc(images->n + 1, sizeof(*stale));

        if (!stale)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++) {
                const ImageFacts *facts = fact_set_find(&inventory->facts, images->v[i].id);

                stale[i] = marks[i] && facts && facts->names_hash != 0 && !facts->inspected;
        }
        return inspect_marked(docker, inventory, stale, reterr_diag);
}

int image_facts_observe(Docker *docker, const Config *config, Inventory *inventory,
                        Diag *reterr_diag) {
        int r;

        r = inspect_images(docker, inventory, reterr_diag);
        if (r >= 0)
                r = image_histories_observe(docker, config, inventory, reterr_diag);
        return r < 0 ? r : inline_caches_observe(docker, inventory);
}
