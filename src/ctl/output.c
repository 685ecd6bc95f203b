/* SPDX-License-Identifier: MIT */

/*
 * The client makes text in replies printable before it comes here (ctl/client.h), so no function
 * below needs to know where a string is from. JSON is printed as the daemon sent it: \u escapes
 * keep control characters harmless. DEL and U+0080 to U+009F, which JSON may hold unescaped, are
 * escaped here.
 */

#include "ctl/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "ctl/fail.h"

int output_json(const Ctl *ctl, const Json *json) {
        cleanup_free char *text =
                ctl->terminal.json == JSON_FORMAT_PRETTY ? json_text_pretty(json) : json_text(json);

        if (!text)
                return ctl_fail(CTL_FAILED, "out of memory");
        for (const char *p = text; *p;) {
                size_t bad = text_unprintable(p), n = bad > 0 ? bad : utf8_length(p);

                if (bad > 0 && *p != '\n' && *p != '\t') /* those are of json_text_pretty() */
                        printf("\\u%04x", (unsigned)utf8_code_point(p, n));
                else
                        fwrite(p, 1, n, stdout);
                p += n;
        }
        putchar('\n');
        return CTL_DONE;
}

char *output_age(int64_t then_sec, char buffer[static SPAN_TEXT_MAX]) {
        uint64_t now_sec = now_realtime_usec() / USEC_PER_SEC;

        if (then_sec < 0 || (uint64_t)then_sec >= now_sec)
                return strcpy(buffer, "just now");
        span_format((now_sec - (uint64_t)then_sec) * USEC_PER_SEC, buffer);
        return strncat(buffer, " ago", SPAN_TEXT_MAX - strlen(buffer) - 1);
}

char *output_ahead(int64_t then_sec, char buffer[static SPAN_TEXT_MAX]) {
        int64_t now_sec = now_realtime_sec();
        char span[SPAN_TEXT_MAX];

        if (then_sec <= now_sec)
                return strcpy(buffer, "now");
        span_format((uint64_t)(then_sec - now_sec) * USEC_PER_SEC, span);
        snprintf(buffer, SPAN_TEXT_MAX, "in %.*s", SPAN_TEXT_MAX - 4, span);
        return buffer;
}

char *output_time(int64_t sec, char buffer[static OUTPUT_TIME_MAX]) {
        time_t time = (time_t)sec;
        struct tm local;

        if (!localtime_r(&time, &local) ||
            strftime(buffer, OUTPUT_TIME_MAX, "%Y-%m-%d %H:%M", &local) == 0)
                strcpy(buffer, "?");
        return buffer;
}

uint64_t output_amount(const Json *object, const char *name) {
        return (uint64_t)MAX(json_get_int(object, name, 0), 0);
}

char *output_bytes(const Json *object, const char *name, char buffer[static BYTES_TEXT_MAX]) {
        return bytes_format(output_amount(object, name), buffer);
}

char *output_hold(const Json *policy, char buffer[static OUTPUT_HOLD_MAX]) {
        static const struct {
                const char *hold, *text;
        } holds[] = {
                { "observe", "mode=observe, policy only observes" },
                { "grace", "new host, policy only observes" },
                { "inhibited", "an inhibitor is held" },
                { "building", "a build is under way" },
                { "quiet", "something has just changed, policy waits for quiet" },
        };
        const char *hold = json_get_string(policy, "hold", NULL), *text = hold;
        int64_t until_sec = json_get_int(policy, "holdUntil", -1);
        char time[OUTPUT_TIME_MAX], ahead[SPAN_TEXT_MAX];

        for (size_t i = 0; hold && i < ELEMENTSOF(holds); i++)
                if (strcmp(hold, holds[i].hold) == 0)
                        text = holds[i].text;
        if (text && until_sec >= 0)
                snprintf(buffer, OUTPUT_HOLD_MAX, "%s until %s (%s)", text,
                         output_time(until_sec, time), output_ahead(until_sec, ahead));
        else
                snprintf(buffer, OUTPUT_HOLD_MAX, "%s", text ? text : "");
        return buffer;
}

char *output_who(const Json *who, char buffer[static OUTPUT_WHO_MAX]) {
        const char *user = json_get_string(who, "user", NULL);
        int64_t pid = json_get_int(who, "pid", -1);

        if (user)
                snprintf(buffer, OUTPUT_WHO_MAX, "%s (pid %" PRIi64 ")", user, pid);
        else
                snprintf(buffer, OUTPUT_WHO_MAX, "uid %" PRIi64 " (pid %" PRIi64 ")",
                         json_get_int(who, "uid", -1), pid);
        return buffer;
}

const char *output_job_kind(const Json *job) {
        const char *kind = json_get_string(job, "kind", "job");

        return strcmp(kind, "sweep") == 0 ? "sweep of left-over caches" : kind;
}

void output_texts(const char *prefix, const Json *texts) {
        json_foreach (text, texts)
                printf("%s: %s\n", prefix, json_string(text) ? json_string(text) : "?");
}

void output_omitted(const Json *object) {
        int64_t n = json_get_int(object, "omitted", 0);

        if (n > 0)
                printf("NOTE: %" PRIi64 " more are not listed: the reply has no room for them\n",
                       n);
}

char *output_count(int64_t n, const char *singular, char buffer[static OUTPUT_COUNT_MAX]) {
        snprintf(buffer, OUTPUT_COUNT_MAX, "%" PRIi64 " %s%s", n, singular, n == 1 ? "" : "s");
        return buffer;
}

int output_id_length(const char *id) {
        size_t n = strlen(id);

        return (int)(strncmp(id, "sha256:", 7) == 0 ? MIN(n, 19U) : n);
}

void output_list(const Json *array, const char *name, size_t max) {
        size_t n = 0, n_all = json_size(array);

        json_foreach (member, array) {
                const char *text = name ? json_get_string(member, name, "?") : json_string(member);

                if (n == max && n_all > max + 1)
                        break;
                printf("%s%s", n > 0 ? ", " : "", text ? text : "?");
                n++;
        }
        if (n < n_all)
                printf(" and %zu more", n_all - n);
}

void output_label(const char *text) {
        printf("%11s: ", text);
}

uint64_t output_percent(uint64_t part, uint64_t whole) {
        return whole > 0 ? (uint64_t)((double)part / (double)whole * 100) : 0;
}
