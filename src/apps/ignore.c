/* SPDX-License-Identifier: MIT */

/*
 * Patterns mean what moby/patternmatcher makes of them. It turns some into regular expressions, with
 * side effects: "[^a]" matches a slash and "." no newline, "**" before plain letters matches any
 * suffix, and "|", "^", "{2}", "\d" and "[*]" mean what they mean in a regular expression. Nobody
 * intends the latter: a file with such a pattern counts as not understood.
 */

#include "ignore-internal.h"

#include <ctype.h>
#include <string.h>

#include "base/array.h"
#include "base/path.h"
#include "base/text.h"

#define RUNE_BOM 0xfeffU

/* The character at `*at`, which moves behind it. */
static uint32_t rune_take(const char **at) {
        size_t n = utf8_length(*at);
        uint32_t rune = n > 0 ? utf8_code_point(*at, n) : RUNE_ERROR;

        *at += MAX(n, (size_t)1);
        return rune;
}

static int add_element(IgnoreRules *ignored, Kind kind, uint32_t lo, uint32_t hi) {
        if (array_grow(ignored->elements, ignored->n_elements, ignored->size_elements) < 0)
                return -ENOMEM;
        ignored->elements[ignored->n_elements++] = (Element){ kind, lo, hi };
        return 0;
}

/* Reads the character after a backslash. Before a letter or a digit the backslash is no escape, but
 * begins a class or the like. */
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

static int take_class(IgnoreRules *ignored, const char **at) {
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

/* Pattern.compile() of patternmatcher. -EINVAL: it would fail, or the result cannot be expressed in
 * elements. */
static int compile(IgnoreRules *ignored, const char *text) {
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
static char *trim_line(char *text) {
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

/* ignorefile.ReadAll() and patternmatcher.New() both clean a line. */
int ignore_add(IgnoreRules *ignored, char *line) {
        bool exception;
        int r;

        if (*line == '#')
                return 0;
        line = trim_line(line);
        if (!*line)
                return 0;
        exception = *line == '!';
        line = trim_line(line + exception);
        if (*line) {
                path_clean(line);
                line += *line == '/' && line[1];
        }
        if (exception)
                *--line = '!';

        line = trim_line(line);
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

void ignore_done(IgnoreRules *ignored) {
        free(ignored->elements);
        free(ignored->patterns);
        *ignored = (IgnoreRules){ 0 };
}

/*
 * Matching, as the walkers of fsutil and go-archive do it. All positions in a pattern that a path may
 * have reached are kept at once, so that a hostile pattern costs at most its length times the path's,
 * and a call at most STEPS_MAX steps.
 */

#define STEPS_MAX 2000000
#define RUNE_ANY \
        UINT32_MAX /* stands for every name: only an element that matches all names matches it */

/* The positions in a pattern that a path may have reached. */
typedef struct Positions {
        uint16_t v[PATTERN_BYTES_MAX + 1];
        uint8_t how[PATTERN_BYTES_MAX + 1];
        size_t n;
} Positions;

enum {
        NOT_HERE,
        WITHIN, /* within DIRS: only a slash leads out */
        HERE,
};

static void positions_put(Positions *positions, size_t at, uint8_t how) {
        if (positions->how[at] == NOT_HERE)
                positions->v[positions->n++] = (uint16_t)at;
        positions->how[at] = MAX(positions->how[at], how);
}

static void positions_enter(Positions *positions, const Element *elements, size_t n, size_t at) {
        while (positions->how[at] != HERE) {
                positions_put(positions, at, HERE);
                if (at == n || (elements[at].kind != STAR && elements[at].kind != DIRS &&
                                elements[at].kind != ALL))
                        return;
                at++;
        }
}

static void positions_clear(Positions *positions) {
        for (size_t i = 0; i < positions->n; i++)
                positions->how[positions->v[i]] = NOT_HERE;
        positions->n = 0;
}

static bool class_takes(const Element *element, uint32_t rune) {
        bool in = false;

        for (uint32_t i = 1; i <= element->lo && !in; i++)
                in = rune >= element[i].lo && rune <= element[i].hi;
        return rune != RUNE_ANY && in == (element->kind == CLASS);
}

typedef struct Component {
        size_t end;    /* in the runes */
        bool excluded; /* by MatchesUsingParentResults(), which gets the parent's result */
        bool matched;  /* by MatchesOrParentMatches() */
        size_t by;     /* the last pattern that excluded it */
} Component;

/* The path of a directory, and one more component that stands for any name in it. */
typedef struct Way {
        uint32_t *runes;
        Component *components;
        size_t n;        /* of the components */
        size_t inner;    /* of the slash before the last one */
        size_t reopened; /* the last exception that may match a path in it, counted from 1 */
        size_t n_steps;
} Way;

static void way_done(Way *way) {
        free(way->runes);
        free(way->components);
}

static void way_donep(Way *way) {
        way_done(way);
}

static int way_init(const char *path, Way *ret) {
        cleanup(way_done) Way way = { 0 };
        size_t length = strlen(path), n_runes = 0;

        way.runes = calloc(length + 2, sizeof(*way.runes));
        way.components = calloc(length + 2, sizeof(*way.components));
        if (!way.runes || !way.components)
                return -ENOMEM;
        while (*path) {
                uint32_t rune = rune_take(&path);

                if (rune == '/')
                        way.components[way.n++].end = n_runes;
                way.runes[n_runes++] = rune;
        }
        way.components[way.n++].end = way.inner = n_runes;
        way.runes[n_runes++] = '/';
        way.runes[n_runes++] = RUNE_ANY;
        way.components[way.n++].end = n_runes;
        *ret = way;
        way = (Way){ 0 };
        return 0;
}

/* Advances by one rune. Returns the number of steps. */
static size_t positions_step(const Element *elements, size_t n, uint32_t rune,
                             const Positions *from, Positions *to) {
        size_t n_steps = from->n;

        positions_clear(to);
        for (size_t i = 0; i < from->n; i++) {
                size_t at = from->v[i];
                const Element *element = &elements[at];

                if (at == n)
                        continue;
                switch (element->kind) {
                case LITERAL:
                        if (rune == element->lo)
                                positions_enter(to, elements, n, at + 1);
                        break;
                case ONE:
                        if (rune != '/' && rune != RUNE_ANY)
                                positions_enter(to, elements, n, at + 1);
                        break;
                case STAR:
                        if (rune != '/')
                                positions_enter(to, elements, n, at);
                        break;
                case ALL:
                        if (rune != '\n' || element->lo)
                                positions_enter(to, elements, n, at);
                        break;
                case DIRS:
                        if (rune == '/')
                                positions_enter(to, elements, n, at + 1);
                        if (rune != '\n' || element->lo)
                                positions_put(to, at, WITHIN);
                        break;
                case CLASS:
                case CLASS_NOT:
                        if (class_takes(element, rune))
                                positions_enter(to, elements, n, at + 1 + element->lo);
                        n_steps += element->lo;
                        break;
                case RANGE:
                        break;
                }
        }
        return n_steps + to->n;
}

/* Applies a pattern to the path as MatchesUsingParentResults() does, which only evaluates patterns that
 * would change the result, and as MatchesOrParentMatches() does, which evaluates all. The two differ:
 * a path must be excluded by both. */
static void apply_pattern(const IgnoreRules *ignored, size_t index, Way *way) {
        const Pattern *pattern = &ignored->patterns[index];
        const Element *elements = ignored->elements + pattern->first;
        Positions positions[2] = { 0 }, *now = &positions[0], *next = &positions[1];
        bool passed_on = false, met = false;
        size_t at = 0;

        positions_enter(now, elements, pattern->n, 0);
        for (size_t i = 0; i < way->n && way->n_steps <= STEPS_MAX; i++) {
                Component *component = &way->components[i];
                bool takes;

                for (; at < component->end && now->n > 0; at++) {
                        Positions *last = now;

                        way->n_steps +=
                                positions_step(elements, pattern->n, way->runes[at], now, next);
                        now = next;
                        next = last;
                        if (at == way->inner && pattern->exception && now->n > 0)
                                way->reopened = index + 1;
                }
                way->n_steps++;
                takes = now->how[pattern->n] == HERE;

                passed_on |= takes && component->excluded == pattern->exception;
                if (passed_on) {
                        component->excluded = !pattern->exception;
                        component->by = index;
                }
                met |= takes;
                if (met)
                        component->matched = !pattern->exception;
        }
}

bool ignore_matches(const IgnoreRules *ignored, const char *path) {
        cleanup(way_done) Way way = { 0 };
        const Component *itself, *inside;

        if (way_init(path, &way) < 0)
                return false;
        for (size_t i = 0; i < ignored->n_patterns; i++)
                apply_pattern(ignored, i, &way);
        if (way.n_steps > STEPS_MAX)
                return false;

        itself = &way.components[way.n - 2];
        if (itself->excluded && itself->matched && way.reopened <= itself->by)
                return true;
        inside = &way.components[way.n - 1];
        return inside->excluded && inside->matched && way.reopened == 0;
}
