/* SPDX-License-Identifier: MIT */

#include "janitor/look.h"

#include "base/span.h"
#include "base/text.h"
#include "janitor/image-facts.h"

/* Without the records nobody can tell whether one goes by its age, which is of whole hours: what was
 * found when they were last looked at is good for one. */
static void recall_spared(Memory *memory, Observe what, Look *look) {
        BuilderPlan *builder = &look->plan.builder;

        if (what == OBSERVE_ALL)
                memory->spared_age_sec = builder->unused_hours == 0 ? look->now.age_sec : -1;
        else if (memory->spared_age_sec >= 0 && look->now.age_sec - memory->spared_age_sec < 3600)
                builder->unused_hours = 0;
}

static void remember_disks(Memory *memory, const Look *look) {
        memory->n_disks = look->inventory.disks.n;
        memory->pressure = memory->inode_pressure = 0;
        for (size_t i = 0; i < MIN(memory->n_disks, (size_t)64); i++) {
                memory->pressure |= (uint64_t)look->plan.disks[i].pressure << i;
                memory->inode_pressure |= (uint64_t)look->plan.disks[i].inode_pressure << i;
        }
}

/* A poll inspects only images that the janitor has tagged since the previous poll. */
static int read_own_marks(Docker *docker, Memory *memory, Diag *reterr_diag) {
        for (size_t i = 0; i < memory->seen.n; i++) {
                cleanup(image_detail_done) ImageDetail detail = { 0 };
                SeenImage *seen = &memory->seen.v[i];
                int r;

                if (!seen_wants_own_mark(seen))
                        continue;
                r = docker_image(docker, seen->id, &detail, reterr_diag);
                if (r == -ENOENT || failure_is_of_object(r)) /* asked again by the next look */
                        continue;
                if (r < 0)
                        return r;
                /* An image that was loaded under such a name was never tagged. */
                seen_set_own_mark(seen, detail.last_tagged_sec ?: -1);
        }
        return 0;
}

static int decide(Docker *docker, const Config *config, Memory *memory, const Surroundings *around,
                  Look *look, Diag *reterr_diag) {
        int r;

        r = memory_note_images(memory, &look->inventory, config, look->now.age_sec);
        if (r >= 0)
                r = read_own_marks(docker, memory, reterr_diag);
        if (r < 0)
                return r;
        if (!memory->changed && !inventory_building(&look->inventory))
                look->now.quiet_sec = around->quiet_sec;
        policy_plan_done(&look->plan);
        return policy_decide(&look->inventory, &memory->seen, &memory->suspects.images, config,
                             &look->now, &look->plan);
}

/* Facts learned by a poll or a clear lack LastTagTime; images whose tag time was never recorded are
 * inspected again. */
static void recall_facts(Memory *memory, Inventory *inventory) {
        image_facts_recall(memory->store, inventory);
        for (size_t i = 0; i < memory->seen.n; i++) {
                const SeenImage *seen = &memory->seen.v[i];
                ImageFacts *facts =
                        seen->tag_mark == 0 ? fact_set_find(&inventory->facts, seen->id) : NULL;

                if (facts)
                        facts->names_hash = 0;
        }
}

int look_run(Docker *docker, const Config *config, Observe what, Memory *memory,
             const Surroundings *around, Look *ret, Diag *reterr_diag) {
        uint64_t wall_usec;
        int r;

        memory_refresh(memory);
        ret->inventory.watch = &memory->builds;
        ret->inventory.known_mounts = &memory->known_mounts;
        ret->inventory.tag_events = around->tag_events;
        if (what == OBSERVE_ALL)
                recall_facts(memory, &ret->inventory);
        r = inventory_observe(docker, config, what, &memory->suspects.images, &ret->inventory,
                              reterr_diag);
        image_facts_remember(memory->store, &ret->inventory);
        if (r < 0)
                return r;
        wall_usec = now_realtime_usec();
        ret->now = (PolicyNow){
                .wall_sec = (int64_t)(wall_usec / USEC_PER_SEC),
                .age_sec = memory_age_sec(memory, wall_usec),
                .steady_since_sec = memory->clock.steady_since_sec,
                .n_inhibitors = around->n_inhibitors,
                .forgetful = !memory->loaded,
        };
        if (memory->n_disks == ret->inventory.disks.n) {
                ret->now.pressure = memory->pressure;
                ret->now.inode_pressure = memory->inode_pressure;
        }
        r = decide(docker, config, memory, around, ret, reterr_diag);
        if (r < 0)
                return r;
        recall_spared(memory, what, ret);
        remember_disks(memory, ret);
        return 0;
}

/* Inspects the images that the plan removes, if this look has not. Returns how many that were. */
static int refresh_removed(Docker *docker, Look *look, Diag *reterr_diag) {
        const size_t n = look->inventory.images.n;
        cleanup_free bool *marks = calloc(n + 1, sizeof(*marks));

        if (!marks)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                marks[i] = look->plan.images[i].remove;
        return image_facts_refresh(docker, &look->inventory, marks, reterr_diag);
}

int look_refresh(Docker *docker, const Config *config, Memory *memory, const Surroundings *around,
                 Look *look, Diag *reterr_diag) {
        int r;

        while ((r = refresh_removed(docker, look, reterr_diag)) > 0) {
                r = decide(docker, config, memory, around, look, reterr_diag);
                if (r < 0)
                        return r;
        }
        return r;
}

void look_done(Look *look) {
        policy_plan_done(&look->plan);
        inventory_done(&look->inventory);
        *look = LOOK_NULL;
}

Json *look_policy_json(const Look *look, const Config *config) {
        cleanup(json_free) Json *json = json_new_object();
        cleanup_free char *next = policy_plan_sentence(&look->plan), *unreadable = NULL;
        const PolicyPlan *plan = &look->plan;
        int r;

        if (plan->unreadable)
                unreadable =
                        text_format("%s (%s)", plan->unreadable->object, plan->unreadable->reason);
        if (!next || (plan->unreadable && !unreadable))
                return NULL;
        r = json_add_string(json, "mode", config->observe_only ? "observe" : "enforce");
        if (plan->hold != HOLD_NONE)
                r |= json_add_string(json, "hold", hold_to_string(plan->hold));
        if (plan->hold != HOLD_NONE && plan->hold_left_sec >= 0)
                r |= json_add_int(json, "holdUntil", look->now.wall_sec + plan->hold_left_sec);
        r |= json_add_string(json, "next", next);
        if (plan->unreadable)
                r |= json_add_string(json, "unreadable", unreadable);
        r |= json_add_int(json, "images", (int64_t)plan->n_remove);
        r |= json_add_int(json, "imageBytes", (int64_t)plan->remove_bytes);
        r |= json_add_int(json, "builderBytes", (int64_t)plan->builder.expected_bytes);
        return r < 0 ? NULL : TAKE_PTR(json);
}

static Json *disk_json(const Disk *disk, const DiskVerdict *verdict, const Config *config,
                       int64_t full_sec) {
        cleanup(json_free) Json *json = json_new_object();
        uint64_t min_free = size_of(&config->min_free, disk->total_bytes);
        int r;

        r = json_add_string(json, "path", disk->path);
        r |= json_add_int(json, "totalBytes", (int64_t)disk->total_bytes);
        r |= json_add_int(json, "freeBytes", (int64_t)disk->free_bytes);
        r |= json_add_int(json, "totalInodes", (int64_t)disk->total_inodes);
        r |= json_add_int(json, "freeInodes", (int64_t)disk->free_inodes);
        r |= json_add_bool(json, "pressure", verdict->pressure || verdict->inode_pressure);
        if (min_free != UINT64_MAX)
                r |= json_add_int(json, "minFreeBytes", (int64_t)min_free);
        if (full_sec >= 0)
                r |= json_add_int(json, "fullInSec", full_sec);
        return r < 0 ? NULL : TAKE_PTR(json);
}

Json *look_disks_json(const Look *look, const Config *config, int64_t full_sec) {
        cleanup(json_free) Json *array = json_new_array();
        const Disks *disks = &look->inventory.disks;

        for (size_t i = 0; i < disks->n; i++)
                if (json_add(array, NULL,
                             disk_json(&disks->v[i], &look->plan.disks[i], config,
                                       i == 0 ? full_sec : -1)) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

int look_add_verdict(Json *json, bool remove, Rule rule, const char *sentence, uint64_t bytes,
                     int64_t age_sec) {
        int r;

        r = json_add_bool(json, "remove", remove);
        r |= json_add_string(json, "rule", rule_to_string(rule));
        r |= json_add_string(json, "sentence", sentence);
        r |= json_add_int(json, "bytes", (int64_t)bytes);
        if (age_sec >= 0)
                r |= json_add_int(json, "ageSec", age_sec);
        return r < 0 ? -ENOMEM : 0;
}

Json *look_image_json(const Look *look, size_t image) {
        cleanup_free char *sentence = policy_image_sentence(&look->inventory, &look->plan, image);
        const ImageVerdict *verdict = &look->plan.images[image];
        const Image *object = &look->inventory.images.v[image];
        cleanup(json_free) Json *json = json_new_object();
        int r;

        if (!sentence)
                return NULL;
        r = json_add_string(json, "kind", "image");
        r |= json_add_string(json, "object", object->names.n > 0 ? object->names.v[0] : object->id);
        r |= json_add_string(json, "imageId", object->id);
        r |= json_add(json, "names", json_new_strings(&object->names));
        r |= look_add_verdict(json, verdict->remove, verdict->rule, sentence, object->size_bytes,
                              verdict->age_sec);
        return r < 0 ? NULL : TAKE_PTR(json);
}

Json *look_record_json(const Look *look, size_t record, const RecordVerdict *verdict) {
        cleanup_free char *sentence =
                policy_record_sentence(&look->inventory, &look->plan, record, verdict);
        const BuildRecord *object = &look->inventory.records.v[record];
        cleanup(json_free) Json *json = json_new_object();
        int r;

        if (!sentence)
                return NULL;
        r = json_add_string(json, "kind", "record");
        r |= json_add_string(json, "object", object->id);
        r |= look_add_verdict(json, verdict->remove, verdict->rule, sentence, object->size_bytes,
                              verdict->age_sec);
        return r < 0 ? NULL : TAKE_PTR(json);
}
