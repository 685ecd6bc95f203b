/* SPDX-License-Identifier: MIT */

/*
 * The prediction against BuildKit's own loop, written down as it stands in cache/manager.go: collect
 * what nothing refers to, rank it anew, delete one, until the total is below what is kept.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "janitor/lru.h"
#include "test.h"

#define NEVER (-1)

typedef struct Row {
        const char *id, *parent;
        int64_t used_sec;
        uint32_t count;
        uint64_t size_bytes;
        bool in_use, shared;
        int turn; /* -1: stays */
} Row;

static void add(RecordSet *set, const Row *row) {
        BuildRecord record = {
                .last_used_nsec = row->used_sec,
                .usage_count = row->count,
                .size_bytes = row->size_bytes,
                .in_use = row->in_use,
                .shared = row->shared,
        };

        strcpy(record.id, row->id);
        assert_int_equal(record_set_add(set, &record, &row->parent, row->parent != NULL), 0);
}

static void test_small(void **state) {
        static const struct {
                const char *what;
                uint64_t keep_bytes, bytes, private_bytes;
                Row rows[6];
        } table[] = {
                { "nothing", 1, 0, 0, { { NULL } } },
                { "below already",
                  31,
                  0,
                  0,
                  { { "a", NULL, 10, 1, 10, .turn = -1 }, { "b", NULL, 20, 1, 20, .turn = -1 } } },
                { "at the amount one goes",
                  30,
                  10,
                  10,
                  { { "a", NULL, 10, 1, 10, .turn = 0 }, { "b", NULL, 20, 1, 20, .turn = -1 } } },
                { "the least lately used",
                  25,
                  20,
                  20,
                  { { "a", NULL, 20, 1, 10, .turn = -1 },
                    { "b", NULL, 10, 1, 20, .turn = 0 },
                    { "c", NULL, 30, 1, 10, .turn = -1 } } },
                { "the least often used",
                  25,
                  20,
                  20,
                  { { "a", NULL, 10, 3, 10, .turn = -1 },
                    { "b", NULL, 10, 1, 20, .turn = 0 },
                    { "c", NULL, 10, 2, 10, .turn = -1 } } },
                /* times 10, 20, 30 are ranks 2, 3, 4 of 4; counts 9, 1, 1 are 3, 2, 2 of 3 */
                { "both",
                  25,
                  20,
                  20,
                  { { "a", NULL, 10, 9, 10, .turn = -1 },
                    { "b", NULL, 20, 1, 20, .turn = 0 },
                    { "c", NULL, 30, 1, 10, .turn = -1 } } },
                { "never used is the oldest",
                  25,
                  20,
                  20,
                  { { "a", NULL, 1, 1, 10, .turn = -1 }, { "b", NULL, NEVER, 1, 20, .turn = 0 } } },
                { "children first",
                  1,
                  30,
                  30,
                  { { "a", NULL, 1, 1, 10, .turn = 2 },
                    { "b", "a", 2, 5, 10, .turn = 1 },
                    { "c", "b", 9, 9, 10, .turn = 0 } } },
                { "what is in use stays, and what it stands on",
                  1,
                  10,
                  10,
                  { { "a", NULL, 1, 1, 10, .in_use = true, .turn = -1 },
                    { "b", "a", 2, 1, 10, .in_use = true, .turn = -1 },
                    { "c", "a", 9, 9, 10, .turn = 0 } } },
                { "no parent of that id", 1, 10, 10, { { "a", "gone", 1, 1, 10, .turn = 0 } } },
                /* of the 60 that count, the 50 are taken off that did not */
                { "shared counts when it goes",
                  20,
                  50,
                  0,
                  { { "a", NULL, 1, 1, 50, .shared = true, .turn = 0 },
                    { "b", NULL, 2, 1, 60, .turn = -1 } } },
                { "shared does not count before",
                  61,
                  0,
                  0,
                  { { "a", NULL, 1, 1, 50, .shared = true, .turn = -1 },
                    { "b", NULL, 2, 1, 60, .turn = -1 } } },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(record_set_done) RecordSet set = RECORD_SET_NULL;
                cleanup_free uint32_t *turns = NULL;
                uint64_t bytes, private_bytes;

                for (size_t j = 0; j < ELEMENTSOF(table[i].rows) && table[i].rows[j].id; j++)
                        add(&set, &table[i].rows[j]);
                assert_int_equal(
                        lru_predict(&set, table[i].keep_bytes, &turns, &bytes, &private_bytes), 0);
                for (size_t j = 0; j < set.n; j++)
                        if (turns[j] != (uint32_t)table[i].rows[j].turn)
                                fail_msg("%s: %s is %d", table[i].what, set.v[j].id, (int)turns[j]);
                if (bytes != table[i].bytes || private_bytes != table[i].private_bytes)
                        fail_msg("%s: %llu bytes", table[i].what, (unsigned long long)bytes);
        }
}

/* BuildKit's loop */

typedef struct Ranked {
        size_t record;
        double time_rank, count_rank;
} Ranked;

static const RecordSet *sorted_set;

static int by_time(const void *a, const void *b) {
        int64_t s = sorted_set->v[((const Ranked *)a)->record].last_used_nsec;
        int64_t t = sorted_set->v[((const Ranked *)b)->record].last_used_nsec;

        return (s > t) - (s < t);
}

static int by_count(const void *a, const void *b) {
        uint32_t s = sorted_set->v[((const Ranked *)a)->record].usage_count;
        uint32_t t = sorted_set->v[((const Ranked *)b)->record].usage_count;

        return (s > t) - (s < t);
}

static size_t choose(const RecordSet *set, Ranked *list, size_t n) {
        double time_max = 1, count_max = 1, best_sum = 0;
        int64_t time = -1;
        uint32_t count = 0;
        size_t best = 0;

        sorted_set = set;
        qsort(list, n, sizeof(*list), by_time);
        for (size_t i = 0; i < n; i++) {
                const BuildRecord *record = &set->v[list[i].record];

                if (record->last_used_nsec >= 0 && record->last_used_nsec > time) {
                        time = record->last_used_nsec;
                        time_max++;
                }
                list[i].time_rank = time_max;
        }
        qsort(list, n, sizeof(*list), by_count);
        for (size_t i = 0; i < n; i++) {
                const BuildRecord *record = &set->v[list[i].record];

                if (record->usage_count != count) {
                        count = record->usage_count;
                        count_max++;
                }
                list[i].count_rank = count_max;
        }
        for (size_t i = 0; i < n; i++) {
                double sum = list[i].time_rank / time_max + list[i].count_rank / count_max;
                const BuildRecord *record = &set->v[list[i].record];
                const BuildRecord *other = &set->v[list[best].record];

                /* Ties are chance there; here, used less often, and then by id. */
                if (i == 0 || sum < best_sum ||
                    (sum == best_sum && record->usage_count == other->usage_count &&
                     strcmp(record->id, other->id) < 0)) {
                        best = i;
                        best_sum = sum;
                }
        }
        return list[best].record;
}

static bool is_candidate(const RecordSet *set, const uint32_t *turns, size_t i) {
        if (set->v[i].in_use || turns[i] != LRU_KEPT)
                return false;
        for (size_t j = 0; j < set->n; j++)
                for (size_t k = 0; turns[j] == LRU_KEPT && k < set->v[j].n_parents; k++)
                        if (strcmp(set->parents[set->v[j].parents + k], set->v[i].id) == 0)
                                return false;
        return true;
}

static void simulate(const RecordSet *set, uint64_t keep_bytes, uint32_t *turns) {
        Ranked list[128];
        int64_t total = 0;
        uint32_t turn = 0;

        for (size_t i = 0; i < set->n; i++) {
                total += set->v[i].shared ? 0 : (int64_t)set->v[i].size_bytes;
                turns[i] = LRU_KEPT;
        }
        while (total >= (int64_t)keep_bytes) {
                size_t n = 0, next;

                for (size_t i = 0; i < set->n; i++)
                        if (is_candidate(set, turns, i))
                                list[n++].record = i;
                if (n == 0)
                        break;
                next = choose(set, list, n);
                turns[next] = turn++;
                total -= (int64_t)set->v[next].size_bytes;
        }
}

static uint64_t random_state;

static uint32_t random_below(uint32_t n) {
        random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(random_state >> 33) % n;
}

/* `spread` of times and counts: few distinct ones, or nearly all distinct. */
static void random_set(RecordSet *set, size_t n, uint32_t spread) {
        for (size_t i = 0; i < n; i++) {
                BuildRecord record = {
                        .last_used_nsec =
                                random_below(20) == 0 ? -1 : (int64_t)random_below(spread),
                        .usage_count = random_below(spread),
                        .size_bytes = random_below(100),
                        .in_use = random_below(25) == 0,
                        .shared = random_below(8) == 0,
                };
                char parents[2][RECORD_ID_MAX];
                const char *const list[] = { parents[0], parents[1] };
                size_t n_parents = i > 0 ? random_below(3) : 0;

                snprintf(record.id, sizeof(record.id), "%04x-%zu", random_below(0x10000), i);
                for (size_t j = 0; j < n_parents; j++)
                        strcpy(parents[j], set->v[random_below((uint32_t)i)].id);
                assert_int_equal(record_set_add(set, &record, list, n_parents), 0);
        }
}

static void test_against_buildkit(void **state) {
        (void)state;
        for (unsigned round = 0; round < 3000; round++) {
                static const uint32_t spreads[] = { 1, 2, 3, 5, 10, 1000 };
                cleanup(record_set_done) RecordSet set = RECORD_SET_NULL;
                cleanup_free uint32_t *turns = NULL;
                uint32_t expected[64];
                uint64_t keep_bytes, bytes, private_bytes, sum = 0;

                random_state = round;
                random_set(&set, 1 + random_below(60), spreads[random_below(6)]);
                keep_bytes = 1 + random_below(3000);
                simulate(&set, keep_bytes, expected);
                assert_int_equal(lru_predict(&set, keep_bytes, &turns, &bytes, &private_bytes), 0);
                for (size_t i = 0; i < set.n; i++) {
                        if (turns[i] != expected[i])
                                fail_msg("round %u: record %zu of %zu is %d, not %d", round, i,
                                         set.n, (int)turns[i], (int)expected[i]);
                        sum += turns[i] != LRU_KEPT ? set.v[i].size_bytes : 0;
                }
                assert_int_equal(sum, bytes);
                assert_true(private_bytes <= bytes);
        }
}

/* A record goes by age with its whole offspring, or not at all. */
static void test_unused(void **state) {
        static const Row rows[] = {
                { "old", NULL, 100, .turn = 0 },
                { "old-child", "old", 99, .turn = 0 },
                { "never", NULL, NEVER, .turn = 0 },
                { "young", NULL, 101, .turn = -1 },
                { "parent", NULL, 1, .turn = -1 },
                { "young-child", "parent", 101, .turn = -1 },
                { "old-grandchild", "young-child", 5, .turn = 0 },
                { "busy", NULL, 5, .in_use = true, .turn = -1 },
                { "busy-never", NULL, NEVER, .in_use = true, .turn = -1 },
        };
        cleanup(record_set_done) RecordSet set = RECORD_SET_NULL;
        cleanup_free bool *goes = NULL, *none = NULL;
        size_t n;

        (void)state;
        assert_int_equal(lru_unused(&set, 100, &none, &n), 0);
        assert_int_equal(n, 0);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                add(&set, &rows[i]);
        assert_int_equal(lru_unused(&set, 100, &goes, &n), 0);
        assert_int_equal(n, 4);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (goes[i] != (rows[i].turn == 0))
                        fail_msg("%s", rows[i].id);
}

/* What is its own parent, or in a circle, or there twice, is no reason not to end. */
static void test_circles(void **state) {
        static const Row rows[][5] = {
                { { "a", "a", 1, 1, 10 } },
                { { "a", "b", 1, 1, 10 }, { "b", "a", 1, 1, 10 } },
                { { "a", "b", 1, 1, 10 },
                  { "b", "c", 1, 1, 10 },
                  { "c", "a", 1, 1, 10 },
                  { "d", "a", 1, 1, 10 } },
                { { "a", NULL, 1, 1, 10 },
                  { "a", NULL, 1, 1, 10 },
                  { "b", "a", 1, 1, 10 },
                  { "b", "a", 1, 1, 10 } },
        };
        static const size_t n_goes[] = { 0, 0, 1, 4 };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                cleanup(record_set_done) RecordSet set = RECORD_SET_NULL;
                cleanup_free uint32_t *turns = NULL;
                cleanup_free bool *goes = NULL;
                uint64_t bytes, private_bytes;
                size_t n, n_turns = 0;

                for (size_t j = 0; j < ELEMENTSOF(rows[i]) && rows[i][j].id; j++)
                        add(&set, &rows[i][j]);
                assert_int_equal(lru_predict(&set, 1, &turns, &bytes, &private_bytes), 0);
                for (size_t j = 0; j < set.n; j++)
                        n_turns += turns[j] != LRU_KEPT;
                assert_true(n_turns <= n_goes[i]);
                assert_int_equal(lru_unused(&set, INT64_MAX, &goes, &n), 0);
                assert_true(n <= n_goes[i]);
        }
}

/* A hundred thousand, in the shapes that would cost most. */
static void test_time(void **state) {
        enum { N = 100000 };
        static const char *const shapes[] = { "random", "counts against times", "one count" };

        (void)state;
        for (size_t shape = 0; shape < ELEMENTSOF(shapes); shape++) {
                cleanup(record_set_done) RecordSet set = RECORD_SET_NULL;
                cleanup_free uint32_t *turns = NULL;
                uint64_t bytes, private_bytes;
                clock_t begin, took;

                random_state = 1;
                for (uint32_t i = 0; i < N; i++) {
                        uint32_t counts[] = { random_below(2000), i, 1 };
                        uint32_t times[] = { random_below(1000000), N - i, random_below(50) };
                        BuildRecord record = {
                                .last_used_nsec = times[shape],
                                .usage_count = counts[shape],
                                .size_bytes = 1000,
                        };
                        const char *parent = i % 10 > 0 ? set.v[i - 1].id : NULL;
                        char copy[RECORD_ID_MAX];

                        snprintf(record.id, sizeof(record.id), "%08x%u", random_below(1U << 30), i);
                        if (parent)
                                parent = strcpy(copy, parent);
                        assert_int_equal(record_set_add(&set, &record, &parent,
                                                        parent != NULL && shape != 1),
                                         0);
                }
                begin = clock();
                assert_int_equal(lru_predict(&set, 1, &turns, &bytes, &private_bytes), 0);
                took = clock() - begin;
                print_message("%s: %.0f ms\n", shapes[shape],
                              1000.0 * (double)took / CLOCKS_PER_SEC);
                assert_int_equal(bytes, UINT64_C(1000) * N);
                /* for sanitizers, too */
                assert_true(took < 10 * CLOCKS_PER_SEC);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_small),  cmocka_unit_test(test_against_buildkit),
                cmocka_unit_test(test_unused), cmocka_unit_test(test_circles),
                cmocka_unit_test(test_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
