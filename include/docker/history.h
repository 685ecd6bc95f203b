/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * BuildKit's own records of the builds it ran: which of them run now, what image came out of each,
 * and how each of its steps was made. Engines 24 and later keep them (BuildKit 0.11); the classic
 * builder writes none. Read in BuildKit's source (control.proto, unchanged from 0.11 to 0.32) and
 * seen on engines 26.1, 28.5 and 29.
 *
 * Errors common to all calls, beside those of docker/api.h:
 *   -EOPNOTSUPP  this engine keeps no build history, or it can't be reached: gRPC's "unimplemented"
 *                (engines before 24), 404 or 403 (proxies of the socket, authorization plugins), or
 *                a libcurl without HTTP/2
 * Any other error says nothing of what builds: a build may run.
 */

#include "docker/api.h"

#define BUILD_REF_MAX 64     /* BuildKit makes them up of 25 characters */
#define BUILD_DIGEST_MAX 128 /* "sha256:" and 64 hex digits */
#define BUILD_NAME_MAX 2048

/* One build. */
typedef struct Build {
        char ref[BUILD_REF_MAX]; /* its id */
        bool running;            /* also where it ended while the engine made its answer */
        bool failed;             /* it ended with an error, or was cancelled */
        int64_t created_nsec;    /* since 1970; 0: not told */
        int64_t completed_nsec;  /* 0: it runs */
        Strv results;            /* digests; of an image it is the Id that inspect gives */
} Build;

/* Takes one record, borrowed for the call; a negative return ends the listing and is handed
 * through. */
typedef int (*DockerBuild)(void *userdata, const Build *build);

typedef enum BuildList {
        BUILDS_ALL,    /* running ones first, the others in no order */
        BUILDS_RUNNING /* the running ones alone */
} BuildList;

/*
 * Lists the records, which the engine keeps for the 50 newest builds and for the last 48 hours, if
 * its configuration sets no other bounds. A record costs about 1.75 KB on the connection. A build is
 * listed from before its first build cache record until its image has its name. One that ends while
 * the engine answers may come twice. After an error the listing is not whole.
 */
int docker_builds(Docker *docker, BuildList which, DockerBuild add, void *userdata,
                  Diag *reterr_diag) must_check;

/* A step of a build ("vertex" in BuildKit), or a part of a step ("status"), which has only `digest`,
 * that of its step, and a name: "exporting layers". */
typedef struct BuildStep {
        char digest[BUILD_DIGEST_MAX]; /* tells steps of one build apart; of COPY it is another one
                                        * in each build, so compare names between builds */
        char name[BUILD_NAME_MAX];     /* "[2/3] COPY a /app/", cut to fit */
        size_t n_inputs;               /* steps it stands on */
        bool part;
        bool cached;  /* taken from a cache */
        bool started; /* neither cached nor started: merged into a step of another build */
        bool completed;
        bool failed;
} BuildStep;

typedef int (*DockerBuildStep)(void *userdata, const BuildStep *step);

/*
 * Hands over the steps of a build, which must have ended (of a running one the call goes on until
 * its deadline). A step comes several times while its state changes; the last time tells how it
 * ended. A record that is not there is waited for (6 s on 28.5), then an error of BuildKit's.
 */
int docker_build_steps(Docker *docker, const char *ref, DockerBuildStep step, void *userdata,
                       Diag *reterr_diag) must_check;

/* Whether a step or part tells that the build has put inline cache metadata into its image: "preparing layers
 * for inline cache", a part of the export on the graphdriver store and a step of its own on the containerd
 * store. */
bool build_step_is_inline_cache(const BuildStep *step);

/* Parsers of the messages, exposed for tests and fuzzing. They hand over what the calls do; the
 * errors are -EBADMSG, -ENOMEM and what the callback returned. */
int parse_build_event(const void *data, size_t n, DockerBuild add, void *userdata,
                      Diag *reterr_diag) must_check;
int parse_build_status(const void *data, size_t n, DockerBuildStep step, void *userdata,
                       Diag *reterr_diag) must_check;
