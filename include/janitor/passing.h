/* SPDX-License-Identifier: MIT */
#pragma once

/* A policy pass in progress: what pass.c, which plans, prunes and records, and pass-images.c, which removes
 * images, share. */

#include "janitor/look.h"

/* What became of an image of the look. */
typedef enum Fate {
        FATE_UNTOUCHED, /* the plan keeps it, or its turn did not come */
        FATE_CHANGED,   /* it is not what the plan went by, and was left */
        FATE_ROOM,      /* it was left, since the disk has room again */
        FATE_BUILD,     /* it was left, since a classic build may have begun */
        FATE_TRIED,     /* the engine refused, or somebody was faster */
        FATE_TAKEN,     /* the engine says that it removed it */
} Fate;

/*
 * While images are removed, several threads share a pass: each writes the fates of its own images alone and
 * calls pass_say(); all else is only read until the threads have ended.
 */
typedef struct Pass {
        Docker *docker;
        const Config *config;
        Memory *memory;
        const Reporter *reporter;
        TagEvents *tag_events; /* borrowed, or NULL: the engine's events are not heard */

        Look look;
        Fate *fates;              /* one an image of the look */
        Inventory again;          /* the newest look but the first */
        bool looked_again;        /* there is one */
        uint64_t look_again_usec; /* from when on the newest look is too old to remove by */
        bool begun;               /* something was asked of the engine */
        bool spared;              /* a prune to a size deleted nothing */
        bool stopped;             /* before all of the plan had its turn */
        int64_t started_sec;
        Disks before; /* as the first removal began */
        uint64_t n_records, engine_bytes, freed_bytes;
        Json *removed, *left;
        size_t n_left;
} Pass;

static inline bool fate_asked(Fate fate) {
        return fate == FATE_TRIED || fate == FATE_TAKEN;
}

/* 0, or -ENOMEM. */
int printf_like(2, 3) pass_say(const Pass *pass, const char *format, ...) must_check;
/* Says why the rest of the plan does not get its turn. 0, or -ENOMEM. */
int pass_stop(Pass *pass, const char *why) must_check;

/* Dates the first look, which began at `begin_usec` (CLOCK_BOOTTIME). */
void pass_date_look(Pass *pass, uint64_t begin_usec);

/* Looks at the host again, unless that was just done: 1 if nothing builds, 0 if the pass has to end here. */
int pass_may_go_on(Pass *pass, Diag *reterr_diag) must_check;

/* Removes the images of the plan, batch by batch. 0 also where the pass was stopped. */
int pass_remove_images(Pass *pass, Diag *reterr_diag) must_check;
