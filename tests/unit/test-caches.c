/* SPDX-License-Identifier: MIT */

/*
 * Everything three times: as this kernel is, as one without openat2(2), and as one whose statx(2)
 * knows no mounts either; seccomp filters stand in for those. As root in a mount namespace of its
 * own, so that mounts can be made; what only root can do is skipped for others.
 */

#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "apps/find.h"
#include "apps/marker.h"
#include "apps/measure.h"
#include "apps/quarantine.h"
#include "apps/remove.h"
#include "apps/root.h"
#include "apps/trash.h"
#include "base/array.h"
#include "base/path.h"
#include "old-kernel.h"
#include "test.h"

#define NOBODY 65534

static char directory[] = "/tmp/test-caches-XXXXXX";
static bool mounts; /* whether we may mount */

#define ok(call)                                                                           \
        do {                                                                               \
                long _r = (call);                                                          \
                if (_r < 0)                                                                \
                        fail_msg("%s: %s", #call, error_text(_r == -1 ? errno : (int)_r)); \
        } while (0)

static void make_directories(const char *path) {
        cleanup_free char *copy = strdup(path);

        assert_non_null(copy);
        for (char *p = copy; (p = strchr(p + 1, '/'));) {
                *p = '\0';
                if (mkdir(copy, 0755) < 0)
                        assert_int_equal(errno, EEXIST);
                *p = '/';
        }
        if (mkdir(copy, 0755) < 0)
                assert_int_equal(errno, EEXIST);
}

static void make_file(const char *path, size_t n_bytes) {
        cleanup_free char *parent = strdup(path), *bytes = malloc(n_bytes + 1);
        cleanup_close int fd = -EBADF;
        char *slash = strrchr(parent, '/');

        assert_non_null(bytes);
        memset(bytes, 'x', n_bytes);
        if (slash) {
                *slash = '\0';
                make_directories(parent);
        }
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        ok(fd);
        assert_int_equal(write(fd, bytes, n_bytes), n_bytes);
}

/* Relative to the test's directory, where each test begins. */
static bool exists(const char *path) {
        struct stat st;

        return lstat(path, &st) == 0;
}

static int wipe_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        (void)st, (void)ftw;
        if (flag == FTW_DP || flag == FTW_DNR)
                return rmdir(path);
        return unlink(path);
}

static int setup(void **state) {
        (void)state;
        umask(022);
        return chdir(directory) == 0 && mkdir("root", 0755) == 0 && mkdir("root/src", 0755) == 0
                       ? 0
                       : -1;
}

static int teardown(void **state) {
        struct stat st;

        (void)state;
        if (chdir(directory) < 0)
                return -1;
        if (lstat("root", &st) == 0 && nftw("root", wipe_entry, 100, FTW_PHYS | FTW_DEPTH) < 0)
                return -1;
        if (lstat("trash", &st) == 0 && nftw("trash", wipe_entry, 100, FTW_PHYS | FTW_DEPTH) < 0)
                return -1;
        return 0;
}

/* The same in memory, for trees that take long to make. */
static int setup_in_memory(void **state) {
        if (mounts && mount("none", directory, "tmpfs", 0, "mode=0755") < 0)
                return -1;
        return setup(state);
}

static int teardown_in_memory(void **state) {
        if (!mounts)
                return teardown(state);
        return chdir("/") < 0 ? -1 : umount(directory);
}

static AppRoot open_root(void) {
        cleanup_free char *path = NULL;
        AppRoot root = APP_ROOT_NULL;
        Diag diag = DIAG_NULL;

        assert_true(asprintf(&path, "%s/root", directory) > 0);
        if (app_open(path, &root, &diag) < 0)
                fail_msg("%s", diag.text);
        return root;
}

static int open_trash(const AppRoot *root) {
        cleanup_free char *path = NULL;
        Diag diag = DIAG_NULL;
        int fd = -EBADF;

        assert_true(asprintf(&path, "%s/trash", directory) > 0);
        if (trash_open(path, root, NULL, &fd, &diag) < 0)
                fail_msg("%s", diag.text);
        return fd;
}

static Strv names_of(const char *text) {
        Strv names = STRV_NULL;

        ok(strv_split(&names, text));
        return names;
}

/* Runs as nobody what returns 0. */
static void as_nobody(void (*run)(void)) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
                        _exit(1);
                run();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

#define need_root()         \
        if (geteuid() != 0) \
        skip()

/* Roots. */

static int try_open(const char *path, Diag *diag) {
        cleanup(app_close) AppRoot root = APP_ROOT_NULL;

        return app_open(path, &root, diag);
}

static void test_refused_roots(void **state) {
        static const struct {
                const char *path;
                int error;
        } cases[] = {
                { "root", -EINVAL },
                { "", -EINVAL },
                { "/", -EPERM },
                { "//", -EPERM },
                { "/..", -EPERM },
                { "/home", -EPERM },
                { "/home/..", -EPERM },
                { "/home/../home/.", -EPERM },
                { "/srv", -EPERM },
                { "/opt", -EPERM },
                { "/tmp", -EPERM },
                { "/var", -EPERM },
                { "/var/lib", -EPERM },
                { "/usr/local", -EPERM },
                { "/etc", -EPERM },
                { "/etc/default", -EPERM },
                { "/usr/share/doc", -EPERM },
                { "/usr/local/../share", -EPERM },
                { "/bin", -EPERM },
                { "/proc/self", -EPERM },
                { "/dev/shm", -EPERM },
                { "/etc/passwd", -ENOTDIR },
                { "/etc/passwd/x", -ENOTDIR },
                { "/none", -ENOENT },
                { "/none/root", -ENOENT },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Diag diag = DIAG_NULL;
                int r = try_open(cases[i].path, &diag);

                if (r != cases[i].error)
                        fail_msg("%s: %d (%s), not %d", cases[i].path, r, diag.text,
                                 cases[i].error);
                assert_true(*diag.text);
        }
}

static void assert_told(const char *path, const char *told) {
        Diag diag = DIAG_NULL;

        assert_true(try_open(path, &diag) < 0);
        assert_string_equal(diag.text, told);
}

static void test_refused_homes(void **state) {
        Diag diag = DIAG_NULL;

        (void)state;
        need_root();
        assert_int_equal(try_open("/root", &diag), -EPERM);
        assert_told("/root",
                    "/root is the home of root; name the project's own directory below it");
        assert_told("/srv", "/srv is a directory of the system; name the project's own directory "
                            "below it");
        assert_told("//srv", "//srv is /srv, a directory of the system");
        if (mkdir("/home/test-caches", 0755) < 0)
                skip();
        assert_int_equal(try_open("/home/test-caches", &diag), -EPERM);
        ok(mkdir("/home/test-caches/app", 0755));
        assert_int_equal(try_open("/home/test-caches/app", &diag), 0);
        ok(rmdir("/home/test-caches/app"));
        ok(rmdir("/home/test-caches"));
}

static int try_here(const char *name) {
        cleanup_free char *path = NULL;
        Diag diag = DIAG_NULL;

        assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
        return try_open(path, &diag);
}

static void test_links_to_a_root(void **state) {
        cleanup_free char *absolute = NULL, *loop = NULL, *loops = NULL, *current = NULL;
        cleanup_free char *may_change = NULL;

        (void)state;
        need_root();
        assert_true(asprintf(&absolute, "%s/root", directory) > 0);
        assert_true(asprintf(&loop, "%s/loop", absolute) > 0);
        assert_true(asprintf(&loops, "too many symlinks in %s", loop) > 0);
        assert_true(asprintf(&current, "%s/current", absolute) > 0);
        assert_true(asprintf(&may_change,
                             "current of %s is a symlink that users other than root may change; "
                             "give the directory it leads to",
                             current) > 0);
        make_directories("root/deploys/1");
        ok(symlink("deploys/1", "root/current"));
        ok(symlink(absolute, "root/absolute"));
        ok(symlink("../root/./current/../../src", "root/dots"));
        ok(symlink("loop", "root/loop"));
        ok(symlink("/", "root/slash"));
        ok(symlink("none", "root/dangling"));
        assert_int_equal(try_here("root/current"), 0);
        assert_int_equal(try_here("root/absolute/src"), 0);
        assert_int_equal(try_here("root/dots"), 0);
        assert_int_equal(try_here("root/loop"), -ELOOP);
        assert_told(loop, loops);
        assert_int_equal(try_here("root/slash"), -EPERM);
        assert_int_equal(try_here("root/slash/etc"), -EPERM);
        assert_int_equal(try_here("root/dangling"), -ENOENT);

        ok(lchown("root/current", NOBODY, NOBODY));
        assert_int_equal(try_here("root/current"), -ELOOP);
        assert_told(current, may_change);
        ok(lchown("root/current", 0, 0));
        assert_int_equal(try_here("root/current"), 0);
        ok(chmod("root", 01777)); /* a hard link of root's link may have been put there */
        assert_int_equal(try_here("root/current"), -ELOOP);
        ok(chmod("root", 0775));
        assert_int_equal(try_here("root/current"), -ELOOP);
        ok(chmod("root", 0755));
        ok(chown("root", NOBODY, NOBODY));
        assert_int_equal(try_here("root/current"), -ELOOP);
        assert_int_equal(try_here("root/deploys/1"), 0); /* no link */
}

static void look_as_nobody(void) {
        cleanup(app_close) AppRoot root = APP_ROOT_NULL;
        cleanup_free char *path = NULL, *closed = NULL, *in = NULL;
        Diag diag = DIAG_NULL;

        if (asprintf(&path, "%s/root", directory) < 0 ||
            asprintf(&closed, "%s/root/closed", directory) < 0 ||
            asprintf(&in, "%s/root/closed/in", directory) < 0 || app_open(path, &root, &diag) < 0 ||
            root.writable)
                _exit(2);
        if (try_open(closed, &diag) != -EACCES)
                _exit(3);
        if (try_open(in, &diag) != -EACCES) /* one that can't be seen */
                _exit(4);
}

static void test_states_of_a_root(void **state) {
        cleanup(app_close) AppRoot root = open_root();

        (void)state;
        assert_true(root.writable);
        need_root();
        make_directories("root/closed/in");
        ok(chmod("root/closed", 0600));
        as_nobody(look_as_nobody);
        if (!mounts)
                return;
        make_directories("root/mounted");
        ok(mount("root/src", "root/mounted", NULL, MS_BIND, NULL));
        assert_int_equal(try_here("root/mounted"), 0);
        /* what systemd bound there, and followed a link for */
        ok(setenv("INVOCATION_ID", "0123456789abcdef", 1));
        assert_int_equal(try_here("root/mounted"), -ESTALE);
        assert_int_equal(try_here("root"), 0);
        ok(umount("root/mounted"));
        make_directories("root/a b");
        ok(mount("root/a b", "root/a b", NULL, MS_BIND, NULL));
        assert_int_equal(try_here("root/a b"), 0);
        ok(umount("root/a b"));
        ok(unsetenv("INVOCATION_ID"));
        ok(mount("root/src", "root/mounted", NULL, MS_BIND, NULL));
        ok(mount(NULL, "root/mounted", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
        assert_int_equal(try_here("root/mounted"), -EROFS);
        assert_int_equal(try_here("root"), 0);
        ok(umount("root/mounted"));
        ok(mount("/", "root/mounted", NULL, MS_BIND, NULL)); /* "/" under another name */
        assert_int_equal(try_here("root/mounted"), -EPERM);
        assert_int_equal(try_here("root/mounted/etc"), -EPERM);
        ok(umount("root/mounted"));
}

static void test_markers(void **state) {
        cleanup(app_close) AppRoot root = open_root();

        (void)state;
        assert_null(app_marker(&root));
        make_directories("root/package.json");
        ok(symlink("/etc/passwd", "root/manage.py"));
        assert_null(app_marker(&root));
        make_directories("root/.git");
        assert_string_equal(app_marker(&root), ".git");
        make_file("root/compose.yaml", 1);
        assert_string_equal(app_marker(&root), "compose.yaml");
        make_file("root/pyproject.toml", 1);
        assert_string_equal(app_marker(&root), "pyproject.toml");
}

static void test_names(void **state) {
        static const struct {
                const char *name;
                bool valid;
        } cases[] = {
                { ".next", true }, { "node_modules/.cache", true },
                { "...", true },   { "..a", true },
                { "a b", true },   { "", false },
                { ".", false },    { "..", false },
                { "/", false },    { "/a", false },
                { "a/", false },   { "a//b", false },
                { "../a", false }, { "a/../b", false },
                { "a/.", false },  { "a/..", false },
                { "./a", false },
        };
        cleanup(strv_done) Strv names = names_of(".next, node_modules/.cache");
        char longest[NAME_MAX + 2];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (cache_name_valid(cases[i].name) != cases[i].valid)
                        fail_msg("'%s'", cases[i].name);
        memset(longest, 'x', sizeof(longest));
        longest[NAME_MAX + 1] = '\0';
        assert_false(cache_name_valid(longest));
        assert_true(cache_name_valid(longest + 1));

        assert_true(cache_name_matches(&names, ".next", 5));
        assert_true(cache_name_matches(&names, "a/b/.next", 9));
        assert_true(cache_name_matches(&names, "node_modules/.cache", 19));
        assert_false(cache_name_matches(&names, "a/node_modules/.cache", 21));
        assert_false(cache_name_matches(&names, ".cache", 6));
        assert_false(cache_name_matches(&names, "a.next", 6));
        assert_false(cache_name_matches(&names, ".next/a", 7));
}

static void test_path_text(void **state) {
        static const char *const cases[][2] = {
                { "", "" },
                { "a b/caf\303\251", "a b/caf\303\251" },
                { "a\nb\tc\\d", "a\\nb\\tc\\\\d" },
                { "\033[2J\177", "\\x1b[2J\\x7f" },
                { "\377\303", "\\xff\\xc3" },
                { "\302\233x", "\\xc2\\x9bx" },
                { "\u061cx\u2028", "\\xd8\\x9cx\\xe2\\x80\\xa8" },
        };
        char longest[3 * PATH_TEXT_BYTES_MAX + 1];
        /* right-to-left override, and an ellipsis, which is none */
        char turned[] = { 'a', '\342', '\200', '\256', 'b', '\342', '\200', '\246', '\0' };
        cleanup_free char *whole = NULL, *cut = NULL, *unturned = path_text(turned);

        (void)state;
        assert_string_equal(unturned, "a\\xe2\\x80\\xaeb\342\200\246");
        memset(longest, 'x', sizeof(longest));
        longest[PATH_TEXT_BYTES_MAX] = '\0';
        whole = path_text(longest);
        assert_string_equal(whole, longest);
        for (size_t i = 0; i + 2 < sizeof(longest); i += 2)
                memcpy(longest + i, "\303\251", 2);
        longest[0] = 'A';
        longest[1] = 'B';
        longest[sizeof(longest) - 1] = '\0';
        cut = path_text(longest);
        assert_true(strlen(cut) <= PATH_TEXT_BYTES_MAX && strlen(cut) > PATH_TEXT_BYTES_MAX - 8);
        assert_int_equal(strncmp(cut, "AB\303\251", 4), 0);
        assert_non_null(strstr(cut, "\303\251[...]\303\251"));
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup_free char *text = path_text(cases[i][0]);

                assert_string_equal(text, cases[i][1]);
        }
}

/* Finding. */

typedef struct Finds {
        Strv lines;
        CacheQuarantine *takes;
        size_t n, size;
        size_t n_steps, last_step;
        const char *from, *to; /* what is renamed at `last_step`, instead of an end */
} Finds;

static void finds_done(Finds *finds) {
        strv_done(&finds->lines);
        for (size_t i = 0; i < finds->n; i++)
                free((char *)finds->takes[i].path);
        free(finds->takes);
}

static inline void finds_donep(Finds *finds) {
        finds_done(finds);
}

static inline void finds_add(Finds *finds, const Cache *cache) {
        if (cache->kind != CACHE_DIRECTORY)
                return;
        assert_int_equal(array_grow(finds->takes, finds->n, finds->size), 0);
        finds->takes[finds->n] = (CacheQuarantine){ .path = strdup(cache->path),
                                                    .dev = cache->dev,
                                                    .ino = cache->ino };
        assert_non_null(finds->takes[finds->n++].path);
}

static int on_found(void *userdata, const Cache *cache) {
        static const char *const kinds[] = { "", "mount ", "link ", "other ", "unsearched " };
        cleanup_free char *line = NULL;
        Finds *finds = userdata;
        struct stat st;

        assert_true(asprintf(&line, "%s%s", kinds[cache->kind], cache->path) > 0);
        ok(strv_add(&finds->lines, line));
        assert_int_equal(cache->error != 0, cache->kind == CACHE_UNSEARCHED);
        if (cache->kind == CACHE_DIRECTORY && strlen(cache->path) < 1000) {
                cleanup_free char *path = NULL;

                assert_true(asprintf(&path, "root/%s", cache->path) > 0);
                ok(lstat(path, &st));
                assert_true(S_ISDIR(st.st_mode));
                assert_int_equal(cache->dev, st.st_dev);
                assert_int_equal(cache->ino, st.st_ino);
        }
        finds_add(finds, cache);
        return 0;
}

static int on_find_step(void *userdata) {
        Finds *finds = userdata;

        if (++finds->n_steps != finds->last_step)
                return 0;
        if (!finds->from)
                return -ECANCELED;
        ok(rename(finds->from, finds->to));
        return 0;
}

static int find(const char *text, Finds *finds) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(strv_done) Strv names = names_of(text);
        CacheHooks hooks = { .found = on_found, .step = on_find_step, .userdata = finds };

        return cache_find(&root, &names, &hooks);
}

static void assert_found(const char *names, const char *expected) {
        cleanup(finds_done) Finds finds = { 0 };
        cleanup_free char *found = NULL;

        assert_int_equal(find(names, &finds), 0);
        strv_sort(&finds.lines);
        found = strv_join(&finds.lines, ", ");
        assert_string_equal(found, expected);
}

static void test_find(void **state) {
        (void)state;
        make_file("root/.next/cache/.next/x", 1);
        make_file("root/src/a/__pycache__/m.pyc", 1);
        make_file("root/src/a/b/__pycache__/m.pyc", 1);
        make_file("root/src/a/b/__pycache__/__pycache__/m.pyc", 1);
        make_file("root/node_modules/.cache/x", 1);
        make_file("root/node_modules/p/__pycache__/x", 1);
        make_file("root/.git/__pycache__/x", 1);
        make_file("root/src/node_modules/.cache/x", 1);
        make_file("root/src/node_modules/.next/x", 1);

        assert_found(".next", ".next");
        assert_found(".next, node_modules/.cache, __pycache__",
                     ".next, node_modules/.cache, src/a/__pycache__, src/a/b/__pycache__");
        assert_found("node_modules", "node_modules, src/node_modules");
        assert_found("node_modules, node_modules/.cache", "node_modules, src/node_modules");
        assert_found(".git, none", ".git");
        assert_found("src/a, src/a/__pycache__, __pycache__", "src/a");
        assert_found("src/a/__pycache__, __pycache__", "src/a/__pycache__, src/a/b/__pycache__");
        assert_found("src/none/x, none", "");
}

static void test_find_what_is_no_cache(void **state) {
        (void)state;
        make_file("outside/.next/x", 1);
        make_file("outside/.cache/x", 1);
        ok(symlink("../outside/.next", "root/.next"));
        ok(symlink("../outside", "root/src/away"));
        ok(symlink("../outside", "root/node_modules"));
        make_file("root/src/.next", 1);
        ok(mkfifo("root/src/__pycache__", 0644));
        assert_found(".next, __pycache__, node_modules/.cache, src/.next/deep",
                     "link .next, link node_modules, other src/.next, "
                     "other src/__pycache__");
        ok(nftw("outside", wipe_entry, 10, FTW_PHYS | FTW_DEPTH));
}

static void test_find_mounts(void **state) {
        (void)state;
        if (!mounts)
                skip();
        make_file("root/src/.next/x", 1);
        make_directories("root/bound");
        make_directories("root/other");
        make_directories("root/lib/.next");
        ok(mount("root/src", "root/bound", NULL, MS_BIND, NULL));
        ok(mount("none", "root/other", "tmpfs", 0, NULL));
        ok(mount("root/src", "root/lib/.next", NULL, MS_BIND, NULL));
        make_file("root/other/.next/x", 1);
        assert_found(".next, other/.next",
                     "mount lib/.next, src/.next, unsearched bound, unsearched other, "
                     "unsearched other");
        ok(umount("root/bound"));
        ok(umount("root/other"));
        ok(umount("root/lib/.next"));
}

static void find_as_nobody(void) {
        cleanup(finds_done) Finds finds = { 0 };

        if (find(".next", &finds) != 0 || finds.lines.n != 1 ||
            strcmp(finds.lines.v[0], "unsearched src") != 0)
                _exit(2);
}

static void test_find_what_is_closed(void **state) {
        (void)state;
        need_root();
        make_file("root/src/.next/x", 1);
        ok(chmod("root/src", 0700));
        as_nobody(find_as_nobody);
}

static void test_find_is_ended(void **state) {
        cleanup(finds_done) Finds finds = { .last_step = 2 };

        (void)state;
        make_directories("root/a/b/c");
        assert_int_equal(find(".next", &finds), -ECANCELED);
        assert_int_equal(finds.n_steps, 2);
        assert_int_equal(find("../x", &finds), -EINVAL);
        assert_int_equal(find("/x", &finds), -EINVAL);
}

/* "d/d/.../d" below `path`, with a file in each of the last `n_files`. */
static void make_deep(const char *path, int depth, int n_files, const char *last) {
        cleanup_close int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

        ok(fd);
        for (int i = 0; i < depth; i++) {
                const char *name = i == depth - 1 ? last : "d";
                int next;

                ok(mkdirat(fd, name, 0755));
                next = openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                ok(next);
                close(fd);
                fd = next;
                if (depth - i <= n_files) {
                        int file = openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

                        ok(file);
                        assert_int_equal(write(file, "x", 1), 1);
                        close(file);
                }
        }
}

/* One of the directories above the search that are not open is moved. */
static void test_find_what_is_moved(void **state) {
        char middle[128] = "root/src/a", path[64];
        cleanup(finds_done) Finds finds = { .last_step = 110, .from = middle, .to = "root/away" };

        (void)state;
        for (int i = 0; i < 20; i++)
                strcat(middle, "/d");
        make_directories(middle);
        make_deep(middle, 100, 0, "d");
        /* What would be taken for the contents of what was left: on_found() looks at every path. */
        for (int i = 0; i < 16; i++) {
                snprintf(path, sizeof(path), "root/%d/.next/x", i);
                make_file(path, 1);
        }
        assert_int_equal(find(".next", &finds), 0);
        assert_true(strv_contains(&finds.lines, "unsearched src"));
        assert_int_equal(finds.n, 16);
}

static rlim_t limit_descriptors(rlim_t n) {
        struct rlimit limit;
        rlim_t before;

        ok(getrlimit(RLIMIT_NOFILE, &limit));
        before = limit.rlim_cur;
        limit.rlim_cur = n;
        ok(setrlimit(RLIMIT_NOFILE, &limit));
        return before;
}

/* The lowest limit that leaves `n` more. */
static rlim_t descriptors_left(int n) {
        cleanup_close int fd = open("/", O_PATH | O_CLOEXEC);

        ok(fd);
        return (rlim_t)fd + (rlim_t)n;
}

/* Removing. */

typedef struct Removed {
        Strv remaining;
        RemovalFigures figures;
        uint64_t n_steps, last_step;
        const char *write_to; /* a directory that gets a file at each step */
} Removed;

static void removed_donep(Removed *removed) {
        strv_done(&removed->remaining);
}

static int on_step(void *userdata, const RemovalFigures *figures) {
        Removed *removed = userdata;

        assert_ptr_equal(figures, &removed->figures);
        if (removed->write_to) {
                cleanup_free char *path = NULL;

                assert_true(asprintf(&path, "%s/new%ju", removed->write_to,
                                     (uintmax_t)removed->n_steps) > 0);
                make_file(path, 1);
        }
        return ++removed->n_steps == removed->last_step ? -ECANCELED : 0;
}

static void on_remaining(void *userdata, const char *path, int error) {
        cleanup_free char *line = NULL, *text = path_text(path);
        const char *below = strchr(text, '/');
        Removed *removed = userdata;

        assert_true(asprintf(&line, "%s: %s", below ? below + 1 : "", error_text(error)) > 0);
        ok(strv_add(&removed->remaining, line));
}

static int store_nothing(void *userdata, const CacheQuarantine *takes, size_t n) {
        (void)userdata, (void)takes, (void)n;
        return 0;
}

/* Takes the one cache that `names` finds. */
static CacheQuarantine take_one(const char *text, int trash_fd) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(finds_done) Finds finds = { 0 };
        cleanup(strv_done) Strv names = names_of(text);
        CacheQuarantine taken;

        assert_int_equal(find(text, &finds), 0);
        assert_int_equal(finds.n, 1);
        assert_int_equal(
                cache_quarantine(&root, &names, trash_fd, finds.takes, 1, store_nothing, NULL), 0);
        taken = finds.takes[0];
        taken.path = NULL;
        assert_int_equal(taken.result, 0);
        assert_int_equal(strlen(taken.name), TRASH_NAME_MAX - 1);
        return taken;
}

static int remove_taken(int trash_fd, const CacheQuarantine *taken, Removed *removed) {
        RemovalHooks hooks = { .step = on_step, .remaining = on_remaining, .userdata = removed };

        return trash_remove(trash_fd, taken->name, taken->dev, taken->ino, &hooks,
                            &removed->figures);
}

static uint64_t measure(const char *text) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(finds_done) Finds finds = { 0 };
        uint64_t bytes = 0;

        assert_int_equal(find(text, &finds), 0);
        assert_int_equal(finds.n, 1);
        assert_int_equal(cache_measure(&root, finds.takes[0].path, finds.takes[0].dev,
                                       finds.takes[0].ino, NULL, NULL, &bytes),
                         0);
        assert_int_equal(cache_measure(&root, finds.takes[0].path, finds.takes[0].dev,
                                       finds.takes[0].ino + 1, NULL, NULL, &bytes),
                         -ESTALE);
        return bytes;
}

/* Takes and removes the one cache; nothing remains. */
static RemovalFigures sweep_all(const char *names) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(removed_done) Removed removed = { 0 };
        cleanup_close int trash_fd = open_trash(&root);
        CacheQuarantine taken = take_one(names, trash_fd);

        assert_int_equal(remove_taken(trash_fd, &taken, &removed), 0);
        assert_int_equal(removed.remaining.n, 0);
        assert_int_equal(removed.figures.n_remaining, 0);
        assert_int_equal(faccessat(trash_fd, taken.name, F_OK, AT_SYMLINK_NOFOLLOW), -1);
        return removed.figures;
}

static void test_find_deep(void **state) {
        cleanup(finds_done) Finds finds = { 0 };
        rlim_t before;

        (void)state;
        make_deep("root/src", 10000, 0, ".next");
        make_file("root/src/z/.next/x", 1);
        assert_int_equal(find(".next", &finds), 0);
        assert_int_equal(finds.n, 2);
        assert_int_equal(finds.lines.n, 2);
        assert_int_equal(MAX(strlen(finds.takes[0].path), strlen(finds.takes[1].path)),
                         strlen("src") + 2 * 9999 + strlen("/.next"));

        before = limit_descriptors(descriptors_left(8));
        assert_int_equal(find(".next", &finds), 0);
        limit_descriptors(before);
        assert_int_equal(finds.n, 4);
        assert_int_equal(finds.lines.n, 4);

        /* and out of the way, at any depth */
        {
                cleanup(app_close) AppRoot root = open_root();
                cleanup(strv_done) Strv names = names_of(".next");
                cleanup_close int trash_fd = open_trash(&root);

                assert_int_equal(cache_quarantine(&root, &names, trash_fd, finds.takes, 2,
                                                  store_nothing, NULL),
                                 0);
                assert_int_equal(finds.takes[0].result, 0);
                assert_int_equal(finds.takes[1].result, 0);
        }
        sweep_all("src");
}

static void make_socket(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, path);
        ok(bind(fd, (struct sockaddr *)&address, sizeof(address)));
}

static uint64_t blocks_of_tree;

static int add_blocks(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        (void)path, (void)flag, (void)ftw;
        if (S_ISDIR(st->st_mode) || st->st_nlink == 1)
                blocks_of_tree += (uint64_t)st->st_blocks;
        return 0;
}

static void test_every_kind(void **state) {
        struct stat st;
        RemovalFigures figures;
        uint64_t linked_bytes;

        (void)state;
        make_file("root/.next/file", 100000);
        make_file("root/.next/a/b/c/file", 5);
        make_file("root/.next/new\nline \033[2J", 5);
        make_file("root/.next/\377\376", 5);
        make_file("root/.next/\377dir\n/\"'$(x)", 5);
        make_directories("root/.next/empty");
        make_file("kept", 7);
        make_directories("kept.d/in");
        ok(symlink("../../kept", "root/.next/link"));
        ok(symlink("../../kept.d", "root/.next/dirlink"));
        ok(symlink("/", "root/.next/slash"));
        ok(symlink("none", "root/.next/dangling"));
        ok(mkfifo("root/.next/fifo", 0600));
        make_socket("root/.next/socket");
        ok(link("kept", "root/.next/outside"));
        ok(stat("kept", &st));
        linked_bytes = (uint64_t)st.st_blocks * 512;
        ok(chmod("root/.next/a/b", 0));
        if (geteuid() == 0) {
                ok(mknod("root/.next/null", S_IFCHR | 0666, makedev(1, 3)));
                ok(mknod("root/.next/disk", S_IFBLK | 0600, makedev(7, 250)));
                ok(chown("root/.next/a", NOBODY, NOBODY));
        } else {
                make_file("root/.next/null", 0);
                make_file("root/.next/disk", 0);
                ok(chmod("root/.next/a/b", 0700));
        }
        blocks_of_tree = 0;
        ok(nftw("root/.next", add_blocks, 10, FTW_PHYS));
        ok(chmod("root/.next/a/b", 0));

        assert_int_equal(measure(".next"), blocks_of_tree * 512 + linked_bytes / 2);
        figures = sweep_all(".next");
        assert_int_equal(figures.n_files, 14);
        assert_int_equal(figures.n_directories, 6);
        assert_int_equal(figures.bytes, blocks_of_tree * 512);
        assert_false(exists("root/.next"));
        assert_true(exists("root/src"));
        assert_true(exists("kept.d/in"));
        ok(stat("kept", &st));
        assert_int_equal(st.st_nlink, 1);
        assert_int_equal(st.st_size, 7);
        ok(unlink("kept"));
        ok(rmdir("kept.d/in"));
        ok(rmdir("kept.d"));
}

static void test_hard_links_count_once(void **state) {
        RemovalFigures figures;
        struct stat file, dir;

        (void)state;
        make_file("root/.next/a", 65536);
        ok(link("root/.next/a", "root/.next/b"));
        ok(link("root/.next/a", "root/.next/c"));
        make_file("kept", 65536);
        ok(link("kept", "root/.next/d"));
        ok(stat("root/.next/a", &file));
        ok(stat("root/.next", &dir));
        figures = sweep_all(".next");
        assert_int_equal(figures.n_files, 4);
        assert_int_equal(figures.bytes, (uint64_t)(file.st_blocks + dir.st_blocks) * 512);
        ok(unlink("kept"));
}

static void test_wide(void **state) {
        RemovalFigures figures;

        (void)state;
        for (int i = 0; i < 3000; i++) {
                char path[64];

                snprintf(path, sizeof(path), "root/.next/a-long-name-of-a-file-%d", i);
                make_file(path, 0);
                snprintf(path, sizeof(path), "root/.next/a-long-name-of-a-directory-%d/x", i);
                if (i % 3 == 0)
                        make_file(path, 0);
        }
        figures = sweep_all(".next");
        assert_int_equal(figures.n_files, 4000);
        assert_int_equal(figures.n_directories, 1001);
}

static void test_deep(void **state) {
        RemovalFigures figures;
        rlim_t before;

        (void)state;
        make_directories("root/.next");
        make_deep("root/.next", 10000, 10000, "d");
        figures = sweep_all(".next");
        assert_int_equal(figures.n_files, 10000);
        assert_int_equal(figures.n_directories, 10001);

        /* two branches that meet the limit, and files beside them */
        make_directories("root/.next/a");
        make_directories("root/.next/b");
        make_deep("root/.next/a", 1000, 1000, "d");
        make_deep("root/.next/b", 1000, 1000, "d");
        before = limit_descriptors(descriptors_left(8));
        figures = sweep_all(".next");
        limit_descriptors(before);
        assert_int_equal(figures.n_files, 2000);
        assert_int_equal(figures.n_directories, 2003);
}

static void set_immutable(const char *path, bool immutable) {
        cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
        int flags;

        ok(fd);
        if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
                skip();
        flags = immutable ? flags | FS_IMMUTABLE_FL : flags & ~FS_IMMUTABLE_FL;
        if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
                skip();
}

static void assert_remaining(const Removed *removed, const char *expected) {
        cleanup_free char *text = NULL;
        Strv lines = removed->remaining;

        strv_sort(&lines);
        text = strv_join(&lines, ", ");
        assert_string_equal(text, expected);
        assert_int_equal(removed->figures.n_remaining, lines.n);
}

/* Reported once each, though the deep branch makes for many passes; the rest goes. */
static void test_immutable(void **state) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(removed_done) Removed removed = { 0 }, again = { 0 };
        cleanup_close int trash_fd = open_trash(&root);
        cleanup_free char *path = NULL, *top = NULL, *in_directory = NULL;
        CacheQuarantine taken;

        (void)state;
        need_root();
        make_file("root/.next/top", 1);
        make_file("root/.next/a/b/fixed\n", 1);
        make_file("root/.next/a/b/other", 1);
        make_file("root/.next/directory/in", 1);
        make_deep("root/.next", 200, 200, "d");
        taken = take_one(".next", trash_fd);
        assert_true(asprintf(&top, "trash/%s/top", taken.name) > 0);
        assert_true(asprintf(&path, "trash/%s/a/b/fixed\n", taken.name) > 0);
        assert_true(asprintf(&in_directory, "trash/%s/directory", taken.name) > 0);
        set_immutable(top, true);
        set_immutable(path, true);
        set_immutable(in_directory, true);

        assert_int_equal(remove_taken(trash_fd, &taken, &removed), -ENOTEMPTY);
        assert_remaining(&removed, "a/b/fixed\\n: Operation not permitted, "
                                   "directory/in: Operation not permitted, "
                                   "top: Operation not permitted");
        assert_int_equal(removed.figures.n_files, 201);
        assert_int_equal(removed.figures.n_directories, 200);
        set_immutable(top, false);
        set_immutable(path, false);
        set_immutable(in_directory, false);
        assert_int_equal(remove_taken(trash_fd, &taken, &again), 0);
        assert_int_equal(again.figures.n_files, 3);
        assert_int_equal(remove_taken(trash_fd, &taken, &again), -ENOENT);
}

static void test_mounts_in_a_cache(void **state) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(removed_done) Removed removed = { 0 }, again = { 0 };
        cleanup_close int trash_fd = open_trash(&root);
        CacheQuarantine taken;
        char path[3][128];

        (void)state;
        if (!mounts)
                skip();
        make_file("root/src/kept", 1);
        make_file("root/.next/file", 1);
        make_file("root/.next/x/file", 1);
        make_directories("root/.next/bound");
        make_directories("root/.next/x/other");
        taken = take_one(".next", trash_fd);
        snprintf(path[0], sizeof(path[0]), "trash/%s/bound", taken.name);
        snprintf(path[1], sizeof(path[1]), "trash/%s/x/other", taken.name);
        snprintf(path[2], sizeof(path[2]), "trash/%s/file", taken.name);
        ok(mount("root/src", path[0], NULL, MS_BIND, NULL)); /* of the same device */
        ok(mount("none", path[1], "tmpfs", 0, NULL));
        ok(mount("root/src/kept", path[2], NULL, MS_BIND, NULL));

        assert_int_equal(remove_taken(trash_fd, &taken, &removed), -ENOTEMPTY);
        assert_remaining(&removed, "bound: Invalid cross-device link, "
                                   "file: Device or resource busy, "
                                   "x/other: Invalid cross-device link");
        assert_true(exists("root/src/kept"));
        for (size_t i = 0; i < 3; i++)
                ok(umount(path[i]));
        assert_int_equal(remove_taken(trash_fd, &taken, &again), 0);
        assert_true(exists("root/src/kept"));
}

static void sweep_as_nobody(void) {
        cleanup(removed_done) Removed removed = { 0 };
        cleanup_close int fd = open("root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        RemovalHooks hooks = { .step = on_step, .remaining = on_remaining, .userdata = &removed };
        struct stat st;

        if (fstatat(fd, "src", &st, 0) < 0)
                _exit(2);
        if (tree_remove(fd, "src", st.st_dev, st.st_ino, &hooks, &removed.figures) != -ENOTEMPTY)
                _exit(3);
        /* of root's directory, nothing; of our own, all */
        if (removed.remaining.n != 1 ||
            strcmp(removed.remaining.v[0], "roots/in: Permission denied") != 0)
                _exit(4);
        if (faccessat(fd, "src/a", F_OK, 0) == 0 || removed.figures.n_files != 4)
                _exit(5);
}

static void test_directories_without_permissions(void **state) {
        static const char *const files[] = { "root/src/a/in", "root/src/a/b/in",
                                             "root/src/a/b/c/in", "root/src/file",
                                             "root/src/roots/in" };
        static const char *const directories[] = { "root/src/a/b/c", "root/src/a/b", "root/src/a",
                                                   "root/src", "root" };
        static const mode_t modes[] = { 0, 0400, 0100, 0500, 0755 };

        (void)state;
        need_root();
        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                make_file(files[i], 1);
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                ok(chown(directories[i], NOBODY, NOBODY));
                ok(chmod(directories[i], modes[i]));
        }
        ok(chmod(directory, 0755));
        as_nobody(sweep_as_nobody);
}

static void test_others_keep_writing(void **state) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(removed_done) Removed removed = { 0 };
        cleanup_close int trash_fd = open_trash(&root);
        cleanup_free char *path = NULL;
        CacheQuarantine taken;

        (void)state;
        make_file("root/.next/a/x", 1);
        make_file("root/.next/b/x", 1);
        taken = take_one(".next", trash_fd);
        assert_true(asprintf(&path, "trash/%s/a", taken.name) > 0);
        removed.write_to = path;
        assert_int_equal(remove_taken(trash_fd, &taken, &removed), -ENOTEMPTY);
        assert_true(removed.remaining.n == 1);
        assert_string_equal(removed.remaining.v[0], "a: Directory not empty");
        removed.write_to = NULL;
        assert_int_equal(remove_taken(trash_fd, &taken, &removed), 0);
}

static void test_removal_is_ended(void **state) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(removed_done) Removed removed = { .last_step = 3 };
        cleanup_close int trash_fd = open_trash(&root);
        CacheQuarantine taken;

        (void)state;
        for (int i = 0; i < 9; i++) {
                char path[64];

                snprintf(path, sizeof(path), "root/.next/%d/x", i);
                make_file(path, 1);
        }
        taken = take_one(".next", trash_fd);
        assert_int_equal(remove_taken(trash_fd, &taken, &removed), -ECANCELED);
        assert_int_equal(removed.n_steps, 3);
        assert_int_equal(removed.figures.n_remaining, 0);
        assert_int_equal(remove_taken(trash_fd, &taken, &removed), 0);
        assert_int_equal(removed.figures.n_files, 9);
        assert_int_equal(removed.figures.n_directories, 10);
}

static void test_left_overs(void **state) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(removed_done) Removed removed = { 0 };
        cleanup_close int trash_fd = open_trash(&root);
        CacheQuarantine taken, other;
        char path[128];

        (void)state;
        make_file("root/.next/x", 1);
        taken = take_one(".next", trash_fd);

        other = taken;
        other.ino++;
        assert_int_equal(remove_taken(trash_fd, &other, &removed), -ESTALE);
        other = taken;
        other.dev++;
        assert_int_equal(remove_taken(trash_fd, &other, &removed), -ESTALE);
        other = taken;
        other.name[0] = other.name[0] == '0' ? '1' : '0';
        assert_int_equal(remove_taken(trash_fd, &other, &removed), -ENOENT);
        strcpy(other.name, "..");
        assert_int_equal(remove_taken(trash_fd, &other, &removed), -EINVAL);
        strcpy(other.name, "../root/src");
        assert_int_equal(remove_taken(trash_fd, &other, &removed), -EINVAL);
        assert_int_equal(removed.figures.n_files + removed.figures.n_directories, 0);

        /* a link to the very directory */
        snprintf(path, sizeof(path), "trash/%s", taken.name);
        ok(rename(path, "root/moved"));
        ok(symlink("../root/moved", path));
        assert_int_equal(remove_taken(trash_fd, &taken, &removed), -ESTALE);
        assert_true(exists("root/moved/x"));
        ok(unlink(path));
        ok(rename("root/moved", path));
        assert_int_equal(remove_taken(trash_fd, &taken, &removed), 0);
        assert_int_equal(removed.figures.n_files, 1);
}

/* Taking. */

typedef struct Swap {
        const char *from, *to, *instead;
        int n_calls, error;
} Swap;

/* The last moment before the rename that a test can choose. */
static int swap(void *userdata, const CacheQuarantine *takes, size_t n) {
        Swap *swap = userdata;

        swap->n_calls++;
        for (size_t i = 0; i < n; i++) {
                assert_int_equal(strlen(takes[i].name), TRASH_NAME_MAX - 1);
                assert_true(i == 0 || strcmp(takes[i].name, takes[i - 1].name) != 0);
        }
        if (swap->to)
                ok(rename(swap->from, swap->to));
        if (swap->instead)
                ok(rename(swap->instead, swap->from));
        return swap->error;
}

static void test_take_what_was_swapped(void **state) {
        static const struct {
                Swap swap;
                int result;
        } cases[] = {
                { { NULL, NULL, NULL, 0, 0 }, 0 },
                { { "root/lib/.next", "root/away", NULL, 0, 0 }, -ENOENT },
                { { "root/lib/.next", "root/away", "root/directory", 0, 0 }, -ESTALE },
                { { "root/lib/.next", "root/away", "root/link", 0, 0 }, -ESTALE },
                { { "root/lib/.next", "root/away", "root/file", 0, 0 }, -ESTALE },
                { { "root/lib", "root/away", NULL, 0, 0 }, -ENOENT },
                { { "root/lib", "root/away", "root/directory", 0, 0 }, -ENOENT },
                { { "root/lib", "root/away", "root/link", 0, 0 }, -ENOTDIR },
                { { "root/lib", "root/away", "root/file", 0, 0 }, -ENOTDIR },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(strv_done) Strv names = names_of(".next");
                cleanup(finds_done) Finds finds = { 0 };
                Swap one = cases[i].swap;

                make_file("root/lib/.next/x", 1);
                make_file("root/directory/x", 1);
                make_file("root/canary/.next/x", 1);
                ok(symlink("canary", "root/link"));
                make_file("root/file", 1);
                assert_int_equal(find("lib/.next", &finds), 0);
                {
                        cleanup(app_close) AppRoot root = open_root();
                        cleanup_close int trash_fd = open_trash(&root);

                        assert_int_equal(cache_quarantine(&root, &names, trash_fd, finds.takes, 1,
                                                          swap, &one),
                                         0);
                }
                assert_int_equal(one.n_calls, 1);
                assert_int_equal(finds.takes[0].result, cases[i].result);
                assert_true(exists("root/canary/.next/x"));
                assert_int_equal(exists("root/lib/.next/x") || exists("root/away/x") ||
                                         exists("root/away/.next/x"),
                                 cases[i].result != 0);
                teardown(NULL);
                setup(NULL);
        }
}

static void test_take_is_refused(void **state) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(strv_done) Strv names = names_of(".next, a/b");
        cleanup_close int trash_fd = open_trash(&root);
        CacheQuarantine takes[] = {
                { .path = "src" },        { .path = ".next/x" }, { .path = "../root/.next" },
                { .path = "/etc/.next" }, { .path = "" },        { .path = "src/../.next" },
                { .path = "src/a/b" },    { .path = "b" },       { .path = "." },
        };
        RemovalHooks hooks = { 0 };
        RemovalFigures figures = { 0 };
        Swap never = { .error = -EIO };
        struct stat st;

        (void)state;
        make_file("root/.next/x/y", 1);
        make_file("root/src/a/b/x", 1);
        ok(stat("root/.next", &st));
        assert_int_equal(cache_quarantine(&root, &names, trash_fd, takes, ELEMENTSOF(takes),
                                          store_nothing, NULL),
                         0);
        for (size_t i = 0; i < ELEMENTSOF(takes); i++) {
                if (takes[i].result != -EINVAL)
                        fail_msg("'%s': %d", takes[i].path, takes[i].result);
                assert_int_equal(cache_remove(&root, &names, takes[i].path, st.st_dev, st.st_ino,
                                              &hooks, &figures),
                                 -EINVAL);
        }

        /* nothing is renamed that could not be stored */
        takes[0] = (CacheQuarantine){ .path = ".next", .dev = st.st_dev, .ino = st.st_ino };
        assert_int_equal(cache_quarantine(&root, &names, trash_fd, takes, 1, swap, &never), -EIO);
        assert_true(exists("root/.next/x/y"));
        assert_int_equal(figures.n_files, 0);
}

static void test_take_over_mounts(void **state) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(strv_done) Strv names = names_of(".next");
        cleanup(finds_done) Finds finds = { 0 };
        cleanup_close int trash_fd = open_trash(&root);

        (void)state;
        if (!mounts)
                skip();
        make_file("root/.next/x", 1);
        make_file("root/src/.next/x", 1);
        assert_int_equal(find(".next", &finds), 0);
        ok(mount("root/src", "root/src", NULL, MS_BIND, NULL));
        make_file("kept/x", 1);
        ok(mount("kept", "root/.next", NULL, MS_BIND, NULL));
        assert_int_equal(
                cache_quarantine(&root, &names, trash_fd, finds.takes, 2, store_nothing, NULL), 0);
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(finds.takes[i].result,
                                 strchr(finds.takes[i].path, '/') ? -EXDEV : -ESTALE);
        assert_true(exists("kept/x"));
        ok(umount("root/src"));
        ok(umount("root/.next"));
        ok(nftw("kept", wipe_entry, 10, FTW_PHYS | FTW_DEPTH));
}

static void test_remove_in_place(void **state) {
        cleanup(app_close) AppRoot root = open_root();
        cleanup(strv_done) Strv names = names_of(".next");
        cleanup(finds_done) Finds finds = { 0 };
        RemovalHooks hooks = { 0 };
        RemovalFigures figures = { 0 };

        (void)state;
        make_file("root/src/.next/a/x", 1);
        make_file("root/src/other/x", 1);
        assert_int_equal(find(".next", &finds), 0);
        ok(rename("root/src/.next", "root/src/away"));
        ok(rename("root/src/other", "root/src/.next"));
        assert_int_equal(cache_remove(&root, &names, "src/.next", finds.takes[0].dev,
                                      finds.takes[0].ino, &hooks, &figures),
                         -ESTALE);
        assert_true(exists("root/src/.next/x"));
        ok(rename("root/src/.next", "root/src/other"));
        ok(rename("root/src/away", "root/src/.next"));
        assert_int_equal(cache_remove(&root, &names, "src/.next", finds.takes[0].dev,
                                      finds.takes[0].ino, &hooks, &figures),
                         0);
        assert_false(exists("root/src/.next"));
        assert_int_equal(figures.n_files, 1);
        assert_int_equal(figures.n_directories, 2);
}

static int try_trash(const char *path, const AppRoot *root) {
        cleanup_close int fd = -EBADF;
        Diag diag = DIAG_NULL;

        return trash_open(path, root, NULL, &fd, &diag);
}

static int try_trash_here(const char *name, const AppRoot *root) {
        cleanup_free char *path = NULL;

        assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
        return try_trash(path, root);
}

static void test_trash(void **state) {
        cleanup(app_close) AppRoot root = open_root();
        struct stat st;

        (void)state;
        assert_int_equal(try_trash_here("trash", &root), 0);
        ok(stat("trash", &st));
        assert_int_equal(st.st_mode & 07777, 0700);
        assert_int_equal(try_trash_here("trash", &root), 0);
        assert_int_equal(try_trash_here("trash", NULL), 0);
        assert_int_equal(try_trash_here("root/trash", &root), -EINVAL);
        assert_int_equal(try_trash_here("root/src/trash", &root), -EINVAL);
        assert_int_equal(try_trash_here("root/none/trash", &root), -ENOENT);
        assert_int_equal(try_trash("trash", &root), -EINVAL);
        assert_int_equal(try_trash("/", &root), -EINVAL);
        assert_int_equal(try_trash_here("trash/..", &root), -EINVAL);
        assert_int_equal(try_trash("/dev/shm/..", &root), -EINVAL);

        ok(chmod("trash", 0755));
        assert_int_equal(try_trash_here("trash", &root), -EPERM);
        ok(rmdir("trash"));
        ok(symlink("root/src", "trash"));
        assert_int_equal(try_trash_here("trash", &root), -ENOTDIR);
        ok(unlink("trash"));
        ok(chmod(directory, 01777));
        assert_int_equal(try_trash_here("trash", &root), -EPERM);
        ok(chmod(directory, 0755));
        if (!mounts)
                return;
        make_directories("trash");
        ok(mount("trash", "trash", NULL, MS_BIND, NULL));
        ok(chmod("trash", 0700));
        assert_int_equal(try_trash_here("trash", &root), -EXDEV);
        ok(umount("trash"));
        ok(chown("trash", NOBODY, NOBODY));
        assert_int_equal(try_trash_here("trash", &root), -EPERM);
}

static int make_place(void) {
        umask(022);
        if (!mkdtemp(directory) || chmod(directory, 0755) < 0)
                return -1;
        mounts = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                 mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
        return 0;
}

int main(void) {
#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
#define test_in_memory(function) \
        cmocka_unit_test_setup_teardown(function, setup_in_memory, teardown_in_memory)
        const struct CMUnitTest tests[] = {
                test(test_refused_roots),
                test(test_refused_homes),
                test(test_links_to_a_root),
                test(test_states_of_a_root),
                test(test_markers),
                test(test_names),
                test(test_path_text),
                test(test_find),
                test(test_find_what_is_no_cache),
                test(test_find_mounts),
                test(test_find_what_is_closed),
                test(test_find_is_ended),
                test(test_find_what_is_moved),
                test_in_memory(test_find_deep),
                test(test_every_kind),
                test(test_hard_links_count_once),
                test_in_memory(test_wide),
                test_in_memory(test_deep),
                test(test_immutable),
                test(test_mounts_in_a_cache),
                test(test_directories_without_permissions),
                test(test_others_keep_writing),
                test(test_removal_is_ended),
                test(test_left_overs),
                test(test_take_what_was_swapped),
                test(test_take_is_refused),
                test(test_take_over_mounts),
                test(test_remove_in_place),
                test(test_trash),
        };
        int n_failed;

        if (make_place() < 0)
                return 1;
        n_failed = cmocka_run_group_tests_name("this kernel", tests, NULL, NULL);
        forbid_openat2();
        n_failed += cmocka_run_group_tests_name("without openat2", tests, NULL, NULL);
        forbid_mounts_of_statx();
        n_failed += cmocka_run_group_tests_name("without mounts in statx", tests, NULL, NULL);
        return chdir("/") < 0 || rmdir(directory) < 0 || n_failed;
}
