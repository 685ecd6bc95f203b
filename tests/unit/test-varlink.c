/* SPDX-License-Identifier: MIT */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "wire/interface.h"
#include "wire/varlink.h"

static void test_call(void **state) {
        static const char text[] = "{\"method\":\"io.watchparty.Cache.Clear\",\"more\":true,"
                                   "\"parameters\":{\"target\":\"all\"},\"oneway\":null}";
        cleanup(varlink_call_done) VarlinkCall call = { NULL };

        (void)state;
        assert_int_equal(varlink_call_parse(text, strlen(text), &call, NULL), 0);
        assert_string_equal(call.method, "io.watchparty.Cache.Clear");
        assert_string_equal(json_get_string(call.parameters, "target", ""), "all");
        assert_true(call.more);
        assert_false(call.oneway);
        assert_false(call.upgrade);
}

static void test_call_bare(void **state) {
        static const char text[] = "{\"method\":\"x\"}";
        cleanup(varlink_call_done) VarlinkCall call = { NULL };

        (void)state;
        assert_int_equal(varlink_call_parse(text, strlen(text), &call, NULL), 0);
        assert_string_equal(call.method, "x");
        assert_null(call.parameters);
}

static void test_call_refused(void **state) {
        static const struct {
                const char *text, *why;
        } cases[] = {
                { "", "not JSON" },
                { "hello", "not JSON" },
                { "[]", "not a JSON object" },
                { "{}", "'method' is missing" },
                { "{\"method\":\"\"}", "'method' is not a method's name" },
                { "{\"method\":1}", "'method' is not a method's name" },
                { "{\"method\":\"a.b.C\",\"parameters\":[]}", "'parameters' is not an object" },
                { "{\"method\":\"a.b.C\",\"more\":1}", "'more' is not a boolean" },
                { "{\"method\":\"a.b.C\",\"more\":true,\"oneway\":true}", "exclude each other" },
                { "{\"method\":\"a.b.C\",\"params\":{}}", "unknown member 'params'" },
                { "{\"method\":\"a.b.C\"}{}", "not JSON" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                VarlinkCall call = { NULL };
                Diag diag = DIAG_NULL;

                assert_int_equal(
                        varlink_call_parse(cases[i].text, strlen(cases[i].text), &call, &diag),
                        -EBADMSG);
                assert_null(call.root);
                if (!strstr(diag.text, cases[i].why))
                        fail_msg("'%s' says '%s'", cases[i].text, diag.text);
        }
}

static void test_reply_refused(void **state) {
        static const char *const texts[] = {
                "null",
                "{\"error\":\"no name\"}",
                "{\"error\":{}}",
                "{\"continues\":\"yes\"}",
                "{\"parameters\":1}",
                "{\"error\":\"a.b.C\",\"continues\":true}",
                "{\"method\":\"a.b.C\"}",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                VarlinkReply reply = { NULL };

                assert_int_equal(varlink_reply_parse(texts[i], strlen(texts[i]), &reply, NULL),
                                 -EBADMSG);
                assert_null(reply.root);
        }
}

static void test_texts(void **state) {
        cleanup(json_free) Json *parameters = json_new_object();
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        cleanup(varlink_call_done) VarlinkCall call = { NULL };
        char *text;

        (void)state;
        assert_int_equal(json_add_string(parameters, "target", "all"), 0);

        assert_int_equal(varlink_call_text("a.b.C", parameters, true, false, &text), 0);
        assert_string_equal(
                text, "{\"method\":\"a.b.C\",\"parameters\":{\"target\":\"all\"},\"more\":true}");
        assert_int_equal(varlink_call_parse(text, strlen(text), &call, NULL), 0);
        free(text);

        assert_int_equal(varlink_call_text("a.b.C", NULL, false, true, &text), 0);
        assert_string_equal(text, "{\"method\":\"a.b.C\",\"parameters\":{},\"oneway\":true}");
        free(text);

        assert_int_equal(varlink_reply_text(NULL, false, &text), 0);
        assert_string_equal(text, "{\"parameters\":{}}");
        free(text);

        assert_int_equal(varlink_reply_text(parameters, true, &text), 0);
        assert_string_equal(text, "{\"parameters\":{\"target\":\"all\"},\"continues\":true}");
        free(text);

        assert_int_equal(varlink_error_text(ERROR_BUSY, NULL, &text), 0);
        assert_int_equal(varlink_reply_parse(text, strlen(text), &reply, NULL), 0);
        assert_string_equal(reply.error, ERROR_BUSY);
        assert_int_equal(json_size(reply.parameters), 0);
        assert_false(reply.continues);
        free(text);
}

static void test_method_interface(void **state) {
        static const char *const bad[] = {
                "",      ".",      "Clear",  ".a.B",    "a..B",   "a.B",     "a.b.",    "a.b.c",
                "1.b.C", "a.b-.C", "a.-b.C", "a.b.C d", "a.b.C-", "a b.c.D", "a.b\n.C", "-a.b.C",
        };

        (void)state;
        assert_int_equal(varlink_method_interface("io.watchparty.Cache.Clear"), 19);
        assert_int_equal(varlink_method_interface(ERROR_PERMISSION_DENIED), 19);
        assert_int_equal(varlink_method_interface("a.b.C"), 3);
        assert_int_equal(varlink_method_interface("xn--a.3-b.C1"), 9);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                if (varlink_method_interface(bad[i]) != 0)
                        fail_msg("taken: %s", bad[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_call),         cmocka_unit_test(test_call_bare),
                cmocka_unit_test(test_call_refused), cmocka_unit_test(test_reply_refused),
                cmocka_unit_test(test_texts),        cmocka_unit_test(test_method_interface),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
