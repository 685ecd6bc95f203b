/* SPDX-License-Identifier: MIT */

/*
 * What moby/patternmatcher makes of a .dockerignore. The traps are what it leaves to a regular
 * expression: "[^a]" matches a slash and "." no newline, "**" at the start of nothing but letters is
 * a suffix of any kind, and "|", "^", "{2}", "\d" and "[*]" are what they are in one. Nobody means
 * those: a file with one is not understood.
 */

#include <ctype.h>
#include <string.h>

#include "apps/ignored.h"
#include "base/array.h"
#include "base/diag.h"
#include "base/path.h"
#include "base/text.h"

#define RUNE_BOM 0xfeffU

uint32_t rune_take(const char **at) {
        static const unsigned char masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
        size_t n = utf8_length(*at);
        uint32_t rune;

        if (n == 0) {
                (*at)++;
                return RUNE_ERROR;
        }
        rune = (unsigned char)**at & masks[n];
        for (size_t i = 1; i < n; i++)
                rune = rune << 6 | ((unsigned char)(*at)[i] & 0x3f);
        *at += n;
        return rune;
}

static int add_element(Ignored *ignored, Kind kind, uint32_t lo, uint32_t hi) {
        if (array_grow(ignored->elements, ignored->n_elements, ignored->size_elements) < 0)
                return -ENOMEM;
        ignored->elements[ignored->n_elements++] = (Element){ kind, lo, hi };
        return 0;
}

/* Behind a backslash: before a letter or a digit it is no escape but a class or the like. */
static bool take_escaped(const char **at, uint32_t *ret) {
        if (**at == '\0' || (unsigned char)**at >= 0x80 || isalnum((unsigned char)**at))
                return false;
        *ret = rune_take(at);
        return true;
}

static bool take_of_class(const char **at, uint32_t *ret) {
        if (**at == '\0' || strchr("]-*?", **at) || strncmp(*at, "[:", 2) == 0)
                return false;
        *ret = rune_take(at);
        return *ret == '\\' ? take_escaped(at, ret) : *ret != RUNE_ERROR;
}

static int take_class(Ignored *ignored, const char **at) {
        size_t first = ignored->n_elements;
        int r;

        r = add_element(ignored, **at == '^' ? CLASS_NOT : CLASS, 0, 0);
        *at += **at == '^';
        while (r == 0) {
                uint32_t lo, hi;

                if (!take_of_class(at, &lo))
                        return -EINVAL;
                hi = lo;
                if (**at == '-') {
                        (*at)++;
                        if (!take_of_class(at, &hi) || hi < lo)
                                return -EINVAL;
                }
                r = add_element(ignored, RANGE, lo, hi);
                if (r == 0 && **at == ']') {
                        (*at)++;
                        ignored->elements[first].lo = (uint32_t)(ignored->n_elements - first - 1);
                        return 0;
                }
        }
        return r;
}

/* As Pattern.compile() does. -EINVAL: it would not, or what comes out is none of ours. */
static int compile(Ignored *ignored, const char *text) {
        enum { EXACT, PREFIX, SUFFIX, REGEXP } type = EXACT;
        size_t first = ignored->n_elements;
        bool odd = false, slash = false;

        for (const char *at = text; *at;) {
                const char *start = at;
                uint32_t rune = rune_take(&at);
                int r;

                if (rune == RUNE_ERROR || (start == text && rune == RUNE_BOM))
                        return -EINVAL;
                if (rune == '*' && *at == '*') {
                        at++;
                        slash = *at == '/';
                        at += slash;
                        r = add_element(ignored, *at ? DIRS : ALL, !*at && type == EXACT, 0);
                        if (start == text)
                                type = SUFFIX;
                        else
                                type = !*at && type == EXACT ? PREFIX : REGEXP;
                } else if (rune == '*' || rune == '?') {
                        r = add_element(ignored, rune == '*' ? STAR : ONE, 0, 0);
                        type = REGEXP;
                } else if (rune == '[') {
                        r = take_class(ignored, &at);
                        type = REGEXP;
                } else if (rune == '\\') {
                        if (!take_escaped(&at, &rune))
                                return -EINVAL;
                        r = add_element(ignored, LITERAL, rune, 0);
                        type = REGEXP;
                } else {
                        r = add_element(ignored, LITERAL, rune, 0);
                        odd |= rune == '^' || rune == '|' ||
                               (rune == '{' && isdigit((unsigned char)*at));
                        if (rune == ']')
                                type = REGEXP;
                }
                if (r < 0)
                        return r;
        }
        if (type == REGEXP && odd)
                return -EINVAL;
        if (ignored->elements[first].kind == DIRS) {
                ignored->elements[first].lo = type == SUFFIX;
                if (type == SUFFIX && !slash)
                        ignored->elements[first].kind = ALL;
        }
        return 0;
}

/* unicode.IsSpace */
static size_t blank_length(const char *text) {
        const char *end = text;
        uint32_t rune = rune_take(&end);
        bool blank = (rune >= '\t' && rune <= '\r') || rune == ' ' || rune == 0x85 ||
                     rune == 0xa0 || rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200a) ||
                     rune == 0x2028 || rune == 0x2029 || rune == 0x202f || rune == 0x205f ||
                     rune == 0x3000;

        return blank ? (size_t)(end - text) : 0;
}

/* strings.TrimSpace */
static char *trim(char *text) {
        size_t n;

        while ((n = blank_length(text)) > 0)
                text += n;
        n = strlen(text);
        for (size_t k = 1; k <= MIN(n, (size_t)3); k++)
                if (blank_length(text + n - k) == k) {
                        n -= k;
                        text[n] = '\0';
                        k = 0;
                }
        return text;
}

/* A line, as ignorefile.ReadAll() gives it to patternmatcher.New(): cleaned by both. */
int ignored_add(Ignored *ignored, char *line) {
        bool exception;
        int r;

        if (*line == '#')
                return 0;
        line = trim(line);
        if (!*line)
                return 0;
        exception = *line == '!';
        line = trim(line + exception);
        if (*line) {
                path_clean(line);
                line += *line == '/' && line[1];
        }
        if (exception)
                *--line = '!';

        line = trim(line);
        if (!*line)
                return 0;
        path_clean(line);
        exception = *line == '!';
        line += exception;
        if (!*line || strlen(line) > PATTERN_BYTES_MAX)
                return -EINVAL;
        if (ignored->n_patterns == PATTERNS_MAX)
                return -E2BIG;
        if (array_grow(ignored->patterns, ignored->n_patterns, ignored->size_patterns) < 0)
                return -ENOMEM;
        ignored->patterns[ignored->n_patterns] = (Pattern){
                .first = ignored->n_elements,
                .exception = exception,
        };
        r = compile(ignored, line);
        if (r < 0)
                return r;
        ignored->patterns[ignored->n_patterns].n =
                ignored->n_elements - ignored->patterns[ignored->n_patterns].first;
        ignored->n_patterns++;
        return 0;
}

void ignored_done(Ignored *ignored) {
        free(ignored->elements);
        free(ignored->patterns);
        *ignored = (Ignored){ 0 };
}
