/* SPDX-License-Identifier: MIT */
#pragma once

/* One connection of the control socket. Part of the server; others use daemon/server.h. */

#include "daemon/listen.h"
#include "daemon/server.h"
#include "wire/frame.h"

struct Connection {
        Server *server;
        Connection *next, *previous;
        int fd;
        Peer peer;
        Right right;
        FrameReader reader;
        FrameWriter writer;
        sd_event_source *io, *timer, *next_call, *bury;
        uint64_t since_usec; /* idle, or midway, since then; 0: from now on */
        bool midway;         /* a call is not whole yet, or the answer not read */
        bool in_call, oneway, eof, dead;
};

/* The time of the loop that the calls of a user took lately: halved at `half_usec`, and so on. */
typedef struct Spender {
        uid_t uid;
        uint64_t usec, half_usec; /* half_usec: CLOCK_MONOTONIC */
} Spender;

#define SPENDERS_MAX 64
#define SPENT_HALF_USEC (100 * USEC_PER_MSEC)
#define SPENT_PRIORITY_MAX 90 /* a millisecond each; below that of peers without a right */

struct Server {
        sd_event *event;
        ServerHandler handler;
        Listener listener;
        sd_event_source *accept, *accept_timer;
        uint64_t accept_told_usec;
        Connection *first;
        Spender spenders[SPENDERS_MAX];
        bool stopping;
};

/* Takes `peer` over, and `fd` if all goes well. */
int connection_new(Server *server, int fd, Peer *peer) must_check;
/* At once; the handler is not told. */
void connection_free(Connection *connection);
/* From the loop, as soon as no callback of it is on the stack; the handler is told. */
void connection_kill(Connection *connection);
/* Says to the loop what to wait for, and until when. */
void connection_arm(Connection *connection);
