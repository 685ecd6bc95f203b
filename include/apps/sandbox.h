/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The sandbox grants: what systemd's sandbox (ProtectSystem=strict, ProtectHome=yes, PrivateTmp=yes,
 * no capability) must grant a service so that it can clear the caches of an application. They are
 * found as root, from outside of the sandbox.
 *
 * A path that is granted for writing becomes a mount in the sandbox, and rename(2) does not leave a
 * mount. So a cache can be renamed into the trash only if one granted path holds both its root and
 * the trash.
 */

#include <sys/types.h>

#include "apps/sysdirs.h"
#include "base/diag.h"
#include "base/strv.h"

typedef struct ServiceUser {
        const char *name;
        bool known; /* false: there is no such user yet */
        uid_t uid;
        gid_t gid;
        gid_t *groups; /* supplementary ones; borrowed */
        size_t n_groups;
} ServiceUser;

typedef struct SandboxGrants {
        char *path;       /* for writing: the root, or a directory that holds it and its trash */
        char *other;      /* for writing: a trash elsewhere, which may hold something; or NULL */
        Hidden hidden;    /* what hides `path` */
        char *capability; /* why CAP_DAC_OVERRIDE is needed, or NULL */
        char *make_trash; /* without the capability: a directory to make for the user, or NULL */
        Strv notes;
} SandboxGrants;

/*
 * Finds the grants for a root. `trash` is the configured one; NULL: as trash_choose() chooses one,
 * outside of the directories `outside`, which may be NULL. Paths in the result have no symlinks. A
 * root that is missing or cannot be examined is no error: a note says so, and the capability is taken
 * to be needed.
 *
 * Errors: -EINVAL if a path has a control character, which could end a line of a unit; -ESTALE if a
 * path was moved meanwhile; the error of taking on the user's rights; -ENOMEM. The process takes on
 * those rights while it checks what the user may write, so it must have a single thread.
 */
int sandbox_grants(const char *root, const Strv *caches, const char *trash, const Strv *outside,
                   const ServiceUser *user, SandboxGrants *ret, Diag *reterr_diag) must_check;
void sandbox_grants_done(SandboxGrants *grants);

static inline void sandbox_grants_donep(SandboxGrants *grants) {
        sandbox_grants_done(grants);
}
