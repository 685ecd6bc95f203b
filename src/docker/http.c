/* SPDX-License-Identifier: MIT */

/*
 * libcurl's multi interface with a single easy handle: curl_multi_poll() blocks, and
 * curl_multi_wakeup() is the one function of curl that another thread may call.
 *
 * The trap is curl's own retry: a request on a kept connection that dies before the first byte of
 * an answer is sent again on a new one, whatever its method, and that new one may lead to another
 * engine. It is also refused after five times in the life of an easy handle (7.88 to 8.14). Every
 * connection goes through on_open(), which is where it is refused; http_call() sends again.
 *
 * A connection for gRPC is upgraded in on_request(), on curl's own socket, after curl connected it
 * and before curl writes a byte (libcurl 7.88 to 8.22). It is not kept: a second call on it fails in
 * 7.88.1 ("Error in the HTTP2 framing layer").
 */

#include "docker/http.h"
#include "docker/upgrade.h"

#include <curl/curl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/heartbeat.h"
#include "base/span.h"

#define HEADERS_MAX (64U * 1024U)
#define ERROR_BODY_MAX (64U * 1024U) /* read, to keep the connection; only its start is kept */
#define BUFFER_SIZE (64L * 1024L)

typedef struct Call {
        const HttpRequest *request;
        HttpResponse *response;
        Diag *diag;
        size_t n_headers;
        size_t n_error; /* bytes of an error's body so far */
        bool sent;
        bool refused; /* a new connection, by on_open() */
        bool unread;  /* see not_read() */
        bool headers_complete;
        bool headers_too_long;
        bool upgrade_failed; /* upgrade_error is why; 0: the engine's answer has another status */
        int upgrade_error;
        int sink_error;
} Call;

struct Http {
        CURLM *multi;
        CURL *easy;
        char *socket_path;
        struct curl_slist *headers; /* not NULL: for gRPC */
        int fd;                     /* curl's, while a call for gRPC goes on */
        atomic_bool interrupted;
        char error[CURL_ERROR_SIZE];
        Call call;
};

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_result;

/*
 * curl does not tell every allocation that fails as such: a failure while it connects or stores a header
 * ends in another of its results, and 7.88 gives CURLE_OUT_OF_MEMORY for a header line that is longer than
 * it takes, too. So its allocations go through these functions, which note a failure for the thread.
 */
static _Thread_local bool allocation_failed;

static void *noted(void *p) {
        allocation_failed |= !p;
        return p;
}

static void *noted_malloc(size_t size) {
        return noted(malloc(size));
}

static void *noted_calloc(size_t n, size_t size) {
        return noted(calloc(n, size));
}

static void *noted_realloc(void *p, size_t size) {
        void *grown = realloc(p, size);

        return size > 0 ? noted(grown) : grown;
}

static char *noted_strdup(const char *text) {
        return noted(strdup(text));
}

static void global_init(void) {
        global_result = curl_global_init_mem(CURL_GLOBAL_NOTHING, noted_malloc, free, noted_realloc,
                                             noted_strdup, noted_calloc);
}

/*
 * Whether the peer closed the connection without having read the whole request, so that nothing was done.
 * A unix socket that is closed with unread bytes resets its peer (net/unix/af_unix.c, unix_release_sock()),
 * while a peer that has read all of it and then closes ends the stream. curl does not tell that errno but
 * by its text.
 */
static bool not_read(const Http *http) {
        return strstr(http->error, error_text(ECONNRESET)) ||
               strstr(http->error, error_text(EPIPE));
}

static bool cut_now(const Http *http) {
        return !http->call.request->uncut && atomic_load(&http->interrupted);
}

static curl_socket_t on_open(void *userdata, curlsocktype purpose, struct curl_sockaddr *address) {
        Http *http = userdata;
        Call *call = &http->call;

        (void)purpose;

        if (call->sent || call->request->same_connection) {
                call->unread = call->sent && not_read(http);
                call->refused = true;
                return CURL_SOCKET_BAD;
        }

        call->response->new_connection = true;
        http->fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          address->protocol);
        return http->fd;
}

static int on_request(void *userdata, char *primary_ip, char *local_ip, int primary_port,
                      int local_port) {
        Http *http = userdata;
        Call *call = &http->call;

        (void)primary_ip;
        (void)local_ip;
        (void)primary_port;
        (void)local_port;

        call->sent = true;
        if (!http->headers)
                return CURL_PREREQFUNC_OK;

        call->upgrade_error =
                upgrade_to_h2c(http->fd, "/grpc", call->request->timeout_usec, &http->interrupted,
                               &call->response->status, call->diag);
        call->upgrade_failed = call->upgrade_error < 0 || call->response->status != 101;
        return call->upgrade_failed ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void header_copy(char *ret, size_t size, const char *line, size_t n, const char *name) {
        size_t n_name = strlen(name);

        if (n <= n_name || line[n_name] != ':' || strncasecmp(line, name, n_name) != 0)
                return;

        for (line += n_name + 1, n -= n_name + 1; n > 0 && (*line == ' ' || *line == '\t'); n--)
                line++;
        while (n > 0 && (unsigned char)line[n - 1] <= ' ')
                n--;

        n = MIN(n, size - 1);
        memcpy(ret, line, n);
        ret[n] = '\0';
}

static bool succeeded(Http *http) {
        long status = 0;

        curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
        return status >= 200 && status < 300;
}

static size_t on_header(char *line, size_t size, size_t n, void *userdata) {
        Http *http = userdata;
        Call *call = &http->call;
        HttpResponse *response = call->response;

        n *= size;
        call->n_headers += n;
        if (call->n_headers > HEADERS_MAX) {
                call->headers_too_long = true;
                return 0;
        }

        if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
                call->headers_complete = false; /* also what follows a 100 Continue */
                response->server[0] = response->api_version[0] = '\0';
                response->swarm[0] = response->libpod[0] = '\0';
        } else if (n <= 2 && (*line == '\r' || *line == '\n')) {
                if (!call->headers_complete && call->request->on_begin && succeeded(userdata))
                        call->request->on_begin(call->request->userdata);
                call->headers_complete = true;
        } else if (http->headers) { /* also trailers */
                header_copy(response->grpc_status, sizeof(response->grpc_status), line, n,
                            "grpc-status");
                header_copy(response->grpc_message, sizeof(response->grpc_message), line, n,
                            "grpc-message");
        } else if (!call->headers_complete) {
                header_copy(response->server, sizeof(response->server), line, n, "Server");
                header_copy(response->api_version, sizeof(response->api_version), line, n,
                            "Api-Version");
                header_copy(response->swarm, sizeof(response->swarm), line, n, "Swarm");
                header_copy(response->libpod, sizeof(response->libpod), line, n,
                            "Libpod-API-Version");
        }

        return n;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata) {
        Http *http = userdata;
        Call *call = &http->call;

        n *= size;
        if (cut_now(http))
                return 0;

        if (succeeded(http)) {
                if (!call->request->sink)
                        return n;
                call->sink_error =
                        call->request->sink(call->request->userdata, data, n, call->diag);
                return call->sink_error < 0 ? 0 : n;
        }

        if (call->n_error < sizeof(call->response->error) - 1) {
                size_t keep = MIN(n, sizeof(call->response->error) - 1 - call->n_error);

                memcpy(call->response->error + call->n_error, data, keep);
                call->response->error[call->n_error + keep] = '\0';
        }
        call->n_error += n;
        return call->n_error > ERROR_BODY_MAX ? 0 : n;
}

/* Everything that is the same for each call. */
static int prepare(Http *http) {
        CURL *easy = http->easy;
        CURLcode r = CURLE_OK;

        r |= curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, http->socket_path);
        r |= curl_easy_setopt(easy, CURLOPT_URL, "http://localhost/");
        r |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http");
        r |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                              http->headers ? (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE
                                            : (long)CURL_HTTP_VERSION_1_1);
        r |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, http->headers);
        r |= curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, http->headers ? 1L : 0L);
        r |= curl_easy_setopt(easy, CURLOPT_PROXY, "");
        r |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        r |= curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1L);
        r |= curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_SIZE);
        r |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "wpcached/" WPCACHE_VERSION);
        r |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->error);
        /* Checked to be alive before it is used again; no age makes it bad. */
        r |= curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, 24L * 60L * 60L);
        r |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
        r |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, http);
        r |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request);
        r |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, http);
        r |= curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
        r |= curl_easy_setopt(easy, CURLOPT_HEADERDATA, http);
        r |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
        r |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);

        return r == CURLE_OK ? 0 : -ENOMEM;
}

static int add_header(Http *http, const char *header) {
        struct curl_slist *headers = curl_slist_append(http->headers, header);

        if (!headers)
                return -ENOMEM;
        http->headers = headers;
        return 0;
}

static int make(const char *socket_path, bool grpc, Http **ret) {
        cleanup(http_free) Http *http = NULL;
        int r;

        if (strlen(socket_path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
                return -ENAMETOOLONG;

        pthread_once(&global_once, global_init);
        if (global_result != CURLE_OK)
                return -ENOMEM;

        http = calloc(1, sizeof(*http));
        if (!http)
                return -ENOMEM;

        http->socket_path = strdup(socket_path);
        http->multi = curl_multi_init();
        http->easy = curl_easy_init();
        if (!http->socket_path || !http->multi || !http->easy)
                return -ENOMEM;
        if (curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, 1L) != CURLM_OK)
                return -ENOMEM;

        if (grpc && (add_header(http, "content-type: application/grpc") < 0 ||
                     add_header(http, "te: trailers") < 0))
                return -ENOMEM;

        r = prepare(http);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(http);
        return 0;
}

int http_new(const char *socket_path, Http **ret) {
        return make(socket_path, false, ret);
}

int http_new_grpc(const char *socket_path, Http **ret) {
        if (!(curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_HTTP2))
                return -EOPNOTSUPP;
        return make(socket_path, true, ret);
}

Http *http_free(Http *http) {
        if (!http)
                return NULL;

        curl_easy_cleanup(http->easy);
        curl_multi_cleanup(http->multi);
        curl_slist_free_all(http->headers);
        free(http->socket_path);
        free(http);
        return NULL;
}

const char *http_socket_path(const Http *http) {
        return http->socket_path;
}

static int set_request(Http *http, const HttpRequest *request, bool fresh) {
        CURL *easy = http->easy;
        bool post = strcmp(request->method, "POST") == 0;
        bool get = strcmp(request->method, "GET") == 0;
        long timeout_msec = (long)MIN(request->timeout_usec / USEC_PER_MSEC, (uint64_t)INT_MAX);
        bool bounded = request->timeout_usec != USEC_INFINITY;
        CURLcode r = CURLE_OK;

        r |= curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        if (post) {
                r |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
                r |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body ? request->body : "");
                r |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)request->n_body);
        }
        r |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, post || get ? NULL : request->method);
        r |= curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, request->path);
        r |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, fresh ? 1L : 0L);
        r |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, bounded ? MAX(timeout_msec, 1L) : 0L);

        return r == CURLE_OK ? 0 : -ENOMEM;
}

/* Runs the transfer to its end; `ret` is curl's result. -ECANCELED, or curl_multi's failure. */
static int run(Http *http, CURLcode *ret) {
        for (;;) {
                int n_running, n_queued;
                CURLMsg *message;

                heartbeat();
                if (curl_multi_perform(http->multi, &n_running) != CURLM_OK)
                        return -ENOMEM;

                while ((message = curl_multi_info_read(http->multi, &n_queued)))
                        if (message->msg == CURLMSG_DONE) {
                                *ret = message->data.result;
                                return 0;
                        }

                if (cut_now(http))
                        return -ECANCELED;
                if (curl_multi_poll(http->multi, NULL, 0, 60 * 1000, NULL) != CURLM_OK)
                        return -ENOMEM;
        }
}

/* Why there is no connection, by asking for one more. curl (7.88, 8.14) takes the EAGAIN of a full
 * queue for a connection in progress, and what it tells afterwards is 0 or an earlier call's errno. */
static int no_connection(const Http *http, Diag *reterr_diag) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        cleanup_close int fd = -EBADF;

        strcpy(address.sun_path, http->socket_path); /* http_new() looked at its length */
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 ||
            (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EAGAIN)) {
                int error = errno;

                return diag_set(reterr_diag, -error, "cannot connect to %s: %s", http->socket_path,
                                strerror(error));
        }

        return diag_set(reterr_diag, -ETIMEDOUT,
                        "cannot connect to %s: somebody listens, but takes no connections",
                        http->socket_path);
}

/* Whether a kept connection was lost before the first line of an answer. */
static bool lost_before_answer(const Call *call, CURLcode result) {
        if (!call->sent || call->response->new_connection || call->n_headers > 0)
                return false;
        return call->refused || result == CURLE_GOT_NOTHING || result == CURLE_SEND_ERROR ||
               result == CURLE_RECV_ERROR;
}

/* What the end of a transfer means. */
static int conclude(Http *http, CURLcode result, Diag *reterr_diag) {
        const Call *call = &http->call;
        const char *why = http->error[0] ? http->error : curl_easy_strerror(result);

        if (call->upgrade_failed)
                return call->upgrade_error;
        /* Nothing comes after gRPC's status. A server that answers before it has read the whole
         * request resets the stream then, which curl takes for an error. */
        if (call->response->grpc_status[0] && call->sink_error == 0)
                return 0;
        if (lost_before_answer(call, result)) {
                if (strcmp(call->request->method, "GET") == 0 || call->unread || not_read(http))
                        return -ESTALE;
                return diag_set(reterr_diag, -ECONNRESET,
                                "the connection to %s was lost before an answer",
                                http->socket_path);
        }
        if (call->refused)
                return -ESTALE;
        if (result != CURLE_OK && call->sink_error == 0 && allocation_failed)
                return -ENOMEM;

        switch (result) {
        case CURLE_OK:
                if (call->headers_complete)
                        return 0;
                return diag_set(reterr_diag, -ECONNRESET, "the answer was cut off in its headers");

        case CURLE_WRITE_ERROR:
                if (call->sink_error < 0)
                        return call->sink_error;
                if (call->headers_too_long)
                        return diag_set(reterr_diag, -EBADMSG, "the answer's headers are too long");
                if (call->n_error > ERROR_BODY_MAX)
                        return 0;
                return cut_now(http) ? -ECANCELED : diag_set(reterr_diag, -EBADMSG, "%s", why);

        case CURLE_COULDNT_CONNECT:
                return no_connection(http, reterr_diag);

        case CURLE_OPERATION_TIMEDOUT:
                return diag_set(reterr_diag, -ETIMEDOUT, "no whole answer within %.3g s",
                                (double)call->request->timeout_usec / (double)USEC_PER_SEC);

        case CURLE_PARTIAL_FILE:
        case CURLE_GOT_NOTHING:
        case CURLE_SEND_ERROR:
        case CURLE_RECV_ERROR:
                return diag_set(reterr_diag, -ECONNRESET, "the answer did not come whole: %s", why);

        case CURLE_OUT_OF_MEMORY: /* no allocation failed */
                return diag_set(reterr_diag, -EBADMSG, "the answer's headers are too long");

        default:
                return diag_set(reterr_diag, -EBADMSG, "no HTTP answer: %s", why);
        }
}

static bool is_path(const char *path) {
        if (*path != '/')
                return false;
        for (; *path; path++)
                if ((unsigned char)*path <= ' ' || (unsigned char)*path >= 0x7f)
                        return false;

        return true;
}

static int call_once(Http *http, const HttpRequest *request, bool fresh, HttpResponse *ret,
                     Diag *reterr_diag) {
        CURLcode result = CURLE_OK;
        int r;

        *ret = (HttpResponse){ 0 };
        if (atomic_load(&http->interrupted))
                return -ECANCELED;

        http->call = (Call){ .request = request, .response = ret, .diag = reterr_diag };
        http->error[0] = '\0';
        allocation_failed = false;

        r = set_request(http, request, fresh);
        if (r < 0)
                return r;

        if (curl_multi_add_handle(http->multi, http->easy) != CURLM_OK)
                return -ENOMEM;
        r = run(http, &result);
        curl_multi_remove_handle(http->multi, http->easy);
        if (r < 0)
                return r;

        if (!http->call.upgrade_failed)
                curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &ret->status);
        return conclude(http, result, reterr_diag);
}

int http_call(Http *http, const HttpRequest *request, HttpResponse *ret, Diag *reterr_diag) {
        uint64_t begin_usec = now_monotonic_usec();
        HttpRequest again = *request;
        int r;

        *ret = (HttpResponse){ 0 };
        if (!is_path(request->path))
                return diag_set(reterr_diag, -EINVAL, "not a path: \"%s\"", request->path);

        r = call_once(http, request, false, ret, reterr_diag);
        if (r != -ESTALE || request->same_connection)
                return r;
        if (request->timeout_usec != USEC_INFINITY)
                again.timeout_usec -= MIN(now_monotonic_usec() - begin_usec, again.timeout_usec);
        return call_once(http, &again, true, ret, reterr_diag);
}

int http_wait(Http *http, uint64_t usec) {
        uint64_t now = now_monotonic_usec(), end = now + MIN(usec, UINT64_MAX / 2);

        for (; !atomic_load(&http->interrupted); now = now_monotonic_usec()) {
                uint64_t msec;

                heartbeat();
                if (now >= end)
                        return 0;

                msec = MIN((end - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC, (uint64_t)INT_MAX);
                if (curl_multi_poll(http->multi, NULL, 0, (int)msec, NULL) != CURLM_OK)
                        return -ENOMEM;
        }

        return -ECANCELED;
}

void http_interrupt(Http *http) {
        atomic_store(&http->interrupted, true);
        curl_multi_wakeup(http->multi);
}

bool http_interrupted(const Http *http) {
        return atomic_load(&http->interrupted);
}

char *http_encode(const char *text) {
        static const char hex[] = "0123456789ABCDEF";
        char *ret, *p;

        ret = p = malloc(strlen(text) * 3 + 1);
        if (!ret)
                return NULL;

        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;

                if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_' || c == '~') {
                        *p++ = (char)c;
                } else {
                        *p++ = '%';
                        *p++ = hex[c >> 4];
                        *p++ = hex[c & 15];
                }
        }

        *p = '\0';
        return ret;
}
