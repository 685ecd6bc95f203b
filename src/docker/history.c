/* SPDX-License-Identifier: MIT */

/*
 * Two calls of BuildKit's control service and the messages they answer with. Field numbers are those
 * of control.proto, which has kept them from BuildKit 0.11 to 0.32; each is named where it is read,
 * and any other field is passed over.
 */

#include "docker/history.h"

#include <string.h>

#include "docker/grpc.h"
#include "docker/protobuf.h"

#define LIST_BYTES_MAX (256U * 1024U * 1024U)
#define STATUS_BYTES_MAX (256U * 1024U * 1024U) /* with all that the build printed */

enum { EVENT_STARTED, EVENT_COMPLETE, EVENT_DELETED };

static int malformed(const char *what, Diag *reterr_diag) {
        return diag_set(reterr_diag, -EBADMSG, "%s of the build history is malformed", what);
}

static void build_done(Build *build) {
        strv_done(&build->results);
}

static inline void build_donep(Build *build) {
        build_done(build);
}

/* Timestamp: 1 seconds, 2 nanoseconds. What is before 1970 or past 2262 is not told. */
static int parse_timestamp(Protobuf message, int64_t *ret_nsec) {
        uint64_t sec = 0, nsec = 0;
        ProtobufField field;
        int r;

        while ((r = protobuf_next(&message, &field)) > 0) {
                sec = protobuf_number(&field, 1, sec);
                nsec = protobuf_number(&field, 2, nsec);
        }
        if (r < 0)
                return r;

        if (sec >= (uint64_t)(INT64_MAX / NSEC_PER_SEC) || nsec >= (uint64_t)NSEC_PER_SEC)
                sec = nsec = 0;
        *ret_nsec = (int64_t)sec * NSEC_PER_SEC + (int64_t)nsec;
        return 0;
}

/* Descriptor: 2 digest. */
static int parse_descriptor(Protobuf message, Strv *digests) {
        char digest[BUILD_DIGEST_MAX];
        ProtobufField field;
        int r;

        while ((r = protobuf_next(&message, &field)) > 0) {
                if (!protobuf_is(&field, 2) || field.bytes.n == 0 ||
                    field.bytes.n >= sizeof(digest))
                        continue;
                protobuf_text(field.bytes, digest, sizeof(digest));
                if (!strv_contains(digests, digest) && strv_add(digests, digest) < 0)
                        return -ENOMEM;
        }

        return r;
}

/* An entry of a map: 2 value. */
static int map_value(Protobuf entry, Protobuf *ret) {
        ProtobufField field;
        int r;

        *ret = (Protobuf){ 0 };
        while ((r = protobuf_next(&entry, &field)) > 0)
                if (protobuf_is(&field, 2))
                        *ret = field.bytes;
        return r;
}

/* BuildResultInfo: 1 the result as older BuildKits wrote it, 3 results by number. */
static int parse_result(Protobuf message, Strv *digests) {
        ProtobufField field;
        int r;

        while ((r = protobuf_next(&message, &field)) > 0) {
                Protobuf descriptor = field.bytes;

                if (protobuf_is(&field, 3))
                        r = map_value(field.bytes, &descriptor);
                else if (!protobuf_is(&field, 1))
                        continue;
                if (r >= 0)
                        r = parse_descriptor(descriptor, digests);
                if (r < 0)
                        return r;
        }

        return r;
}

/* BuildHistoryRecord: 1 ref, 5 error, 6 created, 7 completed, 10 result, 11 results by platform. */
static int parse_build(Protobuf message, Build *build) {
        ProtobufField field;
        int r;

        while ((r = protobuf_next(&message, &field)) > 0) {
                Protobuf result = field.bytes;

                if (field.type != PROTOBUF_BYTES)
                        continue;
                switch (field.number) {
                case 1:
                        if (field.bytes.n >= sizeof(build->ref))
                                return -EBADMSG;
                        protobuf_text(field.bytes, build->ref, sizeof(build->ref));
                        break;
                case 5:
                        build->failed = true;
                        break;
                case 6:
                        r = parse_timestamp(field.bytes, &build->created_nsec);
                        break;
                case 7:
                        r = parse_timestamp(field.bytes, &build->completed_nsec);
                        break;
                case 11:
                        r = map_value(field.bytes, &result);
                        __attribute__((fallthrough));
                case 10:
                        if (r >= 0)
                                r = parse_result(result, &build->results);
                        break;
                }
                if (r < 0)
                        return r;
        }

        return r;
}

/* BuildHistoryEvent: 1 type, 2 record. */
int parse_build_event(const void *data, size_t n, DockerBuild add, void *userdata,
                      Diag *reterr_diag) {
        Protobuf message = { data, n };
        cleanup(build_done) Build build = { 0 };
        uint64_t type = EVENT_STARTED;
        ProtobufField field;
        int r;

        while ((r = protobuf_next(&message, &field)) > 0) {
                type = protobuf_number(&field, 1, type);
                if (protobuf_is(&field, 2))
                        r = parse_build(field.bytes, &build);
                if (r < 0)
                        break;
        }
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !*build.ref)
                return malformed("a record", reterr_diag);

        build.running = type == EVENT_STARTED;
        return type == EVENT_STARTED || type == EVENT_COMPLETE ? add(userdata, &build) : 0;
}

/* Vertex: 1 digest, 2 inputs, 3 name, 4 cached, 5 started, 6 completed, 7 error. */
static int parse_step(Protobuf message, BuildStep *step) {
        ProtobufField field;
        int r;

        while ((r = protobuf_next(&message, &field)) > 0) {
                step->cached = protobuf_number(&field, 4, step->cached);
                if (field.type != PROTOBUF_BYTES)
                        continue;
                switch (field.number) {
                case 1:
                        protobuf_text(field.bytes, step->digest, sizeof(step->digest));
                        break;
                case 2:
                        step->n_inputs++;
                        break;
                case 3:
                        protobuf_text(field.bytes, step->name, sizeof(step->name));
                        break;
                case 5:
                        step->started = true;
                        break;
                case 6:
                        step->completed = true;
                        break;
                case 7:
                        step->failed = field.bytes.n > 0;
                        break;
                }
        }

        return r;
}

/* VertexStatus: 1 id, 2 digest of its vertex. */
static int parse_part(Protobuf message, BuildStep *part) {
        ProtobufField field;
        int r;

        part->part = true;
        while ((r = protobuf_next(&message, &field)) > 0)
                if (protobuf_is(&field, 1))
                        protobuf_text(field.bytes, part->name, sizeof(part->name));
                else if (protobuf_is(&field, 2))
                        protobuf_text(field.bytes, part->digest, sizeof(part->digest));
        return r;
}

/* StatusResponse: 1 vertexes, 2 statuses; the rest is what the build printed. */
int parse_build_status(const void *data, size_t n, DockerBuildStep step, void *userdata,
                       Diag *reterr_diag) {
        Protobuf message = { data, n };
        ProtobufField field;
        int r;

        while ((r = protobuf_next(&message, &field)) > 0) {
                BuildStep one = { 0 };

                if (protobuf_is(&field, 1))
                        r = parse_step(field.bytes, &one);
                else if (protobuf_is(&field, 2))
                        r = parse_part(field.bytes, &one);
                else
                        continue;
                if (r < 0)
                        return malformed("a step", reterr_diag);
                r = step(userdata, &one);
                if (r < 0)
                        return r;
        }

        return r < 0 ? malformed("a step", reterr_diag) : 0;
}

typedef struct Listing {
        DockerBuild add;
        void *userdata;
} Listing;

static int on_event(void *userdata, const void *data, size_t n, Diag *reterr_diag) {
        const Listing *listing = userdata;

        return parse_build_event(data, n, listing->add, listing->userdata, reterr_diag);
}

int docker_builds(Docker *docker, BuildList which, DockerBuild add, void *userdata,
                  Diag *reterr_diag) {
        /* BuildHistoryRequest: 1 ActiveOnly, 3 EarlyExit: an end after what is there now */
        static const uint8_t all[] = { 3 << 3, 1 }, running[] = { 1 << 3, 1, 3 << 3, 1 };
        Listing listing = { add, userdata };

        return docker_grpc(docker, "/moby.buildkit.v1.Control/ListenBuildHistory",
                           which == BUILDS_ALL ? all : running,
                           which == BUILDS_ALL ? sizeof(all) : sizeof(running), LIST_BYTES_MAX,
                           on_event, &listing, reterr_diag);
}

typedef struct Replay {
        DockerBuildStep step;
        void *userdata;
} Replay;

static int on_status(void *userdata, const void *data, size_t n, Diag *reterr_diag) {
        const Replay *replay = userdata;

        return parse_build_status(data, n, replay->step, replay->userdata, reterr_diag);
}

int docker_build_steps(Docker *docker, const char *ref, DockerBuildStep step, void *userdata,
                       Diag *reterr_diag) {
        /* StatusRequest: 1 Ref */
        uint8_t request[2 + BUILD_REF_MAX] = { 1 << 3 | PROTOBUF_BYTES };
        Replay replay = { step, userdata };
        size_t n = strlen(ref);

        if (n == 0 || n >= BUILD_REF_MAX)
                return -EINVAL;

        request[1] = (uint8_t)n;
        memcpy(request + 2, ref, n);
        return docker_grpc(docker, "/moby.buildkit.v1.Control/Status", request, 2 + n,
                           STATUS_BYTES_MAX, on_status, &replay, reterr_diag);
}

bool build_step_is_inline_cache(const BuildStep *step) {
        static const char name[] = "preparing layers for inline cache";

        return strncmp(step->name, name, strlen(name)) == 0;
}
