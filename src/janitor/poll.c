/* SPDX-License-Identifier: MIT */

/*
 * A poll keeps no build record: figures are summed as they arrive, so the daemon's memory does not
 * grow with the cache it watches.
 */

#include <string.h>

#include "base/text.h"
#include "docker/name.h"
#include "janitor/forecast.h"
#include "janitor/image-facts.h"
#include "janitor/look.h"
#include "janitor/mounted.h"

#define SAMPLE_SEC 600
#define TRIM_SEC (24 * 3600)
/* Globs that a note names. */
#define UNMATCHED_NAMED_MAX 5
/* What a forecast is drawn from. */
#define FORECAST_SEC (7 * 24 * 3600)
#define FORECAST_SAMPLES (FORECAST_SEC / SAMPLE_SEC)

void summary_done(Summary *summary) {
        engine_info_done(&summary->engine);
        disks_done(&summary->disks);
        json_free(summary->disks_json);
        json_free(summary->not_reached);
        json_free(summary->policy);
        strv_done(&summary->notes);
        free(summary->pins);
        free(summary->store_error);
        *summary = (Summary){ 0 };
}

static void count_image(const Inventory *inventory, const Config *config, const Image *image,
                        Summary *summary) {
        bool ours = false;

        for (size_t i = 0; i < image->names.n; i++) {
                ours = ours || name_is_ours(config, image, image->names.v[i]);
                summary->rollback_tags += name_is_rollback(config, image, image->names.v[i]);
        }
        summary->images++;
        summary->images_matching += ours;
        summary->images_untagged += image_is_untagged(image);
        /* A step's layers are counted with the image that stands on it. */
        if (!image_is_untagged(image) || !image_has_children(inventory, image))
                summary->image_bytes += image->size_bytes;
}

static void count(const Inventory *inventory, const Config *config, Summary *summary) {
        summary->records = inventory->n_records;
        summary->records_in_use = inventory->n_in_use;
        summary->record_bytes = inventory->record_bytes;
        summary->record_private_bytes = inventory->private_bytes;
        summary->held_hash = builds_held_hash(&inventory->builds);
        strcpy(summary->building_unknown, inventory->builds.unknown);
        summary->records_leaked = inventory->builds.leaked.n;
        summary->leaked_since_usec = inventory->builds.leaked_since_usec;
        summary->build_cache_usec = inventory->build_cache_usec;
        summary->observed_sec = inventory->observed_sec;
        for (size_t i = 0; i < inventory->images.n; i++)
                count_image(inventory, config, &inventory->images.v[i], summary);
}

static bool matches_some(const char *glob, const ImageSet *images) {
        for (size_t i = 0; i < images->n; i++)
                for (size_t k = 0; k < images->v[i].names.n; k++)
                        if (name_matches(glob, images->v[i].names.v[k]))
                                return true;
        return false;
}

/* A glob that protects no image may be misspelt: conf/ refuses only what no image can be called. */
static int note_unmatched(const ImageSet *images, const char *key, const Strv *globs, Strv *notes) {
        cleanup_free char *named = NULL, *text = NULL;
        size_t n = 0;

        for (size_t i = 0; i < globs->n; i++) {
                char *longer;

                if (matches_some(globs->v[i], images))
                        continue;
                if (++n > UNMATCHED_NAMED_MAX)
                        continue;
                longer = text_format("%s%s'%s'", named ?: "", named ? ", " : "", globs->v[i]);
                if (!longer)
                        return -ENOMEM;
                free(named);
                named = longer;
        }
        if (n == 0)
                return 0;
        if (n > UNMATCHED_NAMED_MAX)
                text = text_format("[images] %s: %zu globs match no image now, such as %s", key, n,
                                   named);
        else
                text = text_format("[images] %s: no image now is matched by %s", key, named);
        return text ? strv_add(notes, text) : -ENOMEM;
}

static int store_sample(Memory *memory, const Look *look, const Summary *summary,
                        Diag *reterr_diag) {
        const Disks *disks = &look->inventory.disks;
        cleanup_free Sample *samples = NULL;
        Sample sample = {
                .at_sec = look->now.wall_sec,
                .age_sec = look->now.age_sec,
                .builder_bytes = summary->record_bytes,
                .image_bytes = summary->image_bytes,
                .disk_total_bytes = disks->n > 0 ? disks->v[0].total_bytes : 0,
                .disk_free_bytes = disks->n > 0 ? disks->v[0].free_bytes : 0,
        };
        size_t n;
        int r;

        r = store_add_sample(memory->store, &sample, reterr_diag);
        if (r >= 0)
                r = store_write_clock(memory->store, &memory->clock, reterr_diag);
        if (r >= 0)
                r = store_list_samples(memory->store, look->now.wall_sec - FORECAST_SEC,
                                       FORECAST_SAMPLES, &samples, &n, reterr_diag);
        if (r < 0)
                return r;
        memory->full_sec = forecast_full_sec(samples, n);
        memory->sampled_age_sec = look->now.age_sec;
        return 0;
}

/* Where the wall clock was set within the day, it can't tell what is old: the number alone counts. */
static int trim(Memory *memory, const Config *config, const PolicyNow *now, Diag *reterr_diag) {
        int64_t retention_sec = (int64_t)(config->retention_usec / USEC_PER_SEC);
        bool steady = now->age_sec - now->steady_since_sec >= TRIM_SEC;
        int r;

        r = store_trim(memory->store, steady ? now->wall_sec - retention_sec : INT64_MIN,
                       reterr_diag);
        if (r >= 0)
                memory->trimmed_age_sec = now->age_sec;
        return r;
}

static bool is_due(int64_t last_age_sec, int64_t age_sec, int64_t every_sec) {
        return last_age_sec < 0 || age_sec - last_age_sec >= every_sec;
}

static bool any_dirty(const SeenImages *seen) {
        for (size_t i = 0; i < seen->n; i++)
                if (seen->v[i].dirty)
                        return true;
        return false;
}

/* Writes what is new; what can't be written is tried again at the next poll. */
static int keep(Memory *memory, const Config *config, const Look *look, const Summary *summary,
                Diag *reterr_diag) {
        bool sample = is_due(memory->sampled_age_sec, look->now.age_sec, SAMPLE_SEC);
        StoreState state;
        int r;

        r = store_write_kept(memory->store, reterr_diag);
        if (r < 0 || !memory->loaded)
                return r;
        store_state(memory->store, &state);
        if (sample || memory->changed || !state.writable || any_dirty(&memory->seen)) {
                /* Their times are of this clock: it may not lie behind them after a crash. */
                r = store_write_clock(memory->store, &memory->clock, reterr_diag);
                if (r >= 0)
                        r = store_write_seen(memory->store, &memory->seen, reterr_diag);
        }
        if (r >= 0 && sample)
                r = store_sample(memory, look, summary, reterr_diag);
        if (r >= 0 && is_due(memory->trimmed_age_sec, look->now.age_sec, TRIM_SEC))
                r = trim(memory, config, &look->now, reterr_diag);
        return r;
}

static int describe(Memory *memory, const Config *config, Look *look, Summary *summary) {
        const PolicyPlan *plan = &look->plan;

        summary->policy = look_policy_json(look, config);
        summary->disks_json = look_disks_json(look, config, memory->full_sec);
        summary->not_reached = mounted_volumes_json(config, &look->inventory.containers);
        if (!summary->policy || !summary->disks_json || !summary->not_reached)
                return -ENOMEM;
        summary->hold = plan->hold;
        summary->hold_left_sec = plan->hold_left_sec;
        summary->wanted = !policy_plan_empty(plan);
        summary->due = summary->wanted && plan->hold == HOLD_NONE;
        summary->pressure = plan->pressure || plan->inode_pressure;
        if (summary->pressure) {
                summary->pins = policy_pins(&look->inventory, plan);
                if (!summary->pins)
                        return -ENOMEM;
        }
        summary->changed = memory->changed || inventory_building(&look->inventory);
        if (memory->store_diag.text[0]) {
                summary->store_error = strdup(memory->store_diag.text);
                if (!summary->store_error)
                        return -ENOMEM;
        }
        summary->engine = look->inventory.engine;
        look->inventory.engine = (EngineInfo){ 0 };
        summary->disks = look->inventory.disks;
        look->inventory.disks = (Disks){ 0 };
        return 0;
}

/*
 * Asks for what a clear or a pass has to know of images that came since the poll before, so that neither
 * has to wait for it then. It fails with no consequence but that; during a build the engine has other
 * things to do.
 */
static void learn(Docker *docker, const Config *config, Memory *memory, Look *look) {
        Inventory *inventory = &look->inventory;

        /* The first images of an empty host are no change. */
        if (memory->changed || memory->n_learned != inventory->images.n)
                memory->learned = false;
        if (memory->learned || inventory_building(inventory))
                return;
        image_facts_recall(memory->store, inventory);
        /* When an image was last tagged is remembered with the image, not with its facts. */
        memory->learned = image_facts_observe(docker, config, inventory, NULL) >= 0 &&
                          memory_note_images(memory, inventory, config, look->now.age_sec) >= 0;
        memory->n_learned = inventory->images.n;
        image_facts_remember(memory->store, inventory);
}

int poll_run(Docker *docker, const Config *config, Memory *memory, const Surroundings *around,
             Summary *ret, Diag *reterr_diag) {
        cleanup(summary_done) Summary summary = { 0 };
        cleanup(look_done) Look look = LOOK_NULL;
        Diag diag = DIAG_NULL;
        int r;

        r = look_run(docker, config, OBSERVE_FIGURES, memory, around, &look, reterr_diag);
        if (r < 0)
                return r;
        count(&look.inventory, config, &summary);
        learn(docker, config, memory, &look);
        r = keep(memory, config, &look, &summary, &diag);
        memory_store_failed(memory, r, &diag);
        r = describe(memory, config, &look, &summary);
        if (r >= 0)
                r = note_unmatched(&look.inventory.images, "protect", &config->protect,
                                   &summary.notes);
        if (r >= 0)
                r = note_unmatched(&look.inventory.images, "base", &config->base, &summary.notes);
        if (r < 0)
                return r;
        memory->changed = false;
        memory->store_diag = DIAG_NULL;
        *ret = summary;
        summary = (Summary){ 0 };
        return 0;
}
