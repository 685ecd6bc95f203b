/* SPDX-License-Identifier: MIT */

#include "engine.h"

#include "base/text.h"

static void test_build_cache(void **state) {
        static const struct {
                Engine engine;
                const char *request, *id, *parent;
                uint64_t size_bytes;
                int64_t last_used_sec;
        } cases[] = {
                { { ENGINE_20, .answers = { { "GET /v1.41/system/df", 200, "@20-df.json" } } },
                  "GET /v1.41/system/df",
                  "wt6ffq4638yari7spk7jhr28k",
                  "eb8xtjhrxsr672bb515bjtsbc",
                  20971520,
                  1795176655 },
                { { ENGINE_28, .answers = { { "GET /v1.51/system/df", 200, "@28-df.json" } } },
                  "GET /v1.51/system/df?type=build-cache",
                  "z8d0plozn22zkyz830sayhxsh",
                  "kcwcle91erkhcibqu08935siy",
                  20971520,
                  1795176553 },
                { { "Docker/23.0.0 (linux)",
                    "1.42",
                    "@20-info.json",
                    { { "GET /v1.42/system/df", 200, "@28-df.json" } } },
                  "GET /v1.42/system/df?type=build-cache",
                  "z8d0plozn22zkyz830sayhxsh",
                  "kcwcle91erkhcibqu08935siy",
                  20971520,
                  1795176553 },
                { { ENGINE_29, .answers = { { "GET /v1.55/system/df", 200, "@29-df.json" } } },
                  "GET /v1.55/system/df?type=build-cache&verbose=1",
                  "k1iz2jhmz8ojqafbq2fllh2xo",
                  "owcpktf6cfmws31rmo27wm2e9",
                  20987904,
                  1795176555 },
                { { "Docker/29.0.0 (linux)",
                    "1.52",
                    "@29-info.json",
                    { { "GET /v1.52/system/df", 200, "@29-df-verbose.json" } } },
                  "GET /v1.52/system/df?type=build-cache&verbose=1",
                  "k1iz2jhmz8ojqafbq2fllh2xo",
                  "owcpktf6cfmws31rmo27wm2e9",
                  20987904,
                  1795176555 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = cases[i].engine;
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                Seen seen = { .error = 0 };
                size_t n_found = 0;

                assert_int_equal(
                        docker_build_cache(docker, keep_record, &seen, &seen.unreadable, NULL), 0);
                assert_int_equal(stub_count(stub, cases[i].request), 1);
                assert_int_equal(seen.set.n, 9);
                for (size_t j = 0; j < seen.set.n; j++) {
                        const BuildRecord *record = &seen.set.v[j];

                        if (strcmp(record->id, cases[i].id) != 0)
                                continue;
                        n_found++;
                        assert_int_equal(record->type, RECORD_REGULAR);
                        assert_int_equal(record->size_bytes, cases[i].size_bytes);
                        assert_int_equal(record->last_used_nsec / NSEC_PER_SEC,
                                         cases[i].last_used_sec);
                        assert_int_equal(record->usage_count, 1);
                        assert_false(record->in_use);
                        assert_false(record->shared);
                        assert_int_equal(record->n_parents, 1);
                        assert_string_equal(seen.set.parents[record->parents], cases[i].parent);
                }
                assert_int_equal(n_found, 1);
                seen_done(&seen);

                seen.error = -EMLINK;
                assert_int_equal(
                        docker_build_cache(docker, keep_record, &seen, &seen.unreadable, NULL),
                        -EMLINK);
        }
}

static void test_build_cache_busy(void **state) {
        Engine engine = { ENGINE_20,
                          .answers = { { "GET /v1.41/system/df", 500, DF_BUSY, 3 },
                                       { "GET /v1.41/system/df", 200, "@20-df.json" } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        Seen seen = { .error = 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(docker_build_cache(docker, keep_record, &seen, &seen.unreadable, &diag),
                         0);
        assert_string_equal(diag.text, "");
        assert_int_equal(stub_count(stub, "GET /v1.41/system/df"), 4);
        assert_int_equal(seen.set.n, 9);
        seen_done(&seen);

        /* for longer than there is time */
        docker = docker_free(docker);
        assert_int_equal(docker_new(stub->path, 500 * USEC_PER_MSEC, TIMEOUT, &docker), 0);
        stub_stop(stub);
        engine.used[0] = 0;
        engine.answers[0].n = 0;
        stub_run(stub, serve);
        assert_int_equal(docker_build_cache(docker, keep_record, &seen, &seen.unreadable, &diag),
                         -EREMOTEIO);
        assert_string_equal(
                diag.text,
                "GET /system/df was answered with 500: a disk usage operation is already running");
        assert_int_equal(seen.set.n, 0);
}

static void test_images(void **state) {
        Engine engine = { ENGINE_20,
                          .answers = { { "GET /v1.41/images/json", 200, "@20-images.json", 1 },
                                       { "GET /v1.41/images/json", 200, "@29-images.json", 1 } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        const Image *image;
        ImageSet set;

        (void)state;
        assert_int_equal(docker_images(docker, &set, NULL), 0);
        assert_int_equal(stub_count(stub, "GET /v1.41/images/json?all=1"), 1);
        assert_int_equal(set.n, 4);
        image = image_set_find_name(&set, "classic:1");
        assert_non_null(image);
        assert_int_equal(image->names.n, 1);
        assert_int_equal(image->digests.n, 0);
        assert_null(image->project);
        assert_true(image->created_sec > 1700000000);
        image = image_set_find(&set, image->parent_id);
        assert_non_null(image);
        assert_int_equal(image->names.n, 0);
        assert_int_equal(image->digests.n, 0);
        assert_int_equal(image->size_bytes, 1982256);
        image = image_set_find_name(&set, "app:1");
        assert_non_null(image);
        assert_string_equal(image->project, "wp");
        assert_string_equal(image->parent_id, "");
        image_set_done(&set);

        assert_int_equal(docker_images(docker, &set, NULL), 0);
        assert_int_equal(set.n, 1);
        assert_int_equal(set.v[0].digests.n, 1);
        image_set_done(&set);
}

static void test_image(void **state) {
        Engine engine = {
                ENGINE_20,
                .answers = {
                        { "GET /v1.41/images/localhost%3A5000%2Fteam%2Fapp%3A1/json", 200,
                          "@20-image.json" },
                        { "GET /v1.41/images/classic%3A1/json", 200, "@20-image-classic.json" },
                        { "GET /v1.41/images/new%3A1/json", 200, "@29-image.json" },
                        { "GET /v1.41/images/", 404,
                          "{\"message\":\"no such image: x: No such image: x\"}\n" },
                },
        };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        ImageDetail detail = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(docker_image(docker, "localhost:5000/team/app:1", &detail, NULL), 0);
        assert_string_equal(detail.comment, "buildkit.dockerfile.v0");
        assert_string_equal(detail.docker_version, "");
        assert_string_equal(detail.parent_id, "");
        assert_int_equal(detail.created_sec, 1795176655);
        assert_int_equal(detail.last_tagged_sec, 1795176655);
        assert_int_equal(detail.names.n, 1);
        image_detail_done(&detail);

        assert_int_equal(docker_image(docker, "classic:1", &detail, NULL), 0);
        assert_string_equal(detail.comment, "");
        assert_string_equal(detail.docker_version, "20.10.24+dfsg1");
        assert_int_equal(strncmp(detail.parent_id, "sha256:", 7), 0);
        image_detail_done(&detail);

        assert_int_equal(docker_image(docker, "new:1", &detail, NULL), 0);
        assert_string_equal(detail.docker_version, "");
        image_detail_done(&detail);

        assert_int_equal(docker_image(docker, "x", &detail, &diag), -ENOENT);
        assert_string_equal(
                diag.text,
                "GET /images/x/json was answered with 404: no such image: x: No such image: x");
        assert_int_equal(docker_image(docker, "", &detail, NULL), -EINVAL);
        assert_null(detail.comment);
}

static int keep_entry(void *userdata, const char *created_by, const char *comment) {
        cleanup_free char *text = text_format("%s|%s", created_by, comment);

        return text ? strv_add(userdata, text) : -ENOMEM;
}

static int refuse_entry(void *userdata, const char *created_by, const char *comment) {
        (void)userdata;
        (void)created_by;
        (void)comment;
        return -EMLINK;
}

static void test_image_history(void **state) {
        Engine engine = {
                ENGINE_28,
                .answers = { { "GET /v1.51/images/sha256%3A1/history", 200,
                               "[{\"Comment\":\"buildkit.dockerfile.v0\",\"CreatedBy\":\"CMD x\","
                               "\"Id\":\"sha256:1\",\"Size\":0,\"Tags\":[\"a:1\"]},"
                               "{\"Comment\":\"Imported from -\",\"Id\":\"<missing>\"}]" },
                             { "GET /v1.51/images/sha256%3A2/history", 200, "[]" },
                             { "GET /v1.51/images/sha256%3A3/history", 200, "[{\"CreatedBy\":7}]" },
                             { "GET /v1.51/images/", 404, "{\"message\":\"No such image\"}" } },
        };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        cleanup(strv_done) Strv entries = STRV_NULL;
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(docker_image_history(docker, "sha256:1", keep_entry, &entries, NULL), 0);
        assert_int_equal(docker_image_history(docker, "sha256:2", keep_entry, &entries, NULL), 0);
        assert_int_equal(entries.n, 2);
        assert_string_equal(entries.v[0], "CMD x|buildkit.dockerfile.v0");
        assert_string_equal(entries.v[1], "|Imported from -");
        assert_int_equal(docker_image_history(docker, "sha256:1", refuse_entry, NULL, &diag),
                         -EMLINK);
        assert_int_equal(docker_image_history(docker, "sha256:3", keep_entry, &entries, &diag),
                         -EBADMSG);
        assert_int_equal(docker_image_history(docker, "x", keep_entry, &entries, &diag), -ENOENT);
        assert_int_equal(docker_image_history(docker, "", keep_entry, &entries, &diag), -EINVAL);
        assert_int_equal(entries.n, 2);
}

static void test_builder_volumes(void **state) {
        Engine engine = {
                ENGINE_28,
                .answers = { { "GET /v1.51/volumes", 200,
                               "{\"Volumes\":[{\"Name\":\"buildx_buildkit_ci0_state\"},"
                               "{\"Name\":\"my_buildx_buildkit_ci0_state\"},"
                               "{\"Name\":\"buildx_buildkit__state\"},"
                               "{\"Name\":\"buildx_buildkit_state\"},"
                               "{\"Name\":\"buildx_buildkit_odd0_state\",\"Options\":7},{\"Name\":7},"
                               "{\"Name\":\"buildx_buildkit_ci0\"}],\"Warnings\":null}",
                               1 },
                             { "GET /v1.51/volumes", 200, "{\"Volumes\":null}", 1 },
                             { "GET /v1.51/volumes", 403, "<html>Forbidden</html>", 1 },
                             { "GET /v1.51/volumes", 404, "{\"message\":\"page not found\"}", 1 },
                             { "GET /v1.51/volumes", 500, "{\"message\":\"no\"}" } },
        };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        UnreadableSet unreadable;
        Strv volumes;

        (void)state;
        assert_int_equal(docker_builder_volumes(docker, &volumes, &unreadable, NULL), 0);
        assert_int_equal(volumes.n, 2);
        assert_string_equal(volumes.v[0], "buildx_buildkit_ci0_state");
        assert_string_equal(volumes.v[1], "buildx_buildkit_odd0_state");
        strv_done(&volumes);
        assert_int_equal(unreadable.n, 1);
        assert_string_equal(unreadable.v[0].object, "number 6 of the list");
        unreadable_done(&unreadable);
        assert_int_equal(stub_count(stub, "GET /v1.51/volumes?filters="
                                          "%7B%22driver%22%3A%5B%22local%22%5D%2C"
                                          "%22name%22%3A%5B%22buildx_buildkit_%22%5D%7D"),
                         1);
        assert_int_equal(docker_builder_volumes(docker, &volumes, &unreadable, NULL), 0);
        assert_int_equal(docker_builder_volumes(docker, &volumes, &unreadable, NULL), -EOPNOTSUPP);
        assert_int_equal(docker_builder_volumes(docker, &volumes, &unreadable, NULL), -EOPNOTSUPP);
        assert_int_equal(docker_builder_volumes(docker, &volumes, &unreadable, NULL), -EREMOTEIO);
        assert_int_equal(volumes.n, 0);
}

static void test_containers(void **state) {
        Engine engine = {
                ENGINE_28,
                .answers = { { "GET /v1.51/containers/json", 200, "@28-containers.json" },
                             { "GET /v1.51/containers/job/json", 200, "@28-container.json" },
                             { "GET /v1.51/containers/", 404,
                               "{\"message\":\"No such container: x\"}" } },
        };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        ContainerDetail detail = { 0 };
        ContainerSet set;

        (void)state;
        assert_int_equal(docker_containers(docker, &set, NULL), 0);
        assert_int_equal(stub_count(stub, "GET /v1.51/containers/json?all=1"), 1);
        assert_int_equal(set.n, 3);
        assert_string_equal(set.v[0].name, "job");
        assert_string_equal(set.v[0].state, "exited");
        assert_string_equal(set.v[0].image, set.v[0].image_id);
        assert_string_equal(set.v[0].project, "wp");
        assert_string_equal(set.v[1].image, "app:1");
        assert_string_equal(set.v[1].state, "created");
        assert_string_equal(set.v[2].name, "shop-web-1");
        assert_string_equal(set.v[2].project, "shop");
        assert_string_equal(set.v[2].state, "running");
        assert_int_equal(strlen(set.v[2].id), 64);
        container_set_done(&set);

        assert_int_equal(docker_container(docker, "job", &detail, NULL), 0);
        assert_string_equal(detail.config_image, "registry.example:5000/team/app:2");
        assert_string_equal(detail.status, "exited");
        assert_int_equal(detail.finished_sec, 1795184763);
        assert_true(detail.dns);
        assert_false(detail.no_healthcheck);
        assert_false(detail.nop);
        container_detail_done(&detail);
        assert_int_equal(docker_container(docker, "x", &detail, NULL), -ENOENT);
        assert_int_equal(docker_container(docker, "", &detail, NULL), -EINVAL);
}

#define VOLUMES "/volumes?filters=%7B%22driver%22%3A%5B%22local%22%5D%7D"

/* Those of the fixtures were mounted: these showed the path's files in a container, the rest could
 * not be mounted or showed none of the host's but "overlay". */
static void test_volumes(void **state) {
        static const struct {
                const char *name, *device;
        } expected[] = {
                { "bound", "/srv/app/.next/cache" },
                { "dots", "/srv/../srv/two/" },
                { "emptytype", "/srv/two" },
                { "ext4bind", "/srv/two" },
                { "rbind", "/srv/two" },
                { "rel", "/srv/two" },
        };
        static const struct {
                Engine engine;
                const char *request;
        } cases[] = {
                { { ENGINE_20,
                    .answers = { { "GET /v1.41/volumes", 200, "@20-volumes.json", 1 } } },
                  "GET /v1.41" VOLUMES },
                { { ENGINE_28,
                    .answers = { { "GET /v1.51/volumes", 200, "@28-volumes.json", 1 } } },
                  "GET /v1.51" VOLUMES },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = cases[i].engine;
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                Diag diag = DIAG_NULL;
                VolumeSet set;

                assert_int_equal(docker_volumes(docker, &set, NULL), 0);
                assert_int_equal(stub_count(stub, cases[i].request), 1);
                assert_int_equal(set.n, ELEMENTSOF(expected));
                for (size_t j = 0; j < ELEMENTSOF(expected); j++) {
                        size_t n_found = 0;

                        for (size_t k = 0; k < set.n; k++)
                                n_found += strcmp(set.v[k].name, expected[j].name) == 0 &&
                                           strcmp(set.v[k].device, expected[j].device) == 0;
                        assert_int_equal(n_found, 1);
                }
                volume_set_done(&set);

                set.n = 7;
                assert_int_equal(docker_volumes(docker, &set, &diag), -ENOENT);
                assert_string_equal(diag.text,
                                    "GET /volumes was answered with 404: page not found");
                assert_int_equal(set.n, 0);
        }
}

/* These queries, those of the next two tests, and no others: see docker/api.h. */
static void test_prune(void **state) {
        Engine engine = {
                ENGINE_28,
                .answers = { { "POST /v1.51/build/prune?all=1&filters", 200,
                               "{\"CachesDeleted\":null,\"SpaceReclaimed\":0}\n" },
                             { "POST /v1.51/build/prune?all=1", 200,
                               "{\"CachesDeleted\":[\"a\",\"b\",\"c\"],\"SpaceReclaimed\":1234567890123}\n" } },
        };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        uint64_t bytes = 7;
        size_t n = 7;

        (void)state;
        assert_int_equal(docker_prune_build_cache(docker, NULL, &n, &bytes, NULL), 0);
        assert_int_equal(n, 3);
        assert_int_equal(bytes, 1234567890123);
        assert_int_equal(stub_count(stub, "POST /v1.51/build/prune?all=1"), 1);

        for (int i = 0; i < RECORD_OTHER; i++) {
                const char *type = record_type_to_string((RecordType)i);
                char request[256];

                assert_int_equal(docker_prune_build_cache(docker, type, &n, &bytes, NULL), 0);
                assert_int_equal(n, 0);
                assert_int_equal(bytes, 0);
                snprintf(
                        request, sizeof(request),
                        "POST /v1.51/build/prune?all=1&filters=%%7B%%22type%%22%%3A%%5B%%22%s%%22%%5D%%7D",
                        type);
                assert_int_equal(stub_count(stub, request), 1);
        }

        stub_forget(stub);
        assert_int_equal(docker_prune_build_cache(docker, "", &n, &bytes, NULL), -EINVAL);
        assert_int_equal(docker_prune_build_cache(docker, "bogus", &n, &bytes, NULL), -EINVAL);
        assert_int_equal(
                docker_prune_build_cache(docker, "regular,type!=internal", &n, &bytes, NULL),
                -EINVAL);
        assert_int_equal(stub_n_requests(stub), 0);
}

/* The word that engines below 28 know is all they get, since they ignore the other and its limit. */
static void test_prune_to(void **state) {
        static const struct {
                const char *api_version, *request;
        } cases[] = {
                { "1.40", "POST /v1.40/build/prune?all=1&keep-storage=8000000000" },
                { "1.41", "POST /v1.41/build/prune?all=1&keep-storage=8000000000" },
                { "1.47", "POST /v1.47/build/prune?all=1&keep-storage=8000000000" },
                { "1.48", "POST /v1.48/build/prune?all=1&reserved-space=8000000000" },
                { "1.51", "POST /v1.51/build/prune?all=1&reserved-space=8000000000" },
                { "1.55", "POST /v1.55/build/prune?all=1&reserved-space=8000000000" },
                { "1.60", "POST /v1.55/build/prune?all=1&reserved-space=8000000000" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = {
                        "Docker/x (linux)",
                        cases[i].api_version,
                        "@20-info.json",
                        .answers = { { "POST /", 409, PRUNE_BUSY, 1 },
                                     { "POST /", 200,
                                       "{\"CachesDeleted\":[\"a\"],\"SpaceReclaimed\":5}" } },
                };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                uint64_t bytes = 0;
                size_t n = 0;

                assert_int_equal(docker_prune_build_cache_to(docker, 8000000000, &n, &bytes, NULL),
                                 0);
                assert_int_equal(n, 1);
                assert_int_equal(bytes, 5);
                assert_int_equal(stub_count(stub, cases[i].request), 2);
                assert_int_equal(stub_n_requests(stub), 5);
                /* no form either */
                assert_non_null(strstr(stub->raw, "\r\nContent-Length: 0\r\n"));

                stub_forget(stub);
                assert_int_equal(docker_prune_build_cache_to(docker, 0, &n, &bytes, NULL), -EINVAL);
                assert_int_equal(docker_prune_build_cache_to(docker, (uint64_t)INT64_MAX + 1, &n,
                                                             &bytes, NULL),
                                 -EINVAL);
                assert_int_equal(stub_n_requests(stub), 0);
        }
}

/* An engine of another age takes the place of the first between two prunes, or under one. */
static void test_prune_to_replaced(void **state) {
        Engine new = { ENGINE_28, .answers = { { "POST /v1.51/build/prune", 200, "{}" } } };
        Engine old = { ENGINE_20, .answers = { { "POST /v1.41/build/prune", 200, "{}" } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &new);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        uint64_t bytes;
        size_t n;

        (void)state;
        assert_int_equal(docker_prune_build_cache_to(docker, 7, &n, &bytes, NULL), 0);
        assert_int_equal(stub_count(stub, "POST /v1.51/build/prune?all=1&reserved-space=7"), 1);
        stub_stop(stub);
        stub->userdata = &old;
        stub_run(stub, serve);
        stub_forget(stub);
        assert_int_equal(docker_prune_build_cache_to(docker, 7, &n, &bytes, NULL), 0);
        assert_int_equal(stub_count(stub, "POST /v1.41/build/prune?all=1&keep-storage=7"), 1);
        assert_int_equal(stub_n_requests(stub), 4);
}

static void test_prune_unused(void **state) {
#define UNUSED(hours) \
        "POST /v1.51/build/prune?all=1&filters=%7B%22until%22%3A%5B%22" hours "h%22%5D%7D"
        Engine engine = { ENGINE_28, .answers = { { "POST /v1.51/build/prune?all=1&filters=", 200,
                                                    "{\"CachesDeleted\":[\"a\",\"b\"]}" } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        uint64_t bytes;
        size_t n = 0;

        (void)state;
        assert_int_equal(docker_prune_build_cache_unused(docker, 24, &n, &bytes, NULL), 0);
        assert_int_equal(n, 2);
        assert_int_equal(stub_count(stub, UNUSED("24")), 1);
        assert_int_equal(docker_prune_build_cache_unused(docker, 1, &n, &bytes, NULL), 0);
        assert_int_equal(stub_count(stub, UNUSED("1")), 1);
        assert_int_equal(docker_prune_build_cache_unused(docker, 876600, &n, &bytes, NULL), 0);
        assert_int_equal(stub_count(stub, UNUSED("876600")), 1);

        stub_forget(stub);
        assert_int_equal(docker_prune_build_cache_unused(docker, 0, &n, &bytes, NULL), -EINVAL);
        /* what Go's durations don't hold */
        assert_int_equal(docker_prune_build_cache_unused(docker, 2562048, &n, &bytes, NULL),
                         -EINVAL);
        assert_int_equal(stub_n_requests(stub), 0);
}

static void test_prune_answers(void **state) {
        static const struct {
                int status;
                const char *body;
                int error;
                size_t n;
                uint64_t bytes;
        } cases[] = {
                { 200, "{}", 0, 0, 0 },
                { 200, "{\"SpaceReclaimed\":5,\"CachesDeleted\":[\"a\"]}", 0, 1, 5 },
                { 200, " { \"CachesDeleted\" : [ \"a\" , \"b\" ] , \"SpaceReclaimed\" : 5 } ", 0, 2,
                  5 },
                { 200, "{\"CachesDeleted\":[]}", 0, 0, 0 },
                { 200, "{\"CachesDeleted\":[7]}", -EBADMSG, 0, 0 },
                { 200, "{\"CachesDeleted\":\"a\"}", -EBADMSG, 0, 0 },
                { 200, "{\"SpaceReclaimed\":-1}", -EBADMSG, 0, 0 },
                { 200, "{\"SpaceReclaimed\":\"1\"}", -EBADMSG, 0, 0 },
                { 200, "{\"CachesDeleted\":[\"a\"", -EBADMSG, 0, 0 },
                { 200, "", -EBADMSG, 0, 0 },
                { 200, "OK", -EBADMSG, 0, 0 },
                { 400, "{\"message\":\"invalid filter\"}", -EINVAL, 0, 0 },
                { 500, "{\"message\":\"lease not found\"}", -EREMOTEIO, 0, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = { ENGINE_28, .answers = { { "POST /v1.51/build/prune",
                                                            cases[i].status, cases[i].body } } };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                uint64_t bytes = 0;
                size_t n = 0;
                int r;

                r = docker_prune_build_cache(docker, NULL, &n, &bytes, NULL);
                if (r != cases[i].error || n != cases[i].n || bytes != cases[i].bytes)
                        fail_msg("%s: %d, %zu", cases[i].body, r, n);
        }
}

static void test_prune_busy(void **state) {
        Engine engine = { ENGINE_28,
                          .answers = { { "POST /v1.51/build/prune", 409, PRUNE_BUSY, 2 },
                                       { "POST /v1.51/build/prune", 200, "{}", 1 },
                                       { "POST /v1.51/build/prune", 409, PRUNE_BUSY } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = NULL;
        Diag diag = DIAG_NULL;
        uint64_t bytes;
        size_t n;

        (void)state;
        assert_int_equal(docker_new(stub->path, TIMEOUT, USEC_PER_SEC, &docker), 0);
        assert_int_equal(docker_prune_build_cache(docker, NULL, &n, &bytes, &diag), 0);
        assert_string_equal(diag.text, "");
        assert_int_equal(stub_count(stub, "POST /v1.51/build/prune?all=1"), 3);
        assert_int_equal(docker_prune_build_cache(docker, NULL, &n, &bytes, &diag), -EBUSY);
        assert_string_equal(
                diag.text,
                "POST /build/prune was answered with 409: a prune operation is already running");
}

static void test_tag(void **state) {
        Engine engine = {
                ENGINE_28,
                .answers = { { "POST /v1.51/images/sha256%3A01/tag", 201, "" },
                             { "POST /v1.51/images/idle/tag", 200, "" },
                             { "POST /v1.51/images/", 404, "{\"message\":\"No such image: x\"}" } },
        };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);

        (void)state;
        assert_int_equal(docker_tag(docker, "sha256:01", "localhost:5000/a", "v1", NULL), 0);
        assert_int_equal(
                stub_count(stub,
                           "POST /v1.51/images/sha256%3A01/tag?repo=localhost%3A5000%2Fa&tag=v1"),
                1);
        /* 200 is what engines say that did nothing */
        assert_int_equal(docker_tag(docker, "idle", "a", "b", NULL), -EREMOTEIO);
        assert_int_equal(docker_tag(docker, "x", "a", "b", NULL), -ENOENT);
        stub_forget(stub);
        assert_int_equal(docker_tag(docker, "", "a", "b", NULL), -EINVAL);
        assert_int_equal(docker_tag(docker, "x", "", "b", NULL), -EINVAL);
        assert_int_equal(docker_tag(docker, "x", "a", "", NULL), -EINVAL);
        assert_int_equal(stub_n_requests(stub), 0);
}

/* The containerd store does not spare parents that other images stand on. */
static void test_untag_containerd(void **state) {
        Engine engine = { ENGINE_29, .answers = { { "DELETE /v1.55/images/app%3A1", 200,
                                                    "[{\"Untagged\":\"app:1\"}]\n" } } };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        size_t n;

        (void)state;
        assert_int_equal(docker_untag(docker, "app:1", &n, NULL), 0);
        assert_int_equal(stub_count(stub, "DELETE /v1.55/images/app%3A1?noprune=1"), 1);
}

static void test_untag(void **state) {
        static const char *const refused[] = {
                "",     "app", "sha256:0123",     "sha512:0123",       "0123456789ab",
                "app:", ":1",  "app@sha256:0123", "app:1@sha256:0123", "localhost:5000/app",
        };
        Engine engine = {
                ENGINE_28,
                .answers = { { "DELETE /v1.51/images/app%3A1", 200,
                               "[{\"Untagged\":\"app:1\"}]\n" },
                             { "DELETE /v1.51/images/team%2Fapp%3A2", 200,
                               "[{\"Untagged\":\"team/app:2\"},{\"Deleted\":\"sha256:1\"},{\"Deleted\":"
                               "\"sha256:2\"}]\n" },
                             { "DELETE /v1.51/images/used%3A1", 409,
                               "{\"message\":\"conflict: unable to delete used:1\"}\n" },
                             { "DELETE /v1.51/images/odd%3A1", 200, "{}" },
                             { "DELETE /v1.51/images/", 404,
                               "{\"message\":\"No such image: x:1\"}" } },
        };
        cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
        cleanup(docker_free) Docker *docker = connect_to(stub);
        Diag diag = DIAG_NULL;
        size_t n = 7;

        (void)state;
        assert_int_equal(docker_untag(docker, "app:1", &n, NULL), 0);
        assert_int_equal(n, 0);
        assert_int_equal(stub_count(stub, "DELETE /v1.51/images/app%3A1"), 1);
        assert_int_equal(docker_untag(docker, "team/app:2", &n, NULL), 0);
        assert_int_equal(n, 2);
        assert_int_equal(docker_untag(docker, "used:1", &n, &diag), -EBUSY);
        assert_string_equal(
                diag.text,
                "DELETE /images/used%3A1 was answered with 409: conflict: unable to delete used:1");
        assert_int_equal(docker_untag(docker, "x:1", &n, NULL), -ENOENT);
        assert_int_equal(docker_untag(docker, "odd:1", &n, NULL), -EBADMSG);
        assert_int_equal(docker_untag(docker, "team/sha256:1", &n, NULL), -ENOENT);

        stub_forget(stub);
        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                assert_int_equal(docker_untag(docker, refused[i], &n, NULL), -EINVAL);
        assert_int_equal(stub_n_requests(stub), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_build_cache),
                cmocka_unit_test(test_build_cache_busy),
                cmocka_unit_test(test_images),
                cmocka_unit_test(test_image),
                cmocka_unit_test(test_image_history),
                cmocka_unit_test(test_builder_volumes),
                cmocka_unit_test(test_containers),
                cmocka_unit_test(test_volumes),
                cmocka_unit_test(test_prune),
                cmocka_unit_test(test_prune_to),
                cmocka_unit_test(test_prune_to_replaced),
                cmocka_unit_test(test_prune_unused),
                cmocka_unit_test(test_prune_answers),
                cmocka_unit_test(test_prune_busy),
                cmocka_unit_test(test_tag),
                cmocka_unit_test(test_untag),
                cmocka_unit_test(test_untag_containerd),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
