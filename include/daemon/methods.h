/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The methods of the control interface, one function each. Replies to calls that need a job come
 * from job-reply.h, once the job is done.
 */

#include "daemon/manager.h"

/* ServerHandler.right, .call and .gone; userdata is the Manager. */
Right methods_right(void *userdata, const Peer *peer);
void methods_on_call(void *userdata, Connection *connection, const VarlinkCall *call);
void methods_on_gone(void *userdata, Connection *connection);
