/* SPDX-License-Identifier: MIT */

#include "ctl/verbs.h"

#include <stdio.h>

#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"

int verb_version(const Ctl *ctl) {
        cleanup(client_free) Client *client = NULL;
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        cleanup(json_free) Json *json = json_new_object();
        const char *daemon = NULL;
        Diag diag = DIAG_NULL;
        int r;

        r = client_open(ctl, CLIENT_TIMEOUT_USEC, &client);
        if (r >= 0)
                r = client_send(client, "org.varlink.service.GetInfo", NULL, false, &diag);
        if (r >= 0)
                r = client_reply(client, USEC_PER_SEC, &reply, &diag);
        if (r >= 0)
                daemon = json_get_string(reply.parameters, "version", NULL);

        if (ctl->terminal.json != JSON_FORMAT_OFF) {
                r = json_add_string(json, "client", WPCACHE_VERSION);
                r |= json_add_string(json, "daemon", daemon);
                return r < 0 ? ctl_fail(CTL_FAILED, "out of memory") : output_json(ctl, json);
        }
        printf("wpcachectl %s\n", WPCACHE_VERSION);
        if (daemon)
                printf("wpcached %s\n", daemon);
        else
                printf("wpcached: no answer at %s\n", ctl->socket_path);
        return CTL_DONE;
}
