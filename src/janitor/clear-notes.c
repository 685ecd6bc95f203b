/* SPDX-License-Identifier: MIT */

/* What a receipt says of images in words: what stays, and what goes for good. */

#include <stdio.h>

#include "base/text.h"
#include "janitor/clearing.h"

/* Names past this many are counted, not named. */
#define NAMED_MAX 20

/* A note of the names that were collected, or none. */
typedef struct NameNote {
        Strv names; /* the first of them */
        size_t n;
} NameNote;

static inline void name_note_donep(NameNote *note) {
        strv_done(&note->names);
}

static int name_note_add(NameNote *note, const char *name) {
        return note->n++ < NAMED_MAX ? strv_add(&note->names, name) : 0;
}

static int name_note_end(NameNote *note, const char *before, const char *after, Strv *notes) {
        cleanup_free char *joined = NULL, *text = NULL;

        if (note->n == 0)
                return 0;
        if (note->n > NAMED_MAX) {
                char more[48];

                snprintf(more, sizeof(more), "and %zu more", note->n - NAMED_MAX);
                if (strv_add(&note->names, more) < 0)
                        return -ENOMEM;
        }
        joined = strv_join(&note->names, ", ");
        text = joined ? text_format("%s%s%s", before, joined, after) : NULL;
        return text ? strv_add(notes, text) : -ENOMEM;
}

static int add_deleted(const NamedImages *names, NameNote *note) {
        int r = 0;

        for (size_t i = 0; i < names->n && r >= 0; i++)
                if (names->v[i].deleted)
                        r = name_note_add(note, names->v[i].name);
        return r;
}

static int note_deleted(const Receipt *receipt, Strv *notes) {
        cleanup(name_note_done) NameNote note = { 0 };
        int r;

        r = add_deleted(&receipt->names, &note);
        if (r >= 0)
                r = add_deleted(&receipt->replaced_tags, &note);
        return r < 0 ? r : name_note_end(&note, "delete ", " (cannot be rolled back)", notes);
}

static int note_kept(const KeptNames *kept, KeptReason reason, const char *before, Strv *notes) {
        cleanup(name_note_done) NameNote note = { 0 };
        int r = 0;

        for (size_t i = 0; i < kept->n && r >= 0; i++)
                if (kept->v[i].reason == reason)
                        r = name_note_add(&note, kept->v[i].name);
        return r < 0 ? r : name_note_end(&note, before, "", notes);
}

/* An image that nothing runs may be one that a Dockerfile names, although no build was seen to. */
static int note_never_run(const NamedImages *taken, bool deleted, const char *after, Strv *notes) {
        cleanup(name_note_done) NameNote note = { 0 };
        int r = 0;

        for (size_t i = 0; i < taken->n && r >= 0; i++)
                if (taken->v[i].never_run && taken->v[i].deleted == deleted)
                        r = name_note_add(&note, taken->v[i].name);
        return r < 0 ? r : name_note_end(&note, "no container was ever seen of ", after, notes);
}

static int note_all_never_run(const NamedImages *taken, Strv *notes) {
        int r;

        r = note_never_run(
                taken, false,
                ": if a Dockerfile names such an image (FROM, COPY --from), its build fails until "
                "the image is built anew; wpcachectl rollback puts the name back, and [images] "
                "base= keeps it",
                notes);
        return r < 0 ? r
                     : note_never_run(
                               taken, true,
                               " (deleted): if a Dockerfile names such an image (FROM, COPY --from), "
                               "its build fails until the image is built anew; [images] base= keeps it",
                               notes);
}

int clear_image_notes(const Clear *clear, const ClearPlan *last, Strv *notes) {
        int r = 0;

        if (!clear->options->dry_run) { /* a plan lists them */
                r = note_deleted(clear->receipt, notes);
                if (r >= 0)
                        r = note_kept(&last->kept, KEPT_OLDER, "kept: serves no build: ", notes);
                if (r >= 0)
                        r = note_kept(&last->kept, KEPT_BASE, "kept: local base image: ", notes);
                if (r >= 0)
                        r = note_kept(&last->kept, KEPT_COMMIT,
                                      "kept: made by docker commit: ", notes);
        }
        if (r >= 0)
                r = note_all_never_run(clear->taken, notes);
        if (r >= 0 && clear->no_room)
                r = strv_add(notes, "the disk has less free than [disk] min_free: images that are "
                                    "not in use got no rollback tag");
        return r;
}
