/* SPDX-License-Identifier: MIT */

/*
 * Strict in what it takes: the members are those of the Varlink specification, each at most once
 * in effect (see wire/json.h), each of its type. null stands for absent, as libraries of dynamic
 * languages send it.
 */

#include <stdarg.h>
#include <string.h>

#include "wire/varlink.h"

static bool is_letter(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* [A-Za-z]([-]*[A-Za-z0-9])*(\.[A-Za-z0-9]([-]*[A-Za-z0-9])*)+ and then \.[A-Z][A-Za-z0-9]* */
size_t varlink_method_interface(const char *method) {
        const char *dot = strrchr(method, '.'), *part = method;

        if (!dot || !is_letter(*method) || dot[1] < 'A' || dot[1] > 'Z')
                return 0;
        for (const char *p = dot + 1; *p; p++)
                if (!is_letter(*p) && !is_digit(*p))
                        return 0;
        for (const char *p = method; p <= dot; p++) {
                if (*p == '.') {
                        /* a part is not empty and does not end in '-' */
                        if (p == part || p[-1] == '-')
                                return 0;
                        part = p + 1;
                } else if (!is_letter(*p) && !is_digit(*p) && (*p != '-' || p == part)) {
                        return 0;
                }
        }
        /* an interface has at least two parts */
        return memchr(method, '.', (size_t)(dot - method)) ? (size_t)(dot - method) : 0;
}

/* Refuses members whose names are not listed. */
static int check_members(const Json *root, const char *const *names, size_t n_names,
                         Diag *reterr_diag) {
        json_foreach (member, root) {
                bool known = false;

                for (size_t i = 0; i < n_names && !known; i++)
                        known = strcmp(json_name(member), names[i]) == 0;
                if (!known)
                        return diag_set(reterr_diag, -EBADMSG, "message has an unknown member '%s'",
                                        json_name(member));
        }
        return 0;
}

static int parse_object(const char *message, size_t n, Json **ret, Diag *reterr_diag) {
        cleanup(json_free) Json *root = NULL;
        int r;

        r = json_parse(message, n, &root);
        if (r == -EBADMSG)
                return diag_set(reterr_diag, r, "message is not JSON");
        if (r < 0)
                return r;
        if (!json_is_object(root))
                return diag_set(reterr_diag, -EBADMSG, "message is not a JSON object");
        *ret = TAKE_PTR(root);
        return 0;
}

static int read_parameters(const Json *root, const Json **ret, Diag *reterr_diag) {
        const Json *parameters = json_get(root, "parameters");

        if (parameters && !json_is_object(parameters))
                return diag_set(reterr_diag, -EBADMSG, "'parameters' is not an object");
        *ret = parameters;
        return 0;
}

static int read_flag(const Json *root, const char *name, bool *ret, Diag *reterr_diag) {
        if (json_read_bool(root, name, ret) < 0)
                return diag_set(reterr_diag, -EBADMSG, "'%s' is not a boolean", name);
        return 0;
}

int varlink_call_parse(const char *message, size_t n, VarlinkCall *ret, Diag *reterr_diag) {
        static const char *const members[] = { "method", "parameters", "more", "oneway",
                                               "upgrade" };
        cleanup(varlink_call_done) VarlinkCall call = { NULL };
        int r;

        r = parse_object(message, n, &call.root, reterr_diag);
        if (r < 0)
                return r;
        r = check_members(call.root, members, ELEMENTSOF(members), reterr_diag);
        if (r < 0)
                return r;
        r = json_read_string(call.root, "method", &call.method);
        if (r <= 0 || !*call.method)
                return diag_set(reterr_diag, -EBADMSG, "'method' is %s",
                                r == 0 ? "missing" : "not a method's name");
        r = read_parameters(call.root, &call.parameters, reterr_diag);
        if (r < 0)
                return r;
        r = read_flag(call.root, "more", &call.more, reterr_diag);
        if (r < 0)
                return r;
        r = read_flag(call.root, "oneway", &call.oneway, reterr_diag);
        if (r < 0)
                return r;
        r = read_flag(call.root, "upgrade", &call.upgrade, reterr_diag);
        if (r < 0)
                return r;
        if (call.more + call.oneway + call.upgrade > 1)
                return diag_set(reterr_diag, -EBADMSG,
                                "'more', 'oneway' and 'upgrade' exclude each other");

        *ret = call;
        call = (VarlinkCall){ NULL };
        return 0;
}

void varlink_call_done(VarlinkCall *call) {
        json_free(call->root);
        *call = (VarlinkCall){ NULL };
}

int varlink_reply_parse(const char *message, size_t n, VarlinkReply *ret, Diag *reterr_diag) {
        static const char *const members[] = { "parameters", "error", "continues" };
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        int r;

        r = parse_object(message, n, &reply.root, reterr_diag);
        if (r < 0)
                return r;
        r = check_members(reply.root, members, ELEMENTSOF(members), reterr_diag);
        if (r < 0)
                return r;
        r = json_read_string(reply.root, "error", &reply.error);
        if (r < 0 || (r > 0 && varlink_method_interface(reply.error) == 0))
                return diag_set(reterr_diag, -EBADMSG, "'error' is not an error's name");
        r = read_parameters(reply.root, &reply.parameters, reterr_diag);
        if (r < 0)
                return r;
        r = read_flag(reply.root, "continues", &reply.continues, reterr_diag);
        if (r < 0)
                return r;
        if (reply.error && reply.continues)
                return diag_set(reterr_diag, -EBADMSG, "an error that 'continues'");

        *ret = reply;
        reply = (VarlinkReply){ NULL };
        return 0;
}

void varlink_reply_done(VarlinkReply *reply) {
        json_free(reply->root);
        *reply = (VarlinkReply){ NULL };
}

/* One message of a leading string member, the parameters and flags that are set. */
static int message_text(const char *key, const char *value, const Json *parameters,
                        const char *flag, const char *flag2, char **ret_text) {
        cleanup(json_free) Json *root = json_new_object();
        char *text;
        int r = 0;

        if (key)
                r |= json_add_string(root, key, value);
        r |= json_add(root, "parameters", parameters ? json_copy(parameters) : json_new_object());
        if (flag)
                r |= json_add_bool(root, flag, true);
        if (flag2)
                r |= json_add_bool(root, flag2, true);
        text = r == 0 ? json_text(root) : NULL;
        if (!text)
                return -ENOMEM;
        *ret_text = text;
        return 0;
}

int varlink_call_text(const char *method, const Json *parameters, bool more, bool oneway,
                      char **ret_text) {
        return message_text("method", method, parameters, more ? "more" : NULL,
                            oneway ? "oneway" : NULL, ret_text);
}

int varlink_reply_text(const Json *parameters, bool continues, char **ret_text) {
        return message_text(NULL, NULL, parameters, continues ? "continues" : NULL, NULL, ret_text);
}

int varlink_error_text(const char *error, const Json *parameters, char **ret_text) {
        return message_text("error", error, parameters, NULL, NULL, ret_text);
}
