/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Determines whether a path can enter an image: COPY sees everything in the build context that
 * .dockerignore does not exclude. BuildKit reads DOCKERFILE.dockerignore beside the Dockerfile
 * instead, if there is one (docs.docker.com, "Build context"); the classic builder does not. The
 * patterns are those of moby/patternmatcher, which both builders use.
 *
 * The status is only reported: no cache is removed or kept because of it. A path counts as in the
 * context if the file cannot be read or understood, or if its patterns are made to take very long.
 */

#include "apps/root.h"

typedef enum ContextStatus {
        CONTEXT_INSIDE,  /* in the build context: COPY may take it into an image */
        CONTEXT_IGNORED, /* .dockerignore excludes it with everything below it, or all below it */
        CONTEXT_OUTSIDE, /* not in the build context */
        CONTEXT_STATUS_MAX
} ContextStatus;

/* "context", "ignored", "outside" */
const char *context_status_to_string(ContextStatus status);

typedef struct Context Context;

/*
 * Reads the context at the absolute `path`, or NULL: the root itself. `dockerfile` is relative to the
 * context, or absolute. 0, even if the context or its .dockerignore cannot be read, which
 * `*reterr_diag` then says; or -ENOMEM.
 */
int context_new(const AppRoot *root, const char *path, const char *dockerfile, Context **ret,
                Diag *reterr_diag) must_check;
Context *context_free(Context *context);
DEFINE_CLEANUP(Context *, context_free);

/* The status of a directory at `path` below the root. */
ContextStatus context_status(const Context *context, const char *path);
