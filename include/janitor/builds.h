/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which builds of BuildKit run, and which records of its cache are in use by none of them.
 *
 * A record in use is the sign of a running build, but the engine can lose count: 29 keeps records of a
 * build that failed in COPY or was cancelled in use until it restarts, and 20.10 was seen to keep one.
 * Such records are called leaked here. They can't be pruned, and waiting for them is in vain.
 */

#include "docker/history.h"

/* Ids by their text_hash(), sorted, each once. */
typedef struct IdSet {
        uint64_t *v;
        size_t n, size;
} IdSet;

bool id_set_contains(const IdSet *set, const char *id);
/* In any order; builds_judge() sorts them. */
int id_set_add(IdSet *set, const char *id) must_check;
void id_set_done(IdSet *set);
static inline void id_set_donep(IdSet *set) {
        id_set_done(set);
}

/* A build that has ended, and whose steps were not read yet: see janitor/build-steps.h. */
typedef struct EndedBuild {
        char ref[BUILD_REF_MAX];
        int64_t completed_nsec;
        Strv images; /* ids of those that it made; empty where it failed */
} EndedBuild;

/* What one observation tells. */
typedef struct Builds {
        IdSet in_use;               /* records */
        bool source_in_use;         /* one of them is what a Dockerfile was read from */
        bool history;               /* the engine keeps a build history, and it could be read */
        char unknown[256];          /* why it is not known whether a build runs, or "" */
        size_t n_running;           /* builds, by the history */
        uint64_t running_hash;      /* of them, in any order */
        IdSet leaked;               /* of in_use: no build holds them */
        uint64_t leaked_since_usec; /* CLOCK_BOOTTIME: when the first of them was seen; 0: none */
        EndedBuild *ended;          /* where asked for, the newest first */
        size_t n_ended, ended_size;
} Builds;

/* Hash of everything that indicates a running build: unleaked records in use, running builds, an
 * unreadable history. 0: no build. */
uint64_t builds_held_hash(const Builds *builds);
void builds_done(Builds *builds);

typedef struct LeakedRecord {
        uint64_t id_hash, since_usec;
} LeakedRecord;

/* What is remembered from one observation to the next, across jobs. Zero at first. */
typedef struct BuildWatch {
        bool idle; /* no build ran in the last observation, which the next three are of */
        bool history;
        uint64_t completed_hash; /* of the builds that had ended */
        uint64_t since_usec;     /* when it was over */
        IdSet in_use;
        LeakedRecord *leaked; /* sorted by id_hash */
        size_t n_leaked;
        IdSet steps_read; /* refs of builds whose steps were read, as far as the engine lists them still */
        /* Of the classic builder: containers of steps that were committed and kept (--rm=false). */
        IdSet committed;
} BuildWatch;

void build_watch_done(BuildWatch *watch);
static inline void build_watch_donep(BuildWatch *watch) {
        build_watch_done(watch);
}
/* Later observations leave this build out of `ended`. 0 or -ENOMEM. */
int build_watch_note_read(BuildWatch *watch, const char *ref) must_check;
/* Later observations have all builds in `ended` again. To be called where what the steps told is lost. */
void build_watch_forget_read(BuildWatch *watch);
/* Takes the containers over in place of those of the observation before. */
void build_watch_remember_committed(BuildWatch *watch, IdSet *containers);

/* Two observations that show the same record in use are at least so far apart: BuildKit lets go of a
 * build's records a moment after the build has ended. */
#define LEAK_USEC (2 * USEC_PER_SEC)

/*
 * Judges an observation that began and ended at these times, and remembers it: `in_use` and
 * `source_in_use` are filled in, the history has been asked. A record has leaked if
 *  - with a history: it was in use in two observations LEAK_USEC apart, no build ran in either, and
 *    none ended in between
 *  - without one: it was in use in both, and none of the records in use in either was what a Dockerfile
 *    is read from. A build keeps that in use from its first moments to its end (seen on engines 20.10
 *    and 28.5 with a context that was local, piped or downloaded; a git checkout is held likewise by
 *    BuildKit's source); time alone proves nothing, since one long RUN holds the same records as long
 *    as it takes.
 * It stays leaked until it is no longer in use, also while later builds run. Pure. 0 or -ENOMEM.
 */
int builds_judge(BuildWatch *watch, uint64_t completed_hash, uint64_t begin_usec, uint64_t end_usec,
                 Builds *builds) must_check;

/*
 * Asks the engine's build history and judges. Read after the records: a build that ended in between
 * has let go of them. -ECANCELED and -ENOMEM; any other failure to read the history is told in
 * `unknown`. `watch` may be NULL: then nothing has leaked. `with_ended`: fills in `ended`; then
 * the engine lists all builds, not the running ones alone.
 */
int builds_observe(Docker *docker, const EngineInfo *engine, BuildWatch *watch, uint64_t begin_usec,
                   bool with_ended, Builds *builds) must_check;
