/* SPDX-License-Identifier: MIT */

/* Prints a line for each event, with the local time at which it came. Ends with the daemon or
 * with the reader of stdout. */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"
#include "ctl/verbs.h"
#include "model/target.h"
#include "wire/interface.h"

static void describe_status(const Json *status) {
        const Json *engine = json_get(status, "engine"), *builder = json_get(status, "builder");
        const Json *job = json_get(status, "job");
        char bytes[BYTES_TEXT_MAX], count[OUTPUT_COUNT_MAX];

        printf("engine %s", json_get_string(engine, "state", "unknown"));
        if (json_get_string(engine, "reason", NULL))
                printf(" (%s)", json_get_string(engine, "reason", ""));
        if (builder)
                printf(", %s, %s",
                       output_count(json_get_int(builder, "records", 0), "build cache record",
                                    count),
                       output_bytes(builder, "bytes", bytes));
        if (job)
                printf(", %s: %s", output_job_kind(job),
                       json_get_string(job, "message", output_text(job, "step")));
}

static void describe_run(const Json *run) {
        char count[OUTPUT_COUNT_MAX], records[OUTPUT_COUNT_MAX], disk[BYTES_TEXT_MAX];

        printf("%s, %s and %s removed, %zu left, %s reclaimed (run %s)",
               output_text(run, "outcome"),
               output_count((int64_t)json_size(json_get(run, "removed")), "image", count),
               output_count(json_get_int(run, "records", 0), "build cache record", records),
               json_size(json_get(run, "left")), output_bytes(run, "diskFreedBytes", disk),
               output_text(run, "id"));
}

static void describe_receipt(const Json *receipt) {
        const char *target = output_text(receipt, "target");
        const char *outcome = output_text(receipt, "outcome");
        const bool docker = target_touches_docker(target_of(target));
        size_t n_left = json_size(json_get(receipt, "remaining"));
        char bytes[BYTES_TEXT_MAX], count[OUTPUT_COUNT_MAX];

        printf("%s: %s, ", target, outcome);
        if (docker)
                printf("%s left, ", output_count((int64_t)n_left, "source", count));
        else if (n_left > 0)
                printf("%zu left, ", n_left);
        else if (strcmp(outcome, "cleared") == 0) /* otherwise it was not checked */
                printf("nothing left, ");
        printf("%s reclaimed (receipt %s)",
               output_bytes(receipt, docker ? "diskFreedBytes" : "appBytes", bytes),
               output_text(receipt, "id"));
}

static void describe_event(const Json *event) {
        const Json *status = json_get(event, "status"), *progress = json_get(event, "progress");
        const Json *receipt = json_get(event, "receipt"), *run = json_get(event, "policyRun");
        const char *message = json_get_string(event, "message", NULL);

        if (status)
                describe_status(status);
        else if (progress)
                printf("%s", json_get_string(progress, "message", output_text(progress, "step")));
        else if (receipt)
                describe_receipt(receipt);
        else if (run)
                describe_run(run);
        if (message)
                printf("%s%s", status || progress || receipt || run ? ": " : "", message);
}

static void print_event(const Ctl *ctl, const Json *event) {
        time_t now = now_realtime_sec();
        struct tm local;
        char text[16];

        if (!localtime_r(&now, &local) || strftime(text, sizeof(text), "%T", &local) == 0)
                strcpy(text, "--:--:--");
        printf("%s%s%s %-9s ", terminal_style(&ctl->terminal, STYLE_FAINT), text,
               terminal_style(&ctl->terminal, STYLE_PLAIN), output_text(event, "event"));
        describe_event(event);
        putchar('\n');
}

/* How soon a watch ends after its reader went away, if no events come. */
#define READER_CHECK_USEC (10 * USEC_PER_SEC)

/* Progress comes about every second; only news is worth a line. */
static bool is_repeated(const Json *event, char *last, size_t size) {
        const Json *progress = json_get(event, "progress");
        char text[512];
        bool same;

        snprintf(text, sizeof(text), "%s\n%s", json_get_string(progress, "step", ""),
                 json_get_string(progress, "message", ""));
        same = progress && strcmp(text, last) == 0;
        snprintf(last, size, "%s", progress ? text : "");
        return same;
}

int verb_watch(const Ctl *ctl) {
        cleanup(client_free) Client *client = NULL;
        Diag diag = DIAG_NULL;
        char last[512] = "";
        int r;

        r = client_open(ctl, CLIENT_TIMEOUT_USEC, &client);
        if (r >= 0)
                r = client_send(client, INTERFACE_NAME ".Monitor", NULL, true, &diag);
        for (bool first = true; r >= 0 && !ferror(stdout); first = false) {
                cleanup(varlink_reply_done) VarlinkReply reply = { NULL };

                r = client_reply(client, first ? CLIENT_TIMEOUT_USEC : READER_CHECK_USEC, &reply,
                                 &diag);
                if (r == -ETIMEDOUT && !first) {
                        if (terminal_reader_is_gone())
                                return CTL_DONE;
                        r = 0;
                        continue;
                }
                if (r == -ECONNRESET && !first)
                        return ctl_fail(CTL_FAILED, "wpcached ended the connection");
                if (r < 0)
                        break;
                if (reply.error)
                        return client_fail_reply(ctl, &reply);
                if (ctl->terminal.json != JSON_FORMAT_OFF) {
                        if (output_json(ctl, reply.parameters) != CTL_DONE)
                                return CTL_FAILED;
                } else if (!is_repeated(reply.parameters, last, sizeof(last)))
                        print_event(ctl, reply.parameters);
                fflush(stdout);
                if (!reply.continues)
                        return CTL_DONE;
        }
        return r < 0 ? client_fail_connection(ctl, r, &diag) : CTL_DONE;
}
