/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is known of each image, and the order of releases: which images belong to one repository, and
 * which of two is the newer. Pure; a part of policy_decide().
 */

#include "janitor/policy.h"

/* What is known of an image besides its entry in the list. */
typedef struct Fact {
        const SeenImage *seen; /* NULL: not yet */
        const Container *container;
        const ServiceImage *service;
        bool in_use; /* see image_in_use() */
        bool has_children;
        bool ours; /* without a name, but the application's */
        int64_t age_sec;
        int64_t named_sec, first_seen_sec; /* age time */
        int64_t engine_nsec; /* the engine's time of its name, see engine_time(); 0: none to believe */
        int64_t told_nsec; /* the same, believable or not */
        int64_t created_nsec;
        unsigned rank, of; /* its place in its repository, see ImageVerdict */
        const char *group;
} Fact;

/* An image's place in a repository, or among the images without a name of a compose project. */
typedef struct Member {
        const char *group; /* see RULE_KEEP_LAST */
        size_t n;          /* of which the repository is so long */
        bool project;
        size_t image;
} Member;

#define RELEASES_NONE SIZE_MAX
/* How long a newer release has to run before the tag to roll back to expires. */
#define SETTLED_SEC (24 * 3600)

/* All members of one repository or project, in the sorted list of members. */
typedef struct Group {
        size_t first, n; /* newest first */
        size_t settled;  /* the newest image that has run for SETTLED_SEC, or RELEASES_NONE */
} Group;

typedef struct Releases {
        const Inventory *inventory;
        const Config *config;
        const PolicyNow *now;
        Fact *facts; /* one an image of the inventory, same order */
        Member *members;
        size_t n_members, members_size;
        Group *groups; /* in the order of members */
        size_t n_groups;
} Releases;

/* -ENOMEM leaves nothing to free. It borrows from all of these. */
int releases_find(const Inventory *inventory, const SeenImages *seen, const NamedImages *suspects,
                  const Config *config, const PolicyNow *now, Releases *ret) must_check;
void releases_done(Releases *releases);
static inline void releases_donep(Releases *releases) {
        releases_done(releases);
}

/* Goes by the last tag that is remembered of an image, not by the one that the engine tells now: for an
 * image that the janitor may have tagged since. */
void releases_forget_tag(Fact *fact);

/* Below zero if image `a` is newer than image `b`; 0 for one and the same. */
int releases_compare(const Releases *releases, size_t a, size_t b);

/* Whether a newer image of the repository of `name` has run for long enough to be trusted. */
bool releases_superseded(const Releases *releases, size_t image, const char *name);
