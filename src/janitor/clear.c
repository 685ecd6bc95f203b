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
#include "janitor/clearing.h"
#include "janitor/image-facts.h"
#include "janitor/stages.h"

/* How often an equal plan is tried again. BuildKit lets go of a build's records a moment after the
 * client has its answer. */
#define STUCK_PASSES_MAX 5
/* The same where no receipt can be stored: time alone makes no room, and a store that another program
 * holds takes seconds to say so. */
#define STUCK_STORE_PASSES_MAX 1
#define STUCK_PAUSE_USEC (300 * USEC_PER_MSEC)
/* A chain of the classic builder goes one image a pass. Past the wait and this many passes, somebody
 * makes new things as fast as they are removed. */
#define PASSES_MAX 256
/* Of a plan: how long caches of applications are measured. */
#define MEASURE_USEC (10 * USEC_PER_SEC)

static void clear_done(Clear *clear) {
        suspects_done(&clear->suspects);
        inventory_done(&clear->inventory);
        clear_plan_done(&clear->plan);
        strv_done(&clear->first);
        strv_done(&clear->kept);
        apps_look_done(&clear->apps);
        apps_work_done(&clear->apps_work);
        container_set_done(&clear->containers);
}

static void clear_donep(Clear *clear) {
        clear_done(clear);
}

static void progress(const Clear *clear, const char *step, const char *message) {
        clear->reporter->progress(clear->reporter->userdata, step, message, clear->receipt->passes,
                                  clear->receipt->removed[REMOVED_RECORDS].engine_bytes);
}

/* What the receipt says of the engine, and where its disk is. */
static int describe_engine(Clear *clear, Diag *reterr_diag) {
        const EngineInfo *engine;
        int r;

        r = docker_negotiate(clear->docker, &engine, reterr_diag);
        if (r < 0)
                return r;
        clear->receipt->engine = engine_json(clear->config->docker_socket, engine, NULL);
        return clear->receipt->engine ? receipt_add_disk(clear->receipt, engine->root_dir)
                                      : -ENOMEM;
}

/* Whose mounts count where no cache of Docker's is cleared. An engine that is not there runs no
 * containers, unless it left them alone (live-restore): the receipt says what was assumed. One that
 * does not answer may well run some. */
static int observe_containers(Clear *clear, Diag *reterr_diag) {
        Diag diag = DIAG_NULL;
        int r;

        container_set_done(&clear->containers);
        clear->no_engine = false;
        r = inventory_observe_containers(clear->docker, &clear->containers, &diag);
        if (r >= 0)
                return clear->receipt->engine ? 0 : describe_engine(clear, reterr_diag);
        if (r == -ECANCELED)
                return r;
        clear->no_engine = r == -ECONNREFUSED;
        if (clear->no_engine || clear->options->include_mounted)
                return 0;
        *reterr_diag = diag;
        return r;
}

static int observe_apps(Clear *clear) {
        AppsOptions options = {
                .name = clear->apps_work.name,
                .predict = clear->options->dry_run,
                .measure = clear->options->dry_run,
                .measure_usec = MEASURE_USEC,
        };

        apps_look_done(&clear->apps);
        return apps_look(clear->config, &options, clear->reporter, &clear->apps);
}

/* Looks at what is Docker's, and decides. */
static int observe_docker(Clear *clear, Diag *reterr_diag) {
        uint64_t begin_usec = now_monotonic_usec();
        int r;

        image_facts_recall(clear->store, &clear->inventory);
        image_facts_age(&clear->inventory);
        r = inventory_observe(clear->docker, clear->config, OBSERVE_ALL, &clear->suspects.images,
                              &clear->inventory, reterr_diag);
        image_facts_remember(clear->store, &clear->inventory);
        if (r >= 0)
                r = clear_note_images(clear);
        if (r < 0)
                return r;
        clear->observe_usec = now_monotonic_usec() - begin_usec;
        if (clear->options->target & TARGET_IMAGES) {
                size_t n = clear->suspects.images.n;

                r = plan_suspects(&clear->inventory, clear->config, &clear->memory->seen,
                                  &clear->suspects.images);
                if (r >= 0)
                        r = stages_add(&clear->inventory, clear->config, &clear->suspects.images);
                if (r < 0)
                        return r;
                clear->dirty |= clear->suspects.images.n != n;
        }
        return clear_plan_docker(clear, reterr_diag);
}

static int spare_mounted(Clear *clear, Diag *reterr_diag) {
        ContainerSet *containers = containers_of(clear);
        int r = inventory_resolve_volumes(clear->docker, containers, reterr_diag);

        return r < 0 ? r : apps_spare_mounted(&clear->apps, containers);
}

/* The search comes first, since it may take its time: containers are asked for just before caches are
 * taken. */
static int observe(Clear *clear, Diag *reterr_diag) {
        int r = 0;

        if (clears_apps(clear))
                r = observe_apps(clear);
        if (r >= 0)
                r = clears_docker(clear) ? observe_docker(clear, reterr_diag)
                                         : observe_containers(clear, reterr_diag);
        if (r >= 0 && clears_apps(clear) && !clear->options->include_mounted)
                r = spare_mounted(clear, reterr_diag);
        return r;
}

static int clear_images(Clear *clear, Diag *reterr_diag) {
        const NameEvents events = {
                .tag_events = clear->options->tag_events,
                .docker_socket = clear->config->docker_socket,
                .since_usec = clear->inventory.begin_usec,
        };

        if (!clears_docker(clear) || clear_waits_for_build(clear))
                return 0;
        return act_images(clear->docker, &clear->plan, &events, clear->reporter, clear->receipt,
                          reterr_diag);
}

static int clear_builder(Clear *clear, Diag *reterr_diag) {
        if (!clears_docker(clear) || clear->plan.n_records == 0)
                return 0;
        progress(clear, "builder", "Clearing Docker build cache");
        return act_builder(clear->docker, clear->options, clear->receipt, reterr_diag);
}

static int count_apps(Clear *clear, int r) {
        clear->receipt->app_bytes = clear->apps_work.bytes;
        return r;
}

/* 1: what this round takes is stored; 0: it can't be now. */
static int begin_pass(Clear *clear) {
        Receipt *receipt = clear->receipt;
        int r;

        if (receipt->passes == 0) {
                for (size_t i = 0; i < clear->apps.n; i++)
                        if (clear->apps.apps[i].path &&
                            receipt_add_disk(receipt, clear->apps.apps[i].path) < 0)
                                return -ENOMEM;
                receipt_measure_disks(receipt);
        }
        r = record_ahead(clear);
        if (r >= 0)
                receipt->passes++;
        return r;
}

/* What is renamed into a trash must be stored first; what is not is removed where it lies. */
static int take_caches(Clear *clear, bool recorded) {
        if (!clears_apps(clear))
                return 0;
        clear->apps_work.in_place = recorded ? NULL : clear->not_recorded.text;
        return count_apps(clear, apps_take(&clear->apps_work, &clear->apps));
}

static int sweep_caches(Clear *clear) {
        if (!clears_apps(clear))
                return 0;
        return count_apps(clear, apps_sweep(&clear->apps_work));
}

/* Caches of applications go first, so that a build which starts now does not see them. */
static int take(Clear *clear, Diag *reterr_diag) {
        int r, recorded = begin_pass(clear);
        bool pruned = false;

        if (recorded < 0)
                return recorded;
        if (!recorded && clears_docker(clear)) {
                /* The build cache needs no record, and may be what fills the disk. */
                r = clear_builder(clear, reterr_diag);
                if (r >= 0 && clear->plan.n_records > 0)
                        r = recorded = record_ahead(clear);
                if (r < 0)
                        return r;
                pruned = true;
        }
        r = take_caches(clear, recorded);
        if (r >= 0 && recorded)
                r = clear_images(clear, reterr_diag);
        if (r >= 0 && !pruned)
                r = clear_builder(clear, reterr_diag);
        return r;
}

/* What caches of applications hold is removed last, whatever the engine said meanwhile. */
static int act(Clear *clear, Diag *reterr_diag) {
        int r, k;

        r = take(clear, reterr_diag);
        if (r == -ECANCELED)
                return r;
        k = sweep_caches(clear);
        return r < 0 ? r : k;
}

/* While a build is waited for; it read its context long ago. */
static int act_apps(Clear *clear) {
        int r, recorded;

        if (clear->apps.n_caches == 0)
                return 0;
        recorded = begin_pass(clear);
        r = recorded < 0 ? recorded : take_caches(clear, recorded);
        return r < 0 ? r : sweep_caches(clear);
}

static void say_what_builds(const Inventory *inventory, char *ret, size_t size) {
        const Builds *builds = &inventory->builds;
        size_t n_held = inventory->n_in_use - MIN(builds->leaked.n, inventory->n_in_use);

        if (builds->unknown[0])
                snprintf(ret, size, "Waiting, since a build may run: %s", builds->unknown);
        else if (builds->history && builds->n_running == 0 && n_held > 0)
                snprintf(ret, size,
                         "Waiting for %zu build cache records in use, though no build runs",
                         n_held);
        else if (n_held > 0)
                snprintf(ret, size, "Waiting for a build to end (%zu build cache records in use)",
                         n_held);
        else if (builds->n_running > 0)
                snprintf(ret, size, "Waiting for a build to end (%zu in BuildKit's history)",
                         builds->n_running);
        else
                snprintf(ret, size, "Waiting for a build to end (%s)",
                         inventory->classic_builds.v[0]);
}

/* A build is not hurried by being looked at: the slower the engine's answer, the longer the pause. */
static int wait_for_build(Clear *clear, uint64_t left_usec) {
        uint64_t pause_usec = MAX(500 * USEC_PER_MSEC, 10 * clear->observe_usec);
        char text[320];

        say_what_builds(&clear->inventory, text, sizeof(text));
        progress(clear, "waiting", text);
        return clear->reporter->pause(clear->reporter->userdata,
                                      MIN(MIN(pause_usec, 10 * USEC_PER_SEC), left_usec));
}

static bool nothing_to_do(const Clear *clear) {
        return clear_plan_empty(&clear->plan) && clear->apps.n_caches == 0;
}

/* What earlier runs left, where there is nothing to take that would have it swept along. */
static int sweep_left_overs(Clear *clear) {
        if (!clears_apps(clear) || clear->apps.n_caches > 0 || clear->receipt->passes > 0)
                return 0;
        return sweep_caches(clear);
}

static unsigned stuck_passes_max(const Clear *clear) {
        bool pruned =
                clear->receipt->removed[REMOVED_RECORDS].objects > 0; /* it may free space later */

        return clear->not_recorded.text[0] && !pruned ? STUCK_STORE_PASSES_MAX : STUCK_PASSES_MAX;
}

/* Passes until one finds nothing to do; leaves the inventory and the plan of the last look. */
static int run_passes(Clear *clear, Diag *reterr_diag) {
        uint64_t deadline_usec = now_boottime_usec() + clear->options->wait_usec;
        cleanup(clear_plan_done) ClearPlan last = { 0 };
        uint64_t last_hash = 0;
        unsigned n_stuck = 0;
        bool last_look = false;

        for (;;) {
                uint64_t now_usec;
                bool waiting;
                int r;

                clear->reporter->proving(clear->reporter->userdata, true);
                r = observe(clear, reterr_diag);
                if (r >= 0)
                        r = sweep_left_overs(clear);
                if (r < 0)
                        return r;
                if (last_look || (nothing_to_do(clear) && !clear_waits_for_build(clear)))
                        return 0;
                now_usec = now_boottime_usec();
                waiting = clear_waits_for_build(clear) && now_usec < deadline_usec;
                if (!waiting && clear->receipt->passes > 0 &&
                    clear_plan_equal(&clear->plan, &last) && clear->apps.hash == last_hash) {
                        if (++n_stuck > stuck_passes_max(clear) ||
                            (clear_plan_empty(&clear->plan) &&
                             apps_hopeless(&clear->apps_work, &clear->apps)))
                                return 0;
                } else {
                        n_stuck = 0;
                }
                clear->reporter->proving(clear->reporter->userdata, false);

                if (waiting) {
                        r = act_apps(clear);
                        if (r >= 0)
                                r = wait_for_build(clear, deadline_usec - now_usec);
                        if (r < 0)
                                return r;
                        continue;
                }
                last_look = clear_waits_for_build(clear) ||
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
                last_hash = clear->apps.hash;
        }
}

static int begin(Clear *clear, Diag *reterr_diag) {
        const char *app = clear->options->app;
        int r;

        if (app[0] && !config_app(clear->config, app)) {
                clear->local = true;
                return diag_set(reterr_diag, -ENOENT, "no application %s is configured any more",
                                app);
        }
        r = record_recall(clear);
        if (r >= 0)
                r = named_images_prepare(&clear->suspects.images);
        if (r < 0)
                return r;
        if (clears_docker(clear)) {
                progress(clear, "observe", "Looking at images, containers and build cache");
                return describe_engine(clear, reterr_diag);
        }
        progress(clear, "observe", "Looking at application caches");
        return 0;
}

int clear_run(Docker *docker, const Config *config, Memory *memory, const ClearOptions *options,
              const Reporter *reporter, Receipt *receipt, Json **ret_plan, bool *reterr_local,
              Diag *reterr_diag) {
        cleanup(clear_done) Clear clear = {
                .docker = docker,
                .config = config,
                .memory = memory,
                .store = memory->store,
                .options = options,
                .reporter = reporter,
                .receipt = receipt,
                .inventory = { .watch = &memory->builds,
                               .known_mounts = &memory->known_mounts,
                               .tag_events = options->tag_events },
                .apps_work = { .config = config,
                               .store = memory->store,
                               .reporter = reporter,
                               .name = options->app[0] ? options->app : NULL,
                               .receipt = receipt },
        };
        int r;

        r = begin(&clear, reterr_diag);
        if (r < 0) {
                *reterr_local = clear.local || r == -ENOMEM;
                return r;
        }
        if (options->dry_run) {
                reporter->proving(reporter->userdata, true);
                r = observe(&clear, reterr_diag);
                return r < 0 ? r : record_plan(&clear, ret_plan, reterr_diag);
        }

        r = run_passes(&clear, reterr_diag);
        if (r >= 0)
                r = record_outcome(&clear);
        if (r < 0) {
                *reterr_local = clear.local || r == -ENOMEM;
                if (receipt->passes > 0)
                        record_failure(&clear, r, reterr_diag);
        }
        return r;
}
