/* SPDX-License-Identifier: MIT */

/*
 * One queue for inhibitors and for the clears that wait, in the order they came, so that neither
 * starves the other. The trap is waiting in a circle: who runs under an inhibitor and clears must
 * not wait for one that waits for a clear that waits for that very inhibitor. So under a held
 * inhibitor only what is held by others counts.
 */

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "base/span.h"
#include "base/text.h"
#include "daemon/methods.h"
#include "daemon/reply.h"
#include "wire/interface.h"

/* The disk gives its space back, and the next build its first steps, a moment later. */
#define RELEASE_POLL_USEC (2 * USEC_PER_SEC)

struct Turn {
        Manager *manager;
        Connection *connection;
        sd_event_source *timer; /* the end of the wait (clear) or of the inhibitor */
        Job *clear;             /* NULL: an inhibitor */
        char token[TOKEN_MAX];  /* an inhibitor's own; what a clear brings, or "" */
        Turn *next;

        /* clear */
        bool more;
        uint64_t until_usec; /* now_boottime_usec() */

        /* inhibitor */
        bool held;
        char root[TOKEN_MAX]; /* the token of the outermost it is nested in; its own if in none */
        char *why;
        Who who;
        uint64_t ttl_usec;
        int64_t since_sec, until_sec;
};

static Turn *turn_free(Turn *turn) {
        if (turn) {
                sd_event_source_disable_unref(turn->timer);
                job_free(turn->clear);
                free(turn->why);
                free(turn->who.user);
                free(turn->who.command);
                free(turn);
        }
        return NULL;
}
DEFINE_CLEANUP(Turn *, turn_free);

static void turn_append(Manager *manager, Turn *turn) {
        Turn **at = &manager->turns.first;

        while (*at)
                at = &(*at)->next;
        *at = turn;
}

static void turn_unlink(Manager *manager, Turn *turn) {
        for (Turn **at = &manager->turns.first; *at; at = &(*at)->next)
                if (*at == turn) {
                        *at = turn->next;
                        turn->next = NULL;
                        return;
                }
}

bool inhibit_token_valid(const char *token) {
        size_t n = strspn(token, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "_-");

        return token[n] == '\0' && n >= TOKEN_MIN && n < TOKEN_MAX;
}

static const Turn *find_held(const Manager *manager, const char *token) {
        for (const Turn *turn = manager->turns.first; turn; turn = turn->next)
                if (turn->held && token && strcmp(turn->token, token) == 0)
                        return turn;
        return NULL;
}

/* Whether anything stands against a clear that came before `end` (NULL: that comes now). */
static bool blocked(const Manager *manager, const char *token, const Turn *end) {
        const Turn *own = find_held(manager, token);
        bool before = true;

        for (const Turn *turn = manager->turns.first; turn; turn = turn->next) {
                before = before && turn != end;
                if (turn->clear)
                        continue;
                if (turn->held ? !own || strcmp(turn->root, own->root) != 0 : !own && before)
                        return true;
        }
        return false;
}

bool inhibit_blocks(const Manager *manager, const char *token) {
        return blocked(manager, token, NULL);
}

static bool may_hold(const Manager *manager, const Turn *inhibitor) {
        for (const Turn *turn = manager->turns.first; turn; turn = turn->next)
                if (turn->held && strcmp(turn->root, inhibitor->root) == 0)
                        return true;
        if (manager->removals)
                return false;
        for (const Turn *turn = manager->turns.first; turn != inhibitor; turn = turn->next)
                if (turn->clear)
                        return false;
        return true;
}

size_t inhibit_count(const Manager *manager) {
        size_t n = 0;

        for (const Turn *turn = manager->turns.first; turn; turn = turn->next)
                n += turn->held;
        return n;
}

size_t inhibit_waiting(const Manager *manager) {
        size_t n = 0;

        for (const Turn *turn = manager->turns.first; turn; turn = turn->next)
                n += turn->clear != NULL;
        return n;
}

bool inhibit_idle(const Manager *manager) {
        return !manager->turns.first;
}

/* "'deploy' of root (pid 42)" */
static char *describe(const Turn *inhibitor) {
        const Who *who = &inhibitor->who;
        char *text = NULL;
        int n;

        n = who->user ? asprintf(&text, "'%s' of %s (pid %i)", inhibitor->why, who->user, who->pid)
                      : asprintf(&text, "'%s' of uid %u (pid %i)", inhibitor->why, who->uid,
                                 who->pid);
        return n < 0 ? NULL : text;
}

char *inhibit_text(const Manager *manager, const char *token) {
        cleanup(strv_done) Strv list = STRV_NULL;
        const Turn *own = find_held(manager, token);

        for (const Turn *turn = manager->turns.first; turn; turn = turn->next) {
                cleanup_free char *text = NULL;

                if (!turn->held || (own && strcmp(turn->root, own->root) == 0))
                        continue;
                text = describe(turn);
                if (!text || strv_add(&list, text) < 0)
                        return NULL;
        }
        return strv_join(&list, ", ");
}

static Json *inhibitor_json(const Turn *inhibitor) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_string(json, "why", inhibitor->why);
        r |= json_add(json, "who", who_json(&inhibitor->who));
        r |= json_add_int(json, "since", inhibitor->since_sec);
        r |= json_add_int(json, "until", inhibitor->until_sec);
        return r < 0 ? NULL : TAKE_PTR(json);
}

Json *inhibit_json(const Manager *manager) {
        cleanup(json_free) Json *array = json_new_array();

        for (const Turn *turn = manager->turns.first; turn; turn = turn->next)
                if (turn->held && json_add(array, NULL, inhibitor_json(turn)) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

static void tell(Manager *manager, const Turn *inhibitor, const char *what) {
        cleanup_free char *text = describe(inhibitor), *fields = NULL, *message = NULL;

        if (asprintf(&fields, "WPCACHE_INHIBITOR_WHY=%s", inhibitor->why) < 0)
                fields = NULL;
        if (asprintf(&message, "Inhibitor %s %s", text ?: "?", what) < 0)
                message = NULL;
        log_full(LOG_INFO, 0, fields, "%s", message ?: "out of memory");
        if (message)
                waiters_tell_monitors(manager, "inhibitor", message);
}

static void reply_token(const Turn *inhibitor, bool expired) {
        cleanup(json_free) Json *parameters = json_new_object();
        int r;

        r = json_add_string(parameters, "token", inhibitor->token);
        if (expired)
                r |= json_add_bool(parameters, "expired", true);
        if (r < 0)
                reply_no_memory(inhibitor->connection);
        else
                connection_reply(inhibitor->connection, parameters, !expired);
}

/* Ends an inhibitor, held or not. */
static void release(Manager *manager, Turn *inhibitor, const char *what) {
        turn_unlink(manager, inhibitor);
        if (inhibitor->held)
                tell(manager, inhibitor, what);
        if (inhibitor->held && inhibit_count(manager) == 0)
                schedule_poll_within(manager, RELEASE_POLL_USEC);
        turn_free(inhibitor);
}

static int on_expired(sd_event_source *source, uint64_t usec, void *userdata) {
        Turn *inhibitor = userdata;
        Manager *manager = inhibitor->manager;

        (void)source;
        (void)usec;
        reply_token(inhibitor, true);
        release(manager, inhibitor, "ends: its time is over");
        inhibit_turn(manager);
        return 0;
}

static void hold(Manager *manager, Turn *inhibitor) {
        if (sd_event_add_time_relative(manager->event, &inhibitor->timer, CLOCK_BOOTTIME,
                                       inhibitor->ttl_usec, 0, on_expired, inhibitor) < 0) {
                reply_no_memory(inhibitor->connection);
                release(manager, inhibitor, "");
                return;
        }
        inhibitor->held = true;
        inhibitor->since_sec = now_realtime_sec();
        inhibitor->until_sec = inhibitor->since_sec + (int64_t)(inhibitor->ttl_usec / USEC_PER_SEC);
        tell(manager, inhibitor, "holds");
        reply_token(inhibitor, false);
}

static void submit(Manager *manager, Turn *turn) {
        uint64_t now_usec = now_boottime_usec();

        turn_unlink(manager, turn);
        methods_submit_clear(manager, turn->connection, TAKE_PTR(turn->clear), turn->more,
                             turn->until_usec > now_usec ? turn->until_usec - now_usec : 0);
        turn_free(turn);
}

void inhibit_turn(Manager *manager) {
        for (Turn *turn = manager->turns.first, *next; turn && !manager->stopping; turn = next) {
                next = turn->next;
                if (turn->clear) {
                        if (!blocked(manager, turn->token, turn))
                                submit(manager, turn);
                } else if (!turn->held && may_hold(manager, turn)) {
                        hold(manager, turn);
                }
        }
}

static int on_clear_wait_over(sd_event_source *source, uint64_t usec, void *userdata) {
        Turn *turn = userdata;
        Manager *manager = turn->manager;
        cleanup_free char *names = inhibit_text(manager, turn->token), *text = NULL;

        (void)source;
        (void)usec;
        if (!names || !names[0])
                text = manager_busy_text(manager);
        else if (asprintf(&text, "inhibited by %s", names) < 0)
                text = NULL;
        reply_error(turn->connection, ERROR_BUSY, "reason", text ?: "inhibited");
        turn_unlink(manager, turn);
        turn_free(turn);
        inhibit_turn(manager);
        return 0;
}

/* It has no job yet, and so no id. */
static void tell_waiting(const Manager *manager, const Turn *turn) {
        cleanup_free char *names = inhibit_text(manager, turn->token), *text = NULL;
        cleanup(json_free) Json *progress = json_new_object();
        int r;

        if (!turn->more)
                return;
        if (asprintf(&text, "waiting for %s%s", names && names[0] ? "inhibitor " : "inhibitors",
                     names ?: "") < 0)
                return;
        r = json_add_string(progress, "jobId", "");
        r |= json_add_string(progress, "step", "waiting");
        r |= json_add_string(progress, "message", text);
        r |= json_add_int(progress, "pass", 0);
        r |= json_add_int(progress, "elapsedSec", 0);
        r |= json_add_int(progress, "engineReportedBytes", 0);
        if (r >= 0)
                reply_member(turn->connection, "progress", TAKE_PTR(progress), true);
}

void inhibit_hold_clear(Manager *manager, Connection *connection, Job *job, const char *token,
                        bool more, uint64_t wait_usec) {
        cleanup(turn_free) Turn *turn = calloc(1, sizeof(*turn));

        if (!turn) {
                job_free(job);
                reply_no_memory(connection);
                return;
        }
        turn->clear = job;
        if (manager_queue_full(manager, connection_peer(connection))) {
                reply_error(connection, ERROR_BUSY, "reason", "too many jobs are waiting");
                return;
        }
        turn->manager = manager;
        turn->connection = connection;
        turn->more = more;
        turn->until_usec = now_boottime_usec() + wait_usec;
        snprintf(turn->token, sizeof(turn->token), "%s", token ?: "");
        if (sd_event_add_time_relative(manager->event, &turn->timer, CLOCK_BOOTTIME, wait_usec,
                                       10 * USEC_PER_MSEC, on_clear_wait_over, turn) < 0) {
                reply_no_memory(connection);
                return;
        }
        tell_waiting(manager, turn);
        turn_append(manager, TAKE_PTR(turn));
}

static int make_token(char ret[static TOKEN_MAX]) {
        unsigned char bytes[16];

        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                return -EIO;
        for (size_t i = 0; i < sizeof(bytes); i++)
                snprintf(ret + 2 * i, TOKEN_MAX - 2 * i, "%02x", bytes[i]);
        return 0;
}

typedef struct Wish {
        const char *why, *token, *inhibitor, *command;
        int64_t ttl_sec;
} Wish;

static bool read_wish(Connection *connection, const Json *parameters, Wish *ret) {
        static const char *const known[] = {
                "why", "ttlSec", "token", "inhibitor", "command", NULL
        };
        Wish wish = { .ttl_sec = INHIBIT_TTL_SEC_DEFAULT };
        const char *wrong = NULL;

        if (!check_parameters(connection, parameters, known))
                return false;
        if (json_read_string(parameters, "why", &wish.why) <= 0 || !wish.why[0] ||
            strlen(wish.why) > INTERFACE_WHY_MAX)
                wrong = "why";
        else if (json_read_int(parameters, "ttlSec", &wish.ttl_sec) < 0 || wish.ttl_sec < 1 ||
                 wish.ttl_sec > INTERFACE_TTL_SEC_MAX)
                wrong = "ttlSec";
        else if (json_read_string(parameters, "token", &wish.token) < 0 ||
                 (wish.token && !inhibit_token_valid(wish.token)))
                wrong = "token";
        else if (json_read_string(parameters, "inhibitor", &wish.inhibitor) < 0 ||
                 (wish.inhibitor && !inhibit_token_valid(wish.inhibitor)))
                wrong = "inhibitor";
        else if (json_read_string(parameters, "command", &wish.command) < 0 ||
                 (wish.command && strlen(wish.command) > COMMAND_MAX))
                wrong = "command";
        if (wrong)
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", wrong);
        else
                *ret = wish;
        return !wrong;
}

static Turn *inhibitor_new(Manager *manager, Connection *connection, const Wish *wish) {
        cleanup(turn_free) Turn *turn = calloc(1, sizeof(*turn));
        const Peer *peer = connection_peer(connection);
        const Turn *outer = find_held(manager, wish->inhibitor);
        const char *root;

        if (!turn)
                return NULL;
        turn->manager = manager;
        turn->connection = connection;
        turn->ttl_usec = (uint64_t)wish->ttl_sec * USEC_PER_SEC;
        turn->why = strdup(wish->why);
        turn->who = (Who){
                .uid = peer->uid,
                .pid = peer->pid,
                .user = user_name(peer->uid),
                .command = wish->command ? strdup(wish->command) : NULL,
        };
        if (!turn->why || (wish->command && !turn->who.command))
                return NULL;
        text_clean(turn->why); /* it goes into fields of the journal, one a line */
        if (wish->token)
                strcpy(turn->token, wish->token);
        else if (make_token(turn->token) < 0)
                return NULL;
        /* After a restart of the daemon the inner one may be back before the outer one is. */
        root = outer ? outer->root : wish->inhibitor ?: turn->token;
        strcpy(turn->root, root);
        return TAKE_PTR(turn);
}

void inhibit_on_call(Manager *manager, Connection *connection, const VarlinkCall *call) {
        uid_t uid = connection_peer(connection)->uid;
        size_t n = 0, n_user = 0;
        Turn *turn;
        Wish wish;

        if (!read_wish(connection, call->parameters, &wish))
                return;
        if (!call->more) {
                reply_error(connection, ERROR_EXPECTED_MORE, NULL, NULL);
                return;
        }
        for (turn = manager->turns.first; turn; turn = turn->next) {
                n += !turn->clear;
                n_user += !turn->clear && turn->who.uid == uid;
        }
        if (n >= INHIBITORS_MAX || n_user >= INHIBITORS_PER_USER_MAX) {
                reply_error(connection, ERROR_BUSY, "reason", "too many inhibitors");
                return;
        }
        turn = inhibitor_new(manager, connection, &wish);
        if (!turn) {
                reply_no_memory(connection);
                return;
        }
        turn_append(manager, turn);
        schedule_withdraw_pass(manager);
        inhibit_turn(manager);
}

void inhibit_on_gone(Manager *manager, Connection *connection) {
        for (Turn *turn = manager->turns.first; turn; turn = turn->next) {
                if (turn->connection != connection)
                        continue;
                if (turn->clear) {
                        turn_unlink(manager, turn);
                        turn_free(turn);
                } else {
                        release(manager, turn, "ends");
                }
                inhibit_turn(manager);
                return; /* a connection has one call at a time */
        }
}

void inhibit_stop(Manager *manager) {
        for (Turn *turn = manager->turns.first, *next; turn; turn = next) {
                next = turn->next;
                if (turn->held)
                        continue;
                turn_unlink(manager, turn);
                reply_error(turn->connection, ERROR_SHUTTING_DOWN, NULL, NULL);
                turn_free(turn);
        }
}

void inhibit_free(Manager *manager) {
        while (manager->turns.first) {
                Turn *turn = manager->turns.first;

                turn_unlink(manager, turn);
                turn_free(turn);
        }
}
