/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/text.h"
#include "daemon/inhibit.h"
#include "daemon/parameters.h"
#include "daemon/reply.h"
#include "wire/interface.h"

static int make_token(char ret[static TOKEN_MAX]) {
        unsigned char bytes[16];

        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                return -EIO;
        for (size_t i = 0; i < sizeof(bytes); i++)
                snprintf(ret + 2 * i, TOKEN_MAX - 2 * i, "%02x", bytes[i]);
        return 0;
}

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
        else if (make_token(request->token) < 0)
                return NULL;
        return TAKE_PTR(request);
}

int inhibit_read(Connection *connection, const VarlinkCall *call, Request **ret,
                 const char **ret_outer) {
        InhibitCall inhibit = { .ttl_sec = INHIBIT_TTL_SEC_DEFAULT };

        if (!read_parameters(connection, call, inhibit_parameters, ELEMENTSOF(inhibit_parameters),
                             &inhibit))
                return -EINVAL;
        if (!call->more) {
                reply_error(connection, ERROR_EXPECTED_MORE, NULL, NULL);
                return -EINVAL;
        }
        *ret = request_new(connection, &inhibit);
        *ret_outer = inhibit.inhibitor;
        if (*ret)
                return 0;
        reply_no_memory(connection);
        return -ENOMEM;
}

void inhibit_reply(const Request *inhibitor, bool expired) {
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

/* The clear has no job yet, and so no id. */
void inhibit_reply_waiting(const Inhibitors *inhibitors, const Request *clear) {
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

void inhibit_reply_busy(const Inhibitors *inhibitors, const Request *clear, const char *busy) {
        cleanup_free char *names = inhibitors_text(inhibitors, clear->token), *text = NULL;

        if (names && names[0])
                text = text_format("inhibited by %s", names);
        else
                text = busy ? strdup(busy) : NULL;
        reply_error(clear->connection, ERROR_BUSY, "reason", text ?: "inhibited");
}

void inhibit_tell(const Request *inhibitor, Monitors *monitors, const char *what) {
        cleanup_free char *text = request_text(inhibitor), *fields = NULL, *message = NULL;

        fields = text_format("WPCACHE_INHIBITOR_WHY=%s", inhibitor->why);
        message = text_format("Inhibitor %s %s", text ?: "?", what);
        log_full(LOG_INFO, 0, fields, "%s", message ?: "out of memory");
        if (message)
                monitors_tell(monitors, "inhibitor", message);
}
