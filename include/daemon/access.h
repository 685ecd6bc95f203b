/* SPDX-License-Identifier: MIT */
#pragma once

/* Who may what on the control socket. */

#include <sys/types.h>

#include "base/strv.h"
#include "daemon/server.h"

/* Users and groups of one role, resolved when the configuration is loaded. */
typedef struct Role {
        gid_t *gids;
        size_t n_gids;
        uid_t *uids;
        size_t n_uids;
} Role;

/* `key` is for the warning where a name is not known. 0 or -ENOMEM. */
int role_resolve(const char *key, const Strv *names, Role *ret) must_check;
void role_done(Role *role);
static inline void role_donep(Role *role) {
        role_done(role);
}
bool role_has(const Role *role, const Peer *peer);

/* The name of a user, malloc'ed, or NULL where the local file has none; asks no network. */
char *user_name(uid_t uid);
