/* SPDX-License-Identifier: MIT */
#pragma once

#include "conf/config.h"

/* A Config with the defaults. */
int config_new(Config **ret) must_check;
/* Adds an application with no field but its name set; NULL on out of memory. */
AppConfig *app_configs_add(AppConfigs *apps, const char *name);
