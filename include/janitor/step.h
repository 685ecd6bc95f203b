/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the engine's list does not tell of the step that made an image: its exact time, and whether it was a
 * step of a build. Both never change for an id, so the answers are kept in the facts about the image.
 */

#include "janitor/inventory.h"

/* Images that one search asks the engine about; the rest stay unknown. */
#define STEPS_ASKED_MAX 64

/*
 * Sets created_nsec. It stays 0 where the image is gone or can't be read, and once `*n_asked` is
 * STEPS_ASKED_MAX, which counts the calls. `facts` may be NULL.
 */
int step_ask_time(Docker *docker, ImageFacts *facts, Image *image, size_t *n_asked,
                  Diag *reterr_diag) must_check;

/* What inspect and the history of an image tell. */
typedef struct StepAnswer {
        ImageStep step; /* STEP_UNKNOWN: the image is gone or can't be read */
        int64_t created_nsec;
        int64_t last_tagged_nsec; /* 0: not told */
} StepAnswer;

/* Asks the engine, whatever the facts tell, and completes them unless `facts` is NULL. An image without a
 * history has no step. */
int step_ask(Docker *docker, const char *id, ImageFacts *facts, StepAnswer *ret,
             Diag *reterr_diag) must_check;

/* An untagged step of the classic builder has no facts until something asks for them. NULL: out of memory. The
 * facts are to be indexed again. */
ImageFacts *step_add_facts(Inventory *inventory, const Image *image);
/* Those of each image that is marked and has none, and indexes them. `wanted`: one an image. 0 or -ENOMEM. */
int steps_add_facts(Inventory *inventory, const bool *wanted) must_check;
