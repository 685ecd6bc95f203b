/* SPDX-License-Identifier: MIT */

/*
 * A docker-container builder of buildx is a container named buildx_buildkit_NAME0. Its cache is in a volume
 * of that container's, buildx_buildkit_NAME0_state, and in no answer of the engine.
 */

#include <string.h>

#include "base/text.h"
#include "janitor/proof-remedy.h"
#include "janitor/proof.h"

#define IGNORE "; or set [builder] external_builders=ignore"

/* The NAME in "buildx_buildkit_NAME0", and its length, or -1. The digit is the node's, which buildx appends;
 * a NAME may end in digits, too. */
static int builder_name(const char *container, const char **ret) {
        static const char prefix[] = "buildx_buildkit_";
        size_t n;

        if (strncmp(container, prefix, strlen(prefix)) != 0)
                return -1;
        *ret = container + strlen(prefix);
        n = strlen(*ret);
        if (n > 1 && (*ret)[n - 1] >= '0' && (*ret)[n - 1] <= '9')
                n--;
        return (int)n;
}

static int add(RemainingList *list, const char *object, const char *reason, const char *remedy) {
        return reason && remedy ? remaining_add(list, REMAINING_BUILDER, object, reason, remedy)
                                : -ENOMEM;
}

static int judge_container(const Container *container, RemainingList *list) {
        cleanup_free char *reason = NULL, *remedy = NULL;
        const char *name;
        int n = builder_name(container->name, &name);

        if (n < 0)
                return 0;
        reason = text_format("the buildx builder '%.*s' has a build cache of its own", n, name);
        remedy = text_format("docker buildx prune --builder %.*s -af" IGNORE, n, name);
        return add(list, container->name, reason, remedy);
}

/*
 * A builder that was removed with --keep-state leaves its volume, and a builder that is made again under
 * that name goes on with it. The same holds for a builder whose container was renamed: buildx makes another
 * container for it.
 * `user`: a container that has the volume mounted, or NULL.
 */
static int judge_volume(const char *volume, const Index *containers, const Container *user,
                        RemainingList *list) {
        cleanup_free char *container = strndup(volume, strlen(volume) - strlen("_state"));
        cleanup_free char *reason = NULL, *remedy = NULL;
        const char *name;
        int n;

        if (!container)
                return -ENOMEM;
        n = builder_name(container, &name);
        if (n < 0 || index_find(containers, container, NULL))
                return 0; /* named by its container */
        if (user) {
                reason = text_format("the volume keeps the build cache of the buildx builder "
                                     "'%.*s', and the container %s has it mounted",
                                     n, name, user->name);
                remedy = text_format("docker rm %s%s && docker volume rm %s" IGNORE,
                                     remedy_needs_force(user) ? "-f " : "", user->name, volume);
        } else {
                reason = text_format("the volume keeps the build cache of the buildx builder "
                                     "'%.*s', whose container is gone",
                                     n, name);
                remedy = text_format("docker volume rm %s" IGNORE, volume);
        }
        return add(list, volume, reason, remedy);
}

static int index_containers(const ContainerSet *containers, Index *by_name, Index *by_volume) {
        for (size_t i = 0; i < containers->n; i++) {
                const Container *container = &containers->v[i];

                if (index_add(by_name, container->name, i) < 0)
                        return -ENOMEM;
                for (size_t j = 0; j < container->n_mounts; j++)
                        if (container->mounts[j].volume &&
                            index_add(by_volume, container->mounts[j].volume, i) < 0)
                                return -ENOMEM;
        }
        index_sort(by_name);
        index_sort(by_volume);
        return 0;
}

int proof_builders(const Inventory *inventory, RemainingList *list) {
        const ContainerSet *containers = &inventory->containers;
        cleanup(index_done) Index by_name = { 0 }, by_volume = { 0 };
        int r;

        r = index_containers(containers, &by_name, &by_volume);
        for (size_t i = 0; i < containers->n && r >= 0; i++)
                r = judge_container(&containers->v[i], list);
        for (size_t i = 0; i < inventory->builder_volumes.n && r >= 0; i++) {
                const char *volume = inventory->builder_volumes.v[i];
                const IndexEntry *user = index_find(&by_volume, volume, NULL);

                r = judge_volume(volume, &by_name, user ? &containers->v[user->at] : NULL, list);
        }
        return r;
}
