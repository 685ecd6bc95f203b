/* SPDX-License-Identifier: MIT */

/* Root, the daemon's own user and operators may act; readers may look. */

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "daemon/calls.h"
#include "daemon/dispatch.h"
#include "daemon/methods.h"
#include "daemon/metrics.h"
#include "daemon/reload.h"
#include "daemon/reply.h"
#include "daemon/requests.h"
#include "wire/interface.h"

Right methods_right(void *userdata, const Peer *peer) {
        const Manager *manager = userdata;

        return peer_right(peer, &manager->operators, &manager->readers);
}

void methods_on_gone(void *userdata, Connection *connection) {
        Manager *manager = userdata;

        monitors_remove(&manager->monitors, connection);
        requests_gone(manager, connection);
}

static void on_get_status(Manager *manager, Connection *connection, const VarlinkCall *call) {
        StatusFacts facts = dispatch_status_facts(manager);

        if (read_nothing(connection, call))
                reply_member(connection, "status", status_json(&facts), false);
}

static void on_monitor(Manager *manager, Connection *connection, const VarlinkCall *call) {
        cleanup(json_free) Json *parameters = json_new_object();
        StatusFacts facts = dispatch_status_facts(manager);
        int r;

        if (!read_nothing(connection, call))
                return;
        if (!call->more) {
                reply_error(connection, ERROR_EXPECTED_MORE, NULL, NULL);
                return;
        }
        r = json_add_string(parameters, "event", "status");
        r |= json_add(parameters, "status", status_json(&facts));
        if (r < 0 || monitors_add(&manager->monitors, connection) < 0)
                reply_no_memory(connection);
        else
                connection_reply(connection, parameters, true);
}

static void on_reload(Manager *manager, Connection *connection, const VarlinkCall *call) {
        cleanup(strv_done) Strv restart_keys = STRV_NULL;
        cleanup_free char *text = NULL;

        if (!read_nothing(connection, call))
                return;
        if (manager_reload(manager, &restart_keys, &text) < 0)
                reply_error(connection, ERROR_CONFIG_INVALID, "reason", text ?: "out of memory");
        else
                reply_member(connection, "restartNeeded", json_new_strings(&restart_keys), false);
}

/* NULL on out of memory. */
static Job *job_new(JobKind kind, Connection *connection) {
        Job *job = calloc(1, sizeof(*job));
        const Peer *peer = connection_peer(connection);

        if (job) {
                job->kind = kind;
                job->who = (Who){
                        .uid = peer->uid,
                        .pid = peer->pid,
                        .user = user_name(peer->uid),
                };
        }
        return job;
}

/* Copies a text that may be NULL. 0 or -ENOMEM. */
static int copy_text(char **ret, const char *text) {
        *ret = text ? strdup(text) : NULL;
        return text && !*ret ? -ENOMEM : 0;
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

/* Replies that a clear waits for inhibitors, if its caller asked for progress. The clear has no job yet, and so no
 * id. */
static void reply_waiting(const Inhibitors *inhibitors, const Request *clear) {
        cleanup_free char *names = inhibitors_text(inhibitors, clear->token), *text = NULL;
        Json *progress;

        if (!clear->more)
                return;
        text = text_format("waiting for %s%s", names && names[0] ? "inhibitor " : "inhibitors",
                           names ?: "");
        if (!text)
                return;
        progress = progress_json(&(Progress){ .job_id = "", .step = "waiting", .message = text });
        reply_member(clear->connection, "progress", progress, true);
}

/* Keeps a clear until nothing blocks it. Takes `job` over. */
static void hold_clear(Manager *manager, const Caller *caller, Job *job, const char *token) {
        cleanup(request_free) Request *request = calloc(1, sizeof(*request));
        Submitter submitter = requests_submitter(manager);

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
        reply_waiting(&manager->inhibitors, request);
        inhibitors_add(&manager->inhibitors, TAKE_PTR(request), NULL);
}

static void on_inhibit(Manager *manager, Connection *connection, const VarlinkCall *call) {
        cleanup(request_free) Request *request = NULL;
        const char *outer = NULL;

        if (!read_inhibit(connection, call, &request, &outer))
                return;
        if (inhibitors_full(&manager->inhibitors, request->who.uid)) {
                reply_error(connection, ERROR_BUSY, "reason", "too many inhibitors");
                return;
        }
        inhibitors_add(&manager->inhibitors, TAKE_PTR(request), outer);
        requests_withdraw_policy(manager);
        requests_advance(manager);
}

static void on_clear(Manager *manager, Connection *connection, const VarlinkCall *call) {
        Submitter submitter = requests_submitter(manager);
        Caller caller = { .connection = connection, .more = call->more };
        cleanup(job_free) Job *job = NULL;
        ClearCall clear;
        bool removes;

        if (!read_clear(connection, call, manager->config, &clear))
                return;
        removes = !clear.options.dry_run;
        clear.options.tag_events = event_stream_tags(&manager->events);
        caller.wait_usec = clear.options.wait_usec;
        if (submit_join(&submitter, &caller, &clear.options))
                return; /* the other clear goes on whatever this caller does */
        job = job_new(JOB_CLEAR, connection);
        if (!job || copy_text(&job->who.command, clear.command) < 0 ||
            (clear.ignore_inhibitors && removes &&
             note_inhibitors(manager, clear.token, &job->notes) < 0)) {
                reply_no_memory(connection);
                return;
        }
        job->options = clear.options;
        if (removes && !clear.ignore_inhibitors &&
            inhibitors_block(&manager->inhibitors, clear.token))
                hold_clear(manager, &caller, TAKE_PTR(job), clear.token);
        else
                submit_job(&submitter, &caller, TAKE_PTR(job));
}

/* The dry run of policy, or of a clear. */
static void on_get_plan(Manager *manager, Connection *connection, const VarlinkCall *call) {
        Caller caller = { .connection = connection, .wait_usec = QUERY_WAIT_USEC };
        Submitter submitter = requests_submitter(manager);
        ClearCall plan;
        Job *job;

        if (!read_plan(connection, call, manager->config, &plan))
                return;
        if (!plan.target && submit_join_plan(&submitter, &caller))
                return;
        job = job_new(plan.target ? JOB_CLEAR : JOB_PLAN, connection);
        if (!job) {
                reply_no_memory(connection);
        } else if (plan.target) {
                job->options = plan.options;
                submit_clear(&submitter, &caller, job);
        } else {
                job->around = dispatch_policy_context(manager);
                submit_job(&submitter, &caller, job);
        }
}

/* Queues the job of a query, and takes it over. */
static void submit_query(Manager *manager, Connection *connection, Job *job) {
        Caller caller = { .connection = connection, .wait_usec = QUERY_WAIT_USEC };
        Submitter submitter = requests_submitter(manager);

        submit_job(&submitter, &caller, job);
}

static void on_explain(Manager *manager, Connection *connection, const VarlinkCall *call) {
        cleanup(job_free) Job *job = NULL;
        const char *object;

        if (!read_explain(connection, call, &object))
                return;
        job = job_new(JOB_EXPLAIN, connection);
        if (!job || copy_text(&job->object, object) < 0) {
                reply_no_memory(connection);
                return;
        }
        job->around = dispatch_policy_context(manager);
        submit_query(manager, connection, TAKE_PTR(job));
}

static void on_get_history(Manager *manager, Connection *connection, const VarlinkCall *call) {
        cleanup(job_free) Job *job = NULL;
        HistoryCall history;

        if (!read_history(connection, call, &history))
                return;
        job = job_new(JOB_HISTORY, connection);
        if (!job || copy_text(&job->receipt_id, history.receipt) < 0) {
                reply_no_memory(connection);
                return;
        }
        job->since_sec = history.since_sec;
        job->limit = (size_t)history.limit;
        submit_query(manager, connection, TAKE_PTR(job));
}

static void on_get_metrics(Manager *manager, Connection *connection, const VarlinkCall *call) {
        cleanup(json_free) Json *parameters = json_new_object();
        StatusFacts facts = dispatch_status_facts(manager);
        cleanup_free char *text = NULL;

        if (!read_nothing(connection, call))
                return;
        text = metrics_text(&facts);
        if (!text || json_add_string(parameters, "text", text) < 0)
                reply_no_memory(connection);
        else
                connection_reply(connection, parameters, false);
}

static void on_rollback(Manager *manager, Connection *connection, const VarlinkCall *call) {
        Caller caller = { .connection = connection, .wait_usec = WAIT_SEC_DEFAULT * USEC_PER_SEC };
        Submitter submitter = requests_submitter(manager);
        cleanup(job_free) Job *job = NULL;
        const char *receipt;

        if (!read_rollback(connection, call, &receipt))
                return;
        job = job_new(JOB_ROLLBACK, connection);
        if (!job || copy_text(&job->receipt_id, receipt) < 0)
                reply_no_memory(connection);
        else
                submit_job(&submitter, &caller, TAKE_PTR(job));
}

static void on_get_info(Manager *manager, Connection *connection, const VarlinkCall *call) {
        cleanup(json_free) Json *parameters = json_new_object(), *interfaces = json_new_array();
        int r;

        if (!read_nothing(connection, call))
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

/* From varlink.org. */
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

static void on_get_interface(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const Parameter table[] = { { "interface", PARAMETER_STRING, 0, .required = true } };
        cleanup(json_free) Json *parameters = json_new_object();
        const char *name, *text;

        if (!read_parameters(connection, call, table, ELEMENTSOF(table), &name))
                return;
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
        { "org.varlink.service.GetInterfaceDescription", RIGHT_NONE, on_get_interface },
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
