/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whether what lies below a root reaches an image: what a build takes from its context is all in it
 * that .dockerignore does not exclude. BuildKit reads DOCKERFILE.dockerignore beside the Dockerfile
 * instead, if there is one (docs.docker.com, "Build context"; the classic builder does not). Patterns
 * are those of moby/patternmatcher, which both builders use.
 *
 * For telling only: nothing is removed or spared because of it. What can't be read or understood
 * counts as reached; so does what would take too long to tell, of text made to take long.
 */

#include "apps/root.h"

typedef enum ContextStatus {
        CONTEXT_INSIDE,  /* in the build context: COPY may take it into an image */
        CONTEXT_IGNORED, /* excluded by .dockerignore, and all below it; or all below it */
        CONTEXT_OUTSIDE, /* not in the build context */
        CONTEXT_STATUS_MAX
} ContextStatus;

/* "context", "ignored", "outside" */
const char *context_status_to_string(ContextStatus reach);

typedef struct Context Context;

/*
 * Of the context at `path`, absolute; NULL: the root itself. `dockerfile`: relative to the context,
 * or absolute. 0 also where the context or its .dockerignore can't be read: `*reterr_diag` says so
 * then. -ENOMEM.
 */
int context_new(const AppRoot *root, const char *path, const char *dockerfile, Context **ret,
                Diag *reterr_diag) must_check;
Context *context_free(Context *context);
DEFINE_CLEANUP(Context *, context_free);

/* Of a directory at `path` below the root. */
ContextStatus context_status(const Context *context, const char *path);
