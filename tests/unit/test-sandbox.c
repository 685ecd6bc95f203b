/* SPDX-License-Identifier: MIT */

/*
 * What the daemon's unit has to be given for a root. In a small world of its own, in memory, whose "/"
 * is on the applications' mount. Needs root.
 */

#include "apps/sandbox.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "apps/sysdirs.h"
#include "base/path.h"
#include "base/text.h"
#include "world.h"

#define USER 61234
#define SOMEBODY 61235
#define GROUP 61236
#define APP "/srv/team/app"

#define ok(call)                                                    \
        do {                                                        \
                if ((call) < 0)                                     \
                        fail_msg("%s: %s", #call, strerror(errno)); \
        } while (0)

static ServiceUser user;
static gid_t groups[] = { GROUP };

static int wipe_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        (void)st, (void)ftw;
        if (strcmp(path, "/") == 0)
                return 0;
        return flag == FTW_DP ? rmdir(path) : unlink(path);
}

static void make(const char *path) {
        char copy[256];

        snprintf(copy, sizeof(copy), "%s", path);
        for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (mkdir(copy, 0755) < 0 && errno != EEXIST)
                        fail_msg("%s: %s", copy, strerror(errno));
                *slash = '/';
        }
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
                fail_msg("%s: %s", copy, strerror(errno));
}

static void make_of(const char *path, uid_t uid, mode_t mode) {
        make(path);
        ok(chown(path, uid, uid));
        ok(chmod(path, mode));
}

static void make_file(const char *path) {
        cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

        ok(fd);
}

static int setup(void **state) {
        (void)state;
        user = (ServiceUser){ .name = "wpcache", .known = true, .uid = USER, .gid = USER };
        make(APP);
        return 0;
}

static int teardown(void **state) {
        static const char *const paths[] = { "/srv", "/home", "/var", "/usr", "/etc", "/run" };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {

                if (access(paths[i], F_OK) == 0 &&
                    nftw(paths[i], wipe_entry, 100, FTW_PHYS | FTW_DEPTH | FTW_MOUNT) < 0)
                        return -1;
        }
        return chmod("/", 0755);
}

static SandboxGrants need_of(const char *root, const char *trash) {
        cleanup(strv_done) Strv caches = STRV_NULL;
        SandboxGrants need;
        Diag diag = DIAG_NULL;

        assert_int_equal(strv_add(&caches, ".next"), 0);
        if (sandbox_grants(root, &caches, trash, NULL, &user, &need, &diag) < 0)
                fail_msg("%s: %s", root, diag.text);
        return need;
}

/* `note`: a part of the only one, or NULL for none. */
static void assert_path(const char *root, const char *trash, const char *path, Hidden hidden,
                        const char *expected) {
        cleanup(sandbox_grants_done) SandboxGrants need = need_of(root, trash);

        assert_string_equal(need.path, path);
        assert_int_equal(need.hidden, hidden);
        assert_int_equal(need.notes.n, expected ? 1 : 0);
        if (expected && !strstr(need.notes.v[0], expected))
                fail_msg("'%s', not '%s'", need.notes.v[0], expected);
}

static void assert_capability(const char *root, const char *why) {
        cleanup(sandbox_grants_done) SandboxGrants need = need_of(root, NULL);

        if (!why && need.capability)
                fail_msg("%s", need.capability);
        if (!why)
                return;
        assert_non_null(need.capability);
        if (!strstr(need.capability, why))
                fail_msg("'%s', not '%s'", need.capability, why);
        assert_null(need.make_trash);
}

static void assert_make_trash(const char *root, const char *trash, const char *expected) {
        cleanup(sandbox_grants_done) SandboxGrants need = need_of(root, trash);

        assert_null(need.capability);
        if (expected) {
                assert_non_null(need.make_trash);
                assert_string_equal(need.make_trash, expected);
        } else
                assert_null(need.make_trash);
}

static void test_nearest(void **state) {
        (void)state;
        assert_path(APP, NULL, "/srv/team", HIDDEN_NOT, NULL);
        make_file("/srv/team/compose.yaml");
        assert_path(APP, NULL, "/srv", HIDDEN_NOT, NULL);
        ok(unlink("/srv/team/compose.yaml"));
        ok(chown("/srv/team", SOMEBODY, 0));
        assert_path(APP, NULL, "/srv", HIDDEN_NOT, NULL);
        ok(chown("/srv/team", 0, 0));
        ok(chmod("/srv/team", 0775));
        assert_path(APP, NULL, "/srv", HIDDEN_NOT, NULL);
        ok(chmod("/srv/team", 0755));
        assert_path(APP, NULL, "/srv/team", HIDDEN_NOT, NULL);

        ok(chown("/srv", SOMEBODY, 0));
        assert_path(APP, NULL, APP, HIDDEN_NOT, "users other than root may move /srv/team");
        ok(chown("/srv", USER, 0));
        assert_path(APP, NULL, "/srv/team", HIDDEN_NOT, NULL);
        user.known = false;
        user.uid = 0;
        assert_path(APP, NULL, APP, HIDDEN_NOT, "users other than root may move /srv/team");
        ok(chown("/srv", 0, 0));

        assert_path("/srv/app", NULL, "/srv", HIDDEN_NOT, "/srv/app: No such file or directory");
        ok(symlink("team", "/srv/link"));
        assert_path("/srv/link/app", NULL, "/srv/team", HIDDEN_NOT, NULL);
}

/* As trash_choose() takes none there. */
static void test_outside(void **state) {
        static const struct {
                const char *outside, *path;
        } table[] = {
                { "/srv/team/app", "/srv/team" },
                { "/srv/team/ap", "/srv/team" },
                { "/srv/team", "/srv" },
                { "/srv/link", "/srv" },
                { "/srv", APP },
                { "/", APP },
        };

        (void)state;
        ok(symlink("team", "/srv/link"));
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(strv_done) Strv caches = STRV_NULL, outside = STRV_NULL;
                cleanup(sandbox_grants_done) SandboxGrants need = { 0 };

                assert_int_equal(strv_add(&outside, table[i].outside), 0);
                assert_int_equal(sandbox_grants(APP, &caches, NULL, &outside, &user, &need, NULL),
                                 0);
                assert_string_equal(need.path, table[i].path);
        }
}

static void test_control_characters(void **state) {
        static const char *const paths[] = { "/srv/te\nam/app", "/srv/team\x01", "/srv/\x7f/app",
                                             "/srv/team/app\r", "/srv/link/app" };
        static const char *const clean[] = { "/srv/te am/app", "/srv/t\xc3\xa9/app" };
        cleanup(strv_done) Strv caches = STRV_NULL;

        (void)state;
        ok(symlink("te\nam", "/srv/link"));
        for (size_t i = 0; i < ELEMENTSOF(paths); i++)
                for (int there = 0; there < 2; there++) {
                        cleanup(sandbox_grants_done) SandboxGrants need = { 0 };
                        Diag diag = DIAG_NULL;

                        if (strcmp(paths[i], "/srv/link/app") == 0 && !there)
                                continue;
                        if (there && i < 4)
                                make(paths[i]);
                        assert_int_equal(
                                sandbox_grants(paths[i], &caches, NULL, NULL, &user, &need, &diag),
                                -EINVAL);
                        assert_non_null(strstr(diag.text, "its path has a control character"));
                        assert_int_equal(path_printable(diag.text, NULL), 0);
                        /* and of a trash */
                        if (there)
                                assert_int_equal(sandbox_grants(APP, &caches, "/srv/link/trash",
                                                                NULL, &user, &need, NULL),
                                                 -EINVAL);
                }
        for (size_t i = 0; i < ELEMENTSOF(clean); i++) {
                make(clean[i]);
                assert_path(clean[i], NULL, i == 0 ? "/srv/te am" : "/srv/t\xc3\xa9", HIDDEN_NOT,
                            NULL);
        }
}

/* What its owner exchanges with another while it is looked at: neither name is ever free. */
static void assert_moved_about(const char *other, int expected, const char *why) {
        cleanup(strv_done) Strv caches = STRV_NULL;
        time_t end = time(NULL) + 60;
        int status, r = 0;
        pid_t pid;

        make(APP);
        make(other);
        pid = fork();
        ok(pid);
        if (pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                _exit(1);
        while (pid == 0)
                if (renameat2(AT_FDCWD, APP, AT_FDCWD, other, RENAME_EXCHANGE) < 0)
                        _exit(1);
        while (r != expected && time(NULL) < end) {
                cleanup(sandbox_grants_done) SandboxGrants need = { 0 };
                Diag diag = DIAG_NULL;

                r = sandbox_grants(APP, &caches, NULL, NULL, &user, &need, &diag);
                if (r == expected)
                        assert_non_null(strstr(diag.text, why));
                else if (r != -ESTALE)
                        assert_int_equal(r, 0);
        }
        ok(kill(pid, SIGKILL));
        ok(waitpid(pid, &status, 0));
        assert_true(WIFSIGNALED(status));
        assert_int_equal(r, expected);
}

static void test_moved_about(void **state) {
        (void)state;
        assert_moved_about("/srv/team/other", -ESTALE, "it is moved about");
        assert_moved_about("/srv/team/o\nther", -EINVAL, "its path has a control character");
}

static void test_none(void **state) {
        (void)state;
        make("/var/app");
        assert_path("/var/app", NULL, "/var/app", HIDDEN_NOT, "take all of /var");
        make("/var/lib/party");
        assert_path("/var/lib/party", NULL, "/var/lib/party", HIDDEN_NOT, "take all of /var/lib");
        make("/var/www/party/web");
        assert_path("/var/www/party/web", NULL, "/var/www/party", HIDDEN_NOT, NULL);
        make_file("/var/www/party/package.json");
        assert_path("/var/www/party/web", NULL, "/var/www", HIDDEN_NOT, NULL);
        assert_path("/srv", NULL, "/srv", HIDDEN_NOT, "nothing but / is above them");

        ok(mount(APP, APP, NULL, MS_BIND, NULL));
        assert_path(APP, NULL, APP, HIDDEN_NOT, "nothing but / is above them on their mount");
        ok(umount(APP));
        ok(mount("/srv/team", "/srv/team", NULL, MS_BIND, NULL));
        assert_path(APP, NULL, "/srv/team", HIDDEN_NOT, NULL);
        ok(mount(NULL, "/srv/team", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
        assert_path(APP, NULL, "/srv/team", HIDDEN_NOT, "is mounted read-only on the host");
        ok(umount("/srv/team"));
}

/* Of what is the system's, nothing; not by another name either. */
static void test_kept(void **state) {
        static const char *const kept[] = {
                "/usr/src",     "/usr/local/bin", "/usr/local/src",  "/var/log",   "/var/mail",
                "/var/backups", "/var/local",     "/var/opt",        "/var/crash", "/var/spool",
                "/etc",         "/run",           "/var/lib/docker",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(kept); i++) {
                cleanup_free char *root = text_format("%s/party", kept[i]);
                cleanup_free char *trash = text_format("%s/trash", kept[i]);
                cleanup_free char *why = text_format("take all of %s", kept[i]);
                cleanup_free char *only = text_format("only %s holds them", kept[i]);

                make(root);
                assert_path(root, NULL, root, HIDDEN_NOT, why);
                assert_path(root, trash, root, HIDDEN_NOT, only);
        }
        make("/var/mail/web");
        ok(rename("/var/mail", "/srv/mail"));
        ok(symlink("/srv/mail", "/var/mail"));
        assert_path("/srv/mail/web", "/srv/mail/trash", "/srv/mail/web", HIDDEN_NOT,
                    "only /srv/mail holds them");
}

static void test_hidden(void **state) {
        (void)state;
        make("/home/deploy/app");
        ok(chown("/home/deploy", SOMEBODY, SOMEBODY));
        assert_path("/home/deploy/app", NULL, "/home/deploy/app", HIDDEN_HOME, "take all of /home");
        make("/var/tmp/app");
        assert_path("/var/tmp/app", NULL, "/var/tmp/app", HIDDEN_TMP, "take all of /var/tmp");
        ok(symlink("/home/deploy", "/srv/link"));
        assert_path("/srv/link/app", NULL, "/home/deploy/app", HIDDEN_HOME, "take all of /home");

        assert_int_equal(sysdir_hidden("/home", NULL), HIDDEN_HOME);
        assert_int_equal(sysdir_hidden("/homes/deploy", NULL), HIDDEN_NOT);
        assert_int_equal(sysdir_hidden("/run/user/1/x", NULL), HIDDEN_HOME);
        assert_int_equal(sysdir_hidden("/run/x", NULL), HIDDEN_NOT);
}

static void test_configured(void **state) {
        (void)state;
        make("/srv/team/other");
        assert_path(APP, "/srv/team/trash", "/srv/team", HIDDEN_NOT, NULL);
        assert_path(APP, "/srv/team/other/trash", "/srv/team", HIDDEN_NOT, NULL);
        assert_path(APP, "/srv/trash", "/srv", HIDDEN_NOT, NULL);
        assert_path(APP, "/srv/later/trash", "/srv", HIDDEN_NOT, NULL);
        assert_path(APP, APP "/trash", APP, HIDDEN_NOT, "lies in the application");
        ok(chown("/srv/team/other", SOMEBODY, SOMEBODY));
        assert_path(APP, "/srv/team/other/trash", APP, HIDDEN_NOT, "users other than root");
        make("/var/lib/party/web");
        assert_path("/var/lib/party/web", "/var/lib/party/trash", "/var/lib/party", HIDDEN_NOT,
                    NULL);
}

static void test_configured_elsewhere(void **state) {
        static const struct {
                const char *root, *trash, *why;
        } table[] = {
                { APP, "/var/trash", "only / holds them" },
                { APP, "/trash", "only / holds them" },
                { APP, "/other/trash", "is on another mount" },
                { "/var/www/site/app", "/var/wpcache-trash", "only /var holds them" },
                { "/var/lib/party", "/var/lib/trash", "only /var/lib holds them" },
        };

        (void)state;
        make("/var/www/site/app");
        make("/var/lib/party");
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(sandbox_grants_done) SandboxGrants need =
                        need_of(table[i].root, table[i].trash);

                assert_string_equal(need.path, table[i].root);
                assert_non_null(need.other);
                assert_string_equal(need.other, table[i].trash);
                assert_int_equal(need.notes.n, 1);
                assert_non_null(strstr(need.notes.v[0], table[i].why));
        }
}

static void test_configured_for_a_home(void **state) {
        cleanup(sandbox_grants_done) SandboxGrants need = { 0 };

        (void)state;
        make("/home/deploy/app");
        need = need_of("/home/deploy/app", "/home/trash");
        assert_string_equal(need.path, "/home/deploy/app");
        assert_string_equal(need.other, "/home/trash");
        assert_non_null(strstr(need.notes.v[0], "only /home holds them"));
        sandbox_grants_done(&need);
        make("/home/team/apps/web");
        need = need_of("/home/team/apps/web", "/home/team/trash");
        assert_string_equal(need.path, "/home/team");
        assert_int_equal(need.hidden, HIDDEN_HOME);
        assert_null(need.other);
}

static void test_capability(void **state) {
        (void)state;
        assert_capability(APP, "wpcache may not write " APP);
        ok(chown(APP, USER, USER));
        assert_capability(APP, NULL);
        ok(chown(APP, SOMEBODY, SOMEBODY));
        ok(chmod(APP, 0777));
        assert_capability(APP, NULL);
        ok(chown(APP, 0, GROUP));
        ok(chmod(APP, 0775));
        assert_capability(APP, "may not write " APP);
        user.groups = groups;
        user.n_groups = 1;
        assert_capability(APP, NULL);
        ok(chmod("/srv/team", 0700));
        assert_capability(APP, "may not write " APP);
        ok(chmod("/srv/team", 0711));
        assert_capability(APP, NULL);
        assert_capability("/srv/later", "not there yet");
        user.known = false;
        assert_capability(APP, "there is no user wpcache yet");
}

static void test_capability_by_caches(void **state) {
        (void)state;
        ok(chown(APP, USER, USER));
        make_of(APP "/src", SOMEBODY, 0755);
        assert_capability(APP, NULL);
        make_of(APP "/web", SOMEBODY, 0755);
        make_of(APP "/web/.next", USER, 0755);
        assert_capability(APP, APP "/web/.next");
        ok(chown(APP "/web", USER, USER));
        assert_capability(APP, NULL);
        make_of(APP "/web/.next/a", USER, 0755);
        make_of(APP "/web/.next/a/b", SOMEBODY, 0755);
        assert_capability(APP, APP "/web/.next");
        ok(chown(APP "/web/.next/a/b", USER, USER));
        make_of(APP "/secret", SOMEBODY, 0700);
        assert_capability(APP, APP "/secret");
        ok(chmod(APP "/secret", 0755));
        ok(symlink("/", APP "/web/.next/a/link"));
        assert_capability(APP, NULL);
}

/* The sandbox makes its own way there. */
static void test_capability_in_a_home(void **state) {
        (void)state;
        make_of("/home/deploy", SOMEBODY, 0700);
        make_of("/home/deploy/app", USER, 0755);
        assert_capability("/home/deploy/app", NULL);
        ok(chown("/home/deploy/app", SOMEBODY, SOMEBODY));
        assert_capability("/home/deploy/app", "may not write /home/deploy/app");
}

static void test_make_trash(void **state) {
        (void)state;
        ok(chown(APP, USER, USER));
        assert_make_trash(APP, NULL, "/srv/team/.wpcache-trash");
        assert_make_trash(APP, "/srv/team/trash", "/srv/team/trash");
        make_of("/srv/team/.wpcache-trash", 0, 0700);
        assert_make_trash(APP, NULL, "/srv/team/.wpcache-trash");
        ok(chown("/srv/team/.wpcache-trash", USER, USER));
        assert_make_trash(APP, NULL, NULL);
        ok(rmdir("/srv/team/.wpcache-trash"));
        make_of("/srv/.wpcache-trash", USER, 0700); /* of no use in the unit */
        assert_make_trash(APP, NULL, "/srv/team/.wpcache-trash");
        ok(chown("/srv/team", USER, USER));
        assert_make_trash(APP, NULL, NULL);
        assert_make_trash(APP, "/srv/team/trash", NULL);
        assert_int_equal(access("/srv/team/.wpcache-trash", F_OK), -1);
        /* Where none can be had */
        make_of("/home/deploy/app", USER, 0755);
        assert_make_trash("/home/deploy/app", NULL, NULL);
}

static int run_group(void) {
#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
        const struct CMUnitTest tests[] = {
                test(test_nearest),
                test(test_outside),
                test(test_control_characters),
                test(test_moved_about),
                test(test_none),
                test(test_kept),
                test(test_hidden),
                test(test_configured),
                test(test_configured_elsewhere),
                test(test_configured_for_a_home),
                test(test_capability),
                test(test_capability_by_caches),
                test(test_capability_in_a_home),
                test(test_make_trash),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
        return run_in_world(run_group);
}
