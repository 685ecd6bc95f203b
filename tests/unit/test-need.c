/* SPDX-License-Identifier: MIT */

/*
 * What the daemon's unit has to be given for a root. In a small world of its own, in memory, whose "/"
 * is on the applications' mount. Needs root.
 */

#include "apps/need.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/text.h"
#include "test.h"

#define USER 61234
#define SOMEBODY 61235
#define GROUP 61236
#define SKIPPED 77
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
        (void)state;
        for (size_t i = 0; i < 3; i++) {
                static const char *const paths[] = { "/srv", "/home", "/var" };

                if (access(paths[i], F_OK) == 0 &&
                    nftw(paths[i], wipe_entry, 100, FTW_PHYS | FTW_DEPTH | FTW_MOUNT) < 0)
                        return -1;
        }
        return chmod("/", 0755);
}

static AppNeed need_of(const char *root, const char *trash) {
        cleanup(strv_done) Strv caches = STRV_NULL;
        AppNeed need;
        Diag diag = DIAG_NULL;

        assert_int_equal(strv_add(&caches, ".next"), 0);
        if (app_need(root, &caches, trash, &user, &need, &diag) < 0)
                fail_msg("%s: %s", root, diag.text);
        return need;
}

/* `note`: a part of the only one, or NULL for none. */
static void assert_path(const char *root, const char *trash, const char *path, Hidden hidden,
                        const char *expected) {
        cleanup(app_need_done) AppNeed need = need_of(root, trash);

        assert_string_equal(need.path, path);
        assert_int_equal(need.hidden, hidden);
        assert_int_equal(need.notes.n, expected ? 1 : 0);
        if (expected && !strstr(need.notes.v[0], expected))
                fail_msg("'%s', not '%s'", need.notes.v[0], expected);
}

static void assert_capability(const char *root, const char *why) {
        cleanup(app_need_done) AppNeed need = need_of(root, NULL);

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
        cleanup(app_need_done) AppNeed need = need_of(root, trash);

        assert_null(need.capability);
        if (expected) {
                assert_non_null(need.make_trash);
                assert_string_equal(need.make_trash, expected);
        } else
                assert_null(need.make_trash);
}

static void test_topmost(void **state) {
        (void)state;
        assert_path(APP, NULL, "/srv", HIDDEN_NOT, NULL);
        make_file("/srv/compose.yaml");
        assert_path(APP, NULL, "/srv/team", HIDDEN_NOT, NULL);
        ok(unlink("/srv/compose.yaml"));

        ok(chown("/srv", SOMEBODY, 0));
        assert_path(APP, NULL, APP, HIDDEN_NOT, "users other than root may move /srv/team");
        ok(chown("/srv", USER, 0));
        assert_path(APP, NULL, "/srv", HIDDEN_NOT, NULL);
        user.known = false;
        user.uid = 0;
        assert_path(APP, NULL, APP, HIDDEN_NOT, "users other than root may move /srv/team");
        ok(chown("/srv", 0, 0));

        assert_path("/srv/app", NULL, "/srv", HIDDEN_NOT, "/srv/app: No such file or directory");
        ok(symlink("team", "/srv/link"));
        assert_path("/srv/link/app", NULL, "/srv", HIDDEN_NOT, NULL);
}

static void test_none(void **state) {
        (void)state;
        make("/var/app");
        assert_path("/var/app", NULL, "/var/app", HIDDEN_NOT, "take all of /var");
        make("/var/lib/party");
        assert_path("/var/lib/party", NULL, "/var/lib/party", HIDDEN_NOT, "take all of /var/lib");
        make("/var/www/party/web");
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

static void test_hidden(void **state) {
        (void)state;
        make("/home/deploy/app");
        ok(chown("/home/deploy", SOMEBODY, SOMEBODY));
        assert_path("/home/deploy/app", NULL, "/home/deploy/app", HIDDEN_HOME, "take all of /home");
        make("/var/tmp/app");
        assert_path("/var/tmp/app", NULL, "/var/tmp/app", HIDDEN_TMP, "take all of /var/tmp");
        ok(symlink("/home/deploy", "/srv/link"));
        assert_path("/srv/link/app", NULL, "/home/deploy/app", HIDDEN_HOME, "take all of /home");

        assert_int_equal(need_hidden("/home", NULL), HIDDEN_HOME);
        assert_int_equal(need_hidden("/homes/deploy", NULL), HIDDEN_NOT);
        assert_int_equal(need_hidden("/run/user/1/x", NULL), HIDDEN_HOME);
        assert_int_equal(need_hidden("/run/x", NULL), HIDDEN_NOT);
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
        make("/var/lib/party");
        assert_path("/var/lib/party", "/var/lib/trash", "/var/lib", HIDDEN_NOT, NULL);
}

static void test_configured_elsewhere(void **state) {
        static const struct {
                const char *trash, *other, *why;
        } table[] = {
                { "/var/trash", "/var/trash", "only / holds them" },
                { "/trash", "/trash", "only / holds them" },
                { "/other/trash", "/other/trash", "is on another mount" },
        };

        (void)state;
        make("/var");
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(app_need_done) AppNeed need = need_of(APP, table[i].trash);

                assert_string_equal(need.path, APP);
                assert_string_equal(need.other, table[i].other);
                assert_int_equal(need.notes.n, 1);
                assert_non_null(strstr(need.notes.v[0], table[i].why));
        }
}

static void test_configured_for_a_home(void **state) {
        cleanup(app_need_done) AppNeed need = { 0 };

        (void)state;
        make("/home/deploy/app");
        need = need_of("/home/deploy/app", "/home/trash");
        assert_string_equal(need.path, "/home");
        assert_true(need.whole_home);
        app_need_done(&need);
        make("/home/team/apps/web");
        need = need_of("/home/team/apps/web", "/home/team/trash");
        assert_string_equal(need.path, "/home/team");
        assert_int_equal(need.hidden, HIDDEN_HOME);
        assert_false(need.whole_home);
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
        assert_make_trash(APP, NULL, "/srv/.wpcache-trash");
        assert_make_trash(APP, "/srv/team/trash", "/srv/team/trash");
        make_of("/srv/.wpcache-trash", 0, 0700);
        assert_make_trash(APP, NULL, "/srv/.wpcache-trash");
        ok(chown("/srv/.wpcache-trash", USER, USER));
        assert_make_trash(APP, NULL, NULL);
        ok(rmdir("/srv/.wpcache-trash"));
        ok(chown("/srv/team", USER, USER));
        assert_make_trash(APP, NULL, NULL);
        assert_make_trash(APP, "/srv/team/trash", NULL);
        assert_int_equal(access("/srv/team/.wpcache-trash", F_OK), -1);
        /* Where none can be had */
        make_of("/home/deploy/app", USER, 0755);
        assert_make_trash("/home/deploy/app", NULL, NULL);
}

static bool make_world(char *directory) {
        cleanup_free char *other = text_format("%s/other", directory);
        cleanup_free char *proc = text_format("%s/proc", directory);

        umask(022);
        return other && proc && unshare(CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("none", directory, "tmpfs", 0, "mode=0755") == 0 && mkdir(other, 0755) == 0 &&
               mkdir(proc, 0755) == 0 && mount("none", other, "tmpfs", 0, "mode=0755") == 0 &&
               mount("/proc", proc, NULL, MS_BIND | MS_REC, NULL) == 0 && chroot(directory) == 0 &&
               chdir("/") == 0;
}

int main(void) {
#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
        const struct CMUnitTest tests[] = {
                test(test_topmost),
                test(test_none),
                test(test_hidden),
                test(test_configured),
                test(test_configured_elsewhere),
                test(test_configured_for_a_home),
                test(test_capability),
                test(test_capability_by_caches),
                test(test_capability_in_a_home),
                test(test_make_trash),
        };
        char directory[] = "/tmp/test-need-XXXXXX";
        int status;
        pid_t pid;

        if (!mkdtemp(directory))
                return EXIT_FAILURE;
        pid = fork();
        if (pid == 0) {
                if (make_world(directory))
                        return cmocka_run_group_tests(tests, NULL, NULL);
                status = errno == EPERM ? SKIPPED : EXIT_FAILURE;
                perror("no world of its own");
                return status;
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || rmdir(directory) < 0)
                return EXIT_FAILURE;
        return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}
