/* SPDX-License-Identifier: MIT */

/* A clear and the store: what is written before names go, and what is told where it can't be written. */

#include <sys/stat.h>

#include "base/text.h"
#include "janitor/clearing.h"
#include "store/store.h"

int clear_store_receipt(Clear *clear, const Json *json, Diag *reterr_diag) {
        Run run;

        if (!json)
                return -ENOMEM;
        receipt_run(clear->receipt, &run);
        run.took_names = json_first(json_get(json, "names")); /* or is about to */
        return store_write_run(clear->store, &run, json, reterr_diag);
}

int clear_write_suspects(Clear *clear, Diag *reterr_diag) {
        int r;

        if (!clear->dirty || clear->not_read.text[0])
                return 0;
        r = store_write_suspects(clear->store, &clear->suspects, reterr_diag);
        clear->dirty = r < 0;
        return r;
}

int record_recall(Clear *clear) {
        cleanup(suspects_done) Suspects known = { 0 };
        Diag diag = DIAG_NULL;
        int r;

        r = store_read_suspects(clear->store, &known, &diag);
        if (r == -ENOMEM)
                return r;
        clear->not_read = DIAG_NULL;
        if (r < 0) {
                diag_format(&clear->not_read, "%s", diag_text(&diag, r));
                clear->store_error = r;
                return 0;
        }
        clear->suspects.ever_matched = clear->suspects.ever_matched || known.ever_matched;
        return named_images_merge(&clear->suspects.images, &known.images);
}

/* Type Cache[]: what was taken, and what is about to be. */
static Json *all_caches(const Clear *clear, const Json *taken) {
        cleanup(json_free) Json *array = json_copy(taken);

        return array && apps_add_caches(&clear->apps, array) >= 0 ? TAKE_PTR(array) : NULL;
}

/* Type Name[]: what was taken, and what is about to be. */
static Json *all_names(const NamedImages *taken, const NamedImages *planned) {
        NamedImages names = { 0 };
        Json *json = NULL;

        if (named_images_merge(&names, taken) >= 0 && named_images_merge(&names, planned) >= 0)
                json = named_images_json(&names);
        named_images_done(&names);
        return json;
}

/* `r`: how a write ended. */
static int recorded(Clear *clear, int r, const Diag *diag) {
        if (r == -ENOMEM)
                return r;
        clear->not_recorded = DIAG_NULL;
        if (r < 0) {
                diag_format(&clear->not_recorded, "%s", diag_text(diag, r));
                clear->store_error = r;
        }
        return r >= 0;
}

int record_ahead(Clear *clear) {
        cleanup(json_free) Json *json = receipt_json(clear->receipt);
        const Receipt *receipt = clear->receipt;
        const ClearPlan *plan = &clear->plan;
        Diag diag = DIAG_NULL;
        int r;

        r = json ? json_replace(json, "names", all_names(&receipt->names, &plan->names)) : -ENOMEM;
        if (r >= 0)
                r = json_replace(json, "replacedTags",
                                 all_names(&receipt->replaced_tags, &plan->replaced_tags));
        if (r >= 0)
                r = json_replace(json, "caches", all_caches(clear, json_get(json, "caches")));
        if (r >= 0 && clear->not_read.text[0])
                r = record_recall(clear);
        if (r >= 0)
                r = clear_store_receipt(clear, json, &diag);
        if (r >= 0)
                r = clear_write_suspects(clear, &diag);
        return recorded(clear, r, &diag);
}

/* A plan writes only where the last write failed: that may be mended by now. */
int record_test(Clear *clear) {
        AgeClock clock = { 0 };
        Diag diag = DIAG_NULL;
        StoreState state;
        int r = 0;

        store_state(clear->store, &state);
        if (state.writable)
                return 1;
        if (clear->not_read.text[0])
                r = record_recall(clear);
        if (r >= 0)
                r = store_read_clock(clear->store, &clock, &diag);
        if (r >= 0)
                r = store_write_clock(clear->store, &clock, &diag);
        return recorded(clear, r, &diag);
}

int prune_may_make_room(const Clear *clear, const ClearPlan *plan, bool *ret, Diag *reterr_diag) {
        cleanup_free char *directory = store_directory(clear->store);
        const EngineInfo *engine;
        struct stat ours, engines;
        int r;

        *ret = false;
        if (clear->store_error != -ENOSPC || plan->n_records == 0)
                return 0;
        r = docker_negotiate(clear->docker, &engine, reterr_diag);
        if (r < 0)
                return r;
        *ret = directory && stat(directory, &ours) == 0 && stat(engine->root_dir, &engines) == 0 &&
               ours.st_dev == engines.st_dev;
        return 0;
}

char *clear_store_remedy(const Clear *clear) {
        cleanup_free char *directory = store_directory(clear->store);

        if (!directory)
                return NULL;
        if (clear->store_error == -ENOSPC || clear->store_error == -EDQUOT)
                return text_format("make room in %s (df -h %s; df -i %s), then clear again",
                                   directory, directory, directory);
        if (clear->store_error == -EROFS)
                return text_format("make %s writable (findmnt -T %s), then clear again", directory,
                                   directory);
        if (clear->store_error == -EBUSY)
                return text_format("end the program that holds %s/" STORE_FILE
                                   " (fuser -v %s/" STORE_FILE "), then clear again",
                                   directory, directory);
        return text_format("see to the disk of %s (journalctl -k), then clear again", directory);
}

int clear_store_remaining(const Clear *clear, RemainingList *remaining) {
        const ClearPlan *plan = &clear->plan;
        cleanup_free char *directory = NULL, *remedy = NULL, *text = NULL;

        if (!(clear->options->target & TARGET_IMAGES) || clear->prune_first)
                return 0;
        if (clear->not_recorded.text[0] &&
            plan->names.n + plan->rollback_tags.n + plan->untagged.n + plan->trash.n > 0)
                text = text_format("images were left alone, since names are taken only once the "
                                   "receipt that has them is stored: %s",
                                   clear->not_recorded.text);
        else if (clear->not_read.text[0])
                text = text_format("which images earlier clears took names from is not known: %s",
                                   clear->not_read.text);
        else
                return 0;
        directory = store_directory(clear->store);
        remedy = clear_store_remedy(clear);
        if (!directory || !remedy || !text)
                return -ENOMEM;
        return remaining_add(remaining, REMAINING_STORE, directory, text, remedy);
}
