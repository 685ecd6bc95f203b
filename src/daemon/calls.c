/* SPDX-License-Identifier: MIT */

#include "daemon/calls.h"
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/random.h"
#include "base/span.h"
#include "base/text.h"
#include "daemon/reply.h"
#include "janitor/history.h"
#include "wire/interface.h"

#define OBJECT_MAX 512
#define HISTORY_SINCE_SEC (7 * 24 * 3600)

static bool read_target(Connection *connection, const Config *config, const char *text,
                        ClearOptions *ret) {
        cleanup(json_free) Json *error = NULL, *list = NULL;
        int r;

        if (target_from_string(config, text, &ret->target, ret->app) >= 0)
                return true;
        error = json_new_object();
        list = json_new_array();
        r = json_add_string(error, "target", text);
        for (size_t i = 0; i < n_target_names; i++)
                r |= json_append_string(list, target_names[i]);
        for (size_t i = 0; i < config->apps.n; i++)
                r |= json_append_string(list, config->apps.v[i].name);
        r |= json_add(error, "known", TAKE_PTR(list));
        if (r < 0)
                reply_no_memory(connection);
        else
                connection_error(connection, ERROR_UNKNOWN_TARGET, error);
        return false;
}

bool read_clear(Connection *connection, const VarlinkCall *call, const Config *config,
                ClearCall *ret) {
        static const Parameter table[] = {
                { "target", PARAMETER_STRING, offsetof(ClearCall, target), .required = true },
                { "keepMounts", PARAMETER_BOOL, offsetof(ClearCall, options.keep_mounts) },
                { "includeMounted", PARAMETER_BOOL, offsetof(ClearCall, options.include_mounted) },
                { "dryRun", PARAMETER_BOOL, offsetof(ClearCall, options.dry_run) },
                { "waitSec", PARAMETER_INT, offsetof(ClearCall, wait_sec), .max = WAIT_SEC_MAX },
                { "inhibitor", PARAMETER_STRING, offsetof(ClearCall, token),
                  .valid = inhibitor_token_valid },
                { "ignoreInhibitors", PARAMETER_BOOL, offsetof(ClearCall, ignore_inhibitors) },
                { "command", PARAMETER_STRING, offsetof(ClearCall, command), .max = COMMAND_MAX },
        };

        *ret = (ClearCall){ .wait_sec = WAIT_SEC_DEFAULT };
        if (!read_parameters(connection, call, table, ELEMENTSOF(table), ret))
                return false;
        ret->options.wait_usec = (uint64_t)ret->wait_sec * USEC_PER_SEC;
        ret->options.asked_sec = now_realtime_sec();
        ret->options.asked_usec = now_boottime_usec();
        return read_target(connection, config, ret->target, &ret->options);
}

bool read_plan(Connection *connection, const VarlinkCall *call, const Config *config,
               ClearCall *ret) {
        static const Parameter table[] = {
                { "target", PARAMETER_STRING, offsetof(ClearCall, target) },
                { "keepMounts", PARAMETER_BOOL, offsetof(ClearCall, options.keep_mounts) },
                { "includeMounted", PARAMETER_BOOL, offsetof(ClearCall, options.include_mounted) },
        };
        ClearOptions *options = &ret->options;
        const char *wrong;

        *ret = (ClearCall){ .options = { .dry_run = true, .wait_usec = QUERY_WAIT_USEC } };
        if (!read_parameters(connection, call, table, ELEMENTSOF(table), ret))
                return false;
        if (ret->target)
                return read_target(connection, config, ret->target, options);
        wrong = options->keep_mounts       ? "keepMounts"
                : options->include_mounted ? "includeMounted"
                                           : NULL;
        if (wrong)
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", wrong);
        return !wrong;
}

bool read_explain(Connection *connection, const VarlinkCall *call, const char **ret_object) {
        static const Parameter table[] = {
                { "object", PARAMETER_STRING, 0, .required = true, .min = 1, .max = OBJECT_MAX },
        };

        return read_parameters(connection, call, table, ELEMENTSOF(table), ret_object);
}

bool read_history(Connection *connection, const VarlinkCall *call, HistoryCall *ret) {
        static const Parameter table[] = {
                { "since", PARAMETER_INT, offsetof(HistoryCall, since_sec) },
                { "limit", PARAMETER_INT, offsetof(HistoryCall, limit), .min = 1,
                  .max = HISTORY_RUNS_MAX },
                { "receipt", PARAMETER_STRING, offsetof(HistoryCall, receipt),
                  .valid = receipt_id_valid },
        };

        *ret = (HistoryCall){
                .since_sec = now_realtime_sec() - HISTORY_SINCE_SEC,
                .limit = HISTORY_RUNS_MAX,
        };
        return read_parameters(connection, call, table, ELEMENTSOF(table), ret);
}

bool read_rollback(Connection *connection, const VarlinkCall *call, const char **ret_receipt) {
        static const Parameter table[] = {
                { "receipt", PARAMETER_STRING, 0, .valid = receipt_id_valid },
        };

        *ret_receipt = NULL;
        return read_parameters(connection, call, table, ELEMENTSOF(table), ret_receipt);
}

#define TOKEN_BYTES 16 /* of a token that the daemon makes */

typedef struct InhibitCall {
        const char *why, *token, *inhibitor, *command;
        int64_t ttl_sec;
} InhibitCall;

static const Parameter inhibit_parameters[] = {
        { "why", PARAMETER_STRING, offsetof(InhibitCall, why), true, 1, INTERFACE_WHY_MAX },
        { "ttlSec", PARAMETER_INT, offsetof(InhibitCall, ttl_sec), false, 1,
          INTERFACE_TTL_SEC_MAX },
        { "token", PARAMETER_STRING, offsetof(InhibitCall, token), .valid = inhibitor_token_valid },
        { "inhibitor", PARAMETER_STRING, offsetof(InhibitCall, inhibitor),
          .valid = inhibitor_token_valid },
        { "command", PARAMETER_STRING, offsetof(InhibitCall, command), .max = COMMAND_MAX },
};

static Request *request_new(Connection *connection, const InhibitCall *call) {
        cleanup(request_free) Request *request = calloc(1, sizeof(*request));
        const Peer *peer = connection_peer(connection);

        if (!request)
                return NULL;
        request->connection = connection;
        request->deadline_usec = USEC_INFINITY;
        request->ttl_usec = (uint64_t)call->ttl_sec * USEC_PER_SEC;
        request->why = strdup(call->why);
        request->who = (Who){
                .uid = peer->uid,
                .pid = peer->pid,
                .user = user_name(peer->uid),
                .command = call->command ? strdup(call->command) : NULL,
        };
        if (!request->why || (call->command && !request->who.command))
                return NULL;
        text_clean(request->why); /* it goes into fields of the journal, one a line */
        if (call->token)
                strcpy(request->token, call->token);
        else if (random_hex(TOKEN_BYTES, request->token) < 0)
                return NULL;
        return TAKE_PTR(request);
}

bool read_inhibit(Connection *connection, const VarlinkCall *call, Request **ret,
                  const char **ret_outer) {
        InhibitCall inhibit = { .ttl_sec = INHIBIT_TTL_SEC_DEFAULT };

        if (!read_parameters(connection, call, inhibit_parameters, ELEMENTSOF(inhibit_parameters),
                             &inhibit))
                return false;
        if (!call->more) {
                reply_error(connection, ERROR_EXPECTED_MORE, NULL, NULL);
                return false;
        }
        *ret = request_new(connection, &inhibit);
        *ret_outer = inhibit.inhibitor;
        if (!*ret)
                reply_no_memory(connection);
        return *ret;
}
