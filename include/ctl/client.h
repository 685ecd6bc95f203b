/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A connection to the daemon. The caller bounds each wait. Text in replies is made printable,
 * unless it will be printed as JSON.
 */

#include "base/diag.h"
#include "ctl/ctl.h"
#include "ctl/fail.h"
#include "wire/varlink.h"

/* How long the daemon may take to answer from memory. */
#define CLIENT_TIMEOUT_USEC (10 * USEC_PER_SEC)
/* How long it may take to answer if it must ask the engine, after the job in progress. The daemon
 * knows when to give up. */
#define CLIENT_LOOK_TIMEOUT_USEC (15 * USEC_PER_MINUTE)

typedef struct Client Client;

/* Connects. Errors: those of connect(2), -ETIMEDOUT if the daemon accepts no connection in time.
 * With a timeout of 0, tries once. */
int client_open(const Ctl *ctl, uint64_t timeout_usec, Client **ret) must_check;
Client *client_free(Client *client);
DEFINE_CLEANUP(Client *, client_free);

/* Makes SIGINT and SIGTERM end client_reply() with -EINTR instead of the process. client_signal()
 * returns the signal that came. */
int client_catch_signals(Client *client) must_check;
int client_signal(const Client *client);

/* Becomes readable when client_reply() has something to return. Several replies may have come at
 * once, so call it until -ETIMEDOUT. Borrowed. */
int client_fd(const Client *client);

/* Sends a call. */
int client_send(Client *client, const char *method, const Json *parameters, bool more,
                Diag *reterr_diag) must_check;

/*
 * Waits for the next reply. -ETIMEDOUT: none came in time, and one may still come; with
 * USEC_INFINITY never. -EINTR: see client_catch_signals(). -ECONNRESET: the daemon closed the
 * connection. -EBADMSG: not a reply. -EMSGSIZE: the reply is too long.
 */
int client_reply(Client *client, uint64_t timeout_usec, VarlinkReply *ret,
                 Diag *reterr_diag) must_check;

/* The parameters that name the target of a clear or a plan; NULL on out of memory. */
Json *client_target_parameters(const Ctl *ctl) must_check;

/* Sends a call and waits for its only reply. Returns an exit status; on failure the reason was
 * printed. */
int client_call(const Ctl *ctl, const char *method, const Json *parameters, uint64_t timeout_usec,
                VarlinkReply *ret) must_check;

/* Prints why a connection, or the error that the daemon replied with, ends the verb. Returns the
 * exit status. */
int client_fail_connection(const Ctl *ctl, int error, const Diag *diag);
int client_fail_reply(const Ctl *ctl, const VarlinkReply *reply);
