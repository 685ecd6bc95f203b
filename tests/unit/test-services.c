/* SPDX-License-Identifier: MIT */

/* Which images the services of a swarm need. */

#include "engine.h"

#include "base/text.h"
#include "docker/services.h"

#define ID_A "sha256:aaaa000000000000000000000000000000000000000000000000000000000000"
#define ID_B "sha256:aabb000000000000000000000000000000000000000000000000000000000000"
#define DIGEST_A "sha256:dada000000000000000000000000000000000000000000000000000000000000"
#define DIGEST_X "sha256:ffff000000000000000000000000000000000000000000000000000000000000"

#define INFO_SWARM(state, control, managers)                                               \
        "{\"DockerRootDir\":\"/var/lib/docker\",\"Driver\":\"overlay2\",\"Swarm\":{"       \
        "\"NodeID\":\"n1\",\"LocalNodeState\":\"" state "\",\"ControlAvailable\":" control \
        ",\"RemoteManagers\":" managers "}}"
#define SPEC(image) \
        "{\"Name\":\"web\",\"TaskTemplate\":{\"ContainerSpec\":{\"Image\":\"" image "\"}}}"
#define NOT_A_MANAGER "{\"message\":\"This node is not a swarm manager. Use ...\"}\n"

static const char services[] =
        "[{\"ID\":\"s1\",\"Spec\":" SPEC("watchparty-web:2") ",\"PreviousSpec\":" SPEC(
                "watchparty-web:1") "},"
                                    "{\"ID\":\"s2\",\"Spec\":{\"Name\":\"plugin\",\"TaskTemplate\":{\"PluginSpec\":{}}}}]";
static const char tasks[] =
        "[{\"ServiceID\":\"s1\",\"Spec\":{\"ContainerSpec\":{\"Image\":\"watchparty-web:2\"}}},"
        "{\"ServiceID\":\"s1\",\"Spec\":{\"ContainerSpec\":{\"Image\":\"watchparty-web:0\"}}},"
        "{\"ServiceID\":\"s1\",\"Spec\":{\"ContainerSpec\":{\"Image\":\"watchparty-web:0\"}}},"
        "{\"ServiceID\":\"s9\",\"Spec\":{\"ContainerSpec\":{\"Image\":\"other:1\"}}},"
        "{\"ServiceID\":\"s2\",\"Spec\":{\"PluginSpec\":{}}}]";

/* "SERVICE=IMAGE", a '*' before those that new tasks are made from. */
static char *services_text(const ServiceImages *list) {
        char *text = strdup("");

        for (size_t i = 0; i < list->n; i++) {
                char *longer = text_format("%s%s%s=%s ", text, list->v[i].next ? "*" : "",
                                           list->v[i].service, list->v[i].image);

                free(text);
                text = longer;
        }
        assert_non_null(text);
        return text;
}

static void test_services_of_a_manager(void **state) {
        Engine engine = { ENGINE_20, .answers = { { "GET /v1.41/services", 200, services, 0 },
                                                  { "GET /v1.41/tasks", 200, tasks, 0 } } };
        cleanup(stub_free) Stub *stub = NULL;
        cleanup(docker_free) Docker *docker = NULL;
        cleanup(service_images_done) ServiceImages list = { 0 };
        cleanup_free char *text = NULL;
        const EngineInfo *info;

        (void)state;
        engine.info = INFO_SWARM("active", "true", "[{\"NodeID\":\"n1\"}]");
        stub = stub_new(serve, &engine);
        docker = connect_to(stub);
        assert_int_equal(docker_negotiate(docker, &info, NULL), 0);
        assert_int_equal(docker_services(docker, &list, NULL), 0);
        assert_null(list.unread);
        text = services_text(&list);
        assert_string_equal(text, "s9=other:1 web=watchparty-web:0 web=watchparty-web:1 "
                                  "*web=watchparty-web:2 ");
}

/* Strings end at a NUL, which others may have put into a name. */
static void test_nul_in_a_service(void **state) {
        Engine engine = { "Docker/28.5.2 (linux)\r\nSwarm: active/manager", "1.51",
                          INFO_SWARM("active", "true", "null"),
                          .answers = { { "GET /v1.51/services", 200,
                                         "[{\"ID\":\"s1\",\"Spec\":" SPEC("a\\u0000b") "}]", 0 },
                                       { "GET /v1.51/tasks", 200,
                                         "[{\"ServiceID\":\"\\u0000\",\"Spec\":{\"ContainerSpec\":{"
                                         "\"Image\":\"other:1\"}}}]",
                                         0 } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        cleanup(service_images_done) ServiceImages list = { 0 };
        const EngineInfo *info;

        (void)state;
        assert_int_equal(docker_negotiate(docker, &info, NULL), 0);
        assert_int_equal(docker_services(docker, &list, NULL), 0);
        assert_null(list.unread);
        assert_int_equal(list.n, 2);
}

/* Who is asked, and what an answer that is no list means. */
static void test_which_nodes_are_asked(void **state) {
        static const struct {
                const char *what, *header, *info;
                int status;
                const char *body;
                size_t n_asked, n_info;
                const char *unread; /* NULL: the services are known */
        } rows[] = {
                { "no swarm, Engine 20", "", INFO_SWARM("inactive", "false", "null"), 503,
                  NOT_A_MANAGER, 0, 2, NULL },
                { "no swarm", "inactive", INFO_SWARM("inactive", "false", "null"), 503,
                  NOT_A_MANAGER, 0, 1, NULL },
                { "NUL in what is not used", "",
                  "{\"DockerRootDir\":\"/d\",\"Driver\":\"x\",\"Labels\":[\"a\\u0000b\"],"
                  "\"Swarm\":{\"Error\":\"\\u0000\",\"LocalNodeState\":\"active\",\"NodeID\":\"n1\","
                  "\"RemoteManagers\":[{\"NodeID\":\"n1\",\"Addr\":\"\\u0000\"}]}}",
                  200, "[]", 0, 2, "not ready" },
                { "nothing of a swarm in the answer", "",
                  "{\"DockerRootDir\":\"/d\",\"Driver\":\"x\"}", 404, "{}", 0, 2, NULL },
                { "made a swarm under a kept connection", "active/manager",
                  INFO_SWARM("inactive", "false", "null"), 200, "[]", 1, 1, NULL },
                { "a worker", "active/worker",
                  INFO_SWARM("active", "false", "[{\"NodeID\":\"n2\"}]"), 503, NOT_A_MANAGER, 0, 2,
                  NULL },
                { "a manager without a leader", "active/worker",
                  INFO_SWARM("active", "false", "[{\"NodeID\":\"n2\"},{\"NodeID\":\"n1\"}]"), 503,
                  "{}", 0, 2, "not ready" },
                { "locked", "locked", INFO_SWARM("locked", "false", "null"), 503, "{}", 0, 2,
                  "locked" },
                { "starting", "", INFO_SWARM("pending", "false", "null"), 503, "{}", 0, 2,
                  "not ready" },
                { "it left meanwhile", "active/manager", INFO_SWARM("active", "true", "null"), 503,
                  NOT_A_MANAGER, 1, 1, "not a swarm manager" },
                { "no leader", "active/manager", INFO_SWARM("active", "true", "null"), 500,
                  "{\"message\":\"rpc error: The swarm does not have a leader\"}", 1, 1,
                  "does not have a leader" },
                { "a proxy", "", INFO_SWARM("active", "true", "null"), 403, "Forbidden", 1, 2,
                  "403" },
                { "another proxy", "", INFO_SWARM("active", "true", "null"), 404, "", 1, 2, "404" },
                { "nonsense", "active/manager", INFO_SWARM("active", "true", "null"), 200,
                  "[{\"Spec\":{}}]", 1, 1, "malformed" },
                { "no service", "active/manager", INFO_SWARM("active", "true", "null"), 200, "[]",
                  1, 1, NULL },
                { "null", "active/manager", INFO_SWARM("active", "true", "null"), 200, "null", 1, 1,
                  NULL },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                cleanup_free char *server =
                        text_format("Docker/28.5.2 (linux)%s%s",
                                    *rows[i].header ? "\r\nSwarm: " : "", rows[i].header);
                Engine engine = { server, "1.51", rows[i].info,
                                  .answers = { { "GET /v1.51/services", rows[i].status,
                                                 rows[i].body, 0 } } };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                cleanup(service_images_done) ServiceImages list = { 0 };
                const EngineInfo *info;
                Diag diag = DIAG_NULL;

                assert_int_equal(docker_negotiate(docker, &info, NULL), 0);
                if (docker_services(docker, &list, &diag) != 0)
                        fail_msg("%s: %s", rows[i].what, diag.text);
                if (!list.unread != !rows[i].unread ||
                    (list.unread && !strstr(list.unread, rows[i].unread)) ||
                    stub_count(stub, "GET /v1.51/services") != rows[i].n_asked ||
                    stub_count(stub, "GET /v1.51/info") != rows[i].n_info)
                        fail_msg("%s: %s", rows[i].what, list.unread ?: "known");
                assert_int_equal(list.n, 0);
        }
}

static void test_lost_engine_is_an_error(void **state) {
        Engine engine = { "Docker/28.5.2 (linux)\r\nSwarm: active/manager", "1.51",
                          INFO_SWARM("active", "true", "null"),
                          .answers = { { "GET /v1.51/services", 0, "", 0 } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = NULL;
        ServiceImages list;
        const EngineInfo *info;
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(docker_new(stub->path, 200 * 1000, TIMEOUT, &docker), 0);
        assert_int_equal(docker_negotiate(docker, &info, NULL), 0);
        assert_int_equal(docker_services(docker, &list, &diag), -ETIMEDOUT);
        assert_null(list.unread);
}

static void test_image_of_a_reference(void **state) {
        static const struct {
                const char *reference, *id; /* NULL: none */
        } rows[] = {
                { "watchparty-web:1", ID_A },
                { "watchparty-web", ID_B }, /* :latest */
                { "docker.io/library/watchparty-web:1", ID_A },
                { "index.docker.io/library/watchparty-web", ID_B },
                { "library/watchparty-web:1", ID_A },
                { "localhost:5000/team/api:1", ID_B },
                { "localhost:5000/team/api", NULL },
                { "docker.io/team/api:1", NULL },
                /* by digest: the tag beside it counts for nothing where the digest is here */
                { "watchparty-web@" DIGEST_A, ID_A },
                { "watchparty-web:latest@" DIGEST_A, ID_A },
                { "docker.io/library/watchparty-web:latest@" DIGEST_A, ID_A },
                { "watchparty-web:1@" ID_B, ID_B }, /* the containerd store's digests are ids */
                { "watchparty-web:1@" DIGEST_X, ID_A },
                { "watchparty-web@" DIGEST_X, NULL },
                { "other@" DIGEST_A, NULL },
                /* by id */
                { ID_A, ID_A },
                { "aabb000000000000000000000000000000000000000000000000000000000000", ID_B },
                { "aabb", ID_B },
                { "aa", NULL }, /* two begin so */
                { "sha256:aabb", ID_B },
                { "sha256:0000", NULL },
                { "", NULL },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                cleanup(service_images_done) ServiceImages list = { 0 };
                cleanup(image_set_done) ImageSet images = { 0 };
                const ServiceImage *found;
                Image a = { .id = ID_A }, b = { .id = ID_B };

                assert_int_equal(strv_add(&a.names, "watchparty-web:1"), 0);
                assert_int_equal(strv_add(&a.digests, "watchparty-web@" DIGEST_A), 0);
                assert_int_equal(strv_add(&b.names, "watchparty-web:latest"), 0);
                assert_int_equal(strv_add(&b.names, "localhost:5000/team/api:1"), 0);
                assert_int_equal(image_set_add(&images, &b), 0);
                assert_int_equal(image_set_add(&images, &a), 0);
                assert_int_equal(image_set_index(&images), 0);
                assert_int_equal(service_images_add(&list, "web", rows[i].reference, true), 0);
                assert_int_equal(service_images_resolve(&list, &images), 0);
                found = service_images_find(&list, ID_A) ?: service_images_find(&list, ID_B);
                if (strcmp(found ? found->id : "", rows[i].id ?: "") != 0)
                        fail_msg("%s is %s", rows[i].reference, found ? found->id : "none");
                assert_null(service_images_find(&list, ""));
        }
}

static void test_what_new_tasks_need_comes_first(void **state) {
        cleanup(service_images_done) ServiceImages list = { 0 };
        cleanup(image_set_done) ImageSet images = { 0 };
        Image a = { .id = ID_A };

        (void)state;
        assert_int_equal(strv_add(&a.names, "watchparty-web:1"), 0);
        assert_int_equal(image_set_add(&images, &a), 0);
        assert_int_equal(service_images_add(&list, "a", "watchparty-web:1", false), 0);
        assert_int_equal(service_images_add(&list, "c", "watchparty-web:1", true), 0);
        assert_int_equal(service_images_add(&list, "b", "gone:1", true), 0);
        assert_int_equal(service_images_resolve(&list, &images), 0);
        assert_string_equal(service_images_find(&list, ID_A)->service, "c");
        assert_null(service_images_find(&list, ID_B));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_services_of_a_manager),
                cmocka_unit_test(test_nul_in_a_service),
                cmocka_unit_test(test_which_nodes_are_asked),
                cmocka_unit_test(test_lost_engine_is_an_error),
                cmocka_unit_test(test_image_of_a_reference),
                cmocka_unit_test(test_what_new_tasks_need_comes_first),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
