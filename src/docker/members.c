/* SPDX-License-Identifier: MIT */

/*
 * A value is kept whole, skipped whole, or selected from. Only what is selected from has a level; the
 * masks of a level say which of the wanted paths have led to it so far.
 */

#include "docker/members.h"

#include <stdio.h>
#include <string.h>

#define BRACKETS_MAX 16 /* written past `max`, to close what is open */

void members_done(Members *members) {
        free(members->text);
}

void members_reset(Members *members) {
        members->mode = MEMBERS_SELECT;
        members->n_levels = 0;
        members->n = 0;
        members->member[0] = members->defect[0] = '\0';
}

static int append(Members *members, const char *text, size_t n) {
        if (members->n + n > members->size) {
                size_t size = MAX(members->n + n, MAX(members->size * 2, (size_t)512));
                char *grown;

                size = MIN(size, members->max + BRACKETS_MAX);
                grown = realloc(members->text, size);
                if (!grown)
                        return -ENOMEM;
                members->text = grown;
                members->size = size;
        }

        memcpy(members->text + members->n, text, n);
        members->n += n;
        return 0;
}

void members_spoil(Members *members, const char *why) {
        bool inside = members->n_levels > 0;

        if (!members->defect[0])
                snprintf(members->defect, sizeof(members->defect), "%s%s%s",
                         inside ? members->member : "it", " ", why);
        members->mode = MEMBERS_SKIP;
        members->mode_depth = inside;
        members->n = inside ? members->member_begin : 0;
        members->n_levels = inside;
        if (inside)
                members->levels[0].n--;
}

int members_copy(Members *members, const char *text, size_t n) {
        if (members->mode == MEMBERS_SKIP)
                return 0;
        if (n > members->max - MIN(members->max, members->n)) {
                char why[64];

                snprintf(why, sizeof(why), "is longer than %zu bytes", members->max);
                members_spoil(members, why);
                return 0;
        }

        return append(members, text, n);
}

/* Of the paths in `mask`, those whose component of this number is `key`; `ret_whole`: one ends so. */
static uint32_t match(const Members *members, uint32_t mask, unsigned component, const char *key,
                      size_t n_key, bool *ret_whole) {
        uint32_t matched = 0;

        *ret_whole = false;
        for (unsigned i = 0; members->keep[i]; i++) {
                const char *p = members->keep[i];
                size_t n;

                if (!(mask >> i & 1))
                        continue;
                for (unsigned j = 0; j < component; j++)
                        p = strchr(p, '/') + 1;
                n = strcspn(p, "/");
                if (n != n_key || memcmp(p, key, n) != 0)
                        continue;
                matched |= UINT32_C(1) << i;
                *ret_whole |= p[n] == '\0';
        }

        return matched;
}

static void skip(Members *members, unsigned depth) {
        members->mode = MEMBERS_SKIP;
        members->mode_depth = depth;
}

static void keep_whole(Members *members, unsigned depth) {
        members->mode = MEMBERS_KEEP;
        members->mode_depth = depth;
}

static int select_from(Members *members, uint32_t mask, unsigned component, char c) {
        members->levels[members->n_levels++] = (MembersLevel){
                .mask = mask,
                .component = component,
                .array = c == '[',
        };
        return members_copy(members, &c, 1);
}

/* Writes what stands before a value in its container. */
static int write_name(Members *members, MembersLevel *level, const char *key, size_t n_key) {
        if (level == members->levels) {
                size_t n = MIN(n_key, sizeof(members->member) - 1);

                members->member_begin = members->n;
                memcpy(members->member, key, n);
                members->member[n] = '\0';
        }
        if (level->n++ > 0 && members_copy(members, ",", 1) < 0)
                return -ENOMEM;
        if (level->array)
                return 0;
        if (members_copy(members, "\"", 1) < 0 || members_copy(members, key, n_key) < 0)
                return -ENOMEM;
        return members_copy(members, "\":", 2);
}

int members_begin(Members *members, unsigned depth, char c, const char *key, size_t n_key) {
        bool container = c == '{' || c == '[', whole = false;
        MembersLevel *level;
        uint32_t mask;
        int r;

        if (members->mode != MEMBERS_SELECT)
                return 0;
        if (depth == 0) {
                if (members->keep && c == '{')
                        return select_from(members, UINT32_MAX, 0, c);
                keep_whole(members, depth);
                return 0;
        }

        level = &members->levels[members->n_levels - 1];
        mask = level->array ? level->mask
                            : match(members, level->mask, level->component, key, n_key, &whole);
        if (!mask) {
                skip(members, depth);
                return 0;
        }
        r = write_name(members, level, key, n_key);
        if (r < 0 || members->mode == MEMBERS_SKIP)
                return r;
        if (!level->array && level->seen & mask) {
                members_spoil(members, "is there twice");
                return 0;
        }
        if (!level->array)
                level->seen |= mask;
        if (whole || !container || members->n_levels == MEMBERS_LEVELS_MAX) {
                keep_whole(members, depth);
                return 0;
        }
        return select_from(members, mask, level->component + !level->array, c);
}

int members_end(Members *members, unsigned depth, char c) {
        if (members->mode != MEMBERS_SELECT) {
                if (members->mode_depth == depth)
                        members->mode = MEMBERS_SELECT;
                return 0;
        }

        /* What is open has its bracket whatever the limit. */
        members->n_levels--;
        return append(members, &c, 1);
}
