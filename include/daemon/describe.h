/* SPDX-License-Identifier: MIT */
#pragma once

/* The interface org.varlink.service: what this service is, and the text of its interfaces. */

#include "daemon/server.h"

void describe_info(Connection *connection, const VarlinkCall *call);
void describe_interface(Connection *connection, const VarlinkCall *call);
