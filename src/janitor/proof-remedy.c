/* SPDX-License-Identifier: MIT */

#include "janitor/proof-remedy.h"

#include <string.h>

#include "base/text.h"

/* One remedy lists so many containers and so many names at most. The next clear lists the rest. */
#define LISTED_MAX 16

void removal_done(Removal *removal) {
        strv_done(&removal->containers);
        strv_done(&removal->names);
}

bool remedy_needs_force(const Container *container) {
        return strcmp(container->state, "created") != 0 &&
               strcmp(container->state, "exited") != 0 && strcmp(container->state, "dead") != 0;
}

static int add_container(Removal *removal, const ContainerSet *containers,
                         const Container *container, bool *listed) {
        bool *is_listed = &listed[container - containers->v];

        if (*is_listed || removal->containers.n >= LISTED_MAX)
                return 0;
        *is_listed = true;
        removal->force |= remedy_needs_force(container);
        return strv_add(&removal->containers, container->name);
}

/* Those that were made from the image and those that have it mounted; else one that may have. */
static int add_containers(Removal *removal, const Inventory *inventory, const Image *image,
                          bool *listed) {
        const ContainerSet *containers = &inventory->containers;
        const ImageMounts *mounts = &inventory->image_mounts;
        const Container *holder = container_of_image(inventory, image->id)
                                          ?: container_that_may_mount(inventory, image);
        const IndexEntry *entries;
        size_t n;
        int r = 0;

        entries = container_set_of_image(containers, image->id, &n);
        for (size_t i = 0; entries && i < n && r >= 0; i++)
                r = add_container(removal, containers, &containers->v[entries[i].at], listed);
        entries = index_find(&mounts->by_image, image->id, &n);
        for (size_t i = 0; entries && i < n && r >= 0; i++) {
                const ImageMount *mount = &mounts->v[entries[i].at];

                if (mount->certain)
                        r = add_container(removal, containers, &containers->v[mount->container],
                                          listed);
        }
        return r >= 0 && holder ? add_container(removal, containers, holder, listed) : r;
}

int removal_add(Removal *removal, const Inventory *inventory, const Image *image, bool goes_along,
                bool *listed) {
        int r = add_containers(removal, inventory, image, listed);

        for (size_t i = 0; i < image->names.n && removal->names.n < LISTED_MAX && r >= 0; i++)
                r = strv_add(&removal->names, image->names.v[i]);
        if (r < 0 || image->names.n > 0 || removal->names.n >= LISTED_MAX ||
            (goes_along && removal->containers.n > 0))
                return r;
        return strv_add(&removal->names, image_any_name(image));
}

char *removal_text(const Removal *removal) {
        cleanup_free char *containers = strv_join(&removal->containers, " ");
        cleanup_free char *names = strv_join(&removal->names, " ");

        if (!containers || !names)
                return NULL;
        return text_format("%s%s%s%s%s",
                           removal->containers.n == 0 ? ""
                           : removal->force           ? "docker rm -f "
                                                      : "docker rm ",
                           containers,
                           removal->containers.n > 0 && removal->names.n > 0 ? " && " : "",
                           removal->names.n > 0 ? "docker rmi " : "", names);
}
