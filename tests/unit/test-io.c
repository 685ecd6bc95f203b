/* SPDX-License-Identifier: MIT */

#include "base/io.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "test.h"

static char directory[] = "/tmp/test-io-XXXXXX";

static int setup(void **state) {
        (void)state;
        return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int teardown(void **state) {
        char command[128];

        (void)state;
        snprintf(command, sizeof command, "rm -rf '%s'", directory);
        return chdir("/") == 0 ? system(command) : -1;
}

static size_t entries(const char *path) {
        DIR *stream = opendir(path);
        size_t n = 0;

        assert_non_null(stream);
        while (readdir(stream))
                n++;
        closedir(stream);
        return n - 2;
}

static void test_write_and_read(void **state) {
        cleanup_free char *text = NULL, *again = NULL, *bytes = NULL;
        struct stat st;
        size_t n;

        (void)state;
        umask(077);
        assert_int_equal(file_write_atomic(AT_FDCWD, "a", "first", 5, 0644), 0);
        assert_int_equal(stat("a", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        assert_int_equal(file_read(AT_FDCWD, "a", 5, &text, &n), 0);
        assert_int_equal(n, 5);
        assert_string_equal(text, "first");

        assert_int_equal(file_write_atomic(AT_FDCWD, "./a", "2nd", 3, 0600), 0);
        assert_int_equal(stat("a", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(file_read(AT_FDCWD, "a", 100, &again, NULL), 0);
        assert_string_equal(again, "2nd");

        assert_int_equal(file_write_atomic(AT_FDCWD, "nul", "a\0b", 3, 0600), 0);
        assert_int_equal(file_read(AT_FDCWD, "nul", 100, &bytes, &n), 0);
        assert_int_equal(n, 3);
        assert_memory_equal(bytes, "a\0b", 4);

        assert_int_equal(file_write_atomic(AT_FDCWD, "none/a", "x", 1, 0600), -ENOENT);
        assert_int_equal(file_write_atomic(AT_FDCWD, "a/b", "x", 1, 0600), -ENOTDIR);
        assert_int_equal(file_write_atomic(AT_FDCWD, "a/", "x", 1, 0600), -EISDIR);
        assert_int_equal(file_write_atomic(AT_FDCWD, "", "x", 1, 0600), -EISDIR);
        assert_int_equal(entries("."), 2);
}

static void test_relative_to_a_directory(void **state) {
        cleanup_close int fd = -EBADF;
        cleanup_free char *text = NULL;

        (void)state;
        assert_int_equal(mkdir("sub", 0700), 0);
        assert_int_equal(mkdir("sub/deep", 0700), 0);
        fd = open("sub", O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(file_write_atomic(fd, "f", "", 0, 0600), 0);
        assert_int_equal(file_write_atomic(fd, "deep/f", "deep", 4, 0600), 0);
        assert_int_equal(file_read(fd, "deep/f", 4, &text, NULL), 0);
        assert_string_equal(text, "deep");
        assert_int_equal(access("sub/f", F_OK), 0);

        /* a directory is in the way: nothing is left behind */
        assert_int_equal(file_write_atomic(fd, "deep", "x", 1, 0600), -EISDIR);
        assert_int_equal(entries("sub"), 2);
}

static void test_read_refuses(void **state) {
        cleanup_free char *text = NULL;
        size_t n = 4711;

        (void)state;
        assert_int_equal(file_write_atomic(AT_FDCWD, "six", "123456", 6, 0600), 0);
        assert_int_equal(mkfifo("fifo", 0600), 0);
        assert_int_equal(file_read(AT_FDCWD, "none", 5, &text, &n), -ENOENT);
        assert_int_equal(file_read(AT_FDCWD, "six", 5, &text, &n), -EFBIG);
        assert_int_equal(file_read(AT_FDCWD, ".", 5, &text, &n), -EISDIR);
        assert_int_equal(file_read(AT_FDCWD, "fifo", 5, &text, &n), -EINVAL);
        assert_int_equal(file_read(AT_FDCWD, "/dev/null", 5, &text, &n), -EINVAL);
        assert_null(text);
        assert_int_equal(n, 4711);
}

/* Its size is said to be 0. */
static void test_read_of_proc(void **state) {
        cleanup_free char *text = NULL, *none = NULL;
        size_t n;

        (void)state;
        assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", 1 << 20, &text, &n), 0);
        assert_int_equal(strlen(text), n);
        assert_non_null(strstr(text, "\nPid:"));
        assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", n / 2, &none, &n), -EFBIG);
}

static void test_mkdir_parents(void **state) {
        char path[256];
        struct stat st;

        (void)state;
        umask(0);
        snprintf(path, sizeof path, "%s/p/q//r/", directory);
        assert_int_equal(mkdir_parents(path, 0750), 0);
        assert_int_equal(stat("p/q/r", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0750);
        assert_int_equal(mkdir_parents("p/q/r", 0700), 0);
        assert_int_equal(stat("p/q/r", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0750);
        assert_int_equal(mkdir_parents("relative/child", 0700), 0);
        assert_int_equal(mkdir_parents("/", 0700), 0);
        assert_int_equal(mkdir_parents("", 0700), -ENOENT);

        assert_int_equal(file_write_atomic(AT_FDCWD, "file", "", 0, 0600), 0);
        assert_int_equal(mkdir_parents("file", 0700), -ENOTDIR);
        assert_int_equal(mkdir_parents("file/child", 0700), -ENOTDIR);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_write_and_read),
                cmocka_unit_test(test_relative_to_a_directory),
                cmocka_unit_test(test_read_refuses),
                cmocka_unit_test(test_read_of_proc),
                cmocka_unit_test(test_mkdir_parents),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
