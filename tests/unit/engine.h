/* SPDX-License-Identifier: MIT */
#pragma once

/* An engine written down: what it answers to which request, over tests/unit/stub.h. */

#include <fcntl.h>

#include "stub.h"

#include "base/io.h"
#include "docker/api.h"

#define TIMEOUT (5 * USEC_PER_SEC)

/* What an engine answers, the first row that fits; `n` times, 0: always. */
typedef struct Answer {
        const char *request; /* as a prefix */
        int status;
        const char *body; /* text, or "@FILE" of the fixtures */
        size_t n;
} Answer;

typedef struct Engine {
        const char *server, *api_version; /* headers, "" without */
        const char *info;
        Answer answers[8];
        bool close; /* the connection after each answer */
        size_t used[8];
} Engine;

static inline char *fixture(const char *name) {
        char path[512], *text = NULL;
        size_t n;

        snprintf(path, sizeof(path), "%s/tests/unit/fixtures/%s", SOURCE_DIR, name);
        assert_int_equal(file_read(AT_FDCWD, path, 1U << 20, &text, &n), 0);
        return text;
}

static inline bool answer(Stub *stub, int fd, const char *headers, int status, const char *body) {
        cleanup_free char *text = *body == '@' ? fixture(body + 1) : strdup(body);

        assert_non_null(text);
        return stub_reply(stub, fd, status, headers, text);
}

static inline bool serve(Stub *stub, int fd, const char *request) {
        Engine *engine = (Engine *)(uintptr_t)stub->userdata;
        char headers[256] = "";
        bool keep = false;

        if (*engine->server)
                snprintf(headers, sizeof(headers), "Server: %s\r\n", engine->server);
        if (*engine->api_version)
                snprintf(headers + strlen(headers), sizeof(headers) - strlen(headers),
                         "Api-Version: %s\r\n", engine->api_version);

        if (engine->close)
                strcat(headers, "Connection: close\r\n");

        for (size_t i = 0; i < ELEMENTSOF(engine->answers); i++) {
                const Answer *a = &engine->answers[i];

                if (!a->request || strncmp(request, a->request, strlen(a->request)) != 0 ||
                    (a->n > 0 && engine->used[i] >= a->n))
                        continue;
                engine->used[i]++;
                if (a->status == 0) /* nothing, for ever */
                        return stub_hang(stub, fd);
                keep = answer(stub, fd, headers, a->status, a->body);
                return keep && !engine->close;
        }

        if (strcmp(request, "GET /_ping") == 0)
                keep = answer(stub, fd, headers, 200, "OK");
        else if (strstr(request, "/info"))
                keep = answer(stub, fd, headers, 200, engine->info);
        else
                keep = answer(stub, fd, headers, 404, "{\"message\":\"page not found\"}\n");
        return keep && !engine->close;
}

#define ENGINE_20 \
        .server = "Docker/20.10.24+dfsg1 (linux)", .api_version = "1.41", .info = "@20-info.json"
#define ENGINE_28 .server = "Docker/28.5.2 (linux)", .api_version = "1.51", .info = "@20-info.json"
#define ENGINE_29 .server = "Docker/29.7.2 (linux)", .api_version = "1.55", .info = "@29-info.json"

static inline Docker *connect_to(const Stub *stub) {
        Docker *docker = NULL;

        assert_int_equal(docker_new(stub->path, TIMEOUT, TIMEOUT, &docker), 0);
        return docker;
}

typedef struct Seen {
        RecordSet set;
        UnreadableSet unreadable;
        int error;
} Seen;

static inline void seen_done(Seen *seen) {
        record_set_done(&seen->set);
        unreadable_done(&seen->unreadable);
}

static inline int keep_record(void *userdata, const BuildRecord *record, const char *const *parents,
                              size_t n_parents) {
        Seen *seen = userdata;

        return seen->error < 0 ? seen->error
                               : record_set_add(&seen->set, record, parents, n_parents);
}

#define DF_BUSY "{\"message\":\"a disk usage operation is already running\"}\n"
#define PRUNE_BUSY "{\"message\":\"a prune operation is already running\"}\n"

static inline void *interrupt_soon(void *userdata) {
        usleep(100 * 1000);
        docker_interrupt(userdata);
        return NULL;
}
