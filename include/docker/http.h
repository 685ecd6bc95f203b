/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * HTTP over the engine's unix socket; the one user of libcurl is docker/http.c.
 *
 * One Http is one keep-alive connection used by one thread, with calls that block that thread
 * alone. http_interrupt() may be called from any other thread: the call in progress (or the next
 * one) then returns -ECANCELED at once.
 */

#include "base/diag.h"
#include "base/macro.h"

typedef struct Http Http;

/* `socket_path` is copied. No connection is made before the first call. */
int http_new(const char *socket_path, Http **ret) must_check;
/*
 * The same for gRPC: each call makes a connection of its own, asks `POST /grpc` for an upgrade to
 * HTTP/2 and then sends the request over it. Engines 18.09 to 29 take this; the upgraded request is
 * not the first stream, as it would be by RFC 7540 (moby's grpc_routes.go). -EOPNOTSUPP: libcurl was
 * built without HTTP/2.
 */
int http_new_grpc(const char *socket_path, Http **ret) must_check;
Http *http_free(Http *http);
DEFINE_CLEANUP(Http *, http_free);

/* Borrowed for the life of `http`. */
const char *http_socket_path(const Http *http);

/* Takes body bytes of a 2xx answer as they arrive, a few kilobytes at a time; a negative return ends
 * the call and is handed through. */
typedef int (*HttpSink)(void *userdata, const char *data, size_t n, Diag *reterr_diag);

typedef struct HttpRequest {
        const char *method;    /* "GET", "POST", "DELETE" */
        const char *path;      /* with its query, encoded: "/v1.41/system/df?type=build-cache" */
        uint64_t timeout_usec; /* for the whole call; USEC_INFINITY: none */
        bool same_connection;  /* only on the connection of the call before, see -ESTALE */
        bool uncut;            /* once begun, http_interrupt() waits for it; the timeout stands */
        void (*on_begin)(void *userdata); /* the headers of a 2xx answer are here; or NULL */
        const void *body;                 /* of a POST; may be NULL */
        size_t n_body;
        HttpSink sink; /* NULL: the answer's body is dropped */
        void *userdata;
} HttpRequest;

typedef struct HttpResponse {
        long status;          /* 200, 404, … */
        bool new_connection;  /* made for this call: another engine may be at its end now */
        char server[64];      /* "Docker/20.10.24 (linux)" or "" */
        char api_version[16]; /* the Api-Version header or "" */
        char swarm[16];       /* the Swarm header, "inactive" or "active/manager", or "" */
        char libpod[16];      /* the Libpod-API-Version header, which Podman alone sends, or "" */
        char grpc_status[16]; /* the header or trailer of gRPC that says how a call ended, or "" */
        char grpc_message[256]; /* its reason, percent-encoded, or "" */
        char error[512];        /* on a status >= 400: the start of the body, as text */
} HttpResponse;

/*
 * Makes one call. 0 whenever an HTTP answer came whole, whatever its status; that of gRPC may be the
 * answer to the upgrade, whose status then is not 200. Errors, with the reason in the diag (but
 * -ESTALE, which is for the caller alone):
 *   -ENOENT      no socket
 *   -ECONNREFUSED  a socket that nobody listens on
 *   -EACCES, -EMFILE and others of socket(2) and connect(2), but EAGAIN
 *   -ESTALE      `same_connection` was asked for and that connection is gone; nothing was sent, or the
 *                peer closed it before an answer, and the request was a GET or was not read whole
 *   -ECONNRESET  cut off before the end, also a body shorter than announced
 *   -ETIMEDOUT   no complete answer in time, or the listener's connection queue is full (EAGAIN from
 *                connect)
 *   -ECANCELED, -ENOMEM
 *   -EBADMSG     no HTTP, or headers past 64 KiB
 *   -EINVAL      a path that can't be sent
 *   or what the sink returned.
 * A request without `same_connection` is sent a second time, on a new connection, where the peer closes a
 * kept connection before an answer, and the request is a GET or was not read whole. No other request
 * is sent twice.
 */
int http_call(Http *http, const HttpRequest *request, HttpResponse *ret,
              Diag *reterr_diag) must_check;

/* Sleeps; -ECANCELED as soon as http_interrupt() is in force. */
int http_wait(Http *http, uint64_t usec) must_check;

/* From any thread. It is final: every later call returns -ECANCELED. */
void http_interrupt(Http *http);
bool http_interrupted(const Http *http);

/* Percent-encodes everything but unreserved characters; malloc'ed or NULL. */
char *http_encode(const char *text);
