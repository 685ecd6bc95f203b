/* SPDX-License-Identifier: MIT */

#include "ctl/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/span.h"
#include "base/text.h"
#include "ctl/fail.h"
#include "ctl/gate.h"
#include "ctl/ssh.h"
#include "ctl/verbs.h"
#include "wire/interface.h"

enum { ARG_JSON = 256, ARG_SOCKET, ARG_COLOR, ARG_NO_PAGER, ARG_VERSION, ARG_GREET, ARG_OWNED };

/* Options that belong to some verbs. */
enum {
        ARG_TARGET = ARG_OWNED,
        ARG_KEEP_MOUNTS,
        ARG_INCLUDE_MOUNTED,
        ARG_WAIT,
        ARG_NO_WAIT,
        ARG_DRY_RUN,
        ARG_IGNORE_INHIBITORS,
        ARG_WHY,
        ARG_TTL,
        ARG_REQUIRE,
        ARG_SINCE,
        ARG_END,
};

static const char *const owners[ARG_END - ARG_OWNED][2] = {
        [ARG_TARGET - ARG_OWNED] = { "clear", "plan" },
        [ARG_KEEP_MOUNTS - ARG_OWNED] = { "clear", "plan" },
        [ARG_INCLUDE_MOUNTED - ARG_OWNED] = { "clear", "plan" },
        [ARG_WAIT - ARG_OWNED] = { "clear", "inhibit" },
        [ARG_NO_WAIT - ARG_OWNED] = { "clear", "inhibit" },
        [ARG_DRY_RUN - ARG_OWNED] = { "clear" },
        [ARG_IGNORE_INHIBITORS - ARG_OWNED] = { "clear" },
        [ARG_WHY - ARG_OWNED] = { "inhibit" },
        [ARG_TTL - ARG_OWNED] = { "inhibit" },
        [ARG_REQUIRE - ARG_OWNED] = { "inhibit" },
        [ARG_SINCE - ARG_OWNED] = { "history" },
};

static const struct option options[] = {
        { "json", optional_argument, NULL, ARG_JSON },
        { "host", required_argument, NULL, 'H' },
        { "socket", required_argument, NULL, ARG_SOCKET },
        { "color", optional_argument, NULL, ARG_COLOR },
        { "no-pager", no_argument, NULL, ARG_NO_PAGER },
        { "quiet", no_argument, NULL, 'q' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, ARG_VERSION },
        { "target", required_argument, NULL, ARG_TARGET },
        { "keep-mounts", no_argument, NULL, ARG_KEEP_MOUNTS },
        { "include-mounted", no_argument, NULL, ARG_INCLUDE_MOUNTED },
        { "wait", required_argument, NULL, ARG_WAIT },
        { "no-wait", no_argument, NULL, ARG_NO_WAIT },
        { "dry-run", no_argument, NULL, ARG_DRY_RUN },
        { "ignore-inhibitors", no_argument, NULL, ARG_IGNORE_INHIBITORS },
        { "why", required_argument, NULL, ARG_WHY },
        { "ttl", required_argument, NULL, ARG_TTL },
        { "require", no_argument, NULL, ARG_REQUIRE },
        { "since", required_argument, NULL, ARG_SINCE },
        { "greet", no_argument, NULL, ARG_GREET },
        { NULL, 0, NULL, 0 },
};

/* The long name of an option that getopt_long() returned. */
static const char *option_name(int c) {
        const struct option *option = options;

        while (option->val != c)
                option++;
        return option->name;
}

/* `letter`: the unknown one in a word of short options. */
static int unknown_option(const char *given, int letter) {
        const char *names[ELEMENTSOF(options) - 1];
        const char *nearest;
        char text[64];

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                names[i] = options[i].name;
        if (strncmp(given, "--", 2) != 0) {
                snprintf(text, sizeof(text), "-%c", letter);
                return ctl_usage("unknown option", letter > ' ' && letter < 0x7f ? text : given,
                                 NULL);
        }
        nearest = strv_nearest(given + 2, names, ELEMENTSOF(names));
        snprintf(text, sizeof(text), "--%s", nearest ? nearest : "");
        return ctl_usage("unknown option", given, nearest ? text : NULL);
}

static int parse_json(const char *text, JsonFormat *ret) {
        if (!text)
                *ret = JSON_FORMAT_AUTO;
        else if (strcmp(text, "short") == 0)
                *ret = JSON_FORMAT_SHORT;
        else if (strcmp(text, "pretty") == 0)
                *ret = JSON_FORMAT_PRETTY;
        else if (strcmp(text, "off") == 0)
                *ret = JSON_FORMAT_OFF;
        else
                return ctl_fail(CTL_USAGE, "--json=%s: one of short, pretty, off", text);
        return CTL_DONE;
}

static int parse_color(const char *text, ColorMode *ret) {
        if (!text || strcmp(text, "always") == 0)
                *ret = COLOR_ALWAYS;
        else if (strcmp(text, "auto") == 0)
                *ret = COLOR_AUTO;
        else if (strcmp(text, "never") == 0)
                *ret = COLOR_NEVER;
        else
                return ctl_fail(CTL_USAGE, "--color=%s: one of auto, always, never", text);
        return CTL_DONE;
}

static int parse_span_option(const char *option, const char *text, int64_t *ret_sec) {
        uint64_t usec;

        if (span_parse(text, &usec) < 0)
                return ctl_fail(CTL_USAGE,
                                "--%s %s: not a span of time such as 90s, 30min or 1h 30min",
                                option, text);
        *ret_sec = (int64_t)((usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
        return CTL_DONE;
}

static int parse_ttl(const char *text, int64_t *ret_sec) {
        int r = parse_span_option("ttl", text, ret_sec);

        if (r == CTL_DONE && *ret_sec == 0)
                return ctl_fail(CTL_USAGE, "--ttl %s: holds nothing", text);
        if (r == CTL_DONE && *ret_sec > INTERFACE_TTL_SEC_MAX)
                return ctl_fail(CTL_USAGE, "--ttl %s: too long; the most is 24h", text);
        return r;
}

/* A date is the midnight by the local clock that it begins with. */
static int parse_since(const char *text, int64_t *ret_sec) {
        int64_t now_sec = now_realtime_sec();
        struct tm date = { .tm_isdst = -1 };
        const char *end = strptime(text, "%Y-%m-%d", &date);
        const int day = date.tm_mday;
        uint64_t usec;

        if (end && !*end) {
                *ret_sec = (int64_t)mktime(&date);
                /* there is no 30th of February */
                if (*ret_sec >= 0 && date.tm_mday == day)
                        return CTL_DONE;
        } else if (span_parse(text, &usec) >= 0) {
                *ret_sec = MAX(now_sec - (int64_t)(usec / USEC_PER_SEC), 0);
                return CTL_DONE;
        }
        return ctl_fail(CTL_USAGE,
                        "--since %s: neither a span of time such as 24h or 7d nor a "
                        "date such as 2026-11-20",
                        text);
}

/* An option that belongs to some verbs. */
static int on_owned_option(int c, Ctl *ctl) {
        switch (c) {
        case ARG_TARGET:
                ctl->target = optarg;
                break;
        case ARG_KEEP_MOUNTS:
                ctl->keep_mounts = true;
                break;
        case ARG_INCLUDE_MOUNTED:
                ctl->include_mounted = true;
                break;
        case ARG_WAIT:
                return parse_span_option("wait", optarg, &ctl->wait_sec);
        case ARG_NO_WAIT:
                ctl->wait_sec = 0;
                break;
        case ARG_DRY_RUN:
                ctl->dry_run = true;
                break;
        case ARG_IGNORE_INHIBITORS:
                ctl->ignore_inhibitors = true;
                break;
        case ARG_WHY:
                ctl->why = optarg;
                break;
        case ARG_TTL:
                return parse_ttl(optarg, &ctl->ttl_sec);
        case ARG_REQUIRE:
                ctl->require = true;
                break;
        case ARG_SINCE:
                return parse_since(optarg, &ctl->since_sec);
        }
        return CTL_DONE;
}

static int on_option(int c, Ctl *ctl, Line *line) {
        if (line->allowed && (c == 'H' || c == ARG_SOCKET))
                return gate_refuse_option(c == 'H' ? "--host" : "--socket");
        switch (c) {
        case 'H':
                line->host = optarg;
                return ssh_check_host(optarg);
        case ARG_JSON:
                return parse_json(optarg, &line->json);
        case ARG_SOCKET:
                ctl->socket_path = optarg;
                break;
        case ARG_COLOR:
                return parse_color(optarg, &line->color);
        case 'q':
                ctl->quiet = true;
                break;
        case 'h':
                line->done = true;
                return verb_help(ctl);
        case ARG_VERSION:
                line->done = true;
                printf("wpcachectl %s\n", WPCACHE_VERSION);
                break;
        case ARG_GREET:
                ssh_greet();
                break;
        default:
                if (c >= ARG_OWNED) {
                        line->owned |= 1U << (c - ARG_OWNED);
                        return on_owned_option(c, ctl);
                }
        }
        return CTL_DONE;
}

static bool takes_the_rest(const Line *line) {
        return line->n_arguments > 0 && (strcmp(line->arguments[0], "inhibit") == 0 ||
                                         strcmp(line->arguments[0], "ssh-gate") == 0);
}

/* `*ret`: the word begins a command or a list of verbs, which takes the rest of the line. */
static int on_argument(Line *line, char **at, Ctl *ctl, bool *ret) {
        int r = CTL_DONE;

        *ret = takes_the_rest(line);
        if (*ret) {
                ctl->argv = at;
                return CTL_DONE;
        }
        if (line->allowed && line->n_arguments == 0)
                r = gate_check(*at, line->allowed);
        if (line->n_arguments < ELEMENTSOF(line->arguments))
                line->arguments[line->n_arguments++] = *at;
        line->words_error |= strv_add(&line->words, *at);
        return r;
}

/* Adds an option to the words for another host, by its long name, however the user wrote it. */
static void keep_option(Line *line, int c) {
        cleanup_free char *text = NULL;
        const char *value = optarg;

        /* stdout over there is a pipe of ssh(1) */
        if (c == ARG_JSON && !value && isatty(STDOUT_FILENO) == 1)
                value = "pretty";
        text = text_format("--%s%s%s", option_name(c), value ? "=" : "", value ? value : "");
        line->words_error |= text ? strv_add(&line->words, text) : -ENOMEM;
}

int options_parse(int argc, char **argv, Ctl *ctl, Line *line) {
        int c, at = 1, r = CTL_DONE;
        bool rest = false;

        opterr = 0;
        optind = 0;
        /* "-": getopt_long() returns each argument in its place, as that of an option 1 */
        while (r == CTL_DONE && !line->done &&
               (c = getopt_long(argc, argv, "-:hqH:", options, NULL)) >= 0) {
                if (c == ':')
                        return ctl_fail(CTL_USAGE, "%s wants an argument; see wpcachectl help",
                                        argv[optind - 1]);
                if (c == '?')
                        return unknown_option(argv[at], optopt);
                if (c == 1) {
                        r = on_argument(line, argv + optind - 1, ctl, &rest);
                        if (rest)
                                return r;
                        at = optind;
                        continue;
                }
                if (c != 'H' && c != ARG_GREET)
                        keep_option(line, c);
                r = on_option(c, ctl, line);
                at = optind;
        }
        if (optind < argc)
                line->words_error |= strv_add(&line->words, "--");
        for (; r == CTL_DONE && optind < argc && !rest; optind++)
                r = on_argument(line, argv + optind, ctl, &rest);
        return r;
}

int options_check_owned(const Line *line, const char *verb) {
        for (int c = ARG_OWNED; c < ARG_END; c++) {
                const char *const *of = owners[c - ARG_OWNED];

                if (!(line->owned & 1U << (c - ARG_OWNED)) || strcmp(of[0], verb) == 0 ||
                    (of[1] && strcmp(of[1], verb) == 0))
                        continue;
                return ctl_fail(CTL_USAGE, "--%s belongs to '%s'%s%s%s; see wpcachectl help",
                                option_name(c), of[0], of[1] ? " and '" : "", of[1] ? of[1] : "",
                                of[1] ? "'" : "");
        }
        return CTL_DONE;
}
