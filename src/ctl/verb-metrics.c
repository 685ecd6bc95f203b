/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"
#include "ctl/verbs.h"
#include "wire/interface.h"

/* Cleans line by line: labels contain names that others chose. */
static int print_lines(const char *text) {
        cleanup_free char *copy = strdup(text);
        char *line, *rest = copy;

        if (!copy)
                return ctl_fail(CTL_FAILED, "out of memory");
        while ((line = strsep(&rest, "\n")))
                if (*line || rest)
                        printf("%s\n", text_clean(line));
        return CTL_DONE;
}

int verb_metrics(const Ctl *ctl) {
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        const char *text;
        Ctl raw = *ctl;
        int r;

        /* without this the client would make one line of the text */
        raw.terminal.json = JSON_FORMAT_SHORT;
        r = client_call(&raw, INTERFACE_NAME ".GetMetrics", NULL, CLIENT_TIMEOUT_USEC, &reply);
        if (r != CTL_DONE)
                return r;
        text = json_get_string(reply.parameters, "text", NULL);
        if (!text)
                return ctl_fail(CTL_FAILED, "wpcached answered with no metrics");
        if (ctl->terminal.json != JSON_FORMAT_OFF)
                return output_json(ctl, reply.parameters);
        return ctl->quiet ? CTL_DONE : print_lines(text);
}
