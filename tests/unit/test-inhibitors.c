/* SPDX-License-Identifier: MIT */

/* Which request goes when, on a simulated clock. */

#include <stdio.h>
#include <string.h>

#include "daemon/inhibitors.h"
#include "test.h"

typedef struct World {
        Inhibitors inhibitors;
        bool removing;
        uint64_t now_sec;
        char went
                [128]; /* what went, in its order: "A" is held, "c" is submitted, "A!" has expired */
} World;

/* The token of the inhibitor that is called by this letter. */
static void make_token(char letter, char ret[static TOKEN_MAX]) {
        memset(ret, letter, TOKEN_MIN);
        ret[TOKEN_MIN] = '\0';
}

/* Requests are told apart by their connection, which is a number here. */
static Connection *connection_of(char letter) {
        return (Connection *)(uintptr_t)letter;
}

static char letter_of(const Request *request) {
        return (char)(uintptr_t)request->connection;
}

static void went(World *world, char letter, bool expired) {
        size_t n = strlen(world->went);

        snprintf(world->went + n, sizeof(world->went) - n, "%c%s", letter, expired ? "!" : "");
}

static void advance(World *world) {
        Request *request;

        while ((request = inhibitors_next(&world->inhibitors, world->removing))) {
                went(world, letter_of(request), false);
                if (request->clear) {
                        request_free(inhibitors_take(&world->inhibitors, request));
                        world->removing = true;
                } else {
                        request_hold(request, world->now_sec * USEC_PER_SEC, 0);
                }
        }
}

static void expire(World *world) {
        Request *request;

        while ((request = inhibitors_expired(&world->inhibitors, world->now_sec * USEC_PER_SEC))) {
                went(world, letter_of(request), true);
                request_free(inhibitors_take(&world->inhibitors, request));
                advance(world);
        }
}

/* An inhibitor ("A", or "A" nested in `outer`) for 100 s; or a clear ("c", under the token of `outer`) that
 * waits for 10 s. */
static void ask(World *world, char letter, char outer) {
        Request *request = calloc(1, sizeof(*request));
        char token[TOKEN_MAX] = "";
        bool clear = letter >= 'a';

        assert_non_null(request);
        request->connection = connection_of(letter);
        if (outer)
                make_token(outer, token);
        if (!clear) {
                request->deadline_usec = USEC_INFINITY;
                request->ttl_usec = 100 * USEC_PER_SEC;
                make_token(letter, request->token);
                inhibitors_add(&world->inhibitors, request, outer ? token : NULL);
                return;
        }
        if (!inhibitors_block(&world->inhibitors, outer ? token : NULL)) {
                went(world, letter, false);
                world->removing = true;
                free(request);
                return;
        }
        strcpy(request->token, token);
        request->deadline_usec = (world->now_sec + 10) * USEC_PER_SEC;
        request->clear = calloc(1, sizeof(*request->clear));
        inhibitors_add(&world->inhibitors, request, NULL);
}

/*
 * "A": an inhibitor is asked for; "BA": in the inhibitor A; "c": a clear; "cA": under A's token;
 * "-A": the caller of A leaves; "R": a job that removes begins; ".": it is done; "+9": 9 s pass.
 */
static void play(World *world, const char *events) {
        char copy[256], *save, *event;

        snprintf(copy, sizeof(copy), "%s", events);
        for (event = strtok_r(copy, " ", &save); event; event = strtok_r(NULL, " ", &save)) {
                Request *request;

                if (event[0] == '-') {
                        request = inhibitors_find(&world->inhibitors, connection_of(event[1]));
                        if (request)
                                request_free(inhibitors_take(&world->inhibitors, request));
                } else if (event[0] == '+') {
                        world->now_sec += (uint64_t)atoi(event + 1);
                        expire(world);
                } else if (event[0] == 'R' || event[0] == '.') {
                        world->removing = event[0] == 'R';
                } else {
                        ask(world, event[0], event[1]);
                }
                advance(world);
        }
}

static void test_order(void **state) {
        static const struct {
                const char *events, *went;
                size_t n_held, n_waiting;
        } table[] = {
                { "A", "A", 1, 0 },
                { "A B", "AB", 2, 0 },
                { "c", "c", 0, 0 },
                /* An inhibitor waits for a job that removes. */
                { "R A", "", 0, 0 },
                { "R A .", "A", 1, 0 },
                { "c A", "c", 0, 0 },
                { "c A .", "cA", 1, 0 },
                /* A clear waits for an inhibitor, and has its turn before later inhibitors. */
                { "A c", "A", 1, 1 },
                { "A c -A", "Ac", 0, 0 },
                { "A c B", "A", 1, 1 },
                { "A c B -A", "Ac", 0, 0 },
                { "A c B -A .", "AcB", 1, 0 },
                { "A c d -A", "Acd", 0, 0 },
                /* A waiting inhibitor that came first goes first. */
                { "R A c .", "A", 1, 1 },
                { "R A c -A", "c", 0, 0 },
                /* Its holder's own clear passes an inhibitor, others' inhibitors it does not. */
                { "A cA", "Ac", 1, 0 },
                { "A B cA", "AB", 2, 1 },
                { "A B cA -B", "ABc", 1, 0 },
                /* Under a held inhibitor a clear waits for no inhibitor that is not held: a deadlock. */
                { "A c B cA", "Ac", 1, 1 },
                /* Nested inhibitors are held at once, and their clears pass all of one root. */
                { "A R BA", "AB", 2, 0 },
                { "A BA cB", "ABc", 2, 0 },
                { "A BA cA", "ABc", 2, 0 },
                { "A BA CB cC", "ABCc", 3, 0 },
                { "A c BA", "AB", 2, 1 },
                /* After a restart of the daemon the nested inhibitor may come first. */
                { "BA A cA", "BAc", 2, 0 },
                /* The token of an inhibitor that is not held counts as none. */
                { "A cX", "A", 1, 1 },
                /* Time */
                { "A +99", "A", 1, 0 },
                { "A +100", "AA!", 0, 0 },
                { "A c +9", "A", 1, 1 },
                { "A c +10", "Ac!", 1, 0 },
                { "A +95 c +5", "AA!c", 0, 0 },
                { "A +50 B +50", "ABA!", 1, 0 },
                { "R A +1000", "", 0, 0 },
                { "A c +5 d B +5", "Ac!", 1, 1 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                World world = { 0 };

                play(&world, table[i].events);
                if (strcmp(world.went, table[i].went) != 0 ||
                    inhibitors_count(&world.inhibitors) != table[i].n_held ||
                    inhibitors_waiting(&world.inhibitors) != table[i].n_waiting)
                        fail_msg("%s: %s, %zu held, %zu waiting", table[i].events, world.went,
                                 inhibitors_count(&world.inhibitors),
                                 inhibitors_waiting(&world.inhibitors));
                inhibitors_done(&world.inhibitors);
        }
        (void)state;
}

static void test_deadline(void **state) {
        World world = { 0 };

        assert_int_equal(inhibitors_deadline(&world.inhibitors), USEC_INFINITY);
        play(&world, "A");
        assert_int_equal(inhibitors_deadline(&world.inhibitors), 100 * USEC_PER_SEC);
        play(&world, "+5 c");
        assert_int_equal(inhibitors_deadline(&world.inhibitors), 15 * USEC_PER_SEC);
        inhibitors_done(&world.inhibitors);
        (void)state;
}

static void test_limits(void **state) {
        World world = { 0 };

        for (uid_t i = 0; i < INHIBITORS_MAX; i++) {
                uid_t uid = i / INHIBITORS_PER_USER_MAX;

                assert_false(inhibitors_full(&world.inhibitors, uid));
                ask(&world, 'A', 0);
                inhibitors_find(&world.inhibitors, connection_of('A'))->who.uid = uid;
                for (Request *r = world.inhibitors.first; r; r = r->next)
                        r->connection = connection_of('B');
                assert_int_equal(inhibitors_full(&world.inhibitors, uid),
                                 (i + 1) % INHIBITORS_PER_USER_MAX == 0);
        }
        assert_true(inhibitors_full(&world.inhibitors, 1000));
        inhibitors_done(&world.inhibitors);
        (void)state;
}

static void test_text(void **state) {
        char why[] = "deploy", user[] = "root", token[TOKEN_MAX];
        World world = { 0 };
        char *text;

        play(&world, "A BA C");
        for (Request *request = world.inhibitors.first; request; request = request->next) {
                request->why = strdup(why);
                request->who = (Who){ .pid = 40 + letter_of(request) - 'A', .uid = 7 };
                if (letter_of(request) == 'A')
                        request->who.user = strdup(user);
        }
        text = inhibitors_text(&world.inhibitors, NULL);
        assert_string_equal(text, "'deploy' of root (pid 40), 'deploy' of uid 7 (pid 41), "
                                  "'deploy' of uid 7 (pid 42)");
        free(text);
        make_token('B', token);
        text = inhibitors_text(&world.inhibitors, token);
        assert_string_equal(text, "'deploy' of uid 7 (pid 42)");
        free(text);
        inhibitors_done(&world.inhibitors);
        (void)state;
}

static void test_tokens(void **state) {
        static const struct {
                const char *token;
                bool valid;
        } table[] = {
                { "", false },
                { "0123456789abcde", false },
                { "0123456789abcdef", true },
                { "0123456789-_ABCZ", true },
                { "0123456789abcde ", false },
                { "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", true },
                { "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0", false },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_int_equal(inhibitor_token_valid(table[i].token), table[i].valid);
        (void)state;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),  cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_limits), cmocka_unit_test(test_text),
                cmocka_unit_test(test_tokens),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
