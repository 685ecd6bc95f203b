/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "daemon/reply.h"
#include "wire/interface.h"

void reply_error2(Connection *connection, const char *error, const char *name, const char *value,
                  const char *name2, const char *value2) {
        cleanup(json_free) Json *parameters = NULL;

        if (name) {
                parameters = json_new_object();
                if (json_add_string(parameters, name, value) < 0 ||
                    (name2 && json_add_string(parameters, name2, value2) < 0))
                        parameters = json_free(parameters);
        }
        connection_error(connection, error, parameters);
}

void reply_error(Connection *connection, const char *error, const char *name, const char *value) {
        reply_error2(connection, error, name, value, NULL, NULL);
}

void reply_no_memory(Connection *connection) {
        reply_error(connection, ERROR_JOB_FAILED, "reason", "out of memory");
}

void reply_member(Connection *connection, const char *name, Json *value, bool continues) {
        cleanup(json_free) Json *parameters = json_new_object();

        if (json_add(parameters, name, value) < 0)
                reply_no_memory(connection);
        else
                connection_reply(connection, parameters, continues);
}

Json *progress_json(const Progress *progress) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "jobId", progress->job_id);
        r |= json_add_string(json, "step", progress->step);
        r |= json_add_string(json, "message", progress->message);
        r |= json_add_int(json, "pass", progress->round);
        r |= json_add_int(json, "elapsedSec", progress->elapsed_sec);
        r |= json_add_int(json, "engineReportedBytes", (int64_t)progress->engine_bytes);
        return r < 0 ? NULL : TAKE_PTR(json);
}
