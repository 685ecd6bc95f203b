/* SPDX-License-Identifier: MIT */
#pragma once

/* One way of calling the engine, under every function of docker/api.h. Internal to docker/. */

#include "docker/api.h"
#include "docker/http.h"
#include "docker/records.h"

/* A path, with its query and without the version, from that API version on. */
typedef struct VersionedPath {
        unsigned api_minor;
        const char *path;
} VersionedPath;

typedef struct Request {
        const char *method;
        const char *path;
        /* instead of `path` where it depends on the version agreed on: newest first, to minor 0 */
        const VersionedPath *paths;
        const char *containerd_path; /* instead of both on the containerd image store; or NULL */
        long status;                 /* of success; the rest are errors. 0: 200 */
        uint64_t deadline_usec;      /* USEC_INFINITY: none, once a version is agreed on */
        bool prune;                  /* may have to be waited for */
        void (*on_begin)(void *userdata); /* see HttpRequest */
} Request;

/* CLOCK_MONOTONIC; the time by which a call that starts now must be over. */
uint64_t docker_deadline(const Docker *docker, bool prune);

/* What the last /_ping said of the swarm: "inactive", "active/manager", ...; "" before Engine 23. */
const char *docker_swarm_header(const Docker *docker);

/*
 * Agrees on a version if the connection is new, and sends the request on that very connection. The
 * errors are those of docker/api.h. `ret` may be NULL; on failure it tells the answer if there was
 * one, else its status is 0. A GET that the engine answers with 500, a list also with 404, since
 * something went away while the engine was looking at it, is sent again a few times.
 */
int docker_call(Docker *docker, const Request *request, HttpSink sink, void *userdata,
                HttpResponse *ret, Diag *reterr_diag) must_check;

/* The answer held whole, at most `max` bytes of it: -EBADMSG past that. */
typedef struct Body {
        char *text;
        size_t n, size, max;
} Body;

int docker_call_body(Docker *docker, const Request *request, Body *ret,
                     Diag *reterr_diag) must_check;

static inline void body_donep(Body *body) {
        free(body->text);
}

/* The answer as one JSON value, of which the members in `keep` alone are held (docker/records.h), at
 * most RECORDS_ELEMENT_MAX bytes of it. */
int docker_call_object(Docker *docker, const Request *request, const char *const *keep, Body *ret,
                       Diag *reterr_diag) must_check;

/* The answer cut into elements as it arrives, see docker/records.h: at most LIST_KEPT_MAX bytes of
 * what is handed out, and ANSWER_MAX of the answer. */
#define ANSWER_MAX (1024U * 1024U * 1024U)
#define LIST_KEPT_MAX (64U * 1024U * 1024U)
int docker_call_list(Docker *docker, const Request *request, const RecordsWant *want,
                     RecordsElement element, RecordsShortcut shortcut, void *userdata,
                     HttpResponse *ret, Diag *reterr_diag) must_check;

/* For docker/parallel.h: another connection to the same socket. It agrees on a version by itself. */
int docker_clone(const Docker *docker, Docker **ret) must_check;
/* Agrees on a version where that is still to be done. -ESTALE: not the engine that `docker` knows. */
int docker_join(Docker *clone, const Docker *docker, Diag *reterr_diag) must_check;
/* What docker_call_deadline() tells while others of these connections are waited for. */
void docker_expect(Docker *docker, uint64_t deadline_usec);
bool docker_interrupted(const Docker *docker);
uint64_t docker_timeout(const Docker *docker);

/* POSTs `body` to `path` over a connection of its own for gRPC, see docker/http.h. The errors are
 * those of http_call(), -ECONNREFUSED where there is no engine, and -EOPNOTSUPP. The statuses in `ret`
 * are the caller's to look at. */
int docker_call_grpc(Docker *docker, const char *path, const void *body, size_t n_body,
                     HttpSink sink, void *userdata, HttpResponse *ret,
                     Diag *reterr_diag) must_check;

/* Waits before another try, longer each time: `delay_usec` begins as 0. -ETIMEDOUT at once where the
 * deadline does not allow it, -ECANCELED by docker_interrupt(). */
int docker_pause(Docker *docker, uint64_t *delay_usec, uint64_t deadline_usec) must_check;
