/* SPDX-License-Identifier: MIT */
#pragma once

/* Reads the parameters of method calls. If a parameter is wrong, the functions reply an error and return false. */

#include "daemon/inhibitors.h"
#include "daemon/parameters.h"

/* How long a query (plan, explanation, history) waits for earlier jobs. */
#define QUERY_WAIT_USEC (60 * USEC_PER_SEC)
#define WAIT_SEC_DEFAULT 1800
#define WAIT_SEC_MAX (7 * 24 * 3600)

/* Strings are borrowed from the parameters. */
typedef struct ClearCall {
        ClearOptions options;
        const char *target, *command, *token;
        bool ignore_inhibitors;
        int64_t wait_sec;
} ClearCall;

typedef struct HistoryCall {
        int64_t since_sec, limit;
        const char *receipt; /* NULL: the list */
} HistoryCall;

bool read_clear(Connection *connection, const VarlinkCall *call, const Config *config,
                ClearCall *ret);
/* A dry run: of a clear, or of policy if `target` is NULL. */
bool read_plan(Connection *connection, const VarlinkCall *call, const Config *config,
               ClearCall *ret);
bool read_explain(Connection *connection, const VarlinkCall *call, const char **ret_object);
bool read_history(Connection *connection, const VarlinkCall *call, HistoryCall *ret);
/* NULL: the newest receipt. */
bool read_rollback(Connection *connection, const VarlinkCall *call, const char **ret_receipt);
/* Makes a request for an inhibitor. `ret_outer` is the token of the inhibitor that it is nested in, borrowed from the
 * call, or NULL. Returns false also on out of memory, after an error reply. */
bool read_inhibit(Connection *connection, const VarlinkCall *call, Request **ret,
                  const char **ret_outer);
