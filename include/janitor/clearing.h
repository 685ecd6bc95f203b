/* SPDX-License-Identifier: MIT */
#pragma once

/* A clear in progress: what clear.c, which does it, clear-plan.c, which decides, and clear-record.c, which
 * writes down what was done, share. */

#include "janitor/apps.h"
#include "janitor/clear.h"

typedef struct Clear {
        Docker *docker;
        const Config *config;
        Memory *memory;
        Store *store; /* the memory's */
        const ClearOptions *options;
        const Reporter *reporter;
        Receipt *receipt;

        Suspects suspects; /* of earlier clears and of this one */
        bool dirty;        /* they differ from what is stored */
        Inventory inventory;
        ClearPlan plan;
        Strv first;   /* ids of the images that the first look found, sorted */
        bool looked;  /* there was a first look */
        Strv kept;    /* ids of the images whose names were kept, sorted */
        bool no_room; /* of any plan so far */
        /* While it is judged: the names that this clear took, or would take. Borrowed. */
        const NamedImages *taken;
        AppsLook apps;
        AppsWork apps_work;
        ContainerSet containers; /* as the inventory's, where only applications are cleared */
        bool no_engine;          /* then there is none that would run containers */
        uint64_t observe_usec;   /* what the last observation took */
        bool local;              /* a failure was ours */

        /* How the store failed, or "": what earlier clears left, and this clear's receipt before its
         * last round. */
        Diag not_read, not_recorded;
        int store_error;  /* the last failure's, not reset after a success: see those two first */
        bool prune_first; /* of a plan: the receipt waits for room that its build cache takes */
} Clear;

/* Whether it has to do with Docker's caches, and with applications'. */
static inline bool clears_docker(const Clear *clear) {
        return clear->options->target & TARGET_DOCKER;
}

static inline bool clears_apps(const Clear *clear) {
        return clear->options->target & TARGET_APPS && clear->config->apps.n > 0;
}

static inline ContainerSet *containers_of(Clear *clear) {
        return clears_docker(clear) ? &clear->inventory.containers : &clear->containers;
}

/* Whether a build runs, or may run, that this clear has to wait for. */
bool clear_waits_for_build(const Clear *clear);
/*
 * Brings the memory of images up to the last look. When others last tagged an image is known exactly before the
 * janitor tags it, and which of its tags are the janitor's right after: later nobody could tell. 0 or -ENOMEM.
 */
int clear_note_images(Clear *clear) must_check;
/* Decides on the inventory of the last look, in the light of the plans before it. The first also asks the
 * engine whether images that are to lose their names were tagged since the clear was asked for. */
int clear_plan_docker(Clear *clear, Diag *reterr_diag) must_check;
int clear_plan(Clear *clear) must_check;
/* Adds notes on names that were deleted, kept or got no rollback tag. `last` is the plan of the final
 * observation. */
int clear_image_notes(const Clear *clear, const ClearPlan *last, Strv *notes) must_check;
/* Reads which images earlier clears took names from, and adds them to clear->suspects. Where the store
 * fails, clear->not_read tells how, and record_ahead() tries again. 0 or -ENOMEM. */
int record_recall(Clear *clear) must_check;
/*
 * Written before the first name goes: every name and replaced rollback tag, and the first caches, that may
 * be gone after a crash.
 * 1: they are stored. 0: the store failed, clear->not_recorded tells how; no name may be taken then.
 */
int record_ahead(Clear *clear) must_check;
/*
 * For a plan: tells by a write that changes nothing whether record_ahead() will be able to store a receipt,
 * as record_ahead() does.
 */
int record_test(Clear *clear) must_check;
/* Where a receipt lacks room now: whether removing the planned build cache may make it, since it is on the
 * same file system. */
int prune_may_make_room(const Clear *clear, const ClearPlan *plan, bool *ret,
                        Diag *reterr_diag) must_check;
/* Writes the receipt as `json` says it. 0; -ENOMEM, also where `json` is NULL, with nothing written or kept;
 * on any other error the store keeps it in memory. */
int clear_store_receipt(Clear *clear, const Json *json, Diag *reterr_diag) must_check;
/* Writes the suspects if they differ from what is stored. Without knowing what is stored, nothing is
 * written in its place. */
int clear_write_suspects(Clear *clear, Diag *reterr_diag) must_check;
/* How a store that failed is mended ("make room in DIR …, then clear again"), malloc'ed; NULL: out of
 * memory. */
char *clear_store_remedy(const Clear *clear) must_check;
/* Names the state directory where it kept this clear from what it was asked for. */
int clear_store_remaining(const Clear *clear, RemainingList *remaining) must_check;
/* Judges the last look, and completes the receipt. Where it can't be stored now, the store keeps it, and
 * a note of the receipt says so. */
int record_outcome(Clear *clear) must_check;
/* After a failure the receipt tells how far it came; a failure to write it adds to the first. */
void record_failure(Clear *clear, int error, Diag *reterr_diag);
/* What the plan of the last look would do, and what would be left then (type Plan). */
int record_plan(Clear *clear, Json **ret, Diag *reterr_diag) must_check;
