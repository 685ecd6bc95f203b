/* SPDX-License-Identifier: MIT */

#include "janitor/proof-remedy.h"

#include <string.h>

#include "base/text.h"

/* One remedy lists so many containers and so many names at most. */
#define LISTED_MAX 16

void removal_done(Removal *removal) {
        strv_done(&removal->containers);
        strv_done(&removal->names);
}

bool remedy_needs_force(const Container *container) {
        return strcmp(container->state, "created") != 0 &&
               strcmp(container->state, "exited") != 0 && strcmp(container->state, "dead") != 0;
}

/* The container of a build goes with the build, which is remaining itself. */
static int add_container(Removal *removal, const ContainerSet *containers,
                         const Container *container, bool *listed) {
        bool *is_listed = &listed[container - containers->v];

        if (*is_listed || container->builds)
                return 0;
        if (removal->containers.n >= LISTED_MAX) {
                removal->more_containers = true;
                return 0;
        }
        *is_listed = true;
        removal->force |= remedy_needs_force(container);
        return strv_add(&removal->containers, container->name);
}

const Container *holder_of_image(const Inventory *inventory, const Image *image) {
        return container_of_image(inventory, image->id)
                       ?: container_that_may_mount(inventory, image);
}

/* Those that were made from the image and those that have it mounted; else one that may have. */
int removal_add_containers(Removal *removal, const Inventory *inventory, const Image *image,
                           bool *listed) {
        const ContainerSet *containers = &inventory->containers;
        const ImageMounts *mounts = &inventory->image_mounts;
        const Container *holder = holder_of_image(inventory, image);
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

int removal_add_name(Removal *removal, const char *name) {
        if (removal->names.n < LISTED_MAX)
                return strv_add(&removal->names, name);
        removal->more_names = true;
        return 0;
}

int removal_add(Removal *removal, const Inventory *inventory, const Image *image, bool goes_along,
                bool *listed) {
        int r = removal_add_containers(removal, inventory, image, listed);

        for (size_t i = 0; i < image->names.n && r >= 0; i++)
                r = removal_add_name(removal, image->names.v[i]);
        if (r < 0 || image->names.n > 0 || (goes_along && holder_of_image(inventory, image)))
                return r;
        return removal_add_name(removal, image_any_name(image));
}

/* The engine removes no last name of an image that a container holds. */
char *removal_text(const Removal *removal) {
        cleanup_free char *containers = strv_join(&removal->containers, " ");
        cleanup_free char *names = strv_join(&removal->names, " ");
        const bool with_names = removal->names.n > 0 && !removal->more_containers;

        if (!containers || !names)
                return NULL;
        return text_format("%s%s%s%s%s%s",
                           removal->containers.n == 0 ? ""
                           : removal->force           ? "docker rm -f "
                                                      : "docker rm ",
                           containers, removal->containers.n > 0 && with_names ? " && " : "",
                           with_names ? "docker rmi " : "", with_names ? names : "",
                           removal->more_containers ? " (the next clear lists more containers)"
                           : removal->more_names    ? " (the next clear lists more names)"
                                                    : "");
}
