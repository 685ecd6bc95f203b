/* SPDX-License-Identifier: MIT */
#pragma once

/* The commands that a proof tells to end what is remaining. */

#include "base/strv.h"
#include "janitor/source.h"

/*
 * "docker rm -f web && docker rmi app:1 app:2": removes the containers that hold images, and then the names
 * of these images, in the order in which the images were added. Of many containers the command removes the
 * first ones and no name, of many names the first ones; the text says that the next clear lists more.
 */
typedef struct Removal {
        Strv containers, names;
        bool force;
        bool more_containers, more_names; /* some are not listed */
} Removal;

void removal_done(Removal *removal);
static inline void removal_donep(Removal *removal) {
        removal_done(removal);
}

/*
 * Adds the containers that hold the image, and all its names, or its id where it has none.
 * `listed`: one for each container of the inventory, true where an earlier removal has it; set for those that
 * are added. `goes_along`: the engine or the next clear deletes the image, which has no name, once no
 * container holds it; so its id is not added if it has containers, in this removal or in an earlier one. The
 * containers of the inventory are indexed. 0 or -ENOMEM.
 */
int removal_add(Removal *removal, const Inventory *inventory, const Image *image, bool goes_along,
                bool *listed) must_check;
/* Parts of it: the containers alone, and one name. */
int removal_add_containers(Removal *removal, const Inventory *inventory, const Image *image,
                           bool *listed) must_check;
int removal_add_name(Removal *removal, const char *name) must_check;

/* malloc'ed; "": there is nothing to remove; NULL on out of memory. */
char *removal_text(const Removal *removal) must_check;

/* A container that keeps the engine from deleting the image, or may; NULL: there is none. Borrowed. */
const Container *holder_of_image(const Inventory *inventory, const Image *image);

/* Whether Docker removes the container only by force: it runs, restarts or is paused. */
bool remedy_needs_force(const Container *container);
