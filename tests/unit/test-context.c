/* SPDX-License-Identifier: MIT */

/* Most cases are those of moby/patternmatcher's own tests, of paths that a directory can have. */

#include "apps/context.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "apps/root.h"
#include "base/diag.h"
#include "base/io.h"
#include "base/text.h"
#include "test.h"

#define NOBODY 65534

static char directory[] = "/tmp/test-context-XXXXXX";

#define ok(call)                                                    \
        do {                                                        \
                if ((call) < 0)                                     \
                        fail_msg("%s: %s", #call, strerror(errno)); \
        } while (0)

/* Relative to the test's directory, where each test begins. */
static void make_file_of(const char *path, const char *text, size_t n) {
        if (unlink(path) < 0)
                assert_int_equal(errno, ENOENT);
        assert_int_equal(file_write_atomic(AT_FDCWD, path, text, n, 0644), 0);
}

static void make_file(const char *path, const char *text) {
        make_file_of(path, text, strlen(text));
}

static int wipe_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        (void)st, (void)ftw;
        return flag == FTW_DP ? rmdir(path) : unlink(path);
}

static int setup(void **state) {
        (void)state;
        return chdir(directory) == 0 && mkdir("top", 0755) == 0 && mkdir("top/root", 0755) == 0
                       ? 0
                       : -1;
}

static int teardown(void **state) {
        (void)state;
        return chdir(directory) < 0 ? -1 : nftw("top", wipe_entry, 100, FTW_PHYS | FTW_DEPTH);
}

/* Of the context at this path; NULL: at the root. */
static Context *open_context(const char *path, const char *dockerfile, Diag *diag) {
        cleanup_free char *root_path = text_format("%s/top/root", directory);
        cleanup_free char *whole = path ? text_format("%s/%s", directory, path) : NULL;
        cleanup(app_close) AppRoot root = APP_ROOT_NULL;
        Context *context = NULL;

        *diag = DIAG_NULL;
        assert_int_equal(app_open(root_path, &root, NULL), 0);
        assert_int_equal(context_new(&root, whole, dockerfile, &context, diag), 0);
        assert_non_null(context);
        return context;
}

/* What becomes of a directory with this .dockerignore in the root, which can be read. */
static ContextStatus reach_of(const char *ignored, const char *path) {
        cleanup(context_free) Context *context = NULL;
        Diag diag;

        make_file("top/root/.dockerignore", ignored);
        context = open_context(NULL, "Dockerfile", &diag);
        if (*diag.text)
                fail_msg("'%s': %s", ignored, diag.text);
        return context_status(context, path);
}

static void assert_reach(const char *ignored, const char *path, ContextStatus expected) {
        ContextStatus reach = reach_of(ignored, path);

        if (reach != expected)
                fail_msg("'%s' with '%s': %s", path, ignored, context_status_to_string(reach));
}

static void assert_unknown(const char *ignored) {
        cleanup(context_free) Context *context = NULL;
        Diag diag;

        make_file("top/root/.dockerignore", ignored);
        context = open_context(NULL, "Dockerfile", &diag);
        if (!strstr(diag.text, ".dockerignore, line"))
                fail_msg("'%s': '%s'", ignored, diag.text);
        assert_int_equal(context_status(context, "a"), CONTEXT_INSIDE);
        assert_int_equal(context_status(context, ".next"), CONTEXT_INSIDE);
}

typedef struct Case {
        const char *ignored, *path;
        bool matches;
} Case;

static void assert_cases(const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++)
                assert_reach(cases[i].ignored, cases[i].path,
                             cases[i].matches ? CONTEXT_IGNORED : CONTEXT_INSIDE);
}

/* TestMatches, TestWildcardMatches ... */
static void test_patterns(void **state) {
        static const Case cases[] = {
                { "*", "fileutils.go", true },
                { "*.go", "fileutils.go", true },
                { "", "any/path/there", false },
                { "**", "file", true },
                { "**/", "file", true },
                { "**", "dir/file", true },
                { "**/", "dir/file", true },
                { "**/**", "dir/file", true },
                { "dir/**", "dir/file", true },
                { "dir/**", "dir/dir2/file", true },
                { "**/dir", "dir", true },
                { "**/dir", "dir/file", true },
                { "**/dir2/*", "dir/dir2/file", true },
                { "**/dir2/**", "dir/dir2/dir3/file", true },
                { "**file", "file", true },
                { "**file", "dir/file", true },
                { "**/file", "dir/file", true },
                { "**file", "dir/dir/file", true },
                { "**/file", "dir/dir/file", true },
                { "**/file*", "dir/dir/file", true },
                { "**/file*", "dir/dir/file.txt", true },
                { "**/file*txt", "dir/dir/file.txt", true },
                { "**/file*.txt", "dir/dir/file.txt", true },
                { "**/file*.txt*", "dir/dir/file.txt", true },
                { "**/**/*.txt", "dir/dir/file.txt", true },
                { "**/**/*.txt2", "dir/dir/file.txt", false },
                { "**/*.txt", "file.txt", true },
                { "**/**/*.txt", "file.txt", true },
                { "a**/*.txt", "a/file.txt", true },
                { "a**/*.txt", "a/dir/file.txt", true },
                { "a**/*.txt", "a/dir/dir/file.txt", true },
                { "a/*.txt", "a/dir/file.txt", false },
                { "a/*.txt", "a/file.txt", true },
                { "a/*.txt**", "a/file.txt", true },
                { "a[b-d]e", "ae", false },
                { "a[b-d]e", "ace", true },
                { "a[b-d]e", "aae", false },
                { "a[^b-d]e", "aze", true },
                { ".*", ".foo", true },
                { ".*", "foo", false },
                { "abc.def", "abcdef", false },
                { "abc.def", "abc.def", true },
                { "abc.def", "abcZdef", false },
                { "abc?def", "abcZdef", true },
                { "abc?def", "abcdef", false },
                { "a\\\\", "a\\", true },
                { "**/foo/bar", "foo/bar", true },
                { "**/foo/bar", "dir/foo/bar", true },
                { "**/foo/bar", "dir/dir2/foo/bar", true },
                { "abc/**", "abc/def", true },
                { "abc/**", "abc/def/ghi", true },
                { "**/.foo", ".foo", true },
                { "**/.foo", "bar.foo", false },
                { "a(b)c/def", "a(b)c/def", true },
                { "a(b)c/def", "a(b)c/xyz", false },
                { "a.|)$(}+{bc", "a.|)$(}+{bc", true },
                { "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
                  "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", true },
                { "dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", true },
                { "a\\*b", "a*b", true },
                /* not in its tests: a suffix where nothing else is special, newlines, slashes */
                { "**file", "dir/profile", true },
                { "**file*", "dir/profile", false },
                { "**/[f]ile", "a\nb/file", false },
                { "**/file", "a\nb/file", true },
                { "a[^b]c", "a/c", true },
                { "a[/]c", "a/c", true },
                { "*.{js,ts}", "a.{js,ts}", true },
                { "*.{js,ts}", "a.js", false },
                { "é*", "\xe9t", false },
                { "?", "\xff", true },
                { "??", "é", false },
        };

        (void)state;
        assert_cases(cases, ELEMENTSOF(cases));
}

/* Its matchTests, which are those of Go's path/filepath. */
static void test_go_patterns(void **state) {
        static const Case cases[] = {
                { "abc", "abc", true },
                { "*", "abc", true },
                { "*c", "abc", true },
                { "a*", "a", true },
                { "a*", "abc", true },
                { "a*", "ab/c", true },
                { "a*/b", "abc/b", true },
                { "a*/b", "a/c/b", false },
                { "a*b*c*d*e*/f", "axbxcxdxe/f", true },
                { "a*b*c*d*e*/f", "axbxcxdxexxx/f", true },
                { "a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false },
                { "a*b*c*d*e*/f", "axbxcxdxexxx/fff", false },
                { "a*b?c*x", "abxbbxdbxebxczzx", true },
                { "a*b?c*x", "abxbbxdbxebxczzy", false },
                { "ab[c]", "abc", true },
                { "ab[b-d]", "abc", true },
                { "ab[e-g]", "abc", false },
                { "ab[^c]", "abc", false },
                { "ab[^b-d]", "abc", false },
                { "ab[^e-g]", "abc", true },
                { "a\\*b", "ab", false },
                { "a?b", "a☺b", true },
                { "a[^a]b", "a☺b", true },
                { "a???b", "a☺b", false },
                { "a[^a][^a][^a]b", "a☺b", false },
                { "[a-ζ]*", "α", true },
                { "*[a-ζ]", "A", false },
                { "a?b", "a/b", false },
                { "a*b", "a/b", false },
                { "[\\]a]", "]", true },
                { "[\\-]", "-", true },
                { "[x\\-]", "x", true },
                { "[x\\-]", "-", true },
                { "[x\\-]", "z", false },
                { "[\\-x]", "x", true },
                { "[\\-x]", "-", true },
                { "[\\-x]", "a", false },
                { "*x", "xxx", true },
        };

        (void)state;
        assert_cases(cases, ELEMENTSOF(cases));
}

static void test_several_patterns(void **state) {
        static const Case cases[] = {
                { "!fileutils.go\n*.go", "fileutils.go", true },
                { "*.go\n!fileutils.go", "fileutils.go", false },
                { "docs\n!docs/README.md", "docs/README.md", false },
                { "docs/\n!docs/README.md", "docs/README.md", false },
                { "docs/*\n!docs/README.md", "docs/README.md", false },
                { "**\n!util/docker/web", "util/docker/web/foo", false },
                { "**\n!util/docker/web\nutil/docker/web/foo", "util/docker/web/foo", true },
                { "**\n!dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
                  "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl", false },
                { "**\n!dist/*.whl", "dist/proxy.py-2.4.0rc3.dev36+g08acad9-py3-none-any.whl",
                  false },
                /* The two ways to match differ: one of them takes it. */
                { "a\n!a/x\na", "a/x", false },
                { "a/x\n!a", "a/x", false },
        };

        (void)state;
        assert_cases(cases, ELEMENTSOF(cases));
}

/* TestReadAll, and what Clean and TrimSpace do */
static void test_lines(void **state) {
        static const Case cases[] = {
                { "test1\n/test2\n/a/file/here\n\nlastfile\n", "test1", true },
                { "test1\n/test2\n/a/file/here\n\nlastfile\n", "test2", true },
                { "test1\n/test2\n/a/file/here\n\nlastfile\n", "a/file/here", true },
                { "test1\n/test2\n/a/file/here\n\nlastfile", "lastfile", true },
                { "*\n! /inverted/abs/path", "inverted/abs/path", false },
                { "#a", "#a", false },
                { " #a", "#a", true },
                { "\\#a", "#a", true },
                { "a # b", "a", false },
                { "a\r\nb\r\n", "a", true },
                { "  a\t\nb", "a", true },
                { "\u00a0\u3000a\u2009\xc2\x85", "a", true },
                { "\ufeffa", "a", true },
                { "\ufeff#a", "#a", false },
                { "//a//b/", "a/b", true },
                { "./a/./b/../c", "a/c", true },
                { "/../a", "a", true },
                { "../a", "a", false },
                { "a/../../b", "b", false },
                { ".", "a", false },
                { "/", "a", false },
                { "*\n!.", "a", true },
                { "*\n!../..", "a", true },
                { "a\n!!a", "a", true },
                { "/ !a\n*\n/ !a", "a", false },
                { "a /", "a", true },
        };

        (void)state;
        assert_cases(cases, ELEMENTSOF(cases));
}

/* A file with one is malformed for the builders too, or means what nobody has in mind. */
static void test_not_understood(void **state) {
        static const char *const patterns[] = {
                "!",      "! ",     "!/",         "[",           "[]a]",          "[-]",
                "[x-]",   "[-x]",   "\\",         "a\\",         "[a-b-c]",       "[^",
                "[^bc",   "a[",     "[]",         "[^]",         "[z-a]",         "[a",
                "[a\\]",  "[*]",    "[a?]",       "[[:alpha:]]", "a\\d",          "[\\w]",
                "\\é",    "a|b*",   "*^",         "a{2}?",       "[Local-Only]/", "\xff",
                "a\xc3*", "\ufffd", "x\n\ufeffa",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(patterns); i++) {
                cleanup_free char *before = text_format("*\n%s", patterns[i]);
                cleanup_free char *after = text_format("%s\n*\n", patterns[i]);

                assert_unknown(before);
                assert_unknown(after);
        }
}

/* It is ignored if nothing in it can be taken: not by a later exception, whatever that takes. */
static void test_exceptions_below(void **state) {
        static const Case cases[] = {
                { ".next\n!.next/cache", ".next", false },
                { ".next\n!.next/cache", ".next/cache", false },
                { ".next\n!.next/cache", ".next/server", true },
                { ".next\n!.next/cache", "src/.next", false },
                { "**/.next\n!.next/cache", "src/.next", true },
                { "!.next/cache\n.next", ".next", true },
                { ".next\n!.next-cache", ".next", true },
                { ".next\n!.nex", ".next", true },
                { ".next\n!src", ".next", true },
                { "src\n!src", "src/.next", false },
                { ".next\n!**/keep", ".next", false },
                { ".next\n!**keep", ".next", false },
                { ".next\n!*/keep", ".next", false },
                { ".next\n!*/keep", ".next/server", true },
                { ".next\n!*", ".next", false },
                { ".next\n!*.md", ".next", true },
                { ".next\n!*.md", "a.md", false },
                { ".next\n!.ne[x]t/*", ".next", false },
                { ".next\n!.next/**", ".next", false },
                { ".next\n!.next/**/a/b", ".next/c/d", false },
                { ".next\n!.next/?/b", ".next/cc", true },
                { ".next\n!.next/?/b", ".next/c", false },
                { "a\n!a/x/y\na", "a", false },
                { "a\n!a/x/y\na", "a/x", false },
                { "a\n!a/x/y\na", "a/z", true },
        };

        (void)state;
        assert_cases(cases, ELEMENTSOF(cases));
}

/* An empty directory is all that is taken. */
static void test_all_that_is_in_it(void **state) {
        static const Case cases[] = {
                { ".next/*", ".next", true },
                { ".next/**", ".next", true },
                { "**/__pycache__/*", "a/b/__pycache__", true },
                { "**/__pycache__/**", "a/b/__pycache__", true },
                { "*/*", ".next", true },
                { "abc/**", "abcd", false },
                { ".next/?*", ".next", false },
                { ".next/.*", ".next", false },
                { ".next/[^.]*", ".next", false },
                { ".next/*/*", ".next", false },
                { ".next/*/**", ".next", false },
                { "*\n!.next\n.next/*", ".next", true },
                { ".next/*\n!.next", ".next", false },
                { ".next/*\n!.next/cache", ".next", false },
                /* "x*" hides from the third that the second took something */
                { ".next/x*\n!.next/x1/y\n.next/*", ".next", false },
        };

        (void)state;
        assert_cases(cases, ELEMENTSOF(cases));
}

static void assert_reaches(Context *context, const char *path, ContextStatus reach) {
        assert_string_equal(context_status_to_string(context_status(context, path)),
                            context_status_to_string(reach));
}

static void test_no_file(void **state) {
        cleanup(context_free) Context *context = NULL;
        Diag diag;

        (void)state;
        context = open_context(NULL, "Dockerfile", &diag);
        assert_string_equal(diag.text, "");
        assert_reaches(context, ".next", CONTEXT_INSIDE);
}

/* `path`: of the context. */
static void assert_not_read(const char *path, const char *why) {
        cleanup(context_free) Context *context = NULL;
        Diag diag;

        context = open_context(path, "Dockerfile", &diag);
        if (!strstr(diag.text, why))
                fail_msg("'%s', not '%s'", diag.text, why);
        assert_reaches(context, ".next", CONTEXT_INSIDE);
}

static void test_no_regular_file(void **state) {
        static const char name[] = "top/root/.dockerignore";

        (void)state;
        make_file("top/root/other", "*");
        ok(symlink("other", name));
        assert_not_read(NULL, ".dockerignore: no regular file");
        ok(unlink(name));
        ok(symlink("none", name));
        assert_not_read(NULL, ".dockerignore: no regular file");
        ok(unlink(name));
        ok(mkfifo(name, 0644));
        assert_not_read(NULL, ".dockerignore: no regular file");
        ok(unlink(name));
        ok(mkdir(name, 0755));
        assert_not_read(NULL, ".dockerignore: no regular file");
        ok(rmdir(name));
}

static void test_too_much(void **state) {
        cleanup_free char *text = malloc((1U << 20) + 2);

        (void)state;
        assert_non_null(text);
        memset(text, '#', (1U << 20) + 1);
        memcpy(text, ".next\n", 6);
        make_file_of("top/root/.dockerignore", text, (1U << 20) + 1);
        assert_not_read(NULL, ".dockerignore: File too large");
        text[1U << 20] = '\0';
        assert_reach(text, ".next", CONTEXT_IGNORED);

        make_file_of("top/root/.dockerignore", ".next\na\0b", 9);
        assert_not_read(NULL, ".dockerignore is not text");

        memset(text, 'a', 1025);
        memcpy(text + 1025, "\n.next", 7);
        assert_unknown(text);
        assert_reach(text + 1, ".next", CONTEXT_IGNORED);

        strcpy(text, ".next\n");
        for (size_t i = 0; i < 4096; i++)
                memcpy(text + 6 + 2 * i, "a\n", 3);
        assert_unknown(text);
        text[6 + 4095 * 2] = '\0';
        assert_reach(text, ".next", CONTEXT_IGNORED);
}

/* Text and path were made to take long. */
static void test_hostile(void **state) {
        static const char *const patterns[] = { "*a", "**/a", "a**", "[^b]*?", "**" };
        cleanup_free char *text = malloc(1U << 20), *path = malloc(200001);
        struct timespec from, to;

        (void)state;
        assert_non_null(text);
        assert_non_null(path);
        for (size_t i = 0; i < 100000; i++)
                memcpy(path + 2 * i, i % 100 == 99 ? "a/" : "aa", 2);
        strcpy(path + 199998, "a");
        for (size_t i = 0; i < ELEMENTSOF(patterns); i++) {
                cleanup(context_free) Context *context = NULL;
                char *at = text;
                Diag diag;

                while (at - text < 1000000) {
                        char *start = at;

                        while (at - start < 1000)
                                at = stpcpy(at, patterns[i]);
                        at = stpcpy(at, "b\n");
                }
                make_file("top/root/.dockerignore", text);
                context = open_context(NULL, "Dockerfile", &diag);
                assert_string_equal(diag.text, "");
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
                assert_reaches(context, path, CONTEXT_INSIDE);
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
                assert_true(to.tv_sec - from.tv_sec < 2);
        }
        strcpy(path + 2000, "b");
        assert_reach("**/a", path, CONTEXT_INSIDE);
        assert_reach("**/b", path, CONTEXT_IGNORED);
        assert_reach("a*", path, CONTEXT_IGNORED);
}

static void test_beside_the_dockerfile(void **state) {
        static const struct {
                const char *dockerfile; /* "//": the test's directory before it */
                const char *file, *ignored;
        } cases[] = {
                { "Dockerfile", "root/Dockerfile.dockerignore", "a" },
                { "./Dockerfile", "root/Dockerfile.dockerignore", "a" },
                { "web.docker", "root/web.docker.dockerignore", "a" },
                { "docker/web", "root/docker/web.dockerignore", "a" },
                { "docker/../docker/web", "root/docker/web.dockerignore", "a" },
                { "../web", "web.dockerignore", "a" },
                { "//top/root/docker/web", "root/docker/web.dockerignore", "a" },
                { "//top/web", "web.dockerignore", "a" },
                { "Dockerfile", "root/docker/Dockerfile.dockerignore", ".next" },
                { "docker/Dockerfile", "root/Dockerfile.dockerignore", ".next" },
                { "none/Dockerfile", "root/Dockerfile.dockerignore", ".next" },
                { "../none/Dockerfile", "root/Dockerfile.dockerignore", ".next" },
        };

        (void)state;
        ok(mkdir("top/root/docker", 0755));
        make_file("top/root/.dockerignore", ".next");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *dockerfile = cases[i].dockerfile;
                bool far = strncmp(dockerfile, "//", 2) == 0;
                cleanup_free char *whole =
                        text_format("%s%s", far ? directory : "", dockerfile + far);
                cleanup_free char *file = text_format("top/%s", cases[i].file);
                cleanup(context_free) Context *context = NULL;
                Diag diag;

                make_file(file, "a\n");
                context = open_context(NULL, whole, &diag);
                assert_string_equal(diag.text, "");
                assert_reaches(context, cases[i].ignored, CONTEXT_IGNORED);
                assert_reaches(context, cases[i].ignored[0] == 'a' ? ".next" : "a", CONTEXT_INSIDE);
                ok(unlink(file));
        }
}

/* Whatever a builder would make of it, what is beside the context's .dockerignore is not known. */
static void test_dockerfile_not_read(void **state) {
        cleanup(context_free) Context *context = NULL, *other = NULL;
        Diag diag;

        (void)state;
        make_file("top/root/.dockerignore", ".next");
        make_file("top/other", ".next");
        ok(symlink("../other", "top/root/Dockerfile.dockerignore"));
        assert_not_read(NULL, "Dockerfile.dockerignore: no regular file");
        ok(unlink("top/root/Dockerfile.dockerignore"));
        make_file("top/root/Dockerfile.dockerignore", "");
        context = open_context(NULL, "Dockerfile", &diag);
        assert_string_equal(diag.text, "");
        assert_reaches(context, ".next", CONTEXT_INSIDE);
        make_file("top/root/Dockerfile.dockerignore", "[");
        assert_not_read(NULL, "Dockerfile.dockerignore, line 1");

        ok(mkdir("top/root/docker", 0755));
        ok(symlink("docker", "top/root/link"));
        other = open_context(NULL, "link/Dockerfile", &diag);
        assert_string_not_equal(diag.text, "");
        assert_reaches(other, ".next", CONTEXT_INSIDE);
}

static void test_root_below_the_context(void **state) {
        cleanup(context_free) Context *context = NULL;
        Diag diag;

        (void)state;
        make_file("top/root/.dockerignore", "*");
        make_file("top/.dockerignore", "root/.next\n.turbo\n**/__pycache__\n");
        context = open_context("top", "root/Dockerfile", &diag);
        assert_string_equal(diag.text, "");
        assert_reaches(context, ".next", CONTEXT_IGNORED);
        assert_reaches(context, ".next/cache", CONTEXT_IGNORED);
        assert_reaches(context, "src/.next", CONTEXT_INSIDE);
        assert_reaches(context, ".turbo", CONTEXT_INSIDE);
        assert_reaches(context, "a/__pycache__", CONTEXT_IGNORED);
}

static void test_context_below_the_root(void **state) {
        cleanup(context_free) Context *context = NULL;
        Diag diag;

        (void)state;
        ok(mkdir("top/root/web", 0755));
        ok(mkdir("top/root/web/app", 0755));
        make_file("top/root/.dockerignore", "*");
        make_file("top/root/web/app/.dockerignore", ".next\nweb");
        context = open_context("top/root/web/app", "Dockerfile", &diag);
        assert_string_equal(diag.text, "");
        assert_reaches(context, "web/app/.next", CONTEXT_IGNORED);
        assert_reaches(context, "web/app/.turbo", CONTEXT_INSIDE);
        assert_reaches(context, "web/app/web/x", CONTEXT_IGNORED);
        assert_reaches(context, ".next", CONTEXT_OUTSIDE);
        assert_reaches(context, "web/.next", CONTEXT_OUTSIDE);
        assert_reaches(context, "web/app2", CONTEXT_OUTSIDE);
        assert_reaches(context, "web/app", CONTEXT_INSIDE);
        assert_reaches(context, "web", CONTEXT_INSIDE);
        assert_reaches(context, "we", CONTEXT_OUTSIDE);
}

static void test_other_contexts(void **state) {
        cleanup(context_free) Context *beside = NULL, *same = NULL, *linked = NULL;
        Diag diag;

        (void)state;
        ok(mkdir("top/root2", 0755));
        beside = open_context("top/root2", "Dockerfile", &diag);
        assert_string_equal(diag.text, "");
        assert_reaches(beside, ".next", CONTEXT_OUTSIDE);

        make_file("top/root/.dockerignore", ".next");
        same = open_context("top/root", "Dockerfile", &diag);
        assert_string_equal(diag.text, "");
        assert_reaches(same, ".next", CONTEXT_IGNORED);

        assert_not_read("top/none", "none of");
        assert_not_read("top/root/.dockerignore", "is not a directory");
        if (geteuid() != 0)
                return;
        ok(symlink("root", "top/link"));
        linked = open_context("top/link", "Dockerfile", &diag);
        assert_string_equal(diag.text, "");
        assert_reaches(linked, ".next", CONTEXT_IGNORED);
        ok(lchown("top/link", NOBODY, NOBODY));
        assert_not_read("top/link", "symlink");
}

int main(void) {
#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
        const struct CMUnitTest tests[] = {
                test(test_patterns),
                test(test_go_patterns),
                test(test_several_patterns),
                test(test_lines),
                test(test_not_understood),
                test(test_exceptions_below),
                test(test_all_that_is_in_it),
                test(test_no_file),
                test(test_no_regular_file),
                test(test_too_much),
                test(test_hostile),
                test(test_beside_the_dockerfile),
                test(test_dockerfile_not_read),
                test(test_root_below_the_context),
                test(test_context_below_the_root),
                test(test_other_contexts),
        };
        int r;

        umask(022);
        if (!mkdtemp(directory) || chmod(directory, 0755) < 0)
                return EXIT_FAILURE;
        r = cmocka_run_group_tests(tests, NULL, NULL);
        return chdir("/") < 0 || rmdir(directory) < 0 ? EXIT_FAILURE : r;
}
