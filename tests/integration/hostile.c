/* SPDX-License-Identifier: MIT */

/*
 * hostile ATTACK ROOT CANARY: changes what is below ROOT, which is its own, as fast as it can,
 * while root's daemon clears caches there; at SIGTERM says how often it did. CANARY, by its
 * absolute path, is where its links lead, and has something of every name that a clear can be
 * tricked into asking for. In it CANARY/drop is its own, where it moves things to, and CANARY/his,
 * whose files it links.
 */

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/macro.h"

#define DEPTH 10000
#define SWAPS_MAX 20000 /* in one cache */

static int root_fd, canary_fd, drop_fd, his_fd;
static const char *root, *canary;
static volatile sig_atomic_t ended;
static uintmax_t n_swaps, n_caches;

static void on_signal(int signal) {
        (void)signal;
        ended = 1;
}

/* Every call may fail, as things are taken away meanwhile. */

static void count(int r) {
        n_swaps += r == 0;
}

static void exchange(int a_fd, const char *a, int b_fd, const char *b) {
        count(renameat2(a_fd, a, b_fd, b, RENAME_EXCHANGE));
}

static void move(int from_fd, const char *from, int to_fd, const char *to) {
        count(renameat(from_fd, from, to_fd, to));
}

/* Out of the root. What has no way back is a cache of its own then. */
static void out_and_back(int fd, const char *name) {
        move(fd, name, drop_fd, "m");
        if (renameat(drop_fd, "m", fd, name) < 0 && errno != ENOENT)
                (void)!renameat(drop_fd, "m", root_fd, "cache");
}

/* Makes it one that leads to `below` the canary. */
static void make_link(int fd, const char *name, const char *below) {
        char target[PATH_MAX];

        snprintf(target, sizeof(target), "%s%s", canary, below);
        (void)!symlinkat(target, fd, name);
}

static void touch(int fd, const char *name) {
        int file = openat(fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);

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

static void make_cache(int fd, const char *name) {
        cleanup_close int cache = -EBADF;

        n_caches += mkdirat(fd, name, 0755) == 0;
        cache = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        fill(cache, 5);
}

/* A chain of directories named d. Returns the last, and the one half-way. */
static int make_chain(int fd, const char *name, int depth, int *ret_middle_fd) {
        int at = make(fd, name);

        *ret_middle_fd = -EBADF;
        for (int i = 1; i < depth; i++) {
                int next = make(at, "d");

                if (i == depth / 2)
                        *ret_middle_fd = at;
                else
                        cleanup_closep(&at);
                at = next;
        }
        return at;
}

/* A cache at a path that never was before, as soon as the last is gone: a clear that finds the same
 * ones a few times waits before it looks again, and there is nothing to attack while it waits. */
static void bait(void) {
        static unsigned i;
        cleanup_close int fd = -EBADF;
        char name[32];

        snprintf(name, sizeof(name), "bait%u", i);
        if (unlinkat(root_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return;
        snprintf(name, sizeof(name), "bait%u", ++i);
        fd = make(root_fd, name);
        make_cache(fd, ".next");
}

/* Directories on the way to caches become links. */
static void attack_walk(unsigned i) {
        cleanup_close int a = -EBADF;

        if (i % 16 == 0) {
                cleanup_close int in_a = make(root_fd, "a"), b = make(in_a, "b");
                cleanup_close int d = make(root_fd, "d"), modules = make(root_fd, "node_modules");

                make_cache(b, ".next");
                make_cache(d, "cache");
                make_cache(modules, ".cache");
                make_link(root_fd, "l", "");
                make_link(root_fd, "ld", "/d");
                make_link(root_fd, "lm", "/node_modules");
                make_link(in_a, "lb", "/b");
        }
        a = openat(root_fd, "a", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        exchange(a, "b", a, "lb");
        exchange(root_fd, "a", root_fd, "l");
        exchange(root_fd, "d", root_fd, "ld");
        exchange(root_fd, "node_modules", root_fd, "lm");
}

/* The cache, or what it is in, becomes a link or another directory, or is elsewhere meanwhile. */
static void attack_rename(unsigned i) {
        cleanup_close int lib = make(root_fd, "lib");

        if (i % 4 == 0) {
                cleanup_close int other = make(lib, "other"), outside = make(drop_fd, "other");

                make_cache(lib, ".next");
                fill(other, 2);
                fill(outside, 2);
                make_link(lib, "l", "/.next");
                make_link(root_fd, "ll", "/lib");
        }
        /* One after the other, so that what was found is there again half of the time. */
        for (unsigned k = 0; k < 2; k++)
                switch (i / 256 % 5) {
                case 0:
                        exchange(lib, ".next", lib, "l");
                        break;
                case 1:
                        exchange(lib, ".next", lib, "other");
                        break;
                case 2:
                        exchange(lib, ".next", drop_fd, "other");
                        break;
                case 3:
                        exchange(root_fd, "lib", root_fd, "ll");
                        break;
                default:
                        out_and_back(lib, ".next");
                }
}

/* Puts a cache where none ever was. Returns the directory it is in. */
static int put(int from_fd, const char *from) {
        static unsigned i;
        char name[32];
        int fd;

        snprintf(name, sizeof(name), "put%u", i);
        (void)!unlinkat(root_fd, name, AT_REMOVEDIR);
        snprintf(name, sizeof(name), "put%u", ++i);
        fd = make(root_fd, name);
        n_caches += renameat(from_fd, from, fd, ".next") == 0;
        return fd;
}

static bool is_gone(int fd) {
        struct stat st;

        return fstat(fd, &st) < 0 || st.st_nlink == 0;
}

/* Descriptors of a cache work when it is in the trash: things in it are swapped, made, and moved
 * out of the root and back while it goes. Deeper than a removal goes without renames of its own. */
static void attack_unlink(unsigned i) {
        cleanup_close int cache = make(root_fd, "new"), d = make(cache, "d"), middle = -EBADF;
        cleanup_close int last = make_chain(d, "e", 80, &middle), in = -EBADF;

        (void)i;
        fill(cache, 20);
        fill(d, 20);
        make_link(cache, "l", "/d");
        make_link(d, "l", "/d/e");
        make_link(middle, "l", "");
        fill(middle, 10);
        in = put(root_fd, "new");
        for (unsigned k = 0; k < SWAPS_MAX && !is_gone(cache) && !ended; k++) {
                char name[32];

                snprintf(name, sizeof(name), "file%u", k % 20);
                exchange(cache, "d", cache, "l");
                exchange(d, "e", d, "l");
                exchange(middle, "d", middle, "l");
                exchange(cache, name, cache, "l");
                out_and_back(d, "e");
                exchange(d, name, d, "e");
                out_and_back(middle, "d");
                if (k % 64 == 0) {
                        touch(middle, name);
                        touch(last, name);
                        touch(cache, name);
                }
        }
}

/* Directories that a search has to climb out of again are moved out of the root meanwhile, where
 * the canary is above them. */
static void attack_climb(unsigned i) {
        static int middle = -EBADF, last = -EBADF;

        if (i == 0) {
                cleanup_close int t = make(root_fd, "t");

                last = make_chain(t, "d", 80, &middle);
                make_link(middle, "l", "/d");
        }
        if (i % 16 == 0)
                make_cache(last, ".next");
        out_and_back(middle, "d");
        exchange(middle, "d", middle, "l");
        exchange(middle, "d", middle, "l");
        if (i % 4 == 0)
                out_and_back(root_fd, "t");
}

/* What is not to be opened, and other links to files outside. */
static void attack_links(unsigned i) {
        bool made = mkdirat(root_fd, "cache", 0755) == 0;
        cleanup_close int cache = make(root_fd, "cache");

        (void)i;
        n_caches += made;
        make_link(cache, "l", "/d");
        for (int k = 0; k < 20; k++) {
                char name[32], file[8];

                snprintf(name, sizeof(name), "link%d", k);
                snprintf(file, sizeof(file), "f%d", k % 3);
                count(linkat(his_fd, file, cache, name, 0));
                count(linkat(canary_fd, file, cache, "root's", 0)); /* most kernels forbid it */
                count(mkfifoat(cache, "fifo", 0666));
                count(mknodat(cache, "socket", S_IFSOCK | 0666, 0));
                count(mknodat(cache, "whiteout", S_IFCHR, 0));
                exchange(cache, name, cache, "fifo");
                exchange(cache, name, cache, "l");
        }
}

static void random_name(char ret[static NAME_MAX + 1]) {
        static uint64_t state = 1;
        size_t n = 0;

        do {
                for (size_t k = 0; k == 0 || k < n; k++) {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        if (k == 0)
                                n = state % NAME_MAX + 1;
                        ret[k] = (char)(state >> 32);
                        if (ret[k] == '\0' || ret[k] == '/')
                                ret[k] = '\n';
                }
                ret[n] = '\0';
        } while (strcmp(ret, ".") == 0 || strcmp(ret, "..") == 0);
}

/* Names that are no text, and directories that nobody may enter. */
static void attack_names(unsigned i) {
        static const char *const odd[] = { "a\n\xff\xfe.next", "-rf ; $(reboot) \x1b[2J\\" };
        cleanup_close int in_odd = make(root_fd, odd[0]);
        bool made = mkdirat(in_odd, ".next", 0755) == 0;
        cleanup_close int cache = make(in_odd, ".next");

        n_caches += made;
        for (int k = 0; k < 8; k++) {
                char name[NAME_MAX + 1];
                cleanup_close int closed = -EBADF;

                random_name(name);
                touch(cache, name);
                random_name(name);
                closed = make(cache, name);
                fill(closed, 2);
                count(closed < 0 ? -1 : fchmod(closed, 0));
        }
        if (i % 2 == 0)
                (void)!fchmod(cache, 0);
        if (i % 8 == 0) {
                move(root_fd, odd[0], root_fd, odd[1]);
                move(root_fd, odd[1], root_fd, odd[0]);
        }
}

/* One cache in sixteen is DEPTH deep, and a tree as deep that is none has to be searched now and
 * then. */
static void attack_deep(unsigned i) {
        cleanup_close int cache = make(drop_fd, "new"), middle = -EBADF, in = -EBADF;
        cleanup_close int last = make_chain(cache, "d", i % 16 == 0 ? DEPTH : 100, &middle);
        bool searched = i % 64 == 0;

        fill(last, 3);
        make_link(middle, "l", "/d");
        if (i == 0) {
                cleanup_close int in_middle = -EBADF;
                cleanup_close int end = make_chain(drop_fd, "searched", DEPTH, &in_middle);

                make_cache(end, ".next");
        }
        if (searched)
                move(drop_fd, "searched", root_fd, "searched");
        in = put(drop_fd, "new");
        for (unsigned k = 0; k < SWAPS_MAX && !is_gone(cache) && !ended; k++) {
                exchange(middle, "d", middle, "l");
                out_and_back(middle, "d");
        }
        if (searched)
                move(root_fd, "searched", drop_fd, "searched");
}

/* The root itself becomes a link, or another project; the directory it is in is the attacker's. */
static void attack_root(unsigned i) {
        cleanup_close int home = openat(root_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const char *name = strrchr(root, '/') + 1;

        if (i % 64 == 0) {
                cleanup_close int twin = make(home, "twin");

                touch(twin, "package.json");
                make_cache(twin, ".next");
                make_cache(root_fd, ".next");
                make_link(home, "l", "");
        }
        if (i % 8 != 0)
                return;
        exchange(home, name, home, "l");
        exchange(home, name, home, "l");
        exchange(home, name, home, "twin");
        exchange(home, name, home, "twin");
}

static const struct Attack {
        const char *name;
        void (*attack)(unsigned i);
        bool baits;
} attacks[] = {
        { "walk", attack_walk, true },      { "rename", attack_rename, true },
        { "unlink", attack_unlink, false }, { "climb", attack_climb, true },
        { "links", attack_links, true },    { "names", attack_names, true },
        { "deep", attack_deep, false },     { "root", attack_root, true },
};

static int open_directory(int fd, const char *path) {
        int r = openat(fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (r < 0) {
                perror(path);
                exit(1);
        }
        return r;
}

int main(int argc, char **argv) {
        static const struct sigaction action = { .sa_handler = on_signal };
        const struct Attack *attack = NULL;

        for (size_t i = 0; argc == 4 && i < ELEMENTSOF(attacks); i++)
                if (strcmp(attacks[i].name, argv[1]) == 0)
                        attack = &attacks[i];
        if (!attack || *argv[2] != '/' || *argv[3] != '/') {
                fprintf(stderr, "usage: hostile ATTACK ROOT CANARY\n");
                return 2;
        }
        if (geteuid() == 0) {
                fprintf(stderr, "hostile: it is no attack when root does it\n");
                return 2;
        }
        if (sigaction(SIGTERM, &action, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
                perror("hostile");
                return 1;
        }
        umask(0);
        root = argv[2];
        canary = argv[3];
        root_fd = open_directory(AT_FDCWD, root);
        canary_fd = open_directory(AT_FDCWD, canary);
        drop_fd = open_directory(canary_fd, "drop");
        his_fd = open_directory(canary_fd, "his");
        for (unsigned i = 0; !ended; i++) {
                if (attack->baits)
                        bait();
                attack->attack(i);
        }
        printf("{\"swaps\": %ju, \"caches\": %ju}\n", n_swaps, n_caches);
        return 0;
}
