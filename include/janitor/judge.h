/* SPDX-License-Identifier: MIT */
#pragma once

/* The images' part of policy_decide(). */

#include "janitor/policy.h"

/* `plan` has its disks and its builder decided; the verdicts on images are added. -ENOMEM leaves it
 * fit for policy_plan_done(). */
int judge_images(const Inventory *inventory, const SeenImages *seen, const NamedImages *suspects,
                 const Config *config, const PolicyNow *now, PolicyPlan *plan) must_check;
