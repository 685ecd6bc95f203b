/* SPDX-License-Identifier: MIT */

/*
 * The trap is a record that looks leaked and is not: a clear that goes on then leaves a running build's
 * cache behind it. So nothing is leaked by one observation, and where a failure hides what builds, a
 * build may run.
 */

#include "janitor/builds.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/span.h"
#include "base/text.h"

#define API_MINOR_HISTORY 43 /* Engine 24, whose BuildKit is the first to keep one */

static int compare_hashes(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static bool has_hash(const IdSet *set, uint64_t hash) {
        return set->n > 0 && bsearch(&hash, set->v, set->n, sizeof(*set->v), compare_hashes);
}

static int add_hash(IdSet *set, uint64_t hash) {
        if (array_grow(set->v, set->n, set->size) < 0)
                return -ENOMEM;

        set->v[set->n++] = hash;
        return 0;
}

bool id_set_contains(const IdSet *set, const char *id) {
        return has_hash(set, text_hash(id));
}

int id_set_add(IdSet *set, const char *id) {
        return add_hash(set, text_hash(id));
}

void id_set_done(IdSet *set) {
        free(set->v);
        *set = (IdSet){ 0 };
}

static void id_set_sort(IdSet *set) {
        size_t n = 0;

        if (set->n == 0)
                return;
        qsort(set->v, set->n, sizeof(*set->v), compare_hashes);
        for (size_t i = 0; i < set->n; i++)
                if (i == 0 || set->v[i] != set->v[i - 1])
                        set->v[n++] = set->v[i];
        set->n = n;
}

static int id_set_copy(IdSet *ret, const IdSet *set) {
        ret->n = 0;
        for (size_t i = 0; i < set->n; i++)
                if (add_hash(ret, set->v[i]) < 0)
                        return -ENOMEM;
        return 0;
}

/* Leaves those that are in both. */
static void id_set_intersect(IdSet *set, const IdSet *other) {
        size_t n = 0;

        for (size_t i = 0; i < set->n; i++)
                if (has_hash(other, set->v[i]))
                        set->v[n++] = set->v[i];
        set->n = n;
}

uint64_t builds_held_hash(const Builds *builds) {
        uint64_t hash = builds->running_hash + (builds->unknown[0] ? 1 : 0);
        bool any = builds->n_running > 0 || builds->unknown[0];

        for (size_t i = 0; i < builds->in_use.n; i++)
                if (!has_hash(&builds->leaked, builds->in_use.v[i])) {
                        hash += builds->in_use.v[i];
                        any = true;
                }
        return any && hash == 0 ? 1 : hash;
}

static void forget_ended(Builds *builds) {
        for (size_t i = 0; i < builds->n_ended; i++)
                strv_done(&builds->ended[i].images);
        builds->n_ended = 0;
}

void builds_done(Builds *builds) {
        forget_ended(builds);
        free(builds->ended);
        id_set_done(&builds->in_use);
        id_set_done(&builds->leaked);
        *builds = (Builds){ 0 };
}

void build_watch_done(BuildWatch *watch) {
        id_set_done(&watch->in_use);
        id_set_done(&watch->steps_read);
        id_set_done(&watch->committed);
        free(watch->leaked);
        *watch = (BuildWatch){ 0 };
}

int build_watch_note_read(BuildWatch *watch, const char *ref) {
        if (add_hash(&watch->steps_read, text_hash(ref)) < 0)
                return -ENOMEM;
        id_set_sort(&watch->steps_read);
        return 0;
}

void build_watch_forget_read(BuildWatch *watch) {
        id_set_done(&watch->steps_read);
}

void build_watch_remember_committed(BuildWatch *watch, IdSet *containers) {
        id_set_done(&watch->committed);
        id_set_sort(containers);
        watch->committed = *containers;
        *containers = (IdSet){ 0 };
}

static int compare_leaked(const void *a, const void *b) {
        const LeakedRecord *x = a, *y = b;

        return compare_hashes(&x->id_hash, &y->id_hash);
}

/* Leaked records that are in use no more were let go after all, or their engine was restarted. */
static void forget_released(BuildWatch *watch, const IdSet *in_use) {
        size_t n = 0;

        for (size_t i = 0; i < watch->n_leaked; i++)
                if (has_hash(in_use, watch->leaked[i].id_hash))
                        watch->leaked[n++] = watch->leaked[i];
        watch->n_leaked = n;
}

/* Adds those of the last observation's records that are in use still. */
static int add_leaked(BuildWatch *watch, const IdSet *in_use) {
        const size_t n_known = watch->n_leaked;
        LeakedRecord *grown;

        grown = realloc(watch->leaked, (n_known + watch->in_use.n + 1) * sizeof(*grown));
        if (!grown)
                return -ENOMEM;

        watch->leaked = grown;
        for (size_t i = 0; i < watch->in_use.n; i++) {
                const LeakedRecord record = { watch->in_use.v[i], watch->since_usec };

                if (has_hash(in_use, record.id_hash) &&
                    (n_known == 0 ||
                     !bsearch(&record, grown, n_known, sizeof(*grown), compare_leaked)))
                        grown[watch->n_leaked++] = record;
        }
        qsort(grown, watch->n_leaked, sizeof(*grown), compare_leaked);
        return 0;
}

static int tell_leaked(const BuildWatch *watch, Builds *builds) {
        builds->leaked.n = 0;
        builds->leaked_since_usec = 0;
        for (size_t i = 0; i < watch->n_leaked; i++) {
                const LeakedRecord *record = &watch->leaked[i];

                if (add_hash(&builds->leaked, record->id_hash) < 0)
                        return -ENOMEM;
                if (i == 0 || record->since_usec < builds->leaked_since_usec)
                        builds->leaked_since_usec = record->since_usec;
        }
        return 0;
}

static bool is_idle(const Builds *builds) {
        if (builds->unknown[0])
                return false;
        return builds->history ? builds->n_running == 0 : !builds->source_in_use;
}

int builds_judge(BuildWatch *watch, uint64_t completed_hash, uint64_t begin_usec, uint64_t end_usec,
                 Builds *builds) {
        bool comparable = watch->idle && is_idle(builds) && watch->history == builds->history &&
                          watch->completed_hash == completed_hash;

        id_set_sort(&builds->in_use);
        forget_released(watch, &builds->in_use);
        if (comparable && begin_usec < watch->since_usec + LEAK_USEC) {
                /* Too early to tell: the next one is compared with both. */
                id_set_intersect(&watch->in_use, &builds->in_use);
                return tell_leaked(watch, builds);
        }
        if (comparable && add_leaked(watch, &builds->in_use) < 0)
                return -ENOMEM;

        watch->idle = false;
        if (id_set_copy(&watch->in_use, &builds->in_use) < 0)
                return -ENOMEM;
        watch->idle = is_idle(builds);
        watch->history = builds->history;
        watch->completed_hash = completed_hash;
        watch->since_usec = end_usec;
        return tell_leaked(watch, builds);
}

typedef struct Listing {
        Builds *builds;
        const BuildWatch *watch;
        bool with_ended;
        uint64_t completed_hash;
        IdSet still_read; /* of the builds that have ended, those whose steps were read */
} Listing;

static void listing_donep(Listing *listing) {
        id_set_done(&listing->still_read);
}

static int add_ended(Listing *listing, const Build *build, uint64_t hash) {
        Builds *builds = listing->builds;
        EndedBuild *entry;

        if (listing->watch && has_hash(&listing->watch->steps_read, hash))
                return add_hash(&listing->still_read, hash);
        if (array_grow(builds->ended, builds->n_ended, builds->ended_size) < 0)
                return -ENOMEM;
        entry = &builds->ended[builds->n_ended++];
        *entry = (EndedBuild){ .completed_nsec = build->completed_nsec };
        strcpy(entry->ref, build->ref);
        for (size_t i = 0; i < build->results.n; i++)
                if (strv_add(&entry->images, build->results.v[i]) < 0)
                        return -ENOMEM;
        return 0;
}

static int on_build(void *userdata, const Build *build) {
        Listing *listing = userdata;
        uint64_t hash = text_hash(build->ref);

        if (build->running) {
                listing->builds->n_running++;
                listing->builds->running_hash += hash; /* a sum has no order */
                return 0;
        }
        listing->completed_hash += hash;
        return listing->with_ended ? add_ended(listing, build, hash) : 0;
}

/* What ended matters only to records that are in use and not known to be leaked. */
static bool all_known(const BuildWatch *watch, const IdSet *in_use) {
        for (size_t i = 0; i < in_use->n; i++) {
                const LeakedRecord key = { .id_hash = in_use->v[i] };

                if (!watch || watch->n_leaked == 0 ||
                    !bsearch(&key, watch->leaked, watch->n_leaked, sizeof(key), compare_leaked))
                        return false;
        }
        return true;
}

static int compare_ended(const void *a, const void *b) {
        const EndedBuild *x = a, *y = b;

        return (x->completed_nsec < y->completed_nsec) - (x->completed_nsec > y->completed_nsec);
}

static int list_builds(Docker *docker, BuildWatch *watch, Listing *listing, Diag *reterr_diag) {
        Builds *builds = listing->builds;
        BuildList which = listing->with_ended || !all_known(watch, &builds->in_use)
                                  ? BUILDS_ALL
                                  : BUILDS_RUNNING;
        int r = docker_builds(docker, which, on_build, listing, reterr_diag);

        if (r < 0) /* the list is not whole */
                forget_ended(builds);
        else if (builds->n_ended > 0)
                qsort(builds->ended, builds->n_ended, sizeof(*builds->ended), compare_ended);
        if (r < 0 || !listing->with_ended || !watch)
                return r;
        id_set_sort(&listing->still_read);
        id_set_done(&watch->steps_read);
        watch->steps_read = listing->still_read;
        listing->still_read = (IdSet){ 0 };
        return r;
}

int builds_observe(Docker *docker, const EngineInfo *engine, BuildWatch *watch, uint64_t begin_usec,
                   bool with_ended, Builds *builds) {
        cleanup(listing_done) Listing listing = {
                .builds = builds,
                .watch = watch,
                .with_ended = with_ended,
        };
        Diag diag = DIAG_NULL;
        int r = -EOPNOTSUPP;

        if (engine->api_minor >= API_MINOR_HISTORY)
                r = list_builds(docker, watch, &listing, &diag);
        if (r == -ECANCELED || r == -ENOMEM)
                return r;

        builds->history = r >= 0;
        if (r < 0)
                builds->n_running = builds->running_hash = 0;
        if (r < 0 && r != -EOPNOTSUPP)
                snprintf(builds->unknown, sizeof(builds->unknown), "%s", diag_text(&diag, r));
        return watch ? builds_judge(watch, listing.completed_hash, begin_usec, now_boottime_usec(),
                                    builds)
                     : 0;
}
