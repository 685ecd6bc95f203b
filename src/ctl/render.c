/* SPDX-License-Identifier: MIT */

/*
 * What a reply says has been made printable before it comes here (ctl/client.h), so nothing below
 * needs to ask where a string is from. JSON goes out as the daemon said it: \u escapes keep control
 * characters harmless, and C1 and DEL, which JSON lets stand raw, are escaped on the way.
 */

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/text.h"
#include "ctl/render.h"
#include "ctl/verb.h"
#include "model/target.h"

/* As setlocale(3) would choose, which costs more than all else here does. */
static bool locale_is_utf8(void) {
        static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *value = getenv(names[i]);

                if (value && *value)
                        return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
        }
        return false;
}

void render_init(Render *render, JsonFormat json, ColorMode color) {
        const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
        bool terminal = isatty(STDOUT_FILENO) == 1;
        bool able = terminal && term && strcmp(term, "dumb") != 0;

        if (json == JSON_FORMAT_AUTO)
                json = terminal ? JSON_FORMAT_PRETTY : JSON_FORMAT_SHORT;
        *render = (Render){
                .json = json,
                .terminal = able,
                .utf8 = locale_is_utf8(),
                .color = color == COLOR_ALWAYS ||
                         (color == COLOR_AUTO && able && (!no_color || !*no_color)),
        };
}

bool render_reader_is_gone(void) {
        struct pollfd fd = { .fd = STDOUT_FILENO };

        return poll(&fd, 1, 0) > 0 && fd.revents & (POLLERR | POLLHUP);
}

const char *render_style(const Render *render, Style style) {
        static const char *const sequences[] = {
                [STYLE_PLAIN] = "\033[0m",  [STYLE_GOOD] = "\033[32m", [STYLE_WARN] = "\033[33m",
                [STYLE_BAD] = "\033[1;31m", [STYLE_FAINT] = "\033[2m",
        };

        return render->color ? sequences[style] : "";
}

int render_json(const Render *render, const Json *json) {
        cleanup_free char *text =
                render->json == JSON_FORMAT_PRETTY ? json_text_pretty(json) : json_text(json);

        if (!text)
                return -ENOMEM;
        for (const char *p = text; *p;) {
                size_t bad = text_unprintable(p), n = bad > 0 ? bad : utf8_length(p);

                if (bad > 0 && *p != '\n' && *p != '\t') /* those are of json_text_pretty() */
                        printf("\\u%04x", (unsigned)utf8_code_point(p, n));
                else
                        fwrite(p, 1, n, stdout);
                p += n;
        }
        putchar('\n');
        return 0;
}

char *render_age(int64_t then_sec, char buffer[static SPAN_TEXT_MAX]) {
        uint64_t now_sec = now_realtime_usec() / USEC_PER_SEC;

        if (then_sec < 0 || (uint64_t)then_sec >= now_sec)
                return strcpy(buffer, "just now");
        span_format((now_sec - (uint64_t)then_sec) * USEC_PER_SEC, buffer);
        return strncat(buffer, " ago", SPAN_TEXT_MAX - strlen(buffer) - 1);
}

char *render_ahead(int64_t then_sec, char buffer[static SPAN_TEXT_MAX]) {
        int64_t now_sec = now_realtime_sec();
        char span[SPAN_TEXT_MAX];

        if (then_sec <= now_sec)
                return strcpy(buffer, "now");
        span_format((uint64_t)(then_sec - now_sec) * USEC_PER_SEC, span);
        snprintf(buffer, SPAN_TEXT_MAX, "in %.*s", SPAN_TEXT_MAX - 4, span);
        return buffer;
}

char *render_time(int64_t sec, char buffer[static RENDER_TIME_MAX]) {
        time_t time = (time_t)sec;
        struct tm local;

        if (!localtime_r(&time, &local) ||
            strftime(buffer, RENDER_TIME_MAX, "%Y-%m-%d %H:%M", &local) == 0)
                strcpy(buffer, "?");
        return buffer;
}

uint64_t render_amount(const Json *object, const char *name) {
        return (uint64_t)MAX(json_get_int(object, name, 0), 0);
}

char *render_bytes(const Json *object, const char *name, char buffer[static BYTES_TEXT_MAX]) {
        return bytes_format(render_amount(object, name), buffer);
}

#define BAR_WIDTH 20

void render_bar(const Render *render, Style style, uint64_t percent) {
        char bar[BAR_WIDTH + 1];

        memset(bar, '-', BAR_WIDTH);
        memset(bar, '#', (MIN(percent, UINT64_C(100)) * BAR_WIDTH + 50) / 100);
        bar[BAR_WIDTH] = '\0';
        printf("%s[%s]%s", render_style(render, style), bar, render_style(render, STYLE_PLAIN));
}

char *render_hold(const Json *policy, char buffer[static RENDER_HOLD_MAX]) {
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
        char time[RENDER_TIME_MAX], ahead[SPAN_TEXT_MAX];

        for (size_t i = 0; hold && i < ELEMENTSOF(holds); i++)
                if (strcmp(hold, holds[i].hold) == 0)
                        text = holds[i].text;
        if (text && until_sec >= 0)
                snprintf(buffer, RENDER_HOLD_MAX, "%s until %s (%s)", text,
                         render_time(until_sec, time), render_ahead(until_sec, ahead));
        else
                snprintf(buffer, RENDER_HOLD_MAX, "%s", text ? text : "");
        return buffer;
}

char *render_who(const Json *who, char buffer[static RENDER_WHO_MAX]) {
        const char *user = json_get_string(who, "user", NULL);
        int64_t pid = json_get_int(who, "pid", -1);

        if (user)
                snprintf(buffer, RENDER_WHO_MAX, "%s (pid %" PRIi64 ")", user, pid);
        else
                snprintf(buffer, RENDER_WHO_MAX, "uid %" PRIi64 " (pid %" PRIi64 ")",
                         json_get_int(who, "uid", -1), pid);
        return buffer;
}

const char *render_job_kind(const Json *job) {
        const char *kind = json_get_string(job, "kind", "job");

        return strcmp(kind, "sweep") == 0 ? "sweep of left-over caches" : kind;
}

static const struct {
        const char *reach, *text;
} reaches[] = {
        { "context", "in the build context" },
        { "ignored", "ignored by .dockerignore" },
        { "outside", "outside the build context" },
};

const char *render_reach(const Json *cache) {
        const char *reach = json_get_string(cache, "reach", "?");

        for (size_t i = 0; i < ELEMENTSOF(reaches); i++)
                if (strcmp(reach, reaches[i].reach) == 0)
                        return reaches[i].text;
        return reach;
}

bool render_app_ok(const Json *app) {
        const char *state = json_get_string(app, "state", "?");

        return strcmp(state, "ok") == 0 || strcmp(state, "unknown") == 0;
}

static const char *app_state(const Json *app) {
        const char *state = json_get_string(app, "state", "?");

        if (strcmp(state, "readOnly") == 0)
                return "read-only";
        return strcmp(state, "notWritable") == 0 ? "not writable" : state;
}

void render_app_fault(const Json *app) {
        const char *root = json_get_string(app, "root", "?");
        const char *reason = json_get_string(app, "reason", NULL);

        /* one that names the root says it all */
        if (reason && strstr(reason, root))
                printf("%s", reason);
        else
                printf("%s is %s%s%s", root, app_state(app), reason ? ": " : "",
                       reason ? reason : "");
}

static bool is_of(const Json *cache, const char *app) {
        return strcmp(json_get_string(cache, "app", "?"), app) == 0;
}

/* Of each application so many are told. */
#define CACHES_SHOWN 10

static void print_paths(const Json *caches, const char *app, bool measured) {
        char bytes[BYTES_TEXT_MAX];
        size_t n = 0;

        json_foreach (cache, caches) {
                if (!is_of(cache, app) || n++ >= CACHES_SHOWN)
                        continue;
                if (measured)
                        printf("    %8s", render_bytes(cache, "bytes", bytes));
                printf("%s%s, %s\n", measured ? "  " : "    ", json_get_string(cache, "path", "?"),
                       render_reach(cache));
        }
        if (n > CACHES_SHOWN)
                printf("%*sand %zu more\n", measured ? 14 : 4, "", n - CACHES_SHOWN);
}

/* "frontend: 3 caches removed, 1.2GB (2 in the build context, 1 ignored by .dockerignore)" */
static void print_app_caches(const Json *caches, const char *app, bool ended) {
        size_t n = 0, n_reach[ELEMENTSOF(reaches)] = { 0 };
        char count[RENDER_COUNT_MAX], bytes[BYTES_TEXT_MAX];
        bool any = false;
        uint64_t sum = 0;

        json_foreach (cache, caches) {
                if (!is_of(cache, app))
                        continue;
                n++;
                sum += render_amount(cache, "bytes");
                for (size_t i = 0; i < ELEMENTSOF(reaches); i++)
                        n_reach[i] +=
                                strcmp(json_get_string(cache, "reach", ""), reaches[i].reach) == 0;
        }
        printf("%s: %s removed%s%s", app, render_count((int64_t)n, "cache", count),
               ended ? ", " : " or about to be", ended ? bytes_format(sum, bytes) : "");
        for (size_t i = 0; i < ELEMENTSOF(reaches); i++)
                if (n_reach[i] > 0) {
                        printf("%s%zu %s", any ? ", " : " (", n_reach[i], reaches[i].text);
                        any = true;
                }
        puts(any ? ")" : "");
        print_paths(caches, app, ended);
}

void render_caches(const Json *receipt) {
        const Json *caches = json_get(receipt, "caches");
        const char *target = json_get_string(receipt, "target", "?");
        const char *outcome = json_get_string(receipt, "outcome", "");
        const size_t n = json_size(caches);
        int64_t n_all = 0;

        json_foreach (removed, json_get(receipt, "removed"))
                if (strcmp(json_get_string(removed, "step", ""), "caches") == 0)
                        n_all = json_get_int(removed, "objects", 0);
        /* what earlier runs left is counted, too, but not named */
        if (n > 0 && n_all > (int64_t)n)
                printf("Of %" PRIi64 " caches that were removed, the receipt names %zu:\n", n_all,
                       n);
        else if (n == 0 && n_all == 0 && strcmp(outcome, "cleared") == 0 &&
                 !target_touches_docker(target_of(target)) &&
                 json_size(json_get(receipt, "remaining")) == 0)
                printf("%s: nothing to remove\n", target);
        json_foreach (cache, caches) {
                const char *app = json_get_string(cache, "app", "?");
                const Json *first = json_first(caches);

                while (!is_of(first, app))
                        first = json_next(first);
                if (first == cache)
                        print_app_caches(caches, app, receipt_ended(receipt));
        }
}

void render_remaining(const Render *render, const Json *remaining) {
        json_foreach (left, remaining) {
                const char *remedy = json_get_string(left, "remedy", NULL);

                printf("%sREMAINING:%s %s %s: %s\n", render_style(render, STYLE_WARN),
                       render_style(render, STYLE_PLAIN), json_get_string(left, "kind", "?"),
                       json_get_string(left, "object", "?"), json_get_string(left, "reason", "?"));
                if (remedy)
                        printf("           end it: %s\n", remedy);
        }
}

void render_not_reached(const Json *volumes) {
        json_foreach (volume, volumes)
                printf("NOT REACHED: volume %s (container %s, %s): no clear touches volumes\n",
                       json_get_string(volume, "volume", "?"),
                       json_get_string(volume, "container", "?"),
                       json_get_string(volume, "destination", "?"));
}

void render_texts(const char *prefix, const Json *texts) {
        json_foreach (text, texts)
                printf("%s: %s\n", prefix, json_string(text) ? json_string(text) : "?");
}

void render_omitted(const Json *object) {
        int64_t n = json_get_int(object, "omitted", 0);

        if (n > 0)
                printf("NOTE: %" PRIi64 " more are not listed: the reply has no room for them\n",
                       n);
}

char *render_count(int64_t n, const char *singular, char buffer[static RENDER_COUNT_MAX]) {
        snprintf(buffer, RENDER_COUNT_MAX, "%" PRIi64 " %s%s", n, singular, n == 1 ? "" : "s");
        return buffer;
}

int render_id_length(const char *id) {
        size_t n = strlen(id);

        return (int)(strncmp(id, "sha256:", 7) == 0 ? MIN(n, 19U) : n);
}

void render_list(const Json *array, const char *name, size_t max) {
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

/* The longest beginning of `text` that takes at most `columns`, one column a character. */
static int cut_length(const char *text, size_t columns) {
        const char *p = text;

        while (*p && (columns > 0 || ((unsigned char)*p & 0xc0) == 0x80)) {
                columns -= ((unsigned char)*p & 0xc0) != 0x80;
                p++;
        }
        return (int)(p - text);
}

size_t render_columns(void) {
        struct winsize window = { .ws_col = 0 };

        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col
                                                                                   : 80;
}

void render_live(const char *text) {
        /* the last column stays free: some terminals wrap as soon as it is written */
        printf("\r%.*s\033[K", cut_length(text, render_columns() - 1), text);
        fflush(stdout);
}

void render_live_clear(void) {
        fputs("\r\033[K", stdout);
}
