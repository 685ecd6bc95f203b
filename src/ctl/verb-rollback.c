/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"
#include "ctl/verbs.h"
#include "wire/interface.h"

/* The rollback waits for the job in progress. */
#define ROLLBACK_TIMEOUT_USEC (60 * USEC_PER_MINUTE)

int verb_rollback(const Ctl *ctl) {
        cleanup(json_free) Json *parameters = json_new_object();
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        const Json *restored, *skipped;
        size_t n_failed = 0;
        int r;

        if (json_add_string(parameters, "receipt", ctl->object) < 0)
                return ctl_fail(CTL_FAILED, "out of memory");
        r = client_call(ctl, INTERFACE_NAME ".Rollback", parameters, ROLLBACK_TIMEOUT_USEC, &reply);
        if (r != CTL_DONE)
                return r;
        restored = json_get(reply.parameters, "restored");
        skipped = json_get(reply.parameters, "skipped");
        if (!json_is_array(restored) || !json_is_array(skipped))
                return ctl_fail(CTL_FAILED, "wpcached did not say what was put back");

        json_foreach (name, skipped)
                n_failed += !json_get_bool(name, "deleted", false);
        n_failed =
                MAX(n_failed, (size_t)MAX(json_get_int(reply.parameters, "failed", 0), INT64_C(0)));
        if (ctl->terminal.json != JSON_FORMAT_OFF) {
                r = output_json(ctl, reply.parameters);
                if (r != CTL_DONE)
                        return r;
        } else if (!ctl->quiet) {
                json_foreach (name, restored) {
                        const char *id = output_text(name, "imageId");

                        printf("restored  %s -> %.*s\n", output_text(name, "name"),
                               output_id_length(id), id);
                }
                json_foreach (name, skipped)
                        printf("%sskipped%s   %s: %s\n", terminal_style(&ctl->terminal, STYLE_WARN),
                               terminal_style(&ctl->terminal, STYLE_PLAIN),
                               output_text(name, "name"), output_text(name, "reason"));
                output_omitted(reply.parameters);
                if (json_size(restored) == 0 && json_size(skipped) == 0)
                        printf("nothing to put back: receipt %s took no names away\n",
                               output_text(reply.parameters, "receipt"));
        }
        if (n_failed > 0)
                return ctl_fail(CTL_FAILED, "%zu of %zu names of receipt %s not put back", n_failed,
                                n_failed + json_size(restored),
                                output_text(reply.parameters, "receipt"));
        return CTL_DONE;
}
