/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The queue of requests: inhibitors, held or waiting, and clears that wait for inhibitors. Plain values
 * without clock or I/O: the functions tell which request may go next, and until when the others wait.
 *
 * An inhibitor waits for jobs that remove, and for clears that came before it. A clear waits for
 * inhibitors that are held, and for inhibitors that wait and came before it.
 */

#include "janitor/job.h"

#define INHIBIT_TTL_SEC_DEFAULT 3600
#define INHIBITORS_MAX 32
#define INHIBITORS_PER_USER_MAX \
        8 /* fewer than connections, so that a user can still ask what holds */
/* What a caller may say of the command that it runs for. */
#define COMMAND_MAX 256
#define TOKEN_MIN 16
#define TOKEN_MAX 65 /* 64 and NUL */

typedef struct Connection Connection;

typedef struct Request {
        Connection *connection; /* whose call it is; borrowed, and not used in inhibitors.c */
        char token[TOKEN_MAX];  /* an inhibitor's own; the token that a clear brings, or "" */
        uint64_t
                deadline_usec; /* a clear's wait or a held inhibitor ends then; USEC_INFINITY: never */

        Job *clear; /* NULL: an inhibitor */
        bool more;  /* clear: the caller asked for progress */

        /* inhibitor */
        bool held;
        char root[TOKEN_MAX]; /* the token of the outermost inhibitor it is nested in, or its own */
        char *why;
        Who who;
        uint64_t ttl_usec;
        int64_t since_sec, until_sec; /* wall time; while it is held */

        struct Request *next;
} Request;

Request *request_free(Request *request);
DEFINE_CLEANUP(Request *, request_free);

/* First come, first served. */
typedef struct Inhibitors {
        Request *first;
} Inhibitors;

/* Whether a text could be a token at all. */
bool inhibitor_token_valid(const char *token);

/* Appends a request and takes it over. An inhibitor's root is set to that of the held inhibitor with the
 * token `outer`; to `outer` where there is none (yet: after a restart of the daemon a nested inhibitor may come
 * back first); to its own token where `outer` is NULL. */
void inhibitors_add(Inhibitors *self, Request *request, const char *outer);
/* Takes a request out, and gives it back to the caller. */
Request *inhibitors_take(Inhibitors *self, Request *request) must_check;

/* The first request that may go now, or NULL: a clear that nothing blocks, or an inhibitor that may be
 * held. `removing`: a job that removes is queued or in progress. */
Request *inhibitors_next(const Inhibitors *self, bool removing);
/* An inhibitor is held from now on. */
void request_hold(Request *request, uint64_t now_usec, int64_t now_sec);

/*
 * Whether a clear that brings `token` (or NULL) has to wait. It does not wait for the token's own
 * inhibitor, nor for inhibitors with the same root. A clear under a held inhibitor waits for no inhibitor
 * that is not held yet: that one may wait for a clear that waits for the token's inhibitor, which would be a
 * deadlock.
 */
bool inhibitors_block(const Inhibitors *self, const char *token);

/* The first request whose deadline is reached, or NULL. */
Request *inhibitors_expired(const Inhibitors *self, uint64_t now_usec);
/* The earliest deadline; USEC_INFINITY: there is none. */
uint64_t inhibitors_deadline(const Inhibitors *self);

/* A request of this connection, or NULL. There may be several: an error can end a call of which the request
 * stays. */
Request *inhibitors_find(const Inhibitors *self, const Connection *connection);
/* Whether this user may not have another inhibitor. */
bool inhibitors_full(const Inhibitors *self, uid_t uid);
/* Inhibitors that are held. */
size_t inhibitors_count(const Inhibitors *self);
/* Clears that wait. */
size_t inhibitors_waiting(const Inhibitors *self);

/* "'deploy' of root (pid 42)"; malloc'ed, NULL on out of memory. */
char *request_text(const Request *inhibitor);
/* A list of those for all inhibitors that are held, without those that a clear with `token` (or NULL)
 * does not wait for; malloc'ed, "" where there is none, NULL on out of memory. */
char *inhibitors_text(const Inhibitors *self, const char *token);

void inhibitors_done(Inhibitors *self);
