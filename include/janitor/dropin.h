/* SPDX-License-Identifier: MIT */
#pragma once

/* The systemd drop-in that lets wpcached.service get at the configured applications. */

#include "apps/sandbox.h"
#include "conf/config.h"

#define DROPIN_PATH "/etc/systemd/system/wpcached.service.d/50-apps.conf"

/* Its text, malloc'ed: for the unit as it is shipped, running as `user`. To be asked as root, outside of
 * the unit. Errors: sandbox_grants()'s, -EINVAL for all that is in it. */
int dropin_text(const Config *config, const ServiceUser *user, char **ret,
                Diag *reterr_diag) must_check;

/*
 * What would let this process get at `path`, of an application, where it met `error`; malloc'ed. NULL
 * where nothing is known to: for other errors than -EACCES and -EROFS, and -ENOENT of a path that the
 * unit hides. 0 or -ENOMEM.
 */
int dropin_remedy(const Config *config, const char *path, int error, char **ret) must_check;
