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

typedef struct Option {
        const char *name;
        int argument;                                                  /* no_argument ... */
        int (*set)(const struct Option *option, Ctl *ctl, Line *line); /* optarg: its argument */
        size_t offset;        /* set_flag, set_text, set_span: of the field in Ctl */
        const char *verbs[2]; /* the verbs that take it; NULL: all do */
        char letter;          /* the short option, or 0 */
        bool local;           /* is not passed on to another host */
} Option;

static int set_flag(const Option *option, Ctl *ctl, Line *line) {
        *(bool *)(void *)((char *)ctl + option->offset) = true;
        return CTL_DONE;
}

static int set_text(const Option *option, Ctl *ctl, Line *line) {
        *(const char **)(void *)((char *)ctl + option->offset) = optarg;
        return CTL_DONE;
}

static int set_span(const Option *option, Ctl *ctl, Line *line) {
        uint64_t usec;

        if (span_parse(optarg, &usec) < 0)
                return ctl_fail(CTL_USAGE,
                                "--%s %s: not a span of time such as 90s, 30min or 1h 30min",
                                option->name, optarg);
        *(int64_t *)(void *)((char *)ctl + option->offset) =
                (int64_t)((usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
        return CTL_DONE;
}

static int set_nothing(const Option *option, Ctl *ctl, Line *line) {
        return CTL_DONE;
}

static int set_json(const Option *option, Ctl *ctl, Line *line) {
        if (!optarg)
                line->json = JSON_FORMAT_AUTO;
        else if (strcmp(optarg, "short") == 0)
                line->json = JSON_FORMAT_SHORT;
        else if (strcmp(optarg, "pretty") == 0)
                line->json = JSON_FORMAT_PRETTY;
        else if (strcmp(optarg, "off") == 0)
                line->json = JSON_FORMAT_OFF;
        else
                return ctl_fail(CTL_USAGE, "--json=%s: one of short, pretty, off", optarg);
        return CTL_DONE;
}

static int set_color(const Option *option, Ctl *ctl, Line *line) {
        if (!optarg || strcmp(optarg, "always") == 0)
                line->color = COLOR_ALWAYS;
        else if (strcmp(optarg, "auto") == 0)
                line->color = COLOR_AUTO;
        else if (strcmp(optarg, "never") == 0)
                line->color = COLOR_NEVER;
        else
                return ctl_fail(CTL_USAGE, "--color=%s: one of auto, always, never", optarg);
        return CTL_DONE;
}

static int set_host(const Option *option, Ctl *ctl, Line *line) {
        line->host = optarg;
        return line->allowed ? gate_refuse_option("--host") : ssh_check_host(optarg);
}

static int set_socket(const Option *option, Ctl *ctl, Line *line) {
        ctl->socket_path = optarg;
        return line->allowed ? gate_refuse_option("--socket") : CTL_DONE;
}

static int set_no_wait(const Option *option, Ctl *ctl, Line *line) {
        ctl->wait_sec = 0;
        return CTL_DONE;
}

static int set_ttl(const Option *option, Ctl *ctl, Line *line) {
        int r = set_span(option, ctl, line);

        if (r == CTL_DONE && ctl->ttl_sec == 0)
                return ctl_fail(CTL_USAGE, "--ttl %s: holds nothing", optarg);
        if (r == CTL_DONE && ctl->ttl_sec > INTERFACE_TTL_SEC_MAX)
                return ctl_fail(CTL_USAGE, "--ttl %s: too long; the most is 24h", optarg);
        return r;
}

/* A date means its first midnight by the local clock. */
static int set_since(const Option *option, Ctl *ctl, Line *line) {
        int64_t now_sec = now_realtime_sec();
        struct tm date = { .tm_isdst = -1 };
        const char *end = strptime(optarg, "%Y-%m-%d", &date);
        const int day = date.tm_mday;
        uint64_t usec;

        if (end && !*end) {
                ctl->since_sec = (int64_t)mktime(&date);
                /* there is no 30th of February */
                if (ctl->since_sec >= 0 && date.tm_mday == day)
                        return CTL_DONE;
        } else if (span_parse(optarg, &usec) >= 0) {
                ctl->since_sec = MAX(now_sec - (int64_t)(usec / USEC_PER_SEC), 0);
                return CTL_DONE;
        }
        return ctl_fail(CTL_USAGE,
                        "--since %s: neither a span of time such as 24h or 7d nor a "
                        "date such as 2026-11-20",
                        optarg);
}

static int print_help(const Option *option, Ctl *ctl, Line *line) {
        line->done = true;
        return verb_help(ctl);
}

static int print_version(const Option *option, Ctl *ctl, Line *line) {
        line->done = true;
        printf("wpcachectl %s\n", WPCACHE_VERSION);
        return CTL_DONE;
}

static int greet(const Option *option, Ctl *ctl, Line *line) {
        ssh_greet();
        return CTL_DONE;
}

#define FIELD(name) offsetof(Ctl, name)

static const Option options[] = {
        { "json", optional_argument, set_json },
        { "host", required_argument, set_host, .letter = 'H', .local = true },
        { "socket", required_argument, set_socket },
        { "color", optional_argument, set_color },
        { "no-pager", no_argument, set_nothing },
        { "quiet", no_argument, set_flag, FIELD(quiet), .letter = 'q' },
        { "help", no_argument, print_help, .letter = 'h' },
        { "version", no_argument, print_version },
        { "target", required_argument, set_text, FIELD(target), { "clear", "plan" } },
        { "keep-mounts", no_argument, set_flag, FIELD(keep_mounts), { "clear", "plan" } },
        { "include-mounted", no_argument, set_flag, FIELD(include_mounted), { "clear", "plan" } },
        { "wait", required_argument, set_span, FIELD(wait_sec), { "clear", "inhibit" } },
        { "no-wait", no_argument, set_no_wait, 0, { "clear", "inhibit" } },
        { "dry-run", no_argument, set_flag, FIELD(dry_run), { "clear" } },
        { "ignore-inhibitors", no_argument, set_flag, FIELD(ignore_inhibitors), { "clear" } },
        { "why", required_argument, set_text, FIELD(why), { "inhibit" } },
        { "ttl", required_argument, set_ttl, FIELD(ttl_sec), { "inhibit" } },
        { "require", no_argument, set_flag, FIELD(require), { "inhibit" } },
        { "since", required_argument, set_since, 0, { "history" } },
        { "greet", no_argument, greet, .local = true },
};

/* getopt_long() returns the letter of an option, or this plus its index. */
#define OPTION_BASE 256

static void make_long_options(struct option ret[static ELEMENTSOF(options) + 1]) {
        for (size_t i = 0; i < ELEMENTSOF(options); i++)
                ret[i] = (struct option){
                        .name = options[i].name,
                        .has_arg = options[i].argument,
                        .val = options[i].letter ? options[i].letter : OPTION_BASE + (int)i,
                };
        ret[ELEMENTSOF(options)] = (struct option){ 0 };
}

static const Option *option_of(int c) {
        const Option *option = options;

        if (c >= OPTION_BASE)
                return &options[c - OPTION_BASE];
        while (option->letter != c)
                option++;
        return option;
}

/* `letter`: the unknown one in a word of short options. */
static int unknown_option(const char *given, int letter) {
        const char *names[ELEMENTSOF(options)], *nearest;
        char text[64];

        if (strncmp(given, "--", 2) != 0) {
                snprintf(text, sizeof(text), "-%c", letter);
                return ctl_usage("unknown option", letter > ' ' && letter < 0x7f ? text : given,
                                 NULL);
        }
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                names[i] = options[i].name;
        nearest = strv_nearest(given + 2, names, ELEMENTSOF(names));
        snprintf(text, sizeof(text), "--%s", nearest ? nearest : "");
        return ctl_usage("unknown option", given, nearest ? text : NULL);
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
static void keep_option(Line *line, const Option *option) {
        cleanup_free char *text = NULL;
        const char *value = optarg;

        /* stdout over there is a pipe of ssh(1) */
        if (option->set == set_json && !value && isatty(STDOUT_FILENO) == 1)
                value = "pretty";
        text = text_format("--%s%s%s", option->name, value ? "=" : "", value ? value : "");
        line->words_error |= text ? strv_add(&line->words, text) : -ENOMEM;
}

static int on_option(const Option *option, Ctl *ctl, Line *line) {
        if (!option->local)
                keep_option(line, option);
        line->given |= UINT32_C(1) << (option - options);
        return option->set(option, ctl, line);
}

int options_parse(int argc, char **argv, Ctl *ctl, Line *line) {
        struct option long_options[ELEMENTSOF(options) + 1];
        int c, at = 1, r = CTL_DONE;
        bool rest = false;

        make_long_options(long_options);
        opterr = 0;
        optind = 0;
        /* "-": getopt_long() returns each argument in its place, as that of an option 1 */
        while (r == CTL_DONE && !line->done &&
               (c = getopt_long(argc, argv, "-:hqH:", long_options, NULL)) >= 0) {
                if (c == ':')
                        return ctl_fail(CTL_USAGE, "%s wants an argument; see wpcachectl help",
                                        argv[optind - 1]);
                if (c == '?')
                        return unknown_option(argv[at], optopt);
                r = c == 1 ? on_argument(line, argv + optind - 1, ctl, &rest)
                           : on_option(option_of(c), ctl, line);
                if (rest)
                        return r;
                at = optind;
        }
        if (optind < argc)
                line->words_error |= strv_add(&line->words, "--");
        for (; r == CTL_DONE && optind < argc && !rest; optind++)
                r = on_argument(line, argv + optind, ctl, &rest);
        return r;
}

int options_check_owned(const Line *line, const char *verb) {
        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                const char *const *of = options[i].verbs;

                if (!(line->given & UINT32_C(1) << i) || !of[0] || strcmp(of[0], verb) == 0 ||
                    (of[1] && strcmp(of[1], verb) == 0))
                        continue;
                return ctl_fail(CTL_USAGE, "--%s belongs to '%s'%s%s%s; see wpcachectl help",
                                options[i].name, of[0], of[1] ? " and '" : "", of[1] ? of[1] : "",
                                of[1] ? "'" : "");
        }
        return CTL_DONE;
}
