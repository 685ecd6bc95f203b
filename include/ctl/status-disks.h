/* SPDX-License-Identifier: MIT */
#pragma once

#include "ctl/ctl.h"
#include "wire/json.h"

/* Prints the lines of `status` about disks. */
void status_print_disks(const Ctl *ctl, const Json *disks);
