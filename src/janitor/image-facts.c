/* SPDX-License-Identifier: MIT */

/*
 * Every call here is one per image, so that the number of calls is what counts.
 */

#include "janitor/image-facts.h"

#include <string.h>

#include "base/span.h"
#include "base/text.h"
#include "docker/parallel.h"
#include "janitor/build-steps.h"
#include "janitor/image-base.h"
#include "janitor/image-history.h"
#include "janitor/inline-cache.h"
#include "janitor/local-base.h"
#include "janitor/named-stages.h"
#include "janitor/origin.h"
#include "janitor/stages.h"

#define NO_FACTS SIZE_MAX
/* So many answers are held at once. */
#define TOGETHER_MAX 256

/* Builds are read again where what they told is lost. */
static void forget_builds(Inventory *inventory) {
        if (inventory->watch)
                build_watch_forget_read(inventory->watch);
}

void image_facts_recall(Store *store, Inventory *inventory) {
        if (inventory->facts.n > 0)
                return;
        if (store_read_facts(store, &inventory->facts, NULL) < 0 || inventory->facts.n == 0)
                forget_builds(inventory);
}

void image_facts_remember(Store *store, Inventory *inventory) {
        if (store_write_facts(store, &inventory->facts, NULL) < 0)
                forget_builds(inventory);
}

/* In any order. */
static uint64_t hash_all_names(const Image *image) {
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

/*
 * The graphdriver store notes each tag of an image, and that of a build is one; what came with a name by
 * load or pull has none until others tag it. The containerd store notes a time for those as well.
 */
static bool came_with_its_name(const Inventory *inventory, const Image *image,
                               const ImageDetail *detail) {
        return inventory->image_store == IMAGE_STORE_GRAPHDRIVER && !image->parent_id[0] &&
               image->names.n > 0 && detail->last_tagged_nsec == 0;
}

/* An image that is inspected. */
typedef struct Inspection {
        const Image *image;
        size_t at;           /* the position of its facts, if there are any */
        uint64_t begin_usec; /* CLOCK_BOOTTIME */
        ImageDetail detail;
        bool gone;
        int error; /* of this image alone; the other images can be read */
        char *reason;
} Inspection;

static void inspection_done(Inspection *inspection) {
        image_detail_done(&inspection->detail);
        free(inspection->reason);
        inspection->reason = NULL;
}

static int inspect(Docker *docker, size_t i, void *userdata, Diag *reterr_diag) {
        Inspection *inspection = (Inspection *)userdata + i;
        Diag diag = DIAG_NULL;
        int r;

        inspection->begin_usec = now_boottime_usec();
        r = docker_image(docker, inspection->image->id, &inspection->detail, &diag);
        inspection->gone = r == -ENOENT;
        if (r >= 0 || inspection->gone)
                return 0;
        if (!failure_is_of_object(r)) {
                if (reterr_diag)
                        *reterr_diag = diag;
                return r;
        }
        inspection->error = r;
        inspection->reason = strdup(diag_text(&diag, r));
        return inspection->reason ? 0 : -ENOMEM;
}

static int add_facts(const Inspection *inspection, Inventory *inventory) {
        FactSet *facts = &inventory->facts;
        const ImageDetail *detail = &inspection->detail;
        const Image *image = inspection->image;
        ImageFacts *entry = inspection->at != NO_FACTS ? &facts->v[inspection->at] : NULL;

        if (inspection->gone) { /* meanwhile, which is no failure of the observation */
                if (entry)
                        entry->inspected = true;
                return 0;
        }
        entry = entry ?: fact_set_add(facts, image->id);
        if (!entry)
                return -ENOMEM;
        if (entry->n_history == FACTS_NO_HISTORY)
                entry->kind = image->parent_id[0] ? IMAGE_KIND_CLASSIC
                                                  : kind_from_comment(detail->comment);
        if (entry->n_history == FACTS_NO_HISTORY && entry->kind == IMAGE_KIND_CLASSIC &&
            came_with_its_name(inventory, image, detail))
                entry->kind = IMAGE_KIND_LOADED;
        hash_list_done(&entry->layers);
        for (size_t i = 0; i < detail->layers.n; i++)
                if (prefixes_add(&entry->layers, text_hash(detail->layers.v[i])) < 0)
                        return -ENOMEM;
        entry->last_tagged_sec = detail->last_tagged_sec;
        entry->tagged_here = detail->last_tagged_sec != 0;
        entry->last_tagged_nsec = detail->last_tagged_nsec;
        entry->bore_name |= image->names.n > 0;
        entry->inspected = true;
        entry->inspected_usec = inspection->begin_usec;
        entry->names_hash = hash_all_names(image);
        entry->dirty = true;
        return 0;
}

/* An image with a parent is the classic builder's; of a step without a name no more need be known. */
static bool needs_inspection(const Inventory *inventory, const Image *image) {
        const ImageFacts *facts;

        if (image->parent_id[0] && image->names.n == 0)
                return false;
        facts = fact_set_find(&inventory->facts, image->id);
        return !facts || facts->names_hash != hash_all_names(image);
}

/* An image that the engine lists, but can't describe, is unreadable. */
static int add_inspection(const Inspection *inspection, Inventory *inventory, Diag *reterr_diag) {
        Diag diag = DIAG_NULL;

        if (inspection->error == 0)
                return add_facts(inspection, inventory);
        diag_set(&diag, inspection->error, "%s", inspection->reason);
        return inventory_add_failure(&inventory->images.unreadable, inspection->image->id,
                                     inspection->error, &diag, reterr_diag);
}

static int inspect_together(Docker *docker, Inspection *v, size_t n, Inventory *inventory,
                            Diag *reterr_diag) {
        int r = 0;

        if (n >= DOCKER_PARALLEL_MIN)
                r = docker_parallel(docker, n, inspect, v, reterr_diag);
        for (size_t i = 0; n < DOCKER_PARALLEL_MIN && i < n && r >= 0; i++)
                r = inspect(docker, i, v, reterr_diag);
        for (size_t i = 0; i < n; i++) {
                if (r >= 0)
                        r = add_inspection(&v[i], inventory, reterr_diag);
                inspection_done(&v[i]);
        }
        return r;
}

static bool all_failed(const Inspection *v, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (v[i].error == 0)
                        return false;
        return true;
}

/*
 * No image that was inspected could be described. Whether the engine fails, or those images are odd,
 * is told by an image that was described before: 0 if it still is, else the engine's error; where there
 * is no such image, that of the inspection `failed`.
 */
static int ask_for_known(Docker *docker, const Inventory *inventory, const Inspection *failed,
                         Diag *reterr_diag) {
        const ImageSet *images = &inventory->images;
        cleanup(image_detail_done) ImageDetail detail = { 0 };

        for (size_t i = 0; i < images->n; i++) {
                const ImageFacts *facts = fact_set_find(&inventory->facts, images->v[i].id);
                int r;

                if (!facts || facts->names_hash == 0 ||
                    unreadable_contains(&images->unreadable, images->v[i].id))
                        continue;
                r = docker_image(docker, images->v[i].id, &detail, reterr_diag);
                if (r != -ENOENT)
                        return r;
        }
        return diag_set(reterr_diag, failed->error, "%s", images->unreadable.v[0].reason);
}

/* Returns how many were inspected. */
static int inspect_marked(Docker *docker, Inventory *inventory, const bool *marks,
                          Diag *reterr_diag) {
        const ImageSet *images = &inventory->images;
        FactSet *facts = &inventory->facts;
        cleanup_free Inspection *v = NULL;
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; i < images->n; i++)
                n += marks[i];
        v = calloc(n + 1, sizeof(*v));
        if (!v)
                return -ENOMEM;
        n = 0;
        for (size_t i = 0; i < images->n; i++) { /* while the index holds */
                const ImageFacts *known;

                if (!marks[i])
                        continue;
                known = fact_set_find(facts, images->v[i].id);
                v[n].image = &images->v[i];
                v[n++].at = known ? (size_t)(known - facts->v) : NO_FACTS;
        }
        for (size_t i = 0; i < n && r >= 0; i += TOGETHER_MAX)
                r = inspect_together(docker, &v[i], MIN(n - i, (size_t)TOGETHER_MAX), inventory,
                                     reterr_diag);
        if (r >= 0 && n > 0 && all_failed(v, n))
                r = ask_for_known(docker, inventory, &v[n - 1], reterr_diag);
        if (r >= 0)
                r = fact_set_index(facts);
        return r < 0 ? r : (int)n;
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

void image_facts_age(Inventory *inventory) {
        for (size_t i = 0; i < inventory->facts.n; i++)
                inventory->facts.v[i].inspected = false;
}

int image_facts_refresh(Docker *docker, Inventory *inventory, const bool *marks,
                        Diag *reterr_diag) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *stale = calloc(images->n + 1, sizeof(*stale));

        if (!stale)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++) {
                const ImageFacts *facts = fact_set_find(&inventory->facts, images->v[i].id);

                stale[i] = marks[i] && facts && !facts->inspected;
        }
        return inspect_marked(docker, inventory, stale, reterr_diag);
}

int image_facts_observe(Docker *docker, const Config *config, Inventory *inventory,
                        Diag *reterr_diag) {
        int r;

        r = inspect_images(docker, inventory, reterr_diag);
        if (r < 0)
                return r;
        inline_caches_read(inventory);
        r = build_steps_observe(docker, config, inventory);
        if (r >= 0)
                r = image_histories_observe(docker, config, inventory, reterr_diag);
        if (r >= 0)
                r = origins_observe(docker, config, inventory, reterr_diag);
        if (r >= 0)
                r = stages_observe(docker, config, inventory, reterr_diag);
        if (r >= 0)
                r = named_stages_observe(docker, config, inventory, reterr_diag);
        if (r >= 0)
                r = image_bases_note(config, inventory);
        return r < 0 ? r : local_bases_note(config, inventory);
}
