/* SPDX-License-Identifier: MIT */

/*
 * A rollback never takes a name from anybody: what a deploy has named since the clear stays named.
 * An image that the clear deleted, as it announced, can't come back: its name is skipped like the
 * others, but marked, since that is no failure of the rollback.
 */

#include <string.h>

#include "docker/name.h"
#include "janitor/inventory.h"
#include "janitor/rollback.h"

typedef struct Rollback {
        Docker *docker;
        Json *restored, *skipped;
} Rollback;

/* What is to be put back. */
typedef struct Wanted {
        const char *name, *id;
        bool deleted;
} Wanted;

static int skip(Rollback *rollback, const Wanted *wanted, const char *reason) {
        cleanup(json_free) Json *entry = json_new_object();
        int r;

        r = json_add_string(entry, "name", wanted->name);
        r |= json_add_string(entry, "imageId", wanted->id);
        r |= json_add_string(entry, "reason", reason);
        if (wanted->deleted)
                r |= json_add_bool(entry, "deleted", true);
        return r < 0 ? -ENOMEM : json_add(rollback->skipped, NULL, TAKE_PTR(entry));
}

/* Puts the name on its image where no image has it. -ENOENT: the image is gone. */
static int restore_name(Rollback *rollback, const Wanted *wanted, Diag *reterr_diag) {
        const char *tag = name_tag(wanted->name);
        cleanup_free char *repository = NULL;

        repository = strndup(wanted->name, name_repository_length(wanted->name));
        if (!repository)
                return -ENOMEM;
        return tag ? docker_tag(rollback->docker, wanted->id, repository, tag, reterr_diag)
                   : -ENOENT;
}

/* Where the engine fails at one name, the names after it still have their turn. */
static int restore(Rollback *rollback, const Wanted *wanted, Diag *reterr_diag) {
        cleanup(image_detail_done) ImageDetail now = { 0 };
        cleanup(json_free) Json *entry = NULL;
        Diag diag = DIAG_NULL;
        int r;

        r = docker_image(rollback->docker, wanted->name, &now, &diag);
        if (r >= 0 && strcmp(now.id, wanted->id) != 0)
                return skip(rollback, wanted, "it names another image by now");
        if (r == -ENOENT) {
                r = restore_name(rollback, wanted, &diag);
                if (r == -ENOENT)
                        return skip(rollback, wanted,
                                    wanted->deleted ? "the clear deleted the image and said so"
                                                    : "the image is gone");
        }
        if (failure_is_of_object(r))
                return skip(rollback, wanted, diag_text(&diag, r));
        if (r < 0) {
                if (reterr_diag)
                        *reterr_diag = diag;
                return r;
        }
        entry = json_new_object();
        r = json_add_string(entry, "name", wanted->name);
        r |= json_add_string(entry, "imageId", wanted->id);
        return r < 0 ? -ENOMEM : json_add(rollback->restored, NULL, TAKE_PTR(entry));
}

static int took_names(void *userdata, const Run *run) {
        char *id = userdata;

        if (!run->took_names)
                return 0;
        strcpy(id, run->id);
        return 1;
}

/* Where the store fails, its own reason does not say what it was read for. */
static int unreadable(int error, Diag *reterr_diag) {
        return error == -ENOMEM ? error : diag_wrap(reterr_diag, error, "receipts cannot be read");
}

static int read_receipt(Store *store, const char *id, Json **ret, Diag *reterr_diag) {
        char newest[RUN_ID_MAX] = "";
        int r;

        if (!id) {
                r = store_list_runs(store, "clear", 0, SIZE_MAX, took_names, newest, reterr_diag);
                if (r < 0)
                        return unreadable(r, reterr_diag);
                if (!newest[0])
                        return diag_set(reterr_diag, -ENOENT, "no receipt took a name away");
                id = newest;
        }
        r = store_read_run(store, id, ret, reterr_diag);
        if (r == -ENOENT)
                return diag_set(reterr_diag, r, "there is no receipt %s", id);
        if (r < 0 && r != -EBADMSG)
                return unreadable(r, reterr_diag);
        if (r >= 0 && !json_get(*ret, "names"))
                return diag_set(reterr_diag, -ENOENT, "run %s is no clear and has no receipt", id);
        /* One that failed may have come to none: to make good for it there is nothing to do. */
        if (r >= 0 && json_size(json_get(*ret, "names")) == 0 &&
            strcmp(json_get_string(*ret, "outcome", ""), "failed") != 0)
                return diag_set(reterr_diag, -ENOENT, "receipt %s took no names away", id);
        return r;
}

int rollback_run(Docker *docker, Store *store, const char *id, Json **ret, bool *reterr_local,
                 Diag *reterr_diag) {
        cleanup(json_free) Json *receipt = NULL, *reply = json_new_object();
        Rollback rollback = { .docker = docker };
        int r;

        r = read_receipt(store, id, &receipt, reterr_diag);
        if (r < 0) {
                *reterr_local = true;
                return r;
        }

        rollback.restored = json_new_array();
        rollback.skipped = json_new_array();
        json_foreach (entry, json_get(receipt, "names")) {
                Wanted wanted = {
                        .name = json_get_string(entry, "name", NULL),
                        .id = json_get_string(entry, "imageId", NULL),
                        .deleted = json_get_bool(entry, "deleted", false),
                };

                if (!wanted.name || !wanted.id)
                        r = diag_set(reterr_diag, -EBADMSG, "receipt %s is damaged",
                                     json_get_string(receipt, "id", "?"));
                else
                        r = restore(&rollback, &wanted, reterr_diag);
                if (r < 0)
                        break;
        }
        if (r >= 0)
                r = json_add_string(reply, "receipt", json_get_string(receipt, "id", "?"));
        if (r >= 0)
                r = json_add(reply, "restored", TAKE_PTR(rollback.restored));
        if (r >= 0)
                r = json_add(reply, "skipped", TAKE_PTR(rollback.skipped));
        json_free(rollback.restored);
        json_free(rollback.skipped);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(reply);
        return 0;
}
