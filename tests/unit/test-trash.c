/* SPDX-License-Identifier: MIT */

/*
 * Which directory trash_choose() takes, and that it leaves none behind which it did not take. In a
 * small world of its own, in memory, whose "/" is on the application's mount. Needs root.
 */

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "apps/dir.h"
#include "apps/root.h"
#include "apps/trash.h"
#include "base/text.h"
#include "world.h"

#define NOBODY 65534
#define STATE "/other/state/trash" /* on another mount */

#define ok(call)                                                    \
        do {                                                        \
                if ((call) < 0)                                     \
                        fail_msg("%s: %s", #call, strerror(errno)); \
        } while (0)

static const char *root_path = "/srv/team/app";
static unsigned n_trashes;
static char last_trash[4096];

static int wipe_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        (void)st, (void)ftw;
        if (strcmp(path, "/") == 0)
                return 0;
        return flag == FTW_DP ? rmdir(path) : unlink(path);
}

/* All but the mounts on it. */
static int wipe(const char *path) {
        return nftw(path, wipe_entry, 100, FTW_PHYS | FTW_DEPTH | FTW_MOUNT);
}

static int setup(void **state) {
        (void)state;
        return mkdir("/srv", 0755) < 0 || mkdir("/srv/team", 0755) < 0 ||
                               mkdir("/srv/team/app", 0755) < 0 ||
                               mkdir("/srv/team/app/src", 0755) < 0 ||
                               mkdir("/other/state", 0755) < 0
                       ? -1
                       : 0;
}

static int teardown(void **state) {
        struct stat st;

        (void)state;
        root_path = "/srv/team/app";
        if (chmod("/", 0755) < 0 || wipe("/other/state") < 0 || wipe("/srv") < 0)
                return -1;
        return lstat("/.wpcache-trash", &st) == 0 ? wipe("/.wpcache-trash") : 0;
}

static int count_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        (void)st, (void)flag;
        if (strcmp(path + ftw->base, ".wpcache-trash") == 0 ||
            strcmp(path + ftw->base, "trash") == 0) {
                n_trashes++;
                snprintf(last_trash, sizeof(last_trash), "%s", path);
        }
        return 0;
}

/* How many there are, of any kind. */
static unsigned count_trashes(void) {
        n_trashes = 0;
        ok(nftw("/", count_entry, 100, FTW_PHYS | FTW_MOUNT));
        ok(nftw("/other", count_entry, 100, FTW_PHYS | FTW_MOUNT));
        return n_trashes;
}

static int choose(const char *state_path, char **ret_path, Diag *diag) {
        cleanup(app_close) AppRoot root = APP_ROOT_NULL;
        cleanup_close int fd = -EBADF;
        cleanup_free char *path = NULL;
        int r;

        *diag = DIAG_NULL;
        if (app_open(root_path, &root, diag) < 0)
                fail_msg("%s", diag->text);
        r = trash_choose(&root, state_path, NULL, ret_path, &fd, diag);
        if (r < 0) {
                assert_int_equal(fd, -EBADF);
                return r;
        }
        assert_string_equal(diag->text, "");
        assert_int_equal(dir_path(fd, &path), 0);
        assert_string_equal(path, *ret_path);
        return r;
}

static void assert_chosen(const char *expected) {
        cleanup_free char *path = NULL;
        Diag diag;

        if (choose(STATE, &path, &diag) < 0)
                fail_msg("%s", diag.text);
        assert_string_equal(path, expected);
        assert_int_equal(count_trashes(), 1);
        assert_string_equal(last_trash, expected);
        ok(rmdir(expected));
}

/* Beside `n` that were there before. */
static void assert_none(const char *why, unsigned n) {
        cleanup_free char *path = NULL;
        Diag diag;

        assert_int_equal(choose(STATE, &path, &diag), -ENOTSUP);
        assert_null(path);
        if (!strstr(diag.text, "nothing above /srv/team/app can hold its trash: ") ||
            !strstr(diag.text, why))
                fail_msg("'%s', not '%s'", diag.text, why);
        assert_int_equal(count_trashes(), n);
}

static void make_file(const char *path) {
        cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

        ok(fd);
}

static void test_configured(void **state) {
        cleanup_free char *path = NULL, *again = NULL;
        Diag diag;

        (void)state;
        ok(mkdir("/srv/state", 0755));
        assert_int_equal(choose("/srv/state/trash", &path, &diag), 0);
        assert_string_equal(path, "/srv/state/trash");
        assert_int_equal(count_trashes(), 1);
        assert_int_equal(choose("/srv/state/trash", &again, &diag), 0);
        assert_string_equal(again, path);
        assert_int_equal(count_trashes(), 1);
}

static void test_configured_where_it_can_not_be(void **state) {
        static const char *const paths[] = {
                STATE,
                "/srv/none/trash",
                "/srv/team/app/trash",
                "/srv/team/app/src/trash",
                "trash",
                "/",
                "/srv/nobody/trash",
        };

        (void)state;
        ok(mkdir("/srv/nobody", 0755));
        ok(chown("/srv/nobody", NOBODY, NOBODY));
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                cleanup_free char *path = NULL;
                Diag diag;

                if (choose(paths[i], &path, &diag) < 0)
                        fail_msg("%s: %s", paths[i], diag.text);
                assert_string_equal(path, "/srv/.wpcache-trash");
                assert_int_equal(count_trashes(), 1);
        }
}

/* Not even for a moment. */
static void test_nothing_made_elsewhere(void **state) {
        static const struct timespec past[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
        static const char *const places[] = { "/other/state", "/srv/team/app" };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                cleanup_free char *trash = text_format("%s/trash", places[i]), *path = NULL;
                struct stat st;
                Diag diag;

                ok(utimensat(AT_FDCWD, places[i], past, 0));
                assert_int_equal(choose(trash, &path, &diag), 0);
                assert_string_equal(path, "/srv/.wpcache-trash");
                ok(stat(places[i], &st));
                assert_int_equal(st.st_mtim.tv_sec, 1);
        }
}

static void test_top_down(void **state) {
        (void)state;
        assert_chosen("/srv/.wpcache-trash");
        ok(mkdir("/srv/.git", 0755));
        assert_chosen("/srv/team/.wpcache-trash");
        make_file("/srv/team/package.json");
        assert_chosen("/.wpcache-trash");
        make_file("/package.json");
        assert_none("/srv is a project: it has .git", 0);
        ok(unlink("/package.json"));
        assert_chosen("/.wpcache-trash");
}

static void test_again(void **state) {
        cleanup_free char *path = NULL;
        Diag diag;

        (void)state;
        assert_int_equal(choose(STATE, &path, &diag), 0);
        make_file("/srv/.wpcache-trash/x");
        ok(mkdir("/srv/team/.wpcache-trash", 0700));
        free(TAKE_PTR(path));
        assert_int_equal(choose(STATE, &path, &diag), 0);
        assert_string_equal(path, "/srv/.wpcache-trash");
}

static void test_others_may_write(void **state) {
        (void)state;
        ok(chmod("/srv", 0775));
        assert_chosen("/.wpcache-trash");
        ok(chmod("/srv", 0755));
        ok(chown("/srv", NOBODY, 0));
        assert_chosen("/.wpcache-trash");
        ok(chmod("/srv", 01755)); /* its owner may move what is in it for all that */
        assert_chosen("/.wpcache-trash");
        ok(chmod("/", 0777));
        assert_none("users other than root may move /srv", 0);

        /* Nor what is further below */
        root_path = "/srv/team/app/src";
        ok(chmod("/", 0755));
        assert_chosen("/.wpcache-trash");
        root_path = "/srv/team/app";

        /* As /tmp */
        ok(chown("/srv", 0, 0));
        ok(chmod("/srv", 01777));
        assert_chosen("/srv/team/.wpcache-trash");
        ok(chown("/srv/team", NOBODY, NOBODY));
        assert_chosen("/.wpcache-trash");
        ok(chmod("/", 01777));
        assert_none("users other than root may write to /srv", 0);
}

static void test_something_else_is_there(void **state) {
        struct stat st;

        (void)state;
        make_file("/srv/.wpcache-trash");
        ok(symlink("/srv/team", "/srv/team/.wpcache-trash"));
        ok(mkdir("/.wpcache-trash", 0755));
        assert_none("/srv/.wpcache-trash", 3);
        ok(chmod("/.wpcache-trash", 0700));
        ok(chown("/.wpcache-trash", NOBODY, NOBODY));
        assert_none("/srv/.wpcache-trash", 3);
        ok(lstat("/srv/team/.wpcache-trash", &st));
        assert_true(S_ISLNK(st.st_mode));
}

static void bind(const char *path) {
        ok(mount(path, path, NULL, MS_BIND, NULL));
}

static void test_mounts(void **state) {
        (void)state;
        bind("/srv/team/app");
        assert_none("it is a mount of its own", 0);
        ok(umount("/srv/team/app"));
        bind("/srv/team");
        assert_chosen("/srv/team/.wpcache-trash");
        ok(chmod("/srv/team", 0775));
        assert_none("users other than root may write to /srv/team", 0);
        ok(chmod("/srv/team", 0755));
        ok(umount("/srv/team"));

        /* A mount where the trash would be */
        ok(mkdir("/srv/.wpcache-trash", 0700));
        bind("/srv/.wpcache-trash");
        ok(mkdir("/srv/.wpcache-trash/x", 0700));
        {
                cleanup_free char *path = NULL;
                Diag diag;

                assert_int_equal(choose(STATE, &path, &diag), 0);
                assert_string_equal(path, "/srv/team/.wpcache-trash");
        }
        ok(umount("/srv/.wpcache-trash"));
        ok(rmdir("/srv/.wpcache-trash/x"));
        ok(rmdir("/srv/.wpcache-trash"));
        ok(rmdir("/srv/team/.wpcache-trash"));
}

/* What was made and is none goes again. */
static void test_made_in_vain(void **state) {
        mode_t mask = umask(0300);
        cleanup_free char *path = NULL;
        Diag diag;
        int r;

        (void)state;
        r = choose(STATE, &path, &diag);
        umask(mask);
        assert_int_equal(r, -ENOTSUP);
        assert_int_equal(count_trashes(), 0);
}

/* Neither the directories that builds read, nor what is in them. */
static void test_outside(void **state) {
        char *srv[] = { (char *)"/srv" },
             *state_dir[] = { (char *)"/srv/none", (char *)"/srv/state" };
        const Strv all = { srv, 1 }, one = { state_dir, 2 };
        cleanup(app_close) AppRoot root = APP_ROOT_NULL;
        cleanup_free char *path = NULL;
        Diag diag = DIAG_NULL;
        int fd = -EBADF;

        (void)state;
        ok(mkdir("/srv/state", 0755));
        assert_int_equal(app_open("/srv/team/app", &root, NULL), 0);
        assert_int_equal(trash_open("/srv/state/trash", &root, &one, &fd, &diag), -EINVAL);
        assert_non_null(strstr(diag.text, "lies in /srv/state"));
        assert_int_equal(trash_open("/srv/state", &root, &one, &fd, NULL), -EPERM);
        assert_int_equal(count_trashes(), 0);
        assert_int_equal(trash_choose(&root, "/srv/state/trash", &one, &path, &fd, NULL), 0);
        assert_string_equal(path, "/srv/.wpcache-trash");
        ok(close(fd));
        ok(rmdir(path));
        free(path);
        assert_int_equal(trash_choose(&root, STATE, &all, &path, &fd, NULL), 0);
        assert_string_equal(path, "/.wpcache-trash");
        ok(close(fd));
        assert_int_equal(count_trashes(), 1);
        ok(rmdir(path));
}

static void test_deleted_root(void **state) {
        cleanup(app_close) AppRoot root = APP_ROOT_NULL;
        cleanup_free char *path = NULL;
        int fd = -EBADF;

        (void)state;
        assert_int_equal(app_open("/srv/team/app", &root, NULL), 0);
        ok(rmdir("/srv/team/app/src"));
        ok(rmdir("/srv/team/app"));
        assert_int_equal(trash_choose(&root, STATE, NULL, &path, &fd, NULL), 0);
        assert_string_equal(path, "/srv/.wpcache-trash");
        ok(close(fd));
}

/* 0 and the path, or an error and the reason, as a user without capabilities. */
static int choose_as_nobody(char *ret_text, size_t size) {
        int pipes[2], status;
        ssize_t n;
        pid_t pid;

        ok(pipe2(pipes, O_CLOEXEC));
        pid = fork();
        if (pid == 0) {
                cleanup_free char *path = NULL;
                Diag diag;
                int r;

                if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
                        _exit(1);
                r = choose(STATE, &path, &diag);
                if (dprintf(pipes[1], "%s", r < 0 ? diag.text : path) < 0)
                        _exit(1);
                _exit(r == 0 ? 0 : r == -ENOTSUP ? 2 : 3);
        }
        ok(pid);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        ok(close(pipes[1]));
        n = read(pipes[0], ret_text, size - 1);
        ok(n);
        ret_text[n] = '\0';
        ok(close(pipes[0]));
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) % 2 == 0);
        return WEXITSTATUS(status) == 0 ? 0 : -ENOTSUP;
}

static void test_without_capabilities(void **state) {
        char text[1024];

        (void)state;
        assert_int_equal(choose_as_nobody(text, sizeof(text)), -ENOTSUP);
        assert_non_null(strstr(text, "cannot make /srv/.wpcache-trash: Permission denied"));
        assert_int_equal(count_trashes(), 0);
        ok(chown("/srv/team", NOBODY, NOBODY));
        assert_int_equal(choose_as_nobody(text, sizeof(text)), 0);
        assert_string_equal(text, "/srv/team/.wpcache-trash");
        assert_int_equal(count_trashes(), 1);
}

static int run_group(void) {
#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
        const struct CMUnitTest tests[] = {
                test(test_configured),
                test(test_configured_where_it_can_not_be),
                test(test_nothing_made_elsewhere),
                test(test_top_down),
                test(test_again),
                test(test_others_may_write),
                test(test_something_else_is_there),
                test(test_mounts),
                test(test_made_in_vain),
                test(test_outside),
                test(test_deleted_root),
                test(test_without_capabilities),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void) {
        return run_in_world(run_group);
}
