/* SPDX-License-Identifier: MIT */
#pragma once

/* Callers of the method Monitor, who are told of every event until they leave. */

#include "daemon/server.h"

typedef struct Monitor Monitor;

typedef struct Monitors {
        Monitor *first;
} Monitors;

int monitors_add(Monitors *self, Connection *connection) must_check;
/* The peer is gone. Does nothing if it is not a monitor. */
void monitors_remove(Monitors *self, const Connection *connection);

/* Tells all monitors. `event` is an event's name of the interface. */
void monitors_tell(const Monitors *self, const char *event, const char *message);
/* The same with the parameters of a whole reply, borrowed. */
void monitors_reply(const Monitors *self, const Json *parameters);
void monitors_done(Monitors *self);
