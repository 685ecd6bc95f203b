/* SPDX-License-Identifier: MIT */

#include "janitor/unreadable.h"

#include "base/text.h"

static int add_all(RemainingList *list, RemainingKind kind, const UnreadableSet *set,
                   const char *unknown, const char *remedy) {
        for (size_t i = 0; i < set->n_named; i++) {
                const Unreadable *entry = &set->v[i];
                cleanup_free char *reason = NULL;
                int r;

                reason = text_format("it can't be read, so %s is not known: %s", unknown,
                                     entry->reason);
                if (!reason)
                        return -ENOMEM;
                r = remaining_add(list, kind, entry->object, reason, remedy);
                if (r < 0)
                        return r;
        }

        remaining_count(list, kind, set->n - set->n_named);
        return 0;
}

int unreadable_remaining(const Inventory *inventory, Target target, RemainingList *list) {
        int r = 0;

        if (target & TARGET_BUILDER)
                r = add_all(list, REMAINING_RECORD, &inventory->unreadable_records,
                            "what it serves and whether a build uses it",
                            "docker builder prune -af");
        if (r >= 0 && target & TARGET_BUILDER)
                r = add_all(list, REMAINING_BUILDER, &inventory->unreadable_volumes,
                            "whether a buildx builder keeps its cache in it",
                            "remove it with docker volume rm, then clear again");
        if (r >= 0 && target & TARGET_IMAGES)
                r = add_all(list, REMAINING_IMAGE, &inventory->images.unreadable, "what it serves",
                            "remove it with docker rmi, then clear again");
        if (r >= 0 && target & TARGET_DOCKER)
                r = add_all(list, REMAINING_CONTAINER, &inventory->containers.unreadable,
                            "what it uses", "remove it with docker rm, then clear again");
        return r;
}
