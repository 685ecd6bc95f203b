/* SPDX-License-Identifier: MIT */

#include "base/strv.h"

#include <ctype.h>
#include <string.h>

#define BLANKS " \t"

/* Room is doubled whenever the count is a power of two, so it needs no field of its own; after
 * removals by hand it is only ever larger than this reckons. */
int strv_addn(Strv *list, const char *text, size_t n) {
        char *copy;

        if ((list->n & (list->n - 1)) == 0) {
                char **grown = reallocarray(list->v, list->n ? 2 * list->n : 1, sizeof *grown);

                if (!grown)
                        return -ENOMEM;
                list->v = grown;
        }
        copy = strndup(text, n);
        if (!copy)
                return -ENOMEM;
        list->v[list->n++] = copy;
        return 0;
}

int strv_add(Strv *list, const char *text) {
        return strv_addn(list, text, strlen(text));
}

int strv_split(Strv *list, const char *text) {
        size_t before = list->n;

        for (;;) {
                size_t length = strcspn(text, ","), blanks = strspn(text, BLANKS), n = length;

                while (n > blanks && strchr(BLANKS, text[n - 1]))
                        n--;
                if (n > blanks && strv_addn(list, text + blanks, n - blanks) < 0) {
                        while (list->n > before)
                                free(list->v[--list->n]);
                        return -ENOMEM;
                }
                if (text[length] == '\0')
                        return 0;
                text += length + 1;
        }
}

int strv_copy(Strv *ret_list, const Strv *list) {
        cleanup(strv_done) Strv copy = STRV_NULL;

        for (size_t i = 0; i < list->n; i++)
                if (strv_add(&copy, list->v[i]) < 0)
                        return -ENOMEM;
        *ret_list = copy;
        copy = STRV_NULL;
        return 0;
}

bool strv_contains(const Strv *list, const char *text) {
        for (size_t i = 0; i < list->n; i++)
                if (strcmp(list->v[i], text) == 0)
                        return true;
        return false;
}

bool strv_equal(const Strv *a, const Strv *b) {
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (strcmp(a->v[i], b->v[i]) != 0)
                        return false;
        return true;
}

static int compare(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(Strv *list) {
        if (list->n > 1)
                qsort(list->v, list->n, sizeof *list->v, compare);
}

void strv_unique(Strv *list) {
        size_t n = 0;

        for (size_t i = 0; i < list->n; i++) {
                if (n > 0 && strcmp(list->v[n - 1], list->v[i]) == 0)
                        free(list->v[i]);
                else
                        list->v[n++] = list->v[i];
        }
        list->n = n;
}

bool strv_sorted_contains(const Strv *list, const char *text) {
        return list->n > 0 && bsearch(&text, list->v, list->n, sizeof *list->v, compare) != NULL;
}

void strv_done(Strv *list) {
        for (size_t i = 0; i < list->n; i++)
                free(list->v[i]);
        free(list->v);
        *list = STRV_NULL;
}

#define NEAREST_MAX 64

static bool same(char a, char b) {
        return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Insertions, deletions, replacements, and swaps of neighbours; case is no difference. */
static size_t edit_distance(const char *a, size_t a_n, const char *b, size_t b_n) {
        size_t rows[3][NEAREST_MAX + 1];
        size_t *before = rows[0], *above = rows[1], *row = rows[2];

        for (size_t k = 0; k <= b_n; k++)
                row[k] = k;
        for (size_t i = 1; i <= a_n; i++) {
                size_t *spare = before;

                before = above;
                above = row;
                row = spare;
                row[0] = i;
                for (size_t k = 1; k <= b_n; k++) {
                        size_t best = above[k - 1] + !same(a[i - 1], b[k - 1]);

                        best = MIN(best, above[k] + 1);
                        best = MIN(best, row[k - 1] + 1);
                        if (i > 1 && k > 1 && same(a[i - 1], b[k - 2]) && same(a[i - 2], b[k - 1]))
                                best = MIN(best, before[k - 2] + 1);
                        row[k] = best;
                }
        }
        return row[b_n];
}

const char *strv_nearest(const char *text, const char *const *candidates, size_t n_candidates) {
        const char *nearest = NULL;
        size_t n = strlen(text), least = SIZE_MAX;

        if (n == 0 || n > NEAREST_MAX)
                return NULL;
        for (size_t i = 0; i < n_candidates; i++) {
                size_t length = strlen(candidates[i]), distance;

                if (length > NEAREST_MAX)
                        continue;
                distance = edit_distance(text, n, candidates[i], length);
                /* a beginning of three letters or more is meant as such: "prot" for "protect" */
                if (n >= 3 && n < length && strncasecmp(text, candidates[i], n) == 0)
                        distance = 1;
                if (distance <= MAX((size_t)1, MAX(n, length) / 3) && distance < least) {
                        nearest = candidates[i];
                        least = distance;
                }
        }
        return nearest;
}

char *strv_join(const Strv *list, const char *separator) {
        size_t n_separator = strlen(separator), n = 1;
        char *text, *end;

        for (size_t i = 0; i < list->n; i++)
                n += strlen(list->v[i]) + n_separator;
        text = malloc(n);
        if (!text)
                return NULL;
        end = text;
        *end = '\0';
        for (size_t i = 0; i < list->n; i++) {
                if (i > 0)
                        end = stpcpy(end, separator);
                end = stpcpy(end, list->v[i]);
        }
        return text;
}
