/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The control socket: listening, credentials, limits, framing. Knows nothing of methods: each
 * whole call goes to the handler, which answers at once or later.
 *
 * A client can send anything: a message is at most FRAME_MESSAGE_MAX and must be whole within
 * MESSAGE_USEC; a connection without a call in progress is closed after IDLE_USEC, or earlier when
 * its place is needed. One call at a time is handled on a connection, in order. The next one is not
 * read before the peer has read the last answer, of which it may read nothing for MESSAGE_USEC.
 *
 * Peers without a right have few places and little output, are answered last and closed first. Of the
 * places some are kept for operators, and some for root and the daemon's own user.
 */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/diag.h"
#include "daemon/access.h"
#include "wire/varlink.h"

#define CONNECTIONS_MAX 64
#define CONNECTIONS_PER_USER_MAX 16
#define CONNECTIONS_KEPT 8 /* for operators, and as many for root */
#define CONNECTIONS_NO_RIGHT_MAX 8
#define CONNECTIONS_NO_RIGHT_PER_USER_MAX 4
#define CONNECTION_OUTPUT_BYTES_MAX (4U * 1024U * 1024U)
#define CONNECTION_OUTPUT_NO_RIGHT_BYTES_MAX (128U * 1024U)
#define SERVER_OUTPUT_BYTES_MAX (16U * 1024U * 1024U) /* of all connections together */
#define MESSAGE_USEC (10 * USEC_PER_SEC)
#define IDLE_USEC (60 * USEC_PER_SEC)

typedef struct Server Server;
typedef struct Connection Connection;

typedef struct ServerHandler {
        /* What a peer may do; asked when it connects, and by server_rights_changed(). */
        Right (*right)(void *userdata, const Peer *peer);
        /* One call; `call` is borrowed. Answer now or later with connection_reply(). */
        void (*call)(void *userdata, Connection *connection, const VarlinkCall *call);
        /* The peer is gone; forget the connection. */
        void (*gone)(void *userdata, Connection *connection);
        void *userdata;
} ServerHandler;

/* Serves `listen_fd` (taken over), or where it is negative makes the socket at `path`; errors are
 * those of listener_make(). */
int server_new(sd_event *event, int listen_fd, const char *path, const ServerHandler *handler,
               Server **ret, Diag *reterr_diag) must_check;
/* Closes everything, as listener_done() does. */
Server *server_free(Server *server);
DEFINE_CLEANUP(Server *, server_free);

/* No further connections and calls; what is being answered goes on. */
void server_stop(Server *server);
/* Another configuration: looks up anew what each peer may do, and closes connections of those who may
 * do less than before. */
void server_rights_changed(Server *server);
/* True once all that was answered is written. */
bool server_drained(const Server *server);

const Peer *connection_peer(const Connection *connection);

/*
 * Answers the call in progress; `parameters` is borrowed and may be NULL. With `continues` more
 * answers follow. A oneway call takes no answer: these do nothing then but end the call. A
 * connection that can't take more output is closed, or another one whose peer does not read:
 * the handler is told by `gone`, never from within these calls.
 */
void connection_reply(Connection *connection, const Json *parameters, bool continues);
void connection_error(Connection *connection, const char *error, const Json *parameters);
