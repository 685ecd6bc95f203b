/* SPDX-License-Identifier: MIT */

/*
 * The hook command may be anything and take any time: it runs in a process group of its own, one at
 * a time, and is killed when its time is over. posix_spawn(3) must
 * reset the signal mask: a child with the daemon's mask would not end on SIGTERM.
 */

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/span.h"
#include "base/text.h"
#include "daemon/alarm-notice.h"

extern char **environ;

struct Hook {
        char *command;
        Strv environment;
        pid_t pid;
        bool killed;
        Hook *next;
};

static Hook *hook_free(Hook *hook) {
        if (hook) {
                free(hook->command);
                strv_done(&hook->environment);
                free(hook);
        }
        return NULL;
}
DEFINE_CLEANUP(Hook *, hook_free);

/* Copies the daemon's environment without the variables that systemd sets for the daemon alone. */
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
        const char *const variables[][2] = {
                { "WPCACHE_ALARM", alarm_kind_to_string(kind) },
                { "WPCACHE_ALARM_STATE", alarm->standing ? "raised" : "cleared" },
                { "WPCACHE_ALARM_MESSAGE", alarm->message ?: "" },
                { "WPCACHE_ALARM_REMEDY", alarm->remedy ?: "" },
                { "WPCACHE_ALARM_SINCE", since },
        };

        snprintf(since, sizeof(since), "%lli", (long long)alarm->since_sec);
        if (hook)
                hook->command = strdup(command);
        if (!hook || !hook->command || environment_copy(&hook->environment) < 0)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(variables); i++) {
                cleanup_free char *text = text_format("%s=%s", variables[i][0], variables[i][1]);

                if (!text || strv_add(&hook->environment, text) < 0)
                        return NULL;
        }
        return TAKE_PTR(hook);
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

static void hooks_drop_first(AlarmHooks *self) {
        Hook *hook = self->first;

        self->child = sd_event_source_disable_unref(self->child);
        self->timer = sd_event_source_disable_unref(self->timer);
        self->first = hook->next;
        self->n--;
        hook_free(hook);
}

static void hooks_next(AlarmHooks *self);

static int on_hook_done(sd_event_source *source, const siginfo_t *info, void *userdata) {
        AlarmHooks *self = userdata;

        if (self->first->killed)
                log_warning("The alarm command took longer than %i s and was killed",
                            ALARM_HOOK_SEC);
        else if (info->si_code != CLD_EXITED)
                log_warning("The alarm command was ended by signal %i", info->si_status);
        else if (info->si_status != 0)
                log_warning("The alarm command ended with status %i", info->si_status);
        hooks_drop_first(self);
        hooks_next(self);
        return 0;
}

static int on_hook_late(sd_event_source *source, uint64_t usec, void *userdata) {
        Hook *hook = ((AlarmHooks *)userdata)->first;

        hook->killed = true;
        kill(-hook->pid, SIGKILL);
        return 0;
}

static int hook_start(AlarmHooks *self, Hook *hook) {
        int r;

        r = hook_spawn(hook);
        if (r < 0)
                return r;
        r = sd_event_add_child(self->event, &self->child, hook->pid, WEXITED, on_hook_done, self);
        if (r >= 0)
                r = sd_event_add_time_relative(self->event, &self->timer, CLOCK_BOOTTIME,
                                               ALARM_HOOK_SEC * USEC_PER_SEC, 0, on_hook_late,
                                               self);
        if (r < 0) { /* no one would watch it */
                kill(-hook->pid, SIGKILL);
                waitpid(hook->pid, NULL, 0);
        }
        return r;
}

/* Starts the first run that waits. */
static void hooks_next(AlarmHooks *self) {
        while (self->first && !self->stopping) {
                int r = hook_start(self, self->first);

                if (r >= 0)
                        return;
                log_warning_errno(r, "Cannot run the alarm command");
                hooks_drop_first(self);
        }
}

static void hooks_add(AlarmHooks *self, const char *command, AlarmKind kind, const Alarm *alarm) {
        Hook *hook, **at = &self->first;

        if (self->n >= ALARM_HOOKS_MAX) {
                log_warning("The alarm command is not run: too many of it wait already");
                return;
        }
        hook = hook_new(command, kind, alarm);
        if (!hook) {
                log_warning_errno(-ENOMEM, "Cannot run the alarm command");
                return;
        }
        while (*at)
                at = &(*at)->next;
        *at = hook;
        if (self->n++ == 0)
                hooks_next(self);
}

void alarm_hooks_done(AlarmHooks *self) {
        if (self->first && self->first->pid > 0)
                kill(-self->first->pid, SIGTERM);
        while (self->first)
                hooks_drop_first(self);
}

static void alarm_log(AlarmKind kind, const Alarm *alarm) {
        cleanup_free char *fields =
                text_format("MESSAGE_ID=%s\nWPCACHE_ALARM=%s\nWPCACHE_ALARM_REMEDY=%s",
                            alarm->standing ? MESSAGE_ALARM_RAISED : MESSAGE_ALARM_CLEARED,
                            alarm_kind_to_string(kind), alarm->remedy ?: "");

        log_full(alarm->standing ? LOG_WARNING : LOG_NOTICE, 0, fields, "Alarm%s: %s",
                 alarm->standing ? "" : " over", alarm->message ?: alarm_kind_to_string(kind));
}

void alarms_announce(const Alarms *alarms, AlarmHooks *hooks, const Monitors *monitors,
                     const char *command) {
        for (size_t i = 0; i < alarms->changes.n; i++) {
                AlarmKind kind = alarms->changes.v[i];
                const Alarm *alarm = &alarms->v[kind];
                cleanup_free char *text = NULL;

                alarm_log(kind, alarm);
                text = text_format("%s %s: %s", alarm_kind_to_string(kind),
                                   alarm->standing ? "raised" : "cleared", alarm->message ?: "");
                if (text)
                        monitors_tell(monitors, "alarm", text);
                if (command)
                        hooks_add(hooks, command, kind, alarm);
        }
}
