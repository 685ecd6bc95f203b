/* SPDX-License-Identifier: MIT */

/*
 * A hostile local user against root's removal: a child, as nobody, changes the tree as fast as it
 * can while this process finds, takes and removes caches in it, $WPCACHE_ROUNDS times. What is
 * outside the root is the canary: it has the names that the child wants removed, and must be the
 * same afterwards. Each attack says how often it was seen to hit, since one that never does shows
 * nothing. Twice, as in test-caches.c. Needs root, for a mount namespace and for a user to be hostile to.
 */

#include <dirent.h>
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

#include "apps/find.h"
#include "apps/quarantine.h"
#include "apps/remove.h"
#include "apps/root.h"
#include "apps/trash.h"
#include "base/array.h"
#include "base/io.h"
#include "old-kernel.h"
#include "test.h"

#define NOBODY 65534
#define ROUNDS 150
#define FINDS_MAX 1000 /* for one round */

static char directory[] = "/tmp/test-caches-attacks-XXXXXX";

#define ok(call)                                                    \
        do {                                                        \
                if ((call) < 0)                                     \
                        fail_msg("%s: %s", #call, strerror(errno)); \
        } while (0)

static unsigned n_rounds(void) {
        const char *text = getenv("WPCACHE_ROUNDS");

        return text ? (unsigned)strtoul(text, NULL, 10) : ROUNDS;
}

/* The canary. */

static uint64_t hash;

static void hash_bytes(const void *bytes, size_t n) {
        for (size_t i = 0; i < n; i++)
                hash = (hash ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
}

/* All but the times of access and change, and the number of links. A sum would do for the order of
 * names, so it is the tree's own: nothing is added or removed, so it stays. */
static int hash_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
        (void)flag, (void)ftw;
        hash_bytes(path, strlen(path));
        hash_bytes(&st->st_ino, sizeof(st->st_ino));
        hash_bytes(&st->st_mode, sizeof(st->st_mode));
        hash_bytes(&st->st_uid, sizeof(st->st_uid));
        hash_bytes(&st->st_gid, sizeof(st->st_gid));
        hash_bytes(&st->st_size, sizeof(st->st_size));
        hash_bytes(&st->st_mtim, sizeof(st->st_mtim));
        if (S_ISREG(st->st_mode)) {
                cleanup_free char *text = NULL;
                size_t n;

                if (file_read(AT_FDCWD, path, 4096, &text, &n) < 0)
                        return -1;
                hash_bytes(text, n);
        }
        return 0;
}

static uint64_t hash_canary(void) {
        hash = UINT64_C(0xcbf29ce484222325);
        ok(nftw("outside", hash_entry, 64, FTW_PHYS | FTW_MOUNT));
        return hash;
}

static void write_file(const char *path, const char *text) {
        ok(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0644));
}

/* Where a link of the child leads, there is something of every name it can ask for. */
static void make_canary(void) {
        static const char *const directories[] = {
                "outside",         "outside/.next",     "outside/.next/d", "outside/.next/d/e",
                "outside/b",       "outside/b/.next",   "outside/d",       "outside/d/e",
                "outside/d/.next", "outside/e",         "outside/e/.next", "outside/lib",
                "outside/m",       "outside/lib/.next",
        };

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                char path[64];

                ok(mkdir(directories[i], 0755));
                for (int k = 0; k < 3; k++) {
                        snprintf(path, sizeof(path), "%s/f%d", directories[i], k);
                        write_file(path, path);
                }
        }
        ok(chmod("outside/d", 0777));
        ok(symlink("/etc/passwd", "outside/b/link"));
        ok(chmod("outside/b/f0", 04755));
        ok(chown("outside/d/f0", NOBODY, NOBODY)); /* which it may link to */
}

static int setup(void **state) {
        (void)state;
        if (mount("none", directory, "tmpfs", 0, "mode=0755") < 0 || chdir(directory) < 0 ||
            mkdir("root", 0755) < 0 || chown("root", NOBODY, NOBODY) < 0)
                return -1;
        make_canary();
        return 0;
}

static int teardown(void **state) {
        (void)state;
        return chdir("/") < 0 ? -1 : umount2(directory, MNT_DETACH);
}

/* The child. Every call may fail, as things are taken from it. */

static void exchange(int a_fd, const char *a, int b_fd, const char *b) {
        (void)!renameat2(a_fd, a, b_fd, b, RENAME_EXCHANGE);
}

static void touch(int fd, const char *name) {
        int file = openat(fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

        cleanup_closep(&file);
}

static int make(int fd, const char *name) {
        (void)!mkdirat(fd, name, 0755);
        return openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void fill(int fd, int n) {
        for (int i = 0; i < n; i++) {
                char name[32];

                snprintf(name, sizeof(name), "file%d", i);
                touch(fd, name);
        }
}

static void make_cache(int fd) {
        cleanup_close int cache = make(fd, ".next");

        fill(cache, 5);
}

/* A directory on the way down becomes a link to the canary and back. */
static void attack_walk(int root_fd) {
        for (unsigned i = 0;; i++) {
                if (i % 16 == 0) {
                        cleanup_close int a = make(root_fd, "a"), b = make(a, "b");
                        cleanup_close int d = make(root_fd, "d");

                        make_cache(b);
                        make_cache(d);
                        (void)!symlinkat("../outside", root_fd, "l");
                        (void)!symlinkat("../outside/d", root_fd, "ld");
                }
                exchange(root_fd, "a", root_fd, "l");
                exchange(root_fd, "d", root_fd, "ld");
        }
}

/* The cache itself, or what it is in, becomes a link, or another directory. */
static void attack_rename(int root_fd) {
        for (unsigned i = 0;; i++) {
                cleanup_close int lib = make(root_fd, "lib");

                if (i % 4 == 0) {
                        cleanup_close int other = make(lib, "other");

                        make_cache(lib);
                        fill(other, 2);
                        (void)!symlinkat("../../outside/.next", lib, "l");
                        (void)!symlinkat("../outside/lib", root_fd, "ll");
                }
                exchange(lib, ".next", lib, "l");
                exchange(lib, ".next", lib, "other");
                exchange(root_fd, "lib", root_fd, "ll");
                exchange(root_fd, "lib", root_fd, "ll");
        }
}

/* Descriptors of what was taken still work: names in it are swapped, moved out and back, while it
 * goes. Deep enough that directories are renamed on the removal's side too. */
static void attack_unlink(int root_fd) {
        for (;;) {
                cleanup_close int cache = make(root_fd, "new"), d = make(cache, "d");
                int at = make(d, "e"), middle = -EBADF;

                fill(cache, 20);
                fill(d, 20);
                (void)!symlinkat("../../outside/d", cache, "l");
                (void)!symlinkat("../../../outside/d", d, "l");
                for (int i = 0; i < 80; i++) {
                        int next = make(at, "d");

                        if (i == 63)
                                middle = at;
                        else
                                close(at);
                        at = next;
                }
                (void)!symlinkat(directory, middle, "l");
                fill(middle, 10);
                (void)!renameat(root_fd, "new", root_fd, ".next");
                for (int i = 0; i < 100; i++) {
                        char name[32];

                        snprintf(name, sizeof(name), "file%d", i % 20);
                        exchange(cache, "d", cache, "l");
                        exchange(d, "e", d, "l");
                        exchange(middle, "d", middle, "l");
                        (void)!renameat(d, "e", root_fd, "m");
                        exchange(cache, name, cache, "l");
                        (void)!renameat(root_fd, "m", d, "e");
                        exchange(d, name, d, "e");
                }
                close(at);
                close(middle);
        }
}

/* Files of the child's outside the root, under names in the cache. */
static void attack_links(int root_fd) {
        cleanup_close int outside = open("outside/d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        for (;;) {
                cleanup_close int cache = make(root_fd, ".next");

                for (int i = 0; i < 20; i++) {
                        char name[32];

                        snprintf(name, sizeof(name), "link%d", i);
                        (void)!linkat(outside, "f0", cache, name, 0);
                        (void)!mkfifoat(cache, "fifo", 0666);
                        exchange(cache, name, cache, "fifo");
                }
        }
}

typedef void (*Attack)(int root_fd);

static pid_t begin(Attack attack) {
        pid_t pid = fork();

        if (pid == 0) {
                int root_fd = open("root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                /* a change of user clears that signal */
                if (root_fd < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                    setresuid(NOBODY, NOBODY, NOBODY) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                        _exit(1);
                attack(root_fd);
                _exit(1);
        }
        assert_true(pid > 0);
        return pid;
}

static void end(pid_t pid) {
        int status;

        ok(kill(pid, SIGKILL));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
}

/* Root's side. */

typedef struct Side {
        AppRoot root;
        int trash_fd;
        Strv names;
        CacheQuarantine *takes;
        size_t n, size;
        /* what was seen of the child */
        unsigned n_rounds, n_taken, n_no_caches, n_swapped, n_gone, n_kept, n_remaining;
        RemovalFigures figures;
} Side;

static int on_found(void *userdata, const Cache *cache) {
        Side *side = userdata;

        if (cache->kind != CACHE_DIRECTORY) {
                side->n_no_caches++;
                return 0;
        }
        assert_int_equal(array_grow(side->takes, side->n, side->size), 0);
        side->takes[side->n] = (CacheQuarantine){ .path = strdup(cache->path),
                                                  .dev = cache->dev,
                                                  .ino = cache->ino };
        assert_non_null(side->takes[side->n++].path);
        return 0;
}

static int store_nothing(void *userdata, const CacheQuarantine *takes, size_t n) {
        (void)userdata, (void)takes, (void)n;
        return 0;
}

static void on_remaining(void *userdata, const char *path, int error) {
        Side *side = userdata;

        assert_true(*path);
        assert_true(error < 0);
        side->n_remaining++;
}

static void find(Side *side) {
        CacheHooks hooks = { .found = on_found, .userdata = side };

        for (size_t i = 0; i < side->n; i++)
                free((char *)side->takes[i].path);
        side->n = 0;
        assert_int_equal(cache_find(&side->root, &side->names, &hooks), 0);
        side->n_rounds += side->n > 0;
}

static void round_by_trash(Side *side) {
        RemovalHooks hooks = { .remaining = on_remaining, .userdata = side };

        find(side);
        assert_int_equal(cache_quarantine(&side->root, &side->names, side->trash_fd, side->takes,
                                          side->n, store_nothing, NULL),
                         0);
        for (size_t i = 0; i < side->n; i++) {
                const CacheQuarantine *taken = &side->takes[i];
                int r = taken->result;

                side->n_taken += r == 0;
                side->n_swapped += r == -ESTALE;
                side->n_gone += r == -ENOENT || r == -ENOTDIR;
                side->n_kept += r == -EEXIST;
                assert_true(r == 0 || r == -ESTALE || r == -ENOENT || r == -ENOTDIR ||
                            r == -EEXIST);
                if (r < 0)
                        continue;
                r = trash_remove(side->trash_fd, taken->name, taken->dev, taken->ino, &hooks,
                                 &side->figures);
                /* until the child has gone elsewhere */
                for (int k = 0; r == -ENOTEMPTY && k < 1000; k++)
                        r = trash_remove(side->trash_fd, taken->name, taken->dev, taken->ino,
                                         &hooks, &side->figures);
                assert_int_equal(r, 0);
        }
}

static void round_in_place(Side *side) {
        RemovalHooks hooks = { .remaining = on_remaining, .userdata = side };

        find(side);
        for (size_t i = 0; i < side->n; i++) {
                const CacheQuarantine *found = &side->takes[i];
                int r = cache_remove(&side->root, &side->names, found->path, found->dev, found->ino,
                                     &hooks, &side->figures);

                side->n_taken += r == 0;
                side->n_swapped += r == -ESTALE;
                side->n_gone += r == -ENOENT || r == -ENOTDIR;
        }
}

/* With mounts in the cache: of the same device, and on a file. */
static void round_with_mounts(Side *side) {
        if (mkdir("root/.next", 0777) == 0)
                ok(chmod("root/.next", 0777));
        if (mkdir("root/.next/mounted", 0755) < 0 && errno != EEXIST)
                return; /* a link just now */
        touch(AT_FDCWD, "root/.next/mounted file");
        ok(mount("outside", "root/.next/mounted", NULL, MS_BIND, NULL));
        ok(mount("outside/b/f1", "root/.next/mounted file", NULL, MS_BIND, NULL));
        round_in_place(side);
        ok(umount2("root/.next/mounted", MNT_DETACH));
        ok(umount2("root/.next/mounted file", MNT_DETACH));
}

static void open_side(Side *side) {
        char path[64];
        Diag diag = DIAG_NULL;

        *side = (Side){ .root = APP_ROOT_NULL, .trash_fd = -EBADF };
        snprintf(path, sizeof(path), "%s/root", directory);
        if (app_open(path, &side->root, &diag) < 0)
                fail_msg("%s", diag.text);
        snprintf(path, sizeof(path), "%s/trash", directory);
        if (trash_open(path, &side->root, NULL, &side->trash_fd, &diag) < 0)
                fail_msg("%s", diag.text);
        assert_int_equal(strv_add(&side->names, ".next"), 0);
}

static void close_side(Side *side) {
        for (size_t i = 0; i < side->n; i++)
                free((char *)side->takes[i].path);
        free(side->takes);
        strv_done(&side->names);
        app_close(&side->root);
        cleanup_closep(&side->trash_fd);
}

static unsigned entries(const char *path) {
        DIR *stream = opendir(path);
        unsigned n = 0;

        assert_non_null(stream);
        while (readdir(stream))
                n++;
        closedir(stream);
        return n - 2;
}

/* Runs the rounds; says what was seen. */
static Side play(const char *name, Attack attack, void (*round)(Side *side)) {
        uint64_t before = hash_canary();
        Side side;
        pid_t pid;

        open_side(&side);
        pid = begin(attack);
        for (uint64_t i = 0; side.n_rounds < n_rounds(); i++) {
                if (i == FINDS_MAX * ((uint64_t)n_rounds() + 1))
                        fail_msg("%s: the child makes no caches any more", name);
                round(&side);
        }
        end(pid);
        if (hash_canary() != before)
                fail_msg("%s: the canary is not what it was", name);
        print_message("%s: %u rounds, %u removed with %ju files, no caches %u, swapped %u, "
                      "gone %u, kept %u, remaining %u\n",
                      name, side.n_rounds, side.n_taken, (uintmax_t)side.figures.n_files,
                      side.n_no_caches, side.n_swapped, side.n_gone, side.n_kept, side.n_remaining);
        close_side(&side);
        return side;
}

static void test_walk(void **state) {
        Side side;

        (void)state;
        side = play("walk", attack_walk, round_by_trash);
        assert_true(side.n_gone + side.n_swapped > 0);
        assert_int_equal(entries("trash"), side.n_kept);
}

static void test_rename(void **state) {
        Side side;

        (void)state;
        side = play("rename", attack_rename, round_by_trash);
        assert_true(side.n_gone + side.n_swapped > 0);
        /* What could not be put back is all there is in the trash. */
        assert_int_equal(entries("trash"), side.n_kept);
}

static void test_unlink(void **state) {
        Side side;

        (void)state;
        side = play("unlink", attack_unlink, round_by_trash);
        assert_int_equal(entries("trash"), side.n_kept);
}

static void test_unlink_in_place(void **state) {
        (void)state;
        (void)play("unlink in place", attack_unlink, round_in_place);
}

static void test_rename_in_place(void **state) {
        (void)state;
        (void)play("rename in place", attack_rename, round_in_place);
}

static void test_links(void **state) {
        Side side;
        struct stat st;

        (void)state;
        side = play("hard links", attack_links, round_by_trash);
        assert_true(side.figures.n_files > 0);
        ok(stat("outside/d/f0", &st));
        assert_int_equal(st.st_uid, NOBODY);
}

static void test_mounts(void **state) {
        Side side;

        (void)state;
        side = play("mounts", attack_links, round_with_mounts);
        assert_true(side.figures.n_files > 0);
        assert_true(side.n_remaining >= 2 * n_rounds());
        assert_int_equal(side.n_taken, 0);
}

int main(void) {
#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
        const struct CMUnitTest tests[] = {
                test(test_walk),   test(test_rename),
                test(test_unlink), test(test_unlink_in_place),
                test(test_links),  test(test_rename_in_place),
                test(test_mounts),
        };
        int r;

        umask(022);
        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                print_message("skipped: needs root\n");
                return 77;
        }
        if (!mkdtemp(directory))
                return 1;
        r = cmocka_run_group_tests_name("this kernel", tests, NULL, NULL);
        forbid_openat2();
        r += cmocka_run_group_tests_name("without openat2", tests, NULL, NULL);
        return rmdir(directory) < 0 || r;
}
