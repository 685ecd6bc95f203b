/* SPDX-License-Identifier: MIT */

/*
 * Options may stand anywhere on the line, as with systemd's tools; those that belong to some verbs
 * are refused with others. What follows `inhibit` is a command, whose options are its own, and what
 * follows `ssh-gate` are verbs: the line that these are allowed in comes from somebody else, who gets
 * nothing by it but a verb and its options. SIGPIPE is ignored: a clear whose output nobody reads any
 * more still ends with the right exit status.
 */

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "base/words.h"
#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"
#include "ctl/ssh.h"
#include "ctl/verbs.h"
#include "wire/interface.h"

#define TTL_SEC_DEFAULT 3600
#define ARGUMENTS_MAX 2  /* the verb and one more */
#define REQUEST_MAX 4096 /* bytes of a line for ssh-gate */

static int verb_help(const Ctl *ctl);
static int verb_ssh_gate(const Ctl *ctl);
static int verb_version(const Ctl *ctl);

static const struct {
        const char *name, *argument, *help;
        int (*run)(const Ctl *ctl);
} verbs[] = {
        { "status", NULL, "How the caches stand (the default)", verb_status },
        { "clear", "[TARGET]", "Clear caches, look again, say if the next build is fresh",
          verb_clear },
        { "rollback", "[RECEIPT]", "Put the names that a clear took back on their images",
          verb_rollback },
        { "plan", "[TARGET]", "What would go and what stays, and why", verb_plan },
        { "explain", "OBJECT", "Why an image or a build cache record goes or stays", verb_explain },
        { "inhibit", "COMMAND...", "Have policy remove nothing while a command runs",
          verb_inhibit },
        { "history", "[RECEIPT]", "What was done, and how the sizes went; or one run in full",
          verb_history },
        { "watch", NULL, "Jobs and events as they happen", verb_watch },
        { "metrics", NULL, "Figures for Prometheus", verb_metrics },
        { "reload", NULL, "Have the daemon read its configuration again", verb_reload },
        { "ssh-gate", "VERB...", "Of verbs that may be used, the one an SSH client asks for",
          verb_ssh_gate },
        { "version", NULL, "Versions of client and daemon", verb_version },
        { "help", NULL, "This text", verb_help },
};

enum { ARG_JSON = 256, ARG_SOCKET, ARG_COLOR, ARG_NO_PAGER, ARG_VERSION, ARG_GREET, ARG_OWNED };

/* Those that not every verb takes. */
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

static const struct {
        const char *option, *verbs[2];
} owners[ARG_END - ARG_OWNED] = {
        [ARG_TARGET - ARG_OWNED] = { "target", { "clear", "plan" } },
        [ARG_KEEP_MOUNTS - ARG_OWNED] = { "keep-mounts", { "clear", "plan" } },
        [ARG_INCLUDE_MOUNTED - ARG_OWNED] = { "include-mounted", { "clear", "plan" } },
        [ARG_WAIT - ARG_OWNED] = { "wait", { "clear", "inhibit" } },
        [ARG_NO_WAIT - ARG_OWNED] = { "no-wait", { "clear", "inhibit" } },
        [ARG_DRY_RUN - ARG_OWNED] = { "dry-run", { "clear" } },
        [ARG_IGNORE_INHIBITORS - ARG_OWNED] = { "ignore-inhibitors", { "clear" } },
        [ARG_WHY - ARG_OWNED] = { "why", { "inhibit" } },
        [ARG_TTL - ARG_OWNED] = { "ttl", { "inhibit" } },
        [ARG_REQUIRE - ARG_OWNED] = { "require", { "inhibit" } },
        [ARG_SINCE - ARG_OWNED] = { "since", { "history" } },
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

/* The command line: options as far as they are not in `ctl` yet, and what is left. */
typedef struct Line {
        JsonFormat json;
        ColorMode color;
        const char *owned[ARG_END - ARG_OWNED]; /* those given, by their names */
        const char *arguments[ARGUMENTS_MAX + 1];
        size_t n_arguments; /* one too many at most */
        bool done;          /* an option that was all that was asked */
        const char *host;   /* -H, or NULL */
        Strv words;         /* what of it another host is to be asked */
        int words_error;
        char **allowed; /* the verbs, where the line came through ssh-gate, or NULL */
} Line;

static int verb_help(const Ctl *ctl) {
        (void)ctl;
        printf("wpcachectl [OPTION…] [VERB]\n"
               "\n"
               "Keeps the caches of a Docker-built application under control, by wpcached.\n"
               "\n");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                const char *argument = verbs[i].argument ? verbs[i].argument : "";

                printf("  %s %-*s%s\n", verbs[i].name, 20 - (int)strlen(verbs[i].name), argument,
                       verbs[i].help);
        }
        printf("\n"
               "  --json[=short|pretty] the daemon's answer as JSON\n"
               "  -H, --host [USER@]HOST\n"
               "                        ask wpcachectl of that host, by ssh\n"
               "  --socket PATH         the daemon's socket, default $WPCACHE_SOCKET or\n"
               "                        " INTERFACE_SOCKET "\n"
               "  -q, --quiet           errors only\n"
               "  --color=auto|always|never\n"
               "  --no-pager            accepted, there is no pager\n"
               "  -h, --help            this text\n"
               "  --version             the version of wpcachectl\n"
               "\n"
               "Of clear and plan:\n"
               "  --target TARGET       all, docker, builder, images, apps or the name of an\n"
               "                        application in the configuration; default of clear: all,\n"
               "                        of plan: what policy would do\n"
               "  --keep-mounts         keep the content of RUN --mount=type=cache\n"
               "  --include-mounted     caches that a running container has mounted, too\n"
               "\n"
               "Of clear:\n"
               "  --dry-run             say what would be removed, touch nothing\n"
               "  --ignore-inhibitors   do not wait for inhibitors\n"
               "\n"
               "Of clear and inhibit:\n"
               "  --wait SPAN           wait this long for builds, jobs and inhibitors, default\n"
               "                        30min\n"
               "  --no-wait             the same as --wait 0\n"
               "\n"
               "Of inhibit:\n"
               "  --why TEXT            for whoever is kept waiting\n"
               "  --ttl SPAN            hold for so long at most, default 1h\n"
               "  --require             without the inhibitor do not run the command either\n"
               "\n"
               "Of history:\n"
               "  --since SPAN|DATE     as 24h, 7d (default) or 2026-11-20\n"
               "\n"
               "Exit status: 0 done, 1 failed, 2 usage, 3 not fresh, 4 not permitted,\n"
               "5 daemon not reachable, 6 engine not available, 7 busy, 8 alarm. Of inhibit:\n"
               "that of the command; 125 to 127 if it was not run. See wpcachectl(1).\n");
        return CTL_DONE;
}

static int verb_version(const Ctl *ctl) {
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

        if (ctl->render.json != JSON_FORMAT_OFF) {
                r = json_add_string(json, "client", WPCACHE_VERSION);
                r |= json_add_string(json, "daemon", daemon);
                if (r < 0 || render_json(&ctl->render, json) < 0)
                        return client_fail(CTL_FAILED, "out of memory");
                return CTL_DONE;
        }
        printf("wpcachectl %s\n", WPCACHE_VERSION);
        if (daemon)
                printf("wpcached %s\n", daemon);
        else
                printf("wpcached: no answer at %s\n", ctl->socket_path);
        return CTL_DONE;
}

static const char *environment(const char *name) {
        const char *value = getenv(name);

        return value && *value ? value : NULL;
}

/* One line, with what was probably meant. */
static int usage(const char *what, const char *given, const char *nearest) {
        if (nearest)
                return client_fail(CTL_USAGE, "%s '%s'; did you mean '%s'? wpcachectl help", what,
                                   given, nearest);
        return client_fail(CTL_USAGE, "%s '%s'; see wpcachectl help", what, given);
}

/* `letter`: the one at fault in a word of short options. */
static int unknown_option(const char *given, int letter) {
        const char *names[ELEMENTSOF(options) - 1];
        const char *nearest;
        char text[64];

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                names[i] = options[i].name;
        if (strncmp(given, "--", 2) != 0) {
                snprintf(text, sizeof(text), "-%c", letter);
                return usage("unknown option", letter > ' ' && letter < 0x7f ? text : given, NULL);
        }
        nearest = strv_nearest(given + 2, names, ELEMENTSOF(names));
        snprintf(text, sizeof(text), "--%s", nearest ? nearest : "");
        return usage("unknown option", given, nearest ? text : NULL);
}

static int unknown_verb(const char *given) {
        const char *names[ELEMENTSOF(verbs)];

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                names[i] = verbs[i].name;
        return usage("unknown verb", given, strv_nearest(given, names, ELEMENTSOF(names)));
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
                return client_fail(CTL_USAGE, "--json=%s: one of short, pretty, off", text);
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
                return client_fail(CTL_USAGE, "--color=%s: one of auto, always, never", text);
        return CTL_DONE;
}

static int parse_span(const char *option, const char *text, int64_t *ret_sec) {
        uint64_t usec;

        if (span_parse(text, &usec) < 0)
                return client_fail(CTL_USAGE,
                                   "--%s %s: not a span of time such as 90s, 30min or 1h 30min",
                                   option, text);
        *ret_sec = (int64_t)((usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
        return CTL_DONE;
}

static int parse_ttl(const char *text, int64_t *ret_sec) {
        int r = parse_span("ttl", text, ret_sec);

        if (r == CTL_DONE && *ret_sec == 0)
                return client_fail(CTL_USAGE, "--ttl %s: holds nothing", text);
        if (r == CTL_DONE && *ret_sec > INTERFACE_TTL_SEC_MAX)
                return client_fail(CTL_USAGE, "--ttl %s: too long; the most is 24h", text);
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
        return client_fail(CTL_USAGE,
                           "--since %s: neither a span of time such as 24h or 7d nor a "
                           "date such as 2026-11-20",
                           text);
}

static int refuse_option(const char *option) {
        return client_fail(CTL_NOT_PERMITTED, "ssh-gate: %s is not allowed", option);
}

static int on_option(int c, Ctl *ctl, Line *line) {
        switch (c) {
        case 'H':
                if (line->allowed)
                        return refuse_option("--host");
                line->host = optarg;
                return remote_check_host(optarg);
        case ARG_JSON:
                return parse_json(optarg, &line->json);
        case ARG_SOCKET:
                if (line->allowed)
                        return refuse_option("--socket");
                ctl->socket_path = optarg;
                break;
        case ARG_COLOR:
                return parse_color(optarg, &line->color);
        case ARG_NO_PAGER:
                break;
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
                remote_greet();
                break;
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
                return parse_span("wait", optarg, &ctl->wait_sec);
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

/* The verbs, for a sentence. */
static const char *list(char **names, char buffer[static 256]) {
        size_t n = 0;

        buffer[0] = '\0';
        for (; *names && n < 256; names++)
                n += (size_t)snprintf(buffer + n, 256 - n, "%s%s", n > 0 ? ", " : "", *names);
        return buffer;
}

/* Whatever is not allowed is refused before anything is made of the rest. */
static int check_allowed(const char *verb, char **allowed) {
        char text[256];

        for (char **name = allowed; *name; name++)
                if (strcmp(verb, *name) == 0)
                        return CTL_DONE;
        return client_fail(CTL_NOT_PERMITTED, "ssh-gate: '%s' is not allowed; what is: %s", verb,
                           list(allowed, text));
}

static bool takes_the_rest(const Line *line) {
        return line->n_arguments > 0 && (strcmp(line->arguments[0], "inhibit") == 0 ||
                                         strcmp(line->arguments[0], "ssh-gate") == 0);
}

/* Takes one that is no option. *ret: it begins something that goes to the end of the line. */
static int on_argument(Line *line, char **at, Ctl *ctl, bool *ret) {
        int r = CTL_DONE;

        *ret = takes_the_rest(line);
        if (*ret) {
                ctl->argv = at;
                return CTL_DONE;
        }
        if (line->allowed && line->n_arguments == 0)
                r = check_allowed(*at, line->allowed);
        if (line->n_arguments < ELEMENTSOF(line->arguments))
                line->arguments[line->n_arguments++] = *at;
        line->words_error |= strv_add(&line->words, *at);
        return r;
}

/* An option among the words for another host, by its name, whatever the user wrote for it. */
static void keep_option(Line *line, int c) {
        cleanup_free char *text = NULL;
        const char *value = optarg;

        /* stdout over there is a pipe of ssh's */
        if (c == ARG_JSON && !value && isatty(STDOUT_FILENO) == 1)
                value = "pretty";
        for (const struct option *option = options; option->name; option++)
                if (option->val == c)
                        text = text_format("--%s%s%s", option->name, value ? "=" : "",
                                           value ? value : "");
        line->words_error |= text ? strv_add(&line->words, text) : -ENOMEM;
}

static int parse_line(int argc, char **argv, Ctl *ctl, Line *line) {
        int c, at = 1, r = CTL_DONE;
        bool rest = false;

        opterr = 0;
        optind = 0;
        /* "-": arguments are told in their order, as if they were of an option 1 */
        while (r == CTL_DONE && !line->done &&
               (c = getopt_long(argc, argv, "-:hqH:", options, NULL)) >= 0) {
                if (c == ':')
                        return client_fail(CTL_USAGE, "%s wants an argument; see wpcachectl help",
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
                if (c >= ARG_OWNED)
                        line->owned[c - ARG_OWNED] = owners[c - ARG_OWNED].option;
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

/* Every option given has to be one of the verb's. */
static int check_owned(const Line *line, const char *verb) {
        for (size_t i = 0; i < ELEMENTSOF(owners); i++) {
                const char *const *of = owners[i].verbs;

                if (!line->owned[i] || strcmp(of[0], verb) == 0 ||
                    (of[1] && strcmp(of[1], verb) == 0))
                        continue;
                return client_fail(CTL_USAGE, "--%s belongs to '%s'%s%s%s; see wpcachectl help",
                                   line->owned[i], of[0], of[1] ? " and '" : "", of[1] ? of[1] : "",
                                   of[1] ? "'" : "");
        }
        return CTL_DONE;
}

/* What the receipt keeps as the caller's own words. */
static void keep_command(Ctl *ctl, int argc, char **argv) {
        size_t n = 0;

        snprintf(ctl->command, sizeof(ctl->command), "%swpcachectl",
                 ctl->through_gate ? "ssh-gate: " : "");
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--greet") == 0 ||
                    (strcmp(argv[i], REMOTE_COLOR) == 0 && strcmp(argv[i - 1], "--greet") == 0))
                        continue;
                n = strlen(ctl->command);
                snprintf(ctl->command + n, sizeof(ctl->command) - n, " %s", argv[i]);
        }
        if (strlen(ctl->command) == sizeof(ctl->command) - 1)
                text_cut(ctl->command, sizeof(ctl->command));
        text_clean(ctl->command);
}

/* The argument of a verb, or that it lacks one. */
static int take_argument(Ctl *ctl, int (*run)(const Ctl *ctl), const char *argument) {
        if (run == verb_clear || run == verb_plan) {
                if (argument && ctl->target && strcmp(argument, ctl->target) != 0)
                        return client_fail(CTL_USAGE, "two targets, '%s' and '%s'", ctl->target,
                                           argument);
                if (!ctl->target)
                        ctl->target = argument;
        } else {
                ctl->object = argument;
        }
        if (run == verb_clear && !ctl->target)
                ctl->target = "all";
        if (run == verb_plan && (ctl->keep_mounts || ctl->include_mounted) && !ctl->target)
                return client_fail(CTL_USAGE, "--%s wants a target, such as all",
                                   ctl->keep_mounts ? "keep-mounts" : "include-mounted");
        if (run == verb_explain && (!argument || !*argument))
                return client_fail(CTL_USAGE, "explain wants an image or a build cache record");
        if (run == verb_ssh_gate && !ctl->argv)
                return client_fail(CTL_USAGE, "ssh-gate wants the verbs that may be used: "
                                              "wpcachectl ssh-gate status clear");
        if (run == verb_inhibit && !ctl->argv)
                return client_fail(CTL_USAGE, "inhibit wants a command to run: wpcachectl inhibit "
                                              "--why TEXT -- COMMAND");
        if (run == verb_inhibit && (!ctl->why || !*ctl->why))
                return client_fail(CTL_USAGE, "inhibit wants --why, for whoever is kept waiting");
        if (run == verb_inhibit && strlen(ctl->why) > INTERFACE_WHY_MAX)
                return client_fail(CTL_USAGE, "--why is too long; %d bytes are possible",
                                   INTERFACE_WHY_MAX);
        return CTL_DONE;
}

/* Whether another host can be asked for it. */
static int check_remote(int (*run)(const Ctl *ctl), const char *host) {
        if (run == verb_inhibit)
                return client_fail(CTL_USAGE,
                                   "inhibit runs its command beside the daemon; on the other host: "
                                   "ssh %s wpcachectl inhibit --why TEXT -- COMMAND",
                                   host);
        if (run == verb_ssh_gate)
                return client_fail(CTL_USAGE, "ssh-gate is for the other host's authorized_keys");
        return CTL_DONE;
}

static int run_verb(Ctl *ctl, Line *line) {
        const char *verb = line->n_arguments > 0 ? line->arguments[0] : "status";
        const char *argument = line->n_arguments > 1 ? line->arguments[1] : NULL;
        int r = CTL_DONE;

        /* the default verb was not on the line */
        if (line->allowed)
                r = check_allowed(verb, line->allowed);
        for (size_t i = 0; r == CTL_DONE && i < ELEMENTSOF(verbs); i++) {
                if (strcmp(verb, verbs[i].name) != 0)
                        continue;
                r = check_owned(line, verb);
                if (r != CTL_DONE)
                        return r;
                if (line->n_arguments > ARGUMENTS_MAX ||
                    (argument && !verbs[i].argument && verbs[i].run != verb_help))
                        return usage("too many arguments:", line->arguments[line->n_arguments - 1],
                                     NULL);
                if (line->host)
                        r = check_remote(verbs[i].run, line->host);
                if (r == CTL_DONE)
                        r = take_argument(ctl, verbs[i].run, argument);
                if (r != CTL_DONE)
                        return r;
                if (!line->host || verbs[i].run == verb_help)
                        return verbs[i].run(ctl);
                if (line->words_error < 0)
                        return client_fail(CTL_FAILED, "out of memory");
                return remote_run(ctl, line->host, verb, &line->words);
        }
        return r == CTL_DONE ? unknown_verb(verb) : r;
}

/* `allowed`: see Line. */
static int run_line(int argc, char **argv, Ctl *ctl, char **allowed) {
        Line line = { .json = JSON_FORMAT_OFF, .allowed = allowed };
        int r;

        keep_command(ctl, argc, argv);
        r = parse_line(argc, argv, ctl, &line);
        if (r == CTL_DONE && !line.done) {
                render_init(&ctl->render, line.json, line.color);
                r = run_verb(ctl, &line);
        }
        strv_done(&line.words);
        return r;
}

/* Those that may be allowed: not one that runs a command, nor this one. */
static int check_gate(char **allowed) {
        for (char **name = allowed; *name; name++) {
                size_t i = 0;

                while (i < ELEMENTSOF(verbs) && strcmp(*name, verbs[i].name) != 0)
                        i++;
                if (i == ELEMENTSOF(verbs))
                        return unknown_verb(*name);
                if (verbs[i].run == verb_inhibit || verbs[i].run == verb_ssh_gate)
                        return client_fail(CTL_USAGE, "ssh-gate: '%s' cannot be allowed", *name);
        }
        return CTL_DONE;
}

static int verb_ssh_gate(const Ctl *ctl) {
        const char *request = environment("SSH_ORIGINAL_COMMAND");
        cleanup(strv_done) Strv words = STRV_NULL;
        Diag diag = DIAG_NULL;
        Ctl inner = *ctl;
        char text[256];
        size_t skip;
        int r;

        r = check_gate(ctl->argv);
        if (r != CTL_DONE)
                return r;
        if (!request)
                return client_fail(CTL_USAGE,
                                   "ssh-gate: nothing was asked for; what is allowed: %s",
                                   list(ctl->argv, text));
        r = strv_add(&words, "wpcachectl");
        if (r >= 0)
                r = words_split(request, REQUEST_MAX, &words, &diag);
        if (r == -ENOMEM)
                return client_fail(CTL_FAILED, "out of memory");
        if (r < 0)
                return client_fail(CTL_NOT_PERMITTED, "ssh-gate: not allowed: %s",
                                   diag_text(&diag, r));
        skip = words.n > 1 && strcmp(words.v[1], "wpcachectl") == 0;
        inner.argv = NULL;
        inner.through_gate = true;
        return run_line((int)(words.n - skip), words.v + skip, &inner, ctl->argv);
}

static int run(int argc, char **argv, bool ignores_sigpipe) {
        const char *socket_path = environment("WPCACHE_SOCKET");
        Ctl ctl = {
                .socket_path = socket_path ? socket_path : INTERFACE_SOCKET,
                .ignores_sigpipe = ignores_sigpipe,
                .inhibitor = environment("WPCACHE_INHIBITOR"),
                .wait_sec = -1,
                .ttl_sec = TTL_SEC_DEFAULT,
                .since_sec = -1,
        };

        return run_line(argc, argv, &ctl, NULL);
}

int main(int argc, char **argv) {
        bool ignores_sigpipe = signal(SIGPIPE, SIG_IGN) == SIG_IGN;
        int r;

        r = run(argc, argv, ignores_sigpipe);
        if ((fflush(stdout) != 0 || ferror(stdout)) && r == CTL_DONE && !render_reader_is_gone())
                return client_fail(CTL_FAILED, "stdout did not take all of the output");
        return r;
}
