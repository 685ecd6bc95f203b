/* SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/ctl.h"
#include "wire/json.h"

/* Prints the plan of a clear. Returns the exit status. */
int view_clear_plan(const Ctl *ctl, const Json *plan);
