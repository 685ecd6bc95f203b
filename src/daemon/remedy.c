/* SPDX-License-Identifier: MIT */

#include "daemon/remedy.h"

#include <string.h>

bool engine_answered(int error) {
        return error == -EREMOTEIO || error == -EBADMSG || error == -EPROTONOSUPPORT ||
               error == -EINVAL || error == -EBUSY || error == -ENOENT;
}

static bool begins(const char *text, const char *prefix) {
        return strncmp(text, prefix, strlen(prefix)) == 0;
}

const char *engine_remedy(const char *socket, int error) {
        bool user = begins(socket, "/run/user/") || begins(socket, "/var/run/user/");
        bool home = begins(socket, "/home/") || begins(socket, "/root/");

        if (error == -EPROTONOSUPPORT || home)
                return "";
        if (engine_answered(error))
                return user ? "journalctl --user -u docker" : "journalctl -u docker";
        return user ? "systemctl --user status docker" : ENGINE_REMEDY_USUAL;
}
