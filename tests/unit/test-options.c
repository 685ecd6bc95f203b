/* SPDX-License-Identifier: MIT */

#include "ctl/options.h"

#include <stdio.h>
#include <string.h>

#include "test.h"

#include "ctl/fail.h"
#include "ctl/gate.h"
#include "ctl/verbs.h"

typedef struct Parsed {
        Ctl ctl;
        Line line;
        int status;
} Parsed;

static void parsed_donep(Parsed *parsed) {
        strv_done(&parsed->line.words);
}

/* Parses "wpcachectl" and the words of a line, which blanks separate. */
static Parsed parse(const char *text, char **allowed) {
        static char buffer[512], *argv[64];
        Parsed parsed = { .ctl = { .wait_sec = -1, .since_sec = -1 }, .line.allowed = allowed };
        int argc = 0;

        snprintf(buffer, sizeof(buffer), "wpcachectl %s", text);
        for (char *word = strtok(buffer, " "); word; word = strtok(NULL, " "))
                argv[argc++] = word;
        argv[argc] = NULL;
        parsed.status = options_parse(argc, argv, &parsed.ctl, &parsed.line);
        return parsed;
}

/* The words for another host: each option by its long name, without the host itself. */
static void test_words(void **state) {
        static const struct {
                const char *line, *words;
        } table[] = {
                { "", "" },
                { "status", "status" },
                { "-H there -q status", "--quiet status" },
                { "clear all --wait 5min -H there", "clear all --wait=5min" },
                { "--json=short --color plan --target=all",
                  "--json=short --color plan --target=all" },
                { "--no-wait clear", "--no-wait clear" },
                { "clear --ignore-inh", "clear --ignore-inhibitors" },
                { "explain -- -x", "explain -- -x" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(parsed_done) Parsed parsed = parse(table[i].line, NULL);
                cleanup_free char *words = strv_join(&parsed.line.words, " ");

                assert_int_equal(parsed.status, CTL_DONE);
                assert_int_equal(parsed.line.words_error, 0);
                assert_string_equal(words, table[i].words);
        }
}

static void test_values(void **state) {
        cleanup(parsed_done) Parsed parsed =
                parse("--keep-mounts clear --socket /s --wait 1500ms docker --dry-run", NULL);

        assert_int_equal(parsed.status, CTL_DONE);
        assert_true(parsed.ctl.keep_mounts && parsed.ctl.dry_run);
        assert_false(parsed.ctl.include_mounted || parsed.ctl.quiet || parsed.ctl.require);
        assert_string_equal(parsed.ctl.socket_path, "/s");
        assert_int_equal(parsed.ctl.wait_sec, 2); /* rounded up */
        assert_int_equal(parsed.line.n_arguments, 2);
        assert_string_equal(parsed.line.arguments[1], "docker");
}

/* The options of the command are its own. */
static void test_command(void **state) {
        cleanup(parsed_done) Parsed inhibit =
                parse("inhibit --why deploy --ttl 2h sleep -q 1", NULL);

        assert_int_equal(inhibit.status, CTL_DONE);
        assert_false(inhibit.ctl.quiet);
        assert_int_equal(inhibit.ctl.ttl_sec, 7200);
        assert_string_equal(inhibit.ctl.argv[0], "sleep");
        assert_string_equal(inhibit.ctl.argv[1], "-q");
}

static void test_refused(void **state) {
        static const char *const lines[] = {
                "--bogus",    "-x",           "status --wait", "clear --wait soon",
                "--json=xml", "--color=blue", "-H -x",         "-H a@",
                "--ttl 0",    "--ttl 25h",    "--since never", "--since 2026-02-30"
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                cleanup(parsed_done) Parsed parsed = parse(lines[i], NULL);

                assert_int_equal(parsed.status, CTL_USAGE);
        }
}

/* An option is refused with a verb that does not take it. */
static void test_owned(void **state) {
        static const struct {
                const char *line, *verb;
                int status;
        } table[] = {
                { "clear --wait 1s", "clear", CTL_DONE },
                { "inhibit --wait 1s", "inhibit", CTL_DONE },
                { "plan --wait 1s", "plan", CTL_USAGE },
                { "history --since 1d", "history", CTL_DONE },
                { "status --since 1d", "status", CTL_USAGE },
                { "status -q --json", "status", CTL_DONE },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(parsed_done) Parsed parsed = parse(table[i].line, NULL);

                assert_int_equal(parsed.status, CTL_DONE);
                assert_int_equal(options_check_owned(&parsed.line, table[i].verb), table[i].status);
        }
}

/* A line that an SSH client sent gets no verb but those allowed, and leads nowhere else. */
static void test_gate(void **state) {
        char *allowed[] = { (char *)"status", (char *)"clear", NULL };
        static const struct {
                const char *line;
                int status;
        } table[] = {
                { "status", CTL_DONE },
                { "-q clear --target all", CTL_DONE },
                { "history", CTL_NOT_PERMITTED },
                { "inhibit sh", CTL_NOT_PERMITTED },
                { "status --socket /s", CTL_NOT_PERMITTED },
                { "-H there status", CTL_NOT_PERMITTED },
        };
        char text[GATE_LIST_MAX];

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(parsed_done) Parsed parsed = parse(table[i].line, allowed);

                assert_int_equal(parsed.status, table[i].status);
        }
        assert_string_equal(gate_list(allowed, text), "status, clear");
}

static void test_verbs(void **state) {
        for (size_t i = 0; i < n_verbs; i++)
                assert_ptr_equal(verb_find(verbs[i].name), &verbs[i]);
        assert_null(verb_find("statu"));
        assert_int_equal(verb_unknown("statu"), CTL_USAGE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words),   cmocka_unit_test(test_values),
                cmocka_unit_test(test_command), cmocka_unit_test(test_refused),
                cmocka_unit_test(test_owned),   cmocka_unit_test(test_gate),
                cmocka_unit_test(test_verbs),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
