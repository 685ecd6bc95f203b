/* SPDX-License-Identifier: MIT */

#include "daemon/monitors.h"

struct Monitor {
        Connection *connection;
        Monitor *next;
};

int monitors_add(Monitors *self, Connection *connection) {
        Monitor *monitor = calloc(1, sizeof(*monitor));

        if (!monitor)
                return -ENOMEM;
        monitor->connection = connection;
        monitor->next = self->first;
        self->first = monitor;
        return 0;
}

void monitors_remove(Monitors *self, const Connection *connection) {
        for (Monitor **at = &self->first; *at;) {
                Monitor *monitor = *at;

                if (monitor->connection == connection) {
                        *at = monitor->next;
                        free(monitor);
                } else {
                        at = &monitor->next;
                }
        }
}

void monitors_reply(const Monitors *self, const Json *parameters) {
        for (const Monitor *monitor = self->first; monitor; monitor = monitor->next)
                connection_reply(monitor->connection, parameters, true);
}

void monitors_tell(const Monitors *self, const char *event, const char *message) {
        cleanup(json_free) Json *parameters = NULL;

        if (!self->first)
                return;
        parameters = json_new_object();
        if (json_add_string(parameters, "event", event) >= 0 &&
            json_add_string(parameters, "message", message) >= 0)
                monitors_reply(self, parameters);
}

void monitors_done(Monitors *self) {
        while (self->first)
                monitors_remove(self, self->first->connection);
}
