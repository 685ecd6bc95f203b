/* SPDX-License-Identifier: MIT */

/*
 * BuildKit sorts its candidates anew for each record it deletes. The rank of a candidate by last use
 * is the number of distinct times among the candidates up to its own, plus one (one where it has
 * none); that by usage count likewise of counts (zero adds none); each is divided by the highest
 * there is, and the lowest sum goes. Both ranks only grow with time and count, so the next to go is
 * the one least lately used of some count: one heap a count, whose tops are weighed, and a Fenwick
 * tree that counts distinct times.
 *
 * Since ties are broken there by the order of a Go map, any order is right; here it is that of ids.
 * Up to BuildKit 0.21 both ranks and their divisors were lower by one, which weighs the two a little
 * differently where there are few of either.
 */

#include <string.h>

#include "base/macro.h"
#include "janitor/lru.h"

/* Counts weighed for all records together, and at least a record: past these, the highest usage
 * counts pass for one. */
#define WEIGHINGS_MAX (UINT32_C(1) << 24)
#define COUNTS_MIN 128

/* Records in order of ids, by which all is indexed below, and how many others were made from each. */
typedef struct Family {
        const RecordSet *set;
        uint32_t *record; /* its place in the set */
        uint32_t *n_children;
} Family;

static void family_done(Family *family) {
        free(family->record);
        free(family->n_children);
}

static const BuildRecord *member(const Family *family, size_t i) {
        return &family->set->v[family->record[i]];
}

static int compare_ids(const void *a, const void *b, void *userdata) {
        const uint32_t *x = a, *y = b;
        const RecordSet *set = userdata;

        return strcmp(set->v[*x].id, set->v[*y].id);
}

/* LRU_KEPT where there is none. */
static uint32_t family_find(const Family *family, const char *id) {
        size_t low = 0, n = family->set->n;

        while (n > 0) {
                size_t half = n / 2;
                int c = strcmp(member(family, low + half)->id, id);

                if (c == 0)
                        return (uint32_t)(low + half);
                if (c < 0) {
                        low += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        return LRU_KEPT;
}

static uint32_t family_parent(const Family *family, const BuildRecord *record, size_t parent) {
        return family_find(family, family->set->parents[record->parents + parent]);
}

static int family_make(const RecordSet *set, Family *ret) {
        Family family = { .set = set };

        if (set->n >= LRU_KEPT)
                return -ENOMEM;
        family.record = malloc((set->n + 1) * sizeof(*family.record));
        family.n_children = calloc(set->n + 1, sizeof(*family.n_children));
        if (!family.record || !family.n_children) {
                family_done(&family);
                return -ENOMEM;
        }
        for (uint32_t i = 0; i < set->n; i++)
                family.record[i] = i;
        qsort_r(family.record, set->n, sizeof(*family.record), compare_ids, (void *)set);
        for (size_t i = 0; i < set->n; i++)
                for (size_t j = 0; j < set->v[i].n_parents; j++) {
                        uint32_t parent = family_parent(&family, &set->v[i], j);

                        if (parent != LRU_KEPT)
                                family.n_children[parent]++;
                }
        *ret = family;
        return 0;
}

/* Called for each record that has no child left. */
typedef void (*Bared)(void *userdata, uint32_t i);

static void family_delete(Family *family, uint32_t i, Bared bared, void *userdata) {
        const BuildRecord *record = member(family, i);

        for (size_t j = 0; j < record->n_parents; j++) {
                uint32_t parent = family_parent(family, record, j);

                if (parent != LRU_KEPT && --family->n_children[parent] == 0)
                        bared(userdata, parent);
        }
}

/* Candidates of one usage count (or of all from one on). */
typedef struct Count {
        uint32_t begin, n; /* its heap in Lru.heap, by time */
        bool zero;
} Count;

typedef struct Lru {
        Family family;
        uint32_t *time;  /* of each record: its place among the distinct times, from 1; 0: none */
        uint32_t *count; /* its place in `counts` */
        uint32_t *heap;
        Count *counts;
        uint32_t n_counts;
        uint32_t *at_time; /* candidates of each time */
        uint32_t *tree;    /* Fenwick: distinct times that have candidates */
        uint32_t n_times;
        uint32_t times_now, counts_now; /* distinct ones among the candidates, zero aside */
} Lru;

static void lru_done(Lru *lru) {
        family_done(&lru->family);
        free(lru->time);
        free(lru->count);
        free(lru->heap);
        free(lru->counts);
        free(lru->at_time);
        free(lru->tree);
}

static void lru_donep(Lru *lru) {
        lru_done(lru);
}

static int compare_times(const void *a, const void *b, void *userdata) {
        const uint32_t *x = a, *y = b;
        int64_t s = member(userdata, *x)->last_used_nsec, t = member(userdata, *y)->last_used_nsec;

        return (s > t) - (s < t);
}

static int compare_counts(const void *a, const void *b, void *userdata) {
        const uint32_t *x = a, *y = b;
        uint32_t s = member(userdata, *x)->usage_count, t = member(userdata, *y)->usage_count;

        return (s > t) - (s < t);
}

/* Numbers the distinct times. The heap is not in use yet. */
static void number_times(Lru *lru) {
        size_t n = lru->family.set->n;
        int64_t last_nsec = -1;

        for (uint32_t i = 0; i < n; i++)
                lru->heap[i] = i;
        qsort_r(lru->heap, n, sizeof(*lru->heap), compare_times, &lru->family);
        for (size_t i = 0; i < n; i++) {
                int64_t nsec = member(&lru->family, lru->heap[i])->last_used_nsec;

                if (nsec < 0)
                        continue;
                lru->n_times += nsec != last_nsec;
                last_nsec = nsec;
                lru->time[lru->heap[i]] = lru->n_times;
        }
}

static int number_counts(Lru *lru) {
        size_t n = lru->family.set->n;
        uint32_t n_max = MAX(WEIGHINGS_MAX / (uint32_t)(n + 1), (uint32_t)COUNTS_MIN);
        uint32_t n_counts = 0, last = 0, begin = 0;

        qsort_r(lru->heap, n, sizeof(*lru->heap), compare_counts, &lru->family);
        for (size_t i = 0; i < n; i++) {
                uint32_t usage = member(&lru->family, lru->heap[i])->usage_count;

                if (n_counts == 0 || (usage != last && n_counts < n_max))
                        n_counts++;
                last = usage;
                lru->count[lru->heap[i]] = n_counts - 1;
        }
        lru->counts = calloc(n_counts + 1, sizeof(*lru->counts));
        if (!lru->counts)
                return -ENOMEM;
        lru->n_counts = n_counts;
        for (uint32_t i = 0; i < n; i++) {
                lru->counts[lru->count[i]].n++;
                lru->counts[lru->count[i]].zero = member(&lru->family, i)->usage_count == 0;
        }
        for (uint32_t i = 0; i < n_counts; i++) {
                lru->counts[i].begin = begin;
                begin += lru->counts[i].n;
                lru->counts[i].n = 0;
        }
        return 0;
}

/* Counts a time in (+1) or out (-1). */
static void count_time(Lru *lru, uint32_t time, int change) {
        if (time == 0)
                return;
        lru->at_time[time] += (uint32_t)change;
        if (lru->at_time[time] != (change > 0))
                return;
        lru->times_now += (uint32_t)change;
        for (uint32_t i = time; i <= lru->n_times; i += i & -i)
                lru->tree[i] += (uint32_t)change;
}

static uint32_t times_up_to(const Lru *lru, uint32_t time) {
        uint32_t sum = 0;

        for (uint32_t i = time; i > 0; i -= i & -i)
                sum += lru->tree[i];
        return sum;
}

static bool goes_before(const Lru *lru, uint32_t i, uint32_t j) {
        return lru->time[i] != lru->time[j] ? lru->time[i] < lru->time[j] : i < j;
}

static void swap(uint32_t *a, uint32_t *b) {
        uint32_t c = *a;

        *a = *b;
        *b = c;
}

static void add_candidate(void *userdata, uint32_t i) {
        Lru *lru = userdata;
        Count *count = &lru->counts[lru->count[i]];
        uint32_t *heap = lru->heap + count->begin, at = count->n;

        if (member(&lru->family, i)->in_use)
                return;
        if (count->n++ == 0)
                lru->counts_now += !count->zero;
        heap[at] = i;
        for (; at > 0 && goes_before(lru, heap[at], heap[(at - 1) / 2]); at = (at - 1) / 2)
                swap(&heap[at], &heap[(at - 1) / 2]);
        count_time(lru, lru->time[i], 1);
}

static uint32_t take_candidate(Lru *lru, Count *count) {
        uint32_t *heap = lru->heap + count->begin, top = heap[0], at = 0;

        heap[0] = heap[--count->n];
        for (;;) {
                uint32_t child = 2 * at + 1;

                if (child + 1 < count->n && goes_before(lru, heap[child + 1], heap[child]))
                        child++;
                if (child >= count->n || !goes_before(lru, heap[child], heap[at]))
                        break;
                swap(&heap[at], &heap[child]);
                at = child;
        }
        if (count->n == 0)
                lru->counts_now -= !count->zero;
        count_time(lru, lru->time[top], -1);
        return top;
}

/* The next record to go; LRU_KEPT where there is no candidate. */
static uint32_t take_next(Lru *lru) {
        uint32_t count_rank = 1, time_min = UINT32_MAX;
        Count *best = NULL;
        double best_sum = 0;

        for (uint32_t i = 0; i < lru->n_counts; i++) {
                Count *count = &lru->counts[i];
                uint32_t time;
                double sum;

                if (count->n == 0)
                        continue;
                count_rank += !count->zero;
                time = lru->time[lru->heap[count->begin]];
                if (time >= time_min) /* one used less often is no younger */
                        continue;
                time_min = time;
                sum = (1.0 + times_up_to(lru, time)) / (1.0 + lru->times_now) +
                      count_rank / (1.0 + lru->counts_now);
                if (!best || sum < best_sum) {
                        best = count;
                        best_sum = sum;
                }
        }
        return best ? take_candidate(lru, best) : LRU_KEPT;
}

static int lru_make(const RecordSet *records, Lru *ret) {
        cleanup(lru_done) Lru lru = { 0 };
        size_t n = records->n;

        if (family_make(records, &lru.family) < 0)
                return -ENOMEM;
        lru.time = calloc(n + 1, sizeof(*lru.time));
        lru.count = malloc((n + 1) * sizeof(*lru.count));
        lru.heap = malloc((n + 1) * sizeof(*lru.heap));
        if (!lru.time || !lru.count || !lru.heap)
                return -ENOMEM;
        number_times(&lru);
        if (number_counts(&lru) < 0)
                return -ENOMEM;
        lru.at_time = calloc(lru.n_times + 1, sizeof(*lru.at_time));
        lru.tree = calloc(lru.n_times + 1, sizeof(*lru.tree));
        if (!lru.at_time || !lru.tree)
                return -ENOMEM;
        for (uint32_t i = 0; i < n; i++)
                if (lru.family.n_children[i] == 0)
                        add_candidate(&lru, i);
        *ret = lru;
        lru = (Lru){ 0 };
        return 0;
}

int lru_predict(const RecordSet *records, uint64_t keep_bytes, uint32_t **ret_turns,
                uint64_t *ret_bytes, uint64_t *ret_private_bytes) {
        cleanup(lru_done) Lru lru = { 0 };
        cleanup_free uint32_t *turns = NULL;
        uint64_t bytes = 0, private_bytes = 0;
        uint64_t total = 0;
        uint32_t turn = 0;

        if (lru_make(records, &lru) < 0)
                return -ENOMEM;
        turns = malloc((records->n + 1) * sizeof(*turns));
        if (!turns)
                return -ENOMEM;
        for (size_t i = 0; i < records->n; i++) {
                turns[i] = LRU_KEPT;
                total += records->v[i].shared ? 0 : records->v[i].size_bytes;
        }
        while (total >= keep_bytes) {
                uint32_t next = take_next(&lru);
                const BuildRecord *record;

                if (next == LRU_KEPT)
                        break;
                record = member(&lru.family, next);
                turns[lru.family.record[next]] = turn++;
                total -= MIN(total, record->size_bytes);
                bytes += record->size_bytes;
                private_bytes += record->shared ? 0 : record->size_bytes;
                family_delete(&lru.family, next, add_candidate, &lru);
        }
        *ret_turns = TAKE_PTR(turns);
        *ret_bytes = bytes;
        *ret_private_bytes = private_bytes;
        return 0;
}

typedef struct Unused {
        Family family;
        int64_t cutoff_nsec;
        bool *goes;
        uint32_t *stack;
        size_t n_stack;
} Unused;

static void unused_donep(Unused *unused) {
        family_done(&unused->family);
        free(unused->goes);
        free(unused->stack);
}

static void add_unused(void *userdata, uint32_t i) {
        Unused *unused = userdata;
        const BuildRecord *record = member(&unused->family, i);

        if (!record->in_use && record->last_used_nsec <= unused->cutoff_nsec)
                unused->stack[unused->n_stack++] = i;
}

int lru_unused(const RecordSet *records, int64_t cutoff_nsec, bool **ret_goes, size_t *ret_n) {
        cleanup(unused_done) Unused unused = { .cutoff_nsec = cutoff_nsec };
        size_t n = 0;

        if (family_make(records, &unused.family) < 0)
                return -ENOMEM;
        unused.goes = calloc(records->n + 1, sizeof(*unused.goes));
        unused.stack = malloc((records->n + 1) * sizeof(*unused.stack));
        if (!unused.goes || !unused.stack)
                return -ENOMEM;
        for (uint32_t i = 0; i < records->n; i++)
                if (unused.family.n_children[i] == 0)
                        add_unused(&unused, i);
        while (unused.n_stack > 0) {
                uint32_t i = unused.stack[--unused.n_stack];

                unused.goes[unused.family.record[i]] = true;
                n++;
                family_delete(&unused.family, i, add_unused, &unused);
        }
        *ret_goes = TAKE_PTR(unused.goes);
        *ret_n = n;
        return 0;
}
