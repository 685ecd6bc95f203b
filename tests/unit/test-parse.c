/* SPDX-License-Identifier: MIT */

#include "engine.h"

#include "docker/parse.h"
#include "docker/records.h"

static void test_build_cache_errors(void **state) {
#define RECORD(rest) "{\"BuildCache\":[{\"ID\":\"a\"},{" rest "}]}"
        static const struct {
                int status;
                const char *body;
                int error;
                size_t n, n_unreadable;
        } cases[] = {
                { 200, "{\"BuildCache\":null}", 0, 0 },
                { 200, "{}", -EBADMSG, 0 },
                { 200, RECORD("\"ID\":\"b\",\"Unknown\":[1,{}],\"LastUsedAt\":null"), 0, 2 },
                { 200, RECORD("\"ID\":\"b\",\"Type\":null,\"Size\":null,\"InUse\":null"), 0, 2 },
                { 200, RECORD("\"ID\":\"012345678901234567890123456\""), 0, 2 },
                { 200, RECORD("\"ID\":\"0123456789012345678901234567\""), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"\""), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"a\\u001b[2J\""), 0, 1, 1 },
                { 200, RECORD("\"ID\":7"), 0, 1, 1 },
                { 200, RECORD("\"Type\":\"regular\""), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"Size\":-1"), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"Size\":1e15"), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"Size\":1.5"), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"Size\":\"1\""), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"UsageCount\":null"), 0, 2 },
                { 200, RECORD("\"ID\":\"b\",\"UsageCount\":-1"), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"UsageCount\":1.5"), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"UsageCount\":\"1\""), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"InUse\":1"), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"Shared\":\"true\""), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"LastUsedAt\":\"yesterday\""), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"LastUsedAt\":7"), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"Parent\":7"), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"Parents\":[7]"), 0, 1, 1 },
                { 200, RECORD("\"ID\":\"b\",\"Parents\":[\"\"]"), 0, 1, 1 },
                { 200, "{\"BuildCache\":[{\"ID\":\"a\"}", -EBADMSG, 1 },
                { 200, "{\"BuildCache\":[{\"ID\":\"a\"},7]}", 0, 1, 1 },
                { 200, "", -EBADMSG, 0 },
                { 200, "null", -EBADMSG, 0 },
                { 200, "<html>Welcome</html>", -EBADMSG, 0 },
                { 204, "", -EREMOTEIO, 0 },
                { 301, "", -EREMOTEIO, 0 },
                { 400, "{\"message\":\"unknown object type: x\"}", -EINVAL, 0 },
                { 403, "{\"message\":\"no\"}", -EREMOTEIO, 0 },
                { 404, "{\"message\":\"page not found\"}", -ENOENT, 0 },
                { 500, "{\"message\":\"error getting build cache usage\"}", -EREMOTEIO, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = { ENGINE_28, .answers = { { "GET /v1.51/system/df", cases[i].status,
                                                            cases[i].body } } };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                Seen seen = { .error = 0 };
                Diag diag = DIAG_NULL;
                int r;

                r = docker_build_cache(docker, keep_record, &seen, &seen.unreadable, &diag);
                if (r != cases[i].error || seen.set.n != cases[i].n ||
                    seen.unreadable.n != cases[i].n_unreadable)
                        fail_msg("%s: %d, %zu records (%s)", cases[i].body, r, seen.set.n,
                                 diag.text);
                assert_int_equal(*diag.text == '\0', r == 0);
                seen_done(&seen);
        }
}

static void test_images_errors(void **state) {
        static const struct {
                const char *body;
                int error;
                size_t n, n_unreadable;
        } cases[] = {
                { "[]", 0, 0 },
                { "null", 0, 0 },
                { "[{\"Id\":\"a\"}]", 0, 1 },
                { "[{\"Id\":\"a\",\"RepoTags\":null,\"Labels\":null,\"Created\":-62135596800}]", 0,
                  1 },
                { "[{\"Id\":\"a\"},{\"Id\":\"\"}]", 0, 1, 1 },
                { "[{\"Id\":\"a\"},{}]", 0, 1, 1 },
                { "[{\"Id\":\"a\"},null]", 0, 1, 1 },
                { "[{\"Id\":\"a\"},{\"Id\":\"b\",\"Size\":-1}]", 0, 1, 1 },
                { "[{\"Id\":\"a\"},{\"Id\":\"b\",\"RepoTags\":\"x\"}]", 0, 1, 1 },
                { "[{\"Id\":\"a\"},{\"Id\":\"b\",\"RepoTags\":[7]}]", 0, 1, 1 },
                { "[{\"Id\":\"a\"},{\"Id\":\"b c\"}]", 0, 1, 1 },
                { "[{\"Id\":\"012345678901234567890123456789012345678901234567890123456789"
                  "012345678901\"}]",
                  0, 0, 1 },
                { "[{\"Id\":\"a\"}", -EBADMSG, 0 },
                { "{\"message\":\"x\"}", -EBADMSG, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = { ENGINE_28,
                                  .answers = { { "GET /v1.51/images/json", 200, cases[i].body } } };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                ImageSet set = { .n = 7 };
                Diag diag = DIAG_NULL;
                int r;

                r = docker_images(docker, &set, &diag);
                if (r != cases[i].error || set.n != cases[i].n ||
                    set.unreadable.n != cases[i].n_unreadable)
                        fail_msg("%s: %d, %zu images (%s)", cases[i].body, r, set.n, diag.text);
                for (size_t j = 0; j < set.n; j++)
                        assert_true(set.v[j].created_sec == 0);
                image_set_done(&set);
        }
}

/* The containerd store (28.5) lists what was pulled by digest among the tags. */
static void test_image_names(void **state) {
        static const char text[] =
                "{\"Id\":\"sha256:01\",\"RepoTags\":[\"app:1\",\"app@sha256:02\","
                "\"<none>:<none>\"],\"RepoDigests\":[\"team/app@sha256:03\","
                "\"<none>@<none>\"],\"RootFS\":{\"Layers\":[\"sha256:04\","
                "\"sha256:05\"]}}";
        cleanup(image_detail_done) ImageDetail detail = { 0 };
        cleanup(image_done) Image image = { 0 };

        (void)state;
        assert_int_equal(parse_image(text, strlen(text), &image, NULL), 0);
        assert_int_equal(image.names.n, 1);
        assert_string_equal(image.names.v[0], "app:1");
        assert_int_equal(image.digests.n, 2);
        assert_true(strv_contains(&image.digests, "app@sha256:02"));
        assert_true(strv_contains(&image.digests, "team/app@sha256:03"));

        assert_int_equal(parse_image_detail(text, strlen(text), &detail, NULL), 0);
        assert_int_equal(detail.names.n, 1);
        assert_int_equal(detail.layers.n, 2);
        assert_string_equal(detail.layers.v[1], "sha256:05");
}

static void test_container_names(void **state) {
        static const char *const cases[][2] = {
                { "{\"Id\":\"0123456789abcdef\",\"Names\":null}", "0123456789ab" },
                { "{\"Id\":\"0123456789abcdef\",\"Names\":[]}", "0123456789ab" },
                { "{\"Id\":\"0123456789abcdef\",\"Names\":[\"/web/db\",\"/db\"]}", "db" },
                { "{\"Id\":\"0123456789abcdef\",\"Names\":[\"bare\"]}", "bare" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(container_done) Container container = { 0 };

                assert_int_equal(
                        parse_container(cases[i][0], strlen(cases[i][0]), &container, NULL), 0);
                assert_string_equal(container.name, cases[i][1]);
        }
}

static int parse_mounts(const char *mounts, Container *ret, Diag *reterr_diag) {
        cleanup_free char *text = NULL;

        assert_true(asprintf(&text, "{\"Id\":\"a\",\"Mounts\":%s}", mounts) > 0);
        return parse_container(text, strlen(text), ret, reterr_diag);
}

/* As engine 28.5 lists them. */
static void test_mounts(void **state) {
#define ANONYMOUS "2d789d6ad86b7631130041b297de34b148ab464a1f7e8a33b805c0b28e07e0a1"
        static const char text[] =
                "[{\"Type\":\"tmpfs\",\"Source\":\"\",\"Destination\":\"/run\",\"Mode\":\"\",\"RW\":true,"
                "\"Propagation\":\"\"},"
                "{\"Type\":\"bind\",\"Source\":\"/srv/x\\n\\u00e4\",\"Destination\":\"/app\",\"Mode\":\"\","
                "\"RW\":false,\"Propagation\":\"rprivate\"},"
                "{\"Type\":\"volume\",\"Name\":\"static\","
                "\"Source\":\"/var/lib/docker/volumes/static/_data\",\"Destination\":\"/static\","
                "\"Driver\":\"local\",\"Mode\":\"z\",\"RW\":true,\"Propagation\":\"\"},"
                "{\"Type\":\"image\",\"Name\":\"tools\",\"Source\":\"/var/lib/docker/rootfs/1\","
                "\"Destination\":\"/tools\",\"Mode\":\"\",\"RW\":false,\"Propagation\":\"\"},"
                "{\"Type\":\"volume\",\"Name\":\"" ANONYMOUS "\",\"Source\":\"\","
                "\"Destination\":\"data\",\"Driver\":\"local\",\"Mode\":\"\",\"RW\":true,"
                "\"Propagation\":\"\"},"
                "{\"Source\":\"/old\",\"Destination\":\"/o\"},"
                "{\"Name\":\"oldvolume\",\"Source\":\"/x\",\"Destination\":\"/v\"}]";
        static const struct {
                const char *source, *destination, *volume;
        } expected[] = {
                { "/srv/x\n\xc3\xa4", "/app", NULL },
                { "/var/lib/docker/volumes/static/_data", "/static", "static" },
                { "", "data", ANONYMOUS },
                { "/old", "/o", NULL },
                { "/x", "/v", "oldvolume" },
        };
        cleanup(container_done) Container container = { 0 };

        (void)state;
        assert_int_equal(parse_mounts(text, &container, NULL), 0);
        assert_int_equal(container.n_mounts, ELEMENTSOF(expected));
        assert_int_equal(container.image_mounts.n, 1);
        assert_string_equal(container.image_mounts.v[0], "tools");
        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                const Mount *mount = &container.mounts[i];

                assert_string_equal(mount->source, expected[i].source);
                assert_string_equal(mount->destination, expected[i].destination);
                assert_int_equal(!mount->volume, !expected[i].volume);
                if (mount->volume)
                        assert_string_equal(mount->volume, expected[i].volume);
        }
}

static void test_mounts_errors(void **state) {
#define BIND "{\"Type\":\"bind\",\"Source\":\"/a\",\"Destination\":\"/b\"}"
        static const struct {
                const char *mounts;
                int error;
                size_t n;
        } cases[] = {
                { "null", 0, 0 },
                { "[]", 0, 0 },
                { "[{\"Type\":\"tmpfs\"}]", 0, 0 },
                { "[{\"Type\":\"new.kind\",\"Source\":7}]", 0, 0 },
                { "[" BIND "]", 0, 1 },
                { "[" BIND "," BIND "]", 0, 2 },
                { "[{\"Type\":\"bind\",\"Source\":\"/a\",\"Name\":null}]", 0, 1 },
                { "[{\"Type\":\"volume\",\"Name\":\"v\"}]", 0, 1 },
                { "{}", -EBADMSG, 0 },
                { "\"/a:/b\"", -EBADMSG, 0 },
                { "[null]", -EBADMSG, 0 },
                { "[" BIND ",\"/a:/b\"]", -EBADMSG, 0 },
                { "[" BIND ",[]]", -EBADMSG, 0 },
                { "[" BIND ",{}]", -EBADMSG, 0 },
                { "[{\"Type\":7}]", -EBADMSG, 0 },
                { "[{\"Type\":\"tmpfs\",\"Name\":7}]", -EBADMSG, 0 },
                { "[{\"Type\":\"bind\",\"Source\":7}]", -EBADMSG, 0 },
                { "[{\"Type\":\"bind\",\"Source\":\"\"}]", -EBADMSG, 0 },
                { "[{\"Type\":\"bind\",\"Source\":\"a/b\"}]", -EBADMSG, 0 },
                { "[{\"Type\":\"bind\"}]", -EBADMSG, 0 },
                { "[{\"Type\":\"bind\",\"Source\":\"/a\",\"Destination\":{}}]", -EBADMSG, 0 },
                { "[{\"Type\":\"volume\",\"Name\":\"\",\"Source\":\"/a\"}]", -EBADMSG, 0 },
                { "[{\"Type\":\"volume\",\"Source\":\"/a\"}]", -EBADMSG, 0 },
                { "[{\"Type\":\"volume\",\"Name\":\"v\",\"Source\":[]}]", -EBADMSG, 0 },
                { "[{\"Type\":\"image\",\"Name\":\"v\"}]", 0, 0 },
                { "[{\"Type\":\"image\",\"Source\":\"/x\"}]", -EBADMSG, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(container_done) Container container = { 0 };
                Diag diag = DIAG_NULL;
                int r;

                r = parse_mounts(cases[i].mounts, &container, &diag);
                if (r != cases[i].error || container.n_mounts != cases[i].n)
                        fail_msg("%s: %d, %zu mounts (%s)", cases[i].mounts, r, container.n_mounts,
                                 diag.text);
                assert_int_equal(*diag.text == '\0', r == 0);
        }
}

#define BOUND "{\"type\":\"none\",\"o\":\"bind\",\"device\":\"/a\"}"

/* An element, and the path that it binds. */
static void test_volume(void **state) {
        static const struct {
                const char *options, *device;
        } cases[] = {
                { "{\"Name\":\"v\",\"Driver\":\"local\",\"Options\":" BOUND "}", "/a" },
                { "{\"Name\":\"v\",\"Options\":" BOUND "}", "/a" },
                { "{\"Name\":\"v\",\"Driver\":\"nfs\",\"Options\":" BOUND "}", NULL },
                { "{\"Name\":\"v\",\"Driver\":\"nfs\",\"Options\":7}", NULL },
                { "{\"Name\":\"v\",\"Options\":null}", NULL },
                { "{\"Name\":\"v\",\"Options\":{}}", NULL },
                { "{\"Name\":\"v\"}", NULL },
                { "\"o\":\"bind\"", NULL },
                { "\"device\":\"/a\"", NULL },
                { "\"device\":\"/a\",\"o\":null", NULL },
                { "\"device\":\"/a\",\"o\":\"\"", NULL },
                { "\"device\":\"/a\",\"o\":\"bind\"", "/a" },
                { "\"device\":\"/a\",\"o\":\"rbind\",\"type\":\"ext4\"", "/a" },
                { "\"device\":\"/a\",\"o\":\",ro,,rbind\"", "/a" },
                { "\"device\":\"/a\",\"o\":\"bind,\"", "/a" },
                { "\"device\":\"/a b,\\u00e4\",\"o\":\"ro,bind,private\"", "/a b,\xc3\xa4" },
                { "\"device\":\"/a/../b/\",\"o\":\"bind\"", "/a/../b/" },
                { "\"device\":\"a\",\"o\":\"bind\"", "/a" },
                { "\"device\":\"./a\",\"o\":\"bind\"", "/./a" },
                { "\"device\":\"none\",\"o\":\"bind\"", NULL },
                { "\"device\":\"\",\"o\":\"bind\"", NULL },
                { "\"device\":\"/a\",\"o\":\"ro, bind\"", NULL },
                { "\"device\":\"/a\",\"o\":\"BIND\"", NULL },
                { "\"device\":\"/a\",\"o\":\"unbindable,xrbind,rbindx,bin\"", NULL },
                { "\"device\":\"/a\",\"o\":\"bind=1\"", NULL },
                { "\"device\":\"/a\",\"type\":\"bind\"", NULL },
                { "\"Device\":\"/a\",\"o\":\"bind\"", NULL },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(volume_done) Volume volume = { 0 };
                cleanup_free char *text = NULL;
                bool whole = *cases[i].options == '{';

                assert_true(asprintf(&text, "%s%s%s", whole ? "" : "{\"Name\":\"v\",\"Options\":{",
                                     cases[i].options, whole ? "" : "}}") > 0);
                assert_int_equal(parse_volume(text, strlen(text), &volume, NULL), 0);
                assert_string_equal(volume.name, "v");
                if (!volume.device != !cases[i].device ||
                    (volume.device && strcmp(volume.device, cases[i].device) != 0))
                        fail_msg("%s: %s", text, volume.device ? volume.device : "nothing");
        }
}

static void test_volumes_errors(void **state) {
#define VOLUME "{\"Name\":\"v\",\"Options\":" BOUND "}"
#define VOLUMES(rest) "{\"Volumes\":[" VOLUME "," rest "],\"Warnings\":null}"
        static const struct {
                const char *body;
                int error;
                size_t n, n_unreadable;
        } cases[] = {
                { "{\"Volumes\":[],\"Warnings\":null}", 0, 0 },
                { "{\"Volumes\":null,\"Warnings\":[\"x\"]}", 0, 0 },
                { "{}", -EBADMSG, 0 },
                { "{\"Warnings\":[" VOLUME "],\"Volumes\":[" VOLUME "]}", 0, 1 },
                { VOLUMES(VOLUME), 0, 2 },
                { VOLUMES("{\"Name\":\"w\"}"), 0, 1 },
                { VOLUMES("{}"), 0, 1, 1 },
                { VOLUMES("null"), 0, 1, 1 },
                { VOLUMES("\"w\""), 0, 1, 1 },
                { VOLUMES("{\"Name\":\"\"}"), 0, 1, 1 },
                { VOLUMES("{\"Name\":7}"), 0, 1, 1 },
                { VOLUMES("{\"Name\":\"w\",\"Driver\":7}"), 0, 1, 1 },
                { VOLUMES("{\"Name\":\"w\",\"Options\":[]}"), 0, 1, 1 },
                { VOLUMES("{\"Name\":\"w\",\"Options\":{\"o\":7}}"), 0, 1, 1 },
                { VOLUMES("{\"Name\":\"w\",\"Options\":{\"device\":{}}}"), 0, 1, 1 },
                { "{\"Volumes\":{}}", -EBADMSG, 0 },
                { "{\"Volumes\":[" VOLUME "]", -EBADMSG, 0 },
                { "[" VOLUME "]", -EBADMSG, 0 },
                { "null", -EBADMSG, 0 },
                { "", -EBADMSG, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Engine engine = { ENGINE_28,
                                  .answers = { { "GET /v1.51/volumes", 200, cases[i].body } } };
                cleanup(stub_free) Stub *stub = stub_new(serve, &engine);
                cleanup(docker_free) Docker *docker = connect_to(stub);
                VolumeSet set = { .n = 7 };
                Diag diag = DIAG_NULL;
                int r;

                r = docker_volumes(docker, &set, &diag);
                if (r != cases[i].error || set.n != cases[i].n ||
                    set.unreadable.n != cases[i].n_unreadable)
                        fail_msg("%s: %d, %zu volumes (%s)", cases[i].body, r, set.n, diag.text);
                assert_int_equal(*diag.text == '\0', r == 0);
                volume_set_done(&set);
        }
}

/* As many as an element has room for. */
static void test_many_mounts(void **state) {
        cleanup(container_done) Container container = { 0 };
        cleanup_free char *text = malloc(RECORDS_ELEMENT_MAX);
        size_t n = 0, count = 0;

        (void)state;
        assert_non_null(text);
        while (n + 128 < RECORDS_ELEMENT_MAX)
                n += (size_t)sprintf(text + n, "%c{\"Source\":\"/%zu\"}", n == 0 ? '[' : ',',
                                     count++);
        strcpy(text + n, "]");
        assert_int_equal(parse_mounts(text, &container, NULL), 0);
        assert_int_equal(container.n_mounts, count);
        assert_true(count > 10000);
        snprintf(text, 64, "/%zu", count - 1);
        assert_string_equal(container.mounts[count - 1].source, text);
}

static void test_time(void **state) {
        static const struct {
                const char *text;
                int64_t sec;
        } good[] = {
                { "1970-01-01T00:00:00Z", 0 },
                { "1970-01-01T00:00:01Z", 1 },
                { "2026-11-20T12:10:55.842172277Z", 1795176655 },
                { "2026-11-20T12:10:55.8Z", 1795176655 },
                { "2026-11-20T14:10:55+02:00", 1795176655 },
                { "2026-11-20T05:40:55.5-06:30", 1795176655 },
                { "2000-02-29T23:59:59Z", 951868799 },
                { "2024-02-29T00:00:00Z", 1709164800 },
                { "9999-12-31T23:59:59Z", 253402300799 },
                { "0001-01-01T00:00:00Z", 0 },
                { "1969-12-31T23:59:59Z", 0 },
                { "0000-01-01T00:00:00Z", 0 },
        };
        static const char *const bad[] = {
                "",
                "2026-11-20",
                "2026-11-20T12:10:55",
                "2026-11-20 12:10:55Z",
                "2026-11-20t12:10:55Z",
                "2026-11-20T12:10:55z",
                "2026-11-20T12:10:55.Z",
                "2026-11-20T12:10:55.1234567890Z",
                "2026-11-20T12:10:55,5Z",
                "2026-13-20T12:10:55Z",
                "2026-00-20T12:10:55Z",
                "2026-11-31T12:10:55Z",
                "2026-11-00T12:10:55Z",
                "2026-02-29T12:10:55Z",
                "1900-02-29T12:10:55Z",
                "2026-11-20T24:00:00Z",
                "2026-11-20T12:60:55Z",
                "2026-11-20T12:10:60Z",
                "2026-11-20T12:10:55+0200",
                "2026-11-20T12:10:55+24:00",
                "2026-11-20T12:10:55+02:60",
                "2026-11-20T12:10:55Zx",
                "+026-11-20T12:10:55Z",
                "2026-11-20T12:10:55Z ",
                "2026-1a-20T12:10:55Z",
                "2026-11-20T12:10:55+0a:00",
                " 2026-11-20T12:10:55Z",
                "2026-11-20T1:10:55.00Z",
        };
        int64_t sec;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                assert_int_equal(parse_time(good[i].text, strlen(good[i].text), &sec), 0);
                assert_int_equal(sec, good[i].sec);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                sec = 7;
                if (parse_time(bad[i], strlen(bad[i]), &sec) != -EBADMSG)
                        fail_msg("taken: %s", bad[i]);
                assert_int_equal(sec, 7);
        }

        /* The same as the C library's calendar, each day of four centuries and more */
        for (int64_t day = 0; day < 366 * 450; day += 1) {
                time_t t = day * 86400 + 45296;
                struct tm tm;
                char text[32];

                assert_non_null(gmtime_r(&t, &tm));
                strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
                assert_int_equal(parse_time(text, strlen(text), &sec), 0);
                assert_int_equal(sec, t);
        }
}

/* What the fast reader takes it reads as the slow one does, and it takes what engines say. */
static void test_record_plain(void **state) {
        static const struct {
                const char *text;
                size_t taken;
        } cases[] = {
#define TAIL                                                                                      \
        ",\"Type\":\"regular\",\"Description\":\"x\",\"InUse\":false,\"Shared\":true,\"Size\":3," \
        "\"CreatedAt\":\"2026-11-20T12:10:55Z\",\"LastUsedAt\":null,\"UsageCount\":1}"
                { "{\"ID\":\"a\"" TAIL, sizeof("{\"ID\":\"a\"" TAIL) - 1 },
                { "{\"ID\":\"a\"" TAIL ",{", sizeof("{\"ID\":\"a\"" TAIL) - 1 },
                { "{\"ID\":\"a\",\"Parent\":\"\"" TAIL,
                  sizeof("{\"ID\":\"a\",\"Parent\":\"\"" TAIL) - 1 },
                { "{\"ID\":\"a\",\" Parents\":[\"b\",\"c\"]" TAIL,
                  sizeof("{\"ID\":\"a\",\" Parents\":[\"b\",\"c\"]" TAIL) - 1 },
                { "{ \"ID\":\"a\"" TAIL, 0 },
                { "{\"ID\":\"\"" TAIL, 0 },
                { "{\"ID\":\"a\\n\"" TAIL, 0 },
                { "{\"ID\":\"a\n\"" TAIL, 0 },
                { "{\"ID\":\"0123456789012345678901234567\"" TAIL, 0 },
                { "{\"ID\":\"a\",\" Parents\":[]" TAIL, 0 },
                { "{\"ID\":\"a\",\" Parents\":[\"b\"" TAIL, 0 },
                { "{\"ID\":\"a\",\" Parents\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]" TAIL,
                  0 },
                { "{\"Id\":\"a\"" TAIL, 0 },
                { "[]", 0 },
                { "", 0 },
        };
        static const char *const fixtures[] = { "20-df.json", "28-df.json", "29-df.json",
                                                "29-df-verbose.json" };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Seen seen = { .error = 0 };
                size_t n = strlen(cases[i].text);

                /* never past the end, wherever it is */
                for (size_t cut = 0; cut <= n; cut++) {
                        char *copy = malloc(cut + 1);
                        ssize_t taken;

                        assert_non_null(copy);
                        memcpy(copy + 1, cases[i].text, cut);
                        taken = parse_record_plain(copy + 1, cut, keep_record, &seen);
                        assert_int_equal(taken, cut < cases[i].taken ? 0 : cases[i].taken);
                        free(copy);
                }
                seen_done(&seen);
        }

        for (size_t i = 0; i < ELEMENTSOF(fixtures); i++) {
                cleanup_free char *text = fixture(fixtures[i]);
                Seen plain = { .error = 0 }, slow = { .error = 0 };
                size_t at = 0;

                while (strncmp(text + at, "[{\"ID\"", 6) != 0)
                        assert_true(text[at++]);
                do {
                        const char *p = text + at + 1;
                        ssize_t n = parse_record_plain(p, strlen(p), keep_record, &plain);

                        assert_true(n > 0);
                        assert_int_equal(parse_record(p, (size_t)n, keep_record, &slow, NULL), 0);
                        at += (size_t)n + 1;
                } while (text[at] == ',');

                assert_int_equal(plain.set.n, 9);
                assert_int_equal(plain.set.n_parents, slow.set.n_parents);
                for (size_t j = 0; j < plain.set.n_parents; j++)
                        assert_string_equal(plain.set.parents[j], slow.set.parents[j]);
                for (size_t j = 0; j < plain.set.n; j++) {
                        const BuildRecord *a = &plain.set.v[j], *b = &slow.set.v[j];

                        assert_string_equal(a->id, b->id);
                        assert_int_equal(a->usage_count, b->usage_count);
                        assert_true(a->usage_count > 0);
                        assert_int_equal(a->size_bytes, b->size_bytes);
                        assert_int_equal(a->last_used_nsec, b->last_used_nsec);
                        assert_int_equal(a->n_parents, b->n_parents);
                        assert_int_equal(a->type, b->type);
                        assert_int_equal(a->in_use, b->in_use);
                        assert_int_equal(a->shared, b->shared);
                        assert_int_equal(a->source, b->source);
                        assert_int_equal(a->local_image, b->local_image);
                }
                record_set_done(&plain.set);
                record_set_done(&slow.set);
        }
}

/* What a Dockerfile is read from, and layers of local images, told by the description; both readers agree. */
static void test_description(void **state) {
        static const struct {
                const char *description;
                bool source, plain, local_image;
        } cases[] = {
                { "from local ", false, true, true },
                { "from local docker.io/library/web:1", false, true, true },
                { "from localhost:5000/web", false, true, false },
                { "fro\\u006d local ", false, false, true },
                { "mount / from local ", false, true, false },
                { "local source for dockerfile", true, true },
                { "local source for context", false, true },
                { "http url http://build-context-vpg03bscd2kvb8", true, true },
                { "http url https://example.org/a.tar.gz", true, true },
                { "git snapshot for https://example.org/a.git#main", true, true },
                { "mount / from exec /bin/sh -c git snapshot for x", false, true },
                { "http url", false, true },
                { "", false, true },
                { "\\u0068ttp url http://x", true, false },
                { "http\\u0020url http://x", true, false },
                { "http url \\u0068ttp://x", true, true },
                { "a \\u0026\\u0026 b", false, true },
                { "http \\u0026", false, false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Seen seen = { .error = 0 };
                char text[512];

                snprintf(text, sizeof(text),
                         "{\"ID\":\"a\",\"Type\":\"regular\",\"Description\":\"%s\","
                         "\"InUse\":true,\"Shared\":false,\"Size\":3,\"CreatedAt\":\"\","
                         "\"LastUsedAt\":null,\"UsageCount\":1}",
                         cases[i].description);
                assert_int_equal(parse_record_plain(text, strlen(text), keep_record, &seen),
                                 cases[i].plain ? strlen(text) : 0);
                assert_int_equal(parse_record(text, strlen(text), keep_record, &seen, NULL), 0);
                for (size_t j = 0; j < seen.set.n; j++)
                        assert_int_equal(seen.set.v[j].source, cases[i].source);
                for (size_t j = 0; j < seen.set.n; j++)
                        assert_int_equal(seen.set.v[j].local_image, cases[i].local_image);
                record_set_done(&seen.set);
        }
}

static void test_usage_count(void **state) {
        static const struct {
                const char *text;
                uint32_t count;
        } cases[] = {
                { "0", 0 },
                { "7", 7 },
                { "4294967295", UINT32_MAX },
                { "4294967296", UINT32_MAX },
                { "999999999999999", UINT32_MAX },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Seen seen = { .error = 0 };
                char text[512];

                snprintf(text, sizeof(text),
                         "{\"ID\":\"a\",\"Type\":\"regular\",\"Description\":\"\","
                         "\"InUse\":false,\"Shared\":true,\"Size\":3,\"CreatedAt\":\"\","
                         "\"LastUsedAt\":null,\"UsageCount\":%s}",
                         cases[i].text);
                assert_int_equal(parse_record_plain(text, strlen(text), keep_record, &seen),
                                 strlen(text));
                assert_int_equal(parse_record(text, strlen(text), keep_record, &seen, NULL), 0);
                assert_int_equal(seen.set.n, 2);
                for (size_t j = 0; j < seen.set.n; j++)
                        assert_int_equal(seen.set.v[j].usage_count, cases[i].count);
                seen_done(&seen);
        }
}

static void test_last_tagged(void **state) {
        static const struct {
                const char *metadata;
                int error;
                int64_t sec, nsec;
        } cases[] = {
                { "null", 0, 0 },
                { "{}", 0, 0 },
                { "{\"LastTagTime\":null}", 0, 0 },
                { "{\"LastTagTime\":\"\"}", 0, 0 },
                { "{\"LastTagTime\":\"0001-01-01T00:00:00Z\"}", 0, 0 },
                { "{\"LastTagTime\":\"2026-11-20T12:10:55.842172277Z\"}", 0, 1795176655,
                  842172277 },
                { "{\"LastTagTime\":\"2026-11-20T14:10:55.8+02:00\"}", 0, 1795176655, 800000000 },
                { "{\"LastTagTime\":\"today\"}", -EBADMSG, 0 },
                { "{\"LastTagTime\":7}", -EBADMSG, 0 },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                cleanup(image_detail_done) ImageDetail detail = { 0 };
                char text[256];

                snprintf(text, sizeof(text), "{\"Id\":\"a\",\"Metadata\":%s}", cases[i].metadata);
                assert_int_equal(parse_image_detail(text, strlen(text), &detail, NULL),
                                 cases[i].error);
                assert_int_equal(detail.last_tagged_sec, cases[i].sec);
                assert_int_equal(detail.last_tagged_nsec,
                                 cases[i].sec * INT64_C(1000000000) + cases[i].nsec);
        }
}

static void test_message(void **state) {
        static const char *const cases[][2] = {
                { "{\"message\":\"No such image: x\"}\n", "No such image: x" },
                { "{\"message\":\"two\\nlines \"}", "two lines" },
                { "client version 1.11 is too old\n", "client version 1.11 is too old" },
                { "  <html>\r\n<b>\x1b[2J</b>", "<html>  <b> [2J</b>" },
                { "{\"message\":\"cut off in the mid", "cut off in the mid" },
                { "{\"error\":\"x\"}", "{\"error\":\"x\"}" },
                { "", "" },
                { " \n", "" },
        };
        char message[64];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                parse_message(cases[i][0], message, sizeof(message));
                assert_string_equal(message, cases[i][1]);
        }

        parse_message("0123456789", message, 5);
        assert_string_equal(message, "0123");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_build_cache_errors),
                cmocka_unit_test(test_images_errors),
                cmocka_unit_test(test_image_names),
                cmocka_unit_test(test_container_names),
                cmocka_unit_test(test_mounts),
                cmocka_unit_test(test_mounts_errors),
                cmocka_unit_test(test_many_mounts),
                cmocka_unit_test(test_volume),
                cmocka_unit_test(test_volumes_errors),
                cmocka_unit_test(test_time),
                cmocka_unit_test(test_record_plain),
                cmocka_unit_test(test_description),
                cmocka_unit_test(test_usage_count),
                cmocka_unit_test(test_last_tagged),
                cmocka_unit_test(test_message),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
