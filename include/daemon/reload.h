/* SPDX-License-Identifier: MIT */
#pragma once

/* Puts a configuration in force: at the start, on SIGHUP, and for the method Reload. */

#include "daemon/manager.h"

/* Logs mistakes of a configuration, one record each. */
void log_config_errors(const ConfigErrors *errors);
/* Puts a configuration in force and takes it over; after an error it is still the caller's. */
int use_config(Manager *manager, Config *config) must_check;
/* Loads the configuration again: 0, or -EINVAL with the mistakes in `*reterr_text` (malloc'ed); the
 * old one stays in force then. `ret_restart_keys` names keys that need a restart. */
int manager_reload(Manager *manager, Strv *ret_restart_keys, char **reterr_text) must_check;
