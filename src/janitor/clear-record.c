/* SPDX-License-Identifier: MIT */

/* What a clear writes down: before it begins, and of what it found at its end. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "base/text.h"
#include "janitor/clearing.h"
#include "janitor/mounted.h"
#include "janitor/proof.h"
#include "janitor/unreadable.h"

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

/* Type Cache[]: what was taken, and what is about to be. */
static Json *all_caches(const Clear *clear, const Json *taken) {
        cleanup(json_free) Json *array = json_copy(taken);

        return array && apps_add_caches(&clear->apps, array) >= 0 ? TAKE_PTR(array) : NULL;
}

int record_ahead(Clear *clear, Diag *reterr_diag) {
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
                r = json_replace(json, "caches", all_caches(clear, json_get(json, "caches")));
        if (r >= 0)
                r = write_receipt(clear, json, reterr_diag);
        return r < 0 ? r : write_suspects(clear, reterr_diag);
}

static int printf_like(2, 3) note(Strv *notes, const char *format, ...) {
        cleanup_free char *text = NULL;
        va_list args;

        va_start(args, format);
        text = text_vformat(format, args);
        va_end(args);
        return text ? strv_add(notes, text) : -ENOMEM;
}

static int add_all(Strv *list, const Strv *from) {
        int r = 0;

        for (size_t i = 0; i < from->n && r >= 0; i++)
                if (!strv_contains(list, from->v[i]))
                        r = strv_add(list, from->v[i]);
        return r;
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
        if (r >= 0 && clear->options->target == TARGET_ALL && clear->config->apps.n == 0)
                r = note(notes, "no application is configured: application caches were not "
                                "looked at");
        if (r >= 0)
                r = add_all(notes, &clear->apps.notes);
        if (r >= 0 && clear->apps_work.n_left_overs > 0)
                r = note(notes, "left-overs of earlier runs were removed, too: %" PRIu64,
                         clear->apps_work.n_left_overs);
        return r < 0 ? r : add_all(notes, &clear->apps_work.notes);
}

static int add_assumes(const Clear *clear, Strv *assumes) {
        int r = 0;

        if (clears_docker(clear))
                r = proof_assumes(&clear->inventory, clear->options, &clear->suspects.images,
                                  assumes);
        if (r >= 0 && clears_apps(clear) && clear->no_engine)
                r = strv_add(assumes, "no container runs that has a cache mounted: there is no "
                                      "engine to ask");
        return r;
}

/* Judges the last look. */
static int judge(Clear *clear, RemainingList *ret_remaining, Strv *ret_assumes, Strv *ret_notes) {
        int r = 0;

        if (clears_docker(clear))
                r = proof_remaining(&clear->inventory, clear->config, clear->options,
                                    &clear->suspects.images, &clear->plan, ret_remaining);
        if (r >= 0 && clears_docker(clear))
                r = unreadable_remaining(&clear->inventory, clear->options->target, ret_remaining);
        if (r >= 0 && clear->options->target == TARGET_APPS && clear->config->apps.n == 0)
                r = remaining_add(ret_remaining, REMAINING_APP, "apps",
                                  "no application is configured",
                                  "a section [app NAME] in wpcached.conf(5)");
        if (r >= 0)
                r = apps_remaining(&clear->apps_work, &clear->apps, clear->options->dry_run,
                                   ret_remaining);
        if (r >= 0)
                r = remaining_close(ret_remaining);
        if (r >= 0)
                r = add_assumes(clear, ret_assumes);
        return r < 0 ? r : add_notes(clear, ret_notes);
}

/* Forgets what is gone, which can't be told while some image is unreadable. */
static int trim_suspects(Clear *clear) {
        NamedImages kept = { 0 };
        int r = 0;

        clear->dirty = true; /* the store may have had to begin anew meanwhile */
        if (clear->inventory.images.unreadable.n > 0)
                return 0;
        for (size_t i = 0; i < clear->suspects.images.n && r >= 0; i++) {
                const NamedImage *entry = &clear->suspects.images.v[i];

                if (image_set_find(&clear->inventory.images, entry->id))
                        r = named_images_add_once(&kept, entry->name, entry->id);
        }
        if (r < 0) {
                named_images_done(&kept);
                return r;
        }
        named_images_done(&clear->suspects.images);
        clear->suspects.images = kept;
        return 0;
}

int record_outcome(Clear *clear, Diag *reterr_diag) {
        cleanup(json_free) Json *json = NULL;
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
        receipt->not_reached = mounted_volumes_json(clear->config, containers_of(clear));
        if (!receipt->not_reached)
                return -ENOMEM;
        if (clears_docker(clear)) {
                receipt->finished_sec = clear->inventory.observed_sec;
                r = trim_suspects(clear);
                if (r >= 0)
                        r = write_suspects(clear, reterr_diag);
                if (r < 0)
                        return r;
        } else {
                receipt->finished_sec = now_realtime_sec();
        }
        receipt_measure_disks(receipt);
        json = receipt_json(receipt);
        return write_receipt(clear, json, reterr_diag);
}

static int add_apps_to_plan(Clear *clear, Json *plan) {
        cleanup(json_free) Json *caches = json_new_array();
        int64_t now_sec = now_realtime_sec();
        int r;

        r = json_add(plan, "apps", apps_json(&clear->apps, now_sec));
        if (r >= 0)
                r = caches ? apps_add_caches(&clear->apps, caches) : -ENOMEM;
        if (r >= 0)
                r = json_add(plan, "caches", TAKE_PTR(caches));
        if (r >= 0)
                r = json_add(plan, "notReached",
                             mounted_volumes_json(clear->config, containers_of(clear)));
        return r;
}

/* What the host will look like once the plan is carried out. */
static int predict(Clear *clear, const ClearPlan *plan) {
        int r;

        r = plan_predict(clear->config, plan, &clear->suspects.images, &clear->inventory);
        if (r >= 0)
                r = plan_clear(&clear->inventory, clear->config, clear->options,
                               &clear->suspects.images, &clear->plan);
        return r;
}

int record_plan(Clear *clear, Json **ret) {
        cleanup(remaining_done) RemainingList remaining = { 0 };
        cleanup(strv_done) Strv assumes = STRV_NULL, notes = STRV_NULL;
        cleanup(clear_plan_done) ClearPlan plan = { 0 };
        cleanup(json_free) Json *json = NULL;
        int r;

        plan = clear->plan;
        clear->plan = (ClearPlan){ 0 };
        r = clears_docker(clear) ? predict(clear, &plan) : 0;
        if (r >= 0)
                r = judge(clear, &remaining, &assumes, &notes);
        if (r < 0)
                return r;
        json = clear_plan_json(&plan, clear->options, &remaining, &assumes, &notes);
        r = json ? add_apps_to_plan(clear, json) : -ENOMEM;
        if (r >= 0)
                *ret = TAKE_PTR(json);
        return r;
}

void record_failure(Clear *clear, int error, Diag *reterr_diag) {
        Receipt *receipt = clear->receipt;
        cleanup(json_free) Json *json = NULL;
        Diag diag = DIAG_NULL;

        receipt->outcome = error == -ECANCELED ? OUTCOME_INTERRUPTED : OUTCOME_FAILED;
        receipt->finished_sec = now_realtime_sec();
        receipt->error = strdup(diag_text(reterr_diag, error));
        json = receipt_json(receipt);
        if (store_receipt(clear, json, &diag) < 0)
                diag_wrap(reterr_diag, error, "(and the receipt could not be written: %s)",
                          diag_text(&diag, -ENOMEM));
}
