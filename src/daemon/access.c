/* SPDX-License-Identifier: MIT */

/*
 * NSS may ask the network, so names are resolved when the configuration is loaded and never on
 * behalf of a client.
 */

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/access.h"

void role_done(Role *role) {
        free(role->gids);
        free(role->uids);
        *role = (Role){ 0 };
}

static int id_add(unsigned **ids, size_t *n, unsigned id) {
        unsigned *larger = reallocarray(*ids, *n + 1, sizeof(*larger));

        if (!larger)
                return -ENOMEM;
        larger[(*n)++] = id;
        *ids = larger;
        return 0;
}

static int role_add(Role *role, const char *key, const char *name) {
        const char *user_text = strncmp(name, "user:", 5) == 0 ? name + 5 : NULL;
        const struct passwd *user = user_text ? getpwnam(user_text) : NULL;
        const struct group *group = user_text ? NULL : getgrnam(name);

        if (user)
                return id_add(&role->uids, &role->n_uids, user->pw_uid);
        if (group)
                return id_add(&role->gids, &role->n_gids, group->gr_gid);
        log_warning("[control] %s: there is no %s '%s'", key, user_text ? "user" : "group",
                    user_text ?: name);
        return 0;
}

int role_resolve(const char *key, const Strv *names, Role *ret) {
        cleanup(role_done) Role role = { 0 };

        for (size_t i = 0; i < names->n; i++) {
                int r = role_add(&role, key, names->v[i]);

                if (r < 0)
                        return r;
        }
        *ret = role;
        role = (Role){ 0 };
        return 0;
}

bool role_has(const Role *role, const Peer *peer) {
        for (size_t i = 0; i < role->n_uids; i++)
                if (role->uids[i] == peer->uid)
                        return true;
        for (size_t i = 0; i < role->n_gids; i++) {
                if (role->gids[i] == peer->gid)
                        return true;
                for (size_t j = 0; j < peer->n_groups; j++)
                        if (role->gids[i] == peer->groups[j])
                                return true;
        }
        return false;
}

int peer_read(int fd, Peer *ret) {
        struct ucred ucred;
        socklen_t n = sizeof(ucred);
        cleanup_free gid_t *groups = NULL;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &n) < 0)
                return -errno;
        n = 64 * sizeof(gid_t);
        for (;;) {
                gid_t *larger = realloc(groups, n);

                if (!larger)
                        return -ENOMEM;
                groups = larger;
                if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) >= 0)
                        break;
                if (errno != ERANGE) /* the kernel says what it needs in n */
                        return -errno;
        }
        *ret = (Peer){
                .uid = ucred.uid,
                .pid = ucred.pid,
                .gid = ucred.gid,
                .groups = TAKE_PTR(groups),
                .n_groups = n / sizeof(gid_t),
        };
        return 0;
}

void peer_done(Peer *peer) {
        free(peer->groups);
        *peer = (Peer){ 0 };
}

Right peer_right(const Peer *peer, const Role *operators, const Role *readers) {
        if (peer->uid == 0 || peer->uid == geteuid())
                return RIGHT_ROOT;
        if (role_has(operators, peer))
                return RIGHT_ACT;
        return role_has(readers, peer) ? RIGHT_LOOK : RIGHT_NONE;
}

char *user_name(uid_t uid) {
        FILE *file = fopen("/etc/passwd", "re");
        struct passwd *entry;
        char *name = NULL;

        if (!file)
                return NULL;
        while ((entry = fgetpwent(file)))
                if (entry->pw_uid == uid) {
                        name = strdup(entry->pw_name);
                        break;
                }
        fclose(file);
        return name;
}
