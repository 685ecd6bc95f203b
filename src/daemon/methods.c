/* SPDX-License-Identifier: MIT */

/*
 * Who may: root, the daemon's own user and operators may act; readers may look as well. Parameters
 * are checked strictly, unknown ones included: a misspelt option must not change what a clear does.
 */

#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/span.h"
#include "daemon/methods.h"
#include "wire/interface.h"

#define WAIT_SEC_DEFAULT 1800
#define WAIT_SEC_MAX (7 * 24 * 3600)
#define COMMAND_MAX 256

static bool role_has(const Role *role, const Peer *peer) {
        for (size_t i = 0; i < role->n_uids; i++)
                if (role->uids[i] == peer->uid)
                        return true;
        for (size_t i = 0; i < role->n_gids; i++) {
                if (role->gids[i] == peer->gid)
                        return true;
                for (size_t j = 0; j < peer->n_groups; j++)
                        if (role->gids[i] == peer->groups[j])
                                return true;
        }
        return false;
}

static bool may_act(const Manager *manager, const Connection *connection) {
        const Peer *peer = connection_peer(connection);

        return peer->uid == 0 || peer->uid == geteuid() || role_has(&manager->operators, peer);
}

static bool may_look(const Manager *manager, const Connection *connection) {
        return may_act(manager, connection) ||
               role_has(&manager->readers, connection_peer(connection));
}

/* An error with one string parameter. */
static void reply_error(Connection *connection, const char *error, const char *name,
                        const char *value) {
        cleanup(json_free) Json *parameters = NULL;

        if (name) {
                parameters = json_new_object();
                if (json_add_string(parameters, name, value) < 0)
                        parameters = json_free(parameters);
        }
        connection_error(connection, error, parameters);
}

static void reply_no_memory(Connection *connection) {
        reply_error(connection, ERROR_JOB_FAILED, "reason", "out of memory");
}

/* Answers with one member, which is taken over. */
static void reply_member(Connection *connection, const char *name, Json *value, bool continues) {
        cleanup(json_free) Json *parameters = json_new_object();

        if (json_add(parameters, name, value) < 0)
                reply_no_memory(connection);
        else
                connection_reply(connection, parameters, continues);
}

/* Refuses parameters that are not in the NULL-terminated list. */
static bool check_parameters(Connection *connection, const Json *parameters,
                             const char *const *known) {
        json_foreach (member, parameters) {
                const char *const *name;

                for (name = known; *name; name++)
                        if (strcmp(*name, json_name(member)) == 0)
                                break;
                if (*name)
                        continue;
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", json_name(member));
                return false;
        }
        return true;
}

static Waiter *waiter_add(Manager *manager, Connection *connection, const char *job_id, bool more) {
        Waiter *waiter = calloc(1, sizeof(*waiter));

        if (!waiter)
                return NULL;
        waiter->manager = manager;
        waiter->connection = connection;
        strcpy(waiter->job_id, job_id);
        waiter->more = more;
        waiter->next = manager->waiters;
        manager->waiters = waiter;
        return waiter;
}

static void waiter_free(Manager *manager, Waiter *waiter) {
        for (Waiter **at = &manager->waiters; *at; at = &(*at)->next)
                if (*at == waiter) {
                        *at = waiter->next;
                        break;
                }
        sd_event_source_disable_unref(waiter->timer);
        free(waiter);
}

void waiters_free(Manager *manager) {
        while (manager->waiters)
                waiter_free(manager, manager->waiters);
}

void methods_on_gone(void *userdata, Connection *connection) {
        Manager *manager = userdata;

        for (Waiter *waiter = manager->waiters, *next; waiter; waiter = next) {
                next = waiter->next;
                if (waiter->connection == connection)
                        waiter_free(manager, waiter);
        }
}

static void on_get_status(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { NULL };

        if (!check_parameters(connection, call->parameters, known))
                return;
        reply_member(connection, "status", manager_status(manager), false);
}

static void on_monitor(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { NULL };
        cleanup(json_free) Json *parameters = json_new_object();
        int r;

        if (!check_parameters(connection, call->parameters, known))
                return;
        if (!call->more) {
                reply_error(connection, ERROR_EXPECTED_MORE, NULL, NULL);
                return;
        }
        r = json_add_string(parameters, "event", "status");
        r |= json_add(parameters, "status", manager_status(manager));
        if (r < 0 || !waiter_add(manager, connection, "", true)) {
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

/* The job did not start in time. A job that others wait for as well stays queued for them. */
static int on_wait_over(sd_event_source *source, uint64_t usec, void *userdata) {
        Waiter *waiter = userdata;
        Manager *manager = waiter->manager;
        Connection *connection = waiter->connection;
        size_t n_waiters = 0;

        (void)source;
        (void)usec;
        for (Waiter *other = manager->waiters; other; other = other->next)
                n_waiters += strcmp(other->job_id, waiter->job_id) == 0;
        if (n_waiters == 1)
                job_free(worker_withdraw(manager->worker, waiter->job_id));
        waiter_free(manager, waiter);
        reply_error(connection, ERROR_BUSY, "reason",
                    "another job is still in progress; see 'wpcachectl status'");
        return 0;
}

/* Waits for a queued or running job; `wait_usec` bounds how long it may stay queued. */
static void wait_for_job(Manager *manager, Connection *connection, const char *job_id, bool more,
                         uint64_t wait_usec) {
        Waiter *waiter = waiter_add(manager, connection, job_id, more);
        int r;

        if (!waiter) {
                reply_no_memory(connection);
                return;
        }
        if (strcmp(manager->present.id, job_id) == 0)
                return; /* it runs */
        /* A poll in progress is nobody's fault and ends soon. */
        if (manager->present.id[0] == '\0' || manager->present.kind == JOB_POLL)
                wait_usec += 4 * manager->config->timeout_usec;
        r = sd_event_add_time_relative(manager->event, &waiter->timer, CLOCK_BOOTTIME, wait_usec,
                                       10 * USEC_PER_MSEC, on_wait_over, waiter);
        if (r < 0) {
                waiter_free(manager, waiter);
                reply_no_memory(connection);
        }
}

/* The name of a user, which is for the reader of a receipt. NSS may ask the network, so only the
 * local file is read. */
static char *user_name(uid_t uid) {
        FILE *file = fopen("/etc/passwd", "re");
        struct passwd *entry;
        char *name = NULL;

        if (!file)
                return NULL;
        while ((entry = fgetpwent(file)))
                if (entry->pw_uid == uid) {
                        name = strdup(entry->pw_name);
                        break;
                }
        fclose(file);
        return name;
}

static bool read_clear(Connection *connection, const Json *parameters, ClearOptions *options,
                       const char **ret_command) {
        static const char *const known[] = { "target",  "keepMounts", "dryRun",
                                             "waitSec", "command",    NULL };
        int64_t wait_sec = WAIT_SEC_DEFAULT;
        const char *target = NULL, *wrong = NULL;

        if (!check_parameters(connection, parameters, known))
                return false;
        if (json_read_string(parameters, "target", &target) <= 0)
                wrong = "target";
        else if (json_read_bool(parameters, "keepMounts", &options->keep_mounts) < 0)
                wrong = "keepMounts";
        else if (json_read_bool(parameters, "dryRun", &options->dry_run) < 0)
                wrong = "dryRun";
        else if (json_read_int(parameters, "waitSec", &wait_sec) < 0 || wait_sec < 0 ||
                 wait_sec > WAIT_SEC_MAX)
                wrong = "waitSec";
        else if (json_read_string(parameters, "command", ret_command) < 0 ||
                 (*ret_command && strlen(*ret_command) > COMMAND_MAX))
                wrong = "command";
        if (wrong) {
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", wrong);
                return false;
        }
        options->wait_usec = (uint64_t)wait_sec * USEC_PER_SEC;
        if (target_from_string(target, &options->target) < 0) {
                cleanup(json_free) Json *error = json_new_object(), *list = json_new_array();
                int r = json_add_string(error, "target", target);

                for (size_t i = 0; i < n_target_names; i++)
                        r |= json_append_string(list, target_names[i]);
                r |= json_add(error, "known", TAKE_PTR(list));
                if (r < 0)
                        reply_no_memory(connection);
                else
                        connection_error(connection, ERROR_UNKNOWN_TARGET, error);
                return false;
        }
        return true;
}

static void submit(Manager *manager, Connection *connection, Job *job, bool more,
                   uint64_t wait_usec) {
        char id[RECEIPT_ID_MAX];
        int r;

        if (worker_queued(manager->worker) >= QUEUE_MAX) {
                job_free(job);
                reply_error(connection, ERROR_BUSY, "reason", "too many jobs are waiting");
                return;
        }
        r = manager_submit(manager, job);
        if (r < 0) {
                job_free(job);
                reply_no_memory(connection);
                return;
        }
        strcpy(id, job->id); /* the worker's from here on */
        worker_submit(manager->worker, job);
        wait_for_job(manager, connection, id, more, wait_usec);
}

static void on_clear(Manager *manager, Connection *connection, const VarlinkCall *call) {
        const Peer *peer = connection_peer(connection);
        ClearOptions options = { 0 };
        const char *command = NULL;
        char id[RECEIPT_ID_MAX];
        Job *job;

        if (!read_clear(connection, call->parameters, &options, &command))
                return;
        if (worker_find_clear(manager->worker, &options, manager->generation, id)) {
                log_info("Clear of %s joined by uid %u (pid %i)", target_to_string(options.target),
                         peer->uid, peer->pid);
                wait_for_job(manager, connection, id, call->more, options.wait_usec);
                return;
        }
        job = calloc(1, sizeof(*job));
        if (!job) {
                reply_no_memory(connection);
                return;
        }
        job->kind = JOB_CLEAR;
        job->options = options;
        job->who = (Who){
                .uid = peer->uid,
                .pid = peer->pid,
                .user = user_name(peer->uid),
                .command = command ? strdup(command) : NULL,
        };
        submit(manager, connection, job, call->more, options.wait_usec);
}

static void on_rollback(Manager *manager, Connection *connection, const VarlinkCall *call) {
        static const char *const known[] = { "receipt", NULL };
        const char *receipt = NULL;
        Job *job;

        if (!check_parameters(connection, call->parameters, known))
                return;
        if (json_read_string(call->parameters, "receipt", &receipt) < 0 ||
            (receipt && !receipt_id_valid(receipt))) {
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", "receipt");
                return;
        }
        job = calloc(1, sizeof(*job));
        if (job) {
                job->kind = JOB_ROLLBACK;
                job->receipt_id = receipt ? strdup(receipt) : NULL;
        }
        if (!job || (receipt && !job->receipt_id)) {
                job_free(job);
                reply_no_memory(connection);
                return;
        }
        submit(manager, connection, job, false, WAIT_SEC_DEFAULT * USEC_PER_SEC);
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

typedef enum Right { RIGHT_NONE, RIGHT_LOOK, RIGHT_ACT } Right;

static const struct {
        const char *name;
        Right right;
        void (*handler)(Manager *manager, Connection *connection, const VarlinkCall *call);
} methods[] = {
        { "org.varlink.service.GetInfo", RIGHT_NONE, on_get_info },
        { "org.varlink.service.GetInterfaceDescription", RIGHT_NONE, on_get_description },
        { INTERFACE_NAME ".GetStatus", RIGHT_LOOK, on_get_status },
        { INTERFACE_NAME ".Monitor", RIGHT_LOOK, on_monitor },
        { INTERFACE_NAME ".Clear", RIGHT_ACT, on_clear },
        { INTERFACE_NAME ".Rollback", RIGHT_ACT, on_rollback },
        { INTERFACE_NAME ".Reload", RIGHT_ACT, on_reload },
};

void methods_on_call(void *userdata, Connection *connection, const VarlinkCall *call) {
        Manager *manager = userdata;
        size_t n_interface = varlink_method_interface(call->method);

        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                if (strcmp(methods[i].name, call->method) != 0)
                        continue;
                if ((methods[i].right == RIGHT_ACT && !may_act(manager, connection)) ||
                    (methods[i].right == RIGHT_LOOK && !may_look(manager, connection)))
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

static Json *progress_json(const Manager *manager, const JobEvent *event) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "jobId", event->job_id);
        r |= json_add_string(json, "step", event->step);
        r |= json_add_string(json, "message", event->message);
        r |= json_add_int(json, "pass", event->pass);
        r |= json_add_int(json, "elapsedSec", event->time_sec - manager->present.started_sec);
        r |= json_add_int(json, "engineReportedBytes", (int64_t)event->engine_bytes);
        return r < 0 ? NULL : TAKE_PTR(json);
}

/* The final answer to one who waits for this job. */
static void reply_done(Connection *connection, const Job *job) {
        cleanup(json_free) Json *parameters = NULL;
        const char *reason = diag_text(&job->diag, job->error);

        if (job->error >= 0 && job->kind == JOB_ROLLBACK) {
                connection_reply(connection, job->result, false);
                return;
        }
        if (job->error >= 0) {
                reply_member(connection, job->options.dry_run ? "plan" : "receipt",
                             json_copy(job->result), false);
                return;
        }
        if (job->error == -ECANCELED && !job->result) {
                reply_error(connection, ERROR_SHUTTING_DOWN, NULL, NULL);
                return;
        }
        parameters = json_new_object();
        if (job->kind == JOB_ROLLBACK && job->error == -ENOENT) {
                if (json_add_string(parameters, "receipt", job->receipt_id ?: "") < 0 ||
                    json_add_string(parameters, "reason", reason) < 0)
                        reply_no_memory(connection);
                else
                        connection_error(connection, ERROR_UNKNOWN_RECEIPT, parameters);
                return;
        }
        if (json_add_string(parameters, "reason", reason) < 0 ||
            (job->result && json_add(parameters, "receipt", json_copy(job->result)) < 0))
                reply_no_memory(connection);
        else
                connection_error(connection,
                                 job->result || job->local_failure ? ERROR_JOB_FAILED
                                                                   : ERROR_ENGINE_UNAVAILABLE,
                                 parameters);
}

static void tell_monitor(const Manager *manager, Connection *connection, const JobEvent *event) {
        cleanup(json_free) Json *parameters = json_new_object();
        const Job *job = event->job;
        int r = 0;

        if (event->kind == JOB_EVENT_PROGRESS) {
                r = json_add_string(parameters, "event", "progress");
                r |= json_add(parameters, "progress", progress_json(manager, event));
        } else if (event->kind == JOB_EVENT_DONE && job->kind == JOB_CLEAR &&
                   !job->options.dry_run) {
                r = json_add_string(parameters, "event", "receipt");
                if (job->error < 0)
                        r |= json_add_string(parameters, "message",
                                             diag_text(&job->diag, job->error));
                if (job->result)
                        r |= json_add(parameters, "receipt", json_copy(job->result));
        } else if (event->kind == JOB_EVENT_DONE && job->kind == JOB_ROLLBACK) {
                r = json_add_string(parameters, "event", "rollback");
                r |= json_add_string(parameters, "message",
                                     job->error < 0 ? diag_text(&job->diag, job->error)
                                                    : "names put back");
        } else {
                return;
        }
        if (r >= 0)
                connection_reply(connection, parameters, true);
}

void methods_tell(Manager *manager, const JobEvent *event) {
        for (Waiter *waiter = manager->waiters, *next; waiter; waiter = next) {
                Connection *connection = waiter->connection;

                next = waiter->next;
                if (waiter->job_id[0] == '\0') {
                        tell_monitor(manager, connection, event);
                        continue;
                }
                if (strcmp(waiter->job_id, event->job_id) != 0)
                        continue;
                if (event->kind == JOB_EVENT_STARTED) {
                        waiter->timer = sd_event_source_disable_unref(waiter->timer);
                } else if (event->kind == JOB_EVENT_PROGRESS && waiter->more) {
                        reply_member(connection, "progress", progress_json(manager, event), true);
                } else if (event->kind == JOB_EVENT_DONE) {
                        waiter_free(manager, waiter);
                        reply_done(connection, event->job);
                }
        }
}

void methods_tell_monitors(Manager *manager, const char *what, const char *message) {
        for (Waiter *waiter = manager->waiters; waiter; waiter = waiter->next) {
                cleanup(json_free) Json *parameters = NULL;

                if (waiter->job_id[0] != '\0')
                        continue;
                parameters = json_new_object();
                if (json_add_string(parameters, "event", what) >= 0 &&
                    json_add_string(parameters, "message", message) >= 0)
                        connection_reply(waiter->connection, parameters, true);
        }
}
