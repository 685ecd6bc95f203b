/* SPDX-License-Identifier: MIT */

/*
 * Who may: root, the daemon's own user and operators may act; readers may look as well. Parameters
 * are checked strictly, unknown ones included: a misspelt option must not change what a clear does.
 */

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/span.h"
#include "daemon/dispatch.h"
#include "daemon/inhibit.h"
#include "daemon/methods.h"
#include "daemon/reply.h"
#include "janitor/history.h"
#include "wire/interface.h"

#define WAIT_SEC_DEFAULT 1800
#define WAIT_SEC_MAX (7 * 24 * 3600)
/* How long one who only looks waits for the jobs before. */
#define LOOK_WAIT_USEC (60 * USEC_PER_SEC)
#define OBJECT_MAX 512
#define HISTORY_SINCE_SEC (7 * 24 * 3600)

Right methods_right(void *userdata, const Peer *peer) {
        const Manager *manager = userdata;

        return peer_right(peer, &manager->operators, &manager->readers);
}

void methods_on_gone(void *userdata, Connection *connection) {
        Manager *manager = userdata;

        monitors_remove(&manager->monitors, connection);
        dispatch_gone(manager, connection);
}

static void on_get_status(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { NULL };
        StatusFacts facts = dispatch_status_facts(manager);

        if (check_parameters(connection, call->parameters, known))
                reply_member(connection, "status", status_json(&facts), false);
}

static void on_monitor(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { NULL };
        cleanup(json_free) Json *parameters = json_new_object();
        StatusFacts facts = dispatch_status_facts(manager);
        int r;

        if (!check_parameters(connection, call->parameters, known))
                return;
        if (!call->more) {
                reply_error(connection, ERROR_EXPECTED_MORE, NULL, NULL);
                return;
        }
        r = json_add_string(parameters, "event", "status");
        r |= json_add(parameters, "status", status_json(&facts));
        if (r < 0 || monitors_add(&manager->monitors, connection) < 0) {
                reply_no_memory(connection);
                return;
        }
        connection_reply(connection, parameters, true);
}

static void on_reload(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { NULL };
        cleanup(strv_done) Strv restart_keys = STRV_NULL;
        cleanup_free char *text = NULL;

        if (!check_parameters(connection, call->parameters, known))
                return;
        if (manager_reload(manager, &restart_keys, &text) < 0)
                reply_error(connection, ERROR_CONFIG_INVALID, "reason", text ?: "out of memory");
        else
                reply_member(connection, "restartNeeded", json_new_strings(&restart_keys), false);
}

static Who who_is(const Connection *connection, const char *command) {
        const Peer *peer = connection_peer(connection);

        return (Who){
                .uid = peer->uid,
                .pid = peer->pid,
                .user = user_name(peer->uid),
                .command = command ? strdup(command) : NULL,
        };
}

static Job *job_new(JobKind kind, const Connection *connection, const char *command) {
        Job *job = calloc(1, sizeof(*job));

        if (job) {
                job->kind = kind;
                job->who = who_is(connection, command);
        }
        return job;
}

static bool read_target(const Manager *manager, Connection *connection, const char *text,
                        ClearOptions *ret) {
        cleanup(json_free) Json *error = NULL, *list = NULL;
        int r;

        if (target_from_string(manager->config, text, &ret->target, ret->app) >= 0)
                return true;
        error = json_new_object();
        list = json_new_array();
        r = json_add_string(error, "target", text);
        for (size_t i = 0; i < n_target_names; i++)
                r |= json_append_string(list, target_names[i]);
        for (size_t i = 0; i < manager->config->apps.n; i++)
                r |= json_append_string(list, manager->config->apps.v[i].name);
        r |= json_add(error, "known", TAKE_PTR(list));
        if (r < 0)
                reply_no_memory(connection);
        else
                connection_error(connection, ERROR_UNKNOWN_TARGET, error);
        return false;
}

typedef struct ClearCall {
        ClearOptions options;
        const char *command, *token;
        bool ignore_inhibitors;
} ClearCall;

static bool read_clear(const Manager *manager, Connection *connection, const Json *parameters,
                       ClearCall *ret) {
        static const char *const known[] = { "target",           "keepMounts", "includeMounted",
                                             "dryRun",           "waitSec",    "inhibitor",
                                             "ignoreInhibitors", "command",    NULL };
        ClearOptions *options = &ret->options;
        int64_t wait_sec = WAIT_SEC_DEFAULT;
        const char *target = NULL, *wrong = NULL;

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
        if (wrong) {
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", wrong);
                return false;
        }
        options->wait_usec = (uint64_t)wait_sec * USEC_PER_SEC;
        options->asked_sec = now_realtime_sec();
        options->asked_usec = now_boottime_usec();
        options->tag_events = event_stream_tags(&manager->events);
        return read_target(manager, connection, target, options);
}

/* The receipt tells which inhibitors were overridden. */
static int note_inhibitors(const Manager *manager, const char *token, Strv *notes) {
        cleanup_free char *names = inhibitors_text(&manager->inhibitors, token), *text = NULL;

        if (!names)
                return -ENOMEM;
        if (!names[0])
                return 0;
        if (asprintf(&text, "done in spite of inhibitor %s", names) < 0) {
                text = NULL;
                return -ENOMEM;
        }
        return strv_add(notes, text);
}

/* Keeps a clear until nothing blocks it. Takes `job` over. */
static void hold_clear(Manager *manager, const Caller *caller, Job *job, const char *token) {
        cleanup(request_free) Request *request = calloc(1, sizeof(*request));
        Submitter submitter = dispatch_submitter(manager);

        if (!request) {
                job_free(job);
                reply_no_memory(caller->connection);
                return;
        }
        request->clear = job;
        if (submit_refused(&submitter, caller->connection))
                return;
        request->connection = caller->connection;
        request->more = caller->more;
        request->deadline_usec = submitter.now_usec + caller->wait_usec;
        snprintf(request->token, sizeof(request->token), "%s", token ?: "");
        inhibit_reply_waiting(&manager->inhibitors, request);
        inhibitors_add(&manager->inhibitors, TAKE_PTR(request), NULL);
}

static void on_inhibit(Manager *manager, Connection *connection, const VarlinkCall *call) {
        cleanup(request_free) Request *request = NULL;
        const char *outer = NULL;

        if (inhibit_read(connection, call, &request, &outer) < 0)
                return;
        if (inhibitors_full(&manager->inhibitors, request->who.uid)) {
                reply_error(connection, ERROR_BUSY, "reason", "too many inhibitors");
                return;
        }
        inhibitors_add(&manager->inhibitors, TAKE_PTR(request), outer);
        dispatch_withdraw_policy(manager);
        dispatch_advance(manager);
}

static void on_clear(Manager *manager, Connection *connection, const VarlinkCall *call) {
        Submitter submitter = dispatch_submitter(manager);
        Caller caller = { .connection = connection, .more = call->more };
        cleanup(job_free) Job *job = NULL;
        ClearCall clear = { 0 };
        bool looks;

        if (!read_clear(manager, connection, call->parameters, &clear))
                return;
        looks = clear.options.dry_run;
        caller.wait_usec = clear.options.wait_usec;
        if (submit_join(&submitter, &caller, &clear.options))
                return; /* the one it joins removes in any case */
        job = job_new(JOB_CLEAR, connection, clear.command);
        if (!job || (clear.ignore_inhibitors && !looks &&
                     note_inhibitors(manager, clear.token, &job->notes) < 0)) {
                reply_no_memory(connection);
                return;
        }
        job->options = clear.options;
        if (!looks && !clear.ignore_inhibitors &&
            inhibitors_block(&manager->inhibitors, clear.token))
                hold_clear(manager, &caller, TAKE_PTR(job), clear.token);
        else
                submit_job(&submitter, &caller, TAKE_PTR(job));
}

/* Queues a job that only looks, and takes it over. */
static void submit_look(Manager *manager, Connection *connection, Job *job) {
        Caller caller = { .connection = connection, .wait_usec = LOOK_WAIT_USEC };
        Submitter submitter = dispatch_submitter(manager);

        submit_job(&submitter, &caller, job);
}

/* The dry run of policy, or of a clear. */
static void on_get_plan(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { "target", "keepMounts", "includeMounted", NULL };
        ClearOptions options = { .dry_run = true, .wait_usec = LOOK_WAIT_USEC };
        Caller caller = { .connection = connection, .wait_usec = LOOK_WAIT_USEC };
        Submitter submitter = dispatch_submitter(manager);
        const char *target = NULL, *wrong = NULL;
        Job *job;

        if (!check_parameters(connection, call->parameters, known))
                return;
        if (json_read_string(call->parameters, "target", &target) < 0)
                wrong = "target";
        else if (json_read_bool(call->parameters, "keepMounts", &options.keep_mounts) < 0 ||
                 (options.keep_mounts && !target))
                wrong = "keepMounts";
        else if (json_read_bool(call->parameters, "includeMounted", &options.include_mounted) < 0 ||
                 (options.include_mounted && !target))
                wrong = "includeMounted";
        if (wrong) {
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", wrong);
                return;
        }
        if (target && !read_target(manager, connection, target, &options))
                return;
        if (!target && submit_join_plan(&submitter, &caller))
                return;
        job = job_new(target ? JOB_CLEAR : JOB_PLAN, connection, NULL);
        if (!job) {
                reply_no_memory(connection);
                return;
        }
        job->options = options;
        job->around = dispatch_policy_context(manager);
        if (target)
                submit_clear(&submitter, &caller, job);
        else
                submit_job(&submitter, &caller, job);
}

static void on_explain(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { "object", NULL };
        cleanup(job_free) Job *job = NULL;
        const char *object = NULL;

        if (!check_parameters(connection, call->parameters, known))
                return;
        if (json_read_string(call->parameters, "object", &object) <= 0 || !object[0] ||
            strlen(object) > OBJECT_MAX) {
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", "object");
                return;
        }
        job = job_new(JOB_EXPLAIN, connection, NULL);
        if (job)
                job->object = strdup(object);
        if (!job || !job->object) {
                reply_no_memory(connection);
                return;
        }
        job->around = dispatch_policy_context(manager);
        submit_look(manager, connection, TAKE_PTR(job));
}

static void on_get_history(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { "since", "limit", "receipt", NULL };
        int64_t since_sec = now_realtime_sec() - HISTORY_SINCE_SEC;
        const char *receipt = NULL, *wrong = NULL;
        cleanup(job_free) Job *job = NULL;
        int64_t limit = HISTORY_RUNS_MAX;

        if (!check_parameters(connection, call->parameters, known))
                return;
        if (json_read_int(call->parameters, "since", &since_sec) < 0)
                wrong = "since";
        else if (json_read_int(call->parameters, "limit", &limit) < 0 || limit < 1 ||
                 limit > HISTORY_RUNS_MAX)
                wrong = "limit";
        else if (json_read_string(call->parameters, "receipt", &receipt) < 0 ||
                 (receipt && !receipt_id_valid(receipt)))
                wrong = "receipt";
        if (wrong) {
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", wrong);
                return;
        }
        job = job_new(JOB_HISTORY, connection, NULL);
        if (job)
                job->receipt_id = receipt ? strdup(receipt) : NULL;
        if (!job || (receipt && !job->receipt_id)) {
                reply_no_memory(connection);
                return;
        }
        job->since_sec = since_sec;
        job->limit = (size_t)limit;
        submit_look(manager, connection, TAKE_PTR(job));
}

static void on_get_metrics(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { NULL };
        cleanup(json_free) Json *parameters = json_new_object();
        StatusFacts facts = dispatch_status_facts(manager);
        cleanup_free char *text = NULL;

        if (!check_parameters(connection, call->parameters, known))
                return;
        text = metrics_text(&facts);
        if (!text || json_add_string(parameters, "text", text) < 0)
                reply_no_memory(connection);
        else
                connection_reply(connection, parameters, false);
}

static void on_rollback(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { "receipt", NULL };
        Caller caller = { .connection = connection, .wait_usec = WAIT_SEC_DEFAULT * USEC_PER_SEC };
        Submitter submitter = dispatch_submitter(manager);
        const char *receipt = NULL;
        Job *job;

        if (!check_parameters(connection, call->parameters, known))
                return;
        if (json_read_string(call->parameters, "receipt", &receipt) < 0 ||
            (receipt && !receipt_id_valid(receipt))) {
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", "receipt");
                return;
        }
        job = job_new(JOB_ROLLBACK, connection, NULL);
        if (job)
                job->receipt_id = receipt ? strdup(receipt) : NULL;
        if (!job || (receipt && !job->receipt_id)) {
                job_free(job);
                reply_no_memory(connection);
                return;
        }
        submit_job(&submitter, &caller, job);
}

static void on_get_info(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { NULL };
        cleanup(json_free) Json *parameters = json_new_object(), *interfaces = json_new_array();
        int r;

        (void)manager;
        if (!check_parameters(connection, call->parameters, known))
                return;
        r = json_add_string(parameters, "vendor", "wpcache");
        r |= json_add_string(parameters, "product", "wpcached");
        r |= json_add_string(parameters, "version", WPCACHE_VERSION);
        r |= json_add_string(parameters, "url", "https://varlink.org");
        r |= json_append_string(interfaces, "org.varlink.service");
        r |= json_append_string(interfaces, INTERFACE_NAME);
        r |= json_add(parameters, "interfaces", TAKE_PTR(interfaces));
        if (r < 0)
                reply_no_memory(connection);
        else
                connection_reply(connection, parameters, false);
}

/* As varlink.org has it. */
static const char service_text[] =
        "# The Varlink Service Interface is provided by every varlink service.\n"
        "interface org.varlink.service\n"
        "\n"
        "method GetInfo() -> (\n"
        "  vendor: string,\n"
        "  product: string,\n"
        "  version: string,\n"
        "  url: string,\n"
        "  interfaces: []string\n"
        ")\n"
        "method GetInterfaceDescription(interface: string) -> (description: string)\n"
        "\n"
        "error InterfaceNotFound(interface: string)\n"
        "error MethodNotFound(method: string)\n"
        "error MethodNotImplemented(method: string)\n"
        "error InvalidParameter(parameter: string)\n"
        "error PermissionDenied()\n"
        "error ExpectedMore()\n";

static void on_get_description(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { "interface", NULL };
        cleanup(json_free) Json *parameters = json_new_object();
        const char *name = NULL, *text;

        (void)manager;
        if (!check_parameters(connection, call->parameters, known))
                return;
        if (json_read_string(call->parameters, "interface", &name) <= 0) {
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", "interface");
                return;
        }
        if (strcmp(name, INTERFACE_NAME) == 0)
                text = interface_text;
        else if (strcmp(name, "org.varlink.service") == 0)
                text = service_text;
        else {
                reply_error(connection, ERROR_INTERFACE_NOT_FOUND, "interface", name);
                return;
        }
        if (json_add_string(parameters, "description", text) < 0)
                reply_no_memory(connection);
        else
                connection_reply(connection, parameters, false);
}

static const struct {
        const char *name;
        Right right;
        void (*handler)(Manager *manager, Connection *connection, const VarlinkCall *call);
} methods[] = {
        { "org.varlink.service.GetInfo", RIGHT_NONE, on_get_info },
        { "org.varlink.service.GetInterfaceDescription", RIGHT_NONE, on_get_description },
        { INTERFACE_NAME ".GetStatus", RIGHT_LOOK, on_get_status },
        { INTERFACE_NAME ".GetPlan", RIGHT_LOOK, on_get_plan },
        { INTERFACE_NAME ".Explain", RIGHT_LOOK, on_explain },
        { INTERFACE_NAME ".GetHistory", RIGHT_LOOK, on_get_history },
        { INTERFACE_NAME ".GetMetrics", RIGHT_LOOK, on_get_metrics },
        { INTERFACE_NAME ".Monitor", RIGHT_LOOK, on_monitor },
        { INTERFACE_NAME ".Clear", RIGHT_ACT, on_clear },
        { INTERFACE_NAME ".Inhibit", RIGHT_ACT, on_inhibit },
        { INTERFACE_NAME ".Rollback", RIGHT_ACT, on_rollback },
        { INTERFACE_NAME ".Reload", RIGHT_ACT, on_reload },
};

void methods_on_call(void *userdata, Connection *connection, const VarlinkCall *call) {
        Manager *manager = userdata;
        size_t n_interface = varlink_method_interface(call->method);

        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                if (strcmp(methods[i].name, call->method) != 0)
                        continue;
                if (methods_right(manager, connection_peer(connection)) < methods[i].right)
                        reply_error(connection, ERROR_PERMISSION_DENIED, NULL, NULL);
                else
                        methods[i].handler(manager, connection, call);
                return;
        }
        if (strncmp(call->method, INTERFACE_NAME ".", strlen(INTERFACE_NAME) + 1) == 0 ||
            strncmp(call->method, "org.varlink.service.", strlen("org.varlink.service.")) == 0) {
                reply_error(connection, ERROR_METHOD_NOT_FOUND, "method", call->method);
        } else {
                cleanup_free char *interface = strndup(call->method, n_interface);

                reply_error(connection, ERROR_INTERFACE_NOT_FOUND, "interface",
                            interface ?: call->method);
        }
}
