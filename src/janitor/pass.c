/* SPDX-License-Identifier: MIT */

/*
 * One plan is announced, carried out and recorded. What is gone then is what a last look does not find;
 * the engine's word alone is not taken for it.
 */

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/span.h"
#include "base/text.h"
#include "janitor/passing.h"

static void pass_done(Pass *pass) {
        look_done(&pass->look);
        free(pass->fates);
        inventory_done(&pass->again);
        disks_done(&pass->before);
        json_free(pass->removed);
        json_free(pass->left);
}

static void pass_donep(Pass *pass) {
        pass_done(pass);
}

int pass_say(const Pass *pass, const char *format, ...) {
        cleanup_free char *text = NULL;
        va_list args;

        va_start(args, format);
        text = text_vformat(format, args);
        va_end(args);
        if (!text)
                return -ENOMEM;
        pass->reporter->progress(pass->reporter->userdata, "policy", text, 1, pass->engine_bytes);
        return 0;
}

int pass_stop(Pass *pass, const char *why) {
        pass->stopped = true;
        return pass_say(pass, "%s: the rest is left for the next pass", why);
}

static int announce(const Pass *pass) {
        const PolicyPlan *plan = &pass->look.plan;
        const BuilderPlan *builder = &plan->builder;
        char from[BYTES_TEXT_MAX], to[BYTES_TEXT_MAX];
        int r = 0;

        if (builder->unused_hours > 0)
                r = pass_say(pass, "Build cache records not used for %u h go (%s): %zu",
                             builder->unused_hours, rule_to_string(RULE_RECORD_AGE),
                             builder->n_unused);
        if (r >= 0 && builder->keep_bytes > 0)
                r = pass_say(pass, "The build cache is pruned from %s to %s (%s)",
                             bytes_format(builder->private_bytes, from),
                             bytes_format(builder->keep_bytes, to), rule_to_string(builder->rule));
        for (size_t i = 0; i < pass->look.inventory.images.n && r >= 0; i++) {
                cleanup_free char *sentence = NULL;

                if (!plan->images[i].remove)
                        continue;
                sentence = policy_image_sentence(&pass->look.inventory, plan, i);
                r = sentence ? pass_say(pass, "%s (%s)", sentence,
                                        rule_to_string(plan->images[i].rule))
                             : -ENOMEM;
        }
        return r;
}

static int prune(Pass *pass, Diag *reterr_diag) {
        const BuilderPlan *builder = &pass->look.plan.builder;
        uint64_t bytes;
        size_t n;
        int r;

        /* By age first: what is still above the target then is less. */
        if (builder->unused_hours > 0) {
                r = docker_prune_build_cache_unused(pass->docker, builder->unused_hours, &n, &bytes,
                                                    reterr_diag);
                if (r < 0)
                        return r;
                pass->n_records += n;
                pass->engine_bytes += bytes;
        }
        if (builder->keep_bytes > 0) {
                r = docker_prune_build_cache_to(pass->docker, builder->keep_bytes, &n, &bytes,
                                                reterr_diag);
                if (r < 0)
                        return r;
                pass->n_records += n;
                pass->engine_bytes += bytes;
                pass->spared = n == 0;
        }
        return 0;
}

static int act(Pass *pass, Diag *reterr_diag) {
        const BuilderPlan *builder = &pass->look.plan.builder;
        int r;

        r = disks_observe(pass->config, &pass->look.inventory.engine, &pass->before);
        if (r < 0)
                return r;
        if (builder->keep_bytes > 0 || builder->unused_hours > 0) {
                r = pass_may_go_on(pass, reterr_diag);
                if (r <= 0)
                        return r;
                pass->begun = true;
                r = prune(pass, reterr_diag);
                if (r < 0)
                        return r;
        }
        return pass_remove_images(pass, reterr_diag);
}

/* Whether what the plan took is there still, as the last look has it. */
static bool is_still_there(const Pass *pass, size_t i) {
        const Image *planned = &pass->look.inventory.images.v[i];
        const Image *now = image_set_find(&pass->again.images, planned->id);
        bool alone = pass->look.plan.images[i].rule == RULE_TRASH; /* the image may stay */

        for (size_t j = 0; j < planned->names.n; j++) {
                const char *name = planned->names.v[j];

                if (!policy_takes_name(pass->config, planned, &pass->look.plan.images[i], name))
                        alone = true;
                else if (now && image_set_find_name(&pass->again.images, name) == now)
                        return true;
        }
        return now && !alone;
}

/* Nothing builds, and yet the engine lets nothing go. Where it let some go it may be above the target
 * as well, since it takes for freed what it shares with images: the next pass goes on. */
static bool is_builder_left(const Pass *pass) {
        return pass->spared && !inventory_building(&pass->again) &&
               pass->again.private_bytes >= pass->look.plan.builder.keep_bytes;
}

static Json *builder_left_json(const Pass *pass) {
        const BuilderPlan *builder = &pass->look.plan.builder;
        cleanup(json_free) Json *json = json_new_object();
        char size[BYTES_TEXT_MAX], keep[BYTES_TEXT_MAX];
        cleanup_free char *sentence = NULL;
        int r;

        if (asprintf(&sentence, "The build cache is still at %s after a prune to %s.",
                     bytes_format(pass->again.private_bytes, size),
                     bytes_format(builder->keep_bytes, keep)) < 0)
                return NULL;
        r = json_add_string(json, "kind", "record");
        r |= json_add_string(json, "object", "the build cache");
        r |= look_add_verdict(json, true, builder->rule, sentence,
                              pass->again.private_bytes - builder->keep_bytes, -1);
        return r < 0 ? NULL : TAKE_PTR(json);
}

/* Sorts what was tried into removed and left; `looked`: by a look after the last removal, else by the
 * engine's word, which does not tell what is left. */
static int sort_out(Pass *pass, bool looked) {
        pass->removed = json_new_array();
        pass->left = json_new_array();
        if (!pass->removed || !pass->left)
                return -ENOMEM;
        for (size_t i = 0; i < pass->look.inventory.images.n; i++) {
                bool left = looked && is_still_there(pass, i);

                if (!fate_asked(pass->fates[i]) || (!left && pass->fates[i] != FATE_TAKEN))
                        continue;
                if (json_add(left ? pass->left : pass->removed, NULL,
                             look_image_json(&pass->look, i)) < 0)
                        return -ENOMEM;
        }
        if (looked && is_builder_left(pass) &&
            json_add(pass->left, NULL, builder_left_json(pass)) < 0)
                return -ENOMEM;
        pass->n_left = json_size(pass->left);
        return 0;
}

static int look_after(Pass *pass, Diag *reterr_diag) {
        int r;

        r = inventory_observe(pass->docker, pass->config, OBSERVE_FIGURES,
                              &pass->memory->suspects.images, &pass->again, reterr_diag);
        if (r < 0)
                return diag_wrap(reterr_diag, r, "what is left could not be looked at");
        return sort_out(pass, true);
}

static int measure(Pass *pass) {
        Disks after = { 0 };
        int r;

        r = disks_observe(pass->config, &pass->look.inventory.engine, &after);
        if (r < 0)
                return r;
        pass->freed_bytes = 0;
        for (size_t i = 0; i < MIN(after.n, pass->before.n); i++)
                if (after.v[i].free_bytes > pass->before.v[i].free_bytes)
                        pass->freed_bytes += after.v[i].free_bytes - pass->before.v[i].free_bytes;
        disks_done(&after);
        return 0;
}

static uint64_t planned_bytes(const Pass *pass) {
        return pass->look.plan.builder.expected_bytes + pass->look.plan.remove_bytes;
}

static int settle(Pass *pass) {
        int r;

        r = measure(pass);
        if (r < 0 || pass->freed_bytes >= planned_bytes(pass))
                return r;
        /* When the daemon stops, the figure is of now. */
        pass->reporter->pause(pass->reporter->userdata, DISK_SETTLE_USEC);
        return measure(pass);
}

static Json *record_json(const Pass *pass, const Run *run, const char *error) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "id", run->id);
        r |= json_add_string(json, "outcome", run->outcome);
        r |= json_add_int(json, "startedAt", run->started_sec);
        r |= json_add_int(json, "finishedAt", run->finished_sec);
        r |= json_add(json, "removed", json_copy(pass->removed));
        r |= json_add(json, "left", json_copy(pass->left));
        r |= json_add_int(json, "records", (int64_t)pass->n_records);
        r |= json_add_int(json, "plannedBytes", (int64_t)planned_bytes(pass));
        r |= json_add_int(json, "engineReportedBytes", (int64_t)pass->engine_bytes);
        r |= json_add_int(json, "diskFreedBytes", (int64_t)pass->freed_bytes);
        r |= json_add_string(json, "error", error);
        return r < 0 ? NULL : TAKE_PTR(json);
}

static int record(Pass *pass, const char *id, const char *error, Json **ret) {
        cleanup(json_free) Json *json = NULL;
        Diag diag = DIAG_NULL;
        Run run = {
                .kind = "policy",
                .started_sec = pass->started_sec,
                .finished_sec = now_realtime_sec(),
                .n_removed = json_size(pass->removed) + pass->n_records,
                .n_remaining = pass->n_left,
                .engine_bytes = pass->engine_bytes,
                .freed_bytes = pass->freed_bytes,
        };

        snprintf(run.id, sizeof(run.id), "%s", id);
        snprintf(run.outcome, sizeof(run.outcome), "%s",
                 error              ? "failed"
                 : pass->n_left > 0 ? "left"
                 : pass->stopped    ? "interrupted"
                                    : "done");
        json = record_json(pass, &run, error);
        if (!json)
                return -ENOMEM;
        memory_store_failed(pass->memory, store_write_run(pass->memory->store, &run, json, &diag),
                            &diag);
        *ret = TAKE_PTR(json);
        return 0;
}

static int run_pass(Pass *pass, const Surroundings *around, Diag *reterr_diag) {
        uint64_t begin_usec = now_boottime_usec();
        int r;

        r = look_run(pass->docker, pass->config, OBSERVE_ALL, pass->memory, around, &pass->look,
                     reterr_diag);
        pass_date_look(pass, begin_usec);
        if (r < 0 || pass->look.plan.hold != HOLD_NONE || policy_plan_empty(&pass->look.plan))
                return r;
        pass->fates = calloc(pass->look.inventory.images.n + 1, sizeof(*pass->fates));
        if (!pass->fates)
                return -ENOMEM;
        r = announce(pass);
        if (r >= 0)
                r = act(pass, reterr_diag);
        if (r < 0 || !pass->begun)
                return r;
        r = look_after(pass, reterr_diag);
        return r < 0 ? r : settle(pass);
}

int pass_run(Docker *docker, const Config *config, Memory *memory, const Surroundings *around,
             const char *id, const Reporter *reporter, Json **ret, size_t *ret_n_left,
             bool *reterr_local, Diag *reterr_diag) {
        cleanup(pass_done) Pass pass = {
                .docker = docker,
                .config = config,
                .memory = memory,
                .reporter = reporter,
                .tag_events = around->tag_events,
                .look = LOOK_NULL,
                .again = { .watch = &memory->builds, .known_mounts = &memory->known_mounts },
                .started_sec = now_realtime_sec(),
        };
        int r;

        *ret = NULL;
        *ret_n_left = 0;
        r = run_pass(&pass, around, reterr_diag);
        *reterr_local = r == -ENOMEM;
        if (!pass.begun)
                return r;
        if (r < 0 && (measure(&pass) < 0 || (!pass.removed && sort_out(&pass, false) < 0)))
                return r;
        *ret_n_left = pass.n_left;
        if (record(&pass, id, r < 0 ? diag_text(reterr_diag, r) : NULL, ret) < 0 && r >= 0) {
                *reterr_local = true;
                return -ENOMEM;
        }
        return r;
}
