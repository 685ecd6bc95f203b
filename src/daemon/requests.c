/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "base/log.h"
#include "base/span.h"
#include "base/text.h"
#include "daemon/reply.h"
#include "daemon/requests.h"
#include "wire/interface.h"

uint64_t loop_now_usec(const Manager *manager) {
        uint64_t usec = 0;

        return sd_event_now(manager->event, CLOCK_BOOTTIME, &usec) < 0 ? 0 : usec;
}

Submitter requests_submitter(Manager *manager) {
        return (Submitter){
                .workers = &manager->workers,
                .waiters = &manager->waiters,
                .inhibitors = &manager->inhibitors,
                .now_usec = loop_now_usec(manager),
        };
}

/* Takes a job that has not started back: true; false if it has. */
static bool withdraw(Manager *manager, const char *job_id) {
        if (!workers_withdraw(&manager->workers, job_id))
                return false;
        requests_advance(manager);
        return true;
}

/* Tells the log and monitors that an inhibitor holds or ends. */
static void tell_inhibitor(const Monitors *monitors, const Request *inhibitor, const char *what) {
        cleanup_free char *text = request_text(inhibitor), *fields = NULL, *message = NULL;

        fields = text_format("WPCACHE_INHIBITOR_WHY=%s", inhibitor->why);
        message = text_format("Inhibitor %s %s", text ?: "?", what);
        log_full(LOG_INFO, 0, fields, "%s", message ?: "out of memory");
        if (message)
                monitors_tell(monitors, "inhibitor", message);
}

/* Replies that an inhibitor is held, or that its time is over. */
static void reply_token(const Request *inhibitor, bool expired) {
        cleanup(json_free) Json *parameters = json_new_object();
        int r;

        r = json_add_string(parameters, "token", inhibitor->token);
        if (expired)
                r |= json_add_bool(parameters, "expired", true);
        if (r < 0)
                reply_no_memory(inhibitor->connection);
        else
                connection_reply(inhibitor->connection, parameters, !expired);
}

/* Replies that a clear's wait is over; `busy` is said where no inhibitor is held. */
static void reply_busy(const Inhibitors *inhibitors, const Request *clear, const char *busy) {
        cleanup_free char *names = inhibitors_text(inhibitors, clear->token), *text = NULL;

        if (names && names[0])
                text = text_format("inhibited by %s", names);
        else
                text = busy ? strdup(busy) : NULL;
        reply_error(clear->connection, ERROR_BUSY, "reason", text ?: "inhibited");
}

/* Ends an inhibitor, held or not, or forgets a clear that waits. Frees the request. */
static void end_request(Manager *manager, Request *request, const char *what) {
        cleanup(request_free) Request *ended = inhibitors_take(&manager->inhibitors, request);

        if (!ended->held)
                return;
        tell_inhibitor(&manager->monitors, ended, what);
        if (inhibitors_count(&manager->inhibitors) == 0)
                schedule_poll_within(&manager->schedule, loop_now_usec(manager), SETTLE_USEC);
}

void requests_advance(Manager *manager) {
        Submitter submitter = requests_submitter(manager);
        Request *request;

        while (!manager->stopping &&
               (request = inhibitors_next(&manager->inhibitors,
                                          job_queue_removes(&manager->workers.queue)))) {
                if (request->clear) {
                        cleanup(request_free) Request *clear =
                                inhibitors_take(&manager->inhibitors, request);
                        uint64_t now = MIN(submitter.now_usec, clear->deadline_usec);
                        Caller caller = { clear->connection, clear->more,
                                          clear->deadline_usec - now };

                        submit_clear(&submitter, &caller, TAKE_PTR(clear->clear));
                } else {
                        request_hold(request, submitter.now_usec, now_realtime_sec());
                        tell_inhibitor(&manager->monitors, request, "holds");
                        reply_token(request, false);
                }
        }
}

void requests_gone(Manager *manager, const Connection *connection) {
        Waiter *waiter;
        Request *request;

        while ((waiter = waiters_find(&manager->waiters, connection))) {
                if (!waiter->removes && waiters_alone(&manager->waiters, waiter))
                        withdraw(manager, waiter->job_id);
                waiters_remove(&manager->waiters, waiter);
        }
        while ((request = inhibitors_find(&manager->inhibitors, connection))) {
                end_request(manager, request, "ends");
                requests_advance(manager);
        }
}

/* Replies to callers whose job did not start in time. The job is withdrawn unless another caller waits for it. */
static void end_expired_waits(Manager *manager) {
        Waiter *waiter;

        while ((waiter = waiters_expired(&manager->waiters, loop_now_usec(manager)))) {
                cleanup_free char *busy =
                        job_queue_busy_text(&manager->workers.queue, now_realtime_sec());
                Connection *connection = waiter->connection;

                waiter->deadline_usec = USEC_INFINITY;
                if (waiters_alone(&manager->waiters, waiter))
                        withdraw(manager, waiter->job_id);
                waiters_remove(&manager->waiters, waiter);
                reply_error(connection, ERROR_BUSY, "reason", busy ?: "another job is in progress");
        }
}

static void end_expired_requests(Manager *manager) {
        int64_t now_sec = now_realtime_sec();
        Request *request;

        while ((request = inhibitors_expired(&manager->inhibitors, loop_now_usec(manager)))) {
                if (request->clear) {
                        cleanup_free char *busy =
                                job_queue_busy_text(&manager->workers.queue, now_sec);

                        reply_busy(&manager->inhibitors, request, busy);
                } else {
                        reply_token(request, true);
                }
                end_request(manager, request, "ends: its time is over");
                requests_advance(manager);
        }
}

void requests_withdraw_policy(Manager *manager) {
        char *id = manager->schedule.policy_id;

        if (id[0] && withdraw(manager, id))
                id[0] = '\0';
}

uint64_t requests_deadline(const Manager *manager) {
        return MIN(waiters_deadline(&manager->waiters), inhibitors_deadline(&manager->inhibitors));
}

void requests_expire(Manager *manager) {
        end_expired_waits(manager);
        end_expired_requests(manager);
}

void requests_stop(Manager *manager) {
        for (Request *request = manager->inhibitors.first, *next; request; request = next) {
                next = request->next;
                if (request->held)
                        continue;
                reply_error(request->connection, ERROR_SHUTTING_DOWN, NULL, NULL);
                end_request(manager, request, "");
        }
}
