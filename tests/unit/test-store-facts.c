/* SPDX-License-Identifier: MIT */

/* The store: facts about images. */

#include "store-scratch.h"

#include "base/text.h"
#include "store/facts.h"

static ImageFacts *add_facts(FactSet *facts, unsigned number) {
        ImageFacts *entry;
        char id[IMAGE_ID_MAX];

        snprintf(id, sizeof(id), "sha256:%064u", number);
        entry = fact_set_add(facts, id);
        assert_non_null(entry);
        entry->kind = number % 3;
        entry->inline_cache = number / 3 % 3;
        entry->ours = number % 2;
        entry->n_history = (int64_t)number % 5 - 1;
        entry->n_base = number % 7;
        entry->names_hash = UINT64_MAX - number;
        entry->made_amid_ours = number % 13 % AMID_OURS_MAX;
        entry->amid_hash = UINT64_MAX / 3 - number;
        entry->step = number % STEP_MAX;
        entry->bore_name = number % 19 == 0;
        entry->created_nsec = INT64_MIN + number;
        entry->of_others = number % 23 == 0;
        entry->commit = number % COMMIT_MAX;
        entry->tagged_here = number % 17 == 0;
        entry->project_hash = UINT64_MAX - number;
        entry->inspected = true;
        entry->last_tagged_sec = 7;
        for (unsigned i = 0; i < number % 300; i++)
                assert_int_equal(prefixes_add(&entry->layers, i), 0);
        for (unsigned i = 0; i < number % 11; i++)
                assert_int_equal(hash_list_add(&entry->steps, number + i), 0);
        for (unsigned i = 0; i < number % 11; i++)
                assert_int_equal(hash_list_add(&entry->classic_steps, i), 0);
        for (unsigned i = 0; i < number % 9; i++)
                assert_int_equal(hash_list_add(&entry->bases, UINT64_MAX - i), 0);
        for (unsigned i = 0; i < number % 8; i++)
                assert_int_equal(hash_list_add(&entry->stages, i), 0);
        for (unsigned i = 0; i < number % 13; i++) {
                char name[64];

                snprintf(name, sizeof(name), "watchparty-%u:%u", number, i % 9);
                assert_int_equal(facts_add_name(entry, name), 0);
                assert_int_equal(facts_add_need(entry, name), 0);
                assert_int_equal(facts_add_needed_repository(entry, name), 0);
        }
        assert_true(entry->names.n == 0 || entry->names.n == MIN(number % 13, 9U) + 1);
        assert_int_equal(entry->needs.n, entry->names.n);
        return entry;
}

static void assert_hash_lists_equal(const HashList *a, const HashList *b) {
        assert_int_equal(a->n, b->n);
        if (a->n > 0)
                assert_memory_equal(a->v, b->v, a->n * sizeof(*a->v));
}

/* All but what is of one run. */
static void assert_facts_equal(const ImageFacts *stored, const ImageFacts *facts) {
        assert_non_null(stored);
        assert_int_equal(stored->kind, facts->kind);
        assert_int_equal(stored->inline_cache, facts->inline_cache);
        assert_int_equal(stored->ours, facts->ours);
        assert_int_equal(stored->n_history, facts->n_history);
        assert_int_equal(stored->n_base, facts->n_base);
        assert_true(stored->names_hash == facts->names_hash);
        assert_hash_lists_equal(&stored->layers, &facts->layers);
        assert_int_equal(stored->made_amid_ours, facts->made_amid_ours);
        assert_true(stored->amid_hash == facts->amid_hash);
        assert_int_equal(stored->step, facts->step);
        assert_int_equal(stored->bore_name, facts->bore_name);
        assert_true(stored->created_nsec == facts->created_nsec);
        assert_int_equal(stored->of_others, facts->of_others);
        assert_int_equal(stored->commit, facts->commit);
        assert_int_equal(stored->tagged_here, facts->tagged_here);
        assert_true(stored->project_hash == facts->project_hash);
        assert_hash_lists_equal(&stored->steps, &facts->steps);
        assert_hash_lists_equal(&stored->classic_steps, &facts->classic_steps);
        assert_hash_lists_equal(&stored->bases, &facts->bases);
        assert_hash_lists_equal(&stored->stages, &facts->stages);
        assert_hash_lists_equal(&stored->names, &facts->names);
        assert_hash_lists_equal(&stored->needs, &facts->needs);
        assert_false(stored->dirty);
        assert_false(stored->inspected);
        assert_int_equal(stored->last_tagged_sec, 0);
}

static void test_facts(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup(fact_set_done) FactSet facts = { 0 }, back = { 0 }, again = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(store_read_facts(store, &back, &diag), 0);
        assert_int_equal(back.n, 0);
        for (unsigned i = 0; i < 600; i++)
                add_facts(&facts, i * 37 % 600);
        assert_int_equal(store_write_facts(store, &facts, &diag), 0);
        store = store_close(store);
        store = open_store(&scratch);
        assert_int_equal(store_read_facts(store, &back, &diag), 0);
        assert_int_equal(back.n, facts.n);
        for (size_t i = 0; i < facts.n; i++)
                assert_facts_equal(fact_set_find(&back, facts.v[i].id), &facts.v[i]);

        /* What was read goes on growing. */
        for (size_t i = 0; i < back.n; i++) {
                const size_t n = back.v[i].names.n;

                assert_int_equal(facts_add_name(&back.v[i], "web:1"), 0);
                assert_int_equal(back.v[i].names.n, MIN(n + 2, (size_t)FACTS_NAMES_MAX));
                assert_int_equal(facts_add_need(&back.v[i], "base:1"), 0);
                assert_int_equal(facts_add_needed_repository(&back.v[i], "base:1"), 0);
                assert_int_equal(back.v[i].needs.n, n + 2);
                assert_int_equal(hash_list_add(&back.v[i].layers, 1), 0);
                back.v[i].dirty = false;
        }

        /* Only what is dirty is written. */
        back.v[0].n_base = 1234;
        back.v[1].n_base = 1234;
        back.v[1].dirty = true;
        assert_int_equal(store_write_facts(store, &back, &diag), 0);
        assert_false(back.v[1].dirty);
        assert_int_equal(store_read_facts(store, &again, &diag), 0);
        assert_int_not_equal(fact_set_find(&again, back.v[0].id)->n_base, 1234);
        assert_int_equal(fact_set_find(&again, back.v[1].id)->n_base, 1234);
}

static void test_names(void **state) {
        cleanup(fact_set_done) FactSet set = { 0 };
        ImageFacts *facts = fact_set_add(&set, "a");

        (void)state;
        for (unsigned i = 0; i < FACTS_NAMES_MAX - 1; i++) {
                char name[32];

                snprintf(name, sizeof(name), "watchparty-web:%u", i);
                facts->dirty = false;
                assert_int_equal(facts_add_name(facts, name), 0);
                assert_true(facts->dirty);
                assert_true(hash_list_contains(&facts->names, text_hash(name)));
                assert_true(hash_list_contains(&facts->names, text_hash("watchparty-web")));
        }
        /* A name that is known, or for which there is no room, costs no write at each look. */
        facts->dirty = false;
        for (unsigned i = 0; i < 2 * FACTS_NAMES_MAX; i++) {
                char name[32];

                snprintf(name, sizeof(name), "watchparty-web:%u", i);
                assert_int_equal(facts_add_name(facts, name), 0);
        }
        assert_false(facts->dirty);
        assert_int_equal(facts->names.n, FACTS_NAMES_MAX);
}

/* The oldest go; what was written anew is young. */
static void test_trim(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup(fact_set_done) FactSet facts = { 0 }, back = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        for (unsigned i = 0; i < FACTS_KEPT; i++)
                add_facts(&facts, i * 300);
        assert_int_equal(store_write_facts(store, &facts, &diag), 0);
        facts.v[0].dirty = true;
        for (unsigned i = 0; i < 10; i++)
                add_facts(&facts, 300 * (FACTS_KEPT + i));
        assert_int_equal(store_write_facts(store, &facts, &diag), 0);
        assert_int_equal(store_read_facts(store, &back, &diag), 0);
        assert_int_equal(back.n, FACTS_KEPT);
        assert_non_null(fact_set_find(&back, facts.v[0].id));
        assert_null(fact_set_find(&back, facts.v[1].id));
        assert_non_null(fact_set_find(&back, facts.v[facts.n - 1].id));
}

/* Facts of images of ours stay longest, but leave room for those of others. */
static void test_trim_ours_last(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup(fact_set_done) FactSet facts = { 0 }, back = { 0 }, again = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        for (unsigned i = 0; i < 10; i++)
                add_facts(&facts, i * 300)->ours = true;
        for (unsigned i = 10; i < FACTS_KEPT + 10; i++)
                add_facts(&facts, i * 300);
        assert_int_equal(store_write_facts(store, &facts, &diag), 0);
        assert_int_equal(store_read_facts(store, &back, &diag), 0);
        assert_int_equal(back.n, FACTS_KEPT);
        assert_non_null(fact_set_find(&back, facts.v[0].id));
        assert_null(fact_set_find(&back, facts.v[19].id));
        assert_non_null(fact_set_find(&back, facts.v[20].id));

        for (size_t i = 0; i < facts.n; i++)
                facts.v[i].ours = facts.v[i].dirty = i < FACTS_OURS_KEPT + 20;
        assert_int_equal(store_write_facts(store, &facts, &diag), 0);
        for (unsigned i = 0; i < FACTS_KEPT; i++)
                add_facts(&facts, 300 * (FACTS_KEPT + 10 + i));
        assert_int_equal(store_write_facts(store, &facts, &diag), 0);
        assert_int_equal(store_read_facts(store, &again, &diag), 0);
        assert_int_equal(again.n, FACTS_KEPT);
        assert_null(fact_set_find(&again, facts.v[19].id));
        assert_non_null(fact_set_find(&again, facts.v[20].id));
        assert_non_null(fact_set_find(&again, facts.v[facts.n - 1].id));
}

/* What somebody wrote into the file is no list of hashes. */
static void test_odd_lists(void **state) {
        static const char *const texts[] = { "", "12", "0123456789abcdeg", "zzzzzzzzzzzzzzzz",
                                             " 1 2 3 4 5 6 7 8" };
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        Diag diag = DIAG_NULL;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                cleanup(fact_set_done) FactSet back = { 0 };
                char sql[320];

                store = store_close(store);
                snprintf(
                        sql, sizeof(sql),
                        "REPLACE INTO image_facts VALUES (1, 'a', 99, -1, 1, 1, -1, 0, 99, 0, 0, '%s',"
                        " '', '%s', '', '%s', 0, 99, 0, 0, '%s', '%s', 0, 99)",
                        texts[i], texts[i], texts[i], texts[i], texts[i]);
                raw(&scratch, sql);
                store = open_store(&scratch);
                assert_int_equal(store_read_facts(store, &back, &diag), 0);
                assert_int_equal(back.n, 1);
                assert_in_range(back.v[0].kind, 0, IMAGE_KIND_MAX - 1);
                assert_in_range(back.v[0].commit, 0, COMMIT_MAX - 1);
                assert_in_range(back.v[0].inline_cache, 0, INLINE_CACHE_YES);
                assert_int_equal(back.v[0].layers.n, 0);
                assert_int_equal(back.v[0].bases.n, 0);
                assert_int_equal(back.v[0].names.n, 0);
                assert_int_equal(back.v[0].classic_steps.n, 0);
                assert_int_equal(back.v[0].needs.n, 0);
        }
}

static void test_prefixes(void **state) {
        HashList a = { 0 }, b = { 0 };

        (void)state;
        for (unsigned i = 0; i < 2 * HASHES_MAX; i++) {
                assert_int_equal(prefixes_add(&a, i), 0);
                assert_int_equal(prefixes_add(&b, i == 3 ? 4 : i == 4 ? 3 : i), 0);
        }
        assert_int_equal(a.n, HASHES_MAX);
        for (size_t i = 0; i < a.n; i++)
                assert_int_equal(a.v[i] == b.v[i], i < 3);
        hash_list_done(&a);
        hash_list_done(&b);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_facts),     cmocka_unit_test(test_names),
                cmocka_unit_test(test_trim),      cmocka_unit_test(test_trim_ours_last),
                cmocka_unit_test(test_odd_lists), cmocka_unit_test(test_prefixes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
