/* SPDX-License-Identifier: MIT */

/*
 * The state directory. The store of the history will take the receipts over; until then they are
 * files, which an operator can read with cat and a crash can't tear.
 */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/io.h"
#include "janitor/state.h"

#define RECEIPT_BYTES_MAX (16U * 1024U * 1024U)
#define MEMORY_FILE "memory.json"

struct StateDir {
        int fd, receipts_fd, lock_fd;
};

StateDir *state_close(StateDir *state) {
        if (state) {
                cleanup_closep(&state->fd);
                cleanup_closep(&state->receipts_fd);
                cleanup_closep(&state->lock_fd);
                free(state);
        }
        return NULL;
}

int state_open(const char *path, StateDir **ret, Diag *reterr_diag) {
        cleanup(state_close) StateDir *state = malloc(sizeof(*state));
        int r;

        if (!state)
                return -ENOMEM;
        *state = (StateDir){ -EBADF, -EBADF, -EBADF };

        r = mkdir_parents(path, 0700);
        if (r < 0)
                return diag_set(reterr_diag, r, "cannot make the state directory %s: %s", path,
                                strerror(-r));
        state->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (state->fd < 0)
                return diag_set(reterr_diag, -errno, "cannot open the state directory %s: %s", path,
                                strerror(errno));
        state->lock_fd = openat(state->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (state->lock_fd < 0)
                return diag_set(reterr_diag, -errno, "cannot write to the state directory %s: %s",
                                path, strerror(errno));
        if (flock(state->lock_fd, LOCK_EX | LOCK_NB) < 0)
                return diag_set(reterr_diag, errno == EWOULDBLOCK ? -EBUSY : -errno,
                                "another wpcached uses the state directory %s", path);
        if (mkdirat(state->fd, "receipts", 0700) < 0 && errno != EEXIST)
                return diag_set(reterr_diag, -errno, "cannot make %s/receipts: %s", path,
                                strerror(errno));
        state->receipts_fd =
                openat(state->fd, "receipts", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (state->receipts_fd < 0)
                return diag_set(reterr_diag, -errno, "cannot open %s/receipts: %s", path,
                                strerror(errno));
        *ret = TAKE_PTR(state);
        return 0;
}

static void receipt_file_name(char name[static RECEIPT_ID_MAX + 8], const char *id) {
        snprintf(name, RECEIPT_ID_MAX + 8, "%s.json", id);
}

/* Receipts are rewritten, so the oldest ones are dropped only when a new one came, and never that
 * one, which sorts first after the clock was set back. */
static int drop_old_receipts(StateDir *state, const char *id, Diag *reterr_diag) {
        cleanup(strv_done) Strv ids = STRV_NULL;
        int r;

        r = state_list_receipts(state, &ids, reterr_diag);
        if (r < 0)
                return r;
        for (size_t i = 0; i + RECEIPTS_KEPT < ids.n; i++) {
                char name[RECEIPT_ID_MAX + 8];

                if (strcmp(ids.v[i], id) == 0)
                        continue;
                receipt_file_name(name, ids.v[i]);
                if (unlinkat(state->receipts_fd, name, 0) < 0 && errno != ENOENT)
                        return diag_set(reterr_diag, -errno, "cannot remove old receipt %s: %s",
                                        name, strerror(errno));
        }
        return 0;
}

static int write_json(int dir_fd, const char *name, const Json *json, Diag *reterr_diag) {
        cleanup_free char *text = json ? json_text_pretty(json) : NULL;
        int r;

        if (!text)
                return -ENOMEM;
        r = file_write_atomic(dir_fd, name, text, strlen(text), 0600);
        if (r < 0)
                return diag_set(reterr_diag, r, "cannot write %s in the state directory: %s", name,
                                strerror(-r));
        return 0;
}

int state_write_receipt(StateDir *state, const char *id, const Json *receipt, Diag *reterr_diag) {
        char name[RECEIPT_ID_MAX + 8];
        bool fresh;
        int r;

        receipt_file_name(name, id);
        fresh = faccessat(state->receipts_fd, name, F_OK, 0) < 0;
        r = write_json(state->receipts_fd, name, receipt, reterr_diag);
        if (r < 0 || !fresh)
                return r;
        return drop_old_receipts(state, id, reterr_diag);
}

int state_read_receipt(StateDir *state, const char *id, Json **ret, Diag *reterr_diag) {
        char name[RECEIPT_ID_MAX + 8];
        cleanup_free char *text = NULL;
        size_t n;
        int r;

        if (!receipt_id_valid(id))
                return diag_set(reterr_diag, -ENOENT, "'%s' is no receipt's id", id);
        receipt_file_name(name, id);
        r = file_read(state->receipts_fd, name, RECEIPT_BYTES_MAX, &text, &n);
        if (r == -ENOENT)
                return diag_set(reterr_diag, r, "there is no receipt %s", id);
        if (r < 0)
                return diag_set(reterr_diag, r, "cannot read receipt %s: %s", id, strerror(-r));
        r = json_parse(text, n, ret);
        if (r < 0)
                return diag_set(reterr_diag, r, "receipt %s is damaged", id);
        return 0;
}

int state_list_receipts(StateDir *state, Strv *ret_ids, Diag *reterr_diag) {
        cleanup(strv_done) Strv ids = STRV_NULL;
        struct dirent *entry;
        DIR *dir;
        int fd, r = 0;

        fd = openat(state->receipts_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir) {
                r = -errno;
                cleanup_closep(&fd);
                return diag_set(reterr_diag, r, "cannot list the receipts: %s", strerror(-r));
        }
        while (errno = 0, (entry = readdir(dir))) {
                char id[RECEIPT_ID_MAX];
                size_t n = strlen(entry->d_name);

                if (n < 6 || n - 5 >= sizeof(id) || strcmp(entry->d_name + n - 5, ".json") != 0)
                        continue;
                memcpy(id, entry->d_name, n - 5);
                id[n - 5] = '\0';
                if (!receipt_id_valid(id))
                        continue;
                r = strv_add(&ids, id);
                if (r < 0)
                        break;
        }
        if (r == 0 && errno != 0)
                r = diag_set(reterr_diag, -errno, "cannot list the receipts: %s", strerror(errno));
        closedir(dir);
        if (r < 0)
                return r;
        strv_sort(&ids); /* ids begin with their time */
        *ret_ids = ids;
        ids = STRV_NULL;
        return 0;
}

void memory_done(Memory *memory) {
        named_images_done(&memory->images);
        *memory = (Memory){ 0 };
}

static int memory_parse(const char *text, size_t n, Memory *ret) {
        cleanup(memory_done) Memory memory = { 0 };
        cleanup(json_free) Json *json = NULL;
        int r;

        r = json_parse(text, n, &json);
        if (r < 0)
                return r;
        memory.ever_matched = json_get_bool(json, "everMatched", false);
        json_foreach (entry, json_get(json, "images")) {
                r = named_images_add(&memory.images, json_get_string(entry, "name", ""),
                                     json_get_string(entry, "imageId", ""));
                if (r < 0)
                        return r;
        }
        *ret = memory;
        memory = (Memory){ 0 };
        return 0;
}

int state_read_memory(StateDir *state, Memory *ret, Diag *reterr_diag) {
        cleanup_free char *text = NULL;
        size_t n;
        int r;

        *ret = (Memory){ 0 };
        r = file_read(state->fd, MEMORY_FILE, RECEIPT_BYTES_MAX, &text, &n);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return diag_set(reterr_diag, r, "cannot read %s in the state directory: %s",
                                MEMORY_FILE, strerror(-r));
        r = memory_parse(text, n, ret);
        if (r >= 0 || r == -ENOMEM)
                return r;
        if (renameat(state->fd, MEMORY_FILE, state->fd, MEMORY_FILE ".damaged") < 0)
                return diag_set(reterr_diag, -errno, "%s is damaged and cannot be set aside: %s",
                                MEMORY_FILE, strerror(errno));
        return diag_set(reterr_diag, 1,
                        "%s was damaged and is set aside as %s.damaged: images that earlier clears "
                        "took a name from are not known any more",
                        MEMORY_FILE, MEMORY_FILE);
}

int state_write_memory(StateDir *state, const Memory *memory, Diag *reterr_diag) {
        cleanup(json_free) Json *json = json_new_object();
        int r;

        r = json_add_bool(json, "everMatched", memory->ever_matched);
        r |= json_add(json, "images", named_images_json(&memory->images));
        if (r < 0)
                return -ENOMEM;
        return write_json(state->fd, MEMORY_FILE, json, reterr_diag);
}
