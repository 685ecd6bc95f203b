/* SPDX-License-Identifier: MIT */

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/words.h"
#include "ctl/fail.h"
#include "ctl/gate.h"
#include "ctl/options.h"
#include "ctl/ssh.h"
#include "ctl/verbs.h"
#include "wire/interface.h"

#define TTL_SEC_DEFAULT 3600
#define REQUEST_MAX 4096 /* bytes of the command line that an SSH client sends */

static const char *environment(const char *name) {
        const char *value = getenv(name);

        return value && *value ? value : NULL;
}

/* Keeps the command line for the receipt. */
static void keep_command(Ctl *ctl, int argc, char **argv) {
        size_t n = 0;

        snprintf(ctl->command, sizeof(ctl->command), "%swpcachectl",
                 ctl->through_gate ? "ssh-gate: " : "");
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--greet") == 0 ||
                    (strcmp(argv[i], SSH_COLOR) == 0 && strcmp(argv[i - 1], "--greet") == 0))
                        continue;
                n = strlen(ctl->command);
                snprintf(ctl->command + n, sizeof(ctl->command) - n, " %s", argv[i]);
        }
        if (strlen(ctl->command) == sizeof(ctl->command) - 1)
                text_cut(ctl->command, sizeof(ctl->command));
        text_clean(ctl->command);
}

/* Stores the argument of a verb, and checks that the verb has what it needs. */
static int take_argument(Ctl *ctl, const Verb *verb, const char *argument) {
        if (verb->run == verb_clear || verb->run == verb_plan) {
                if (argument && ctl->target && strcmp(argument, ctl->target) != 0)
                        return ctl_fail(CTL_USAGE, "two targets, '%s' and '%s'", ctl->target,
                                        argument);
                if (!ctl->target)
                        ctl->target = argument;
        } else {
                ctl->object = argument;
        }
        if (verb->run == verb_clear && !ctl->target)
                ctl->target = "all";
        if (verb->run == verb_plan && (ctl->keep_mounts || ctl->include_mounted) && !ctl->target)
                return ctl_fail(CTL_USAGE, "--%s wants a target, such as all",
                                ctl->keep_mounts ? "keep-mounts" : "include-mounted");
        if (verb->run == verb_explain && (!argument || !*argument))
                return ctl_fail(CTL_USAGE, "explain wants an image or a build cache record");
        if (!verb->run && !ctl->argv)
                return ctl_fail(CTL_USAGE, "ssh-gate wants the verbs that may be used: "
                                           "wpcachectl ssh-gate status clear");
        if (verb->run == verb_inhibit && !ctl->argv)
                return ctl_fail(CTL_USAGE, "inhibit wants a command to run: wpcachectl inhibit "
                                           "--why TEXT -- COMMAND");
        if (verb->run == verb_inhibit && (!ctl->why || !*ctl->why))
                return ctl_fail(CTL_USAGE, "inhibit wants --why, for whoever is kept waiting");
        if (verb->run == verb_inhibit && strlen(ctl->why) > INTERFACE_WHY_MAX)
                return ctl_fail(CTL_USAGE, "--why is too long; %d bytes are possible",
                                INTERFACE_WHY_MAX);
        return CTL_DONE;
}

/* Checks that a verb can be run on another host. */
static int check_remote(const Verb *verb, const char *host) {
        if (verb->run == verb_inhibit)
                return ctl_fail(CTL_USAGE,
                                "inhibit runs its command beside the daemon; on the other host: "
                                "ssh %s wpcachectl inhibit --why TEXT -- COMMAND",
                                host);
        if (!verb->run)
                return ctl_fail(CTL_USAGE, "ssh-gate is for the other host's authorized_keys");
        return CTL_DONE;
}

static int run_gate(const Ctl *ctl);

static int run_verb(Ctl *ctl, Line *line) {
        const char *name = line->n_arguments > 0 ? line->arguments[0] : "status";
        const char *argument = line->n_arguments > 1 ? line->arguments[1] : NULL;
        const Verb *verb = verb_find(name);
        int r = CTL_DONE;

        /* if the default verb is used, options_parse() has not checked it */
        if (line->allowed)
                r = gate_check(name, line->allowed);
        if (r != CTL_DONE)
                return r;
        if (!verb)
                return verb_unknown(name);
        r = options_check_owned(line, name);
        if (r != CTL_DONE)
                return r;
        if (line->n_arguments > ARGUMENTS_MAX ||
            (argument && !verb->argument && verb->run != verb_help))
                return ctl_usage("too many arguments:", line->arguments[line->n_arguments - 1],
                                 NULL);
        if (line->host)
                r = check_remote(verb, line->host);
        if (r == CTL_DONE)
                r = take_argument(ctl, verb, argument);
        if (r != CTL_DONE)
                return r;
        if (!verb->run)
                return run_gate(ctl);
        if (!line->host || verb->run == verb_help)
                return verb->run(ctl);
        if (line->words_error < 0)
                return ctl_fail(CTL_FAILED, "out of memory");
        return ssh_run(ctl, line->host, name, &line->words);
}

static int run_line(int argc, char **argv, Ctl *ctl, char **allowed) {
        Line line = { .json = JSON_FORMAT_OFF, .allowed = allowed };
        int r;

        keep_command(ctl, argc, argv);
        r = options_parse(argc, argv, ctl, &line);
        if (r == CTL_DONE && !line.done) {
                terminal_init(&ctl->terminal, line.json, line.color);
                r = run_verb(ctl, &line);
        }
        strv_done(&line.words);
        return r;
}

/* Neither ssh-gate nor the verb that runs a command can be allowed. */
static int check_gate(char **allowed) {
        for (char **name = allowed; *name; name++) {
                const Verb *verb = verb_find(*name);

                if (!verb)
                        return verb_unknown(*name);
                if (!verb->run || verb->run == verb_inhibit)
                        return ctl_fail(CTL_USAGE, "ssh-gate: '%s' cannot be allowed", *name);
        }
        return CTL_DONE;
}

/* Runs the verb in SSH_ORIGINAL_COMMAND if it is listed. */
static int run_gate(const Ctl *ctl) {
        const char *request = environment("SSH_ORIGINAL_COMMAND");
        cleanup(strv_done) Strv words = STRV_NULL;
        Diag diag = DIAG_NULL;
        Ctl inner = *ctl;
        char text[GATE_LIST_MAX];
        size_t skip;
        int r;

        r = check_gate(ctl->argv);
        if (r != CTL_DONE)
                return r;
        if (!request)
                return ctl_fail(CTL_USAGE, "ssh-gate: nothing was asked for; what is allowed: %s",
                                gate_list(ctl->argv, text));
        r = strv_add(&words, "wpcachectl");
        if (r >= 0)
                r = words_split(request, REQUEST_MAX, &words, &diag);
        if (r == -ENOMEM)
                return ctl_fail(CTL_FAILED, "out of memory");
        if (r < 0)
                return ctl_fail(CTL_NOT_PERMITTED, "ssh-gate: not allowed: %s",
                                diag_text(&diag, r));
        skip = words.n > 1 && strcmp(words.v[1], "wpcachectl") == 0;
        inner.argv = NULL;
        inner.through_gate = true;
        return run_line((int)(words.n - skip), words.v + skip, &inner, ctl->argv);
}

int main(int argc, char **argv) {
        const char *socket_path = environment("WPCACHE_SOCKET");
        Ctl ctl = {
                .socket_path = socket_path ? socket_path : INTERFACE_SOCKET,
                /* a clear ends with its exit status even if nobody reads its output any more */
                .ignores_sigpipe = signal(SIGPIPE, SIG_IGN) == SIG_IGN,
                .inhibitor = environment("WPCACHE_INHIBITOR"),
                .wait_sec = -1,
                .ttl_sec = TTL_SEC_DEFAULT,
                .since_sec = -1,
        };
        int r;

        r = run_line(argc, argv, &ctl, NULL);
        if ((fflush(stdout) != 0 || ferror(stdout)) && r == CTL_DONE && !terminal_reader_is_gone())
                return ctl_fail(CTL_FAILED, "stdout did not take all of the output");
        return r;
}
