/* SPDX-License-Identifier: MIT */

#include "base/log.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "test.h"

static int saved_stderr = -EBADF, out = -EBADF;

static int setup(void **state) {
        (void)state;
        saved_stderr = dup(STDERR_FILENO);
        out = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        return saved_stderr >= 0 && out >= 0 && dup2(out, STDERR_FILENO) >= 0 ? 0 : -1;
}

static int teardown(void **state) {
        (void)state;
        dup2(saved_stderr, STDERR_FILENO);
        close(saved_stderr);
        close(out);
        return 0;
}

static void assert_written(const char *expected) {
        char text[8192];
        ssize_t n = pread(out, text, sizeof text - 1, 0);

        assert_true(n >= 0);
        text[n] = '\0';
        assert_string_equal(text, expected);
        assert_int_equal(ftruncate(out, 0), 0);
        assert_int_equal(lseek(out, 0, SEEK_SET), 0);
}

static void test_lines(void **state) {
        (void)state;
        log_open(LOG_INFO);
        assert_int_equal(log_info("%d of %d", 1, 2), 0);
        assert_written("<6>1 of 2\n");
        assert_int_equal(log_error_errno(-ENOENT, "No %s", "luck"), -ENOENT);
        assert_written("<3>No luck: No such file or directory\n");
        assert_int_equal(log_warning_errno(ENOENT, "No luck"), -ENOENT);
        assert_written("<4>No luck: No such file or directory\n");
        assert_int_equal(log_error_errno(0, "Fine"), 0);
        assert_written("<3>Fine\n");

        /* fields are the journal's alone */
        assert_int_equal(log_full(LOG_NOTICE, 0, "WPCACHE_JOB=1\nWPCACHE_TARGET=all", "Job"), 0);
        assert_written("<5>Job\n");

        /* one record, one line */
        (void)log_info("a\n<0>b\x1b[m\n");
        assert_written("<6>a <0>b?[m\n");
        /* NOLINTNEXTLINE(misc-misleading-bidirectional) */
        (void)log_info("%s", "a\342\200\256b\342\201\246\u2028 <0>c");
        assert_written("<6>a?b?? <0>c\n");
}

static void test_levels(void **state) {
        (void)state;
        log_open(LOG_WARNING);
        (void)log_notice("unseen");
        assert_int_equal(log_full(LOG_INFO, -EIO, NULL, "unseen"), -EIO);
        (void)log_warning("seen");
        assert_written("<4>seen\n");
        log_open(LOG_DEBUG);
        (void)log_debug("seen");
        assert_written("<7>seen\n");
}

static void test_errno_survives(void **state) {
        (void)state;
        log_open(LOG_INFO);
        errno = EXDEV;
        (void)log_info("x");
        assert_int_equal(errno, EXDEV);
        assert_written("<6>x\n");
}

static void test_long_text(void **state) {
        char text[8192], expected[8192];

        (void)state;
        log_open(LOG_INFO);
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        (void)log_info("%s", text);
        snprintf(expected, sizeof expected, "<6>%.2044s...\n", text);
        assert_written(expected);
        (void)log_warning_errno(-EIO, "%s", text);
        snprintf(expected, sizeof expected, "<4>%.2024s...: Input/output error\n", text);
        assert_written(expected);
}

/* The variable is inherited; the stream may be another one. */
static void test_stale_journal_stream(void **state) {
        static const char *const values[] = { "", "1", "1:2", "1:2x", "x:y", "-1:-1" };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                setenv("JOURNAL_STREAM", values[i], 1);
                log_open(LOG_INFO);
                (void)log_info("here");
                assert_written("<6>here\n");
        }
        unsetenv("JOURNAL_STREAM");
}

static void claim_stderr(void) {
        char stream[64];
        struct stat st;

        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        log_open(LOG_INFO);
        unsetenv("JOURNAL_STREAM");
}

static bool has_field(const char *record, size_t n, const char *field) {
        char line[256];
        int length = snprintf(line, sizeof line, "%s\n", field);

        return memmem(record, n, line, (size_t)length) != NULL;
}

/* A journal of our own, in a mount namespace of our own, which only root can have. */
static void test_journal(void **state) {
        static const struct sockaddr_un address = { AF_UNIX, "/run/systemd/journal/socket" };
        cleanup_close int fd = -EBADF;
        char record[4096];
        ssize_t n;

        (void)state;
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0)
                skip();
        claim_stderr();
        assert_int_equal(mkdir("/run/systemd", 0755), 0);
        assert_int_equal(mkdir("/run/systemd/journal", 0755), 0);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(
                log_full(LOG_WARNING, -EIO, "WPCACHE_JOB=7\nWPCACHE_TARGET=all", "Job %d", 7),
                -EIO);
        n = recv(fd, record, sizeof record, 0);
        assert_true(n > 0);
        assert_true(has_field(record, (size_t)n, "MESSAGE=Job 7: Input/output error"));
        assert_true(has_field(record, (size_t)n, "PRIORITY=4"));
        assert_true(has_field(record, (size_t)n, "ERRNO=5"));
        assert_true(has_field(record, (size_t)n, "WPCACHE_JOB=7"));
        assert_true(has_field(record, (size_t)n, "WPCACHE_TARGET=all"));
        assert_null(memmem(record, (size_t)n, "CODE_FILE", 9));

        /* NOLINTNEXTLINE(misc-misleading-bidirectional) */
        assert_int_equal(log_full(LOG_INFO, 0, "A=\342\200\256x\x1b[m\n\nB=2\n", "\342\200\256y"),
                         0);
        n = recv(fd, record, sizeof record, 0);
        assert_true(n > 0);
        assert_true(has_field(record, (size_t)n, "MESSAGE=?y"));
        assert_true(has_field(record, (size_t)n, "A=?x?[m"));
        assert_true(has_field(record, (size_t)n, "B=2"));
        assert_written("");

        /* nobody listens any more: the line is not lost */
        close(TAKE_FD(fd));
        (void)log_full(LOG_INFO, -EIO, "A=1\nB=2", "here");
        assert_written("<6>here: Input/output error\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
                cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
                cmocka_unit_test_setup_teardown(test_errno_survives, setup, teardown),
                cmocka_unit_test_setup_teardown(test_long_text, setup, teardown),
                cmocka_unit_test_setup_teardown(test_stale_journal_stream, setup, teardown),
                cmocka_unit_test_setup_teardown(test_journal, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
