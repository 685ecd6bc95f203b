/* SPDX-License-Identifier: MIT */

#include <stdio.h>

#include "ctl/client.h"
#include "ctl/output.h"
#include "ctl/verbs.h"
#include "wire/interface.h"

/* The daemon looks up names of users and groups. */
#define RELOAD_TIMEOUT_USEC USEC_PER_MINUTE

int verb_reload(const Ctl *ctl) {
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        const Json *keys;
        int r;

        r = client_call(ctl, INTERFACE_NAME ".Reload", NULL, RELOAD_TIMEOUT_USEC, &reply);
        if (r != CTL_DONE)
                return r;
        if (ctl->terminal.json != JSON_FORMAT_OFF)
                return output_json(ctl, reply.parameters);
        keys = json_get(reply.parameters, "restartNeeded");
        if (json_size(keys) > 0 && !ctl->quiet) {
                printf("In force after systemctl restart wpcached: ");
                output_list(keys, NULL, SIZE_MAX - 1);
                putchar('\n');
        }
        return CTL_DONE;
}
