/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a service needs of systemd's sandbox (ProtectSystem=strict, ProtectHome=yes, PrivateTmp=yes, no
 * capability) so that it can clear an application. Looked at from outside of it, as root.
 *
 * What a service may write is a mount of its own there, and no rename leaves it: a cache is renamed only
 * where its root and the trash are below one such path.
 */

#include <sys/types.h>

#include "apps/sysdirs.h"
#include "base/diag.h"
#include "base/strv.h"

typedef struct ServiceUser {
        const char *name;
        bool known; /* else: is not there yet, and may write nothing */
        uid_t uid;
        gid_t gid;
        gid_t *groups; /* supplementary ones; borrowed */
        size_t n_groups;
} ServiceUser;

typedef struct SandboxGrants {
        char *path;       /* to be writable: the root, or a directory that holds its trash, too */
        char *other;      /* to be writable: a trash elsewhere, for what is left in it; or NULL */
        Hidden hidden;    /* whether `path` is */
        char *capability; /* why CAP_DAC_OVERRIDE is needed, or NULL */
        char *make_trash; /* a directory the user has to be given, unless it has the capability */
        Strv notes;
} SandboxGrants;

/*
 * What a root needs; `trash` is a configured one, or NULL: then none lies in one of the directories
 * `outside` (may be NULL), as trash_choose() has it. A root that is not there, or can't be looked at, is
 * no error: a note tells, and the capability is taken to be needed. Paths are without symlinks.
 *
 * Errors: -EINVAL: a path has a control character, which could end a line of a unit; -ESTALE: it is
 * moved about meanwhile; the user's rights can't be seen; -ENOMEM. Forks, so that the kernel says what
 * the user may write.
 */
int sandbox_grants(const char *root, const Strv *caches, const char *trash, const Strv *outside,
                   const ServiceUser *user, SandboxGrants *ret, Diag *reterr_diag) must_check;
void sandbox_grants_done(SandboxGrants *need);

static inline void sandbox_grants_donep(SandboxGrants *need) {
        sandbox_grants_done(need);
}
