/* SPDX-License-Identifier: MIT */
#pragma once

/* The systemd drop-in that gives wpcached.service the sandbox grants of the configured applications. */

#include "apps/sandbox.h"
#include "conf/config.h"

#define DROPIN_PATH "/etc/systemd/system/wpcached.service.d/50-apps.conf"

/*
 * The text of the drop-in for the unit as it is shipped, running as `user`; malloc'ed. To be called as
 * root, outside of the unit. Errors: those of sandbox_grants(), and -EINVAL if any text of it has a
 * control character.
 */
int dropin_text(const Config *config, const ServiceUser *user, char **ret,
                Diag *reterr_diag) must_check;

/*
 * The command that lets this process get at `path` of an application, where it met `error`;
 * malloc'ed. `*ret` is NULL if no command is known to help: for errors other than -EACCES and -EROFS,
 * and for -ENOENT unless the unit hides the path. 0 or -ENOMEM.
 */
int dropin_remedy(const Config *config, const char *path, int error, char **ret) must_check;
