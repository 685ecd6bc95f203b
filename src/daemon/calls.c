/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "base/span.h"
#include "daemon/calls.h"
#include "daemon/inhibitors.h"
#include "daemon/reply.h"
#include "janitor/history.h"
#include "wire/interface.h"

#define OBJECT_MAX 512
#define HISTORY_SINCE_SEC (7 * 24 * 3600)

/* Whether nothing is wrong; otherwise the name of the parameter is replied. */
static bool reply_wrong(Connection *connection, const char *wrong) {
        if (wrong)
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", wrong);
        return !wrong;
}

bool read_nothing(Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { NULL };

        return check_parameters(connection, call->parameters, known);
}

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
        static const char *const known[] = { "target",           "keepMounts", "includeMounted",
                                             "dryRun",           "waitSec",    "inhibitor",
                                             "ignoreInhibitors", "command",    NULL };
        ClearOptions *options = &ret->options;
        int64_t wait_sec = WAIT_SEC_DEFAULT;
        const char *target = NULL, *wrong = NULL;
        const Json *parameters = call->parameters;

        if (!check_parameters(connection, parameters, known))
                return false;
        if (json_read_string(parameters, "target", &target) <= 0)
                wrong = "target";
        else if (json_read_bool(parameters, "keepMounts", &options->keep_mounts) < 0)
                wrong = "keepMounts";
        else if (json_read_bool(parameters, "includeMounted", &options->include_mounted) < 0)
                wrong = "includeMounted";
        else if (json_read_bool(parameters, "dryRun", &options->dry_run) < 0)
                wrong = "dryRun";
        else if (json_read_int(parameters, "waitSec", &wait_sec) < 0 || wait_sec < 0 ||
                 wait_sec > WAIT_SEC_MAX)
                wrong = "waitSec";
        else if (json_read_string(parameters, "inhibitor", &ret->token) < 0 ||
                 (ret->token && !inhibitor_token_valid(ret->token)))
                wrong = "inhibitor";
        else if (json_read_bool(parameters, "ignoreInhibitors", &ret->ignore_inhibitors) < 0)
                wrong = "ignoreInhibitors";
        else if (json_read_string(parameters, "command", &ret->command) < 0 ||
                 (ret->command && strlen(ret->command) > COMMAND_MAX))
                wrong = "command";
        if (!reply_wrong(connection, wrong))
                return false;
        options->wait_usec = (uint64_t)wait_sec * USEC_PER_SEC;
        options->asked_sec = now_realtime_sec();
        options->asked_usec = now_boottime_usec();
        return read_target(connection, config, target, options);
}

bool read_plan(Connection *connection, const VarlinkCall *call, const Config *config,
               PlanCall *ret) {
        static const char *const known[] = { "target", "keepMounts", "includeMounted", NULL };
        ClearOptions *options = &ret->options;
        const char *target = NULL, *wrong = NULL;

        *ret = (PlanCall){ .options = { .dry_run = true, .wait_usec = LOOK_WAIT_USEC } };
        if (!check_parameters(connection, call->parameters, known))
                return false;
        if (json_read_string(call->parameters, "target", &target) < 0)
                wrong = "target";
        else if (json_read_bool(call->parameters, "keepMounts", &options->keep_mounts) < 0 ||
                 (options->keep_mounts && !target))
                wrong = "keepMounts";
        else if (json_read_bool(call->parameters, "includeMounted", &options->include_mounted) <
                         0 ||
                 (options->include_mounted && !target))
                wrong = "includeMounted";
        if (!reply_wrong(connection, wrong))
                return false;
        ret->clear = target;
        return !target || read_target(connection, config, target, options);
}

bool read_explain(Connection *connection, const VarlinkCall *call, const char **ret_object) {
        static const char *const known[] = { "object", NULL };
        const char *object = NULL;
        bool wrong;

        if (!check_parameters(connection, call->parameters, known))
                return false;
        wrong = json_read_string(call->parameters, "object", &object) <= 0 || !object[0] ||
                strlen(object) > OBJECT_MAX;
        *ret_object = object;
        return reply_wrong(connection, wrong ? "object" : NULL);
}

bool read_history(Connection *connection, const VarlinkCall *call, HistoryCall *ret) {
        static const char *const known[] = { "since", "limit", "receipt", NULL };
        const char *wrong = NULL;

        *ret = (HistoryCall){
                .since_sec = now_realtime_sec() - HISTORY_SINCE_SEC,
                .limit = HISTORY_RUNS_MAX,
        };
        if (!check_parameters(connection, call->parameters, known))
                return false;
        if (json_read_int(call->parameters, "since", &ret->since_sec) < 0)
                wrong = "since";
        else if (json_read_int(call->parameters, "limit", &ret->limit) < 0 || ret->limit < 1 ||
                 ret->limit > HISTORY_RUNS_MAX)
                wrong = "limit";
        else if (json_read_string(call->parameters, "receipt", &ret->receipt) < 0 ||
                 (ret->receipt && !receipt_id_valid(ret->receipt)))
                wrong = "receipt";
        return reply_wrong(connection, wrong);
}

bool read_rollback(Connection *connection, const VarlinkCall *call, const char **ret_receipt) {
        static const char *const known[] = { "receipt", NULL };
        bool wrong;

        if (!check_parameters(connection, call->parameters, known))
                return false;
        wrong = json_read_string(call->parameters, "receipt", ret_receipt) < 0 ||
                (*ret_receipt && !receipt_id_valid(*ret_receipt));
        return reply_wrong(connection, wrong ? "receipt" : NULL);
}
