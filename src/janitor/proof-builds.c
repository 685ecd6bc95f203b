/* SPDX-License-Identifier: MIT */

/*
 * BuildKit takes cached steps from its records: a plain cache mount is none, but those that a mount with
 * from= was made from are; on the containerd store only some, which no record tells apart.
 */

#include "janitor/proof.h"

#include "base/bytes.h"

int proof_records(const Inventory *inventory, const ClearPlan *plan, RemainingList *list) {
        const RecordSet *set = &inventory->records;
        const Strv *mounts = &plan->kept_mounts;
        cleanup(index_done) Index kept = { 0 };
        int r;

        for (size_t i = 0; i < mounts->n; i++)
                if (index_add(&kept, mounts->v[i], i) < 0)
                        return -ENOMEM;
        index_sort(&kept);

        for (size_t i = 0; i < set->n; i++) {
                const BuildRecord *record = &set->v[i];
                const char *type = record_type_to_string(record->type) ?: "of unknown type";
                char bytes[BYTES_TEXT_MAX];

                bytes_format(record->size_bytes, bytes);
                if (record->in_use && id_set_contains(&inventory->builds.leaked, record->id))
                        r = remaining_format(
                                list, REMAINING_RECORD, record->id,
                                "restart the engine (systemctl restart docker), then clear again",
                                "build cache record (%s, %s) that the engine holds in use although "
                                "no build runs: it lost count",
                                type, bytes);
                else if (record->in_use)
                        r = remaining_format(list, REMAINING_RECORD, record->id,
                                             "wait for the build to end, then clear again",
                                             "build cache record (%s, %s) in use by a build", type,
                                             bytes);
                else if (!index_find(&kept, record->id, NULL))
                        r = remaining_format(
                                list, REMAINING_RECORD, record->id, "docker builder prune -af",
                                "build cache record (%s, %s) that the engine did not delete", type,
                                bytes);
                else if (record->type != RECORD_CACHE_MOUNT)
                        r = remaining_format(
                                list, REMAINING_RECORD, record->id, "clear without --keep-mounts",
                                "build cache record (%s, %s) that a kept cache mount was made from "
                                "(--mount=type=cache,from=), which a build takes cached steps from",
                                type, bytes);
                else
                        r = 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A build that holds no record is named by nothing else. */
int proof_buildkit_builds(const Inventory *inventory, RemainingList *list) {
        const Builds *builds = &inventory->builds;

        if (builds->unknown[0])
                return remaining_format(list, REMAINING_BUILD, "BuildKit", "clear again",
                                        "whether a build runs can't be told: %s", builds->unknown);
        if (builds->n_running > 0 && inventory->n_in_use <= builds->leaked.n)
                return remaining_format(list, REMAINING_BUILD, "BuildKit",
                                        "wait for the build to end, then clear again",
                                        "a build runs (%zu in BuildKit's history)",
                                        builds->n_running);
        return 0;
}

int proof_classic_builds(const Inventory *inventory, RemainingList *list) {
        for (size_t i = 0; i < inventory->classic_builds.n; i++) {
                int r = remaining_format(list, REMAINING_BUILD, "classic builder",
                                         "wait for the build to end, then clear again", "%s",
                                         inventory->classic_builds.v[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}
