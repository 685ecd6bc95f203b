/* SPDX-License-Identifier: MIT */

/*
 * Options, signals and default paths; manager.c does the rest.
 */

#include <getopt.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "conf/loader.h"
#include "daemon/listen.h"
#include "daemon/manager.h"
#include "janitor/dropin.h"

#define STATE_PATH "/var/lib/wpcache"
#define SERVICE_USER "wpcache" /* of the shipped unit */

static const char *arg_config, *arg_state;
static bool arg_check_config, arg_print_dropin;
static int arg_log_level = LOG_INFO;

static void help(void) {
        puts("wpcached [OPTIONS]\n"
             "\n"
             "Keeps the caches of a Docker host under control and serves wpcachectl.\n"
             "\n"
             "  -c, --config FILE     configuration (default " CONFIG_PATH ", if it exists)\n"
             "      --check-config    say what is wrong with the configuration, and exit\n"
             "      --print-dropin    write the systemd drop-in that the applications of the\n"
             "                        configuration need, and exit\n"
             "      --state DIR       where the database is kept (default $STATE_DIRECTORY,\n"
             "                        " STATE_PATH " for root, else ~/.local/state/wpcache)\n"
             "      --log-level LEVEL error, warning, notice, info (default) or debug\n"
             "  -h, --help\n"
             "      --version\n"
             "\n"
             "See wpcached(8), wpcached.conf(5), wpcachectl(1).");
}

static int parse_level(const char *text) {
        static const struct {
                const char *name;
                int level;
        } levels[] = {
                { "error", LOG_ERR }, { "warning", LOG_WARNING }, { "notice", LOG_NOTICE },
                { "info", LOG_INFO }, { "debug", LOG_DEBUG },
        };

        for (size_t i = 0; i < ELEMENTSOF(levels); i++)
                if (strcmp(levels[i].name, text) == 0)
                        return levels[i].level;
        return -EINVAL;
}

/* Returns 1 to go on, 0 if all is done, or -EINVAL after a message on stderr. */
static int parse_arguments(int argc, char **argv) {
        enum { OPT_CHECK = 256, OPT_DROPIN, OPT_STATE, OPT_LEVEL, OPT_VERSION };
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "check-config", no_argument, NULL, OPT_CHECK },
                { "print-dropin", no_argument, NULL, OPT_DROPIN },
                { "state", required_argument, NULL, OPT_STATE },
                { "log-level", required_argument, NULL, OPT_LEVEL },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPT_VERSION },
                { NULL },
        };
        int c;

        while ((c = getopt_long(argc, argv, "c:h", options, NULL)) >= 0)
                switch (c) {
                case 'c':
                        arg_config = optarg;
                        break;
                case OPT_CHECK:
                        arg_check_config = true;
                        break;
                case OPT_DROPIN:
                        arg_print_dropin = true;
                        break;
                case OPT_STATE:
                        arg_state = optarg;
                        break;
                case OPT_LEVEL:
                        arg_log_level = parse_level(optarg);
                        if (arg_log_level < 0) {
                                fprintf(stderr,
                                        "wpcached: unknown log level '%s'; one of error, "
                                        "warning, notice, info, debug\n",
                                        optarg);
                                return -EINVAL;
                        }
                        break;
                case 'h':
                        help();
                        return 0;
                case OPT_VERSION:
                        puts("wpcached " WPCACHE_VERSION);
                        return 0;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "wpcached: unexpected argument '%s'; see wpcached --help\n",
                        argv[optind]);
                return -EINVAL;
        }
        return 1;
}

/* Prints mistakes, warnings and notes. `ret_clean`: there were notes only. */
static int load_config(const char *path, Config **ret, bool *ret_clean) {
        ConfigErrors errors = { 0 };
        int r;

        *ret_clean = true;
        r = config_load(path, ret, &errors);
        for (size_t i = 0; i < errors.n + errors.n_remarks; i++) {
                cleanup_free char *text = config_error_text(&errors.v[i]);

                fprintf(stderr, "%s\n", text ?: "out of memory");
                *ret_clean &= errors.v[i].level == CONFIG_NOTE;
        }
        config_errors_done(&errors);
        return r;
}

static int check_config(const char *path) {
        cleanup(config_free) Config *config = NULL;
        bool clean;

        if (load_config(path, &config, &clean) < 0 || !clean)
                return EXIT_FAILURE;
        printf("%s: OK\n", path ?: "defaults");
        return EXIT_SUCCESS;
}

/* Further groups are ignored: the drop-in then grants more access than needed. */
#define GROUPS_MAX 256

static int print_dropin(const char *path) {
        cleanup(config_free) Config *config = NULL;
        cleanup_free char *text = NULL;
        ServiceUser user = { .name = SERVICE_USER };
        const struct passwd *entry = getpwnam(SERVICE_USER);
        gid_t groups[GROUPS_MAX];
        int n_groups = GROUPS_MAX, r;
        Diag diag = DIAG_NULL;
        bool clean;

        if (load_config(path, &config, &clean) < 0)
                return EXIT_FAILURE;
        if (config->apps.n > 0 && geteuid() != 0) {
                fputs("wpcached: --print-dropin: run it as root, who sees what " SERVICE_USER
                      " may write\n",
                      stderr);
                return EXIT_FAILURE;
        }
        if (entry) {
                user.known = true;
                user.uid = entry->pw_uid;
                user.gid = entry->pw_gid;
                if (getgrouplist(SERVICE_USER, entry->pw_gid, groups, &n_groups) < 0)
                        n_groups = GROUPS_MAX;
                user.groups = groups;
                user.n_groups = (size_t)n_groups;
        }
        r = dropin_text(config, &user, &text, &diag);
        if (r < 0) {
                fprintf(stderr, "wpcached: --print-dropin: %s\n", diag_text(&diag, r));
                return EXIT_FAILURE;
        }
        if (fputs(text, stdout) < 0 || fflush(stdout) != 0) {
                fprintf(stderr, "wpcached: --print-dropin: %s\n", error_text(errno));
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

/* $STATE_DIRECTORY may be a list of directories with colons between them; the daemon uses the first. */
static char *state_path(void) {
        const char *systemd = getenv("STATE_DIRECTORY"), *base;
        char *path = NULL;

        if (arg_state)
                return strdup(arg_state);
        if (systemd && systemd[0])
                return strndup(systemd, strcspn(systemd, ":"));
        if (geteuid() == 0)
                return strdup(STATE_PATH);
        base = getenv("XDG_STATE_HOME");
        if (base && base[0] == '/')
                return asprintf(&path, "%s/wpcache", base) < 0 ? NULL : path;
        base = getenv("HOME");
        return !base || asprintf(&path, "%s/.local/state/wpcache", base) < 0 ? NULL : path;
}

int main(int argc, char **argv) {
        cleanup_free char *state = NULL;
        Diag diag = DIAG_NULL;
        int r, fd = -EBADF;
        sigset_t mask;

        r = parse_arguments(argc, argv);
        if (r <= 0)
                return r < 0 ? 2 : EXIT_SUCCESS;
        if (!arg_config && access(CONFIG_PATH, F_OK) >= 0)
                arg_config = CONFIG_PATH;
        if (arg_check_config)
                return check_config(arg_config);
        if (arg_print_dropin)
                return print_dropin(arg_config);

        log_open(arg_log_level);
        umask(0022);
        /* Use one arena: an arena of the worker's own would keep the memory of an inventory. */
        mallopt(M_ARENA_MAX, 1);
        /* Map large arrays always, also after the first one was freed: mapped arrays grow without
         * being copied, so that the peak of a clear has no second copy in it. */
        mallopt(M_MMAP_THRESHOLD, 128 * 1024);
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        sigaddset(&mask, SIGHUP);
        sigaddset(&mask, SIGCHLD); /* of the alarm command */
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return log_error_errno(-errno, "Cannot block signals"), EXIT_FAILURE;
        signal(SIGPIPE, SIG_IGN);

        state = state_path();
        if (!state) {
                log_error("No state directory: give --state DIR");
                return EXIT_FAILURE;
        }
        r = listener_passed(&fd, &diag);
        if (r < 0) {
                log_error("Cannot take the control socket that was passed: %s",
                          diag_text(&diag, r));
                return EXIT_FAILURE;
        }
        r = manager_run(arg_config, state, fd);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
