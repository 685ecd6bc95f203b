/* SPDX-License-Identifier: MIT */

/*
 * One pass is observe, decide, act. A pass that finds nothing to do has by that looked again after
 * the last action, so its observation is the proof: nothing is read twice. The traps are a build
 * that ends after a pass (it tags its image and leaves its records: the next pass finds them) and an
 * engine that keeps refusing (two equal plans in a row: it is waited for a moment, then named).
 */

#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "base/text.h"
#include "janitor/act.h"
#include "janitor/proof.h"

/* How often an equal plan is tried again. BuildKit lets go of a build's records a moment after the
 * client has its answer. */
#define STUCK_PASSES_MAX 5
#define STUCK_PAUSE_USEC (300 * USEC_PER_MSEC)
/* A chain of the classic builder goes one image a pass. Past the wait and this many passes, somebody
 * makes new things as fast as they are removed. */
#define PASSES_MAX 256

typedef struct Clear {
        Docker *docker;
        const Config *config;
        Store *store;
        const ClearOptions *options;
        const Reporter *reporter;
        Receipt *receipt;

        Suspects suspects; /* of earlier clears and of this one */
        bool dirty;        /* they differ from what is stored */
        Inventory inventory;
        ClearPlan plan;
        uint64_t observe_usec; /* what the last observation took */
        bool local;            /* a failure was ours */
} Clear;

static void clear_done(Clear *clear) {
        suspects_done(&clear->suspects);
        inventory_done(&clear->inventory);
        clear_plan_done(&clear->plan);
}

static void clear_donep(Clear *clear) {
        clear_done(clear);
}

static void progress(const Clear *clear, const char *step, const char *message) {
        clear->reporter->progress(clear->reporter->userdata, step, message, clear->receipt->passes,
                                  clear->receipt->removed[REMOVED_RECORDS].engine_bytes);
}

static bool building(const Clear *clear) {
        if (clear->options->target & TARGET_IMAGES)
                return inventory_building(&clear->inventory);
        return clear->inventory.n_in_use > 0;
}

/* Looks, and decides. */
static int observe(Clear *clear, Diag *reterr_diag) {
        uint64_t begin_usec = now_boottime_usec();
        int r;

        clear_plan_done(&clear->plan);
        r = inventory_observe(clear->docker, clear->config, OBSERVE_ALL, &clear->suspects.images,
                              &clear->inventory, reterr_diag);
        if (r < 0)
                return r;
        clear->observe_usec = now_boottime_usec() - begin_usec;
        if (clear->options->target & TARGET_IMAGES) {
                size_t n = clear->suspects.images.n;

                r = plan_suspects(&clear->inventory, clear->config, &clear->suspects.images);
                if (r < 0)
                        return r;
                clear->dirty |= clear->suspects.images.n != n;
        }
        r = plan_clear(&clear->inventory, clear->config, clear->options, &clear->suspects.images,
                       &clear->plan);
        if (r >= 0 && clear->plan.matches && !clear->suspects.ever_matched)
                clear->suspects.ever_matched = clear->dirty = true;
        return r;
}

static int store_receipt(Clear *clear, const Json *json, Diag *reterr_diag) {
        Run run;

        if (!json)
                return -ENOMEM;
        receipt_run(clear->receipt, &run);
        run.took_names = json_first(json_get(json, "names")); /* or is about to */
        return store_write_run(clear->store, &run, json, reterr_diag);
}

static int write_receipt(Clear *clear, const Json *json, Diag *reterr_diag) {
        int r = store_receipt(clear, json, reterr_diag);

        clear->local = clear->local || r < 0;
        return r;
}

static int write_suspects(Clear *clear, Diag *reterr_diag) {
        int r;

        if (!clear->dirty)
                return 0;
        r = store_write_suspects(clear->store, &clear->suspects, reterr_diag);
        clear->dirty = r < 0;
        clear->local = clear->local || r < 0;
        return r;
}

/* Written before the first name goes: every name that may be gone after a crash. */
static int write_ahead(Clear *clear, Diag *reterr_diag) {
        cleanup(json_free) Json *json = receipt_json(clear->receipt);
        NamedImages names = { 0 };
        int r = 0;

        for (size_t i = 0; i < clear->receipt->names.n && r >= 0; i++)
                r = named_images_add_once(&names, clear->receipt->names.v[i].name,
                                          clear->receipt->names.v[i].id);
        for (size_t i = 0; i < clear->plan.names.n && r >= 0; i++)
                r = named_images_add_once(&names, clear->plan.names.v[i].name,
                                          clear->plan.names.v[i].id);
        if (r >= 0)
                r = json ? json_replace(json, "names", named_images_json(&names)) : -ENOMEM;
        named_images_done(&names);
        if (r >= 0)
                r = write_receipt(clear, json, reterr_diag);
        return r < 0 ? r : write_suspects(clear, reterr_diag);
}

static int act(Clear *clear, Diag *reterr_diag) {
        int r;

        if (clear->receipt->passes == 0)
                receipt_measure_disk(clear->receipt);
        r = write_ahead(clear, reterr_diag);
        if (r < 0)
                return r;
        clear->receipt->passes++;
        if (!building(clear)) {
                r = act_images(clear->docker, &clear->plan, clear->reporter, clear->receipt,
                               reterr_diag);
                if (r < 0)
                        return r;
        }
        if (clear->plan.n_records == 0)
                return 0;
        progress(clear, "builder", "Clearing Docker build cache");
        return act_builder(clear->docker, clear->options, clear->receipt, reterr_diag);
}

/* A build is not hurried by being looked at: the slower the engine's answer, the longer the pause. */
static int wait_for_build(Clear *clear, uint64_t left_usec) {
        uint64_t pause_usec = MAX(500 * USEC_PER_MSEC, 10 * clear->observe_usec);
        char text[160];

        if (clear->inventory.n_in_use > 0)
                snprintf(text, sizeof(text),
                         "Waiting for a build to end (%zu build cache records in use)",
                         clear->inventory.n_in_use);
        else
                snprintf(text, sizeof(text), "Waiting for a build to end (%s)",
                         clear->inventory.classic_builds.v[0]);
        progress(clear, "waiting", text);
        return clear->reporter->pause(clear->reporter->userdata,
                                      MIN(MIN(pause_usec, 10 * USEC_PER_SEC), left_usec));
}

/* Passes until one finds nothing to do; leaves the inventory and the plan of the last look. */
static int run_passes(Clear *clear, Diag *reterr_diag) {
        uint64_t deadline_usec = now_boottime_usec() + clear->options->wait_usec;
        cleanup(clear_plan_done) ClearPlan last = { 0 };
        unsigned n_stuck = 0;
        bool last_look = false;

        for (;;) {
                uint64_t now_usec;
                bool waiting;
                int r;

                clear->reporter->proving(clear->reporter->userdata, true);
                r = observe(clear, reterr_diag);
                if (r < 0)
                        return r;
                if (last_look || (clear_plan_empty(&clear->plan) && !building(clear)))
                        return 0;
                now_usec = now_boottime_usec();
                waiting = building(clear) && now_usec < deadline_usec;
                if (!waiting && clear->receipt->passes > 0 &&
                    clear_plan_equal(&clear->plan, &last)) {
                        if (++n_stuck > STUCK_PASSES_MAX)
                                return 0;
                } else {
                        n_stuck = 0;
                }
                clear->reporter->proving(clear->reporter->userdata, false);

                if (waiting) {
                        r = wait_for_build(clear, deadline_usec - now_usec);
                        if (r < 0)
                                return r;
                        continue;
                }
                last_look = building(clear) ||
                            (now_usec >= deadline_usec && clear->receipt->passes >= PASSES_MAX);
                if (n_stuck > 0) {
                        r = clear->reporter->pause(clear->reporter->userdata,
                                                   n_stuck * STUCK_PAUSE_USEC);
                        if (r < 0)
                                return r;
                }
                r = act(clear, reterr_diag);
                if (r < 0)
                        return r;
                clear_plan_done(&last);
                last = clear->plan;
                clear->plan = (ClearPlan){ 0 };
        }
}

static int printf_like(2, 3) note(Strv *notes, const char *format, ...) {
        cleanup_free char *text = NULL;
        va_list args;

        va_start(args, format);
        text = text_vformat(format, args);
        va_end(args);
        return text ? strv_add(notes, text) : -ENOMEM;
}

static int add_notes(Clear *clear, Strv *notes) {
        cleanup_free char *match = strv_join(&clear->config->match, ", ");
        cleanup_free char *others = strv_join(&clear->plan.other_projects, ", ");
        int r = 0;

        if (!match || !others)
                return -ENOMEM;
        if (clear->options->target & TARGET_IMAGES && !clear->suspects.ever_matched)
                r = note(notes,
                         "NO IMAGE EVER MATCHED [images] match=%s: is that what this host's images "
                         "are called? Compose names them PROJECT-SERVICE or PROJECT_SERVICE where "
                         "the file gives no image; [images] project= takes a compose project",
                         match);
        if (r >= 0 && clear->plan.other_projects.n > 0)
                r = note(notes, "the build cache is the whole host's: builds of %s start cold, too",
                         others);
        if (r >= 0 && clear->options->target & TARGET_APPS)
                r = note(notes, "no application is configured: application caches were not "
                                "looked at");
        return r;
}

/* Judges the last look. */
static int judge(Clear *clear, RemainingList *ret_remaining, Strv *ret_assumes, Strv *ret_notes) {
        int r;

        r = proof_remaining(&clear->inventory, clear->config, clear->options,
                            &clear->suspects.images, &clear->plan, ret_remaining);
        if (r >= 0)
                r = proof_assumes(&clear->inventory, clear->options, &clear->suspects.images,
                                  ret_assumes);
        if (r >= 0)
                r = add_notes(clear, ret_notes);
        return r;
}

/* Forgets what is gone. */
static int trim_suspects(Clear *clear) {
        NamedImages kept = { 0 };
        int r = 0;

        for (size_t i = 0; i < clear->suspects.images.n && r >= 0; i++) {
                const NamedImage *entry = &clear->suspects.images.v[i];

                if (image_set_find(&clear->inventory.images, entry->id))
                        r = named_images_add_once(&kept, entry->name, entry->id);
        }
        if (r < 0) {
                named_images_done(&kept);
                return r;
        }
        clear->dirty = true; /* the store may have had to begin anew meanwhile */
        named_images_done(&clear->suspects.images);
        clear->suspects.images = kept;
        return 0;
}

static int finish(Clear *clear, Diag *reterr_diag) {
        Receipt *receipt = clear->receipt;
        bool clean;
        int r;

        r = judge(clear, &receipt->remaining, &receipt->assumes, &receipt->notes);
        if (r < 0)
                return r;
        receipt->kept_mounts = clear->plan.kept_mounts;
        clear->plan.kept_mounts = STRV_NULL;
        clean = receipt->remaining.n == 0;
        if (target_speaks_of_fresh(receipt->target))
                receipt->outcome = clean ? OUTCOME_FRESH : OUTCOME_NOT_FRESH;
        else
                receipt->outcome = clean ? OUTCOME_CLEARED : OUTCOME_NOT_CLEARED;
        receipt->finished_sec = clear->inventory.observed_sec;
        r = trim_suspects(clear);
        return r < 0 ? r : write_suspects(clear, reterr_diag);
}

/* What would be done, and what would be left then. */
static int make_plan(Clear *clear, Json **ret_plan, Diag *reterr_diag) {
        cleanup(remaining_done) RemainingList remaining = { 0 };
        cleanup(strv_done) Strv assumes = STRV_NULL, notes = STRV_NULL;
        cleanup(clear_plan_done) ClearPlan plan = { 0 };
        int r;

        clear->reporter->proving(clear->reporter->userdata, true);
        r = observe(clear, reterr_diag);
        if (r < 0)
                return r;
        plan = clear->plan;
        clear->plan = (ClearPlan){ 0 };
        r = plan_predict(clear->config, &plan, &clear->suspects.images, &clear->inventory);
        if (r >= 0)
                r = plan_clear(&clear->inventory, clear->config, clear->options,
                               &clear->suspects.images, &clear->plan);
        if (r >= 0)
                r = judge(clear, &remaining, &assumes, &notes);
        if (r < 0)
                return r;
        *ret_plan = clear_plan_json(&plan, clear->options, &remaining, &assumes, &notes);
        return *ret_plan ? 0 : -ENOMEM;
}

/* What the receipt says of the engine, and where its disk is. */
static int describe_engine(Clear *clear, Diag *reterr_diag) {
        const EngineInfo *engine;
        int r;

        r = docker_negotiate(clear->docker, &engine, reterr_diag);
        if (r < 0)
                return r;
        clear->receipt->engine = engine_json(clear->config->docker_socket, engine, NULL);
        clear->receipt->root_dir = strdup(engine->root_dir);
        return clear->receipt->engine && clear->receipt->root_dir ? 0 : -ENOMEM;
}

/* After a failure the receipt tells how far it came; a failure to write it adds to the first. */
static void record_failure(Clear *clear, int error, Diag *reterr_diag) {
        Receipt *receipt = clear->receipt;
        cleanup(json_free) Json *json = NULL;
        Diag diag = DIAG_NULL;

        receipt->outcome = error == -ECANCELED ? OUTCOME_INTERRUPTED : OUTCOME_FAILED;
        receipt->finished_sec = (int64_t)(now_realtime_usec() / USEC_PER_SEC);
        receipt->error = strdup(diag_text(reterr_diag, error));
        json = receipt_json(receipt);
        if (store_receipt(clear, json, &diag) < 0)
                diag_wrap(reterr_diag, error, "(and the receipt could not be written: %s)",
                          diag_text(&diag, -ENOMEM));
}

int clear_run(Docker *docker, const Config *config, Store *store, const ClearOptions *options,
              const Reporter *reporter, Receipt *receipt, Json **ret_plan, bool *reterr_local,
              Diag *reterr_diag) {
        cleanup(clear_done) Clear clear = {
                .docker = docker,
                .config = config,
                .store = store,
                .options = options,
                .reporter = reporter,
                .receipt = receipt,
                .inventory = INVENTORY_NULL,
        };
        cleanup(json_free) Json *json = NULL;
        int r;

        r = store_read_suspects(store, &clear.suspects, reterr_diag);
        if (r < 0) {
                *reterr_local = true;
                return r;
        }
        progress(&clear, "observe", "Looking at images, containers and build cache");
        r = describe_engine(&clear, reterr_diag);
        if (r < 0)
                return r;
        if (options->dry_run)
                return make_plan(&clear, ret_plan, reterr_diag);

        r = run_passes(&clear, reterr_diag);
        if (r >= 0)
                r = finish(&clear, reterr_diag);
        if (r >= 0) {
                receipt_measure_disk(receipt);
                json = receipt_json(receipt);
                r = write_receipt(&clear, json, reterr_diag);
        }
        if (r < 0) {
                *reterr_local = clear.local || r == -ENOMEM;
                if (receipt->passes > 0)
                        record_failure(&clear, r, reterr_diag);
        }
        return r;
}
