/* SPDX-License-Identifier: MIT */

#include "base/path.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

const char *path_name(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

bool path_within(const char *path, const char *directory) {
        size_t n = strlen(directory);

        return strcmp(directory, "/") == 0 ||
               (strncmp(path, directory, n) == 0 && (path[n] == '/' || path[n] == '\0'));
}

/* filepath.Clean, in place, of what is not empty */
void path_clean(char *path) {
        char *start = path + (*path == '/'), *to = start;
        char *floor = start; /* ".." takes nothing away before that */

        for (const char *at = path; *at;) {
                size_t n = strcspn(at, "/");
                bool up = n == 2 && strncmp(at, "..", 2) == 0;

                if (up && to > floor) {
                        while (--to > floor && *to != '/')
                                ;
                } else if (n > 0 && !(n == 1 && *at == '.') && !(up && start > path)) {
                        if (to > start)
                                *to++ = '/';
                        memmove(to, at, n);
                        to += n;
                        if (up)
                                floor = to;
                }
                at += n + (at[n] == '/');
        }
        if (to == path)
                *to++ = '.';
        *to = '\0';
}

/* Drops the middle of a text that is too long. */
static void shorten(char *text, size_t n) {
        static const char dots[] = "[...]";
        size_t begin = PATH_TEXT_BYTES_MAX / 2, end;

        if (n <= PATH_TEXT_BYTES_MAX)
                return;
        end = n - (PATH_TEXT_BYTES_MAX - begin - strlen(dots));
        while (((unsigned char)text[begin] & 0xc0) == 0x80) /* within a character */
                begin--;
        while (((unsigned char)text[end] & 0xc0) == 0x80)
                end++;
        memmove(text + begin + strlen(dots), text + end, n - end + 1);
        memcpy(text + begin, dots, strlen(dots));
}

char *path_text(const char *path) {
        char *text = malloc(4 * strlen(path) + 1), *to = text;

        if (!text)
                return NULL;
        while (*path) {
                size_t bad = text_unprintable(path), n = utf8_length(path);
                unsigned char first = (unsigned char)*path;

                if (first == '\n' || first == '\t' || first == '\\') {
                        to = stpcpy(to, first == '\n' ? "\\n" : first == '\t' ? "\\t" : "\\\\");
                        path++;
                } else if (bad > 0) {
                        to += sprintf(to, "\\x%02x", first);
                        path++;
                } else {
                        to = mempcpy(to, path, n);
                        path += n;
                }
        }
        *to = '\0';
        shorten(text, (size_t)(to - text));
        return text;
}

int path_printable(const char *path, Diag *reterr_diag) {
        for (const char *c = path; *c; c += utf8_length(c))
                if (text_unprintable(c) > 0) {
                        cleanup_free char *text = path_text(path);

                        return diag_set(reterr_diag, -EINVAL,
                                        "%s: its path has a control character", text ?: "");
                }
        return 0;
}
