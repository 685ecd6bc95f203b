/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Inhibitors, and those who wait: clears for inhibitors of others, inhibitors for jobs that remove
 * and for clears that came before them. An inhibitor lives as long as its connection, and its time
 * at most. Part of the manager, on the loop thread.
 */

#include "daemon/server.h"
#include "janitor/job.h"

typedef struct Manager Manager;

#define INHIBIT_TTL_SEC_DEFAULT 3600
#define INHIBITORS_MAX 32
#define INHIBITORS_PER_USER_MAX 8 /* fewer than connections: a user can still ask what holds */
#define TOKEN_MIN 16
#define TOKEN_MAX 65 /* 64 and NUL */

typedef struct Turn Turn;

/* All inhibitors and those clears that wait, first come, first served. */
typedef struct Turns {
        Turn *first;
} Turns;

/* Method handler. */
void inhibit_on_call(Manager *manager, Connection *connection, const VarlinkCall *call);
/* The peer is gone: its inhibitor ends, its waiting clear is forgotten. */
void inhibit_on_gone(Manager *manager, Connection *connection);

/* Whether a text could be a token at all. */
bool inhibit_token_valid(const char *token);

/*
 * Whether a clear that brings `token` (or NULL) has to wait: for an inhibitor that is held, or for
 * one that waits and came before it. The token's own inhibitor is not waited for, nor are those it is
 * nested with; and whoever runs under one waits for none that is not held yet, since that one may
 * wait for its own in turn.
 */
bool inhibit_blocks(const Manager *manager, const char *token);

/*
 * Keeps a clear until nothing blocks it: then submits it as methods_submit_clear() does. Takes `job`
 * over. `wait_usec` bounds the wait: Busy, naming the inhibitors.
 */
void inhibit_hold_clear(Manager *manager, Connection *connection, Job *job, const char *token,
                        bool more, uint64_t wait_usec);

/* To be called whenever a job ends: lets go who need not wait any longer. */
void inhibit_turn(Manager *manager);

/* Inhibitors that are held. */
size_t inhibit_count(const Manager *manager);
/* Clears that wait here. */
size_t inhibit_waiting(const Manager *manager);
/* Nobody holds one or waits here: policy may have its turn. */
bool inhibit_idle(const Manager *manager);
/* Type Inhibitor[], or NULL on out of memory. */
Json *inhibit_json(const Manager *manager);
/* "'deploy' of uid 1000 (pid 42), ..." of those held, but for the one of `token` and its nested ones
 * (NULL: none), for messages; malloc'ed, "" where there is none. */
char *inhibit_text(const Manager *manager, const char *token);

/* The daemon stops: those who wait are told. Inhibitors that are held end with their connections. */
void inhibit_stop(Manager *manager);
void inhibit_free(Manager *manager);
