/* SPDX-License-Identifier: MIT */
#pragma once

/* The commands that a proof tells to end what is remaining. */

#include "base/strv.h"
#include "janitor/source.h"

/*
 * "docker rm -f web && docker rmi app:1 app:2": removes the containers that hold images, and then all names
 * of these images, or only the first ones of many. Images are removed in the order in which they were added.
 */
typedef struct Removal {
        Strv containers, names;
        bool force;
} Removal;

void removal_done(Removal *removal);
static inline void removal_donep(Removal *removal) {
        removal_done(removal);
}

/*
 * `listed`: one for each container of the inventory, true where an earlier removal has it; set for those that
 * are added. `goes_along`: the image has no name, and needs no command once its containers are gone. The
 * containers of the inventory are indexed. 0 or -ENOMEM.
 */
int removal_add(Removal *removal, const Inventory *inventory, const Image *image, bool goes_along,
                bool *listed) must_check;

/* malloc'ed; NULL on out of memory. */
char *removal_text(const Removal *removal);

/* Whether Docker removes the container only by force: it runs, restarts or is paused. */
bool remedy_needs_force(const Container *container);
