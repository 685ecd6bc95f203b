/* SPDX-License-Identifier: MIT */

/*
 * The daemon clears; this verb asks for it, shows the progress and checks the receipt. Logs of
 * workflows are searched for some of the lines ("INFO: Clearing Docker build cache", "Total
 * reclaimed space: …", "SUCCESS: Docker build cache cleared"), so these keep their words. The last
 * one is printed only if the receipt is for the target that was asked for, says fresh, and has
 * nothing remaining.
 */

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"
#include "ctl/plan-view.h"
#include "ctl/receipt-view.h"
#include "ctl/verbs.h"
#include "model/target.h"
#include "wire/interface.h"

#define HEARTBEAT_USEC (30 * USEC_PER_SEC)
#define NAMES_SHOWN 20

static const char seeds_words[] = "Clearing Docker build cache";

typedef struct Clear {
        const Ctl *ctl;
        bool lines;          /* print INFO lines */
        bool said_words;     /* seeds_words was printed */
        uint64_t start_usec; /* CLOCK_BOOTTIME when the job's elapsed time was 0 */
        uint64_t line_usec;  /* CLOCK_BOOTTIME of the last line */
        int64_t bytes;
        char job_id[64], step[32], message[256];
} Clear;

static void print_line(Clear *clear, const char *text) {
        if (!clear->lines)
                return;
        if (clear->ctl->terminal.live)
                terminal_live_clear();
        printf("INFO: %s\n", text);
        fflush(stdout);
        clear->line_usec = now_boottime_usec();
        clear->said_words |= strcmp(text, seeds_words) == 0;
}

static void show_progress(Clear *clear, const Json *progress) {
        const char *step = json_get_string(progress, "step", "");
        const char *message = json_get_string(progress, "message", step);
        uint64_t elapsed_usec =
                (uint64_t)MAX(json_get_int(progress, "elapsedSec", 0), 0) * USEC_PER_SEC;
        uint64_t now_usec = now_boottime_usec();
        bool news = strcmp(message, clear->message) != 0;

        /* the message of a wait changes all the time, so only the heartbeat shows it */
        if (strcmp(step, "waiting") == 0 && strcmp(clear->step, "waiting") == 0)
                news = false;
        clear->start_usec = now_usec - MIN(elapsed_usec, now_usec);
        clear->bytes = json_get_int(progress, "engineReportedBytes", clear->bytes);
        snprintf(clear->job_id, sizeof(clear->job_id), "%s",
                 json_get_string(progress, "jobId", ""));
        snprintf(clear->step, sizeof(clear->step), "%s", step);
        snprintf(clear->message, sizeof(clear->message), "%s", message);
        if (strcmp(step, "builder") == 0 && !clear->said_words)
                print_line(clear, seeds_words);
        if (news && (strcmp(message, seeds_words) != 0 || !clear->said_words))
                print_line(clear, clear->message);
}

/* Prints the live line, or the heartbeat if stdout is no terminal. */
static void on_tick(Clear *clear) {
        const char *message = clear->message[0] ? clear->message : "Waiting for wpcached";
        char elapsed[SPAN_TEXT_MAX], bytes[BYTES_TEXT_MAX], text[512];
        uint64_t now_usec = now_boottime_usec();

        if (!clear->lines)
                return;
        span_format((now_usec - clear->start_usec) / USEC_PER_SEC * USEC_PER_SEC, elapsed);
        bytes_format((uint64_t)clear->bytes, bytes);
        if (clear->ctl->terminal.live) {
                snprintf(text, sizeof(text), "%s  %s%s%s", elapsed, message,
                         clear->bytes > 0 ? "  " : "", clear->bytes > 0 ? bytes : "");
                terminal_live(text);
        } else if (now_usec - clear->line_usec >= HEARTBEAT_USEC) {
                snprintf(text, sizeof(text), "%s (%s so far%s%s)", message, elapsed,
                         clear->bytes > 0 ? ", " : "", clear->bytes > 0 ? bytes : "");
                print_line(clear, text);
        }
}

static uint64_t next_tick_usec(const Clear *clear) {
        uint64_t since_usec = now_boottime_usec() - clear->line_usec;

        if (!clear->lines)
                return USEC_INFINITY;
        if (clear->ctl->terminal.live)
                return USEC_PER_SEC;
        return since_usec < HEARTBEAT_USEC ? HEARTBEAT_USEC - since_usec : 0;
}

/* The last line of a successful clear. */
static const char *success_text(Target target) {
        switch (target) {
        case TARGET_ALL:
        case TARGET_DOCKER:
                return "Docker build cache cleared";
        case TARGET_BUILDER:
                return "builder cleared; images were not touched, the next build may be CACHED by "
                       "them";
        case TARGET_IMAGES:
                return "images cleared; Docker's build cache was not touched, the next build may "
                       "be CACHED by it";
        case TARGET_APPS:
                break;
        }
        return "Application caches cleared; Docker's caches untouched, the next build may be CACHED";
}

/* Whether some name is of an image that is still there, with a rollback tag or without. */
static bool can_roll_back(const Json *names) {
        json_foreach (name, names)
                if (!json_get_bool(name, "deleted", false))
                        return true;
        return false;
}

static void print_receipt(Clear *clear, const Json *receipt, bool good) {
        const Json *names = json_get(receipt, "names");
        const Ctl *ctl = clear->ctl;

        /* with nothing to prune there was no step of the builder */
        if (!clear->said_words && target_of(ctl->target) & TARGET_BUILDER)
                print_line(clear, seeds_words);
        view_clear_result(ctl, receipt, false);
        if (json_size(names) > 0) {
                printf("docker compose up will now build: ");
                output_list(names, "name", NAMES_SHOWN);
                putchar('\n');
        }
        printf("Receipt: %s%s\n", output_text(receipt, "id"),
               can_roll_back(names) ? " (wpcachectl rollback puts names back)" : "");
        if (good)
                printf("%sSUCCESS:%s %s\n", terminal_style(&ctl->terminal, STYLE_GOOD),
                       terminal_style(&ctl->terminal, STYLE_PLAIN),
                       success_text(target_of(ctl->target)));
}

/* Counts what remains, without the state directory, which only kept the clear from removing the
 * rest. */
static size_t count_sources(const Json *remaining) {
        size_t n = 0;

        json_foreach (left, remaining)
                n += strcmp(json_get_string(left, "kind", ""), "store") != 0;
        return n;
}

/* Prints what remains on one line of stderr. */
static int fail_remaining(const Ctl *ctl, const Json *remaining) {
        const Json *first = json_first(remaining);
        size_t n = json_size(remaining), n_sources = count_sources(remaining);
        const char *what =
                n_sources == 1 ? " source of cached layers" : " sources of cached layers";
        char text[512];

        if (n_sources == 0 || !target_touches_docker(target_of(ctl->target)))
                what = "";
        if (n == 0)
                snprintf(text, sizeof(text), "wpcached does not say what is left");
        else
                snprintf(text, sizeof(text), "%zu%s left: %s %s%s", n_sources ? n_sources : n, what,
                         output_text(first, "kind"), output_text(first, "object"),
                         n > 1 ? ", …" : "");
        fflush(stdout);
        fprintf(stderr, "%s: %s\n",
                target_speaks_of_fresh(target_of(ctl->target)) ? "NOT FRESH" : "NOT CLEARED",
                text_clean(text));
        return CTL_NOT_FRESH;
}

static int on_receipt(Clear *clear, const Json *receipt) {
        const Ctl *ctl = clear->ctl;
        bool speaks = target_speaks_of_fresh(target_of(ctl->target));
        const char *outcome = json_get_string(receipt, "outcome", "");
        const Json *remaining = json_get(receipt, "remaining");
        bool clean = strcmp(outcome, speaks ? "fresh" : "cleared") == 0;
        bool good;
        int r;

        if (strcmp(json_get_string(receipt, "target", ""), ctl->target) != 0 ||
            !json_is_array(remaining))
                return ctl_fail(CTL_FAILED, "wpcached answered with no receipt for target '%s'",
                                ctl->target);
        /* whatever the outcome says, nothing may remain */
        good = clean && json_size(remaining) == 0 &&
               (!speaks || json_get_bool(receipt, "fresh", false));

        if (ctl->terminal.json != JSON_FORMAT_OFF) {
                r = output_json(ctl, receipt);
                if (r != CTL_DONE)
                        return r;
        } else if (!ctl->quiet) {
                print_receipt(clear, receipt, good);
        }
        if (good)
                return CTL_DONE;
        if (clean || strcmp(outcome, speaks ? "notFresh" : "notCleared") == 0)
                return fail_remaining(ctl, remaining);
        return ctl_fail(CTL_FAILED, "the clear ended as '%s': %s", outcome,
                        json_get_string(receipt, "error", "no reason given"));
}

static int on_plan(const Ctl *ctl, const Json *plan) {
        if (strcmp(json_get_string(plan, "target", ""), ctl->target) != 0)
                return ctl_fail(CTL_FAILED, "wpcached answered with no plan for target '%s'",
                                ctl->target);
        if (ctl->terminal.json != JSON_FORMAT_OFF)
                return output_json(ctl, plan);
        return ctl->quiet ? CTL_DONE : view_clear_plan(ctl, plan);
}

/* Whether the clear waits for inhibitors. The daemon forgets such a clear when the connection
 * ends, unless its turn has come just now. */
static bool waits_for_inhibitors(const Clear *clear) {
        return strcmp(clear->step, "waiting") == 0 && !clear->job_id[0];
}

/* The connection ended; the clear may go on. */
static int fail_lost(const Clear *clear, int error, const Diag *diag) {
        const char *id = clear->job_id;

        if (waits_for_inhibitors(clear))
                return ctl_fail(CTL_FAILED,
                                "lost wpcached while the clear waited for inhibitors: %s; it is "
                                "forgotten, unless wpcachectl status shows it",
                                diag_text(diag, error));
        return ctl_fail(CTL_FAILED,
                        "lost wpcached during the clear%s%s: %s; it may go on: wpcachectl "
                        "history%s%s tells how it ended",
                        id[0] ? ", job " : "", id, diag_text(diag, error), id[0] ? " " : "", id);
}

static int fail_interrupted(const Clear *clear, int number) {
        if (waits_for_inhibitors(clear))
                ctl_fail(0, "interrupted while the clear waited for inhibitors; it is forgotten, "
                            "unless wpcachectl status shows it");
        else
                ctl_fail(0, "interrupted, but the clear goes on in wpcached; wpcachectl watch "
                            "shows how, wpcachectl status how it ended");
        return 128 + number;
}

/* JobFailed may carry a receipt that tells how far the clear came. */
static int fail_error(const Clear *clear, const VarlinkReply *reply) {
        const Json *receipt = json_get(reply->parameters, "receipt");
        const Ctl *ctl = clear->ctl;
        int r;

        if (!json_is_object(receipt))
                return client_fail_reply(ctl, reply);
        if (ctl->terminal.json != JSON_FORMAT_OFF) {
                r = output_json(ctl, receipt);
                if (r != CTL_DONE)
                        return r;
        } else if (!ctl->quiet) {
                view_caches(receipt);
                view_remaining(&ctl->terminal, json_get(receipt, "remaining"));
                printf("Receipt: %s\n", output_text(receipt, "id"));
        }
        return client_fail_reply(ctl, reply);
}

static Json *clear_parameters(const Ctl *ctl) {
        cleanup(json_free) Json *parameters = client_target_parameters(ctl);
        int r = 0;

        if (ctl->dry_run)
                r |= json_add_bool(parameters, "dryRun", true);
        if (ctl->wait_sec >= 0)
                r |= json_add_int(parameters, "waitSec", ctl->wait_sec);
        r |= json_add_string(parameters, "inhibitor", ctl->inhibitor);
        if (ctl->ignore_inhibitors)
                r |= json_add_bool(parameters, "ignoreInhibitors", true);
        r |= json_add_string(parameters, "command", ctl->command);
        return r < 0 ? NULL : TAKE_PTR(parameters);
}

/* Reads replies until the last one. */
static int follow_clear(Clear *clear, Client *client) {
        const Ctl *ctl = clear->ctl;

        for (;;) {
                cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
                const Json *receipt, *plan;
                Diag diag = DIAG_NULL;
                int r;

                r = client_reply(client, next_tick_usec(clear), &reply, &diag);
                if (r == -ETIMEDOUT) {
                        on_tick(clear);
                        continue;
                }
                if (clear->lines && ctl->terminal.live && (r < 0 || !reply.continues))
                        terminal_live_clear();
                if (r == -EINTR)
                        return fail_interrupted(clear, client_signal(client));
                if (r < 0)
                        return fail_lost(clear, r, &diag);
                if (reply.error)
                        return fail_error(clear, &reply);
                if (reply.continues) {
                        show_progress(clear, json_get(reply.parameters, "progress"));
                        if (ctl->terminal.live)
                                on_tick(clear);
                        continue;
                }
                receipt = json_get(reply.parameters, "receipt");
                plan = json_get(reply.parameters, "plan");
                return ctl->dry_run ? on_plan(ctl, plan) : on_receipt(clear, receipt);
        }
}

int verb_clear(const Ctl *ctl) {
        cleanup(json_free) Json *parameters = clear_parameters(ctl);
        cleanup(client_free) Client *client = NULL;
        Clear clear = {
                .ctl = ctl,
                .lines = ctl->terminal.json == JSON_FORMAT_OFF && !ctl->quiet && !ctl->dry_run,
        };
        Diag diag = DIAG_NULL;
        int r;

        r = parameters ? client_open(ctl, CLIENT_TIMEOUT_USEC, &client) : -ENOMEM;
        if (r >= 0 && !ctl->dry_run)
                r = client_catch_signals(client);
        if (r >= 0)
                r = client_send(client, INTERFACE_NAME ".Clear", parameters, clear.lines, &diag);
        if (r < 0)
                return client_fail_connection(ctl, r, &diag);
        clear.start_usec = clear.line_usec = now_boottime_usec();
        return follow_clear(&clear, client);
}
