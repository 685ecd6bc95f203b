/* SPDX-License-Identifier: MIT */

/*
 * The hook command may be anything and take any time: it runs in a process group of its own, one at
 * a time, and is killed when its time is over. posix_spawn(3) leaves the parent's signal mask to the
 * child if not told otherwise, and with it a command that no signal ends.
 */

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/span.h"
#include "base/text.h"
#include "daemon/manager.h"
#include "daemon/remedy.h"

#define LEFT_NAMED_MAX 5

extern char **environ;

struct Hook {
        char *command;
        Strv environment;
        pid_t pid;
        bool killed;
        Hook *next;
};

const char *alarm_kind_to_string(AlarmKind kind) {
        static const char *const names[ALARM_MAX] = {
                [ALARM_ENGINE_UNAVAILABLE] = "engineUnavailable",
                [ALARM_POLL_OVERDUE] = "pollOverdue",
                [ALARM_PASS_FAILED] = "passFailed",
                [ALARM_CANDIDATES_LEFT] = "candidatesLeft",
                [ALARM_DISK_PRESSURE] = "diskPressure",
                [ALARM_DISK_UNSEEN] = "diskUnseen",
                [ALARM_RECORD_IN_USE] = "recordInUse",
                [ALARM_STORE_FAILED] = "storeFailed",
        };

        return names[kind];
}

/* The hook command */

static Hook *hook_free(Hook *hook) {
        if (hook) {
                free(hook->command);
                strv_done(&hook->environment);
                free(hook);
        }
        return NULL;
}
DEFINE_CLEANUP(Hook *, hook_free);

static int environment_add(Strv *environment, const char *name, const char *value) {
        cleanup_free char *text = NULL;

        if (asprintf(&text, "%s=%s", name, value) < 0)
                return -ENOMEM;
        return strv_add(environment, text);
}

/* The daemon's own, without what systemd meant for the daemon alone. */
static int environment_copy(Strv *environment) {
        static const char *const not [] = { "NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_",
                                            "WPCACHE_ALARM" };

        for (char **at = environ; *at; at++) {
                size_t i;

                for (i = 0; i < ELEMENTSOF(not ); i++)
                        if (strncmp(*at, not [i], strlen(not [i])) == 0)
                                break;
                if (i == ELEMENTSOF(not ) && strv_add(environment, *at) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static Hook *hook_new(const char *command, AlarmKind kind, const Alarm *alarm) {
        cleanup(hook_free) Hook *hook = calloc(1, sizeof(*hook));
        char since[32];
        int r;

        if (!hook)
                return NULL;
        snprintf(since, sizeof(since), "%lli", (long long)alarm->since_sec);
        hook->command = strdup(command);
        r = hook->command ? environment_copy(&hook->environment) : -ENOMEM;
        if (r >= 0)
                r = environment_add(&hook->environment, "WPCACHE_ALARM",
                                    alarm_kind_to_string(kind));
        if (r >= 0)
                r = environment_add(&hook->environment, "WPCACHE_ALARM_STATE",
                                    alarm->standing ? "raised" : "cleared");
        if (r >= 0)
                r = environment_add(&hook->environment, "WPCACHE_ALARM_MESSAGE",
                                    alarm->message ?: "");
        if (r >= 0)
                r = environment_add(&hook->environment, "WPCACHE_ALARM_REMEDY",
                                    alarm->remedy ?: "");
        if (r >= 0)
                r = environment_add(&hook->environment, "WPCACHE_ALARM_SINCE", since);
        return r < 0 ? NULL : TAKE_PTR(hook);
}

static int hook_spawn(Hook *hook) {
        char shell[] = "sh", option[] = "-c";
        char *argv[] = { shell, option, hook->command, NULL };
        cleanup_free char **environment = calloc(hook->environment.n + 1, sizeof(char *));
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, defaults;
        int r;

        if (!environment)
                return -ENOMEM;
        memcpy(environment, hook->environment.v, hook->environment.n * sizeof(char *));
        sigemptyset(&none);
        sigemptyset(&defaults);
        sigaddset(&defaults, SIGPIPE);

        r = posix_spawn_file_actions_init(&actions);
        if (r != 0)
                return -r;
        r = posix_spawnattr_init(&attributes);
        if (r != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -r;
        }
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
                                                                  POSIX_SPAWN_SETSIGDEF |
                                                                  POSIX_SPAWN_SETPGROUP);
        if (r == 0)
                r = posix_spawnattr_setsigmask(&attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(&attributes, &defaults);
        if (r == 0)
                r = posix_spawn(&hook->pid, "/bin/sh", &actions, &attributes, argv, environment);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

static void hooks_next(Manager *manager);

static void hook_drop_first(Alarms *alarms) {
        Hook *hook = alarms->hooks;

        alarms->hook_child = sd_event_source_disable_unref(alarms->hook_child);
        alarms->hook_timer = sd_event_source_disable_unref(alarms->hook_timer);
        alarms->hooks = hook->next;
        alarms->n_hooks--;
        hook_free(hook);
}

static int on_hook_done(sd_event_source *source, const siginfo_t *info, void *userdata) {
        Manager *manager = userdata;

        (void)source;
        if (manager->alarms.hooks->killed)
                log_warning("The alarm command took longer than %i s and was killed",
                            ALARM_HOOK_SEC);
        else if (info->si_code != CLD_EXITED)
                log_warning("The alarm command was ended by signal %i", info->si_status);
        else if (info->si_status != 0)
                log_warning("The alarm command ended with status %i", info->si_status);
        hook_drop_first(&manager->alarms);
        hooks_next(manager);
        return 0;
}

static int on_hook_late(sd_event_source *source, uint64_t usec, void *userdata) {
        Hook *hook = ((Manager *)userdata)->alarms.hooks;

        (void)source;
        (void)usec;
        hook->killed = true;
        kill(-hook->pid, SIGKILL);
        return 0;
}

static int hook_start(Manager *manager, Hook *hook) {
        Alarms *alarms = &manager->alarms;
        int r;

        r = hook_spawn(hook);
        if (r < 0)
                return r;
        r = sd_event_add_child(manager->event, &alarms->hook_child, hook->pid, WEXITED,
                               on_hook_done, manager);
        if (r >= 0)
                r = sd_event_add_time_relative(manager->event, &alarms->hook_timer, CLOCK_BOOTTIME,
                                               ALARM_HOOK_SEC * USEC_PER_SEC, 0, on_hook_late,
                                               manager);
        if (r < 0) { /* nobody would watch it */
                kill(-hook->pid, SIGKILL);
                waitpid(hook->pid, NULL, 0);
        }
        return r;
}

/* Starts the first that waits. */
static void hooks_next(Manager *manager) {
        Alarms *alarms = &manager->alarms;

        while (alarms->hooks && !manager->stopping) {
                int r = hook_start(manager, alarms->hooks);

                if (r >= 0)
                        return;
                log_warning_errno(r, "Cannot run the alarm command");
                hook_drop_first(alarms);
        }
}

static void hook_queue(Manager *manager, AlarmKind kind) {
        Alarms *alarms = &manager->alarms;
        const char *command = manager->config->alarm_command;
        Hook *hook, **at = &alarms->hooks;

        if (!command)
                return;
        if (alarms->n_hooks >= ALARM_HOOKS_MAX) {
                log_warning("The alarm command is not run: too many of it wait already");
                return;
        }
        hook = hook_new(command, kind, &alarms->v[kind]);
        if (!hook) {
                log_warning_errno(-ENOMEM, "Cannot run the alarm command");
                return;
        }
        while (*at)
                at = &(*at)->next;
        *at = hook;
        if (alarms->n_hooks++ == 0)
                hooks_next(manager);
}

/* Raising and clearing */

static void announce(Manager *manager, AlarmKind kind) {
        const Alarm *alarm = &manager->alarms.v[kind];
        cleanup_free char *fields = NULL, *text = NULL;

        if (asprintf(&fields, "MESSAGE_ID=%s\nWPCACHE_ALARM=%s\nWPCACHE_ALARM_REMEDY=%s",
                     alarm->standing ? MESSAGE_ALARM_RAISED : MESSAGE_ALARM_CLEARED,
                     alarm_kind_to_string(kind), alarm->remedy ?: "") < 0)
                fields = NULL;
        log_full(alarm->standing ? LOG_WARNING : LOG_NOTICE, 0, fields, "Alarm%s: %s",
                 alarm->standing ? "" : " over", alarm->message ?: alarm_kind_to_string(kind));
        if (asprintf(&text, "%s %s: %s", alarm_kind_to_string(kind),
                     alarm->standing ? "raised" : "cleared", alarm->message ?: "") >= 0)
                waiters_tell_monitors(manager, "alarm", text);
        else
                text = NULL;
        hook_queue(manager, kind);
}

/* Takes `message` over. While an alarm stands its message is kept up to date, and nobody told. */
static void alarm_stands(Manager *manager, AlarmKind kind, char *message, const char *remedy) {
        Alarm *alarm = &manager->alarms.v[kind];

        free(alarm->message);
        free(alarm->remedy);
        alarm->message = message ? text_clean(message) : NULL;
        alarm->remedy = remedy ? strdup(remedy) : NULL;
        if (alarm->remedy)
                text_clean(alarm->remedy); /* it goes into fields of the journal, one a line */
        if (alarm->standing)
                return;
        alarm->standing = true;
        alarm->since_sec = now_realtime_sec();
        announce(manager, kind);
}

static void alarm_over(Manager *manager, AlarmKind kind) {
        Alarm *alarm = &manager->alarms.v[kind];

        if (!alarm->standing)
                return;
        alarm->standing = false;
        announce(manager, kind);
}

/* The kinds */

static void look_at_engine(Manager *manager) {
        const Schedule *schedule = &manager->schedule;
        uint64_t failing_usec = now_boottime_usec() - schedule->failing_since_usec;
        char span[SPAN_TEXT_MAX];

        if (schedule->n_failures == 0)
                alarm_over(manager, ALARM_ENGINE_UNAVAILABLE);
        else if (schedule->n_failures >= ALARM_INTERVALS &&
                 failing_usec >= ALARM_INTERVALS * manager->config->poll_interval_usec)
                alarm_stands(manager, ALARM_ENGINE_UNAVAILABLE,
                             text_format("the Docker engine has %s for %s: %s",
                                         engine_answered(manager->engine_error)
                                                 ? "given no usable answer"
                                                 : "not been available",
                                         span_format(failing_usec, span), manager->engine_reason),
                             engine_remedy(manager->config->docker_socket, manager->engine_error));
}

static void look_at_passes(Manager *manager) {
        const Alarms *alarms = &manager->alarms;
        bool stands = alarms->v[ALARM_PASS_FAILED].standing;

        if (alarms->pass_error) {
                if (stands || !manager->engine_reason) /* where it is gone, that is the alarm */
                        alarm_stands(manager, ALARM_PASS_FAILED,
                                     text_format("policy could not be carried out: %s",
                                                 alarms->pass_error),
                                     "wpcachectl history");
        } else {
                alarm_over(manager, ALARM_PASS_FAILED);
        }
        if (alarms->n_left_passes >= ALARM_PASSES)
                alarm_stands(manager, ALARM_CANDIDATES_LEFT,
                             text_format("the engine does not let go of %s, after %u passes",
                                         alarms->left ?: "what policy removes",
                                         alarms->n_left_passes),
                             "wpcachectl history");
        else if (alarms->n_left_passes == 0)
                alarm_over(manager, ALARM_CANDIDATES_LEFT);
}

void alarms_update_store(Manager *manager) {
        const StoreState *store = &manager->store_now;
        const char *error = manager->summary.store_error;
        cleanup_free char *remedy = NULL;
        char *message;

        if (store->writable && !error) {
                alarm_over(manager, ALARM_STORE_FAILED);
                return;
        }
        if (!store->readable)
                message =
                        text_format("what wpcached remembers cannot be read: it has memory alone, "
                                    "removes no image, and clears take no names: %s",
                                    store->reason.text);
        else if (!store->writable)
                message = text_format("nothing can be stored: receipts are in memory and in the "
                                      "log alone, and clears take no names: %s",
                                      store->reason.text);
        else
                message = text_format("what policy goes by could not be stored: %s", error);
        remedy = text_format("see to the disk of %s: df -h, df -i, mount", manager->state_path);
        alarm_stands(manager, ALARM_STORE_FAILED, message, remedy);
}

static const Json *disk_under_pressure(const Summary *summary) {
        json_foreach (disk, summary->disks_json)
                if (json_get_bool(disk, "pressure", false))
                        return disk;
        return NULL;
}

/* Why policy does not help, or NULL where it still may. */
static const char *helpless(const Manager *manager) {
        const Alarms *alarms = &manager->alarms;
        uint64_t held_usec = now_boottime_usec() - alarms->pressure_since_usec;

        if (!manager->summary.wanted)
                return "policy has nothing more to remove";
        switch (manager_hold(manager)) {
        case HOLD_OBSERVE:
                return "policy only observes (mode=observe)";
        case HOLD_GRACE:
                return "policy only observes a new host";
        case HOLD_INHIBITED:
                return held_usec >= ALARM_PRESSURE_HELD_SEC * USEC_PER_SEC
                               ? "policy is held by an inhibitor"
                               : NULL;
        case HOLD_BUILDING:
                return held_usec >= ALARM_PRESSURE_HELD_SEC * USEC_PER_SEC
                               ? "policy is held by a build"
                               : NULL;
        default:
                return alarms->n_pressure_passes >= ALARM_PASSES ? "policy passes did not help"
                                                                 : NULL;
        }
}

static void look_at_disks(Manager *manager) {
        const Json *disk = disk_under_pressure(&manager->summary);
        const char *pins = manager->summary.pins ?: "", *why;
        char free_text[BYTES_TEXT_MAX], total[BYTES_TEXT_MAX];
        Alarms *alarms = &manager->alarms;
        int64_t n_inodes;

        if (!manager->summary.pressure) {
                alarms->pressure_since_usec = 0;
                alarms->n_pressure_passes = 0;
                alarm_over(manager, ALARM_DISK_PRESSURE);
                return;
        }
        if (alarms->pressure_since_usec == 0)
                alarms->pressure_since_usec = now_boottime_usec();
        why = helpless(manager);
        if (!why && !alarms->v[ALARM_DISK_PRESSURE].standing)
                return;
        n_inodes = json_get_int(disk, "totalInodes", 0);
        alarm_stands(
                manager, ALARM_DISK_PRESSURE,
                text_format(
                        "the disk at %s runs full, %s of %s and %lli%% of the inodes are free, and "
                        "%s%s%s",
                        json_get_string(disk, "path", "?"),
                        bytes_format((uint64_t)json_get_int(disk, "freeBytes", 0), free_text),
                        bytes_format((uint64_t)json_get_int(disk, "totalBytes", 0), total),
                        n_inodes > 0
                                ? (long long)(json_get_int(disk, "freeInodes", 0) * 100 / n_inodes)
                                : 100LL,
                        why ?: "policy is at work", pins[0] ? "; " : "", pins),
                pins[0] ? "free what is named, or make the disk larger" : "wpcachectl plan");
}

static bool protects_disks(const Config *config) {
        return !size_is_off(&config->min_free) || config->min_free_inodes_percent > 0;
}

/* What can't be seen can't be protected. */
static void look_for_disks(Manager *manager) {
        const Strv *unseen = &manager->summary.disks.unseen;

        if (unseen->n == 0 || !protects_disks(manager->config)) {
                alarm_over(manager, ALARM_DISK_UNSEEN);
                return;
        }
        alarm_stands(
                manager, ALARM_DISK_UNSEEN,
                text_format("a disk that can't be looked at is not protected: %s", unseen->v[0]),
                "name a directory on it that wpcached can see: [disk] paths in "
                "wpcached.conf(5)");
}

static char *held_text(const Summary *summary, const char *span) {
        unsigned long long n_held = summary->records_in_use - summary->records_leaked;

        if (summary->building_unknown[0])
                return text_format("for %s it can't be told whether a build runs: %s", span,
                                   summary->building_unknown);
        if (n_held == 0)
                return text_format("the same builds have been under way for %s and use no build "
                                   "cache record: they hang",
                                   span);
        return text_format("the same %llu build cache records have been in use for %s: a build "
                           "hangs, or the engine lost count of them",
                           n_held, span);
}

/* Leaked records and a hanging build raise separate messages: leaked records stay in use while later
 * builds start and end. */
static void look_at_records(Manager *manager) {
        const uint64_t limit_usec = ALARM_IN_USE_SEC * USEC_PER_SEC;
        const Summary *summary = &manager->summary;
        uint64_t now_usec = now_boottime_usec();
        Alarms *alarms = &manager->alarms;
        char span[SPAN_TEXT_MAX];

        if (summary->held_hash != alarms->held_hash) {
                alarms->held_hash = summary->held_hash;
                alarms->held_since_usec = now_usec;
        }
        if (summary->records_leaked > 0 && now_usec - summary->leaked_since_usec >= limit_usec)
                alarm_stands(
                        manager, ALARM_RECORD_IN_USE,
                        text_format("the engine has lost count of %llu build cache records: in use "
                                    "for %s, and by no build; no clear can remove them",
                                    (unsigned long long)summary->records_leaked,
                                    span_format(now_usec - summary->leaked_since_usec, span)),
                        "restart the engine: systemctl restart docker");
        else if (alarms->held_hash != 0 && now_usec - alarms->held_since_usec >= limit_usec)
                alarm_stands(
                        manager, ALARM_RECORD_IN_USE,
                        held_text(summary, span_format(now_usec - alarms->held_since_usec, span)),
                        "end the build, or restart the engine: systemctl restart docker");
        else
                alarm_over(manager, ALARM_RECORD_IN_USE);
}

static char *left_text(const Json *left) {
        cleanup(strv_done) Strv names = STRV_NULL;
        size_t n = 0;

        json_foreach (verdict, left) {
                if (n++ < LEFT_NAMED_MAX &&
                    strv_add(&names, json_get_string(verdict, "object", "?")) < 0)
                        return NULL;
        }
        if (n > LEFT_NAMED_MAX) {
                char more[64];

                snprintf(more, sizeof(more), "%zu more", n - LEFT_NAMED_MAX);
                if (strv_add(&names, more) < 0)
                        return NULL;
        }
        return names.n > 0 ? strv_join(&names, ", ") : NULL;
}

void alarms_pass_done(Manager *manager, const Job *job) {
        Alarms *alarms = &manager->alarms;

        if (job->error >= 0 && !job->result)
                return; /* a hold came up: nothing was tried */
        free(alarms->pass_error);
        alarms->pass_error = job->error < 0 ? strdup(diag_text(&job->diag, job->error)) : NULL;
        if (job->error < 0)
                return;
        alarms->n_left_passes = job->n_remaining > 0 ? alarms->n_left_passes + 1 : 0;
        free(alarms->left);
        alarms->left = left_text(json_get(job->result, "left"));
        if (manager->summary.pressure && schedule_pass_was_in_vain(job))
                alarms->n_pressure_passes++;
}

void alarms_poll_overdue(Manager *manager, uint64_t usec) {
        cleanup_free char *busy = job_queue_busy_text(&manager->workers.queue, now_realtime_sec());
        char span[SPAN_TEXT_MAX];

        alarm_stands(manager, ALARM_POLL_OVERDUE,
                     text_format("no poll has ended for %s: %s", span_format(usec, span),
                                 busy ?: "out of memory"),
                     "wait for the job in progress (wpcachectl status); if it hangs: systemctl "
                     "restart wpcached");
}

void alarms_update(Manager *manager) {
        Alarms *alarms = &manager->alarms;

        /* What policy no longer wants gone can't be left over. */
        if (!manager->engine_reason && manager->summary.observed_sec > 0 &&
            !manager->summary.wanted) {
                free(alarms->pass_error);
                alarms->pass_error = NULL;
                alarms->n_left_passes = 0;
        }
        alarm_over(manager, ALARM_POLL_OVERDUE); /* this is called at the end of a poll */
        look_at_engine(manager);
        look_at_passes(manager);
        alarms_update_store(manager);
        if (manager->engine_reason || manager->summary.observed_sec == 0)
                return; /* figures of before say nothing of now */
        look_at_disks(manager);
        look_for_disks(manager);
        look_at_records(manager);
}

Json *alarms_json(const Manager *manager) {
        cleanup(json_free) Json *array = json_new_array();

        for (AlarmKind kind = 0; kind < ALARM_MAX; kind++) {
                const Alarm *alarm = &manager->alarms.v[kind];
                cleanup(json_free) Json *json = NULL;
                int r;

                if (!alarm->standing)
                        continue;
                json = json_new_object();
                r = json_add_string(json, "kind", alarm_kind_to_string(kind));
                r |= json_add_int(json, "since", alarm->since_sec);
                r |= json_add_string(json, "message", alarm->message ?: alarm_kind_to_string(kind));
                r |= json_add_string(json, "remedy", alarm->remedy);
                r |= json_add(array, NULL, TAKE_PTR(json));
                if (r < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

void alarms_free(Manager *manager) {
        Alarms *alarms = &manager->alarms;

        if (alarms->hooks && alarms->hooks->pid > 0)
                kill(-alarms->hooks->pid, SIGTERM);
        while (alarms->hooks)
                hook_drop_first(alarms);
        for (AlarmKind kind = 0; kind < ALARM_MAX; kind++) {
                free(alarms->v[kind].message);
                free(alarms->v[kind].remedy);
        }
        free(alarms->pass_error);
        free(alarms->left);
}
