/* SPDX-License-Identifier: MIT */

/* What is taken is listed, not what is refused: a character nobody thought of is refused, and quoted. */

#include <stdio.h>
#include <string.h>

#include "base/words.h"

/* At the start of a word some shell makes something of others: zsh of '='. */
#define PLAIN_FIRST "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-"

static const char plain[] = PLAIN_FIRST ":=,@%+";

/* Every byte takes four at most ('\''), and a word two more and a blank. */
char *words_quote(const Strv *words) {
        size_t n = 1;
        char *text, *end;

        for (size_t i = 0; i < words->n; i++)
                n += 4 * strlen(words->v[i]) + 3;
        end = text = malloc(n);
        if (!text)
                return NULL;
        for (size_t i = 0; i < words->n; i++) {
                const char *word = words->v[i];

                if (i > 0)
                        *end++ = ' ';
                if (*word && strchr(PLAIN_FIRST, *word) && !word[strspn(word, plain)]) {
                        end = stpcpy(end, word);
                        continue;
                }
                *end++ = '\'';
                for (; *word; word++)
                        if (*word == '\'')
                                end = stpcpy(end, "'\\''");
                        else
                                *end++ = *word;
                *end++ = '\'';
        }
        *end = '\0';
        return text;
}

static int refuse(const char *line, const char *at, Diag *reterr_diag) {
        unsigned char c = (unsigned char)*at;
        char shown[8];

        snprintf(shown, sizeof(shown), c > ' ' && c < 0x7f ? "'%c'" : "0x%02x", c);
        return diag_set(reterr_diag, -EINVAL,
                        "%s at byte %zu: only plain words and single quotes are understood", shown,
                        (size_t)(at - line) + 1);
}

int words_split(const char *line, size_t max_bytes, Strv *words, Diag *reterr_diag) {
        size_t n_line = strnlen(line, max_bytes + 1), n = 0;
        cleanup_free char *word = NULL;
        bool quoted = false, begun = false;

        if (n_line > max_bytes)
                return diag_set(reterr_diag, -E2BIG, "longer than %zu bytes", max_bytes);
        word = malloc(n_line + 1);
        if (!word)
                return -ENOMEM;
        for (const char *p = line;; p++) {
                bool control = (unsigned char)*p < ' ' || *p == '\x7f';

                if (*p && (quoted ? *p != '\'' && !control : strchr(plain, *p) != NULL)) {
                        word[n++] = *p;
                        begun = true;
                } else if (*p == '\'') {
                        quoted = !quoted;
                        begun = true;
                } else if (*p == '\\' && p[1] == '\'') {
                        word[n++] = *++p;
                        begun = true;
                } else if (*p && (quoted || (*p != ' ' && *p != '\t'))) {
                        return refuse(line, p, reterr_diag);
                } else if (quoted) {
                        return diag_set(reterr_diag, -EINVAL, "a single quote is not closed");
                } else if (begun) {
                        if (strv_addn(words, word, n) < 0)
                                return -ENOMEM;
                        n = 0;
                        begun = false;
                }
                if (!*p)
                        return 0;
        }
}
