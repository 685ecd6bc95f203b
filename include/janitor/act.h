/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Act: carries out a plan, each object re-checked immediately before. Never forces, never deletes
 * by id: an untagged image is first tagged wpcache-trash:ID and removed by that name, so that the
 * engine keeps it if anybody tagged it meanwhile.
 *
 * What the engine refuses (in use, has children, gone by now) is no error: the next pass finds it
 * or not, and the proof names it. Other errors end the act. `receipt` gets each name as it goes.
 */

#include "janitor/clear.h"

int act_images(Docker *docker, const ClearPlan *plan, const Reporter *reporter, Receipt *receipt,
               Diag *reterr_diag) must_check;

int act_builder(Docker *docker, const ClearOptions *options, Receipt *receipt,
                Diag *reterr_diag) must_check;
