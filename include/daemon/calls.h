/* SPDX-License-Identifier: MIT */
#pragma once

/* The parameters of method calls as values. What is wrong is replied, and false returned. Unknown parameters
 * are wrong, too: a misspelt option must not change what a clear does. */

#include "conf/config.h"
#include "daemon/server.h"
#include "janitor/job.h"

/* How long a caller that only looks waits for earlier jobs. */
#define LOOK_WAIT_USEC (60 * USEC_PER_SEC)
#define WAIT_SEC_DEFAULT 1800
#define WAIT_SEC_MAX (7 * 24 * 3600)

/* Strings are borrowed from the parameters. */
typedef struct ClearCall {
        ClearOptions options;
        const char *command, *token;
        bool ignore_inhibitors;
} ClearCall;

typedef struct PlanCall {
        bool clear; /* the plan of a clear; false: of policy */
        ClearOptions options;
} PlanCall;

typedef struct HistoryCall {
        int64_t since_sec, limit;
        const char *receipt; /* NULL: the list */
} HistoryCall;

bool read_nothing(Connection *connection, const VarlinkCall *call);
bool read_clear(Connection *connection, const VarlinkCall *call, const Config *config,
                ClearCall *ret);
bool read_plan(Connection *connection, const VarlinkCall *call, const Config *config,
               PlanCall *ret);
bool read_explain(Connection *connection, const VarlinkCall *call, const char **ret_object);
bool read_history(Connection *connection, const VarlinkCall *call, HistoryCall *ret);
/* NULL: the newest receipt. */
bool read_rollback(Connection *connection, const VarlinkCall *call, const char **ret_receipt);
