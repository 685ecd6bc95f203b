/* SPDX-License-Identifier: MIT */

/* What a clear writes down: before it begins, and of what it found at its end. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "base/text.h"
#include "docker/references.h"
#include "janitor/clearing.h"
#include "janitor/mounted.h"
#include "janitor/proof.h"
#include "janitor/unreadable.h"

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

/* Services whose next task needs a name that this clear took, or one before it. */
static int add_service_notes(Clear *clear, Strv *notes) {
        ServiceImages *services = &clear->inventory.services;
        const ImageSet *images = &clear->inventory.images;

        if (services->unread)
                return note(notes,
                            "the services of this swarm could not be read (%s): one whose image "
                            "lost its name cannot start a task until it is named again: "
                            "wpcachectl rollback",
                            services->unread);
        if (service_images_resolve(services, images) < 0) /* a dry run predicted other names */
                return -ENOMEM;
        for (size_t i = 0; i < services->n; i++) {
                const ServiceImage *entry = &services->v[i];
                cleanup_free char *name = NULL;
                const NamedImage *taken;

                if (!entry->next || entry->id[0])
                        continue;
                if (reference_name(entry->image, &name) < 0)
                        return -ENOMEM;
                taken = name ? named_images_find(&clear->suspects.images, name) : NULL;
                if (taken &&
                    note(notes, "service %s cannot start a task until %s is named again: %s",
                         entry->service, name,
                         image_set_find(images, taken->id) ? "wpcachectl rollback"
                                                           : "build it anew") < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* Tells what the scope is where no image was ever in it. */
static int add_scope_note(const Config *config, Strv *notes) {
        cleanup_free char *match = strv_join(&config->match, ", ");

        if (!match)
                return -ENOMEM;
        if (config->match.n == 0) /* then the configuration has a project */
                return note(
                        notes,
                        "NO IMAGE EVER MATCHED [images] project=%s: does an image on this host "
                        "have the label com.docker.compose.project=%s? Compose gives it to what "
                        "it builds; [images] match= takes images by name",
                        config->project, config->project);
        return note(notes,
                    "NO IMAGE EVER MATCHED [images] match=%s%s%s: is that what this host's images "
                    "are called? Compose names them PROJECT-SERVICE or PROJECT_SERVICE where the "
                    "file gives no image; [images] project= takes a compose project",
                    match, config->project ? " or project=" : "", config->project ?: "");
}

static int add_notes(Clear *clear, Strv *notes) {
        cleanup_free char *others = strv_join(&clear->plan.other_projects, ", ");
        int r = 0;

        if (!others)
                return -ENOMEM;
        if (clear->options->target & TARGET_IMAGES && !clear->suspects.ever_matched &&
            !clear->not_read.text[0])
                r = add_scope_note(clear->config, notes);
        if (r >= 0 && clear->plan.other_projects.n > 0)
                r = note(notes, "the build cache is the whole host's: builds of %s start cold, too",
                         others);
        if (r >= 0)
                r = clear_image_notes(clear, &clear->plan, notes);
        if (r >= 0 && clear->options->target == TARGET_ALL && clear->config->apps.n == 0)
                r = note(notes, "no application is configured: .next, __pycache__ and other "
                                "caches in its directory are not cleared, and a build copies them "
                                "into images; see [app NAME] in wpcached.conf(5)");
        if (r >= 0 && clear->options->target & TARGET_IMAGES)
                r = add_service_notes(clear, notes);
        if (r >= 0 && clear->prune_first)
                r = note(notes,
                         "images lose names only if removing the build cache makes room for the "
                         "receipt: %s",
                         clear->not_recorded.text);
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
                r = proof_assumes(&clear->inventory, clear->config, clear->options,
                                  &clear->suspects.images, assumes);
        if (r >= 0 && clears_apps(clear) && clear->no_engine)
                r = strv_add(assumes, "no container runs that has a cache mounted: there is no "
                                      "engine to ask");
        return r;
}

/* Judges the last look. */
static int judge(Clear *clear, RemainingList *ret_remaining, Strv *ret_assumes, Strv *ret_notes) {
        cleanup_free char *remedy = NULL;
        int r = 0;

        if (clear->not_recorded.text[0]) {
                remedy = clear_store_remedy(clear);
                if (!remedy)
                        return -ENOMEM;
        }
        if (clears_docker(clear))
                r = proof_remaining(&clear->inventory, clear->config, clear->options,
                                    &clear->suspects.images, &clear->plan, remedy, ret_remaining);
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
                r = clear_store_remaining(clear, ret_remaining);
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
                        r = named_images_add(&kept, entry->name, entry->id);
        }
        if (r < 0) {
                named_images_done(&kept);
                return r;
        }
        named_images_done(&clear->suspects.images);
        clear->suspects.images = kept;
        return 0;
}

/* Of the names that the engine was asked to take, drops those that the last look still found on their
 * image, and marks those whose image is gone. An image that has a rollback tag should be there: where
 * somebody removed it meanwhile, its name is not announced as deleted, and a rollback fails. Where some
 * image of the list can't be read, one that is not found may still be there: what was announced stays. */
static int settle_names(Clear *clear) {
        NamedImages *names = &clear->receipt->names, *tags = &clear->receipt->rollback_tags;
        const ImageSet *images = &clear->inventory.images;
        cleanup(index_done) Index tagged = { 0 };
        size_t n = 0;

        for (size_t i = 0; i < tags->n; i++)
                if (index_add(&tagged, tags->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&tagged);
        for (size_t i = 0; i < names->n; i++) {
                NamedImage *entry = &names->v[i];
                const Image *bearer = image_set_find_name(images, entry->name);

                if (bearer && strcmp(bearer->id, entry->id) == 0) {
                        free(entry->name);
                        continue;
                }
                entry->deleted = (entry->deleted || images->unreadable.n == 0) &&
                                 !image_set_find(images, entry->id) &&
                                 !index_find(&tagged, entry->id, NULL);
                names->v[n++] = *entry;
        }
        names->n = n;
        return 0;
}

/* The same of rollback tags that were to be replaced. */
static void settle_replaced_tags(Clear *clear) {
        NamedImages *tags = &clear->receipt->replaced_tags;
        const ImageSet *images = &clear->inventory.images;
        size_t n = 0;

        for (size_t i = 0; i < tags->n; i++) {
                NamedImage *entry = &tags->v[i];
                const Image *bearer = image_set_find_name(images, entry->name);

                if (bearer && strcmp(bearer->id, entry->id) == 0) {
                        free(entry->name);
                        continue;
                }
                if (images->unreadable.n == 0)
                        entry->deleted = !image_set_find(images, entry->id);
                tags->v[n++] = *entry;
        }
        tags->n = n;
}

int record_outcome(Clear *clear) {
        cleanup(json_free) Json *json = NULL;
        Receipt *receipt = clear->receipt;
        Diag diag = DIAG_NULL;
        bool clean;
        int r = 0;

        if (clears_docker(clear))
                r = settle_names(clear);
        if (r >= 0 && clears_docker(clear))
                settle_replaced_tags(clear);
        clear->taken = &receipt->names;
        if (r >= 0)
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
                        r = clear_write_suspects(clear, &diag);
                if (r == -ENOMEM) /* else more of them are stored than there are: no harm */
                        return r;
        } else {
                receipt->finished_sec = now_realtime_sec();
        }
        receipt_measure_disks(receipt);
        json = receipt_json(receipt);
        r = clear_store_receipt(clear, json, &diag);
        if (r >= 0 || r == -ENOMEM)
                return r;
        return note(&receipt->notes, "this receipt is in memory alone until it can be stored: %s",
                    diag_text(&diag, r));
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

/* What the host will look like once the plan is carried out. Where no receipt can be stored, images are
 * left alone: the plan says so. */
static int predict(Clear *clear, ClearPlan *plan, Diag *reterr_diag) {
        int r = 1;

        if (clear->options->target & TARGET_IMAGES)
                r = record_test(clear);
        if (r == 0) {
                r = prune_may_make_room(clear, plan, &clear->prune_first, reterr_diag);
                if (r >= 0 && !clear->prune_first)
                        clear_plan_leave_images(plan);
        }
        if (r >= 0)
                r = plan_predict(clear->config, plan, &clear->suspects.images, &clear->inventory);
        return r < 0 ? r : clear_plan(clear);
}

int record_plan(Clear *clear, Json **ret, Diag *reterr_diag) {
        cleanup(remaining_done) RemainingList remaining = { 0 };
        cleanup(strv_done) Strv assumes = STRV_NULL, notes = STRV_NULL;
        cleanup(clear_plan_done) ClearPlan plan = { 0 };
        cleanup(json_free) Json *json = NULL;
        int r;

        plan = clear->plan;
        clear->plan = (ClearPlan){ 0 };
        r = clears_docker(clear) ? predict(clear, &plan, reterr_diag) : 0;
        clear->taken = &plan.names;
        if (r >= 0)
                r = judge(clear, &remaining, &assumes, &notes);
        clear->taken = NULL;
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
        int r;

        receipt->outcome = error == -ECANCELED ? OUTCOME_INTERRUPTED : OUTCOME_FAILED;
        receipt->finished_sec = now_realtime_sec();
        receipt->error = strdup(diag_text(reterr_diag, error));
        json = receipt_json(receipt);
        r = clear_store_receipt(clear, json, &diag);
        if (r < 0)
                diag_format(reterr_diag, "%s (and the receipt could not be written: %s)",
                            diag_text(reterr_diag, error), diag_text(&diag, r));
}
