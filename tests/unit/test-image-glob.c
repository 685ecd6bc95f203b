/* SPDX-License-Identifier: MIT */

/* What conf/ says of a glob, and what docker/name.h does with it, have to agree. */

#include "base/image-glob.h"

#include <regex.h>
#include <string.h>

#include "conf/glob-internal.h"
#include "docker/name.h"
#include "test.h"

static void test_divide(void **state) {
        static const struct {
                const char *glob, *tag;
                int n_repository; /* -1: can't be divided */
                bool slash;
        } table[] = {
                { "a", NULL, 1, false },
                { "a:1", "1", 1, false },
                { "a:5000/b", NULL, 8, true },
                { "a:5000/b:c", "c", 8, true },
                { "[[:alpha:]]*:v", "v", 12, false },
                { "[:/]x", NULL, 5, false },
                { "[]:]x", NULL, 5, false },
                { "[!]:]x", NULL, 6, false },
                { "[\\]:]x", NULL, 6, false },
                { "a\\:b\\/c", NULL, 7, false },
                { "", NULL, 0, false },
                { "a\\", NULL, -1, false },
                { "[a", NULL, -1, false },
                { "[]", NULL, -1, false },
                { "[!]", NULL, -1, false },
                { "[[:alpha:]", NULL, -1, false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ImageGlob parts;
                int r = image_glob_divide(table[i].glob, &parts);

                assert_int_equal(r, table[i].n_repository < 0 ? -EINVAL : 0);
                if (r < 0)
                        continue;
                assert_int_equal(parts.n_repository, table[i].n_repository);
                assert_true(parts.slash == table[i].slash);
                if (table[i].tag)
                        assert_string_equal(parts.tag, table[i].tag);
                else
                        assert_null(parts.tag);
        }
}

/* github.com/distribution/reference, with a tag; `A` stands for capitals, `1` for digits. */
#define COMPONENT "[a1]+(([._]|__|-+)[a1]+)*"
#define LABEL "([aA1]|[aA1][aA1-]*[aA1])"
#define HOST LABEL "([.]" LABEL ")*(:1+)?"
#define REFERENCE "^(" HOST "/)?" COMPONENT "(/" COMPONENT ")*:[aA1_][aA1_.-]*$"

static const char characters[] = "aA1._-:/*?";

/* The text of this number, in the first `base` of these characters. */
static void spell(unsigned number, unsigned base, char ret[static 8]) {
        size_t n = 0;

        for (; number > 0; number = (number - 1) / base)
                ret[n++] = characters[(number - 1) % base];
        ret[n] = '\0';
}

/* All globs of up to three of these characters, and all names of up to five, a tag not counted that no
 * glob asks for: a glob is accepted if it matches one of the names, and only then. */
static void test_agrees_with_matching(void **state) {
        cleanup(strv_done) Strv names = STRV_NULL;
        regex_t reference;
        size_t n_possible = 0, n_globs = 10 + 100 + 1000;

        (void)state;
        assert_int_equal(regcomp(&reference, REFERENCE, REG_EXTENDED | REG_NOSUB), 0);
        for (unsigned i = 1; i < 8 + 64 + 512 + 4096 + 32768; i++) {
                char name[16];

                spell(i, 8, name);
                if (!name_tag(name))
                        strcat(name, ":a");
                if (regexec(&reference, name, 0, NULL, 0) == 0)
                        assert_int_equal(strv_add(&names, name), 0);
        }
        regfree(&reference);
        assert_true(names.n > 1000);

        for (unsigned i = 1; i <= n_globs; i++) {
                char glob[8], *text = glob;
                bool matches = false;

                spell(i, 10, glob);
                for (size_t k = 0; k < names.n && !matches; k++)
                        matches = name_matches(glob, names.v[k]);
                if ((check_glob(&text, NULL) == 0) != matches)
                        fail_msg("\"%s\" matches %s", glob, matches ? "a name" : "none");
                n_possible += matches;
        }
        assert_true(n_possible > n_globs / 10 && n_possible < n_globs * 9 / 10);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_divide),
                cmocka_unit_test(test_agrees_with_matching),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
