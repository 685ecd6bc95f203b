/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The state directory: receipts/ID.json, one a clear, and memory.json. Every write is atomic and
 * durable. A receipt is written before the first name is taken, with every name that is about to
 * go and the outcome "interrupted", and rewritten at the end; so a crash at any point leaves a
 * receipt from which the names can be put back.
 */

#include "base/diag.h"
#include "janitor/receipt.h"

#define RECEIPTS_KEPT 256

/*
 * Open for a daemon's life. state_open() makes the directory (0700) and what is below, and takes a
 * lock so that one daemon at a time uses it: -EBUSY if another does.
 */
typedef struct StateDir StateDir;

int state_open(const char *path, StateDir **ret, Diag *reterr_diag) must_check;
StateDir *state_close(StateDir *state);
DEFINE_CLEANUP(StateDir *, state_close);

/* Writes or replaces receipts/ID.json, durable on return; drops the oldest past RECEIPTS_KEPT. */
int state_write_receipt(StateDir *state, const char *id, const Json *receipt,
                        Diag *reterr_diag) must_check;
/* Reads one back. -ENOENT: there is none of this id; -EBADMSG: the file is damaged. */
int state_read_receipt(StateDir *state, const char *id, Json **ret, Diag *reterr_diag) must_check;
/* Ids of all receipts, oldest first. */
int state_list_receipts(StateDir *state, Strv *ret_ids, Diag *reterr_diag) must_check;

/*
 * What later clears must know: images of which a clear took a name, or which stood in the parent
 * chain of one, and that were still there. A second clear would not see that they are ours.
 */
typedef struct Memory {
        NamedImages images; /* name: the last one known, or "" for a parent */
        bool ever_matched;  /* some image matched [images] match once */
} Memory;

void memory_done(Memory *memory);
static inline void memory_donep(Memory *memory) {
        memory_done(memory);
}

/* A missing file is an empty memory; a damaged one is set aside as memory.json.damaged and told
 * in the diag with return 1. */
int state_read_memory(StateDir *state, Memory *ret, Diag *reterr_diag) must_check;
int state_write_memory(StateDir *state, const Memory *memory, Diag *reterr_diag) must_check;
