/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/span.h"
#include "conf/loader.h"
#include "daemon/dispatch.h"
#include "daemon/reload.h"

#define ERRORS_SHOWN_MAX 10

/* Notes are not logged: --check-config prints them, and status has the state of each application root. */
void log_config_errors(const ConfigErrors *errors) {
        for (size_t i = 0; i < errors->n + errors->n_remarks; i++) {
                ConfigLevel level = errors->v[i].level;
                cleanup_free char *text = config_error_text(&errors->v[i]);

                if (level != CONFIG_NOTE)
                        log_full(level == CONFIG_MISTAKE ? LOG_ERR : LOG_WARNING, 0, NULL, "%s",
                                 text ?: "out of memory");
        }
}

int use_config(Manager *manager, Config *config) {
        cleanup(role_done) Role operators = { 0 }, readers = { 0 };
        int r;

        r = role_resolve("operators", &config->operators, &operators);
        if (r >= 0)
                r = role_resolve("readers", &config->readers, &readers);
        if (r < 0)
                return r;
        role_done(&manager->operators);
        role_done(&manager->readers);
        manager->operators = operators;
        manager->readers = readers;
        operators = readers = (Role){ 0 };
        config_free(manager->config);
        manager->config = config;
        manager->workers.config = config;
        engine_state_forget_apps(&manager->engine);
        manager->workers.generation++;
        free(manager->config_error);
        manager->config_error = NULL;
        manager->config_loaded_sec = now_realtime_sec();
        return 0;
}

/* The first mistakes of a configuration, for status. The log has all: a file of another kind has thousands. */
static char *errors_text(const ConfigErrors *errors) {
        cleanup(strv_done) Strv lines = STRV_NULL;
        size_t n = MIN(errors->n, (size_t)ERRORS_SHOWN_MAX);

        for (size_t i = 0; i < n; i++) {
                cleanup_free char *line = config_error_text(&errors->v[i]);

                if (!line || strv_add(&lines, line) < 0)
                        return NULL;
        }
        if (n < errors->n) {
                char line[64];

                snprintf(line, sizeof(line), "and %zu more", errors->n - n);
                if (strv_add(&lines, line) < 0)
                        return NULL;
        }
        return strv_join(&lines, "\n");
}

int manager_reload(Manager *manager, Strv *ret_restart_keys, char **reterr_text) {
        cleanup(config_free) Config *config = NULL;
        cleanup(strv_done) Strv keys = STRV_NULL;
        ConfigErrors errors = { 0 };
        int r;

        sd_notify(false, "RELOADING=1");
        r = config_load(manager->config_path, &config, &errors);
        log_config_errors(&errors);
        if (r >= 0)
                r = config_restart_keys(manager->config, config, &keys);
        if (r >= 0)
                r = use_config(manager, config);
        if (r >= 0) {
                TAKE_PTR(config);
                server_rights_changed(manager->server);
                for (size_t i = 0; i < keys.n; i++)
                        log_warning("%s changed: it takes effect after a restart", keys.v[i]);
                log_notice("Configuration reloaded");
                monitors_tell(&manager->monitors, "reload", "configuration reloaded");
                *ret_restart_keys = keys;
                keys = STRV_NULL;
                manager->metrics_broken = false;
                dispatch_reload(manager);
        } else {
                log_error("The configuration was not reloaded; the one in force stays");
                free(manager->config_error);
                manager->config_error = errors_text(&errors);
                monitors_tell(&manager->monitors, "reload",
                              manager->config_error ?: "configuration not reloaded");
                *reterr_text = manager->config_error ? strdup(manager->config_error) : NULL;
                r = -EINVAL;
        }
        config_errors_done(&errors);
        sd_notify(false, "READY=1");
        return r;
}
