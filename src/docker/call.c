/* SPDX-License-Identifier: MIT */

/*
 * Agree on a version if the connection is new, send on that very connection, map what came back.
 *
 * The trap is the engine being replaced under a kept connection by another version, which reads the
 * same query otherwise. So a call is only sent on the connection that the version was agreed on;
 * when that is gone http.c says -ESTALE before anything was sent, and it is agreed on again.
 */

#include "docker/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/span.h"
#include "docker/parse.h"

#define API_MINOR_MIN 40
#define API_MINOR_MAX 55
#define API_MINOR_PRUNE_CUT 44 /* Engine 25 */

#define OBJECT_MAX (64U * 1024U * 1024U) /* an answer that is read as one value */
#define GONE_TRIES_MAX 5
#define RETRY_MIN_USEC (100 * USEC_PER_MSEC)
#define RETRY_MAX_USEC (5 * USEC_PER_SEC)

struct Docker {
        Http *http;
        char *socket_path;
        _Atomic(Http *) grpc; /* made when first needed; docker_interrupt() looks at it */
        uint64_t timeout_usec, prune_timeout_usec;
        EngineInfo info;
        char swarm[16];                      /* the Swarm header of the last /_ping */
        bool agreed;                         /* on `info`, over the connection of the last call */
        _Atomic uint64_t call_deadline_usec; /* CLOCK_BOOTTIME; 0: no call in progress */
};

static uint64_t now_usec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t docker_deadline(const Docker *docker, bool prune) {
        uint64_t timeout = prune ? docker->prune_timeout_usec : docker->timeout_usec, deadline;

        return __builtin_add_overflow(now_usec(), timeout, &deadline) ? USEC_INFINITY : deadline;
}

int docker_new(const char *socket_path, uint64_t timeout_usec, uint64_t prune_timeout_usec,
               Docker **ret) {
        cleanup(docker_free) Docker *docker = NULL;
        int r;

        docker = calloc(1, sizeof(*docker));
        if (!docker)
                return -ENOMEM;

        docker->timeout_usec = timeout_usec;
        docker->prune_timeout_usec = prune_timeout_usec;
        docker->socket_path = strdup(socket_path);
        r = docker->socket_path ? http_new(socket_path, &docker->http) : -ENOMEM;
        if (r < 0)
                return r;

        *ret = TAKE_PTR(docker);
        return 0;
}

Docker *docker_free(Docker *docker) {
        if (!docker)
                return NULL;

        http_free(docker->http);
        http_free(docker->grpc);
        engine_info_done(&docker->info);
        free(docker->socket_path);
        free(docker);
        return NULL;
}

void docker_interrupt(Docker *docker) {
        http_interrupt(docker->http);
        if (docker->grpc)
                http_interrupt(docker->grpc);
}

/* "GET /images/json" of "/v1.41/images/json?all=1". */
typedef struct Endpoint {
        char text[96];
} Endpoint;

static Endpoint endpoint(const char *method, const char *path) {
        Endpoint ret;

        if (strncmp(path, "/v1.", strlen("/v1.")) == 0)
                path += 1 + strcspn(path + 1, "/");
        snprintf(ret.text, sizeof(ret.text), "%s %.*s", method, (int)strcspn(path, "?"), path);
        return ret;
}

/* What an answer means; 0 if it has the status that was hoped for. */
static int map_status(const Endpoint *asked, const HttpResponse *response, long wanted,
                      Diag *reterr_diag) {
        char message[sizeof(response->error)];
        int r;

        if (response->status == wanted)
                return 0;

        r = response->status == 404   ? -ENOENT
            : response->status == 409 ? -EBUSY
            : response->status == 400 ? -EINVAL
                                      : -EREMOTEIO;
        parse_message(response->error, message, sizeof(message));
        return diag_set(reterr_diag, r, "%s was answered with %ld%s%s", asked->text,
                        response->status, *message ? ": " : "", message);
}

/* Whether an engine refuses the version that was agreed on: not the one that agreed. */
static bool version_refused(const HttpResponse *response) {
        return response->status == 400 && strstr(response->error, "client version ");
}

static int timed_call_on(Docker *docker, Http *http, const HttpRequest *request,
                         uint64_t deadline_usec, HttpResponse *ret, Diag *reterr_diag) {
        HttpRequest timed = *request;
        uint64_t now = now_usec();
        int r;

        if (now >= deadline_usec)
                return diag_set(reterr_diag, -ETIMEDOUT, "no time left to ask the engine");

        timed.timeout_usec = USEC_INFINITY;
        if (deadline_usec != USEC_INFINITY) {
                timed.timeout_usec = deadline_usec - now;
                docker->call_deadline_usec = now_boottime_usec() + timed.timeout_usec;
        }
        r = http_call(http, &timed, ret, reterr_diag);
        docker->call_deadline_usec = 0;

        /* no socket: -ENOENT is kept for what the engine does not know */
        return r == -ENOENT && ret->status == 0 ? -ECONNREFUSED : r;
}

static int timed_call(Docker *docker, const HttpRequest *request, uint64_t deadline_usec,
                      HttpResponse *ret, Diag *reterr_diag) {
        return timed_call_on(docker, docker->http, request, deadline_usec, ret, reterr_diag);
}

/* An interruption that came before the handle was there reaches it as well. */
static int make_grpc(Docker *docker, Diag *reterr_diag) {
        Http *grpc = NULL;
        int r;

        if (docker->grpc)
                return 0;

        r = http_new_grpc(http_socket_path(docker->http), &grpc);
        if (r == -EOPNOTSUPP)
                return diag_set(reterr_diag, r, "this libcurl was built without HTTP/2");
        if (r < 0)
                return r;

        docker->grpc = grpc;
        if (http_interrupted(docker->http))
                http_interrupt(grpc);
        return 0;
}

int docker_call_grpc(Docker *docker, const char *path, const void *body, size_t n_body,
                     HttpSink sink, void *userdata, HttpResponse *ret, Diag *reterr_diag) {
        const HttpRequest request = {
                .method = "POST",
                .path = path,
                .body = body,
                .n_body = n_body,
                .sink = sink,
                .userdata = userdata,
        };
        int r;

        *ret = (HttpResponse){ 0 };
        r = make_grpc(docker, reterr_diag);
        if (r < 0)
                return r;

        return timed_call_on(docker, docker->grpc, &request, docker_deadline(docker, false), ret,
                             reterr_diag);
}

uint64_t docker_call_deadline(Docker *docker) {
        return docker->call_deadline_usec;
}

static int on_body(void *userdata, const char *data, size_t n, Diag *reterr_diag) {
        Body *body = userdata;

        if (n > body->max - body->n)
                return diag_set(reterr_diag, -EBADMSG, "the answer is longer than %zu bytes",
                                body->max);
        if (body->n + n > body->size) {
                size_t size = MIN(MAX(body->size * 2, body->n + n), body->max);
                char *grown = realloc(body->text, size);

                if (!grown)
                        return -ENOMEM;
                body->text = grown;
                body->size = size;
        }

        memcpy(body->text + body->n, data, n);
        body->n += n;
        return 0;
}

/* An answer that is one JSON value, of which some members are held. */
typedef struct Object {
        Records *records;
        Body *body;
        uint64_t n; /* bytes of the answer so far */
        size_t n_values;
} Object;

static void object_donep(Object *object) {
        records_free(object->records);
}

static int on_value(void *userdata, const char *text, size_t n, const char *defect,
                    Diag *reterr_diag) {
        Object *object = userdata;

        if (object->n_values++ > 0)
                return diag_set(reterr_diag, -EBADMSG, "the answer goes on past its end");
        if (defect)
                return diag_set(reterr_diag, -EBADMSG, "in the answer %s", defect);
        return on_body(object->body, text, n, reterr_diag);
}

static int on_object(void *userdata, const char *data, size_t n, Diag *reterr_diag) {
        Object *object = userdata;

        object->n += n;
        if (object->n > OBJECT_MAX)
                return diag_set(reterr_diag, -EBADMSG, "the answer is longer than %u bytes",
                                OBJECT_MAX);

        return records_feed(object->records, data, n, reterr_diag);
}

static int object_new(const char *const *keep, Body *body, Object *ret) {
        const RecordsWant want = { .keep = keep, .element_max = RECORDS_ELEMENT_MAX };

        *ret = (Object){ .body = body };
        body->max = RECORDS_ELEMENT_MAX + 1024;
        return records_new(&want, on_value, NULL, ret, &ret->records);
}

/* Says that the answer is over. An empty one is left to its parser. */
static int object_finish(Object *object, Diag *reterr_diag) {
        int r = records_finish(object->records, reterr_diag);

        if (r < 0)
                return r;
        if (!object->body->text)
                object->body->text = strdup("");
        return object->body->text ? 0 : -ENOMEM;
}

/* The version to speak to an engine that announces `announced`. */
static int choose_version(const char *announced, EngineInfo *info, Diag *reterr_diag) {
        unsigned major, minor;

        if (!*announced)
                return diag_set(reterr_diag, -EPROTONOSUPPORT,
                                "the answer to /_ping names no API version");
        if (parse_api_version(announced, &major, &minor) < 0)
                return diag_set(reterr_diag, -EBADMSG, "\"%s\" is no API version", announced);
        if (major < 1 || (major == 1 && minor < API_MINOR_MIN))
                return diag_set(reterr_diag, -EPROTONOSUPPORT,
                                "the engine speaks API %s, and 1.%d is the oldest known here",
                                announced, API_MINOR_MIN);

        info->api_major = 1;
        info->api_minor = major > 1 ? API_MINOR_MAX : MIN(minor, (unsigned)API_MINOR_MAX);
        snprintf(info->api_version, sizeof(info->api_version), "1.%u", info->api_minor);
        return 0;
}

/* "Docker/20.10.24+dfsg1 (linux)" */
static void server_version(const char *server, EngineInfo *info) {
        static const char prefix[] = "Docker/";
        const char *version = server + strlen(prefix);
        size_t n;

        if (strncmp(server, prefix, strlen(prefix)) != 0) /* a proxy's own */
                return;

        n = strcspn(version, " ");
        if (n == 0 || n >= sizeof(info->version))
                return;

        memcpy(info->version, version, n);
        info->version[n] = '\0';
}

/* One GET while a version is agreed on. `ret` says how it was answered; the body is empty if that was
 * with an error. */
static int ask(Docker *docker, const char *path, const char *const *keep, bool same_connection,
               uint64_t deadline_usec, Body *body, HttpResponse *ret, Diag *reterr_diag) {
        cleanup(object_done) Object object = { 0 };
        const HttpRequest request = {
                .method = "GET",
                .path = path,
                .same_connection = same_connection,
                .sink = on_object,
                .userdata = &object,
        };
        int r;

        r = object_new(keep, body, &object);
        if (r >= 0)
                r = timed_call(docker, &request, deadline_usec, ret, reterr_diag);
        if (r >= 0)
                r = object_finish(&object, reterr_diag);
        if (r == -EBADMSG) {
                Endpoint asked = endpoint("GET", path);

                diag_wrap(reterr_diag, r, "%s", asked.text);
        }
        return r;
}

/*
 * Podman answers Docker's API, but keeps its build cache and images by other rules than the ones
 * known here. It is told by a header of its own, and behind a proxy that drops headers by /version.
 * An engine that does not answer that is taken for Docker.
 */
static int refuse_podman(Docker *docker, const HttpResponse *ping, const EngineInfo *agreed,
                         bool same_connection, uint64_t deadline_usec, Diag *reterr_diag) {
        cleanup(body_done) Body body = { 0 };
        bool podman = *ping->libpod;
        HttpResponse response;
        char path[64];
        int r;

        if (!podman) {
                snprintf(path, sizeof(path), "/v%s/version", agreed->api_version);
                r = ask(docker, path, parse_version_members, same_connection, deadline_usec, &body,
                        &response, reterr_diag);
                if (r >= 0 && response.status == 200)
                        r = parse_version(body.text, body.n, &podman);
                if (r < 0 && r != -EBADMSG)
                        return r;
        }
        if (podman)
                return diag_set(reterr_diag, -EPROTONOSUPPORT,
                                "this is the socket of Podman, which is not supported: [docker] "
                                "host has to name the socket of a Docker engine");
        return 0;
}

static int ask_info(Docker *docker, const HttpResponse *ping, bool same_connection,
                    uint64_t deadline_usec, Diag *reterr_diag) {
        cleanup(body_done) Body body = { 0 };
        EngineInfo agreed = { 0 }, info;
        HttpResponse response;
        Endpoint asked;
        char path[64];
        int r;

        r = choose_version(ping->api_version, &agreed, reterr_diag);
        if (r >= 0)
                r = refuse_podman(docker, ping, &agreed, same_connection, deadline_usec,
                                  reterr_diag);
        if (r < 0)
                return r;

        snprintf(path, sizeof(path), "/v%s/info", agreed.api_version);
        r = ask(docker, path, parse_info_members, same_connection, deadline_usec, &body, &response,
                reterr_diag);
        if (r < 0)
                return r;
        asked = endpoint("GET", path);
        r = map_status(&asked, &response, 200, reterr_diag);
        if (r < 0 && version_refused(&response))
                return diag_wrap(reterr_diag, -EPROTONOSUPPORT,
                                 "the engine does not take API %s, the newest known here",
                                 agreed.api_version);
        if (r < 0)
                return r;

        r = parse_info(body.text, body.n, &info, reterr_diag);
        if (r < 0)
                return r;

        info.api_major = agreed.api_major;
        info.api_minor = agreed.api_minor;
        memcpy(info.api_version, agreed.api_version, sizeof(info.api_version));
        server_version(ping->server, &info);

        engine_info_done(&docker->info);
        docker->info = info;
        return 0;
}

static int negotiate(Docker *docker, uint64_t deadline_usec, Diag *reterr_diag) {
        const HttpRequest request = { .method = "GET", .path = "/_ping" };
        const Endpoint asked = { "GET /_ping" };
        HttpResponse ping;
        int r = -ESTALE;

        /* Whatever closes the connection after each answer is met the second time as it is. */
        for (unsigned i = 0; i < 2 && r == -ESTALE; i++) {
                r = timed_call(docker, &request, deadline_usec, &ping, reterr_diag);
                if (r >= 0)
                        r = map_status(&asked, &ping, 200, reterr_diag);
                if (r < 0)
                        break;
                memcpy(docker->swarm, ping.swarm, sizeof(docker->swarm));
                if (docker->agreed && !ping.new_connection)
                        return 0;

                r = ask_info(docker, &ping, i == 0, deadline_usec, reterr_diag);
        }

        docker->agreed = r >= 0;
        return r;
}

const char *docker_swarm_header(const Docker *docker) {
        return docker->swarm;
}

int docker_negotiate(Docker *docker, const EngineInfo **ret, Diag *reterr_diag) {
        int r;

        r = negotiate(docker, docker_deadline(docker, false), reterr_diag);
        if (r < 0)
                return r;

        *ret = &docker->info;
        return 0;
}

static const char *request_path(const Docker *docker, const Request *request) {
        const VersionedPath *versioned = request->paths;

        if (request->containerd_path && docker->info.image_store == IMAGE_STORE_CONTAINERD)
                return request->containerd_path;
        while (versioned && docker->info.api_minor < versioned->api_minor)
                versioned++;
        return versioned ? versioned->path : request->path;
}

static int call_once(Docker *docker, const Request *request, bool same_connection, HttpSink sink,
                     void *userdata, HttpResponse *ret, Diag *reterr_diag) {
        const EngineInfo *info = &docker->info;
        HttpRequest http_request = {
                .method = request->method,
                .same_connection = same_connection,
                .on_begin = request->on_begin,
                .sink = sink,
                .userdata = userdata,
                .uncut = request->prune && info->api_minor < API_MINOR_PRUNE_CUT,
        };
        cleanup_free char *path = NULL;

        if (asprintf(&path, "/v%s%s", info->api_version, request_path(docker, request)) < 0) {
                path = NULL;
                return -ENOMEM;
        }

        http_request.path = path;
        return timed_call(docker, &http_request, request->deadline_usec, ret, reterr_diag);
}

/* Agrees on a version where that is needed, and calls. 0 whatever the answer's status. */
static int call_agreed(Docker *docker, const Request *request, HttpSink sink, void *userdata,
                       HttpResponse *ret, Diag *reterr_diag) {
        int r = -ESTALE;

        for (unsigned i = 0; i < 2 && r == -ESTALE; i++) {
                if (!docker->agreed) {
                        uint64_t deadline = docker_deadline(docker, false);

                        r = negotiate(docker, MIN(deadline, request->deadline_usec), reterr_diag);
                        if (r < 0)
                                break;
                }

                r = call_once(docker, request, i == 0, sink, userdata, ret, reterr_diag);
                if (r >= 0 && version_refused(ret) && i == 0)
                        r = -ESTALE; /* another engine behind a proxy's connection */
                if (r < 0)
                        docker->agreed = false;
        }

        return r;
}

/* Seen on the containerd store while images are deleted: its list of images answers "failed to read
 * config content: NotFound", and df "snapshot … does not exist" (moby#51978). The status is 500, or
 * 404 where containerd's own error got through (28.5): of an object this would be the answer, of a
 * list it can't be, unless the engine has no such list ("page not found"). */
static bool is_gone_meanwhile(const Request *request, const HttpResponse *response, bool list) {
        const char *error = response->error;

        return strcmp(request->method, "GET") == 0 &&
               (response->status == 500 ||
                (response->status == 404 && list && !strstr(error, "page not found"))) &&
               (strcasestr(error, "not found") || strstr(error, "NotFound") ||
                strstr(error, "does not exist"));
}

static int call_until_there(Docker *docker, const Request *request, bool list, HttpSink sink,
                            void *userdata, HttpResponse *ret, Diag *reterr_diag) {
        HttpResponse response = { 0 };
        uint64_t delay_usec = 0;
        Endpoint asked;
        int r;

        for (unsigned i = 0;; i++) {
                int q;

                r = call_agreed(docker, request, sink, userdata, &response, reterr_diag);
                if (r < 0 || i == GONE_TRIES_MAX || !is_gone_meanwhile(request, &response, list))
                        break;
                q = docker_pause(docker, &delay_usec, request->deadline_usec);
                if (q == -ETIMEDOUT)
                        break;
                if (q < 0)
                        return q;
        }

        asked = endpoint(request->method, request_path(docker, request));
        if (r >= 0)
                r = map_status(&asked, &response, request->status ? request->status : 200,
                               reterr_diag);
        else if (r == -EBADMSG)
                diag_wrap(reterr_diag, r, "%s", asked.text);
        if (ret)
                *ret = response;
        return r;
}

int docker_call(Docker *docker, const Request *request, HttpSink sink, void *userdata,
                HttpResponse *ret, Diag *reterr_diag) {
        return call_until_there(docker, request, false, sink, userdata, ret, reterr_diag);
}

int docker_call_body(Docker *docker, const Request *request, Body *ret, Diag *reterr_diag) {
        int r;

        r = docker_call(docker, request, on_body, ret, NULL, reterr_diag);
        if (r < 0)
                return r;

        if (!ret->text) /* an empty one */
                ret->text = strdup("");
        return ret->text ? 0 : -ENOMEM;
}

int docker_call_object(Docker *docker, const Request *request, const char *const *keep, Body *ret,
                       Diag *reterr_diag) {
        cleanup(object_done) Object object = { 0 };
        int r;

        r = object_new(keep, ret, &object);
        if (r >= 0)
                r = docker_call(docker, request, on_object, &object, NULL, reterr_diag);
        return r < 0 ? r : object_finish(&object, reterr_diag);
}

typedef struct List {
        Records *records;
        RecordsElement element;
        RecordsShortcut shortcut;
        void *userdata;
        uint64_t n, n_kept;
} List;

static void list_donep(List *list) {
        records_free(list->records);
}

static ssize_t on_shortcut(void *userdata, const char *text, size_t n, Diag *reterr_diag) {
        const List *list = userdata;

        return list->shortcut(list->userdata, text, n, reterr_diag);
}

static int on_element(void *userdata, const char *text, size_t n, const char *defect,
                      Diag *reterr_diag) {
        List *list = userdata;

        list->n_kept += n;
        if (list->n_kept > LIST_KEPT_MAX)
                return diag_set(reterr_diag, -EBADMSG,
                                "what is needed of the answer is longer than %u bytes",
                                LIST_KEPT_MAX);
        return list->element(list->userdata, text, n, defect, reterr_diag);
}

static int on_list(void *userdata, const char *data, size_t n, Diag *reterr_diag) {
        List *list = userdata;

        list->n += n;
        if (list->n > ANSWER_MAX)
                return diag_set(reterr_diag, -EBADMSG, "the answer is longer than %u bytes",
                                ANSWER_MAX);

        return records_feed(list->records, data, n, reterr_diag);
}

int docker_call_list(Docker *docker, const Request *request, const RecordsWant *want,
                     RecordsElement element, RecordsShortcut shortcut, void *userdata,
                     HttpResponse *ret, Diag *reterr_diag) {
        cleanup(list_done) List list = {
                .element = element,
                .shortcut = shortcut,
                .userdata = userdata,
        };
        Endpoint asked;
        int r;

        r = records_new(want, on_element, shortcut ? on_shortcut : NULL, &list, &list.records);
        if (r >= 0)
                r = call_until_there(docker, request, true, on_list, &list, ret, reterr_diag);
        if (r < 0)
                return r;

        asked = endpoint(request->method, request_path(docker, request));
        r = records_finish(list.records, reterr_diag);
        return r < 0 ? diag_wrap(reterr_diag, r, "%s", asked.text) : 0;
}

int docker_clone(const Docker *docker, Docker **ret) {
        return docker_new(docker->socket_path, docker->timeout_usec, docker->prune_timeout_usec,
                          ret);
}

int docker_join(Docker *clone, const Docker *docker, Diag *reterr_diag) {
        const EngineInfo *a = &clone->info, *b = &docker->info;
        int r;

        if (!clone->agreed) {
                r = negotiate(clone, docker_deadline(clone, false), reterr_diag);
                if (r < 0)
                        return r;
        }
        if (strcmp(a->version, b->version) != 0 || strcmp(a->api_version, b->api_version) != 0 ||
            strcmp(a->root_dir, b->root_dir) != 0 || a->image_store != b->image_store)
                return diag_set(reterr_diag, -ESTALE, "the engine was replaced meanwhile");
        return 0;
}

void docker_expect(Docker *docker, uint64_t deadline_usec) {
        docker->call_deadline_usec = deadline_usec;
}

bool docker_interrupted(const Docker *docker) {
        return http_interrupted(docker->http);
}

uint64_t docker_timeout(const Docker *docker) {
        return docker->timeout_usec;
}

int docker_pause(Docker *docker, uint64_t *delay_usec, uint64_t deadline_usec) {
        uint64_t delay = *delay_usec ? *delay_usec : RETRY_MIN_USEC;

        if (now_usec() + delay >= deadline_usec)
                return -ETIMEDOUT;

        *delay_usec = MIN(delay * 2, RETRY_MAX_USEC);
        return http_wait(docker->http, delay);
}

int docker_wait(Docker *docker, uint64_t usec) {
        return http_wait(docker->http, usec);
}
