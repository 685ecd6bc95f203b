/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whether an image carries BuildKit's inline cache metadata. The engine's API does not tell. On the
 * graphdriver store it is in the image's configuration, a file below Docker's data root, which this
 * process may not be allowed to read; then BuildKit's record of the build tells (janitor/build-steps.h).
 */

#include "janitor/inventory.h"

/* Completes inventory->facts with what the files tell; the rest stays unknown. */
void inline_caches_read(Inventory *inventory);
