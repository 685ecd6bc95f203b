/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The control socket: listening, credentials, limits, framing. Knows nothing of methods: each
 * whole call goes to the handler, which answers at once or later.
 *
 * A client can send anything: a message is at most FRAME_MESSAGE_MAX and must be whole within
 * MESSAGE_USEC; a connection without a call in progress is closed after IDLE_USEC, or earlier when
 * its place is needed. One call at a time is handled on a connection, in order.
 */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/diag.h"
#include "wire/varlink.h"

#define CONNECTIONS_MAX 64
#define CONNECTIONS_PER_USER_MAX 16
/* Kept for root and the daemon's own user, so that they can look when others hold all the rest. */
#define CONNECTIONS_RESERVED 8
#define CONNECTION_OUTPUT_BYTES_MAX (4U * 1024U * 1024U)
#define MESSAGE_USEC (10 * USEC_PER_SEC)
#define IDLE_USEC (60 * USEC_PER_SEC)

typedef struct Server Server;
typedef struct Connection Connection;

/* The peer, by the kernel's word at connect. */
typedef struct Peer {
        uid_t uid;
        pid_t pid;
        gid_t gid;
        gid_t *groups; /* supplementary */
        size_t n_groups;
} Peer;

typedef struct ServerHandler {
        /* One call; `call` is borrowed. Answer now or later with connection_reply(). */
        void (*call)(void *userdata, Connection *connection, const VarlinkCall *call);
        /* The peer is gone; forget the connection. */
        void (*gone)(void *userdata, Connection *connection);
        void *userdata;
} ServerHandler;

/*
 * Serves `listen_fd` (taken over), or where it is negative makes the socket at `path`: mode 0666,
 * its directory made if missing, a stale one replaced. -EADDRINUSE: another daemon answers there.
 */
int server_new(sd_event *event, int listen_fd, const char *path, const ServerHandler *handler,
               Server **ret, Diag *reterr_diag) must_check;
/* Closes everything; removes the socket if it was made here. */
Server *server_free(Server *server);
DEFINE_CLEANUP(Server *, server_free);

/* No further connections and calls; what is being answered goes on. */
void server_stop(Server *server);
/* True once all that was answered is written. */
bool server_drained(const Server *server);

const Peer *connection_peer(const Connection *connection);

/*
 * Answers the call in progress; `parameters` is borrowed and may be NULL. With `continues` more
 * answers follow. A oneway call takes no answer: these do nothing then but end the call. A
 * connection that can't take more output is closed: its handler is told by `gone`, never from
 * within these calls.
 */
void connection_reply(Connection *connection, const Json *parameters, bool continues);
void connection_error(Connection *connection, const char *error, const Json *parameters);
