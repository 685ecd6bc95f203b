/* SPDX-License-Identifier: MIT */

/* The table of keys, in the order of the listing. */

#include <assert.h>

#include "checks-internal.h"
#include "glob-internal.h"
#include "key-internal.h"

#define LONGEST_USEC (3650 * USEC_PER_DAY)

#define FIELD(name) .offset = offsetof(Config, name)
#define APP_FIELD(name) .owner = KEY_OF_APP, .offset = offsetof(AppConfig, name)

const Key config_keys[] = {
        {
                .section = "docker",
                .name = "host",
                .fallback = "unix:///run/docker.sock",
                .about = "The engine's socket on this host.",
                FIELD(docker_socket),
                .kind = KEY_TEXT,
                .check = check_host,
        },
        {
                .section = "docker",
                .name = "timeout",
                .fallback = "30s",
                .about = "How long one call to the engine may take, prunes aside.",
                FIELD(timeout_usec),
                .kind = KEY_SPAN,
                .least_usec = USEC_PER_SEC,
                .most_usec = USEC_PER_HOUR,
        },
        {
                .section = "docker",
                .name = "prune_timeout",
                .fallback = "30min",
                .about = "How long one prune may take.",
                FIELD(prune_timeout_usec),
                .kind = KEY_SPAN,
                .least_usec = USEC_PER_SEC,
                .most_usec = USEC_PER_DAY,
        },
        {
                .section = "poll",
                .name = "interval",
                .fallback = "60s",
                .about =
                        "How often the engine is looked at; less often where its answers take long.",
                FIELD(poll_interval_usec),
                .kind = KEY_SPAN,
                .least_usec = USEC_PER_SEC,
                .most_usec = USEC_PER_DAY,
        },
        {
                .section = "poll",
                .name = "share",
                .fallback = "1%",
                .about = "The engine spends no more of its time on these looks.",
                FIELD(poll_share_percent),
                .kind = KEY_SHARE,
                .most_percent = 100,
        },
        {
                .section = "poll",
                .name = "events",
                .fallback = "yes",
                .about = "Listen to the engine's events as well, so that changes are seen at once.",
                FIELD(events),
                .kind = KEY_FLAG,
                .words = { "no", "yes" },
        },
        {
                .section = "policy",
                .name = "mode",
                .fallback = "enforce",
                .about =
                        "\"enforce\" the limits below, or only \"observe\": say what would be removed.",
                FIELD(observe_only),
                .kind = KEY_FLAG,
                .words = { "enforce", "observe" },
        },
        {
                .section = "policy",
                .name = "grace",
                .fallback = "24h",
                .about = "For how long a new installation only observes.",
                FIELD(grace_usec),
                .kind = KEY_SPAN,
                .most_usec = LONGEST_USEC,
        },
        {
                .section = "policy",
                .name = "quiet",
                .fallback = "5min",
                .about =
                        "Nothing is removed until the engine had no build and no change for so long;\n"
                        "a disk that is filling up does not wait.",
                FIELD(quiet_usec),
                .kind = KEY_SPAN,
                .most_usec = USEC_PER_DAY,
        },
        {
                .section = "builder",
                .name = "max_size",
                .fallback = "10GB, 20%",
                .about =
                        "Above this the build cache is pruned: an amount, a share of the disk, or\n"
                        "both, of which the smaller counts; or \"off\".",
                FIELD(builder_max),
                .kind = KEY_SIZE,
                .most_percent = 100,
                .both = true,
                .none = "off",
        },
        {
                .section = "builder",
                .name = "target_size",
                .fallback = "80%",
                .about = "Down to this: a share of max_size, or an amount.",
                FIELD(builder_target),
                .kind = KEY_SIZE,
                .most_percent = 100,
        },
        {
                .section = "builder",
                .name = "max_age",
                .fallback = "off",
                .about =
                        "Build cache that was not used for so many hours goes; or \"off\". Engines do\n"
                        "not note every use: with an age, warm steps go first.",
                FIELD(builder_age_usec),
                .kind = KEY_SPAN,
                .least_usec = USEC_PER_HOUR,
                .most_usec = LONGEST_USEC,
                .step_usec = USEC_PER_HOUR,
                .none = "off",
        },
        {
                .section = "builder",
                .name = "external_builders",
                .fallback = "report",
                .about =
                        "A buildx builder in a container of its own has a cache that a clear does\n"
                        "not reach, and may leave it in a volume: \"report\" it, and be not fresh, or\n"
                        "\"ignore\" it.",
                FIELD(external_builders_ignore),
                .kind = KEY_FLAG,
                .words = { "report", "ignore" },
        },
        {
                .section = "images",
                .name = "match",
                .fallback = "watchparty-*",
                .about = "Images of the application: globs, separated by commas. One without '/'\n"
                         "is matched against the last component of the repository; one with a\n"
                         "':' must match the tag as well.",
                FIELD(match),
                .kind = KEY_LIST,
                .check = check_glob,
        },
        {
                .section = "images",
                .name = "project",
                .fallback = "",
                .about = "Also the images that docker compose labelled with this project.",
                FIELD(project),
                .kind = KEY_TEXT,
                .check = check_project,
        },
        {
                .section = "images",
                .name = "protect",
                .fallback = "",
                .about = "Images never touched, though they match: globs.",
                FIELD(protect),
                .kind = KEY_LIST,
                .check = check_glob,
        },
        {
                .section = "images",
                .name = "base",
                .fallback = "",
                .about = "Images that builds start from: globs. Neither cleared nor counted as a\n"
                         "source of cached layers.",
                FIELD(base),
                .kind = KEY_LIST,
                .check = check_glob,
        },
        {
                .section = "images",
                .name = "max_age",
                .fallback = "30d",
                .about =
                        "Matching images that are older go; or \"off\". What a container uses stays.",
                FIELD(image_max_age_usec),
                .kind = KEY_SPAN,
                .least_usec = USEC_PER_MINUTE,
                .most_usec = LONGEST_USEC,
                .none = "off",
        },
        {
                .section = "images",
                .name = "min_age",
                .fallback = "1h",
                .about = "Younger ones stay, whatever else asks for their space.",
                FIELD(image_min_age_usec),
                .kind = KEY_SPAN,
                .most_usec = LONGEST_USEC,
        },
        {
                .section = "images",
                .name = "keep_last",
                .fallback = "2",
                .about = "So many of the newest of each repository stay, however old.",
                FIELD(keep_last),
                .kind = KEY_COUNT,
                .most_count = 1000,
        },
        {
                .section = "images",
                .name = "dangling",
                .fallback = "matched",
                .about = "Which untagged images a clear and policy remove: those that are the\n"
                         "application's (\"matched\"), or \"all\".",
                FIELD(dangling_all),
                .kind = KEY_FLAG,
                .words = { "matched", "all" },
        },
        {
                .section = "images",
                .name = "dangling_max_age",
                .fallback = "24h",
                .about = "Untagged images that are older go; or \"off\".",
                FIELD(dangling_max_age_usec),
                .kind = KEY_SPAN,
                .least_usec = USEC_PER_MINUTE,
                .most_usec = LONGEST_USEC,
                .none = "off",
        },
        {
                .section = "images",
                .name = "rollback_tag",
                .fallback = "wpcache-rollback",
                .about = "An image that wpcachectl rollback can bring back is tagged\n"
                         "REPOSITORY:THIS-ID before a clear takes its names away.",
                FIELD(rollback_tag),
                .kind = KEY_TEXT,
                .check = check_tag,
        },
        {
                .section = "disk",
                .name = "min_free",
                .fallback = "15%",
                .about = "With less than this free, the build cache shrinks first, then images go\n"
                         "before their time: a share or an amount; or \"off\".",
                FIELD(min_free),
                .kind = KEY_SIZE,
                .most_percent = 99,
                .none = "off",
        },
        {
                .section = "disk",
                .name = "target_free",
                .fallback = "20%",
                .about = "Until so much is free again; \"off\": until min_free is.",
                FIELD(target_free),
                .kind = KEY_SIZE,
                .most_percent = 99,
                .none = "off",
        },
        {
                .section = "disk",
                .name = "min_free_inodes",
                .fallback = "5%",
                .about = "The same of inodes: a share; or \"off\".",
                FIELD(min_free_inodes_percent),
                .kind = KEY_SHARE,
                .most_percent = 99,
                .none = "off",
        },
        {
                .section = "disk",
                .name = "paths",
                .fallback = "auto",
                .about =
                        "Where Docker keeps its data: directories, separated by commas, or \"auto\".",
                FIELD(disk_paths),
                .kind = KEY_LIST,
                .check = check_path,
                .none = "auto",
        },
        {
                .section = APP_SECTION,
                .name = "root",
                .example = "/srv/watch-party/frontend",
                .about = "Its directory; nothing outside of it is removed. Required.",
                APP_FIELD(root),
                .kind = KEY_TEXT,
                .check = check_directory,
        },
        {
                .section = APP_SECTION,
                .name = "caches",
                .example = ".next, .turbo, node_modules/.cache",
                .about =
                        "Directories that a clear removes: a name, anywhere below the root, or with\n"
                        "a '/' the path from the root. Required.",
                APP_FIELD(caches),
                .kind = KEY_LIST,
                .check = check_cache,
                .distinct = true,
        },
        {
                .section = APP_SECTION,
                .name = "trash",
                .fallback = "auto",
                .about =
                        "Where they are put out of the way before they are removed: a directory on\n"
                        "the root's mount that no build reads; or \"auto\".",
                APP_FIELD(trash),
                .kind = KEY_TEXT,
                .check = check_directory,
                .none = "auto",
        },
        {
                .section = APP_SECTION,
                .name = "context",
                .fallback = "auto",
                .about =
                        "The build context, to tell whether a cache can reach an image; \"auto\" is\n"
                        "the root.",
                APP_FIELD(context),
                .kind = KEY_TEXT,
                .check = check_directory,
                .none = "auto",
        },
        {
                .section = APP_SECTION,
                .name = "dockerfile",
                .fallback = "Dockerfile",
                .about = "Its Dockerfile, which may have a .dockerignore of its own.",
                APP_FIELD(dockerfile),
                .kind = KEY_TEXT,
                .check = check_dockerfile,
        },
        {
                .section = "control",
                .name = "socket",
                .fallback = "/run/wpcache/io.watchparty.Cache",
                .about = "Where wpcachectl finds the daemon; wpcached.socket has the same path.\n"
                         "Takes effect after a restart.",
                FIELD(control_socket),
                .kind = KEY_TEXT,
                .check = check_socket,
                .restart = true,
        },
        {
                .section = "control",
                .name = "operators",
                .fallback = "wpcache",
                .about = "Who may clear, roll back, inhibit and reload, besides root: groups,\n"
                         "and users as user:NAME, separated by commas.",
                FIELD(operators),
                .kind = KEY_LIST,
                .check = check_operator,
        },
        {
                .section = "control",
                .name = "readers",
                .fallback = "wpcache",
                .about = "Who may look, besides operators and root.",
                FIELD(readers),
                .kind = KEY_LIST,
                .check = check_operator,
        },
        {
                .section = "history",
                .name = "retention",
                .fallback = "90d",
                .about = "How long runs, receipts and samples are kept.",
                FIELD(retention_usec),
                .kind = KEY_SPAN,
                .least_usec = USEC_PER_DAY,
                .most_usec = LONGEST_USEC,
        },
        {
                .section = "metrics",
                .name = "textfile",
                .fallback = "",
                .about =
                        "A file for the textfile collector of Prometheus' node_exporter: a path that\n"
                        "ends in .prom.",
                FIELD(metrics_textfile),
                .kind = KEY_TEXT,
                .check = check_textfile,
        },
        {
                .section = "alarm",
                .name = "command",
                .fallback = "",
                .about =
                        "Run by /bin/sh when an alarm is raised and when it is cleared, with\n"
                        "WPCACHE_ALARM and more in its environment: see wpcached.conf(5). A blank\n"
                        "and ';' start a comment here, too.",
                FIELD(alarm_command),
                .kind = KEY_TEXT,
                .check = check_command,
        },
};

const size_t n_config_keys = ELEMENTSOF(config_keys);
static_assert(ELEMENTSOF(config_keys) <= KEYS_MAX, "raise KEYS_MAX");
