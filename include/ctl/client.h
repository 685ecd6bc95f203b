/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One connection to the daemon. Waits are bounded by the caller; text in replies is made printable
 * unless it will be printed as JSON.
 */

#include "base/diag.h"
#include "ctl/ctl.h"
#include "ctl/fail.h"
#include "wire/varlink.h"

/* How long the daemon may take for an answer that costs it nothing. */
#define CLIENT_TIMEOUT_USEC (10 * USEC_PER_SEC)
/* And where it may have to ask the engine, after the job in progress: it knows when to give up. */
#define CLIENT_LOOK_TIMEOUT_USEC (15 * USEC_PER_MINUTE)

typedef struct Client Client;

/* Connects; -errno of connect(2), -ETIMEDOUT where the daemon takes no connections. With a timeout of
 * 0, tries once. */
int client_open(const Ctl *ctl, uint64_t timeout_usec, Client **ret) must_check;
Client *client_free(Client *client);
DEFINE_CLEANUP(Client *, client_free);

/* From here on SIGINT and SIGTERM end client_reply() with -EINTR instead of the process.
 * client_signal() says which it was. */
int client_catch_signals(Client *client) must_check;
int client_signal(const Client *client);

/* Becomes readable when client_reply() has something to tell; still, more than one reply may have
 * come at once. Borrowed. */
int client_fd(const Client *client);

/* Sends one call. */
int client_send(Client *client, const char *method, const Json *parameters, bool more,
                Diag *reterr_diag) must_check;

/*
 * Waits for the next reply. -ETIMEDOUT: none yet (one may still come, with USEC_INFINITY never);
 * -EINTR: see above; -ECONNRESET: the daemon closed the connection; -EBADMSG: not a reply;
 * -EMSGSIZE: too long.
 */
int client_reply(Client *client, uint64_t timeout_usec, VarlinkReply *ret,
                 Diag *reterr_diag) must_check;

/* The parameters that name the target of a clear or a plan; NULL on out of memory. */
Json *client_target_parameters(const Ctl *ctl) must_check;

/* One call and its one reply. Returns an exit status, and on failure has said why on stderr. */
int client_call(const Ctl *ctl, const char *method, const Json *parameters, uint64_t timeout_usec,
                VarlinkReply *ret) must_check;

/* Says on stderr why a connection, or the error that the daemon replied with, ends the verb.
 * Returns the exit status for it. */
int client_fail_connection(const Ctl *ctl, int error, const Diag *diag);
int client_fail_reply(const Ctl *ctl, const VarlinkReply *reply);
