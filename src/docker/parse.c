/* SPDX-License-Identifier: MIT */

/*
 * The engine's answers to the model, by way of wire/json: what is left of them once members that are
 * not used are gone (docker/records.h). Build cache records, which come by the
 * hundred thousand, have their own file, usage.c.
 */

#include "docker/parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "docker/records.h"
#include "wire/json.h"

#define LABEL_PROJECT "com.docker.compose.project"
#define LABELS_PROJECT "Labels/com.docker.compose.project"

/* Two digits; `bad` is set where they are none. */
static unsigned digits(const char *p, bool *bad) {
        unsigned tens = (unsigned)(p[0] - '0'), ones = (unsigned)(p[1] - '0');

        *bad |= (tens > 9) | (ones > 9);
        return tens * 10 + ones;
}

/* Days from 1970 to a day of the Gregorian calendar. timegm(3) says the same, but takes as long as
 * the rest of a record does. */
static int64_t days_from_civil(unsigned year, unsigned month, unsigned day) {
        /* years begin in March; 400 more keep it unsigned */
        unsigned y = year + 400 - (month <= 2);
        unsigned m = (month + 9) % 12;

        return (int64_t)y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 865565;
}

/* `ret_nsec`: the part below a second. */
static int parse_time_parts(const char *text, size_t n, int64_t *ret_sec, int64_t *ret_nsec) {
        static const unsigned char month_days[] = {
                31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
        };
        unsigned year, month, day, hour, minute, second, offset_minutes = 0;
        const char *p = text + 19, *end = text + n;
        bool bad = false;
        int64_t sec, nsec = 0;

        if (n < 20)
                return -EBADMSG;

        year = digits(text, &bad) * 100 + digits(text + 2, &bad);
        month = digits(text + 5, &bad);
        day = digits(text + 8, &bad);
        hour = digits(text + 11, &bad);
        minute = digits(text + 14, &bad);
        second = digits(text + 17, &bad);
        if (bad || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
            text[16] != ':' || month < 1 || month > 12 || day < 1 || day > month_days[month - 1] ||
            hour > 23 || minute > 59 || second > 59)
                return -EBADMSG;
        if (month == 2 && day == 29 && (year % 4 != 0 || (year % 100 == 0 && year % 400 != 0)))
                return -EBADMSG;

        if (*p == '.') {
                const char *fraction = ++p;

                for (; p < end && p - fraction < 10 && *p >= '0' && *p <= '9'; p++)
                        nsec = nsec * 10 + (*p - '0');
                if (p == fraction || p - fraction > 9)
                        return -EBADMSG;
                for (ptrdiff_t i = p - fraction; i < 9; i++)
                        nsec *= 10;
        }

        if (end - p == 6 && (*p == '+' || *p == '-') && p[3] == ':') {
                unsigned hours = digits(p + 1, &bad), minutes = digits(p + 4, &bad);

                if (bad || hours > 23 || minutes > 59)
                        return -EBADMSG;
                offset_minutes = hours * 60 + minutes;
        } else if (end - p != 1 || *p != 'Z') {
                return -EBADMSG;
        }

        sec = ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
        sec += (*p == '-' ? 60 : -60) * (int64_t)offset_minutes;

        *ret_sec = MAX(sec, INT64_C(0));
        *ret_nsec = sec < 0 ? 0 : nsec;
        return 0;
}

int parse_time(const char *text, size_t n, int64_t *ret_sec) {
        int64_t nsec;

        return parse_time_parts(text, n, ret_sec, &nsec);
}

int parse_time_nsec(const char *text, size_t n, int64_t *ret_nsec) {
        int64_t sec, nsec;
        int r;

        r = parse_time_parts(text, n, &sec, &nsec);
        if (r < 0)
                return r;
        if (__builtin_mul_overflow(sec, NSEC_PER_SEC, &sec) ||
            __builtin_add_overflow(sec, nsec, ret_nsec))
                *ret_nsec = INT64_MAX;
        return 0;
}

int parse_api_version(const char *text, unsigned *ret_major, unsigned *ret_minor) {
        unsigned part[2];
        const char *p = text;

        for (size_t i = 0; i < 2; i++) {
                size_t n = strspn(p, "0123456789");

                if (n == 0 || n > 4)
                        return -EBADMSG;
                part[i] = 0;
                for (; n > 0; n--)
                        part[i] = part[i] * 10 + (unsigned)(*p++ - '0');
                if (*p != (i == 0 ? '.' : '\0'))
                        return -EBADMSG;
                p++;
        }

        *ret_major = part[0];
        *ret_minor = part[1];
        return 0;
}

int parse_json_object(const char *text, size_t n, Json **ret) {
        cleanup(json_free) Json *json = NULL;
        int r;

        r = json_parse_foreign(text, n, &json);
        if (r < 0)
                return r;
        if (!json_is_object(json))
                return -EBADMSG;

        *ret = TAKE_PTR(json);
        return 0;
}

typedef struct Identity {
        const char *member;
        char *object;
} Identity;

static int on_identity(void *userdata, const char *text, size_t n, const char *defect,
                       Diag *reterr_diag) {
        const Identity *identity = userdata;
        cleanup(json_free) Json *json = NULL;

        (void)defect;
        (void)reterr_diag;

        if (json_parse_foreign(text, n, &json) >= 0)
                snprintf(identity->object, PARSE_OBJECT_MAX, "%s",
                         json_get_string(json, identity->member, ""));
        return 0;
}

void parse_object(const char *text, size_t n, const char *member, uint64_t number,
                  char ret[static PARSE_OBJECT_MAX]) {
        const char *const keep[] = { member, NULL };
        const RecordsWant want = { .keep = keep, .element_max = RECORDS_ELEMENT_MAX };
        Identity identity = { member, ret };
        cleanup(records_free) Records *records = NULL;

        *ret = '\0';
        if (records_new(&want, on_identity, NULL, &identity, &records) >= 0 &&
            records_feed(records, text, n, NULL) < 0)
                *ret = '\0';
        text_clean(ret);
        if (!*ret)
                snprintf(ret, PARSE_OBJECT_MAX, "number %" PRIu64 " of the list", number);
}

/* A copy of a string member, "" where it is absent. */
static int read_string(const Json *json, const char *name, char **ret) {
        const char *text = "";
        int r;

        r = json_read_string(json, name, &text);
        if (r < 0)
                return -EBADMSG;

        free(*ret);
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

/* An id into its field; a mandatory one may not be empty. */
static int read_id(const Json *json, const char *name, bool mandatory, char *ret, size_t size) {
        const char *id = "";
        size_t n;

        if (json_read_string(json, name, &id) < 0)
                return -EBADMSG;

        n = strlen(id);
        if (n >= size || (mandatory && n == 0))
                return -EBADMSG;
        for (size_t i = 0; i < n; i++)
                if (id[i] <= ' ' || id[i] >= 0x7f)
                        return -EBADMSG;

        memcpy(ret, id, n + 1);
        return 0;
}

/* A point in time as seconds; 0 for what is before 1970. */
static int read_sec(const Json *json, const char *name, int64_t *ret) {
        int64_t sec = 0;

        if (json_read_int(json, name, &sec) < 0)
                return -EBADMSG;

        *ret = MAX(sec, INT64_C(0));
        return 0;
}

static int read_time(const Json *json, const char *name, int64_t *ret) {
        const char *text = "";

        if (json_read_string(json, name, &text) < 0)
                return -EBADMSG;

        *ret = 0;
        return *text ? parse_time(text, strlen(text), ret) : 0;
}

/* The same with the part below a second. */
static int read_time_nsec(const Json *json, const char *name, int64_t *ret) {
        const char *text = "";

        if (json_read_string(json, name, &text) < 0)
                return -EBADMSG;

        *ret = 0;
        return *text ? parse_time_nsec(text, strlen(text), ret) : 0;
}

static int read_size(const Json *json, const char *name, uint64_t *ret) {
        int64_t size = 0;

        if (json_read_int(json, name, &size) < 0 || size < 0)
                return -EBADMSG;

        *ret = (uint64_t)size;
        return 0;
}

/* A list of strings without nulls and without the engine's word for "none": those with an '@', or those
 * without. The containerd store lists what was pulled by digest as "repo@sha256:…" among the tags, and
 * a DELETE of such a name takes every tag of the repository (28.5). */
static int read_names(const Json *json, const char *name, const char *none, bool at, Strv *ret) {
        const Json *list = json_get(json, name);
        int r;

        if (list && !json_is_array(list))
                return -EBADMSG;

        json_foreach (item, list) {
                const char *text = json_string(item);

                if (json_is_null(item))
                        continue;
                if (!text || !*text)
                        return -EBADMSG;
                if (strcmp(text, none) == 0 || !strchr(text, '@') == at)
                        continue;
                r = strv_add(ret, text);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* The compose project a label names. */
static int read_project(const Json *json, char **ret) {
        const char *project = json_get_string(json_get(json, "Labels"), LABEL_PROJECT, NULL);

        if (!project)
                return 0;

        *ret = strdup(project);
        return *ret ? 0 : -ENOMEM;
}

const char *const parse_image_members[] = { "Id",      "ParentId", "RepoTags",     "RepoDigests",
                                            "Created", "Size",     LABELS_PROJECT, NULL };

int parse_image(const char *text, size_t n, Image *ret, Diag *reterr_diag) {
        cleanup(image_done) Image image = { 0 };
        cleanup(json_free) Json *json = NULL;
        int r;

        if ((r = parse_json_object(text, n, &json)) < 0 ||
            (r = read_id(json, "Id", true, image.id, sizeof(image.id))) < 0 ||
            (r = read_id(json, "ParentId", false, image.parent_id, sizeof(image.parent_id))) < 0 ||
            (r = read_names(json, "RepoTags", "<none>:<none>", false, &image.names)) < 0 ||
            (r = read_names(json, "RepoTags", "", true, &image.digests)) < 0 ||
            (r = read_names(json, "RepoDigests", "<none>@<none>", true, &image.digests)) < 0 ||
            (r = read_sec(json, "Created", &image.created_sec)) < 0 ||
            (r = read_size(json, "Size", &image.size_bytes)) < 0 ||
            (r = read_project(json, &image.project)) < 0)
                return parse_failed(reterr_diag, r, "the engine's list of images is malformed%s%s",
                                    *image.id ? " at " : "", image.id);

        *ret = image;
        image = (Image){ 0 };
        return 0;
}

const char *const parse_image_detail_members[] = { "Id",
                                                   "Parent",
                                                   "Comment",
                                                   "DockerVersion",
                                                   "RepoTags",
                                                   "Created",
                                                   "Metadata/LastTagTime",
                                                   "RootFS/Layers",
                                                   "Config/Cmd",
                                                   NULL };

/* What is no text in it is left out: nothing but a comparison hangs on it. */
static int read_command(const Json *json, char **ret) {
        cleanup(strv_done) Strv words = STRV_NULL;

        json_foreach (item, json_get(json_get(json, "Config"), "Cmd")) {
                const char *word = json_string(item);

                if (word && strv_add(&words, word) < 0)
                        return -ENOMEM;
        }
        *ret = strv_join(&words, " ");
        return *ret ? 0 : -ENOMEM;
}

int parse_image_detail(const char *text, size_t n, ImageDetail *ret, Diag *reterr_diag) {
        cleanup(image_detail_done) ImageDetail detail = { 0 };
        cleanup(json_free) Json *json = NULL;
        int r;

        if ((r = parse_json_object(text, n, &json)) < 0 ||
            (r = read_id(json, "Id", true, detail.id, sizeof(detail.id))) < 0 ||
            (r = read_id(json, "Parent", false, detail.parent_id, sizeof(detail.parent_id))) < 0 ||
            (r = read_string(json, "Comment", &detail.comment)) < 0 ||
            (r = read_string(json, "DockerVersion", &detail.docker_version)) < 0 ||
            (r = read_names(json, "RepoTags", "<none>:<none>", false, &detail.names)) < 0 ||
            (r = read_names(json_get(json, "RootFS"), "Layers", "", false, &detail.layers)) < 0 ||
            (r = read_command(json, &detail.command)) < 0 ||
            (r = read_time(json, "Created", &detail.created_sec)) < 0 ||
            (r = read_time_nsec(json, "Created", &detail.created_nsec)) < 0 ||
            (r = read_time(json_get(json, "Metadata"), "LastTagTime", &detail.last_tagged_sec)) <
                    0 ||
            (r = read_time_nsec(json_get(json, "Metadata"), "LastTagTime",
                                &detail.last_tagged_nsec)) < 0)
                return parse_failed(reterr_diag, r,
                                    "what the engine says of an image is malformed");

        *ret = detail;
        detail = (ImageDetail){ 0 };
        return 0;
}

const char *const parse_history_members[] = { "CreatedBy", "Comment", NULL };

int parse_history_entry(const char *text, size_t n, DockerHistory add, void *userdata,
                        Diag *reterr_diag) {
        const char *created_by = "", *comment = "";
        cleanup(json_free) Json *json = NULL;
        int r;

        r = parse_json_object(text, n, &json);
        if (r < 0 || json_read_string(json, "CreatedBy", &created_by) < 0 ||
            json_read_string(json, "Comment", &comment) < 0)
                return parse_failed(reterr_diag, r < 0 ? r : -EBADMSG,
                                    "the engine's history of an image is malformed");

        return add(userdata, created_by, comment);
}

/* "/web-1", the first without another slash: one with two is a link into another container. */
static int read_container_name(const Json *json, const char *id, char **ret) {
        const Json *list = json_get(json, "Names");

        if (list && !json_is_array(list))
                return -EBADMSG;

        json_foreach (item, list) {
                const char *name = json_string(item);

                if (json_is_null(item))
                        continue;
                if (!name)
                        return -EBADMSG;
                name += *name == '/';
                if (*name && !strchr(name, '/')) {
                        *ret = strdup(name);
                        return *ret ? 0 : -ENOMEM;
                }
        }

        *ret = strndup(id, 12); /* one that is being removed has none */
        return *ret ? 0 : -ENOMEM;
}

/* One of no type was made before engine 1.13; a name tells a volume then. To overlook a mount would
 * be to take what a container uses for unused. */
static int read_mount(const Json *json, Container *container) {
        Mount *mount = &container->mounts[container->n_mounts];
        const char *type = "", *name = "";
        bool is_volume;
        int r;

        if (json_read_string(json, "Type", &type) < 0 || json_read_string(json, "Name", &name) < 0)
                return -EBADMSG;
        if (strcmp(type, "image") == 0)
                return *name ? strv_add(&container->image_mounts, name) : -EBADMSG;
        is_volume = strcmp(type, "volume") == 0 || (!*type && *name);
        if (!is_volume && *type && strcmp(type, "bind") != 0)
                return 0;

        container->n_mounts++;
        if ((r = read_string(json, "Source", &mount->source)) < 0 ||
            (r = read_string(json, "Destination", &mount->destination)) < 0 ||
            (is_volume && (r = read_string(json, "Name", &mount->volume)) < 0))
                return r;
        return (is_volume ? *name != '\0' : *mount->source == '/') ? 0 : -EBADMSG;
}

/* All of them, as the element's length bounds them. */
static int read_mounts(const Json *json, Container *container) {
        const Json *list = json_get(json, "Mounts");
        int r;

        if (list && !json_is_array(list))
                return -EBADMSG;
        if (!json_first(list))
                return 0;

        container->mounts = calloc(json_size(list), sizeof(*container->mounts));
        if (!container->mounts)
                return -ENOMEM;
        json_foreach (item, list) {
                r = read_mount(item, container);
                if (r < 0)
                        return r;
        }

        return 0;
}

const char *const parse_container_members[] = { "Id",
                                                "ImageID",
                                                "Names",
                                                "Image",
                                                "State",
                                                "Created",
                                                LABELS_PROJECT,
                                                "Mounts/Type",
                                                "Mounts/Name",
                                                "Mounts/Source",
                                                "Mounts/Destination",
                                                NULL };

int parse_container(const char *text, size_t n, Container *ret, Diag *reterr_diag) {
        cleanup(container_done) Container container = { 0 };
        cleanup(json_free) Json *json = NULL;
        int r;

        if ((r = parse_json_object(text, n, &json)) < 0 ||
            (r = read_id(json, "Id", true, container.id, sizeof(container.id))) < 0 ||
            (r = read_id(json, "ImageID", false, container.image_id, sizeof(container.image_id))) <
                    0 ||
            (r = read_container_name(json, container.id, &container.name)) < 0 ||
            (r = read_string(json, "Image", &container.image)) < 0 ||
            (r = read_string(json, "State", &container.state)) < 0 ||
            (r = read_sec(json, "Created", &container.created_sec)) < 0 ||
            (r = read_project(json, &container.project)) < 0 ||
            (r = read_mounts(json, &container)) < 0)
                return parse_failed(reterr_diag, r,
                                    "the engine's list of containers is malformed%s%s",
                                    *container.id ? " at " : "", container.id);

        *ret = container;
        container = (Container){ 0 };
        return 0;
}

const char *const parse_container_detail_members[] = { "Config/Image",
                                                       "Config/Cmd",
                                                       "Config/Healthcheck/Test",
                                                       "HostConfig/LogConfig/Type",
                                                       "HostConfig/Dns",
                                                       "State/ExitCode",
                                                       "State/Status",
                                                       "State/FinishedAt",
                                                       NULL };

/* Healthcheck.Test of ["NONE"] */
static bool has_no_healthcheck(const Json *config) {
        const Json *test = json_get(json_get(config, "Healthcheck"), "Test");
        const char *word = test ? json_string(json_first(test)) : NULL;

        return word && strcmp(word, "NONE") == 0;
}

/* A word of Cmd that begins with "#(nop)" */
static bool runs_nothing(const Json *config) {
        json_foreach (item, json_get(config, "Cmd")) {
                const char *word = json_string(item);

                if (word && strncmp(word, "#(nop)", strlen("#(nop)")) == 0)
                        return true;
        }
        return false;
}

int parse_container_detail(const char *text, size_t n, ContainerDetail *ret, Diag *reterr_diag) {
        cleanup(container_detail_done) ContainerDetail detail = { 0 };
        cleanup(json_free) Json *json = NULL;
        const Json *state, *host;
        int r;

        r = parse_json_object(text, n, &json);
        state = json_get(json, "State");
        host = json_get(json, "HostConfig");
        detail.dns = json_is_array(json_get(host, "Dns"));
        detail.nop = runs_nothing(json_get(json, "Config"));
        detail.no_healthcheck = has_no_healthcheck(json_get(json, "Config"));
        detail.exit_code = json_get_int(state, "ExitCode", 0);
        if (r < 0 ||
            (r = read_string(json_get(json, "Config"), "Image", &detail.config_image)) < 0 ||
            (r = read_string(json_get(host, "LogConfig"), "Type", &detail.log_driver)) < 0 ||
            (r = read_string(state, "Status", &detail.status)) < 0 ||
            (r = read_time(state, "FinishedAt", &detail.finished_sec)) < 0)
                return parse_failed(reterr_diag, r,
                                    "what the engine says of a container is malformed");

        *ret = detail;
        detail = (ContainerDetail){ 0 };
        return 0;
}

static bool has_option(const char *options, const char *name) {
        size_t n = strlen(name);

        for (;;) {
                size_t n_option = strcspn(options, ",");

                if (n_option == n && memcmp(options, name, n) == 0)
                        return true;
                options += n_option;
                if (!*options++)
                        return false;
        }
}

/* As moby's mount() reads the options, see docker/model.h. */
static int read_device(const Json *json, char **ret) {
        const char *driver = "local", *device = "", *options = "";
        const Json *list = json_get(json, "Options");

        if (json_read_string(json, "Driver", &driver) < 0)
                return -EBADMSG;
        if (strcmp(driver, "local") != 0)
                return 0;
        if ((list && !json_is_object(list)) || json_read_string(list, "device", &device) < 0 ||
            json_read_string(list, "o", &options) < 0)
                return -EBADMSG;
        if (!*device || strcmp(device, "none") == 0 ||
            !(has_option(options, "bind") || has_option(options, "rbind")))
                return 0;

        *ret = text_format("%s%s", *device == '/' ? "" : "/", device);
        return *ret ? 0 : -ENOMEM;
}

const char *const parse_volume_members[] = { "Name", "Driver", "Options/device", "Options/o",
                                             NULL };

int parse_volume(const char *text, size_t n, Volume *ret, Diag *reterr_diag) {
        cleanup(volume_done) Volume volume = { 0 };
        cleanup(json_free) Json *json = NULL;
        int r;

        if ((r = parse_json_object(text, n, &json)) >= 0 &&
            (r = read_string(json, "Name", &volume.name)) >= 0)
                r = *volume.name ? read_device(json, &volume.device) : -EBADMSG;
        if (r < 0)
                return parse_failed(reterr_diag, r, "the engine's list of volumes is malformed%s%s",
                                    volume.name && *volume.name ? " at " : "",
                                    volume.name ? volume.name : "");

        *ret = volume;
        volume = (Volume){ 0 };
        return 0;
}

const char *const parse_info_members[] = { "DockerRootDir", "Driver",         "DriverStatus",
                                           "ServerVersion", "BuildahVersion", NULL };

int parse_info(const char *text, size_t n, EngineInfo *ret, Diag *reterr_diag) {
        cleanup_free char *root_dir = NULL, *driver = NULL, *version = NULL;
        cleanup(json_free) Json *json = NULL;
        EngineInfo info = { 0 };
        int r;

        if ((r = parse_json_object(text, n, &json)) < 0 ||
            (r = read_string(json, "DockerRootDir", &root_dir)) < 0 ||
            (r = read_string(json, "Driver", &driver)) < 0 ||
            (r = read_string(json, "ServerVersion", &version)) < 0)
                return parse_failed(reterr_diag, r, "what the engine says of itself is malformed");
        if (*root_dir != '/')
                return diag_set(reterr_diag, -EBADMSG, "the engine names no data root");

        json_foreach (pair, json_get(json, "DriverStatus")) {
                const Json *key = json_first(pair), *value = key ? json_next(key) : NULL;

                if (json_is_string(key) && json_is_string(value) &&
                    strcmp(json_string(key), "driver-type") == 0 &&
                    strcmp(json_string(value), "io.containerd.snapshotter.v1") == 0)
                        info.image_store = IMAGE_STORE_CONTAINERD;
        }

        snprintf(info.driver, sizeof(info.driver), "%s", driver);
        snprintf(info.version, sizeof(info.version), "%s", version);
        info.root_dir = TAKE_PTR(root_dir);
        *ret = info;
        return 0;
}

static int on_pruned(void *userdata, const char *text, size_t n, const char *defect,
                     Diag *reterr_diag) {
        size_t *n_pruned = userdata;

        (void)reterr_diag;

        ++*n_pruned;
        return !defect && n > 0 && *text == '"' ? 0 : -EBADMSG;
}

static int on_prune(void *userdata, const char *text, size_t n, const char *defect,
                    Diag *reterr_diag) {
        cleanup(json_free) Json *json = NULL;
        int r;

        (void)reterr_diag;

        r = defect ? -EBADMSG : parse_json_object(text, n, &json);
        return r < 0 ? r : read_size(json, "SpaceReclaimed", userdata);
}

static int read_once(const RecordsWant *want, RecordsElement element, void *userdata,
                     const char *text, size_t n, Diag *reterr_diag) {
        cleanup(records_free) Records *records = NULL;
        int r;

        r = records_new(want, element, NULL, userdata, &records);
        if (r >= 0)
                r = records_feed(records, text, n, reterr_diag);
        return r < 0 ? r : records_finish(records, reterr_diag);
}

/* Read twice: for the ids, which are only counted, and for what stands beside them. */
int parse_pruned(const char *text, size_t n, size_t *ret_n, uint64_t *ret_bytes,
                 Diag *reterr_diag) {
        static const char *const paths[] = { "CachesDeleted", NULL };
        static const char *const keep[] = { "SpaceReclaimed", NULL };
        static const RecordsWant ids = { paths, NULL, RECORDS_ELEMENT_MAX, true };
        static const RecordsWant rest = { .keep = keep, .element_max = RECORDS_ELEMENT_MAX };
        uint64_t bytes = UINT64_MAX;
        size_t n_pruned = 0;
        int r;

        r = read_once(&ids, on_pruned, &n_pruned, text, n, reterr_diag);
        if (r >= 0)
                r = read_once(&rest, on_prune, &bytes, text, n, reterr_diag);
        if (r < 0)
                return parse_failed(reterr_diag, r, "the engine's answer to a prune is malformed");

        *ret_n = n_pruned;
        *ret_bytes = bytes;
        return 0;
}

const char *const parse_version_members[] = { "Components/Name", NULL };

/* Seen on Podman 4.3: the first of its components is the "Podman Engine". */
int parse_version(const char *text, size_t n, bool *ret_podman) {
        cleanup(json_free) Json *json = NULL;
        bool podman = false;
        int r;

        r = parse_json_object(text, n, &json);
        if (r < 0)
                return r;

        json_foreach (component, json_get(json, "Components"))
                podman = podman ||
                         strcmp(json_get_string(component, "Name", ""), "Podman Engine") == 0;

        *ret_podman = podman;
        return 0;
}

int parse_deleted(const char *text, size_t n, size_t *ret_n, Diag *reterr_diag) {
        cleanup(json_free) Json *json = NULL;
        size_t n_deleted = 0;
        int r;

        r = json_parse_foreign(text, n, &json);
        if (r >= 0 && !json_is_array(json))
                r = -EBADMSG;
        if (r < 0)
                return parse_failed(reterr_diag, r, "the engine's answer to a delete is malformed");

        json_foreach (item, json)
                n_deleted += json_get_string(item, "Deleted", NULL) != NULL;

        *ret_n = n_deleted;
        return 0;
}

void parse_message(const char *body, char *ret, size_t size) {
        static const char prefix[] = "{\"message\":\"";
        cleanup(json_free) Json *json = NULL;
        const char *text = NULL;
        size_t n;

        if (json_parse_foreign(body, strlen(body), &json) >= 0)
                text = json_get_string(json, "message", NULL);
        if (!text) {
                text = body;
                if (strncmp(text, prefix, sizeof(prefix) - 1) == 0) /* cut off by its length */
                        text += sizeof(prefix) - 1;
        }

        text += strspn(text, " \t\r\n");
        n = MIN(strlen(text), size - 1);
        while (n > 0 && (unsigned char)text[n - 1] <= ' ')
                n--;
        for (size_t i = 0; i < n; i++)
                ret[i] = (char)((unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
        ret[n] = '\0';
}
