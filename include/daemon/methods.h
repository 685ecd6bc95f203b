/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The methods of the control interface, one function each: who may call, what the parameters must
 * be, what is answered and when. Callers that wait for a job are Waiters of the manager.
 */

#include "daemon/manager.h"

/* ServerHandler.call and .gone; userdata is the Manager. */
void methods_on_call(void *userdata, Connection *connection, const VarlinkCall *call);
void methods_on_gone(void *userdata, Connection *connection);

/* Tells everybody concerned of an event of the worker. */
void methods_tell(Manager *manager, const JobEvent *event);
/* Tells monitors something that is no job's: `what` is an event name of Monitor. */
void methods_tell_monitors(Manager *manager, const char *what, const char *message);

void waiters_free(Manager *manager);
