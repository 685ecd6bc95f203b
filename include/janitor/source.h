/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Decide: which images can give a cached layer to the next build of the application, one answer for
 * each image of an inventory. Pure, and N log N. docs/ARCHITECTURE.md has the table of what serves,
 * per builder and image store.
 */

#include "janitor/local-base.h"

typedef enum Serves {
        SERVES_NOTHING,
        /* BuildKit's, and nothing tells whether it has inline cache metadata; or its history has steps of
         * the classic builder under those of another tool, and nothing tells which build made them. */
        SERVES_PERHAPS,
        SERVES_CERTAINLY, /* if the build has the same steps and, where `way` says so, names it */
} Serves;

/* How an image serves. */
typedef enum SourceWay {
        SOURCE_NONE,
        SOURCE_CLASSIC_CHAIN, /* the classic builder reaches it by its parents, whatever its name */
        SOURCE_CLASSIC_NAME,  /* the classic builder reads its history, named in cache_from */
        SOURCE_INLINE,        /* BuildKit reads its inline cache metadata, named in cache_from */
} SourceWay;

typedef struct Source {
        SourceWay way;
        Serves serves;                 /* with the names it has now */
        Serves serves_by_rollback_tag; /* if a rollback tag took the place of its names */
        bool ours;                     /* it bears a name in scope, or a protected one of ours */
        bool cleared;                  /* a clear took a name from it, or from an image that stands
                                        * on it */
        bool lost_name;                /* a clear took a name from the image itself that is not
                                        * in [images] base */
        bool untagged_ours;            /* untagged, and claimed for us (plan_claims()) */
        bool unclaimed;       /* untagged, made by the classic builder, of unknown origin */
        bool commit;          /* docker commit made it */
        bool commit_of_ours;  /* the same, and it has or had a name of ours */
        bool release;         /* it is or was a release of ours, which others may have built upon */
        bool configured_base; /* by [images] base */
        bool below_base;      /* such an image stands on it, with no release of ours between them */
        /*
         * It begins like an image of ours, present or remembered, so that the next build may well take
         * steps from it; or build times suggest a stage of ours, or its compose label names a project of
         * ours; or it is the classic builder's and no history of ours was ever known. Where this is false,
         * an image of others is only named among the assumptions.
         */
        bool like_ours;
        bool of_our_project; /* like_ours, because it has the label of a compose project of ours */
        bool below_ours;     /* like_ours, because an image of ours was built upon it */
        /* An image of ours by BuildKit, and what it has of the classic builder is most likely its base image's.
         * It loses its name, and other names of it are only named among the assumptions. */
        bool only_base_serves;
        /* Whether it is a local base image that no container uses now. (What is remembered of containers is
         * for the caller to ask.) */
        LocalBase base;
        bool on_cleared; /* it stands on a cleared image, or is cleared */
} Source;

/*
 * One Source for each image of the inventory, at the same position; malloc'ed. `cleared` are images
 * that clears took names from, now or earlier, and the members of their parent chains, as
 * plan_suspects() collects them. 0 or -ENOMEM.
 */
int sources_find(const Inventory *inventory, const Config *config, const NamedImages *cleared,
                 Source **ret) must_check;

/* Whether it is a commit of ours that would serve under a rollback tag, too: no clear takes its name. What a
 * person changed in a container is nowhere else, so no build makes it anew. */
bool source_is_kept_commit(const Source *source);

/* Whether a build may give this name in cache_from: never one of the janitor's own, nor of [images] base. */
bool name_may_be_cache(const Config *config, const Image *image, const char *name);
/* The first such name of the image, or a digest, borrowed; NULL: it has none. */
const char *source_cache_name(const Inventory *inventory, const Config *config, const Image *image);

/* An image of others that may serve: neither a step below such an image, nor an image that is meant to be
 * built upon. */
bool source_is_foreign(const Inventory *inventory, const Image *image, const Source *source);

/* What to call the image: a name, a digest or its id. Borrowed. */
const char *image_any_name(const Image *image);
