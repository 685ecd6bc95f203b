/* SPDX-License-Identifier: MIT */

/* What either parser takes can be said again, and is then the same message. */

#include <assert.h>
#include <string.h>

#include "wire/varlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool same(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

static void fuzz_call(const char *message, size_t n) {
        cleanup(varlink_call_done) VarlinkCall call = { NULL }, again = { NULL };
        cleanup_free char *text = NULL;
        Diag diag = DIAG_NULL;
        int r;

        r = varlink_call_parse(message, n, &call, &diag);
        if (r < 0) {
                assert(r == -EBADMSG && !call.root && diag.text[0]);
                return;
        }
        assert(varlink_method_interface(call.method) < strlen(call.method));
        r = varlink_call_text(call.method, call.parameters, call.more, call.oneway, &text);
        assert(r == 0);
        r = varlink_call_parse(text, strlen(text), &again, NULL);
        assert(r == 0 && same(call.method, again.method));
        assert(call.more == again.more && call.oneway == again.oneway);
}

static void fuzz_reply(const char *message, size_t n) {
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL }, again = { NULL };
        cleanup_free char *text = NULL;
        Diag diag = DIAG_NULL;
        int r;

        r = varlink_reply_parse(message, n, &reply, &diag);
        if (r < 0) {
                assert(r == -EBADMSG && !reply.root && diag.text[0]);
                return;
        }
        r = reply.error ? varlink_error_text(reply.error, reply.parameters, &text)
                        : varlink_reply_text(reply.parameters, reply.continues, &text);
        assert(r == 0);
        r = varlink_reply_parse(text, strlen(text), &again, NULL);
        assert(r == 0 && same(reply.error, again.error) && reply.continues == again.continues);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        fuzz_call((const char *)data, n);
        fuzz_reply((const char *)data, n);
        return 0;
}
