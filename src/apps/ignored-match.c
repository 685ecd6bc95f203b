/* SPDX-License-Identifier: MIT */

/*
 * What the walkers of fsutil and go-archive make of patterns. Every place in a pattern that a path
 * may have come to is kept at once, so that no text of a hostile hand costs more than its length
 * times the path's, and no look more than STEPS_MAX.
 */

#include <string.h>

#include "apps/ignored.h"

#define STEPS_MAX 2000000
#define RUNE_ANY UINT32_MAX /* any name at all: only what takes all of them takes it */

/* Where in a pattern a path may have come to. */
typedef struct Places {
        uint16_t v[PATTERN_BYTES_MAX + 1];
        uint8_t how[PATTERN_BYTES_MAX + 1];
        size_t n;
} Places;

enum {
        NOT_HERE,
        WITHIN, /* in the midst of DIRS: only a slash leads out */
        HERE,
};

static void put(Places *places, size_t at, uint8_t how) {
        if (places->how[at] == NOT_HERE)
                places->v[places->n++] = (uint16_t)at;
        places->how[at] = MAX(places->how[at], how);
}

static void enter(Places *places, const Element *elements, size_t n, size_t at) {
        while (places->how[at] != HERE) {
                put(places, at, HERE);
                if (at == n || (elements[at].kind != STAR && elements[at].kind != DIRS &&
                                elements[at].kind != ALL))
                        return;
                at++;
        }
}

static void clear(Places *places) {
        for (size_t i = 0; i < places->n; i++)
                places->how[places->v[i]] = NOT_HERE;
        places->n = 0;
}

static bool class_takes(const Element *element, uint32_t rune) {
        bool in = false;

        for (uint32_t i = 1; i <= element->lo && !in; i++)
                in = rune >= element[i].lo && rune <= element[i].hi;
        return rune != RUNE_ANY && in == (element->kind == CLASS);
}

typedef struct Component {
        size_t end;    /* in the runes */
        bool excluded; /* by what a walk passes on from a directory to what is in it */
        bool matched;  /* by MatchesOrParentMatches() */
        size_t by;     /* the last pattern that excluded it */
} Component;

/* A directory's path, and one component more: any name in it. */
typedef struct Way {
        uint32_t *runes;
        Component *components;
        size_t n;        /* of the components */
        size_t inner;    /* of the slash before the last one */
        size_t reopened; /* the last exception that may take something in it, counted from 1 */
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

/* One rune further. Returns what that costs. */
static size_t step(const Element *elements, size_t n, uint32_t rune, const Places *from,
                   Places *to) {
        size_t n_steps = from->n;

        clear(to);
        for (size_t i = 0; i < from->n; i++) {
                size_t at = from->v[i];
                const Element *element = &elements[at];

                if (at == n)
                        continue;
                switch (element->kind) {
                case LITERAL:
                        if (rune == element->lo)
                                enter(to, elements, n, at + 1);
                        break;
                case ONE:
                        if (rune != '/' && rune != RUNE_ANY)
                                enter(to, elements, n, at + 1);
                        break;
                case STAR:
                        if (rune != '/')
                                enter(to, elements, n, at);
                        break;
                case ALL:
                        if (rune != '\n' || element->lo)
                                enter(to, elements, n, at);
                        break;
                case DIRS:
                        if (rune == '/')
                                enter(to, elements, n, at + 1);
                        if (rune != '\n' || element->lo)
                                put(to, at, WITHIN);
                        break;
                case CLASS:
                case CLASS_NOT:
                        if (class_takes(element, rune))
                                enter(to, elements, n, at + 1 + element->lo);
                        n_steps += element->lo;
                        break;
                case RANGE:
                        break;
                }
        }
        return n_steps + to->n;
}

/* MatchesUsingParentResults() looks at a pattern only where it would change something, and passes on
 * what it saw; MatchesOrParentMatches() looks at all. They differ, and what either takes is taken. */
static void apply(const Ignored *ignored, size_t index, Way *way) {
        const Pattern *pattern = &ignored->patterns[index];
        const Element *elements = ignored->elements + pattern->first;
        Places places[2] = { 0 }, *now = &places[0], *next = &places[1];
        bool passed_on = false, met = false;
        size_t at = 0;

        enter(now, elements, pattern->n, 0);
        for (size_t i = 0; i < way->n && way->n_steps <= STEPS_MAX; i++) {
                Component *component = &way->components[i];
                bool takes;

                for (; at < component->end && now->n > 0; at++) {
                        Places *last = now;

                        way->n_steps += step(elements, pattern->n, way->runes[at], now, next);
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

bool ignored_has(const Ignored *ignored, const char *path) {
        cleanup(way_done) Way way = { 0 };
        const Component *itself, *inside;

        if (way_init(path, &way) < 0)
                return false;
        for (size_t i = 0; i < ignored->n_patterns; i++)
                apply(ignored, i, &way);
        if (way.n_steps > STEPS_MAX)
                return false;

        itself = &way.components[way.n - 2];
        if (itself->excluded && itself->matched && way.reopened <= itself->by)
                return true;
        inside = &way.components[way.n - 1];
        return inside->excluded && inside->matched && way.reopened == 0;
}
