/* SPDX-License-Identifier: MIT */
#pragma once

/* The method Inhibit: its parameters, and what callers, monitors and the log are told of requests. */

#include "daemon/inhibitors.h"
#include "daemon/monitors.h"

/* Reads a call into a new request: 0, with the token of the inhibitor it is nested in (borrowed from the
 * call) or NULL in `ret_outer`; or -errno, and the error was replied. */
int inhibit_read(Connection *connection, const VarlinkCall *call, Request **ret,
                 const char **ret_outer) must_check;

/* Replies that an inhibitor is held, or that its time is over. */
void inhibit_reply(const Request *inhibitor, bool expired);
/* Replies that a clear waits for inhibitors, if its caller asked for progress. */
void inhibit_reply_waiting(const Inhibitors *inhibitors, const Request *clear);
/* Replies that a clear's wait is over; `busy` is said where no inhibitor is held. */
void inhibit_reply_busy(const Inhibitors *inhibitors, const Request *clear, const char *busy);
/* Tells the log and monitors that an inhibitor holds or ends. */
void inhibit_tell(const Request *inhibitor, Monitors *monitors, const char *what);
