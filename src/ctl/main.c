/* SPDX-License-Identifier: MIT */

/*
 * Options may stand anywhere on the line, as with systemd's tools; those that belong to one verb
 * are refused with another. SIGPIPE is ignored: a clear whose output nobody reads any more still
 * ends with the right exit status.
 */

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/strv.h"
#include "ctl/client.h"
#include "wire/interface.h"

static int verb_help(const Ctl *ctl);
static int verb_version(const Ctl *ctl);

static const struct {
        const char *name, *argument, *help;
        int (*run)(const Ctl *ctl);
} verbs[] = {
        { "status", NULL, "How the caches stand (the default)", verb_status },
        { "clear", "TARGET", "Clear caches, look again, say if the next build is fresh",
          verb_clear },
        { "rollback", "RECEIPT", "Put the names that a clear took back on their images",
          verb_rollback },
        { "watch", NULL, "Jobs and events as they happen", verb_watch },
        { "reload", NULL, "Have the daemon read its configuration again", verb_reload },
        { "version", NULL, "Versions of client and daemon", verb_version },
        { "help", NULL, "This text", verb_help },
};

enum { ARG_JSON = 256, ARG_SOCKET, ARG_COLOR, ARG_NO_PAGER, ARG_VERSION, ARG_CLEAR };

enum { ARG_TARGET = ARG_CLEAR, ARG_KEEP_MOUNTS, ARG_WAIT, ARG_NO_WAIT, ARG_DRY_RUN };

static const struct option options[] = {
        { "json", optional_argument, NULL, ARG_JSON },
        { "socket", required_argument, NULL, ARG_SOCKET },
        { "color", optional_argument, NULL, ARG_COLOR },
        { "no-pager", no_argument, NULL, ARG_NO_PAGER },
        { "quiet", no_argument, NULL, 'q' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, ARG_VERSION },
        { "target", required_argument, NULL, ARG_TARGET },
        { "keep-mounts", no_argument, NULL, ARG_KEEP_MOUNTS },
        { "wait", required_argument, NULL, ARG_WAIT },
        { "no-wait", no_argument, NULL, ARG_NO_WAIT },
        { "dry-run", no_argument, NULL, ARG_DRY_RUN },
        { NULL, 0, NULL, 0 },
};

static int verb_help(const Ctl *ctl) {
        (void)ctl;
        printf("wpcachectl [OPTION…] [VERB]\n"
               "\n"
               "Keeps the caches of a Docker-built application under control, by wpcached.\n"
               "\n");
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                const char *argument = verbs[i].argument;

                printf("  %s%s%s%s%*s%s\n", verbs[i].name, argument ? " [" : "",
                       argument ? argument : "", argument ? "]" : "",
                       20 - (int)(strlen(verbs[i].name) + (argument ? strlen(argument) + 3 : 0)),
                       "", verbs[i].help);
        }
        printf("\n"
               "  --json[=short|pretty] the daemon's answer as JSON\n"
               "  --socket PATH         the daemon's socket, default $WPCACHE_SOCKET or\n"
               "                        " INTERFACE_SOCKET "\n"
               "  -q, --quiet           errors only\n"
               "  --color=auto|always|never\n"
               "  --no-pager            accepted, there is no pager\n"
               "  -h, --help            this text\n"
               "  --version             the version of wpcachectl\n"
               "\n"
               "Of clear:\n"
               "  --target TARGET       all (default), docker, builder or images\n"
               "  --keep-mounts         keep the content of RUN --mount=type=cache\n"
               "  --wait SPAN           wait this long for builds under way, default 30min\n"
               "  --no-wait             the same as --wait 0\n"
               "  --dry-run             say what would be removed, touch nothing\n"
               "\n"
               "Exit status: 0 done, 1 failed, 2 usage, 3 not fresh, 4 not permitted,\n"
               "5 daemon not reachable, 6 engine not available, 7 busy. See wpcachectl(1).\n");
        return CTL_DONE;
}

static int verb_version(const Ctl *ctl) {
        cleanup(client_free) Client *client = NULL;
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        cleanup(json_free) Json *json = json_new_object();
        const char *daemon = NULL;
        Diag diag = DIAG_NULL;
        int r;

        r = client_open(ctl, &client);
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

/* One line, with what was probably meant. */
static int usage(const char *what, const char *given, const char *nearest) {
        if (nearest)
                return client_fail(CTL_USAGE, "%s '%s'; did you mean '%s'? wpcachectl help", what,
                                   given, nearest);
        return client_fail(CTL_USAGE, "%s '%s'; see wpcachectl help", what, given);
}

static int unknown_option(const char *given) {
        const char *names[ELEMENTSOF(options) - 1];
        const char *nearest;
        char text[64];

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                names[i] = options[i].name;
        if (strncmp(given, "--", 2) != 0)
                return usage("unknown option", given, NULL);
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

static int parse_wait(const char *text, int64_t *ret_sec) {
        uint64_t usec;

        if (span_parse(text, &usec) < 0)
                return client_fail(CTL_USAGE,
                                   "--wait %s: not a span of time such as 90s, 30min "
                                   "or 1h 30min",
                                   text);
        *ret_sec = (int64_t)((usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
        return CTL_DONE;
}

/* Options first; `ret_clear_option` is one that only `clear` takes, if there was any. */
static int parse_options(int argc, char **argv, Ctl *ctl, const char **ret_clear_option,
                         bool *ret_done) {
        JsonFormat json = JSON_FORMAT_OFF;
        ColorMode color = COLOR_AUTO;
        int c, index, r = CTL_DONE;

        opterr = 0;
        while (r == CTL_DONE && (c = getopt_long(argc, argv, ":hq", options, &index)) >= 0) {
                if (c >= ARG_CLEAR)
                        *ret_clear_option = options[index].name;
                switch (c) {
                case ARG_JSON:
                        r = parse_json(optarg, &json);
                        break;
                case ARG_SOCKET:
                        ctl->socket_path = optarg;
                        break;
                case ARG_COLOR:
                        r = parse_color(optarg, &color);
                        break;
                case ARG_NO_PAGER:
                        break;
                case 'q':
                        ctl->quiet = true;
                        break;
                case 'h':
                        *ret_done = true;
                        return verb_help(ctl);
                case ARG_VERSION:
                        *ret_done = true;
                        printf("wpcachectl %s\n", WPCACHE_VERSION);
                        return CTL_DONE;
                case ARG_TARGET:
                        ctl->target = optarg;
                        break;
                case ARG_KEEP_MOUNTS:
                        ctl->keep_mounts = true;
                        break;
                case ARG_WAIT:
                        r = parse_wait(optarg, &ctl->wait_sec);
                        break;
                case ARG_NO_WAIT:
                        ctl->wait_sec = 0;
                        break;
                case ARG_DRY_RUN:
                        ctl->dry_run = true;
                        break;
                case ':':
                        return client_fail(CTL_USAGE, "%s wants an argument; see wpcachectl help",
                                           argv[optind - 1]);
                default:
                        return unknown_option(argv[optind - 1]);
                }
        }
        render_init(&ctl->render, json, color);
        return r;
}

/* What the receipt keeps as the caller's own words. */
static void keep_command(Ctl *ctl, int argc, char **argv) {
        size_t n = 0;

        snprintf(ctl->command, sizeof(ctl->command), "wpcachectl");
        for (int i = 1; i < argc; i++) {
                n = strlen(ctl->command);
                snprintf(ctl->command + n, sizeof(ctl->command) - n, " %s", argv[i]);
        }
        if (strlen(ctl->command) == sizeof(ctl->command) - 1)
                text_cut(ctl->command, sizeof(ctl->command));
        text_clean(ctl->command);
}

static int run(int argc, char **argv) {
        const char *socket_path = getenv("WPCACHE_SOCKET"), *verb, *clear_option = NULL;
        Ctl ctl = {
                .socket_path = socket_path && *socket_path ? socket_path : INTERFACE_SOCKET,
                .wait_sec = -1,
        };
        const char *argument = NULL;
        bool done = false;
        int r;

        /* before getopt_long(3) puts the arguments in another order */
        keep_command(&ctl, argc, argv);
        r = parse_options(argc, argv, &ctl, &clear_option, &done);
        if (r != CTL_DONE || done)
                return r;
        verb = optind < argc ? argv[optind++] : "status";
        if (optind < argc)
                argument = argv[optind++];
        if (clear_option && strcmp(verb, "clear") != 0)
                return client_fail(CTL_USAGE, "--%s belongs to 'clear'; see wpcachectl help",
                                   clear_option);
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                if (strcmp(verb, verbs[i].name) != 0)
                        continue;
                if (optind < argc || (argument && !verbs[i].argument && verbs[i].run != verb_help))
                        return usage("too many arguments:", optind < argc ? argv[optind] : argument,
                                     NULL);
                if (verbs[i].run == verb_rollback)
                        ctl.receipt = argument;
                if (verbs[i].run == verb_clear) {
                        if (argument && ctl.target && strcmp(argument, ctl.target) != 0)
                                return client_fail(CTL_USAGE, "two targets, '%s' and '%s'",
                                                   ctl.target, argument);
                        if (!ctl.target)
                                ctl.target = argument ? argument : "all";
                }
                return verbs[i].run(&ctl);
        }
        return unknown_verb(verb);
}

/* One that went away has seen what it wanted. */
static bool reader_is_gone(void) {
        struct pollfd fd = { .fd = STDOUT_FILENO };

        return poll(&fd, 1, 0) > 0 && fd.revents & (POLLERR | POLLHUP);
}

int main(int argc, char **argv) {
        int r;

        signal(SIGPIPE, SIG_IGN);
        r = run(argc, argv);
        if ((fflush(stdout) != 0 || ferror(stdout)) && r == CTL_DONE && !reader_is_gone())
                return client_fail(CTL_FAILED, "stdout did not take all of the output");
        return r;
}
