/* SPDX-License-Identifier: MIT */

#include "janitor/proof-remedy.h"

#include <string.h>

#include "base/text.h"

/* One remedy lists so many containers and so many names at most. The next clear lists the rest. */
#define LISTED_MAX 16

typedef struct Commands {
        Strv containers, names;
        bool force;
} Commands;

static void commands_donep(Commands *commands) {
        strv_done(&commands->containers);
        strv_done(&commands->names);
}

bool remedy_needs_force(const Container *container) {
        return strcmp(container->state, "created") != 0 &&
               strcmp(container->state, "exited") != 0 && strcmp(container->state, "dead") != 0;
}

static int add_container(Commands *commands, const Container *container) {
        commands->force |= remedy_needs_force(container);
        return strv_add(&commands->containers, container->name);
}

static int add_containers(Commands *commands, const Inventory *inventory, const Image *image) {
        const ContainerSet *containers = &inventory->containers;
        const Container *holder = container_of_image(inventory, image->id)
                                          ?: container_that_may_mount(inventory, image);
        const IndexEntry *entries;
        size_t n;
        int r = 0;

        entries = container_set_of_image(containers, image->id, &n);
        if (!entries)
                return holder ? add_container(commands, holder) : 0;
        for (size_t i = 0; i < MIN(n, (size_t)LISTED_MAX) && r >= 0; i++)
                r = add_container(commands, &containers->v[entries[i].at]);
        return r;
}

static int add_names(Commands *commands, const Image *image) {
        int r = 0;

        for (size_t i = 0; i < MIN(image->names.n, (size_t)LISTED_MAX) && r >= 0; i++)
                r = strv_add(&commands->names, image->names.v[i]);
        /* The next clear takes an untagged image once no container holds it. */
        if (image->names.n == 0 && commands->containers.n == 0)
                r = strv_add(&commands->names, image_any_name(image));
        return r;
}

char *remedy_remove(const Inventory *inventory, const Image *image) {
        cleanup(commands_done) Commands commands = { 0 };
        cleanup_free char *containers = NULL, *names = NULL;

        if (add_containers(&commands, inventory, image) < 0 || add_names(&commands, image) < 0)
                return NULL;
        containers = strv_join(&commands.containers, " ");
        names = strv_join(&commands.names, " ");
        if (!containers || !names)
                return NULL;
        return text_format("%s%s%s%s%s",
                           commands.containers.n == 0 ? ""
                           : commands.force           ? "docker rm -f "
                                                      : "docker rm ",
                           containers,
                           commands.containers.n > 0 && commands.names.n > 0 ? " && " : "",
                           commands.names.n > 0 ? "docker rmi " : "", names);
}
