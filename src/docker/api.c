/* SPDX-License-Identifier: MIT */

/*
 * One function per endpoint: its path and query, its limits, its retries. How a call is made is in
 * call.c, what an answer says in parse.c.
 */

#include "docker/api.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "docker/call.h"
#include "docker/name.h"
#include "docker/parse.h"

#define API_MINOR_DF_TYPE 42
#define API_MINOR_DF_VERBOSE 52
#define API_MINOR_RESERVED_SPACE 48

#define UNUSED_HOURS_MAX (100U * 366U * 24U) /* far from where Go's durations end */

#define BODY_MAX (8U * 1024U * 1024U)    /* an answer that is held whole */
#define PRUNED_MAX (64U * 1024U * 1024U) /* the ids of a prune */

/* -EBADMSG of the element `number` of a list, whose id is its string `member`: the list goes on, and
 * knows that it has not got this one. */
static int add_unreadable(UnreadableSet *set, const char *text, size_t n, const char *member,
                          uint64_t number, const char *defect, const Diag *diag) {
        char object[PARSE_OBJECT_MAX];

        parse_object(text, n, member, number, object);
        return unreadable_add(set, object, defect ? defect : diag_text(diag, -EBADMSG));
}

typedef struct Usage {
        DockerRecord add;
        void *userdata;
        UnreadableSet *unreadable;
        uint64_t n; /* of the list so far */
} Usage;

static ssize_t on_record_plain(void *userdata, const char *text, size_t n, Diag *reterr_diag) {
        Usage *usage = userdata;
        ssize_t taken;

        (void)reterr_diag;

        taken = parse_record_plain(text, n, usage->add, usage->userdata);
        usage->n += taken > 0;
        return taken;
}

static int on_record(void *userdata, const char *text, size_t n, const char *defect,
                     Diag *reterr_diag) {
        Usage *usage = userdata;
        Diag diag = DIAG_NULL;
        int r = -EBADMSG;

        (void)reterr_diag;

        usage->n++;
        if (!defect)
                r = parse_record(text, n, usage->add, usage->userdata, &diag);
        if (r != -EBADMSG)
                return r;
        return add_unreadable(usage->unreadable, text, n, "ID", usage->n, defect, &diag);
}

int docker_build_cache(Docker *docker, DockerRecord add, void *userdata, UnreadableSet *unreadable,
                       Diag *reterr_diag) {
        static const char *const arrays[] = { "BuildCache", "BuildCacheUsage.Items", NULL };
        static const RecordsWant want = { arrays, parse_record_members, RECORDS_ELEMENT_MAX };
        static const VersionedPath paths[] = {
                { API_MINOR_DF_VERBOSE, "/system/df?type=build-cache&verbose=1" },
                { API_MINOR_DF_TYPE, "/system/df?type=build-cache" },
                { 0, "/system/df" },
        };
        Usage usage = { .add = add, .userdata = userdata, .unreadable = unreadable };
        uint64_t delay_usec = 0;
        const Request request = {
                .method = "GET",
                .paths = paths,
                .deadline_usec = docker_deadline(docker, false),
        };

        for (;;) {
                Diag diag = DIAG_NULL;
                HttpResponse response;
                int r;

                r = docker_call_list(docker, &request, &want, on_record, on_record_plain, &usage,
                                     &response, &diag);
                /* Engine 20.10 allows one df at a time, whoever asks. */
                if (r == -EREMOTEIO && response.status == 500 &&
                    strstr(response.error, "disk usage operation is already running")) {
                        int q = docker_pause(docker, &delay_usec, request.deadline_usec);

                        if (q >= 0)
                                continue;
                        if (q != -ETIMEDOUT)
                                return q;
                }

                if (r < 0 && reterr_diag)
                        *reterr_diag = diag;
                return r;
        }
}

/* "repo:tag" and nothing that the engine could take for an id or a digest. */
static bool is_tagged_name(const char *name) {
        static const char *const algorithms[] = { "sha256", "sha384", "sha512" };
        size_t n = name_repository_length(name);
        const char *tag = name_tag(name);

        if (n == 0 || !tag || !*tag || strchr(name, '@'))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(algorithms); i++)
                if (n == strlen(algorithms[i]) && memcmp(name, algorithms[i], n) == 0)
                        return false;

        return true;
}

static int on_image(void *userdata, const char *text, size_t n, const char *defect,
                    Diag *reterr_diag) {
        cleanup(image_done) Image image = { 0 };
        ImageSet *set = userdata;
        Diag diag = DIAG_NULL;
        int r = -EBADMSG;

        (void)reterr_diag;

        if (!defect)
                r = parse_image(text, n, &image, &diag);
        if (r == -EBADMSG)
                return add_unreadable(&set->unreadable, text, n, "Id",
                                      set->n + set->unreadable.n + 1, defect, &diag);
        return r < 0 ? r : image_set_add(set, &image);
}

static int list_images(Docker *docker, const char *path, ImageSet *ret, Diag *reterr_diag) {
        static const char *const paths[] = { "", NULL };
        static const RecordsWant want = { paths, parse_image_members, RECORDS_ELEMENT_MAX };
        const Request request = {
                .method = "GET",
                .path = path,
                .deadline_usec = docker_deadline(docker, false),
        };
        int r;

        *ret = (ImageSet){ 0 };
        r = docker_call_list(docker, &request, &want, on_image, NULL, ret, NULL, reterr_diag);
        if (r >= 0)
                r = image_set_index(ret);
        if (r < 0)
                image_set_done(ret);

        return r;
}

int docker_images(Docker *docker, ImageSet *ret, Diag *reterr_diag) {
        return list_images(docker, "/images/json?all=1", ret, reterr_diag);
}

int docker_images_untagged(Docker *docker, ImageSet *ret, Diag *reterr_diag) {
        /* {"dangling":["true"]} */
        return list_images(docker, "/images/json?filters=%7B%22dangling%22%3A%5B%22true%22%5D%7D",
                           ret, reterr_diag);
}

int docker_images_named(Docker *docker, const char *const *names, size_t n, ImageSet *ret,
                        Diag *reterr_diag) {
        cleanup_free char *filters = NULL, *encoded = NULL, *path = NULL;
        cleanup(strv_done) Strv quoted = STRV_NULL;

        /* The filter takes a pattern of path.Match, and an empty list for no filter at all. */
        *ret = (ImageSet){ 0 };
        for (size_t i = 0; i < n; i++) {
                cleanup_free char *one = NULL;

                if (!is_tagged_name(names[i]) || names[i][strcspn(names[i], "*?[]\\\"")])
                        return diag_set(reterr_diag, -EINVAL, "\"%s\" is no name with a tag",
                                        names[i]);
                one = text_format("\"%s\"", names[i]);
                if (!one || strv_add(&quoted, one) < 0)
                        return -ENOMEM;
        }
        if (n == 0)
                return image_set_index(ret);
        filters = strv_join(&quoted, ",");
        encoded = filters ? http_encode(filters) : NULL;
        path = encoded ? text_format("/images/json?filters=%%7B%%22reference%%22%%3A%%5B%s%%5D%%7D",
                                     encoded)
                       : NULL;
        return path ? list_images(docker, path, ret, reterr_diag) : -ENOMEM;
}

int docker_image(Docker *docker, const char *name_or_id, ImageDetail *ret, Diag *reterr_diag) {
        cleanup(body_done) Body body = { 0 };
        cleanup_free char *name = NULL, *path = NULL;
        Request request = { "GET", .deadline_usec = docker_deadline(docker, false) };
        int r;

        if (!*name_or_id)
                return diag_set(reterr_diag, -EINVAL, "an image without a name");

        name = http_encode(name_or_id);
        request.path = path = name ? text_format("/images/%s/json", name) : NULL;
        if (!path)
                return -ENOMEM;

        r = docker_call_object(docker, &request, parse_image_detail_members, &body, reterr_diag);
        if (r < 0)
                return r;

        return parse_image_detail(body.text, body.n, ret, reterr_diag);
}

typedef struct History {
        DockerHistory add;
        void *userdata;
} History;

static int on_history_entry(void *userdata, const char *text, size_t n, const char *defect,
                            Diag *reterr_diag) {
        History *history = userdata;

        if (defect)
                return diag_set(reterr_diag, -EBADMSG, "the history of an image %s", defect);
        return parse_history_entry(text, n, history->add, history->userdata, reterr_diag);
}

int docker_image_history(Docker *docker, const char *id, DockerHistory add, void *userdata,
                         Diag *reterr_diag) {
        static const char *const paths[] = { "", NULL };
        static const RecordsWant want = { paths, parse_history_members, RECORDS_ELEMENT_MAX };
        cleanup_free char *encoded = NULL, *path = NULL;
        Request request = { "GET", .deadline_usec = docker_deadline(docker, false) };
        History history = { add, userdata };

        if (!*id)
                return diag_set(reterr_diag, -EINVAL, "an image without a name");

        encoded = http_encode(id);
        request.path = path = encoded ? text_format("/images/%s/history", encoded) : NULL;
        if (!path)
                return -ENOMEM;

        return docker_call_list(docker, &request, &want, on_history_entry, NULL, &history, NULL,
                                reterr_diag);
}

static int on_container(void *userdata, const char *text, size_t n, const char *defect,
                        Diag *reterr_diag) {
        cleanup(container_done) Container container = { 0 };
        ContainerSet *set = userdata;
        Diag diag = DIAG_NULL;
        int r = -EBADMSG;

        (void)reterr_diag;

        if (!defect)
                r = parse_container(text, n, &container, &diag);
        if (r == -EBADMSG)
                return add_unreadable(&set->unreadable, text, n, "Id",
                                      set->n + set->unreadable.n + 1, defect, &diag);
        return r < 0 ? r : container_set_add(set, &container);
}

int docker_containers(Docker *docker, ContainerSet *ret, Diag *reterr_diag) {
        static const char *const paths[] = { "", NULL };
        static const RecordsWant want = { paths, parse_container_members, RECORDS_ELEMENT_MAX };
        const Request request = {
                .method = "GET",
                .path = "/containers/json?all=1",
                .deadline_usec = docker_deadline(docker, false),
        };
        int r;

        *ret = (ContainerSet){ 0 };
        r = docker_call_list(docker, &request, &want, on_container, NULL, ret, NULL, reterr_diag);
        if (r >= 0)
                r = container_set_index(ret);
        if (r < 0)
                container_set_done(ret);

        return r;
}

int docker_container(Docker *docker, const char *id, ContainerDetail *ret, Diag *reterr_diag) {
        cleanup(body_done) Body body = { 0 };
        cleanup_free char *name = NULL, *path = NULL;
        Request request = { "GET", .deadline_usec = docker_deadline(docker, false) };
        int r;

        if (!*id)
                return diag_set(reterr_diag, -EINVAL, "a container without a name");

        name = http_encode(id);
        request.path = path = name ? text_format("/containers/%s/json", name) : NULL;
        if (!path)
                return -ENOMEM;

        r = docker_call_object(docker, &request, parse_container_detail_members, &body,
                               reterr_diag);
        if (r < 0)
                return r;

        return parse_container_detail(body.text, body.n, ret, reterr_diag);
}

typedef struct Volumes {
        VolumeSet *set;
        uint64_t n; /* of the list so far */
} Volumes;

static int on_volume(void *userdata, const char *text, size_t n, const char *defect,
                     Diag *reterr_diag) {
        cleanup(volume_done) Volume volume = { 0 };
        Volumes *volumes = userdata;
        Diag diag = DIAG_NULL;
        int r = -EBADMSG;

        (void)reterr_diag;

        volumes->n++;
        if (!defect)
                r = parse_volume(text, n, &volume, &diag);
        if (r == -EBADMSG)
                return add_unreadable(&volumes->set->unreadable, text, n, "Name", volumes->n,
                                      defect, &diag);
        return r < 0 || !volume.device ? r : volume_set_add(volumes->set, &volume);
}

int docker_volumes(Docker *docker, VolumeSet *ret, Diag *reterr_diag) {
        static const char *const paths[] = { "Volumes", NULL };
        static const RecordsWant want = { paths, parse_volume_members, RECORDS_ELEMENT_MAX };
        const Request request = {
                .method = "GET",
                /* {"driver":["local"]} */
                .path = "/volumes?filters=%7B%22driver%22%3A%5B%22local%22%5D%7D",
                .deadline_usec = docker_deadline(docker, false),
        };
        Volumes volumes = { .set = ret };
        int r;

        *ret = (VolumeSet){ 0 };
        r = docker_call_list(docker, &request, &want, on_volume, NULL, &volumes, NULL, reterr_diag);
        if (r < 0)
                volume_set_done(ret);

        return r;
}

typedef struct BuilderVolumes {
        Strv *names;
        UnreadableSet *unreadable;
        uint64_t n; /* of the list so far */
} BuilderVolumes;

static int on_builder_volume(void *userdata, const char *text, size_t n, const char *defect,
                             Diag *reterr_diag) {
        static const char begin[] = "buildx_buildkit_", end[] = "_state";
        cleanup(volume_done) Volume volume = { 0 };
        BuilderVolumes *volumes = userdata;
        Diag diag = DIAG_NULL;
        size_t n_name;
        int r = -EBADMSG;

        (void)reterr_diag;

        volumes->n++;
        if (!defect)
                r = parse_volume(text, n, &volume, &diag);
        if (r == -EBADMSG)
                return add_unreadable(volumes->unreadable, text, n, "Name", volumes->n, defect,
                                      &diag);
        if (r < 0)
                return r;

        /* The filter takes any part of a name for a match. */
        n_name = strlen(volume.name);
        if (strncmp(volume.name, begin, strlen(begin)) != 0 ||
            n_name <= strlen(begin) + strlen(end) ||
            strcmp(volume.name + n_name - strlen(end), end) != 0)
                return 0;
        return strv_add(volumes->names, volume.name);
}

int docker_builder_volumes(Docker *docker, Strv *ret, UnreadableSet *unreadable,
                           Diag *reterr_diag) {
        static const char *const paths[] = { "Volumes", NULL };
        static const char *const keep[] = { "Name", NULL };
        static const RecordsWant want = { paths, keep, RECORDS_ELEMENT_MAX };
        const Request request = {
                .method = "GET",
                /* {"driver":["local"],"name":["buildx_buildkit_"]} */
                .path = "/volumes?filters=%7B%22driver%22%3A%5B%22local%22%5D%2C"
                        "%22name%22%3A%5B%22buildx_buildkit_%22%5D%7D",
                .deadline_usec = docker_deadline(docker, false),
        };
        BuilderVolumes volumes = { .names = ret, .unreadable = unreadable };
        HttpResponse response;
        int r;

        *ret = STRV_NULL;
        *unreadable = (UnreadableSet){ 0 };
        r = docker_call_list(docker, &request, &want, on_builder_volume, NULL, &volumes, &response,
                             reterr_diag);
        if (r < 0) {
                strv_done(ret);
                unreadable_done(unreadable);
        }
        if (r == -ENOENT || (r == -EREMOTEIO && response.status == 403))
                return -EOPNOTSUPP;

        return r;
}

/*
 * Queries that look narrow wipe everything with a 200 on one engine or another, so four are ever
 * made: everything; everything of one type that is known here; down to an amount; unused for some
 * hours. None is combined with another, and no value is anybody's text, since the value of a filter
 * is pasted into BuildKit's own filter language.
 */
static int prune(Docker *docker, const char *path, const VersionedPath *paths, size_t *ret_n,
                 uint64_t *ret_bytes, Diag *reterr_diag) {
        const Request request = {
                .method = "POST",
                .path = path,
                .paths = paths,
                .prune = true,
                .deadline_usec = docker_deadline(docker, true),
        };
        uint64_t delay_usec = 0;

        for (;;) {
                cleanup(body_done) Body body = { .max = PRUNED_MAX };
                Diag diag = DIAG_NULL;
                int r;

                r = docker_call_body(docker, &request, &body, &diag);
                if (r >= 0)
                        return parse_pruned(body.text, body.n, ret_n, ret_bytes, reterr_diag);
                if (r == -EBUSY) {
                        int q = docker_pause(docker, &delay_usec, request.deadline_usec);

                        if (q >= 0)
                                continue;
                        if (q != -ETIMEDOUT)
                                return q;
                }

                if (reterr_diag)
                        *reterr_diag = diag;
                return r;
        }
}

static int prune_filtered(Docker *docker, const char *filters, size_t *ret_n, uint64_t *ret_bytes,
                          Diag *reterr_diag) {
        cleanup_free char *encoded = http_encode(filters), *path = NULL;

        path = encoded ? text_format("/build/prune?all=1&filters=%s", encoded) : NULL;
        if (!path)
                return -ENOMEM;

        return prune(docker, path, NULL, ret_n, ret_bytes, reterr_diag);
}

int docker_prune_build_cache(Docker *docker, const char *type, size_t *ret_n, uint64_t *ret_bytes,
                             Diag *reterr_diag) {
        char filters[64];

        if (!type)
                return prune(docker, "/build/prune?all=1", NULL, ret_n, ret_bytes, reterr_diag);
        if (record_type_from_string(type) == RECORD_OTHER)
                return diag_set(reterr_diag, -EINVAL, "\"%s\" is no type of build cache", type);

        snprintf(filters, sizeof(filters), "{\"type\":[\"%s\"]}", type);
        return prune_filtered(docker, filters, ret_n, ret_bytes, reterr_diag);
}

int docker_prune_build_cache_to(Docker *docker, uint64_t keep_bytes, size_t *ret_n,
                                uint64_t *ret_bytes, Diag *reterr_diag) {
        char keep_storage[64], reserved_space[64];
        const VersionedPath paths[] = {
                { API_MINOR_RESERVED_SPACE, reserved_space },
                { 0, keep_storage },
        };

        if (keep_bytes == 0 || keep_bytes > INT64_MAX)
                return diag_set(reterr_diag, -EINVAL, "%" PRIu64 " is no amount of cache to keep",
                                keep_bytes);

        snprintf(reserved_space, sizeof(reserved_space),
                 "/build/prune?all=1&reserved-space=%" PRIu64, keep_bytes);
        snprintf(keep_storage, sizeof(keep_storage), "/build/prune?all=1&keep-storage=%" PRIu64,
                 keep_bytes);
        return prune(docker, NULL, paths, ret_n, ret_bytes, reterr_diag);
}

int docker_prune_build_cache_unused(Docker *docker, unsigned hours, size_t *ret_n,
                                    uint64_t *ret_bytes, Diag *reterr_diag) {
        char filters[64];

        if (hours == 0 || hours > UNUSED_HOURS_MAX)
                return diag_set(reterr_diag, -EINVAL, "%u hours is no age of unused cache", hours);

        snprintf(filters, sizeof(filters), "{\"until\":[\"%uh\"]}", hours);
        return prune_filtered(docker, filters, ret_n, ret_bytes, reterr_diag);
}

int docker_tag(Docker *docker, const char *id, const char *repository, const char *tag,
               Diag *reterr_diag) {
        cleanup_free char *e_id = NULL, *e_repository = NULL, *e_tag = NULL, *path = NULL;
        Request request = {
                .method = "POST",
                .status =
                        201, /* newer engines say 200, having done nothing, without a repository */
                .deadline_usec = docker_deadline(docker, false),
        };

        if (!*id || !*repository || !*tag)
                return diag_set(reterr_diag, -EINVAL,
                                "a tag needs an image, a repository and a tag");

        e_id = http_encode(id);
        e_repository = http_encode(repository);
        e_tag = http_encode(tag);
        if (!e_id || !e_repository || !e_tag)
                return -ENOMEM;

        request.path = path =
                text_format("/images/%s/tag?repo=%s&tag=%s", e_id, e_repository, e_tag);
        if (!path)
                return -ENOMEM;

        return docker_call(docker, &request, NULL, NULL, NULL, reterr_diag);
}

int docker_untag(Docker *docker, const char *name, size_t *ret_deleted, Diag *reterr_diag) {
        cleanup(body_done) Body body = { .max = BODY_MAX };
        cleanup_free char *encoded = NULL, *path = NULL, *keep_parents = NULL;
        Request request = { "DELETE", .deadline_usec = docker_deadline(docker, false) };
        int r;

        if (!is_tagged_name(name))
                return diag_set(reterr_diag, -EINVAL, "\"%s\" is no name with a tag", name);

        encoded = http_encode(name);
        path = encoded ? text_format("/images/%s", encoded) : NULL;
        keep_parents = path ? text_format("%s?noprune=1", path) : NULL;
        if (!keep_parents)
                return -ENOMEM;

        request.path = path;
        request.containerd_path = keep_parents;
        r = docker_call_body(docker, &request, &body, reterr_diag);
        if (r < 0)
                return r;

        return parse_deleted(body.text, body.n, ret_deleted, reterr_diag);
}
