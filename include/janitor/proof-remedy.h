/* SPDX-License-Identifier: MIT */
#pragma once

/* The commands that a proof tells to end what is remaining. */

#include "janitor/source.h"

/*
 * "docker rm -f web && docker rmi app:1 app:2": removes the containers that hold the image, and then all of
 * its names, or only the first ones of many. malloc'ed; NULL on out of memory. The containers of the
 * inventory are indexed.
 */
char *remedy_remove(const Inventory *inventory, const Image *image);

/* Whether Docker removes the container only by force: it runs, restarts or is paused. */
bool remedy_needs_force(const Container *container);
