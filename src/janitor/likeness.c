/* SPDX-License-Identifier: MIT */

#include "janitor/likeness.h"

#include "base/array.h"

static int add(HashSet *set, uint64_t hash) {
        if (array_grow(set->v, set->n, set->size) < 0)
                return -ENOMEM;
        set->v[set->n++] = hash;
        return 0;
}

static int compare_hashes(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static void sort(HashSet *set) {
        size_t n = 0;

        if (set->n == 0)
                return;
        qsort(set->v, set->n, sizeof(*set->v), compare_hashes);
        for (size_t i = 0; i < set->n; i++) /* releases of one application have most in common */
                if (i == 0 || set->v[i] != set->v[n - 1])
                        set->v[n++] = set->v[i];
        set->n = n;
}

static bool contains(const HashSet *set, uint64_t hash) {
        return set->n > 0 && bsearch(&hash, set->v, set->n, sizeof(*set->v), compare_hashes);
}

int likeness_add_ours(Likeness *likeness, const ImageFacts *facts) {
        int r = 0;

        likeness->histories_known |= facts->steps.n > facts->n_base;
        for (size_t i = facts->n_base; i < facts->steps.n && r >= 0; i++)
                r = add(&likeness->steps, facts->steps.v[i]);
        for (size_t i = 0; i + 1 < facts->layers.n && r >= 0; i++)
                r = add(&likeness->beginnings, facts->layers.v[i]);
        if (facts->layers.n > 0 && r >= 0)
                r = add(&likeness->wholes, facts->layers.v[facts->layers.n - 1]);
        return r;
}

int likeness_add_base(Likeness *likeness, const ImageFacts *facts) {
        if (facts->layers.n == 0)
                return 0;
        return add(&likeness->bases, facts->layers.v[facts->layers.n - 1]);
}

void likeness_sort(Likeness *likeness) {
        sort(&likeness->steps);
        sort(&likeness->beginnings);
        sort(&likeness->wholes);
        sort(&likeness->bases);
}

void likeness_done(Likeness *likeness) {
        free(likeness->steps.v);
        free(likeness->beginnings.v);
        free(likeness->wholes.v);
        free(likeness->bases.v);
        *likeness = (Likeness){ 0 };
}

bool likeness_of_classic(const Likeness *likeness, const ImageFacts *facts) {
        if (!likeness->histories_known || !facts || facts->n_history == FACTS_NO_HISTORY)
                return true;
        if (facts->n_base >= PREFIXES_MAX) /* its own steps are beyond what is kept */
                return true;
        for (size_t i = facts->n_base; i < facts->steps.n; i++)
                if (contains(&likeness->steps, facts->steps.v[i]))
                        return true;
        return false;
}

static bool begins_like_ours(const Likeness *likeness, uint64_t hash) {
        return contains(&likeness->beginnings, hash) || contains(&likeness->wholes, hash);
}

/* Layers in common with ours, without those of a common base: an image whose own layers end where those
 * in common do is not its own base. */
static bool shares_layers(const Likeness *likeness, const Prefixes *layers) {
        size_t n_common = 0, n_base = 0;

        while (n_common < layers->n && begins_like_ours(likeness, layers->v[n_common]))
                n_common++;
        for (size_t i = 0; i < n_common && i + 1 < layers->n; i++)
                if (contains(&likeness->bases, layers->v[i]))
                        n_base = i + 1;
        return n_common > n_base;
}

bool likeness_of_buildkit(const Likeness *likeness, const ImageFacts *facts, bool pulled) {
        const Prefixes *layers = facts ? &facts->layers : NULL;

        if (!layers || layers->n == 0)
                return false;
        if (facts->inline_cache == INLINE_CACHE_YES)
                return shares_layers(likeness, layers);
        for (size_t i = 0; i < layers->n; i++)
                if (contains(&likeness->wholes, layers->v[i]))
                        return true;
        return !pulled && contains(&likeness->beginnings, layers->v[layers->n - 1]);
}
