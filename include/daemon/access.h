/* SPDX-License-Identifier: MIT */
#pragma once

/* Who may what on the control socket. */

#include <sys/types.h>

#include "base/strv.h"

/* The peer of a connection, by the kernel's word at connect. */
typedef struct Peer {
        uid_t uid;
        pid_t pid;
        gid_t gid;
        gid_t *groups; /* supplementary */
        size_t n_groups;
} Peer;

/* What a peer may do; each may also do what those before it may. */
typedef enum Right {
        RIGHT_NONE, /* ask for the version and the interface */
        RIGHT_LOOK,
        RIGHT_ACT,
        RIGHT_ROOT, /* root and the daemon's own user: as RIGHT_ACT, with places kept for them */
        RIGHT_MAX
} Right;

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

/* Of a connected socket. */
int peer_read(int fd, Peer *ret) must_check;
void peer_done(Peer *peer);
Right peer_right(const Peer *peer, const Role *operators, const Role *readers);

/* The name of a user, malloc'ed, or NULL where the local file has none; asks no network. */
char *user_name(uid_t uid);
