/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"
#include "ctl/verbs.h"
#include "wire/interface.h"

int verb_explain(const Ctl *ctl) {
        cleanup(json_free) Json *parameters = json_new_object();
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        const char *sentence, *rule;
        int r;

        if (json_add_string(parameters, "object", ctl->object) < 0)
                return ctl_fail(CTL_FAILED, "out of memory");
        r = client_call(ctl, INTERFACE_NAME ".Explain", parameters, CLIENT_LOOK_TIMEOUT_USEC,
                        &reply);
        if (r != CTL_DONE)
                return r;
        sentence = json_get_string(json_get(reply.parameters, "verdict"), "sentence", NULL);
        rule = json_get_string(json_get(reply.parameters, "verdict"), "rule", NULL);
        if (!sentence || !rule)
                return ctl_fail(CTL_FAILED, "wpcached answered with no verdict");
        if (ctl->terminal.json != JSON_FORMAT_OFF)
                return output_json(ctl, reply.parameters);
        if (!ctl->quiet)
                printf("%s (rule %s)\n", sentence, rule);
        return CTL_DONE;
}
