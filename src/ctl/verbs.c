/* SPDX-License-Identifier: MIT */

#include "ctl/verbs.h"

#include <stdio.h>
#include <string.h>

#include "base/strv.h"
#include "ctl/fail.h"
#include "wire/interface.h"

const Verb verbs[] = {
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
          NULL },
        { "version", NULL, "Versions of client and daemon", verb_version },
        { "help", NULL, "This text", verb_help },
};

const size_t n_verbs = ELEMENTSOF(verbs);

const Verb *verb_find(const char *name) {
        for (size_t i = 0; i < n_verbs; i++)
                if (strcmp(name, verbs[i].name) == 0)
                        return &verbs[i];
        return NULL;
}

int verb_unknown(const char *given) {
        const char *names[ELEMENTSOF(verbs)];

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                names[i] = verbs[i].name;
        return ctl_usage("unknown verb", given, strv_nearest(given, names, ELEMENTSOF(names)));
}

int verb_help(const Ctl *ctl) {
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
