/* SPDX-License-Identifier: MIT */
#pragma once

/* Small answers that all method handlers share. */

#include "daemon/server.h"

/* An error with one string parameter, or none where `name` is NULL. */
void reply_error(Connection *connection, const char *error, const char *name, const char *value);
/* The same with two. */
void reply_error2(Connection *connection, const char *error, const char *name, const char *value,
                  const char *name2, const char *value2);
void reply_no_memory(Connection *connection);

/* Answers with one member, which is taken over. */
void reply_member(Connection *connection, const char *name, Json *value, bool continues);

/* Type Progress of the interface. */
typedef struct Progress {
        const char *job_id, *step, *message;
        unsigned round;
        int64_t elapsed_sec;
        uint64_t engine_bytes;
} Progress;

/* NULL on out of memory. */
Json *progress_json(const Progress *progress);
