/* SPDX-License-Identifier: MIT */

/*
 * The trap is a memory that could not be read at the start: what is written from an empty one would wipe
 * what is stored, so nothing is until it was read; and without the ages of images none is removed, while
 * the build cache, which needs none, is held to its size.
 */

#include "janitor/memory.h"

#include "base/span.h"
#include "base/text.h"
#include "janitor/seen.h"

void memory_done(Memory *memory) {
        seen_images_done(&memory->seen);
        suspects_done(&memory->suspects);
        build_watch_done(&memory->builds);
        known_mounts_done(&memory->known_mounts);
        *memory = (Memory){ 0 };
}

void memory_store_failed(Memory *memory, int error, const Diag *diag) {
        if (error < 0 && !memory->store_diag.text[0])
                diag_format(&memory->store_diag, "%s", diag_text(diag, error));
}

/* All or nothing. */
static int recall(Memory *memory, Diag *reterr_diag) {
        cleanup(seen_images_done) SeenImages seen = { 0 };
        AgeClock clock;
        int r;

        r = boot_id_read(memory->boot_id);
        if (r < 0)
                return diag_set(reterr_diag, r, "cannot read the kernel's boot id: %s",
                                error_text(r));
        r = store_read_clock(memory->store, &clock, reterr_diag);
        if (r >= 0)
                r = store_read_seen(memory->store, &seen, reterr_diag);
        if (r < 0)
                return r;
        seen_images_done(&memory->seen);
        memory->seen = seen;
        seen = (SeenImages){ 0 };
        memory->clock = clock;
        memory->loaded = true;
        return 0;
}

int memory_load(Store *store, Memory *ret, Diag *reterr_diag) {
        *ret = (Memory){
                .store = store,
                .sampled_age_sec = -1,
                .trimmed_age_sec = -1,
                .full_sec = -1,
                .spared_age_sec = -1,
        };
        return recall(ret, reterr_diag);
}

int memory_save(Memory *memory, Diag *reterr_diag) {
        int r;

        if (!memory->loaded)
                return 0;
        r = store_write_seen(memory->store, &memory->seen, reterr_diag);
        return r < 0 ? r : store_write_clock(memory->store, &memory->clock, reterr_diag);
}

void memory_refresh(Memory *memory) {
        Suspects suspects = { 0 };
        Diag diag = DIAG_NULL;
        int r = 0;

        if (!memory->loaded)
                r = recall(memory, &diag);
        if (r >= 0)
                r = store_read_suspects(memory->store, &suspects, &diag);
        if (r >= 0) {
                suspects_done(&memory->suspects);
                memory->suspects = suspects;
                r = named_images_prepare(&memory->suspects.images);
        }
        memory_store_failed(memory, r, &diag);
}

int64_t memory_age_sec(Memory *memory, uint64_t wall_usec) {
        return ageclock_advance(&memory->clock, memory->boot_id, now_boottime_usec(), wall_usec);
}

int memory_note_images(Memory *memory, const Inventory *inventory, const Config *config,
                       int64_t age_sec) {
        bool changed = false;
        int r;

        r = seen_update(&memory->seen, inventory, config, age_sec, &changed);
        memory->changed |= changed;
        return r;
}
