/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the worker keeps from one job to the next. The store may fail while the engine answers, and a full
 * disk is when policy matters most: jobs go on with what is in memory.
 */

#include "base/ageclock.h"
#include "base/diag.h"
#include "janitor/inventory.h"
#include "store/store.h"

typedef struct Memory {
        Store *store;
        bool loaded; /* it could be read; nothing is written before */
        char boot_id[BOOT_ID_MAX];
        AgeClock clock;
        SeenImages seen;
        Suspects suspects;                 /* as last read */
        BuildWatch builds;                 /* of the last observation, a clear's too */
        KnownMounts known_mounts;          /* by all observations so far */
        uint64_t pressure, inode_pressure; /* PolicyNow's */
        size_t n_disks;                    /* that they are of */
        bool changed;                      /* seen by some look, and no poll told it yet */
        bool learned;                      /* a poll asked for the facts of all images it found */
        size_t n_learned;                  /* how many those were */
        int64_t sampled_age_sec;           /* when the last sample was stored; -1: never */
        int64_t trimmed_age_sec;           /* when the store was last trimmed; -1: never */
        int64_t full_sec;                  /* forecast_full_sec() then */
        int64_t spared_age_sec; /* when no record was found to go by its age; -1: some may */
        Diag store_diag;        /* how the store failed, if no poll told it yet */
} Memory;

/*
 * `store` is borrowed. After an error `ret` is an empty memory: looks go on with it, try again to read
 * the store, and write nothing to it until they could.
 */
int memory_load(Store *store, Memory *ret, Diag *reterr_diag) must_check;
/* Writes what is not stored yet; for the end of the daemon. */
int memory_save(Memory *memory, Diag *reterr_diag) must_check;
void memory_done(Memory *memory);

/* Reads what other jobs may have written since, and what could not be read before. */
void memory_refresh(Memory *memory);
/* Age time at `wall_usec`, which is now by CLOCK_REALTIME. */
int64_t memory_age_sec(Memory *memory, uint64_t wall_usec);
/* Brings what is remembered of images up to an inventory: see seen_update(). 0 or -ENOMEM. */
int memory_note_images(Memory *memory, const Inventory *inventory, const Config *config,
                       int64_t age_sec) must_check;
/* A failure of the store is kept until a poll tells it; the first one, which the others follow from.
 * Nothing where `error` is 0. */
void memory_store_failed(Memory *memory, int error, const Diag *diag);
