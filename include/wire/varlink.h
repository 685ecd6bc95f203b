/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Varlink calls and replies (varlink.org): the messages inside the frames. A codec only, used by
 * both ends; connections are the daemon's and the client's own business.
 */

#include "base/diag.h"
#include "wire/json.h"

typedef struct VarlinkCall {
        Json *root;             /* owned */
        const char *method;     /* borrowed from root; "io.watchparty.Cache.Clear" */
        const Json *parameters; /* borrowed from root, an object, or NULL */
        bool more, oneway, upgrade;
} VarlinkCall;

typedef struct VarlinkReply {
        Json *root;
        const char *error;      /* borrowed; NULL: success */
        const Json *parameters; /* borrowed, an object, or NULL */
        bool continues;
} VarlinkReply;

/* Strict: -EBADMSG with the reason in the diag for anything a conforming peer does not send. */
int varlink_call_parse(const char *message, size_t n, VarlinkCall *ret,
                       Diag *reterr_diag) must_check;
void varlink_call_done(VarlinkCall *call);
int varlink_reply_parse(const char *message, size_t n, VarlinkReply *ret,
                        Diag *reterr_diag) must_check;
void varlink_reply_done(VarlinkReply *reply);

static inline void varlink_call_donep(VarlinkCall *call) {
        varlink_call_done(call);
}

static inline void varlink_reply_donep(VarlinkReply *reply) {
        varlink_reply_done(reply);
}

/* Message texts, malloc'ed; `parameters` is borrowed and may be NULL ({} is sent then). */
int varlink_call_text(const char *method, const Json *parameters, bool more, bool oneway,
                      char **ret_text) must_check;
int varlink_reply_text(const Json *parameters, bool continues, char **ret_text) must_check;
int varlink_error_text(const char *error, const Json *parameters, char **ret_text) must_check;

/* The interface part of "io.watchparty.Cache.Clear" has this length; 0 if there is no dot or the
 * name is no legal method name. */
size_t varlink_method_interface(const char *method);
