/* SPDX-License-Identifier: MIT */

/* Which mount of a container is at, above or below a cache, and which volumes hold static files. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "apps/root.h"
#include "test.h"

#include "base/text.h"
#include "janitor/mounted.h"

typedef struct Tree {
        char base[64];
        AppRoot root;
        Lineage lineage;
        char *root_path;
        struct stat cache;
} Tree;

static char *at(const Tree *tree, const char *path) {
        char *text = text_format("%s/%s", tree->base, path);

        assert_non_null(text);
        return text;
}

static void make(const Tree *tree, const char *path) {
        cleanup_free char *text = at(tree, path);

        assert_int_equal(mkdir(text, 0755), 0);
}

static int setup(void **state) {
        static const char *const directories[] = {
                "srv",         "srv/web",  "srv/web/a", "srv/web/a/.next", "srv/web/a/.next/x",
                "srv/website", "srv/web/b"
        };
        Tree *tree = calloc(1, sizeof(*tree));
        cleanup_free char *marker = NULL, *cache = NULL, *link = NULL;
        Diag diag = DIAG_NULL;
        int fd;

        strcpy(tree->base, "/tmp/wpcache-mounted-XXXXXX");
        assert_non_null(mkdtemp(tree->base));
        for (size_t i = 0; i < ELEMENTSOF(directories); i++)
                make(tree, directories[i]);
        link = at(tree, "link");
        assert_int_equal(symlink("srv/web/a", link), 0);
        tree->root_path = at(tree, "srv/web");
        marker = at(tree, "srv/web/package.json");
        fd = open(marker, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        close(fd);
        cache = at(tree, "srv/web/a/.next");
        assert_int_equal(stat(cache, &tree->cache), 0);
        tree->root = APP_ROOT_NULL;
        assert_int_equal(app_open(tree->root_path, &tree->root, &diag), 0);
        lineage_read(tree->root.fd, &tree->lineage);
        *state = tree;
        return 0;
}

static int teardown(void **state) {
        Tree *tree = *state;
        cleanup_free char *command = text_format("rm -rf %s", tree->base);

        assert_int_equal(system(command), 0);
        app_close(&tree->root);
        free(tree->root_path);
        free(tree);
        return 0;
}

static bool held(const Tree *tree, const char *container_state, const char *source) {
        Mount mount = { (char *)source, (char *)"/app", NULL };
        Container container = {
                .name = (char *)"web",
                .image = (char *)"watchparty-frontend:latest",
                .state = (char *)container_state,
                .mounts = &mount,
                .n_mounts = 1,
        };
        ContainerSet containers = { .v = &container, .n = 1 };
        cleanup(mounted_done) MountedSet set = { 0 };
        const Mounted *found;

        assert_int_equal(mounted_read(&containers, &set), 0);
        assert_int_equal(mounted_find(&set, &tree->lineage, tree->root_path, "a/.next",
                                      tree->cache.st_dev, tree->cache.st_ino, &found),
                         0);
        assert_true(!found || found->container == &container);
        return found;
}

static void test_places(void **state) {
        static const struct {
                const char *source;
                bool held;
        } table[] = {
                { "srv/web/a/.next", true },
                { "srv/web/a/.next/x", true },
                { "srv/web/a/.next/not-there-yet", true },
                { "srv/web/a", true },
                { "srv/web", true },
                { "srv", true },
                { "srv/web/a/", true },
                { "srv/web/a/.next/gone/", true },
                { "link", true },
                { "link/.next", true },
                { "srv/web/a/.nex", false },
                { "srv/web/a/.nextest", false },
                { "srv/web/b", false },
                { "srv/website", false },
                { "srv/we", false },
                { "elsewhere", false },
        };
        const Tree *tree = *state;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup_free char *source = at(tree, table[i].source);

                if (held(tree, "running", source) != table[i].held)
                        fail_msg("%s: %s", table[i].source, table[i].held ? "not held" : "held");
                assert_false(held(tree, "exited", source));
                assert_false(held(tree, "created", source));
        }
        assert_true(held(tree, "running", "/tmp"));
        assert_true(held(tree, "paused", tree->root_path));
        assert_false(held(tree, "running", "/")); /* a monitor's */
        assert_false(held(tree, "running", ""));  /* a volume without a place */
}

/* Of many mounts, one that is not the first. */
static void test_among_many(void **state) {
        static const char *const held_by[] = { "srv/web/a/.next/x", "srv/web", "link/.next" };
        const Tree *tree = *state;
        Container v[1000] = { 0 };
        Mount mounts[ELEMENTSOF(v)] = { 0 };
        ContainerSet containers = { .v = v, .n = ELEMENTSOF(v) };

        for (size_t k = 0; k <= ELEMENTSOF(held_by); k++) {
                cleanup(mounted_done) MountedSet set = { 0 };
                const Mounted *found;

                for (size_t i = 0; i < ELEMENTSOF(v); i++) {
                        mounts[i].source = i == 500 && k < ELEMENTSOF(held_by)
                                                   ? at(tree, held_by[k])
                                                   : text_format("/elsewhere/%zu/.next", i);
                        assert_non_null(mounts[i].source);
                        v[i] = (Container){ .state = (char *)"running",
                                            .mounts = &mounts[i],
                                            .n_mounts = 1 };
                }
                assert_int_equal(mounted_read(&containers, &set), 0);
                assert_int_equal(mounted_find(&set, &tree->lineage, tree->root_path, "a/.next",
                                              tree->cache.st_dev, tree->cache.st_ino, &found),
                                 0);
                assert_ptr_equal(found ? found->container : NULL,
                                 k < ELEMENTSOF(held_by) ? &v[500] : NULL);
                for (size_t i = 0; i < ELEMENTSOF(v); i++)
                        free(mounts[i].source);
        }
}

/* CPU time of so many looks for a mount at a cache, among so many mounts; the least of a few. */
static double look_sec(const Tree *tree, size_t n_mounts, size_t n_looks) {
        Container *v = calloc(n_mounts, sizeof(*v));
        Mount *mounts = calloc(n_mounts, sizeof(*mounts));
        ContainerSet containers = { .v = v, .n = n_mounts };
        cleanup(mounted_done) MountedSet set = { 0 };
        double least = 1e9;

        assert_true(v && mounts);
        for (size_t i = 0; i < n_mounts; i++) {
                mounts[i].source = text_format("/elsewhere/%zu/.next", i);
                v[i] = (Container){ .state = (char *)"running",
                                    .mounts = &mounts[i],
                                    .n_mounts = 1 };
        }
        assert_int_equal(mounted_read(&containers, &set), 0);
        for (size_t round = 0; round < 3; round++) {
                struct timespec from, to;
                const Mounted *found;

                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
                for (size_t i = 0; i < n_looks; i++) {
                        char path[32];

                        snprintf(path, sizeof(path), "a/%zu/.next", i);
                        assert_int_equal(mounted_find(&set, &tree->lineage, tree->root_path, path,
                                                      1, i, &found),
                                         0);
                        assert_null(found);
                }
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
                least = MIN(least, (double)(to.tv_sec - from.tv_sec) +
                                           (double)(to.tv_nsec - from.tv_nsec) / 1e9);
        }
        for (size_t i = 0; i < n_mounts; i++)
                free(mounts[i].source);
        free(mounts);
        free(v);
        return least;
}

/* As many caches as a look keeps, and ten times as many mounts: one by one that would be ten times the
 * work. */
static void test_growth_with_mounts(void **state) {
        const Tree *tree = *state;
        double few = look_sec(tree, 1000, 4096), many = look_sec(tree, 10000, 4096);

        print_message("4096 caches: %.4f s among 1000 mounts, %.4f s among 10000\n", few, many);
        assert_true(many < 4 * few);
}

static void test_volumes(void **state) {
        static const struct {
                const char *image, *project, *volume, *destination;
                bool told;
        } table[] = {
                { "watchparty-backend:latest", "wp", "wp_static", "/app/staticfiles", true },
                { "nginx:1", "wp", "wp_static", "/usr/share/nginx/static", true },
                { "nginx:1", "wp", "wp_next", "/app/.next", true },
                { "nginx:1", "wp", "wp_deep", "/app/node_modules/.cache/x", true },
                { "nginx:1", "wp", "wp_data", "/var/lib/data", false },
                { "nginx:1", "wp", NULL, "/app/staticfiles", false }, /* a bind */
                { "nginx:1", "blog", "blog_static", "/app/staticfiles", false },
                { "nginx:1", NULL, "static", "/app/staticfiles", false },
        };
        char *caches[] = { (char *)".next", (char *)"node_modules/.cache" };
        char *match[] = { (char *)"watchparty-*" };
        AppConfig app = { .caches = { caches, ELEMENTSOF(caches) } };
        Config config = { .match = { match, 1 }, .apps = { .v = &app, .n = 1 } };
        Container v[ELEMENTSOF(table)];
        Mount mounts[ELEMENTSOF(table)];
        ContainerSet containers = { .v = v, .n = ELEMENTSOF(table) };
        cleanup(json_free) Json *json = NULL;
        const Json *volume;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                mounts[i] = (Mount){ (char *)"/x", (char *)table[i].destination,
                                     (char *)table[i].volume };
                v[i] = (Container){
                        .name = (char *)"c",
                        .image = (char *)table[i].image,
                        .state = (char *)"exited",
                        .project = (char *)table[i].project,
                        .mounts = &mounts[i],
                        .n_mounts = 1,
                };
        }
        json = mounted_volumes_json(&config, &containers);
        assert_non_null(json);
        volume = json_first(json);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                if (!table[i].told)
                        continue;
                assert_non_null(volume);
                assert_string_equal(json_get_string(volume, "volume", ""), table[i].volume);
                assert_string_equal(json_get_string(volume, "destination", ""),
                                    table[i].destination);
                volume = json_next(volume);
        }
        assert_null(volume);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_places, setup, teardown),
                cmocka_unit_test_setup_teardown(test_among_many, setup, teardown),
                cmocka_unit_test_setup_teardown(test_growth_with_mounts, setup, teardown),
                cmocka_unit_test(test_volumes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
