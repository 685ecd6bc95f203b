/* SPDX-License-Identifier: MIT */

/* Which mount of a container is at, above or below a cache, and which volumes hold static files. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "test.h"

#include "apps/sweep.h"
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
        found = mounted_find(&set, &tree->lineage, tree->root_path, "a/.next", tree->cache.st_dev,
                             tree->cache.st_ino);
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
                cmocka_unit_test(test_volumes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
